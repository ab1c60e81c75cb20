"""Flags of a short search on the small world, and what it found."""

import importlib.util
import json

import pytest

needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="optuna is not installed: pip install optuna"
)
SEARCHED = ("max_steps", "eval_steps", "early_stop")  # flags of the small world that the search has to choose


def flags(world, run, *more):
    """Flags of an auto run of a few trials. The tiny model needs a hundred times the usual learning rate."""
    asked = ["--method=auto", "--time_budget=10m", "--max_trials=10", "--utility_budget=.8", "--learning_rate=1.5e-3"]
    return world.flags(run, *asked, *more, without=SEARCHED)


def found(run) -> dict:
    return json.loads((run / "search.json").read_text(encoding="utf-8"))


def comparable(run) -> list:
    """What two equal searches have in common: everything except times."""
    return [{key: value for key, value in trial.items() if "seconds" not in key} for trial in found(run)["trials"]]
