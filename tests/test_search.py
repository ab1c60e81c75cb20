"""--method auto on a tiny model: what it tries, gives up and chooses, what it refuses, and its report."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import small_world
import torch
from searching import flags, found, needs_optuna

import analyze_results
import unlearning_algorithm as algorithm
import unlearning_script
from data import columns
from models.store import folders, loading
from results.run import options
from results.run.run_folder import UsageError
from results.search import loop as search
from results.search import study as search_study
from results.search import trial as search_trial
from unlearning_script import main, resolve

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return small_world.build(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def unnamed(world, tmp_path_factory):
    return small_world.without_subjects(world, tmp_path_factory.mktemp("unnamed"))


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


@needs_optuna
@pytest.mark.parametrize("method", ["task_vector", "perta", "repselect"])
def test_a_method_whose_probes_do_not_show_its_end_is_not_given_up(world, tmp_path, method):
    """It first learns the forget rows better, or walks along one line; half-way it looks hopeless."""
    assert main(flags(world, tmp_path / "run", f"--search_methods={method}", "--max_trials=3")) == 0
    assert [trial["state"] for trial in found(tmp_path / "run")["trials"]] == ["complete"] * 3


def test_what_other_settings_decide_is_not_searched():
    assert {"kl_limit", "elicitation_rate"} <= set(search_study.space("repselect", {}))
    assert not {"learning_rate", "num_train_epochs"} & set(search_study.space("repselect", {}))
    assert "learning_rate" in search_study.space("repselect", {"step_size": "learning_rate"})
    assert "learning_rate" not in search_study.space("npo", {"find_learning_rate": True})
    # published: simnpo's ratio of retain to forget is 8, the best public npo checkpoint's is 1
    for method, ratio in (("simnpo", 8), ("npo", 1)):
        low, high, _ = search_study.space(method, {})["retain_weight"]
        assert low <= ratio * algorithm.hyper_parameters(method, 135_000_000)["forget_weight"] <= high, method


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


@pytest.mark.parametrize(
    ("given", "first"),
    [({"forget_text": "a"}, "lower_profile"), ({"forget_text": "a", "retain_data": "b.jsonl"}, "profile_matching"),
     ({}, "profile_matching"), ({"forget_text": "a", "retain_data": "none"}, "ce_u")],
)  # fmt: skip
def test_the_first_trial_is_the_default_of_such_a_request(given, first):
    assert options.searched(given)[0] == first


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
