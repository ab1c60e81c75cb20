"""Passwords of the page's accounts. After a few wrong ones an address has to wait, each time twice as long."""

from __future__ import annotations

import contextvars
import hmac
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

FREE = {True: 3, False: 10}  # wrong log-ins without a wait: for one name, and for all names together
LONGEST = 300.0  # seconds of a wait
FORGOTTEN = 3600.0  # seconds without a wrong log-in until the count starts again
KEPT = 10_000  # counts in memory
PIPE = "UNLEARNING_AUTH_PIPE"  # the number of an open pipe that holds the passwords
LONGEST_LIST = 60_000  # bytes that surely fit into a pipe

caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")  # the address behind a request


class LogIns:
    """`check` is Gradio's `auth`. A right password counts only when no wait is left, else guessing would find it."""

    def __init__(self, accounts: Iterable[tuple[str, str]], clock: Callable[[], float] = time.monotonic):
        self._passwords, self._clock = dict(accounts), clock
        self._wrong: OrderedDict[tuple[str, str | None], tuple[int, float]] = OrderedDict()  # (count, time of the last)
        self._guard = threading.Lock()

    def check(self, name: str, password: str) -> bool:
        """Whether the password is right. Raises Gradio's HTTP error 429 while the caller has to wait."""
        known = name if name in self._passwords else ""  # unknown names share a count
        keys = ((caller.get(), known), (caller.get(), None))
        with self._guard:
            left = max(map(self._left, keys))
            if left > 0:
                raise _too_many(left)
            given, wanted = (
                text.encode("utf-8", "surrogatepass") for text in (password, self._passwords.get(name, ""))
            )
            right = hmac.compare_digest(given, wanted) and bool(known)
            for key in keys:
                count, _ = self._wrong.pop(key, (0, 0.0))
                if not right:
                    self._wrong[key] = (count + 1, self._clock())
            while len(self._wrong) > KEPT:
                self._wrong.popitem(last=False)
            return right

    def _left(self, key: tuple[str, str | None]) -> float:
        """Seconds that a caller has to wait."""
        count, last = self._wrong.get(key, (0, 0.0))
        if count and self._clock() - last > FORGOTTEN:
            del self._wrong[key]
            return 0.0
        over = count - FREE[key[1] is not None]
        return last + min(2.0 ** min(over, 60), LONGEST) - self._clock() if over >= 0 else 0.0


def _too_many(seconds: float):
    from fastapi import HTTPException

    wait = int(seconds) + 1
    detail = f"Too many wrong log-ins: try again in {wait} s."
    return HTTPException(status_code=429, detail=detail, headers={"Retry-After": str(wait)})


def restart_without(auth: str | None, variable: str) -> None:
    """Starts this program again if its passwords stand in `--auth`, which is `auth`, or in the environment's variable.

    Every process of the same user, a child that loads a stranger's model too, reads both in `/proc`, and `ps` shows the
    command line. A pipe carries them instead, see `taken`.
    """
    secret = (auth or os.environ.get(variable) or "").encode("utf-8", "surrogateescape")
    if os.name != "posix" or not 0 < len(secret) < LONGEST_LIST:
        return
    rest, words = [], iter(sys.argv[1:])
    for word in words:
        flag, equals, _ = word.partition("=")
        if not (flag.startswith("--au") and "--auth".startswith(flag)):  # argparse takes the beginning of a flag too
            rest.append(word)
        elif not equals:
            next(words, None)
    ours, writes = os.pipe()
    os.write(writes, secret)
    os.close(writes)
    os.set_inheritable(ours, True)
    kept = {name: value for name, value in os.environ.items() if name != variable}
    python = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]  # its flags, and the script
    os.execve(sys.executable, [sys.executable, *python, *rest], kept | {PIPE: str(ours)})


def taken(variable: str) -> str | None:
    """The passwords of the pipe or of the variable; neither is left, so that no child inherits it."""
    secret, pipe = os.environ.pop(variable, None), os.environ.pop(PIPE, None)
    if pipe is None:
        return secret
    with open(int(pipe), encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
