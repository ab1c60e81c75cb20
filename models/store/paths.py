"""Paths of the project: runs, saved models, the audit record; and how a path is shown."""

from __future__ import annotations

import os
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
RUNS = PROJECT / "results" / "runs"  # run folders, the page's queue, cached evaluations; may be emptied at any time
SAVED = PROJECT / "models" / "saved"  # saved models, the fetched default model; may be emptied at any time
LEDGER = PROJECT / "results" / "ledger.jsonl"  # the audit record; outside the folders that may be emptied


def shown_path(path: Path) -> str:
    """A path for messages and commands: relative to the current directory if it is inside it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def is_model(path: Path) -> bool:
    """Whether a folder holds a model or an adapter."""
    return any((path / name).is_file() for name in ("config.json", "adapter_config.json"))


def ledger_of(run: Path) -> Path:
    """A run folder's ledger: `LEDGER` for a folder inside the project, else a file beside the run folder."""
    return LEDGER if run.resolve().is_relative_to(PROJECT) else run.parent / LEDGER.name


def old_runs(results: Path) -> list[Path]:
    """Run folders directly in `results`, where earlier versions wrote them."""
    found = {path.parent for pattern in ("*/config.json", "*/*/config.json") for path in results.glob(pattern)}
    rooms = {results / name for name in ("runs", "examples")}
    return sorted(path for path in found if not rooms & {path, *path.parents} and not path.name.startswith("."))


def portable(value):
    """The JSON value without this machine's paths: the project's folder is removed, the home folder becomes `~`."""
    if isinstance(value, dict):
        return {portable(key): portable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(item) for item in value]
    if not isinstance(value, str):
        return value
    home = os.path.expanduser("~").rstrip("/")
    value = value.replace(f"{PROJECT}/", "").replace(str(PROJECT), ".")
    return re.sub(rf"{re.escape(home)}(?![\w.-])", "~", value) if len(home) > 1 and home[0] == "/" else value
