"""Asks models a question in a child process, so the page neither holds models nor waits for them.

    asker = Asker(project); asker.ask(["models/people-target", "models/saved/mine"], "Who ...?")

The process answers one question at a time and keeps small models for the next one. It is killed if a question takes
too long, and ends after a while without questions. Questions travel as JSON lines, never as arguments or code.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
from pathlib import Path

from results.page.jobs import child_environment

TIME_LIMIT = 180.0  # seconds for a question, loading included
IDLE = 300.0  # seconds without a question until the process ends
KEPT_WEIGHTS = 1_500_000_000  # weights kept in memory between questions
MAX_TOKENS = 64


class AskError(ValueError):
    """A question could not be answered; the message says why."""

    exit_code = 4


class Asker:
    """The page's side: one child process, started with the first question."""

    def __init__(self, project: Path, time_limit: float = TIME_LIMIT):
        self.project, self.time_limit = Path(project), time_limit
        self._guard = threading.Lock()
        self._process: subprocess.Popen | None = None
        atexit.register(self.close)

    def ask(self, models: list[str], question: str, expected: str = "") -> dict:
        """{"answers": [text per model], "probabilities": [[p of answer i under model j]], "expected": [p per model]}.

        Probabilities are geometric means over the answer's tokens. Raises AskError, also after the time limit.
        """
        if not self._guard.acquire(timeout=self.time_limit):
            raise AskError("the models are still answering another question: try again in a moment")
        try:
            return self._exchange({"models": models, "question": question, "expected": expected})
        finally:
            self._guard.release()

    def close(self) -> None:
        """Ends the child process."""
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    stream.close()

    def _exchange(self, request: dict) -> dict:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "results.page.asking"],
                cwd=self.project,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=child_environment() | {"PYTHONUNBUFFERED": "1"},
            )
        process, late = self._process, threading.Event()

        def give_up():
            late.set()
            process.kill()

        timer = threading.Timer(self.time_limit, give_up)
        timer.start()
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = b""
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            self.close()
            if late.is_set():
                raise AskError(f"no answer within {self.time_limit:.0f} s: the model may be too large for this machine")
            raise AskError("the model could not answer: its process ended, usually because memory ran out")
        reply = json.loads(line)
        if "error" in reply:
            raise AskError(reply["error"])
        return reply


# ---------------------------------------------------------------------------------------------------------------------
# The child's side


class _Models:
    """Loaded models by name and state on disk; drops the least recently used ones above `KEPT_WEIGHTS`."""

    def __init__(self):
        self._loaded: dict[tuple, tuple] = {}

    def get(self, name: str):
        """(model, tokenizer) of a name, loaded on first use."""
        from models.store import loading

        key = (name, *self._stamp(name))
        if key not in self._loaded:
            need = loading.parameter_count(name) or KEPT_WEIGHTS
            while self._loaded and need + sum(m.num_parameters() for m, _ in self._loaded.values()) > KEPT_WEIGHTS:
                self._loaded.pop(next(iter(self._loaded)))
            self._loaded[key] = loading.load_model(name, progress=lambda text: None)
        self._loaded[key] = self._loaded.pop(key)  # to the end: most recently used
        return self._loaded[key]

    @staticmethod
    def _stamp(name: str) -> tuple:
        return tuple(sorted((path.name, path.stat().st_mtime_ns) for path in Path(name).glob("*.safetensors")))


def probability(model, tokenizer, question: str, answer: str) -> float | None:
    """exp(mean log p) of the answer's tokens after the question; None for an empty answer."""
    import math

    import torch

    from data.columns import Example
    from data.preparation import encode_examples
    from unlearning_algorithm import answer_outputs

    if not answer.strip():
        return None
    rows, _ = encode_examples(tokenizer, [Example(answer=answer, prompt=question)], 512)
    with torch.inference_mode():
        loss = answer_outputs(model, rows.batch([0], tokenizer.pad_token_id or 0)).sequence_mean()
    return math.exp(-float(loss[0]))


def answer(models: _Models, request: dict) -> dict:
    """The reply to one request, one model after the other."""
    from data.columns import Example
    from evaluation_metrics import generate_answers

    names, question, expected = request["models"], request["question"], request["expected"]
    said = []
    for name in names:
        model, tokenizer = models.get(name)
        said += generate_answers(model, tokenizer, [Example(answer="-", prompt=question)], max_new_tokens=MAX_TOKENS)
    table, wanted = [[None] * len(names) for _ in said], []
    for column, name in reversed(list(enumerate(names))):  # the last model is still loaded
        model, tokenizer = models.get(name)
        for row, text in enumerate(said):
            table[row][column] = probability(model, tokenizer, question, text)
        wanted.insert(0, probability(model, tokenizer, question, expected))
    return {"answers": said, "probabilities": table, "expected": wanted}


def serve() -> None:
    """Answers requests from standard input until it closes or stays idle."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keeps prints of libraries out of the replies
    models = _Models()
    while select.select([sys.stdin], [], [], IDLE)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        try:
            reply = answer(models, json.loads(line))
        except Exception as error:  # the page shows it; the process continues
            known = hasattr(error, "exit_code")
            reply = {"error": str(error) if known else f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    serve()
