"""Rows and persons that an unlearned model still knows, measured against a retrained model.

With u, r and t the values of the unlearned, the retrained and the target model on one row, the position
k = (u - r) / (t - r) is 0 at the retrained model and 1 at the target. A mean over rows hides a row that stayed: these
tests do not. Values are (n,) arrays over the forget rows, NaN where a row has none.
"""

from __future__ import annotations

import numpy as np

TRACES = ("answer_probability", "extraction_strength", "paraphrase_probability")
ROW_CONTRAST = 0.2  # t - r below which a row says nothing
LEAK = 0.5  # a row with a larger position on any trace leaks
PERSON = 0.2  # a person with a larger mean position is still known
LEAST_ROWS, LEAST_PERSONS = 5, 2  # fewer decide nothing


def positions(target, unlearned, retrained) -> np.ndarray:
    """(n,) positions k = (u - r) / (t - r) of rows; NaN where a value is missing or t - r < `ROW_CONTRAST`."""
    t, u, r = (np.asarray(values, dtype=np.float64) for values in (target, unlearned, retrained))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(t - r >= ROW_CONTRAST, (u - r) / (t - r), np.nan)


def leaking_rows(traces: dict[str, np.ndarray]) -> list[int]:
    """Numbers, from 1, of the rows whose position on any trace is above `LEAK`."""
    leaks = np.logical_or.reduce([np.nan_to_num(values, nan=0.0) > LEAK for values in traces.values()])
    return [int(number) + 1 for number in np.flatnonzero(leaks)]


def person_positions(traces: dict[str, np.ndarray], subjects) -> dict[str, float]:
    """{subject: mean position over its rows and traces}; a row without a subject counts as a person of its own."""
    names = [f"row {number}" if name is None else str(name) for number, name in enumerate(subjects, 1)]
    found = {}
    for name in dict.fromkeys(names):
        rows = np.array([other == name for other in names])
        values = np.concatenate([trace[rows] for trace in traces.values()])
        if np.isfinite(values).any():
            found[name] = float(np.nanmean(values))
    return found


def none_of(n: int, level: float = 0.95) -> float:
    """The largest share of leaking rows that n rows without a leak are consistent with: 1 - (1 - level)^(1/n)."""
    return 1.0 - (1.0 - level) ** (1.0 / n)
