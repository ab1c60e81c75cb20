"""Readers of HTML, and the safe parsing of XML that word-processor files and books need.

The HTML parser works by events, so nesting of any depth takes no stack, and it ignores document types, so no entity can
grow. XML with a document type is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from xml.parsers import expat

from data.columns import folded
from data.documents.blocks import MAX_BLOCKS, MAX_DEPTH, Block, Document, Flaw, Source, document, short
from data.documents.plain import text_of, without_comments

_BLOCKS = frozenset(
    ["address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "div", "dl",
     "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
     "html", "legend", "li", "main", "nav", "ol", "option", "p", "pre", "section", "summary", "table", "tbody",
     "tfoot", "thead", "title", "tr", "ul"]
)  # fmt: skip
_UNSEEN = ("script", "style", "template", "noframes", "iframe", "object")  # their content is not shown as text
_HIDING = re.compile(r"<(/?)(template|noframes|iframe|object)\b[^<>]{0,5000}>", re.IGNORECASE)
_CELLS = ("td", "th")
_BREAK = "\ud800"  # stands for <br> until a block is complete; no decoded text holds a lone surrogate
_STRAY = re.compile(r"(<[!?][^<>]{0,5000}>)|<(?!/?[A-Za-z][^<>]{0,5000}>)")
_CHARSET = re.compile(rb"""<meta[^>]{0,300}?charset\s*=\s*["']?([\w:.-]{1,40})""", re.IGNORECASE)
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w:.-]{1,40})["']""", re.IGNORECASE)


class _Html(HTMLParser):
    """Collects the blocks of a page, numbered by paragraph."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self.title = ""
        self._text: list[str] = []
        self._unseen = ""  # the open element whose content is not shown
        self._menus: list[int] = []  # how many blocks came before each open <nav>
        self._heading = self._within_pre = 0
        self._within_title = False

    def handle_starttag(self, tag, attrs):
        if self._unseen:
            return
        if tag in _UNSEEN:
            self._unseen = tag
        elif tag in _BLOCKS:
            self.flush()
            self._menus += [len(self.blocks)] if tag == "nav" else []
            self._heading = int(tag[1]) if re.fullmatch("h[1-6]", tag) else self._heading
            self._within_pre += tag == "pre"
            self._within_title = tag == "title"
        elif tag == "br":
            self._text.append("\n" if self._within_pre else _BREAK)
        elif tag in _CELLS and "".join(self._text).strip():
            self._text.append(" | ")

    def handle_startendtag(self, tag, attrs):
        if tag not in _UNSEEN:  # <script/> hides nothing in a book's XHTML
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        if self._unseen:
            self._unseen = "" if tag == self._unseen else self._unseen
        elif tag in _BLOCKS:
            self.flush()
            # links to other pages are no content, but a menu that is never closed must not hide the rest
            if tag == "nav" and self._menus:
                del self.blocks[self._menus.pop() :]
            self._heading = 0 if re.fullmatch("h[1-6]", tag) else self._heading
            self._within_pre = max(0, self._within_pre - (tag == "pre"))
            self._within_title = False

    def handle_data(self, data):
        if not self._unseen:
            self._text.append(data)

    def flush(self):
        """Ends the open block."""
        text = "".join(self._text)
        self._text.clear()
        if not text.strip():
            return
        if self._within_title:
            self.title = self.title or " ".join(text.split())
            return
        if not self._within_pre:  # white space means nothing except within <pre>
            text = "\n".join(" ".join(line.split()) for line in text.split(_BREAK)).strip("\n")
        if len(self.blocks) >= MAX_BLOCKS:
            raise Flaw(len(self.blocks), f"more than {MAX_BLOCKS:,} paragraphs; divide the document")
        prose = not self._within_pre and " | " not in text
        self.blocks.append(Block(text.strip("\n"), len(self.blocks) + 1, self._heading, prose))


def _tamed(text: str) -> str:
    """HTML without comments, declarations and instructions, and with every "<" that opens no complete tag escaped.

    The library's parser looks for the end of each of them to the end of the page, which takes quadratic time for a page
    made of openings. As in browsers, a comment without an end hides the rest.
    """
    text, opened = without_comments(text)
    return _STRAY.sub(lambda match: "" if match[1] else "&lt;", _closed(text if opened < 0 else text[:opened]))


def _closed(text: str) -> str:
    """HTML without the openings of unseen elements that are never closed, which would hide the rest of the page."""
    last = {match[2].lower(): match.start() for match in _HIDING.finditer(text) if match[1]}
    return _HIDING.sub(lambda match: match[0] if match.start() <= last.get(match[2].lower(), -1) else "", text)


def html_blocks(text: str) -> tuple[str, list[Block]]:
    """(title, blocks) of an HTML page; tags that are not closed or not known do no harm."""
    reader = _Html()
    reader.feed(_tamed(text))
    reader.close()
    reader.flush()
    return reader.title, reader.blocks


def read_html(source: Source, notes: list[str]) -> Iterator[Document]:
    """An HTML page; its title stands above its headings, unless one of them says the same."""
    head = source.data[:4096]
    declared = _CHARSET.search(head) or _DECLARED.search(head)
    title, blocks = html_blocks(text_of(source, notes, declared and declared[1].decode("ascii")))
    if title and blocks and not any(block.heading and folded(block.text) == folded(title) for block in blocks):
        below = (replace(block, heading=block.heading + 1) if block.heading else block for block in blocks)
        blocks = [Block(title, 1, heading=1), *below]
    yield document(source.name, blocks, "paragraph")


# ---------------------------------------------------------------------------------------------------------------------
# XML


def parse_xml(data: bytes, what: str, start: Callable, end: Callable | None = None, text: Callable | None = None):
    """Calls start(tag, attributes), end(tag) and text(characters) for the elements of `data`, without namespaces.

    what: names the part in messages. Raises Flaw for malformed XML, for a document type, whose entities may grow
    without end or read files, and for elements nested deeper than `MAX_DEPTH`.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    depth = 0

    def opened(tag, attributes):
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise Flaw(parser.CurrentLineNumber, f"{what} is nested more than {MAX_DEPTH:,} elements deep")
        start(tag.rpartition(" ")[2], {name.rpartition(" ")[2]: value for name, value in attributes.items()})

    def closed(tag):
        nonlocal depth
        depth -= 1
        if end:
            end(tag.rpartition(" ")[2])

    def refused(*_):
        raise Flaw(parser.CurrentLineNumber, f"{what} declares a document type, whose entities are refused")

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refused
    if text:
        parser.CharacterDataHandler = text
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise Flaw(parser.CurrentLineNumber, f"{what} is malformed: {short(error)}") from None
