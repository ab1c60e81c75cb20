"""QLoRA: base models with 4-bit or 8-bit weights under a LoRA adapter, by the optional package bitsandbytes.

The decoder's matrices are stored in NF4 or int8 and multiplied in the compute type; embeddings, head and norms stay as
they are. Dettmers et al. 2023 (arXiv:2305.14314), Dettmers et al. 2022 (arXiv:2208.07339).
"""

from __future__ import annotations

import importlib.util

PACKAGE = "bitsandbytes"


def problems(config: dict) -> list[str]:
    """What in the configuration rules out a quantised base; [] when none is wanted."""
    flags = [f"--{name}" for name in ("load_in_4bit", "load_in_8bit") if config.get(name)]
    if not flags:
        return []
    found = []
    if len(flags) > 1:
        found.append("--load_in_4bit and --load_in_8bit: give one of them")
    if not config.get("use_peft"):
        found.append(f"{flags[0]} needs --use_peft: quantised weights cannot be trained, but an adapter on them can")
    if config.get("merge_adapter"):
        found.append(f"{flags[0]} with --merge_adapter: an adapter is not merged into rounded weights")
    if importlib.util.find_spec(PACKAGE) is None:
        found.append(f"{flags[0]} needs the package {PACKAGE}, which is not installed: pip install {PACKAGE}")
    return found


def made_trainable(model):
    """The model, with gradients that pass through its rounded matrices even after an evaluation.

    On a CPU with bf16 instructions bitsandbytes repacks 4-bit weights for good at the first evaluation. The product of
    the new layout has no backward pass, so the layers below would silently train on nothing.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def settings(config: dict, dtype):
    """transformers' quantisation settings for a configuration, None for plain weights. `dtype`: the compute type."""
    from transformers import BitsAndBytesConfig

    if config.get("load_in_4bit"):
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return BitsAndBytesConfig(load_in_8bit=True) if config.get("load_in_8bit") else None
