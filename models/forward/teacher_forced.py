"""The teacher-forced pass of the evaluation: statistics of every token of given answers, from one forward pass."""

from __future__ import annotations

import math

import numpy as np

from models.forward import packing
from models.forward.answers import answer_outputs, evaluating

PIECE = 256  # tokens whose logits are in memory in float32, three times


def packed_batches(rows, starts_example, budget: int) -> list[list[int]]:
    """Lists of rows, each for one packed forward pass of about `budget` tokens; shared tokens count once.

    Rows stay in order, so a question is computed once for all its answers. An example is only split above twice the
    budget; `starts_example` (n,) marks the first row of each example.
    """
    batches, size, before = [[]], 0, None
    for index in range(len(rows)):
        ids = rows.ids_of(index)
        added = len(ids) - (packing.common_prefix(before, ids) if batches[-1] else 0)
        if batches[-1] and size + added > (budget if starts_example[index] else 2 * budget):
            batches.append([])
            size, added = 0, len(ids)
        batches[-1].append(index)
        size, before = size + added, ids
    return batches


def teacher_forced(model, rows, batches: list[list[int]], detailed, pad: int, progress=None) -> list[np.ndarray]:
    """(4, L) statistics of each row's answer tokens, see `_token_statistics`; `detailed` (n,) asks for all four."""
    import torch

    found: list = [None] * len(rows)
    done = 0
    with evaluating(model):
        for indices in batches:
            answers = answer_outputs(model, rows.batch(indices, pad), distinct=True)
            wanted = torch.as_tensor(detailed[indices]).to(answers.row.device)[answers.row]
            statistics = _token_statistics(answers, wanted)
            pieces = np.split(statistics, np.cumsum(rows.answer_lengths[indices])[:-1], axis=1)
            for index, piece in zip(indices, pieces):
                found[index] = piece
            done += len(indices)
            if progress:
                progress(f"scoring answers: {done} of {len(rows)}")
    return found


def _token_statistics(answers, detailed) -> np.ndarray:
    """(4, A): nll, predicted token, mean and standard deviation of log p; the last three NaN unless `detailed` (A,).

    Works in pieces, because fp32 logits take 200 kB per token for a vocabulary of 50,000.
    """
    import torch

    found = torch.full((4, len(answers.labels)), math.nan, dtype=torch.float64, device=answers.labels.device)
    order = torch.argsort(answers.place, stable=True)  # tokens in the order of their logits
    edges = torch.arange(0, len(answers.logits) + PIECE, PIECE, device=order.device)
    for start, tokens in zip(edges, order.split(torch.searchsorted(answers.place[order], edges).diff().tolist())):
        logits = answers.logits[start : start + PIECE]
        log_p = logits.float().log_softmax(-1)
        place = answers.place[tokens] - start
        found[0, tokens] = -log_p[place, answers.labels[tokens]].double()
        tokens, place = tokens[detailed[tokens]], place[detailed[tokens]]
        if not len(tokens):
            continue
        places, again = torch.unique(place, return_inverse=True)
        log_p, logits = (log_p, logits) if len(places) == len(log_p) else (log_p[places], logits[places])
        predicted = logits.max(-1).indices  # argmax takes three times as long in bfloat16
        terms = log_p.exp()  # in place below: new tables of 50 MB take half of the time
        log_p = log_p.clamp_(min=-1e4)  # 0 x -inf is NaN
        mean = terms.mul_(log_p).sum(-1)
        std = (terms.mul_(log_p).sum(-1) - mean.square()).clamp(min=0).sqrt()
        found[1:, tokens] = torch.stack([predicted.double(), mean.double(), std.double()])[:, again]
    return found.cpu().numpy()
