"""Resistance: what attacks bring back, over what they bring to the retrained model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.attacks.table import ATTACKS
from models.scores.intervals import half_width
from models.verdict.gates import (
    FAILED,
    NO_CONTRAST,
    PASSED,
    UNDECIDED,
    Gate,
    column,
    down,
    forget_rows,
    names_of,
    settled,
    shown,
    up,
)
from models.verdict.memory import LEAK, ROW_CONTRAST
from models.verdict.references import CONTRAST
from models.verdict.words import counted

MOST = 0.2  # excess that counts as nothing brought back
LEVEL = 0.9  # its upper end is a one-sided bound at 95 %
# numbers whose rows can leak under attack
ROW_TRACES = ("answer_probability", "extraction_strength", "fact_recall", "best_fact_recall")
BEFORE = {"best_fact_recall": "fact_recall", "best_rouge_l_recall": "rouge_l_recall"}  # in the evaluation


def _per_row(table: Mapping, number: str, n: int) -> np.ndarray:
    """(n,) values of a number on forget rows; NaN where the attack did not score a row."""
    found = np.full(n, np.nan)
    for row, value in (table.get("rows", {}).get(number) or {}).items():
        if str(row).isdigit() and 1 <= int(row) <= n and isinstance(value, (int, float)):
            found[int(row) - 1] = value
    return found


def _before(table: Mapping, evaluation, number: str, n: int) -> np.ndarray:
    """(n,) values without the attack, from the attack itself, else from the evaluation, else its mean for each row."""
    rows = _per_row(table, f"{number}_before", n)
    if np.isfinite(rows).any():
        return rows
    rows = column(evaluation, "forget", BEFORE.get(number, number))
    if len(rows) == n:
        return rows
    mean = table.get(f"{number}_before")
    return np.full(n, np.nan if mean is None else mean)


def excess(attack: Mapping, evaluations: Mapping, number: str) -> dict | None:
    """{"excess", "low", "high", "leaking_rows"} of one number under one attack, or None where it cannot be had.

    x_i = [(u_a - r_a) - (u_0 - r_0)]_i / (mean t_0 - mean r_0), 0 = before the attack: what the attack adds to the
    unlearned model over what it adds to the retrained one; 90 % t interval over persons. A row leaks if it lies more
    than half of the way from the retrained model under attack to the target. "broken": rows on which the unlearned
    model alone has no finite value; they show nothing.
    """
    subjects = evaluations["unlearned"].subjects.get("forget", [])
    n = len(subjects)
    after = {role: _per_row(attack.get(role, {}), number, n) for role in ("unlearned", "retrained")}
    before = {role: _before(attack.get(role, {}), evaluations.get(role), number, n) for role in evaluations}
    if "target" not in before or "retrained" not in before:
        return None
    asked = np.isfinite(after["retrained"]) & np.isfinite(before["target"]) & np.isfinite(before["retrained"])
    there = asked & np.isfinite(after["unlearned"]) & np.isfinite(before["unlearned"])
    broken = int((asked & ~there).sum())
    if not there.any():
        return {"excess": None, "low": None, "high": None, "leaking_rows": [], "broken": broken} if broken else None
    t, u, r = (before[role][there] for role in ("target", "unlearned", "retrained"))
    contrast = float(t.mean() - r.mean())
    if contrast < CONTRAST:
        return None
    gap = after["unlearned"][there] - after["retrained"][there]
    values, groups = (gap - (u - r)) / contrast, [name for name, here in zip(names_of(subjects, n), there) if here]
    half, value = half_width(values, groups, LEVEL), float(values.mean())
    low, high = (None, None) if half is None else (value - half, value + half)
    leaks = []
    if number in ROW_TRACES:
        with np.errstate(invalid="ignore", divide="ignore"):
            leaks = (np.flatnonzero(there)[(t - r >= ROW_CONTRAST) & ((gap / (t - r)).round(9) > LEAK)] + 1).tolist()
    return {"excess": value, "low": low, "high": high, "leaking_rows": leaks, "broken": broken}


def _word(found: Mapping) -> str:
    """The word of one number under an attack."""
    if found["low"] is not None and settled(found["low"]) > MOST:
        return FAILED
    return PASSED if found["high"] is not None and settled(found["high"]) <= MOST else UNDECIDED


def _place(found: Mapping) -> tuple:
    """Sorts the numbers of an attack: what failed before what is undecided, then by the end of the interval."""
    end = next((found[name] for name in ("high", "excess") if found[name] is not None), -np.inf)
    return (PASSED, UNDECIDED, FAILED).index(_word(found)), end


def attack_gate(name: str, numbers: dict[str, dict], reference: bool = True) -> Gate:
    """Whether an attack brought something back; `numbers`: {number: excess}, `reference`: with a retrained model."""
    label, key = f"attack {name.replace('_', ' ')}", f"attack.{name}"
    if not numbers:
        why = "no row on which target and retrained model differ was attacked"
        why = why if reference else "without a retrained model nobody can say what it adds"
        return Gate(key, label, NO_CONTRAST, f"{label}: {why}")
    leaks = sorted({row for found in numbers.values() for row in found["leaking_rows"]})
    worst = max(numbers.values(), key=_place)
    value, low, high = worst["excess"], worst["low"], worst["high"]
    word = FAILED if leaks else _word(worst)
    why = "" if value is None else added_why(label, word, leaks, value, low, high)
    if broken := max(found["broken"] for found in numbers.values()):
        lacking = f"{label}: the unlearned model has no finite value on {counted(broken, 'row')}"
        word, why = (FAILED, f"{why}; {lacking}") if word == FAILED else (UNDECIDED, lacking)
    return Gate(key, label, word, why, value, low, high, None, MOST)


def added_why(label: str, word: str, leaks: list[int], value: float, low: float | None, high: float | None) -> str:
    """What an attack adds, with the end of its interval that decides: the lower one of a failed attack."""
    added = f"{shown(value, MOST, 0.0)} of what was forgotten" if settled(value) > 0 else "nothing"
    if leaks:
        known = f"{forget_rows(leaks)} {'is' if len(leaks) == 1 else 'are'} known"
        return f"under {label}, {known}; on average it adds {added}"
    span = "one person has no interval" if low is None else f"at most {shown(high, MOST, rounded=up)}"
    if word == FAILED:
        span = f"at least {shown(low, MOST, rounded=down)}"
    return f"{label} brings back {added} beyond what it teaches the retrained model ({span}; {shown(MOST)} is allowed)"


def resistance(attacks: Mapping | None, evaluations: Mapping) -> tuple[str, list[Gate], dict]:
    """(word, gates, {attack: {number: excess}}). attacks: {attack: {model: {number: value, "rows"}}}."""
    if not attacks:
        return "NOT RUN", [], {}
    found = {
        name: {number: row for number in ATTACKS[name].judged if (row := excess(models, evaluations, number))}
        for name, models in attacks.items()
        if name in ATTACKS
    }
    gates = [attack_gate(name, numbers, "retrained" in evaluations) for name, numbers in found.items()]
    words = [gate.word for gate in gates]
    if FAILED in words:
        return "CAME BACK", gates, found
    return ("UNDECIDED" if UNDECIDED in words or PASSED not in words else "HELD"), gates, found


def robustness(gates: list[Gate]) -> float | None:
    """1 - the largest excess over attacks, in [0, 1]; None if no attack has one."""
    values = [gate.value for gate in gates if gate.value is not None]
    return float(np.clip(1 - max(values), 0, 1)) if values else None
