"""Gates: single tests of a verdict, each with its number, its interval and the bounds that were asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from models.scores.evaluating import ModelEvaluation, scores

PASSED, FAILED, OVER, UNDECIDED = "passed", "failed", "over", "undecided"
NO_CONTRAST, NOT_MEASURED = "no contrast", "not measured"  # words of gates that decide nothing


@dataclass(frozen=True)
class Gate:
    """One test. "over": on the far side of the retrained model. `least`, `most`: the bounds asked for."""

    name: str
    label: str
    word: str
    why: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    least: float | None = None
    most: float | None = None
    null: Sequence[float] | None = None  # [low, high] of models that never saw the rows
    lowest: float | None = None  # bound of the interval's lower end, where `least` is the bound of the value

    def as_json(self) -> dict:
        """The gate as an object of evaluation.json; numbers that are not finite become None."""
        return {key: _finite(value) for key, value in asdict(self).items()}

    def room(self) -> float | None:
        """Distance of the nearer end of the interval to its bound, negative outside; None without numbers."""
        low, high = (self.value if end is None else end for end in (self.low, self.high))
        pairs = [(high, self.most), (self.least, low)]  # (the smaller, the larger) where a gate is passed
        if self.lowest is not None:
            pairs = [(self.least, self.value), (self.lowest, self.low)]
        gaps = [settled(larger - smaller) for smaller, larger in pairs if None not in (smaller, larger)]
        return min(gaps) if gaps else None


def _finite(value):
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def settled(value: float) -> float:
    """The number that a gate compares and a sentence shows: without the rounding of sums, and never -0."""
    return round(value, 9) + 0.0


def inside(low: float, high: float, least: float, most: float) -> str:
    """The word of an interval that must lie within bounds: "passed", "failed" above, "over" below, else "undecided"."""
    low, high, least, most = map(settled, (low, high, least, most))
    if least <= low and high <= most:
        return PASSED
    return FAILED if low > most else OVER if high < least else UNDECIDED


def column(evaluation: ModelEvaluation | None, split: str, name: str) -> np.ndarray:
    """(n,) values of a metric on a set in the form of its mean; NaN where a row has none; (0,) if not measured."""
    found = evaluation.per_example.get(split, {}).get(name) if evaluation is not None else None
    if not found:
        return np.zeros(0)
    values = np.array([math.nan if value is None else value for value in found], dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return scores(name, split, values)


def columns(split: str, name: str, *evaluations) -> list[np.ndarray]:
    """The columns of several models, each of one length; all empty if one of the models lacks the metric."""
    found = [column(evaluation, split, name) for evaluation in evaluations]
    return found if len({len(values) for values in found}) == 1 else [np.zeros(0)] * len(found)


def names_of(subjects: Sequence, n: int) -> list[str]:
    """(n) names of persons; a row without a subject is a person of its own."""
    given = list(subjects) + [None] * (n - len(subjects))
    return [f"row {number}" if name is None else str(name) for number, name in enumerate(given[:n], 1)]


def least_change(gates: Sequence[Gate], word: str) -> Gate | None:
    """Of the gates with this word, the one whose interval end is nearest to its bound, in units of that bound.

    Shares, AUCs and counts have no common unit; a bound of 0 counts in units of one row.
    """
    found = [gate for gate in gates if gate.word == word and gate.room() is not None]
    return min(found, key=lambda gate: abs(gate.room()) / (abs(gate.most or gate.least or 0) or 1)) if found else None


def shown(value: float, *beside: float, rounded=round) -> str:
    """A number with two decimals, or as many more as tell it from the numbers beside it, up to nine.

    rounded(value, digits): `up` for "at most", `down` for "at least".
    """
    value, others = settled(value), [settled(other) for other in beside]
    for digits in range(2, 10):
        text = _written(rounded(value, digits), digits)
        if all(other == value or text != _written(other, digits) for other in others):
            break
    return text


def _written(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"


def up(value: float, digits: int) -> float:
    """The number with so many decimals, rounded up."""
    return math.ceil(round(value * 10**digits, 9 - digits)) / 10**digits


def down(value: float, digits: int) -> float:
    """The number with so many decimals, rounded down."""
    return -up(-value, digits)


def ends(low: float, high: float, *beside: float) -> str:
    """The ends of an interval, told apart from each other and from the bounds beside them."""
    first, last = shown(low, high, *beside), shown(high, low, *beside)
    return f"{first} to {last}" if first != last else f"{first} at both ends"


def forget_rows(numbers: Sequence[int], most: int = 12) -> str:
    """Rows as a text: "forget row 3", "forget rows 3, 8", or "36 forget rows (1, 2, ...)" for more than `most`."""
    first = ", ".join(map(str, numbers[:most]))
    if len(numbers) > most:
        return f"{len(numbers)} forget rows ({first}, ...)"
    return f"forget row{'s' * (len(numbers) != 1)} {first}"
