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
_MAIN = "word/document.xml"
_NOTES = ("footnote", "endnote", "comment")
_PARTS = ("styles", "header", "footer", *(f"{kind}s" for kind in _NOTES))  # beside the text of a .docx file
_TYPES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


# ---------------------------------------------------------------------------------------------------------------------
# .docx


Notes = dict[tuple[str, str], list[str]]  # the paragraphs of each (kind of note, id)


class _Docx:
    """Collects paragraphs from the elements of one part of a .docx file.

    A note stands below the paragraph that refers to it, and is then taken out of `notes`.
    """

    def __init__(self, levels: dict[str, int], notes: Notes):
        self.levels, self.notes, self.number, self.blocks = levels, notes, 0, []
        self.within: Notes = {}  # of a part that holds notes
        self._note: list[str] | None = None  # the open one
        self._referred: list[tuple[str, str]] = []  # notes of the open paragraph or row
        self._open: list[list] = []  # [texts, heading level] of each open paragraph: text boxes lie within paragraphs
        self._cells: list[list[str]] = []  # the texts of each open table row
        self._in_text = False
        self._unseen = 0  # depth within a copy for old programs, or a text that was deleted or moved away

    def start(self, tag: str, attributes: dict):
        if tag in ("Fallback", "del", "moveFrom") or self._unseen:
            self._unseen += 1
        elif tag in _NOTES:
            self._note = self.within.setdefault((tag, attributes.get("id", "")), [])
        elif tag == "p":
            self._open.append([[], 0])
        elif tag == "tr":
            self._cells.append([])
        elif not self._open:
            return
        elif tag.removesuffix("Reference") in _NOTES:
            self._referred.append((tag.removesuffix("Reference"), attributes.get("id", "")))
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
        if self._note is not None:
            self._note.append(text)
            return
        if level:
            text = " ".join(text.split())
        self.blocks.append(Block(cleaned(text), self.number, level, prose))
        for key in self._referred:
            self.blocks += [Block(cleaned(note), self.number) for note in self.notes.pop(key, ())]
        self._referred.clear()


def _levels(archive: Zip, part: str) -> dict[str, int]:
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

    if part in archive.by_name:
        parse_xml(archive.part(part), part, start)
    standard = {f"Heading{level}": level for level in range(1, 10)} | {"Title": 1}
    return {**standard, **found}


def _named_level(name: str) -> int:
    if name.strip().lower() in _TITLES:
        return 1
    match = _HEADING.search(name)
    return int(match[1]) if match else 0


def read_docx(source: Source, notes: list[str]) -> Iterator[Document]:
    """Headers, footers, paragraphs, headings, table rows, footnotes, endnotes and comments of a .docx file.

    Text that was deleted or moved away is left out. Headers and footers come first, once each: at the end they would
    belong to the last heading.
    """
    if source.data.startswith(_OLE):
        raise Flaw(1, "protected by a password, or an old .doc file: save it as .docx without a password")
    archive = Zip(source.data)
    main = next(iter(_related(archive, "").get("officeDocument", ())), _MAIN)
    if main not in archive.by_name:
        raise Flaw(1, f"not a .docx file: it has no part {main}")
    parts = _related(archive, main)
    levels, found = _levels(archive, next(iter(parts["styles"]), "")), Notes()

    def read(part: str) -> _Docx:
        reader = _Docx(levels, found)
        parse_xml(archive.part(part), part, reader.start, reader.end, reader.text)
        return reader

    for kind in _NOTES:
        for part in parts[f"{kind}s"]:
            found |= read(part).within
    around = [block.text for kind in ("header", "footer") for part in parts[kind] for block in read(part).blocks]
    blocks = [Block(text, 1, prose=False) for text in dict.fromkeys(around) if any(map(str.isalpha, text))]
    body = read(main)
    blocks += body.blocks
    blocks += [
        Block(cleaned(text), body.number) for texts in found.values() for text in texts
    ]  # nothing refers to them
    yield document(source.name, blocks, "paragraph")


def _related(archive: Zip, part: str) -> dict[str, list[str]]:
    """{kind: parts} that a part names as its own, "" being the file as a whole.

    A part that is not named counts if it has its usual name, since a converter may leave the list out.
    """
    folder, name = posixpath.split(part)
    found: dict[str, list[str]] = {kind: [] for kind in _PARTS} if part else {}
    listed = posixpath.join(folder, "_rels", f"{name}.rels")

    def start(tag, attributes):
        if tag == "Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", ""))).lstrip("/")
            kind = attributes.get("Type", "").rpartition("/")[2]
            if target in archive.by_name:
                found.setdefault(kind, []).append(target)

    if listed in archive.by_name:
        parse_xml(archive.part(listed), listed, start)
    for kind in _PARTS if part else ():
        usual = re.compile(re.escape(posixpath.join(folder, kind)) + r"\d*\.xml")
        found[kind] = list(dict.fromkeys([*found[kind], *filter(usual.fullmatch, sorted(archive.by_name))]))
    return found


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
        raise Flaw(1, _locked_pdf(error) or f"not a readable .pdf file: {short(error)}") from None
    if pages > MAX_PAGES:
        raise Flaw(MAX_PAGES + 1, f"has {pages:,} pages; at most {MAX_PAGES:,} are read: divide it")
    yield document(source.name, _pdf_blocks(reader, source, pages, notes), "page")


def _locked_pdf(error: Exception) -> str:
    """What to do about a file that pypdf cannot decrypt, or "" for other errors.

    Files that open without a password are often encrypted too, and newer ones in a way that pypdf needs help with.
    """
    if type(error).__name__ not in ("DependencyError", "FileNotDecryptedError", "WrongPasswordError"):
        return ""
    return "encrypted: save it without a password or protection (or: pip install cryptography, if it has no password)"


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
            raise Flaw(number, _locked_pdf(error) or f"page {number} cannot be read: {short(error)}") from None
        if not text.strip():
            bare.append(number)
        for _, paragraph in paragraphs(text.split("\n")):
            joined = re.sub(r"(?<=\w)-\n(?=[a-zà-ÿ])", "", paragraph)  # a word divided at the end of a line
            yield Block(" ".join(joined.split()), number)
    if bare and len(bare) < pages:
        which = ", ".join(map(str, bare[:10])) + (", ..." if len(bare) > 10 else "")
        notes.append(f"{source.name}: pages without text, perhaps pictures of text: {which}")
