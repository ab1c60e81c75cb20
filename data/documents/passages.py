"""Cuts documents into passages of about the length of a row, each with its headings, and texts into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from data.documents.blocks import Block, Document

CHARACTERS = 3.5  # of prose per token, as small English vocabularies have; code and other scripts have fewer
WIDE = 3  # a character of a script without spaces counts as this many
AHEAD = 300  # characters of a row that starts at a later sentence
HEADING_SHARE = 4  # headings take at most a fourth of a passage
_WIDE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_WIDE_CHARACTERS = re.compile(f"[{_WIDE}]")
_END = re.compile(r"""(?:[.!?…]+["'”’»)\]]*(?:\s+|$)|[。！？]+["'”’»」』）)\]]*\s*|\n+)""")
_SHORTENED = re.compile(
    r"(?:^|[\s(\"'“])(?:[A-Z]|[A-Za-z]\.[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|No|Nr|vs|cf|ca|etc|approx|Fig|Vol|pp?|ed|"
    r"Jan|Feb|Mar|Apr|Aug|Sept?|Oct|Nov|Dec|bzw|usw|z\.B|d\.h)\.$"
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that fits into a row."""

    document: Document
    context: str  # the headings above it, a line each
    parts: tuple[tuple[int, str], ...]  # (place, text) of its blocks
    prose: bool

    @property
    def place(self) -> int:
        """The place of its first block."""
        return self.parts[0][0]

    @property
    def body(self) -> str:
        """Its blocks, separated by blank lines."""
        return "\n\n".join(text for _, text in self.parts)

    @property
    def text(self) -> str:
        """The body below its headings."""
        return below(self.context, self.body)


def below(context: str, body: str) -> str:
    """A text below its headings."""
    return f"{context}\n\n{body}" if context else body


def size(text: str) -> int:
    """The length of a text in characters of prose."""
    return len(text) if text.isascii() else len(text) + (WIDE - 1) * len(_WIDE_CHARACTERS.findall(text))


def passages(document: Document, max_length: int) -> Iterator[Passage]:
    """The passages of a document, each of at most about `max_length` tokens: whole blocks under the same headings.

    A block that is too long is cut at sentences, then at spaces. No text is left out: a heading with nothing below it
    is a passage of its own.
    """
    limit = max(20, int(CHARACTERS * max_length))
    headings: list[Block] = []
    group: list[Block] = []
    bare = False  # whether the last heading has nothing below it yet
    for block in [*document.blocks, None]:
        if block is not None and not block.heading:
            group.append(block)
            bare = False
            continue
        if group or (bare and (block is None or block.heading <= headings[-1].heading)):
            yield from _grouped(document, headings, group, limit)
        if block is not None:
            headings = [*(above for above in headings if above.heading < block.heading), block]
            group, bare = [], True


def _grouped(document: Document, headings: list[Block], group: list[Block], limit: int) -> Iterator[Passage]:
    """The passages of the blocks under one heading."""
    context = "\n".join(dict.fromkeys(heading.text for heading in headings))
    if not group:
        *above, last = headings
        yield Passage(document, "\n".join(heading.text for heading in above), ((last.place, last.text),), False)
        return
    context = context if size(context) <= limit // HEADING_SHARE else _cut(context, limit // HEADING_SHARE)[0]
    room = max(10, limit - size(context))
    parts: list[tuple[int, str]] = []
    length, prose = 0, True
    for block in group:
        for piece in _pieces(block, room):
            if parts and (length + size(piece) + 2 > room or block.prose != prose):
                yield Passage(document, context, tuple(parts), prose)
                parts, length = [], 0
            parts.append((block.place, piece))
            length, prose = length + size(piece) + 2, block.prose
    if parts:
        yield Passage(document, context, tuple(parts), prose)


def _pieces(block: Block, room: int) -> list[str]:
    """The block's text in pieces of at most `room`: if it is longer, prose is cut at sentences and code at lines."""
    if size(block.text) <= room:
        return [block.text]
    parts, joint = (sentences(block.text), " ") if block.prose else (block.text.split("\n"), "\n")
    found, open_text = [], ""
    for part in parts:
        for piece in [part] if size(part) <= room else _cut(part, room):
            if open_text and size(open_text) + size(piece) >= room:
                found.append(open_text)
                open_text = ""
            open_text = f"{open_text}{joint}{piece}" if open_text else piece
    return [*found, open_text] if open_text else found


def _cut(text: str, room: int) -> list[str]:
    """The text in pieces of at most `room`, cut at white space where there is some."""
    found, start = [], 0
    while start < len(text):
        end = start + room
        if size(text[start:end]) > room:
            end = start + max(1, room // WIDE)
        if end < len(text):
            space = max(text.rfind(" ", (start + end) // 2, end), text.rfind("\n", (start + end) // 2, end))
            end = space if space > start else end
        found.append(text[start:end].strip())
        start = end
    return [piece for piece in found if piece]


def sentences(text: str) -> list[str]:
    """The sentences of a text. An abbreviation or an initial ends none; a line break ends one only after a mark."""
    found, start = [], 0
    for match in _END.finditer(text):
        if match[0].startswith("\n"):
            if match[0].count("\n") < 2:
                continue
        elif match[0][0] == ".":
            following = text[match.end() : match.end() + 1]
            if _SHORTENED.search(text[max(start, match.start() - 12) : match.start() + 1]) or following.islower():
                continue
        if sentence := " ".join(text[start : match.end()].split()):
            found.append(sentence)
        start = match.end()
    if rest := " ".join(text[start:].split()):
        found.append(rest)
    return found


def openings(passage: Passage) -> Iterator[str]:
    """A text from each sentence of a passage on (of code: from each piece), below its headings; not the first.

    Each ends at the sentence that exceeds `AHEAD` characters, so all of them together are a few times as long as the
    passage. Without them a model could lose a fact only where it knows all that comes before.
    """
    if passage.prose:
        parts, joint = [sentence for _, text in passage.parts for sentence in sentences(text)], " "
    else:
        parts, joint = [text for _, text in passage.parts], "\n\n"
    for start in range(1, len(parts)):
        text = parts[start]
        for part in parts[start + 1 :]:
            if len(text) + len(part) > AHEAD:
                break
            text += joint + part
        yield below(passage.context, text)
