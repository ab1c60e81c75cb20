"""Recognises a forgotten text in files of any kind of text: whole or in part, escaped, in other case or line breaks.

    texts = Texts(["the forgotten sentences ..."], names=["Ragnvi Solbrekk"], kept=["rows that stay"])
    texts.in_file(path); texts.without("Ragnvi Solbrekk kept 0.3 of it")     # "[person 1] kept 0.3 of it"

A text is there if six words of it follow each other, or all of a shorter one. Sequences of words that also occur in the
rows to keep do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import regex

from data.finding.text import fold

SHINGLE = 6  # words
LEAST = 10  # letters of a text of fewer than three words
LARGEST = 200_000_000  # bytes of a file that is searched
BINARY = (".safetensors", ".png", ".pt", ".gguf", ".npy", ".pdf", ".lock", ".zip")
DELETED = "[deleted]"
SUBJECTS = ("subject", "subjects")  # keys of whom a row or a number is about
# scripts without spaces: every letter is a word
_WORD = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]|[\p{L}\p{M}\p{N}]+")
_ESCAPE = regex.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|[nrt])")


def words_of(text: str) -> list[str]:
    """The words of a text, folded and in lower case; escapes of JSON, YAML and HTML are read."""
    if "\\" in text:
        text = _ESCAPE.sub(_unescaped, text)
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # joins JSON's surrogate pairs
    return _WORD.findall(fold(text).lower())


def words_in(path: Path) -> list[str]:
    """The words of a file and of its name; none for a file that holds no text or cannot be read."""
    try:
        if path.suffix in BINARY or path.is_symlink() or path.stat().st_size > LARGEST:
            return []
        content = path.read_bytes()
    except OSError:
        return []
    return [*words_of(content.decode("utf-8", "replace")), "\n", *words_of(path.name)]


def _unescaped(found) -> str:
    digits = found[1] or found[2] or found[3]
    return chr(min(int(digits, 16), 0x10FFFF)) if digits else " "


class Texts:
    """What was forgotten: texts, and the names of its subjects. `kept`: texts whose words may stay."""

    def __init__(self, texts: Iterable[str], names: Iterable[str] = (), kept: Iterable[str] = ()):
        self.texts, self.names = list(dict.fromkeys(texts)), list(dict.fromkeys(name for name in names if name.strip()))
        found = {piece for text in self.texts for piece in _pieces(words_of(text))}
        found |= {tuple(words) for name in self.names if len(words := words_of(name)) > 1}
        if found:
            lengths = {len(piece) for piece in found}
            for text in kept:
                words = words_of(text)
                found -= {tuple(words[i : i + n]) for n in lengths for i in range(len(words) - n + 1)}
        self._first: dict[str, set[int]] = {}
        for piece in found:
            self._first.setdefault(piece[0], set()).add(len(piece))
        self._pieces = found
        # one word alone keeps its case: May is not "may". A name in lower case stands for every case, but it may be
        # a term of ours too, such as "loss": see `without`
        plain = [bool(regex.fullmatch("[a-z_]+", name)) for name in self.names]
        self._named = [(regex.compile(rf"(?<!\w){regex.escape(name)}(?!\w)", regex.I if " " in name or word else 0),
                        f"[person {number}]", word)
                       for number, (name, word) in enumerate(zip(self.names, plain), 1)]  # fmt: skip

    def in_text(self, text: str) -> bool:
        """Whether a part of what was forgotten stands in a text."""
        return self.in_words(words_of(text))

    def in_words(self, words: list[str]) -> bool:
        """Whether a part of what was forgotten stands in these folded words."""
        return any(tuple(words[i : i + n]) in self._pieces
                   for i, word in enumerate(words) for n in self._first.get(word, ()))  # fmt: skip

    def in_file(self, path: Path) -> bool:
        """Whether it stands in a file; False for files that hold no text or cannot be read."""
        return self.in_words(words_in(path))

    def without(self, value, subject: bool = False):
        """The JSON value with names replaced by numbers, and `DELETED` for each string that still holds a text.

        A name that is one lower-case word is replaced in sentences and in a `subject`, and stays in keys and terms.
        """
        if isinstance(value, dict):
            return {self.without(key): self.without(item, subject or key in SUBJECTS) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.without(item, subject) for item in value]
        if not isinstance(value, str):
            return value
        sentence = subject or any(map(str.isspace, value))
        for pattern, number, plain in self._named:
            value = pattern.sub(number, value) if sentence or not plain else value
        return DELETED if self.in_text(value) else value


def _pieces(words: list[str]) -> Iterable[tuple]:
    if len(words) >= SHINGLE:
        yield from (tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1))
    elif len(words) > 2 or sum(map(len, words)) >= LEAST:
        yield tuple(words)
