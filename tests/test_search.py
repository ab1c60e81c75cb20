"""--method auto on a tiny model: what it sees, tries, gives up and chooses; it continues after a kill."""

import copy
import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import small_world
import tiny_models
import torch

import analyze_results
import unlearning_algorithm as algorithm
import unlearning_script
from data import columns, templates
from data.sampling import spread
from data.wrong_answers import wrong_answers
from models.store import folders, loading
from results.run import measuring, options
from results.run.run_folder import UsageError
from results.search import loop as search
from results.search import score as search_score
from results.search import study as search_study
from results.search import trial as search_trial
from unlearning_script import main, resolve

needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="optuna is not installed: pip install optuna"
)
ROOT = Path(__file__).resolve().parents[1]
SEARCHED = ("max_steps", "eval_steps", "early_stop")  # flags of the small world that the search has to choose


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return small_world.build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def unnamed(world, tmp_path_factory):
    return small_world.without_subjects(world, tmp_path_factory.mktemp("unnamed"))


def flags(world, run, *more):
    """Flags of an auto run of a few trials. The tiny model needs a hundred times the usual learning rate."""
    asked = ["--method=auto", "--time_budget=10m", "--max_trials=10", "--utility_budget=.8", "--learning_rate=1.5e-3"]
    return world.flags(run, *asked, *more, without=SEARCHED)


def found(run) -> dict:
    return json.loads((run / "search.json").read_text(encoding="utf-8"))


def comparable(run) -> list:
    """What two equal searches have in common: everything except times."""
    return [{key: value for key, value in trial.items() if "seconds" not in key} for trial in found(run)["trials"]]


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


# -- trials


@needs_optuna
def test_defaults_alternate_with_changes_to_the_best_and_the_winner_is_run(world, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(flags(world, run)) == 0
    report, config = found(run), json.loads((run / "config.json").read_text(encoding="utf-8"))
    defaults = [trial["method"] for trial in report["trials"] if trial["default"]]
    assert defaults == list(options.SEARCHED)[: len(defaults)] and len(report["trials"]) == 10
    assert [trial["default"] for trial in report["trials"]] == [True, False, False] * 3 + [True]
    best = next(trial for trial in report["trials"] if trial["number"] == report["winner"])
    whole = [trial for trial in report["trials"] if trial["state"] == "complete" and trial["within"]]
    assert best["score"] == max(trial["score"] for trial in whole) > 0.3
    assert best["score"] >= report["trials"][0]["score"]  # at least as good as the tool's default
    assert config["method"] == best["method"]
    assert {name: config[name] for name in best["settings"]} == best["settings"]
    assert any(trial["front"] for trial in report["trials"])
    assert (run / "report.html").exists() and (tmp_path / "run-model" / "model.safetensors").exists()
    assert len((run / "trials.csv").read_text(encoding="utf-8").splitlines()) == 11
    words = report["winner_command"]
    assert f"--method={best['method']}" in words and not any("auto" in w or "output_dir" in w for w in words)
    again = resolve(dict(word[2:].split("=", 1) for word in words[2:]))
    assert {name: again[name] for name in ("method", "learning_rate", *best["settings"])} == {
        name: config[name] for name in ("method", "learning_rate", *best["settings"])
    }
    assert f"trial {best['number']} wins" in capsys.readouterr().out


@needs_optuna
@pytest.mark.parametrize("kind", ["kept", "no room on the disk", "adapter"])
def test_the_winners_run_ends_in_the_weights_of_its_trial(unnamed, tmp_path, monkeypatch, capsys, kind):
    """Without a rehearsal, trials train on the winner's rows, so the run resumes its trial or repeats it."""
    kept, again, look, train = [], [], search.Trainer.look, unlearning_script.train

    def spy(self):
        kept.append({name: value.clone() for name, value in self.model.state_dict().items()})
        return look(self)

    def watched(run, *rest):
        again.append(run.total_steps - run.step if not run.ended else 0)
        return train(run, *rest)

    monkeypatch.setattr(search.Trainer, "look", spy)
    monkeypatch.setattr(unlearning_script, "train", watched)
    if kind == "no room on the disk":
        monkeypatch.setattr(search.run_folder, "write_state", no_room)
    adapter = ["--use_peft", "--lora_r=4", "--learning_rate=1e-2", "--merge_adapter"] if kind == "adapter" else []
    run = tmp_path / "run"
    assert main(flags(unnamed, run, *adapter)) == 0
    report = found(run)
    winner = report["trials"][report["winner"] - 1]
    place = 1  # the first look sees the target
    for trial in report["trials"][: report["winner"] - 1]:
        place += len(trial["looks"])
    scale = winner["settings"].get("update_scale", 1)
    looks = kept[place : place + len(winner["looks"])]
    model = loading.load_model(tmp_path / ("run-model-merged" if adapter else "run-model"))[0].state_dict()

    assert len(looks) == len({look["update_scale"] for look in winner["looks"]})
    for name, value in kept[0].items():  # a trial's first look sees its unscaled change
        expected = torch.lerp(value, looks[0][name], scale)
        torch.testing.assert_close(model[name], expected, rtol=0, atol=1e-6)
    assert (again[0] > 0) == (kind == "no room on the disk")
    assert ("is trained once more" in capsys.readouterr().out) == (kind == "no room on the disk")
    assert not list(run.glob("trial-*"))
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [record["step"] for record in records if record["event"] == "step"]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > 1
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["update_scale"] == scale and not any("resume" in word for word in config["command"])


def no_room(target, *rest):
    raise folders.ModelError(f"cannot write {target}: No space left on device; nothing was replaced", 6)


@needs_optuna
def test_a_run_killed_after_the_search_resumes_the_winner_without_training(unnamed, tmp_path, monkeypatch):
    """The kill comes between the choice and the end of the winner's run; the same command resumes the trial's state."""
    run, conclude = tmp_path / "run", unlearning_script._conclude
    monkeypatch.setattr(unlearning_script, "_conclude", lambda *rest: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(flags(unnamed, run, "--max_trials=2")) == 130
    assert found(run)["state"] == "chosen" and len(list(run.glob("trial-*"))) == 1
    monkeypatch.setattr(unlearning_script, "_conclude", conclude)
    monkeypatch.setattr(algorithm.Unlearning, "_train_step", lambda self: pytest.fail("trained again"))
    assert main(flags(unnamed, run, "--max_trials=2")) == 0
    assert (run / "report.html").exists() and not list(run.glob("trial-*"))


def test_climb_finds_the_best_scale_within_limits_and_time():
    tried = []

    def hill(top):
        tried.clear()
        return lambda scale: tried.append(scale) or -abs(scale - top)

    def best(top, first, **more):
        values = search_trial.climb(hill(top), lambda: first, **more)
        assert list(values) == tried and len(set(tried)) == len(tried)
        return max(values, key=values.get)

    assert best(0.84, -1) == 0.8 and tried == [1.0, 0.9, 0.8, 0.7]
    assert best(1.22, -1) == 1.2 and tried == [1.0, 0.9, 1.1, 1.2, 1.3]
    assert best(1.0, 1) == 1.0 and tried == [1.0, 1.1, 0.9]
    assert best(9, 1) == search_trial.SCALES[1] and best(0.1, 1) == search_trial.SCALES[0]
    assert search_trial.climb(lambda scale: float(scale < 0.6), lambda: -1)[0.5] == 1.0  # across what is equally bad
    assert best(0.5, -1, more=lambda: len(tried) < 3) == 0.8 and len(tried) == 3


@needs_optuna
def test_hopeless_trials_are_given_up_at_half_of_their_steps(world, tmp_path, monkeypatch):
    steps = {}
    close = algorithm.Unlearning.close

    def spy(self):
        steps.setdefault((self.method.name, self.total_steps), self.step)
        close(self)

    monkeypatch.setattr(algorithm.Unlearning, "close", spy)
    assert main(flags(world, tmp_path / "run", "--learning_rate=1e-9", "--max_trials=4")) == 0
    first, *others = found(tmp_path / "run")["trials"]
    assert first["state"] == "complete"  # the default, which the winner has to beat
    assert all(trial["state"] == "given up" and trial["why"].startswith("hopeless") for trial in others)
    assert all(trial["score"] is None for trial in others)
    assert all(step <= 0.75 * total for (name, total), step in steps.items() if name != first["method"])


def test_settings_that_the_user_gave_are_not_searched(world):
    given = {"model_name_or_path": str(world.target), "learning_rate": "1e-3", "beta": "0.2"}
    assert set(search_study.space("npo", given)) == {
        "num_train_epochs", "retain_weight", "retain_rows_per_forget_row", *search_study.ENDINGS
    }  # fmt: skip
    assert not set(search_study.space("npo", {**given, "early_stop": "true"})) & {"early_stop"}
    assert "beta" not in search_study.settings_of("undial", given) and "strength" in search_study.space("undial", given)
    low, high, default = search_study.space("npo", {})["learning_rate"]
    assert low < default < high
    assert default == algorithm.hyper_parameters("npo", 135_000_000)["learning_rate"]


def test_the_margin_and_the_ending_of_a_run_are_searched():
    ranges = search_study.space("simnpo", {})
    low, high, default = ranges["margin"]
    assert low <= 1.0 < default < 6.0 <= high  # half a nat to more than two, at the small default of beta
    assert [ranges[name] for name in search_study.ENDINGS] == [(False, True, False)] * 2
    assert not {*search_study.ENDINGS} & {*search_study.space("task_vector", {})}  # no probe ends its run
    best = {"method": "simnpo", "settings": {name: default for name, (_, _, default) in ranges.items()}}
    tried, seen = [], set()
    while move := search_study.next_move(best, {"simnpo": ranges}, tried):
        seen |= {name for name in ranges if move[name] != best["settings"][name]}
        tried.append(SimpleNamespace(user_attrs={"method": "simnpo", "settings": move}))
    assert seen == set(ranges)


def test_a_switch_that_is_off_stays_in_the_command():
    words = options.command_line({"method": "npo", "early_stop": False, "load_best_model_at_end": True, "yes": False})
    assert words[2:] == ["--method=npo", "--early_stop=false", "--load_best_model_at_end=true"]


@pytest.mark.parametrize(
    ("names", "told"),
    [("simpno", "did you mean simnpo"), (",", "names no method"), ("knowledge_distillation", "trains another model")],
)
def test_methods_that_cannot_be_searched_are_refused_by_name(names, told):
    with pytest.raises(UsageError, match=told):
        resolve({"method": "auto", "search_methods": names})
    with pytest.raises(UsageError, match="--search_methods is for --method auto"):
        resolve({"method": "npo", "search_methods": "npo"})


@needs_optuna
def test_a_search_of_one_method_tries_no_other_and_samples_its_alternates_once(world, tmp_path, monkeypatch):
    sampled, sample = [], search_trial.sample_counterexamples

    def spy(steering, *rest):
        sampled.append(len(steering.examples["forget"]))
        return sample(steering, *rest)

    monkeypatch.setattr(search_trial, "sample_counterexamples", spy)
    assert main(flags(world, tmp_path / "run", "--search_methods=altpo", "--max_trials=3")) == 0
    trials = found(tmp_path / "run")["trials"]
    assert [trial["method"] for trial in trials] == ["altpo"] * 3 and len(sampled) == 1
    assert any(trial["state"] == "complete" for trial in trials)
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["method"] == "altpo" and "search_methods" not in config


@needs_optuna
def test_a_target_that_only_repeats_itself_is_asked_once_and_the_search_goes_on(world, tmp_path, monkeypatch):
    asked = []

    def repeats(*_):
        asked.append(1)
        raise columns.DataError("the model only gave answers that it should forget")

    monkeypatch.setattr(search_trial, "sample_counterexamples", repeats)
    assert main(flags(world, tmp_path / "run", "--search_methods=altpo,npo", "--max_trials=4")) == 0
    trials = found(tmp_path / "run")["trials"]
    failed = [trial for trial in trials if trial["method"] == "altpo"]
    assert failed and all("only gave answers" in trial["why"] for trial in failed) and len(asked) == 1
    assert any(trial["method"] == "npo" and trial["state"] == "complete" for trial in trials)


# -- time, and continuing


def test_the_clock_counts_earlier_processes_and_keeps_a_reserve():
    now = [100.0]
    clock = search.Clock(60, now=lambda: now[0])
    assert clock.holds(20, 40) and not clock.holds(21, 40)
    clock.used = 15
    now[0] += 5
    assert clock.spent == 20 and clock.holds(0, 40) and not clock.holds(1, 40)


@needs_optuna
def test_no_trial_starts_that_would_not_fit_into_the_time_left(world, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(search.Trainer, "estimate", lambda self, config: 40.0)
    assert main(flags(world, tmp_path / "run", "--time_budget=60s")) == 0  # 40 s for the trial, 40 s for its run
    assert found(tmp_path / "run")["trials"] == [] and found(tmp_path / "run")["winner"] is None
    assert json.loads((tmp_path / "run" / "config.json").read_text())["method"] == options.SEARCHED[0]
    assert "runs with its defaults" in capsys.readouterr().out


@needs_optuna
def test_a_trial_that_takes_too_long_is_given_up(world, tmp_path, monkeypatch):
    clocks = []

    class Late(search.Clock):
        def __init__(self, budget):
            super().__init__(budget)
            clocks.append(self)

    def slow(self, trial, run, record, first):
        consider(self, trial, run, record, first)
        if not first:
            clocks[0].used += 1000

    consider = search.Trainer._consider
    monkeypatch.setattr(search, "Clock", Late)
    monkeypatch.setattr(search.Trainer, "_consider", slow)
    assert main(flags(world, tmp_path / "run")) == 0
    states = [(trial["state"], trial["why"]) for trial in found(tmp_path / "run")["trials"]]
    assert states == [("complete", ""), ("given up", "out of time")]


@needs_optuna
@pytest.mark.parametrize("again", ["same command", "--resume_from_checkpoint=latest"])
def test_a_killed_search_continues_as_if_it_had_not_been_killed(world, tmp_path, again):
    asked = ["--max_trials=15"]
    command = [sys.executable, str(ROOT / "unlearning_script.py"), *flags(world, tmp_path / "killed", *asked)]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and running.poll() is None:
            path = tmp_path / "killed" / "search.json"
            if path.exists() and len(json.loads(path.read_text(encoding="utf-8"))["trials"]) >= 3:
                break
            time.sleep(0.01)
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    before = found(tmp_path / "killed")
    assert before["state"] == "searching" and 3 <= len(before["trials"]) < 15
    more = [] if again == "same command" else [again]
    assert subprocess.run([*command, *more], cwd=ROOT, check=False).returncode == 0
    assert comparable(tmp_path / "killed")[: len(before["trials"])] == [
        {key: value for key, value in trial.items() if "seconds" not in key} | {"front": after["front"]}
        for trial, after in zip(before["trials"], found(tmp_path / "killed")["trials"])
    ]
    # in a process of its own: the last digits depend on the number of threads, which other tests set here
    whole = [sys.executable, str(ROOT / "unlearning_script.py"), *flags(world, tmp_path / "whole", *asked)]
    assert subprocess.run(whole, cwd=ROOT, check=False).returncode == 0
    assert comparable(tmp_path / "killed") == comparable(tmp_path / "whole")
    assert (tmp_path / "killed" / "report.html").exists()


@needs_optuna
def test_another_seed_searches_elsewhere_and_cannot_continue_a_search(world, tmp_path, capsys):
    assert main(flags(world, tmp_path / "one", "--max_trials=4")) == 0
    assert main(flags(world, tmp_path / "two", "--max_trials=4", "--seed=7")) == 0
    first, second = (found(tmp_path / name)["trials"][0]["looks"] for name in ("one", "two"))
    assert first != second
    (tmp_path / "one" / "report.html").unlink()  # as if it had been killed
    capsys.readouterr()
    assert main(flags(world, tmp_path / "one", "--max_trials=4", "--seed=7")) == 2
    assert "holds another search: seed was None, is '7'" in capsys.readouterr().err


# -- refusals and other kinds of data


def test_without_optuna_the_error_says_what_to_install(world, tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optuna" else find(name))
    monkeypatch.setattr(loading, "load_model", lambda *args, **kwargs: pytest.fail("a model was loaded"))
    assert main(flags(world, tmp_path / "run")) == 2
    assert "pip install optuna" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flag", "cure"),
    [
        ("--time_budget=soon", "90s, 10m"),
        ("--time_budget=0s", "above zero"),
        ("--time_budget=90", "90s, 10m"),
        ("--utility_budget=0", "above 0"),
        ("--utility_budget=97", "at most 1"),
        ("--max_trials=0", "at least 1"),
        ("--task_scale=2", "no method that auto tries"),
    ],
)
def test_impossible_budgets_are_refused_with_advice(world, tmp_path, capsys, flag, cure):
    assert main(flags(world, tmp_path / "run", flag)) == 2
    assert cure in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_budgets_need_method_auto_and_durations_have_units():
    with pytest.raises(UsageError, match="--time_budget is for --method auto"):
        resolve({"method": "npo", "time_budget": "10m"})
    assert [options.seconds_of(text) for text in ("90s", "10m", "1h", "1h30m", "1.5h")] == [90, 600, 3600, 5400, 5400]
    assert options.offered_methods()[0][0] == "auto" and "auto" in unlearning_script.list_methods()


@needs_optuna
def test_raw_text_is_searched_without_idk_and_without_privacy(world, tmp_path):
    run = tmp_path / "run"
    text = "ada lives in lund by the sea and bor works as a smith all year"
    more = flags(world, run, f"--forget_text={text}", "--max_trials=7")
    more = [word for word in more if not word.startswith(("--forget_data", "--holdout_data"))]
    assert main(more) == 0
    report = found(run)
    tried = {trial["method"] for trial in report["trials"]}
    assert "idk" not in report["methods"] and len(tried) >= 3 and tried <= set(report["methods"])
    assert all(trial["privacy"] is None for trial in report["trials"])
    assert max(trial["score"] or 0 for trial in report["trials"]) > 0.2


@needs_optuna
def test_a_search_with_lora_saves_an_adapter(world, tmp_path):
    run = tmp_path / "run"
    assert main(flags(world, run, "--use_peft", "--lora_r=4", "--max_trials=3", "--learning_rate=1e-2")) == 0
    assert (tmp_path / "run-model" / "adapter_model.safetensors").exists()
    scores = [trial["forgetting"] for trial in found(run)["trials"] if trial["state"] == "complete"]
    assert scores and all(trial["method"] in algorithm.METHODS for trial in found(run)["trials"])


@needs_optuna
def test_without_retain_data_only_methods_that_need_none_are_tried(world, tmp_path):
    assert main(flags(world, tmp_path / "run", "--retain_data=none", "--max_trials=4")) == 0
    trials = found(tmp_path / "run")["trials"]
    tried = [trial["method"] for trial in trials if trial["default"]]
    assert tried == list(options.SEARCHED_WITHOUT_RETAIN)[: len(tried)] and len(tried) >= 2
    assert {trial["method"] for trial in trials} <= {*options.SEARCHED_WITHOUT_RETAIN}


@needs_optuna
def test_a_kill_at_any_moment_leaves_a_study_that_continues(tmp_path):
    """Kills between queuing a default and asking for it, and between asking and the trial's end."""
    spaces = {"npo": {"beta": (0.1, 0.4, 0.2)}, "undial": {"strength": (1.0, 9.0, 3.0)}}
    study = search_study.open_study(tmp_path / "a?b.db")
    study.enqueue_trial({"method": "npo", "npo.beta": 0.2})
    again = search_study.open_study(tmp_path / "a?b.db")
    begun, method, settings = search_study.ask(again, spaces, 1)
    assert (method, settings) == ("npo", {"beta": 0.2})
    again = search_study.open_study(tmp_path / "a?b.db")
    assert not search_study.finished(again)
    asked = ("npo", "npo", "npo", "undial")  # a default, two changes to it, the other default
    for expected in asked:
        begun, method, settings = search_study.ask(again, spaces, 1)
        assert method == expected
        again.tell(begun, 0.5)
    assert [trial.user_attrs["method"] for trial in search_study.finished(again)] == list(asked)
    settings = [trial.user_attrs["settings"] for trial in search_study.finished(again)]
    assert settings == [{"beta": 0.2}, {"beta": 0.3}, {"beta": 0.133}, {"strength": 3.0}]  # one move up, one down
    next_one = search_study.ask(again, spaces, 1)[1:]
    assert search_study.ask(search_study.open_study(tmp_path / "a?b.db"), spaces, 1)[1:] == next_one


@needs_optuna
def test_a_trial_that_was_given_up_is_never_the_best(tmp_path):
    """Its value, however high, comes from a probe and is not a score."""
    import optuna

    spaces = {"npo": {"beta": (0.1, 0.4, 0.2)}, "undial": {"strength": (1.0, 9.0, 3.0)}}
    study = search_study.open_study(tmp_path / "search.db")
    begun = search_study.ask(study, spaces, 1)[0]
    begun.report(0.9, 5)
    study.tell(begun, None, optuna.trial.TrialState.PRUNED)
    assert search_study.finished(study)[0].value == 0.9
    assert search_study.ask(study, spaces, 1)[1] == "undial"  # the next default, not a change to npo


def test_moves_change_one_setting_at_a_time_and_never_repeat():
    spaces = {"profile_matching": search_study.space("profile_matching", {})}
    first = {name: default for name, (_, _, default) in spaces["profile_matching"].items()}
    best, done, moves = {"method": "profile_matching", "settings": first}, [], []
    while (moved := search_study.next_move(best, spaces, [SimpleNamespace(user_attrs=best), *done])) is not None:
        (name,) = [name for name in first if moved[name] != first[name]]
        moves.append((name, moved[name] > first[name]))
        done.append(SimpleNamespace(user_attrs={"method": "profile_matching", "settings": moved}))
    names = [name for name in search_study.RANGES if name in first]
    assert moves == [
        *((name, True) for name in (*names, *search_study.ENDINGS)),
        *((name, False) for name in names if name != "general_retain_rows"),
    ]
    assert done[0].user_attrs["settings"]["general_retain_rows"] == 2 * first["general_retain_rows"]


@needs_optuna
def test_the_report_shows_the_trade_off_and_the_winners_command(world, tmp_path):
    run = tmp_path / "run"
    assert main(flags(world, run, "--max_trials=5")) == 0
    text, page = ((run / f"report.{kind}").read_text(encoding="utf-8") for kind in ("md", "html"))
    report = found(run)
    for kind in ("png", "svg"):
        assert (run / "figures" / f"search_tradeoff.{kind}").stat().st_size > 1000
    assert "## Search" in text and "search_tradeoff" in text and "Search</h2>" in page
    assert f"--method={report['trials'][report['winner'] - 1]['method']}" in text
    assert text.count("given up") >= sum(trial["state"] != "complete" for trial in report["trials"])
    (run / "search.json").write_text("{", encoding="utf-8")  # damage removes the section, not the report
    analyze_results.write_report(run)
    text = (run / "report.md").read_text(encoding="utf-8")
    assert "## Search" not in text and "search.json: not readable" in text
