"""Several processes of one run, started by torchrun or accelerate: all train, the main one writes and prints.

    torchrun --nproc_per_node 2 unlearning_script.py --method npo

Each process trains on its own rows of every batch. The main process (rank 0) owns the run folder, measures, saves and
prints while the others wait. With one process nothing is set up, and accelerate is not imported.
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

PATIENCE = timedelta(days=1)  # the others wait while the main process measures; its death ends them at once


class Team:
    """The processes of this run. A single process is the main one, and its methods are plain calls."""

    def __init__(self, accelerator=None):
        self.accelerator = accelerator
        self.count = together.count(accelerator)
        self.main = accelerator is None or accelerator.is_main_process
        self.lost = False
        self.over = False  # an error was sent or received, and no agreement follows

    @property
    def layout(self) -> int | str:
        """The number of processes and whether they shard the weights. A checkpoint fits only its own layout."""
        return f"{self.count} (FSDP)" if sharded() else self.count

    @property
    def whole(self):
        """The accelerator if every process holds all weights; None if the weights are sharded."""
        return None if sharded() else self.accelerator

    def agree(self, value=None) -> list:
        """The values of all processes. Raises `together.Elsewhere` if another process has failed."""
        try:
            return together.agree(self.accelerator, value)
        except together.Elsewhere:
            self.over = True
            raise

    def tell(self, error: BaseException):
        """Sends this process's error to the others, which ends them at their next agreement."""
        if sharded() and isinstance(error, OutOfMemory):
            self.over = self.lost = True  # the others wait inside a layer and cannot agree; this exit ends them
        if not (self.over or isinstance(error, together.Elsewhere)):
            self.over = True
            with contextlib.suppress(RuntimeError):  # they may be gone already
                together.agree(self.accelerator, error=error)

    def by_main(self, compute):
        """`compute()` in the main process while the others wait; None in the others."""
        value = compute() if self.main else None
        self.agree()
        return value

    def from_main(self, compute):
        """The main process's `compute()`, returned in every process."""
        return self.agree(compute() if self.main else None)[0]

    @property
    def device(self):
        """The device of this process."""
        import torch

        return self.accelerator.device if self.accelerator else torch.device("cpu")

    def placed(self, model):
        """The model on this process's device."""
        return model.to(self.accelerator.device) if self.accelerator else model


class NoFolder(RunFolder):
    """The run folder in a process that does not write it: every write is ignored."""

    writes = False

    def __init__(self, path, begun_before: bool):
        self.path, self.begun_before = path, begun_before

    def _ignore(self, *_, **__):
        pass

    write_json = log = keep_until = update = stage = write_timing = release = _ignore


def open_folder(config: dict) -> RunFolder:
    """The run folder in the main process, a `NoFolder` in the others."""
    us = team()
    folder = RunFolder(config) if us.main else None
    path, begun_before = us.agree((folder.path, folder.begun_before) if folder else None)[0]
    return folder or NoFolder(path, begun_before)


def launched() -> int:
    """The number of processes according to the launcher (WORLD_SIZE)."""
    with contextlib.suppress(ValueError):
        return max(1, int(os.environ.get("WORLD_SIZE") or 1))
    return 1


def sharded() -> bool:
    """Whether accelerate's configuration asks for FSDP and there are several processes."""
    return launched() > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def speaks() -> bool:
    """Whether this process prints. Works before anything is set up."""
    return launched() == 1 or os.environ.get("RANK", "0") == "0"


def team() -> Team:
    """The processes of this run. If a launcher started several, the first call joins them."""
    return _team() if launched() > 1 else Team()


@functools.cache
def _team() -> Team:
    import torch
    from accelerate import Accelerator, InitProcessGroupKwargs

    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        raise UsageError("DeepSpeed is not supported: it replaces the optimizer. Use data parallel or FSDP")
    # without a GPU, accelerate needs this flag; otherwise each process thinks it is alone
    on_cpu = True if not torch.accelerator.is_available() else None
    accelerator = Accelerator(cpu=bool(on_cpu), kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])
    if accelerator.num_processes != launched():
        raise UsageError(
            f"the launcher started {launched()} processes, accelerate joined {accelerator.num_processes}: "
            "each would do the whole run alone"
        )
    atexit.register(_dissolve)  # for callers that bypass `together_to_the_end`
    return Team(accelerator)


def missing() -> str | None:
    """A warning if accelerate's launcher was asked for several processes but started one (as it does with --cpu)."""
    asked = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ
    if not asked or launched() > 1:
        return None
    return (
        "accelerate launch was asked for several processes and started ONE; on a CPU start them with "
        "ACCELERATE_USE_CPU=true torchrun --nproc_per_node N unlearning_script.py ..."
    )


@contextlib.contextmanager
def together_to_the_end():
    """Runs a process's work: sends its errors to the others, silences all but the main one, then closes the group."""
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
    """Waits for all processes and closes the group. Otherwise torch sometimes aborts at exit."""
    if not _team.cache_info().currsize:
        return
    us, accelerator = _team(), _team().accelerator
    _team.cache_clear()
    sys.stdout.flush()
    if us.lost:
        return
    with contextlib.suppress(Exception):  # the run has ended already
        accelerator.wait_for_everyone()
        accelerator.free_memory()
        accelerator.end_training()


def command(words: list[str]) -> list[str]:
    """The command that repeats this run with as many processes."""
    if launched() == 1:
        return words
    return ["torchrun", "--nproc_per_node", str(launched()), *words[1:]]
