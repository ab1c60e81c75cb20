"""Where rows come from: a file, a folder of files, an archive, a saved or a hub dataset."""

from __future__ import annotations

import difflib
import fnmatch
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from data import signatures
from data.columns import DataError, shown
from data.documents import containers, formats
from data.documents.blocks import MARK, MAX_FILES, Flaw
from data.reading import unpacked
from data.reading.lines import Problems, Rows, short
from data.reading.packed import DESCRIBES, Packed, chosen_rows, is_archive, rows_in_archive
from data.reading.readers import READERS, TYPES, read_document, row_suffixes

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[\w.-]+){0,2}")
_SHEET, _UNPACK = "save the sheet as .csv", "unpack it"
CURES = {
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), _SHEET),
    **dict.fromkeys((".bz2", ".xz", ".zst", ".7z", ".rar"), _UNPACK),
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".bin"), "such a file can run code: write the rows as .jsonl"),
    ".doc": "save it as .docx",
}


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
    elif exists and is_archive(path):
        yield from _archive(path, notes)
    elif exists:
        yield _file(path, notes)
    elif found := _matching(path):
        notes.append(f"{path}: read {', '.join(file.name for file in found[:10])}")
        yield from (_file(file, notes) for file in found)
    elif _HUB_NAME.fullmatch(source) and path.suffix.lower() not in READERS and not path.parent.is_dir():
        yield _hub(source, notes)
    else:
        near = difflib.get_close_matches(path.name, _names(path.parent), 1, 0.75)
        hint = f" (did you mean {path.parent / near[0]}?)" if near else ""
        hub = "" if path.suffix else "; a hub dataset is written org/name, org/name:split or org/name:config:split"
        raise DataError(f"no such file or folder: {source[:500]}{hint}{hub}")


def _matching(path: Path) -> list[Path]:
    """The files with rows that a pattern such as data/train-*.jsonl means; none for a plain name."""
    if not any(mark in path.name for mark in "*?["):
        return []
    found = [name for name in fnmatch.filter(_names(path.parent), path.name) if not DESCRIBES.fullmatch(name)]
    files = (path.parent / name for name in sorted(found) if Path(name).suffix.lower() in row_suffixes())
    return [file for file in files if file.is_file()]


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


def _file(path: Path | Packed, notes: list[str], name: str | None = None) -> tuple[Rows, Problems]:
    """The rows of a file; `name`: its name within its folder, for the subject of a document, or within its archive."""
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise DataError(f"{path}: unknown file type {suffix!r}; {CURES.get(suffix, f'accepted types: {TYPES}')}")
    problems, read = Problems(str(name if isinstance(path, Packed) else path)), READERS[suffix]
    try:
        with path.open("rb") as file:
            wrong = None if read is read_document else signatures.disguised(file, suffix, code=False)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if wrong:
        raise DataError(f"{problems.name}:1: {wrong}")
    named = (name,) if read is read_document else ()
    return read(path, problems, notes, *named), problems


def _archive(path: Path, notes: list[str]) -> Iterator[tuple[Rows, Problems]]:
    """The rows of the files in an archive, or its documents."""
    try:
        found, said = rows_in_archive(path, row_suffixes())
    except DataError as error:
        raise DataError(f"{path}:1: {error}") from None
    if not found:
        yield _file(path, notes)
        return
    notes += [f"{path}: read {', '.join(found[:10])}", *(f"{path}: {note}" for note in said)]
    try:
        for source in containers.files_within(path, lambda name: name in found):
            yield _file(Packed(source.name, source.data), notes, f"{path}/{source.name}")
    except Flaw as flaw:
        raise DataError(f"{path}:{flaw.place}: {flaw}") from None


def _folder(path: Path, notes: list[str]) -> Iterator[tuple[Rows, Problems]]:
    """The tables of a folder of rows; the documents of a folder without any; of a written request, what is trained."""
    if _is_saved(path):
        yield _saved(path, notes)
        return
    if (path / MARK).is_file():
        names = [name for name in ("passages.jsonl", "questions.jsonl") if _size(path / name)]
    else:
        names, said = _rows_of(path)
        notes += [f"{path}: {note}" for note in said]
    if not names and not (path / MARK).is_file():
        for file, name in document_files(path, notes):
            yield _file(file, notes, name)
        return
    if not names:
        raise DataError(f"{path}: no file with rows in this folder")
    notes.append(f"{path}: read {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}")
    for name in names:
        yield _file(path / name, notes)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _rows_of(folder: Path) -> tuple[list[str], list[str]]:
    """(files with rows, notes) of a folder, which has neither for documents."""
    names = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not containers.hidden(name) and not Path(place, name).is_symlink()]
        names += [Path(place, name).relative_to(folder).as_posix() for name in files if not name.startswith(".")]
        tables = (name for name in names if Path(name).suffix.lower() in row_suffixes())
        if place == str(folder) and not all(map(DESCRIBES.fullmatch, tables)):
            break  # rows at the top: no need to look below
        if len(names) > MAX_FILES:
            return [], []
    try:
        return chosen_rows(names, row_suffixes(), (folder / ".git").exists())
    except DataError as error:
        raise DataError(f"{folder}: {error}") from None


def holds_documents(path: Path) -> bool:
    """Whether a file or folder holds documents, not rows. Raises DataError for a folder that could be either."""
    if path.is_dir():
        return not _is_saved(path) and not _rows_of(path)[0]
    readable = path.is_file() and formats.readable(path.name)
    return readable and not (is_archive(path) and rows_in_archive(path, row_suffixes())[0])


def _is_saved(folder: Path) -> bool:
    """Whether `datasets` wrote this folder with save_to_disk."""
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")) and (
        (folder / "dataset_info.json").is_file() or (folder / "dataset_dict.json").is_file()
    )


def _saved(folder: Path, notes: list[str]) -> tuple[Rows, Problems]:
    """The rows of a folder that `datasets` wrote. Without a split's own folder: `train`, or the only one."""
    try:
        import datasets

        for path in _saved_files(folder):
            with open(path, "rb") as file:
                unpacked.check_arrow(file, path.stat().st_size)  # the library unpacks all that it opens
        table = datasets.load_from_disk(str(folder))
    except ImportError:
        raise DataError(f"{folder}: a saved data set needs: pip install datasets") from None
    except unpacked.Bomb as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # the library raises many types; each means: damaged
        raise DataError(f"{folder}: a damaged data set of save_to_disk: {short(error)}") from None
    return _one_table(table, str(folder), "/", notes)


def _saved_files(folder: Path) -> list[Path]:
    """The files with rows of a saved data set, as its lists name them."""
    one = (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    splits = [""] if one else json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
    states = [(folder / split, json.loads((folder / split / "state.json").read_text("utf-8"))) for split in splits]
    return [part / entry["filename"] for part, state in states for entry in state["_data_files"]]


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
    return _one_table(table, source, ":", notes)


def _one_table(table, source: str, mark: str, notes: list[str]) -> tuple[Rows, Problems]:
    """The rows of a data set; of several splits those of `train`, or of the only one. `mark`: before a split's name."""
    if isinstance(table, dict):
        names = list(table)
        if "train" not in names and len(names) != 1:
            raise DataError(f"{source}: name one of its splits: {', '.join(f'{source}{mark}{name}' for name in names)}")
        split = "train" if "train" in names else names[0]
        notes.append(f"{source}: split {split}")
        table = table[split]
    return enumerate(iter(table), start=1), Problems(source)
