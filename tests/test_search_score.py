"""What a search sees of the rows, its own wrong answers, and how it scores a model."""

import copy
import dataclasses
import json

import pytest
import small_world
import tiny_models
from searching import comparable, flags, found, needs_optuna

from data import columns, templates
from data.sampling import spread
from data.wrong_answers import wrong_answers
from models.store import loading
from results.run import measuring
from results.search import loop as search
from results.search import score as search_score
from results.search import study as search_study
from unlearning_script import main


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return small_world.build(tmp_path_factory.mktemp("world"))


# -- the rows that it may see


@needs_optuna
def test_the_search_never_sees_paraphrases_or_perturbed_answers(world, tmp_path, monkeypatch):
    """Marked text in those fields reaches no tokenizer during the search and does not change its choice."""
    poisoned = small_world.World(world.folder)
    poisoned.data = {}
    for name, path in world.data.items():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            row["paraphrased_question"] = row["paraphrased_answer"] = "lunatoxin " + row["answer"]
            row["perturbed_answer"] = ["lunatoxin"] * 3
        poisoned.data[name] = tmp_path / f"{name}.jsonl"
        poisoned.data[name].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    seen = {"searching": [], "after": []}
    tokens, choose, stage = templates.Format.tokens, search.choose, ["after"]

    def spy(self, texts, split=False):
        seen[stage[0]] += texts
        return tokens(self, texts, split)

    def watched(*args):
        stage[0] = "searching"
        try:
            return choose(*args)
        finally:
            stage[0] = "after"

    monkeypatch.setattr(templates.Format, "tokens", spy)
    monkeypatch.setattr(search, "choose", watched)
    monkeypatch.setattr(measuring, "EVALUATIONS", tmp_path / "kept")
    metrics = "--metrics=loss,answer_probability,truth_ratio"
    assert main(flags(poisoned, tmp_path / "poisoned", metrics)) == 0
    assert len(seen["searching"]) > 100 and not any("lunatoxin" in text for text in seen["searching"])
    assert any("lunatoxin" in text for text in seen["after"])  # the winner's evaluation does see them
    assert main(flags(world, tmp_path / "clean", metrics)) == 0
    assert comparable(tmp_path / "clean") == comparable(tmp_path / "poisoned")
    assert found(tmp_path / "clean")["winner"] == found(tmp_path / "poisoned")["winner"]


def test_the_search_prefers_rows_that_the_evaluation_does_not_measure():
    rows = tiny_models.facts() * 3
    rows = [columns.Example(answer=f"{row.answer} {n}", prompt=row.prompt) for n, row in enumerate(rows)]
    measured = spread(rows, 80)
    own = search_score.own_rows(rows, measured)
    assert len(own) >= search_score.ENOUGH and not {row.answer for row in own} & {row.answer for row in measured}
    few = rows[:20]  # all of them are measured, so there are no others
    assert search_score.own_rows(few, few) == few
    split = search_score.search_split({"forget": tiny_models.facts()[:6]}, {}, [])
    assert all(row.paraphrased_answer is None and not row.perturbed_answer for row in split.views["asked"]["forget"])


# -- its own wrong answers


def fact(question, answer, subject):
    return columns.Example(answer=answer, prompt=question, subject=subject)


PEOPLE = [
    fact("Where was Ada born?", "Ada was born in Lund.", "ada"),
    fact("When was Ada born?", "Ada was born in 1913.", "ada"),
    fact("Where was Bor born?", "Bor was born in Graz.", "bor"),
    fact("When was Bor born?", "Bor was born in 1874.", "bor"),
    fact("Where was Cyd born?", "Cyd was born in Pisa.", "cyd"),
    fact("What did Cyd paint?", "Cyd painted a harbour.", "cyd"),
    fact("What did Dov paint?", "Dov carved a spoon.", "dov"),
]


def test_wrong_answers_exchange_rare_words_for_words_of_the_same_kind():
    wrong = [set(answers) for answers in wrong_answers(PEOPLE, PEOPLE)]
    assert wrong[0] == {"Ada was born in Graz.", "Ada was born in Pisa."}  # not in 1874, and Ada stays Ada
    assert wrong[1] == {"Ada was born in 1874."}  # a number of another subject
    assert wrong[5] == {"Cyd painted a spoon."}  # a word that follows the same word: never "Cyd carved a harbour"
    assert wrong_answers(PEOPLE[:1], PEOPLE) == [()]  # no word to exchange with
    assert [len(answers) for answers in wrong_answers(PEOPLE, PEOPLE, count=1)] == [1] * len(PEOPLE)
    assert all(row.answer not in answers for row, answers in zip(PEOPLE, wrong))


def test_wrong_answers_depend_only_on_seed_questions_and_answers():
    rows = tiny_models.facts()[::3]
    poisoned = [dataclasses.replace(r, paraphrased_answer="lunatoxin", perturbed_answer=("lunatoxin",)) for r in rows]
    first = wrong_answers(rows, rows)
    assert first == wrong_answers(poisoned, poisoned) and first != wrong_answers(rows, rows, seed=1)
    words = {word for row in rows for word in row.answer.split()}
    assert all(len(answers) == 3 for answers in first)
    assert {word for answers in first for answer in answers for word in answer.split()} <= words


def test_rows_without_rare_words_have_no_wrong_answers_and_no_view():
    rows = [columns.Example(answer="the same for all", prompt=f"question {n}") for n in range(4)]
    assert wrong_answers(rows, rows) == [()] * 4
    assert "wrong" not in search_score.search_split({"forget": rows, "holdout": rows}, {}, []).views


def test_its_own_truth_ratio_is_two_sided(world):
    towns = tiny_models.facts()[::3]  # each town is in one answer only
    split = search_score.search_split({"forget": towns[:8], "holdout": towns[8:]}, {}, [])
    assert [len(rows) for rows in split.views["wrong"].values()] == [8, 4]
    seen = search_score.look(
        loading.load_model(world.target)[0], loading.load_tokenizer(str(world.target)), split, 64
    )  # fmt: skip
    judge = search_score.Judge(seen)
    start, goal = judge.goals["wrong", "truth_ratio"]
    assert start < goal - 0.2  # it tells true towns from wrong ones where it learned them, hardly where it did not
    for value, expected in ((start, 0), (goal, 1), (2 * goal - start, 0), (None, 0)):
        other = copy.deepcopy(seen)
        other["wrong"].metrics["forget"]["truth_ratio"] = value
        assert judge.score(other).parts["truth_ratio wrong"] == pytest.approx(expected, abs=1e-9)
    fled = copy.deepcopy(seen)  # wrong towns are now as much likelier as the true ones were before
    for values in fled["wrong"].per_example.values():
        values["truth_ratio"] = [1 / value for value in values["truth_ratio"]]
    assert search_score.Judge(fled).goals["wrong", "truth_ratio"] == pytest.approx((start, goal))


def test_the_gate_applies_only_if_the_target_fails_it(world):
    everyone = tiny_models.facts()
    sets = {"forget": everyone[:12], "holdout": everyone[24:]}
    split = search_score.search_split(sets, {}, [])
    seen = search_score.look(
        loading.load_model(world.target)[0], loading.load_tokenizer(str(world.target)), split, 64
    )  # fmt: skip
    judge = search_score.Judge(seen)
    untouched = judge.score(seen)
    assert untouched.quality < search_score.GATE and search_score.told_apart(untouched.quality)
    unseen = copy.deepcopy(seen)
    unseen["wrong"].per_example["forget"]["truth_ratio"] = seen["wrong"].per_example["holdout"]["truth_ratio"]
    alike = judge.score(unseen)
    assert alike.quality == 1 and not search_score.told_apart(alike.quality)
    assert alike.objective(0) - alike.score == pytest.approx(0)
    assert untouched.objective(0) - untouched.score == pytest.approx(-search_score.TOLD_APART)
    assert search_score.Judge(unseen).score(seen).quality is None  # the target passes, so there is no gate


# -- the score


def test_the_score_is_high_for_the_retrained_model_and_low_for_the_target(world):
    everyone = tiny_models.facts()
    sets = {"forget": everyone[:6], "retain": everyone[6:24], "holdout": everyone[24:]}
    split = search_score.search_split(sets, {}, [])
    target, tokenizer = loading.load_model(world.target)[0], loading.load_tokenizer(str(world.target))
    seen = search_score.look(target, tokenizer, split, 64)
    judge = search_score.Judge(seen)
    untouched = judge.score(seen)
    retrained = judge.score(search_score.look(loading.load_model(world.retrained)[0], tokenizer, split, 64))
    assert untouched.forgetting == 0 and untouched.utility == 1 and untouched.score == 0
    assert untouched.known == 1
    assert retrained.forgetting > 0.5 and retrained.utility > 0.85 and retrained.score > 0.75 and not retrained.known
    broken = tiny_models.make_tiny(everyone, epochs=0)[0]
    for parameter in broken.parameters():
        parameter.data.mul_(3)
    worse = judge.score(search_score.look(broken, tokenizer, split, 64))
    assert worse.score < 0.6 and worse.objective(0.95) < untouched.objective(0.95) + 1e-9


def test_a_row_that_is_still_known_costs_more_than_any_mean_can_win():
    one_row = search_score.Score(1.0, 1.0, 1.0, {}, known=1 / 40)
    assert one_row.score < 0.5 < search_score.Score(0.1, 0.1, 0.9, {}).score
    assert search_score.Score(1.0, 1.0, 1.0, {}, known=0.5).score < one_row.score


def test_a_change_that_went_too_far_is_told_from_one_that_did_too_little():
    assert search_score.Score(0.0, 0.9, 1.0, {}).beyond and search_score.Score(0.8, 0.0, 1.0, {}).beyond
    assert not search_score.Score(0.0, 0.9, 1.0, {}, known=0.1).beyond
    assert not search_score.Score(0.3, None, 1.0, {}).beyond


def test_a_loss_above_the_level_costs_as_much_as_one_below():
    start = {"forget": {"loss": 0.0}, "retain": {"answer_probability": 0.9}}
    below, at, beyond = (
        search_score.probe_score(start, {"forget": {"loss": loss}, "retain": {"answer_probability": 0.9}}, 2.0)[0]
        for loss in (1.5, 2.0, 2.5)
    )
    assert at == 1 and below == beyond < 1


def trial(number, utility, score, forgetting=0.5, state="complete", budget=0.9, told_apart=False):
    return {"number": number, "state": state, "utility": utility, "score": score, "forgetting": forgetting,
            "privacy": None, "within": state == "complete" and utility >= budget,
            "told_apart": told_apart}  # fmt: skip


def test_the_winner_has_the_best_score_within_the_budget_or_the_most_utility():
    over, good, poor = trial(1, 0.8, 0.95), trial(2, 0.92, 0.7), trial(3, 0.99, 0.4)
    given_up = {**trial(4, 0, 0), "state": "given up", "within": False}
    assert search_study.winner([over, poor, good, given_up]) is good
    assert search_study.winner([trial(1, 0.5, 0.9), trial(2, 0.8, 0.1)])["number"] == 2
    assert search_study.winner([trial(1, 0.95, 0.6), trial(2, 0.95, 0.6)])["number"] == 1
    assert search_study.winner([given_up]) is None
    seen_through = trial(5, 0.97, 0.9, told_apart=True)
    assert search_study.winner([seen_through, poor]) is poor
    assert search_study.winner([seen_through, over]) is seen_through
    assert search_study.winner([{**good, "known": 0.1}, seen_through]) is seen_through
