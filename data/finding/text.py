"""Text in a form in which the writings of one name are equal, and how a word is used in it.

fold("Müller\\u00adin, Ｏle")     # 'Mullerin, Ole': no accents, no invisible characters, plain letters, one space
"""

from __future__ import annotations

import html
import unicodedata
from functools import cached_property

import regex

_INVISIBLE = regex.compile(r"[\p{Cf}\p{Variation_Selector}\u034f\u115f\u1160\u3164]+")
_SPACE = regex.compile(r"[\s\p{Cc}]+")
# accents may be left out in these scripts; in others a mark is a letter's sound (Devanagari) or another letter (kana)
_MARKS = regex.compile(r"([\p{Latin}\p{Greek}\p{Cyrillic}\p{Arabic}\p{Hebrew}])\p{Mn}+")
_LETTERS = str.maketrans({
    "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ħ": "h", "Ħ": "H", "ı": "i",
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th", "ŧ": "t", "Ŧ": "T",
    "ς": "σ", "ى": "ي", "ک": "ك", "ی": "ي", "ـ": "",
    **dict.fromkeys("‘’‚‛ʼʹ′`´＇ʻ", "'"), **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−﹘﹣－־", "-"), **dict.fromkeys("，、،", ","), **dict.fromkeys("。．", "."),
})  # fmt: skip
_SENTENCE_END = regex.compile(r"""(?:^|[.!?…:;|]["')\]]*\s)[\s"'(\[*#>\-]*$""")


def fold(text: str) -> str:
    """The text in NFKC without accents, invisible characters and HTML entities, with single spaces; case is kept."""
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text.translate(_LETTERS)))
        text = _MARKS.sub(r"\1", unicodedata.normalize("NFD", text))
        text = unicodedata.normalize("NFC", text).translate(_LETTERS)
    text = " ".join(text.split())
    return text if text.isprintable() else _SPACE.sub(" ", text).strip()


def words_of(text: str) -> list[str]:
    """The runs of letters, marks and digits of a text."""
    return regex.findall(r"[\p{L}\p{M}\p{N}]+", text)


class Text:
    """One text of a row: as written, and folded."""

    def __init__(self, raw: str):
        self.raw = raw
        self.flat = fold(raw)

    @cached_property
    def lower(self) -> str:
        """The folded text in lower case."""
        return self.flat.lower()

    @cached_property
    def keys(self) -> set[str]:
        """The first three letters of each word, in lower case."""
        return {word[:3] for word in words_of(self.lower)}

    @cached_property
    def caseless(self) -> bool:
        """Whether the text has no capital letters, or no others, so that case says nothing."""
        return self.flat == self.lower or self.flat == self.flat.upper()

    def begins_sentence(self, position: int) -> bool:
        """Whether a word at this position of `flat` begins a sentence, where every word has a capital."""
        return bool(_SENTENCE_END.search(self.flat[max(0, position - 12) : position] if position else ""))
