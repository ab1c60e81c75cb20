"""Runs the scripts as real processes without importing torch each time, which takes four seconds.

Python's fork server imports the scripts once. Every run is a fork of it with its own output, environment, limits and
faults. A test gives the faults as `strikes`, tuples of a name and its values:

    kill_in_save N     SIGKILL at the N-th system call (fsync, rename, chmod) of a save
    kill_in_line WHEN  SIGKILL "before" the run's line in the ledger, "half" way through it, or right "after"
    kill_at_step N     SIGKILL when the N-th step has been logged
    signal PLACE N T   the process sends itself signal N (T times) when the stage PLACE, or "step 3", begins
    memory PLACE SIZE  from PLACE (or "loaded") on, the address space may grow by SIZE bytes only
    file_size BYTES    a limit on the size of any file, which acts like a full disk
    clock_back         the clock goes backwards
    as_nobody          the run belongs to user 65534
    poison N           a loss of step N is NaN
    no_memory PLACE    at PLACE (as above) memory runs out
    no_figures         the report has no figures, which take longer than everything else
    runs_in FOLDER     FOLDER/runs is the folder of all runs, FOLDER/tmp that of temporary files
    kill_in_purge N    SIGKILL at the N-th file that is deleted or replaced
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRELOADED = ["unlearning_script", "torch", "transformers", "sklearn.metrics", "matplotlib.pyplot", "peft", "tqdm",
             "accelerate", "safetensors.torch", "scipy.stats", "transformers.models.llama.modeling_llama",
             "results.report.figures", "models.forward.packing", "models.forward.generation",
             "models.training.weights"]  # fmt: skip


class Run:
    """A running run: its process, its output, its exit code."""

    def __init__(self, process, output: Path):
        self.process, self.output_file = process, output

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self.process.pid

    def wait(self, seconds: float = 120) -> int:
        """Its exit code as in a shell: 137 for a kill."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"still running after {seconds} s: {self.output[-2000:]}")
        code = self.process.exitcode
        return code if code >= 0 else 128 - code

    @property
    def output(self) -> str:
        """What it has printed so far, errors included."""
        return self.output_file.read_text(encoding="utf-8", errors="replace")


def start(argv, output: Path, strikes=(), environment=None, script: str = "unlearning_script") -> Run:
    """Starts `script.main(argv)` in its own process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, "forked_runs"])
    output.parent.mkdir(parents=True, exist_ok=True)
    process = context.Process(target=_main, args=(script, list(argv), str(output), list(strikes), environment or {}))
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "HF_HUB_OFFLINE")}
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")  # the server keeps its first environment
    try:
        process.start()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    return Run(process, output)


def run(argv, output: Path, strikes=(), environment=None, script: str = "unlearning_script", seconds: float = 120):
    """(exit code, output) of `script.main(argv)` in its own process."""
    started = start(argv, output, strikes, environment, script)
    return started.wait(seconds), started.output


def _main(script: str, argv: list[str], output: str, strikes: list, environment: dict):
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    sys.stdout.reconfigure(encoding=encoding, line_buffering=True)
    sys.stderr.reconfigure(encoding=encoding, errors="strict")
    os.environ.update(environment)
    time.tzset()
    os.chdir(ROOT)
    import importlib

    import torch

    torch.set_num_threads(1)
    module = importlib.import_module(script)
    for name, *values in strikes:
        STRIKES[name](*values)
    try:
        code = module.main(argv)
    except Exception:  # what a user would see
        import traceback

        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


# ---------------------------------------------------------------------------------------------------------------------
# Faults


def _kill():
    os.kill(os.getpid(), 9)


def _killing_call(number):
    """Wraps functions so that call `number` of any of them kills the process."""
    left = [int(number)]

    def struck(call):
        def called(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                _kill()
            return call(*args, **kwargs)

        return called

    return struck


def _kill_in_save(number):
    import safetensors.torch

    struck = _killing_call(number)
    for name in ("fsync", "rename", "chmod", "mkdir", "rmdir"):
        setattr(os, name, struck(getattr(os, name)))
    safetensors.torch.save_file = struck(safetensors.torch.save_file)


def _kill_in_line(when):
    from models.requests import ledger

    honest = ledger._append

    def append(file, path, entry, once):
        if when == "half":
            os.write(file.fileno(), b'{"command": "python unlear')
        if when == "after":
            honest(file, path, entry, once)
        _kill()

    ledger._append = append


def _kill_at_step(number):
    from results.run.run_folder import RunFolder

    honest = RunFolder.log

    def log(self, record):
        honest(self, record)
        if record.get("event") == "step" and record["step"] >= int(number):
            _kill()

    RunFolder.log = log


def _at(place, strike):
    """Calls `strike` when a stage or "step N" begins, or when a model has been "loaded"."""
    import unlearning_algorithm as algorithm
    from models.store import loading
    from results.run.run_folder import RunFolder

    stage_of, step_of, load_of = RunFolder.stage, algorithm.Unlearning._train_step, loading.load_model

    def begin(self, name):
        stage_of(self, name)
        if name == place:
            strike()

    def step(self):
        if f"step {self.step + 1}" == place:
            strike()
        return step_of(self)

    def load(*args, **kwargs):
        loaded = load_of(*args, **kwargs)
        if place == "loaded":
            strike()
        return loaded

    RunFolder.stage, algorithm.Unlearning._train_step, loading.load_model = begin, step, load


def _signal(place, number, times=1):
    def strike():
        for _ in range(int(times)):
            os.kill(os.getpid(), int(number))
            time.sleep(0.01)  # handlers run between two byte codes

    _at(place, strike)


def _memory(place, size):
    import resource

    def strike():
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + int(size), used + int(size)))

    _at(place, strike)


def _no_memory(place):
    def strike():
        raise MemoryError

    _at(place, strike)


def _file_size(size):
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes fail with an error instead
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))


def _clock_back():
    now, calls = time.time(), [0]

    def earlier():
        calls[0] += 1
        return now - 60 * calls[0]

    time.time = earlier


def _as_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def _runs_in(folder):
    import tempfile

    from models.scores import kept
    from models.store import paths

    paths.RUNS, tempfile.tempdir = Path(folder) / "runs", str(Path(folder) / "tmp")
    kept.EVALUATIONS = paths.RUNS / ".evaluations"


def _kill_in_purge(number):
    import shutil

    struck = _killing_call(number)
    for owner, name in ((Path, "unlink"), (Path, "replace"), (shutil, "rmtree")):
        setattr(owner, name, struck(getattr(owner, name)))


def _no_figures():
    import results.report.figures

    results.report.figures.FIGURES = ()


def _poison(number):
    import unlearning_algorithm as algorithm

    honest = algorithm.Unlearning._accumulate

    def poisoned(self, terms):
        losses = honest(self, terms)
        if self.step == int(number) - 1:
            losses[next(iter(losses))] = float("nan")
        return losses

    algorithm.Unlearning._accumulate = poisoned


STRIKES = {name: globals()[f"_{name}"] for name in (
    "kill_in_save", "kill_in_line", "kill_at_step", "signal", "memory", "file_size", "clock_back", "as_nobody",
    "poison", "no_figures", "no_memory", "runs_in", "kill_in_purge",
)}  # fmt: skip
