"""Tells one process from another with the same id: ids are used again, birth times are not."""

from __future__ import annotations

import psutil


def birth_of(pid) -> int | None:
    """When a process began, in hundredths of a second; None for a dead process, a zombie, or what is no id.

    Counted from boot on Linux, so that a clock that is set does not change it.
    """
    try:
        process = psutil.Process(int(pid))
        began = process.create_time() - (psutil.boot_time() if psutil.LINUX else 0)
        return None if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else round(100 * began)
    except (psutil.Error, TypeError, ValueError, OverflowError):
        return None


def alive(pid, birth=None) -> bool:
    """Whether a process still runs. birth: its `birth_of`; without it any process of this id counts."""
    now = birth_of(pid)
    return now is not None and birth in (None, now)
