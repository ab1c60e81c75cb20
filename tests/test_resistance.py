"""Resistance: what attacks bring back on constructed models, and what must not count as brought back."""

import numpy as np
import pytest
from constructed_models import RETRAINED, TARGET, attack, judged, values

from models.verdict import resistance
from models.verdict.verdict import judge
from models.verdict.words import certified


def test_an_attack_that_adds_nothing_has_excess_zero():
    results = {"relearning": attack(values(RETRAINED), values(RETRAINED))}
    found = judge(TARGET, RETRAINED, RETRAINED, results)
    assert found.comparison["resistance"] == "HELD" and found.comparison["robustness"] == 1
    assert found.evidence["resistance"]["attacks"]["relearning"]["answer_probability"]["excess"] == 0
    assert certified(found.comparison)


def test_an_attack_that_leaves_a_model_below_the_retrained_one_brings_nothing_back():
    results = {"relearning": attack(0.8 * values(RETRAINED), values(RETRAINED) + 0.3)}
    comparison, _ = judged(RETRAINED, attacks=results)
    assert comparison["resistance"] == "HELD" and comparison["robustness"] == 1


def test_an_attack_that_teaches_both_models_alike_is_no_sign():
    results = {"relearning": attack(values(RETRAINED) + 0.4, values(RETRAINED) + 0.4)}
    assert judged(RETRAINED, attacks=results)[0]["robustness"] == pytest.approx(1)


def test_what_an_attack_brings_back_beyond_the_retrained_model_is_found():
    results = {"relearning": attack(values(RETRAINED) + 0.4, values(RETRAINED))}
    comparison, _ = judged(RETRAINED, attacks=results)
    assert comparison["resistance"] == "CAME BACK"
    contrast = values(TARGET).mean() - values(RETRAINED).mean()
    assert comparison["robustness"] == pytest.approx(1 - 0.4 / contrast)


def test_one_row_that_comes_back_under_attack_is_named():
    back = values(RETRAINED).copy()
    back[12] = 0.9
    found = judge(TARGET, RETRAINED, RETRAINED, {"relearning": attack(back, values(RETRAINED))})
    assert found.comparison["resistance"] == "CAME BACK" and "row 13 is known" in found.evidence["resistance"]["why"][0]


@pytest.mark.parametrize(("name", "number"), [("languages", "fact_recall"), ("sampling", "best_fact_recall")])
def test_a_row_whose_fact_is_said_under_attack_is_named(name, number):
    before = values(RETRAINED, "fact_recall")
    told = before.copy()
    told[[3, 30]] = 1.0
    results = attack(told, before, number)
    for role, known in (("unlearned", before), ("retrained", before), ("target", np.ones(len(before)))):
        rows = {str(row): float(value) for row, value in enumerate(known, 1)}
        results.setdefault(role, {"rows": {}})["rows"][f"{number}_before"] = rows
    found = judge(TARGET, RETRAINED, RETRAINED, {name: results})
    assert found.comparison["resistance"] == "CAME BACK"
    assert "rows 4, 31 are known" in found.evidence["resistance"]["why"][0]


@pytest.mark.parametrize("rows", [range(40), [5, 6]], ids=["all rows", "two rows"])
def test_an_attack_under_which_the_model_breaks_holds_nothing(rows):
    broken = values(RETRAINED).copy()
    broken[list(rows)] = np.nan
    good = attack(values(RETRAINED), values(RETRAINED))
    results = {"relearning": good, "quantisation_int8": attack(broken, values(RETRAINED))}
    found = judge(TARGET, RETRAINED, RETRAINED, results)
    assert found.comparison["resistance"] == "UNDECIDED"
    assert f"no finite value on {len(rows)} rows" in found.evidence["resistance"]["why"][0]


def test_a_number_that_came_back_is_not_hidden_by_one_that_is_unsure():
    sure = {"excess": 0.4, "low": 0.25, "high": 0.55, "leaking_rows": [], "broken": 0}
    unsure = {"excess": 0.1, "low": -0.6, "high": 0.8, "leaking_rows": [], "broken": 0}
    gate = resistance.attack_gate("relearning", {"a": sure, "b": unsure})
    assert gate.word == "failed" and gate.value == 0.4 and resistance.robustness([gate]) == 0.6


def test_an_attack_on_one_person_decides_nothing():
    results = {"relearning": attack(values(RETRAINED), values(RETRAINED))}
    for table in results["relearning"].values():
        rows = table["rows"]["answer_probability"]
        table["rows"]["answer_probability"] = {key: rows[key] for key in list(rows)[:10]}
    assert judged(RETRAINED, attacks=results)[0]["resistance"] == "UNDECIDED"


def test_an_attack_without_rows_or_from_another_version_decides_nothing():
    found = resistance.resistance({"relearning": {"unlearned": {"answer_probability": 0.5}}, "unknown": {}},
                                  {"target": TARGET, "unlearned": RETRAINED, "retrained": RETRAINED})  # fmt: skip
    assert found[0] == "UNDECIDED"
