"""LoRA adapters: put on a model, screened before they are read, merged into their base."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path

from models.store.folders import ModelError, first_line, listed, quiet, read_json
from models.store.screening import header_shapes, screen_config

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def add_lora(model, *, r: int = 16, alpha: float = 32, dropout: float = 0.0, target_modules="all-linear"):
    """The model with LoRA matrices on `target_modules`: "all-linear", or module names as a list or with commas.

    W' = W + alpha / r * B A, with A (r, in) and B (out, r). B starts at zero; only A and B train (Hu et al. 2021,
    equation 3). Raises ModelError with exit code 2 for modules that the model lacks; the message lists the others.
    """
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    modules, target_modules = _lora_modules(model, target_modules)
    options = {"target_modules": target_modules, "task_type": "CAUSAL_LM"}
    if target_modules == "all-linear":
        options["exclude_modules"] = _odd_linears(model) or None
    options["fan_in_fan_out"] = any(isinstance(module, Conv1D) for module in modules.values())  # GPT-2 stores W^T
    try:
        with _without_deprecations():
            return get_peft_model(model, LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, **options))
    except (ValueError, TypeError) as error:
        raise ModelError(f"LoRA cannot be set up: {first_line(error)}", 2) from error


def _odd_linears(model) -> list[str]:
    """Names of a family's own linear layers that are no plain product, which an adapter would break.

    Some routers return several values, and some layers multiply groups.
    """
    import torch

    def plain(module) -> bool:
        try:
            with torch.no_grad():
                found = module(module.weight.new_zeros(1, 2, module.in_features))
        except Exception:
            return False
        return isinstance(found, torch.Tensor) and found.shape == (1, 2, module.out_features)

    own = [
        (name, m)
        for name, m in model.named_modules()
        if isinstance(m, torch.nn.Linear)
        and type(m).forward is not torch.nn.Linear.forward
        and type(m).__module__.startswith("transformers.models.")
    ]
    return [name for name, module in own if not plain(module)]


def check_lora_modules(folder: str | Path, target_modules) -> None:
    """Raises ModelError with exit code 2 for modules that the model in `folder` lacks; reads no weights."""
    import torch
    from transformers import AutoModelForCausalLM

    if target_modules != "all-linear":
        with torch.device("meta"), quiet():
            model = AutoModelForCausalLM.from_config(screen_config(folder), attn_implementation="eager")
        _lora_modules(model, target_modules)


def _lora_modules(model, target_modules) -> tuple[dict, str | list]:
    """(adaptable modules by name, `target_modules` in peft's form)."""
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
                f"--lora_target_modules: the model has no {', '.join(absent) or 'module of that name'}; "
                f"it has {', '.join(available)} (or all-linear)",
                2,
            )
    return modules, target_modules


def screen_adapter(folder: Path) -> dict:
    """The config of an adapter folder. Raises ModelError if the config or the weight file's header is unusable."""
    path = folder / CONFIG
    raw = read_json(path)
    if raw.get("peft_type") != "LORA":
        raise ModelError(f"{path}: peft_type {raw.get('peft_type')!r}; only LORA adapters are supported")
    if not isinstance(raw.get("base_model_name_or_path"), str) or not raw["base_model_name_or_path"].strip():
        raise ModelError(f"{path}: base_model_name_or_path is missing; put the base model's folder there")
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder}: no {WEIGHTS} (a pickle adapter_model.bin is never opened)")
    header_shapes(folder / WEIGHTS)
    return raw


@contextlib.contextmanager
def _without_deprecations():
    """Hides warnings that the user cannot act on: peft reads a name that transformers has deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def merge_adapter(model, folder: Path):
    """The base model with the adapter's weights merged into its own, in eval mode. Raises ModelError."""
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    mapped = {p.data_ptr() for p in model.parameters()}
    try:
        config = LoraConfig.from_pretrained(str(folder))
        config.init_lora_weights = True  # others (pissa, eva, ...) rewrite the base; the values are loaded below anyway
        config.base_model_name_or_path = None  # peft would warn that the path differs
        with _without_deprecations():
            peft_model = get_peft_model(model, config)
        result = set_peft_model_state_dict(peft_model, load_file(str(folder / WEIGHTS)))
        missing = sorted(name for name in result.missing_keys if "lora_" in name or "modules_to_save" in name)
        if missing or result.unexpected_keys:
            raise ValueError(f"weights do not fit: {listed([*missing, *sorted(result.unexpected_keys)])}")
        merged = peft_model.merge_and_unload(safe_merge=True)
    except Exception as error:
        raise ModelError(f"{folder}: the adapter cannot be merged into its base ({first_line(error)})") from error
    for p in merged.parameters():
        if p.data_ptr() in mapped:  # a single weight left in the base's mapped file keeps the whole file in memory
            p.data = p.data.clone()
    merged.requires_grad_(True)
    if hasattr(merged, "peft_config"):
        del merged.peft_config
    return merged.eval()
