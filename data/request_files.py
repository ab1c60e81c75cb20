"""The files of a request folder: readable by their owner alone, replaced as a whole, with hashes that show edits."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replaces a file as a whole; only its owner may read it."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(opened, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    temporary.replace(path)


def file_hashes(folder: Path) -> dict[str, str]:
    """{name: SHA-256} of the files with rows."""
    found = sorted(path for pattern in ("*.jsonl", "*/*.jsonl") for path in folder.glob(pattern))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def record_of(marker: Path) -> dict:
    """The object in the file that marks a finished request; {} without one."""
    try:
        record = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def edited(marker: Path) -> bool:
    """Whether the files of a request differ from what was written, by the hashes in its marker."""
    files = file_hashes(marker.parent) if marker.parent.is_dir() else {}
    return record_of(marker).get("files", {}) != files
