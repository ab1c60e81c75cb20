"""Default locations of runs, models and the ledger; files in older versions' locations are still found."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import unlearning_algorithm as algorithm
from models.requests import ledger
from models.store import paths
from unlearning_script import main, resolve

ROOT = Path(__file__).resolve().parents[1]
SHORT = ("--max_steps=2", "--metrics=answer_probability,loss")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty project that is the current directory."""
    root = tmp_path / "project"
    root.mkdir()
    places = {"PROJECT": "", "RUNS": "results/runs", "SAVED": "models/saved", "LEDGER": "results/ledger.jsonl"}
    for name, place in places.items():
        monkeypatch.setattr(paths, name, root / place)
    monkeypatch.chdir(root)
    return root


def run(small, *more, without=("output_dir", "model_output_dir")) -> int:
    return main(small.flags("", *SHORT, *more, without=without))


def lines(home) -> list[str]:
    return [entry["run"] for entry in ledger.entries(home / "results" / "ledger.jsonl")]


def old_run(small, name="old") -> int:
    """A run in the locations of older versions."""
    return run(small, f"--output_dir=results/{name}", f"--model_output_dir=models/{name}", without=())


# -- the defaults


def test_default_paths_are_in_the_project_from_any_directory(home, tmp_path, monkeypatch):
    config = resolve({"forget_text": "a text", "method": "npo"})
    name = config["run_name"]
    places = [f"results/runs/{name}", f"models/saved/{name}", "results/ledger.jsonl"]
    assert [config[key] for key in ("output_dir", "model_output_dir", "ledger")] == places
    monkeypatch.chdir(tmp_path)
    config = resolve({"forget_text": "a text", "method": "npo"})
    assert config["output_dir"] == f"project/results/runs/{config['run_name']}"
    assert config["ledger"] == "project/results/ledger.jsonl"


def test_a_run_outside_the_project_has_its_ledger_beside_it(home, tmp_path):
    config = resolve({"forget_text": "a text", "method": "npo", "output_dir": str(tmp_path / "elsewhere" / "run")})
    assert config["ledger"] == str(tmp_path / "elsewhere" / "ledger.jsonl")
    assert config["model_output_dir"] == "models/saved/run"


def test_a_run_without_places_writes_to_the_defaults(small, home, capsys):
    assert run(small) == 0
    (folder,) = (home / "results" / "runs").iterdir()
    assert (folder / "report.html").exists() and (home / "models" / "saved" / folder.name / "config.json").exists()
    assert lines(home) == [folder.name]
    assert "note: this request is recorded in" not in capsys.readouterr().out


def test_emptying_runs_and_models_keeps_the_ledger_for_the_next_run(small, home):
    assert run(small, "--output_dir=results/runs/first", without=("model_output_dir",)) == 0
    shutil.rmtree(home / "results" / "runs")
    shutil.rmtree(home / "models" / "saved")
    assert run(small, "--output_dir=results/runs/second", without=("model_output_dir",)) == 0
    assert lines(home) == ["first", "second"] and ledger.problems(home / "results" / "ledger.jsonl") == []


def test_git_tracks_nothing_in_the_folders_that_users_may_empty():
    for place in (paths.RUNS, paths.SAVED):
        assert not paths.LEDGER.is_relative_to(place)
        done = subprocess.run(["git", "ls-files", place], cwd=ROOT, capture_output=True, text=True)
        assert done.stdout == ""


# -- locations of older versions


def test_an_old_ledger_beside_the_run_folder_is_continued_with_a_note(small, home, capsys):
    beside = home / "results" / "study" / "ledger.jsonl"
    assert run(small, "--output_dir=results/study/one", f"--ledger={beside}", without=("model_output_dir",)) == 0
    capsys.readouterr()
    assert run(small, "--output_dir=results/study/two", without=("model_output_dir",)) == 0
    assert "note: this request is recorded in results/study/ledger.jsonl" in capsys.readouterr().out
    assert [entry["run"] for entry in ledger.entries(beside)] == ["one", "two"]
    assert not (home / "results" / "ledger.jsonl").exists()


@pytest.mark.parametrize("moved", [False, True], ids=["in the old place", "moved to the new place"])
def test_a_run_of_an_older_version_is_continued(small, home, moved):
    assert old_run(small) == 0
    if moved:
        for old, new in (("results/old", "results/runs/old"), ("models/old", "models/saved/old")):
            (home / new).parent.mkdir(parents=True)
            shutil.move(home / old, home / new)
    given = {"continue_from": "results/old", "forget_text": "a text", "output_dir": "results/runs/next"}
    place = "saved/old" if moved else "old"
    assert (home / resolve(given)["model_name_or_path"]).samefile(home / "models" / place)
    flags = [f"--{name}={value}" for name, value in {**given, "forget_data": small.data["holdout"]}.items()
             if name != "forget_text"]  # fmt: skip
    assert main([*flags, *SHORT, "--dtype=float32", "--allow_overlap", "--judging_data=none"]) == 0
    (request,) = json.loads((home / "results" / "runs" / "next" / "evaluation.json").read_text())["earlier"]
    assert Path(request["run"]).name == "old" and lines(home)[-1] == "next"


def test_a_run_of_an_older_version_resumes_in_its_old_location(small, home, monkeypatch, capsys):
    step = algorithm.Unlearning._train_step

    def interrupted(self):
        if self.step == 1:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(algorithm.Unlearning, "_train_step", interrupted)
    places = ("--output_dir=results/old", "--save_steps=1", "--eval_steps=1")
    assert run(small, *places, "--model_output_dir=models/old", without=()) == 130
    monkeypatch.setattr(algorithm.Unlearning, "_train_step", step)
    assert run(small, *places, "--resume_from_checkpoint=latest", without=("model_output_dir",)) == 0
    assert "resumed from results/old/checkpoint-1" in capsys.readouterr().out
    assert (home / "results" / "old" / "report.html").exists() and (home / "models" / "saved" / "old").is_dir()
