"""Forward passes and losses against identities and plain computations."""

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers

import unlearning_algorithm as algorithm
from data.preparation import EncodedRows
from models.forward import cpu_paths, packing, proof
from models.forward.answers import Answers
from models.forward.reference import Reference
from models.methods import losses, table
from models.methods.corruption import Corrupted
from models.methods.losses import Context
from models.scores.array_scores import harmonic_mean
from models.verdict.verdict import closeness

VOCABULARY = 53


def encoded(rows, starts):
    lengths = [len(row) for row in rows]
    return EncodedRows(np.concatenate(rows), np.concatenate([[0], np.cumsum(lengths)]), starts, np.arange(len(rows)))


def random_rows(count=6, seed=0, shared=0):
    draw = np.random.default_rng(seed)
    opening = draw.integers(3, VOCABULARY, shared)
    lengths = draw.integers(6, 20, count)
    rows = [np.concatenate([opening, draw.integers(3, VOCABULARY, length)]) for length in lengths]
    return encoded(rows, [shared + int(draw.integers(1, length - 2)) for length in lengths])


def random_answers(lengths=(3, 5, 1), seed=0, requires_grad=True):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(sum(lengths), VOCABULARY, generator=generator, dtype=torch.float32) * 2
    labels = torch.randint(0, VOCABULARY, (sum(lengths),), generator=generator)
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return Answers(logits.requires_grad_(requires_grad), labels, row, len(lengths), torch.arange(len(lengths)))


DECLARED = {name: setting.default for m in algorithm.METHODS.values() for name, setting in m.own_settings.items()}


def settings(**values):
    """All settings of methods at their declared defaults, except `values`."""
    return SimpleNamespace(**{**DECLARED, **values})


def own_reference(answers):
    """A reference with the model's current outputs."""
    offsets = np.concatenate([[0], np.cumsum(answers.lengths().long().numpy())])
    return Reference(answers.sequence_nll().detach(), answers.logits.detach().clone(), offsets, lambda hidden: hidden)


def hidden_run(seed, named=()):
    """What the model says without the name: `own_reference` of other answers; `named`: answer tokens of the name."""
    reference = own_reference(random_answers(seed=seed))
    marks = torch.zeros(len(reference.hidden), dtype=torch.bool)
    marks[list(named)] = True
    return Corrupted(**{**vars(reference), "named": marks})


def gradient(values, answers):
    return torch.autograd.grad(values, answers.logits, retain_graph=True)[0]


ARCHITECTURES = {
    "llama": lambda: transformers.LlamaConfig(num_key_value_heads=2, **SIZES),
    "qwen2": lambda: transformers.Qwen2Config(num_key_value_heads=2, **SIZES),
    "qwen3": lambda: transformers.Qwen3Config(num_key_value_heads=2, head_dim=8, **SIZES),
    "gemma2": lambda: transformers.Gemma2Config(
        num_key_value_heads=2, head_dim=8, sliding_window=6, final_logit_softcapping=5.0, attn_logit_softcapping=3.0,
        **SIZES
    ),
    "gemma3": lambda: transformers.Gemma3TextConfig(
        num_key_value_heads=2, head_dim=8, sliding_window=6,
        layer_types=["sliding_attention", "full_attention"], **SIZES
    ),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**SIZES),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        bos_token_id=1, eos_token_id=2,
    ),
    "cohere": lambda: transformers.CohereConfig(num_key_value_heads=2, logit_scale=0.25, **SIZES),
}  # fmt: skip
SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
}  # fmt: skip


def tiny(name="llama", seed=0):
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(ARCHITECTURES[name]())
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter) * 0.1
    return model.eval()


def plain_losses(model, rows):
    """The oracle: one row at a time, logits everywhere, the model's own forward."""
    found = []
    for i in range(len(rows)):
        ids = torch.tensor(rows.ids_of(i), dtype=torch.long)
        logits = model(input_ids=ids[None]).logits[0, :-1]
        start = int(rows.answer_starts[i])
        found.append(F.cross_entropy(logits[start - 1 :].float(), ids[start:], reduction="sum"))
    return torch.stack(found)


# -- outputs at answer positions


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


# -- identities of the losses


def test_npo_at_the_reference_has_a_known_value_and_the_ascent_gradient():
    answers = random_answers()
    values = losses.npo(answers, Context(own_reference(answers)), settings(beta=0.5))
    torch.testing.assert_close(values, torch.full((3,), 2 / 0.5 * math.log(2)))
    torch.testing.assert_close(gradient(values.sum(), answers), gradient(-answers.sequence_nll().sum(), answers))


def test_npo_gradient_is_weighted_ascent():
    answers, beta = random_answers(), 0.3
    reference = Reference(answers.sequence_nll().detach() - torch.tensor([1.0, -2.0, 0.5]))
    values = losses.npo(answers, Context(reference), settings(beta=beta))
    ratio = torch.exp(-(answers.sequence_nll() - reference.nll)).detach()  # pi / pi_ref
    weight = 2 * ratio**beta / (ratio**beta + 1)
    expected = gradient(-(weight * answers.sequence_nll()).sum(), answers)
    torch.testing.assert_close(gradient(values.sum(), answers), expected)


def test_npo_with_small_beta_is_gradient_ascent():
    answers = random_answers()
    reference = Reference(answers.sequence_nll().detach() + 1)
    values = losses.npo(answers, Context(reference), settings(beta=1e-5))
    expected = gradient(-answers.sequence_nll().sum(), answers)
    torch.testing.assert_close(gradient(values.sum(), answers), expected, rtol=1e-3, atol=1e-4)


def test_simnpo_with_small_beta_is_ascent_on_sequence_means():
    answers = random_answers()
    values = losses.simnpo(answers, Context(), settings(beta=1e-5, margin=1e-5))  # 1 nat, as in public models
    expected = gradient(-answers.sequence_mean().sum(), answers)
    torch.testing.assert_close(gradient(values.sum(), answers), expected, rtol=1e-3, atol=1e-4)


def test_simnpo_margin_is_not_multiplied_by_beta():
    answers = random_answers()
    values = losses.simnpo(answers, Context(), settings(beta=0.5, margin=1.5))
    expected = -2 / 0.5 * F.logsigmoid(0.5 * answers.sequence_mean() - 1.5)
    torch.testing.assert_close(values, expected)
    assert not torch.allclose(values, -2 / 0.5 * F.logsigmoid(0.5 * (answers.sequence_mean() - 1.5)))


def test_undial_strength_zero_is_the_reference_entropy_without_gradient():
    answers = random_answers()
    values = losses.undial(answers, Context(own_reference(answers)), settings(strength=0.0))
    log_p = answers.logits.log_softmax(-1)
    torch.testing.assert_close(values, -(log_p.exp() * log_p).sum(-1))
    assert float(gradient(values.sum(), answers).abs().max()) < 1e-6


def test_undial_closed_form_for_the_true_token():
    answers, strength = random_answers(), 3.0
    reference = own_reference(answers)
    p = reference.logits(answers).softmax(-1).gather(1, answers.labels[:, None]).squeeze(1)
    pushed = p * math.exp(-strength) / (1 - p + p * math.exp(-strength))
    teacher = (reference.logits(answers) - strength * F.one_hot(answers.labels, VOCABULARY)).softmax(-1)
    torch.testing.assert_close(teacher.gather(1, answers.labels[:, None]).squeeze(1), pushed)
    expected = -(teacher * answers.logits.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(losses.undial(answers, Context(reference), settings(strength=strength)), expected)


def test_retain_kl_is_zero_without_gradient_at_the_reference():
    answers = random_answers()
    values = losses.retain_kl(answers, Context(own_reference(answers)), settings())
    assert float(values.abs().max()) < 1e-5
    assert float(gradient(values.sum(), answers).abs().max()) < 1e-6


def test_retain_kl_uses_log_probabilities_not_raw_logits():
    """MUSE's KL took raw logits over the vocabulary: a constant added to them must change nothing."""
    answers = random_answers()
    reference = own_reference(random_answers(seed=1))
    values = losses.retain_kl(answers, Context(reference), settings())
    reference.hidden = reference.hidden + 7.0
    torch.testing.assert_close(values, losses.retain_kl(answers, Context(reference), settings()), rtol=1e-4, atol=1e-5)
    assert (values > 0).all()


def test_self_distillation_is_the_nll():
    answers = random_answers()
    values = losses.retain_distillation(answers, Context(own_reference(answers)), settings())
    torch.testing.assert_close(values, answers.token_nll(), rtol=1e-4, atol=1e-5)


def test_level_matching_stops_at_the_level_and_pulls_back_beyond_it():
    answers = random_answers()
    means = answers.sequence_mean().detach()
    at = losses.level_matching(answers, Context(levels=means.clone()), settings())
    assert float(at.abs().max()) < 1e-9 and float(gradient(at.sum(), answers).abs().max()) < 1e-6
    above = losses.level_matching(answers, Context(levels=means - 1), settings())
    down = gradient(above.sum(), answers)
    torch.testing.assert_close(down, gradient((2 * answers.sequence_mean()).sum(), answers), rtol=1e-4, atol=1e-6)


def test_levels_are_holdout_losses_drawn_by_seed():
    unseen = np.array([1.0, 2.0, 3.0])
    levels = losses.draw_levels(unseen, 7, 2.3, seed=1)
    assert sorted(levels[:3].tolist()) == [1.0, 2.0, 3.0] and sorted(levels[3:6].tolist()) == [1.0, 2.0, 3.0]
    torch.testing.assert_close(levels, losses.draw_levels(unseen, 7, 2.3, seed=1))
    without = losses.draw_levels(None, 4000, 2.0, seed=1)
    assert abs(float(without.mean()) - 2.0) < 0.02 and abs(float(without.std()) - 0.2) < 0.02


def test_permu_without_contrast_is_the_divergence_from_what_is_said_without_the_name():
    answers, context = random_answers(), Context(own_reference(random_answers()), corrupted=hidden_run(seed=1))
    values = losses.permu(answers, context, settings(contrast=0.0))
    torch.testing.assert_close(values, losses.retain_kl(answers, Context(own_reference(random_answers(seed=1))), None))
    assert (values > 0.1).any()


def test_permu_where_hiding_the_name_changes_nothing_is_zero_without_contrast_and_flat_with_contrast_1():
    answers = random_answers()
    context = Context(own_reference(answers), corrupted=hidden_run(seed=0))
    values = losses.permu(answers, context, settings(contrast=0.0))
    assert float(values.detach().abs().max()) < 1e-5 and float(gradient(values.sum(), answers).abs().max()) < 1e-6
    flat = losses.permu(answers, context, settings(contrast=1.0))
    pull = gradient(losses.max_entropy(answers, Context(), settings()).sum(), answers)
    torch.testing.assert_close(gradient(flat.sum(), answers), pull, rtol=1e-4, atol=1e-6)


def test_permu_leaves_the_tokens_of_the_name_and_prefers_what_the_name_suppressed():
    answers = random_answers()
    context = Context(own_reference(answers), corrupted=hidden_run(seed=1, named=(0, 4)))
    values = losses.permu(answers, context, settings(contrast=0.5))
    kept = torch.tensor([0, 4])
    assert float(values[kept].detach().abs().max()) < 1e-5 and (values.detach()[[1, 2, 3]] > 0.1).all()
    goal = context.corrupted.hidden - 0.5 * answers.logits.detach()
    pull = gradient(values.sum(), answers)
    torch.testing.assert_close(pull[1], (answers.logits.softmax(-1) - goal.softmax(-1))[1].detach())


def test_the_best_public_checkpoints_have_the_settings_of_the_rows():
    """150 checkpoints on TOFU forget10, by a two-sided score like the search's: closeness to the retrained model on
    both sides, the harmonic mean with privacy and utility. It explains the published defaults; it judges no run."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data" / "anchors" / "tofu_forget10_llama32_1b_public.json"
    if not path.exists():
        pytest.skip("skipped: ../shared/data/anchors is not there")
    rows = json.loads(path.read_text(encoding="utf-8"))["models"]
    target, retrained = (next(row for row in rows if row["model"] == name) for name in ("full", "retain"))
    memory = ("one_minus_es", "one_minus_em", "one_minus_paraprob", "one_minus_truth")
    privacy = ("s_loss", "s_zlib", "s_mink", "s_minkpp")

    def score(row):
        close = [closeness(row[name], retrained[name], target[name]) for name in memory]
        return harmonic_mean([harmonic_mean(close), harmonic_mean([row[name] for name in privacy]), row["utility_rel"]])

    kept = sorted((row for row in rows if row["utility_rel"] >= 0.95), key=score, reverse=True)
    best = {method: next(row["model"] for row in kept if row["method"] == method) for method in ("simnpo", "idkdpo")}
    assert best == {"simnpo": "simnpo_lr5e5_b35_a1_d1_g0125_ep10", "idkdpo": "idkdpo_lr5e5_b01_a1_ep10"}
    assert score(next(row for row in kept if row["model"] == best["simnpo"])) == pytest.approx(0.86, abs=0.01)
    simnpo, npo = (algorithm.hyper_parameters(name) for name in ("simnpo", "npo"))
    assert (simnpo["learning_rate"], simnpo["beta"], simnpo["margin"]) == (5e-5, 3.5, 3.5 * 1.0)
    assert (simnpo["forget_weight"], simnpo["num_train_epochs"]) == (0.125, 10.0)
    roomy = next(row for row in kept if row["method"] == "npo" and row["utility_rel"] > 0.96)
    assert roomy["model"] == "npo_lr2e5_b01_a2_ep5"
    assert (npo["learning_rate"], npo["beta"], npo["retain_weight"], npo["num_train_epochs"]) == (2e-5, 0.1, 2.0, 5.0)
    assert algorithm.hyper_parameters("idk_dpo")["learning_rate"] == 5e-5


# -- identities that hold for every method of the table

FORGETTING = [method for method in algorithm.METHODS.values() if method.forget]


def method_values(method, model, rows, indices, references, levels):
    """The unreduced forget loss of some rows; partners are the same rows in another order."""
    chosen = SimpleNamespace(**algorithm.hyper_parameters(method.name))
    layer = 1 if method.reads == "activation" else None
    answers = algorithm.answer_outputs(model, rows.batch(indices, 2), layer=layer)
    partner = algorithm.answer_outputs(model, rows.batch([(i + 1) % len(rows) for i in indices], 2))
    control = torch.linspace(-1, 1, 32) if layer else None
    hidden = Corrupted(references[1].nll, references[1].hidden, references[1].offsets, references[1].head)
    hidden.named = torch.arange(len(hidden.hidden)) % 5 == 0
    context = Context(references[0], levels, partner, references[0], references[1], control, hidden)
    return method.forget(answers, context, chosen)


ALWAYS_FORGOTTEN = sorted(method.name for method in FORGETTING if method.ending is table.BOUNDED)


@pytest.mark.parametrize("method", FORGETTING, ids=lambda m: m.name)
def test_only_a_loss_with_a_lower_bound_runs_to_its_end_without_a_look(method):
    """The label's logit falls without limit; a loss that falls with it must be stopped from outside."""
    if method.reads == "activation":
        pytest.skip("its loss is a squared distance")
    lowest = []
    for fall in (20.0, 2000.0):
        answers = random_answers()
        logits = answers.logits.detach().scatter_add(
            1, answers.labels[:, None], torch.full_like(answers.labels[:, None], -fall, dtype=torch.float32)
        )
        fallen = Answers(logits, answers.labels, answers.row, answers.num_rows, answers.indices)
        reference = own_reference(random_answers())
        context = Context(reference, torch.full((3, 8), 2.0) if method.draws is losses.draw_profiles else
                          torch.full((3,), 2.0), fallen, reference, own_reference(random_answers(seed=1)))  # fmt: skip
        context.corrupted = hidden_run(seed=1)
        values = method.forget(answers if method.pairwise else fallen, context, settings())
        lowest.append(float(values.min()))
    unbounded = lowest[1] < lowest[0] - 100
    assert unbounded == (method.forget in (losses.gradient_ascent, losses.reference_divergence_ascent))
    assert not (unbounded and method.ending is table.BOUNDED)
    if method.ending is table.UNBOUNDED:
        assert unbounded


def test_every_ending_has_its_reason_and_a_bounded_loss_runs_to_its_end():
    assert {"npo", "simnpo", "idk_dpo", "altpo", "undial", "rmu"} <= {*ALWAYS_FORGOTTEN}
    for method in algorithm.METHODS.values():
        chosen = algorithm.hyper_parameters(method.name, 135_000_000)
        assert len(method.ending.why) > 30
        assert (chosen["early_stop"], chosen["load_best_model_at_end"]) == (
            method.ending.early_stop, method.ending.best_state
        )  # fmt: skip
        if method.ending is table.BOUNDED:
            assert method.retain != "none" and not method.ending.early_stop


@pytest.mark.parametrize("method", FORGETTING, ids=lambda m: m.name)
def test_losses_are_independent_of_padding_and_order(method):
    model, rows = tiny(), random_rows()
    references = [algorithm.cache_reference(tiny(seed=s), rows, 2, distribution=True) for s in (1, 2)]
    levels = (method.draws or losses.draw_levels)([], len(rows), 2.0, 0)
    together = method_values(method, model, rows, [0, 1, 2, 3, 4, 5], references, levels)
    alone = torch.cat([method_values(method, model, rows, [i], references, levels) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    turned = method_values(method, model, rows, [5, 4, 3, 2, 1, 0], references, levels)
    torch.testing.assert_close(turned.sum(), together.sum(), rtol=1e-4, atol=1e-4)


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


# -- profile_matching


def profile_gap(answers, profiles):
    return losses.profile_matching(answers, Context(levels=profiles), settings())


def test_profile_matching_is_zero_at_its_levels_and_huber_elsewhere():
    answers = random_answers((4, 2))
    nll = answers.token_nll().detach()
    levels = torch.stack([nll[:4], F.pad(nll[4:], (0, 2), value=99.0)])
    torch.testing.assert_close(profile_gap(answers, levels), torch.zeros(2), rtol=0, atol=1e-6)
    moved = profile_gap(answers, levels + 0.5)
    torch.testing.assert_close(moved, torch.full((2,), 0.5 * 0.25), rtol=1e-3, atol=1e-5)


def test_profile_matching_pulls_no_token_harder_than_ascent():
    answers = random_answers((6,))
    ours = gradient(profile_gap(answers, torch.full((1, 6), 100.0)).sum(), answers)
    torch.testing.assert_close(ours, gradient(-answers.sequence_mean().sum(), answers), rtol=1e-4, atol=1e-6)


def test_profiles_are_assigned_to_tokens_by_rarity():
    forget = encoded([np.array([5, 6, 7, 6, 20, 8, 2])], [3])
    retain = encoded([np.array([5, 8, 2]), np.array([5, 2])], [1, 1])
    levels = losses.place_profiles(torch.tensor([[0.0, 1.0, 2.0, 3.0]]), forget, retain)
    assert levels.tolist() == [[0.0, 3.0, 2.0, 1.0]]  # in the prompt; never in retain; once; twice


def test_profiles_are_quantiles_of_holdout_rows():
    rows = [np.array([0.0, 1.0, 2.0, 3.0]), np.array([5.0, 5.0])]
    profiles = losses.draw_profiles(rows, 4, 2.3, seed=1)
    assert profiles.shape == (4, 64) and (profiles.diff(dim=1) >= 0).all()
    means = sorted(profiles.mean(1).tolist())
    assert means == pytest.approx([1.5, 1.5, 5.0, 5.0], abs=0.02)
    without = losses.draw_profiles([], 3, 2.0, seed=1)
    assert without.mean().item() == pytest.approx(2.0, rel=0.05)
