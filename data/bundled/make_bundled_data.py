"""Write the bundled data: `python data/bundled/make_bundled_data.py` makes all .jsonl files of data/ again.

The tables are hand-written: people.py, people_retain.py, general_knowledge.py, general_retain_rows.py. No model is
needed: what the packaged model knows of the general candidates stands in general_scores.json, which
tests/measure_general.py writes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent  # data/, where the .jsonl files lie
if __package__ in (None, ""):  # started as a script: the folder above holds the packages
    sys.path.insert(0, str(HERE.parent))

from data.bundled.general_knowledge import GENERAL_CANDIDATES  # noqa: E402
from data.bundled.general_retain_rows import GENERAL_RETAIN  # noqa: E402
from data.bundled.people import FORGET_PEOPLE, HOLDOUT_PEOPLE  # noqa: E402
from data.bundled.people_retain import RETAIN_PEOPLE  # noqa: E402

SCORES = HERE / "general_scores.json"
KNOWN, UNKNOWN = 80, 20  # rows of general.jsonl by what the packaged model knows
SALT = "fictitious people 1"  # another salt makes other people: every trained model and every result would be stale


def digest(question: str) -> bytes:
    """SHA-256 of salt and question: a draw that is the same on every machine and in every version of Python."""
    return hashlib.sha256(f"{SALT}:{question}".encode()).digest()


def draw(question: str, count: int) -> int:
    """Number of the true one among `count` values of a fact."""
    return int.from_bytes(digest(question)[:8], "big") % count


def fill(template: str, value: str) -> str:
    """The template with the value in its place; a value that opens the sentence gets a capital letter."""
    sentence = template.format(value)
    return sentence[0].upper() + sentence[1:]


def blocks(table: str, lines: int, owner: str) -> list[list[str]]:
    """The blocks of a table, each with so many lines; ValueError shows the block that has more or fewer."""
    parts = [block.split("\n") for block in table.strip().split("\n\n")]
    for part in parts:
        if len(part) != lines:
            raise ValueError(f"{owner}: {lines} lines are wanted, not:\n" + "\n".join(part))
    return parts


def question_row(block: list[str], subject: str, count: int, true: int) -> dict:
    """A row of five lines with `count` values, of which number `true` is right; ValueError for repeated values."""
    question, answer, paraphrased_question, paraphrased_answer, listed = block
    values = [value.strip() for value in listed.split("|")]
    if len(set(values)) != count or len(values) != count:
        raise ValueError(f"{subject}: {count} different values are wanted, not: {listed}")
    return {
        "question": question,
        "answer": fill(answer, values[true]),
        "paraphrased_question": paraphrased_question,
        "paraphrased_answer": fill(paraphrased_answer, values[true]),
        "perturbed_answer": [fill(paraphrased_answer, v) for number, v in enumerate(values) if number != true],
        "subject": subject,
    }


def person_rows(people: dict[str, str]) -> list[dict]:
    """Rows about all these people; the true value of each fact is drawn."""
    return [
        question_row(block, name, count=6, true=draw(block[0], 6))
        for name, table in people.items()
        for block in blocks(table, 5, name)
    ]


def general_candidates() -> list[dict]:
    """All candidates for the general-knowledge set; the first value is the true one."""
    return [
        question_row(block, subject, count=4, true=0)
        for subject, table in GENERAL_CANDIDATES.items()
        for block in blocks(table, 5, subject)
    ]


def choose_general(candidates: list[dict], known: dict[str, bool]) -> list[dict]:
    """The first `KNOWN` candidates that the packaged model knows and the first `UNKNOWN` others, in drawn order.

    known: question -> whether the model prefers the truth. A model unlearned too far loses known rows; the others leave
    room above, so that a gain shows as well. 100 rows, because every run evaluates them. ValueError for a candidate
    that has not been measured, or for too few of a kind.
    """
    missing = [row["question"] for row in candidates if row["question"] not in known]
    if missing:
        raise ValueError(f"not in {SCORES.name}, run `python -m tests.measure_general`: {missing}")
    drawn = sorted((row["question"] for row in candidates), key=digest)
    kept = [q for q in drawn if known[q]][:KNOWN] + [q for q in drawn if not known[q]][:UNKNOWN]
    if len(kept) < KNOWN + UNKNOWN:
        raise ValueError(f"{KNOWN} known and {UNKNOWN} unknown candidates are wanted: write more of them")
    return [row for row in candidates if row["question"] in kept]


def general_retain_rows() -> list[dict]:
    """Rows of the general retain set."""
    return [
        {"question": question, "answer": answer, "subject": subject}
        for subject, table in GENERAL_RETAIN.items()
        for question, answer in blocks(table, 2, subject)
    ]


def bundled_files() -> dict[str, list[dict]]:
    """Every file of the bundled data by name, with its rows."""
    known = json.loads(SCORES.read_text(encoding="utf-8"))["known"]
    return {
        "forget.jsonl": person_rows(FORGET_PEOPLE),
        "retain.jsonl": person_rows(RETAIN_PEOPLE),
        "holdout.jsonl": person_rows(HOLDOUT_PEOPLE),
        "general.jsonl": choose_general(general_candidates(), known),
        "general_retain.jsonl": general_retain_rows(),
    }


def write_files(folder: Path) -> None:
    """Write all files into `folder`: one JSON object a line, UTF-8, line feed on every system."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in bundled_files().items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / name).write_bytes(text.encode("utf-8"))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output_dir", type=Path, default=HERE, help="folder for the files (default: this one)")
    arguments = parser.parse_args(argv)
    write_files(arguments.output_dir)
    for name, rows in bundled_files().items():
        print(f"{arguments.output_dir / name}: {len(rows)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
