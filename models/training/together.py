"""Keeps the processes of a run in step: every exchange first checks that no process has failed.

A failing process reports its error at the next exchange. Without this, the others would wait until the communication
times out. With one process, or without accelerate, these functions do nothing.
"""

from __future__ import annotations


class Elsewhere(ValueError):
    """Another process of the run failed or was stopped. The message names it and the reason."""

    def __init__(self, rank: int, message: str, exit_code: int):
        super().__init__(f"process {rank}: {message}")
        self.exit_code = exit_code


def count(accelerator) -> int:
    """Processes of the run."""
    return accelerator.num_processes if accelerator else 1


def rank(accelerator) -> int:
    """This process's number, 0 for the main one."""
    return accelerator.process_index if accelerator else 0


def agree(accelerator, value=None, error: BaseException | None = None) -> list:
    """Every process's `value`, by rank.

    Raises `Elsewhere` in a process without `error` if another process has one.
    """
    if count(accelerator) == 1:
        return [value]
    from accelerate.utils import gather_object

    failure = error and (str(error) or type(error).__name__, exit_code(error))
    told = gather_object([(value, failure)])
    for rank, (_, failed) in enumerate(told):
        if failed and error is None:
            raise Elsewhere(rank, *failed)
    return [value for value, _ in told]


def exit_code(error: BaseException) -> int:
    """The command line's exit code for an error."""
    return 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)


def share(accelerator, items: list) -> list[tuple]:
    """This process's share of `items`, as (item, whether its result counts). All shares have the same length.

    Items that do not count fill the last round, because a sharded model's forward pass needs all processes.
    """
    world = count(accelerator)
    rounds = -(-len(items) // world)
    return [(items[i % len(items)], i < len(items)) for i in range(rank(accelerator), rounds * world, world)]


def summed(accelerator, *tensors) -> list:
    """The sums over all processes, on the CPU. Exact where all processes but one hold zeros."""
    if count(accelerator) == 1:
        return list(tensors)
    agree(accelerator)
    return [accelerator.reduce(tensor.to(accelerator.device), "sum").cpu() for tensor in tensors]
