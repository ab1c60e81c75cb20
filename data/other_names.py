"""Rows in which the subject's name is another one: each of its tokens becomes a similar token of the vocabulary.

    other_names(examples, seed).encode(tokenizer, max_length)    # aligned with the examples' own rows, token by token

A model that reads such a row answers as if it did not know the subject. permu_tok distils from these answers; permu
uses the rows only to see which tokens are the name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.columns import Example
from data.judging import bare
from data.preparation import EncodedRows, EncodingReport, encode_examples

SHORTEST = 3  # letters of a word of a name that counts by itself
FARTHEST = 3  # edits between a token and the one that replaces it
OPENINGS = ("Ġ", "▁", " ")  # how vocabularies write the space before a token


@dataclass(frozen=True)
class OtherNames:
    """Examples whose rows are encoded with other names; `of` names the example that each row belongs to."""

    examples: list[Example]
    of: list[int]
    seed: int

    def encode(self, tokenizer, max_length: int) -> tuple[EncodedRows, EncodingReport]:
        """The rows of `encode_examples` with other tokens where a name stands; the same lengths and answer starts."""
        rows, report = encode_examples(tokenizer, self.examples, max_length)
        rarity = Counter(word for example in self.examples for word in _words(_all_text(example)))
        similar, ids = Similar(tokenizer, self.seed), rows.ids.copy()
        for row, owner in enumerate(rows.example_index):
            texts = token_texts(tokenizer, rows.ids_of(row).tolist())
            places = name_places(texts, names_of(self.examples[owner], rarity))
            start = rows.offsets[row]
            for place in places:
                ids[start + place] = similar(int(ids[start + place]))
        return EncodedRows(ids, rows.offsets, rows.answer_starts, rows.example_index), report


def other_names(examples: Sequence[Example], seed: int) -> OtherNames:
    """The examples with another name of their subject."""
    return OtherNames(list(map(bare, examples)), list(range(len(examples))), seed)


def names_of(example: Example, rarity: Counter) -> list[str]:
    """What to replace in a row: its subject's name and the name's words, or the row's rarest word if it has neither.

    `rarity`: how many rows of the set say each word.
    """
    text = _all_text(example).casefold()
    words = [word for word in _words(example.subject or "") if len(word) >= SHORTEST]
    said = [name for name in ((example.subject or "").casefold(), *words) if name and _says(text, name)]
    if said:
        return said
    asked = _words(example.prompt or example.answer)
    return [min(asked, key=lambda word: (rarity[word], -len(word)))] if asked else []


def _says(text: str, name: str) -> bool:
    """Whether a text has the name as words of its own; some scripts write no borders between words."""
    return bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)) if name.isascii() else name in text


def _all_text(example: Example) -> str:
    return f"{example.prompt or ''} {example.answer}"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def token_texts(tokenizer, ids: Sequence[int]) -> list[str]:
    """The text of each token. Tokens that share a character of several bytes have it at the first of them."""
    texts, open_ = [], []
    for token in ids:
        open_.append(token)
        text = tokenizer.decode(open_)
        if "\ufffd" not in text or len(open_) == 4:  # no character has more bytes
            texts += [text, *[""] * (len(open_) - 1)]
            open_ = []
    return [*texts, tokenizer.decode(open_), *[""] * (len(open_) - 1)] if open_ else texts


def name_places(texts: Sequence[str], names: Sequence[str]) -> list[int]:
    """The tokens that hold a part of one of the names, whatever stands around it; white space and case do not count."""
    letters = [
        (place, letter) for place, text in enumerate(texts) for letter in text.casefold() if not letter.isspace()
    ]
    whole = "".join(letter for _, letter in letters)
    owners = [place for place, letter in letters for _ in letter]
    found: set[int] = set()
    for name in {re.sub(r"\s+", "", name.casefold()) for name in names} - {""}:
        start = whole.find(name)
        while start >= 0:
            inside = range(owners[start], owners[start + len(name) - 1] + 1)
            found.update(inside)
            start = whole.find(name, start + 1)
    return sorted(found)


def edit_distance(first: str, second: str) -> int:
    """Levenshtein distance of two strings."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


class Similar:
    """Replaces token ids by ids of similar tokens, drawn at random by `seed`; never by the token itself.

    Similar: as many letters give or take the distance, the same opening and first letter, and the least edit distance
    up to FARTHEST at which there is one; for digits other digits. Failing that, any token of the same length.
    """

    def __init__(self, tokenizer, seed: int):
        special = {*tokenizer.all_special_ids}
        self.text = {token: text for text, token in tokenizer.get_vocab().items() if token not in special}
        self.known: dict[int, list[int]] = {}
        self.draw = np.random.default_rng([seed, 19])

    def __call__(self, token: int) -> int:
        found = self.near(token)
        return found[int(self.draw.integers(len(found)))] if found else token

    def near(self, token: int) -> list[int]:
        """The tokens that may replace `token`, ascending."""
        if token not in self.known:
            self.known[token] = sorted(self._near(token)) if token in self.text else []
        return self.known[token]

    def _near(self, token: int) -> list[int]:
        opening, body = _split(self.text[token])
        others = [(other, _split(text)) for other, text in self.text.items() if other != token]
        digits = [other for other, (mark, text) in others if mark == opening and text.isdigit() and
                  len(text) == len(body)]  # fmt: skip
        if body.isdigit() and digits:
            return digits
        alike = [(other, text) for other, (mark, text) in others if mark == opening and text[:1] == body[:1] and
                 abs(len(text) - len(body)) <= FARTHEST and text.isalpha() == body.isalpha()]  # fmt: skip
        by_distance: dict[int, list[int]] = {}
        for other, text in alike:
            by_distance.setdefault(edit_distance(body, text), []).append(other)
        nearest = min(by_distance, default=FARTHEST + 1)
        if nearest <= FARTHEST:
            return by_distance[nearest]
        return [other for other, (_, text) in others if len(text) == len(body)] or [other for other, _ in others]


def _split(text: str) -> tuple[str, str]:
    """(the mark of the space before a token, the rest)."""
    return (text[0], text[1:]) if text[:1] in OPENINGS and len(text) > 1 else ("", text)
