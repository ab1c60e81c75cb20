"""Tries a chat template in a process of its own first: one that never ends would hang the run.

    tried("models/x", template, {"messages": [...], "add_generation_prompt": True})   # Endless if it takes too long

The process is started with the first template and tries one rendering after the other. The kernel ends it after
`SECONDS` of computing. It renders as transformers does; what a template raises there, it raises again in the run. The
rendering in the run has a time limit too, because a template may act at random: see `in_time` for what that leaves.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

SECONDS = 5.0  # of computing for one rendering; a template takes milliseconds
MEMORY = 2**30  # bytes
LONGEST = 1_000_000  # characters of a rendering, and twenty for each character of its conversation
WRONG = {
    "time": "does not end",
    "memory": "needs too much memory",
    "long": "writes millions of characters",
}
CURE = "use another model, or correct the template (chat_template.jinja, or chat_template in tokenizer_config.json)"


class Endless(ValueError):
    """A chat template that takes too long, or too much memory."""

    exit_code = 4


_OPTIONS = ("tokenize", "chat_template", "return_dict", "return_tensors")  # of transformers, not of a template
_guard = threading.Lock()
_fine: set[str] = set()  # renderings that were tried
_process: subprocess.Popen | None = None
_starter = 0  # the process that started it: a fork must not share the pipe


def tried(name: str, template: str, variables: dict[str, Any]) -> None:
    """Raises Endless, with the name of the model, for a rendering that must not be done in this process."""
    line = json.dumps([template, variables])
    with _guard:
        if line not in _fine:
            told = _ask(line)
            if told in WRONG:
                raise Endless(f"{name}: its chat template {WRONG[told]}: {CURE}")
            _fine.add(line)


@contextlib.contextmanager
def in_time(name: str):
    """Raises Endless in a rendering of this process that computes for twice the time that the trial had.

    A signal does it: only in the main thread, not on Windows, and not within one long operation, such as a power.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def end(*_):
        raise Endless(f"{name}: its chat template {WRONG['time']}: {CURE}")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, 2 * SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextlib.contextmanager
def watched(tokenizer: Any):
    """Each rendering by `tokenizer.apply_chat_template` is tried first, also where another package asks for it."""
    honest, name = tokenizer.apply_chat_template, str(tokenizer.name_or_path)

    def apply(conversation, *args, **options):
        template = tokenizer.get_chat_template(options.get("chat_template"), options.get("tools"))
        given = {key: value for key, value in options.items() if key not in _OPTIONS}
        tried(name, template, {**tokenizer.special_tokens_map, **given, "messages": conversation})
        with in_time(name):
            return honest(conversation, *args, **options)

    tokenizer.apply_chat_template = apply
    try:
        yield
    finally:
        del tokenizer.apply_chat_template


def _ask(line: str) -> str:
    """What the process says of a rendering: a key of `WRONG`, or anything else."""
    global _process, _starter
    if _process is None or _starter != os.getpid() or _process.poll() is not None:
        words = [sys.executable, os.path.abspath(__file__), str(SECONDS)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        # not in our process group: a signal that asks the run to stop must not end it
        _process = subprocess.Popen(words, **pipes, start_new_session=True, env=os.environ | {"PYTHONSAFEPATH": "1"})
        _starter = os.getpid()
        atexit.register(_end, _process, _starter)
    reply = b""
    with contextlib.suppress(OSError):
        _process.stdin.write(line.encode() + b"\n")
        _process.stdin.flush()
        reply = _process.stdout.readline()
    if reply.endswith(b"\n"):
        return reply.decode().strip()
    code = _process.wait()
    if code == -signal.SIGPROF:
        return "time"
    return "memory" if code in (-signal.SIGKILL, -signal.SIGSEGV) else "not tried"


def _end(process: subprocess.Popen, starter: int) -> None:
    if starter == os.getpid():
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


# ---------------------------------------------------------------------------------------------------------------------
# The process


def _environment():
    """Jinja's sandbox with what transformers adds to it."""
    import datetime

    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(jinja2.ext.Extension):
        """The marks around what an assistant says: their content is written as it is."""

        tags = {"generation"}  # noqa: RUF012 - as jinja2 has it

        def parse(self, parser):
            """The statements between the marks."""
            next(parser.stream)
            return parser.parse_statements(["name:endgeneration"], drop_needle=True)

    def refuse(message):
        raise jinja2.TemplateError(message)

    def as_json(value, ensure_ascii=False, **layout):
        return json.dumps(value, ensure_ascii=ensure_ascii, **layout)

    extensions = [Generation, jinja2.ext.loopcontrols]
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    made.filters["tojson"] = as_json
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return made


def _rendered(environment, line: str) -> str:
    """How a rendering went."""
    template, variables = json.loads(line)
    size = 0
    for piece in environment.from_string(template).generate(**variables):
        size += len(piece)
        if size > LONGEST + 20 * len(line):
            return "long"
    return "done"


def main() -> None:
    """Answers each line of the standard input with a line."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    environment = _environment()
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, float(sys.argv[1]))
        try:
            told = _rendered(environment, line)
        except MemoryError:
            told = "memory"
        except Exception:  # the run meets the same error, and tells it
            told = "error"
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(told, flush=True)


if __name__ == "__main__":
    main()
