"""The time of a search: its clock, trials that do not fit, and going on after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_world
from searching import comparable, flags, found, needs_optuna

from results.run import options
from results.search import loop as search
from results.search import study as search_study
from unlearning_script import main

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return small_world.build(tmp_path_factory.mktemp("world"))


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
