"""Systems: Linux and macOS run; Windows imports everything and is refused in one line; /proc is not needed."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from results.run import run_folder

ROOT = Path(__file__).resolve().parents[1]
# a system without fcntl, resource and /proc, as Windows is
ELSEWHERE = """
import builtins, io, os, pkgutil, sys
import psutil  # on Linux it needs both modules; elsewhere it has code of its own
sys.modules["fcntl"] = sys.modules["resource"] = None
def without_proc(function):
    def called(path, *args, **values):
        if str(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return function(path, *args, **values)
    return called
builtins.open, io.open, os.stat, os.open = (without_proc(f) for f in (open, io.open, os.stat, os.open))
"""
IMPORT_ALL = """
import importlib
names = ["unlearning_algorithm", "unlearning_script", "evaluation_metrics", "analyze_results", "user_interface"]
for top in ("data", "models", "results"):
    names += [m.name for m in pkgutil.walk_packages([top], top + ".") if "saved" not in m.name and "runs" not in m.name]
for name in names:
    importlib.import_module(name)
assert len(names) > 100, names
"""
RUN_THERE = """
sys.path.insert(0, "tests")
import numpy as np, tiny_models, evaluation_metrics, unlearning_algorithm
from data.preparation import encode_examples
model, tokenizer, examples = tiny_models.make_tiny(epochs=1)
rows = {name: encode_examples(tokenizer, part, 64)[0] for name, part in
        (("forget", examples[:6]), ("retain", examples[6:12]))}
settings = {"max_steps": 1, "dtype": "float32"}
records = list(unlearning_algorithm.unlearn(model, rows, "npo", settings, pad_token_id=tokenizer.pad_token_id))
assert any(record["event"] == "step" for record in records)
found = evaluation_metrics.evaluate_model(model, tokenizer, {"forget": examples[:3]}, metrics=["loss"])
assert found.metrics["forget"]["loss"] > 0
"""


def there(code: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", ELSEWHERE + code], cwd=ROOT, env=environment, capture_output=True,
                          text=True, check=False, timeout=300)  # fmt: skip


def test_everything_imports_and_the_python_functions_run_without_fcntl_resource_and_proc():
    done = there(IMPORT_ALL + RUN_THERE)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("script", "flags"),
    [("unlearning_script", []), ("unlearning_script", ["--method=npo"]), ("user_interface", []),
     ("evaluation_metrics", ["--ledger=x", "--model_name_or_path=y"])],
)  # fmt: skip
def test_a_system_without_file_locks_is_refused_in_one_line(script, flags):
    done = there(f"import {script}\nsys.exit({script}.main({flags!r}))")
    assert done.returncode == 2
    assert done.stderr.startswith("error: this needs Linux or macOS") and "WSL" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not done.stdout


def test_help_is_shown_there():
    done = there("import unlearning_script\nunlearning_script.main(['--help'])")
    assert done.returncode == 0 and "--forget_data" in done.stdout


@pytest.mark.parametrize(("system", "counted"), [("darwin", 3 * 2**30), ("linux", 3 * 2**20)])
def test_the_peak_is_in_gib_where_proc_is_missing(monkeypatch, system, counted):
    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(sys, "platform", system)
    usage = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda _: SimpleNamespace(ru_maxrss=counted))
    monkeypatch.setattr(run_folder, "resource", usage)
    assert run_folder.peak_gib() == 3


def test_this_system_is_accepted():
    run_folder.folders.check_platform()
