"""The files of a request folder: readable by their owner alone, replaced as a whole, with hashes that show edits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data import private
from data.columns import DataError


def write_private(path: Path, text: str) -> None:
    """Replaces a file as a whole; only its owner may read it."""
    path.parent.mkdir(mode=private.folder_mode(), exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    private.write(temporary, text)
    temporary.replace(path)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The objects of a .jsonl file; [] if it is missing. Raises DataError that names a bad line."""
    found = []
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise DataError(f"{path}:{number}: no JSON object")
            found.append(row)
    return found


def write_lines(path: Path, rows: Iterable[dict]) -> None:
    """Replaces a .jsonl file by these objects; only its owner may read it."""
    write_private(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def file_hashes(folder: Path, hashed=private.keyed) -> dict[str, str]:
    """{name: keyed hash} of the files with rows; `hashed` str: the plain SHA-256 that earlier versions wrote."""
    found = sorted(path for pattern in ("*.jsonl", "*/*.jsonl") for path in folder.glob(pattern))
    return {str(path.relative_to(folder)): hashed(hashlib.sha256(path.read_bytes()).hexdigest()) for path in found}


def record_of(marker: Path) -> dict:
    """The object in the file that marks a finished request; {} without one."""
    try:
        record = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def edited(marker: Path) -> bool:
    """Whether the files of a request differ from what was written, by the hashes in its marker."""
    folder, written = marker.parent, record_of(marker).get("files", {})
    return written not in ((file_hashes(folder), file_hashes(folder, str)) if folder.is_dir() else ({},))
