"""Comparison and verdict of tiny models at the extremes: target, retrained, random, destroyed."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from tiny_models import PEOPLE, facts, make_tiny, train_tiny

import evaluation_metrics as em
from data.preparation import encode_examples
from evaluation_metrics import ModelEvaluation

SYLLABLES = ("na", "li", "do", "vi", "ro", "be", "pa", "gu")
NAMES = tuple(f"{a}{b}" for a in ("mo", "ra", "ti", "su", "ke") for b in SYLLABLES)
FORGET, RETAIN = facts(NAMES[:12]), facts(NAMES[12:28], shift=3)
HOLDOUT, JUDGING = facts(NAMES[28:34], shift=5), facts(NAMES[34:], shift=5)
SPLITS = {"forget": FORGET, "retain": RETAIN, "holdout": HOLDOUT, "judging": JUDGING}
ASKED = ("forget", "retain", "holdout")


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


def test_the_tiny_data_has_enough_subjects():
    assert len({e.subject for e in FORGET}) == 12 and not set(NAMES) & set(PEOPLE)
