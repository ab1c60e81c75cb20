"""The peak memory of a run is its own, not that of a larger run before it in the same process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import ctypes
import numpy as np
from models.training.weights import keep_freed_memory
from results.run.run_folder import begin_peak, peak_gib
keep_freed_memory()  # freed memory stays with the process, as in a run
begin_peak()
large = np.ones(2**27)
first = peak_gib()
del large
begin_peak()
small = np.ones(2**24)
print(first, peak_gib())
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is reset through Linux' /proc alone")
def test_the_peak_of_a_run_is_not_that_of_a_larger_one_before_it():
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    first, second = map(float, done.stdout.split())
    assert first > 1.0 and 0.1 < second < first - 0.7
