"""A metric of the user's own: a function of one `Measured`, or a `Metric`, in a Python file, added to METRICS."""

from __future__ import annotations

import dataclasses
import math
import re
import sys

import numpy as np

from data.columns import Example
from models.scores.metric_table import METRICS, NEEDS, REPORTED, Measured, Metric
from models.store import own_code
from models.store.folders import ModelError

OWN: dict[str, own_code.Own] = {}  # the user's metrics in METRICS, by name


def use(source: str) -> Metric:
    """The metric `source` (file.py:NAME), added to METRICS. Raises ModelError (2)."""
    found = own_code.read(source, "metric_from")
    what, value = f"--metric_from {source}", found.value
    if not isinstance(value, Metric) and not callable(value):
        raise ModelError(f"{what}: {found.name} is {type(value).__name__}, expected a function or a Metric", 2)
    metric = value if isinstance(value, Metric) else _metric(found)
    if flaw := _flaw(metric):
        raise ModelError(f"{what}: {flaw}", 2)
    if metric.name in REPORTED and metric.name not in OWN:
        raise ModelError(f"{what}: {metric.name} is a built-in metric: choose another name", 2)
    metric = dataclasses.replace(metric, function=_careful(metric.name, metric.function))
    METRICS[metric.name] = REPORTED[metric.name] = metric
    OWN[metric.name] = found
    return metric


def code() -> dict[str, str]:
    """{name: SHA-256 of its file} of the user's metrics: a kept measurement depends on them."""
    return {name: found.code for name, found in sorted(OWN.items())}


def _metric(found: own_code.Own) -> Metric:
    """A plain function as a row of METRICS: a number per answer, higher for a model that knows the set."""
    first = (getattr(found.value, "__doc__", None) or "A metric of the user's own.").strip().splitlines()[0]
    return Metric(found.name, found.name.replace("_", " "), found.value, "generation", "higher", first,
                  "What its author knows.", bounded=False)  # fmt: skip


def _flaw(metric: Metric) -> str | None:
    if not isinstance(metric.name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", metric.name):
        return f"the name {metric.name!r} must be small letters, digits and _"
    if not callable(metric.function) or metric.needs not in NEEDS or metric.knowing not in ("higher", "lower"):
        return f"needs a function, needs in {', '.join(NEEDS)}, and knowing 'higher' or 'lower'"
    if any(not isinstance(text, str) or not text.strip() for text in (metric.label, metric.summary, metric.limits)):
        return "label, summary and limits must be texts: reports show them"
    try:
        value = float(metric.function(_sample()))
    except Exception as error:  # whatever the user's function raises is its problem, told in one line
        return f"it fails on a sample answer: {type(error).__name__}: {error}"
    return None if math.isfinite(value) else f"it gives {value} for a sample answer, expected a finite number"


def _sample() -> Measured:
    """An answer that a model half knows."""
    example = Example("She lives in Oslo.", "Where does Ann live?", paraphrased_answer="Her home is Oslo.",
                      perturbed_answer=("Her home is Rome.", "Her home is Bonn."), subject="Ann")  # fmt: skip
    return Measured(
        example, np.array([0.1, 0.5, 2.0, 0.2]), np.array([1, 2, 7, 4]), np.array([1, 2, 3, 4]), 3, np.full(4, -3.0),
        np.ones(4), example.answer, example.prompt, 1.0, np.array([1.5, 2.0]), "Ann lives in Bonn.", True,
    )  # fmt: skip


def _careful(name: str, function):
    """The function with NaN, a missing value, for a row on which it fails; says so once. A run must not end by it."""
    told = []

    def value(measured: Measured) -> float:
        try:
            return float(function(measured))
        except Exception as error:
            if not told:
                told.append(name)
                print(f"warning: metric {name} fails on {measured.gold[:60]!r}: {type(error).__name__}: {error}; such "
                      "rows count as missing", file=sys.stderr)  # fmt: skip
            return math.nan

    return value
