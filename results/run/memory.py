"""The peak resident memory of one run, also where several runs share a process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
from pathlib import Path

_STATUS, _REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def begin_peak():
    """Gives back what an earlier run left and lets the peak begin at what is held now (on Linux; elsewhere nothing)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    with contextlib.suppress(OSError):
        _REFERENCES.write_text("5", encoding="ascii")  # proc(5): resets VmHWM


def peak_gib() -> float:
    """The most resident memory since `begin_peak`, GiB; where the system does not tell, since the process began."""
    with contextlib.suppress(OSError, StopIteration):
        line = next(text for text in _STATUS.read_text(encoding="ascii").splitlines() if text.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
