"""Every accepted file, folder or hub dataset as a stream of `Example`.

Rows are streamed, so memory use depends only on what the caller keeps. The problems of a file (the first 20) are raised
together at its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from data.columns import CHOICES, Columns, DataError, Example
from data.reading.lines import Problems, Unreadable
from data.reading.readers import paragraphs
from data.reading.sources import tables
from data.values import RowFlaw, shown


class Examples(list):
    """A list of `Example`; `.notes` holds remarks on the data that the user should see."""

    def __init__(self, rows: Iterable[Example] = (), notes: Iterable[str] = ()):
        super().__init__(rows)
        self.notes = list(notes)


def iter_examples(
    source: str | Path, limit: int | None = None, notes: list[str] | None = None, kind=Columns
) -> Iterator[Example]:
    """Yields the examples of a file, folder or hub dataset; appends remarks to `notes`. `kind`: see `read_examples`.

    Raises DataError at the end of a file with problems, or at its 20th problem. Read all rows before acting on any.
    """
    notes = [] if notes is None else notes
    seen: set[int] = set()
    count = 0
    for rows, problems in tables(str(source), notes):
        columns = kind()
        before = count
        for example in islice(_checked(rows, problems, columns), None if limit is None else limit - count):
            count += 1
            seen.add(
                hash((example.history, example.prompt, example.between, example.answer))
            )  # hashes need less memory than texts
            yield example
        problems.check()
        if columns.renamed:
            read = ", ".join(f"{shown(name)} as {usual}" for name, usual in sorted(columns.renamed.items())[:10])
            notes.append(f"{problems.name}: columns read: {read}")
        if columns.kind in CHOICES:
            notes.append(f"{problems.name}: the right choice is the answer, the others are wrong answers")
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
    except Unreadable:
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
    """A row with all its columns, by their usual names, the `Example` made of it, and its place."""

    file: str
    line: int
    kind: str  # of `columns.KINDS`
    row: dict[str, Any]
    example: Example


def located_rows(source: str | Path, notes: list[str]) -> Iterator[LocatedRow]:
    """Yields the rows of a file, folder or hub dataset with their places. Raises DataError like `iter_examples`."""
    for rows, problems in tables(str(source), notes):
        columns, count = Columns(), 0
        for example in _checked(rows, problems, columns):
            count += 1
            yield LocatedRow(problems.name, example.line, columns.kind, columns.row, example)
        problems.check()
        if not count:
            problems.add(1, "no rows: the file is empty or blank")
            problems.check()


def examples_from_text(text: str) -> Examples:
    """Raw text as examples, one per paragraph. Raises DataError when there is none."""
    problems, columns = Problems("text"), Columns()
    lines = enumerate(text.split("\n"), start=1)
    examples = Examples(_checked(paragraphs((number, line + "\n") for number, line in lines), problems, columns))
    problems.check()
    if not examples:
        raise DataError("the text to forget is empty or blank: give some text")
    return examples
