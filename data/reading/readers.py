"""The readers of files by suffix. To accept a new file format, write a reader and add a line to `READERS`.

General loaders do not fit: an error must name the file and the line, and they silently accept nulls, NaN and mixed
columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

from data.documents import formats
from data.documents.passages import passages
from data.documents.plain import other_encoding
from data.reading.json_rows import read_json
from data.reading.lines import Problems, Rows, lines
from data.reading.packed import Packed
from data.reading.tables import read_arrow, read_parquet, read_table

PASSAGE_TOKENS = 512  # of a document's passage, about: the default --max_length


def paragraphs(lines: Iterable[tuple[int, str]]) -> Rows:
    """Paragraphs of raw text, separated by blank lines, each as a row with the number of its first line."""
    for blank, group in groupby(lines, key=lambda line: not line[1].strip()):
        if not blank:
            numbers, texts = zip(*group)
            yield numbers[0], {"text": "".join(texts).replace("\r\n", "\n").rstrip("\r\n")}


def read_text(path: Path, problems: Problems, notes: list[str]) -> Rows:
    """Paragraphs of a .txt file, which is streamed if it is UTF-8; other encodings are read like a document's."""
    if isinstance(path, Packed) or not other_encoding(path):
        yield from paragraphs(lines(path, problems))
        return
    for document in formats.read_file(path, notes):
        for block in document.blocks:
            yield block.place, {"text": block.text}


def read_document(path: Path, problems: Problems, notes: list[str], name: str | None = None) -> Rows:
    """Passages of a document, below their headings; its subject is its name within the folder, or the mail's or
    chapter's. Raises DataError."""
    for document in formats.read_file(path, notes, name):
        for passage in passages(document, PASSAGE_TOKENS):
            yield passage.place, {"text": passage.text, "subject": document.subject}


Reader = Callable[[Path, Problems, list[str]], Rows]  # file, where its problems go, where notes for the user go
READERS: dict[str, Reader] = {
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
    ".csv": read_table,
    ".tsv": read_table,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".txt": read_text,
    **{suffix: read_document for suffix in formats.SUFFIXES if suffix != ".txt"},
}
SUFFIXES = tuple(READERS)
TYPES = f"{' '.join(suffix for suffix in SUFFIXES if suffix not in formats.CODE)} and source code"  # in messages


def row_suffixes() -> list[str]:
    """Suffixes of files that hold rows, not documents."""
    return [suffix for suffix in READERS if suffix not in formats.BY_SUFFIX]
