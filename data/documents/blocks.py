"""What a document is once it is read: blocks of text, each with its place; and the limits that every reader keeps.

The limits refuse files made to exhaust memory. Nothing is unpacked onto the disk, so no name in an archive can lead to
another place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_BYTES = 50_000_000  # of one file, packed or unpacked
MAX_TOTAL = 200_000_000  # bytes that one archive may unpack to
MAX_RATIO = 200  # unpacked by packed size of one entry; plain text is packed to a tenth, rarely to a hundredth
RATIO_FROM = 1_000_000  # bytes from which the ratio is looked at: a short file of one letter is no bomb
MAX_ENTRIES = 5_000  # of an archive, documents or not
MAX_FILES = 20_000  # documents in a folder
MAX_BLOCKS = 500_000  # paragraphs of one document
MAX_DEPTH = 1_000  # elements within elements
MAX_PAGES = 5_000
MAX_MESSAGES = 20_000  # of a mailbox
MARK = "documents.json"  # the file that makes a folder a written request, see `request`

_SURROGATES = re.compile("[\ud800-\udfff]")


class Flaw(Exception):
    """A reason why a document cannot be used, with its place in it; the caller adds the name of the file."""

    def __init__(self, place: int, text: str):
        super().__init__(text)
        self.place = max(1, place)


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of one file and its name, without the folder in which it happens to lie."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """One paragraph, heading or piece of code."""

    text: str
    place: int  # 1-based: the line, paragraph or page where it starts
    heading: int = 0  # the level of a heading; 0: no heading
    prose: bool = True  # False: code, tables, the head of a mail; no questions are made from its sentences


@dataclass(frozen=True, slots=True)
class Document:
    """A text with one subject: a file, a mail or a chapter."""

    name: str  # of its file
    subject: str
    blocks: tuple[Block, ...]
    unit: str = "line"  # what `Block.place` counts: "line", "paragraph", "page" or "message"
    code: bool = False


def cleaned(text: str) -> str:
    """The text without characters that no tokenizer accepts: NUL is left out, a lone surrogate becomes U+FFFD."""
    text = text.replace("\0", "")
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def document(name: str, blocks: Iterable[Block], unit: str, *, subject: str = "", code: bool = False) -> Document:
    """A document of the blocks that hold text; the subject is the file's name unless another is given.

    Raises Flaw for more than `MAX_BLOCKS` blocks or `MAX_TOTAL` characters.
    """
    kept: list[Block] = []
    size = 0
    for block in blocks:
        if block.text.strip():
            kept.append(block)
            size += len(block.text)
        if len(kept) > MAX_BLOCKS:
            raise Flaw(block.place, f"more than {MAX_BLOCKS:,} paragraphs; divide the document")
        if size > MAX_TOTAL:
            raise Flaw(block.place, f"more than {MAX_TOTAL:,} characters; divide the document")
    return Document(name, " ".join(cleaned(subject).split())[:200] or name, tuple(kept), unit, code)


def short(error: Exception) -> str:
    """An error of a library in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def megabytes(count: float) -> str:
    """A size for a message."""
    return f"{count / 1e6:,.0f} MB"
