"""Readers of word-processor files (.docx), books (.epub) and .pdf."""

from __future__ import annotations

import io
import posixpath
import re
import time
from collections.abc import Iterator
from urllib.parse import unquote

from data.documents.blocks import MAX_PAGES, Block, Document, Flaw, Source, cleaned, document, short
from data.documents.containers import Zip
from data.documents.markup import html_blocks, parse_xml
from data.documents.plain import decoded, paragraphs

_OLE = b"\xd0\xcf\x11\xe0"  # the start of a protected .docx, and of an old .doc
_HEADING = re.compile(r"(?:heading|berschrift|titre|t[ií]tulo|titolo|kop|rubrik|overskrift)[\s_-]*(\d)", re.IGNORECASE)
_TITLES = ("title", "titel", "titre", "título", "titolo")
PDF_SECONDS, PDF_SPEED = 30, 10_000  # of computing for each file; bytes that get a second more. A page takes 0.1 s
_TYPES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


# ---------------------------------------------------------------------------------------------------------------------
# .docx


class _Docx:
    """Collects paragraphs from the elements of one part of a .docx file."""

    def __init__(self, levels: dict[str, int], first: int):
        self.levels, self.number, self.blocks = levels, first, []
        self._open: list[list] = []  # [texts, heading level] of each open paragraph: text boxes lie within paragraphs
        self._cells: list[list[str]] = []  # the texts of each open table row
        self._in_text = False
        self._unseen = 0  # depth within a copy for old programs

    def start(self, tag: str, attributes: dict):
        if tag == "Fallback" or self._unseen:
            self._unseen += 1
        elif tag == "p":
            self._open.append([[], 0])
        elif tag == "tr":
            self._cells.append([])
        elif not self._open:
            return
        elif tag == "t":
            self._in_text = True
        elif tag in ("tab", "br", "cr"):
            self._open[-1][0].append("\t" if tag == "tab" else "\n")
        elif tag == "noBreakHyphen":
            self._open[-1][0].append("-")
        elif tag == "pStyle":
            self._open[-1][1] = self.levels.get(attributes.get("val", ""), 0)
        elif tag == "outlineLvl" and attributes.get("val", "").isdigit() and int(attributes["val"]) < 9:
            self._open[-1][1] = int(attributes["val"]) + 1

    def end(self, tag: str):
        if self._unseen:
            self._unseen -= 1
        elif tag == "t":
            self._in_text = False
        elif tag == "p" and self._open:
            texts, level = self._open.pop()
            self._add("".join(texts), level)
        elif tag == "tr" and self._cells and (row := [cell for cell in self._cells.pop() if cell]):
            self._block(" | ".join(row), 0, prose=len(row) == 1)

    def text(self, characters: str):
        if self._in_text and not self._unseen:
            self._open[-1][0].append(characters)

    def _add(self, text: str, level: int):
        if self._cells:
            self._cells[-1].append(text.strip())
        else:
            self._block(text, level, True)

    def _block(self, text: str, level: int, prose: bool):
        self.number += 1
        if level:
            text = " ".join(text.split())
        self.blocks.append(Block(cleaned(text), self.number, level, prose))


def _levels(archive: Zip) -> dict[str, int]:
    """{style: level} of the styles that mark headings, by their outline level or their name."""
    found: dict[str, int] = {}
    style = [""]

    def start(tag, attributes):
        value = attributes.get("val", "")
        if tag == "style":
            style[0] = attributes.get("styleId", "")
        elif tag == "outlineLvl" and value.isdigit() and int(value) < 9:
            found[style[0]] = int(value) + 1
        elif tag == "name" and (named := _named_level(value)):
            found.setdefault(style[0], named)

    if "word/styles.xml" in archive.by_name:
        parse_xml(archive.part("word/styles.xml"), "word/styles.xml", start)
    standard = {f"Heading{level}": level for level in range(1, 10)} | {"Title": 1}
    return {**standard, **found}


def _named_level(name: str) -> int:
    if name.strip().lower() in _TITLES:
        return 1
    match = _HEADING.search(name)
    return int(match[1]) if match else 0


def read_docx(source: Source, notes: list[str]) -> Iterator[Document]:
    """Paragraphs, headings, table rows, footnotes and endnotes of a .docx file; deleted text is left out."""
    if source.data.startswith(_OLE):
        raise Flaw(1, "protected by a password, or an old .doc file: save it as .docx without a password")
    archive = Zip(source.data)
    if "word/document.xml" not in archive.by_name:
        raise Flaw(1, "not a .docx file: it has no part word/document.xml")
    levels, blocks = _levels(archive), []
    for part in ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml"):
        if part in archive.by_name:
            reader = _Docx(levels, len(blocks))
            parse_xml(archive.part(part), part, reader.start, reader.end, reader.text)
            blocks += reader.blocks
    yield document(source.name, blocks, "paragraph")


# ---------------------------------------------------------------------------------------------------------------------
# .epub


def read_epub(source: Source, notes: list[str]) -> Iterator[Document]:
    """The chapters of a book, in reading order; the subject of each is the book's title and the chapter's."""
    archive = Zip(source.data)
    package = _package_of(archive)
    title, chapters = _spine(archive, package)
    locked = _locked(archive)
    if not chapters:
        raise Flaw(1, f"{package} lists no chapters")
    for number, path in enumerate(chapters, 1):
        if path in locked:
            raise Flaw(number, f"chapter {path} is encrypted (DRM): use a copy without protection")
        try:
            text, note = decoded(archive.part(path))
        except Flaw as flaw:
            raise Flaw(number, f"chapter {path}: {flaw}") from None
        notes += [f"{source.name}, {path}: {note}"] if note else []
        own, blocks = html_blocks(text)
        named = next((block.text for block in blocks if block.heading), own) or f"part {number}"
        subject = f"{title}, {named}" if title and named != title else named
        yield document(source.name, blocks, "paragraph", subject=subject)


def _package_of(archive: Zip) -> str:
    """The path of the file that lists the chapters."""
    found: list[str] = []
    container = "META-INF/container.xml"
    parse_xml(archive.part(container), container, lambda tag, attributes:
              found.append(attributes.get("full-path", "")) if tag == "rootfile" else None)  # fmt: skip
    if not found:
        raise Flaw(1, "META-INF/container.xml names no package")
    return found[0]


def _spine(archive: Zip, package: str) -> tuple[str, list[str]]:
    """(the book's title, the paths of its chapters in reading order)."""
    items, order, title, within = {}, [], [], [False]

    def start(tag, attributes):
        within[0] = tag == "title"
        if tag == "item" and attributes.get("media-type") in _TYPES:
            path = posixpath.join(posixpath.dirname(package), unquote(attributes.get("href", "").split("#")[0]))
            items[attributes.get("id")] = posixpath.normpath(path)
        elif tag == "itemref":
            order.append(attributes.get("idref"))

    def end(tag):
        within[0] = False

    parse_xml(archive.part(package), package, start, end, lambda text: title.append(text) if within[0] else None)
    return " ".join("".join(title).split()), list(dict.fromkeys(items[name] for name in order if name in items))


def _locked(archive: Zip) -> set[str]:
    """The paths of encrypted parts."""
    found: set[str] = set()
    if "META-INF/encryption.xml" in archive.by_name:
        parse_xml(archive.part("META-INF/encryption.xml"), "META-INF/encryption.xml", lambda tag, attributes:
                  found.add(unquote(attributes.get("URI", ""))) if tag == "CipherReference" else None)  # fmt: skip
    return found


# ---------------------------------------------------------------------------------------------------------------------
# .pdf


def read_pdf(source: Source, notes: list[str]) -> Iterator[Document]:
    """The text of a .pdf file by page, read with pypdf."""
    try:
        import pypdf
    except ImportError:
        raise Flaw(1, "reading PDF needs pypdf: pip install pypdf (or save the document as .docx or .txt)") from None
    try:
        reader = pypdf.PdfReader(io.BytesIO(source.data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Flaw(1, "protected by a password: save it without one")
        pages = len(reader.pages)
    except Flaw:
        raise
    except Exception as error:  # the library raises many types for damaged files; each means: not readable
        raise Flaw(1, f"not a readable .pdf file: {short(error)}") from None
    if pages > MAX_PAGES:
        raise Flaw(MAX_PAGES + 1, f"has {pages:,} pages; at most {MAX_PAGES:,} are read: divide it")
    yield document(source.name, _pdf_blocks(reader, source, pages, notes), "page")


def _pdf_blocks(reader, source: Source, pages: int, notes: list[str]) -> Iterator[Block]:
    bare, number, end = [], 1, time.thread_time() + PDF_SECONDS + len(source.data) / PDF_SPEED

    def watch(*_):
        if time.thread_time() > end:
            raise Flaw(number, "takes too long to read: divide the document, or save it as .docx or .txt")

    for number in range(1, pages + 1):
        try:
            # watched at each operation, for a page may ask for the same content thousands of times
            text = cleaned(reader.pages[number - 1].extract_text(visitor_operand_before=watch))
            watch()
        except Flaw:
            raise
        except Exception as error:  # as above
            raise Flaw(number, f"page {number} cannot be read: {short(error)}") from None
        if not text.strip():
            bare.append(number)
        for _, paragraph in paragraphs(text.split("\n")):
            joined = re.sub(r"(?<=\w)-\n(?=[a-zà-ÿ])", "", paragraph)  # a word divided at the end of a line
            yield Block(" ".join(joined.split()), number)
    if bare and len(bare) < pages:
        which = ", ".join(map(str, bare[:10])) + (", ..." if len(bare) > 10 else "")
        notes.append(f"{source.name}: pages without text, perhaps pictures of text: {which}")
