"""What a file is by its first bytes, whatever it is called.

    kind_of(io.BytesIO(b"%PDF-1.7 ..."))      # Kind("a PDF file", (".pdf",), "name it .pdf")

A file under another name would be refused with a cure that does not help, or read as the marks it is written with.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from typing import BinaryIO

HEAD = 4096  # bytes that are looked at


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is, the suffixes whose readers read it, and what to do if it has another."""

    name: str
    suffixes: tuple[str, ...]
    cure: str
    in_code: bool = False  # whether source code may begin like it


PAGE = Kind("an HTML page", (".html", ".htm", ".xhtml", ".md", ".markdown"), "name it .html", in_code=True)
ARCHIVE = Kind("a .zip archive", (".zip", ".docx", ".docm", ".epub"), "name it .zip")
_BY_START = (  # whole starts: a text may begin with a few of these letters
    (re.compile(rb"\s*%PDF-\d\.\d\s"), Kind("a PDF file", (".pdf",), "name it .pdf")),
    (re.compile(rb"\s*\{\\rtf\d"), Kind("an RTF file", (), "open it in a word processor and save it as .docx or .txt")),
    (
        re.compile(rb"\x89PNG|GIF8[79]a.{0,9}\0|\xff\xd8\xff|II\*\0|MM\0\*|RIFF.{4}WEBP|.{4}ftyp(?:heic|avif)", re.S),
        Kind("a picture", (), "give the text in it, by text recognition (OCR)"),
    ),
    (
        re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        Kind("an old Office file, or one with a password", (".docx", ".docm"), "save it as .docx or .csv without one"),
    ),
    (re.compile(rb"\x1f\x8b\x08"), Kind("a gzip file", (".gz", ".tgz"), "name it .gz, or .tar.gz if it holds several")),
    (
        re.compile(rb"BZh\d1AY&SY|\xfd7zXZ\0|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\x28\xb5\x2f\xfd"),
        Kind("an archive of another kind", (), "unpack it"),
    ),
    (
        re.compile(rb"\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--[^>]{0,500}-->\s*)?<(?:!doctype\s+html|html)\b", re.I),
        PAGE,
    ),
)  # fmt: skip
_BY_PART = (  # of a .zip file: how the name of a part begins
    ("word/document", Kind("a Word file", (".docx", ".docm"), "name it .docx")),
    ("xl/workbook", Kind("a spreadsheet", (), "save the sheet as .csv")),
    ("ppt/presentation", Kind("a presentation", (), "save it as .pdf or .txt")),
    ("META-INF/container.xml", Kind("a book", (".epub",), "name it .epub")),
    ("content.xml", Kind("an OpenDocument file", (), "save it as .docx, a sheet as .csv")),
)


def kind_of(file: BinaryIO) -> Kind | None:
    """What a file is; None for one that begins like no kind that is known here, such as a text."""
    head = file.read(HEAD).removeprefix(b"\xef\xbb\xbf")
    if head.startswith(b"PK\x03\x04"):
        return _zipped(file)
    return next((kind for start, kind in _BY_START if start.match(head)), None)


def _zipped(file: BinaryIO) -> Kind:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except Exception:  # the module raises a dozen types for damaged bytes; its reader says what is wrong
        return ARCHIVE
    office = "[Content_Types].xml" in names or "mimetype" in names  # an archive may hold a folder of that name
    return next((kind for part, kind in _BY_PART if office and any(n.startswith(part) for n in names)), ARCHIVE)


def disguised(file: BinaryIO, suffix: str, code: bool) -> str | None:
    """Why a file is not what its suffix says, and what to do; None if it may be. code: whether it is source code."""
    kind = kind_of(file)
    if kind is None or suffix in kind.suffixes or (code and kind.in_code):
        return None
    return f"this is {kind.name}, not a {suffix} file: {kind.cure}"
