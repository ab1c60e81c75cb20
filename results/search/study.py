"""The study behind --method auto: the search space, the next trial, and what was found.

The study is optuna's, in an SQLite file that survives a kill at any moment. The next trial depends only on the seed and
the finished trials, so a killed search continues as if it had not been killed.
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
from results.search.score import NUMBERS, told_apart

# the searched settings, in the order of the moves: (lowest, highest, one move), as multiples of the method's default
RANGES = {
    "general_retain_rows": (1.0, 2.0, 2.0),  # once or twice the rows
    "retain_rows_per_forget_row": (0.5, 2.0, 1.5),
    "retain_weight": (0.25, 8.0, 1.5),
    "learning_rate": (0.25, 10.0, 1.5),
    "num_train_epochs": (0.5, 2.0, 1.4),
    "level_scale": (0.7, 1.3, 1.1),
    "beta": (0.5, 3.0, 1.5),
    "margin": (0.4, 2.5, 1.4),
    "strength": (0.3, 2.0, 1.4),
    "probability_power": (0.5, 2.0, 1.4),
    "saturation_power": (0.5, 2.0, 1.4),
    "importance_power": (0.3, 3.0, 1.7),
    "steering_coefficient": (0.25, 4.0, 1.5),
    "task_scale": (0.25, 4.0, 1.5),
    "kl_limit": (0.3, 30.0, 2.0),
    "elicitation_rate": (0.3, 3.0, 1.7),
    "contrast": (0.5, 5.0, 2.0),
    "embedding_noise": (0.3, 3.0, 1.7),
}
ENDINGS = ("early_stop", "load_best_model_at_end")  # searched too: which is right depends on the other settings
CHANGES = 2  # changes to the best trial for each default tried
COLUMNS = ("number", "method", "settings", "default", "state", "score", "forgetting", "privacy", "utility", "quality",
           "within", "told_apart", "front", "seconds", "why")  # fmt: skip


def settings_of(method: str, given: dict) -> dict:
    """The user's settings that apply to every trial of this method."""
    own = algorithm.hyper_parameters(method)
    rest = {name: value for name, value in given.items() if name not in (*SEARCH_DEFAULTS, "method")}
    return {name: value for name, value in rest.items() if OPTIONS[name].group != "method" or name in own}


def configuration(method: str, settings: dict, given: dict) -> dict:
    """The resolved configuration of a trial, checked like any run's."""
    return resolve({**settings_of(method, given), **settings, "method": method})


def space(method: str, given: dict) -> dict[str, tuple]:
    """{setting: (low, high, default)} of a method, without the settings that the user gave.

    For a switch, low and high are False and True.
    """
    defaults, found = configuration(method, {}, given), {}
    for name, (low, high, _) in RANGES.items():
        default = defaults.get(name)
        fixed = given.get(name) is not None or name in _decided(defaults)
        idle = name.startswith("retain_") and defaults["retain_loss"] == "none"
        if default and not fixed and not idle and name in algorithm.hyper_parameters(method):
            found[name] = (low * default, min(high * default, OPTIONS[name].high or math.inf), float(default))
    if algorithm.METHODS[method].guarded and not algorithm.METHODS[method].update:
        found |= {name: (False, True, defaults[name]) for name in ENDINGS if given.get(name) is None}
    return found


def _decided(defaults: dict) -> set[str]:
    """The settings that others of a configuration decide, so that a search of them would change nothing."""
    found = {"num_train_epochs"} if defaults["max_steps"] > 0 else set()
    if defaults["find_learning_rate"]:  # each trial finds its own
        found.add("learning_rate")
    if defaults.get("step_size") == "to_limit":  # the limit decides how far it goes, in steps of equal size
        found |= {"learning_rate", "num_train_epochs"}
    return found


def spaces(given: dict, forget: list) -> dict[str, dict]:
    """{method: its `space`} of the methods that work on this data with these settings, the tool's default first."""
    raw = any(example.prompt is None for example in forget)
    methods = [algorithm.METHODS[name] for name in searched(given)]
    return {method.name: space(method.name, given) for method in methods if (method.works_on_raw_text or not raw)
            and not (method.full_weights_only and given.get("use_peft"))}  # fmt: skip


def rounded(name: str, value: float, default: float) -> float:
    """The value to try, with three digits; for a number of rows the default times a power of the move."""
    if OPTIONS[name].kind is bool:
        return bool(value)
    if OPTIONS[name].kind is int:
        move = RANGES[name][2]
        return round(default * move ** round(math.log(value / default, move)))
    return float(f"{value:.3g}")


# ---------------------------------------------------------------------------------------------------------------------
# optuna


def open_study(path: Path):
    """The study in an SQLite file. Drops trials that a killed process began or queued; they are asked for again."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # connect by path, not by URL: a question mark in the path would start the URL's query
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
    """Removes a trial from consideration."""
    import optuna

    study.tell(number, state=optuna.trial.TrialState.FAIL)


def finished(study) -> list:
    """The trials that completed or were given up."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def ask(study, spaces: dict[str, dict], seed: int):
    """(trial, method, settings) to try next.

    Each method's default is followed by `CHANGES` changes to the best trial so far. After the last default, changes to
    the best alternate with the sampler's proposals.
    """
    import optuna

    done = finished(study)
    number = (seed * 1_000_003 + len(done)) % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(seed=number, multivariate=True, n_startup_trials=len(spaces) + 3,
                                                   group=True)  # fmt: skip
    default, method, values = _planned(done, spaces)
    if method:
        study.enqueue_trial({"method": method, **{f"{method}.{name}": value for name, value in values.items()}})
    trial = study.ask()
    method = trial.suggest_categorical("method", list(spaces))
    settings = {name: rounded(name, _suggested(trial, f"{method}.{name}", low, high), middle)
                for name, (low, high, middle) in spaces[method].items()}  # fmt: skip
    for name, value in (("method", method), ("settings", settings), ("default", default)):
        trial.set_user_attr(name, value)
    return trial, method, settings


def _suggested(trial, name: str, low, high):
    if isinstance(low, bool):
        return trial.suggest_categorical(name, (low, high))
    return trial.suggest_float(name, low, high, log=True)


def _planned(done: list, spaces: dict[str, dict]) -> tuple[bool, str | None, dict]:
    """(whether it is a default, method, settings) of the next trial; the method is None if the sampler is next."""
    tried = {trial.user_attrs["method"] for trial in done if trial.user_attrs.get("default")}
    first = next((name for name in spaces if name not in tried), None)
    # a pruned trial's value comes from a probe, so only complete trials compete
    whole = [trial for trial in done if trial.state.name == "COMPLETE" and trial.user_attrs["method"] in spaces]
    best = max(whole, key=lambda trial: trial.value, default=None)
    its_turn = len(done) - len(tried) < CHANGES * len(tried) if first else len(done) % 2
    if best and its_turn and (change := next_move(best.user_attrs, spaces, done)):
        return False, best.user_attrs["method"], change
    if first:
        return True, first, {name: default for name, (_, _, default) in spaces[first].items()}
    return False, None, {}


def next_move(best: dict, spaces: dict, done: list) -> dict | None:
    """The best trial's settings with one setting changed by the first untried move of `RANGES`: all moves up, then all
    moves down. None if all were tried."""
    method, settings = best["method"], best["settings"]
    ranges = spaces[method]
    tried = [trial.user_attrs["settings"] for trial in done if trial.user_attrs["method"] == method]
    tried = [{name: values[name] for name in ranges} for values in tried]
    for power in (1, -1):
        for name, (low, high, default) in ranges.items():
            if isinstance(low, bool):
                value = not settings[name]
            else:
                value = min(max(settings[name] * RANGES[name][2] ** power, low), high)
            moved = {**{name: settings[name] for name in ranges}, name: rounded(name, value, default)}
            if moved not in tried:
                return moved
    return None


# ---------------------------------------------------------------------------------------------------------------------
# What was found


def described(trial, number: int, budget: float) -> dict:
    """A finished trial as an entry of search.json. The numbers of a trial that was given up are None."""
    kept = trial.user_attrs
    whole = "score" in kept
    names = ("method", "settings", "default", *NUMBERS, "training_seconds")
    return {
        "number": number,
        **{name: kept.get(name) for name in names},
        "state": "complete" if whole else "given up",
        "within": whole and kept["utility"] >= budget,
        "told_apart": whole and told_apart(kept.get("quality")),
        "looks": kept.get("looks", []),
        "seconds": round(kept.get("seconds", 0.0), 2),
        "why": kept.get("why", ""),
    }


def summary(study, budget: float) -> dict:
    """{"utility_budget", "trials", "winner": a trial's number or None}.

    A trial is on the "front" if no other is at least as good in both forgetting (with privacy) and utility, and better
    in one.
    """
    trials = [described(trial, number, budget) for number, trial in enumerate(finished(study), 1)]
    whole = [trial for trial in trials if trial["state"] == "complete"]
    front = pareto_front([trial["utility"] for trial in whole], [_forgotten(trial) for trial in whole])
    on_front = {trial["number"] for trial, best in zip(whole, front) if best}
    for trial in trials:
        trial["front"] = trial["number"] in on_front
    best = winner(trials)
    return {"utility_budget": budget, "trials": trials, "winner": best and best["number"]}


def _forgotten(trial: dict) -> float:
    """Harmonic mean of forgetting and, where it is known, privacy."""
    return harmonic_mean([trial[name] for name in ("forgetting", "privacy") if trial[name] is not None])


def winner(trials: list[dict]) -> dict | None:
    """The best complete trial; of equal ones, the first.

    Within the budget, trials without a row that is still known come first, then trials that pass the gate, then the
    highest score. If no trial is within the budget, the highest utility wins.
    """

    def place(trial):
        if not trial["within"]:
            return (False, trial["utility"], trial["score"])
        return (True, not trial.get("known"), not trial["told_apart"], trial["score"])

    return max((trial for trial in trials if trial["state"] == "complete"), key=place, default=None)


def trials_csv(trials: list[dict]) -> str:
    """The trials as a table, settings as JSON in one cell."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for trial in trials:
        table.writerow({**trial, "settings": json.dumps(trial["settings"])})
    return text.getvalue()
