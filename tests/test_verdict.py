"""The verdict on models put together from known rows: it must find what stayed, and raise no false alarm."""

import json
import math

import constructed_models as made
import numpy as np
import pytest
from constructed_models import ALL_ROWS, RETRAINED, TARGET, attack, judged, values

from models.scores.evaluating import ModelEvaluation
from models.scores.intervals import none_of
from models.verdict import membership, memory
from models.verdict.evaluation_files import evaluation_json
from models.verdict.gates import PASSED, UNDECIDED, Gate, ends, inside, least_change, shown
from models.verdict.rest import Utility, rest_word, utility_gate
from models.verdict.verdict import compare, judge
from models.verdict.words import PARTS, WORDS, certified, verdict_words


def gates(evidence):
    return {gate["name"]: gate["word"] for gate in evidence["gates"]}


# ---------------------------------------------------------------------------------------------------------------------
# Memory


@pytest.mark.parametrize("person", range(made.PERSONS))
def test_one_person_of_the_target_is_remembered(person):
    first = person * made.ROWS
    comparison, evidence = judged(made.with_rows_of(RETRAINED, TARGET, range(first, first + made.ROWS)))
    assert comparison["memory"] == "REMEMBERS" and gates(evidence)["persons"] == "failed"
    known = [row["subject"] for row in evidence["persons"] if row["word"] == "known"]
    assert known == [f"forget {person + 1}"] and comparison["worst_person"] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("known", [[17], [0, 11, 22, 33], range(3, 10)], ids=["1 row", "4 rows", "7 rows"])
def test_rows_of_the_target_are_remembered_and_named(known):
    comparison, evidence = judged(made.with_rows_of(RETRAINED, TARGET, known))
    assert comparison["memory"] == "REMEMBERS" and comparison["leaking_rows"] == len(known)
    assert [row["row"] - 1 for row in evidence["rows"] if row["leaks"]] == list(known)
    assert ", ".join(str(row + 1) for row in known) in evidence["why"][0]


def test_a_person_known_a_little_in_every_row_is_found_without_a_leaking_row():
    comparison, evidence = judged(made.with_rows_of(RETRAINED, TARGET, range(10), 0.3))
    assert comparison["leaking_rows"] == 0 and comparison["memory"] == "REMEMBERS"
    assert comparison["worst_person"] == pytest.approx(0.3, abs=0.02) and gates(evidence)["persons"] == "failed"


def test_an_auc_of_one_under_one_score_alone_is_remembered():
    traced = made.copy_of(RETRAINED)
    traced.per_example["forget"]["min_k"] = [0.1 * value for value in traced.per_example["forget"]["loss"]]
    comparison, evidence = judged(made.summed(traced))
    assert comparison["memory"] == "REMEMBERS"
    assert [name for name, word in gates(evidence).items() if word == "failed"] == ["membership"]
    assert "min k" in evidence["why"][0]


def test_a_trace_that_only_shows_beside_the_base_models_losses_is_remembered():
    """Rows of very different difficulty hide what was learned of each; the base model's losses tell the difficulty."""
    target, unlearned, retrained = map(made.copy_of, (TARGET, RETRAINED, RETRAINED))
    draw, easy = np.random.default_rng(2), {}
    for split in ("forget", "judging"):
        easy[split] = draw.uniform(1, 6, len(RETRAINED.subjects[split]))
        target.per_example[split]["base_loss"] = easy[split].tolist()
        for model, learned in ((unlearned, 0.4 * (split == "forget")), (retrained, 0.0)):
            noise = draw.normal(0, 0.1, len(easy[split]))
            model.per_example[split]["loss"] = (easy[split] - learned + noise).tolist()
    gate, scores = membership.membership_gate(unlearned, retrained, target)
    assert gate.word == "failed" and scores["loss_minus_base"]["unlearned"] > 0.95
    assert abs(scores["loss"]["gap"]) < 0.1 and scores["loss_minus_base"]["retrained"] == pytest.approx(0.5, abs=0.15)
    assert "loss minus the base model's" in gate.why
    assert "loss_minus_base" not in membership.membership_gate(unlearned, retrained, TARGET)[1]


def test_three_rows_are_never_forgotten():
    target, retrained = made.evaluation(True, 1, 3, 1), made.evaluation(False, 2, 3, 1)
    assert judged(target, target, retrained)[0]["memory"] == "REMEMBERS"
    assert judged(retrained, target, retrained)[0]["memory"] == "UNDECIDED"


def test_one_person_is_undecided_whatever_its_rows_say():
    target, retrained = made.evaluation(True, 1, 1, 20), made.evaluation(False, 2, 1, 20)
    comparison, evidence = judged(retrained, target, retrained)
    assert comparison["memory"] == "UNDECIDED" and gates(evidence)["size"] == "undecided"


def test_another_retrained_model_is_forgotten_and_kept_in_nine_of_ten_draws():
    words = [judged(made.evaluation(False, seed))[0]["verdict"] for seed in range(100, 120)]
    assert words.count("FORGOTTEN, KEPT, NOT RUN") >= 18


def test_resampled_rows_and_persons_of_another_seed_raise_no_alarm():
    draw, other, alarms = np.random.default_rng(4), made.evaluation(False, 100), 0
    for _ in range(10):
        rows = [10 * person + row for person in draw.permutation(4) for row in draw.integers(0, 10, 10)]
        models = [made.copy_of(model) for model in (TARGET, other, RETRAINED)]
        for model in models:
            model.per_example["forget"] = {n: [v[i] for i in rows] for n, v in model.per_example["forget"].items()}
            model.subjects["forget"] = [model.subjects["forget"][i] for i in rows]
        alarms += judged(made.summed(models[1]), models[0], models[2])[0]["memory"] != "FORGOTTEN"
    assert alarms <= 1


def test_fewer_rows_never_help():
    """What is undecided or remembered with all persons is not forgotten with two of them."""
    unlearned = made.with_rows_of(RETRAINED, TARGET, ALL_ROWS, 0.25)
    assert judged(unlearned)[0]["memory"] == "REMEMBERS"
    halves = [made.copy_of(model) for model in (TARGET, unlearned, RETRAINED)]
    for model in halves:
        model.per_example["forget"] = {n: v[5:15] for n, v in model.per_example["forget"].items()}
        model.subjects["forget"] = model.subjects["forget"][5:15]
    assert judged(halves[1], halves[0], halves[2])[0]["memory"] != "FORGOTTEN"


def test_rows_beyond_the_retrained_model_are_over_forgotten():
    comparison, evidence = judged(made.with_rows_of(RETRAINED, TARGET, ALL_ROWS, -0.4))
    assert comparison["memory"] == "OVER-FORGOTTEN" and "over" in gates(evidence).values()


def test_a_mean_beyond_the_retrained_model_does_not_hide_a_row():
    far = made.with_rows_of(RETRAINED, TARGET, ALL_ROWS, -0.4)
    assert judged(made.with_rows_of(far, TARGET, [5]))[0]["memory"] == "REMEMBERS"


def test_a_model_that_refuses_but_knows_is_remembered():
    """Greedy answers and facts are gone, while the true answer stays likely."""
    hidden = made.copy_of(TARGET)
    for name in ("rouge_l_recall", "fact_recall"):
        hidden.per_example["forget"][name] = [0.0] * len(ALL_ROWS)
    assert judged(made.summed(hidden))[0]["memory"] == "REMEMBERS"


def test_a_model_without_finite_values_is_never_forgotten():
    dead = made.copy_of(RETRAINED)
    for name in dead.per_example["forget"]:
        dead.per_example["forget"][name] = [None] * len(ALL_ROWS)
    for split in ("retain", "general"):
        dead.per_example[split] = {name: [None] * len(v) for name, v in dead.per_example[split].items()}
    comparison, _ = judged(made.summed(dead))
    assert comparison["memory"] != "FORGOTTEN" and comparison["rest"] == "BROKEN"
    json.dumps(evaluation_json({"target": TARGET, "unlearned": dead, "retrained": RETRAINED}), allow_nan=False)


def test_rows_on_which_the_model_broke_are_not_taken_for_forgotten():
    half = made.copy_of(RETRAINED)
    half.per_example["forget"] = {n: [None if i % 2 else v for i, v in enumerate(vs)]
                                  for n, vs in half.per_example["forget"].items()}  # fmt: skip
    comparison, evidence = judged(made.summed(half))
    assert comparison["memory"] == "UNDECIDED" and "no finite value on 20 rows" in " ".join(evidence["why"])


@pytest.mark.parametrize("sets", [("holdout", "judging"), ()], ids=["with unseen rows", "without"])
def test_an_unchanged_model_without_a_retrained_one_is_remembered(sets):
    target = made.copy_of(TARGET)
    for split in {"holdout", "judging"} - {*sets}:
        del target.per_example[split], target.metrics[split], target.subjects[split]
    comparison, evidence = judged(target, target, None)
    assert comparison["memory"] == "REMEMBERS" and "still known: they kept more than" in evidence["why"][0]
    assert [row["leaks"] for row in evidence["rows"]] == [True] * len(ALL_ROWS)


def test_without_a_retrained_model_success_is_undecided():
    comparison, evidence = judged(RETRAINED, TARGET, None)
    assert comparison["memory"] == "UNDECIDED (no retrained model)" and comparison["rest"] == "KEPT"
    assert comparison["score"] is None and not certified(comparison)
    assert "would decide it" in evidence["turn"] and comparison["leaking_rows"] == 0
    assert verdict_words(comparison["verdict"])["memory"] == "UNDECIDED"


def test_the_score_never_ranks_a_leak_above_a_model_without_one():
    clean = [judged(made.scaled(made.evaluation(False, seed), ["retain"], 0.6))[0]["score"] for seed in (100, 101)]
    leaks = [judged(made.with_rows_of(RETRAINED, TARGET, rows))[0]["score"] for rows in ([3], range(10), ALL_ROWS)]
    assert max(leaks) < 0.5 <= min(clean)
    assert leaks == sorted(leaks, reverse=True)


def test_plain_rows_with_a_retrained_model_can_be_forgotten():
    """Rows without paraphrases and wrong answers, and so without the numbers that need them."""
    models = [made.copy_of(model) for model in (TARGET, made.evaluation(False, 100), RETRAINED)]
    for model in models:
        for table in model.per_example.values():
            for name in ("paraphrase_probability", "paraphrase_loss", "truth_ratio", "option_probability"):
                table.pop(name, None)
    target, unlearned, retrained = map(made.summed, models)
    comparison, evidence = judged(unlearned, target, retrained)
    assert comparison["memory"] == "FORGOTTEN" and gates(evidence)["equivalence.truth_ratio"] == "not measured"


def test_a_row_whose_answer_says_the_whole_fact_is_known_however_unlikely_its_true_wording():
    """Seen with rmu: it broke the name in the answer, and said the rest of the sentence."""
    reciting = made.copy_of(RETRAINED)
    for row in (4, 21):
        reciting.per_example["forget"]["fact_recall"][row] = 1.0
        reciting.per_example["forget"]["rouge_l_recall"][row] = 0.88
    comparison, evidence = judged(made.summed(reciting))
    assert comparison["memory"] == "REMEMBERS" and comparison["leaking_rows"] == 2
    assert [(row["row"], row["trace"]) for row in evidence["rows"] if row["leaks"]] == [
        (5, "fact_recall"), (22, "fact_recall")
    ]  # fmt: skip
    for row in (4, 21):  # the right words in another sentence, which a model may guess
        reciting.per_example["forget"]["rouge_l_recall"][row] = 0.5
    assert judged(made.summed(reciting))[0]["leaking_rows"] == 0


@pytest.mark.parametrize("name", memory.ALWAYS)
def test_a_run_that_measured_less_is_not_forgotten(name):
    models = [made.copy_of(model) for model in (TARGET, made.evaluation(False, 100), RETRAINED)]
    for model in models:
        for table in model.per_example.values():
            table.pop(name, None)
    target, unlearned, retrained = map(made.summed, models)
    comparison, evidence = judged(unlearned, target, retrained)
    assert comparison["memory"] == "UNDECIDED" and "was not measured on the forget set" in " ".join(evidence["why"])


def test_rows_that_show_nothing_do_not_make_a_set_large_enough():
    """Target and retrained model differ on four rows of forty."""
    models = [made.copy_of(model) for model in (TARGET, RETRAINED)]
    for name in memory.TRACES:
        theirs = models[1].per_example["forget"][name]
        models[0].per_example["forget"][name] = [
            value if row < 4 else theirs[row] for row, value in enumerate(models[0].per_example["forget"][name])
        ]
    target, retrained = map(made.summed, models)
    comparison, evidence = judged(retrained, target, retrained)
    assert comparison["memory"] == "UNDECIDED" and gates(evidence)["size"] == "undecided"
    assert "4 of 40 forget rows, of 1 person, can show a trace" in " ".join(evidence["why"])


def test_a_score_on_few_rows_does_not_stand_for_the_others():
    """Paraphrases on 4 of 40 rows: the membership test still sees that the other 36 rows are as on the target."""
    models = [made.copy_of(model) for model in (TARGET, RETRAINED, RETRAINED)]
    for name in ("loss", "min_k", "min_k_plus_plus", "zlib_ratio"):
        models[1].per_example["forget"][name] = list(TARGET.per_example["forget"][name])
    for model in models:
        for name in ("paraphrase_loss", "paraphrase_probability"):
            values = model.per_example["forget"][name]
            model.per_example["forget"][name] = [value if row < 4 else None for row, value in enumerate(values)]
    target, unlearned, retrained = map(made.summed, models)
    comparison, evidence = judged(unlearned, target, retrained)
    assert gates(evidence)["membership"] == "failed" and comparison["memory"] == "REMEMBERS"
    assert "paraphrase_loss" not in evidence["membership"]["scores"] and "loss" in evidence["membership"]["scores"]


def test_one_broken_row_is_told_and_the_others_are_compared():
    broken = made.copy_of(RETRAINED)
    broken.per_example["forget"]["loss"][7] = None
    comparison, evidence = judged(made.summed(broken))
    assert comparison["memory"] == "UNDECIDED"
    assert "Membership: the unlearned model has no finite loss on 1 forget row." in evidence["why"]


def test_two_persons_can_be_decided():
    """Less than two persons to leave out are no reason: the combined test alone needs three."""
    target, retrained = made.evaluation(True, 1, 2, 20), made.evaluation(False, 2, 2, 20)
    _, evidence = judged(retrained, target, retrained)
    assert gates(evidence)["membership"] == "passed"


@pytest.mark.parametrize("part", ["memory", "rest", "resistance"])
def test_an_undecided_word_says_why(part):
    """And does not name what was passed."""
    unseen, alone = made.copy_of(RETRAINED), made.copy_of(RETRAINED)
    del unseen.per_example["judging"], unseen.metrics["judging"], unseen.subjects["judging"]
    for split in ("retain", "general"):
        del alone.per_example[split], alone.metrics[split], alone.subjects[split]
    results = {"relearning": attack(values(RETRAINED), values(RETRAINED))}
    cases = {"memory": (TARGET, unseen, RETRAINED, "there are no judging rows"),
             "rest": (None, RETRAINED, None, "the model before was not measured"),
             "resistance": (TARGET, RETRAINED, None, "without a retrained model")}  # fmt: skip
    target, unlearned, retrained, reason = cases[part]
    found = judge(target, unlearned, retrained, results)
    told = found.evidence[part]
    assert told["word"].startswith("UNDECIDED") and reason.lower() in " ".join(told["why"]).lower()
    assert not any(gate["why"] and gate["word"] == "passed" and gate["why"].lower() in why.lower()
                   for gate in told["gates"] for why in told["why"])  # fmt: skip
    assert "nearest to failing" not in (told["turn"] or "")


def test_without_unseen_rows_of_one_kind_the_others_keep_their_limit():
    """Paraphrases that no unseen row has must not hide ten rows that kept four fifths."""
    kept = made.with_rows_of(RETRAINED, TARGET, range(10), 0.8)
    models = [made.copy_of(model) for model in (TARGET, kept)]
    for model in models:
        for split in ("holdout", "judging"):
            model.per_example[split].pop("paraphrase_probability")
    target, unlearned = map(made.summed, models)
    comparison, evidence = judged(unlearned, target, None)
    assert comparison["memory"] == "REMEMBERS" and {1, 2, 3} <= {r["row"] for r in evidence["rows"] if r["leaks"]}


def test_a_word_guessed_by_chance_is_no_leak_and_a_fact_that_stayed_is():
    traces = {"answer_probability": np.array([0.0, 0.3]), "fact_recall": np.array([1.0, 1.0])}
    assert memory.leaking_rows(traces) == [2]
    assert memory.leaking_rows({"fact_recall": traces["fact_recall"]}) == [1, 2]


def test_rows_without_contrast_or_values_say_nothing():
    found = memory.positions([0.9, 0.3, 0.9, np.nan], [0.9, 0.3, 0.1, 0.9], [0.1, 0.2, 0.1, 0.1])
    assert found[0] == 1 and np.isnan(found[1]) and found[2] == 0 and np.isnan(found[3])
    comparison, evidence = judged(RETRAINED, RETRAINED, made.evaluation(False, 3))
    assert comparison["memory"] == "UNDECIDED" and gates(evidence)["rows"] == "no contrast"


def test_rows_without_a_subject_are_persons_of_their_own():
    traces = {"answer_probability": np.array([0.0, 1.0, 0.5])}
    assert memory.person_positions(traces, [None, None, "ann"]) == {"row 1": 0.0, "row 2": 1.0, "ann": 0.5}


def test_an_equivalence_test_is_two_one_sided_tests():
    """scipy's one-sample t tests decide alike: on the persons' means, or on the rows where these have more error."""
    from scipy.stats import sem, ttest_1samp

    unlearned = made.with_rows_of(made.evaluation(False, 100), TARGET, ALL_ROWS, 0.1)
    gate = memory.equivalence("answer_probability", TARGET, unlearned, RETRAINED)
    columns = [np.array(m.per_example["forget"]["answer_probability"]) for m in (TARGET, unlearned, RETRAINED)]
    rows = (columns[1] - columns[2]) / (columns[0] - columns[2]).mean()
    tested = max(rows, rows.reshape(made.PERSONS, made.ROWS).mean(1), key=sem)
    ps = [ttest_1samp(tested, end, alternative=way).pvalue for end, way in ((-0.2, "greater"), (0.2, "less"))]
    assert gate.word == ("passed" if max(ps) <= 0.05 else "undecided")
    assert (gate.low, gate.high) == pytest.approx(tuple(ttest_1samp(tested, 0).confidence_interval(0.9)))


@pytest.mark.parametrize(("spread", "least", "most"), [(0.0, 0.2, 0.21), (0.1, 0.21, 0.45), (0.4, 0.5, 0.5)])
def test_a_margin_widens_to_where_models_that_never_saw_the_rows_may_lie(spread, least, most):
    noisy, draw = made.copy_of(RETRAINED), np.random.default_rng(0)
    contrast = np.mean(TARGET.per_example["forget"]["answer_probability"]) - 0.09
    for split in ("holdout", "judging"):
        values = np.array(TARGET.per_example[split]["answer_probability"])
        shifts = draw.normal(0, spread * contrast, len(values) // 10).repeat(10)
        noisy.per_example[split]["answer_probability"] = (values + shifts).tolist()
    gate = memory.equivalence("answer_probability", TARGET, RETRAINED, noisy)
    assert least <= gate.most <= most and gate.least == -gate.most
    assert gate.word == "passed"


def test_a_metric_in_which_models_without_the_rows_differ_by_half_decides_nothing():
    noisy, draw = made.copy_of(RETRAINED), np.random.default_rng(0)
    for split in ("holdout", "judging"):
        shifts = draw.normal(0, 1, len(noisy.subjects[split]) // 10).repeat(10)
        noisy.per_example[split]["answer_probability"] = (0.5 + shifts).tolist()
    assert memory.equivalence("answer_probability", TARGET, RETRAINED, noisy).word == "no contrast"


def test_the_margin_of_a_null():
    assert memory.usual_margin(-0.05, 0.1) == pytest.approx(0.35)  # three halves of its interval beyond its mean
    assert membership._usual((-0.15, 0.05)) == pytest.approx(0.35)  # the same interval by its ends
    assert membership._usual(None) == 0


def test_the_bound_on_rows_that_may_still_leak():
    assert none_of(40) == pytest.approx(0.0722, abs=5e-5)
    assert judged(RETRAINED)[1]["bound"] == pytest.approx(none_of(40))


# ---------------------------------------------------------------------------------------------------------------------
# Membership


def test_membership_is_judged_on_rows_that_nothing_was_steered_by():
    """Holdout rows may be as they like: only judging rows are non-members."""
    moved = made.copy_of(RETRAINED)
    moved.per_example["holdout"] = {n: [3 * v for v in vs] for n, vs in moved.per_example["holdout"].items()}
    ours, theirs = (membership.membership_gate(model, RETRAINED, TARGET)[0] for model in (moved, RETRAINED))
    assert ours == theirs
    fewer = made.copy_of(RETRAINED)
    del fewer.per_example["judging"]
    assert membership.membership_gate(fewer, RETRAINED)[0].word == "not measured"


def test_fewer_than_four_judging_persons_decide_nothing():
    target, retrained = made.evaluation(True, 1, judges=3), made.evaluation(False, 2, judges=3)
    assert membership.membership_gate(retrained, retrained, target)[0].word == "undecided"
    assert judged(retrained, target, retrained)[0]["memory"] == "UNDECIDED"


def test_forget_rows_that_are_too_unlikely_stand_out():
    far = made.copy_of(RETRAINED)
    for name in ("loss", "min_k", "min_k_plus_plus", "zlib_ratio"):
        far.per_example["forget"][name] = [2.5 * value for value in far.per_example["forget"][name]]
    assert membership.membership_gate(made.summed(far), RETRAINED, TARGET)[0].word == "over"


def test_the_combined_test_agrees_with_scikit_learns_logistic_regression():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    draw = np.random.default_rng(5)
    members, others = draw.normal(0, 1, (30, 4)), draw.normal(0.6, 1, (60, 4))
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    model.fit(np.concatenate([members, others]), np.repeat([0, 1], [30, 60]))
    ours = membership._logistic(members, others)(others)
    assert ours == pytest.approx(model.decision_function(others), abs=0.02)


def test_the_combined_test_finds_a_trace_that_no_single_score_shows():
    draw = np.random.default_rng(6)
    groups = (np.arange(4).repeat(10), np.arange(8).repeat(10))
    common = [draw.normal(0, 3, len(group)) for group in groups]
    table = [
        np.stack([both, both + draw.normal(0, 0.2, len(both)) + shift], 1) for both, shift in zip(common, (0, 0.6))
    ]
    sides = membership.Sides({"a": (table[0][:, 0], table[1][:, 0]), "b": (table[0][:, 1], table[1][:, 1])}, groups)
    assert membership.combined_auc(*table, groups) > 0.8 > 0.7 > membership.auc(table[0][:, 1], table[1][:, 1])
    assert membership.combined_p(sides) <= 0.02
    same = membership.Sides({"a": tuple(draw.normal(0, 1, len(group)) for group in groups)}, groups)
    assert membership.combined_p(same) > 0.05


def test_the_fast_auc_is_scikit_learns():
    from models.scores.array_scores import membership_auc

    members, others = np.random.default_rng(7).integers(0, 5, 20), np.random.default_rng(8).integers(1, 6, 30)
    assert membership.auc(members, others) == pytest.approx(membership_auc(members, others))


# ---------------------------------------------------------------------------------------------------------------------
# Rest


@pytest.mark.parametrize(("factor", "words"), [(0.94, {"DAMAGED", "UNDECIDED"}), (0.97, {"KEPT"}), (0.85, {"DAMAGED"}),
                                               (0.3, {"BROKEN"})])  # fmt: skip
def test_lost_utility_is_damage_and_never_over_forgetting(factor, words):
    comparison, _ = judged(made.scaled(RETRAINED, ["retain", "general"], factor))
    assert comparison["memory"] == "FORGOTTEN" and comparison["rest"] in words
    assert comparison["utility"] == pytest.approx(factor, abs=0.02)


def test_utility_near_the_gate_with_a_wide_interval_is_undecided():
    uneven = made.copy_of(RETRAINED)
    for name in ("answer_probability", "rouge_l_recall"):
        values = uneven.per_example["retain"][name]
        uneven.per_example["retain"][name] = [0.45 * v if i < 20 else v for i, v in enumerate(values)]
    found = judge(TARGET, made.summed(uneven), RETRAINED)
    assert found.comparison["utility"] > 0.9 > found.comparison["utility_low"]
    assert found.comparison["rest"] == "UNDECIDED"
    assert {row["subject"] for row in found.evidence["rest"]["lost_rows"]} == {"retain 1", "retain 2"}


def test_utility_is_measured_against_the_lower_of_target_and_retrained_model():
    weaker = made.scaled(RETRAINED, ["retain", "general"], 0.9)
    unlearned = made.scaled(RETRAINED, ["retain", "general"], 0.88)
    against = [Utility(TARGET, unlearned, retrained).interval()[0] for retrained in (weaker, None)]
    assert against[0] == pytest.approx(0.88 / 0.9, abs=0.01) and against[1] == pytest.approx(0.88, abs=0.01)


@pytest.mark.parametrize(("before", "word"), [(0.7, UNDECIDED), (0.9, PASSED)])
def test_rows_that_the_run_taught_the_model_cannot_show_that_the_rest_is_kept(before, word):
    """Documents alone ended KEPT by bundled rows that the target hardly knew; a third of other facts was lost."""
    target = made.scaled(TARGET, ["retain", "general"], before)
    gate = utility_gate(target, TARGET, None)
    assert gate.word == word and ("the run taught it the rows" in gate.why) == (word == UNDECIDED)
    assert rest_word(gate) == {PASSED: "KEPT", UNDECIDED: "UNDECIDED"}[word]


def test_rows_that_the_run_taught_the_model_can_show_damage():
    """Better answers do not make up for a model that can no longer write."""
    target, stammering = made.scaled(TARGET, ["retain", "general"], 0.7), made.copy_of(TARGET)
    for split in ("retain", "general"):
        stammering.per_example[split]["fluency"] = [0.8 * value for value in TARGET.per_example[split]["fluency"]]
    gate = utility_gate(target, made.summed(stammering), None)
    assert "the run taught it the rows" in gate.why and rest_word(gate) == "DAMAGED"


def test_a_weak_retrained_model_is_no_sign_that_the_run_taught_the_rows():
    """The run changed nothing; the utility is measured against the lower of the two."""
    assert utility_gate(TARGET, TARGET, made.scaled(TARGET, ["retain", "general"], 0.7)).word == PASSED


def test_no_distance_is_told_of_a_gate_whose_value_would_pass():
    target = made.scaled(TARGET, ["retain", "general"], 0.7)
    rest = judge(target, TARGET, None).evidence["rest"]
    assert rest["word"] == "UNDECIDED" and rest["turn"] is None


def test_missing_sets_leave_the_rest_undecided():
    models = [made.copy_of(model) for model in (TARGET, RETRAINED)]
    for model in models:
        for split in ("retain", "general"):
            del model.per_example[split], model.metrics[split], model.subjects[split]
    comparison, _ = judged(models[1], *models)
    assert comparison["rest"] == "UNDECIDED" and comparison["utility"] is None


def test_means_without_rows_decide_nothing_about_the_rest():
    """As of files that another tool wrote, or that were cut."""
    for role in range(3):
        models = [made.copy_of(model) for model in (TARGET, RETRAINED, RETRAINED)]
        models[role].per_example = {"forget": models[role].per_example["forget"]}
        comparison, _ = judged(models[1], models[0], models[2])
        assert comparison["rest"] == "UNDECIDED" and comparison["utility"] is None


# ---------------------------------------------------------------------------------------------------------------------
# Words, gates, sentences


def test_each_word_has_its_texts_and_only_three_of_them_are_signed():
    assert set(WORDS) == set(PARTS)
    assert all(word.tone in ("good", "unsure", "bad") and word.headline and word.plain
               for words in WORDS.values() for word in words.values())  # fmt: skip
    assert certified({"memory": "FORGOTTEN", "rest": "KEPT", "resistance": "HELD"})
    assert not certified({"memory": "FORGOTTEN", "rest": "KEPT", "resistance": "NOT RUN"})
    assert verdict_words("OVER-FORGOTTEN") == {} and verdict_words(None) == {}


@pytest.mark.parametrize(("low", "high", "word"), [(-0.2, 0.2, "passed"), (0.21, 0.4, "failed"), (-0.9, -0.21, "over"),
                                                   (0.1, 0.3, "undecided"), (-0.5, 0.5, "undecided")])  # fmt: skip
def test_an_interval_passes_only_within_its_bounds(low, high, word):
    assert inside(low, high, -0.2, 0.2) == word


def test_numbers_are_written_with_the_digits_that_tell_them_from_their_gate():
    assert shown(0.949, 0.95) == "0.949" and shown(0.9486, 0.95) == "0.949" and shown(0.95, 0.95) == "0.95"
    assert shown(0.2004, 0.2) == "0.2004" and shown(0.5, 0.2) == "0.50"
    assert ends(0.1, 0.3, 0.2) == "0.10 to 0.30" and ends(0.301, 0.302, 0.2) == "0.301 to 0.302"
    assert ends(0.3, 0.3, 0.2) == "0.30 at both ends"


def test_the_turn_names_the_test_nearest_to_its_bound():
    evidence = judge(TARGET, RETRAINED, RETRAINED).evidence
    assert "nearest to failing is" in evidence["memory"]["turn"] and "rows" not in evidence["memory"]["turn"]
    evidence = judge(TARGET, made.with_rows_of(RETRAINED, TARGET, [17]), RETRAINED).evidence
    assert "rows still known, 1 from its bound" in evidence["memory"]["turn"]
    assert Gate("a", "a", "passed").room() is None
    share, auc = (
        Gate(name, name, "failed", high=high, most=most)
        for name, high, most in (("share", 0.6, 0.2), ("auc", 0.35, 0.1))
    )
    assert least_change([share, auc], "failed") is share  # 2 of its bounds away, the AUC 2.5


def test_evaluation_json_holds_the_evidence_and_only_finite_numbers():
    report = evaluation_json({"target": TARGET, "unlearned": RETRAINED, "retrained": RETRAINED},
                             {"unlearned": {"relearning": attack(0.1, 0.1)["unlearned"]}})  # fmt: skip
    assert set(report["evidence"]) == set(PARTS)
    assert "rows" not in report["attacks"]["relearning"]["unlearned"]
    assert len(report["attack_rows"]["relearning"]["unlearned"]["answer_probability"]) == len(ALL_ROWS)
    json.dumps(report, allow_nan=False)
    assert all(not isinstance(v, float) or math.isfinite(v) for v in report["comparison"].values())


def test_an_evaluation_of_another_program_gives_undecided_and_no_crash():
    foreign = ModelEvaluation(metrics={"forget": {"loss": 1.0}}, per_example={"forget": {"loss": [1.0, None]}})
    comparison, _ = compare(foreign, foreign, foreign)
    assert comparison["memory"] == "UNDECIDED" and comparison["rest"] == "UNDECIDED"
