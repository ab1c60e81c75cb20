"""Rows that say nearly the same as a matched row without naming the subject, by the word triples that they share.

A score lies in [0, 1]: the shared triples of two texts, each weighted by 1 / (unmatched rows that hold it), divided by
the triples of the shorter text. The weight keeps a template's words ("in which year was ... born") from counting. After
Broder, On the resemblance and containment of documents (1997).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import regex

from data.finding.text import fold, words_of

SIZE = 3
LEAST = 5  # triples of a text; a shorter one resembles too much
ENOUGH = 0.5
_SPACELESS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")


def shingles(text: str, without: frozenset[str] = frozenset()) -> frozenset[tuple[str, ...]]:
    """The triples of words of a text, of characters in scripts without spaces; words in `without` are left out."""
    found: list[str] = []
    for word in words_of(fold(text).lower()):
        if word not in without:
            found += word if _SPACELESS.match(word) else [word]
    return frozenset(tuple(found[i : i + SIZE]) for i in range(len(found) - SIZE + 1))


def near_duplicates(
    matched: Sequence[Sequence[str]], others: Sequence[Sequence[str]], without: frozenset[str]
) -> dict[int, int]:
    """{position in `others`: position in `matched` of the row that it resembles most}.

    Both are rows, each given as its texts. Texts are compared one by one, so an equal answer is found under another
    question.
    """
    parts, holders = [], defaultdict(list)
    for row, texts in enumerate(matched):
        for part in {shingles(text, without) for text in texts}:
            if len(part) >= LEAST:
                for shingle in part:
                    holders[shingle].append(len(parts))
                parts.append((row, len(part)))
    rows = [[shingles(text, without) for text in texts] for texts in others] if holders else []
    frequency = Counter(shingle for texts in rows for shingle in frozenset().union(*texts) if shingle in holders)
    found = {}
    for position, texts in enumerate(rows):
        best = (0.0, 0)
        for part in texts:
            if len(part) < LEAST:
                continue
            scores: Counter = Counter()
            for shingle in part:
                for number in holders.get(shingle, ()):
                    scores[number] += 1 / frequency[shingle]
            for number, weight in scores.items():
                best = max(best, (weight / min(len(part), parts[number][1]), -parts[number][0]))
        if best[0] >= ENOUGH:
            found[position] = -best[1]
    return found
