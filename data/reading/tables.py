"""Rows of tables: .csv, .tsv, .parquet, .arrow."""

from __future__ import annotations

import ast
import csv
import io
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from data.columns import DataError, recognised, usual_name
from data.reading import unpacked
from data.reading.json_rows import Json
from data.reading.lines import Problems, Rows, Unreadable, lines, short
from data.values import shown

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
HEADER_LINES = 200  # in which a header ends, even with line feeds in its cells
PYTHON_LIST = 200_000  # characters; reading Python takes 500 bytes for each
LISTS = ("messages", "conversations", "choices", "perturbed_answer", "history", "chosen", "rejected")


def read_table(path: Path, problems: Problems, notes: list[str]) -> Rows:
    """Rows of a .csv or .tsv file with a header. What separates the cells is seen from the header, and noted.

    Skipped are empty rows and empty cells after the last named column. A first column without a name (an index) is not
    used. In a table with tabs, quotes are characters of the text if they do not quote whole cells.
    """
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB is too small for a long text
    own = "\t" if path.suffix.lower() == ".tsv" else ","
    delimiter, skipped, spaced = _delimiter(path, problems, own)
    if delimiter != own:
        notes.append(f"{problems.name}: the cells are separated by {DELIMITERS.get(delimiter, repr(delimiter))}")
    options = {"delimiter": delimiter, "strict": True, "skipinitialspace": spaced}
    if delimiter == "\t" and _quotes_are_text(path, skipped):
        options["quoting"] = csv.QUOTE_NONE
        notes.append(f"{problems.name}: quotation marks are read as characters of the texts")
    header, line = None, 1 + skipped
    try:
        reader = csv.reader((text for _, text in islice(lines(path, problems), skipped, None)), **options)
        for cells in reader:
            end = reader.line_num + 1 + skipped
            if header is None and any(cells):
                header = _header(cells, line, problems)
            elif header and any(cell.strip() for cell in cells):
                row = _row(header, cells, delimiter, line, problems)
                if row is not None:
                    yield line, row
            line = end
    except csv.Error as error:
        problems.add(line, f"malformed {path.suffix[1:].upper()}: {error}")
        raise Unreadable from None


def _delimiter(path: Path, problems: Problems, own: str) -> tuple[str, int, bool]:
    """(what separates the cells, lines before the header, whether a space follows). Excel writes "sep=;" first."""
    head = [text for _, text in islice(lines(path, problems), HEADER_LINES)]
    first = head[0].strip() if head else ""
    if first.casefold().startswith("sep=") and len(first) == 5:
        return first[4], 1, False
    if first.casefold() == "sep=":  # a tab was stripped
        return "\t", 1, False
    found = {}
    for delimiter in dict.fromkeys((own, *DELIMITERS)):
        try:
            header = next((cells for cells in csv.reader(head, delimiter=delimiter, strict=True) if any(cells)), [])
        except csv.Error:
            continue
        found[delimiter] = [name for name in header if name.strip()]
    fitting = [delimiter for delimiter, header in found.items() if recognised([name.strip() for name in header])]
    chosen = fitting[0] if fitting else max(found, key=lambda key: len(found[key]), default=own)
    rest = found.get(chosen, [])[1:]
    return chosen, 0, bool(rest) and all(name.startswith(" ") for name in rest)


def _quotes_are_text(path: Path, skipped: int) -> bool:
    """Whether reading the quotation marks of a table with tabs as quotes fails, and reading them as text does not."""
    unheard = Problems(str(path))

    def widths(**options) -> set[int]:
        texts = (text for _, text in islice(lines(path, unheard), skipped, None))
        return {len(cells) for cells in csv.reader(texts, delimiter="\t", strict=True, **options) if any(cells)}

    try:
        if len(widths()) <= 1:
            return False
    except csv.Error:
        pass
    except (Unreadable, DataError):
        return False
    try:
        return len(widths(quoting=csv.QUOTE_NONE)) == 1
    except (csv.Error, Unreadable, DataError):
        return False


def _header(cells: list[str], line: int, problems: Problems) -> list[str]:
    """The names of the columns, up to the last one that is named."""
    names = [name.strip() for name in cells]
    while names and not names[-1]:
        names.pop()
    repeated = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if repeated:
        problems.add(line, f"the header names a column twice: {shown(repeated[0])}")
    elif "" in names[1:]:
        problems.add(line, f"the header has no name for column {names.index('', 1) + 1}")
    else:
        return names
    raise Unreadable


def _row(header: list[str], cells: list[str], delimiter: str, line: int, problems: Problems) -> dict[str, Any] | None:
    """The cells by column. A short row is one without its last columns if the others make a row."""
    if len(header) == 1:
        cells = [delimiter.join(cells)]
    while len(cells) > len(header) and not cells[-1].strip():
        cells.pop()
    if len(cells) > len(header) or (len(cells) < len(header) and not recognised(tuple(header[: len(cells)]))):
        problems.add(line, f"{len(cells)} cells, but the header has {len(header)} columns")
        return None
    return {name: _cell(name, cell) for name, cell in zip(header, cells) if name}


def _cell(name: str, cell: str) -> Any:
    """A cell's value. Tables hold lists as JSON, or as Python writes them (pandas); messages may be in any column."""
    if cell.lstrip()[:1] != "[":
        return cell
    value = _list(cell.strip())
    is_list = isinstance(value, list) and bool(value)
    messages = is_list and all(isinstance(item, dict) and ("role" in item or "from" in item) for item in value)
    return value if messages or (is_list and usual_name(name) in LISTS) else cell


def _list(text: str) -> Any:
    """The value of a list in JSON or in Python's writing, unless that is too long; None if it is neither."""
    try:
        value, end, flaws = Json().decode(text)
        return None if flaws or end != len(text) else value
    except ValueError:
        pass
    if len(text) > PYTHON_LIST:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def read_parquet(path: Path, problems: Problems, notes: list[str]) -> Rows:
    """Rows of a Parquet file, numbered from 1."""
    yield from _columnar(path, problems, "Parquet", unpacked.parquet_rows)


def read_arrow(path: Path, problems: Problems, notes: list[str]) -> Rows:
    """Rows of an Arrow file or stream, as `datasets` saves them, numbered from 1."""
    yield from _columnar(path, problems, "Arrow", unpacked.arrow_rows)


def _columnar(path: Path, problems: Problems, kind: str, read) -> Iterable[tuple[int, Any]]:
    """Rows of a file that pyarrow reads."""
    try:
        import pyarrow
    except ImportError:
        raise DataError(f"{problems.name}: reading {kind} needs pyarrow: pip install pyarrow") from None
    number = 0
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            for rows in read(file, size):
                for row in rows:
                    number += 1
                    yield number, row
    except unpacked.Bomb as error:
        problems.add(number + 1, str(error))
        raise Unreadable from None
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        problems.add(number + 1, f"not a readable {kind} file: {short(error)}")
        raise Unreadable from None
