"""What training needs: a model's sizes, memory by part, operations, and this machine's rates, measured in a second.

No weight is read: the model is on torch's meta device, which holds shapes without values.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from models.store import adapters
from models.store.folders import quiet

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
QUANTISED = {4: 0.56, 8: 1.02}  # bytes a weight with its scales (NF4 in blocks of 64; int8 by row)


@dataclass(frozen=True)
class Shape:
    """A model's weight counts and widths."""

    parameters: int
    embedding: int  # in embeddings and head
    trainable: int
    frozen: int
    matrices: int  # in matrices that can be quantised
    layers: int
    hidden: int
    inner: int
    key_value: int
    heads: int
    vocabulary: int


@dataclass(frozen=True)
class Work:
    """Tokens in one process; `answer` tokens are those with logits."""

    pass_tokens: int  # of the largest forward pass
    pass_answer_tokens: int
    longest: int  # row
    step_tokens: int  # of a mean step
    step_answer_tokens: int
    step_passes: int  # most passes of a step
    cached_rows: int  # in the reference cache
    cached_tokens: int
    probe_tokens: int  # of one evaluation of the probes


def shape_of(config, *, lora: dict | None = None, trainable=None) -> Shape:
    """The sizes of the model that a config describes.

    `lora`, {"r", "target_modules"}, or a method's `trainable(model)` chooses the weights that train; default: all.
    """
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


def memory(shape: Shape, work: Work, *, dtype: str, needs: set, exact: bool = False, snapshots: int = 1,
           springs: int = 0, flat: bool = True, checkpointing: bool = False, quantised: int = 0,
           shards: int = 1) -> dict[str, float]:  # fmt: skip
    """Bytes in one process by part, at the peak of training.

    needs: what references hold ("nll", "distribution", "activation"). exact: the compute type holds the stored weights
    exactly, so frozen ones need no float32. snapshots: kept copies of the trained weights (the best state). springs:
    further copies (an anchor, importances). flat: gradients are float32 and take memory of their own; otherwise they
    have the compute type until a second pass adds to them, and reuse what activations and logits free. shards:
    processes among which FSDP divides the weights.
    """
    size, coded = BYTES[dtype], shape.matrices if quantised else 0
    plain, low = shape.frozen - coded, dtype != "float32"
    activations = _activations(shape, work, size, checkpointing)
    logits = (4 if "distribution" in needs else 2) * size * work.pass_answer_tokens * shape.vocabulary
    gradients = (4 if flat or work.step_passes > 1 else size) * shape.trainable / shards
    masters = shape.trainable + (0 if low and exact else plain)
    parts = {
        "weights": (4 * masters + QUANTISED.get(quantised, 0) * coded) / shards,
        "compute copies": (size * (shape.trainable + plain) if low else 0) / shards,
        "gradients": gradients if flat else max(0.0, gradients - activations - logits),
        "optimizer": 8 * shape.trainable / shards,
        "kept states": 4 * shape.trainable * (snapshots + springs) / shards,
        "references": _references(shape, work, needs, size),
        "activations": activations,
        "logits": logits,
    }
    if shards > 1:  # every process holds the current layer, the embeddings and the head in full
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
    """Bytes that the forward pass keeps for the backward pass.

    Per layer about 9 tensors of width d, 4 of the inner width and the attention weights. With checkpointing: every
    layer's input, and one layer in full.
    """
    tokens, seen = work.pass_tokens, 2 * shape.heads * min(work.longest, work.pass_tokens)
    norms = 4 * 4 * shape.hidden  # always in float32
    layer = tokens * (norms + size * (5 * shape.hidden + 2 * shape.key_value + 4 * shape.inner + seen))
    if checkpointing:
        return size * tokens * shape.hidden * shape.layers + layer
    return layer * shape.layers


def step_operations(shape: Shape, work: Work, *, lora: bool = False) -> float:
    """Floating-point operations of a step: per weight and token 2 forward and 4 backward (2 for frozen weights)."""
    body = shape.parameters - shape.embedding
    factor = 4 if lora else 6
    return factor * (body * work.step_tokens + shape.vocabulary * shape.hidden * work.step_answer_tokens)


def matrix_rate(dtype: str, hidden: int, inner: int) -> float:
    """This machine's operations per second on products of the model's size, measured in about half a second."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    left = torch.randn(256, hidden, device=device).to(getattr(torch, dtype))
    right = torch.randn(hidden, inner, device=device).to(getattr(torch, dtype))
    return 2 * 256 * hidden * inner / _shortest(lambda: left @ right, 0.5)


def memory_rate() -> float:
    """Bytes per second that this machine copies (reads and writes), measured in about a fifth of a second."""
    import torch

    source = torch.ones(1 << 24, device="cuda" if torch.cuda.is_available() else "cpu")
    target = torch.empty_like(source)
    return 8 * len(source) / _shortest(lambda: target.copy_(source), 0.2)


def _shortest(work, seconds: float) -> float:
    """The mean time of four calls, the shortest of many tries within `seconds`."""
    import torch

    work()  # warm-up
    best, started = math.inf, time.perf_counter()
    while best == math.inf or time.perf_counter() - started < seconds:
        began = time.perf_counter()
        for _ in range(4):
            work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - began) / 4)
    return best


def available() -> tuple[str, int]:
    """(the device, its free bytes)."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0]
    return "this machine", psutil.virtual_memory().available


def resident() -> int:
    """Bytes that this process holds now: the program itself, without a model."""
    import psutil

    return psutil.Process().memory_info().rss
