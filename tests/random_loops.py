"""The training loop on small random models."""

import numpy as np
import torch
from random_models import random_rows, tiny

import unlearning_algorithm as algorithm

PAD = 2
FAST = {
    "max_steps": 2, "eval_steps": 1, "learning_rate": 1e-3, "dtype": "float32", "early_stop": False, "seed": 3,
    "load_best_model_at_end": False, "collapse_guard": 0.0,
}  # fmt: skip
LOOPED = [method for method in algorithm.METHODS.values() if not method.student]


def rows_for(method, count=6):
    """Random rows for a method: three counterexamples for every forget row, one for every retain row."""
    rows = {"forget": random_rows(count, 0), "retain": random_rows(9, 1), "holdout": random_rows(5, 2)}
    if method.augmentation:
        rows["counterpart"] = random_rows(count * 3, 3)
        rows["counterpart"].example_index = np.arange(count * 3) // 3
    if method.read_once:  # the forget rows with other tokens in their prompts, and in one answer
        rows["counterpart"] = rows["forget"].take(np.arange(count))
        for row in range(count):
            rows["counterpart"].ids_of(row)[0] = (rows["forget"].ids_of(row)[0] - 2) % 50 + 3
        rows["counterpart"].ids_of(0)[rows["forget"].answer_starts[0] + 1] = 4
    if algorithm.RETAIN_LOSSES[method.retain].augmentation:
        rows["retain_counterpart"] = random_rows(9, 4)
    return rows


def given_references(method, rows) -> dict:
    """What a proxy of the retrained model says, for the methods that learn from one: another random model."""
    proxy = tiny(seed=9)
    wanted = (method.trained_set, "holdout") if method.needs_base else ()
    return {name: algorithm.cache_reference(proxy, rows[name], PAD, distribution=True) for name in wanted}


def loop_of(method, model, rows, settings):
    return algorithm.Unlearning(
        model, rows, method, settings, pad_token_id=PAD, references=given_references(method, rows)
    )


def run(method, model=None, rows=None, **settings):
    model = model or tiny()
    rows = rows or rows_for(algorithm.METHODS[method])
    more = {"pad_token_id": PAD, "references": given_references(algorithm.METHODS[method], rows)}
    return model, list(algorithm.unlearn(model, rows, method, {**FAST, **settings}, **more))


def distance(a, b):
    return {n: (p - q).abs().max().item() for (n, p), q in zip(a.named_parameters(), b.parameters())}


def prepared(method, model=None, rows=None, **settings):
    method = algorithm.METHODS[method] if isinstance(method, str) else method
    unlearning = loop_of(method, model or tiny(), rows or rows_for(method), {**FAST, **settings})
    unlearning.prepare()
    return unlearning


def nudge(unlearning, size=0.02):
    """Moves the weights a little, to where every term has a gradient."""
    generator = torch.Generator().manual_seed(5)
    for values in unlearning.optimizer.flats:
        values.add_(torch.randn(values.shape, generator=generator), alpha=size)
