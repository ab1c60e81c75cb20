"""Where an unlearned model lies among null models: models trained in the same way that never saw the forget set.

One retrained model says what the goal is; several say how far two such models differ by chance. Everything here is
computed from evaluations; `null_models` builds and measures the models. Losses are nats per answer token. Non-members
are the judging rows, or the holdout rows of a run without them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from models.scores.evaluating import ModelEvaluation
from models.scores.intervals import group_numbers, jackknife_interval, share_interval
from models.scores.metric_table import METRICS
from models.verdict.gates import up
from models.verdict.membership import PLAIN

SMALLEST_LOSS = 2.0**-24  # float32 does not tell a smaller loss from 0
OWN_SPREAD = 64  # null models from which each row's own spread is used, as Carlini et al. 2022 advise for LiRA
FEW = 8  # with fewer null models, read RMIA rather than U-LiRA

# ---------------------------------------------------------------------------------------------------------------------
# Statistics


def scaled_logit(loss) -> np.ndarray:
    """phi(p) = log p - log(1 - p) of p = exp(-loss): the confidence on a scale where it is about normal.

    loss (...,) is the mean over the answer's tokens, so p is the length-normalised probability. The probability of the
    whole answer would be about 0 for every long row: phi would be minus the summed loss, its spread would grow with the
    row's length, and no spread could be shared among rows. Computed as -loss - log(-expm1(-loss)), which loses no digit
    near p = 1; losses below `SMALLEST_LOSS` count as that. LiRA: Carlini et al. 2022 (arXiv:2112.03570).
    """
    loss = np.maximum(np.asarray(loss, dtype=np.float64), SMALLEST_LOSS)
    return -loss - np.log(-np.expm1(-loss))


def u_lira(loss, null_losses) -> np.ndarray:
    """z = (phi(u) - mu) / sigma per row (n,): above 0 the model is surer of the row than the null models are.

    loss (n,), null_losses (K, n), K >= 2. mu and sigma: mean and standard deviation of phi over the null models; sigma
    is pooled over rows below `OWN_SPREAD` models. For a further null model z has variance 1 + 1/K, because mu is an
    estimate. The offline form of U-LiRA, which fits only models without the row: Hayes et al. 2024 (arXiv:2403.01218)
    also train models with it. Raises ValueError for losses that are not finite and for null models without any spread.
    """
    loss, null_losses = _losses(loss, null_losses, 2)
    phi = scaled_logit(null_losses)
    variance = phi.var(0, ddof=1)
    if len(phi) < OWN_SPREAD:
        variance = np.full(len(loss), variance.mean())
    if not (variance > 0).all():
        raise ValueError("the null models give a row the same loss: they are copies, or know the row by heart")
    return (scaled_logit(loss) - phi.mean(0)) / np.sqrt(variance)


def rmia(loss, null_losses, population, groups=None, a: float = 1.0, gamma: float = 1.0) -> np.ndarray:
    """RMIA's score per row (n,), in [0, 1]: the share of population rows z with LR(x, z) >= gamma.

    LR(x, z) = (p(x | model) / p(x)) / (p(z | model) / p(z)), p = exp(-loss), with the offline prior p(x) = ((1 + a) m
    + 1 - a) / 2 for the mean m of p(x | null model). Works with one null model. loss (n,), null_losses (K, n);
    population (n,) marks the rows z. Rows with the same entry in `groups`, and a row itself, are not compared.
    a = 1, so p(x) = m: a smaller one allows for reference models that saw the row, but rows that differ in difficulty
    then get different scores from a null model too. Zarifzadeh et al. 2024 (arXiv:2312.03262).
    """
    loss, null_losses = _losses(loss, null_losses, 1)
    population = np.asarray(population, dtype=bool)
    if population.shape != loss.shape or not population.any():
        raise ValueError("population marks at least one row, and has an entry for each")
    if not (0 <= a <= 1 and gamma > 0):
        raise ValueError(f"a must be in [0, 1] and gamma above 0, got {a} and {gamma}")
    with np.errstate(divide="ignore"):  # log 0 = -inf for a = 1
        prior = np.logaddexp(np.log((1 + a) / 2) + _log_mean_exp(-null_losses), np.log((1 - a) / 2))
    ratio = -loss - prior
    numbers = group_numbers(groups, len(loss))
    compared = population[None] & (numbers[None] != numbers[:, None])
    above = ratio[:, None] - ratio[None] >= math.log(gamma)
    counts = compared.sum(1)
    if not counts.all():
        raise ValueError("each row needs a population row of another subject")
    return (above & compared).sum(1) / counts


def _losses(loss, null_losses, least: int) -> tuple[np.ndarray, np.ndarray]:
    loss, null_losses = np.asarray(loss, dtype=np.float64), np.asarray(null_losses, dtype=np.float64)
    if loss.ndim != 1 or not loss.size or null_losses.ndim != 2 or null_losses.shape[1] != len(loss):
        raise ValueError(f"losses of (n,) and (K, n) rows are needed, got {loss.shape} and {null_losses.shape}")
    if len(null_losses) < least:
        raise ValueError(f"at least {least} null models are needed, got {len(null_losses)}")
    if not (np.isfinite(loss).all() and np.isfinite(null_losses).all()):
        raise ValueError("losses must be finite")
    return loss, null_losses


def _log_mean_exp(values: np.ndarray) -> np.ndarray:
    return np.logaddexp.reduce(values, axis=0) - math.log(len(values))


def attack_auc(members, others, member_groups=None, other_groups=None) -> dict[str, float | None]:
    """{"auc", "low", "high"}: P(a member scores higher than another row), ties half, with a 95 % t interval.

    members (n,), others (m,): scores that are higher for members. .5: the attack sees nothing; far below .5 the members
    stand out as too unlikely. The interval is a jackknife over subjects; None below two subjects on a side and where
    the sides do not overlap, because then every subject left out gives the same AUC.
    """
    members, others = np.asarray(members, dtype=np.float64), np.asarray(others, dtype=np.float64)
    above = (members[:, None] > others[None]) + 0.5 * (members[:, None] == others[None])
    sides = group_numbers(member_groups, len(members)), group_numbers(other_groups, len(others))
    auc = float(above.mean())
    found = jackknife_interval(lambda left, right: float(above[left][:, right].mean()), *sides)
    if found is None or found[1] == found[2]:
        return {"auc": auc, "low": None, "high": None}
    return {"auc": auc, "low": max(0.0, found[1]), "high": min(1.0, found[2])}


def epsilon_ceiling(members: int, others: int, level: float = 0.95) -> float:
    """The largest epsilon that a perfect attack on this many rows could show: a test of it can prove no more.

    epsilon >= log((1 - FNR) / FPR) (Kairouz et al. 2015, arXiv:1311.0776), with both error rates at their two-sided
    Clopper-Pearson upper bounds. Without an error, the bound of n rows is 1 - ((1 - level) / 2)^(1/n). So for n rows on
    each side: log((1 - b) / b); 40 and 40 rows give log(.912 / .088) = 2.34. The better of the two directions counts.
    Rows of one subject resemble each other, so they show less than this.
    """
    if min(members, others) < 1:
        raise ValueError("rows are needed on both sides")
    missed, alarms = (share_interval(0, count, level)[1] for count in (members, others))
    return max(0.0, math.log((1 - missed) / alarms), math.log((1 - alarms) / missed))


def position(value, null_values) -> dict | None:
    """Where a value lies among those of K null models; None without a value or with fewer than two null values.

    {"value", "mean", "sd", "low", "high", "z", "rank"}: z = (value - mean) / sd, None if they are all equal; low and
    high are the smallest and the largest; rank is "lower than all 5", "higher than all 5", or in words how many are
    below. By chance alone a further null model is lower than all K in 1 of K + 1 cases, and higher in another one.
    """
    found = np.array([other for other in null_values if _finite(other)], dtype=np.float64)
    if not _finite(value) or len(found) < 2:
        return None
    sd = float(found.std(ddof=1))
    below, above, count = int((found < value).sum()), int((found > value).sum()), len(found)
    rank = f"{below} of {count} below, {above} above"
    if count in (below, above):
        rank = f"{'lower' if above else 'higher'} than all {count}"
    mean = float(found.mean())
    return {
        "value": float(value), "mean": mean, "sd": sd, "low": float(found.min()), "high": float(found.max()),
        "z": (float(value) - mean) / sd if sd > 1e-9 * max(1.0, abs(mean)) else None,
        "rank": rank,
    }  # fmt: skip


def _finite(value) -> bool:
    return value is not None and math.isfinite(value)


# ---------------------------------------------------------------------------------------------------------------------
# From evaluations


def null_positions(null_evaluations: Sequence[ModelEvaluation], unlearned: ModelEvaluation) -> dict[str, dict]:
    """{"<set>.<metric>" or "membership_auc" or "membership_auc_<score>": `position`} of what all models have."""
    numbers = [_numbers(evaluation) for evaluation in (unlearned, *null_evaluations)]
    found = {name: position(value, [other.get(name) for other in numbers[1:]]) for name, value in numbers[0].items()}
    return {name: place for name, place in found.items() if place}


def _numbers(evaluation: ModelEvaluation) -> dict[str, float | None]:
    """The means of every set, and the AUCs of the membership scores."""
    numbers = {f"{split}.{name}": value for split, table in evaluation.metrics.items() for name, value in table.items()}
    split = others_of(evaluation)
    for name in PLAIN if split else ():
        sides = [_column(evaluation, side, name) for side in ("forget", split)]
        sides = [values[np.isfinite(values)] for values in sides]
        if all(map(len, sides)):
            sign = -1 if METRICS[name].knowing == "lower" else 1
            key = "membership_auc" if name == "loss" else f"membership_auc_{name}"
            numbers[key] = attack_auc(*(sign * values for values in sides))["auc"]
    return numbers


def others_of(evaluation: ModelEvaluation) -> str | None:
    """The set of the non-members: judging, or else holdout."""
    return next((split for split in ("judging", "holdout") if evaluation.per_example.get(split)), None)


def _column(evaluation: ModelEvaluation, split: str, name: str) -> np.ndarray:
    """(n,) values of a metric, NaN where a row has none."""
    values = evaluation.per_example.get(split, {}).get(name, [])
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def null_report(null_evaluations: Sequence[ModelEvaluation], unlearned: ModelEvaluation) -> tuple[dict, dict[str, str]]:
    """(contents of "null" in evaluation.json, notes).

    {"models": K, "metrics": `null_positions`, "u_lira" and "rmia": {"auc", "low", "high", "null": [lowest, highest AUC
    of a null model against the others] or None} or None, "epsilon_ceiling", "others": name of the non-members' set}.
    """
    report = {
        "models": len(null_evaluations), "metrics": null_positions(null_evaluations, unlearned),
        "u_lira": None, "rmia": None, "epsilon_ceiling": None, "others": others_of(unlearned),
    }  # fmt: skip
    notes = {"null": _what_chance_does(len(null_evaluations))}
    columns = _member_columns([unlearned, *null_evaluations])
    if isinstance(columns, str):
        notes["null_attacks"] = columns
        return report, notes
    losses, members, subjects = columns
    report["epsilon_ceiling"] = epsilon_ceiling(int(members.sum()), int((~members).sum()))
    for name, attack in (("u_lira", _u_lira_scores), ("rmia", _rmia_scores)):
        try:
            report[name] = _attacked(attack, losses, members, subjects)
        except ValueError as error:
            notes[f"null_{name}"] = f"{name}: {error}"
    if report["others"] != "judging":
        notes["null_others"] = (
            "no judging rows: the holdout rows are the non-members, and the method may have seen them"
        )
    return report, notes


def _what_chance_does(count: int) -> str:
    return (
        f"{count} models that never saw the forget set. By chance alone, one more such model would lie outside all of "
        f"them in 2 of {count + 1} cases, so a rank alone proves nothing; look at how far outside"
    )


def _member_columns(evaluations: list[ModelEvaluation]):
    """(losses (1 + K, n), is a member (n,), subjects) of rows that every model gives a finite loss; or why not."""
    split = others_of(evaluations[0])
    if split is None:
        return "U-LiRA and RMIA need judging or holdout rows: rows of the same kind that no model saw"
    columns = [[_column(found, side, "loss") for side in ("forget", split)] for found in evaluations]
    sizes = {tuple(map(len, sides)) for sides in columns}
    if len(sizes) > 1 or 0 in next(iter(sizes)):
        return "U-LiRA and RMIA need the metric loss of every model on the same forget and judging rows"
    losses = np.array([np.concatenate(sides) for sides in columns])
    members = np.arange(losses.shape[1]) < len(columns[0][0])
    names = [(side, name) if name is not None else None
             for side in ("forget", split) for name in evaluations[0].subjects[side]]  # fmt: skip
    kept = np.isfinite(losses).all(0)
    if not (members[kept].any() and (~members[kept]).any()):
        return "U-LiRA and RMIA need rows with a finite loss on both sides"
    return losses[:, kept], members[kept], [name for name, keep in zip(names, kept) if keep]


def _u_lira_scores(loss, null_losses, members, subjects):
    return u_lira(loss, null_losses)


def _rmia_scores(loss, null_losses, members, subjects):
    return rmia(loss, null_losses, ~members, subjects)


def _attacked(attack, losses: np.ndarray, members: np.ndarray, subjects: list) -> dict:
    """The AUC of an attack, and the range of its AUC on each null model with the others as its null models."""

    def auc(place: int, rest: np.ndarray) -> dict:
        scores = attack(losses[place], losses[rest], members, subjects)
        names = [[name for name, is_member in zip(subjects, members) if is_member == side] for side in (True, False)]
        return attack_auc(scores[members], scores[~members], *names)

    everyone = np.arange(len(losses))
    nulls = []
    if len(losses) > 3:  # three null models, so two are left to compare one with
        nulls = [auc(k, everyone[(everyone != k) & (everyone > 0)])["auc"] for k in everyone[1:]]
    return {**auc(0, everyone[1:]), "null": [min(nulls), max(nulls)] if nulls else None}


# ---------------------------------------------------------------------------------------------------------------------
# In words


def null_lines(report: dict) -> list[str]:
    """The "null" of evaluation.json as text: the metrics of the forget set, those outside, and both attacks."""
    table = report.get("metrics")
    if not table:
        return []
    outside = [name for name, place in table.items() if place["rank"].startswith(("lower", "higher"))]
    shown = [name for name in table if _worth_a_line(name) or name in outside]
    lines = [f"\n{'among null models':<36}{'model':>10}{'lowest':>10}{'highest':>10}{'z':>8}  rank"]
    for name in shown:
        place = table[name]
        numbers = "".join(f"{place[key]:>10.4f}" for key in ("value", "low", "high"))
        z = "-" if place["z"] is None else f"{place['z']:+.1f}"
        lines.append(f"  {name:<34}{numbers}{z:>8}  {place['rank']}")
    lines.append(f"{len(outside)} of {len(table)} numbers lie outside those of all null models")
    for name in ("u_lira", "rmia"):
        if found := report[name]:
            lines.append(f"{name}: AUC {_auc_text(found, report['models'])}")
    if report["epsilon_ceiling"] is not None:
        lines.append(f"epsilon that these rows could show at most: {up(report['epsilon_ceiling'], 2):.2f}")
    return lines


def _worth_a_line(name: str) -> bool:
    split, _, metric = name.partition(".")
    return not metric or (split == "forget" and metric in METRICS and not METRICS[metric].minor)


def _auc_text(found: dict, count: int) -> str:
    low, high = found["low"], found["high"]
    text = f"{found['auc']:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]")
    null = found["null"]
    return text + (f"; each null model against the other {count - 1}: {null[0]:.3f} to {null[1]:.3f}" if null else "")
