"""Relearning attacks: what they train on, what they score, and what they leave behind."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from attack_room import SMALL, attacked_subject, fingerprint
from tiny_models import facts, make_tiny

import evaluation_metrics as em
from models.attacks import relearning, subject


def test_relearning_changes_the_scores():
    """From half of the subjects, an untrained model learns the form of the other half's answers."""
    model, tokenizer, examples = make_tiny(epochs=0)
    budget = dataclasses.replace(SMALL, steps=60)
    found = em.run_attacks(model, tokenizer, {"forget": examples}, ["relearning"], budget=budget)["relearning"]
    assert found["exact_memorization"] > found["exact_memorization_before"] + 0.2
    assert found["answer_probability_before"] < found["relearning_area"] < found["answer_probability"]
    assert found["answer_probability_at_18"] < found["answer_probability_at_60"] == found["answer_probability"]


@pytest.mark.parametrize("cut", [relearning.halves, relearning.halves_of_each])
def test_crossed_halves_score_each_row_once_and_teach_none_that_they_score(cut, splits):
    folds = relearning.crossed(cut(splits["forget"]))
    assert sorted(e.prompt for _, scored in folds for e in scored) == sorted(e.prompt for e in splits["forget"])
    for taught, scored in folds:
        assert not {id(e) for e in taught} & {id(e) for e in scored}
        subjects = {e.subject for e in taught} & {e.subject for e in scored}
        assert subjects == (set() if cut is relearning.halves else {e.subject for e in scored})


def test_halves_without_subjects():
    rows = [dataclasses.replace(e, subject=None) for e in facts()[:12]]
    assert [len(part) for part in relearning.halves(rows)] == [6, 6]
    assert relearning.crossed(relearning.halves_of_each(rows)) == []
    assert relearning.crossed(relearning.halves(rows[:1])) == []


def test_the_area_of_a_curve_by_hand():
    area = relearning.area({0: {1: 0.2, 2: 0.4}, 10: {1: 0.4, 2: 0.4}, 40: {1: 0.6, 2: 0.4}})
    assert area == pytest.approx({1: (10 * 0.3 + 30 * 0.5) / 40, 2: 0.4})
    assert relearning.area({0: {1: 0.3}}) == {1: 0.3}
    assert relearning.points_of(100, relearning.CURVE) == (30, 100)
    assert relearning.points_of(1, relearning.CURVE) == (1,) and relearning.points_of(0, relearning.CURVE) == (0,)


def test_benign_text_is_that_of_the_bundle_unless_the_target_was_trained_on_it():
    rows = em.harmless_text("data/retain.jsonl")
    assert len(rows) == 186 and all(e.prompt for e in rows)
    assert em.harmless_text("mine.jsonl,data/general_retain.jsonl") == []
    own = subject.Subject(None, None, [], facts()[:3], benign=rows)
    assert relearning._harmless(own)[0] is rows[0]
    assert relearning._harmless(dataclasses.replace(own, benign=[])) == facts()[:3]


def test_an_adapter_learns_and_leaves_no_trace(known, splits):
    model, _, examples = known
    rows = attacked_subject(known, splits).encode(examples[:4])
    before, base = fingerprint(model), {name: p.clone() for name, p in model.named_parameters()}
    with subject.frozen(model), relearning.adapter(model) as weights:
        assert all(p.dtype == torch.float32 and p.requires_grad for p in weights) and len(weights) == 2 * 2 * 7
        relearning.descend(model, rows, weights, learning_rate=1e-2, steps=3, batch_size=4, seed=0, pad=0)
        assert any(p.abs().sum() > 0 for p in weights[1::2])
        inner = {name.replace("base_layer.", ""): p for name, p in model.named_parameters() if ".lora_" not in name}
        assert all(torch.equal(base[name], inner[name]) for name in base)
    assert fingerprint(model) == before


def test_an_adapter_beside_an_adapter(known, splits):
    """A model that was unlearned with --use_peft is attacked like any other, and keeps its own adapter."""
    from peft import LoraConfig, get_peft_model

    base, tokenizer, _ = known
    model = get_peft_model(copy.deepcopy(base), LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    em.evaluate_model(model, tokenizer, splits, metrics=["loss"])
    before, config = fingerprint(model), model.peft_config
    names = ["lora_relearning", "relearning", "direction_ablation", "embedding_attack", "logit_lens"]
    found = em.run_attacks(model, tokenizer, splits, names, budget=SMALL)
    assert all(found[name]["rows"] for name in names)
    assert fingerprint(model) == before and model.peft_config is config
    assert found["lora_relearning"]["answer_probability"] != found["lora_relearning"]["answer_probability_before"]
