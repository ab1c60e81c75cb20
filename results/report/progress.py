"""How far a run came: numbers against their goals, paired tests of changes, and what attacks found."""

from __future__ import annotations

import math
import re

import numpy as np

from models.scores.intervals import error_of_mean
from results.report.runs import Run, finite, per_row
from results.report.words import doc, metric_order

SHOWN = 0.05  # a paired test below this p shows that a number rose or fell


def goal(run: Run, metric: str) -> tuple[float | None, str]:
    """(value to reach on the forget set, its source): "retrained", else the target's value on "holdout", else ""."""
    value = run.value("retrained", "forget", metric)
    if value is not None:
        return value, "retrained"
    if "retrained" not in run.models:
        value = run.value("target", "holdout", metric)
    return value, "holdout" if value is not None else ""


def way(before: float | None, after: float | None, aim: float | None) -> float | None:
    """(before - after) / (before - aim): 0 unchanged, 1 at the goal, above 1 beyond it; None without contrast."""
    if before is None or after is None or aim is None:
        return None
    if abs(before - aim) < max(0.02, 0.02 * max(abs(before), abs(aim))):
        return None
    return (before - after) / (before - aim)


def forget_way(run: Run, metric: str = "answer_probability") -> float | None:
    """`way` of a metric on the forget set."""
    return way(*run.change("forget", metric), goal(run, metric)[0])


def utility_left(run: Run) -> tuple[float | None, str]:
    """(share of the target's utility that is left, name of its measure)."""
    ours, before = run.comparison.get("model_utility"), run.comparison.get("model_utility_target")
    if isinstance(ours, float) and isinstance(before, float) and before > 0:
        return ours / before, "model utility"
    for split in ("retain", "general"):
        before, ours = run.change(split, "answer_probability")
        if ours is not None and before:
            return ours / before, f"answer probability on the {split} set"
    return None, ""


# ---------------------------------------------------------------------------------------------------------------------
# Changes


def paired_p(run: Run, split: str, metric: str) -> float | None:
    """p of the hypothesis that a metric did not change between the target and the unlearned model; None without rows.

    Metrics that are 0 or 1 on each row: McNemar's exact test (Psychometrika 1947). Others: t test of the rows' paired
    differences with the standard error over subjects.
    """
    from scipy.stats import binomtest, t

    values = per_row(run, split, metric)
    kept = np.isfinite(values["before"]) & np.isfinite(values["after"])
    if not kept.any():
        return None
    before, after = (values[role][kept] for role in ("before", "after"))
    row = doc(metric)
    if row.folded:
        before, after = (row.folded[split not in ("forget", "holdout")](side) for side in (before, after))
    differences = after - before
    if not differences.any():
        return 1.0
    means = run.change(split, metric)
    if None in means or (means[1] - means[0]) * differences.mean() <= 0:
        return None  # other rows than those of the means
    if row.share:
        rose = int((differences > 0).sum())
        return float(binomtest(rose, int((differences != 0).sum()), 0.5).pvalue)
    subjects = [run.examples[index].get("subject") for index in values["index"][kept]]
    found = error_of_mean(differences, subjects)
    return float(2 * t.sf(abs(differences.mean()) / found[0], found[1])) if found and found[0] else None


def change(run: Run, split: str, metric: str) -> tuple[float | None, float | None, float | None]:
    """(before, after, p) of a metric; p is None where no paired test of its rows exists."""
    before, after = run.change(split, metric)
    return before, after, None if None in (before, after) else paired_p(run, split, metric)


# ---------------------------------------------------------------------------------------------------------------------
# Rows


def shown_rows(run: Run, split: str, count: int) -> list[dict]:
    """`count` rows of a set with answers, picked evenly from the least to the most likely after unlearning."""
    values = per_row(run, split)
    rows = [
        (after if not math.isnan(after) else -1.0, int(index))
        for index, after in zip(values["index"], values["after"])
        if run.examples[index].get("after") is not None
    ]
    rows.sort()
    places = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)) if rows else []
    return [run.examples[rows[place][1]] for place in places]


# ---------------------------------------------------------------------------------------------------------------------
# Attacks


def attack_rows(run: Run) -> list[dict]:
    """One {"attack", "metric", "target", "unlearned", "retrained", "before", "excess", "low", "high"} per number.

    "before" is the unlearned model's number without the attack. "excess" is what the attack adds over what it adds to
    the retrained model, as a share of what separates target and retrained model, with its interval. "leaks": the forget
    rows that leak under it. Single layers of the logit lens stay in evaluation.json.
    """
    found, judged = [], run.evidence["resistance"].table("attacks")
    for attack, models in run.attacks.items():
        metrics = {name for table in models.values() for name, value in table.items() if value is not None}
        shown = {name for name in metrics if not name.endswith("_before") and not re.match(r"layer_\d", name)}
        for metric in metric_order(shown):
            row = {"attack": attack, "metric": metric}
            row.update({name: models.get(name, {}).get(metric) for name in ("target", "unlearned", "retrained")})
            row["before"] = models.get("unlearned", {}).get(f"{metric}_before")
            told = judged.get(attack, {}).get(metric)
            told = told if isinstance(told, dict) else {}
            row.update({name: finite(told.get(name)) for name in ("excess", "low", "high")})
            rows = told.get("leaking_rows")
            row["leaks"] = [int(n) for n in rows if finite(n) is not None] if isinstance(rows, list) else []
            found.append(row)
    return found


def main_attack_rows(run: Run) -> list[dict]:
    """The row that judges each attack: its first judged number, else the first number."""
    from models.attacks.table import ATTACKS

    found: dict[str, dict] = {}
    for row in attack_rows(run):
        judged = ATTACKS[row["attack"]].judged if row["attack"] in ATTACKS else ()
        if row["attack"] not in found or row["metric"] == next(iter(judged), None):
            found[row["attack"]] = row
    return list(found.values())
