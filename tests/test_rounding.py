"""Rounding of weights: its error, what other libraries round to, and what it undoes."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import make_tiny, train_tiny

from models.attacks import rounding, subject


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(1, 150), st.sampled_from([(8, None), (4, 64), (4, None)]), st.integers(0, 9))
def test_rounding_is_idempotent_and_bounded(rows, width, scheme, seed):
    weight = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    bits, group = scheme
    once = rounding.rounded(weight, bits, group)
    assert once.shape == weight.shape
    assert torch.allclose(rounding.rounded(once, bits, group), once, rtol=1e-5, atol=1e-7)
    step = weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
    assert ((once - weight).abs() <= step / 2 + 1e-6).all()


def test_eight_bits_err_less_than_four_and_keep_zero_rows():
    weight = torch.randn(16, 256, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    errors = [(rounding.rounded(weight, *scheme) - weight).norm() for scheme in ((8, None), (4, 64))]
    assert 0 < errors[0] < errors[1] / 4
    assert (rounding.rounded(weight, 4, 64)[3] == 0).all()


def test_quantising_leaves_the_head_alone(known):
    model, _, _ = known
    head = model.get_output_embeddings().weight.clone()
    with subject.on_a_copy(model):
        count = rounding.quantise(model, 4, 64)
        assert count == 2 * 7  # attention 4, feed-forward 3, two layers
        assert torch.equal(model.get_output_embeddings().weight, head)
        weight = model.model.layers[0].self_attn.q_proj.weight
        assert len(torch.unique(weight[0])) <= 15


@pytest.mark.parametrize(("bits", "group"), [(8, None), (4, 64)])
def test_torchao_rounds_as_coarsely_as_our_own_code(bits, group):
    pytest.importorskip("torchao")
    weight = torch.randn(32, 256, generator=torch.Generator().manual_seed(0))
    ours, theirs = (by(weight, bits, group) for by in (rounding.rounded, rounding.rounded_by_torchao))
    errors = [float((rounded - weight).norm()) for rounded in (ours, theirs)]
    assert type(theirs) is torch.Tensor and theirs.shape == weight.shape
    assert 0.8 < errors[0] / errors[1] < 1.25
    assert torch.equal(rounding.rounded_by_torchao(weight[:, :100], 4, 64), rounding.rounded(weight[:, :100], 4, 64))


@pytest.mark.parametrize(("kind", "bits"), [("Q8_0", 8), ("Q4_0", 4)])
def test_gguf_rounds_like_our_own_code_in_blocks_of_32(kind, bits):
    """Q8_0 has the scale max|w| / 127 in half precision; Q4_0 uses one level more on one side."""
    pytest.importorskip("gguf")
    weight = torch.randn(32, 256, generator=torch.Generator().manual_seed(0))
    theirs, ours = rounding.rounded_by_gguf(kind)(weight, bits, 32), rounding.rounded(weight, bits, 32)
    assert theirs.dtype == weight.dtype and theirs.shape == weight.shape
    errors = [float((rounded - weight).norm()) for rounded in (ours, theirs)]
    assert 0.8 < errors[0] / errors[1] < 1.25
    if bits == 8:
        assert torch.allclose(theirs, ours, atol=2e-2)
    assert len(torch.unique(theirs[0, :32])) <= 2**bits
    uneven = rounding.rounded_by_gguf(kind)(weight[:, :100], bits, 32)
    assert torch.equal(uneven, weight[:, :100].half().float())


def pull(model, base: dict) -> float:
    """How far 4-bit rounding moves trained weights back to those before training: 0 not at all, 1 fully."""
    towards = apart = 0.0
    with subject.on_a_copy(model), torch.no_grad():
        trained = {name: value.clone() for name, value in model.named_parameters()}
        rounding.quantise(model, 4, 64)
        for name, value in model.named_parameters():
            back = base[name] - trained[name]
            towards += float(((value - trained[name]) * back).sum())
            apart += float((back * back).sum()) if not torch.equal(value, trained[name]) else 0.0
    return towards / apart


def test_four_bit_rounding_undoes_small_training_only_on_the_same_grid():
    """The packaged model's weights were once on a different 4-bit grid. Such a history changes the attack's result only
    if both grids are the same: then rounding restores the model that the weights came from."""
    model, tokenizer, examples = make_tiny(epochs=6)
    gridded = copy.deepcopy(model)
    rounding.quantise(gridded, 4, 64)
    found = {}
    for name, start in (("smooth", model), ("gridded", gridded)):
        base = {key: value.clone() for key, value in start.named_parameters()}
        train_tiny(start, tokenizer, examples[:12], epochs=2, learning_rate=2e-4)
        found[name] = pull(start, base)
    assert abs(found["smooth"]) < 0.15
    assert found["gridded"] > 0.8
