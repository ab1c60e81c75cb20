"""Quantised weights: QLoRA, with the optional package bitsandbytes, and models whose files are quantised already.

QLoRA trains an adapter over a base model that is quantised while it loads: the decoder's matrices are stored in NF4 or
int8 and multiplied in the compute type. Embeddings, head and norms stay as they are. Dettmers et al. 2023
(arXiv:2305.14314), Dettmers et al. 2022 (arXiv:2208.07339).
"""

from __future__ import annotations

import importlib.util
import json
import re

PACKAGE = "bitsandbytes"
STORED = "quantization_config"  # the key of config.json that says how a model's files are quantised
EXPANDED = ("fp8", "mxfp8", "mxfp4")  # transformers turns these into plain weights on any machine, without a package
CODES = r"(.*[._])?(qweight|qzeros|weight_packed|weight_scale(_inv)?|SCB|absmax|quant_map|blocks)"  # their tensors
CURE = "name the model's full-precision folder instead, with --use_peft --load_in_4bit if memory is short"


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


# ---------------------------------------------------------------------------------------------------------------------
# Models whose files are quantised


def kind_of(stored) -> str:
    """How a model's files are quantised, from the `quantization_config` of its config.json."""
    kind = stored.get("quant_method") if isinstance(stored, dict) else stored
    return kind if isinstance(kind, str) else json.dumps(kind)[:120]


def refusal(raw: dict, names=()) -> str | None:
    """Why a model with this config.json and tensors of these names cannot be loaded for training; None if it can."""
    if stored := raw.get(STORED):
        kind = kind_of(stored)
        if kind in EXPANDED and isinstance(stored, dict):
            return None
        return f"{STORED} ({kind}): weights in these codes cannot be trained; {CURE}"
    if coded := next((name for name in names if re.fullmatch(CODES, name)), None):
        return f"{coded} holds quantised codes, and config.json has no {STORED}; {CURE}"
    return None


def expanding(stored: dict):
    """transformers' settings that turn stored codes into plain weights while a model loads."""
    from transformers.quantizers.auto import AutoQuantizationConfig

    return AutoQuantizationConfig.from_dict({**stored, "dequantize": True})
