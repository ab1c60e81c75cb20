"""Attacks: what they find on tiny models, that they restore the model, and the rounding they use."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import importlib.util
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import facts, make_tiny, train_tiny

import evaluation_metrics as em
from data.columns import Example
from models.attacks import asking, inside, relearning, rounding, subject
from models.attacks.table import Attack
from models.forward import generation
from models.forward.answers import answer_outputs, evaluating
from models.forward.layers import decoder_layers

SMALL = em.Budget(
    learning_rates=(1e-3,), steps=6, batch_size=4, rows=12, samples=4, sample_tokens=12, new_tokens=16, soft_steps=4,
    permutations=5,
)  # fmt: skip
OUTSIDERS = facts(("mia", "ned", "oda", "pam"), shift=5)


@pytest.fixture(scope="module")
def known():
    return make_tiny(vocabulary=OUTSIDERS)


@pytest.fixture(scope="module")
def splits(known):
    _, _, examples = known
    return {"forget": examples[:12], "retain": examples[12:], "judging": OUTSIDERS}


@pytest.fixture(scope="module")
def evaluation(known, splits):
    model, tokenizer, _ = known
    return em.evaluate_model(model, tokenizer, splits)


@pytest.fixture
def spoken(monkeypatch, splits):
    """The tiny questions with translations, so that `languages` has something to ask."""
    told = {e.prompt: dict.fromkeys(asking.LANGUAGES, f"{e.prompt} a") for e in splits["forget"]}
    monkeypatch.setattr(asking, "translations", lambda: told)


def attacked_subject(known, splits, budget=SMALL, **more):
    model, tokenizer, _ = known
    return subject.Subject(model, tokenizer, splits["forget"], splits["retain"], budget=budget, **more)


def installed(name):
    package = em.ATTACKS[name].package
    return not package or importlib.util.find_spec(package) is not None


def fingerprint(model) -> tuple:
    """Hashes of all weights and buffers, where they lie, what is trained, and the classes and hooks of all modules."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    hashes = [(name, hashlib.sha256(value.detach().numpy().tobytes()).hexdigest(), value.data_ptr(), value.dtype,
               value.requires_grad, id(value.grad)) for name, value in tensors]  # fmt: skip
    modules = [(name, type(module), module.training, len(module._forward_hooks), sorted(vars(module)))
               for name, module in model.named_modules()]  # fmt: skip
    return hashes, modules


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


# -- relearning


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


# -- asking


def test_samples_of_one_prompt_share_its_prefill_and_stay_the_same(known, splits, monkeypatch):
    own = attacked_subject(known, splits)
    prompts = [one.ids for one in own.asked(splits["forget"]) for _ in range(3)]
    limits, sizes = [10] * len(prompts), []
    distinct = generation._prefill_distinct

    def counted(model, prompts, device, share):
        sizes.append(len(prompts))
        return distinct(model, prompts, device, share)

    generation.generate(own.model, prompts[:2], [1, 1], {0})  # the proof is not counted
    monkeypatch.setattr(generation, "_prefill_distinct", counted)
    shared = {t: generation.generate(own.model, prompts, limits, {0}, temperature=t) for t in (0.0, 1.0)}
    assert sum(sizes) < len(prompts)  # 12 prompts of 36, more where batches cut them
    monkeypatch.setattr(generation, "_prefill", distinct)
    for temperature, said in shared.items():
        assert generation.generate(own.model, prompts, limits, {0}, temperature=temperature) == said


def test_sampling_leaks_only_from_a_model_that_knows(known, splits):
    model, tokenizer, examples = known
    empty, _, _ = make_tiny(examples, epochs=0, vocabulary=OUTSIDERS)
    knows, ignorant = (
        em.run_attacks(m, tokenizer, splits, ["sampling"], budget=SMALL)["sampling"] for m in (model, empty)
    )
    assert knows["best_fact_recall_before"] > 0.9  # the greedy answer
    assert knows["leak_at_1"] > 0.5 and knows["leak_at_4"] >= knows["leak_at_1"]
    assert knows["secret_samples"] > knows["samples"] / 2 and knows["secret_bound"] > 0.5
    assert ignorant["leak_at_4"] < 0.2  # chance: some facts are one word of 88
    share = ignorant["secret_samples"] / ignorant["samples"]
    assert share < ignorant["secret_bound"] < 1


def test_the_bound_of_no_secret_in_n_samples(known, splits, monkeypatch):
    model, tokenizer, _ = known
    monkeypatch.setattr(subject.Subject, "say", lambda self, prompts, *_, **__: [""] * len(prompts))
    found = em.run_attacks(model, tokenizer, splits, ["sampling"], budget=SMALL)["sampling"]
    assert found["secret_samples"] == 0 and found["samples"] == 12 * 4
    assert found["secret_bound"] == pytest.approx(1 - 0.05 ** (1 / 48))


def test_prompts_take_the_best_per_question(known, splits):
    model, tokenizer, _ = known
    found = em.run_attacks(model, tokenizer, splits, ["prompts"], budget=SMALL)["prompts"]
    names = ("plain", "answer_begun", "half_given", "three_shot", "paraphrase")
    assert found["best_fact_recall"] >= max(found[f"{name}_fact_recall"] for name in names) - 1e-9
    assert found["plain_fact_recall"] > 0.9
    assert found["best_fact_recall_before"] == found["plain_fact_recall"]


def test_in_context_relearning_gives_only_other_rows_of_the_same_person(known, splits, monkeypatch):
    model, tokenizer, _ = known
    seen = {}

    def ask(self, variants, of, max_length=None):
        seen.update(zip((e.prompt for e in of), variants))
        return subject.summary({})

    monkeypatch.setattr(subject.Subject, "ask", ask)
    em.run_attacks(model, tokenizer, splits, ["in_context_relearning"], budget=SMALL)
    assert set(seen) == {e.prompt for e in splits["forget"]}
    for example in splits["forget"]:
        turns = seen[example.prompt].history
        own = {e.prompt: e.answer for e in splits["forget"] if e.subject == example.subject}
        given = dict(zip((text for role, text in turns if role == "user"), (t for r, t in turns if r == "assistant")))
        assert given and example.prompt not in given and given.items() <= own.items()


def test_the_context_does_not_change_which_words_count(known, splits):
    """Words that the context gives away stay in the denominator, so one value can be compared with the one before."""
    own = attacked_subject(known, splits)
    example = splits["forget"][0]
    told = dataclasses.replace(example, history=(("user", "what ?"), ("assistant", example.answer)))
    assert own.recall(example, example.answer) == 1 and own.recall(example, "") == 0
    found = own.ask([told], [example])
    assert set(found["rows"]["fact_recall"]) == {1}


def test_languages_ask_only_bundled_questions():
    known = asking.translations()
    assert len(known) == 40 and all(set(texts) == set(asking.LANGUAGES) for texts in known.values())
    assert asking.languages(subject.Subject(None, None, facts(), [])) == {}


def test_models_without_a_retain_set_can_be_attacked(known, splits):
    model, tokenizer, _ = known
    names = ["benign_relearning", "lora_relearning", "direction_ablation", "membership_probe", "prompts", "languages"]
    found = em.run_attacks(model, tokenizer, {"forget": splits["forget"]}, names, budget=SMALL)
    assert all(found[name] == {} for name in names if name != "prompts")
    assert "three_shot_fact_recall" not in found["prompts"]


@pytest.mark.parametrize("rows", [1, 2])
def test_tiny_forget_sets_and_raw_texts_crash_no_attack(rows, known):
    model, tokenizer, examples = known
    names = [name for name in em.ATTACKS if installed(name)]
    texts = [Example(answer=e.answer) for e in examples[:rows]]
    for forget in (examples[:rows], texts):
        found = em.run_attacks(model, tokenizer, {"forget": forget, "retain": texts}, names, budget=SMALL)
        json.dumps(found, allow_nan=False)
        assert set(found) == set(names)


# -- inside


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


# -- rounding


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(1, 150), st.sampled_from([(8, None), (4, 64), (4, None)]), st.integers(0, 9))
def test_rounding_is_idempotent_and_bounded(rows, width, scheme, seed):
    weight = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    bits, group = scheme
    once = rounding.rounded(weight, bits, group)
    assert once.shape == weight.shape
    assert torch.allclose(rounding.rounded(once, bits, group), once, rtol=1e-5, atol=1e-7)
    step = weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
    assert ((once - weight).abs() <= step / 2 + 1e-6).all()


def test_eight_bits_err_less_than_four_and_keep_zero_rows():
    weight = torch.randn(16, 256, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    errors = [(rounding.rounded(weight, *scheme) - weight).norm() for scheme in ((8, None), (4, 64))]
    assert 0 < errors[0] < errors[1] / 4
    assert (rounding.rounded(weight, 4, 64)[3] == 0).all()


def test_quantising_leaves_the_head_alone(known):
    model, _, _ = known
    head = model.get_output_embeddings().weight.clone()
    with subject.on_a_copy(model):
        count = rounding.quantise(model, 4, 64)
        assert count == 2 * 7  # attention 4, feed-forward 3, two layers
        assert torch.equal(model.get_output_embeddings().weight, head)
        weight = model.model.layers[0].self_attn.q_proj.weight
        assert len(torch.unique(weight[0])) <= 15


@pytest.mark.parametrize(("bits", "group"), [(8, None), (4, 64)])
def test_torchao_rounds_as_coarsely_as_our_own_code(bits, group):
    pytest.importorskip("torchao")
    weight = torch.randn(32, 256, generator=torch.Generator().manual_seed(0))
    ours, theirs = (by(weight, bits, group) for by in (rounding.rounded, rounding.rounded_by_torchao))
    errors = [float((rounded - weight).norm()) for rounded in (ours, theirs)]
    assert type(theirs) is torch.Tensor and theirs.shape == weight.shape
    assert 0.8 < errors[0] / errors[1] < 1.25
    assert torch.equal(rounding.rounded_by_torchao(weight[:, :100], 4, 64), rounding.rounded(weight[:, :100], 4, 64))


@pytest.mark.parametrize(("kind", "bits"), [("Q8_0", 8), ("Q4_0", 4)])
def test_gguf_rounds_like_our_own_code_in_blocks_of_32(kind, bits):
    """Q8_0 has the scale max|w| / 127 in half precision; Q4_0 uses one level more on one side."""
    pytest.importorskip("gguf")
    weight = torch.randn(32, 256, generator=torch.Generator().manual_seed(0))
    theirs, ours = rounding.rounded_by_gguf(kind)(weight, bits, 32), rounding.rounded(weight, bits, 32)
    assert theirs.dtype == weight.dtype and theirs.shape == weight.shape
    errors = [float((rounded - weight).norm()) for rounded in (ours, theirs)]
    assert 0.8 < errors[0] / errors[1] < 1.25
    if bits == 8:
        assert torch.allclose(theirs, ours, atol=2e-2)
    assert len(torch.unique(theirs[0, :32])) <= 2**bits
    uneven = rounding.rounded_by_gguf(kind)(weight[:, :100], bits, 32)
    assert torch.equal(uneven, weight[:, :100].half().float())


def pull(model, base: dict) -> float:
    """How far 4-bit rounding moves trained weights back to those before training: 0 not at all, 1 fully."""
    towards = apart = 0.0
    with subject.on_a_copy(model), torch.no_grad():
        trained = {name: value.clone() for name, value in model.named_parameters()}
        rounding.quantise(model, 4, 64)
        for name, value in model.named_parameters():
            back = base[name] - trained[name]
            towards += float(((value - trained[name]) * back).sum())
            apart += float((back * back).sum()) if not torch.equal(value, trained[name]) else 0.0
    return towards / apart


def test_four_bit_rounding_undoes_small_training_only_on_the_same_grid():
    """The packaged model's weights were once on a different 4-bit grid. Such a history changes the attack's result only
    if both grids are the same: then rounding restores the model that the weights came from."""
    model, tokenizer, examples = make_tiny(epochs=6)
    gridded = copy.deepcopy(model)
    rounding.quantise(gridded, 4, 64)
    found = {}
    for name, start in (("smooth", model), ("gridded", gridded)):
        base = {key: value.clone() for key, value in start.named_parameters()}
        train_tiny(start, tokenizer, examples[:12], epochs=2, learning_rate=2e-4)
        found[name] = pull(start, base)
    assert abs(found["smooth"]) < 0.15
    assert found["gridded"] > 0.8


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
