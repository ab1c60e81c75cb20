"""Groups runs over seeds and orders the groups by their verdicts: memory first, then the rest, then the score."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import numpy as np

from models.verdict.words import PARTS, verdict_words, word_of
from results.report.progress import forget_way, utility_left
from results.report.runs import Run, finite, settings_key

NUMBERS = (
    "closeness", "utility", "forget_probability", "retain_probability", "forget_accuracy", "extraction",
    "forget_quality", "retain_accuracy_share", "model_utility_share", "membership_auc", "membership_gap",
    "leaking_rows", "score", "seconds", "memory",
)  # fmt: skip
SCORE_PARTS = ("forgetting", "privacy", "utility", "robustness")
# the order of words, the best first; OVER-FORGOTTEN and UNDECIDED are level
ORDERS = {
    "memory": {"FORGOTTEN": 0, "OVER-FORGOTTEN": 1, "UNDECIDED": 1, "REMEMBERS": 2},
    "rest": {"KEPT": 0, "UNDECIDED": 1, "DAMAGED": 2, "BROKEN": 3},
}


def verdict_cells(words: dict[str, str], verdict) -> list[str]:
    """The three words, each with its reason; without them the verdict of an earlier version, or that there is none."""
    if words:
        return list(words.values())
    old = verdict and not verdict_words(verdict)
    return [f"verdict of an earlier version: {verdict}" if old else "no verdict", *"–" * (len(PARTS) - 1)]


@dataclass
class Comparison:
    """Runs in ranked groups.

    A group: {"label", "method", "place" in the order, "rank", "within" and "below" the budget, "n", "runs": [row], each
    of `NUMBERS`: mean over seeds or None, "spread": {number: standard deviation or None}, "parts": {part of the score:
    mean or None}, "words": {part of the verdict: {word: count}}, "standing", "word": its worst memory word or None}. A
    row holds one run: "run", "words" and each of `NUMBERS`.
    """

    runs: list[Run]
    groups: list[dict]
    budget: float  # share of the target's utility below which a group is marked
    closeness_name: str
    utility_name: str

    @property
    def ranked_runs(self) -> list[Run]:
        return [row["run"] for group in self.groups for row in group["runs"]]

    @property
    def levels(self) -> dict[str, tuple[float, float]]:
        """{"target", "retrained": (forget, retain answer probability)} from the first run that has both."""
        found = {}
        for model in ("target", "retrained"):
            pairs = (tuple(run.value(model, split, "answer_probability") for split in ("forget", "retain"))
                     for run in self.runs)  # fmt: skip
            if pair := next((pair for pair in pairs if None not in pair), None):
                found[model] = pair
        return found

    @property
    def retrained_utility(self) -> float | None:
        """The retrained model's share of the target's utility, from the first run that has both."""
        for run in self.runs:
            ours, base = (finite(run.comparison.get(f"model_utility_{name}")) for name in ("retrained", "target"))
            if ours is not None and base:
                return ours / base
        return None


def compare(runs: list[Run], budget: float) -> Comparison:
    """Makes one group of the runs that differ only in seed, and ranks the groups."""
    (closeness, closeness_name), (utility, utility_name) = _best(_closeness(runs), runs), _best(_utility(runs), runs)
    found: dict[str, list[dict]] = {}
    for run in runs:
        found.setdefault(settings_key(run), []).append(_row(run, closeness(run), utility(run)))
    groups = [_group(rows) for rows in found.values()]
    _name(groups)
    return Comparison(runs, rank(groups, budget), budget, closeness_name, utility_name)


def rank(groups: list[dict], budget: float) -> list[dict]:
    """The groups in order, with "place" (from 1), "rank" and "within".

    Order: memory, then rest (a group stands where its worst seed stands), then score. A group without words comes last.
    The rank is a range, such as "2–4": 1 + the groups that are surely better, to n - those that are surely worse.
    """

    def key(group):
        score = group["score"]
        return (group["standing"] is None, group["standing"] or (), score is None, -(score or 0.0))

    found = sorted(groups, key=key)
    for place, group in enumerate(found, 1):
        low = 1 + sum(surely_better(other, group) for other in found)
        high = len(found) - sum(surely_better(group, other) for other in found)
        group["place"], group["rank"] = place, f"{low}" if low == high else f"{low}–{high}"
        group["within"] = group["utility"] is not None and group["utility"] >= budget - 1e-9
        group["below"] = group["utility"] is not None and not group["within"]
    return found


def surely_better(one: dict, other: dict) -> bool:
    """Whether a group stands above another one, or beside it with a higher score: Welch's 95 % interval over seeds.

    One seed has no interval, so it decides nothing.
    """
    if None in (one["standing"], other["standing"]):
        return False
    if one["standing"] != other["standing"]:
        return one["standing"] < other["standing"]
    scores = [[row["score"] for row in group["runs"] if row["score"] is not None] for group in (one, other)]
    if min(map(len, scores)) < 2 or not any(map(np.ptp, scores)):
        return False
    from scipy.stats import ttest_ind

    return bool(ttest_ind(*scores, equal_var=False).confidence_interval(0.95).low > 0)


def _closeness(runs: list[Run]) -> list[tuple]:
    """(function, name) of each measure of closeness, the best first."""

    def own(run):
        share = forget_way(run)
        return None if share is None else max(0.0, 1 - abs(1 - share))

    def unlikely(run):
        value = run.value("unlearned", "forget", "answer_probability")
        return None if value is None else 1 - value

    goal = "the retrained model" if all("retrained" in run.models for run in runs) else "rows never seen"
    return [
        (lambda run: finite(run.comparison.get("forgetting")), f"closeness to {goal} on the forget set"),
        (own, f"closeness to {goal} (forget-set answer probability)"),
        (unlikely, "1 - forget-set answer probability"),
    ]


def _utility(runs: list[Run]) -> list[tuple]:
    """(function, name) of each measure of utility that some run has."""

    def by(name):
        return lambda run: utility_left(run)[0] if utility_left(run)[1] == name else None

    return [(by(name), name) for name in dict.fromkeys(utility_left(run)[1] for run in runs)]


def _best(measures: list[tuple], runs: list[Run]) -> tuple:
    """The first measure among those that most runs have."""
    return max(measures, key=lambda pair: sum(pair[0](run) is not None for run in runs))


def _row(run: Run, closeness: float | None, utility: float | None) -> dict:
    def share(before, after):
        return after / before if after is not None and before else None

    model_utility = (finite(run.comparison.get(name)) for name in ("model_utility_target", "model_utility"))
    return {
        "run": run,
        "words": {part: word_of(word) for part, word in run.words.items()},
        "closeness": closeness,
        "utility": utility,
        "forget_probability": run.value("unlearned", "forget", "answer_probability"),
        "retain_probability": run.value("unlearned", "retain", "answer_probability"),
        "forget_accuracy": run.value("unlearned", "forget", "accuracy"),
        "extraction": run.value("unlearned", "forget", "extraction_strength"),
        "retain_accuracy_share": share(*run.change("retain", "accuracy")),
        "model_utility_share": share(*model_utility),
        **{
            name: finite(run.comparison.get(name))
            for name in ("forget_quality", "membership_auc", "membership_gap", "leaking_rows", "score")
        },
        "seconds": run.seconds("unlearning"),
        "memory": finite(run.timing.get("peak_memory_gib")),
    }


def _group(rows: list[dict]) -> dict:
    values = {name: [row[name] for row in rows if row[name] is not None] for name in NUMBERS}
    comparisons = [row["run"].comparison for row in rows]
    parts = {name: [value for c in comparisons if (value := finite(c.get(name))) is not None] for name in SCORE_PARTS}
    told = all(row["words"] for row in rows)
    worst = (
        {part: max((row["words"][part] for row in rows), key=order.get) for part, order in ORDERS.items()}
        if told
        else {}
    )
    return {
        "method": rows[0]["run"].method,
        "n": len(rows),
        "runs": rows,
        **{name: float(np.mean(known)) if known else None for name, known in values.items()},
        "spread": {name: float(np.std(known, ddof=1)) if len(known) > 1 else None for name, known in values.items()},
        "parts": {name: float(np.mean(known)) if known else None for name, known in parts.items()},
        "words": {part: Counter(row["words"].get(part, "–") for row in rows) for part in PARTS},
        "standing": tuple(order[worst[part]] for part, order in ORDERS.items()) if told else None,
        "word": worst.get("memory"),
    }


def _name(groups: list[dict]) -> None:
    """Labels each group with its method and the settings that tell groups of one method apart."""
    for group in groups:
        first = group["runs"][0]["run"]
        twins = [other["runs"][0]["run"].config for other in groups if other["method"] == group["method"]]
        settings = json.loads(settings_key(first))
        differing = [key for key in settings if any(config.get(key) != first.config.get(key) for config in twins)]
        shown = ", ".join(f"{key}={_short(first.config.get(key))}" for key in differing[:3])
        group["label"] = group["method"].replace("_", " ") + (f" ({shown})" if shown else "")
    counts = Counter(group["label"] for group in groups)
    for group in groups:
        if counts[group["label"]] > 1:
            group["label"] += f" [{group['runs'][0]['run'].name}]"


def _short(value) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.rstrip("/").rsplit("/", 1)[-1]
