"""Regularisers and edits of the weights, against what they claim of the weights."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from random_loops import PAD, nudge, prepared, rows_for, run
from random_models import tiny, zero

import unlearning_algorithm as algorithm
from models.methods import hooks
from models.training import weights


def test_update_scale_of_a_student_is_refused():
    with pytest.raises(algorithm.MethodError, match="no target to go back to"):
        prepared("knowledge_distillation", update_scale=0.9)


@pytest.mark.parametrize("method", ["l2_sp", "ewc"])
def test_regularisers_are_zero_at_the_target(method):
    unlearning = prepared(method, regularizer_weight=3.0)
    assert unlearning._regularize() == 0.0
    assert all(zero(grad) for grad in unlearning.optimizer.grads)
    nudge(unlearning)
    distance_to = [a - b for a, b in zip(unlearning.optimizer.flats, unlearning.anchor, strict=True)]
    value = unlearning._regularize()
    expected = [3.0 * f * d for f, d in zip(unlearning.importance, distance_to, strict=True)]
    assert value == pytest.approx(weights.dot(expected, distance_to) / 2, rel=1e-4)
    for ours, theirs in zip(unlearning.optimizer.grads, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_ewc_importance_is_the_mean_squared_gradient_of_single_rows():
    rows = rows_for(algorithm.METHODS["ewc"])
    unlearning = prepared("ewc", rows=rows)
    model, total = tiny(), None
    for i in range(9):
        model.zero_grad()
        algorithm.answer_outputs(model, rows["retain"].batch([i], PAD)).sequence_mean().sum().backward()
        squares = [p.grad.square() / 9 for p in model.parameters()]
        total = squares if total is None else [a + b for a, b in zip(total, squares, strict=True)]
    by_parameter = dict(zip((n for n, _ in model.named_parameters()), total, strict=True))
    matrices = [v.reshape(-1) for n, v in by_parameter.items() if v.ndim > 1]
    torch.testing.assert_close(unlearning.importance[0], torch.cat(matrices), rtol=1e-3, atol=1e-9)


def test_repselect_keeps_the_last_weights_within_its_budget():
    model, records = run(
        "repselect", max_steps=200, learning_rate=0.1, kl_limit=1e-3, singular_directions=4, eval_steps=1000,
        step_size="learning_rate", elicitation_rate=0.0,
    )  # fmt: skip
    assert "kl_limit" in next(record["message"] for record in records if record["event"] == "early_stop")
    steps = [record for record in records if record["event"] == "step"]
    assert 1 < len(steps) < 200 and steps[-1]["loss"] > 1e-3 > steps[-2]["loss"]
    unlearning = prepared("repselect")
    for (_, ours), values in zip(model.named_parameters(), unlearning.model.parameters(), strict=True):
        values.data.copy_(ours)
    assert hooks.mean_divergence(unlearning, unlearning.generic, unlearning.generic_reference) <= 1e-3


@pytest.mark.parametrize("importance", ["fisher", "gradient"])
def test_perta_moves_each_weight_back_by_the_forget_rows_share_in_its_importance(importance):
    rows = rows_for(algorithm.METHODS["perta"])
    unlearning = prepared("perta", rows=rows, importance=importance, task_scale=1.5)
    expected = {}
    for name in ("forget", "retain"):
        model, found = tiny(), []
        for i in range(len(rows[name])):
            model.zero_grad()
            algorithm.answer_outputs(model, rows[name].batch([i], PAD)).sequence_mean().sum().backward()
            found.append(torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.ndim > 1]))
        found = torch.stack(found)
        expected[name] = found.square().mean(0) if importance == "fisher" else found.mean(0).abs()
    total = expected["forget"] + expected["retain"]
    share = torch.where(total > 0, expected["forget"] / total, 0.0)
    torch.testing.assert_close(unlearning.shares[0], share, rtol=1e-3, atol=1e-4)
    assert 0 <= float(share.min()) < 0.2 and 0.8 < float(share.max()) <= 1
    for _ in range(2):
        unlearning._train_step()
    moved = [flat - start for flat, start in zip(unlearning.optimizer.flats, unlearning.anchor, strict=True)]
    hooks.negate_weighted_task(unlearning)
    for flat, start, step, part in zip(
        unlearning.optimizer.flats, unlearning.anchor, moved, unlearning.shares, strict=True
    ):
        torch.testing.assert_close(flat, start - 1.5 * part * step, rtol=1e-4, atol=1e-7)


def test_perta_with_every_share_one_is_task_vector_and_with_scale_0_the_target():
    for scale in (0.0, 1.3):
        ends = []
        for method in ("task_vector", "perta"):
            unlearning = prepared(method, rows=rows_for(algorithm.METHODS["perta"]), task_scale=scale)
            for _ in range(2):
                unlearning._train_step()
            if method == "perta":
                unlearning.shares = [torch.ones_like(share) for share in unlearning.shares]
            unlearning.method.finish(unlearning)
            ends.append(unlearning.optimizer.flats)
            if scale == 0:
                assert all(
                    torch.equal(a, b) for a, b in zip(unlearning.optimizer.flats, unlearning.anchor, strict=True)
                )
        for one, other in zip(*ends, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def known_by_heart(epochs=60):
    """(a tiny model that knows its forget rows by heart, its sets)."""
    rows, model = rows_for(algorithm.METHODS["repselect"]), tiny()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(epochs):
        optimizer.zero_grad()
        for name in ("forget", "retain"):
            batch = rows[name].batch(np.arange(len(rows[name])), PAD)
            algorithm.answer_outputs(model, batch).token_nll().mean().backward()
        optimizer.step()
    return model.eval(), rows


def test_repselect_reaches_its_limit_where_the_published_step_is_inert():
    """The gradient of rows known by heart is near zero, so a constant step of the published size changes nothing."""
    changes = {}
    for step_size in ("learning_rate", "to_limit"):
        model, rows = known_by_heart()
        before = algorithm.probe(model, rows["forget"], PAD)["loss"]
        assert before < 0.05
        _, records = run("repselect", model, rows, max_steps=10, step_size=step_size, kl_limit=0.05,
                         learning_rate=5e-3, singular_directions=4)  # fmt: skip
        steps = [record for record in records if record["event"] == "step"]
        changes[step_size] = (steps[-1]["loss"], algorithm.probe(model, rows["forget"], PAD)["loss"] - before)
        assert len(steps) == 10 and len({round(record["learning_rate"], 12) for record in steps}) == 1
    divergence, risen = changes["to_limit"]
    assert 0.95 * 0.05 <= divergence <= 0.05
    assert risen > 20 * abs(changes["learning_rate"][1]) and changes["learning_rate"][0] < 0.01 * divergence


def test_repselect_elicits_like_an_adapter_trained_by_sgd():
    """B A beside every matrix, one epoch of plain SGD on the forget NLL; the published code does it with PEFT."""
    unlearning = prepared("repselect", elicitation_rate=0.0, per_device_train_batch_size=3)
    target = unlearning.optimizer.snapshot()
    hooks.elicited(unlearning)
    assert all(torch.equal(a, b) for a, b in zip(target, unlearning.optimizer.flats, strict=True))
    unlearning.settings.elicitation_rate = 0.5
    unlearning.model.eval()
    hooks.elicited(unlearning)

    oracle, draw = tiny(), torch.Generator().manual_seed(unlearning.settings.seed)
    names = [unlearning.optimizer.names[p] for p, _ in unlearning.optimizer.slots]
    weights_of = dict(oracle.named_parameters())
    adapters = {}
    for name in names:
        rows, columns = weights_of[name].shape
        down = (torch.rand(8, columns, generator=draw) * 2 - 1) / columns**0.5
        adapters[name] = [torch.zeros(rows, 8, requires_grad=True), down.requires_grad_()]
    for number in range(unlearning.stage.forget.per_epoch):
        batch = unlearning.rows["forget"].batch(unlearning.stage.forget[number], PAD)
        changed = {name: weights_of[name].detach() + up @ down for name, (up, down) in adapters.items()}
        logits = torch.func.functional_call(oracle, changed, kwargs={"input_ids": batch["input_ids"]}).logits
        place = torch.arange(batch["input_ids"].shape[1])[None]
        carries = (place >= batch["answer_starts"][:, None]) & (place < batch["lengths"][:, None])
        nll = F.cross_entropy(logits[:, :-1].flatten(0, 1), batch["input_ids"][:, 1:].flatten(), reduction="none")
        parts = [part for pair in adapters.values() for part in pair]
        for part, slope in zip(parts, torch.autograd.grad(nll[carries[:, 1:].flatten()].mean(), parts), strict=True):
            part.data.sub_(0.5 * slope)
    for (_, master), name in zip(unlearning.optimizer.slots, names, strict=True):
        up, down = adapters[name]
        torch.testing.assert_close(master, weights_of[name].detach() + up @ down, rtol=1e-4, atol=1e-6)
        assert float((up @ down).detach().abs().max()) > 0


@pytest.mark.parametrize(("collapse", "power"), [("soft", 1), ("quadratic", 2)])
def test_a_collapse_divides_each_top_direction_by_its_share_on_both_sides(collapse, power):
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q for _ in range(2))
    values = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.25])
    found = weights.collapsed(left @ torch.diag(values) @ right.mT, 6, collapse)
    expected = values * (values.min() / values) ** (2 * power)
    torch.testing.assert_close(torch.diag(left.mT @ found @ right), expected, rtol=1e-3, atol=1e-5)
