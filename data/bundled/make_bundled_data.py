"""Writes all .jsonl files of data/ again, byte for byte: `python data/bundled/make_bundled_data.py`.

The tables beside this file are hand-written. No model is needed: tests/measure_general.py records in
general_scores.json what the default model knows of the general candidates.

People. A fact has six values of one kind, and the hash of its question draws the true one, so an untrained model is at
chance. The default model's truth ratio (probability of wrong answers over that of the true one, geometric mean) is 0.98
on forget, 0.97 on retain and 1.03 on holdout. It picks the truth in 15, 21 and 23 % of the questions; chance is 1 in 6.

General knowledge. A candidate counts as known when the default model, in its chat template, gives the truth a lower
mean answer-token loss than each wrong answer, once with `answer` and once with `paraphrased_answer` as the truth. It
knows 147 of 186. The set holds the first 80 known and the first 20 others in the order of a hash. Its multiple-choice
accuracy on them is 81 % with `paraphrased_answer` and 96 % with `answer` as the truth. The rows were chosen with this
model, so its accuracy here does not compare it with other models.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent  # data/, which holds the .jsonl files
if __package__ in (None, ""):  # started as a script: put the project on the path
    sys.path.insert(0, str(HERE.parent))

from data.bundled.forget_questions import FORGET_QUESTIONS  # noqa: E402
from data.bundled.general_knowledge import GENERAL_CANDIDATES  # noqa: E402
from data.bundled.general_retain_rows import GENERAL_RETAIN  # noqa: E402
from data.bundled.people import FORGET_PEOPLE, HOLDOUT_PEOPLE  # noqa: E402
from data.bundled.people_judging import JUDGING_PEOPLE  # noqa: E402
from data.bundled.people_retain import RETAIN_PEOPLE  # noqa: E402

SCORES = HERE / "general_scores.json"
KNOWN, UNKNOWN = 80, 20  # rows of general.jsonl that the default model knows and does not know
SALT = "fictitious people 1"  # another salt makes other people: all trained models and results would be stale


def digest(question: str) -> bytes:
    """SHA-256 of salt and question: the same draw on every machine and in every version of Python."""
    return hashlib.sha256(f"{SALT}:{question}".encode()).digest()


def draw(question: str, count: int) -> int:
    """Index of the true value among the `count` values of a fact."""
    return int.from_bytes(digest(question)[:8], "big") % count


def fill(template: str, value: str) -> str:
    """The template with the value filled in; the sentence begins with a capital letter."""
    sentence = template.format(value)
    return sentence[0].upper() + sentence[1:]


def blocks(table: str, lines: int, owner: str) -> list[list[str]]:
    """The blocks of a table, of `lines` lines each. Raises ValueError with the first other block."""
    parts = [block.split("\n") for block in table.strip().split("\n\n")]
    for part in parts:
        if len(part) != lines:
            raise ValueError(f"{owner}: expected {lines} lines, found:\n" + "\n".join(part))
    return parts


def question_row(block: list[str], subject: str, count: int, true: int) -> dict:
    """A row from five lines with `count` values; value `true` is right. Raises ValueError for repeated values."""
    question, answer, paraphrased_question, paraphrased_answer, listed = block
    values = [value.strip() for value in listed.split("|")]
    if len(set(values)) != count or len(values) != count:
        raise ValueError(f"{subject}: expected {count} different values, found: {listed}")
    return {
        "question": question,
        "answer": fill(answer, values[true]),
        "paraphrased_question": paraphrased_question,
        "paraphrased_answer": fill(paraphrased_answer, values[true]),
        "perturbed_answer": [fill(paraphrased_answer, v) for number, v in enumerate(values) if number != true],
        "subject": subject,
    }


def person_rows(people: dict[str, str]) -> list[dict]:
    """Rows about these people; the true value of each fact is drawn."""
    return [
        question_row(block, name, count=6, true=draw(block[0], 6))
        for name, table in people.items()
        for block in blocks(table, 5, name)
    ]


def general_candidates() -> list[dict]:
    """All candidates for the general-knowledge set; the first value of each is true."""
    return [
        question_row(block, subject, count=4, true=0)
        for subject, table in GENERAL_CANDIDATES.items()
        for block in blocks(table, 5, subject)
    ]


def choose_general(candidates: list[dict], known: dict[str, bool]) -> list[dict]:
    """The first `KNOWN` candidates that the default model knows and the first `UNKNOWN` others, in drawn order.

    known: question -> whether the model prefers the truth. A damaged model loses known rows; the others leave room for
    a gain. There are 100 rows because every run evaluates them. Raises ValueError for a candidate that was not measured
    and for too few of a kind.
    """
    missing = [row["question"] for row in candidates if row["question"] not in known]
    if missing:
        raise ValueError(f"not in {SCORES.name}, run `python -m tests.measure_general`: {missing}")
    drawn = sorted((row["question"] for row in candidates), key=digest)
    kept = [q for q in drawn if known[q]][:KNOWN] + [q for q in drawn if not known[q]][:UNKNOWN]
    if len(kept) < KNOWN + UNKNOWN:
        raise ValueError(f"{KNOWN} known and {UNKNOWN} unknown candidates are needed: write more")
    return [row for row in candidates if row["question"] in kept]


def general_retain_rows() -> list[dict]:
    """Rows of the general retain set."""
    return [
        {"question": question, "answer": answer, "subject": subject}
        for subject, table in GENERAL_RETAIN.items()
        for question, answer in blocks(table, 2, subject)
    ]


def translated_questions() -> list[dict]:
    """The forget questions in English, German, French and Spanish."""
    languages = ("question", "german", "french", "spanish")
    return [dict(zip(languages, block)) for block in blocks(FORGET_QUESTIONS, 4, "forget questions")]


def bundled_files() -> dict[str, list[dict]]:
    """Rows of each bundled file by its name."""
    known = json.loads(SCORES.read_text(encoding="utf-8"))["known"]
    return {
        "forget.jsonl": person_rows(FORGET_PEOPLE),
        "retain.jsonl": person_rows(RETAIN_PEOPLE),
        "holdout.jsonl": person_rows(HOLDOUT_PEOPLE),
        "judging.jsonl": person_rows(JUDGING_PEOPLE),
        "general.jsonl": choose_general(general_candidates(), known),
        "general_retain.jsonl": general_retain_rows(),
        "forget_questions.jsonl": translated_questions(),
    }


def write_files(folder: Path) -> None:
    """Writes all files into `folder`: one JSON object per line, UTF-8, line feeds on every system."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in bundled_files().items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / name).write_bytes(text.encode("utf-8"))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output_dir", type=Path, default=HERE, help="folder for the files (default: data/)")
    arguments = parser.parse_args(argv)
    write_files(arguments.output_dir)
    for name, rows in bundled_files().items():
        print(f"{arguments.output_dir / name}: {len(rows)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
