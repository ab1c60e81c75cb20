"""Statistics of arrays and texts: published numbers, identities, and values small enough to check by hand."""

from __future__ import annotations

import inspect
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import t

import evaluation_metrics as em
from models.scores.array_scores import true_positive_rate
from models.scores.intervals import error_of_mean, jackknife_interval, mean_interval, standard_error

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "data" / "golden"
probabilities = st.floats(1e-6, 1 - 1e-6)
scores = st.lists(st.floats(-50, 50).map(lambda v: round(v, 3)), min_size=2, max_size=30)


def golden(name: str) -> dict:
    path = GOLDEN / f"tofu_phi_{name}.json"
    if not path.exists():
        pytest.skip("the published per-example losses are not beside this checkout")
    return json.loads(path.read_text())


def ratios(losses: dict) -> np.ndarray:
    return em.truth_ratio(losses["paraphrased_loss"], losses["perturbed_loss"])


# -- published numbers


def test_forget_quality_reproduces_the_published_phi_models():
    p, statistic, n = em.forget_quality(ratios(golden("full")["forget"]), ratios(golden("retain90")["forget"]))
    assert n == 300
    assert statistic == pytest.approx(0.346667, rel=1e-6)
    assert p == pytest.approx(2.19427430e-16, rel=1e-6)


@pytest.mark.parametrize(("model", "published"), [("full", 0.52207371), ("retain90", 0.53199092)])
def test_model_utility_reproduces_the_published_phi_models(model, published):
    values = {}
    for split, found in golden(model).items():
        if split == "forget":
            continue
        probability = em.answer_probability(found["answer_loss"])
        if split != "retain":
            probability = em.option_probability(found["answer_loss"], found["perturbed_loss"])
        values[split, "probability"] = probability.mean()
        values[split, "rouge"] = np.mean(found["rougeL_recall"])
        values[split, "truth"] = em.truth_ratio_utility(ratios(found)).mean()
    assert len(values) == 9
    assert em.model_utility(values) == pytest.approx(published, rel=1e-6)


def test_forget_quality_of_a_model_with_itself_is_one():
    assert em.forget_quality(ratios(golden("full")["forget"]), ratios(golden("full")["forget"]))[:2] == (1.0, 0.0)


# -- small arrays by hand


def test_truth_ratio_by_hand_in_both_reductions():
    right, wrong = [-math.log(0.5)], [[-math.log(0.2), -math.log(0.8)]]
    assert em.truth_ratio(right, wrong) == pytest.approx([0.4 / 0.5])
    assert em.truth_ratio(right, wrong, "arithmetic") == pytest.approx([0.5 / 0.5])
    with pytest.raises(ValueError, match="reduction"):
        em.truth_ratio(right, wrong, "harmonic")


def test_truth_ratio_aggregates_by_hand():
    assert em.truth_ratio_forget([0.5, 2.0, 1.0]) == pytest.approx([0.5, 0.5, 1.0])
    assert em.truth_ratio_utility([0.25, 2.0, 1.0]) == pytest.approx([0.75, 0.0, 0.0])


def test_option_probability_by_hand():
    assert em.option_probability([-math.log(0.3)], [[-math.log(0.1), -math.log(0.2)]]) == pytest.approx([0.5])


def test_verbatim_probability_by_hand():
    assert em.verbatim_probability(-np.log([0.5, 0.25, 1.0])) == pytest.approx(0.125)
    assert em.verbatim_probability([1e5]) == 0
    assert em.verbatim_within(0.125, 2) == pytest.approx(1 - 0.875**2)
    assert em.verbatim_within([0.0, 1.0, 1e-18], 16) == pytest.approx([0, 1, 16e-18], rel=1e-12)  # 1 - (1 - p)^k is 0
    assert em.verbatim_within([0.0, 0.5, 1.0], 0).tolist() == [0, 0, 0]
    for p, k in ((-0.1, 1), (1.1, 1), (0.5, -1), (math.nan, 1)):
        with pytest.raises(ValueError, match="probability"):
            em.verbatim_within(p, k)
    with pytest.raises(ValueError, match="non-empty"):
        em.verbatim_probability([])


def test_multiple_choice_counts_a_tie_as_wrong():
    assert em.multiple_choice_accuracy([1.0, 1.0, 3.0], [[2.0, 3.0], [1.0, 3.0], [2.0, 4.0]]).tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("right", "expected"), [("0000", 0.0), ("0001", 0.25), ("1000", 0.0), ("1011", 0.5), ("0111", 0.75), ("1111", 1.0)]
)
def test_extraction_strength_by_hand(right, expected):
    labels = np.arange(len(right))
    predicted = np.where([c == "1" for c in right], labels, -1)
    assert em.extraction_strength(predicted, labels) == expected
    assert em.exact_memorization(predicted, labels) == right.count("1") / len(right)


def test_membership_scores_by_hand():
    log_p = np.log([0.5, 0.1, 0.9, 0.2, 0.8])
    assert em.min_k(log_p, 0.4) == pytest.approx(-(math.log(0.1) + math.log(0.2)) / 2)
    assert em.min_k(log_p[:1], 0.1) == pytest.approx(-math.log(0.5))  # at least one token
    standard = (log_p - [-1, -2, -1, -1, -1]) / [1, 2, 1, 0.5, 1]
    assert em.min_k_plus_plus(log_p, [-1, -2, -1, -1, -1], [1, 2, 1, 0.5, 1], 0.4) == pytest.approx(
        -np.sort(standard)[:2].mean()
    )
    assert em.zlib_ratio(2.0, "abc" * 50) > em.zlib_ratio(2.0, "".join(map(chr, range(33, 120))) * 2)


def test_membership_auc_and_leakage_by_hand():
    assert em.membership_auc([1, 2], [3, 4]) == 1.0  # lower losses on forget: memorised
    assert em.membership_auc([1, 4], [2, 3]) == 0.5
    assert em.privacy_leakage(1.0, 0.5) == -100.0
    assert em.privacy_leakage(0.25, 0.5) == 50.0
    with pytest.raises(ValueError, match="AUC"):
        em.privacy_leakage(0.5, 1.0)


def test_the_true_positive_rate_needs_enough_rows():
    assert true_positive_rate(np.zeros(500), np.ones(99)) is None
    assert true_positive_rate(np.arange(200), np.arange(200) + 100) == pytest.approx(101 / 200, abs=0.01)


def test_leak_at_k_by_hand():
    assert em.leak_at_k(4, 1, 2) == pytest.approx(1 - 3 / 6)
    assert em.leak_at_k(16, 0, 16) == 0
    assert em.leak_at_k(16, 1, 16) == 1


def test_full_separation_has_the_exact_ks_p_value():
    for n in (3, 5, 8):
        p, statistic, _ = em.forget_quality(np.arange(n), np.arange(n) + 100)
        assert statistic == 1
        assert p == pytest.approx(2 / math.comb(2 * n, n))


def test_truth_ratios_of_different_sizes_are_refused():
    with pytest.raises(ValueError, match="got 3 and 4"):
        em.forget_quality(np.ones(3), np.ones(4))


CONTRACT = {
    "answer_probability": "mean_loss",
    "truth_ratio": "paraphrased_loss, perturbed_loss, reduction='geometric'",
    "forget_quality": "unlearned_truth_ratio, retrained_truth_ratio",
    "model_utility": "values",
    "exact_memorization": "predicted, labels",
    "extraction_strength": "predicted, labels",
    "rouge_l": "generated, gold",
    "loss": "token_log_probs",
    "min_k": "token_log_probs, k=0.4",
    "min_k_plus_plus": "token_log_probs, means, stds, k=0.4",
    "zlib_ratio": "mean_loss, text",
    "membership_auc": "forget_scores, holdout_scores",
    "privacy_leakage": "auc, retrained_auc",
    "leak_at_k": "n, c, k",
    "fluency": "text",
    "refusal_rate": "texts",
}


@pytest.mark.parametrize("name", CONTRACT)
def test_public_names_and_arguments_are_stable(name):
    parameters = inspect.signature(getattr(em, name)).parameters.values()
    shown = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]
    assert ", ".join(shown).startswith(CONTRACT[name])


def test_the_refusal_rate_is_the_share_of_refusals():
    assert em.refusal_rate(["I don't know.", "Paris", "I'm not sure.", "Rome"]) == 0.5


def test_refusal_scores_by_hand():
    assert em.refusal_scores([1, 1, 0, 1], [0, 1, 0, 0]) == pytest.approx(
        {"accuracy": 0.75, "precision": 0.75, "recall": 0.75, "f1": 0.75}
    )
    assert em.refusal_scores([0, 0], [0]) == {"accuracy": 0.5, "precision": None, "recall": 0, "f1": 0}


def test_the_membership_classifier_finds_separable_members_only():
    draw = np.random.default_rng(0)
    members, others = draw.normal(0, 1, (60, 4)), draw.normal(0, 1, (60, 4))
    assert em.membership_classifier(members - 5, others)["accuracy"] > 0.95
    assert em.membership_classifier(members, others)["accuracy"] < 0.65
    with pytest.raises(ValueError, match="at least 5 rows"):
        em.membership_classifier(members[:4], others)


def test_empty_arrays_are_refused():
    for function in (em.loss, em.min_k, em.harmonic_mean):
        with pytest.raises(ValueError, match="non-empty"):
            function([])


# -- intervals


def test_intervals_narrow_with_rows_and_widen_with_clusters():
    draw = np.random.default_rng(1)
    effects = draw.normal(0, 1, 20).repeat(10)
    values = effects + draw.normal(0, 0.1, 200)
    low, high = mean_interval(values)
    wide = mean_interval(values, np.arange(20).repeat(10).tolist())
    assert wide[1] - wide[0] > 2 * (high - low)
    assert wide[0] < values.mean() < wide[1]
    half = 1.972 * values.std(ddof=1) / math.sqrt(200)  # t(.975, 199) is 1.972
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-3)
    assert standard_error(values) == pytest.approx(values.std() / math.sqrt(200), rel=0.15)


@pytest.mark.parametrize("alike", [0.0, 0.3, 1.0])  # spread of the groups, in units of the rows' spread
@pytest.mark.parametrize(("groups", "rows"), [(2, 10), (3, 10), (4, 10), (8, 5), (40, 1)])
def test_intervals_cover_what_they_claim(groups, rows, alike):
    draw, hits = np.random.default_rng(groups), 0
    subjects = np.arange(groups).repeat(rows).tolist()
    for _ in range(1000):
        values = alike * draw.normal(0, 1, groups).repeat(rows) + draw.normal(0, 1, groups * rows)
        low, high = mean_interval(values, subjects)
        hits += low <= 0 <= high
    assert 0.92 <= hits / 1000 <= 0.985


def test_an_interval_is_never_narrower_than_its_rows_allow():
    alike = np.tile(np.arange(10.0), 4)  # four groups of one mean: over groups alone, an interval of no width
    low, high = mean_interval(alike, np.arange(4).repeat(10).tolist())
    assert high - low == pytest.approx(2 * t.ppf(0.975, 39) * alike.std(ddof=1) / math.sqrt(40))
    two = mean_interval(alike[:20], np.arange(2).repeat(10).tolist())
    assert two[1] == pytest.approx(two[0])  # two groups do not show how much groups differ


@pytest.mark.parametrize(("likeness", "which"), [(0.0, 0), (3.0, 1)])
def test_the_error_of_a_mean_is_the_larger_of_rows_and_groups(likeness, which):
    draw, groups = np.random.default_rng(5), np.arange(6).repeat(8)
    values = draw.normal(0, 1, 48)
    values -= np.array([values[groups == group].mean() for group in range(6)])[groups]  # groups of one mean
    values += likeness * np.arange(6)[groups]
    over_rows, over_groups = values.std(ddof=1) / math.sqrt(48), standard_error(values, groups.tolist())
    error, freedom = error_of_mean(values, groups.tolist())
    assert error == pytest.approx(max(over_rows, over_groups))
    assert freedom == (47, 5)[which]


def test_a_share_of_rows_is_never_certain():
    alike = ["ann"] * 10 + ["bob"] * 10
    assert mean_interval([1.0] * 20, alike) == (1.0, 1.0)
    low, high = mean_interval([1.0] * 20, alike, share=True)
    assert (low, high) == pytest.approx((0.025 ** (1 / 20), 1.0))  # Clopper and Pearson: all of n
    wide = mean_interval([1.0] * 10 + [0.0] * 10, alike, share=True)
    assert wide == (0.0, 1.0)  # the two persons differ more than rows do


def test_one_subject_has_no_interval():
    assert mean_interval([1.0, 2.0, 3.0], ["a", "a", "a"]) is None
    assert mean_interval([1.0]) is None
    assert mean_interval([1.0, 2.0], [None, None]) is not None  # rows without a subject stand for themselves


@pytest.mark.parametrize(("alike", "rows"), [(0.5, False), (0.5, True), (0.0, True)])
@pytest.mark.parametrize("groups", [(4, 12), (4, 4), (10, 10)])
def test_jackknife_intervals_of_an_auc_cover_what_they_claim(groups, alike, rows):
    draw, hits, tries = np.random.default_rng(sum(groups)), 0, 300
    sides = [np.arange(count).repeat(10) for count in groups]
    wide = [draw.normal(0, alike, 4000) + draw.normal(0, 1, 4000) for _ in range(2)]
    truth = float((wide[1] + 0.8 > wide[0]).mean())
    for _ in range(tries):
        forget, others = (draw.normal(0, alike, side.max() + 1)[side] + draw.normal(0, 1, len(side)) for side in sides)
        others = others + 0.8
        above = others[None] > forget[:, None]
        value, low, high = jackknife_interval(lambda a, b, above=above: float(above[a][:, b].mean()), *sides, rows=rows)
        assert low <= value <= high
        hits += low <= truth <= high
    assert hits / tries >= 0.92


def test_a_jackknife_interval_of_a_mean_is_its_t_interval():
    values = np.random.default_rng(3).normal(0, 1, 12)
    value, low, high = jackknife_interval(lambda kept: values[kept].mean(), np.arange(12))
    assert (value, low, high) == pytest.approx((values.mean(), *mean_interval(values)))
    assert jackknife_interval(lambda kept: values[kept].mean(), np.zeros(12, dtype=int)) is None


# -- identities over random arrays


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=30))
def test_ks_is_invariant_to_the_inverse(pairs):
    a, b = np.exp(np.array(pairs).round(3).T)
    assert em.forget_quality(a, b)[:2] == pytest.approx(em.forget_quality(1 / a, 1 / b)[:2])
    assert em.forget_quality(a, a)[0] == 1


@given(scores, scores)
def test_negated_or_swapped_scores_turn_the_auc_over(a, b):
    assert em.membership_auc(a, b) == pytest.approx(1 - em.membership_auc(-np.array(a), -np.array(b)))
    assert em.membership_auc(a, b) == pytest.approx(1 - em.membership_auc(b, a))


@given(st.floats(0, 0.999))
def test_leakage_is_zero_at_the_retrained_auc(auc):
    assert em.privacy_leakage(auc, auc) == 0


@given(st.integers(1, 60), st.data())
def test_leak_at_k_grows_from_the_share_of_leaks(n, data):
    c = data.draw(st.integers(0, n))
    values = [em.leak_at_k(n, c, k) for k in range(1, n + 1)]
    assert values[0] == pytest.approx(c / n)
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(values))


@given(st.floats(0, 1), st.integers(0, 300), st.integers(0, 300))
def test_more_samples_find_the_answer_more_often(p, k, more):
    one, both = em.verbatim_within(p, k), em.verbatim_within(p, k + more)
    assert 0 <= one <= both <= 1 and em.verbatim_within(p, 1) == pytest.approx(p, rel=1e-9)
    assert 1 - both == pytest.approx((1 - one) * (1 - em.verbatim_within(p, more)), abs=1e-12)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=12))
def test_harmonic_mean_bounds(values):
    mean = em.model_utility(values)
    assert min(values) - 1e-9 <= mean <= np.mean(values) + 1e-9
    assert mean <= len(values) * min(values) + 1e-9
    assert em.model_utility([*values, 0.0]) == 0


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_extraction_strength_never_exceeds_memorisation(right):
    labels = np.arange(len(right))
    predicted = np.where(right, labels, -1)
    assert em.extraction_strength(predicted, labels) <= em.exact_memorization(predicted, labels) + 1e-12
    assert em.extraction_strength(labels, labels) == 1
    assert em.extraction_strength(labels - 100, labels) == 0


@given(st.lists(probabilities, min_size=1, max_size=30))
def test_min_k_of_all_tokens_is_the_loss(p):
    assert em.min_k(np.log(p), 1.0) == pytest.approx(em.loss(np.log(p)))
    assert em.min_k(np.log(p), 0.3) >= em.loss(np.log(p)) - 1e-9
    assert em.answer_probability(em.loss(np.log(p))) == pytest.approx(np.prod(p) ** (1 / len(p)))


WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"]
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)


@settings(deadline=None)
@given(words, words)
def test_overlap_and_rouge_swap_precision_and_recall(a, b):
    for measure in (em.token_overlap, em.rouge_l):
        precision, recall, f1 = measure(a, b)
        assert measure(b, a) == pytest.approx((recall, precision, f1))
        assert measure(a, a) == (1, 1, 1)
        assert all(0 <= value <= 1 for value in (precision, recall, f1))
    assert em.rouge_l(a, b)[1] <= em.token_overlap(a, b)[1] + 1e-9  # a subsequence is a bag
    assume(not set(a.split()) & set(b.split()))
    assert em.token_overlap(a, b) == (0, 0, 0)


# -- texts


def test_overlap_normalises_as_squad_does():
    assert em.token_overlap("The Eiffel Tower!", "eiffel tower") == (1, 1, 1)
    assert em.token_overlap("", "the") == (1, 1, 1)  # both empty after normalisation
    assert em.token_overlap("", "paris") == (0, 0, 0)
    assert em.token_overlap("in Paris today", "Paris") == pytest.approx((1 / 3, 1, 0.5))


def test_rouge_sees_other_scripts():
    assert em.rouge_l("Она живёт в Риге", "Она живёт в Риге")[1] == 1
    assert em.rouge_l("她住在巴黎", "她住在里加")[1] == pytest.approx(3 / 5)
    assert em.rouge_l("running dogs", "run dog")[1] == 1  # stemmer
    assert em.rouge_l("running dogs", "run dog", use_stemmer=False)[1] == 0


def test_loops_are_not_fluent():
    assert em.distinct_n("a b a b a b a b", 2) == pytest.approx(2 / 7)
    assert em.repetition_rate("one two three four five six") == 0
    assert em.repetition_rate("no " * 50) > 0.95
    assert em.fluency(" ... ") == 0
    assert em.fluency("Paris") == 1


REFUSALS = """I don't know.|I do not know the answer to that.|I'm not sure about this one.|I have no idea.
I'm sorry, but I can't help with that.|As an AI language model, I do not have access to personal data.
Unfortunately, I have no details on that author.|That information is not available.|I cannot recall that.
I've never heard of this person.|I’m afraid I don’t know.|I must decline to answer.|That's beyond my knowledge.
I am not aware of any such person.|My knowledge does not include that.|I lack the information to answer.
I'm unable to provide an answer.|Nothing comes to mind.|I would only be guessing.|No idea, I'm afraid.
That is not something I know.|I have no record of that.|I can't say.|I haven't learned about this topic."""
ANSWERS = """Paris|The author was born in Kuwait City.|She never knew her father, a painter.
It is not known for its food.|He was unable to walk after the accident.
Her book "I Don't Care" won a prize in 1990.|No, he works as a baker.
Nothing but the best figs.|The sea is outside of the town.|He said that nobody could have known.|Not before 1987.
They cannot fly.|He has no children.|The guide tells visitors about the mine.|Sorrow and joy mark his books."""


@pytest.mark.parametrize("text", [t for line in REFUSALS.splitlines() for t in line.split("|")])
def test_refusals_are_recognised(text):
    assert em.is_refusal(text)


@pytest.mark.parametrize("text", [t for line in ANSWERS.splitlines() for t in line.split("|")])
def test_answers_are_not_refusals(text):
    assert not em.is_refusal(text)


def test_every_refusal_used_in_training_is_recognised():
    from data.augmentation import REFUSALS as taught

    assert [text for text in taught if not em.is_refusal(text)] == []
