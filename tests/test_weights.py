"""Weights in training: the flat AdamW against torch's own, its gradients, and operations on gradients and weights."""

import math

import every_model
import pytest
import torch
from random_loops import distance, prepared
from random_models import plain_losses, random_rows, tiny

from models.forward.answers import dropouts, drops_out
from models.store.adapters import add_lora
from models.training import weights


def test_frozen_weights_return_exactly_and_are_copied_only_if_bfloat16_rounds_them():
    model = tiny().requires_grad_(False)
    rough, fine, trained = list(model.parameters())[:3]
    rough.data = rough.data.bfloat16().float()
    trained.requires_grad = True
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = weights.FlatAdamW(model, compute_dtype=torch.bfloat16)
    assert optimizer.frozen[rough] is None and torch.equal(
        optimizer.frozen[fine], before["model.layers.0.self_attn.q_proj.weight"]
    )
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    optimizer.release()
    for name, p in model.named_parameters():
        assert p.dtype == torch.float32 and torch.equal(p, before[name]), name


def test_fp32_master_keeps_updates_that_bf16_rounds_away():
    model = tiny()
    optimizer = weights.FlatAdamW(model, compute_dtype=torch.bfloat16)
    before = optimizer.snapshot()
    computed = [p.detach().clone() for p in model.parameters()]
    for grad in optimizer.grads:
        grad.fill_(1.0)
    optimizer.step(1e-6)
    assert all(float((a - b).abs().min()) > 0 for a, b in zip(before, optimizer.flats))
    unchanged = sum(int((p == q).sum()) for p, q in zip(model.parameters(), computed))
    assert unchanged > 0.9 * sum(p.numel() for p in computed)
    optimizer.release()
    assert all(p.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("piece", [7, 2**20])
def test_flat_adamw_equals_torch_adamw(piece, monkeypatch):
    monkeypatch.setitem(weights.PIECE, "cpu", piece)
    ours, theirs = tiny(), tiny()
    flat = weights.FlatAdamW(ours, weight_decay=0.1)
    decayed = {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": 0.1}
    rest = {"params": [p for p in theirs.parameters() if p.ndim <= 1], "weight_decay": 0.0}
    plain = torch.optim.AdamW([decayed, rest], lr=1e-3)
    rows = random_rows()
    for _ in range(3):
        for model in (ours, theirs):
            plain_losses(model, rows).sum().backward()
        flat.gather()
        flat.step(1e-3)
        flat.zero_grad()
        plain.step()
        plain.zero_grad()
    assert max(distance(ours, theirs).values()) < 1e-6


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma3"])
def test_a_low_precision_gradient_equals_the_dense_one_in_both_layouts(family):
    """Embeddings, tied or not, pass on only the rows with a gradient; the sum stays the same."""

    def model_with_padding():
        model = tiny(family)
        model.get_input_embeddings().padding_idx = int(rows.ids_of(0)[0])  # its row has no gradient but the head's
        return model

    rows, gradients = random_rows(), {}
    model = model_with_padding().bfloat16()
    (2 * plain_losses(model, rows).sum()).backward()
    gradients["dense"] = [p.grad.float() for p in model.parameters()]
    for kind in ("by weight", "flat"):
        model = model_with_padding()
        optimizer = weights.FlatAdamW(model, compute_dtype=torch.bfloat16)
        assert bool(optimizer.sparse) == (family == "gemma3"), "Gemma's embedding multiplies what it looks up"
        for _ in range(2):  # the second step must not see the first one's
            optimizer.begin_step()
            if kind == "flat":
                assert len(optimizer.grads) == len(optimizer.flats)
            for _ in range(2):  # accumulated
                plain_losses(model, rows).sum().backward()
            optimizer.gather()
        gradients[kind] = [optimizer.gradient[p].clone().float() for p in model.parameters()]
        norm = optimizer.grad_norm()
        assert norm == pytest.approx(float(torch.cat([g.flatten() for g in gradients[kind]]).norm()), rel=1e-4)
        optimizer.release()
        embeddings = [m for m in model.modules() if isinstance(m, torch.nn.Embedding)]
        assert not any(m.sparse or m._forward_hooks for m in embeddings)
    for kind in ("by weight", "flat"):
        for ours, dense in zip(gradients[kind], gradients["dense"], strict=True):
            torch.testing.assert_close(ours, dense, rtol=0.02, atol=0.02 * float(dense.abs().max()))
    pairs = zip(gradients["by weight"], gradients["flat"], strict=True)
    assert all(torch.equal(a.bfloat16(), b.bfloat16()) for a, b in pairs)


def test_a_step_in_pieces_equals_a_step_in_whole_passes(monkeypatch):
    ends = []
    for piece, precise in ((2**40, True), (2**20, False), (50, False)):
        monkeypatch.setitem(weights.PIECE, "cpu", piece)
        model = tiny()
        optimizer = weights.FlatAdamW(model, weight_decay=0.1, compute_dtype=torch.bfloat16)
        for _ in range(2):
            optimizer.begin_step()
            plain_losses(model, random_rows()).sum().backward()
            optimizer.gather()
            assert {grad.dtype for grad in optimizer.gradient.values()} == {torch.bfloat16}
            if precise:
                assert {grad.dtype for grad in optimizer.by_weight()} == {torch.float32}
            optimizer.step(1e-3, scale=0.37)
        assert int(optimizer.state()["step"]) == 2
        for p, master in optimizer.slots:
            assert torch.equal(p, master.bfloat16())
        ends.append(optimizer.snapshot())
        optimizer.release()
    for other in ends[1:]:  # the kernel rounds the last few weights of a piece otherwise than the rest
        torch.testing.assert_close(ends[0], other, rtol=1e-6, atol=1e-8)


def test_gradients_are_in_memory_only_from_backward_to_step():
    model = tiny()
    optimizer = weights.FlatAdamW(model, compute_dtype=torch.bfloat16)
    optimizer.begin_step()
    plain_losses(model, random_rows()).sum().backward()
    optimizer.gather()
    assert len(optimizer.gradient) == len(optimizer.slots)
    optimizer.step(1e-3)
    assert not optimizer.gradient and all(p.grad is None and master.grad is None for p, master in optimizer.slots)


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt", "persimmon", "gpt_neox"])
def test_dropout_is_set_and_seen_everywhere(family):
    """Families keep it as layers (GPT-2), as numbers (Llama, OPT), or as a layer under the name of a number."""
    model, _ = every_model.built(family)
    model.train()
    rates = [(module, name) for module, name in dropouts(model)]
    assert rates
    weights.set_dropout(model, 0.0)
    assert not drops_out(model)
    for module, name in rates:
        setattr(module, name, 0.3)
        assert drops_out(model) and not drops_out(model.eval())
        model.train()
        setattr(module, name, 0.0)
    weights.set_dropout(model, 0.3)
    torch.manual_seed(0)
    ids = torch.arange(8)[None]
    first, second = (model(input_ids=ids, use_cache=False).logits for _ in range(2))
    assert not torch.equal(first, second)
    weights.set_dropout(model, 0.0)
    first, second = (model(input_ids=ids, use_cache=False).logits for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


# -- operations on gradients and weights


def random_vectors(seed, sizes=(40, 7)):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=generator) for size in sizes]


def test_gradient_surgery_removes_conflict_and_keeps_agreement():
    forget, retain = random_vectors(0), random_vectors(1)
    if weights.dot(forget, retain) > 0:
        retain = [-values for values in retain]
    assert weights.dot(forget, retain) < 0
    freed = weights.without_conflict(forget, retain)
    assert abs(weights.dot(freed, retain)) < 1e-4
    agreeing = [-values for values in retain]
    assert weights.without_conflict(forget, agreeing) is forget


def test_gradient_surgery_in_the_loop_is_the_projection_of_the_terms():
    plain, cut = prepared("gradient_difference"), prepared("gradient_difference", gradient_surgery=True)
    taken = {}
    for term in plain._terms(0):
        plain._accumulate([term])
        taken[term.name] = plain.optimizer.take_grads()
    expected = weights.without_conflict(taken["forget"], taken["retain"])
    cut._gradients(cut._terms(0))
    for ours, forget, retain in zip(cut.optimizer.grads, expected, taken["retain"], strict=True):
        torch.testing.assert_close(ours, forget + retain, rtol=1e-4, atol=1e-7)


def test_sharpness_aware_gradient_is_the_one_a_radius_uphill():
    plain, sharp = prepared("gradient_ascent"), prepared("gradient_ascent", sam_rho=0.5)
    plain._accumulate(plain._terms(0))
    uphill = plain.optimizer.take_grads()
    norm = weights.dot(uphill, uphill) ** 0.5
    before = plain.optimizer.snapshot()
    plain.optimizer.move([0.5 * values / norm for values in uphill])
    plain._accumulate(plain._terms(0))
    here = sharp.optimizer.snapshot()
    sharp._gradients(sharp._terms(0))
    for ours, theirs in zip(sharp.optimizer.grads, plain.optimizer.grads, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(here, sharp.optimizer.flats, strict=True))
    assert not torch.allclose(before[0], plain.optimizer.flats[0])


def test_zero_radius_noise_and_task_scale_change_nothing():
    unlearning = prepared("task_vector", task_scale=0.0)
    start = unlearning.optimizer.snapshot()
    unlearning.optimizer.move(weights.ascent_step(start, 0.0))
    unlearning.optimizer.shrink_and_noise(0.0, 0.1, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(start, unlearning.optimizer.flats, strict=True))
    list(unlearning.steps())
    assert all(torch.equal(a, b) for a, b in zip(start, unlearning.optimizer.flats, strict=True))


def test_task_vector_negates_the_trained_change():
    there, back = prepared("fine_tuning"), prepared("task_vector", task_scale=1.5)
    start = back.optimizer.snapshot()
    while back.step < back.total_steps:
        back._train_step()
    reinforced = back.optimizer.snapshot()
    list(back.steps())
    for a, b, c in zip(start, reinforced, back.optimizer.flats, strict=True):
        torch.testing.assert_close(c, a - 1.5 * (b - a))
    del there


@pytest.mark.parametrize("scale", [0.4, 1.3])
def test_update_scale_multiplies_the_whole_change_of_the_weights(scale):
    whole, scaled = prepared("npo"), prepared("npo", update_scale=scale)
    start = whole.optimizer.snapshot()
    assert "scaled" not in [record["event"] for record in whole.steps()]
    assert [record["event"] for record in scaled.steps()][-1] == "scaled"
    for before, one, other in zip(start, whole.optimizer.flats, scaled.optimizer.flats, strict=True):
        assert not torch.equal(before, one)
        torch.testing.assert_close(other, before + scale * (one - before), rtol=1e-5, atol=1e-7)


def test_update_scale_of_an_adapter_scales_the_product():
    found = []
    for scale in (1.0, 0.5):
        torch.manual_seed(0)
        model = add_lora(tiny(), r=2, alpha=4, dropout=0.0, target_modules="all-linear")
        list(prepared("npo", model=model, update_scale=scale).steps())
        module = next(m for m in model.modules() if hasattr(m, "get_delta_weight") and "default" in m.lora_A)
        found.append(module.get_delta_weight("default").detach())
    assert float(found[0].abs().max()) > 0
    torch.testing.assert_close(found[1], 0.5 * found[0])


def test_task_vector_of_an_adapter_negates_the_product():
    model = add_lora(tiny(), r=2, alpha=4, dropout=0.0, target_modules="all-linear")
    unlearning = prepared("task_vector", model=model, task_scale=1.0)
    while unlearning.step < unlearning.total_steps:
        unlearning._train_step()
    module = next(m for m in model.modules() if hasattr(m, "get_delta_weight") and "default" in m.lora_A)
    before = module.get_delta_weight("default").detach().clone()
    list(unlearning.steps())
    assert float(before.abs().max()) > 0
    torch.testing.assert_close(module.get_delta_weight("default"), -before)


def test_noise_is_xavier_on_matrices_and_spares_vectors():
    unlearning = prepared("fine_tuning")
    before = [(p.detach().clone(), p) for p in unlearning.model.parameters()]
    unlearning.optimizer.shrink_and_noise(0.2, 0.5, seed=1)
    for old, new in before:
        if old.ndim == 1:
            assert torch.equal(old, new)
        else:
            noise = (new.detach() - 0.8 * old) / (0.2 * 0.5)
            bound = math.sqrt(6 / sum(old.shape))
            assert float(noise.abs().max()) <= bound * 1.01
            assert float(noise.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("shape", [(12, 7), (7, 12)])
def test_repselect_without_any_direction_changes_nothing(shape):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(shape, generator=generator)
    assert float(weights.collapsed(matrix, 128, "hard").abs().max()) < 1e-5


def test_repselect_evens_out_the_top_directions_on_both_sides():
    generator = torch.Generator().manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(20, 5, generator=generator))
    right, _ = torch.linalg.qr(torch.randn(9, 5, generator=generator))
    values = torch.tensor([16.0, 8.0, 4.0, 2.0, 1.0])
    shrunk = weights.collapsed(left @ torch.diag(values) @ right.T, 3, "soft")
    expected = torch.tensor([16 / 16, 8 / 4, 4.0, 2.0, 1.0])  # each side divides by S / 4
    torch.testing.assert_close(
        torch.linalg.svdvals(shrunk)[:5], expected.sort(descending=True).values, rtol=2e-2, atol=1e-3
    )  # the top directions are found by a randomised method
    hard = torch.linalg.svdvals(weights.collapsed(left @ torch.diag(values) @ right.T, 3, "hard"))
    torch.testing.assert_close(hard[:2], torch.tensor([2.0, 1.0]), rtol=2e-2, atol=1e-3)
    assert float(hard[2]) < 0.1
