"""Reads data: every accepted file, folder or hub dataset becomes a stream of `Example`.

In: readers by format, folders, archives, saved and hub datasets. Not here: columns (data/columns.py), documents.
"""

from data.reading.examples import (
    Examples,
    LocatedRow,
    examples_from_text,
    iter_examples,
    located_rows,
    read_examples,
)
from data.reading.readers import READERS, SUFFIXES, TYPES, row_suffixes
from data.reading.sources import document_files, holds_documents

__all__ = [
    "READERS",
    "SUFFIXES",
    "TYPES",
    "Examples",
    "LocatedRow",
    "document_files",
    "examples_from_text",
    "holds_documents",
    "iter_examples",
    "located_rows",
    "read_examples",
    "row_suffixes",
]
