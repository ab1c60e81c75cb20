"""Which rows go together: pure functions of seed and epoch, so that a resumed run draws what the first one drew."""

from __future__ import annotations

import math

import numpy as np


def epoch_batches(lengths, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """One epoch of batches without replacement, rows of like length together.

    A shuffle is cut into windows of 8 batches; each window is sorted by length, cut into batches, and the batches are
    shuffled. Depends on the effective batch alone, not on how it is cut for memory.
    """
    lengths = np.asarray(lengths)
    draw = np.random.default_rng([seed, epoch])
    order = draw.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), 8 * batch_size):
        window = order[start : start + 8 * batch_size]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    return [batches[i] for i in draw.permutation(len(batches))]


def spread(rows: list, count: int) -> list:
    """`count` rows at even distances, so that every subject has its share; all of them for 0."""
    if not count or len(rows) <= count:
        return list(rows)
    return [rows[i * len(rows) // count] for i in range(count)]


class BatchStream:
    """Endless batches over a set of rows, epoch after epoch; `[number]` is the same whenever it is asked."""

    def __init__(self, lengths, batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.per_epoch = math.ceil(len(lengths) / batch_size)
        self._epoch, self._batches = -1, []

    def __getitem__(self, number: int) -> np.ndarray:
        epoch, place = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, epoch_batches(self.lengths, self.batch_size, self.seed, epoch)
        return self._batches[place]


def token_budget_batches(lengths, budget: int) -> list[list[int]]:
    """Rows sorted by length in batches whose padded size stays within `budget` tokens (at least one row each)."""
    batches: list[list[int]] = []
    for index in np.argsort(-np.asarray(lengths), kind="stable").tolist():
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
