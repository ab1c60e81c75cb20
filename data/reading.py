"""Reads data: every accepted file, folder or hub dataset becomes a stream of `Example`.

To accept a new file format, write a reader and add a line to `READERS`. General loaders do not fit: an error must name
the file and the line, and they silently accept nulls, NaN and mixed columns. Rows are streamed, so memory use depends
only on what the caller keeps. The problems of a file (the first 20) are raised together at its end.
"""

from __future__ import annotations

import csv
import difflib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from data.columns import OPTIONAL, Columns, DataError, Example, RowFlaw, shown
from data.documents import containers, formats
from data.documents.blocks import MARK, Flaw
from data.documents.passages import passages
from data.documents.plain import other_encoding

PROBLEMS_SHOWN = 20
PASSAGE_TOKENS = 512  # of a document's passage, about: the default --max_length
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[\w.-]+){0,2}")
_SPACE = re.compile(r"[ \t\r\n]*")
Rows = Iterator[tuple[int, Any]]  # (line, row as read) of one file


class Examples(list):
    """A list of `Example`; `.notes` holds remarks on the data that the user should see."""

    def __init__(self, rows: Iterable[Example] = (), notes: Iterable[str] = ()):
        super().__init__(rows)
        self.notes = list(notes)


class Problems:
    """Collects the problems of one file and raises them together."""

    def __init__(self, name: str):
        self.name, self.found = name, []

    def add(self, line: int | None, text: str) -> None:
        """Records one problem. Raises at the 20th, because a wrong file has one in every row."""
        self.found.append(f"{self.name}:{line}: {text}" if line else f"{self.name}: {text}")
        if len(self.found) >= PROBLEMS_SHOWN:
            self.found.append("only the first problems are shown")
            self.check()

    def check(self) -> None:
        """Raises DataError if there is any problem."""
        if len(self.found) == 1:
            raise DataError(self.found[0])
        if self.found:
            count = min(len(self.found), PROBLEMS_SHOWN)
            raise DataError(f"{count} problems in {self.name}\n  " + "\n  ".join(self.found))


class _Unreadable(Exception):
    """The rest of a file cannot be read; its Problems say why."""


# ---------------------------------------------------------------------------------------------------------------------
# Bytes, lines, JSON


def _lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """(number, line) of a UTF-8 file. Splits only at line feeds, because a text may contain other separators."""
    offset = 0
    with open(path, "rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                hint = " (looks like UTF-16)" if number == 1 and raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
                place = f"not UTF-8, byte offset {offset + error.start}"
                problems.add(number, f"{place}{hint}; save the file as UTF-8")
                raise _Unreadable from None
            if "\0" in text:
                problems.add(number, f"NUL byte at byte offset {offset + raw.index(0)}; is it a text file?")
                raise _Unreadable
            yield number, text[1:] if number == 1 and text.startswith("\ufeff") else text
            offset += len(raw)


class _Json:
    """A JSON decoder that reports flaws that the standard one silently accepts: repeated keys, NaN, Infinity."""

    def __init__(self):
        self.flaws: list[str] = []
        self.decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) != len(pairs):
            repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
            self.flaws += [f"duplicate key {shown(name)}" for name in repeated]
        return row

    def _constant(self, name: str) -> None:
        self.flaws.append(f"{name} is not JSON")

    def decode(self, text: str, start: int = 0) -> tuple[Any, int, list[str]]:
        """(value, end, flaws) of the JSON value at `start`. Raises ValueError if there is none."""
        self.flaws = []
        try:
            value, end = self.decoder.raw_decode(text, start)
        except RecursionError:
            raise ValueError("JSON is nested too deeply") from None
        return value, end, self.flaws


def _syntax(error: ValueError, text: str) -> tuple[int, str]:
    """(lines before the error, message with column) of a JSON error in `text`."""
    if not isinstance(error, json.JSONDecodeError):
        return 0, str(error)
    before = text[: error.pos].rstrip()
    comma = before.endswith(",") and text[error.pos : error.pos + 1] in ("}", "]", '"', "")
    hint = " (trailing comma?)" if comma or "trailing comma" in error.msg else ""
    return error.lineno - 1, f"malformed JSON, col {error.colno}: {error.msg}{hint}"


def _json_lines(lines: Iterable[tuple[int, str]], problems: Problems) -> Rows:
    """(line, value) of each non-blank line."""
    reader = _Json()
    for number, text in lines:
        start = _SPACE.match(text).end()
        if start == len(text):
            continue
        try:
            value, end, flaws = reader.decode(text, start)
            rest = _SPACE.match(text, end).end()
            if rest != len(text):
                flaws = [f"malformed JSON, col {rest + 1}: extra text after the row; one row per line"]
        except ValueError as error:
            flaws = [_syntax(error, text)[1]]
        for flaw in flaws:
            problems.add(number, flaw)
        if not flaws:
            yield number, value


def _json_document(text: str, problems: Problems) -> Rows:
    """(line, value) of each element of a JSON array, or of a single object. The whole text is in memory."""
    reader, line, counted = _Json(), 1, 0
    position = _SPACE.match(text).end()
    is_array = text[position : position + 1] == "["
    position = _SPACE.match(text, position + is_array).end()
    closed = is_array and text[position : position + 1] == "]"
    position += closed
    while not closed:
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, position, flaws = reader.decode(text, position)
        except ValueError as error:
            before, message = _syntax(error, text)
            problems.add(before + 1 if before else line, message)
            raise _Unreadable from None
        for flaw in flaws:
            problems.add(line, flaw)
        if not flaws:
            yield line, value
        position = _SPACE.match(text, position).end()
        mark = text[position : position + 1]
        closed = not is_array or mark == "]"
        if is_array and mark not in ("]", ","):
            problems.add(line + text.count("\n", counted, position), "malformed JSON: ',' or ']' expected after a row")
            raise _Unreadable
        position = _SPACE.match(text, position + is_array).end() if position < len(text) else position
        if is_array and mark == "," and text[position : position + 1] == "]":
            problems.add(line + text.count("\n", counted, position), "malformed JSON: trailing comma")
            raise _Unreadable
    if _SPACE.match(text, position).end() != len(text):
        problems.add(1 + text.count("\n", 0, position), "malformed JSON: extra text after the end of the data")


def _read_json(path: Path, problems: Problems, notes: list[str]) -> Rows:
    """Rows of a .json or .jsonl file. Both may hold an array or one object per line; a note names the unusual form."""
    first = next(((number, text) for number, text in _lines(path, problems) if text.strip(" \t\r\n")), None)
    if first is None:
        return
    opening = first[1].lstrip(" \t\r\n")
    one_line = not opening.startswith("[") and (path.suffix.lower() == ".jsonl" or _is_json(opening))
    if one_line:
        if path.suffix.lower() == ".json":
            notes.append(f"{problems.name} holds one JSON object per line (JSONL) and was read as such")
        yield from _json_lines(_lines(path, problems), problems)
        return
    if path.suffix.lower() == ".jsonl":
        notes.append(f"{problems.name} holds a JSON array and was read as such")
    yield from _json_document("".join(text for _, text in _lines(path, problems)), problems)


def _is_json(text: str) -> bool:
    try:
        _, end, _ = _Json().decode(text)
    except ValueError:
        return False
    return not text[end:].strip(" \t\r\n")


# ---------------------------------------------------------------------------------------------------------------------
# Tables and plain text


def _read_table(path: Path, problems: Problems, notes: list[str]) -> Rows:
    """Rows of a .csv (comma) or .tsv (tab) file with a header."""
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB is too small for a long text
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader((text for _, text in _lines(path, problems)), delimiter=delimiter, strict=True)
    header, line = None, 1
    try:
        for cells in reader:
            end = reader.line_num + 1
            if header is None and any(cells):
                header = [name.strip() for name in cells]
                repeated = [name for name, count in Counter(header).items() if count > 1]
                if repeated:
                    problems.add(line, f"the header names a column twice: {shown(repeated[0])}")
                    raise _Unreadable
            elif cells and len(cells) != len(header or cells):
                problems.add(line, f"{len(cells)} cells, but the header has {len(header)} columns")
            elif cells and header:
                yield line, {name: _cell(name, cell) for name, cell in zip(header, cells)}
            line = end
    except csv.Error as error:
        problems.add(line, f"malformed {path.suffix[1:].upper()}: {error}")
        raise _Unreadable from None


def _cell(name: str, cell: str) -> Any:
    """A cell's value. Tables hold lists (messages, wrong answers) as JSON; an empty optional cell counts as missing."""
    if name in ("messages", "conversations", "perturbed_answer") and cell.lstrip().startswith("["):
        try:
            value, _, flaws = _Json().decode(cell.strip())
        except ValueError:
            return cell
        return cell if flaws else value
    return cell if cell or name not in OPTIONAL else None


def _read_parquet(path: Path, problems: Problems, notes: list[str]) -> Rows:
    """Rows of a Parquet file, numbered from 1."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"{problems.name}: reading Parquet needs pyarrow: pip install pyarrow") from None
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        problems.add(number + 1, f"not a readable Parquet file: {_short(error)}")
        raise _Unreadable from None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _paragraphs(lines: Iterable[tuple[int, str]]) -> Rows:
    """Paragraphs of raw text, separated by blank lines, each as a row with the number of its first line."""
    for blank, group in groupby(lines, key=lambda line: not line[1].strip()):
        if not blank:
            numbers, texts = zip(*group)
            yield numbers[0], {"text": "".join(texts).replace("\r\n", "\n").rstrip("\r\n")}


def _read_text(path: Path, problems: Problems, notes: list[str]) -> Rows:
    """Paragraphs of a .txt file, which is streamed if it is UTF-8; other encodings are read like a document's."""
    if not other_encoding(path):
        yield from _paragraphs(_lines(path, problems))
        return
    for document in formats.read_file(path, notes):
        for block in document.blocks:
            yield block.place, {"text": block.text}


def _read_document(path: Path, problems: Problems, notes: list[str], name: str | None = None) -> Rows:
    """Passages of a document, below their headings; its subject is its name within the folder, or the mail's or
    chapter's. Raises DataError."""
    for document in formats.read_file(path, notes, name):
        for passage in passages(document, PASSAGE_TOKENS):
            yield passage.place, {"text": passage.text, "subject": document.subject}


Reader = Callable[[Path, Problems, list[str]], Rows]  # file, where its problems go, where notes for the user go
READERS: dict[str, Reader] = {
    ".jsonl": _read_json,
    ".json": _read_json,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".parquet": _read_parquet,
    ".txt": _read_text,
    **{suffix: _read_document for suffix in formats.SUFFIXES if suffix != ".txt"},
}
SUFFIXES = tuple(READERS)
TYPES = f"{' '.join(suffix for suffix in SUFFIXES if suffix not in formats.CODE)} and source code"  # in messages


# ---------------------------------------------------------------------------------------------------------------------
# Sources


def iter_examples(
    source: str | Path, limit: int | None = None, notes: list[str] | None = None, kind=Columns
) -> Iterator[Example]:
    """Yields the examples of a file, folder or hub dataset; appends remarks to `notes`. `kind`: see `read_examples`.

    Raises DataError at the end of a file with problems, or at its 20th problem. Read all rows before acting on any.
    """
    notes = [] if notes is None else notes
    seen: set[int] = set()
    count = 0
    for rows, problems in _tables(str(source), notes):
        columns = kind()
        before = count
        for example in islice(_checked(rows, problems, columns), None if limit is None else limit - count):
            count += 1
            seen.add(hash((example.history, example.prompt, example.answer)))  # hashes need less memory than texts
            yield example
        problems.check()
        if columns.unused:
            notes.append(f"{problems.name}: columns not used: {', '.join(map(shown, sorted(columns.unused)[:10]))}")
        if columns.cut:
            notes.append(
                f"{problems.name}: {columns.cut} rows have turns after the last assistant turn, which are not used"
            )
        if limit is not None and count >= limit:
            break
        if count == before:
            problems.add(1, "no rows: the file is empty or blank")
            problems.check()
    if count > len(seen):
        notes.append(f"{count - len(seen)} of {count} rows of {source} repeat an earlier row; they are kept")


def _checked(rows: Iterable[tuple[int, Any]], problems: Problems, columns: Columns) -> Iterator[Example]:
    try:
        for line, row in rows:
            try:
                example = columns.example(line, row)
            except RowFlaw as flaw:
                problems.add(line, str(flaw))
            else:
                yield example
    except _Unreadable:
        problems.check()


def read_examples(source: str | Path, limit: int | None = None, kind=Columns) -> Examples:
    """The examples of a file, folder or hub dataset (at most `limit`), with `.notes`.

    source: a file of a kind in `READERS`, a folder of such files, or a hub dataset as org/name, org/name:split or
    org/name:config:split. A document becomes passages; `data.documents.request` makes more of one to forget. kind: the
    class that turns a file's rows into examples (`data.exams` has its own). Raises DataError naming file and line of
    each problem.
    """
    notes: list[str] = []
    return Examples(iter_examples(source, limit, notes, kind), notes)


@dataclass(frozen=True, slots=True)
class LocatedRow:
    """A row as it was read, with all its columns, the `Example` made of it, and its place."""

    file: str
    line: int
    kind: str  # of `columns.KINDS`
    row: dict[str, Any]
    example: Example


def located_rows(source: str | Path, notes: list[str]) -> Iterator[LocatedRow]:
    """Yields the rows of a file, folder or hub dataset with their places. Raises DataError like `iter_examples`."""
    for rows, problems in _tables(str(source), notes):
        columns, last = Columns(), []

        def remembered(rows=rows, last=last):
            for line, row in rows:
                last[:] = [row]
                yield line, row

        count = 0
        for example in _checked(remembered(), problems, columns):
            count += 1
            yield LocatedRow(problems.name, example.line, columns.kind, last[0], example)
        problems.check()
        if not count:
            problems.add(1, "no rows: the file is empty or blank")
            problems.check()


def examples_from_text(text: str) -> Examples:
    """Raw text as examples, one per paragraph. Raises DataError when there is none."""
    problems, columns = Problems("text"), Columns()
    lines = enumerate(text.split("\n"), start=1)
    examples = Examples(_checked(_paragraphs((number, line + "\n") for number, line in lines), problems, columns))
    problems.check()
    if not examples:
        raise DataError("the text to forget is empty or blank: give some text")
    return examples


def _tables(source: str, notes: list[str]) -> Iterator[tuple[Rows, Problems]]:
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
    named = (name,) if read is _read_document else ()
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


def row_suffixes() -> list[str]:
    """Suffixes of files that hold rows, not documents."""
    return [suffix for suffix in READERS if suffix not in formats.BY_SUFFIX]


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
        reason = f"{offline} is set" if offline else _short(error)
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
