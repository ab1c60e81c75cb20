"""Clean stops: after a signal the run finishes its step, and all processes stop at the same step."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from results.run import processes
from results.run.run_folder import RunFolder, say


class Stopped(Exception):
    """A signal stopped the run after its current step."""

    def __init__(self, number: int, message: str):
        super().__init__(f"stopped by {signal.Signals(number).name}: {message}")
        self.exit_code = 128 + number


class StopSwitch:
    """On the first SIGINT, SIGTERM or SIGHUP the run finishes its step and stops; on the second it exits at once."""

    def __init__(self):
        self.number = None
        self.kept = "nothing to keep yet"  # what remains if the run stops now
        self._previous = {}

    def __enter__(self):
        with contextlib.suppress(ValueError):  # only the main thread may set handlers
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
        say(f"{signal.Signals(number).name}: finishing this step; repeat to exit at once")

    def agreed(self) -> bool:
        """Whether a signal has arrived in any of the run's processes; all of them get the same answer."""
        self.number = next((n for n in processes.team().agree(self.number) if n is not None), None)
        return self.number is not None

    def check(self):
        """Raises `Stopped` if a signal has arrived."""
        if self.number is not None:
            raise Stopped(self.number, self.kept)


def reporter(folder: RunFolder, switch: StopSwitch):
    """Returns progress(text) for passes over data: it writes the text into status.json and raises `Stopped`."""
    last = 0.0

    def progress(text: str):
        nonlocal last
        switch.check()
        if time.monotonic() - last > 1:
            last = time.monotonic()
            folder.update(doing=text)

    return progress
