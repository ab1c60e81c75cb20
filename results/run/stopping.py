"""Stopping in order: a signal is heard, the step in hand is finished, and of several processes all stop at it."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from results.run import processes
from results.run.run_folder import RunFolder, say


class Stopped(Exception):
    """SIGINT or SIGTERM arrived; the step in hand was finished."""

    def __init__(self, number: int, message: str):
        super().__init__(f"stopped by {signal.Signals(number).name}: {message}")
        self.exit_code = 128 + number


class StopSwitch:
    """First SIGINT or SIGTERM: finish the step and stop in order; the second leaves at once."""

    def __init__(self):
        self.number = None
        self.kept = "nothing to keep yet"  # what a stop now would leave behind
        self._previous = {}

    def __enter__(self):
        with contextlib.suppress(ValueError):  # not the main thread: nobody sends us signals there
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number, _frame):
        if self.number is not None:
            os._exit(128 + number)
        self.number = number
        say(f"{signal.Signals(number).name}: finishing this step; once more to leave at once")

    def agreed(self) -> bool:
        """Whether a signal has arrived in any of the run's processes: they stop at the same step."""
        self.number = next((n for n in processes.team().agree(self.number) if n is not None), None)
        return self.number is not None

    def check(self):
        """Raises `Stopped` if a signal has arrived."""
        if self.number is not None:
            raise Stopped(self.number, self.kept)


def reporter(folder: RunFolder, switch: StopSwitch):
    """progress(text) for passes over data: the line goes into status.json, and a stop asked for takes effect."""
    last = 0.0

    def progress(text: str):
        nonlocal last
        switch.check()
        if time.monotonic() - last > 1:
            last = time.monotonic()
            folder.update(doing=text)

    return progress
