"""Reads a run folder into numbers, and gives the series that figures show.

A folder may be half written, damaged or from another tool. If the report needs a file that it cannot read, `RunError`
names the file; any other unreadable file is left out, with a line in `Run.problems`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.attacks.subject import budget_flags
from models.verdict import gates
from models.verdict.gates import Gate
from models.verdict.words import PARTS, SIGNED, WORDS, verdict_text, verdict_words, word_of

SPLITS = ("forget", "retain", "holdout", "general")
ROLES = {"target": "before", "unlearned": "after", "retrained": "retrained"}
CURVE_METRICS = ("answer_probability", "loss", "accuracy")
# where and how a run writes; runs that differ only in these settings count as one trial
NOT_A_SETTING = {
    "seed", "run_name", "command", "output_dir", "model_output_dir", "overwrite_output_dir", "resume_from_checkpoint",
    "save_steps", "save_total_limit", "logging_steps", "live_answers", "debug", "metrics", "attacks", "merge_adapter",
    "ledger", "received", "due", "retest_after", "letter_pdf", "sign_with", "shared_folders", *budget_flags(),
}  # fmt: skip


class RunError(ValueError):
    """The folder holds no usable run. The message names the file and what to do."""

    exit_code = 3


@dataclass
class Part:
    """One part of the verdict and what decides it: the evidence of evaluation.json, as far as it can be read."""

    word: str = ""  # with its reason in brackets
    why: list[str] = field(default_factory=list)
    turn: str | None = None  # the least change that would turn the word
    gates: list[Gate] = field(default_factory=list)
    more: dict = field(default_factory=dict)  # the lists and tables behind them; numbers are finite or None

    def listed(self, name: str) -> list[dict]:
        """The objects of a list, such as "rows" or "persons"."""
        found = self.more.get(name)
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def table(self, name: str) -> dict[str, dict]:
        """The objects of an object, such as "attacks"."""
        return {key: value for key, value in _mapping(self.more.get(name)).items() if isinstance(value, dict)}

    def gate(self, name: str) -> Gate | None:
        """The gate of this name."""
        return next((gate for gate in self.gates if gate.name == name), None)


@dataclass
class Run:
    """One run. Tables are {model: {set: {metric: finite value or None}}}; lists keep the order of their files."""

    folder: Path
    config: dict
    models: dict
    intervals: dict
    comparison: dict
    notes: dict
    attacks: dict
    evidence: dict[str, Part] = field(default_factory=lambda: {part: Part() for part in PARTS})
    words: dict[str, str] = field(default_factory=dict)  # of the verdict, by part; {} without one of three words
    subject: dict = field(default_factory=dict)  # what it says about the subject, see models/eliciting/subject.py
    earlier: list[dict] = field(default_factory=list)  # requests before this one, in order
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

    def change(self, split: str, metric: str) -> tuple[float | None, float | None]:
        """(the target's, the unlearned model's) value of a metric."""
        return self.value("target", split, metric), self.value("unlearned", split, metric)

    def seconds(self, stage: str) -> float | None:
        """Duration of a stage from timing.json, or None."""
        return finite(_mapping(self.timing.get("seconds")).get(stage))


def read_run(folder: str | Path) -> Run:
    """The run in `folder`. Raises `RunError` for an unusable config.json or evaluation.json."""
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}; give a run folder")
    problems: list[str] = []
    config = _required(folder, "config.json")
    evaluation = _required(folder, "evaluation.json")
    models = _tables(evaluation.get("models"), finite)
    if not models.get("unlearned"):
        raise RunError(f'{folder / "evaluation.json"}: has no numbers of an unlearned model ("models", "unlearned")')
    words, evidence = judged(evaluation, problems)
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
        subject=_mapping(comparison.get("subject")),
        notes={str(key): str(value) for key, value in _mapping(evaluation.get("notes")).items()},
        attacks=_tables(evaluation.get("attacks"), finite),
        evidence=evidence,
        words=words,
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
    """(usable runs, why the others are not usable)."""
    runs, refused = [], []
    for folder in dict.fromkeys(map(Path, folders)):
        try:
            runs.append(read_run(folder))
        except RunError as error:
            refused.append(str(error))
    return runs, refused


def find_runs(root: str | Path) -> tuple[list[Path], list[Path]]:
    """(folders of finished runs, of other runs) up to two levels below `root`, by name.

    A run has a config.json; a finished run has a report.html too.
    """
    root = Path(root)
    found = sorted(path.parent for pattern in ("*/config.json", "*/*/config.json") for path in root.glob(pattern))
    found = [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    finished = [path for path in found if (path / "report.html").exists()]
    return finished, [path for path in found if path not in finished]


def finite(value) -> float | None:
    """A finite number as a float; None for anything else."""
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
    """{a: {b: {c: cell(value)}}} of the parts with that shape; other parts are left out."""
    if not isinstance(value, dict):
        return {}
    if depth == 1:
        return {str(key): cell(below) for key, below in value.items() if not isinstance(below, dict)}
    tables = {str(key): _tables(below, cell, depth - 1) for key, below in value.items()}
    return {key: below for key, below in tables.items() if below}


# ---------------------------------------------------------------------------------------------------------------------
# The verdict's words and their evidence

GATE_WORDS = (gates.PASSED, gates.FAILED, gates.OVER, gates.UNDECIDED, gates.NO_CONTRAST, gates.NOT_MEASURED)


def judged(evaluation: dict, problems: list[str]) -> tuple[dict[str, str], dict[str, Part]]:
    """(the words, the evidence) of an evaluation.json by part. What cannot be read or used is named in `problems`."""
    evidence = {part: _part(_mapping(evaluation.get("evidence")).get(part), part, problems) for part in PARTS}
    return _words(_mapping(evaluation.get("comparison")), evidence, problems), evidence


def _words(comparison: dict, evidence: dict[str, Part], problems: list[str]) -> dict[str, str]:
    """The three words of the verdict; {} for an earlier version's verdict and for one that its evidence contradicts."""
    words = {part: str(comparison.get(part)) for part in PARTS}
    if not verdict_words(comparison.get("verdict")):
        return {}
    wrong = [] if comparison.get("verdict") == verdict_text(words) else [f"verdict is {comparison['verdict']}"]
    for part, word in words.items():
        found = evidence[part]
        if word_of(word) not in WORDS[part] or (found.word and found.word != word):
            wrong.append(f"{part} is {word}, its evidence {found.word or 'missing'}")
        elif word == SIGNED[part] and any(gate.word in (gates.FAILED, gates.OVER) for gate in found.gates):
            wrong.append(f"{part} is {word}, but a gate of it is not passed")
    if wrong:
        problems.append(f"evaluation.json contradicts itself: {'; '.join(wrong)}. Measure the run again")
    return {} if wrong else words


def _part(value, name: str, problems: list[str]) -> Part:
    """The evidence of one part. What cannot be read is left out and named in `problems`."""
    if value is None:
        return Part()
    if not isinstance(value, dict):
        problems.append(f"evaluation.json: the evidence of {name} is no object")
        return Part()
    told = value.get("gates")
    told = told if isinstance(told, list) else []
    found = [gate for gate in map(_gate, told) if gate is not None]
    if len(found) < len(told):
        problems.append(f"evaluation.json: {len(told) - len(found)} of {len(told)} gates of {name} are unreadable")
    why, turn = value.get("why"), value.get("turn")
    return Part(
        word=str(value["word"]) if isinstance(value.get("word"), str) else "",
        why=[text for text in why if isinstance(text, str)] if isinstance(why, list) else [],
        turn=turn if isinstance(turn, str) and turn else None,
        gates=found,
        more={str(key): _cleaned(below) for key, below in value.items() if key not in ("word", "why", "turn", "gates")},
    )


def _gate(value) -> Gate | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or value.get("word") not in GATE_WORDS:
        return None
    null = value.get("null")
    numbers = {name: finite(value.get(name)) for name in ("value", "low", "high", "least", "most")}
    label, why = (value.get(key) if isinstance(value.get(key), str) else "" for key in ("label", "why"))
    alone = finite(null)
    return Gate(value["name"], label or value["name"], value["word"], why, **numbers,
                null=_pair(null) if alone is None else (alone, alone))  # fmt: skip


def _cleaned(value, depth: int = 6):
    """JSON with finite numbers; None for the others and for what lies deeper than any evidence."""
    if isinstance(value, (str, bool)):
        return value
    if isinstance(value, dict) and depth:
        return {str(key): _cleaned(below, depth - 1) for key, below in value.items()}
    if isinstance(value, list) and depth:
        return [_cleaned(below, depth - 1) for below in value]
    return finite(value)


def _required(folder: Path, name: str) -> dict:
    path = folder / name
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing: not a run, or not written yet") from None
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is not readable JSON ({error}): run again or restore the file") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no JSON object: damaged, or from another tool")
    return value


def _optional(folder: Path, name: str, problems: list[str]) -> dict:
    try:
        return _required(folder, name)
    except RunError as error:
        problems.append(str(error).split(f"{folder}/", 1)[-1])
        return {}


def _json_lines(path: Path, problems: list[str]) -> list[dict]:
    """The objects of a JSON-lines file. An incomplete last line is still being written and is skipped silently."""
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
# Series for figures


def _column(rows: list[dict], key: str) -> np.ndarray:
    """(n,) floats; NaN where a row has no number."""
    return np.array([finite(row.get(key)) for row in rows], dtype=float)


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
    """{step: [events]}: the kept state, the early stop, the collapse, the scaled change."""
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
    """One {"subject", "n", "before", "after", "retrained"} per subject: means over its rows, None where missing."""
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
    """A key that runs share if they differ only in the seed."""
    settings = {key: value for key, value in run.config.items() if key not in NOT_A_SETTING}
    return json.dumps(settings, sort_keys=True, default=str)


def pareto_front(x, y) -> np.ndarray:
    """(n,) True for points that no other beats (at least as high in both, higher in one); False for NaN."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    known = ~(np.isnan(x) | np.isnan(y))
    front = known.copy()
    for i in np.flatnonzero(known):
        better = (x >= x[i]) & (y >= y[i]) & ((x > x[i]) | (y > y[i])) & known
        front[i] = not better.any()
    return front
