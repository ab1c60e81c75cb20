"""Finds and loads models and tokenizers: a folder, an adapter over its base, the default model, or a hub name.

Weights come from safetensors only, and `models/store/screening.py` checks a folder before it is loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from data.rendering import DATE, fix_date
from models.store import default_model, quantised
from models.store.adapters import CONFIG as ADAPTER_CONFIG
from models.store.adapters import merge_adapter, screen_adapter
from models.store.folders import (
    MANIFEST,
    ModelError,
    first_line,
    known_hash,
    listed,
    out_of_memory,
    quiet,
    read_json_or_empty,
    verify_manifest,
)
from models.store.paths import PROJECT
from models.store.screening import (
    has_tokenizer,
    screen_config,
    screen_config_file,
    screen_tokenizer_files,
    shards,
    weight_shapes,
)

# ---------------------------------------------------------------------------------------------------------------------
# Finding a model


def resolve_model(name_or_path: str | Path, progress=print) -> Path:
    """Local folder of a model; downloads the model if needed.

    name_or_path: a path from the current directory or the project, the default model's name, or a hub name.
    Raises ModelError if there is no such model.
    """
    name = str(name_or_path)
    if not name.strip() or "\0" in name or len(name) > 1000:
        raise ModelError("--model_name_or_path is empty or not a path")
    for path in _places(name):
        if os.path.isdir(path):  # unlike Path.is_dir, it returns False for a name that is too long
            return path
        if os.path.exists(path):
            raise ModelError(f"{path} is a file; give the folder that holds config.json and the weights")
    if name == default_model.DEFAULT_BASE or PROJECT / name in (default_model.FOLDER, default_model.OLD_FOLDER):
        return default_model.fetch(progress)
    first = name.split("/")[0]
    hub_like = re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", name)
    if not hub_like or (("/" in name) and (os.path.isdir(PROJECT / first) or os.path.isdir(first))):
        raise ModelError(f"no such folder: {name} (looked in {Path.cwd()} and {PROJECT})")
    return _hub_folder(name, progress)


def _places(name: str) -> dict[Path, None]:
    """The folders that may hold a model of this name, in order of preference."""
    return dict.fromkeys((Path(os.path.expanduser(name)), PROJECT / name))


def _hub_folder(name: str, progress) -> Path:
    """Snapshot of a hub model. Downloads and screens config.json before safetensors, tokenizer and JSON files."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError

    no_hub = _why_no_hub(name)
    options = {"local_files_only": bool(no_hub)}  # the Hugging Face cache works without the hub
    try:
        folder = Path(hf_hub_download(name, "config.json", **options)).parent
        screen_config_file(folder / "config.json")
        options["revision"] = folder.name  # the same commit for every file
        if not no_hub:
            progress(f"fetching {name} from the hub (kept in the Hugging Face cache) ...")
        try:
            weights = shards(Path(hf_hub_download(name, "model.safetensors.index.json", **options)))
        except EntryNotFoundError:  # a single file, or (offline) an index that was never fetched
            weights = ["model.safetensors"]
        texts = ["*.json", "*.txt", "*.model", "*.jinja"]
        return Path(snapshot_download(name, allow_patterns=[*texts, *weights], ignore_patterns=["*/*"], **options))
    except ModelError as error:
        raise ModelError(f"{name}: {error}", error.exit_code) from error
    except Exception as error:  # each network failure has its own type; the user needs one sentence
        reason = no_hub or f"the model hub did not provide it ({type(error).__name__}: {first_line(error)})"
        raise ModelError(
            f"no such folder: {name}, and {reason}. Use a local folder, or connect once to fetch it"
        ) from error


def _why_no_hub(name: str) -> str | None:
    """The reason not to use the hub: a variable forbids it, or a quick request fails (a download retries for 20 s)."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if _is_true(os.environ.get(variable)):
            return f"{variable}={os.environ[variable]} forbids asking the model hub"
    try:
        get_hf_file_metadata(hf_hub_url(name, "config.json"))
    except HfHubHTTPError:
        return None  # the hub answers; the download gives the better error message
    except Exception as error:
        return f"the model hub cannot be reached ({type(error).__name__}: {first_line(error)})"
    return None


def _is_true(value: str | None) -> bool:
    return (value or "").strip().upper() in {"1", "ON", "YES", "TRUE"}


def down_to_base(name_or_path, progress=print) -> Iterator[Path]:
    """Yields the model's folder and, for a LoRA adapter, the folder of its base, and so on. Downloads missing models.

    Raises ModelError if a base cannot be found or if adapters name each other as base.
    """
    folder, seen = resolve_model(name_or_path, progress), set()
    while True:
        if folder.resolve() in seen:
            raise ModelError(f"{folder}: these adapters name each other as their base")
        seen.add(folder.resolve())
        yield folder
        if not (folder / ADAPTER_CONFIG).is_file():
            return
        folder = _base_folder(folder, progress)


def _base_folder(folder: Path, progress) -> Path:
    """The folder of an adapter's base model. A base that starts with a dot is relative to the adapter."""
    base = screen_adapter(folder)["base_model_name_or_path"]
    if base.startswith(".") and (folder / base).is_dir():
        return folder / base
    try:
        return resolve_model(base, progress)
    except ModelError as error:
        raise ModelError(
            f"{folder} is a LoRA adapter, and its base model is missing: {error}. "
            "Put the base folder's path in base_model_name_or_path of adapter_config.json",
            error.exit_code,
        ) from error


def weights_folder(name_or_path, progress=print) -> Path:
    """The folder that holds a model's weights: its own, or, for an adapter, its base model's."""
    return list(down_to_base(name_or_path, progress))[-1]


def parameter_count(name_or_path) -> int | None:
    """Number of weights according to the file headers; None if unknown. Reads no weights and downloads nothing."""
    name = str(name_or_path)
    for _ in range(8):
        if name == default_model.DEFAULT_BASE:
            return default_model.PARAMETERS
        folder = next((path for path in _places(name) if os.path.isdir(path)), None)
        if folder is None:
            return None
        try:
            if not (folder / ADAPTER_CONFIG).is_file():
                return sum(math.prod(shape) for _, shape in weight_shapes(folder).values())
            name = screen_adapter(folder)["base_model_name_or_path"]
        except ModelError:
            return None
    return None


def model_hash(name_or_path, progress=print) -> str:
    """SHA-256 of config and weights, including an adapter's base; independent of the folder's path."""
    of_base = ""
    for folder in reversed(list(down_to_base(name_or_path, progress))):
        digest = hashlib.sha256()
        names = ["config.json", ADAPTER_CONFIG, *sorted(path.name for path in folder.glob("*.safetensors"))]
        for path in (folder / name for name in names if (folder / name).is_file()):
            digest.update(f"{path.name} {known_hash(path)}\n".encode())
        digest.update(of_base.encode())
        of_base = digest.hexdigest()
    return of_base


def hash_meanwhile(*names, progress=print):
    """Starts to hash these models in the background; `model_hash` then waits for the result."""
    names = [name for name in names if name]
    for name in names:
        weights_folder(name, progress)  # download in the foreground, where the user sees it

    def hash_them():
        for name in names:
            with contextlib.suppress(Exception):
                model_hash(name, progress=lambda text: None)

    threading.Thread(target=hash_them, daemon=True).start()


# ---------------------------------------------------------------------------------------------------------------------
# Loading


def load_model(
    name_or_path,
    *,
    dtype: str = "float32",
    attn_implementation: str | None = None,
    progress=print,
    quantization_config=None,
    tokenizer=None,
):
    """(model, tokenizer): eval mode, on the CPU, with a pad token. Adapters are merged into their base.

    dtype: "float32", "bfloat16", "float16" or "auto" (as stored). quantization_config: from
    `models.store.quantised.settings`. tokenizer: used instead of the folder's own.
    Raises ModelError; a folder that fails `screen_config` is refused before any weights are loaded.
    """
    if dtype not in ("float32", "bfloat16", "float16", "auto"):
        raise ModelError(f"dtype {dtype!r}: expected float32, bfloat16, float16 or auto", 2)
    *adapters, folder = _checked_folders(name_or_path, progress)
    if adapters and quantization_config:
        raise ModelError(f"{adapters[0]}: an adapter cannot be merged into quantised weights; name a full model", 2)
    config = screen_config(folder)
    if stored := getattr(config, quantised.STORED, None):
        kind = quantised.kind_of(stored)
        if quantization_config:
            raise ModelError(f"{folder}: its weights are quantised already ({kind}); remove --load_in_4bit/8bit")
        progress(f"note: {folder} holds {kind} weights; they become plain {dtype} weights of the same values")
        quantization_config = quantised.expanding(stored)
    tokenizer = tokenizer or _load_tokenizer([*adapters, folder])
    rows = config.get_text_config().vocab_size
    if len(tokenizer) > rows and not adapters:
        raise _too_many_tokens(folder, tokenizer, rows)
    model = _load_weights(folder, dtype, attn_implementation, quantization_config)
    if quantization_config and not stored:
        model = quantised.made_trainable(model)
    for adapter in reversed(adapters):
        model = merge_adapter(model, adapter, progress)
    if len(tokenizer) > (rows := model.get_input_embeddings().weight.shape[0]):
        raise _too_many_tokens(tokenizer.name_or_path, tokenizer, rows)
    return model, tokenizer


def _too_many_tokens(folder, tokenizer, rows: int) -> ModelError:
    return ModelError(f"{folder}: the tokenizer has {len(tokenizer)} tokens, the model {rows} embeddings (vocab_size)")


def load_tokenizer(name_or_path, progress=print):
    """The tokenizer, without reading any weights."""
    folders = list(down_to_base(name_or_path, progress))
    screen_config(folders[-1])
    return _load_tokenizer(folders)


def _checked_folders(name_or_path, progress) -> Iterator[Path]:
    """The folders of `down_to_base`. Compares each with its manifest, if it has one, before its files are read.

    Without this check, a flipped bit in the weights would go unnoticed.
    """
    for folder in down_to_base(name_or_path, progress):
        problems = verify_manifest(folder, digest=known_hash) if (folder / MANIFEST).is_file() else []
        if problems := [problem for problem in problems if not problem.startswith("README.md")]:
            hint = f"Restore it, or delete {MANIFEST} if the files were changed on purpose"
            raise ModelError(f"{folder} has changed since it was saved: {listed(problems)}. {hint}")
        yield folder


def _load_tokenizer(folders: list[Path]):
    """The tokenizer of an adapter or, if its folder has none, of its base; with a pad token, and a fixed date.

    folders: those of `down_to_base`. Whoever trained an adapter with new tokens or another chat template saved its
    tokenizer beside it.
    """
    from transformers import AutoTokenizer

    folder = next((path for path in folders if has_tokenizer(path)), folders[-1])
    screen_tokenizer_files(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"{folder}: the tokenizer cannot be loaded ({first_line(error)})") from error
    if tokenizer.pad_token_id is None:
        # Any token works: padding is masked by position, so an end-of-turn token used as padding keeps its loss.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    fix_date(tokenizer, _date_of(folders))
    return tokenizer


def template_date(name_or_path) -> str | None:
    """The day that the dated chat template of a model saved by a run writes; None if no run fixed one."""
    return _date_of(list(down_to_base(name_or_path, lambda text: None)))


def _date_of(folders: list[Path]) -> str | None:
    return next(filter(None, (read_json_or_empty(folder / MANIFEST).get(DATE) for folder in folders)), None)


def _load_weights(folder: Path, dtype: str, attn_implementation: str | None, quantization_config):
    """The folder's model in eval mode. Raises ModelError if weights are missing or unexpected."""
    from transformers import AutoModelForCausalLM

    safe = {"use_safetensors": True, "trust_remote_code": False, "local_files_only": True}
    options = {"dtype": dtype, "quantization_config": quantization_config, "output_loading_info": True}
    if attn_implementation:
        options["attn_implementation"] = attn_implementation
    try:
        with quiet():
            model, info = AutoModelForCausalLM.from_pretrained(str(folder), **safe, **options)
    except Exception as error:
        if out_of_memory(error):
            raise
        raise ModelError(f"{folder}: the model cannot be loaded ({first_line(error)})") from error
    problems = [f"missing from the files: {listed(sorted(info['missing_keys']))}"] if info["missing_keys"] else []
    if info["unexpected_keys"]:
        problems.append(f"in the files but not in the model: {listed(sorted(info['unexpected_keys']))}")
    if problems:
        raise ModelError(f"{folder}: weights do not fit {type(model).__name__}: {'; '.join(problems)}")
    return model.eval()
