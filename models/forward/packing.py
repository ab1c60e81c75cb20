"""Packed rows: a batch as one sequence without padding, in which a shared prefix is computed once.

Rows of one data set share their chat template's opening, and the variants of one question share the question. Under
causal attention a prefix's activations do not depend on what follows, so one copy serves all rows that begin with it,
and autograd sums their gradients. Loss and gradient are the same as with padded rows.

The batch becomes a tree of segments. Each has a place in the packed sequence and a chain of earlier segments that its
tokens see. Segments of similar size form one attention group (`models.forward.packed_attention`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np

WORTH_SHARING = 8  # tokens; sharing a shorter prefix costs more, in small products, than it saves
GROUP = 4_000  # the overhead of an attention group, in query-key pairs
MOST = 1 << 20  # maximum pairs in a group of several segments; larger groups are no faster and need more memory
EVEN = 16  # the number of keys in a group is a multiple of this: products and softmax of odd sizes take longer
ROUND = 8  # the number of tokens in a packed batch is a multiple of this: products of odd sizes take 2 % longer


@dataclass
class Group:
    """Segments of similar size.

    `queries` (B, T) are the positions of the segments' tokens in the packed sequence, `keys` (B, S) the positions of
    the tokens that they see. `counts` (B,) and `seen` (B,) of them are real, the rest is padding. A padding query sees
    only the last key, which is always padding, and no real query sees a padding key, so padding has no gradient.
    `before` lists the segments of the chains: (slice of the sequence, slice of the keys, which of the B see it).
    """

    queries: np.ndarray
    keys: np.ndarray
    counts: np.ndarray
    seen: np.ndarray
    before: list
    masks: dict = field(default_factory=dict)

    @property
    def real(self) -> np.ndarray:
        """Marks the real queries, (B, T)."""
        return np.arange(self.queries.shape[1]) < self.counts[:, None]

    def mask(self, window: int | None, dtype):
        """0 where a query sees a key, -inf elsewhere, (B, 1, 1, T, S)."""
        import torch

        if (window, dtype) not in self.masks:
            query = (self.seen - self.counts)[:, None, None] + np.arange(self.queries.shape[1])[:, None]
            key = np.arange(self.keys.shape[1])
            hidden = key > query if window is None else (key > query) | (query - key >= window)
            hidden[~self.real] = key < len(key) - 1
            zeros = torch.zeros(hidden.shape, dtype=dtype)
            self.masks[window, dtype] = zeros.masked_fill_(torch.from_numpy(hidden), float("-inf"))[:, None, None]
        return self.masks[window, dtype]


@dataclass
class Layout:
    """A packed batch: `ids` and `positions` (N,), and the attention `groups`.

    `paths` holds for each row the positions (length,) of its tokens in the packed sequence. The last `spare` tokens
    round N up; they have no gradient, see nothing and are not seen. `models.forward.packed_attention` keeps its index
    maps in `gathers`.
    """

    ids: np.ndarray
    positions: np.ndarray
    groups: list
    paths: list
    spare: int = 0
    gathers: dict = field(default_factory=dict)


def lay_out(rows: list[np.ndarray]) -> Layout:
    """Packs rows of token ids, in any order and possibly repeated, into a prefix tree."""
    order = sorted(range(len(rows)), key=lambda i: rows[i].tolist())
    common = [common_prefix(rows[a], rows[b]) for a, b in itertools.pairwise(order)]
    ids, positions, lengths, chains, paths = [], [], [], [], [None] * len(rows)

    def place(first: int, last: int, depth: int, chain: tuple):
        """Adds the segments of the sorted rows first..last; `chain` already holds their common first `depth` tokens."""
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
            paths[order[first]] = chain
            return
        start = first
        for i in range(first, last + 1):
            if i == last or common[i] < shared + WORTH_SHARING:
                place(start, i, shared, chain)
                start = i + 1

    place(0, len(order) - 1, 0, ())
    begins = np.cumsum([0, *lengths]).tolist()
    segments = [np.arange(begin, end) for begin, end in itertools.pairwise(begins)]
    groups = [_group(*alike, segments, chains) for alike in _alike(lengths, chains)]
    paths = [np.concatenate([segments[i] for i in chain]) for chain in paths]
    spare = -begins[-1] % ROUND
    ids, positions = (np.pad(np.concatenate(part), (0, spare)) for part in (ids, positions))
    return Layout(ids, positions, groups, paths, spare)


def _alike(lengths: list, chains: list):
    """Yields (segments, T, S) of each group; a segment joins the last group if padding costs less than a new one."""
    seen = [size + sum(lengths[i] for i in chain) for size, chain in zip(lengths, chains)]
    even = [-(-(size + 1) // EVEN) * EVEN for size in seen]  # at least one key is padding
    members, queries, keys = [], 0, 0
    for i in sorted(range(len(lengths)), key=lambda i: (even[i], lengths[i])):
        wider, longer = max(queries, lengths[i]), max(keys, even[i])
        together = (len(members) + 1) * wider * longer
        more = together - len(members) * queries * keys
        if members and (more > lengths[i] * even[i] + GROUP or together > MOST):
            yield members, queries, keys
            members, wider, longer = [], lengths[i], even[i]
        members, queries, keys = [*members, i], wider, longer
    yield members, queries, keys


def _group(members: list, queries: int, keys: int, segments: list, chains: list) -> Group:
    """The group of these segments, padded to `queries` and `keys`."""
    seen = [np.concatenate([segments[j] for j in (*chains[i], i)]) for i in members]
    before, places = {}, {}
    for number, i in enumerate(members):
        start = 0
        for j in chains[i]:
            before.setdefault(j, []).append(number)
            places[j] = slice(start, start := start + len(segments[j]))
    return Group(
        np.stack([np.pad(segments[i], (0, queries - len(segments[i]))) for i in members]),
        np.stack([np.pad(path, (0, keys - len(path))) for path in seen]),
        np.array([len(segments[i]) for i in members]),
        np.array([len(path) for path in seen]),
        [(slice(segments[j][0], segments[j][-1] + 1), places[j], numbers) for j, numbers in before.items()],
    )


def common_prefix(a: np.ndarray, b: np.ndarray) -> int:
    """The length of the common prefix of `a` and `b`."""
    size = min(len(a), len(b))
    differ = np.flatnonzero(a[:size] != b[:size])
    return int(differ[0]) if len(differ) else size


def supported(model) -> bool:
    """Whether packing works for the model and saves time, which it does on a CPU, where padding costs time."""
    return next(model.parameters()).device.type == "cpu" and possible(model)


def possible(model) -> bool:
    """Whether a model of this kind can be packed, on whatever device its weights are."""
    checkpointing = any(getattr(m, "gradient_checkpointing", False) for m in model.modules())  # recomputes too late
    sinks = any(hasattr(m, "sinks") for m in model.modules())  # keys that belong to no token
    layers = set(getattr(model.config.get_text_config(), "layer_types", None) or ["full_attention"])
    return (
        bool(getattr(model, "_supports_attention_backend", False))
        and not checkpointing
        and not sinks
        and layers <= {"full_attention", "sliding_attention"}
    )
