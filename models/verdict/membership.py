"""Membership: can the forget rows be told from judging rows, which nothing that steers ever saw?

Scores are higher for rows outside the training set, so an AUC of 1 means that forget rows look trained on, .5 that
nothing tells them apart. Forget and judging rows may differ in themselves, so every AUC is compared with the retrained
model's on the same rows.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from models.scores.evaluating import ModelEvaluation
from models.scores.intervals import group_numbers, jackknife_interval
from models.verdict import memory
from models.verdict.gates import (
    FAILED,
    NOT_MEASURED,
    OVER,
    PASSED,
    UNDECIDED,
    Gate,
    column,
    ends,
    inside,
    names_of,
    shown,
)
from models.verdict.words import counted

NON_MEMBERS = "judging"
MARGIN, LEVEL = 0.1, 0.9  # of the AUC's distance from the retrained model's; two one-sided tests at 5 %
LEAST_PERSONS = 4  # on the side of the non-members
PERMUTATIONS = 99
PLAIN = ("loss", "min_k", "min_k_plus_plus", "zlib_ratio", "accuracy", "paraphrase_loss")
DERIVED = {"loss_minus_base": "loss minus the base model's", "loss_minus_retrained": "loss minus the retrained model's",
           "unusual_loss": "distance from the usual loss"}  # fmt: skip
COMBINED = "combined"
# Tests with so much noise between two retrained models that they can show a trace, and never that there is none.
DETECTORS = ("loss_minus_retrained", "unusual_loss", COMBINED)
EITHER_SIDE = ("unusual_loss", COMBINED)  # high for rows that are too likely and for rows that are too unlikely
WIDEST = 0.25  # the widest margin that a null may make


@dataclass
class Sides:
    """{score: (members (n,), non-members (m,))} of one model, and the persons' numbers on both sides."""

    scores: dict
    groups: tuple[np.ndarray, np.ndarray]

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """The scores as features, (n, d) and (m, d)."""
        return tuple(np.stack([pair[side] for pair in self.scores.values()], 1) for side in (0, 1))


def sides_of(model: ModelEvaluation, *others: ModelEvaluation, base: ModelEvaluation | None = None) -> Sides | None:
    """The membership scores of a model to be compared with others, the retrained one first; None without rows.

    base: the target's evaluation, in which the base model's losses stand where it was measured.

    Rows on which one of the models has no loss are left out. So is a score that one of them lacks on some other row:
    with it, few rows would stand for all.
    """
    raw = {split: {name: column(model, split, name) for name in PLAIN} for split in ("forget", NON_MEMBERS)}
    there = {split: _with_loss(split, model, *others) for split in raw}
    if not all(rows.any() for rows in there.values()):
        return None
    names = [
        name
        for name in PLAIN
        if all(_whole(column(each, split, name), there[split]) for each in (model, *others) for split in raw)
    ]
    retrained = others[0]
    easy = {split: column(base, split, "base_loss") for split in raw}
    for split, found in raw.items():
        if all(_whole(easy[each], rows) for each, rows in there.items()):
            found["loss_minus_base"] = found["loss"] - easy[split]
        found["accuracy"] = 1 - found["accuracy"] if len(found["accuracy"]) else found["accuracy"]
        found["unusual_loss"] = -np.abs(found["loss"] - np.nanmedian(raw[NON_MEMBERS]["loss"]))
        if len(theirs := column(retrained, split, "loss")) == len(found["loss"]) and retrained is not model:
            found["loss_minus_retrained"] = found["loss"] - theirs
    names += [name for name in DERIVED if all(name in found for found in raw.values())]
    groups = [group_numbers(names_of(model.subjects.get(split, []), len(rows)), len(rows))[rows]
              for split, rows in there.items()]  # fmt: skip
    return Sides(
        {name: tuple(raw[split][name][rows] for split, rows in there.items()) for name in names}, tuple(groups)
    )


def _whole(values: np.ndarray, rows: np.ndarray) -> bool:
    """Whether a score has a value on each of these rows."""
    return len(values) == len(rows) and bool(np.isfinite(values[rows]).all())


def _comparable(*sides: Sides | None) -> bool:
    """Whether these models have scores, on the same rows."""
    return None not in sides and len({tuple(map(len, each.groups)) for each in sides}) == 1


def _with_loss(split: str, *models) -> np.ndarray:
    """(n,) whether a row of a set has a finite loss for each of these models that was measured on the set."""
    found = [np.isfinite(column(model, split, "loss")) for model in models]
    return np.logical_and.reduce([rows for rows in found if len(rows) == len(found[0])])


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """`array_scores.membership_auc` without its checks: jackknife and permutations call it thousands of times."""
    return float(_wins(members, others).mean())


_EVEN = np.zeros(1), np.zeros(1)  # scores of an AUC of .5


def _wins(members: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, m) 1 where a non-member's score is higher than a member's, .5 where they are equal: its mean is the AUC."""
    return (others[None] > members[:, None]) + 0.5 * (others[None] == members[:, None])


def combined_auc(members: np.ndarray, others: np.ndarray, groups: tuple) -> float:
    """AUC of a logistic test of all scores, (n, d) against (m, d), on persons that it was not fitted on.

    Fold k leaves out the k-th member person and every G-th other person; the AUC is the mean over folds of the AUC
    within the fold, so that folds need no common scale.
    """
    left, right = (np.unique(group, return_inverse=True)[1] for group in groups)
    folds, found = min(int(left.max()), int(right.max())) + 1, []
    for fold in range(folds):
        out = left % folds == fold, right % folds == fold
        fitted = _logistic(members[~out[0]], others[~out[1]])
        if fitted is not None:
            found.append(auc(fitted(members[out[0]]), fitted(others[out[1]])))
    return float(np.mean(found)) if found else float("nan")


def _logistic(members: np.ndarray, others: np.ndarray):
    """The score function (higher for non-members) of a ridge logistic regression; None if a side is empty.

    Eight Newton steps from zero on standardised features with a ridge of 1: the fit of sklearn's LogisticRegression
    (C=1) to three digits, without its start-up cost, which permutations pay a thousand times.
    """
    if not len(members) or not len(others):
        return None
    x, y = np.concatenate([members, others]), np.repeat([0.0, 1.0], [len(members), len(others)])
    mean, spread = x.mean(0), np.maximum(x.std(0), 1e-9)
    x = np.hstack([(x - mean) / spread, np.ones((len(x), 1))])
    weight = np.where(y > 0, len(y) / (2 * len(others)), len(y) / (2 * len(members)))
    ridge, beta = np.diag([1.0] * (x.shape[1] - 1) + [1e-6]), np.zeros(x.shape[1])
    for _ in range(8):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge
        beta += np.linalg.solve(hessian, x.T @ (weight * (y - p)) - ridge @ beta)
    return lambda rows: ((rows - mean) / spread) @ beta[:-1] + beta[-1]


def combined_p(sides: Sides, seed: int = 0) -> float:
    """p-value of the combined test: the share of permutations of persons between the sides with an AUC as high."""
    members, others = sides.table()
    rows = np.concatenate([members, others])
    groups = np.concatenate([sides.groups[0], sides.groups[1] + sides.groups[0].max() + 1])
    persons, count = np.unique(groups), len(np.unique(sides.groups[0]))
    observed, draw, higher = combined_auc(members, others, sides.groups), np.random.default_rng(seed), 0
    for _ in range(PERMUTATIONS):
        chosen = np.isin(groups, draw.permutation(persons)[:count])
        higher += combined_auc(rows[chosen], rows[~chosen], (groups[chosen], groups[~chosen])) >= observed
    return (1 + higher) / (1 + PERMUTATIONS)


def auc_of(sides: Sides, name: str, left: np.ndarray, right: np.ndarray) -> float:
    """AUC of a score, or of the combined test, on masks of members and non-members."""
    if name == COMBINED:
        members, others = sides.table()
        return combined_auc(members[left], others[right], (sides.groups[0][left], sides.groups[1][right]))
    members, others = sides.scores[name]
    return auc(members[left], others[right])


def gaps(unlearned: Sides, retrained: Sides) -> dict[str, dict]:
    """{score or "combined": {"unlearned", "retrained": AUC, "gap", "low", "high"}}: A_u - A_r, 90 % jackknife interval.

    A score that the retrained model lacks (its loss minus its own) has the AUC .5 there.
    """
    found = {}
    for name in (*unlearned.scores, COMBINED):
        wins = None if name == COMBINED else _wins(*unlearned.scores[name]) - _wins(*retrained.scores.get(name, _EVEN))

        def gap(left, right, name=name, wins=wins):
            if wins is not None:
                return float(wins[left][:, right].mean())
            return auc_of(unlearned, name, left, right) - auc_of(retrained, name, left, right)

        everything = [np.ones(len(groups), dtype=bool) for groups in unlearned.groups]
        ours = auc_of(unlearned, name, *everything)
        interval = jackknife_interval(gap, *unlearned.groups, level=LEVEL, rows=wins is not None)
        interval = interval or (gap(*everything), None, None)
        found[name] = {
            "unlearned": ours,
            "retrained": ours - interval[0],
            **dict(zip(("gap", "low", "high"), interval)),
        }
    return found


def _unseen(model: ModelEvaluation) -> ModelEvaluation:
    """The evaluation with its holdout rows in place of the forget rows."""
    per_example = {**model.per_example, "forget": model.per_example.get("holdout", {})}
    subjects = {**model.subjects, "forget": model.subjects.get("holdout", [])}
    return dataclasses.replace(model, per_example=per_example, subjects=subjects)


def null_gaps(target: ModelEvaluation | None, retrained: ModelEvaluation) -> dict[str, tuple[float, float]]:
    """{score: (low, high)}: the gap between the target and the retrained model for holdout rows, which neither saw."""
    if target is None:
        return {}
    seen, theirs = _unseen(target), _unseen(retrained)
    sides = sides_of(seen, theirs, base=seen), sides_of(theirs, theirs, seen, base=seen)
    if not _comparable(*sides):
        return {}
    return {n: (row["low"], row["high"]) for n, row in gaps(*sides).items() if row["low"] is not None}


def membership_gate(unlearned, retrained, target=None) -> tuple[Gate, dict]:
    """(gate, {score: AUCs, gap and word}): whether any score tells more than it does for the retrained model.

    Each gap A_u - A_r must lie within the margin with its interval: .1, or where a model that never saw the rows may
    well lie outside (`null_gaps`, `memory.usual_margin`), at most .25. `DETECTORS` only fail.
    """
    label = "membership"
    ours, theirs = (
        sides_of(model, *others, base=target)
        for model, *others in ((unlearned, retrained), (retrained, retrained, unlearned))
    )
    if not _comparable(ours, theirs):
        why = "there are no judging rows (rows that nothing was steered by) to compare the forget rows with"
        return Gate("membership", label, NOT_MEASURED, why), {}
    found, nulls = gaps(ours, theirs), null_gaps(target, retrained)
    persons = [len(np.unique(groups)) for groups in ours.groups]
    broken = int(_with_loss("forget", retrained).sum()) - len(ours.groups[0])
    few = min(persons) < 2 or persons[1] < LEAST_PERSONS
    few = few or any(row["low"] is None for name, row in found.items() if name not in DETECTORS)
    for name, row in found.items():
        row["null"] = nulls.get(name)
        row["margin"] = min(WIDEST, max(MARGIN, _usual(nulls.get(name))))
        row["word"] = _word(name, row, few, found["loss"]["gap"] < 0)
    worst = _worst(found)
    if broken and found[worst]["word"] != FAILED:
        why = f"membership: the unlearned model has no finite loss on {counted(broken, 'forget row')}"
        return Gate("membership", label, UNDECIDED, why), found
    if few and found[worst]["word"] != FAILED:
        why = few_why(*persons)
        return Gate("membership", label, UNDECIDED, why), found
    row = found[worst]
    return Gate("membership", label, row["word"], _why(worst, row), row["gap"], row["low"], row["high"],
                -row["margin"], row["margin"], row["null"]), found  # fmt: skip


def _usual(null: tuple[float, float] | None) -> float:
    """How far the interval of a model that never saw the rows may reach; see `memory.usual_margin`."""
    return memory.usual_margin(sum(null) / 2, (null[1] - null[0]) / 2) if null else 0.0


def _word(name: str, row: dict, few: bool, unlikely: bool) -> str:
    """The word of one score; `unlikely`: the loss is higher on the forget rows than the retrained model's."""
    found = UNDECIDED
    if row["unlearned"] >= 1 and row["retrained"] < 1:
        found = FAILED
    elif not few and row["low"] is not None:
        found = inside(row["low"], row["high"], -row["margin"], row["margin"])
    if found == FAILED and name in EITHER_SIDE and unlikely:
        return OVER
    return PASSED if found == UNDECIDED and name in DETECTORS and not few else found


def _worst(found: dict) -> str:
    """The score that is furthest from passing; detectors that found nothing come last."""
    order = (FAILED, OVER, UNDECIDED, PASSED)

    def place(name):
        row = found[name]
        silent = name in DETECTORS and row["word"] == PASSED
        return order.index(row["word"]), silent, -abs(row["gap"]) / row["margin"]

    return min(found, key=place)


def _why(name: str, row: dict) -> str:
    margin = row["margin"]
    by = "all scores together" if name == COMBINED else DERIVED.get(name, name.replace("_", " "))
    ours, theirs = (shown(row[model], 1.0) for model in ("unlearned", "retrained"))
    text = f"by {by}, a test tells forget rows from unseen ones with AUC {ours}"
    if row["unlearned"] >= 1:
        return f"{text}, every one of them (retrained model: {theirs})"
    text += f"; on the retrained model with {theirs}. Difference {shown(row['gap'], margin, -margin)}"
    if row["low"] is None:
        return text
    span = ends(row["low"], row["high"], margin, -margin)
    asked = shown(margin, *(abs(row[name]) for name in ("gap", "low", "high")))
    return f"{text} (90 % interval {span}; within ±{asked} is asked for)"


def few_why(forget: int, judging: int) -> str:
    """Why so many persons on each side decide nothing about membership."""
    if forget >= 2 and judging >= LEAST_PERSONS:
        return "membership: a score has no interval"
    return f"{forget} forget and {counted(judging, 'judging person')}; at least 2 and {LEAST_PERSONS} decide"
