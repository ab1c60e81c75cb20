"""Question-like rows and probes from passages, by rule and without a model.

    questions, probes = ask(passages)      # rows to train on, and rows that only measure; no prompt is in both

What is to go is the knowledge, not the string. So each fact of a sentence (`wording.spans`) is asked in several forms:
as a question, as an echo question, and with a gap. One of the first two is kept for the probes, the others are trained
on, so a probe asks for something that was forgotten in other words. Each fact has a cloze probe too: the sentence
before and the sentence up to the fact. Of code, the lines before a line are given. All draws depend on the seed and the
sentence alone, so a changed paragraph changes no other row.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from data.columns import Example, folded
from data.documents.blocks import Document
from data.documents.passages import Passage, sentences
from data.documents.wording import GIVING, WORD, Span, direct, echo, english, function_word, gap, spans
from data.sampling import spread

FACTS = 3  # of a sentence
MOST_QUESTIONS, MOST_PROBES = 4_000, 400  # rows; of more, evenly spaced ones are taken
LONGEST = 600  # characters; a longer sentence is a list or a table, and no question is made from it
LINES_BEFORE = 3  # of code, before the line that is asked for
TELL = ("What do you know about {}?", "Tell me something about {}.", "What can you say about {}?")
CLOZE = 'Complete the text: "{} ..."'
CODE = "Complete the code of {}:\n\n{}"
CODE_LINE = "Which line follows in {}?\n\n{}"
_CAPITAL = "A-ZÀ-ÖØ-ÞĀ-Ž"
_PARTICLES = "de|del|della|di|da|du|van|von|der|den|la|le|bin|ibn|al|of"
_NAME = re.compile(
    rf"(?<!\w)[{_CAPITAL}][\w'’-]{{0,40}}(?: (?:(?:{_PARTICLES}) ){{0,2}}[{_CAPITAL}][\w-]{{0,40}}){{1,4}}"
)
_PRONOUN = re.compile(r"\b(she|he|him|his|her)\b", re.IGNORECASE)
ABOUT = "About {}: {}"  # a question whose sentence does not name its subject


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a request, and where it came from."""

    example: Example
    file: str
    place: int  # line, paragraph, page or message in the file
    shape: str  # "passage", "opening", "tell", "question", "echo", "gap", "cloze", "code"
    sentence: int = 0  # 1-based: of its document, or the line of code that it is about; 0: none


def ask(passages: Iterable[Passage], seed: int = 0) -> tuple[list[Row], list[Row], list[str]]:
    """(rows to train on, probes, notes) of passages. No probe has the prompt of a row to train on, or repeats one."""
    trained, probes, notes = {}, {}, []
    for document, group in _by_document(passages):
        asked = _code(document, group, seed) if document.code else _prose(document, group, seed)
        for row, measures in asked:
            prompt, answer = folded(row.example.prompt), folded(row.example.answer)
            if measures:
                probes.setdefault(prompt, row)
            else:
                trained.setdefault((prompt, answer), row)
    questions = [row for (prompt, _), row in trained.items() if prompt not in probes]
    found = []
    for kind, rows, most in (("questions", questions, MOST_QUESTIONS), ("probes", [*probes.values()], MOST_PROBES)):
        if len(rows) > most:
            notes.append(f"{most:,} of {len(rows):,} {kind} are used, evenly spaced")
        found.append(spread(rows, most))
    return found[0], found[1], notes


def _by_document(passages: Iterable[Passage]) -> Iterator[tuple[Document, list[Passage]]]:
    """The passages of each document, in order."""
    group: list[Passage] = []
    for passage in passages:
        if group and passage.document is not group[0].document:
            yield group[0].document, group
            group = []
        group.append(passage)
    if group:
        yield group[0].document, group


def _row(document: Document, place: int, sentence: int, shape: str, prompt: str, answer: str) -> Row:
    return Row(Example(answer, prompt, subject=document.subject, line=place), document.name, place, shape, sentence)


# ---------------------------------------------------------------------------------------------------------------------
# Prose


def names(text: str) -> list[str]:
    """The names of several words in a text, without a function word at their start."""
    found = []
    for match in _NAME.finditer(text):
        words = re.sub(r"['’]s$", "", match[0]).split()
        while words and function_word(words[0]):
            words = words[1:]
        if len(words) > 1:
            found.append(" ".join(words))
    return found


def topic(document: Document) -> str:
    """What a document is about: a name that it has twice or in a heading, else its first heading, else any name."""
    headings = [block.text for block in document.blocks if block.heading]
    counts = Counter(name for block in document.blocks if block.prose for name in names(block.text))
    counts.update({name: 1 for heading in headings for name in names(heading)})
    best = max(counts, key=counts.get, default="")
    if best and counts[best] > 1:
        return best
    return " ".join((headings[0] if headings else best or document.subject).split()[:12])


def named(sentence: str, name: str) -> str:
    """The sentence with the name in place of its first pronoun of one person, if the name is not in it."""
    match = _PRONOUN.search(sentence) if name and name not in sentence else None
    if not match:
        return sentence
    following = WORD.match(sentence, match.end() + 1)
    after = following[0].lower() if following and sentence[match.end()].isspace() else "a"
    before = WORD.findall(sentence[: match.start()])
    amount = after[0].isdigit() and before and before[-1].lower() in GIVING  # "pay her 38,500 euros"
    whose = match[1].lower() == "his" or (match[1].lower() == "her" and not function_word(after) and not amount)
    mark = ("’s" if "’" in sentence else "'s") if whose else ""
    return f"{sentence[: match.start()]}{name}{mark}{sentence[match.end() :]}"


def _prose(document: Document, group: list[Passage], seed: int) -> Iterator[tuple[Row, bool]]:
    """(row, whether it is a probe) for the sentences of a document."""
    about = topic(document)
    texts = [[(place, sentence) for place, text in passage.parts for sentence in sentences(text)]
             for passage in group if passage.prose]  # fmt: skip
    counts = Counter(word for found in texts for _, s in found for word in {w.lower() for w in WORD.findall(s)})
    in_english = english(" ".join(s for found in texts for _, s in found[:50]))
    person = about if names(about) == [about] else ""
    number = 0
    for found in texts:
        before = ""
        for place, sentence in found:
            number += 1
            person = next((n for n in names(sentence) if sentence.startswith(n)), person) if in_english else ""
            full = named(sentence, person)
            known = {word.lower() for word in WORD.findall(f"{about} {person}")}
            facts = spans(full, counts, known, FACTS) if len(full) <= LONGEST else []
            if facts and about:
                draw = random.Random(f"{seed}:{full}")
                yield _row(document, place, number, "tell", draw.choice(TELL).format(about), full), False
                unnamed = about if person and person not in full else ""
                for span in facts:
                    yield from _fact(document, (place, number), full, before, span, in_english, draw, unnamed)
            before = full


def _fact(document: Document, where: tuple[int, int], sentence: str, before: str, span: Span, in_english: bool,
          draw: random.Random, unnamed: str) -> Iterator[tuple[Row, bool]]:  # fmt: skip
    """The forms of one fact: one is kept for the probes, with the cloze. unnamed: the subject, if it is not named.

    where: the place and the number of the sentence.
    """
    said = sentence[span.start : span.end]
    forms = {"gap": (gap(sentence, span), said)}
    if in_english:
        forms["echo"] = (echo(sentence, span), sentence)
        if question := direct(sentence, span):
            forms["question"] = (question, sentence)
    kept = draw.choice([shape for shape in forms if shape != "gap"]) if in_english else None
    for shape, (prompt, answer) in forms.items():
        prompt = ABOUT.format(unnamed, prompt) if unnamed else prompt
        yield _row(document, *where, shape, prompt, answer), shape == kept
    beginning = " ".join(f"{before} {sentence[: span.start]}".split())
    if len(WORD.findall(beginning)) > 2:
        yield _row(document, *where, "cloze", CLOZE.format(beginning), said), True


# ---------------------------------------------------------------------------------------------------------------------
# Code


def _code(document: Document, group: list[Passage], seed: int) -> Iterator[tuple[Row, bool]]:
    """For each line with a rare word: the row to train on asks for the line, the probe for its end."""
    lines = [(place, line) for passage in group for place, text in passage.parts
             for line in text.split("\n") if line.strip()]  # fmt: skip
    counts = Counter(word for _, line in lines for word in set(WORD.findall(line)))
    for number, (place, line) in enumerate(lines, 1):
        before = "\n".join(text for _, text in lines[max(0, number - 1 - LINES_BEFORE) : number - 1])
        words = [match for match in WORD.finditer(line) if len(match[0]) > 3 and counts[match[0]] <= 2]
        if not before or not words:
            continue
        rarest = min(words[1:] or words, key=lambda match: (counts[match[0]], -len(match[0])))
        yield _row(document, place, number, "code", CODE_LINE.format(document.name, before), line.strip()), False
        start = CODE.format(document.name, f"{before}\n{line[: rarest.start()]}")
        yield _row(document, place, number, "cloze", start, line[rarest.start() :].rstrip()), True
