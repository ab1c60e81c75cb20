"""QLoRA: base models with 4-bit or 8-bit weights under a LoRA adapter, with the optional package bitsandbytes.

The decoder's matrices are stored in NF4 or int8 and multiplied in the compute type; embeddings, head and norms stay as
they are. Dettmers et al. 2023 (arXiv:2305.14314), Dettmers et al. 2022 (arXiv:2208.07339).
"""

from __future__ import annotations

import importlib.util

PACKAGE = "bitsandbytes"


def problems(config: dict) -> list[str]:
    """Reasons why the configuration rules out a quantised base; [] if it asks for none."""
    flags = [f"--{name}" for name in ("load_in_4bit", "load_in_8bit") if config.get(name)]
    if not flags:
        return []
    found = []
    if len(flags) > 1:
        found.append("--load_in_4bit and --load_in_8bit: give one of them")
    if not config.get("use_peft"):
        found.append(f"{flags[0]} needs --use_peft: quantised weights cannot be trained, but an adapter on them can")
    if config.get("merge_adapter"):
        found.append(f"{flags[0]} with --merge_adapter: an adapter cannot be merged into quantised weights")
    if importlib.util.find_spec(PACKAGE) is None:
        found.append(f"{flags[0]} needs the package {PACKAGE}, which is not installed: pip install {PACKAGE}")
    return found


def made_trainable(model):
    """The model; gradients pass through its quantised matrices even after an evaluation.

    On a CPU with bf16 instructions, bitsandbytes permanently repacks 4-bit weights at the first evaluation. Products
    with repacked weights have no backward pass, so the layers below would silently get no gradient.
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
