"""The stages of a run: what trains, for how many steps, on which batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

from data.sampling import BatchStream
from models.methods.defaults import hyper_parameters
from models.methods.losses import RETAIN_LOSSES, RetainLoss
from models.methods.table import METHODS, Method

EARLIER_SHARE = 0.5  # rows of earlier requests per forget row in a step


@dataclass
class Stage:
    """Trains the terms of `method` from step `first` for `steps` steps; then calls `then` with the run."""

    method: Method
    settings: SimpleNamespace
    first: int
    steps: int
    per_epoch: int
    forget: BatchStream | None
    kept: BatchStream | None
    earlier: BatchStream | None
    then: Callable | None

    @property
    def retain(self) -> RetainLoss:
        """The retain term."""
        return RETAIN_LOSSES[self.settings.retain_loss]


def planned_stages(method: Method, settings, rows: dict, processes: int, parameters: int) -> list[Stage]:
    """The method's phases, then the method itself. The number of `parameters` selects a phase's defaults."""
    stages: list[Stage] = []
    for phase in method.phases:
        trained = phase.method(settings)
        known = hyper_parameters(trained.name, parameters) if trained.name in METHODS else {}
        own = {name: known[name] for name in known if name in {**trained.published, **trained.small}}
        own |= {"retain_loss": trained.retain, "num_train_epochs": getattr(settings, phase.epochs)}
        own_settings = SimpleNamespace(**{**vars(settings), **own})
        stages.append(_stage(method, trained, own_settings, rows, processes, stages, phase.then))
    return [*stages, _stage(method, method, settings, rows, processes, stages, None)]


MOST_KEPT = 2.0  # as many times the rows to keep in a step of a stretched run, at most


def _stretched(settings, per_epoch: int) -> float:
    """How many times longer `min_steps` makes a run.

    Its steps then hold as many times more rows to keep: twice the steps alone lost one of five answers about others on
    20 rows to forget and 180 to keep, twice the rows to keep too one of forty.
    """
    if settings.max_steps > 0:
        return 1.0
    return max(1.0, settings.min_steps / math.ceil(settings.num_train_epochs * per_epoch))


def _stage(whole: Method, method: Method, settings, rows: dict, processes: int, before: list, then) -> Stage:
    """The stage of `method` within a run of `whole`, after the stages `before`."""
    size = settings.per_device_train_batch_size * settings.gradient_accumulation_steps * processes
    forget = kept = earlier = None
    if method.forget:
        forget = BatchStream(rows[method.trained_set].answer_lengths, size, settings.seed)
        more = 1 if then or method.update else _stretched(settings, forget.per_epoch * method.steps_per_batch)
        size = max(1, round(size * settings.retain_rows_per_forget_row * min(more, MOST_KEPT)))
    if RETAIN_LOSSES[settings.retain_loss].function:
        kept = BatchStream(rows["retain"].answer_lengths, size, settings.seed + 1)
    # `finish` may negate the run's change of the weights; this term would then bring the rows back
    if len(rows.get("earlier") or ()) and settings.earlier_weight and not (method.update or whole.reverses):
        size = max(1, round((forget or kept).batch_size * EARLIER_SHARE))
        earlier = BatchStream(rows["earlier"].answer_lengths, size, settings.seed + 2)
    per_epoch = 1 if method.update else (forget or kept).per_epoch * method.steps_per_batch
    first = before[-1].first + before[-1].steps if before else 0
    steps = max(math.ceil(settings.num_train_epochs * per_epoch), 0 if then else settings.min_steps)
    if settings.max_steps > 0:  # each phase gets an equal share, the method the rest
        share = max(1, settings.max_steps // (len(whole.phases) + 1))
        steps = share if then else max(1, settings.max_steps - first)
    return Stage(method, settings, first, steps, per_epoch, forget, kept, earlier, then)
