"""Measurements kept for later runs, in files named by everything that they depend on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from models.store.paths import PROJECT, RUNS, SAVED

EVALUATIONS = RUNS / ".evaluations"  # of unchanged models, by hash


def measuring_code() -> list[Path]:
    """The files whose change makes a kept evaluation stale: two scripts, data/ and every room of models/."""
    scripts = [PROJECT / name for name in ("evaluation_metrics.py", "unlearning_algorithm.py")]
    rooms = [path for path in (PROJECT / "models").rglob("*.py") if not path.is_relative_to(SAVED)]
    return [*scripts, *sorted((PROJECT / "data").glob("*.py")), *sorted(rooms)]


def key_of(*parts) -> str:
    """SHA-256 (hex) of the parts, JSON values that name a measurement, and of the measuring code."""
    code = hashlib.sha256(b"".join(path.read_bytes() for path in measuring_code())).hexdigest()
    return hashlib.sha256(json.dumps([*parts, code], sort_keys=True).encode()).hexdigest()


def read_kept(path: Path):
    """The result kept in this file, or None."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))
    return None


def keep(path: Path, result):
    """Keeps a result for later runs. Ignores a failed write, such as a full disk: it only costs time."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(result, allow_nan=False), encoding="utf-8")
        temporary.replace(path)
