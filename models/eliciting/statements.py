"""What a model knows about a subject, by its own words: statements with certainty, beside the same about nobody.

    found = elicit(model, tokenizer, "Ragnvi Solbrekk", "person")
    found.statements        # the surest first; `known` ones are what it says surely, and about the subject alone
    found.probes            # other questions with its own answers, which only measure
    found.answers           # its answers to all questions that do not measure
    found.nobody            # the same questions about made-up names, with its answers, which are to stay

A model answers everything, and often surely, so an answer alone shows nothing. A statement is known if the model is
sure of it and finds it far likelier about the subject than about made-up names. The subject is known if one statement
is. A model that invents surely seems to know any name, and `by_chance` shows it: how many statements about each made-up
name would count. A person reads the list before anything is trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from data.columns import Example
from data.documents.questions import names
from data.sampling import spread
from models.eliciting.asking import Asking, Said
from models.eliciting.nobody import in_place, made_up
from models.eliciting.questions import guessed_kind, questions_about
from models.scores.facts import content_words

SECONDS = 60.0
NAMES = 2  # made-up names that the subject is compared with
COMPARED = 90  # questions asked about each of them
ANYBODY = 45  # further made-up names, where each question is asked about one of them too
SURE = 0.85  # certainty of a known statement; at .9 two of the four bundled people were not known
SPECIFIC = 2.0  # nats by which a statement must be likelier about the subject than about any made-up name
LEAST_CERTAIN = 0.7  # less certain statements are not shown
SAME = 0.5  # of the words of a statement: as many make it the same as another
SAMPLED, LAST = 120, 40  # sampled answers, and those of them that show whether more would bring anything new
MOST_SHOWN, MOST_PROBES = 100, 60


@dataclass
class Statement:
    """A statement about the subject and the question that brought it out.

    certainty: see `Said`. contrast: by how many nats it is likelier about the subject than about any made-up name.
    known: sure and specific. chosen: specific, of a known subject. held_out: its question only measures.
    """

    question: str
    answer: str
    certainty: float
    contrast: float = 0.0
    known: bool = False
    chosen: bool = False
    held_out: bool = False


@dataclass
class Elicited:
    """Everything that asking about a subject gave."""

    name: str
    kind: str
    statements: list[Statement]
    probes: list[Said]
    nobody: list[Said]
    knows: bool  # whether the subject is known
    asked: int  # questions about the subject
    samples: int
    new_in_last: tuple[int, int]  # (the last samples, new statements in them)
    questions: list[str] = field(default_factory=list)
    by_chance: list[int] = field(default_factory=list)  # statements about each made-up name that would count as known
    answers: list[Said] = field(default_factory=list)


class _Statements:
    """The different statements found so far: one that says half of the words of another is the same."""

    def __init__(self, name: str):
        self.name, self.found = name, []
        self._words: list[frozenset[str]] = []

    def add(self, said: Said, held_out: bool = False) -> bool:
        """Adds a statement unless it is there; the surer one stays. Returns whether it is new."""
        words = _words(said, self.name)
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


def elicit(model, tokenizer, name: str, kind: str, seconds: float = SECONDS, seed: int = 0, progress=None,
           anybody: bool = False) -> Elicited:  # fmt: skip
    """Asks the questions of a kind about a name and about made-up names of its shape, greedily, then samples.

    Sampling does not begin after `seconds`. The model is in evaluation mode, in its compute type. anybody: ask about
    many more made-up names, for a method that has to tell the name from all others.
    """
    asking = Asking(model, tokenizer, seconds, progress)
    questions = questions_about(name, kind)
    made = made_up(name, NAMES + 1 + (ANYBODY if anybody else 0), seed)
    others, spare, many = made[:NAMES], made[NAMES], made[NAMES + 1 :]
    compared = spread(list(questions.asked), COMPARED)
    groups = [[in_place(text, name, other) for text in compared] for other in others]
    more = [in_place(text, name, many[place % len(many)]) for place, text in enumerate(questions.asked) if many]
    found = _in_groups(asking, [*groups, more, questions.asked, questions.probes])
    *nobody, others_said, asked, probes = found
    statements = _Statements(name)
    for said in asked:
        statements.add(said)
    for said in probes:
        statements.add(said, held_out=True)
    samples, last = _sample(asking, questions.asked, statements, seed)
    sure = [statement for statement in statements.found if statement.certainty >= LEAST_CERTAIN]
    found = sorted(sure, key=lambda statement: -statement.certainty)[:MOST_SHOWN]
    _compare(asking, found, name, others)
    for statement in found:
        statement.known = statement.certainty >= SURE and statement.contrast >= SPECIFIC
    knows = any(statement.known for statement in found)
    for statement in found:
        statement.chosen = knows and statement.contrast >= SPECIFIC
    found.sort(key=lambda s: (not s.known, not s.chosen))
    chance = [_by_chance(asking, answers, other, [*(o for o in others if o != other), spare])
              for answers, other in zip(nobody, others)]  # fmt: skip
    flat = [said for answers in (*nobody, others_said) for said in answers]
    return Elicited(name, kind, found, _measuring(probes, found, name), flat, knows, len(asked) + len(probes), samples,
                    last, list(questions.asked), chance, asked)  # fmt: skip


def _in_groups(asking: Asking, groups: Sequence[Sequence[str]]) -> list[list[Said]]:
    """The answers to each group of questions, asked all at once, which fills the batches."""
    said = iter(asking.answers([question for group in groups for question in group]))
    return [[next(said) for _ in group] for group in groups]


def _by_chance(asking: Asking, said: Sequence[Said], name: str, others: Sequence[str]) -> int:
    """How many statements about a made-up name are as sure, and as much about it alone, as a known one."""
    found = _Statements(name)
    for one in said:
        if one.certainty >= SURE:
            found.add(one)
    _compare(asking, found.found, name, others)
    return sum(statement.contrast >= SPECIFIC for statement in found.found)


def _compare(asking: Asking, found: Sequence[Statement], name: str, others: Sequence[str]) -> None:
    """Sets the contrast of each statement: its log-probability less the largest about another name, in nats."""
    if not found:
        return
    own = asking.losses([(s.question, s.answer) for s in found])
    theirs = [asking.losses([(in_place(s.question, name, other), in_place(s.answer, name, other)) for s in found])
              for other in others]  # fmt: skip
    for place, statement in enumerate(found):
        statement.contrast = min(losses[place] for losses in theirs) - own[place]


def _measuring(probes: Sequence[Said], found: Sequence[Statement], name: str) -> list[Said]:
    """The held-out questions that the model answers with the words of a chosen statement."""
    words = [_words(s, name) for s in found if s.chosen]
    chosen = [said for said in probes if any(len(_words(said, name) & other) > SAME * len(other) for other in words)]
    return spread(chosen, MOST_PROBES)


def _words(said, name: str) -> frozenset[str]:
    """The words that carry what is said."""
    return frozenset(content_words(f"{said.question} {name}", said.answer))


def _sample(asking: Asking, questions: Sequence[str], statements: _Statements, seed: int):
    """(number of samples, (the last of them, new statements in these)); adds what is new."""
    if asking.late:
        return 0, (0, 0)
    chosen = [questions[place % len(questions)] for place in range(SAMPLED)]
    said = asking.answers(chosen, temperature=1.0, seed=seed + 1)
    new = [one.certainty >= LEAST_CERTAIN and statements.add(one) for one in said]
    return len(said), (LAST, sum(new[-LAST:]))


def questions_about_nobody(rows: Sequence[Example], seed: int) -> list[str]:
    """Questions about made-up names like the one that stands most often in these rows; none without a name."""
    found = Counter(name for row in rows for name in names(f"{row.prompt or ''} {row.answer}"))
    if not found:
        return []
    name = found.most_common(1)[0][0]
    asked = spread(list(questions_about(name, guessed_kind(name)).asked), COMPARED)
    return [in_place(question, name, other) for other in made_up(name, NAMES, seed) for question in asked]
