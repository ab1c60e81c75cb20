"""Who judges is not who steers: rows that only judge a run, and the columns that only its evaluation may read.

    settle(sets, notes)         # without a judging set, half of the holdout set's subjects judge
    check(sets)                 # no judging row also steers
    bare(example)               # what training, stopping and search may see of a row

The holdout set steers: methods take levels from it, the loop stops by it, the search scores by it. A test that used the
same rows as non-members would be circular, so the tests read the judging set.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from data.columns import DataError, Example
from data.preparation import folded_texts

STEERING = ("forget", "retain", "holdout", "earlier")  # sets that training, stopping and search may see
LEAST_SUBJECTS = 4  # with fewer subjects in the judging set, the membership tests decide nothing
SALT = "unlearning judging half:"  # another salt makes other halves
BUNDLED = {name: f"data/{name}.jsonl" for name in ("holdout", "judging")}
SHOWN = 10  # rows named in a message
HALF = "half of the holdout set"


def bare(example: Example) -> Example:
    """The example without the columns that only the evaluation may read: paraphrases and wrong answers."""
    if example.paraphrased_question is None and example.paraphrased_answer is None and not example.perturbed_answer:
        return example
    return dataclasses.replace(example, paraphrased_question=None, paraphrased_answer=None, perturbed_answer=())


def check_steering(examples: dict[str, Sequence[Example]]) -> None:
    """Raises ValueError unless these sets may steer: no set that only judges, and `bare` rows."""
    if others := sorted(set(examples) - set(STEERING)):
        raise ValueError(f"{', '.join(others)} must not steer: training and search may see {', '.join(STEERING)}")
    for name, rows in examples.items():
        if any(bare(row) is not row for row in rows):
            raise ValueError(f"{name}: training and search must not see paraphrases or wrong answers; give bare rows")


def _group(example: Example) -> tuple[bool, str]:
    """(whether it is named, the subject); a row without a subject is one of its own, by its text."""
    return (True, example.subject) if example.subject else (False, "\n".join(folded_texts(example)))


def groups(examples: Iterable[Example]) -> int:
    """The number of subjects."""
    return len({_group(example) for example in examples})


def halves(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """(rows that steer, rows that judge), in their order; no subject is on both sides.

    The G subjects are sorted by SHA-256 of `SALT` and their name, and every second one judges: floor(G / 2) of them.
    A row without a subject is a subject of its own. A row that repeats one of the steering side does not judge.
    """
    known = {_group(example) for example in examples}
    order = sorted(known, key=lambda group: hashlib.sha256((SALT + group[1]).encode("utf-8")).digest())
    judges = set(order[1::2])
    steering = [example for example in examples if _group(example) not in judges]
    there = {folded_texts(example) for example in steering}
    chosen = (example for example in examples if _group(example) in judges)
    return steering, [example for example in chosen if folded_texts(example) not in there]


def bundled(holdout: str | None) -> str | None:
    """The bundled judging set if `holdout` names the bundled holdout set, else None."""
    project = Path(__file__).resolve().parent.parent
    places = [Path(holdout), project / holdout] if holdout else []
    return BUNDLED["judging"] if any(path.resolve() == project / BUNDLED["holdout"] for path in places) else None


def settle(sets: dict[str, list[Example]], notes: list[str], given: str | None) -> None:
    """Adds the set "judging" to `sets` if the user's --judging_data, `given`, names none; notes who judges.

    It becomes half of the holdout set, which keeps the other half. With `given` "none" nobody judges.
    """
    if not given and sets.get("holdout"):
        sets["holdout"], sets["judging"] = halves(sets["holdout"])
    steering, judges = sets.get("holdout", []), sets.get("judging", [])
    if not judges:
        sets.pop("judging", None)
        if given != "none" and steering:
            notes.append(f"holdout: {_counted(steering)} steer, none judge: for a judging set give --judging_data")
        return
    both = f"holdout: {_counted(steering)} steer, {_counted(judges)} only judge"
    notes.append(both if steering else f"judging: {_counted(judges)} only judge")
    if (count := groups(judges)) < LEAST_SUBJECTS:
        least = f"the membership tests need {LEAST_SUBJECTS} to decide"
        notes.append(f"judging: only {count} subject{'s' if count > 1 else ''}; {least}")


def _counted(rows: Sequence[Example]) -> str:
    count = groups(rows)
    return f"{len(rows)} row{'s' if len(rows) > 1 else ''} of {count} subject{'s' if count > 1 else ''}"


def check(sets: dict[str, Sequence[Example]], given: str | None = None) -> None:
    """Raises DataError if a row of the set "judging" also stands in a set that steers; names these rows.

    `sets`: all sets by name; those of `STEERING` and "general retain" steer. `given`: the user's --judging_data. Texts
    are compared without case and white space.
    """
    judges = sets.get("judging", ())
    problems = []
    for name in (name for name in (*STEERING, "general retain") if name in sets):
        there = {folded_texts(example) for example in sets[name]}
        shared = [str(example.line) for example in judges if folded_texts(example) in there]
        if shared:
            lines = ", ".join(shared[:SHOWN]) + (", ..." if len(shared) > SHOWN else "")
            problems.append(
                f"{given or HALF}: {len(shared)} of {len(judges)} judging rows also stand in the {name} set "
                f"(lines {lines})"
            )
    if problems:
        cure = "A row that steers a run cannot judge it: take these rows out of one of the sets"
        raise DataError("\n".join([*problems, f"{cure}, or give other rows with --judging_data"]))


def shared_subjects(sets: dict[str, Sequence[Example]]) -> list[str]:
    """A note per set that steers and has subjects of the judging set; the rows differ, but are not independent."""
    named = {example.subject for example in sets.get("judging", ()) if example.subject}
    notes = []
    for name in (name for name in sets if name in STEERING):
        if both := sorted(named & {example.subject for example in sets[name]}):
            shown = ", ".join(both[:SHOWN]) + (", ..." if len(both) > SHOWN else "")
            notes.append(f"judging: has subjects of the {name} set, so its rows are not independent: {shown}")
    return notes
