"""Rounding of weights: own, by torchao as served on GPUs, by gguf as shipped for llama.cpp."""

from __future__ import annotations

from collections.abc import Callable

from models.attacks.subject import Subject, on_a_copy
from models.forward.answers import unwrapped


def rounded(weight, bits: int, group: int | None = None):
    """Weight (out, in) rounded symmetrically to `bits` bits, in its own type; idempotent up to floating point.

    scale = max|w| / (2^(bits-1) - 1) per row, or per `group` neighbours in a row.
    """
    import torch

    rows, width = weight.shape
    size = group or width
    padding = -width % size
    values = torch.nn.functional.pad(weight.float(), (0, padding)).view(rows, -1, size)
    top = 2 ** (bits - 1) - 1
    scale = values.abs().amax(-1, keepdim=True) / top
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    values = (values / scale).round().clamp(-top, top) * scale
    return values.view(rows, -1)[:, :width].to(weight.dtype).contiguous()


def rounded_by_torchao(weight, bits: int, group: int | None = None):
    """Like `rounded`, with torchao's weight-only quantisation, which serves models on GPUs.

    Unpacks torchao's tensors: the products are the same, and `on_a_copy` can restore the model. Calls `rounded` if
    groups do not divide a row. Raises ValueError without torchao.
    """
    import torch

    try:
        from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig, PerGroup, quantize_
    except ImportError as error:
        raise ValueError(f"this attack needs the package torchao: pip install torchao ({error})") from error
    if group and weight.shape[1] % group:
        return rounded(weight, bits, group)
    config = Int8WeightOnlyConfig() if bits == 8 else IntxWeightOnlyConfig(torch.int4, PerGroup(group))
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype, device=weight.device)
    layer.weight.data.copy_(weight)
    quantize_(layer, config)
    return layer.weight.detach().dequantize().to(weight.dtype)


def rounded_by_gguf(kind: str) -> Callable:
    """A function like `rounded` that stores a weight as a GGUF type, such as "Q8_0", and reads it back.

    It uses the package gguf, which llama.cpp's converter uses too. Like the converter, it stores a weight as F16 if the
    type's block does not divide a row. The package's own rounding knows Q8_0, Q5_0, Q5_1, Q4_0 and Q4_1. The K types
    (Q4_K_M) need llama.cpp's own program.
    """

    def by(weight, bits: int, group: int | None = None):
        import torch
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

        stored = GGMLQuantizationType[kind]
        if weight.shape[1] % GGML_QUANT_SIZES[stored][0]:
            return weight.to(torch.float16).to(weight.dtype)
        values = quants.dequantize(quants.quantize(weight.float().cpu().numpy(), stored), stored)
        return torch.from_numpy(values).to(weight)

    return by


def quantise(model, bits: int, group: int | None = None, by: Callable = rounded) -> int:
    """Rounds the weights of all linear layers except the output head in place, as common loaders do; returns the count.

    by(weight (out, in), bits, group) -> the rounded weight, computed by this module or a library.
    """
    import torch

    inner, count = unwrapped(model), 0
    head = inner.get_output_embeddings()
    for module in inner.modules():
        if module is head or not hasattr(module, "weight"):
            continue
        if isinstance(module, torch.nn.Linear):
            module.weight.data = by(module.weight.data, bits, group)
        elif type(module).__name__ == "Conv1D":  # GPT-2's transposed linear layer
            module.weight.data = by(module.weight.data.T.contiguous(), bits, group).T.contiguous()
        else:
            continue
        count += 1
    return count


def quantisation(bits: int, group: int | None, by: Callable = rounded) -> Callable[[Subject], dict]:
    """An attack that rounds all weights and scores the forget set. Zhang et al. 2024 (arXiv:2410.16454)."""

    def attack(subject: Subject) -> dict:
        with on_a_copy(subject.model):
            quantise(subject.model, bits, group, by)
            return subject.score(subject.forget)

    return attack
