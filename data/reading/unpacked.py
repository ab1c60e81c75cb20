"""How large the rows of a Parquet or Arrow file become: a file made to exhaust memory is refused before they are made.

    for rows in parquet_rows(file, size): ...    # lists of rows; Bomb beyond the limit

A file of 900 bytes can hold one text of 4 MB, packed, and a thousand references to it: 4 GB as rows. So the sizes that
its parts are unpacked to are summed before anything is, and repeated texts stay references until a batch is counted.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from data.documents.blocks import MAX_TOTAL, megabytes
from data.reading import parquet_pages

BATCH = 1024  # rows
VALUE = 8  # bytes that a value counts at least
REFERENCE = 16  # bytes for each entry of a Parquet file's dictionary: its place and its length
PAGE = 1024  # bytes that a page counts at least, so that millions of empty ones take no hours
GROWTH = 20  # rows' bytes by bytes of a file of more than a twentieth of MAX_TOTAL; texts are packed to about a fifth
WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 0}


class Bomb(Exception):
    """A file whose rows are larger than the limit."""


class Count:
    """The bytes unpacked of one file, and the most that are allowed."""

    def __init__(self, size: int):
        self.limit, self.total = max(MAX_TOTAL, GROWTH * size), 0

    def add(self, size: int):
        """Raises Bomb beyond the limit."""
        self.total += size
        self.check(self.total)

    def check(self, size: int):
        """The same for bytes that are not unpacked yet."""
        if size > self.limit:
            raise Bomb(f"unpacks to more than {megabytes(self.limit)}: refused as a decompression bomb; divide the "
                       "file, or write its rows as .jsonl")  # fmt: skip


def parquet_rows(file: io.BufferedIOBase, size: int) -> Iterator[list[dict]]:
    """The rows of a Parquet file of `size` bytes. Raises Bomb, or an error of pyarrow."""
    import pyarrow.parquet

    count = Count(size)
    with pyarrow.parquet.ParquetFile(file) as table:
        batch, texts = _promised(file, table.metadata, count)
    file.seek(0)
    with pyarrow.parquet.ParquetFile(file, read_dictionary=texts) as table:
        yield from _rows(table.iter_batches(batch_size=batch), count)


def _promised(file: io.BufferedIOBase, about: Any, count: Count) -> tuple[int, list[str]]:
    """(rows to read at once, columns of texts) of a Parquet file, by the headers of its pages. Raises Bomb.

    The sizes in `about`, the file's metadata, are not used: a file made to exhaust memory would name small ones.
    """
    columns = [about.schema.column(number) for number in range(about.num_columns)]
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    texts = {column.path for column in columns if column.physical_type == "BYTE_ARRAY"}
    grown, promised, batch = set(), 0, BATCH
    for column, chunk in ((column, group.column(number)) for group in groups for number, column in enumerate(columns)):
        size = 0
        for page in parquet_pages.pages(file, chunk):
            size += page.size
            promised += PAGE + page.size + page.values * _width(column, page)
            count.check(promised)
            # pyarrow cannot keep these as references, and each may repeat the one before: be as long as its chunk
            if page.encoding and column.path in texts:
                grown.add(column.path)
                if column.max_repetition_level:
                    count.check(page.values * size)
                batch = min(batch, max(1, count.limit // (4 * size + 1)))
    return batch, sorted(texts - grown)


def _width(column: Any, page: parquet_pages.Page) -> int:
    """The bytes of a page's value beside the unpacked page, at most."""
    width = WIDTHS.get(column.physical_type, max(0, column.length or 0))
    if page.kind == parquet_pages.DICTIONARY:
        return max(width, REFERENCE)
    return max(width, VALUE) if page.encoding or column.max_repetition_level else width


def arrow_rows(file: io.BufferedIOBase, size: int) -> Iterator[list[dict]]:
    """The rows of an Arrow file or stream of `size` bytes. Raises Bomb, or an error of pyarrow."""
    count = Count(size)
    yield from _rows(_arrow_batches(file, count), count)


def check_arrow(file: io.BufferedIOBase, size: int) -> None:
    """Reads an Arrow file or stream without making rows, for a library that will. Raises like `arrow_rows`."""
    count = Count(size)
    for _ in _parts(_arrow_batches(file, count), count):
        pass


def _arrow_batches(file: io.BufferedIOBase, count: Count) -> Iterator[Any]:
    import pyarrow

    start = 8 if file.read(6) == b"ARROW1" else 0  # a file is a stream behind its mark, with a list of places after it
    file.seek(start)
    promised = 0
    for message in pyarrow.ipc.MessageReader.open_stream(file):
        promised += _body_size(message)
        count.check(promised)
    file.seek(start)
    with pyarrow.ipc.open_stream(file) as table:
        for batch in table:
            batch.validate(full=True)  # pyarrow believes the places in a file; a wrong one would end the process
            yield batch


def _rows(batches: Iterable, count: Count) -> Iterator[list[dict]]:
    for part in _parts(batches, count):
        yield part.to_pylist()


def _parts(batches: Iterable, count: Count) -> Iterator[Any]:
    """The batches in parts of at most `BATCH` rows, each counted."""
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH):
            part = batch.slice(start, BATCH)
            count.add(VALUE * part.num_rows + sum(map(_size, part.columns)))
            yield part


def _size(array: Any) -> int:
    """About the bytes of the array's values where each is written out. Raises ValueError for a type that hides them."""
    import pyarrow.compute as pc
    from pyarrow import types

    kind, least = array.type, VALUE * len(array)
    if types.is_dictionary(kind):
        texts = array.dictionary
        counts = pc.value_counts(array.indices.drop_null())
        used, times = texts.take(counts.field("values")), counts.field("counts")
        if _is_text(kind.value_type):
            found = pc.sum(pc.multiply(pc.fill_null(pc.binary_length(used), 0).cast("int64"), times)).as_py()
            return least + (found or 0)
        return least + sum(_size(used.slice(i, 1)) * times[i].as_py() for i in range(len(used)))
    if _is_text(kind):
        return least + (pc.sum(pc.binary_length(array)).as_py() or 0)
    if types.is_string_view(kind) or types.is_binary_view(kind):
        return least + _viewed(array)
    if types.is_map(kind):
        first, last = array.offsets[0].as_py(), array.offsets[-1].as_py()
        return least + sum(_size(part.slice(first, last - first)) for part in (array.keys, array.items))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return least + _size(array.flatten())
    if types.is_struct(kind):
        return least + sum(map(_size, array.flatten()))
    if hasattr(array, "storage"):
        return _size(array.storage)
    if types.is_nested(kind) or types.is_run_end_encoded(kind):
        raise ValueError(f"a column of the type {kind} is not read; leave it out, or write the rows as .jsonl")
    return max(least, len(array) * kind.byte_width) if types.is_fixed_size_binary(kind) else least


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return any(
        check(kind) for check in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    )


def _viewed(array: Any) -> int:
    """The bytes that views show: each is 16 bytes long and begins with its length."""
    import numpy as np

    views = np.frombuffer(array.buffers()[1], dtype="<i4")[4 * array.offset :][: 4 * len(array) : 4]
    return int(views.astype(np.int64).clip(min=0).sum())


# ---------------------------------------------------------------------------------------------------------------------
# The parts of an Arrow file, see format/Message.fbs of Arrow. pyarrow has no access to them without unpacking


def _body_size(message: Any) -> int:
    """The bytes of a message's buffers, unpacked: each packed one begins with its size, or -1 if it is as it was."""
    metadata, body = memoryview(message.metadata), memoryview(message.body) if message.body is not None else b""
    number = functools.partial(_number, metadata)
    try:
        table = number("<I", 0)
        header = _field(metadata, table, 2)
        if message.type not in ("record batch", "dictionary") or header is None:
            return len(body)
        batch = header + number("<I", header)
        if message.type == "dictionary":
            batch = _field(metadata, batch, 1)
            batch += number("<I", batch)
        place = _field(metadata, batch, 2)
        if _field(metadata, batch, 3) is None or place is None:  # not packed
            return len(body)
        place += number("<I", place)
        buffers = [struct.unpack_from("<qq", metadata, place + 4 + 16 * i) for i in range(number("<I", place))]
        sizes = [(_number(body, "<q", start), length - 8) for start, length in buffers if length >= 8]
    except (struct.error, TypeError) as error:
        raise ValueError(f"a damaged part ({error})") from None
    return sum(kept if size == -1 else size for size, kept in sizes)


def _number(data: Any, kind: str, place: int) -> int:
    return struct.unpack_from(kind, data, place)[0]


def _field(data: Any, table: int, number: int) -> int | None:
    """The place of a table's field; None if the table lacks it."""
    listed = table - _number(data, "<i", table)
    if 4 + 2 * number >= _number(data, "<H", listed):
        return None
    offset = _number(data, "<H", listed + 4 + 2 * number)
    return table + offset if offset else None
