"""The folder a run writes: lock, status, metrics as they happen, checkpoints, timing, environment."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from data import private
from evaluation_metrics import UsageError, budget_flags
from models.store import folders, paths
from models.store.on_first_use import fcntl, resource
from models.store.paths import PROJECT
from models.store.process_identity import birth_of
from models.training import together


class RunFolderError(ValueError):
    """The run folder cannot be written (6) or is in use (7)."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


class OutOfMemory(ValueError):
    """Memory ran out; the message names the settings that need less."""

    exit_code = 6

    def __init__(self, config: dict):
        batch, length = config["per_device_train_batch_size"], config["max_length"]
        super().__init__(
            f"out of memory. Lower --per_device_train_batch_size (now {batch}; --gradient_accumulation_steps "
            f"keeps the effective batch, --auto_batch does both automatically) or --max_length (now {length}), or add "
            "--gradient_checkpointing, --dtype=bfloat16 or --use_peft; everything saved before is intact"
        )


def say(text: str):
    """Prints a line and flushes it."""
    print(text, flush=True)


def shared(given: dict) -> bool:
    """Whether the group may read what a run writes (--shared_folders), from settings that are not converted yet."""
    return str(given.get("shared_folders") or "").lower() in ("true", "1", "yes")


class RunFolder:
    """The folder a run writes: locked while it runs, status replaced atomically, metrics appended as they happen."""

    writes = True  # False in processes other than the main one
    attack_seconds = 0.0  # they lie within the stages that evaluate

    def __init__(self, config: dict):
        self.path = Path(config["output_dir"])
        self.started = time.time()
        begin_peak()
        self._began = time.perf_counter()  # unlike time.time(), it never goes backwards
        self.status = {"state": "running", "pid": os.getpid(), "birth": birth_of(os.getpid())}
        self.status |= {"started": self.started, "step": 0, "total_steps": 0}
        self.seconds: dict[str, float] = {}
        self._earlier_peak = 0.0
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
            self.begun_before = (self.path / "run.lock").exists()
            if self.begun_before or not any(self.path.iterdir()):  # not a folder that holds other things too
                with contextlib.suppress(PermissionError):  # another member of the group made it
                    os.chmod(self.path, private.folder_mode())
            (self.path / "figures").mkdir(exist_ok=True)
            self._lock = open(self.path / "run.lock", "a+")  # noqa: SIM115 - stays open: the lock ends with the process
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
        try:
            check_model_folders(config, self.path)
        except ValueError:
            self.release()
            raise
        for kind in ("checkpoint-", TRIAL):
            for name in {path.name.split(".")[1] for path in self.path.glob(f".{kind}*.*")}:
                folders.tidy(self.path / name)
        if config["resume_from_checkpoint"]:
            return
        stale = ["report.html", "report.md", "evaluation.json", "examples.jsonl", "metrics.jsonl", "timing.json",
                 "request.json"]  # fmt: skip
        states = checkpoints(self.path)
        if finished or config["method"] != "auto":  # a killed search resumes
            stale += ["search.json", "search.db", "trials.csv"]
            states += kept_trials(self.path)
        for name in stale:
            (self.path / name).unlink(missing_ok=True)
        for old in states:
            shutil.rmtree(old, ignore_errors=True)

    def write_json(self, name: str, value) -> Path:
        """Replaces a file atomically, so no reader sees half of it."""
        temporary = self.path / f".{name}.tmp"
        text = json.dumps(paths.portable(value), indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
        return temporary.replace(self.path / name)

    def log(self, record: dict):
        """Appends one object to metrics.jsonl."""
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def keep_until(self, step: int):
        """Removes the records after `step`, and a half-written last line, from metrics.jsonl."""
        path, kept = self.path / "metrics.jsonl", []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError):
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
        path.write_text("".join(kept), encoding="utf-8")

    def update(self, **changes):
        """Updates status.json."""
        self.status.update(changes, updated=time.time())
        self.write_json("status.json", self.status)

    def stage(self, name: str):
        """Ends the current stage, whose seconds go into timing.json, and begins the next one."""
        now = time.perf_counter()
        if self._stage:
            previous, began = self._stage
            self.seconds[previous] = round(self.seconds.get(previous, 0) + now - began, 3)
        self._stage = (name, now)
        self.update(stage=name, doing="")
        say(f"[{now - self._began:6.1f} s] {name}")

    def spent(self) -> dict:
        """Seconds by stage and in total, and peak resident memory in GiB; a resumed run adds its earlier parts."""
        now, seconds = time.perf_counter(), dict(self.seconds)
        if self._stage:
            name, began = self._stage
            seconds[name] = round(seconds.get(name, 0) + now - began, 3)
        peak = max(self._earlier_peak, round(peak_gib(), 3))
        attacks = {"attack_seconds": round(self.attack_seconds, 3)} if self.attack_seconds else {}
        return {"seconds": seconds, **attacks, "peak_memory_gib": peak, "total_seconds": round(now - self._began, 3)}

    def spent_before(self, spent: dict):
        """Adds what the run had `spent` when it wrote the checkpoint that it resumes from."""
        for name, seconds in spent["seconds"].items():
            self.seconds[name] = round(self.seconds.get(name, 0) + seconds, 3)
        self._began -= spent["total_seconds"]
        self._earlier_peak = spent["peak_memory_gib"]

    def write_timing(self):
        """Writes timing.json: what the run has `spent`, with the seconds of finished stages."""
        self.write_json("timing.json", {**self.spent(), "seconds": self.seconds})

    def release(self):
        """Unlocks the folder for other runs."""
        with contextlib.suppress(OSError):
            self._lock.truncate(0)
            self._lock.close()


def begin_peak():
    """Frees memory of an earlier run and restarts the peak at the present use. Does nothing outside Linux."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets VmHWM


def peak_gib() -> float:
    """Peak resident memory in GiB since `begin_peak`; outside Linux, since the process started."""
    with contextlib.suppress(OSError, StopIteration):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 2**20
    unit = 2**30 if sys.platform == "darwin" else 2**20  # macOS counts bytes, others KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def check_model_folders(config: dict, run: Path):
    """Refuses a model_output_dir that cannot be written (6), or with files that this run may not replace (2)."""
    written = [Path(config["model_output_dir"])]
    if config["use_peft"] and config["merge_adapter"]:
        written.append(Path(f"{written[0]}-merged"))
    for target in written:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rmdir(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            folders.tidy(target)
            held = target.is_dir() and any(target.iterdir())
        except OSError as error:
            raise RunFolderError(f"--model_output_dir {target}: {error.strerror}", 6) from None
        if target.exists() and not target.is_dir():
            raise RunFolderError(f"--model_output_dir {target} is a file: name a folder", 6)
        _check_sources(config, target)
        ours = (target / folders.MANIFEST).is_file()
        if held and not (ours and _may_replace(config, target, run)):
            cure = ", or give --overwrite_output_dir to replace the model in it" if ours else ""
            raise UsageError(f"--model_output_dir {target} holds files already: choose another{cure}")


def _check_sources(config: dict, target: Path):
    """Refuses a model_output_dir that is, contains or is inside the folder of the target or the retrained model."""
    for name in ("model_name_or_path", "retrained_model"):
        places = [Path(os.path.expanduser(config[name])), PROJECT / config[name]] if config[name] else []
        source = next((path.resolve() for path in places if os.path.isdir(path)), None)
        if source and (target.resolve().is_relative_to(source) or source.is_relative_to(target.resolve())):
            raise UsageError(f"--model_output_dir {target} would write into --{name} {config[name]}: choose another")


def _may_replace(config: dict, target: Path, run: Path) -> bool:
    """Whether the user allows it, or an unfinished attempt of the same run wrote the model."""
    if config["overwrite_output_dir"] or config["resume_from_checkpoint"]:
        return True
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        before = json.loads((run / "config.json").read_text(encoding="utf-8"))["model_output_dir"]
        return target.name.removesuffix("-merged") == Path(before).name.removesuffix("-merged")
    return False


def environment(data_hashes: dict, model_hash: str, device: str, processes: int = 1) -> dict:
    """Everything that affects a result besides the configuration."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for package in ("torch", "transformers", "accelerate", "peft", "datasets", "scikit-learn", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False)
    return {
        "versions": versions,
        "device": device,
        "processes": processes,
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
    *("save_total_limit", "live_answers", "overwrite_output_dir", "attacks", "metrics", "eval_rows", "ledger"),
    *(
        "method_from",
        "metric_from",
        "lm_eval",
        "export",
        "gguf_converter",
        "push_to_hub",
    ),  # the hash of the method's file stands for it
    *("auto_batch", *budget_flags()),
    *("training_data", "forget_about", "forget_about_file", "doubtful", "yes", "request_only"),  # the data's hashes do
    *("build_retrained", "base_model", "null_config"),
    *("received", "due", "retest_after", "letter_pdf", "sign_with", "shared_folders"),
}


TRIAL = "trial-"  # a folder with the final state of a trial of --method auto


def write_state(target: Path, tensors: dict, values: dict, identity: dict, files: dict[str, str]):
    """Writes a run's state, and further `files` by name, into a folder that is either complete or absent.

    Raises ModelError with exit code 6 when the disk is full or not writable.
    """
    with folders.new_folder(target, identity) as temporary:
        _write_tensors(tensors, Path(temporary) / "state.safetensors")
        for name, text in {"state.json": json.dumps(values), **files}.items():
            (Path(temporary) / name).write_text(text, encoding="utf-8")


def _write_tensors(tensors: dict, path: Path):
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def save_checkpoint(run, folder: RunFolder, identity: dict, limit: int) -> Path:
    """Writes a complete checkpoint-<step> into the run folder, or none, and deletes old ones.

    The main process writes it. In a sharded run, every process writes its part before the manifest is written.
    """
    tensors, values = run.state()
    target = folder.path / f"checkpoint-{run.step}"
    if not (folder.writes or run.sharded):
        return target
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(folders.new_folder(target, identity)) if folder.writes else None
        temporary = Path(together.agree(run.accelerator, temporary)[0]) if run.sharded else Path(temporary)
        _write_tensors(tensors, temporary / _state_file(run))
        if folder.writes:
            values["spent"] = folder.spent()
            (temporary / "state.json").write_text(json.dumps(values), encoding="utf-8")
        if run.sharded:
            together.agree(run.accelerator)
    for old in checkpoints(folder.path)[limit:] if folder.writes else ():
        shutil.rmtree(old, ignore_errors=True)
    return target


def _state_file(run) -> str:
    rank = together.rank(run.accelerator) if run.sharded else 0
    return f"state-{rank}.safetensors" if rank else "state.safetensors"


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run folder, newest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    found = [path for path in found if not path.is_symlink()]  # a link may lead to files that this run never wrote
    return sorted(found, key=lambda path: -int(path.name.removeprefix("checkpoint-")))


def kept_trials(folder: Path) -> list[Path]:
    """The folders `trial-<number>` of a run folder; each holds the final state of a trial."""
    found = [path for path in folder.glob(f"{TRIAL}*") if path.name.removeprefix(TRIAL).isdigit()]
    return [path for path in found if not path.is_symlink()]


def find_checkpoint(config: dict, identity: dict, folder: RunFolder) -> Path | None:
    """The checkpoint to resume from: the newest one with a valid manifest. Refuses a checkpoint of another run.

    None if the user asked for none, or if the run ended before its first checkpoint and starts again.
    """
    asked = config["resume_from_checkpoint"]
    if not asked:
        return None
    candidates = checkpoints(folder.path) if asked in ("latest", "true") else [Path(asked)]
    if not candidates and folder.begun_before:
        say("the run ended before its first checkpoint: it starts again")
        folder.keep_until(-1)
        return None
    for path in candidates:
        problems = folders.verify_manifest(path) if path.is_dir() else [f"{path}: no such folder"]
        if problems:
            say(f"checkpoint {path} skipped: {problems[0]}")
            continue
        saved = json.loads((path / folders.MANIFEST).read_text(encoding="utf-8"))["identity"]
        now = identity["identity"]
        differing = sorted(key for key in {*saved, *now} if not _same(saved.get(key), now.get(key)))
        if differing:
            raise UsageError(
                [f"{path} is from another run: {key} was {saved.get(key)!r}, is {now.get(key)!r}" for key in differing]
            )
        return path
    raise UsageError(f"--resume_from_checkpoint {asked}: no complete checkpoint in {config['output_dir']}")


def _same(saved, now) -> bool:
    """Whether a checkpoint and a run agree in a setting; earlier versions saved the plain hashes of rows."""
    return saved == now or (str(now).startswith(private.PREFIX) and now == private.keyed(str(saved)))


def resume(run, path: Path, folder: RunFolder):
    """Loads a checkpoint's state into a prepared run and cuts metrics.jsonl back to it."""
    from safetensors.torch import load_file

    values = json.loads((path / "state.json").read_text(encoding="utf-8"))
    if folder.writes and "spent" in values:
        folder.spent_before(values["spent"])
    run.load_state(load_file(path / _state_file(run)), values)
    folder.keep_until(run.step)
    say(f"resumed from {path} at step {run.step}")


def identity_of(config: dict, hashes: dict, model_hash: str, processes: int | str = 1) -> dict:
    """What a run must share with a checkpoint to resume it: configuration, data, model and processes."""
    settings = {name: value for name, value in config.items() if name not in FREE_ON_RESUME}
    data = {f"data {name}": value for name, value in hashes.items()}
    return {"identity": {**settings, **data, "model": model_hash, "processes": processes}}
