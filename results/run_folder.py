"""The folder a run writes: lock, status, metrics as they happen, checkpoints, timing, environment."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import resource
import shutil
import subprocess
import time
from pathlib import Path

from models import loading

PROJECT = Path(__file__).resolve().parent.parent


class UsageError(ValueError):
    """Flags or configuration that cannot be: every problem, one a line."""

    exit_code = 2

    def __init__(self, problems):
        super().__init__("\n".join([problems] if isinstance(problems, str) else problems))


class RunFolderError(ValueError):
    """The run folder cannot be written (6) or is in use (7)."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


def say(text: str):
    """A line for the person at the terminal."""
    print(text, flush=True)


class RunFolder:
    """The folder a run writes: locked while it runs, status replaced whole, metrics appended as they happen."""

    def __init__(self, config: dict):
        self.path = Path(config["output_dir"])
        self.started = time.time()
        self.status = {"state": "running", "pid": os.getpid(), "started": self.started, "step": 0, "total_steps": 0}
        self.seconds: dict[str, float] = {}
        self._stage: tuple[str, float] | None = None
        self._open(config)

    def _open(self, config: dict):
        finished = (self.path / "report.html").exists()
        if finished and not config["overwrite_output_dir"]:
            raise UsageError(
                f"{self.path} holds a finished run: choose another --output_dir or give --overwrite_output_dir"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / "figures").mkdir(exist_ok=True)
            self._lock = open(self.path / "run.lock", "a+")  # noqa: SIM115 - held open: the lock lives as long as the process
        except OSError as error:
            raise RunFolderError(f"--output_dir {self.path}: {error.strerror}", 6) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "?"
            raise RunFolderError(
                f"{self.path} is in use by process {owner}: wait for it or choose another --output_dir", 7
            ) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        if config["resume_from_checkpoint"]:
            return
        for stale in ("report.html", "report.md", "evaluation.json", "examples.jsonl", "metrics.jsonl", "timing.json"):
            (self.path / stale).unlink(missing_ok=True)
        for old in checkpoints(self.path):
            shutil.rmtree(old, ignore_errors=True)

    def write_json(self, name: str, value) -> Path:
        """Replaces a file whole, so that no reader ever sees half of it."""
        temporary = self.path / f".{name}.tmp"
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return temporary.replace(self.path / name)

    def log(self, record: dict):
        """Appends one object to metrics.jsonl."""
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def keep_until(self, step: int):
        """Drops what metrics.jsonl holds of steps after `step`, and a half-written last line."""
        path, kept = self.path / "metrics.jsonl", []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError):
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
        path.write_text("".join(kept), encoding="utf-8")

    def update(self, **changes):
        """Changes status.json."""
        self.status.update(changes, updated=time.time())
        self.write_json("status.json", self.status)

    def stage(self, name: str):
        """Ends the stage in hand and begins the next one; its seconds go into timing.json."""
        now = time.perf_counter()
        if self._stage:
            previous, began = self._stage
            self.seconds[previous] = round(self.seconds.get(previous, 0) + now - began, 3)
        self._stage = (name, now)
        self.update(stage=name, doing="")
        say(f"[{time.time() - self.started:6.1f} s] {name}")

    def write_timing(self):
        """Seconds by stage and the peak resident memory so far."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        total = round(time.time() - self.started, 3)
        self.write_json(
            "timing.json", {"seconds": self.seconds, "peak_memory_gib": round(peak, 3), "total_seconds": total}
        )

    def release(self):
        """Lets another run use the folder."""
        with contextlib.suppress(OSError):
            self._lock.truncate(0)
            self._lock.close()


def environment(data_hashes: dict, model_hash: str, device: str) -> dict:
    """What a result depends on beside the configuration."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for package in ("torch", "transformers", "accelerate", "peft", "datasets", "scikit-learn", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False)
    return {
        "versions": versions,
        "device": device,
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "commit": commit.stdout.strip() or None,
        "data_hashes": data_hashes,
        "model_hash": model_hash,
    }


# ---------------------------------------------------------------------------------------------------------------------
# Checkpoints

# settings that may differ between a run and its continuation
FREE_ON_RESUME = {
    *("resume_from_checkpoint", "output_dir", "model_output_dir", "run_name", "command", "logging_steps", "save_steps"),
    *("save_total_limit", "live_answers", "overwrite_output_dir", "attacks", "metrics", "eval_rows"),
}


def save_checkpoint(run, folder: RunFolder, identity: dict, limit: int) -> Path:
    """checkpoint-<step> in the run folder: safetensors and JSON, renamed into place whole; old ones deleted."""
    from safetensors.torch import save_file

    tensors, values = run.state()
    target = folder.path / f"checkpoint-{run.step}"
    with loading.new_folder(target, identity) as temporary:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, Path(temporary) / "state.safetensors"
        )
        (Path(temporary) / "state.json").write_text(json.dumps(values), encoding="utf-8")
    for old in checkpoints(folder.path)[limit:]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run folder, newest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    return sorted(found, key=lambda path: -int(path.name.removeprefix("checkpoint-")))


def find_checkpoint(config: dict, identity: dict) -> Path | None:
    """The checkpoint to resume from: the newest whose manifest verifies; refuses one of another run."""
    asked = config["resume_from_checkpoint"]
    if not asked:
        return None
    candidates = checkpoints(Path(config["output_dir"])) if asked in ("latest", "true") else [Path(asked)]
    for path in candidates:
        problems = loading.verify_manifest(path) if path.is_dir() else [f"{path}: no such folder"]
        if problems:
            say(f"checkpoint {path} skipped: {problems[0]}")
            continue
        saved = json.loads((path / loading.MANIFEST).read_text(encoding="utf-8"))["identity"]
        differing = sorted(
            key for key in {*saved, *identity["identity"]} if saved.get(key) != identity["identity"].get(key)
        )
        if differing:
            now = identity["identity"]
            raise UsageError(
                [f"{path} is of another run: {key} was {saved.get(key)!r}, is {now.get(key)!r}" for key in differing]
            )
        return path
    raise UsageError(f"--resume_from_checkpoint {asked}: no whole checkpoint in {config['output_dir']}")


def resume(run, path: Path, folder: RunFolder):
    """Puts a checkpoint's state into a prepared run and cuts metrics.jsonl back to it."""
    from safetensors.torch import load_file

    run.load_state(load_file(path / "state.safetensors"), json.loads((path / "state.json").read_text(encoding="utf-8")))
    folder.keep_until(run.step)
    say(f"resumed from {path} at step {run.step}")


def identity_of(config: dict, hashes: dict, model_hash: str) -> dict:
    """What must be equal for a checkpoint to be continued: configuration, data, model."""
    settings = {name: value for name, value in config.items() if name not in FREE_ON_RESUME}
    return {"identity": {**settings, **{f"data {k}": v for k, v in hashes.items()}, "model": model_hash}}
