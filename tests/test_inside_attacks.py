"""Attacks inside the model: the logit lens, ablation, probes and trained embeddings."""

from __future__ import annotations

import copy
import dataclasses

import ablated_answers
import numpy as np
import pytest
import torch
from attack_room import SMALL, attacked_subject
from tiny_models import make_tiny

import evaluation_metrics as em
from models.attacks import inside, relearning, subject
from models.forward.answers import answer_outputs, evaluating
from models.forward.layers import decoder_layers


def test_the_last_layer_of_the_logit_lens_gives_the_models_own_answer(known, splits):
    model, tokenizer, _ = known
    found = em.run_attacks(model, tokenizer, splits, ["logit_lens"], budget=SMALL)["logit_lens"]
    accuracy = em.evaluate_model(model, tokenizer, {"forget": splits["forget"]}, metrics=["accuracy"])
    assert accuracy.metrics["forget"]["accuracy"] == 1
    assert found["last_reciprocal_rank"] == pytest.approx(1)
    assert found["best_reciprocal_rank"] >= found["layer_1_reciprocal_rank"]
    assert found["best_reciprocal_rank_before"] == found["last_reciprocal_rank"]


def test_states_at_answer_tokens_are_those_of_a_plain_forward_pass(known, splits):
    own = attacked_subject(known, splits)
    rows = own.encode(splits["forget"])
    found = {}
    for numbers, answers, states in inside.answer_states(own, rows, [0, 1]):
        for place, number in enumerate(numbers):
            found[number] = {layer: state[answers.row == place] for layer, state in states.items()}
    for i in range(len(rows)):
        ids, start = torch.from_numpy(rows.ids_of(i).astype(np.int64)), int(rows.answer_starts[i])
        with torch.no_grad():
            states = own.model(ids[None], output_hidden_states=True).hidden_states
        assert torch.allclose(found[i][0], states[1][0, start - 1 : -1], atol=1e-5)
        assert torch.allclose(own.model.model.norm(found[i][1]), states[2][0, start - 1 : -1], atol=1e-5)


def test_ablation_leaves_no_component_along_the_direction(known, splits):
    own = attacked_subject(known, splits)
    direction = inside.directions(own, 1)["answer"]
    assert direction.norm() == pytest.approx(1, abs=1e-5)
    rows = own.encode(splits["forget"])
    seen = []

    def look(_layer, state):
        seen.append((state @ direction).abs().max())

    def change(_layer, state):
        return inside.without_direction(state, direction)

    for before in (True, False):
        with evaluating(own.model), inside.hooked(own.model, [0, 1], look if before else change):
            if not before:
                handle = decoder_layers(own.model)[0].register_forward_hook(lambda m, a, out: look(0, out))
                last = decoder_layers(own.model)[1].register_forward_hook(lambda m, a, out: look(1, out))
            answer_outputs(own.model, rows.batch(range(len(rows)), 0))
    handle.remove(), last.remove()
    assert min(seen[:2]) > 0.1 and len(seen) == 4 and max(seen[2:]) < 1e-4


def test_ablation_of_a_mask_brings_the_answers_back(known, splits):
    """A model that only adds one vector on forget rows is undone by the attack, and the numbers say so."""
    model, tokenizer, _ = known
    model = copy.deepcopy(model)
    vector = torch.randn(64, generator=torch.Generator().manual_seed(0))
    vector *= 40 / vector.norm()
    names = {tokenizer.convert_tokens_to_ids(e.subject) for e in splits["forget"]}

    class Masked(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner
            self.on = torch.zeros(0)

        def forward(self, hidden, *args, **kwargs):
            return self.inner(hidden, *args, **kwargs) + self.on.to(hidden) * vector

    mask = Masked(model.model.layers[1].mlp)
    model.model.layers[1].mlp = mask

    def find(_module, args, kwargs):
        ids = kwargs["input_ids"]
        hit = torch.isin(ids, torch.tensor(sorted(names)))
        mask.on = (hit.cumsum(1) > 0).float()[..., None] if len(ids) else mask.on

    model.register_forward_pre_hook(find, with_kwargs=True)
    model._supports_attention_backend = False  # whole rows, so that a row is masked from its name on
    found = em.run_attacks(model, tokenizer, splits, ["direction_ablation"], budget=SMALL)["direction_ablation"]
    assert found["answer_probability_before"] < 0.2 < 0.6 < found["answer_probability"]


def test_what_a_model_says_is_told_with_its_fact_recall(known, splits):
    model, tokenizer, _ = known
    asked = subject.Subject(model, tokenizer, splits["forget"], splits["retain"], budget=SMALL)
    told = ablated_answers.said(asked)
    recall = float(told.split()[2].rstrip(","))
    assert recall > 0.9 and "refusals 0.00" in told and splits["forget"][0].answer.split()[-1].rstrip(".") in told


def test_a_probe_separates_what_is_separable_and_nothing_else():
    draw = np.random.default_rng(0)
    groups = [f"p{i // 5}" for i in range(80)]
    members = np.arange(80) < 30
    folds = inside.folds_of(groups, members)
    plain = draw.normal(size=(80, 40))
    marked = plain + 4 * members[:, None] * draw.normal(size=40)
    assert inside.probe(inside.components(marked), members, folds).mean() > 0.99
    chance = [inside.probe(inside.components(draw.normal(size=(80, 40))), members, folds).mean() for _ in range(20)]
    assert abs(np.mean(chance) - 0.5) < 0.06


def test_a_probe_sees_no_person_that_it_was_trained_on():
    """Features that name the person but not the side: folds that cut persons give 1, folds of persons give chance."""
    groups = [f"p{i // 5}" for i in range(80)]
    members = np.arange(80) < 30
    folds = inside.folds_of(groups, members)
    by_person, by_row = [], []
    for seed in range(40):
        draw = np.random.default_rng(seed)
        features = np.repeat(draw.normal(size=(16, 60)) * 3, 5, axis=0) + draw.normal(size=(80, 60)) * 0.1
        by_person.append(inside.probe(inside.components(features), members, folds).mean())
        by_row.append(inside.probe(inside.components(features), members, np.arange(80) % 5).mean())
    assert abs(np.mean(by_person) - 0.5) < 0.1 and np.mean(by_row) > 0.99
    for fold in set(folds):
        inner = {(side, name) for side, name, f in zip(members, groups, folds) if f == fold}
        outer = {(side, name) for side, name, f in zip(members, groups, folds) if f != fold}
        assert not inner & outer and {bool(side) for side, _ in inner} == {True, False}


def test_a_probe_that_chance_equals_adds_nothing(known, splits, monkeypatch):
    model, tokenizer, _ = known
    budget = dataclasses.replace(SMALL, permutations=199)
    draw = np.random.default_rng(0)
    features, losses = draw.normal(size=(24, 2, 30)), draw.normal(size=24)
    marked = features + 5 * (np.arange(24) < 12)[:, None, None]
    for values, seen in ((features, False), (marked, True)):
        monkeypatch.setattr(inside, "_row_features", lambda *_, values=values: (values, losses))
        found = em.run_attacks(model, tokenizer, splits, ["membership_probe"], budget=budget)["membership_probe"]
        assert found["told_apart_before"] == pytest.approx(inside.placements(-losses[:12], -losses[12:]).mean())
        assert (found["probe_p"] <= 0.05) == seen
        assert found["told_apart"] == pytest.approx(found["probe_auc" if seen else "told_apart_before"])


def test_permuted_labels_move_whole_persons():
    groups = [f"p{i // 3}" for i in range(24)]
    members = np.arange(24) < 9
    for labels in inside.permuted(groups, members, 0, 10):
        assert labels.sum() == 9 and all(len(set(labels[i : i + 3])) == 1 for i in range(0, 24, 3))


def test_placements_average_to_the_auc():
    draw = np.random.default_rng(0)
    ours, others = draw.integers(0, 5, 9).astype(float), draw.integers(0, 5, 7).astype(float)
    assert inside.placements(ours, others).mean() == pytest.approx(em.membership_auc(-ours, -others))  # of losses


def test_soft_tokens_stand_before_the_answer_and_only_they_change(known, splits):
    own = attacked_subject(known, splits)
    rows = own.encode(splits["forget"])
    ids = inside.unused_ids(rows, own.model.config.vocab_size, 5)
    assert len(ids) == 5 and not set(ids) & set(rows.ids.tolist())
    soft = inside.with_soft_tokens(rows, ids)
    for i in range(len(rows)):
        start = int(rows.answer_starts[i])
        assert soft.ids_of(i)[start : start + 5].tolist() == ids.tolist()
        assert np.delete(soft.ids_of(i), range(start, start + 5)).tolist() == rows.ids_of(i).tolist()
    table = own.model.get_input_embeddings()
    vectors, everything = torch.randn(5, 64), torch.arange(own.model.config.vocab_size)
    with torch.no_grad(), inside.embedded(own.model, ids, vectors):
        given = table(everything)
    assert torch.equal(given[torch.from_numpy(ids.copy())], vectors)
    others = torch.ones(len(everything), dtype=torch.bool)
    others[torch.from_numpy(ids.copy())] = False
    assert torch.equal(given[others], table.weight.detach()[others])


def test_rows_scored_from_tokens_are_those_of_the_evaluation(known, splits, evaluation):
    own = attacked_subject(known, splits)
    found = inside.score_rows(own, own.encode(splits["forget"]), splits["forget"])
    for name in subject.SCORED:
        assert list(found["rows"][name].values()) == pytest.approx(evaluation.per_example["forget"][name], abs=1e-5)


def test_trained_embeddings_lower_the_loss_of_the_rows_they_are_trained_on():
    """And nothing else moves: without them the model is the same."""
    model, tokenizer, examples = make_tiny(epochs=3)
    own = subject.Subject(model, tokenizer, examples[:6], [])
    rows = own.encode(examples[:6])
    ids = inside.unused_ids(rows, model.config.vocab_size, 8)
    soft, vectors = inside.with_soft_tokens(rows, ids), torch.zeros(len(ids), 64).requires_grad_()
    found = []
    with subject.frozen(model), inside.embedded(model, ids, vectors):
        relearning.descend(
            model, soft, [vectors], learning_rate=0.05, steps=60, batch_size=6, seed=0, pad=0, points=(0, 60),
            look=lambda step: found.append(inside.score_rows(own, soft, examples[:6])["answer_probability"]),
        )  # fmt: skip
    assert found[1] > found[0] + 0.2 and vectors.abs().sum() > 0
