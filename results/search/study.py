"""The study behind --method auto: what is searched, which trial comes next, what was found and who won.

The study is optuna's, in a sqlite file that survives a kill at any moment. The next trial depends on the seed and the
finished trials alone, so that a search that was killed and goes on asks for what one that was not would have asked for.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sqlite3
import warnings
from pathlib import Path

import unlearning_algorithm as algorithm
from models.scores.array_scores import harmonic_mean
from results.report.runs import pareto_front
from results.run.options import OPTIONS, SEARCH_DEFAULTS, resolve, searched
from results.search.score import told_apart

# what is searched, in multiples of the method's default: (least, most, one move); in the order of the moves
RANGES = {
    "general_retain_rows": (1.0, 2.0, 2.0),  # twice as many rows, or not
    "retain_rows_per_forget_row": (0.5, 2.0, 1.5),
    "retain_weight": (0.5, 4.0, 1.5),
    "learning_rate": (0.25, 10.0, 1.5),
    "num_train_epochs": (0.5, 2.0, 1.4),
    "level_scale": (0.7, 1.3, 1.1),
    "beta": (0.5, 3.0, 1.5),
    "strength": (0.3, 2.0, 1.4),
    "probability_power": (0.5, 2.0, 1.4),
}
CHANGES = 2  # of the best so far for each default that was tried
COLUMNS = ("number", "method", "settings", "default", "state", "score", "forgetting", "privacy", "utility", "quality",
           "within", "told_apart", "front", "seconds", "why")  # fmt: skip
NUMBERS = ("forgetting", "privacy", "utility", "score", "quality", "parts", "training_seconds")


def candidates(given: dict, forget: list) -> list[str]:
    """The methods to try, the tool's default first: those that run on this data with these settings."""
    raw = any(example.prompt is None for example in forget)
    names = [name for name in searched(given) if not raw or algorithm.METHODS[name].works_on_raw_text]
    return [name for name in names if not (given.get("use_peft") and algorithm.METHODS[name].full_weights_only)]


def settings_of(method: str, given: dict) -> dict:
    """What was given, as far as the method has such settings: it holds for every trial."""
    own = algorithm.hyper_parameters(method)
    rest = {name: value for name, value in given.items() if name not in (*SEARCH_DEFAULTS, "method")}
    return {name: value for name, value in rest.items() if OPTIONS[name].group != "method" or name in own}


def space(method: str, given: dict) -> dict[str, tuple[float, float, float]]:
    """{setting: (low, high, default)} of a method; what was given is not searched."""
    defaults, found = resolve({**settings_of(method, given), "method": method}), {}
    for name, (low, high, _) in RANGES.items():
        default = defaults.get(name)
        fixed = given.get(name) is not None or (name == "num_train_epochs" and defaults["max_steps"] > 0)
        idle = name.startswith("retain_") and defaults["retain_loss"] == "none"
        if default and not fixed and not idle and name in algorithm.hyper_parameters(method):
            found[name] = (low * default, min(high * default, OPTIONS[name].high or math.inf), float(default))
    return found


def rounded(name: str, value: float, default: float) -> float:
    """A value as it is tried: to three digits; of rows, the default's multiple by a power of the move."""
    if OPTIONS[name].kind is int:
        move = RANGES[name][2]
        return round(default * move ** round(math.log(value / default, move)))
    return float(f"{value:.3g}")


# ---------------------------------------------------------------------------------------------------------------------
# optuna


def open_study(path: Path):
    """The study in a sqlite file; what a killed process had begun, or was about to, is dropped and asked for again."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # the connection is made from the path itself: one with a question mark would be no part of a URL
    storage = optuna.storages.RDBStorage(
        "sqlite:///search.db", engine_kwargs={"creator": lambda: sqlite3.connect(path, timeout=60)}
    )
    pruner = optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=5, n_min_trials=3)
    study = optuna.create_study(
        storage=storage, study_name="search", direction="maximize", pruner=pruner, load_if_exists=True
    )
    for trial in study.get_trials(deepcopy=False):
        if trial.state == optuna.trial.TrialState.RUNNING:
            drop(study, trial.number)
        elif trial.state == optuna.trial.TrialState.WAITING:
            drop(study, study.ask().number)
    return study


def drop(study, number: int):
    """Marks a trial as one that never was."""
    import optuna

    study.tell(number, state=optuna.trial.TrialState.FAIL)


def finished(study) -> list:
    """The trials that came to an end of their own, whole or given up."""
    import optuna

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state in states]


def ask(study, spaces: dict[str, dict], seed: int):
    """(trial, method, settings): a default, `CHANGES` to the best so far, the next default and so on; once all defaults
    were tried, by turns a change to the best and what the sampler makes of the finished trials."""
    import optuna

    done = finished(study)
    number = (seed * 1_000_003 + len(done)) % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(seed=number, multivariate=True, n_startup_trials=len(spaces) + 3,
                                                   group=True)  # fmt: skip
    tried = {trial.user_attrs["method"] for trial in done if trial.user_attrs.get("default")}
    first = next((name for name in spaces if name not in tried), None)
    whole = [trial for trial in done if trial.state == optuna.trial.TrialState.COMPLETE]  # others hold a probe's value
    whole = [trial for trial in whole if trial.user_attrs["method"] in spaces]
    best = max(whole, key=lambda trial: trial.value, default=None)
    changes = len(done) - len(tried)
    its_turn = changes < CHANGES * len(tried) if first else len(done) % 2
    change = next_move(best.user_attrs, spaces, done) if best and its_turn else None
    if change:
        method, values = best.user_attrs["method"], change
    elif first:
        method, values = first, {name: default for name, (_, _, default) in spaces[first].items()}
    if change or first:
        study.enqueue_trial({"method": method, **{f"{method}.{name}": value for name, value in values.items()}})
    trial = study.ask()
    method = trial.suggest_categorical("method", list(spaces))
    settings = {name: rounded(name, trial.suggest_float(f"{method}.{name}", low, high, log=True), default)
                for name, (low, high, default) in spaces[method].items()}  # fmt: skip
    for name, value in (("method", method), ("settings", settings), ("default", bool(first and not change))):
        trial.set_user_attr(name, value)
    return trial, method, settings


def next_move(best: dict, spaces: dict, done: list) -> dict | None:
    """The best trial's settings with the first change of one setting that was not tried yet: the moves of `RANGES` up,
    then down; None where all were."""
    method, settings = best["method"], best["settings"]
    tried = [trial.user_attrs["settings"] for trial in done if trial.user_attrs["method"] == method]
    ranges = spaces[method]
    tried = [{name: values[name] for name in ranges} for values in tried]
    for power in (1, -1):
        for name, (low, high, default) in ranges.items():
            value = min(max(settings[name] * RANGES[name][2] ** power, low), high)
            moved = {**{name: settings[name] for name in ranges}, name: rounded(name, value, default)}
            if moved not in tried:
                return moved
    return None


# ---------------------------------------------------------------------------------------------------------------------
# What was found


def described(trial, number: int, budget: float) -> dict:
    """A finished trial as a row of search.json; numbers are None for one that was given up."""
    kept = trial.user_attrs
    whole = "score" in kept
    return {
        "number": number,
        **{name: kept.get(name) for name in ("method", "settings", "default", *NUMBERS)},
        "state": "complete" if whole else "given up",
        "within": whole and kept["utility"] >= budget,
        "told_apart": whole and told_apart(kept.get("quality")),
        "looks": kept.get("looks", []),
        "seconds": round(kept.get("seconds", 0.0), 2),
        "why": kept.get("why", ""),
    }


def summary(study, budget: float) -> dict:
    """{"utility_budget", "trials", "winner": a trial's number or None}; a trial's "front" says whether no other trial
    is at least as good in forgetting (with privacy) and in utility and better in one."""
    trials = [described(trial, number, budget) for number, trial in enumerate(finished(study), 1)]
    whole = [trial for trial in trials if trial["state"] == "complete"]
    front = pareto_front([trial["utility"] for trial in whole], [gone(trial) for trial in whole])
    for trial in trials:
        trial["front"] = False
    for trial, on_it in zip(whole, front):
        trial["front"] = bool(on_it)
    best = winner(trials)
    return {"utility_budget": budget, "trials": trials, "winner": best and best["number"]}


def gone(trial: dict) -> float:
    """How well a trial forgot: harmonic mean of forgetting and, where it is known, privacy."""
    known = [trial[name] for name in ("forgetting", "privacy") if trial[name] is not None]
    return harmonic_mean(known)


def winner(trials: list[dict]) -> dict | None:
    """Within the budget the highest score, of those not told apart from rows never seen where there are any; where no
    trial is within it, the one that kept most; the first of equals."""

    def place(trial):
        order = (not trial["told_apart"], trial["score"]) if trial["within"] else (trial["utility"], trial["score"])
        return (trial["within"], *order)

    return max((trial for trial in trials if trial["state"] == "complete"), key=place, default=None)


def trials_csv(trials: list[dict]) -> str:
    """The trials as a table; settings as JSON in one cell."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for trial in trials:
        table.writerow({**trial, "settings": json.dumps(trial["settings"])})
    return text.getvalue()
