"""Saves models and LoRA adapters as safetensors, with configs, tokenizer, card and manifest."""

from __future__ import annotations

import contextlib
import copy
import json
import os
from pathlib import Path

from data.rendering import DATE, recorded_date
from models.store.folders import ModelError, listed, new_folder, quiet
from models.store.paths import PROJECT

# flags that only sampling reads
SAMPLING = ("temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff")


def save_model(model, tokenizer, folder, card: str, generation_config=None, dtype: str | None = None) -> Path:
    """Writes a complete model folder (safetensors, configs, tokenizer, chat template, card, manifest) or nothing.

    `dtype` None keeps the model's own. Raises ModelError with exit code 5 for non-finite weights, 6 for a full or
    read-only disk.
    """
    import torch

    state = model.state_dict()
    _refuse_non_finite(dict(model.named_parameters()), folder)  # a buffer may be infinite: the bounds of a clipping
    with new_folder(folder, recorded_date(tokenizer)) as temporary, quiet():
        wanted = getattr(torch, dtype) if dtype else None
        with _without_generation_config(model):
            if wanted and wanted != model.dtype:
                model.save_pretrained(temporary, state_dict=_cast(state, wanted))
            else:
                model.save_pretrained(temporary)
        if config := generation_config or getattr(model, "generation_config", None):
            _write_generation_config(config, temporary)
        tokenizer.save_pretrained(temporary)
        _edit_json(temporary / "config.json", {"dtype": dtype} if dtype else {})
        _edit_json(temporary / "tokenizer_config.json", {}, DATE)  # the manifest holds the date
        (temporary / "README.md").write_text(card, encoding="utf-8")
    return Path(folder)


def save_adapter(peft_model, folder, base_name: str, card: str, dtype: str | None = None, tokenizer=None) -> Path:
    """Writes a complete LoRA adapter folder or nothing. `base_name`: a folder, a hub name or the default model.

    tokenizer: its date is recorded if its chat template is dated; the adapter uses its base's tokenizer.
    """
    import torch
    from safetensors.torch import load_file, save_file

    base = Path(base_name)
    if base.is_absolute() and base.is_relative_to(PROJECT):
        base_name = base.relative_to(PROJECT).as_posix()  # the adapter stays valid if the project moves
    elif base.is_absolute():  # relative to the adapter: both may move together, and no machine path is written
        base_name = os.path.relpath(base, Path(folder).absolute())
    trainable = {name: p for name, p in peft_model.named_parameters() if "lora_" in name or "modules_to_save" in name}
    _refuse_non_finite(trainable, folder)
    with new_folder(folder, recorded_date(tokenizer)) as temporary, quiet():
        # save_embedding_layers="auto" would ask the hub for the base model's vocabulary
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
    """The state in another type. Tensors that share memory (tied embeddings) still do, so they are stored once."""
    done = {}
    for tensor in state.values():
        key = (tensor.data_ptr(), tuple(tensor.shape))
        if key not in done:
            done[key] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return {name: done[(tensor.data_ptr(), tuple(tensor.shape))] for name, tensor in state.items()}


@contextlib.contextmanager
def _without_generation_config(model):
    """Gives the model an empty generation config while it is saved: transformers refuses some published ones."""
    from transformers import GenerationConfig

    own = getattr(model, "generation_config", None)
    if own is not None:
        model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        if own is not None:
            model.generation_config = own


def _write_generation_config(config, folder: Path):
    """Writes a generation config that gives the same texts: a greedy one without the flags of sampling."""
    config = copy.deepcopy(config)
    if config.do_sample is not True:
        for name in SAMPLING:
            if hasattr(config, name):
                setattr(config, name, None)
    config.to_json_file(str(folder / "generation_config.json"), use_diff=True, keys_to_pop=["compile_config"])


def _edit_json(path: Path, changes: dict, *removed: str):
    """Removes keys that describe this machine and those in `removed`, then applies `changes`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for key in (*removed, "_name_or_path", "_model_name_or_path", "name_or_path", "local_files_only", "is_local"):
        content.pop(key, None)
    path.write_text(json.dumps({**content, **changes}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
