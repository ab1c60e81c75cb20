"""Logits at answer positions, packed or padded, against the model's plain forward pass of each row."""

import sys

import numpy as np
import pytest
import torch
import transformers
from random_models import (
    ARCHITECTURES,
    SIZES,
    VOCABULARY,
    encoded,
    plain_losses,
    random_rows,
    tiny,
)

import unlearning_algorithm as algorithm
from models.forward import cpu_paths, packing, proof


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_answer_positions_equal_plain_forward(name, packed, monkeypatch):
    if not packed:
        monkeypatch.setattr(packing, "supported", lambda model: False)
    model, rows = tiny(name), random_rows(shared=11)
    assert packing.supported(model) == packed
    expected = plain_losses(model, rows)
    expected.sum().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    answers = algorithm.answer_outputs(model, rows.batch(np.arange(len(rows)), 2))
    torch.testing.assert_close(answers.sequence_nll(), expected, rtol=1e-5, atol=1e-5)
    answers.sequence_nll().sum().backward()
    for ours, plain in zip((p.grad for p in model.parameters()), gradients):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()) + 1e-7)


def test_a_model_with_attention_sinks_keeps_its_own_attention():
    config = transformers.GptOssConfig(
        num_key_value_heads=2, head_dim=8, num_local_experts=4, num_experts_per_tok=2, sliding_window=6, **SIZES
    )
    torch.manual_seed(0)
    model, rows = transformers.AutoModelForCausalLM.from_config(config).eval(), random_rows(shared=11)
    for layer in model.model.layers:
        torch.nn.init.normal_(layer.self_attn.sinks)
    answers = algorithm.answer_outputs(model, rows.batch(np.arange(len(rows)), 2))
    torch.testing.assert_close(answers.sequence_nll(), plain_losses(model, rows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("packed", [True, False])
def test_attention_dropout_is_applied(packed):
    """Packed rows would share the noise of their prefix, so such a model is not packed in training."""
    config = transformers.LlamaConfig(attention_dropout=0.5 if not packed else 0.0, num_key_value_heads=2, **SIZES)
    model, rows = transformers.AutoModelForCausalLM.from_config(config).train(), random_rows(shared=11)
    torch.manual_seed(0)
    a, b = (algorithm.answer_outputs(model, rows.batch(np.arange(6), 2)).sequence_nll() for _ in range(2))
    assert bool((a == b).all()) == packed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_our_norms_equal_the_models_own(dtype):
    model = tiny().to(dtype)
    module, hidden = model.model.norm, (3 * torch.randn(2, 7, 32)).to(dtype).requires_grad_()
    upstream = torch.randn(2, 7, 32).to(dtype)
    own = module(hidden)
    expected = torch.autograd.grad(own, [hidden, module.weight], upstream)
    with cpu_paths.lean_layers(model):
        ours = module(hidden)
        assert ours.grad_fn.name() == "_RmsNormBackward"
        found = torch.autograd.grad(ours, [hidden, module.weight], upstream)
    assert module(hidden).grad_fn.name() != "_RmsNormBackward"
    near = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 6e-2}
    torch.testing.assert_close(ours, own, **near)
    for ours, plain in zip(found, expected):
        torch.testing.assert_close(ours, plain, **near)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_our_rotary_embeddings_equal_the_models_own(dtype):
    from transformers.models.llama import modeling_llama

    own = modeling_llama.apply_rotary_pos_emb
    angles = torch.arange(7.0)[:, None] * torch.tensor([1.0, 0.1, 0.7, 0.02]).repeat(2)
    cos, sin = angles.cos()[None].to(dtype), angles.sin()[None].to(dtype)
    vectors = [torch.randn(1, heads, 7, 8).to(dtype).requires_grad_() for heads in (4, 2)]
    upstream = [torch.randn_like(part) for part in vectors]
    expected = own(*vectors, cos, sin)
    with cpu_paths.lean_layers(tiny()):
        found = modeling_llama.apply_rotary_pos_emb(*vectors, cos, sin)
    assert modeling_llama.apply_rotary_pos_emb is own
    assert [part.grad_fn.name() for part in found] == ["_RotaryBackward"] * 2
    near = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 4e-2}
    gradients = [torch.autograd.grad(part, vectors, upstream) for part in (expected, found)]
    for ours, plain in zip((*found, *gradients[1]), (*expected, *gradients[0])):
        torch.testing.assert_close(ours, plain, **near)


def test_a_different_rotary_embedding_is_left_alone():
    """Cohere rotates neighbours, not halves."""
    model = tiny("cohere")
    own = sys.modules[type(model).__module__].apply_rotary_pos_emb
    cpu_paths._equal.pop(own, None)
    vectors, angles = torch.randn(2, 1, 4, 3, 8), torch.zeros(1, 3, 8)
    with cpu_paths.lean_layers(model):  # at position 0 nothing rotates, so nothing can differ
        sys.modules[type(model).__module__].apply_rotary_pos_emb(*vectors, angles.cos(), angles.sin())
    assert own not in cpu_paths._equal
    rows = random_rows()
    answers = algorithm.answer_outputs(model, rows.batch(np.arange(len(rows)), 2))
    assert cpu_paths._equal[own] is False
    torch.testing.assert_close(answers.sequence_nll(), plain_losses(model, rows), rtol=1e-5, atol=1e-5)


def test_spare_tokens_of_a_packed_batch_change_no_gradient(monkeypatch):
    rows, gradients = random_rows(shared=11), []
    for round_to in (1, 64):
        monkeypatch.setattr(packing, "ROUND", round_to)
        model = tiny()
        algorithm.answer_outputs(model, rows.batch(np.arange(len(rows)), 2)).sequence_nll().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    for without, ours in zip(*gradients):
        torch.testing.assert_close(ours, without, rtol=1e-5, atol=1e-5 * float(without.abs().max()))


def test_the_last_feed_forward_block_computes_only_answer_positions():
    model, rows, seen = tiny(), random_rows(shared=11), []
    proof.prove_rows(model, rows, 2)
    for layer in model.model.layers:
        layer.mlp.gate_proj.register_forward_hook(lambda _module, args, _output: seen.append(args[0].shape[1]))
    answers = algorithm.answer_outputs(model, rows.batch(np.arange(len(rows)), 2))
    computed = int(rows.lengths.sum()) - 5 * 11 - 6
    assert seen == [computed + -computed % packing.ROUND, len(answers.labels)]


def test_a_different_norm_is_left_alone():
    model = tiny("gemma2")  # (1 + weight) x / rms(x)
    hidden = torch.randn(2, 7, 32).requires_grad_()
    own = model.model.norm(hidden)
    with cpu_paths.lean_layers(model):
        found = model.model.norm(hidden)
    assert found.grad_fn.name() != "_RmsNormBackward"
    torch.testing.assert_close(found, own, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("piece", [1, 3 * 17, 1 << 20])
def test_cross_entropy_in_pieces_equals_the_plain_one(dtype, piece, monkeypatch):
    monkeypatch.setattr(cpu_paths, "PIECE", piece)
    torch.manual_seed(0)
    logits = (5 * torch.randn(7, 17)).to(dtype).requires_grad_()
    labels, weight = torch.randint(0, 17, (7,)), torch.randn(7)
    plain = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
    (expected,) = torch.autograd.grad((plain * weight).sum(), logits)
    ours = cpu_paths.token_nll(logits, labels)
    (found,) = torch.autograd.grad((ours * weight).sum(), logits)
    torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found, expected, rtol=1e-5 if dtype == torch.float32 else 1e-2, atol=1e-6)
    assert cpu_paths.token_nll(logits[:0], labels[:0]).shape == (0,)


@pytest.mark.parametrize(("cost", "most"), [(0, 10**9), (100, 10**9), (10**9, 10**9), (10**9, 1), (10**9, 2_000)])
def test_grouping_of_attention_does_not_change_the_result(cost, most, monkeypatch):
    monkeypatch.setattr(packing, "GROUP", cost)
    monkeypatch.setattr(packing, "MOST", most)
    model, rows = tiny(), random_rows(shared=11)
    answers = algorithm.answer_outputs(model, rows.batch(np.arange(len(rows)), 2))
    torch.testing.assert_close(answers.sequence_nll(), plain_losses(model, rows), rtol=1e-5, atol=1e-5)


def test_shared_prefix_is_computed_once():
    rows = random_rows(count=5, shared=11)
    layout = packing.lay_out([rows.ids_of(i) for i in range(5)])
    assert len(layout.ids) - layout.spare == int(rows.lengths.sum()) - 4 * 11 and len(layout.ids) % packing.ROUND == 0
    for i in range(5):
        np.testing.assert_array_equal(layout.ids[layout.paths[i]], rows.ids_of(i))
        np.testing.assert_array_equal(layout.positions[layout.paths[i]], np.arange(rows.lengths[i]))


def test_a_group_of_several_segments_stays_small(monkeypatch):
    """All its scores are in memory at once; a long segment is a group of its own."""
    monkeypatch.setattr(packing, "MOST", 3_000)
    rows = [np.random.default_rng(i).integers(3, VOCABULARY, length) for i, length in enumerate([20] * 6 + [90])]
    groups = packing.lay_out(rows).groups
    assert sum(len(group.counts) for group in groups) == 7 and max(len(group.counts) for group in groups) > 1
    for group in groups:
        assert len(group.counts) == 1 or group.queries.size * group.keys.shape[1] <= 3_000


def test_a_rows_last_token_is_not_computed(monkeypatch):
    """It predicts nothing, and no other token attends to it."""
    seen, lay_out = [], packing.lay_out
    model, rows = tiny(), random_rows(count=5, shared=11)
    proof.prove_rows(model, rows, 2)
    monkeypatch.setattr(packing, "lay_out", lambda rows: seen.append(lay_out(rows)) or seen[-1])
    algorithm.answer_outputs(model, rows.batch(np.arange(5), 2))
    assert len(seen[0].ids) - seen[0].spare == int(rows.lengths.sum()) - 4 * 11 - 5


def test_repeated_and_nested_rows_share_everything():
    row = np.arange(3, 33)
    layout = packing.lay_out([row, row, row[:20], row[:12]])
    assert len(layout.ids) - layout.spare == 30
    assert [len(path) for path in layout.paths] == [30, 30, 20, 12]


@pytest.mark.hardening(35)
def test_end_of_turn_keeps_its_loss_when_it_is_the_padding_token():
    model, pad = tiny(), 2
    rows = encoded([np.array([5, 6, 7, pad]), np.array([5, 6, 7, 8, 9, 10, 11, pad])], [2, 2])
    answers = algorithm.answer_outputs(model, rows.batch([0, 1], pad))
    assert answers.labels.tolist() == [7, pad, 7, 8, 9, 10, 11, pad]
    torch.testing.assert_close(answers.sequence_nll(), plain_losses(model, rows), rtol=1e-5, atol=1e-5)


def test_hooks_leave_generation_alone():
    model, rows = tiny(), random_rows()
    ids = torch.tensor(rows.ids_of(0), dtype=torch.long)[None]
    before = model(input_ids=ids).logits
    algorithm.answer_outputs(model, rows.batch([0, 1], 2))
    torch.testing.assert_close(model(input_ids=ids).logits, before, rtol=0, atol=0)
    assert model(input_ids=ids).logits.shape == (1, ids.shape[1], VOCABULARY)


def test_join_and_split_are_inverse():
    model, rows = tiny(), random_rows()
    joined = algorithm.answer_outputs(model, algorithm.join_batches([rows.batch([0, 3], 2), rows.batch([5, 1, 2], 2)]))
    first, second = algorithm.split_rows(joined, [2, 3])
    torch.testing.assert_close(first.sequence_nll(), plain_losses(model, rows.take([0, 3])), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(second.sequence_nll(), plain_losses(model, rows.take([5, 1, 2])), rtol=1e-5, atol=1e-5)
    assert second.indices.tolist() == [5, 1, 2]
