"""A short range test: which learning rate forgets most and costs least in the first steps of a run.

A learning rate tuned at one size of model is wrong at another, and for an adapter. The test needs no rule about sizes:
it takes the run's own first steps at several rates, from the same weights, and looks at the probes after each. It costs
at most `TRIES` times `STEPS` steps and a probe each.
"""

from __future__ import annotations

import math

from models.forward.layers import MethodError

STEPS = 4  # of each try
FACTOR, FINE = 4.0, 2.0  # between tries, then around the best
TRIES = 8
LARGEST = 0.1


def check(method):
    """Raises MethodError for a method whose first steps do not show what its run will do."""
    if method.update or method.phases or method.reverses or method.student or not method.forget:
        raise MethodError(
            f"{method.name}: its first steps do not show what a learning rate does in the end; give --learning_rate"
        )


def find(run) -> dict:
    """Sets the run's learning rate to the best of the test and restores everything else; returns the record of it.

    The best: the lowest `criterion` of the loop (share still to forget + 5 x retain lost) after `STEPS` steps, at a
    constant rate. Starts at the method's default, goes up or down by `FACTOR` as long as that improves, then tries
    `FINE` on both sides. A try that is not finite counts as the worst.
    """
    check(run.method)
    settings, target = run.stage.settings, run.optimizer.snapshot()
    shape, warmup = settings.lr_scheduler_type, settings.warmup_steps
    settings.lr_scheduler_type, settings.warmup_steps = "constant", 0
    seen: dict[float, float] = {}

    def worth(rate: float) -> float:
        if rate not in seen:
            seen[rate] = math.inf if rate > LARGEST else _criterion_after(run, rate, target)
        return seen[rate]

    best = _climb(worth, settings.learning_rate, seen)
    settings.lr_scheduler_type, settings.warmup_steps = shape, warmup
    settings.learning_rate = run.settings.learning_rate = best
    tried = ", ".join(f"{rate:.2g}: {seen[rate]:.3f}" for rate in sorted(seen))
    return {
        "event": "learning_rate", "step": 0, "learning_rate": best,
        "tried": {f"{rate:.3g}": value if math.isfinite(value) else None for rate, value in seen.items()},
        "message": f"learning rate {best:.2g}, by forgetting left + 5 x retain lost after {STEPS} steps ({tried})",
    }  # fmt: skip


def _climb(worth, rate: float, seen: dict) -> float:
    """The best rate found from `rate` on, with at most TRIES different ones."""
    worth(rate)
    side = FACTOR if worth(rate * FACTOR) < worth(rate) else 1 / FACTOR
    best = min(seen, key=seen.get)
    while len(seen) < TRIES - 2 and worth(best * side) < seen[best]:
        best *= side
    for fine in (FINE, 1 / FINE):
        worth(best * fine)
    return min(seen, key=seen.get)


def _criterion_after(run, rate: float, target: list) -> float:
    """The loop's criterion after the first `STEPS` steps at this rate; the run is at its start again afterwards."""
    run.stage.settings.learning_rate = rate
    try:
        for _ in range(min(STEPS, run.stage.steps)):
            run._train_step()
        value = run.criterion(run._look())
    except run.diverged:
        value = math.inf
    run.optimizer.restore(target)
    run.optimizer.reset()
    run.optimizer.zero_grad()
    run.step, run.news = 0, []
    run._enter(run.stage)
    return value if math.isfinite(value) else math.inf
