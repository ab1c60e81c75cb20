"""Rows of tables: .csv, .tsv, .parquet."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

from data.columns import OPTIONAL, DataError, shown
from data.reading.json_rows import Json
from data.reading.lines import Problems, Rows, Unreadable, lines, short


def read_table(path: Path, problems: Problems, notes: list[str]) -> Rows:
    """Rows of a .csv (comma) or .tsv (tab) file with a header."""
    csv.field_size_limit(2**31 - 1)  # the default of 128 KiB is too small for a long text
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader((text for _, text in lines(path, problems)), delimiter=delimiter, strict=True)
    header, line = None, 1
    try:
        for cells in reader:
            end = reader.line_num + 1
            if header is None and any(cells):
                header = [name.strip() for name in cells]
                repeated = [name for name, count in Counter(header).items() if count > 1]
                if repeated:
                    problems.add(line, f"the header names a column twice: {shown(repeated[0])}")
                    raise Unreadable
            elif cells and len(cells) != len(header or cells):
                problems.add(line, f"{len(cells)} cells, but the header has {len(header)} columns")
            elif cells and header:
                yield line, {name: _cell(name, cell) for name, cell in zip(header, cells)}
            line = end
    except csv.Error as error:
        problems.add(line, f"malformed {path.suffix[1:].upper()}: {error}")
        raise Unreadable from None


def _cell(name: str, cell: str) -> Any:
    """A cell's value. Tables hold lists (messages, wrong answers) as JSON; an empty optional cell counts as missing."""
    if name in ("messages", "conversations", "perturbed_answer") and cell.lstrip().startswith("["):
        try:
            value, _, flaws = Json().decode(cell.strip())
        except ValueError:
            return cell
        return cell if flaws else value
    return cell if cell or name not in OPTIONAL else None


def read_parquet(path: Path, problems: Problems, notes: list[str]) -> Rows:
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
        problems.add(number + 1, f"not a readable Parquet file: {short(error)}")
        raise Unreadable from None
