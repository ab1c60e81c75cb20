"""Attention over a packed batch (`models.forward.packing`), through the attention interface of transformers.

Each group of segments is one batched product: it gathers queries and keys from the packed sequence and gathers the
outputs back. The backward pass is hand-written, because autograd would fill and add a table of zeros for each piece.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
import torch

from models.forward.packing import Group, Layout

NAME = "packed_rows"
_layout: Layout | None = None


@contextlib.contextmanager
def packed_attention(model, layout: Layout):
    """Replaces the model's attention by attention over a packed batch; restores the original afterwards."""
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


def _attention(module, query, key, value, attention_mask, scaling=None, softcap=None, **kwargs):
    """(1, heads, N, d) queries over (1, kv heads, N, d) keys and values -> (1, N, heads, d)."""
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    # a family that says None for a layer means it, whatever the module's own attribute says
    window = kwargs["sliding_window"] if "sliding_window" in kwargs else getattr(module, "sliding_window", None)
    heads = query.shape[1], key.shape[1]
    if heads not in _layout.gathers:
        _layout.gathers[heads] = _Gather(_layout, *heads)
    return _PackedAttention.apply(query, key, value, _layout.gathers[heads], window, scaling, softcap), None


@dataclass
class _Part:
    """One group's share of the gathered rows, viewed as one matrix per segment and key head."""

    group: Group
    query_rows: slice
    key_rows: slice
    count: int  # of matrices, B * kv heads

    def queries(self, rows):
        """-> (count, T * heads that share a key, d)."""
        return rows[self.query_rows].view(self.count, -1, rows.shape[-1])

    def keys(self, rows):
        """-> (count, S, d)."""
        return rows[self.key_rows].view(self.count, -1, rows.shape[-1])

    def hide(self, scores, window):
        """Adds the mask to scores (count, heads that share a key * T, S), in place."""
        size, longest = self.group.queries.shape
        scores.view(size, self.count // size, -1, longest, scores.shape[-1]).add_(self.group.mask(window, scores.dtype))


class _Gather:
    """Index maps between the packed sequence and the groups.

    `queries` and `keys`: for each row of the groups, its index in the sequence's (N * heads, d) or (N * kv heads, d)
    rows. `from_queries` and `from_keys`: the inverse; `from_keys` covers only a token's own key.
    """

    def __init__(self, layout: Layout, heads: int, kv_heads: int):
        self.parts, self.kv_heads, queries, keys, query_at, key_at = [], kv_heads, [], [], 0, 0
        from_queries = np.zeros((len(layout.ids), heads), dtype=np.int64)  # a spare token's output is arbitrary
        from_keys = np.zeros((len(layout.ids), kv_heads), dtype=np.int64)
        self.spare = slice(len(layout.ids) - layout.spare, None)
        for group in layout.groups:
            queries.append(group.queries[:, None] * heads + np.arange(heads)[:, None])  # (B, heads, T)
            keys.append(group.keys[:, None] * kv_heads + np.arange(kv_heads)[:, None])  # (B, kv heads, S)
            query_rows = query_at + np.arange(queries[-1].size).reshape(queries[-1].shape)
            key_rows = key_at + np.arange(keys[-1].size).reshape(keys[-1].shape)
            segment, place = group.real.nonzero()
            tokens = group.queries[segment, place]
            from_queries[tokens] = query_rows[segment, :, place]
            from_keys[tokens] = key_rows[segment, :, place + (group.seen - group.counts)[segment]]
            ends = query_at + queries[-1].size, key_at + keys[-1].size
            rows = slice(query_at, ends[0]), slice(key_at, ends[1])
            self.parts.append(_Part(group, *rows, len(group.counts) * kv_heads))
            query_at, key_at = ends
        self.queries, self.keys = (torch.from_numpy(np.concatenate([i.ravel() for i in x])) for x in (queries, keys))
        self.from_queries, self.from_keys = (torch.from_numpy(x.ravel()) for x in (from_queries, from_keys))

    def per_token(self, rows):
        """The gradient of the groups' keys, summed per token: (all S, d) -> (1, kv heads, N, d)."""
        total = rows.index_select(0, self.from_keys).view(1, -1, self.kv_heads, rows.shape[-1]).transpose(1, 2)
        total[:, :, self.spare] = 0
        for part in self.parts:
            keys = part.keys(rows).view(len(part.group.counts), self.kv_heads, -1, rows.shape[-1])
            for token, key, segments in part.group.before:
                mine = keys[:, :, key]
                mine = mine if len(segments) == len(mine) else mine[segments]
                total[0, :, token] += mine.sum(0)
        return total


class _PackedAttention(torch.autograd.Function):
    """softmax(softcap(scaling q k^T) + mask) v in each group."""

    @staticmethod
    def forward(ctx, query, key, value, gather, window, scaling, softcap):
        queries = _rows(query).index_select(0, gather.queries).mul_(scaling)
        keys, values = (_rows(part).index_select(0, gather.keys) for part in (key, value))
        output = values.new_empty(len(queries), values.shape[-1])
        weights, capped = [], []
        for part in gather.parts:
            scores = torch.bmm(part.queries(queries), part.keys(keys).mT)
            if softcap:
                capped.append(scores.div_(softcap).tanh_())
                scores = scores * softcap
            part.hide(scores, window)
            weights.append(scores.softmax(-1))
            torch.bmm(weights[-1], part.keys(values), out=part.queries(output))
        ctx.save_for_backward(queries, keys, values, *weights, *capped)
        ctx.gather, ctx.scaling = gather, scaling
        return output.index_select(0, gather.from_queries).view(1, query.shape[2], query.shape[1], -1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        queries, keys, values, *saved = ctx.saved_tensors
        gather, shape = ctx.gather, upstream.shape[:3]
        upstream = upstream.reshape(-1, values.shape[-1]).index_select(0, gather.queries)
        to_queries, to_keys, to_values = (torch.empty_like(rows) for rows in (queries, keys, values))
        for number, part in enumerate(gather.parts):
            weights, above = saved[number], part.queries(upstream)
            torch.bmm(weights.mT, above, out=part.keys(to_values))
            to_weights = torch.bmm(above, part.keys(values).mT)
            to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            if len(saved) > len(gather.parts):  # d tanh(x) / dx = 1 - tanh(x)^2
                to_scores *= 1 - saved[len(gather.parts) + number].square()
            torch.bmm(to_scores, part.keys(keys), out=part.queries(to_queries))
            torch.bmm(to_scores.mT, part.queries(queries), out=part.keys(to_keys))
        to_query = to_queries.index_select(0, gather.from_queries).mul_(ctx.scaling).view(*shape, -1).transpose(1, 2)
        to_query[:, :, gather.spare] = 0
        return to_query, gather.per_token(to_keys), gather.per_token(to_values), None, None, None, None


def _rows(part):
    """(1, heads, N, d) -> (N * heads, d)."""
    return part.transpose(1, 2).reshape(-1, part.shape[-1])
