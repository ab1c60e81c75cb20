"""Attacks by asking: samples, prompts, context and languages."""

from __future__ import annotations

import dataclasses
import json

import pytest
from attack_room import OUTSIDERS, SMALL, attacked_subject, installed
from tiny_models import facts, make_tiny

import evaluation_metrics as em
from data.columns import Example
from models.attacks import asking, subject
from models.forward import generation


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
    assert found["leak_at_4"] == 0 and found["leak_bound"] == pytest.approx(1 - 0.05 ** (1 / 12))


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
