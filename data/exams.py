"""Exams: multiple-choice questions (MMLU, WMDP, ARC, one's own) as rows whose answer is the letter of the right choice.

A row has `question`, `choices` (or `options`: a list, {"text": [...], "label": [...]}, or an object by letter) and
`answer` (or `answerKey`, `answer_index`): the number of the right choice from 0, its letter or label, or its text.
"""

from __future__ import annotations

import itertools
import json
import re
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data.columns import Example
from data.reading import read_examples
from data.values import RowFlaw, shown, text_flaw

EXAM = "exam_"  # the beginning of an exam's set name
NAMES = {"choices": ("choices", "options"), "answer": ("answer", "answerKey", "answer_index", "answer_letter")}
USED = ("question", *NAMES["choices"], *NAMES["answer"], "subject", "category")
ASKED = "Answer with the letter."


def read_exams(sources: Iterable[str], limit: int | None = None, notes: list[str] | None = None) -> dict[str, list]:
    """{exam_<file name>: its rows, at most `limit`} of files, folders or hub data sets. Raises DataError."""
    found: dict[str, list[Example]] = {}
    for source in sources:
        rows = read_examples(source, limit, ExamColumns)
        name = plain = set_name(source)
        numbers = itertools.count(2)
        while name in found:
            name = f"{plain}_{next(numbers)}"
        found[name] = list(rows)
        if notes is not None:
            notes += [f"{name}: {note}" for note in rows.notes]
    return found


def is_exam(split: str) -> bool:
    """Whether a set is an exam."""
    return split.startswith(EXAM)


def set_name(source: str) -> str:
    """exam_wmdp_bio for wmdp-bio.jsonl, exam_mmlu_all_test for cais/mmlu:all:test."""
    last = str(source).rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]
    plain = re.sub(r"\W+", "_", Path(last).stem.lower() if ":" not in last else last.lower()).strip("_")
    return EXAM + (plain or "exam")


class ExamColumns:
    """Turns the rows of one exam into examples; takes the place of `data.columns.Columns`."""

    cut, kind = 0, ""

    def __init__(self):
        self.unused: set[str] = set()
        self.renamed: dict[str, str] = {}

    def example(self, line: int, row: Any) -> Example:
        """The question with its lettered choices; the other letters are the wrong answers. Raises RowFlaw."""
        if not isinstance(row, dict):
            raise RowFlaw(f"an exam's row must be an object with question, choices and answer, found {shown(row)}")
        question, (texts, labels) = row.get("question"), _choices(_one_of(row, "choices"))
        if not isinstance(question, str) or text_flaw(question):
            raise RowFlaw(f"question is {shown(question)}, expected text")
        right = _right(_one_of(row, "answer"), texts, labels)
        self.unused.update(name for name in row if name not in USED)
        letters = string.ascii_uppercase[: len(texts)]
        listed = "\n".join(f"{letter}. {text.strip()}" for letter, text in zip(letters, texts))
        subject = next((row[name] for name in ("subject", "category") if isinstance(row.get(name), str)), None)
        return Example(
            answer=letters[right],
            prompt=f"{question.strip()}\n{listed}\n\n{ASKED}",
            perturbed_answer=tuple(letter for place, letter in enumerate(letters) if place != right),
            subject=subject or None,
            line=line,
        )


def _one_of(row: dict, what: str):
    given = [name for name in NAMES[what] if row.get(name) is not None]
    if len(given) != 1:
        found = ", ".join(shown(name) for name in list(row)[:20]) or "none"
        problem = f"several of {', '.join(given)}" if given else f"no {what}"
        raise RowFlaw(f"{problem}; an exam's row has question, choices and answer (columns found: {found})")
    return row[given[0]]


def _choices(value) -> tuple[list[str], list[str]]:
    """(texts, labels) of the choices; labels are their own, or the letters."""
    if isinstance(value, str):  # a cell of a table
        try:
            value = json.loads(value)
        except ValueError:
            raise RowFlaw(f"choices is {shown(value)}, expected a list (in a table as JSON)") from None
    labels = None
    if isinstance(value, dict):
        named = isinstance(value.get("text"), list) and isinstance(value.get("label"), list)
        value, labels = (value["text"], value["label"]) if named else (list(value.values()), list(value))
    if not isinstance(value, list):
        raise RowFlaw(f"choices is {shown(value)}, expected a list")
    texts = [str(text) if isinstance(text, (int, float)) and not isinstance(text, bool) else text for text in value]
    for text in texts:
        if not isinstance(text, str) or text_flaw(text):
            raise RowFlaw(f"a choice is {shown(text)}, expected text")
    if not 2 <= len(texts) <= len(string.ascii_uppercase):
        raise RowFlaw(f"{len(texts)} choices, expected 2 to {len(string.ascii_uppercase)}")
    if len({text.strip() for text in texts}) < len(texts):
        raise RowFlaw("two choices are the same, so the right one is not the only one")
    labels = list(string.ascii_uppercase[: len(texts)]) if labels is None else [str(label) for label in labels]
    if len(labels) != len(texts) or len(set(labels)) != len(labels):
        raise RowFlaw("choices need one label each, all different")
    return texts, labels


def _right(answer, texts: list[str], labels: list[str]) -> int:
    """The place of the right choice."""
    if isinstance(answer, float) and answer == int(answer):
        answer = int(answer)
    if isinstance(answer, int) and not isinstance(answer, bool):
        if not 0 <= answer < len(texts):
            hint = "; choices are counted from 0" if answer == len(texts) else ""
            raise RowFlaw(f"answer {answer}: there are {len(texts)} choices, numbered 0 to {len(texts) - 1}{hint}")
        return answer
    if not isinstance(answer, str):
        raise RowFlaw(f"answer is {shown(answer)}, expected the number, the letter or the text of a choice")
    plain = re.sub(r"^(\d+)\.0+$", r"\1", answer.strip())  # a table may hold its numbers as fractions
    stripped, letter = [text.strip() for text in texts], plain.strip("().").upper()
    readings = [known.index(name) for known, name in ((stripped, plain), (labels, letter)) if name in known]
    if not readings and plain.isdecimal() and int(plain) < len(texts):
        readings = [int(plain)]
    if not readings:
        raise RowFlaw(f"answer {shown(answer)} is none of the choices, by letter, number from 0 or text")
    if len(set(readings)) > 1:
        raise RowFlaw(f"answer {shown(answer)} is the text of one choice and the letter of another: give its number")
    return readings[0]
