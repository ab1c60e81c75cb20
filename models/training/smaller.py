"""A step that does not fit in memory is taken in smaller pieces: half the micro-batch, twice as many of them."""

from __future__ import annotations

import gc

from models.store.folders import out_of_memory
from models.store.on_first_use import torch
from models.training import together


def until_it_fits(run, terms) -> dict:
    """`run._backward(terms)`; where memory runs out in any process, again with micro-batches half as large in all.

    The effective batch stays, and with it loss and gradient. Raises the error where a micro-batch is one row already.
    """
    while True:
        losses, short = None, None
        try:
            losses = run._backward(terms)
        except (MemoryError, RuntimeError, OSError) as error:
            if not out_of_memory(error):
                raise
            short = error.with_traceback(None)  # the traceback holds the tensors that were too many
        if not any(together.agree(run.accelerator, short is not None)):
            return losses
        largest = max(run._rows_at_once(len(term.indices)) for term in terms)
        if largest == 1:
            raise short or MemoryError("out of memory in another process")
        run.cut *= 2
        losses = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        run.optimizer.forget_half()
        torch.manual_seed(run.dropout_seed)
        run.news.append(_record(run, max(run._rows_at_once(len(term.indices)) for term in terms)))


def _record(run, rows: int) -> dict:
    accumulated = run.settings.gradient_accumulation_steps * run.cut
    return {
        "event": "smaller_batch",
        "step": run.step,
        "rows_at_once": rows,
        "gradient_accumulation_steps": accumulated,
        "message": f"out of memory at step {run.step + 1}: at most {rows} rows of a set at once from here on, in "
        f"{accumulated} passes a step; the effective batch stays the same",
    }
