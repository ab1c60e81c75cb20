"""Readers of single mails (.eml) and mailboxes (.mbox). A mail is a document; its subject line is its subject.

The mailbox is divided here: the library's reader needs a file on the disk, and an entry of an archive is none.
"""

from __future__ import annotations

import email
import email.header
import email.policy
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message

from data.documents.blocks import MAX_MESSAGES, Block, Document, Flaw, Source, cleaned, document
from data.documents.markup import html_blocks
from data.documents.plain import decoded, paragraphs

_HEAD = ("From", "To", "Cc", "Date")  # lines of a mail's head that are text to forget too; its subject is a heading
# A line that begins a mail: after "From " a sender and a date, or one word and then a line of a head. Other lines that
# begin with "From " are text, although they should have been written as ">From ".
_DATE = rb"[^\r\n]{0,200}\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b[^\r\n]{0,40}\d:\d\d[^\r\n]*"
_FIELD = rb"(?:From|To|Cc|Subject|Date|Sender|Received|Return-Path|Delivered-To|Message-ID|MIME-Version|X-[\w-]+):"
_START = re.compile(rb"(?:\A|(?<=\n)\r?\n)From (?:\S" + _DATE + rb"\r?\n|\S+[ \t]*\r?\n(?=(?i:" + _FIELD + rb")))")
_MOST_PARTS = 1000
_PLAIN_SHARE = 0.25  # of the letters of a page: a plain text with fewer only says that there is a page


def read_mail(source: Source, notes: list[str]) -> Iterator[Document]:
    """The document of one .eml file."""
    yield _message(source.data, source.name, 0, notes)


def read_mailbox(source: Source, notes: list[str]) -> Iterator[Document]:
    """A document per mail of an .mbox file. Raises Flaw with the number of the mail."""
    starts = list(_START.finditer(source.data))
    if not starts or starts[0].start():
        raise Flaw(1, "no mails: in a mailbox file each mail begins with a line 'From '")
    if len(starts) > MAX_MESSAGES:
        raise Flaw(MAX_MESSAGES + 1, f"holds {len(starts):,} mails; at most {MAX_MESSAGES:,} are read: divide it")
    ends = [start.start() for start in starts[1:]] + [len(source.data)]
    found = 0
    for number, (start, end) in enumerate(zip(starts, ends), 1):
        data = re.sub(rb"(?m)^>(>*From )", rb"\1", source.data[start.end() : end])
        try:
            read = _message(data, source.name, number, notes)
        except Flaw as flaw:
            raise Flaw(number, f"mail {number}: {flaw}") from None
        found += bool(read.blocks)
        yield read
    if not found:
        raise Flaw(1, "none of its mails holds a text")


def _message(data: bytes, name: str, number: int, notes: list[str]) -> Document:
    """One mail as a document; `number` is its place in a mailbox, 0 for a file of its own."""
    where = f"{name}, mail {number}" if number else name
    try:
        message = email.message_from_bytes(data, policy=email.policy.compat32)
        if sum(1 for _ in itertools.islice(message.walk(), _MOST_PARTS + 2)) > _MOST_PARTS + 1:
            raise Flaw(1, f"holds more than {_MOST_PARTS:,} parts")
        body = _body(message, where)
    except (RecursionError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise Flaw(1, f"not a readable mail: {type(error).__name__}") from None
    if not any(message.get(field) for field in (*_HEAD, "Subject", "Message-ID")):
        raise Flaw(1, "not a mail: it has no lines such as From: and Subject:")
    subject = _header(message, "Subject")
    head = "\n".join(f"{field}: {value}" for field in _HEAD if (value := _header(message, field)))
    blocks = [Block(subject, number or 1, heading=1), Block(head, number or 1, prose=False)]
    blocks += [
        Block(block.text, number or place, block.heading, block.prose) for place, block in enumerate(body.blocks, 1)
    ]
    notes += body.notes
    if body.left:
        more = "s" if body.left > 1 else ""
        notes.append(f"{where}: {body.left} attachment{more} not read; give them as files of their own")
    return document(name, blocks if body.blocks else [], "message" if number else "paragraph", subject=subject)


@dataclass
class _Body:
    """What a mail or a part of it says, remarks on that, and how many parts are attachments."""

    blocks: list[Block] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left: int = 0

    @property
    def size(self) -> int:
        """How many letters and marks it has."""
        return sum(len("".join(block.text.split())) for block in self.blocks)


def _body(part: Message, where: str) -> _Body:
    """A part with all parts in it that hold text. Of alternatives, which say the same, only one is read."""
    kind = part.get_content_type()
    if part.is_multipart():
        inner = [(one, _body(one, where)) for one in part.get_payload()]
        left = sum(found.left for _, found in inner)
        if kind == "multipart/alternative":
            inner = [(one, found) for one, found in inner if found.blocks]
            inner.sort(key=lambda pair: pair[0].get_content_type() != "text/plain")
            most = max((found.size for _, found in inner), default=0)
            inner = [pair for pair in inner if pair[1].size >= _PLAIN_SHARE * most][:1]
        blocks, notes = ([item for _, found in inner for item in getattr(found, name)] for name in ("blocks", "notes"))
        return _Body(blocks, notes, left)
    if part.get_content_disposition() == "attachment" or kind not in ("text/plain", "text/html"):
        return _Body(left=1)
    notes: list[str] = []
    return _Body(_part_blocks(part, where, notes), notes)


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _part_blocks(part: Message, where: str, notes: list[str]) -> list[Block]:
    """The blocks of one part; an unknown or wrong charset is no reason to refuse a mail, so UTF-8 and Windows-1252 are
    tried."""
    data = _bytes(part).replace(b"\0", b"")
    try:
        text, _ = decoded(data, part.get_content_charset())
    except Flaw:
        text, note = decoded(data)
        notes += [f"{where}: {note}"] if note else []
    if part.get_content_type() == "text/html":
        return html_blocks(text)[1]
    return [Block(paragraph, line) for line, paragraph in paragraphs(text.split("\n"))]


def _header(message: Message, name: str) -> str:
    """A line of the head, decoded."""
    value = message.get(name)
    if value is None:
        return ""
    try:
        text = str(email.header.make_header(email.header.decode_header(value)))
    except (ValueError, LookupError, TypeError, AttributeError):
        text = str(value)
    return " ".join(cleaned(text.encode("utf-8", "replace").decode("utf-8")).split())
