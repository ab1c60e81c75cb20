"""Checks a model folder before anything in it is trusted: no network, no code from the folder, no weight in memory."""

from __future__ import annotations

import copy
import difflib
import importlib.util
import json
import math
import re
from pathlib import Path

from models.store import quantised
from models.store.folders import ModelError, first_line, listed, quiet, read_json

# Attention and expert implementations that are part of transformers and torch; anything else may be fetched code.
KNOWN_IMPLEMENTATIONS = {"eager", "sdpa", "flex_attention", "paged|eager", "paged|sdpa", "grouped_mm", "batched_mm"}
# Implementations from a package. If the package is not installed, transformers would download a kernel from the hub.
PACKAGED_IMPLEMENTATIONS = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}
# Upper limits of the sizes in config.json: far above any published model, and low enough to build the configuration in
# little memory (some configurations build a list entry per layer).
SIZE_LIMITS = {
    r"vocab_size": 2**22,
    r"num_hidden_layers|num_layers|n_layers?|decoder_layers|encoder_layers": 2**11,
    r"hidden_size|n_embd|d_model|word_embed_proj_dim|embed_dim|head_dim": 2**17,
    r"intermediate_size|n_inner|ffn_dim": 2**20,
    r"num_attention_heads|num_key_value_heads|n_heads?|num_heads": 2**13,
    r"num_experts|num_local_experts|n_routed_experts": 2**13,
    r"max_position_embeddings|n_positions": 2**27,
}
MAY_BE_ZERO = r"n_inner|num_experts|num_local_experts|n_routed_experts|word_embed_proj_dim"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.msgpack", "*.h5")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")


def screen_config(folder: str | Path):
    """The transformers config of a model folder, after checks of config, weight files' headers and tokenizer files.

    Raises ModelError naming the file and the value: remote code, attention kernels from a repository, unknown model
    type, wrong types, absurd sizes, not a causal LM, pickles, truncated safetensors, shapes that contradict the config.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(f"no such folder: {folder}")
    raw = screen_config_file(folder / "config.json")
    shapes = weight_shapes(folder)
    if why := quantised.refusal(raw, shapes):
        raise ModelError(f"{folder}: {why}")
    screen_tokenizer_files(folder)
    config = _build_config(folder, raw)
    _compare_shapes(folder, config, shapes)
    return config


def screen_config_file(path: Path) -> dict:
    """The content of config.json. Raises ModelError unless it names a known causal LM and nothing unsafe."""
    raw = read_json(path)
    problems = list(_unsafe_values(raw))
    if why := quantised.refusal(raw):
        problems.append(why)
    model_type = raw.get("model_type")
    if not isinstance(model_type, str):
        problems.append("model_type is missing")
    if problems:
        raise ModelError(f"{path}: {'; '.join(problems[:20])}")
    _screen_model_type(path, raw, model_type)
    return raw


def _unsafe_values(node, where: str = ""):
    """Yields the problems of a JSON tree: remote code, kernels from repositories, absurd sizes."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        name = str(key)
        at = f"{where}{name}"
        if name == "auto_map" and value:
            yield f"{at} names code to run ({_short(value)}); remote code is never run"
        elif "attn_implementation" in name or "experts_implementation" in name:
            for text in _texts(value):
                package = PACKAGED_IMPLEMENTATIONS.get(text)
                if package and not importlib.util.find_spec(package):
                    yield f"{at} is {text!r}, whose package {package} is not installed; remove the key"
                elif not package and text not in KNOWN_IMPLEMENTATIONS:
                    yield f"{at} is {text!r}; a kernel from a repository is never loaded"
        elif "kernel" in name and any("/" in text for text in _texts(value)):
            yield f"{at} names a repository ({_short(value)}); a kernel from a repository is never loaded"
        elif (limit := _size_limit(name)) and isinstance(value, (int, float)) and not isinstance(value, bool):
            low = 0 if re.fullmatch(MAY_BE_ZERO, name) else 1
            if not low <= value <= limit:
                yield f"{at} is {value}; expected {low} to {limit}"
        else:
            yield from _unsafe_values(value, f"{at}.")


def _size_limit(name: str) -> int | None:
    return next((limit for pattern, limit in SIZE_LIMITS.items() if re.fullmatch(pattern, name)), None)


def _texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _screen_model_type(path: Path, raw: dict, model_type: str):
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if model_type not in CONFIG_MAPPING_NAMES:
        near = difflib.get_close_matches(model_type, CONFIG_MAPPING_NAMES, 3)
        hint = f" (near: {', '.join(near)})" if near else ""
        raise ModelError(f"{path}: unknown model_type {model_type!r}{hint}; not in the installed transformers")
    architectures = raw.get("architectures") or []
    if not isinstance(architectures, list) or not all(isinstance(a, str) for a in architectures):
        raise ModelError(f"{path}: architectures must be a list of names")
    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type)
    causal = known and (not architectures or any(_is_causal_name(a, known) for a in architectures))
    if not causal or raw.get("is_encoder_decoder"):
        what = ", ".join(architectures) or model_type
        raise ModelError(f"{path}: {what} is not a causal LM; unlearning needs one (...ForCausalLM)")


def _is_causal_name(architecture: str, known: str) -> bool:
    return architecture == known or architecture.endswith(("ForCausalLM", "LMHeadModel"))


def _build_config(folder: Path, raw: dict):
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # validation errors of transformers and huggingface_hub share no base class
        raise ModelError(f"{folder / 'config.json'}: {first_line(error)}") from error
    # gpt_neox has the field but always attends causally
    bidirectional = getattr(config, "is_decoder", True) is False and not config.model_type.startswith("gpt_neox")
    if bidirectional or getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{folder / 'config.json'}: {config.model_type} is not a causal LM (is_decoder is false)")
    return config


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a tokenizer."""
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def screen_tokenizer_files(folder: Path):
    """Raises ModelError for a folder without a tokenizer, or with one that names code."""
    if not has_tokenizer(folder):
        raise ModelError(f"{folder}: no tokenizer (none of {', '.join(TOKENIZER_FILES)}); copy it from the base model")
    path = folder / "tokenizer_config.json"
    if path.is_file() and "auto_map" in read_json(path):
        raise ModelError(f"{path}: auto_map names code to run; remote code is never run")


def weight_shapes(folder: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """{tensor: (file, shape)} from the safetensors headers; every file is checked against its declared length."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        files = ["model.safetensors"]
    elif index.is_file():
        files = shards(index)
    else:
        pickles = sorted({p.name for pattern in PICKLES for p in folder.glob(pattern)})
        if pickles:
            raise ModelError(
                f"{folder}: only pickled weights ({', '.join(pickles[:5])}), which can run code and are never opened; "
                "convert them to model.safetensors"
            )
        raise ModelError(f"{folder}: no weights (model.safetensors is missing)")
    shapes = {}
    for file in files:
        if not (folder / file).is_file():
            raise ModelError(f"{folder / file}: missing, though {index.name} lists it")
        shapes.update({name: (file, shape) for name, shape in header_shapes(folder / file).items()})
    return shapes


def shards(index: Path) -> list[str]:
    """Names of the weight files in an index. Raises ModelError for a name outside the folder."""
    mapping = read_json(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise ModelError(f"{index}: no weight_map")
    files = sorted({str(name) for name in mapping.values()})
    for name in files:
        if not re.fullmatch(r"[\w-][\w.-]*\.safetensors", name):
            raise ModelError(f"{index}: {name!r} is not a safetensors file of this folder")
    return files


def header_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """{tensor: shape} from a safetensors header. Raises ModelError for a file that does not match its header."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  not a dict
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: damaged or not a safetensors file ({first_line(error)})") from error


def _compare_shapes(folder: Path, config, shapes: dict):
    """Compares the model that the config describes, built on the meta device, with the shapes in the weight files."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"), quiet():
            model = AutoModelForCausalLM.from_config(copy.deepcopy(config), attn_implementation="eager")
    except Exception as error:
        raise ModelError(f"{folder / 'config.json'}: cannot build a model from it ({first_line(error)})") from error
    prefix = getattr(model, "base_model_prefix", "") + "."
    problems = []
    for name, tensor in model.state_dict().items():
        stored = shapes.get(name) or shapes.get(name.removeprefix(prefix)) or shapes.get(prefix + name)
        if stored and stored[1] != tuple(tensor.shape):
            problems.append(f"{name} is {stored[1]} in {stored[0]}, but config.json implies {tuple(tensor.shape)}")
    if problems:
        raise ModelError(f"{folder}: config.json does not fit the weights: {listed(problems, 2)}")
    described = sum(p.numel() for p in model.parameters())
    held = sum(math.prod(shape) for _, shape in shapes.values())
    if described > 4 * held:
        raise ModelError(f"{folder}: config.json describes {described:,} weights, the files hold {held:,}")


def _short(value) -> str:
    return json.dumps(value)[:120]
