"""Rest: how much of what should stay is left, with intervals, and what happened beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from data.exams import is_exam
from models.scores.array_scores import harmonic_mean
from models.scores.evaluating import OPTION_SETS, ModelEvaluation
from models.scores.intervals import group_numbers, jackknife_interval, mean_interval
from models.verdict.gates import FAILED, NOT_MEASURED, PASSED, UNDECIDED, Gate, column, ends, settled, shown

KEPT, LOWEST, BROKEN = 0.95, 0.90, 0.5  # share of utility that counts as kept, its lower bound, a broken model
LEARNED = 1.25  # share of the others' utility from which on the rows to keep were learned in the run, not kept
LOST = 0.5  # a retain row with less than this share of the target's answer probability is lost
KNOWN = 0.2  # answer probability from which the target knew a retain row
FLUENT = ("retain", "general")


def utility_numbers(evaluation: ModelEvaluation) -> dict[str, float | None]:
    """The numbers of `model_utility`, by set and metric: probability, ROUGE-L recall and truth ratio.

    Sets: retain and the `OPTION_SETS`, which use the probability among options. On TOFU's sets, these are its nine.
    """
    numbers = {}
    for split in ("retain", *OPTION_SETS):
        probability = "option_probability" if split in OPTION_SETS else "answer_probability"
        for name in (probability, "rouge_l_recall", "truth_ratio") if split in evaluation.metrics else ():
            numbers[f"{split}.{name}"] = evaluation.metrics[split].get(name)
    return numbers


def _rows(evaluations: Sequence, key: str) -> list[np.ndarray]:
    return [column(evaluation, *key.split(".", 1)) for evaluation in evaluations]


def _mean(values: np.ndarray, kept: np.ndarray) -> float:
    values = values[kept & np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan


class Utility:
    """The share of utility that is left, as a function of which rows of each set count.

    U = min(utility(u) / min(utility(t), utility(r)), fluency(u) / fluency(t) on retain and general), where utility is
    the harmonic mean of `utility_numbers`. A number that is not finite for the unlearned model counts as 0.
    """

    def __init__(self, target: ModelEvaluation, unlearned: ModelEvaluation, retrained: ModelEvaluation | None):
        models = [target, unlearned, *([retrained] if retrained is not None else [])]
        self.keys = [key for key, value in utility_numbers(target).items() if value]  # what is 0 cannot fall
        self.fluent = [f"{split}.fluency" for split in FLUENT if len(column(target, split, "fluency"))]
        self.values = {key: _rows(models, key) for key in (*self.keys, *self.fluent)}
        self.splits = list(dict.fromkeys(key.split(".")[0] for key in self.values))
        sizes = {
            split: max(len(v[0]) for k, v in self.values.items() if k.startswith(f"{split}.")) for split in self.splits
        }
        self.groups = [group_numbers(target.subjects.get(split), sizes[split]) for split in self.splits]

    def __call__(self, *kept: np.ndarray) -> float:
        return min(share if math.isfinite(share) else 0.0 for share in self.shares(*kept))

    def shares(self, *kept: np.ndarray) -> list[float]:
        """The share of the utility, then that of each fluency, over the groups that are kept."""
        masks = dict(zip(self.splits, kept))
        means = {}
        for key, columns in self.values.items():
            mask = masks[key.split(".")[0]]
            means[key] = [_mean(values, mask) if len(values) == len(mask) else math.nan for values in columns]
        utilities = []
        for place in range(len(next(iter(means.values())))):
            parts = [means[key][place] for key in self.keys]
            utilities.append(harmonic_mean([value if math.isfinite(value) else 0.0 for value in parts]))
        reference = min((value for place, value in enumerate(utilities) if place != 1 and value > 0), default=math.nan)
        fluent = [means[key][1] / means[key][0] for key in self.fluent if means[key][0] > 0]
        return [utilities[1] / reference, *fluent]

    def lacking(self) -> list[str]:
        """The numbers that a model tells as means alone: its files are of another tool, or were cut."""
        return [key for key, columns in self.values.items() if len({len(values) for values in columns}) != 1]

    def everything(self) -> list[np.ndarray]:
        """The argument that keeps all groups."""
        return [np.ones(len(groups), dtype=bool) for groups in self.groups]

    def interval(self) -> tuple[float, float | None, float | None]:
        """(U, low, high), 95 % by leaving out one person or row at a time; U is not capped at 1."""
        found = jackknife_interval(self, *self.groups)
        return found or (self(*self.everything()), None, None)


def utility_gate(target, unlearned, retrained) -> Gate:
    """Whether the rest is kept: U at least .95 and the lower end of its interval at least .90.

    Rows that the run taught the model cannot pass: documents alone ended KEPT with a third of the others' facts lost.
    """
    label = "share of utility that is left"
    if target is None:
        return Gate("utility", label, NOT_MEASURED, "the model before was not measured, so no loss can be told")
    known = {key: value for key, value in utility_numbers(target).items() if value}
    if not known:
        return Gate("utility", label, NOT_MEASURED, "there is no retain or general set whose loss could be measured")
    utility = Utility(target, unlearned, retrained)
    if lacking := utility.lacking():
        why = f"{', '.join(lacking)}: no values by row, so no loss can be told; measure the models again"
        return Gate("utility", label, NOT_MEASURED, why)
    value, low, high = utility.interval()
    others = [Utility(model, unlearned, None) for model in (target, retrained) if model is not None]
    taught = all(other.shares(*other.everything())[0] > LEARNED for other in others)
    word, why = left_word(value, low, high, taught), left_why(value, low, high, taught)
    return Gate("utility", label, word, why, value, low, high, KEPT, None, lowest=LOWEST)


def left_word(value: float, low: float | None, high: float | None, taught: bool) -> str:
    """The word of the share of utility that is left."""
    if settled(value) < LOWEST or (high is not None and settled(high) < KEPT):
        return FAILED
    kept = settled(value) >= KEPT and low is not None and settled(low) >= LOWEST
    return PASSED if kept and not taught else UNDECIDED


def left_why(value: float, low: float | None, high: float | None, taught: bool) -> str:
    """What is left of the utility, with its interval, beside what is asked for."""
    span = "no interval" if low is None else f"95 % interval {ends(low, high, LOWEST, KEPT)}"
    why = (
        f"{shown(value, KEPT, LOWEST, BROKEN)} of the utility is left ({span}); {KEPT} is asked for, and {LOWEST:.2f} "
        "at the lower end"
    )
    if taught:
        why += "; the run taught it the rows to keep, so they cannot show what else it lost: measure rows that it knew"
    return why


def rest_word(gate: Gate) -> str:
    """The word of the rest."""
    if gate.word == FAILED:
        return "BROKEN" if settled(gate.value) < BROKEN else "DAMAGED"
    return "KEPT" if gate.word == PASSED else "UNDECIDED"


def parts(target: ModelEvaluation, unlearned: ModelEvaluation) -> dict[str, dict]:
    """{"set.metric": {"target", "unlearned", "share", "low", "high"}} of each number of the utility, paired by row."""
    found = {}
    for key, value in utility_numbers(target).items():
        before, after = _rows([target, unlearned], key)
        if not value or len(before) != len(after):
            continue
        there = np.isfinite(before) & np.isfinite(after)
        if not there.any() or not before[there].mean():
            continue
        before, after = before[there], after[there]
        subjects = [s for s, here in zip(target.subjects.get(key.split(".")[0], []), there) if here] or None

        def share(kept, before=before, after=after):
            return float(after[kept].mean() / before[kept].mean()) if before[kept].any() else math.nan

        interval = jackknife_interval(share, group_numbers(subjects, len(before)))
        ends = interval or (share(np.ones(len(before), dtype=bool)), None, None)
        found[key] = {"target": float(before.mean()), "unlearned": float(after.mean()),
                      **dict(zip(("share", "low", "high"), ends))}  # fmt: skip
    return found


def lost_rows(target: ModelEvaluation, unlearned: ModelEvaluation) -> list[dict]:
    """Retain rows that the target knew and whose answer probability fell below half of it, by number and person."""
    before, after = _rows([target, unlearned], "retain.answer_probability")
    if len(before) != len(after):
        return []
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((before >= KNOWN) & ((after < LOST * before) | ~np.isfinite(after)))
    subjects = target.subjects.get("retain", [])
    return [
        {"split": "retain", "row": int(row) + 1, "subject": subjects[row] if row < len(subjects) else None,
         "left": float(after[row] / before[row]) if math.isfinite(after[row]) else None}
        for row in rows
    ]  # fmt: skip


def beside(target, unlearned, retrained) -> dict[str, dict]:
    """Numbers printed beside the utility: {name: {model: value}}.

    run_on, answer_precision: of general answers. in_context: fact recall with the fact in the prompt. holdout_drift:
    change of the answer probability on rows that nobody trained on, with its interval; any change is damage. exam_...:
    the share of an exam's questions answered rightly, with the change from the target and its interval.
    """
    models = {"target": target, "unlearned": unlearned, "retrained": retrained}
    asked = {"run_on": ("general", "run_on"), "answer_precision": ("general", "precision"),
             "in_context": ("in_context", "fact_recall")}  # fmt: skip
    found = {}
    for name, (split, metric) in asked.items():
        row = {role: model.metrics.get(split, {}).get(metric) for role, model in models.items() if model is not None}
        if any(value is not None for value in row.values()):
            found[name] = row
    found |= {split: _exam(models, split) for split in unlearned.metrics if is_exam(split)}
    drift, subjects = [], []
    for split in ("holdout", "judging") if target is not None else ():
        before, after = _rows([target, unlearned], f"{split}.answer_probability")
        if len(before) == len(after) and len(before):
            there = np.isfinite(before) & np.isfinite(after)
            drift += (after - before)[there].tolist()
            subjects += [s for s, here in zip(target.subjects.get(split, [None] * len(before)), there) if here]
    if drift:
        low, high = mean_interval(drift, subjects) or (None, None)
        found["holdout_drift"] = {"change": float(np.mean(drift)), "low": low, "high": high}
    return found


def _exam(models: dict, split: str) -> dict:
    """An exam's share of right answers of each model, and the mean change by row from the target to the unlearned."""
    metric = "multiple_choice_accuracy"
    row = {role: model.metrics.get(split, {}).get(metric) for role, model in models.items() if model is not None}
    sides = [column(models[role], split, metric) for role in ("target", "unlearned") if models[role] is not None]
    if len(sides) < 2 or len(sides[0]) != len(sides[1]):
        return row
    there = np.isfinite(sides[0]) & np.isfinite(sides[1])
    change = (sides[1] - sides[0])[there].tolist()
    if not change:
        return row
    subjects = [subject for subject, here in zip(models["unlearned"].subjects[split], there) if here]
    low, high = mean_interval(change, subjects) or (None, None)
    return {**row, "change": float(np.mean(change)), "low": low, "high": high}
