"""A term of a training step: some rows, their loss, and the rows that stand beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from models.forward.answers import Answers
from models.methods.losses import Context


@dataclass
class Term:
    """One term of a step: the rows of the effective batch, its loss, and the rows that stand beside them."""

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
    """(rows that have a partner, for each of them a row of `partner`): both speak of the same example."""
    place = {int(example): row for row, example in reversed(list(enumerate(partner.example_index)))}
    partner_of = np.array([place.get(int(example), -1) for example in rows.example_index], dtype=np.int64)
    return rows.take(np.flatnonzero(partner_of >= 0)), partner_of[partner_of >= 0]
