"""The formats of --export: what each needs, writing them beside the model folder, and measuring what was written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from models.exporting import gguf, hub, ollama
from models.store.folders import ModelError, file_hash
from models.store.loading import load_tokenizer
from models.store.paths import PROJECT

FORMATS = {
    "gguf": "f16",
    **{f"gguf-{kind}": kind for kind in gguf.TYPES},
    "ollama": None,
}  # the GGUF type of each, None for a Modelfile


def chosen(given: str | None) -> list[str]:
    """The formats of the flag, in order; [] for none."""
    names = [name.strip().lower() for name in str(given or "").split(",") if name.strip()]
    return [name for name in dict.fromkeys(names) if name != "none"]


def problems(config: dict) -> list[str]:
    """What is wrong with --export, --gguf_converter and --push_to_hub, before anything is trained."""
    names, found = chosen(config.get("export")), hub.problems(config.get("push_to_hub"))
    for name in names:
        if name not in FORMATS:
            found.append(f"--export {name[:100]}: known are {', '.join(FORMATS)}")
        elif FORMATS[name]:
            found += [f"--export {name}: {text}" for text in gguf.problems(FORMATS[name], config.get("gguf_converter"))]
    if names and config.get("use_peft") and not config.get("merge_adapter"):
        found.append("--export needs whole weights: add --merge_adapter to --use_peft")
    return list(dict.fromkeys(found))


def folder_of(config: dict) -> Path:
    """The folder of a run's exported files, beside its model."""
    return Path(f"{config['model_output_dir']}-exported")


def export(config: dict, measure: Callable, say: Callable) -> dict[str, dict]:
    """{format: {"file", "bytes", "sha256", and what `measure(model)` returns}}; a format that fails has an "error".

    Each GGUF file is read back and measured: its rounding may bring back what was forgotten.
    """
    source = _weights(config)
    target, found = folder_of(config), {}
    for name in sorted(chosen(config["export"]), key=lambda name: FORMATS[name] is None):  # the Modelfile comes last
        say(f"exporting {name}")
        try:
            if FORMATS[name]:
                found[name] = _gguf(source, target / f"{source.name}-{FORMATS[name]}.gguf", name, config, measure)
            else:
                found[name] = _modelfile(source, target, found)
        except (ModelError, OSError) as error:
            found[name] = {**found.get(name, {}), "error": str(error)}
            say(f"warning: --export {name}: {error}")
    return found


def _weights(config: dict) -> Path:
    """The folder with the run's whole weights."""
    merged = "-merged" if config["use_peft"] else ""
    path = Path(os.path.expanduser(f"{config['model_output_dir']}{merged}"))
    return path if path.is_absolute() or path.exists() else PROJECT / path


def _gguf(source: Path, file: Path, name: str, config: dict, measure: Callable) -> dict:
    gguf.write(source, file, FORMATS[name], config["gguf_converter"])
    told = {"file": file.name, "bytes": file.stat().st_size, "sha256": file_hash(file)}
    try:
        return {**told, **measure(gguf.read_back(file))}
    except ModelError as error:
        return {**told, "error": f"not measured: {error}"}


def _modelfile(source: Path, target: Path, found: dict) -> dict:
    """Writes Ollama's Modelfile for the newest GGUF file, or for the model folder itself."""
    target.mkdir(parents=True, exist_ok=True)
    files = [told["file"] for told in found.values() if "file" in told]
    weights = f"./{files[-1]}" if files else os.path.relpath(source, target)
    text = ollama.modelfile(load_tokenizer(source), weights)
    (target / "Modelfile").write_text(text, encoding="utf-8")
    return {"file": "Modelfile", "bytes": len(text.encode()), "template": "TEMPLATE" in text.split("# no")[0]}
