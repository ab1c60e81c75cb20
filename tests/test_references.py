"""References: what is cached of a frozen model equals the live one, in value, loss and gradient."""

import pytest
import torch
from random_loops import LOOPED, PAD, nudge, prepared
from random_models import ARCHITECTURES, random_rows, tiny

import unlearning_algorithm as algorithm


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_cached_reference_equals_a_live_second_model(name):
    live, rows = tiny(name, seed=1), random_rows()
    cached = algorithm.cache_reference(live, rows, 2, distribution=True, batch_tokens=40)
    with torch.no_grad():
        answers = algorithm.answer_outputs(live, rows.batch([4, 0, 2], 2))
    torch.testing.assert_close(cached.sequence_nll(answers), answers.sequence_nll(), rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(cached.logits(answers), answers.logits, rtol=1e-5, atol=1e-5)


def test_a_reference_stays_frozen_while_the_model_trains():
    model, rows = tiny(), random_rows()
    cached = algorithm.cache_reference(model, rows, 2, distribution=True)
    answers = algorithm.answer_outputs(model, rows.batch([0], 2))
    before = cached.logits(answers).clone()
    for parameter in model.parameters():
        parameter.data.add_(1.0)
    torch.testing.assert_close(cached.logits(answers), before, rtol=0, atol=0)


# -- references: cached equals live, loss and gradient


class Live:
    """A second model instead of a cache."""

    def __init__(self, model, rows, layer):
        self.model, self.rows, self.layer = model, rows, layer

    def _now(self, answers):
        with torch.no_grad():
            return algorithm.answer_outputs(self.model, self.rows.batch(answers.indices.numpy(), PAD), layer=self.layer)

    def sequence_nll(self, answers):
        return self._now(answers).sequence_nll()

    def logits(self, answers):
        return self._now(answers).logits

    def activations(self, answers):
        return self._now(answers).activation


def uses_reference(method) -> bool:
    if method.needs_base:  # its references are another model's
        return False
    return bool(method.needs_reference or algorithm.RETAIN_LOSSES[method.retain].needs_reference)


@pytest.mark.parametrize("method", [m for m in LOOPED if uses_reference(m)], ids=lambda m: m.name)
def test_cached_reference_gives_the_loss_and_gradient_of_a_live_second_model(method):
    results = []
    for live in (False, True):
        unlearning = prepared(method)
        unlearning._enter(unlearning.stages[-1])
        if method.phases:
            unlearning.keep("reinforced", unlearning.cache(unlearning.rows["forget"], "distribution"))
        if live:
            for name in unlearning.references:
                rows = unlearning.rows["forget" if name == "reinforced" else name]
                unlearning.references[name] = Live(tiny(), rows, unlearning.layer)
        nudge(unlearning)
        unlearning.optimizer.zero_grad()
        found = [unlearning._accumulate(unlearning._terms(number)) for number in range(2)]
        results.append((found, unlearning.optimizer.take_grads()))
    (cached, ours), (alive, theirs) = results
    for a, b in zip(cached, alive, strict=True):
        assert a == pytest.approx(b, rel=1e-6, abs=1e-6)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6 * float(b.abs().max()))
