"""Every attack: finite numbers, a restored model, values before and after, its budget, the report and the verdict."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json

import numpy as np
import pytest
import torch
from attack_room import OUTSIDERS, SMALL, attacked_subject, fingerprint, installed
from tiny_models import make_tiny, train_tiny

import evaluation_metrics as em
from models.attacks import subject
from models.attacks.table import Attack


@pytest.mark.parametrize("name", em.ATTACKS)
def test_an_attack_gives_finite_numbers_and_restores_the_model_bit_for_bit(name, known, splits, spoken):
    if not installed(name):
        pytest.skip(f"needs {em.ATTACKS[name].package}")
    model, tokenizer, _ = known
    em.evaluate_model(model, tokenizer, splits, metrics=["loss"])  # the hooks of the answer head stay with a model
    before = fingerprint(model)
    found = em.run_attacks(model, tokenizer, splits, [name], budget=SMALL)[name]
    assert fingerprint(model) == before
    rows = found.pop("rows")
    assert found and all(np.isfinite(value) for value in found.values())
    assert set(em.ATTACKS[name].judged) <= set(found)
    assert {number.removesuffix("_before") for number in rows} == set(em.ATTACKS[name].judged)
    for number in em.ATTACKS[name].judged:
        assert f"{number}_before" in found
        for what in (number, f"{number}_before"):
            assert set(rows[what]) <= {str(i) for i in range(1, 13)}
            assert len(rows[what]) == (4 if name == "same_person_relearning" else 12)  # of three rows, one or two
            assert found[what] == pytest.approx(np.mean(list(rows[what].values())))
    json.dumps(found | {"rows": rows}, allow_nan=False)


@pytest.mark.parametrize("call", [1, 4, 9])
@pytest.mark.parametrize("name", em.ATTACKS)
def test_an_attack_that_fails_halfway_restores_the_model(name, call, known, splits, spoken):
    if not installed(name):
        pytest.skip(f"needs {em.ATTACKS[name].package}")
    model, tokenizer, _ = known
    em.evaluate_model(model, tokenizer, splits, metrics=["loss"])
    before, calls = fingerprint(model), []

    def fail(*_):
        calls.append(1)
        if len(calls) == call:
            raise RuntimeError("out of memory")

    handle = model.model.layers[1].register_forward_pre_hook(fail)
    try:
        em.run_attacks(model, tokenizer, splits, [name], budget=SMALL)
    except RuntimeError as error:
        assert str(error) == "out of memory"
    finally:
        handle.remove()
    assert calls and fingerprint(model) == before


def test_an_attack_is_deterministic(known, splits):
    model, tokenizer, _ = known
    names = ["relearning", "sampling", "embedding_attack", "lora_relearning", "membership_probe"]
    first, second = (em.run_attacks(model, tokenizer, splits, names, budget=SMALL) for _ in range(2))
    assert first == second


def test_a_torch_random_state_is_left_alone(known, splits):
    model, tokenizer, _ = known
    torch.manual_seed(3)
    before = torch.get_rng_state()
    em.run_attacks(model, tokenizer, splits, ["lora_relearning", "embedding_attack", "sampling"], budget=SMALL)
    assert torch.equal(torch.get_rng_state(), before)


# -- before and after, rows


@pytest.mark.parametrize("name", ["relearning", "same_person_relearning", "benign_relearning", "lora_relearning"])
def test_relearning_with_zero_steps_changes_nothing(name, known, splits):
    model, tokenizer, _ = known
    found = em.run_attacks(model, tokenizer, splits, [name], budget=dataclasses.replace(SMALL, steps=0))[name]
    for metric in em.ATTACKS[name].judged:
        after, before = found["rows"][metric], found["rows"][f"{metric}_before"]
        assert after == pytest.approx(before, abs=1e-5) and found[metric] == pytest.approx(found[f"{metric}_before"])


def test_an_attack_that_makes_things_worse_is_not_made(known, splits):
    """Training at a ruinous rate, or random embeddings, count as no attack: an attacker keeps the best try."""
    model, tokenizer, _ = known
    names = ["relearning", "same_person_relearning", "benign_relearning", "lora_relearning", "direction_ablation",
             "embedding_attack"]  # fmt: skip
    budget = dataclasses.replace(SMALL, learning_rates=(0.5,), lora_learning_rate=1.0, soft_steps=0)
    found = em.run_attacks(model, tokenizer, splits, names, budget=budget)
    for name in names:
        for metric in subject.SCORED:
            assert found[name][metric] >= found[name][f"{metric}_before"] > 0.9, name
    assert found["relearning"]["answer_probability_at_6"] < 0.5


def test_values_before_are_those_of_the_evaluation(known, splits, evaluation):
    """Numbers that the evaluation has are not measured again."""
    model, tokenizer, _ = known
    other = em.ModelEvaluation.from_json(evaluation.to_json())
    other.per_example["forget"]["answer_probability"] = [0.25] * 12
    other.per_example["forget"]["fact_recall"] = [0.5] * 12
    names = ["quantisation_int8", "sampling"]
    found = em.run_attacks(model, tokenizer, splits, names, budget=SMALL, evaluation=other)
    assert found["quantisation_int8"]["answer_probability_before"] == 0.25
    assert found["sampling"]["best_fact_recall_before"] == 0.5
    del other.per_example["forget"]["answer_probability"]
    again = em.run_attacks(model, tokenizer, splits, names, budget=SMALL, evaluation=other)
    true = evaluation.metrics["forget"]["answer_probability"]
    assert again["quantisation_int8"]["answer_probability_before"] == pytest.approx(true, abs=1e-5)


def test_an_evaluation_of_other_rows_is_not_used(known, splits, evaluation):
    own = attacked_subject(known, {**splits, "forget": splits["forget"][::-1]}, evaluation=evaluation)
    true = evaluation.per_example["forget"]["answer_probability"]
    assert list(own.unattacked("answer_probability").values()) == pytest.approx(true[::-1], abs=1e-5)


def test_on_the_target_only_what_can_change_the_judgement_is_run(known, splits, evaluation):
    model, tokenizer, _ = known
    names = ["relearning", "quantisation_int4", "sampling", "in_context_relearning"]
    said = []
    found = em.run_attacks(
        model, tokenizer, splits, names, budget=SMALL, evaluation=evaluation, target=True, progress=said.append
    )
    assert [line.split()[1] for line in said] == ["quantisation_int4:"]
    for name in ("relearning", "sampling", "in_context_relearning"):
        for number in em.ATTACKS[name].judged:
            assert found[name][number] == found[name][f"{number}_before"] > 0.9
            assert found[name]["rows"][number] == found[name]["rows"][f"{number}_before"]
    assert found["quantisation_int4"]["answer_probability"] != found["quantisation_int4"]["answer_probability_before"]


def test_a_budget_reaches_the_attack(known, splits):
    model, tokenizer, _ = known
    budget = em.budget_of({"attack_samples": 3, "attack_rows": 5, "attack_learning_rates": "1e-3,0.1"})
    assert budget == em.Budget(samples=3, rows=5, learning_rates=(1e-3, 0.1))
    found = em.run_attacks(model, tokenizer, splits, ["sampling"], budget=budget)["sampling"]
    assert "leak_at_3" in found and len(found["rows"]["best_fact_recall"]) == 5 and found["samples"] <= 15


def test_every_field_of_the_budget_is_a_flag_with_help():
    from results.run import options

    flags = em.budget_flags()
    assert set(flags) == {f"attack_{field.name}" for field in dataclasses.fields(em.Budget)}
    shown = em._parser().format_help()
    for flag, (kind, default, text, _) in flags.items():
        assert f"--{flag}" in shown and text and isinstance(default, kind)
        assert options.OPTIONS[flag].default == default
    assert em.budget_of({flag: default for flag, (_, default, _, _) in flags.items()}) == em.Budget()


def test_bad_budgets_are_refused_together():
    with pytest.raises(ValueError, match="attack_steps -1") as caught:
        em.budget_of({"attack_steps": -1, "attack_learning_rates": "fast", "attack_rows": 0})
    assert all(flag in str(caught.value) for flag in ("--attack_learning_rates fast", "--attack_rows 0"))


# -- from attacks to the verdict


def test_attacks_enter_the_report_and_the_verdict(known, splits, evaluation):
    target, tokenizer, examples = known
    retrained, _, _ = make_tiny(examples, epochs=0, vocabulary=OUTSIDERS)
    train_tiny(retrained, tokenizer, splits["retain"], epochs=20)
    found = {"target": evaluation, "retrained": em.evaluate_model(retrained, tokenizer, splits)}
    found["unlearned"] = em.ModelEvaluation.from_json(found["retrained"].to_json())
    attacked = {
        name: em.run_attacks(model, tokenizer, splits, ["quantisation_int8", "sampling"], budget=SMALL,
                             evaluation=found[name], target=name == "target")
        for name, model in (("target", target), ("retrained", retrained))
    }  # fmt: skip
    report = em.evaluation_json(found, {**attacked, "unlearned": attacked["retrained"]})
    json.dumps(report, allow_nan=False)
    assert set(report["attacks"]) == {"quantisation_int8", "sampling"}
    assert set(report["attacks"]["sampling"]) == set(found) and "rows" not in report["attacks"]["sampling"]["target"]
    rows = report["attack_rows"]["sampling"]["unlearned"]["best_fact_recall"]
    assert set(rows) == {str(number) for number in range(1, 13)}
    assert report["comparison"]["robustness"] == 1 and report["comparison"]["resistance"] == "HELD"
    added = report["evidence"]["resistance"]["attacks"]["quantisation_int8"]["answer_probability"]
    assert added["excess"] == 0  # unlearned and retrained model are the same here

    back = copy.deepcopy(attacked["target"])  # under attack it knows what the target knows
    for name, values in back.items():
        values |= {number: value for number, value in attacked["retrained"][name].items() if "_before" in number}
        rows = attacked["retrained"][name]["rows"]
        values["rows"] |= {number: value for number, value in rows.items() if "_before" in number}
    comparison = em.evaluation_json(found, {**attacked, "unlearned": back})["comparison"]
    assert comparison["robustness"] == pytest.approx(0) and comparison["resistance"] == "CAME BACK"
    assert em.evaluation_json(found)["comparison"]["resistance"] == "NOT RUN"


def test_a_new_attack_is_one_row(known, splits, monkeypatch):
    model, tokenizer, _ = known

    def noise(attacked):
        with subject.on_a_copy(attacked.model), torch.no_grad():
            for parameter in attacked.model.parameters():
                parameter.mul_(0.5)
            return attacked.score(attacked.forget)

    row = Attack("noise", noise, ("answer_probability",), "halves weights", "Whether it holds.", "Much.")
    monkeypatch.setitem(em.ATTACKS, "noise", row)
    found = em.run_attacks(model, tokenizer, splits, "noise", budget=SMALL)
    assert found["noise"]["answer_probability"] < found["noise"]["answer_probability_before"]
    evaluation = em.evaluate_model(model, tokenizer, splits, metrics=["loss"])
    report = em.evaluation_json({"target": evaluation, "unlearned": evaluation}, {"target": found, "unlearned": found})
    assert report["docs"]["noise"] == "Whether it holds. Not shown: Much."
    assert report["evidence"]["resistance"]["gates"][0]["word"] == "no contrast"  # there is no retrained model
    assert "noise: halves weights" in em._parser().format_help()


def test_attack_names_from_text():
    assert em.attack_names("all") == [name for name, attack in em.ATTACKS.items() if not attack.package]
    assert em.attack_names("none") == em.attack_names("") == em.attack_names(None) == []
    assert em.attack_names("sampling, prompts") == ["sampling", "prompts"]
    with pytest.raises(ValueError, match="did you mean relearning"):
        em.attack_names("relerning")


def test_an_attack_names_its_missing_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install torchao"):
        em.attack_names("sampling,quantisation_int4_torchao")
    assert "quantisation_int4_torchao" not in em.attack_names("all")
