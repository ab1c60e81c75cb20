"""The state of a run as tensors and JSON, for checkpoints: what stands beside target model, data and settings."""

from __future__ import annotations

from models.forward.reference import Reference


def state(run) -> tuple[dict, dict]:
    """(tensors by name, values that fit JSON): what a resumed run needs beside the target model and the data."""
    tensors = {f"master.{i}": flat for i, flat in enumerate(run.optimizer.flats)}
    tensors.update({f"adamw.{name}": value for name, value in run.optimizer.state().items()})
    if run.best:
        tensors.update({f"best.{i}": flat for i, flat in enumerate(run.best[2])})
    if run.levels is not None:
        tensors["levels"] = run.levels
    for name in run.products:
        tensors.update({f"made.{name}.{key}": value for key, value in run.references[name].tensors().items()})
    values = {
        "step": run.step,
        "best": run.best[:2] if run.best else None,
        "start": run.start,
        "level": run.level,
        "ended": run.ended,
        "stage": run.stages.index(run.stage),
        "retain_weight": run.retain_weight,
        "finished": run.finished,
        "cut": run.cut,
    }
    return tensors, values


def load_state(run, tensors: dict, values: dict):
    """Continues where `state` was taken; call after `prepare()` on the same target model, data and settings."""
    count = len(run.optimizer.flats)
    run.optimizer.restore([tensors[f"master.{i}"] for i in range(count)])
    moments = {name: value for name, value in tensors.items() if name.startswith("adamw.")}
    run.optimizer.load_state({name.removeprefix("adamw."): value for name, value in moments.items()})
    run.step, run.start, run.level, run.ended = (values[k] for k in ("step", "start", "level", "ended"))
    if values["best"]:
        run.best = (*values["best"], [tensors[f"best.{i}"].clone() for i in range(count)])
    run.levels = tensors.get("levels", run.levels)
    run._enter(run.stages[values["stage"]])
    run.retain_weight, run.finished = values["retain_weight"], values["finished"]
    run.cut = values.get("cut", 1)
    made = {}
    for name, value in tensors.items():
        if name.startswith("made."):
            _, reference, key = name.split(".", 2)
            made.setdefault(reference, {})[key] = value
    for name, values in made.items():
        run.keep(name, Reference.from_tensors(run.model, values))
