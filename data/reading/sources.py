"""Where rows come from: a file, a folder of files, a hub dataset."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from data.columns import DataError, shown
from data.documents import containers, formats
from data.documents.blocks import MARK, Flaw
from data.reading.lines import Problems, Rows, short
from data.reading.readers import READERS, TYPES, read_document, row_suffixes

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[\w.-]+){0,2}")


def tables(source: str, notes: list[str]) -> Iterator[tuple[Rows, Problems]]:
    """(rows, problems) of each file of `source`. An existing path always wins over a hub name."""
    if not source or "\0" in source:
        raise DataError("no data given: name a file, a folder or a hub dataset")
    try:
        path = Path(source).expanduser()
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, RuntimeError, UnicodeError) as error:  # name too long, unknown ~user, undecodable
        raise DataError(f"{shown(source)}: {error}") from None
    if is_folder:
        yield from _folder(path, notes)
    elif exists:
        yield _file(path, notes)
    elif _HUB_NAME.fullmatch(source) and path.suffix.lower() not in READERS and not path.parent.is_dir():
        yield _hub(source, notes)
    else:
        near = difflib.get_close_matches(path.name, _names(path.parent), 1, 0.75)
        hint = f" (did you mean {path.parent / near[0]}?)" if near else ""
        hub = "" if path.suffix else "; a hub dataset is written org/name, org/name:split or org/name:config:split"
        raise DataError(f"no such file or folder: {source[:500]}{hint}{hub}")


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


def _file(path: Path, notes: list[str], name: str | None = None) -> tuple[Rows, Problems]:
    """The rows of a file; `name`: its name within its folder, for the subject of a document."""
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise DataError(f"{path}: unknown file type {suffix!r}; accepted types: {TYPES}")
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    problems, read = Problems(str(path)), READERS[suffix]
    named = (name,) if read is read_document else ()
    return read(path, problems, notes, *named), problems


def _folder(path: Path, notes: list[str]) -> Iterator[tuple[Rows, Problems]]:
    """The tables of a folder of rows; the documents of a folder without any; of a written request, what is trained."""
    if formats.of_documents(path, row_suffixes()):
        for file, name in document_files(path, notes):
            yield _file(file, notes, name)
        return
    entries = sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))
    files = [entry for entry in entries if entry.suffix.lower() in (*row_suffixes(), ".txt")]
    if (path / MARK).is_file():
        trained = ("passages.jsonl", "questions.jsonl")
        files = [entry for entry in files if entry.name in trained and entry.stat().st_size]
    if not files:
        raise DataError(f"{path}: no file with rows in this folder")
    notes.append(f"{path}: read {', '.join(file.name for file in files[:10])}{', ...' if len(files) > 10 else ''}")
    for file in files:
        yield _file(file, notes)


def document_files(folder: Path, notes: list[str]) -> list[tuple[Path, str]]:
    """(path, name within the folder) of the documents in a folder. Raises DataError if there are none."""
    try:
        found = containers.files(folder, formats.readable, notes)
    except Flaw as flaw:
        raise DataError(f"{folder}: {flaw}") from None
    if not found:
        raise DataError(f"{folder}: no {TYPES} file in this folder")
    return found


def _hub(source: str, notes: list[str]) -> tuple[Rows, Problems]:
    """A hub dataset. Without a named split: `train`, or the only one."""
    name, *rest = source.split(":")
    config, split = (rest[0], rest[1]) if len(rest) == 2 else (None, rest[0] if rest else None)
    try:
        import datasets

        table = datasets.load_dataset(name, config, split=split)
    except ImportError:
        raise DataError(f"{source}: hub datasets need: pip install datasets (or give a local file)") from None
    except Exception as error:  # the library and its network layer raise dozens of types; each means: not available
        offline = next((key for key in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE") if os.environ.get(key)), None)
        reason = f"{offline} is set" if offline else short(error)
        message = f"{source}: no such file, and the hub dataset cannot be loaded: {reason}"
        raise DataError(f"{message}; give a local file, or org/name:config:split") from None
    if isinstance(table, dict):
        names = list(table)
        if "train" not in names and len(names) != 1:
            raise DataError(f"{source}: name one of its splits: {', '.join(f'{name}:{split}' for split in names)}")
        split = "train" if "train" in names else names[0]
        notes.append(f"{source}: split {split}")
        table = table[split]
    return enumerate(iter(table), start=1), Problems(source)
