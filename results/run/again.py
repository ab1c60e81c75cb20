"""Measures a finished run once more, with today's metrics, attacks and verdict, and trains nothing."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import evaluation_metrics
from models.store import loading
from results.run import measuring, model_card, processes
from results.run.context import prepare
from results.run.options import OPTIONS, resolve
from results.run.run_folder import UsageError, say
from results.run.stopping import StopSwitch

CHANGEABLE = ("attacks", "metrics", "eval_rows", "retrained_model", "judging_data", "general_data")


def settings_again(folder: str | Path, given: dict) -> dict:
    """The resolved settings of the finished run in `folder`, with the given ones of `CHANGEABLE` in place of its own.

    Raises UsageError for an unfinished run, one without its model, and for settings that would change the model.
    """
    folder = Path(folder)
    wrong = [f"--{name} does not go with --measure_again" for name in given
             if name not in CHANGEABLE and not name.startswith("attack_")]  # fmt: skip
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError([f"--measure_again {folder}: no run with a readable config.json", *wrong]) from None
    if not isinstance(told, dict) or not (folder / "report.html").exists():
        wrong.append(f"--measure_again {folder}: this run is not finished; resume it first")
    elif not Path(str(told.get("model_output_dir"))).is_dir():
        wrong.append(f"--measure_again {folder}: its model {told.get('model_output_dir')} is gone")
    if wrong:
        raise UsageError(wrong)
    kept = {name: value for name, value in told.items() if name in OPTIONS and value is not None}
    config = resolve({**kept, **given, "output_dir": str(folder), "overwrite_output_dir": True})
    return {**config, "command": told.get("command"), "resume_from_checkpoint": "latest"}  # keeps the files of training


def measure_again(folder: str | Path, given: dict) -> Path:
    """Replaces evaluation.json, examples.jsonl, model cards and report of a finished run; returns its folder."""
    import analyze_results

    config = settings_again(folder, given)
    opened = processes.open_folder(config)
    config["resume_from_checkpoint"] = None
    before = {name: _read(opened.path / name) for name in ("status.json", "timing.json")}
    try:
        with StopSwitch() as switch:
            run = prepare(config, given, opened, switch)
            measurements = measuring.Measurements(run)
            for role in measurements.unchanged:
                opened.stage(f"evaluating {role}")
                measurements.measure_unchanged(role)
            opened.stage("evaluating unlearned")
            model, _ = loading.load_model(config["model_output_dir"], dtype="float32", progress=say,
                                          tokenizer=run.tokenizer)  # fmt: skip
            measurements.measure_unlearned(processes.team().placed(model))
            opened.stage("reporting")
        report = measurements.report()
        opened.write_json("config.json", config)
        opened.write_json("evaluation.json", report)
        evaluation_metrics.write_examples(opened.path / "examples.jsonl", run.sets.measured, measurements.evaluations)
        model_card.write_cards(opened.path, config, run.hashes)
    finally:  # what training wrote stays, also after a failed measurement
        for name, text in before.items():
            if text is not None:
                (opened.path / name).write_text(text, encoding="utf-8")
        opened.release()
    path = analyze_results.write_report(opened.path)
    measuring.print_table(report)
    say(f"\nreport: {path}")
    return opened.path


def _read(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8")
    return None
