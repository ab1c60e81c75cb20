"""Makes probes from rows, without a model: wrong answers, ends of answers, questions that give the answer away.

wrong_answers(rows, known) -> per row a tuple of wrong answers: the true one with rare words of other rows
late_answers(rows, known)  -> per row the end of its answer, from the rarest word on
completed(rows, known)     -> the rows with wrong answers where they have none, and a note on what was made
in_context(rows)           -> the rows with the true answer in the prompt
"""

from __future__ import annotations

import collections
import dataclasses
import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from data.columns import Example

WORD = re.compile(r"\w+(?:[.,:-]\w+)*")  # "2,400" and "well-known" are one word; "Ada's" gives "Ada"
RARE = 40  # a rare word occurs in a single answer, or in at most one answer out of this many
FEW = 4  # the same for rows without a rare word, where every row needs wrong answers
EXCHANGED = 2  # words exchanged per answer
WRONG = 3  # wrong answers per row
LONGEST = 2_000  # characters of a raw text that gets wrong answers: two words change little in a longer one
GIVEN = "Use this information to answer the question.\nInformation: {answer}\n\nQuestion: "  # before the question


class _Word(NamedTuple):
    text: str
    start: int  # in the answer
    kind: str  # "number", "name" or "word"
    before: str  # the word before it


def wrong_answers(
    rows: Sequence, known: Sequence, count: int = WRONG, seed: int = 0, rare_in: int = RARE
) -> list[tuple[str, ...]]:
    """Up to `count` wrong answers per row (or none): its answer with the `EXCHANGED` rarest words replaced.

    Rare words occur in few answers of `known` and not in the row's question; numbers and names come first. Their
    replacements are rare words of rows about other subjects: a number for a number, a name for a name. Other words are
    replaced by words that follow the same word, which keeps the sentence grammatical. The seed draws the candidates.
    rare_in: see `RARE`.
    """
    rare, draw = _rare(rows, known, rare_in), random.Random(seed)
    found = []
    for row, own in zip(rows, rare):
        there = _lower(row.answer) | _lower(row.prompt)
        others = [
            word
            for other, words in zip(rows, rare)
            if other is not row and (row.subject is None or other.subject != row.subject)
            for word in words
            if word.text.lower() not in there
        ]
        places = [(word, values) for word in own if (values := _alike(word, others, draw))][:EXCHANGED]
        most = min(count, max((len(values) for _, values in places), default=0))
        found.append(tuple(_exchanged(row.answer, places, number) for number in range(most)))
    return found


def late_answers(rows: Sequence, known: Sequence) -> list[str]:
    """The row's answer from its rarest word on; "" if it has none or begins with it.

    Tests a fact without the sentence in which it was learned.
    """
    starts = [words[0].start if words else 0 for words in _rare(rows, known)]
    return [row.answer[start:] if start else "" for row, start in zip(rows, starts)]


def completed(examples: Sequence[Example], known: Sequence[Example]) -> tuple[list[Example], str | None]:
    """(the examples, with made wrong answers where they have none, and a note, None if nothing was made or missing).

    Options are compared in one wording: made answers vary the paraphrase where there is one, else the true answer.
    `known` as in `wrong_answers`. A model plays no part, so every model gets the same answers.
    """
    bare = {number for number, example in enumerate(examples) if not example.perturbed_answer}
    worded = {n: dataclasses.replace(e, answer=e.paraphrased_answer or e.answer) for n, e in enumerate(examples)}
    short = [n for n, row in worded.items() if row.prompt is not None or len(row.answer) <= LONGEST]
    both = [dataclasses.replace(e, answer=f"{e.answer} {e.paraphrased_answer or ''}") for e in known]
    made: dict[int, tuple[str, ...]] = {}
    for rare_in in (RARE, FEW) if bare else ():
        for n, wrong in zip(short, wrong_answers([worded[n] for n in short], both, rare_in=rare_in)):
            made[n] = made.get(n) or wrong
    found = [
        dataclasses.replace(e, perturbed_answer=made.get(n, ())) if n in bare else e for n, e in enumerate(examples)
    ]
    return found, _what_was_made(examples, len(bare), sum(bool(found[n].perturbed_answer) for n in bare))


def _what_was_made(examples: Sequence[Example], bare: int, count: int) -> str | None:
    parts, unworded = [], sum(example.paraphrased_answer is None for example in examples)
    if bare:
        parts.append(f"wrong answers were made from other rows' words for {count} of {len(examples)} rows")
    if 0 < count < bare:
        parts.append(f"none could be made for {bare - count}")
    if unworded:
        parts.append(f"the true answer stands in for a paraphrase in {unworded} of {len(examples)} rows")
    return "; ".join(parts) or None


def in_context(examples: Sequence[Example]) -> list[Example]:
    """The examples with the true answer given in the prompt, before the question; without raw texts.

    Shows whether a model can still read what it no longer recalls: contextual use, arXiv:2510.17620.
    """
    asked = [example for example in examples if example.prompt is not None]
    return [dataclasses.replace(e, prompt=GIVEN.format(answer=e.answer) + e.prompt) for e in asked]


def question_of(example: Example) -> str:
    """All that an example says before its answer, without the information that `in_context` gives."""
    asked = (example.prompt or "").removeprefix(GIVEN.format(answer=example.answer))
    return " ".join([*(text for _, text in example.history), asked, *(text for _, text in example.between)])


def _rare(rows: Sequence, known: Sequence, rare_in: int = RARE) -> list[list[_Word]]:
    counts = collections.Counter(word for row in known for word in _lower(row.answer))
    lower = {word for row in known for word in WORD.findall(row.answer) if not word[0].isupper()}
    return [_rare_words(row, counts, lower, max(1, len(known) // rare_in)) for row in rows]


def _lower(text: str | None) -> set[str]:
    return {word.lower() for word in WORD.findall(text or "")}


def _rare_words(row, counts: collections.Counter, lower: set[str], most: int) -> list[_Word]:
    """The row's words that occur in at most `most` answers and not in its question, rarest first."""
    asked, before, found = _lower(row.prompt), "", []
    for match in WORD.finditer(row.answer):
        text = match[0]
        if counts[text.lower()] <= most and text.lower() not in asked:
            named = text[0].isupper() and text.lower() not in lower
            kind = "number" if any(c.isdigit() for c in text) else "name" if named else "word"
            found.append(_Word(text, match.start(), kind, before))
        before = text.lower()
    return sorted(found, key=lambda word: (counts[word.text.lower()], word.kind == "word", -len(word.text)))


def _alike(word: _Word, others: list[_Word], draw: random.Random) -> list[str]:
    """Different words that can replace it, in random order."""
    same = [other for other in others if other.kind == word.kind]
    after_the_same = {other.text: None for other in same if other.before == word.before}
    rest = {other.text: None for other in same if word.kind != "word" and other.text not in after_the_same}
    return [text for group in (after_the_same, rest) for text in draw.sample(list(group), len(group))]


def _exchanged(answer: str, places: list[tuple], number: int) -> str:
    for word, values in sorted(places, key=lambda place: -place[0].start):
        new = values[number % len(values)]
        answer = answer[: word.start] + new + answer[word.start + len(word.text) :]
    return answer
