"""What a run of a model needs, from its config.json and the settings alone: memory by part, arithmetic, time.

No weight is read: the model is built on torch's meta device, which holds shapes and no values.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

from models.store import adapters, default_model
from models.store.folders import ModelError, quiet, read_json
from models.store.paths import PROJECT
from models.store.screening import screen_config_file

GIB = 2**30
DEFAULT_CONFIG = {  # of the model that the first run fetches: a plan comes before the download
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 49152, "hidden_size": 576,
    "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    "max_position_embeddings": 8192, "tie_word_embeddings": True,
}  # fmt: skip
BYTES = {"float32": 4, "bfloat16": 2}
QUANTISED = {4: 0.56, 8: 1.02}  # bytes a weight with its scales (NF4 in blocks of 64; int8 by row)
EFFICIENCY = 0.5  # of the measured matrix rate that a whole step reaches, small operations and attention included


@dataclass(frozen=True)
class Shape:
    """A model's sizes: weights in all, in embeddings and head, that train, that stand still, of quantisable matrices;
    and its widths."""

    parameters: int
    embedding: int
    trainable: int
    frozen: int
    matrices: int
    layers: int
    hidden: int
    inner: int
    key_value: int
    heads: int
    vocabulary: int


@dataclass(frozen=True)
class Work:
    """Tokens of a forward pass and of a step in one process (`answer_...`: those with logits), what the cache holds."""

    pass_tokens: int
    pass_answer_tokens: int
    longest: int
    step_tokens: int
    step_answer_tokens: int
    cached_rows: int
    cached_tokens: int
    probe_tokens: int


def local_config(name_or_path):
    """The config of a model that is here or in the Hugging Face cache; nothing is fetched.

    Raises ModelError, naming what to do, for a hub name of which nothing is here.
    """
    from transformers import AutoConfig

    folder = local_folder(name_or_path)
    if folder is None:
        return AutoConfig.for_model(**DEFAULT_CONFIG)
    screen_config_file(folder / "config.json")
    return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def local_folder(name_or_path) -> Path | None:
    """The folder with a model's config.json, an adapter's base included; None for the default model before it came."""
    name = str(name_or_path)
    for _ in range(8):
        place = _place(name)
        if place is None and name == default_model.DEFAULT_BASE:
            return None
        if place is None:
            raise ModelError(
                f"--plan reads config.json alone and fetches nothing, and {name} is not here: fetch that one small "
                f"file first (hf download {name} config.json), or name a folder"
            )
        if not (place / "adapter_config.json").is_file():
            return place
        base = str(read_json(place / "adapter_config.json").get("base_model_name_or_path") or "")
        name = str(place / base) if base.startswith(".") else base
    raise ModelError(f"{name_or_path}: adapters that name each other as base")


def _place(name: str) -> Path | None:
    for path in (Path(os.path.expanduser(name)), PROJECT / name):
        if path.is_dir():
            return path
    if name == default_model.DEFAULT_BASE:
        return default_model.FOLDER if default_model.FOLDER.is_dir() else None
    from huggingface_hub import try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(name, "config.json")
    except ValueError:  # not a name that the hub could have
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def shape_of(config, *, lora: dict | None = None, trainable=None) -> Shape:
    """The sizes of the model that a config describes; `lora` {"r", "target_modules"} or `trainable(model)`, a
    method's choice of weights, say which train."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"), quiet():
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        text = config.get_text_config()
        head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        outside = {id(p): p.numel() for module in (embedding, head) for p in module.parameters()}
        total = sum(p.numel() for p in model.parameters())
        linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
        matrices = sum(m.weight.numel() for m in linear)
        inner = max((m.out_features for m in linear), default=4 * text.hidden_size)
        if lora:
            wrapped = adapters.add_lora(model, r=lora["r"], target_modules=lora["target_modules"])
            chosen = [p for p in wrapped.parameters() if p.requires_grad]
        else:
            chosen = trainable(model) if trainable else list(model.parameters())
    trained, heads = sum(p.numel() for p in chosen), text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    return Shape(
        parameters=total,
        embedding=sum(outside.values()),
        trainable=trained,
        frozen=total if lora else total - trained,
        matrices=matrices,
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        inner=inner,
        key_value=width * (getattr(text, "num_key_value_heads", None) or heads),
        heads=heads,
        vocabulary=text.vocab_size,
    )


def memory(shape: Shape, work: Work, *, dtype: str, needs: set, snapshots: int = 1, springs: int = 0, flat: bool = True,
           checkpointing: bool = False, quantised: int = 0, shards: int = 1) -> dict[str, float]:  # fmt: skip
    """Bytes in one process by part, at the peak of training.

    `needs`: what references hold ("nll", "distribution", "activation"); `snapshots` of the trained weights kept (the
    best state); `springs`: further copies (an anchor, importances); `flat`: gradients stand all the time, otherwise
    they take the place that activations leave; `shards`: processes over which FSDP cuts weights.
    """
    size, coded = BYTES[dtype], shape.matrices if quantised else 0
    plain = shape.frozen - coded
    activations = _activations(shape, work, size, checkpointing)
    gradients = 4 * shape.trainable / shards
    table = size * work.pass_answer_tokens * shape.vocabulary
    parts = {
        "weights": (4 * (shape.trainable + plain) + QUANTISED.get(quantised, 0) * coded) / shards,
        "compute copies": (size * (shape.trainable + plain) if dtype != "float32" else 0) / shards,
        "gradients": gradients if flat else max(0.0, gradients - activations),
        "optimizer": 8 * shape.trainable / shards,
        "kept states": 4 * shape.trainable * (snapshots + springs) / shards,
        "references": _references(shape, work, needs, size),
        "activations": activations,
        "logits": (4 if "distribution" in needs else 2) * table,
    }
    if shards > 1:  # the layer at work stands whole in every process, and so do embeddings and head
        parts["gathered layers"] = 2 * size * (shape.embedding + (shape.parameters - shape.embedding) / shape.layers)
    return parts


def _references(shape: Shape, work: Work, needs: set, size: int) -> float:
    wide = size * work.cached_tokens * shape.hidden
    return (
        4 * work.cached_rows * bool(needs)
        + wide * len(needs & {"distribution", "activation"})
        + ("distribution" in needs) * size * shape.vocabulary * shape.hidden
    )


def _activations(shape: Shape, work: Work, size: int, checkpointing: bool) -> float:
    """What a backward pass needs of the forward one: of a layer about 9 tensors of width d, 4 of the inner width, the
    attention's weights; with checkpointing a layer's input, and one layer whole."""
    tokens, seen = work.pass_tokens, 2 * shape.heads * min(work.longest, work.pass_tokens)
    norms = 4 * 4 * shape.hidden  # they compute in float32
    layer = tokens * (norms + size * (5 * shape.hidden + 2 * shape.key_value + 4 * shape.inner + seen))
    if checkpointing:
        return size * tokens * shape.hidden * shape.layers + layer
    return layer * shape.layers


def step_operations(shape: Shape, work: Work, *, lora: bool = False) -> float:
    """Floating-point operations of a step: 2 a weight and token forward, 4 backward (2 where weights stand still)."""
    body = shape.parameters - shape.embedding
    factor = 4 if lora else 6
    return factor * (body * work.step_tokens + shape.vocabulary * shape.hidden * work.step_answer_tokens)


def matrix_rate(dtype: str, hidden: int, inner: int, seconds: float = 0.5) -> float:
    """Operations a second of this machine on products as large as the model's, measured in about `seconds`."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    left = torch.randn(256, hidden, device=device).to(getattr(torch, dtype))
    right = torch.randn(hidden, inner, device=device).to(getattr(torch, dtype))
    best, started = math.inf, time.perf_counter()
    left @ right  # the first one sets things up
    while time.perf_counter() - started < seconds:
        began = time.perf_counter()
        for _ in range(4):
            left @ right
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 8 * 256 * hidden * inner / best


def memory_rate(seconds: float = 0.2) -> float:
    """Bytes a second that this machine copies (read and written), measured in about `seconds`."""
    import torch

    source = torch.ones(1 << 24, device="cuda" if torch.cuda.is_available() else "cpu")
    target, best, started = torch.empty_like(source), math.inf, time.perf_counter()
    while time.perf_counter() - started < seconds:
        began = time.perf_counter()
        target.copy_(source)
        if source.is_cuda:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 8 * len(source) / best


def available() -> tuple[str, int]:
    """(the device, bytes of it that are free); 0 where that cannot be told."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return "this machine", next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return "this machine", 0


def resident() -> int:
    """Bytes that this process holds now: the program itself, before there is a model."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
