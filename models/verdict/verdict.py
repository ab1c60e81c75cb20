"""The verdict on an unlearned model: its evaluation compared with the target's and the retrained model's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.scores.array_scores import (
    forget_quality,
    harmonic_mean,
    membership_auc,
    membership_classifier,
    model_utility,
    privacy_leakage,
    refusal_scores,
    true_positive_rate,
)
from models.scores.evaluating import ModelEvaluation
from models.scores.intervals import group_numbers, jackknife_interval, none_of
from models.verdict import membership, memory, resistance, rest
from models.verdict.gates import (
    FAILED,
    NO_CONTRAST,
    NOT_MEASURED,
    OVER,
    PASSED,
    UNDECIDED,
    Gate,
    column,
    least_change,
)
from models.verdict.references import check_retrained, check_same_rows
from models.verdict.words import NO_RETRAINED, WORDS, verdict_text

TURN_WITHOUT = (
    "A model trained like this one without the forget rows would decide it: give it as --retrained_model. If it can be "
    "built at all, it is also the exact way to forget."
)
MEMBERSHIP = ("loss", "min_k", "min_k_plus_plus", "zlib_ratio")


@dataclass
class Verdict:
    """`comparison`: words and numbers; `notes` on them; `evidence`: gates, rows, persons, sentences by part."""

    comparison: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, dict] = field(default_factory=dict)


def judge(
    target: ModelEvaluation | None,
    unlearned: ModelEvaluation,
    retrained: ModelEvaluation | None,
    attacks: Mapping | None = None,
) -> Verdict:
    """The three words on the unlearned model, with everything they rest on; see `models.verdict.words`.

    attacks: {attack: {model: {number: value, "rows"}}}. Without a retrained model a failure can be shown, and success
    cannot. Raises UnfitReference for evaluations of other rows, and for a retrained model that knows the forget set.
    """
    for role, reference in (("target", target), ("retrained", retrained)):
        if reference is not None:
            check_same_rows(unlearned, reference, role)
    if target is not None and retrained is not None:
        check_retrained(target, retrained)
    found = Verdict()
    _named_numbers(target, unlearned, retrained, found)
    _memory(target, unlearned, retrained, found)
    _rest(target, unlearned, retrained, found)
    _resistance(target, unlearned, retrained, attacks, found)
    words = {part: found.evidence[part]["word"] for part in WORDS}
    found.comparison = {"verdict": verdict_text(words), **words, **_score(found), **found.comparison}
    found.notes["verdict"] = " ".join(
        f"{word}: {WORDS[part][word.split(' (')[0]].plain}" for part, word in words.items()
    )
    return found


def compare(target, unlearned, retrained, attacks=None) -> tuple[dict[str, Any], dict[str, str]]:
    """(comparison, notes) of `judge`."""
    found = judge(target, unlearned, retrained, attacks)
    return found.comparison, found.notes


# ---------------------------------------------------------------------------------------------------------------------
# The three parts


def _evidence(word: str, gates: list[Gate], **more) -> dict:
    """One part of the evidence: the sentences that decide the word, and the least change that would turn it."""
    order = (FAILED, OVER, UNDECIDED)
    deciding = [gate for kind in order for gate in gates if gate.word == kind]
    silent = [gate for gate in gates if gate.word in (NOT_MEASURED, NO_CONTRAST)]
    silent = silent if word.startswith(UNDECIDED.upper()) else []
    passed = [gate for gate in gates if gate.word == PASSED]
    why = [_sentence(gate.why) for gate in (deciding or silent or passed)]
    turn = None if silent and not deciding else _turn(gates)
    return {"word": word, "why": why, "turn": turn, "gates": [gate.as_json() for gate in gates], **more}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _turn(gates: list[Gate]) -> str | None:
    """The least change that would turn the word."""
    for kind in (FAILED, OVER, UNDECIDED):
        count = sum(gate.word == kind for gate in gates)
        if count:
            nearest = least_change(gates, kind)
            if nearest is None:
                return None
            if nearest.room() >= 0:  # its value would pass: something else than the value keeps it from that
                return None
            state = "undecided" if kind == UNDECIDED else "not passed"
            which = f"{count} tests are {state}; the nearest to passing is" if count > 1 else f"One test is {state}:"
            return f"{which} {nearest.label}, {_distance(nearest)} from its bound."
    measured = [gate for gate in gates if None not in (gate.low, gate.high) and (gate.room() or 0) >= 0]  # no counts
    nearest = least_change(measured, PASSED)
    return f"The test nearest to failing is {nearest.label}, {_distance(nearest)} from its bound." if nearest else None


def _distance(gate: Gate) -> str:
    room = abs(gate.room())
    return f"{room:.0f}" if room == round(room) else f"{room:.3g}"


def _memory(target, unlearned, retrained, found: Verdict) -> None:
    subjects = unlearned.subjects.get("forget", [])
    traces, scores, rows = {}, {}, []
    if target is None:
        gates = [Gate("rows", "rows still known", NO_CONTRAST, "the model before was not measured")]
    elif retrained is None:
        gates, rows = memory.without_retrained(target, unlearned)
    else:
        traces = memory.traces_of(target, unlearned, retrained)
        gates = memory.memory_gates(target, unlearned, retrained)
        gate, scores = membership.membership_gate(unlearned, retrained, target)
        gates.append(gate)
        _before(target, retrained, scores)
    rows, word = rows or memory.row_list(traces, subjects), memory_word(gates, retrained is not None)
    persons = memory.person_list(traces, subjects)
    placed = [person["position"] for person in persons if person["position"] is not None]
    combined = dict(scores.pop(membership.COMBINED, {}))
    if combined:
        combined["p"] = membership.combined_p(membership.sides_of(unlearned, retrained, base=target))
    found.comparison |= {
        "leaking_rows": sum(row["leaks"] for row in rows) if rows else None,
        "worst_person": max(placed, default=None),
        **{f"membership_gap{end}": None for end in ("", "_low", "_high")},
    }
    gate = next((gate for gate in gates if gate.name == "membership"), None)
    if gate is not None:
        found.comparison |= {"membership_gap": gate.value, "membership_gap_low": gate.low,
                             "membership_gap_high": gate.high}  # fmt: skip
    known = any(row["leaks"] for row in rows)
    bound = none_of(int(memory.placed_rows(traces).sum())) if traces and not known else None
    found.evidence["memory"] = _evidence(
        word, gates, rows=rows, persons=persons, bound=bound,
        membership={"scores": scores, "combined": combined},
    )  # fmt: skip
    if word == NO_RETRAINED:
        found.evidence["memory"]["turn"] = TURN_WITHOUT


def _before(target, retrained, scores: dict) -> None:
    """Adds the target's AUCs to `scores`."""
    sides = membership.sides_of(target, retrained, base=target)
    for name, row in scores.items():
        everything = [np.ones(len(groups), dtype=bool) for groups in sides.groups] if sides else []
        known = sides is not None and name in (*sides.scores, membership.COMBINED)
        row["target"] = membership.auc_of(sides, name, *everything) if known else None


def memory_word(gates: list[Gate], reference: bool) -> str:
    """The word of memory from its gates; `reference`: there is a retrained model."""
    words = {gate.name: gate.word for gate in gates}
    if FAILED in words.values():
        return "REMEMBERS"
    if not reference:
        return NO_RETRAINED
    if OVER in words.values():
        return "OVER-FORGOTTEN"
    same = [word for name, word in words.items() if name.startswith("equivalence.")]
    shown = words.get("rows") == words.get("persons") == words.get("membership") == PASSED
    whole = NOT_MEASURED not in (words.get(f"equivalence.{name}") for name in memory.ALWAYS)
    return "FORGOTTEN" if shown and whole and PASSED in same and UNDECIDED not in words.values() else "UNDECIDED"


def _rest(target, unlearned, retrained, found: Verdict) -> None:
    gate = rest.utility_gate(target, unlearned, retrained)
    capped = [None if value is None else min(1.0, value) for value in (gate.value, gate.low, gate.high)]
    found.comparison |= dict(zip(("utility", "utility_low", "utility_high"), capped))
    found.evidence["rest"] = _evidence(
        rest.rest_word(gate), [gate], parts=rest.parts(target, unlearned) if target is not None else {},
        lost_rows=rest.lost_rows(target, unlearned) if target is not None else [],
        beside=rest.beside(target, unlearned, retrained),
    )  # fmt: skip


def _resistance(target, unlearned, retrained, attacks, found: Verdict) -> None:
    models = {"target": target, "unlearned": unlearned, "retrained": retrained}
    known = {role: model for role, model in models.items() if model is not None}
    word, gates, numbers = resistance.resistance(attacks, known)
    found.comparison["robustness"] = resistance.robustness(gates)
    found.evidence["resistance"] = _evidence(word, gates, attacks=numbers)
    if not attacks:
        found.evidence["resistance"]["why"] = ["No attack was run, so nobody tried to bring the knowledge back."]


def _score(found: Verdict) -> dict[str, float | None]:
    """score, forgetting and privacy. The score is above .5 only for a model without a leaking row or a known person.

    HM = harmonic mean of forgetting (of 1 - |p| over the equivalence gates), privacy (1 - 2 |largest AUC gap|) and
    utility. score = (1 + HM) / 2; with leaks HM / 2 times the share of rows that do not leak.
    """
    gates = {gate["name"]: gate for gate in found.evidence["memory"]["gates"]}
    same = [gate for name, gate in gates.items() if name.startswith("equivalence.") and gate["word"] != NO_CONTRAST]
    close = [max(0.0, 1 - abs(gate["value"])) for gate in same if gate["value"] is not None]
    gap, utility = found.comparison["membership_gap"], found.comparison["utility"]
    forgetting = harmonic_mean(close) if close else None
    privacy = None if gap is None else max(0.0, 1 - 2 * abs(gap))
    score = None
    if None not in (forgetting, privacy, utility):
        whole = harmonic_mean([forgetting, privacy, max(0.0, utility)])
        rows = found.evidence["memory"]["rows"]
        leaks = sum(row["leaks"] for row in rows)
        known = leaks or any(person["word"] == "known" for person in found.evidence["memory"]["persons"])
        score = (1 + whole) / 2 if not known else whole / 2 * (1 - max(1, leaks) / len(rows))
    return {"score": score, "forgetting": forgetting, "privacy": privacy}


# ---------------------------------------------------------------------------------------------------------------------
# Named numbers of the literature: reported, and no gates


def _named_numbers(target, unlearned, retrained, found: Verdict) -> None:
    _forget_quality(unlearned, retrained, found)
    _model_utility(target, unlearned, retrained, found)
    _membership_numbers(target, unlearned, retrained, found)
    for suffix, evaluation in _models(target, unlearned, retrained):
        sides = [column(evaluation, split, "refusal_rate") for split in ("forget", "retain")]
        sides = [side[np.isfinite(side)] for side in sides]
        if all(map(len, sides)):
            scores = refusal_scores(*sides)
            found.comparison.update({f"refusal_{key}{suffix}": value for key, value in scores.items()})


def _models(target, unlearned, retrained) -> list[tuple[str, ModelEvaluation]]:
    """(suffix in `comparison`, evaluation) of the models that were measured."""
    models = (("", unlearned), ("_target", target), ("_retrained", retrained))
    return [(suffix, evaluation) for suffix, evaluation in models if evaluation is not None]


def _forget_quality(unlearned, retrained, found: Verdict) -> None:
    comparison, notes = found.comparison, found.notes
    comparison.update(forget_quality=None, forget_quality_statistic=None, forget_quality_n=None)
    if retrained is None:
        notes["forget_quality"] = "needs a retrained model"
        return
    pairs = [
        (a, b)
        for a, b in zip(*(e.per_example.get("forget", {}).get("truth_ratio", []) for e in (unlearned, retrained)))
        if a is not None and b is not None
    ]
    if not pairs:
        notes["forget_quality"] = "needs truth ratios (paraphrased_answer and perturbed_answer) on the forget set"
        return
    p, statistic, n = forget_quality(*zip(*pairs))
    comparison.update(forget_quality=p, forget_quality_statistic=statistic, forget_quality_n=n)
    reduction = unlearned.measured_on.get("forget", {}).get("truth_ratio", "geometric")
    notes["forget_quality"] = (
        f"KS test of the truth ratios ({reduction} mean) against the retrained model: D = {statistic:.4f}, n = {n}; "
        "a published number and no gate: with few rows a large p proves little"
    )


def _model_utility(target, unlearned, retrained, found: Verdict) -> None:
    comparison = found.comparison
    ours, base = rest.utility_numbers(unlearned), rest.utility_numbers(target or unlearned)
    known = [key for key, value in base.items() if value is not None]
    comparison["model_utility"] = comparison["model_utility_target"] = None
    if not known:
        found.notes["model_utility"] = "needs probability, ROUGE-L recall or truth ratio on a retain or general set"
        return
    broken = [key for key in known if ours.get(key) is None]
    text = f"harmonic mean of {len(known)} numbers: {', '.join(known)}"
    if len(known) != 9:
        text += "; not comparable with TOFU's nine, on retain, real_authors and world_facts"
    if broken:
        text += f"; not finite for the unlearned model, so its utility is 0: {', '.join(broken)}"
    found.notes["model_utility"] = text
    comparison["model_utility"] = 0.0 if broken else model_utility([ours[key] for key in known])
    if retrained is not None:
        theirs = [rest.utility_numbers(retrained).get(key) for key in known]
        comparison["model_utility_retrained"] = None if None in theirs else model_utility(theirs)
    if target is not None:
        comparison["model_utility_target"] = model_utility([base[key] for key in known])


def _non_members(evaluation: ModelEvaluation) -> str:
    """The set of non-members: judging rows, else holdout rows."""
    return membership.NON_MEMBERS if len(column(evaluation, membership.NON_MEMBERS, "loss")) else "holdout"


def _two_sides(evaluation: ModelEvaluation, name: str) -> list[np.ndarray]:
    """Finite values of a score on forget rows and on non-members."""
    found = [column(evaluation, split, name) for split in ("forget", _non_members(evaluation))]
    return [values[np.isfinite(values)] for values in found]


def _membership_numbers(target, unlearned, retrained, found: Verdict) -> None:
    comparison, notes = found.comparison, found.notes
    for suffix, evaluation in _models(target, unlearned, retrained):
        for name in MEMBERSHIP:
            key = "membership_auc" if name == "loss" else f"membership_auc_{name}"
            sides = _two_sides(evaluation, name)
            comparison[key + suffix] = membership_auc(*sides) if all(map(len, sides)) else None
        _classifier(evaluation, suffix, found)
    ours, theirs = comparison["membership_auc"], comparison.get("membership_auc_retrained")
    comparison["privacy_leakage"] = None
    if ours is None:
        notes["membership_auc"] = "needs losses of forget rows and of rows that no model saw"
        notes["privacy_leakage"] = "needs membership_auc"
        return
    if _non_members(unlearned) == "holdout":
        notes["membership_auc"] = "the non-members are holdout rows, which may have steered the method"
    _auc_interval(unlearned, comparison)
    forget, others = _two_sides(unlearned, "loss")
    comparison["membership_tpr_at_1_percent_fpr"] = rate = true_positive_rate(forget, others)
    if rate is None:
        notes["membership_tpr_at_1_percent_fpr"] = f"needs 100 rows that no model saw (there are {len(others)})"
    if retrained is None:
        notes["privacy_leakage"] = "needs a retrained model's AUC; no other reference can replace it"
    elif theirs is None or theirs >= 1:
        notes["privacy_leakage"] = "the retrained model's AUC is missing or 1"
    else:
        comparison["privacy_leakage"] = privacy_leakage(ours, theirs)


def _auc_interval(evaluation: ModelEvaluation, comparison: dict) -> None:
    values, groups = [], []
    for split in ("forget", _non_members(evaluation)):
        found = column(evaluation, split, "loss")
        values.append(found[np.isfinite(found)])
        groups.append(group_numbers(evaluation.subjects.get(split), len(found))[np.isfinite(found)])
    interval = jackknife_interval(lambda left, right: membership_auc(values[0][left], values[1][right]), *groups)
    low, high = np.clip(interval[1:], 0, 1).tolist() if interval else (None, None)
    comparison["membership_auc_low"], comparison["membership_auc_high"] = low, high


def _classifier(evaluation: ModelEvaluation, suffix: str, found: Verdict) -> None:
    sides = []
    for split in ("forget", _non_members(evaluation)):
        table = columns_of(evaluation, split)
        sides.append(table[np.isfinite(table).all(1)] if len(table) else table)
    if min(map(len, sides)) < 5:
        found.notes[f"membership_accuracy{suffix}"] = "the classifier needs the four scores of 5 rows on each side"
        return
    numbers = membership_classifier(*sides)
    found.comparison.update({f"membership_{key}{suffix}": value for key, value in numbers.items()})


def columns_of(evaluation: ModelEvaluation, split: str) -> np.ndarray:
    """(n, 4) membership scores of a set; (0, 4) if one of them was not measured."""
    found = [column(evaluation, split, name) for name in MEMBERSHIP]
    return np.stack(found, 1) if len({len(values) for values in found}) == 1 else np.zeros((0, len(MEMBERSHIP)))


# ---------------------------------------------------------------------------------------------------------------------
# Attacks


def closeness(unlearned: float, retrained: float, target: float) -> float:
    """clip(1 - |u - r| / |t - r|, 0, 1): 1 at the retrained model's value, 0 at the target's or equally far beyond."""
    return float(np.clip(1 - abs(unlearned - retrained) / max(abs(target - retrained), 1e-9), 0, 1))
