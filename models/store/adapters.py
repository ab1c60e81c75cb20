"""LoRA adapters: put on a model, screened before they are read, merged into their base."""

from __future__ import annotations

import contextlib
import re
import warnings
from pathlib import Path

from models.store.folders import ModelError, first_line, listed, quiet, read_json
from models.store.screening import header_shapes, screen_config

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TRAINED = ("lora_", "modules_to_save", "trainable_tokens")  # parts of the names of what an adapter trains
CHANGES_BASE = ("pissa", "olora")  # starts that also change the base, the same way each time
# Starts that change the base in a way that cannot be repeated when the adapter is loaded, also not by PEFT.
UNREPEATABLE = {
    "pissa_niter": "draws random numbers",
    "corda": "needs the covariances of its training data",
    "lora_ga": "needs the gradients of its training data",
    "loftq": "needs the quantised base",
}


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
        with _without_warnings():
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
    start = _start_of(raw.get("init_lora_weights"))
    if start in UNREPEATABLE:
        raise ModelError(
            f"{path}: init_lora_weights {raw['init_lora_weights']!r} changed the base model when training began and "
            f"{UNREPEATABLE[start]}, so it cannot be restored. Save the adapter as plain LoRA: PEFT's "
            "save_pretrained(..., path_initial_model_for_weight_conversion=...), for LoftQ over the quantised base"
        )
    if not isinstance(raw.get("base_model_name_or_path"), str) or not raw["base_model_name_or_path"].strip():
        raise ModelError(f"{path}: base_model_name_or_path is missing; put the base model's folder there")
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder}: no {WEIGHTS} (a pickle adapter_model.bin is never opened)")
    header_shapes(folder / WEIGHTS)
    return raw


def _start_of(init_lora_weights) -> str:
    """The kind of start of an adapter, without its number of iterations."""
    return re.sub(r"^(pissa_niter|corda).*", r"\1", str(init_lora_weights).lower())


@contextlib.contextmanager
def _without_warnings():
    """Hides warnings that the user cannot act on: of deprecated names in peft, of embeddings that are untied here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def merge_adapter(model, folder: Path, progress=print):
    """The base model with the adapter's weights merged into its own, in eval mode. Raises ModelError.

    Equal to the adapter as PEFT applies it: kinds that change the base when they start change it here too, embeddings
    get the adapter's number of rows, and embeddings that the adapter trains apart from the head are untied from it.
    """
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    mapped = {p.data_ptr() for p in model.parameters()}
    try:
        config = LoraConfig.from_pretrained(str(folder))
        if _start_of(config.init_lora_weights) not in CHANGES_BASE:
            config.init_lora_weights = True  # the values are loaded below anyway
        config.base_model_name_or_path = None  # peft would warn that the path differs
        state = load_file(str(folder / WEIGHTS))
        _resize_embeddings(model, state, folder, progress)
        copies = tuple(_embedding_prefixes(model))
        with _without_warnings():
            peft_model = get_peft_model(model, config)
            result = set_peft_model_state_dict(peft_model, state)
            if wrong := [*_missing(peft_model, result), *_unexpected(result, copies)]:
                raise ValueError(f"weights do not fit: {listed(wrong)}")
            _untie(peft_model.get_base_model())
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


def _missing(peft_model, result) -> list[str]:
    """Trained weights that the file lacks; one that is shared with a weight of the file is there."""
    named = dict(peft_model.named_parameters(remove_duplicate=False))
    there = {id(p) for name, p in named.items() if name not in result.missing_keys}
    trained = (name for name in result.missing_keys if any(part in name for part in TRAINED))
    return sorted(name for name in trained if id(named.get(name)) not in there)


def _unexpected(result, copies: tuple[str, ...]) -> list[str]:
    """Weights of the file that have no place. PEFT writes trained embeddings twice if they were resized."""
    twice = [key for key in result.unexpected_keys if key.startswith(copies) and any(part in key for part in TRAINED)]
    return sorted({*result.unexpected_keys} - {*twice})


# ---------------------------------------------------------------------------------------------------------------------
# Embeddings under an adapter


def _embedding_prefixes(model) -> list[str]:
    """How the names of weights of the embeddings and of the head begin in an adapter's file."""
    names = {id(module): name for name, module in model.named_modules()}
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    return [f"base_model.model.{names[id(layer)]}." for layer in layers if layer is not None]


def adapter_rows(model, state: dict) -> int | None:
    """The number of embedding rows that an adapter's weights are made for; None if it does not touch embeddings."""
    rows = set()
    for of_head, prefix in enumerate(_embedding_prefixes(model)):
        for key, tensor in state.items():
            part = key.removeprefix(prefix)
            if part == key:
                continue
            whole = part.endswith("weight") and not part.startswith("lora_")
            if part.startswith("lora_embedding_A"):
                rows.add(tensor.shape[1])
            elif whole or (of_head and part.startswith("lora_B")):
                rows.add(tensor.shape[0])
    return max(rows, default=None)


def _resize_embeddings(model, state: dict, folder: Path, progress):
    """Gives the model's embeddings the adapter's number of rows; new ones that it does not hold are the mean."""
    import torch

    rows, before = adapter_rows(model, state), model.get_input_embeddings().weight.shape[0]
    if rows in (None, before):
        return
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        model.resize_token_embeddings(rows)
    whole = sum(tensor.shape[0] == rows and tensor.ndim == 2 and "lora_" not in key for key, tensor in state.items())
    needed = 1 + (model.get_output_embeddings().weight is not model.get_input_embeddings().weight)
    if rows > before and whole < needed:
        progress(
            f"note: {folder} does not hold the {rows - before} rows of new tokens that its base lacks: they are the "
            "mean of the others, as transformers makes them"
        )


def _untie(model):
    """Gives the head a weight of its own where it shares it with embeddings and only one of them is adapted.

    PEFT adds an adapter of the embeddings to their output alone; merged into a shared weight it would change the head.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    if not any(isinstance(layer, BaseTunerLayer) for layer in layers) or None in layers:
        return
    bases = [layer.get_base_layer() if isinstance(layer, BaseTunerLayer) else layer for layer in layers]
    if getattr(bases[0], "weight", None) is getattr(bases[1], "weight", 0):
        bases[1].weight = torch.nn.Parameter(bases[1].weight.detach().clone())
