"""Refuses unusable references: evaluations of other rows, and retrained models that saw the forget set."""

from __future__ import annotations

import numpy as np

from models.scores.evaluating import ModelEvaluation

KNOWS = 0.9  # a retrained model with this share of the target's knowledge of the forget set must have seen it
CONTRAST = 0.05  # the smallest difference between two values that allows placing a third between them


class UnfitReference(ValueError):
    """A target or retrained model, or its evaluation, cannot serve as a reference."""

    exit_code = 4


def check_same_rows(ours: ModelEvaluation, other: ModelEvaluation, role: str):
    """Raises UnfitReference unless `other`, the `role` model's evaluation, has the same rows and the same tokens."""
    for split in ours.per_example.keys() & other.per_example.keys():
        mine, theirs = (len(evaluation.subjects.get(split, ())) for evaluation in (ours, other))
        what = f"{theirs} {split} rows, the unlearned one on {mine}" if mine != theirs else ""
        for key, value in ours.measured_on.get(split, {}).items():
            found = other.measured_on.get(split, {}).get(key, value)
            if found != value and not what:
                what = f"{split} rows with another {key} ({found}, the unlearned one {value})"
                what = f"other {split} rows" if key == "content" else what
        if what:
            raise UnfitReference(f"the {role} model was measured on {what}: measure both on the same rows and settings")


def same_model(first: str, second: str) -> bool:
    """Whether two names lead to the same folder or to the same weights."""
    from models.store.loading import model_hash, resolve_model

    folders = [resolve_model(name).resolve() for name in (first, second)]
    return folders[0] == folders[1] or model_hash(first) == model_hash(second)


def refuse_target_as_retrained(target: str, retrained: str):
    """Raises UnfitReference if both names lead to the same folder or to the same weights."""
    if same_model(target, retrained):
        raise UnfitReference(
            f"--retrained_model {retrained} is the target model {target} itself (same weights), so every unchanged "
            "number would count as forgotten. Give a model that was trained without the forget set, or none"
        )


def check_retrained(target: ModelEvaluation, retrained: ModelEvaluation):
    """Raises UnfitReference if the retrained model knows the forget set about as well as the target does.

    Compares mean answer probabilities, minus the target's on the holdout set. Without a holdout set, it refuses only if
    the target knows the rows nearly by heart (above .5).
    """
    ours, theirs = (_probability(evaluation, "forget") for evaluation in (target, retrained))
    if ours is None or theirs is None:
        return
    unseen = _probability(target, "holdout")
    level, least = (0.0, 0.5) if unseen is None else (unseen, CONTRAST)
    if ours - level >= least and theirs - level >= KNOWS * (ours - level):
        raise UnfitReference(
            f"the retrained model knows the forget set as well as the target does (answer probability {theirs:.3f} and "
            f"{ours:.3f}{'' if unseen is None else f'; rows never seen: {unseen:.3f}'}): it was trained on these rows, "
            "or they can be answered without them. Give a model that was trained without the forget set, or none"
        )


def knows_as_well(target: ModelEvaluation, retrained: ModelEvaluation) -> bool:
    """Whether `check_retrained` could refuse the retrained model, depending on the holdout set."""
    ours, theirs = (_probability(evaluation, "forget") for evaluation in (target, retrained))
    return ours is not None and theirs is not None and theirs >= KNOWS * ours


def _probability(evaluation: ModelEvaluation, split: str) -> float | None:
    losses = [value for value in evaluation.per_example.get(split, {}).get("loss", []) if value is not None]
    return float(np.exp(-np.array(losses)).mean()) if losses else None
