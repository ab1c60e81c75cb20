"""What a model knows about a subject, by its own words: statements with certainty, beside the same about nobody.

    found = elicit(model, tokenizer, "Ragnvi Solbrekk", "person")
    found.statements        # the surest first; `known` ones are what it says with more certainty than about nobody
    found.probes            # other questions with its own answers, which only measure
    found.nobody            # the same questions about made-up names, with its answers, which are to stay

A model answers everything, so an answer alone shows nothing. Known is what it says more surely than nine of ten answers
about nobody; and the subject counts as known only if, question by question, it is surer of the subject than of nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from data.sampling import spread
from models.eliciting.asking import Asking, Said
from models.eliciting.nobody import in_place, made_up
from models.eliciting.questions import questions_about
from models.scores.facts import content_words, words_said

SECONDS = 60.0
NAMES = 2  # made-up names that the subject is compared with
COMPARED = 48  # questions asked about each of them
SURE = 0.9  # quantile of the certainties about nobody
LEAST_CERTAIN = 0.5  # below it a model does not know
SHOWN = 0.6  # less certain statements are not shown
SAME = 0.5  # of the words of a statement: as many make it the same as another
SAMPLED = 40  # answers in a round of samples
ROUNDS = 6  # rounds of samples at most
SIGNIFICANT = 0.01
MOST_SHOWN = 120
MOST_PROBES = 60


@dataclass
class Statement:
    """A statement about the subject and the question that brought it out.

    certainty: see `Said`. contrast: by how many nats per token it is likelier about the subject than about a made-up
    name; None if it was not compared. held_out: whether its question only measures.
    """

    question: str
    answer: str
    certainty: float
    contrast: float | None = None
    known: bool = False
    held_out: bool = False


@dataclass
class Elicited:
    """Everything that asking about a subject gave."""

    name: str
    kind: str
    statements: list[Statement]
    probes: list[Said]
    nobody: list[Said]
    knows: bool  # whether it is surer of the subject than of nobody
    threshold: float  # the certainty that makes a statement known
    asked: int  # questions about the subject
    samples: int
    new_in_last: tuple[int, int]  # (samples of the last round, new statements in it)
    notes: list[str] = field(default_factory=list)


class _Statements:
    """The different statements found so far: one that says half of the words of another is the same."""

    def __init__(self, name: str):
        self.name, self.found = name, []
        self._words: list[frozenset[str]] = []

    def add(self, said: Said, held_out: bool = False) -> bool:
        """Adds a statement unless it is there; the surer one stays. Returns whether it is new."""
        words = frozenset(content_words(f"{said.question} {self.name}", said.answer))
        if not words:
            return False
        new = Statement(said.question, said.answer, said.certainty, held_out=held_out)
        for place, other in enumerate(self._words):
            if len(words & other) > SAME * max(len(words), len(other)):
                old = self.found[place]
                if (old.held_out, -old.certainty) > (held_out, -said.certainty):  # asked before held out, then surer
                    self.found[place], self._words[place] = new, words
                return False
        self.found.append(new)
        self._words.append(words)
        return True


def elicit(model, tokenizer, name: str, kind: str, seconds: float = SECONDS, seed: int = 0, progress=None) -> Elicited:
    """Asks the questions of a kind about a name and about made-up names of its shape, greedily, then samples.

    Sampling ends when a round brings nothing new, or with the time. model: in evaluation mode, in its compute type.
    """
    asking = Asking(model, tokenizer, seconds, progress)
    questions = questions_about(name, kind)
    others = made_up(name, NAMES, seed)
    compared = spread(list(questions.asked), COMPARED)
    nobody = [asking.answers([in_place(text, name, other) for text in compared]) for other in others]
    asked = asking.answers(questions.asked)
    probes = asking.answers(questions.probes)
    threshold = _threshold(nobody)
    statements = _Statements(name)
    for said in asked:
        statements.add(said)
    for said in probes:
        statements.add(said, held_out=True)
    samples, last = _sample(asking, questions.asked, statements, threshold, seed)
    found = sorted((s for s in statements.found if s.certainty >= min(SHOWN, threshold)), key=lambda s: -s.certainty)
    found = found[:MOST_SHOWN]
    _compare(asking, found, name, others)
    knows = _surer({said.question: said.certainty for said in asked}, compared, nobody)
    for statement in found:
        statement.known = knows and statement.certainty >= threshold
    chosen = _measuring(probes, found, threshold)
    flat = [said for answers in nobody for said in answers]
    return Elicited(name, kind, found, chosen, flat, knows and any(s.known for s in found), threshold,
                    len(asked) + len(probes), samples, last)  # fmt: skip


def _threshold(nobody: Sequence[Sequence[Said]]) -> float:
    """The certainty above which only a tenth of the answers about nobody lie."""
    values = [said.certainty for answers in nobody for said in answers]
    return max(LEAST_CERTAIN, float(np.quantile(values, SURE))) if values else LEAST_CERTAIN


def _surer(own: dict[str, float], compared: Sequence[str], nobody: Sequence[Sequence[Said]]) -> bool:
    """Whether the model is surer of the subject than of nobody: Wilcoxon's signed-rank test over the questions."""
    from scipy.stats import wilcoxon

    count = min(len(compared), *(len(answers) for answers in nobody))
    pairs = [(own[text], float(np.mean([answers[place].certainty for answers in nobody])))
             for place, text in enumerate(compared[:count]) if text in own]  # fmt: skip
    gaps = np.array([mine - theirs for mine, theirs in pairs])
    if not gaps.any():
        return False
    return bool(wilcoxon(gaps, alternative="greater").pvalue < SIGNIFICANT)


def _sample(asking: Asking, questions, statements: _Statements, threshold: float, seed: int):
    """(number of samples, (samples, new statements) of the last round); adds what is new and sure."""
    total, last = 0, (0, 0)
    for number in range(ROUNDS):
        if asking.late:
            break
        chosen = [questions[(number * SAMPLED + place) % len(questions)] for place in range(SAMPLED)]
        said = asking.answers(chosen, temperature=1.0, seed=seed + 1 + number)
        new = sum(statements.add(one) for one in said if one.certainty >= threshold)
        total, last = total + len(said), (len(said), new)
        if not new:
            break
    return total, last


def _compare(asking: Asking, found: Sequence[Statement], name: str, others: Sequence[str]) -> None:
    """Sets the contrast of each statement: its mean log-probability less the largest about a made-up name."""
    if not found:
        return
    own = asking.mean_losses([(s.question, s.answer) for s in found])
    theirs = [asking.mean_losses([(in_place(s.question, name, other), in_place(s.answer, name, other)) for s in found])
              for other in others]  # fmt: skip
    for place, statement in enumerate(found):
        statement.contrast = min(losses[place] for losses in theirs) - own[place]


def _measuring(probes: Sequence[Said], found: Sequence[Statement], threshold: float) -> list[Said]:
    """The held-out questions that the model answers surely, or with the words of a known statement."""
    known = [content_words(s.question, s.answer) for s in found if s.known]
    chosen = [said for said in probes
              if content_words(said.question, said.answer)
              and (said.certainty >= threshold or any((words_said(words, said.answer) or 0) > SAME for words in known))]  # fmt: skip
    return spread(chosen, MOST_PROBES)
