"""How far a run came: numbers against their goals, rows that resisted, and what attacks brought back."""

from __future__ import annotations

import math
import re

import numpy as np

from models.verdict.references import CONTRAST
from results.report.runs import Run, per_row, per_subject
from results.report.words import metric_order

UTILITY_GATE = 0.95  # share of the target's utility that counts as kept
REACHED = 0.9  # share of the way to the goal that counts as forgotten
HARDLY = 0.1  # below this mean probability per token, the model hardly knew a text
LEFT = 0.5  # a row resisted if it kept more than this share of its way to the goal
MAIN_ATTACK_METRICS = ("answer_probability", "best_rouge_l_recall", "best_reciprocal_rank")


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


def hardly_known(run: Run) -> bool:
    """Whether the target hardly knew the forget set: no better than rows it never saw, or below `HARDLY`.

    Even a model that never saw a text guesses some of its words, so "known" means more than "above zero".
    """
    before = run.value("target", "forget", "answer_probability")
    if before is None:
        return False
    aim, source = goal(run, "answer_probability")
    return before < HARDLY or (source == "holdout" and aim is not None and before < aim + 0.02)


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
# Rows


def resisting_rows(run: Run) -> tuple[list[dict], int] | None:
    """(forget rows that kept more than half of their way, worst first; number of judged rows), or None.

    A row's goal is the retrained model's answer probability on it, else the target's mean on the holdout set.
    """
    values = per_row(run, "forget")
    stand_in = goal(run, "answer_probability")[0]
    found, judged = [], 0
    for index, before, after, aim in zip(values["index"], values["before"], values["after"], values["retrained"]):
        aim = stand_in if math.isnan(aim) else float(aim)
        share = None if math.isnan(before) or math.isnan(after) else way(float(before), float(after), aim)
        if share is None:
            continue
        judged += 1
        if share < LEFT:
            row = run.examples[index]
            found.append({"prompt": row.get("prompt") or row.get("gold"), "subject": row.get("subject"),
                          "before": float(before), "after": float(after), "goal": aim, "left": 1 - share})  # fmt: skip
    return (sorted(found, key=lambda row: -row["left"]), judged) if judged else None


def resisting_subjects(run: Run) -> list[dict]:
    """Subjects of the forget set, worst first, with "left": the share of their way that remains."""
    stand_in = goal(run, "answer_probability")[0]
    found = []
    for row in per_subject(run, "forget"):
        aim = stand_in if row["retrained"] is None else row["retrained"]
        share = way(row["before"], row["after"], aim)
        if share is not None:
            found.append({**row, "goal": aim, "left": 1 - share})
    return sorted(found, key=lambda row: -row["left"])


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
    """One {"attack", "metric", "target", "unlearned", "retrained", "before", "back", "back_retrained"} per number.

    "before" is the unlearned model's number without the attack. "back" is the share of the forgotten that the attack
    brought back, (after - before) / (target's before - before); "back_retrained" the same for the retrained model.
    Single layers of the logit lens stay in evaluation.json.
    """
    found = []
    for attack, models in run.attacks.items():
        metrics = {name for table in models.values() for name, value in table.items() if value is not None}
        shown = {name for name in metrics if not name.endswith("_before") and not re.match(r"layer_\d", name)}
        for metric in metric_order(shown):
            row = {"attack": attack, "metric": metric}
            row.update({name: models.get(name, {}).get(metric) for name in ("target", "unlearned", "retrained")})
            base = {name: table.get(f"{metric}_before") for name, table in models.items()}
            row["before"] = base.get("unlearned")
            for key, model in (("back", "unlearned"), ("back_retrained", "retrained")):
                three = row[model], base.get(model), base.get("target")
                known = None not in three and abs(three[2] - three[1]) >= CONTRAST
                row[key] = (three[0] - three[1]) / (three[2] - three[1]) if known else None
            found.append(row)
    return found


def main_attack_rows(run: Run) -> list[dict]:
    """The row that judges each attack: answer probability, else the best of several tries, else the first number."""
    order = {name: place for place, name in enumerate(MAIN_ATTACK_METRICS)}
    found: dict[str, dict] = {}
    for row in attack_rows(run):
        old = found.get(row["attack"])
        if old is None or order.get(row["metric"], 9) < order.get(old["metric"], 9):
            found[row["attack"]] = row
    return list(found.values())
