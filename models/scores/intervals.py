"""Intervals of means over subjects, of shares and of other statistics: arrays in, floats out.

Rows of one subject (a person, a document) resemble each other, so subjects are counted and not rows. A percentile
bootstrap over four subjects covers 78 % where it claims 95; these intervals cover 95. None: too few to have one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np


def group_numbers(groups: Sequence | None, n: int) -> np.ndarray:
    """(n,) group numbers from 0; a row without a group forms its own."""
    if groups is None:
        return np.arange(n)
    keys = [("row", i) if group is None else ("group", group) for i, group in enumerate(groups)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], dtype=int)


def _values(values) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"values must be a non-empty array of 1 dimension, got shape {array.shape}")
    return array


def critical(level: float, freedom: float) -> float:
    """The factor of a two-sided t interval."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, freedom))


def standard_error(values, groups: Sequence | None = None) -> float | None:
    """Standard error of the mean of values (n,) whose groups are independent; None below two groups.

    SE^2 = G / (G - 1) sum_g (sum_{i in g} (v_i - mean))^2 / n^2: with groups of one size, the error of the mean of
    group means. Cameron and Miller 2015 (doi:10.3368/jhr.50.2.317).
    """
    values = _values(values)
    numbers = group_numbers(groups, len(values))
    count = int(numbers.max()) + 1
    if count < 2:
        return None
    sums = np.bincount(numbers, values - values.mean(), count)
    return math.sqrt(count / (count - 1) * float((sums**2).sum())) / len(values)


def error_of_mean(values, groups: Sequence | None = None) -> tuple[float, int] | None:
    """(standard error, degrees of freedom) of the mean of values (n,) whose groups are independent; None below two.

    The larger of two: `standard_error` over groups with G - 1, and s / sqrt(n) over rows with n - 1. With groups of one
    size this is the REML estimate of a random-effects model: where groups differ by chance less than their rows do,
    only the rows' spread is counted. Over four groups of ten the t interval covers what it claims however alike the
    rows of a group are; over groups alone it is a third wider at times and too narrow, by luck, at others. Two groups
    do not show how much groups differ, so they keep the first.
    """
    values = _values(values)
    error = standard_error(values, groups)
    if error is None:
        return None
    count = len(np.unique(group_numbers(groups, len(values))))
    over_rows = float(values.std(ddof=1)) / math.sqrt(len(values))
    return (over_rows, len(values) - 1) if count > 2 and over_rows > error else (error, count - 1)


def half_width(values, groups: Sequence | None = None, level: float = 0.95) -> float | None:
    """Half of the t interval of the mean of values (n,), from `error_of_mean`; None below two groups."""
    found = error_of_mean(values, groups)
    return None if found is None else critical(level, found[1]) * found[0]


def mean_interval(
    values, groups: Sequence | None = None, level: float = 0.95, share: bool = False
) -> tuple[float, float] | None:
    """(low, high) of the mean of values (n,): mean -+ `half_width`; None below two groups.

    `share`: values are 0 or 1, and the interval is at least that of Clopper and Pearson (1934).
    """
    values = _values(values)
    half = half_width(values, groups, level)
    if half is None:
        return None
    mean = float(values.mean())
    if not share:
        return mean - half, mean + half
    low, high = share_interval(round(values.sum()), len(values), level)
    return max(0.0, min(mean - half, low)), min(1.0, max(mean + half, high))


def share_interval(hits: int, n: int, level: float = 0.95) -> tuple[float, float] | None:
    """(low, high) of a share of n independent trials, by Clopper and Pearson (1934); None for no trials."""
    from scipy.stats import binomtest

    if not n:
        return None
    found = binomtest(int(hits), int(n)).proportion_ci(level, "exact")
    return float(found.low), float(found.high)


def none_of(n: int, level: float = 0.95) -> float:
    """The largest share of hits that n trials without a hit are consistent with: 1 - (1 - level)^(1/n)."""
    return 1.0 - (1.0 - level) ** (1.0 / n)


def jackknife_interval(
    statistic: Callable[..., float], *samples: np.ndarray, level: float = 0.95, rows: bool = False
) -> tuple[float, float, float] | None:
    """(value, low, high) of a statistic of independent samples of rows, leaving out one group at a time.

    `statistic(*kept)` takes a mask (n_s,) of rows per sample; `samples` are group numbers (n_s,). Variance: sum over
    samples of (G - 1) / G sum_g (v_(-g) - mean)^2; degrees of freedom by Satterthwaite. `rows` also leaves out one row
    at a time and takes the larger variance, as `error_of_mean` does. None if a sample has fewer than two groups or the
    statistic is not finite. Miller 1974 (doi:10.1093/biomet/61.1.1).
    """
    counts = [len(np.unique(groups)) for groups in samples]
    if not counts or min(counts) < 2:
        return None
    everything = [np.ones(len(groups), dtype=bool) for groups in samples]
    whole, variance, weighed = float(statistic(*everything)), 0.0, 0.0
    for place, groups in enumerate(samples):

        def without(mask, place=place):
            return statistic(*everything[:place], ~mask, *everything[place + 1 :])

        part, freedom = _left_out(groups, without)
        if rows and freedom > 1:
            part, freedom = max((part, freedom), _left_out(np.arange(len(groups)), without))
        variance, weighed = variance + part, weighed + part**2 / freedom
    if not math.isfinite(whole) or not math.isfinite(variance):
        return None
    half = critical(level, variance**2 / weighed) * math.sqrt(variance) if weighed > 0 else 0.0
    return whole, whole - half, whole + half


def _left_out(groups: np.ndarray, without: Callable[[np.ndarray], float]) -> tuple[float, int]:
    """(jackknife variance, degrees of freedom) over groups; `without` gives the statistic without a mask of rows."""
    names = np.unique(groups)
    values = np.array([without(groups == name) for name in names])
    return (len(names) - 1) / len(names) * float(((values - values.mean()) ** 2).sum()), len(names) - 1
