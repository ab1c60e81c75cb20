"""Reads a run folder into numbers: nothing here draws or words anything.

A run folder comes from disk and may be half written, damaged or somebody else's: what cannot be read is refused by
name (`RunError`) when the report needs it, and left out with a line in `Run.problems` when it does not.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SPLITS = ("forget", "retain", "holdout", "general")
ROLES = {"target": "before", "unlearned": "after", "retrained": "retrained"}
CURVE_METRICS = ("answer_probability", "loss", "accuracy")
# settings that say where and how a run was written, not what was done: runs that differ in these are the same trial
NOT_A_SETTING = {
    "seed", "run_name", "command", "output_dir", "model_output_dir", "overwrite_output_dir", "resume_from_checkpoint",
    "save_steps", "save_total_limit", "logging_steps", "live_answers", "debug", "metrics", "attacks", "merge_adapter",
    "ledger",
}  # fmt: skip


class RunError(ValueError):
    """A folder that holds no usable run; the message names the file and says what to do."""

    exit_code = 3


@dataclass
class Run:
    """One run. Tables are {model: {set: {metric: value or None}}} with finite values only; lists in file order."""

    folder: Path
    config: dict
    models: dict
    intervals: dict
    comparison: dict
    notes: dict
    attacks: dict
    earlier: list[dict] = field(default_factory=list)  # requests before this one, in their order
    status: dict = field(default_factory=dict)
    timing: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)
    steps: list[dict] = field(default_factory=list)
    evaluations: list[dict] = field(default_factory=list)
    events: list[dict] = field(default_factory=list)
    examples: list[dict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.config.get("run_name") or self.folder.resolve().name)

    @property
    def method(self) -> str:
        return str(self.config.get("method") or "unknown method")

    def value(self, model: str, split: str, metric: str) -> float | None:
        """One number of evaluation.json, or None."""
        return self.models.get(model, {}).get(split, {}).get(metric)

    def interval(self, model: str, split: str, metric: str) -> tuple[float, float] | None:
        """Its interval (low, high), or None."""
        return self.intervals.get(model, {}).get(split, {}).get(metric)


def read_run(folder: str | Path) -> Run:
    """The run in `folder`; raises `RunError` naming the file when config.json or evaluation.json cannot be used."""
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}; give a run's folder")
    problems: list[str] = []
    config = _required(folder, "config.json")
    evaluation = _required(folder, "evaluation.json")
    models = _tables(evaluation.get("models"), finite)
    if not models.get("unlearned"):
        raise RunError(f'{folder / "evaluation.json"}: holds no numbers of an unlearned model ("models", "unlearned")')
    log, told = _json_lines(folder / "metrics.jsonl", problems), evaluation.get("earlier")
    comparison = _mapping(evaluation.get("comparison"))
    return Run(
        folder=folder,
        config=config,
        models=models,
        intervals=_tables(evaluation.get("intervals"), _pair),
        comparison={
            key: value if isinstance(value, (str, bool)) else finite(value) for key, value in comparison.items()
        },
        notes={str(key): str(value) for key, value in _mapping(evaluation.get("notes")).items()},
        attacks=_tables(evaluation.get("attacks"), finite),
        earlier=[row for row in told if isinstance(row, dict)] if isinstance(told, list) else [],
        status=_optional(folder, "status.json", problems),
        timing=_optional(folder, "timing.json", problems),
        environment=_optional(folder, "environment.json", problems),
        steps=[line for line in log if line.get("event") == "step" and finite(line.get("step")) is not None],
        evaluations=[
            line for line in log if line.get("event") == "evaluation" and finite(line.get("step")) is not None
        ],
        events=[line for line in log if line.get("event") in ("best", "early_stop", "collapse", "scaled")],
        examples=[row for row in _json_lines(folder / "examples.jsonl", problems) if isinstance(row.get("split"), str)],
        problems=problems,
    )


def read_runs(folders) -> tuple[list[Run], list[str]]:
    """(usable runs, why the others are not)."""
    runs, refused = [], []
    for folder in dict.fromkeys(map(Path, folders)):
        try:
            runs.append(read_run(folder))
        except RunError as error:
            refused.append(str(error))
    return runs, refused


def find_runs(root: str | Path) -> tuple[list[Path], list[Path]]:
    """(folders of finished runs, of others), up to two levels below `root`, by name: a run has a config.json, a
    finished one a report.html too."""
    root = Path(root)
    found = sorted(path.parent for pattern in ("*/config.json", "*/*/config.json") for path in root.glob(pattern))
    found = [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    finished = [path for path in found if (path / "report.html").exists()]
    return finished, [path for path in found if path not in finished]


def finite(value) -> float | None:
    """The number, or None for anything that is not a finite one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _pair(value):
    if not (isinstance(value, (list, tuple)) and len(value) == 2):
        return None
    low, high = map(finite, value)
    return None if low is None or high is None else (low, high)


def _mapping(value) -> dict:
    return value if isinstance(value, dict) else {}


def _tables(value, cell, depth: int = 3) -> dict:
    """{a: {b: {c: cell(value)}}} of what has that shape; the rest is left out."""
    if not isinstance(value, dict):
        return {}
    if depth == 1:
        return {str(key): cell(below) for key, below in value.items() if not isinstance(below, dict)}
    tables = {str(key): _tables(below, cell, depth - 1) for key, below in value.items()}
    return {key: below for key, below in tables.items() if below}


def _required(folder: Path, name: str) -> dict:
    path = folder / name
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing: not a run, or one that has not got that far") from None
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is not readable JSON ({error}): run again, or restore the file") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no JSON object: not written by this tool, or damaged")
    return value


def _optional(folder: Path, name: str, problems: list[str]) -> dict:
    try:
        return _required(folder, name)
    except RunError as error:
        problems.append(str(error).split(f"{folder}/", 1)[-1])
        return {}


def _json_lines(path: Path, problems: list[str]) -> list[dict]:
    """The objects of a JSON-lines file. A last line without its end is being written, and ignored in silence."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        problems.append(f"{path.name}: {error.strerror}")
        return []
    found, bad = [], []
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            if number < len(lines):
                bad.append(number)
            continue
        if isinstance(value, dict):
            found.append(value)
        else:
            bad.append(number)
    if bad:
        problems.append(f"{path.name}: {len(bad)} unreadable lines left out, first at line {bad[0]}")
    return found


# ---------------------------------------------------------------------------------------------------------------------
# What figures are drawn from


def _column(rows: list[dict], key: str) -> np.ndarray:
    """(n,) floats; NaN where a row has no number."""
    values = [finite(row.get(key)) for row in rows]
    return np.array([math.nan if value is None else value for value in values], dtype=float)


def curves(run: Run) -> dict[str, dict[str, np.ndarray]]:
    """{set: {"step": (n,), "answer_probability": (n,), "loss": (n,), "accuracy": (n,)}} of the evaluation points."""
    found = {}
    for split in SPLITS:
        rows = [line for line in run.evaluations if isinstance(line.get(split), dict)]
        if rows:
            seen = [line[split] for line in rows]
            found[split] = {"step": _column(rows, "step"), **{name: _column(seen, name) for name in CURVE_METRICS}}
    return found


def training(run: Run) -> dict[str, np.ndarray]:
    """{"step", "loss", "forget_loss", "retain_loss", "learning_rate", "grad_norm": (n,)} of the logged steps."""
    names = ("step", "loss", "forget_loss", "retain_loss", "learning_rate", "grad_norm")
    return {name: _column(run.steps, name) for name in names}


def marks(run: Run) -> dict[int, list[str]]:
    """{step: [what happened there]}: the kept state, the early stop, the collapse, the change scaled."""
    words = {"best": "kept", "early_stop": "stopped early", "collapse": "collapse", "scaled": "scaled"}
    found: dict[int, list[str]] = {}
    for line in run.events:
        step = finite(line.get("step"))
        if step is not None and words[line["event"]] not in found.setdefault(int(step), []):
            found[int(step)].append(words[line["event"]])
    return dict(sorted(found.items()))


def per_row(run: Run, split: str, metric: str = "answer_probability") -> dict[str, np.ndarray]:
    """{"before", "after", "retrained": (n,) with NaN for what is missing, "index": (n,) into run.examples}."""
    index = [i for i, row in enumerate(run.examples) if row["split"] == split]
    rows = [run.examples[i] for i in index]
    found = {role: _column([_mapping(row.get(f"metrics_{role}")) for row in rows], metric) for role in ROLES.values()}
    return {**found, "index": np.array(index, dtype=int)}


def per_subject(run: Run, split: str, metric: str = "answer_probability") -> list[dict]:
    """One {"subject", "before", "after", "retrained" (None where missing), "n"} per subject: means over its rows."""
    values = per_row(run, split, metric)
    groups: dict[str, list[int]] = {}
    for position, index in enumerate(values["index"]):
        subject = run.examples[index].get("subject")
        if subject is not None and str(subject).strip():
            groups.setdefault(str(subject), []).append(position)
    found = []
    for subject, positions in groups.items():
        row: dict = {"subject": subject, "n": len(positions)}
        for role in ROLES.values():
            present = [value for value in values[role][positions] if not math.isnan(value)]
            row[role] = float(np.mean(present)) if present else None
        found.append(row)
    return found


def settings_key(run: Run) -> str:
    """Equal for runs that differ in their seed alone."""
    settings = {key: value for key, value in run.config.items() if key not in NOT_A_SETTING}
    return json.dumps(settings, sort_keys=True, default=str)


def pareto_front(x, y) -> np.ndarray:
    """(n,) True where no other point is at least as high in both and higher in one; False where x or y is NaN."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    known = ~(np.isnan(x) | np.isnan(y))
    front = known.copy()
    for i in np.flatnonzero(known):
        better = (x >= x[i]) & (y >= y[i]) & ((x > x[i]) | (y > y[i])) & known
        front[i] = not better.any()
    return front
