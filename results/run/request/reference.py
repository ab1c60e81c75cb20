"""The exact answer to a request: the model retrained without its rows, what it costs, and how it is built.

It is the null model of seed 0 (models/training/null_models.py): same cache, same settings, so that null models of the
same request differ from it by the seed alone.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from data.columns import DataError
from models.store.folders import ModelError
from models.store.paths import shown_path
from models.training import null_models
from results.run import plan
from results.run.options import command_line, resolve
from results.run.request.flags import FLAGS, base_of, no_base, sources_of
from results.run.run_folder import UsageError, say

WORTH_WAITING = 300  # seconds: up to this much more, an exact answer is the better one


def recipe_of(given: dict, config: dict) -> null_models.Recipe:
    """How the retrained model is made. Raises DataError if a set is spread over several files."""
    places = {}
    for name in ("forget_data", "retain_data"):
        sources = sources_of(str(config[name]))
        if len(sources) != 1:
            raise DataError(f"--build_retrained needs --{name} as one file or one folder, not {config[name]}")
        places[name] = sources[0]
    settings = null_models.read_settings(given.get("null_config"))
    return null_models.Recipe(base_of(given, config), places["forget_data"], places["retain_data"], settings)


def build(given: dict) -> Path:
    """The folder of the retrained model; trains it if it does not exist yet. Raises like `null_models.built`."""
    recipe = recipe_of(given, resolve(given))
    folder = null_models.reference(recipe, say)
    say(f"retrained model: {shown_path(folder)}")
    return folder


def compared(run: dict, given: dict) -> str:
    """What retraining and unlearning cost in time, and when retraining is the better answer. Trains nothing.

    `run`: the settings of a run with its sets; `given`: the user's settings. Both times are estimates of training
    alone, by `plan.seconds_of`.
    """
    config = resolve(run)
    base = base_of(given, config)
    if config["method"] == "retrain" or not base:
        (seconds,) = plan.seconds_of(config)
        if config["method"] == "retrain":
            return f"exact: {plan.span(seconds)} by retraining (an estimate)"
        return f"exact: unknown; {no_base(config)}\napproximate: {plan.span(seconds)} by {config['method']}"
    retraining = {**recipe_of(given, config).settings, "method": "retrain", "model_name_or_path": base}
    sets = {name: config[name] for name in ("forget_data", "retain_data")}
    try:
        approximate, exact = plan.seconds_of(config, resolve({**retraining, **sets, "holdout_data": "none"}))
    except (ModelError, DataError, UsageError) as error:
        return f"exact: unknown; {str(error).splitlines()[0]}"
    unlearning = f"approximate: {plan.span(approximate)} by {config['method']}"
    lines = [f"exact: {plan.span(exact)} by retraining from {base}; {unlearning} (estimates, without measuring)"]
    if exact <= approximate + WORTH_WAITING:
        longer = "no longer" if exact <= approximate else "little longer"
        lines.append(f"retraining is the better answer here: it takes {longer} and needs no proof of forgetting")
        asked = {name: given[name] for name in (*sets, *FLAGS) if given.get(name)}
        asked = {name: "; ".join(value) if isinstance(value, list) else value for name, value in asked.items()}
        lines.append(f"  {shlex.join(command_line({**retraining, **asked}))}")
    else:
        more = plan.span(exact - approximate)
        lines.append(f"unlearning saves {more}; for a full verdict --build_retrained trains the exact model as well")
    lines.append(f"exact only for what was learned from these rows: {base} may know the subject from elsewhere")
    return "\n".join(lines)
