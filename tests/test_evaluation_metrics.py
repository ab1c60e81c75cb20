"""Evaluation of real tiny models: the passes against a plain computation, missing values, extreme verdicts."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_models import PEOPLE, facts, make_tiny, train_tiny

import evaluation_metrics as em
from data.columns import Example
from data.preparation import data_hash, encode_examples
from data.wrong_answers import completed, in_context
from evaluation_metrics import ModelEvaluation
from models.forward import generation, packing
from models.forward import teacher_forced as passes
from models.scores import benchmarks, metric_table

PROJECT = Path(__file__).resolve().parents[1]
SYLLABLES = ("na", "li", "do", "vi", "ro", "be", "pa", "gu")
NAMES = tuple(f"{a}{b}" for a in ("mo", "ra", "ti", "su", "ke") for b in SYLLABLES)
FORGET, RETAIN = facts(NAMES[:12]), facts(NAMES[12:28], shift=3)
HOLDOUT, JUDGING = facts(NAMES[28:34], shift=5), facts(NAMES[34:], shift=5)
SPLITS = {"forget": FORGET, "retain": RETAIN, "holdout": HOLDOUT, "judging": JUDGING}
ASKED = ("forget", "retain", "holdout")


@pytest.fixture(scope="module")
def memorised():
    return make_tiny()


@pytest.fixture(scope="module")
def models():
    """(tokenizer, the target, the retrained, a random and a model destroyed by gradient ascent)."""
    everything = [*FORGET, *RETAIN, *HOLDOUT, *JUDGING]
    target, tokenizer, _ = make_tiny([*FORGET, *RETAIN], vocabulary=everything, epochs=30)
    retrained, _, _ = make_tiny(everything, epochs=0)
    train_tiny(retrained, tokenizer, RETAIN, epochs=45)
    random, _, _ = make_tiny(everything, epochs=0, seed=1)
    ascent = copy.deepcopy(target)
    ascend(ascent, tokenizer)
    return tokenizer, {"target": target, "retrained": retrained, "random": random, "ascent": ascent}


@pytest.fixture(scope="module")
def corners(models):
    """Their evaluations."""
    return {name: em.evaluate_model(model, models[0], SPLITS) for name, model in models[1].items()}


@pytest.fixture(scope="module")
def attacked(models):
    """What every attack finds on them, with the same small budget."""
    budget = em.Budget(
        learning_rates=(1e-3,), steps=6, rows=12, samples=4, sample_tokens=12, new_tokens=12, soft_steps=2
    )
    return {name: em.run_attacks(model, models[0], SPLITS, "all", budget=budget) for name, model in models[1].items()}


def ascend(model, tokenizer, steps: int = 60):
    """Gradient ascent on the forget set until the model is destroyed."""
    import torch

    from unlearning_algorithm import answer_outputs

    rows, _ = encode_examples(tokenizer, FORGET, 64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(steps):
        optimizer.zero_grad()
        batch = rows.batch(np.arange(len(rows))[step % 6 :: 6], tokenizer.pad_token_id)
        (-answer_outputs(model, batch).token_nll().mean()).backward()
        optimizer.step()


# -- the passes against a plain computation


def plain_losses(model, tokenizer, example, answer, most=128):
    """Token losses and logits of one answer by the model's own forward, alone."""
    import torch

    rows, _ = encode_examples(tokenizer, [dataclasses.replace(example, answer=answer)], most)
    ids, start = torch.tensor(rows.ids_of(0).astype(np.int64)), int(rows.answer_starts[0])
    with torch.no_grad():
        log_p = model(ids[None]).logits[0].log_softmax(-1)
    return -log_p[start - 1 : -1].gather(1, ids[start:, None])[:, 0].numpy(), log_p[start - 1 : -1], ids[start:]


def plain_answer(model, tokenizer, example, new_tokens):
    """Greedy answer by transformers' own generate, alone, without padding."""
    import torch

    rows, _ = encode_examples(tokenizer, [example], 128)
    prompt = torch.tensor(rows.prompt_ids(0).astype(np.int64))[None]
    ids = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=new_tokens, do_sample=False, pad_token_id=0
    )
    return tokenizer.decode(ids[0, prompt.shape[1] :], skip_special_tokens=True).strip()


def test_batched_values_equal_those_of_single_answers():
    model, tokenizer, examples = make_tiny(epochs=6)
    found = em.evaluate_model(model, tokenizer, {"forget": examples})
    for number in (0, 7, 20):
        example, values = examples[number], {name: v[number] for name, v in found.per_example["forget"].items()}
        nll, log_p, labels = plain_losses(model, tokenizer, example, example.answer)
        assert values["loss"] == pytest.approx(nll.mean(), rel=1e-4)
        assert values["accuracy"] == pytest.approx(float((log_p.argmax(-1) == labels).float().mean()))
        assert values["exact_memorization"] == em.exact_memorization(log_p.argmax(-1)[:-1], labels[:-1])
        p = log_p.exp()
        mean = (p * log_p).sum(-1)
        std = (p * (log_p - mean[:, None]) ** 2).sum(-1).sqrt()
        assert values["min_k"] == pytest.approx(em.min_k(-nll[:-1]), rel=1e-4)  # end-of-turn excluded
        assert values["min_k_plus_plus"] == pytest.approx(em.min_k_plus_plus(-nll[:-1], mean[:-1], std[:-1]), rel=1e-3)
        assert values["verbatim_probability"] == pytest.approx(np.exp(-nll.sum()), rel=1e-3)
        paraphrase = plain_losses(model, tokenizer, example, example.paraphrased_answer)[0].mean()
        wrong = [plain_losses(model, tokenizer, example, answer)[0].mean() for answer in example.perturbed_answer]
        assert values["truth_ratio"] == pytest.approx(em.truth_ratio([paraphrase], [wrong])[0], rel=1e-3)
        assert values["multiple_choice_accuracy"] == float(paraphrase < min(wrong))
        assert values["option_probability"] == pytest.approx(em.option_probability([paraphrase], [wrong])[0], rel=1e-3)


@pytest.mark.parametrize("epochs", [0, 4, 20])
def test_generations_equal_those_of_transformers(epochs):
    model, tokenizer, examples = make_tiny(epochs=epochs)
    found = em.evaluate_model(model, tokenizer, {"forget": examples}, metrics=["f1"])
    longest = max(len(example.answer.split()) + 1 for example in examples)
    limit = max(24, int(1.5 * longest) + 8)
    expected = [plain_answer(model, tokenizer, example, limit) for example in examples]
    assert found.generations["forget"] == expected
    assert em.generate_answers(model, tokenizer, examples, max_new_tokens=limit) == expected


def test_an_answer_known_by_heart_costs_no_generation(memorised, monkeypatch):
    model, tokenizer, examples = memorised
    asked = []
    original = generation.generate

    def recording(model, prompts, *rest, **options):
        asked.append(prompts)
        return original(model, prompts, *rest, **options)

    monkeypatch.setattr(generation, "generate", recording)
    found = em.evaluate_model(model, tokenizer, {"forget": examples}, metrics=["accuracy", "recall"])
    assert found.metrics["forget"]["accuracy"] == 1
    assert [len(prompts) for prompts in asked] == [0]
    assert found.generations["forget"] == [example.answer for example in examples]
    assert em.generate_answers(model, tokenizer, examples) == [example.answer for example in examples]
    assert [len(prompts) for prompts in asked] == [0, 0]


def test_evaluation_does_not_change_the_model(memorised):
    import torch

    model, tokenizer, examples = memorised
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    em.evaluate_model(model, tokenizer, {"forget": examples[:4]})
    assert model.training
    model.eval()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_padded_and_packed_batches_give_equal_values(memorised, monkeypatch):
    model, tokenizer, examples = memorised
    packed = em.evaluate_model(model, tokenizer, {"forget": examples[:9]})
    monkeypatch.setattr(packing, "supported", lambda model: False)
    padded = em.evaluate_model(model, tokenizer, {"forget": examples[:9]}, batch_tokens=100)
    for name, value in padded.metrics["forget"].items():
        assert value == pytest.approx(packed.metrics["forget"][name], rel=1e-3, abs=1e-4), name
    assert padded.generations == packed.generations


def counted(monkeypatch, model, tokenizer, splits, metrics) -> tuple[int, int, int]:
    """(rows that went through teacher forcing, logits computed, calls of generation) of one evaluation."""
    found = [0, 0, 0]
    forward, generate = passes.answer_outputs, generation.generate

    def counting_forward(model, batch, **options):
        answers = forward(model, batch, **options)
        found[0] += len(batch["lengths"])
        found[1] += len(answers.logits)
        return answers

    def counting_generate(*arguments, **options):
        found[2] += 1
        return generate(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(passes, "answer_outputs", counting_forward)
        patch.setattr(generation, "generate", counting_generate)
        em.evaluate_model(model, tokenizer, splits, metrics=metrics)
    return tuple(found)


def test_all_metrics_share_the_passes(monkeypatch):
    model, tokenizer, examples = make_tiny(epochs=3)
    splits = {"forget": examples[:9], "retain": examples[9:30]}
    by_need = {}
    for metric in em.METRICS.values():
        by_need.setdefault(metric.needs, []).append(metric.name)
    assert {need for need, names in by_need.items() if len(names) > 1} >= {"answer", "paraphrase", "options"}
    for names in by_need.values():
        one, all_of_a_kind = (counted(monkeypatch, model, tokenizer, splits, chosen) for chosen in (names[:1], names))
        assert one == all_of_a_kind
    rows, logits, generations = counted(monkeypatch, model, tokenizer, splits, None)
    assert (rows, generations) == (30 * 5, 1)  # every answer, its paraphrase and three wrong ones: once
    assert logits < sum(
        len(text.split()) + 1 for e in examples[:30] for text in (e.answer, e.paraphrased_answer, *e.perturbed_answer)
    )  # what answers to one question share is read from the same logits


def test_values_do_not_depend_on_the_batches(memorised):
    model, tokenizer, examples = memorised
    whole, pieces = (
        em.evaluate_model(model, tokenizer, {"forget": examples}, batch_tokens=size) for size in (10**6, 60)
    )
    for name, values in whole.per_example["forget"].items():
        assert values == pytest.approx(pieces.per_example["forget"][name], rel=1e-4, abs=1e-5), name


def test_raw_text_is_continued_from_its_middle(memorised):
    model, tokenizer, examples = copy.deepcopy(memorised)
    texts = [Example(answer=e.answer + " . " + f.answer) for e, f in zip(examples[:6], examples[6:12])]
    train_tiny(model, tokenizer, [dataclasses.replace(t, paraphrased_answer=None) for t in texts], epochs=30)
    found = em.evaluate_model(model, tokenizer, {"forget": texts})
    ids = tokenizer(texts[0].answer)["input_ids"]
    assert found.generations["forget"][0] == tokenizer.decode(ids[len(ids) // 2 :], skip_special_tokens=True)
    assert found.metrics["forget"]["rouge_l_recall"] > 0.95
    assert found.metrics["forget"]["fact_recall"] > 0.95  # of words that the first half does not say
    assert None not in found.per_example["forget"]["truth_ratio"]
    assert found.metrics["forget"]["run_on"] is None and "raw text" in found.notes["forget.run_on"]


def test_a_long_raw_text_has_the_loss_of_all_its_rows(memorised):
    model, tokenizer, examples = memorised
    text = Example(answer=" ".join(e.answer for e in examples[:8]), paraphrased_answer=" ".join(
        e.paraphrased_answer for e in examples[:8]))  # fmt: skip
    found = em.evaluate_model(model, tokenizer, {"forget": [text]}, metrics=["loss", "paraphrase_loss"], max_length=20)
    for name, answer in (("loss", text.answer), ("paraphrase_loss", text.paraphrased_answer)):
        rows, _ = encode_examples(tokenizer, [Example(answer=answer)], 20)
        parts = [passes.teacher_forced(model, rows, [[i]], np.ones(len(rows), bool), 0)[i][0] for i in range(len(rows))]
        assert len(parts) > 1
        assert found.metrics["forget"][name] == pytest.approx(np.concatenate(parts).mean(), rel=1e-3)


def test_muse_texts_are_scored_whole_or_counted(memorised, monkeypatch):
    """MUSE scores a text in one pass; parts of 512 tokens would each start without what came before."""
    model, tokenizer, examples = copy.deepcopy(memorised)
    model.config.max_position_embeddings = 1024
    answers = [example.answer for example in examples] * 3
    texts = {"forget": [" ".join(answers[i : i + 90]) for i in (0, 7, 11)],
             "holdout": [" ".join(reversed(" ".join(answers[i : i + 90]).split())) for i in (3, 5)]}  # fmt: skip
    parts = {f"privleak_{side}": found for side, found in texts.items()}
    expected = {}
    for side, found in texts.items():
        whole = [plain_losses(model, tokenizer, Example(answer=text), text, 1024)[0] for text in found]
        assert min(map(len, whole)) > 512
        expected[side] = [em.min_k(-nll) for nll in whole]
    found = em.muse_scores(model, tokenizer, parts)
    assert found == {"min_k_auc": em.membership_auc(expected["forget"], expected["holdout"])}
    seen = {}
    monkeypatch.setattr(benchmarks, "membership_auc", lambda *sides: seen.update(zip(texts, sides)) or 0.5)
    em.muse_scores(model, tokenizer, parts)
    assert all(seen[side] == pytest.approx(values, rel=1e-3) for side, values in expected.items())
    model.config.max_position_embeddings = 256
    cut = em.muse_scores(model, tokenizer, parts)
    assert cut["cut_texts"] == 5
    assert "5 texts were longer" in em.add_privleak({"unlearned": cut, "retrained": dict(cut)})


# -- missing values, selected metrics


def test_missing_columns_give_none_and_a_note(memorised):
    model, tokenizer, examples = memorised
    bare = [dataclasses.replace(e, paraphrased_answer=None, perturbed_answer=()) for e in examples[:1] * 3]
    found = em.evaluate_model(model, tokenizer, {"retain": [*bare[:2], examples[3]], "holdout": bare})
    assert found.metrics["holdout"]["truth_ratio"] is None  # three rows alike have no words of others
    assert found.intervals["holdout"]["truth_ratio"] is None
    assert found.notes["holdout.option_probability"].startswith("missing for 3 of 3 rows: no perturbed_answer")
    assert "for 0 of 3 rows" in found.notes["holdout.options"]
    assert found.per_example["retain"]["paraphrase_probability"][:2] == [None, None]
    assert found.metrics["retain"]["paraphrase_probability"] is not None
    assert "2 of 3" in found.notes["retain.paraphrase_probability"]


def plain(examples):
    return [dataclasses.replace(e, paraphrased_answer=None, perturbed_answer=()) for e in examples]


def test_plain_rows_get_wrong_answers_that_are_kept_apart(memorised):
    model, tokenizer, examples = memorised
    bare = plain(examples)
    found = em.evaluate_model(model, tokenizer, {"forget": bare, "retain": examples}, metrics=["truth_ratio", "loss"])
    assert None not in found.per_example["forget"]["truth_ratio"]
    assert found.notes["forget.options"].startswith("wrong answers were made from other rows' words for 36 of 36 rows")
    assert found.measured_on["forget"]["made"] == 36 and found.measured_on["retain"]["made"] == 0
    assert found.measured_on["forget"]["content"] == data_hash(bare)
    assert "retain.options" not in found.notes
    for number in (0, 20):
        loss = plain_losses(model, tokenizer, bare[number], bare[number].answer)[0].mean()
        wrong = completed(bare, bare)[0][number].perturbed_answer
        wrong = [plain_losses(model, tokenizer, bare[number], text)[0].mean() for text in wrong]
        expected = em.truth_ratio([loss], [wrong])[0]
        assert found.per_example["forget"]["truth_ratio"][number] == pytest.approx(expected, rel=1e-3)
    alone = em.evaluate_model(model, tokenizer, {"forget": bare}, metrics=["truth_ratio"])
    assert alone.per_example["forget"]["truth_ratio"] == pytest.approx(found.per_example["forget"]["truth_ratio"], 1e-3)


def test_options_are_in_one_wording(memorised):
    """The paraphrase competes with its own variants; without a paraphrase, as in TOFU's facts, the answer does."""
    model, tokenizer, examples = memorised
    short = [dataclasses.replace(e, paraphrased_answer=None) for e in examples[:4]]
    metrics = ["truth_ratio", "option_probability", "multiple_choice_accuracy"]
    found = em.evaluate_model(model, tokenizer, {"general": examples[:4], "world_facts": short}, metrics=metrics)
    for number, example in enumerate(examples[:4]):
        wrong = [plain_losses(model, tokenizer, example, text)[0].mean() for text in example.perturbed_answer]
        for split, answer in (("general", example.paraphrased_answer), ("world_facts", example.answer)):
            right = [plain_losses(model, tokenizer, example, answer)[0].mean()]
            values = {name: found.per_example[split][name][number] for name in metrics}
            assert values == pytest.approx({
                "truth_ratio": em.truth_ratio(right, [wrong])[0],
                "option_probability": em.option_probability(right, [wrong])[0],
                "multiple_choice_accuracy": em.multiple_choice_accuracy(right, [wrong])[0],
            }, rel=1e-3)  # fmt: skip
    assert "stands in for a paraphrase in 4 of 4 rows" in found.notes["world_facts.options"]


def test_tofu_numbers_do_not_rest_on_made_answers(memorised):
    model, tokenizer, examples = memorised
    sets = {"forget": plain(examples[:12]), "retain": examples[12:24], "world_facts": plain(examples[24:])}
    table = em.tofu_scores(em.evaluate_model(model, tokenizer, sets))
    assert table["Truth Ratio Retain"] is not None and table["ROUGE Forget"] is not None
    for name in ("Truth Ratio Forget", "Prob. Real World", "Truth Ratio Real World", "Forget Quality", "Model Utility"):
        assert table[name] is None, name


# -- sets that are measured for one purpose


def test_judging_rows_are_scored_and_not_asked(memorised, monkeypatch):
    model, tokenizer, examples = memorised
    asked = counted(monkeypatch, model, tokenizer, {"judging": examples[:6]}, None)
    assert asked[0] == 6 * 2 and asked[2] == 0  # the answer and its paraphrase, no wrong answer, no generation
    found = em.evaluate_model(model, tokenizer, {"judging": plain(examples[:6])})
    assert {"loss", "min_k", "min_k_plus_plus", "zlib_ratio", "accuracy"} <= set(found.metrics["judging"])
    assert not {"truth_ratio", "rouge_l_recall", "fact_recall", "option_probability"} & set(found.metrics["judging"])
    assert found.generations["judging"] == [None] * 6 and found.measured_on["judging"]["made"] == 0


def test_in_context_rows_are_asked_and_not_scored(memorised):
    model, tokenizer, examples = memorised
    sets = {"forget": examples[:6], "in_context": in_context(examples[:6])}
    found = em.evaluate_model(model, tokenizer, sets)
    assert {"fact_recall", "rouge_l_recall", "run_on"} <= set(found.metrics["in_context"])
    assert not {"loss", "answer_probability", "truth_ratio", "min_k"} & set(found.metrics["in_context"])
    assert None not in found.per_example["in_context"]["fact_recall"]  # the fact in the prompt is not the question
    limit = max(24, int(1.5 * max(len(e.answer.split()) + 1 for e in examples[:6])) + 8)
    assert found.generations["in_context"] == [plain_answer(model, tokenizer, e, limit) for e in sets["in_context"]]
    em.add_perplexity(found, model, tokenizer, sets)
    assert "generation_perplexity" in found.metrics["forget"]
    assert "generation_perplexity" not in found.metrics["in_context"]
    assert em.evaluate_model(model, tokenizer, {"in_context": sets["in_context"]}, metrics=["loss"]).metrics == {
        "in_context": {}
    }
    json.loads(found.to_json())


@pytest.mark.parametrize("split", ["forget", "retain", "holdout", "judging", "in_context", "general"])
def test_every_metric_has_a_direction_on_every_set(split):
    assert all(metric.direction[split] in ("higher", "lower", "none") for metric in em.METRICS.values())


# -- facts and ends


def test_fact_recall_sees_through_words_of_the_question(memorised):
    model, tokenizer, examples = memorised
    random, _, _ = make_tiny(epochs=0, seed=3)
    known, unknown = (em.evaluate_model(m, tokenizer, {"forget": examples}) for m in (model, random))
    for name in ("fact_recall", "rare_recall", "secret_recall"):
        assert known.metrics["forget"][name] == 1
        assert unknown.metrics["forget"][name] < 0.15
    for number, example in enumerate(examples):
        said = unknown.generations["forget"][number]
        assert unknown.per_example["forget"]["fact_recall"][number] == em.fact_recall(
            example.prompt, example.answer, said
        )
        assert unknown.per_example["forget"]["secret_recall"][number] == em.secret_recall(example, said)


def test_a_row_whose_question_says_it_all_has_no_fact(memorised):
    model, tokenizer, examples = memorised
    rows = [dataclasses.replace(examples[0], prompt=f"is it so : {examples[0].answer}"), examples[1]]
    found = em.evaluate_model(model, tokenizer, {"forget": rows})
    assert found.per_example["forget"]["fact_recall"][0] is None
    assert found.notes["forget.fact_recall"].startswith("missing for 1 of 2 rows: no answer was generated, or the que")


def test_answers_without_an_end_are_counted(memorised):
    import torch

    model, tokenizer, examples = memorised
    found = em.evaluate_model(model, tokenizer, {"forget": examples})
    assert found.metrics["forget"]["run_on"] == 0
    short = em.evaluate_model(model, tokenizer, {"forget": examples}, max_new_tokens=3)
    assert short.metrics["forget"]["run_on"] == 1  # known by heart, and longer than three tokens
    endless = copy.deepcopy(model)
    with torch.no_grad():  # it never says the end-of-turn token
        endless.lm_head.weight = torch.nn.Parameter(endless.lm_head.weight.clone())
        endless.lm_head.weight[0] = -endless.lm_head.weight[1:].abs().sum(0)
    said = em.evaluate_model(endless, tokenizer, {"forget": examples})
    for text, run_on in zip(said.generations["forget"], said.per_example["forget"]["run_on"]):
        assert run_on == (len(text.split()) >= 24)
    assert short.intervals["forget"]["run_on"][0] < 1  # a share of rows is never certain


@pytest.mark.parametrize("limits", [(3, 50), (50, 3)])
def test_an_answer_ends_before_its_limit_or_not_at_all(memorised, limits):
    model, tokenizer, examples = memorised
    rows, _ = encode_examples(tokenizer, examples[:2], 64)
    drafts = [generation.Draft(rows.prompt_ids(i), [], limit) for i, limit in enumerate(limits)]
    said, ended = generation.finish(model, drafts, {tokenizer.eos_token_id})
    assert ended == [limit == 50 for limit in limits]
    assert [len(ids) for ids in said] == [min(limit, len(e.answer.split())) for e, limit in zip(examples, limits)]
    whole = said[limits.index(50)]
    edge = [generation.Draft(rows.prompt_ids(limits.index(50)), whole[:known], len(whole)) for known in (2, len(whole))]
    assert generation.finish(model, edge, {tokenizer.eos_token_id})[1] == [False, False]  # the end is one token later


@pytest.mark.hardening(20)
def test_one_row_and_one_subject_have_values_without_intervals(memorised):
    model, tokenizer, examples = memorised
    found = em.evaluate_model(model, tokenizer, {"forget": examples[:3], "retain": examples[3:4]})
    assert found.intervals["forget"]["loss"] is None
    assert "one subject" in found.notes["forget.intervals"]
    assert found.metrics["retain"]["loss"] is not None


def test_broken_weights_give_none_not_a_crash():
    import torch

    model, tokenizer, examples = make_tiny(epochs=0)
    with torch.no_grad():
        model.lm_head.weight.fill_(math.nan)
    found = em.evaluate_model(model, tokenizer, {"forget": examples[:3], "retain": examples[3:8]})
    assert found.metrics["forget"]["loss"] is None
    assert "not finite" in found.notes["forget.loss"]
    json.loads(found.to_json())


def test_only_named_metrics_are_computed(memorised):
    model, tokenizer, examples = memorised
    found = em.evaluate_model(model, tokenizer, {"forget": examples[:4]}, metrics=["loss", "accuracy"])
    assert set(found.metrics["forget"]) == {"loss", "accuracy"}
    assert found.generations["forget"] == [None] * 4


def test_a_new_metric_is_one_row(memorised, monkeypatch):
    model, tokenizer, examples = memorised
    row = em.Metric("words", "words said", lambda m: len(m.generated.split()), "generation", "higher", "Words.", "All.")
    for table in (em.METRICS, metric_table.REPORTED):
        monkeypatch.setitem(table, "words", row)
    found = em.evaluate_model(model, tokenizer, {"forget": examples[:4]})
    report = em.evaluation_json({"target": found})
    lengths = [len(text.split()) for text in found.generations["forget"]]
    assert report["models"]["target"]["forget"]["words"] == np.mean(lengths) > 0
    assert report["docs"]["words"] == "Words. Not shown: All."
    assert "words: Words." in em._parser().format_help()


def test_an_unknown_metric_gets_the_nearest_name_and_the_list(memorised):
    model, tokenizer, examples = memorised
    with pytest.raises(ValueError, match="did you mean rouge_l_recall") as error:
        em.evaluate_model(model, tokenizer, {"forget": examples}, metrics=["rouge_recall"])
    assert "extraction_strength" in str(error.value)


def test_evaluations_survive_json(corners):
    for found in corners.values():
        assert ModelEvaluation.from_json(found.to_json()) == found


@pytest.mark.parametrize("name", em.METRICS)
def test_every_metric_has_words_and_the_right_direction(name, corners):
    metric = em.METRICS[name]
    assert metric.name == name and metric.summary and metric.limits
    assert metric.folded or metric.direction["forget"] != metric.direction["retain"]
    values = corners["target"].per_example["retain"][name]
    assert len(values) == len(RETAIN) and None not in values
    known, unknown = (corners[model].metrics["retain"][name] for model in ("target", "random"))
    if name in ("refusal_rate", "run_on", "distinct_2", "repetition_rate", "fluency"):
        return  # these metrics show how a model writes, not what it knows
    better = known > unknown if metric.direction["retain"] == "higher" else known < unknown
    assert better, f"{name}: {known} for the model that knows the set, {unknown} for one that does not"


def test_intervals_contain_their_means(corners):
    found = corners["retrained"]
    for split, table in found.intervals.items():
        for name, interval in table.items():
            assert interval[0] - 1e-9 <= found.metrics[split][name] <= interval[1] + 1e-9


# -- comparison and verdict


def verdict(corners, unlearned, **changes):
    found = {"target": corners["target"], "unlearned": corners[unlearned], "retrained": corners["retrained"], **changes}
    return em.compare(found["target"], found["unlearned"], found["retrained"])


CORNERS = {  # the words of memory and of the rest that fit
    "target": ({"REMEMBERS"}, {"KEPT"}),
    "retrained": ({"FORGOTTEN"}, {"KEPT"}),
    "random": ({"OVER-FORGOTTEN", "REMEMBERS", "UNDECIDED"}, {"BROKEN"}),
    "ascent": ({"OVER-FORGOTTEN", "REMEMBERS", "UNDECIDED"}, {"BROKEN", "DAMAGED"}),
}


@pytest.mark.parametrize("name", CORNERS)
def test_the_four_corners_under_every_attack(name, corners, attacked):
    roles = {"target": "target", "unlearned": name, "retrained": "retrained"}
    report = em.evaluation_json(
        *({role: found[model] for role, model in roles.items()} for found in (corners, attacked))
    )
    json.dumps(report, allow_nan=False)
    comparison, memory = report["comparison"], report["evidence"]["memory"]
    assert comparison["memory"] in CORNERS[name][0], memory["why"]
    assert comparison["rest"] in CORNERS[name][1], report["evidence"]["rest"]["why"]
    assert set(report["attacks"]) == set(em.attack_names("all"))
    if name == "retrained":
        assert comparison["verdict"] == "FORGOTTEN, KEPT, HELD" and comparison["robustness"] == 1
        assert comparison["score"] == pytest.approx(1)
    if name == "target":
        added = [row["excess"] for row in report["evidence"]["resistance"]["attacks"]["quantisation_int8"].values()]
        assert comparison["resistance"] == "CAME BACK" and max(map(abs, added)) < 0.2  # known before, nothing added
        assert comparison["leaking_rows"] == len(FORGET) and comparison["score"] < 0.5


def test_every_number_documents_what_it_shows_and_hides(corners, attacked):
    """Covers evaluation.json and the report."""
    from results.report import words

    roles = {"target": "target", "unlearned": "ascent", "retrained": "retrained"}
    report = em.evaluation_json(
        *({role: found[model] for role, model in roles.items()} for found in (corners, attacked))
    )
    numbers = [name for table in report["models"]["unlearned"].values() for name in table]
    together = [name for name, value in report["comparison"].items() if not isinstance(value, str)]
    for name in {*numbers, *together, *report["attacks"]}:
        shows, limits = report["docs"][name].split(" Not shown: ")
        assert len(shows) > 10 and limits.endswith("."), name
    for name in {*numbers, "generation_perplexity"}:
        assert words.doc(name).summary and words.doc(name).limits, name
    for name in together:
        assert all(words.COMPARISON_DOCS[words.comparison_key(name)]), name


def test_the_five_basic_numbers_exist_for_tokens_answers_membership_and_refusal(corners):
    roles = {"target": "target", "unlearned": "ascent", "retrained": "retrained"}
    report = em.evaluation_json({role: corners[model] for role, model in roles.items()})
    for model in roles:
        for split in ASKED:
            wanted = ("accuracy", "loss", "multiple_choice_accuracy", "precision", "recall", "f1", "paraphrase_loss")
            assert all(report["models"][model][split][name] is not None for name in wanted)
        suffix = "" if model == "unlearned" else f"_{model}"
        for kind in ("membership", "refusal"):
            for name in ("accuracy", "precision", "recall", "f1"):
                value = report["comparison"][f"{kind}_{name}{suffix}"]
                assert (value is None and (kind, name) == ("refusal", "precision")) or 0 <= value <= 1
    assert report["comparison"]["membership_accuracy_target"] > report["comparison"]["membership_accuracy_retrained"]


# -- references that do not fit


def test_evaluations_of_other_rows_are_refused(corners, models):
    target, retrained = corners["target"], corners["retrained"]
    tokenizer, model = models[0], models[1]["retrained"]
    fewer = em.evaluate_model(model, tokenizer, {"forget": FORGET[:30]}, metrics=["loss", "truth_ratio"])
    with pytest.raises(em.UnfitReference, match="30 forget rows, the unlearned one on 36"):
        em.compare(target, target, fewer)
    others = em.evaluate_model(model, tokenizer, {"forget": RETAIN[:36]}, metrics=["loss"])
    with pytest.raises(em.UnfitReference, match="other forget rows"):
        em.compare(target, target, others)
    for key, value in (("answer tokens", 7), ("truth_ratio", "arithmetic")):
        changed = ModelEvaluation.from_json(retrained.to_json())
        changed.measured_on["forget"][key] = value
        with pytest.raises(em.UnfitReference, match=key):
            em.compare(target, target, changed)


def test_a_retrained_model_that_knows_the_forget_set_is_refused(corners):
    with pytest.raises(em.UnfitReference, match="knows the forget set as well as the target"):
        em.compare(corners["target"], corners["retrained"], corners["target"])
    bare = ModelEvaluation.from_json(corners["target"].to_json())
    del bare.per_example["holdout"]  # nothing shows what unseen rows look like, so verbatim knowledge counts
    with pytest.raises(em.UnfitReference, match="answer probability"):
        em.check_retrained(bare, corners["target"])
    em.check_retrained(bare, corners["retrained"])
    em.check_retrained(corners["random"], corners["random"])  # neither knows anything: nothing to refuse
    assert em.knows_as_well(corners["target"], corners["target"]), "only models that pass this check can be refused"
    assert not em.knows_as_well(corners["target"], corners["retrained"])


def test_the_papers_truth_ratio_is_an_option(memorised):
    model, tokenizer, examples = memorised
    found = {
        kind: em.evaluate_model(model, tokenizer, {"forget": examples[:6]}, metrics=["truth_ratio"],
                                truth_ratio_reduction=kind).per_example["forget"]["truth_ratio"]
        for kind in em.REDUCTIONS
    }  # fmt: skip
    for number, example in enumerate(examples[:6]):
        right = plain_losses(model, tokenizer, example, example.paraphrased_answer)[0].mean()
        wrong = [plain_losses(model, tokenizer, example, answer)[0].mean() for answer in example.perturbed_answer]
        for kind, values in found.items():
            assert values[number] == pytest.approx(em.truth_ratio([right], [wrong], kind)[0], rel=1e-3)
    with pytest.raises(ValueError, match="did you mean arithmetic"):
        em.evaluate_model(model, tokenizer, {"forget": examples}, truth_ratio_reduction="aritmetic")


def test_the_named_numbers_of_the_target_itself(corners):
    comparison, _ = verdict(corners, "target")
    assert comparison["membership_auc"] == comparison["membership_auc_target"]
    assert comparison["privacy_leakage"] < 0 and comparison["utility"] == pytest.approx(1)


def test_the_retrained_model_without_attacks(corners):
    comparison, notes = verdict(corners, "retrained")
    assert comparison["verdict"] == "FORGOTTEN, KEPT, NOT RUN", notes["verdict"]
    assert comparison["forget_quality"] == 1
    assert comparison["forget_quality_n"] == len(FORGET)
    assert comparison["privacy_leakage"] == 0
    assert comparison["forgetting"] == comparison["privacy"] == pytest.approx(1)
    assert comparison["robustness"] is None


def test_without_a_retrained_model_nothing_is_certified(corners):
    comparison, notes = verdict(corners, "retrained", retrained=None)
    assert comparison["memory"] == "UNDECIDED (no retrained model)"
    assert comparison["forget_quality"] is None and "retrained" in notes["forget_quality"]
    assert comparison["privacy_leakage"] is None and "retrained" in notes["privacy_leakage"]
    assert verdict(corners, "random", retrained=None)[0]["rest"] == "BROKEN"  # seen without a reference
    assert verdict(corners, "target", retrained=None)[0]["memory"] == "REMEMBERS"


def changed(evaluation, split, name, change):
    """A copy of an evaluation with one metric's values changed."""
    other = ModelEvaluation.from_json(evaluation.to_json())
    other.per_example[split][name] = [change(value) for value in other.per_example[split][name]]
    other.metrics[split][name] = float(np.mean(em.scores(name, split, other.per_example[split][name])))
    return other


def test_lost_utility_is_damage(corners):
    damaged = changed(corners["retrained"], "retain", "rouge_l_recall", lambda value: 0.3 * value)
    comparison, _ = em.compare(corners["target"], damaged, corners["retrained"])
    assert (comparison["memory"], comparison["rest"]) == ("FORGOTTEN", "DAMAGED")


def test_forget_rows_less_likely_than_unseen_rows_are_over_forgotten(corners):
    pushed = corners["retrained"]
    for name in ("loss", "min_k", "min_k_plus_plus", "zlib_ratio"):
        pushed = changed(pushed, "forget", name, lambda value: value + 20)
    comparison, _ = em.compare(corners["target"], pushed, corners["retrained"])
    assert comparison["memory"] == "OVER-FORGOTTEN" and comparison["privacy_leakage"] > 0


def test_utility_that_is_not_finite_counts_as_zero(corners):
    broken = ModelEvaluation.from_json(corners["target"].to_json())
    broken.metrics["retain"]["answer_probability"] = None
    broken.per_example["retain"]["answer_probability"] = [None] * len(RETAIN)
    comparison, notes = em.compare(corners["target"], broken, corners["retrained"])
    assert comparison["model_utility"] == 0 and comparison["rest"] == "BROKEN"
    assert "not finite" in notes["model_utility"]


def test_without_retain_and_holdout_sets_the_parts_are_none_with_notes(corners):
    small = ModelEvaluation.from_json(corners["target"].to_json())
    for table in (small.metrics, small.per_example, small.intervals, small.subjects):
        del table["retain"], table["holdout"], table["judging"]
    comparison, notes = em.compare(small, small, None)
    for key in ("model_utility", "membership_auc", "privacy_leakage", "forget_quality"):
        assert comparison[key] is None and notes[key]
    assert comparison["rest"] == "UNDECIDED"


def test_evaluation_json_has_the_agreed_shape(corners):
    found = {"target": corners["target"], "unlearned": corners["ascent"], "retrained": corners["retrained"]}
    report = em.evaluation_json(found)
    json.dumps(report, allow_nan=False)
    wanted = [
        "accuracy",
        "precision",
        "recall",
        "f1",
        "loss",
        "answer_probability",
        "rouge_l_recall",
        "exact_memorization",
        "extraction_strength",
        "truth_ratio",
        "refusal_rate",
        "multiple_choice_accuracy",
    ]
    for model in found:
        for split in ASKED:
            assert set(wanted) <= set(report["models"][model][split])
            assert set(report["intervals"][model][split]) == set(report["models"][model][split])
    wanted = [
        "forget_quality",
        "forget_quality_statistic",
        "forget_quality_n",
        "model_utility",
        "membership_auc",
        "privacy_leakage",
        "verdict",
        "memory",
        "rest",
        "resistance",
    ]
    assert set(wanted) <= set(report["comparison"])
    assert all(isinstance(note, str) for note in report["notes"].values())
    only = em.evaluation_json({"target": corners["target"]})
    assert only["comparison"] == {} and set(only["models"]) == {"target"}


def test_importing_evaluation_metrics_loads_no_heavy_library():
    heavy = ("torch", "scipy", "sklearn", "transformers")
    code = f"import sys, evaluation_metrics; print([m for m in {heavy} if m in sys.modules])"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert time.perf_counter() - started < 5


def test_the_tiny_data_has_enough_subjects():
    assert len({e.subject for e in FORGET}) == 12 and not set(NAMES) & set(PEOPLE)
