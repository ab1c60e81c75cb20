"""Writes folders completely or not at all, with a manifest of hashes. Also the error of this package."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import importlib.util
import json
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path

from models.store.process_identity import alive, birth_of

MANIFEST = "manifest.json"


class ModelError(ValueError):
    """A model or tokenizer cannot be used; `exit_code` is the command line's exit code."""

    def __init__(self, message: str, exit_code: int = 4):
        super().__init__(message)
        self.exit_code = exit_code


def check_platform():
    """Raises ModelError (2) on a system without the file locks and signals that runs, ledger and page rely on."""
    if importlib.util.find_spec("fcntl") is None:
        raise ModelError(
            "this needs Linux or macOS, because it relies on their file locks and signals: on Windows use WSL "
            "(wsl --install); analyze_results.py and the Python functions unlearn and evaluate_model run anywhere", 2
        )  # fmt: skip


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out; Python, torch and the operating system use different words."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    text = str(error).lower()
    said = (
        "out of memory",
        "can't allocate memory",
        "cannot allocate memory",
        "unable to mmap",
        "can't start new thread",
    )
    return isinstance(error, (RuntimeError, OSError)) and any(words in text for words in said)


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


_hashes: dict[tuple, str] = {}
_hashing = threading.Lock()


def known_hash(path: Path) -> str:
    """`file_hash`, computed once per unchanged file: a run loads its base model several times."""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    with _hashing:  # other threads wait for the hash instead of reading the file too
        if key not in _hashes:
            _hashes[key] = file_hash(path)
        return _hashes[key]


def write_manifest(folder: str | Path, extra: dict | None = None) -> dict:
    """Writes and returns `manifest.json`: {**extra, "files": {name: {"sha256", "size"}}} of all other files."""
    folder = Path(folder)
    files = {
        name: {"sha256": file_hash(folder / name), "size": (folder / name).stat().st_size} for name in _files(folder)
    }
    manifest = {**(extra or {}), "files": files}
    with open(folder / MANIFEST, "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    return manifest


def verify_manifest(folder: str | Path, *, digest=file_hash) -> list[str]:
    """Differences between a folder and its manifest; [] if there are none. `digest` None compares only sizes."""
    folder = Path(folder)
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        expected = {str(name): (entry["sha256"], entry["size"]) for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [f"{MANIFEST}: missing or unreadable ({type(error).__name__})"]
    problems = []
    for name, (sha256, size) in expected.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            problems.append(f"{name}: outside the folder")
        elif not path.is_file():
            problems.append(f"{name}: missing")
        elif path.stat().st_size != size:
            problems.append(f"{name}: {path.stat().st_size} bytes instead of {size}")
        elif digest and digest(path) != sha256:
            problems.append(f"{name}: its content has changed (SHA-256)")
    return problems


def _publish(temporary: str | Path, target: str | Path, extra: dict | None = None) -> Path:
    """Makes a finished folder durable and visible: mode 0644, fsync, manifest last, renamed to `target`."""
    temporary, target = Path(temporary), Path(target)
    for name in _files(temporary):
        os.chmod(temporary / name, 0o644)  # safetensors writes 0600, which locks out other users of a shared folder
        sync(temporary / name)
    write_manifest(temporary, extra)
    os.chmod(temporary / MANIFEST, 0o644)
    os.chmod(temporary, 0o755)
    sync(temporary)
    previous = None
    if target.exists():
        previous = target.with_name(f".{target.name}.previous-{_writer()}")
        os.rename(target, previous)
    try:
        os.rename(temporary, target)
    except OSError:
        if previous:
            os.rename(previous, target)
        raise
    sync(target.parent)
    if previous:
        shutil.rmtree(previous, ignore_errors=True)
    return target


@contextlib.contextmanager
def new_folder(target: str | Path, extra: dict | None = None):
    """Yields an empty folder and publishes it as `target` on success; an error removes it and keeps the old `target`.

    Raises ModelError with exit code 6 when the disk is full or not writable.
    """
    target = Path(target)
    temporary = None
    try:
        if target.exists() and not target.is_dir():
            raise ModelError(f"{target} is a file; give a folder to write into", 6)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.writing-{_writer()}-", dir=target.parent))
        yield temporary
        _publish(temporary, target, extra)
    except OSError as error:
        raise ModelError(f"cannot write {target}: {error.strerror or error}; nothing was replaced", 6) from error
    except Exception as error:
        # safetensors reports a full disk with an exception type of its own
        if type(error).__name__ != "SafetensorError" or "os error" not in str(error).lower():
            raise
        raise ModelError(f"cannot write {target}: {first_line(error)}; nothing was replaced", 6) from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def _writer() -> str:
    """This process in the name of a folder; an id alone may be another process's by the time of `tidy`."""
    return f"{os.getpid()}.{birth_of(os.getpid())}"


def tidy(target: str | Path):
    """Cleans up after a killed save: restores the folder that it was replacing and removes unfinished ones."""
    target = Path(target)
    for path in target.parent.glob(f".{glob.escape(target.name)}.*"):
        found = re.fullmatch(rf"\.{re.escape(target.name)}\.(writing|previous)-(\d+)(?:\.(\d+))?(-\w+)?", path.name)
        if not found or alive(found[2], found[3] and int(found[3])):  # not ours, or its process may still be writing
            continue
        if found[1] == "previous" and not target.exists():
            os.rename(path, target)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)


def sync(path: Path):
    """Waits until a file, or a folder's list of files, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> dict:
    """The object in a JSON file of a model folder. Raises ModelError."""
    try:
        if path.stat().st_size > 100_000_000:
            raise ValueError("larger than 100 MB")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: missing; the folder is not a complete model") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not readable JSON ({first_line(error)})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object")
    return content


def read_json_or_empty(path: Path) -> dict:
    """The object in a JSON file; {} for a file that is missing, half-written or damaged."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}


def first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or type(error).__name__


def listed(items: list, limit: int = 5) -> str:
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


@contextlib.contextmanager
def quiet():
    """Silences transformers' progress bars and warnings; this package does its own checks and reports."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
