"""Packed rows: a batch as one sequence without padding in which a prefix that rows share is computed once.

Rows of one data set share their chat template's opening, and the variants of one question share the question. Under
causal attention a prefix's activations do not depend on what follows, so one copy serves all rows that begin with it;
autograd adds up their gradients. Loss and gradient equal those of padded rows.

The batch becomes a tree of segments: each has a place in the packed sequence and the chain of segments before it.
Neighbours in the tree make one unit of attention, with a mask that says who descends from whom: many small products
cost more than a few larger ones with some waste. Attention runs unit by unit over the chain that its segments share,
through the attention interface of transformers.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field

import numpy as np

NAME = "packed_rows"
WORTH_SHARING = 8  # tokens; a shorter common prefix costs more in small products than it saves
UNIT = 128  # tokens of a unit of several segments at most
_layout: Layout | None = None


@dataclass
class Unit:
    """Segments `first` to `last` - 1 and the `chain` of segments before all of them. `hidden` (t, s) marks the keys,
    of chain and unit together, that a query of the unit does not see; it does not yet know of sliding windows."""

    first: int
    last: int
    chain: tuple
    hidden: np.ndarray
    distance: np.ndarray
    masks: dict = field(default_factory=dict)

    def mask(self, window: int | None, dtype):
        """0 where a query sees a key, -inf elsewhere, (t, s)."""
        import torch

        if (window, dtype) not in self.masks:
            hidden = self.hidden if window is None else self.hidden | (self.distance >= window)
            zeros = torch.zeros(hidden.shape, dtype=dtype)
            self.masks[window, dtype] = zeros.masked_fill_(torch.from_numpy(hidden), float("-inf"))
        return self.masks[window, dtype]


@dataclass
class Layout:
    """A packed batch: `ids` and `positions` (N,), the segments' `lengths` one after another, the `units` of attention,
    and per row `paths`: where its tokens stand in the packed sequence, (length,) each."""

    ids: np.ndarray
    positions: np.ndarray
    lengths: list
    units: list
    paths: list


def lay_out(rows: list[np.ndarray]) -> Layout:
    """Packs rows of token ids into a prefix tree; rows may be in any order and may repeat."""
    order = sorted(range(len(rows)), key=lambda i: rows[i].tolist())
    common = [common_prefix(rows[a], rows[b]) for a, b in itertools.pairwise(order)]
    ids, positions, lengths, chains, paths = [], [], [], [], [None] * len(rows)

    def place(first: int, last: int, depth: int, chain: tuple):
        """Segments of the sorted rows first..last, which agree up to `depth`, already placed in `chain`."""
        shared = min(common[first:last], default=len(rows[order[first]]))
        if first < last and shared < depth + WORTH_SHARING:
            shared = depth
        if shared > depth:
            ids.append(rows[order[first]][depth:shared])
            positions.append(np.arange(depth, shared))
            chains.append(chain)
            chain = (*chain, len(lengths))
            lengths.append(shared - depth)
        if first == last:
            begins = np.cumsum([0, *lengths])
            paths[order[first]] = np.concatenate([np.arange(begins[i], begins[i + 1]) for i in chain])
            return
        start = first
        for i in range(first, last + 1):
            if i == last or common[i] < shared + WORTH_SHARING:
                place(start, i, shared, chain)
                start = i + 1

    place(0, len(order) - 1, 0, ())
    return Layout(np.concatenate(ids), np.concatenate(positions), lengths, _units(lengths, chains, positions), paths)


def _units(lengths: list, chains: list, positions: list) -> list[Unit]:
    """Neighbouring segments of up to `UNIT` tokens that begin with the same chain, as units of attention."""
    units, first = [], 0
    while first < len(lengths):
        base, last, size = chains[first], first + 1, lengths[first]
        while last < len(lengths) and size + lengths[last] <= UNIT and chains[last][: len(base)] == base:
            size += lengths[last]
            last += 1
        own = range(first, last)
        seen = (*base, *own)
        descends = np.array([[i == j or j in chains[i] for j in seen] for i in own])
        descends = descends.repeat([lengths[i] for i in own], 0).repeat([lengths[i] for i in seen], 1)
        queries, keys = (np.concatenate([positions[i] for i in part]) for part in (own, seen))
        distance = queries[:, None] - keys[None]
        units.append(Unit(first, last, base, ~descends | (distance < 0), distance))
        first = last
    return units


def common_prefix(a: np.ndarray, b: np.ndarray) -> int:
    """Tokens that both begin with."""
    size = min(len(a), len(b))
    differ = np.flatnonzero(a[:size] != b[:size])
    return int(differ[0]) if len(differ) else size


def supported(model) -> bool:
    """Whether the model's attention can be replaced and packing pays: on a CPU, where short rows waste padding."""
    checkpointing = any(getattr(m, "gradient_checkpointing", False) for m in model.modules())  # outlives the layout
    layers = set(getattr(model.config.get_text_config(), "layer_types", None) or ["full_attention"])
    return (
        bool(getattr(model, "_supports_attention_backend", False))
        and next(model.parameters()).device.type == "cpu"
        and not checkpointing
        and layers <= {"full_attention", "sliding_attention"}
    )


@contextlib.contextmanager
def packed_attention(model, layout: Layout):
    """The model's attention over a packed batch; the model's own implementation is put back afterwards."""
    from transformers import AttentionInterface

    global _layout
    AttentionInterface.register(NAME, _attention)
    config = model.config.get_text_config()
    before, previous = config._attn_implementation, _layout
    config._attn_implementation, _layout = NAME, layout
    try:
        yield
    finally:
        config._attn_implementation, _layout = before, previous


def _attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, softcap=None, **kwargs):
    """(1, heads, N, d) queries over (1, kv heads, N, d) keys and values -> (1, N, heads, d), unit by unit."""
    import torch

    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    window = kwargs.get("sliding_window") or getattr(module, "sliding_window", None)
    # split, not slices: the backward of a slice fills a whole tensor with zeros, that of a split is one concatenation
    sizes = [sum(_layout.lengths[unit.first : unit.last]) for unit in _layout.units]
    queries = query.split(sizes, 2)
    keys, values = (part.split(_layout.lengths, 2) for part in (key, value))
    outputs = []
    for own, unit in zip(queries, _layout.units):
        seen = (*unit.chain, *range(unit.first, unit.last))
        own_keys, own_values = (torch.cat([part[i] for i in seen], 2) for part in (keys, values))
        mask = unit.mask(window, query.dtype)
        outputs.append(_attend(own, own_keys, own_values, mask, scaling, softcap, dropout * module.training))
    return torch.cat(outputs, 1), None


def _attend(query, keys, values, mask, scaling, softcap, dropout):
    """Plain attention of t queries over s keys, mask (t, s) added: (1, h, t, d) -> (1, t, h, d)."""
    import torch

    _, heads, count, width = query.shape
    groups, total = keys.shape[1], keys.shape[2]
    folded = query.reshape(groups, heads // groups * count, width)  # heads that share a key in one product
    scores = torch.bmm(folded * scaling, keys[0].transpose(1, 2)).view(groups, heads // groups, count, total)
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    weights = (scores + mask).softmax(-1)
    if dropout:
        weights = torch.nn.functional.dropout(weights, dropout)
    mixed = torch.bmm(weights.view(groups, heads // groups * count, total), values[0])
    return mixed.view(1, heads, count, values.shape[-1]).transpose(1, 2)
