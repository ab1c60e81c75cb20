"""Several processes of one run, as torchrun and accelerate start them: all train, the main one writes and speaks.

    torchrun --nproc_per_node 2 unlearning_script.py --method npo

Each process trains on its own rows of every batch. The main process (rank 0) owns the run folder, measures, saves and
prints while the others wait. With one process none of this is set up, and accelerate is not even imported.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import sys
from datetime import timedelta

from models.training import together
from results.run.run_folder import OutOfMemory, RunFolder, UsageError

PATIENCE = timedelta(days=1)  # the others wait while the main process measures; its death they notice at once


class Team:
    """The processes of this run; with one, it is the main one and every method is a plain call."""

    def __init__(self, accelerator=None):
        self.accelerator = accelerator
        self.count = together.count(accelerator)
        self.main = accelerator is None or accelerator.is_main_process
        self.lost = False
        self.over = False  # an error has been told, or heard of: there is nothing left to agree on

    @property
    def layout(self) -> int | str:
        """How many there are and, where they share the weights out, that: what a checkpoint depends on."""
        return f"{self.count} (FSDP)" if sharded() else self.count

    @property
    def whole(self):
        """The accelerator for a training whose weights stand whole in every process; None where they are sharded."""
        return None if sharded() else self.accelerator

    def agree(self, value=None) -> list:
        """Every process's value; raises `together.Elsewhere` where another one has failed."""
        try:
            return together.agree(self.accelerator, value)
        except together.Elsewhere:
            self.over = True
            raise

    def tell(self, error: BaseException):
        """Ends the others with this process's error, at their next agreement."""
        if sharded() and isinstance(error, OutOfMemory):
            self.over = self.lost = True  # the others wait in the middle of a layer; that this one is gone ends them
        if not (self.over or isinstance(error, together.Elsewhere)):
            self.over = True
            with contextlib.suppress(RuntimeError):  # where they are gone already
                together.agree(self.accelerator, error=error)

    def by_main(self, compute):
        """`compute()` by the main process, for which the others wait; None in theirs."""
        value = compute() if self.main else None
        self.agree()
        return value

    def from_main(self, compute):
        """What `compute()` returns in the main process, in every process."""
        return self.agree(compute() if self.main else None)[0]

    @property
    def device(self):
        """Where this process computes."""
        import torch

        return self.accelerator.device if self.accelerator else torch.device("cpu")

    def placed(self, model):
        """The model on this process's device."""
        return model.to(self.accelerator.device) if self.accelerator else model


class NoFolder(RunFolder):
    """The run folder as seen by a process that does not write it."""

    writes = False

    def __init__(self, path, begun_before: bool):
        self.path, self.begun_before = path, begun_before

    def write_json(self, name: str, value):
        """Not this process's to write; so are the others."""

    def log(self, record: dict):
        """See `write_json`."""

    def keep_until(self, step: int):
        """See `write_json`."""

    def update(self, **changes):
        """See `write_json`."""

    def stage(self, name: str):
        """See `write_json`."""

    def write_timing(self):
        """See `write_json`."""

    def release(self):
        """See `write_json`."""


def open_folder(config: dict) -> RunFolder:
    """The run folder in the main process, a stand-in that writes nothing in the others."""
    us = team()
    folder = RunFolder(config) if us.main else None
    path, begun_before = us.agree((folder.path, folder.begun_before) if folder else None)[0]
    return folder or NoFolder(path, begun_before)


def launched() -> int:
    """How many processes the launcher says it started."""
    with contextlib.suppress(ValueError):
        return max(1, int(os.environ.get("WORLD_SIZE") or 1))
    return 1


def sharded() -> bool:
    """Whether accelerate's configuration asks for FSDP, and there are processes to share the weights out to."""
    return launched() > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def speaks() -> bool:
    """Whether this process is the one that prints, known before anything is set up."""
    return launched() == 1 or os.environ.get("RANK", "0") == "0"


def team() -> Team:
    """The processes of this run; set up at the first call where a launcher started several."""
    return _team() if launched() > 1 else Team()


@functools.cache
def _team() -> Team:
    import torch
    from accelerate import Accelerator, InitProcessGroupKwargs

    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        raise UsageError("DeepSpeed is not supported: its engine owns the optimizer. Use data parallel or FSDP")
    # without the flag accelerate takes every process on a machine without a GPU for the only one
    on_cpu = True if not torch.accelerator.is_available() else None
    accelerator = Accelerator(cpu=bool(on_cpu), kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])
    if accelerator.num_processes != launched():
        raise UsageError(
            f"the launcher started {launched()} processes, accelerate joined {accelerator.num_processes}: "
            "each would do the whole run by itself"
        )
    atexit.register(_dissolve)  # for callers that do not go through `together_to_the_end`
    return Team(accelerator)


def missing() -> str | None:
    """What to say where accelerate's launcher was asked for several processes and started one (it does with --cpu)."""
    asked = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ
    if not asked or launched() > 1:
        return None
    return (
        "accelerate launch was asked for several processes and started ONE; on a CPU start them with "
        "ACCELERATE_USE_CPU=true torchrun --nproc_per_node N unlearning_script.py ..."
    )


@contextlib.contextmanager
def together_to_the_end():
    """Around all that a process does: others hear of its errors, only the main one prints, the group is dissolved."""
    with contextlib.ExitStack() as stack:
        if not speaks():
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
        try:
            yield
        except BaseException as error:
            if _team.cache_info().currsize:
                _team().tell(error)
            raise
        finally:
            _dissolve()


def _dissolve():
    """Waits for everyone and ends the process group: torch aborts now and then where a process just exits."""
    if not _team.cache_info().currsize:
        return
    us, accelerator = _team(), _team().accelerator
    _team.cache_clear()
    sys.stdout.flush()
    if us.lost:
        return
    with contextlib.suppress(Exception):  # the run has ended, one way or the other
        accelerator.wait_for_everyone()
        accelerator.free_memory()
        accelerator.end_training()


def command(words: list[str]) -> list[str]:
    """The command that starts this run again with as many processes."""
    if launched() == 1:
        return words
    return ["torchrun", "--nproc_per_node", str(launched()), *words[1:]]
