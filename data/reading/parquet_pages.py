"""The pages of a Parquet file as its page headers tell them: the reader goes by these, whatever the footer says.

    for page in pages(file, metadata.row_group(0).column(0)): page.size    # bytes that the page is unpacked to

A page is unpacked to exactly the size in its header, or not at all. pyarrow has no access to the headers, so they are
read here: structures of Thrift's compact protocol, see parquet.thrift and thrift-compact-protocol.md.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

DICTIONARY = 2  # a page's kind
ENCODINGS = {6: "DELTA_LENGTH_BYTE_ARRAY", 7: "DELTA_BYTE_ARRAY"}  # those that the count must know
_WINDOWS = (2**14, 2**24)  # bytes in which a header ends; pyarrow reads no longer one either
_PADDING = 100  # bytes behind a column that pyarrow may still read: an old writer forgot them
_INT, _BINARY, _STRUCT = 5, 8, 12
_HEADERS = (5, 7, 8)  # fields of a header: a data page's, a dictionary's, a data page's of version 2


@dataclass(frozen=True)
class Page:
    """One page: its kind, the bytes it is unpacked to, how many values it says it has, the encoding of its values."""

    kind: int
    size: int
    values: int
    encoding: str


def pages(file: io.BufferedIOBase, chunk: Any) -> Iterator[Page]:
    """The pages that pyarrow would read of one column in one group of rows. chunk: its metadata in the footer.

    Raises ValueError for a header that cannot be read.
    """
    place, listed = chunk.data_page_offset, chunk.dictionary_page_offset
    if chunk.has_dictionary_page and 0 < listed < place:
        place = listed
    end, seen = place + chunk.total_compressed_size + _PADDING, 0
    while seen < chunk.num_values and 0 <= place < end:
        fields, length = _header(file, place)
        if not fields:  # the end of the file
            return
        within = next((fields[key, _STRUCT] for key in _HEADERS if (key, _STRUCT) in fields), {})
        kind, size, packed = (_positive(fields, key) for key in (1, 2, 3))
        version_2 = (8, _STRUCT) in fields
        values = _positive(within, 1) if within else 0
        seen += 0 if kind == DICTIONARY else values
        encoding = _positive(within, 4 if version_2 else 2) if within else 0
        yield Page(kind, size, values, ENCODINGS.get(encoding, ""))
        place += length + packed


def _positive(fields: dict, key: int) -> int:
    value = fields.get((key, _INT), -1)
    if not 0 <= value < 2**31:
        raise ValueError(f"a damaged page header (field {key}: {value})")
    return value


def _header(file: io.BufferedIOBase, place: int) -> tuple[dict, int]:
    """(fields, length) of the header at `place`; no fields at the end of the file."""
    for window in _WINDOWS:
        file.seek(place)
        data = file.read(window)
        if not data:
            return {}, 0
        try:
            return _struct(data, 0)
        except IndexError:
            if len(data) < window:
                break
    raise ValueError("a damaged page header")


def _struct(data: bytes, place: int, depth: int = 0) -> tuple[dict, int]:
    """({(field, type): value}, end) of a structure. The types count: pyarrow skips a field of a wrong type."""
    fields, number = {}, 0
    while head := data[place]:
        kind, place = head & 15, place + 1
        if head >> 4:
            number += head >> 4
        else:
            number, place = _integer(data, place)
        if kind in (1, 2):  # true, false
            value = kind == 1
        elif kind in (4, _INT, 6):
            value, place = _integer(data, place)
        elif kind in (3, 7):  # a byte, a float
            value, place = None, place + (1 if kind == 3 else 8)
        elif kind == _BINARY:
            size, place = _varint(data, place)
            value, place = None, place + size
        elif kind == _STRUCT and depth < 4:
            value, place = _struct(data, place, depth + 1)
        else:
            raise ValueError(f"a damaged page header (field {number} of the type {kind})")
        fields[number, kind] = value
    return fields, place + 1


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        value |= (data[place] & 127) << shift
        place += 1
        if data[place - 1] < 128:
            return value, place
    raise ValueError("a damaged page header (a number without an end)")


def _integer(data: bytes, place: int) -> tuple[int, int]:
    """A number whose sign is its last bit."""
    value, place = _varint(data, place)
    return (value >> 1) ^ -(value & 1), place
