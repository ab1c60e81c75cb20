"""Batches of rows: pure functions of seed and epoch, so a resumed run draws the same batches."""

from __future__ import annotations

import math

import numpy as np


def epoch_batches(lengths, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """One epoch of batches without replacement; rows of similar length share a batch.

    Shuffles the rows, cuts them into windows of 8 batches, sorts each window by length, cuts it into batches and
    shuffles the batches. Depends on the effective batch size, not on the micro-batches.
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
    """`count` evenly spaced rows, so every subject is represented; all rows if `count` is 0."""
    if not count or len(rows) <= count:
        return list(rows)
    return [rows[i * len(rows) // count] for i in range(count)]


class BatchStream:
    """Endless batches over a set of rows, epoch after epoch; `stream[number]` always gives the same batch."""

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
    """Batches of rows sorted by length, each of at most `budget` tokens with padding (at least one row)."""
    batches: list[list[int]] = []
    for index in np.argsort(-np.asarray(lengths), kind="stable").tolist():
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
