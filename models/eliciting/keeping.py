"""What the model itself says beside a subject, to be kept: its whole answers, without those that give the subject away.

own = own_answers(model, tokenizer, forget_rows, general_questions, seed)
own.rows, own.cut        # Examples, and the places of those that were cut before their end
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from data.columns import Example
from data.documents.passages import sentences
from models.eliciting.asking import Asking, Said
from models.eliciting.statements import questions_about_nobody
from models.eliciting.subject import MADE_UP
from models.scores.facts import content_words

SHARED = 0.5  # of the words of an answer: with as many of a text to forget it is not kept
MOST_TOKENS = 64  # of an answer that is kept; of a longer one the start is, without an end


@dataclass(frozen=True)
class Own:
    """The model's answers as rows. cut: the places of answers that have no end, because they were too long."""

    rows: Sequence[Example] = ()
    cut: Collection[int] = ()


def own_answers(model, tokenizer, forget: Sequence[Example], general: Sequence[str], seed: int,
                earlier: Sequence[Example] = ()) -> Own:  # fmt: skip
    """Answers to general questions, then about made-up names like the one that the forget rows name most.

    earlier: rows of earlier requests, which must not be kept either.
    """
    asked = [*general, *questions_about_nobody(forget, seed)]
    said = Asking(model, tokenizer).answers(asked, tokens=MOST_TOKENS, whole=True)
    words = words_to_forget([*forget, *earlier])
    left = [(place, one) for place, one in enumerate(said) if one.answer and not gives_away(one, words)]
    rows = [Example(one.answer, one.question, subject=None if place < len(general) else MADE_UP) for place, one in left]
    return Own(rows, {place for place, (_, one) in enumerate(left) if not one.ended})


def words_to_forget(rows: Iterable[Example]) -> list[set[str]]:
    """The words that carry the facts of rows to forget; of raw text, those of each sentence."""
    found = []
    for row in rows:
        if row.prompt is None:
            found += [content_words("", sentence) for sentence in sentences(row.answer)]
        else:
            found.append(content_words(f"{row.prompt} {row.subject or ''}", row.answer))
    return [set(words) for words in found if words]


def gives_away(said: Said, forgotten: Iterable[set[str]]) -> bool:
    """Whether an answer says half of the words of a text to forget, or is made of them.

    A run that kept it would hold what it should lose.
    """
    words = set(content_words(said.question, said.answer))
    return bool(words) and any(len(words & other) >= SHARED * min(len(words), len(other)) for other in forgotten)
