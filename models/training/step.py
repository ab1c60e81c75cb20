"""One training step: learning rate, terms, smaller micro-batches when memory runs out, and the state of a run."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from models.forward.answers import Answers
from models.forward.reference import Reference
from models.methods.losses import Context
from models.store.folders import out_of_memory
from models.store.on_first_use import torch
from models.training import together

LR_SCHEDULES = ("constant", "constant_with_warmup", "linear", "cosine")


def learning_rate_at(step: int, total: int, settings) -> float:
    """The learning rate of step `step` (from 0): linear warm-up, then constant, linear or cosine decay to zero."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    share = (step - settings.warmup_steps) / max(1, total - settings.warmup_steps)
    shapes = (1.0, 1.0, 1 - share, (1 + math.cos(math.pi * share)) / 2)
    return settings.learning_rate * dict(zip(LR_SCHEDULES, shapes))[settings.lr_scheduler_type]


@dataclass
class Term:
    """One term of a step: the rows of the effective batch, their loss, and their partner rows.

    The loss is divided by `count`, the number of tokens or rows in the whole effective batch.
    """

    name: str
    rows: Any
    indices: np.ndarray
    count: int
    loss: Callable
    context: dict
    settings: SimpleNamespace
    partner: Any = None
    partner_of: np.ndarray | None = None
    weight: float = 1.0
    reads: str = "logits"

    def batches(self, part: np.ndarray, pad: int) -> list[dict]:
        """The rows of a micro-batch, then their partners."""
        batches = [self.rows.batch(part, pad)]
        return batches if self.partner is None else [*batches, self.partner.batch(self.partner_of[part], pad)]

    def value(self, answers: list[Answers]):
        """The term's share of a micro-batch, reduced over the effective batch."""
        context = Context(**self.context, partner=answers[1] if len(answers) > 1 else None)
        return self.loss(answers[0], context, self.settings).sum() / self.count

    @property
    def tokens(self) -> int:
        """Tokens that go through the model."""
        beside = 0 if self.partner is None else int(self.partner.lengths[self.partner_of[self.indices]].sum())
        return int(self.rows.lengths[self.indices].sum()) + beside


def pair_rows(rows, partner):
    """(rows that have a partner, the partner's index for each). Partners belong to the same example."""
    place = {int(example): row for row, example in reversed(list(enumerate(partner.example_index)))}
    partner_of = np.array([place.get(int(example), -1) for example in rows.example_index], dtype=np.int64)
    return rows.take(np.flatnonzero(partner_of >= 0)), partner_of[partner_of >= 0]


# ---------------------------------------------------------------------------------------------------------------------
# Out of memory


def until_it_fits(run, terms) -> dict:
    """Calls `run._backward(terms)`. If any process runs out of memory, all repeat it with micro-batches half as large.

    The effective batch, loss and gradient stay the same. Raises the error if a micro-batch is already a single row.
    """
    while True:
        losses, short = None, None
        try:
            losses = run._backward(terms)
        except (MemoryError, RuntimeError, OSError) as error:
            if not out_of_memory(error):
                raise
            short = error.with_traceback(None)  # the traceback keeps the tensors alive
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
        run.news.append(_smaller_batch(run, max(run._rows_at_once(len(term.indices)) for term in terms)))


def _smaller_batch(run, rows: int) -> dict:
    accumulated = run.settings.gradient_accumulation_steps * run.cut
    return {
        "event": "smaller_batch",
        "step": run.step,
        "rows_at_once": rows,
        "gradient_accumulation_steps": accumulated,
        "message": f"out of memory at step {run.step + 1}: from now on at most {rows} rows of a set per pass, "
        f"{accumulated} passes per step; the effective batch stays the same",
    }


# ---------------------------------------------------------------------------------------------------------------------
# Checkpoints


def run_state(run) -> tuple[dict, dict]:
    """(tensors by name, values that fit JSON): all a resumed run needs besides the target model and the data."""
    tensors = {f"master.{i}": flat for i, flat in enumerate(run.optimizer.flats)}
    tensors.update({f"adamw.{name}": value for name, value in run.optimizer.state().items()})
    if run.best:
        tensors.update({f"best.{i}": flat for i, flat in enumerate(run.best[2])})
    if run.levels is not None:
        tensors["levels"] = run.levels
    for name in run.products:
        tensors.update({f"made.{name}.{key}": value for key, value in run.references[name].tensors().items()})
    values = {
        "step": run.step,
        "best": run.best[:2] if run.best else None,
        "start": run.start,
        "level": run.level,
        "ended": run.ended,
        "stage": run.stages.index(run.stage),
        "retain_weight": run.retain_weight,
        "finished": run.finished,
        "cut": run.cut,
    }
    return tensors, values


def load_run_state(run, tensors: dict, values: dict):
    """Continues from `run_state`; call after `prepare()` on the same target model, data and settings."""
    count = len(run.optimizer.flats)
    run.optimizer.restore([tensors[f"master.{i}"] for i in range(count)])
    moments = {name: value for name, value in tensors.items() if name.startswith("adamw.")}
    run.optimizer.load_state({name.removeprefix("adamw."): value for name, value in moments.items()})
    run.news = []  # what the start had to say was said then
    run.step, run.start, run.level, run.ended = (values[k] for k in ("step", "start", "level", "ended"))
    if values["best"]:
        run.best = (*values["best"], [tensors[f"best.{i}"].clone() for i in range(count)])
    run.levels = tensors.get("levels", run.levels)
    run._enter(run.stages[values["stage"]])
    run.retain_weight, run.finished = values["retain_weight"], values["finished"]
    run.cut = values.get("cut", 1)
    made = {}
    for name, value in tensors.items():
        if name.startswith("made."):
            _, reference, key = name.split(".", 2)
            made.setdefault(reference, {})[key] = value
    for name, kept in made.items():
        run.keep(name, Reference.from_tensors(run.model, kept))
