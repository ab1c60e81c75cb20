"""The corrupted run of permu and permu_tok: what the target answers when it cannot read the subject's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data.sampling import token_budget_batches
from models.forward.answers import evaluating, unwrapped
from models.forward.layers import MethodError
from models.forward.reference import FrozenHead, Reference
from models.store.on_first_use import torch

AT_ONCE = 1024  # tokens of a forward pass, which computes the logits of all of them


@dataclass
class Corrupted(Reference):
    """The target's outputs on forget rows whose name it cannot read; `named` (A,): answer tokens that are the name."""

    named: Any = None

    def is_name(self, answers):
        """Whether a batch's answer tokens are part of the name, (A,) bool."""
        return self._of(self.named, answers)


def corrupted_run(run):
    """permu, permu_tok: caches what the target says on the forget rows when it cannot read the name.

    The counterexamples are the forget rows with other tokens in place of the name. permu_tok reads these; permu reads
    the forget rows with noise on the embeddings of those tokens. Both are run once, on the target. The published code
    runs them on the model in training, so its goal drifts as the model forgets.
    """
    rows, other = run.rows["forget"], run.rows["counterpart"]
    if (
        len(rows) != len(other)
        or (rows.offsets != other.offsets).any()
        or (rows.answer_starts != other.answer_starts).any()
    ):
        raise MethodError(f"{run.method.name}: the rows with other names do not match the forget rows")
    changed = rows.ids != other.ids
    if not changed.any():
        raise MethodError(f"{run.method.name} found no name to hide in the forget rows; add a 'subject' column")
    noise = getattr(run.settings, "embedding_noise", None)
    if noise is None:
        found = run.cache(other, "distribution")
    else:
        found = noisy_reference(run.model, rows, changed, noise, run.settings.seed, run.pad)
    answers = np.arange(len(rows.ids)) - np.repeat(rows.offsets[:-1], rows.lengths) >= np.repeat(
        rows.answer_starts, rows.lengths
    )
    named = torch.from_numpy(changed[answers])
    run.context["corrupted"] = Corrupted(found.nll, found.hidden, found.offsets, found.head, named=named)


def noisy_reference(model, rows, changed, noise: float, seed: int, pad: int) -> Reference:
    """The model's head inputs on `rows` with Gaussian noise on the embeddings of the `changed` tokens, (total,) bool.

    The noise has `noise` standard deviations of the embedding matrix and is drawn anew for each token. A published copy
    draws the same noise for every row (it seeds inside the loop), and adds none at all unless hidden states are asked
    for, which its loss does not.
    """
    whole = unwrapped(model)
    table, head = whole.get_input_embeddings(), whole.get_output_embeddings()
    scale, draw = noise * float(table.weight.detach().float().std()), np.random.default_rng([seed, 23])
    added = draw.standard_normal((int(changed.sum()), table.weight.shape[1]), dtype=np.float32) * scale
    place = np.full(len(changed), -1)
    place[changed] = np.arange(len(added))
    offsets = np.concatenate([[0], np.cumsum(rows.answer_lengths)]).astype(np.int64)
    kept, caught, batch_noise = None, [], []
    hooks = [
        table.register_forward_hook(lambda _module, _args, output: output + batch_noise[0].to(output)),
        head.register_forward_pre_hook(lambda _module, args: caught.append(args[0])),
    ]
    try:
        with evaluating(whole):
            for indices in token_budget_batches(rows.lengths, AT_ONCE):
                batch = rows.batch(indices, pad)
                noisy = torch.zeros(*batch["input_ids"].shape, table.weight.shape[1])
                for number, index in enumerate(indices):
                    where = place[rows.offsets[index] : rows.offsets[index + 1]]
                    noisy[number, np.flatnonzero(where >= 0)] = torch.from_numpy(added[where[where >= 0]])
                batch_noise[:] = [noisy]
                whole(input_ids=batch["input_ids"].to(table.weight.device), use_cache=False)
                hidden = caught.pop()
                kept = hidden.new_zeros(int(offsets[-1]), hidden.shape[-1]) if kept is None else kept
                for number, index in enumerate(indices):
                    start, stop = int(rows.answer_starts[index]), int(rows.lengths[index])
                    kept[offsets[index] : offsets[index + 1]] = hidden[number, start - 1 : stop - 1]
    finally:
        for hook in hooks:
            hook.remove()
    return Reference(hidden=kept, offsets=offsets, head=FrozenHead(model))
