"""Readers of plain text, Markdown and source code, and the decoding of bytes that every reader uses."""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from data.documents.blocks import Block, Document, Flaw, Source, cleaned, document

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),  # before UTF-16, whose mark is their start
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
ASCII_SHARE = 0.7  # of a text in Windows-1252; a lower share means another encoding, such as Windows-1251
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# Text encodings of Python that no document is written in, some of them slow or with surrogates.
_NO_CHARSETS = {"punycode", "idna", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7"}


# ---------------------------------------------------------------------------------------------------------------------
# Bytes


def decoded(data: bytes, declared: str | None = None) -> tuple[str, str | None]:
    """(text with line feeds only, a note on its encoding or None) of a file's bytes.

    A byte order mark decides, then the `declared` encoding, then UTF-8. Other bytes are read as Windows-1252, which
    holds Latin-1, if at least 70 % of them are ASCII; the note says so. Raises Flaw for anything else, with its line.
    """
    mark = next((codec for bom, codec in BOMS if data.startswith(bom)), None)
    codec = mark or _known(declared)
    try:
        text, note = data.decode(codec), None
        if codec not in ("utf-8", "utf-8-sig", "ascii"):
            note = f"read as {_shown(codec)}, as {'its byte order mark' if mark else 'it'} says"
    except UnicodeDecodeError as error:
        if codec != "utf-8":
            raise Flaw(
                _line(data, error.start), f"not {_shown(codec)}, byte offset {error.start}; save it as UTF-8"
            ) from None
        text, note = _windows(data, error.start)
    if "\0" in text:
        place = text.index("\0")
        raise Flaw(text.count("\n", 0, place) + 1, "holds a NUL character; is it a text? Save it as UTF-8")
    return cleaned(text.replace("\r\n", "\n").replace("\r", "\n")), note


def _windows(data: bytes, offset: int) -> tuple[str, str]:
    """The text and the note of bytes that are not UTF-8 from `offset` on."""
    plain = sum(byte < 128 for byte in data)
    if not _CONTROL.search(data) and plain >= ASCII_SHARE * len(data):
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            pass
        else:
            return text, f"not UTF-8 (byte offset {offset}), so read as Windows-1252 (Latin-1): look at its accents"
    raise Flaw(_line(data, offset), f"not UTF-8, byte offset {offset}; save the file as UTF-8")


def _known(declared: str | None) -> str:
    """Python's name of a declared encoding; Latin-1 stands for Windows-1252, as on the web. Raises Flaw."""
    if not declared:
        return "utf-8"
    try:
        codec = codecs.lookup(declared.strip()[:60]).name
        "".encode(codec)  # refuses codecs of bytes, such as zip
    except (LookupError, ValueError, UnicodeError, TypeError):
        codec = None
    if codec is None or codec in _NO_CHARSETS:
        raise Flaw(1, f"declares the unknown encoding {declared[:60]!r}; save it as UTF-8")
    return "cp1252" if codec in ("iso8859-1", "latin-1", "ascii") else codec


def _shown(codec: str) -> str:
    return {"cp1252": "Windows-1252 (Latin-1)"}.get(codec, codec.upper())


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1


def other_encoding(path: str | Path) -> bool:
    """Whether a file has the mark of UTF-16 or UTF-32, or bytes that are not UTF-8. Reads it in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open(path, "rb") as file:
        if any(file.peek(4).startswith(bom) for bom, codec in BOMS if codec != "utf-8-sig"):
            return True
        try:
            while piece := file.read(1 << 20):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return True
    return False


def text_of(source: Source, notes: list[str], declared: str | None = None) -> str:
    """The decoded text of a file; a note on its encoding goes to `notes`."""
    text, note = decoded(source.data, declared)
    if note:
        notes.append(f"{source.name}: {note}")
    return text


# ---------------------------------------------------------------------------------------------------------------------
# Plain text and source code


def paragraphs(lines: list[str], first: int = 1) -> Iterator[tuple[int, str]]:
    """(line number, text) of each run of lines that are not blank."""
    for blank, group in groupby(enumerate(lines, first), key=lambda line: not line[1].strip()):
        if not blank:
            numbers, texts = zip(*group)
            yield numbers[0], "\n".join(text.rstrip() for text in texts)


def read_text(source: Source, notes: list[str]) -> Iterator[Document]:
    """Plain text: a block per paragraph."""
    lines = text_of(source, notes).split("\n")
    yield document(source.name, (Block(text, line) for line, text in paragraphs(lines)), "line")


def read_code(source: Source, notes: list[str]) -> Iterator[Document]:
    """Source code: a block per run of lines without a blank one; indentation is kept."""
    lines = text_of(source, notes).split("\n")
    blocks = (Block(text, line, prose=False) for line, text in paragraphs(lines))
    yield document(source.name, blocks, "line", code=True)


# ---------------------------------------------------------------------------------------------------------------------
# Markdown

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|(?:-[ \t]*){3,})$")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?")
_QUOTE = re.compile(r" {0,3}(?:>[ \t]?)+")
_REFERENCE = re.compile(r" {0,3}\[[^\]\\]{1,200}\]:[ \t]+\S")
_TABLE_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
# One pass: what stands first wins, so an escaped mark is never taken for a mark. Lengths are bounded, so a paragraph
# of unpaired marks takes linear time.
_INLINE = re.compile(
    r"""\\(?P<escaped>[!-/:-@\[-`{-~])
    | \\(?=\n)
    | (?P<ticks>`{1,9})(?P<code>[^`]{1,500})(?P=ticks)
    | <(?P<link>[A-Za-z][A-Za-z0-9+.-]{1,30}:[^<>\s]{1,500})>
    | </?[A-Za-z][^<>]{0,500}>
    | !?\[(?P<label>[^\[\]]{0,500})\](?:\([^()]{0,500}\)|\[[^\[\]]{0,200}\])
    | (?P<stars>\*{1,3})(?=\S)(?P<strong>[^*\n]{1,500}?)(?<=\S)(?P=stars)
    | (?<!\w)(?P<bars>_{1,3})(?=\S)(?P<stressed>[^_\n]{1,500}?)(?<=\S)(?P=bars)(?!\w)
    | ~~(?=\S)(?P<struck>[^~\n]{1,500}?)(?<=\S)~~
    | &(?P<entity>\#?\w{1,31});""",
    re.VERBOSE | re.DOTALL,
)


def _shown_text(match: re.Match) -> str:
    """What a piece of Markdown shows."""
    found = match.groupdict()
    if found["escaped"]:
        return found["escaped"]
    if found["entity"]:
        return html.unescape(match[0])
    inner = next((found[name] for name in ("strong", "stressed", "struck", "label") if found[name]), None)
    if inner is not None:
        return _INLINE.sub(_flat, inner)
    return found["code"] or found["link"] or ""


def _flat(match: re.Match) -> str:
    """The same within emphasis or a link: one level further, where marks of a third level stay as they are."""
    found = match.groupdict()
    inner = next((found[name] for name in ("strong", "stressed", "struck", "label") if found[name]), None)
    return inner if inner is not None else _shown_text(match)


def inline(text: str) -> str:
    """Markdown text without its marks: emphasis, code, links, tags, entities, escapes."""
    return _INLINE.sub(_shown_text, text)


def read_markdown(source: Source, notes: list[str]) -> Iterator[Document]:
    """Markdown: a block per heading, paragraph, list item, table row and piece of code."""
    lines = without_comments(text_of(source, notes))[0].split("\n")
    yield document(source.name, _markdown_blocks(lines), "line")


def without_comments(text: str) -> tuple[str, int]:
    """(the text without <!-- comments -->, the place of a comment that has no end, or -1). Line breaks stay."""
    parts, start, opened = [], 0, -1
    while (place := text.find("<!--", start)) >= 0:
        end = text.find("-->", place + 4)
        if end < 0:
            opened = sum(map(len, parts)) + place - start
            break
        parts += [text[start:place], "\n" * text.count("\n", place, end)]
        start = end + 3
    return "".join([*parts, text[start:]]), opened


def _markdown_blocks(lines: list[str]) -> Iterator[Block]:
    start = _after_front_matter(lines)
    if title := next((line[6:].strip(" \"'") for line in lines[:start] if line.startswith("title:")), ""):
        yield Block(title, 1, heading=1)
    open_lines: list[str] = []  # of the paragraph
    first = number = start + 1

    def paragraph(heading: int = 0) -> Iterator[Block]:
        if open_lines:
            text = inline("\n".join(open_lines))
            yield Block(" ".join(text.split()) if heading else text, first, heading)
            open_lines.clear()

    lines = iter(enumerate(lines[start:], start + 1))
    for number, line in lines:
        if fence := _FENCE.match(line):
            yield from paragraph()
            yield from _fenced(lines, number, fence[1])
            continue
        line = line[quote.end() :] if (quote := _QUOTE.match(line)) else line
        if open_lines and (under := _UNDERLINE.match(line)):
            yield from paragraph(1 if "=" in under[1] else 2)
        elif (
            not line.strip() or _RULE.match(line) or _REFERENCE.match(line) or ("|" in line and _TABLE_RULE.match(line))
        ):
            yield from paragraph()
        elif heading := _HEADING.match(line):
            yield from paragraph()
            title = re.sub(r"(?:^|[ \t])#+[ \t]*$", "", line[heading.end() :])
            yield Block(" ".join(inline(title).split()), number, len(heading[1]))
        elif line.lstrip().startswith("|"):
            yield from paragraph()
            yield Block(
                inline(" | ".join(cell.strip() for cell in line.strip().strip("|").split("|"))), number, prose=False
            )
        else:
            item = _ITEM.match(line)
            if item:
                yield from paragraph()
            first = first if open_lines else number
            open_lines.append(line[item.end() :] if item else line.strip(" \t"))
    yield from paragraph()


def _after_front_matter(lines: list[str]) -> int:
    """The number of lines that a YAML head between two lines of `---` takes."""
    if not lines or lines[0].rstrip() != "---":
        return 0
    end = next((n for n, line in enumerate(lines[1:200], 1) if line.rstrip() in ("---", "...")), 0)
    return end + 1 if end and all(":" in line or line[:1] in (" ", "-", "#", "") for line in lines[1:end]) else 0


def _fenced(lines: Iterator[tuple[int, str]], number: int, fence: str) -> Iterator[Block]:
    """The code up to the closing fence, or to the end."""
    code: list[str] = []
    for _, line in lines:
        mark = line.strip()
        if mark.startswith(fence) and set(mark) == {fence[0]}:
            break
        code.append(line)
    yield Block("\n".join(code).strip("\n"), number, prose=False)
