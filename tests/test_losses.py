"""Losses against identities and plain computations."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from random_models import (
    VOCABULARY,
    encoded,
    gradient,
    hidden_run,
    own_reference,
    random_answers,
    settings,
    zero,
)

from models.forward.answers import Answers
from models.forward.reference import Reference
from models.methods import losses
from models.methods.losses import Context


def flat(answers):
    """The same answers with constant logits."""
    logits = torch.full_like(answers.logits, 3.0).requires_grad_()
    return Answers(logits, answers.labels, answers.row, answers.num_rows, answers.indices)


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


# -- identities of forget losses


@pytest.mark.parametrize(("power", "other"), [(0.0, "ascent"), (1.0, "satimp"), (2.5, "satimp")])
def test_wga_without_power_is_ascent_and_satimp_without_importance_is_wga(power, other):
    answers = random_answers()
    values = losses.wga(answers, Context(), settings(probability_power=power))
    expected = -answers.token_nll()
    if other == "satimp":
        expected = losses.satimp(answers, Context(), settings(saturation_power=power, importance_power=0.0))
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(gradient(values.sum(), answers), gradient(expected.sum(), answers))


def test_weighted_ascent_takes_no_gradient_through_its_weight():
    answers = random_answers()
    p = torch.exp(-answers.token_nll().detach())
    values = losses.satimp(answers, Context(), settings(saturation_power=5.0, importance_power=0.1))
    expected = -(p**5 * (1 - p) ** 0.1 * answers.token_nll())
    torch.testing.assert_close(gradient(values.sum(), answers), gradient(expected.sum(), answers))


def test_ce_u_gradient_sums_to_zero_over_the_vocabulary_and_pushes_the_label_down():
    answers = random_answers()
    pull = gradient(losses.ce_u(answers, Context(), settings()).sum(), answers)
    assert zero(pull.sum(-1))
    torch.testing.assert_close(pull.gather(1, answers.labels[:, None]).squeeze(1), torch.exp(-answers.token_nll()))


def test_undial_of_itself_with_infinite_strength_is_ce_u():
    answers = random_answers()
    context = Context(own_reference(answers))
    ours = losses.undial(answers, context, settings(strength=1e4))
    theirs = losses.ce_u(answers, Context(), settings())
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours.sum(), answers), gradient(theirs.sum(), answers))


def test_max_entropy_is_positive_except_for_flat_logits():
    answers = random_answers()
    assert (losses.max_entropy(answers, Context(), settings()) > 0.1).all()
    even = flat(answers)
    values = losses.max_entropy(even, Context(), settings())
    assert float(values.detach().abs().max()) < 1e-5 and zero(gradient(values.sum(), even))


def test_pdu_is_zero_for_flat_logits_and_ignores_a_shift():
    answers = random_answers()
    values = losses.logit_flattening(answers, Context(), settings())
    shifted = dataclasses.replace(answers, logits=answers.logits + 7.0)
    torch.testing.assert_close(values, losses.logit_flattening(shifted, Context(), settings()), rtol=1e-4, atol=1e-4)
    assert (values > 0).all() and zero(losses.logit_flattening(flat(answers), Context(), settings()))


def test_scrub_max_step_is_minus_the_retain_divergence():
    answers, context = random_answers(), Context(own_reference(random_answers(seed=1)))
    up, down = (f(answers, context, settings()) for f in (losses.reference_divergence_ascent, losses.retain_kl))
    torch.testing.assert_close(up, -down)


def test_jsd_to_a_label_is_the_general_jsd_and_at_most_ln_2():
    answers = random_answers()
    certain = own_reference(answers)
    certain.hidden = 60.0 * F.one_hot(answers.labels, VOCABULARY)
    closed = losses.label_divergence(answers, Context(), settings())
    general = losses.retain_divergence(answers, Context(certain), settings())
    torch.testing.assert_close(closed, general, rtol=1e-4, atol=1e-5)
    assert (closed >= 0).all() and (closed <= math.log(2) + 1e-6).all()


def test_jsd_is_symmetric_and_zero_without_gradient_at_the_reference():
    one, other = random_answers(), random_answers(seed=1)
    there = losses.retain_divergence(one, Context(own_reference(other)), settings())
    back = losses.retain_divergence(other, Context(own_reference(one)), settings())
    torch.testing.assert_close(there, back)
    own = losses.retain_divergence(one, Context(own_reference(one)), settings())
    assert zero(own) and zero(gradient(own.sum(), one))


def test_shred_chooses_the_least_likely_share_of_each_row():
    answers = random_answers((20, 7, 1))
    nll = answers.token_nll().detach()
    chosen = losses.least_likely(nll, answers, 0.15)
    assert answers.per_row(chosen.float()).tolist() == [3, 2, 1]
    for row in range(3):
        here = answers.row == row
        assert nll[here & chosen].min() >= nll[here & ~chosen].max() if (here & ~chosen).any() else True


def test_shred_pulls_only_at_the_chosen_tokens():
    answers = random_answers((20, 7, 1))
    reference = own_reference(answers)
    values = losses.shred(answers, Context(reference), settings(strength=10.0))
    chosen = losses.least_likely(answers.token_nll().detach(), answers, 0.15)
    assert zero(values[~chosen]) and zero(gradient(values.sum(), answers)[~chosen])
    undial = losses.undial(answers, Context(reference), settings(strength=10.0))
    torch.testing.assert_close(
        gradient(values.sum(), answers)[chosen], gradient(undial.sum(), answers)[chosen], rtol=1e-4, atol=1e-6
    )


def test_whp_removes_what_reinforcement_raised():
    answers = random_answers()
    reference, reinforced = own_reference(answers), own_reference(random_answers(seed=1))
    values = losses.generic_prediction(
        answers, Context(reference, reinforced=reinforced), settings(reinforcement_scale=0.0)
    )
    assert zero(gradient(values.sum(), answers))
    base = answers.logits.detach()
    raised = base + 4.0 * F.one_hot(answers.labels, VOCABULARY)
    reinforced.hidden = raised
    values = losses.generic_prediction(answers, Context(reference, reinforced=reinforced), settings())
    expected = losses.undial(answers, Context(reference), settings(strength=4.0))
    torch.testing.assert_close(values, expected)


# -- identities of losses on counterexamples


def pair():
    chosen, rejected = random_answers((4, 2), seed=3), random_answers((3, 5), seed=4)
    return chosen, rejected, Context(own_reference(chosen), None, rejected, own_reference(rejected))


def test_preference_at_the_reference_has_a_known_value_and_lifts_the_chosen():
    chosen, rejected, context = pair()
    values = losses.preference(chosen, context, settings(beta=0.3))
    torch.testing.assert_close(values, torch.full((2,), 2 / 0.3 * math.log(2)))
    torch.testing.assert_close(gradient(values.sum(), chosen), gradient(chosen.sequence_nll().sum(), chosen))
    torch.testing.assert_close(gradient(values.sum(), rejected), gradient(-rejected.sequence_nll().sum(), rejected))


def test_preference_of_an_answer_over_itself_has_no_gradient():
    answers = random_answers()
    reference = Reference(answers.sequence_nll().detach() - 1)
    context = Context(reference, None, answers, reference)
    assert zero(gradient(losses.preference(answers, context, settings()).sum(), answers))


def test_answer_preservation_falls_as_the_answer_gains_on_the_refusal():
    answers, refusal = random_answers((3, 2)), random_answers((2, 2), seed=1)
    values = losses.answer_preservation(answers, Context(partner=refusal), settings(beta=0.5))
    expected = -1 / 0.5 * F.logsigmoid(0.5 * (refusal.sequence_nll() - answers.sequence_nll()))
    torch.testing.assert_close(values, expected)


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
