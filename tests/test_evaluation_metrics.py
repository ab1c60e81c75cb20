"""Metrics of tiny models: directions, missing values, facts and ends of answers, selected and new ones."""

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
from tiny_models import make_tiny

import evaluation_metrics as em
from data.preparation import encode_examples
from models.forward import generation
from models.scores import metric_table


@pytest.fixture(scope="module")
def memorised():
    return make_tiny()


PROJECT = Path(__file__).resolve().parents[1]


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


def test_importing_evaluation_metrics_loads_no_heavy_library():
    heavy = ("torch", "scipy", "sklearn", "transformers")
    code = f"import sys, evaluation_metrics; print([m for m in {heavy} if m in sys.modules])"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert time.perf_counter() - started < 5
