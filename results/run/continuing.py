"""A sequence of deletion requests: what a run inherits from the run it continues, and its line in the ledger.

    config = inherited(given, problems)  # the model, data and settings of the run continued from
    earlier = read(config)               # the forget sets of all runs before, checked against their hashes
    record(run, saved, report, state)    # the run's line in the ledger, and its receipt

The chain of runs leads to the earlier forget sets: each config.json names its forget set and the run it continues, each
environment.json holds the hash of the forget rows. A missing or changed set is an error before a model loads, because
the run needs its rows to keep them forgotten and to test them.
"""

from __future__ import annotations

import os
import secrets
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import unlearning_algorithm as algorithm
from data import sampling
from data.columns import DataError
from data.finding.text import fold
from data.private import PREFIX, keyed
from models.requests import desk, ledger, recorded, retest
from models.store import loading, paths
from models.store.folders import read_json_or_empty
from models.verdict.words import verdict_words
from results.run.request.flags import FOLDER
from results.run.run_folder import UsageError

INHERITED = (
    "method", "retain_data", "holdout_data", "judging_data", "general_data", "exam_data", "max_length",
    "attn_implementation", "base_model",
    "use_peft", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "eval_rows", "metrics", "lm_eval",
    "ledger",
)  # fmt: skip
WITHHELD = ("forget_text", "forget_about", "forget_about_file", "training_data")  # texts, names and their places
DATA_FLAGS = {f"{name}_data": name for name in ("forget", "retain", "holdout", "judging", "general", "earlier")}


# ---------------------------------------------------------------------------------------------------------------------
# The run continued from


def found(name, beside: Path | None = None, model: bool = False) -> Path:
    """Where a run, or a `model`, that a config.json names is now.

    Looks at the path itself, in the project, beside the run that names it, and among the project's runs or models.
    """
    path = Path(os.path.expanduser(str(name)))
    places = [path, paths.PROJECT / path, (paths.SAVED if model else paths.RUNS) / path.name]
    if beside and beside.name != path.name:  # a run and its model often have the same name
        places.insert(2, beside.parent / path.name)
    return next((place for place in places if place.exists()), path)


def why_not(run: Path) -> str | None:
    """Why nothing can continue from this run, or None."""
    if not run.is_dir() or not read_json_or_empty(run / "config.json"):
        return f"{run}: {'not the folder of a run' if run.exists() else 'no such folder'}; give a finished run's folder"
    state = read_json_or_empty(run / "status.json").get("state")
    words = verdict_words(read_json_or_empty(run / "evaluation.json").get("comparison", {}).get("verdict"))
    if state == "collapsed" or words.get("rest") == "BROKEN":
        why = "collapsed" if state == "collapsed" else "broke the rest"
        return f"{run} {why}: its model is no longer useful. Continue from the run before it, with gentler settings"
    if not (run / "report.html").exists() or not (run / "evaluation.json").exists():
        again = f"finish it (--output_dir={run} --resume_from_checkpoint=latest) or name a finished one"
        return f"{run} is not finished{f' ({state})' if state else ''}: {again}"
    return None


def inherited(given: dict, problems: list[str]) -> dict:
    """The settings that --continue_from adds: model, data, method and the method's settings.

    A setting in `given` wins; another method brings its own defaults. Problems are appended to `problems`.
    """
    run = found(given["continue_from"])
    if problem := why_not(run):
        problems.append(f"--continue_from {problem}")
        return {}
    before = read_json_or_empty(run / "config.json")
    if not any(given.get(name) for name in ("forget_data", "forget_text", "training_data")):
        problems.append("--continue_from needs the next request: give --forget_data or --forget_text")
    if given.get("method") == "retrain":
        problems.append("--method retrain starts from the base model, so it cannot continue from a run")
    method = before.get("method", "npo")
    if not given.get("method") and method not in algorithm.METHODS:
        own = f"add --method_from {before['method_from']}" if before.get("method_from") else "give --method"
        problems.append(f"--continue_from {run}: its method {method} is not known here; {own}")
        return {}
    names = set(INHERITED) - ({"judging_data"} if given.get("holdout_data") else set())  # these two go together
    if given.get("method") in (None, method):
        names |= {*algorithm.hyper_parameters(method), "retain_loss"}
    model = given.get("model_name_or_path") or _model_of(run, before, problems)
    if before.get("own_answers"):
        names -= {"retain_data"}  # nobody gave it: the model of that run is asked for its answers
    kept = {name: before[name] for name in names if before.get(name) not in (None, "")}
    if kept.get("ledger", "none") != "none":
        kept["ledger"] = str(found(kept["ledger"]))
    return {**kept, "model_name_or_path": model}


def _model_of(run: Path, config: dict, problems: list[str]) -> str:
    """The folder of the model that a run saved; a missing one is a problem."""
    model = found(config.get("model_output_dir") or "", run, model=True)
    whole = any((model / name).exists() for name in ("config.json", "adapter_config.json"))
    if not (config.get("model_output_dir") and whole):
        problems.append(
            f"--continue_from {run}: its model {config.get('model_output_dir')} is gone; restore it, or give its "
            "new place with --model_name_or_path"
        )
    return str(model)


def check_model(config: dict, model_hash: str):
    """Raises UsageError if the run would start from another model than the one that --continue_from saved."""
    if not config.get("continue_from"):
        return
    run = found(config["continue_from"])
    saved = read_json_or_empty(run / ledger.RECEIPT).get("model_after")
    if saved and saved != model_hash:
        raise UsageError(
            f"--continue_from {run}: {config['model_name_or_path']} is not the model that this run saved (hash "
            f"{model_hash[:12]}, was {saved[:12]}), so it may still know what that run unlearned. Restore it"
        )


def chain(run) -> list[Path]:
    """The runs up to and including `run`, the first request first."""
    runs: list[Path] = []
    path: Path | None = found(run)
    while path is not None:
        if path.resolve() in [earlier.resolve() for earlier in runs]:
            raise UsageError(f"--continue_from {path}: these runs continue from each other in a circle")
        if runs and not (path / "config.json").exists():
            raise UsageError(
                f"{path}, which {runs[-1]} continued from, is gone: restore the folder, because what it unlearned "
                "must stay forgotten"
            )
        runs.append(path)
        before = read_json_or_empty(path / "config.json").get("continue_from")
        path = found(before, path) if before else None
    return runs[::-1]


# ---------------------------------------------------------------------------------------------------------------------
# The forget sets of the runs before


@dataclass
class Request:
    """An earlier request: its run, the hash of its rows, the rows (None: missing), its measurements."""

    run: Path
    method: str
    data_hash: str
    examples: list | None
    known: dict  # forget metrics before it was unlearned
    then: dict  # and right after
    unseen: dict  # of rows never seen
    known_rows: dict = field(default_factory=dict)  # both row by row: {metric: values}
    then_rows: dict = field(default_factory=dict)


@dataclass
class Earlier:
    """The earlier requests, oldest first, and notes on those whose rows are missing."""

    requests: list[Request] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list:
        """All rows of the earlier requests that still exist."""
        return [row for request in self.requests for row in request.examples or ()]

    def measured(self, count: int) -> dict[str, list]:
        """{"earlier_1": rows, ...}: at most `count` rows of each earlier request, for evaluation."""
        return {f"earlier_{number}": sampling.spread(request.examples, count)
                for number, request in enumerate(self.requests, 1) if request.examples}  # fmt: skip

    def retested(self, report: dict, evaluation) -> list[dict]:
        """A row per request for evaluation.json: its numbers then, before and after this run, and the verdict.

        `evaluation`: the unlearned model's, with the scores of each row.
        """
        rows = []
        for number, request in enumerate(self.requests, 1):
            before, after = (report["models"][role].get(f"earlier_{number}", {}) for role in ("target", "unlearned"))
            now = retest.row_numbers(evaluation.per_example.get(f"earlier_{number}", {}))
            traces = retest.traces_back(request.known_rows, request.then_rows, now)
            subjects = evaluation.subjects.get(f"earlier_{number}", [])
            verdict, why = retest.verdict(request.known, request.then, after, request.unseen, traces, subjects)
            rows.append({"set": f"earlier_{number}", "run": str(request.run), "method": request.method,
                         "data_hash": request.data_hash, "rows": len(request.examples or ()),
                         "known": request.known, "then": request.then, "before": before, "after": after,
                         "verdict": verdict, "why": why})  # fmt: skip
        return rows


def read(config: dict) -> Earlier:
    """The requests before a run with `config`; none without --continue_from.

    Raises DataError that names every missing or changed forget set. With --earlier_data none, these become notes.
    """
    found = Earlier()
    if not config.get("continue_from"):
        return found
    optional = config["earlier_data"] == "none"
    elsewhere = {} if optional else recorded.by_hash(config["earlier_data"])
    problems = []
    for run in chain(config["continue_from"]):
        wanted = recorded.forget_hash(run)
        if not wanted:
            continue  # this run unlearned nothing
        before = read_json_or_empty(run / "config.json")
        rows, problem = elsewhere.get(wanted), None
        if rows is None:
            rows, problem = recorded.forget_rows(before, wanted)
        if problem:
            problems.append(f"the forget set of {run}, which must stay forgotten: {problem}")
        models = read_json_or_empty(run / "evaluation.json").get("models", {})
        known, then = (models.get(role, {}).get("forget", {}) for role in ("target", "unlearned"))
        unseen = models.get("target", {}).get("holdout", {})
        method, by_row = str(before.get("method")), recorded.measured_rows(run)
        found.requests.append(Request(run, method, wanted, rows, known, then, unseen, *by_row))
    if problems and not optional:
        cure = "Restore it, give its new place with --earlier_data, or continue without it by --earlier_data none: "
        raise DataError("\n".join([*problems, cure + "the run then neither keeps these rows forgotten nor tests them"]))
    found.notes = [f"not kept forgotten and not tested: {problem}" for problem in problems]
    return found


# ---------------------------------------------------------------------------------------------------------------------
# The line in the ledger


def ledger_path(config: dict) -> Path | None:
    """The file for the run's line; None for --ledger none."""
    return None if config["ledger"] == "none" else Path(os.path.expanduser(config["ledger"]))


def check_ledger(config: dict):
    """Refuses a ledger that cannot take another line, before any work is done."""
    if path := ledger_path(config):
        if path.resolve() != paths.ledger_of(Path(config["output_dir"])).resolve():
            print(f"note: this request is recorded in {path}", flush=True)
        ledger.check_writable(path)


def command_without_data(command, hashes: dict) -> str:
    """A run's command for the ledger: hashes in place of texts, names and data paths."""
    shown = []
    for word in map(str, command):
        flag, equals, _ = word.partition("=")
        split = DATA_FLAGS.get(flag.lstrip("-"))
        if flag.lstrip("-") in WITHHELD:
            split = "forget"
        if equals and split:
            word = f"{flag}=({hashes[split][: len(PREFIX) + 12]})" if split in hashes else f"{flag}=(left out)"
        shown.append(paths.portable(word))
    return shlex.join(shown)


def begin(folder, config: dict, sets, hashes: dict):
    """Writes the receipt of a request that is being carried out: its id, dates, and hashes of what it is about."""
    if "forget" not in sets.steering.examples or (folder.path / ledger.RECEIPT).is_file():
        return
    folder.write_json(ledger.RECEIPT, {
        "request": secrets.token_hex(8), "data_hash": hashes["forget"],
        "rows": len(sets.steering.examples["forget"]),
        "subjects": [keyed(fold(name).lower()) for name in _subjects(config, sets)],
        **{name: config[name] for name in desk.DATES},
    })  # fmt: skip


def _subjects(config: dict, sets) -> list[str]:
    """Who or what a request is about: the names that were asked for, else the subjects of its rows."""
    for place in (Path(config["output_dir"]) / FOLDER, Path(config["forget_data"] or "none").parent):
        named = read_json_or_empty(place / "request.json").get("subjects")
        if isinstance(named, list) and all(isinstance(name, str) for name in named):
            return named
    return list(dict.fromkeys(row.subject for row in sets.steering.examples["forget"] if row.subject))


def record(run, saved: Path, report: dict, state: str):
    """Adds the run's line to the ledger and its receipt to the run folder; does nothing without a forget set.

    `run`: its `RunContext`. The receipt is written first and holds the request's id. A run killed in between finds its
    line by this id when it resumes, and adds no second line.
    """
    if "forget" not in run.sets.steering.examples:
        return
    config, hashes, folder = run.config, run.hashes, run.folder
    path, model_after = ledger_path(config), loading.model_hash(saved)
    receipt = {"time": ledger.now(), **read_json_or_empty(folder.path / ledger.RECEIPT), "model_after": model_after}
    receipt["model_before"] = read_json_or_empty(folder.path / "environment.json").get("model_hash")
    folder.write_json(ledger.RECEIPT, receipt)
    if path is None:
        return
    before = found(config["continue_from"]) if config.get("continue_from") else None
    target, unlearned = report["models"]["target"], report["models"]["unlearned"]
    known_rows, then_rows = map(retest.row_numbers, recorded.measured_rows(folder.path))
    line = ledger.append(path, {
        **receipt, "run": _run_name(folder.path, path), "method": config["method"],
        "state": state, "verdict": str(report["comparison"].get("verdict")),
        "follows": read_json_or_empty(before / ledger.RECEIPT).get("request") if before else None,
        "measured": {name: config[name] for name in ("eval_rows", "max_length", "dtype")},
        "known": retest.chosen(target.get("forget")), "then": retest.chosen(unlearned.get("forget")),
        "unseen": retest.chosen(target.get("holdout")), "known_rows": known_rows, "then_rows": then_rows,
        "command": command_without_data(config["command"], hashes),
    })  # fmt: skip
    folder.write_json(ledger.RECEIPT, {**receipt, "ledger": path.name, "line": line["line"], "hash": line["hash"]})
    print(f"ledger: line {line['line']} of {path}, hash {line['hash']}", flush=True)
    for row in report.get("earlier", []):  # the run has tested these requests too
        request = read_json_or_empty(found(row["run"]) / ledger.RECEIPT).get("request")
        if request and row["verdict"] != retest.UNTESTED:
            desk.record_test(path, {**row, "request": request}, model_after)


def _run_name(run: Path, path: Path) -> str:
    """The run folder relative to the project's runs or to the ledger; only its name if it is elsewhere."""
    run, above = run.resolve(), path.resolve().parent
    above = paths.RUNS if run.is_relative_to(paths.RUNS) else above
    return str(run.relative_to(above)) if run.is_relative_to(above) else run.name
