"""Paths of the project: where runs, saved models and the audit record lie, and how a path is shown."""

from __future__ import annotations

import os
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
RUNS = PROJECT / "results" / "runs"  # run folders, the page's queue, cached evaluations: may be emptied at any time
SAVED = PROJECT / "models" / "saved"  # saved models and the fetched default model: may be emptied at any time
LEDGER = PROJECT / "results" / "ledger.jsonl"  # the audit record, outside of what may be emptied


def shown_path(path: Path) -> str:
    """A path for messages and commands: relative to the current directory where it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def is_model(path: Path) -> bool:
    """Whether a folder holds a model or an adapter."""
    return any((path / name).is_file() for name in ("config.json", "adapter_config.json"))


def ledger_of(run: Path) -> Path:
    """Where the ledger of a run folder lies: `LEDGER` for every run of the project, else beside the run folder."""
    return LEDGER if run.resolve().is_relative_to(PROJECT) else run.parent / LEDGER.name


def old_runs(results: Path) -> list[Path]:
    """Run folders that lie directly in `results`, where runs were written before they had a folder of their own."""
    found = {path.parent for pattern in ("*/config.json", "*/*/config.json") for path in results.glob(pattern)}
    rooms = {results / name for name in ("runs", "examples")}
    return sorted(path for path in found if not rooms & {path, *path.parents} and not path.name.startswith("."))


def portable(value):
    """A JSON value in whose texts the project's folder is left out and the home folder is `~`: fit to be passed on."""
    if isinstance(value, dict):
        return {portable(key): portable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(item) for item in value]
    if not isinstance(value, str):
        return value
    home = os.path.expanduser("~").rstrip("/")
    value = value.replace(f"{PROJECT}/", "").replace(str(PROJECT), ".")
    return re.sub(rf"{re.escape(home)}(?![\w.-])", "~", value) if len(home) > 1 and home[0] == "/" else value
