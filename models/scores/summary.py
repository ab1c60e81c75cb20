"""What a model's measured rows come to: each metric of each row, means and intervals by set, why some are missing."""

from __future__ import annotations

import math

import numpy as np

from models.scores.array_scores import bootstrap_interval
from models.scores.metric_table import METRICS, Measured, Metric
from models.scores.verdict import ModelEvaluation, scores

WHY_MISSING = {
    "answer": "no answer token was left after encoding",
    "paraphrase": "no paraphrased_answer",
    "options": "no paraphrased_answer or no perturbed_answer",
    "wrong": "no perturbed_answer",
    "generation": "no answer was generated",
}


def metric_value(metric: Metric, m: Measured | None) -> float | None:
    """The metric of one example, or None where the example or the model does not give it."""
    have = (
        m is not None
        and {
            "answer": True,
            "paraphrase": m.paraphrased_loss is not None,
            "options": m.paraphrased_loss is not None and m.wrong_losses is not None,
            "wrong": m.wrong_losses is not None,
            "generation": m.generated is not None,
        }[metric.needs]
    )
    if not have:
        return None
    with np.errstate(all="ignore"):  # a broken model's losses overflow; that shows as None
        value = metric.function(m)
    return float(value) if math.isfinite(value) else None


def summarise(result: ModelEvaluation) -> None:
    """Fills in means, intervals and the notes on what is missing."""
    for split, table in result.per_example.items():
        result.metrics[split], result.intervals[split] = {}, {}
        for name, values in table.items():
            present = [i for i, value in enumerate(values) if value is not None]
            result.metrics[split][name] = result.intervals[split][name] = None
            if len(present) < len(values):
                finite = METRICS[name].needs == "answer" or "generation" not in METRICS[name].needs
                why = WHY_MISSING[METRICS[name].needs] + (", or the model's value is not finite" if finite else "")
                result.notes[f"{split}.{name}"] = (
                    f"missing for {len(values) - len(present)} of {len(values)} rows: {why}"
                )
            if present:
                found = scores(name, split, [values[i] for i in present])
                interval = bootstrap_interval(found, [result.subjects[split][i] for i in present])
                result.metrics[split][name] = float(found.mean())
                result.intervals[split][name] = None if interval is None else list(interval)
        groups = {subject for subject in result.subjects[split] if subject is not None}
        if len(groups) == 1 and all(subject is not None for subject in result.subjects[split]):
            result.notes[f"{split}.intervals"] = "one subject only: no interval, since intervals are over subjects"
        elif len(result.subjects[split]) < 2:
            result.notes[f"{split}.intervals"] = "one row only: no interval"
