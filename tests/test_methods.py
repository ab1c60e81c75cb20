"""Methods: identities of their losses and hooks, references, phases, flags, and the table."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_losses import ARCHITECTURES, VOCABULARY, encoded, gradient, own_reference, random_answers, random_rows, tiny
from test_losses import settings as words
from test_unlearning_loop import FAST, LOOPED, PAD, distance, loop_of, rows_for, run

import unlearning_algorithm as algorithm
from models.forward import packing
from models.forward.answers import Answers
from models.forward.layers import MethodError, chosen_layer, decoder_layers
from models.forward.reference import Reference
from models.methods import hooks, losses
from models.methods.losses import Context
from models.methods.settings import SHARED_SETTINGS, TRAINING_SETTINGS
from models.training import weights


def zero(values) -> bool:
    return float(values.detach().abs().max()) < 1e-6


def flat(answers):
    """The same answers with constant logits."""
    logits = torch.full_like(answers.logits, 3.0).requires_grad_()
    return Answers(logits, answers.labels, answers.row, answers.num_rows, answers.indices)


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


# -- the table


def test_every_setting_of_a_row_is_declared_once():
    general = {**TRAINING_SETTINGS, **SHARED_SETTINGS}
    own = [name for method in algorithm.METHODS.values() for name in method.own]
    assert len(own) == len(set(own)) and not set(own) & set(general)
    for method in algorithm.METHODS.values():
        for name, value in {**method.defaults, **method.small}.items():
            assert type(value) is type({**general, **method.own}[name].default), f"{method.name}: {name}"


# -- identities of forget losses


@pytest.mark.parametrize(("power", "other"), [(0.0, "ascent"), (1.0, "satimp"), (2.5, "satimp")])
def test_wga_without_power_is_ascent_and_satimp_without_importance_is_wga(power, other):
    answers = random_answers()
    values = losses.wga(answers, Context(), words(probability_power=power))
    expected = -answers.token_nll()
    if other == "satimp":
        expected = losses.satimp(answers, Context(), words(saturation_power=power, importance_power=0.0))
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(gradient(values.sum(), answers), gradient(expected.sum(), answers))


def test_weighted_ascent_takes_no_gradient_through_its_weight():
    answers = random_answers()
    p = torch.exp(-answers.token_nll().detach())
    values = losses.satimp(answers, Context(), words(saturation_power=5.0, importance_power=0.1))
    expected = -(p**5 * (1 - p) ** 0.1 * answers.token_nll())
    torch.testing.assert_close(gradient(values.sum(), answers), gradient(expected.sum(), answers))


def test_ce_u_gradient_sums_to_zero_over_the_vocabulary_and_pushes_the_label_down():
    answers = random_answers()
    pull = gradient(losses.ce_u(answers, Context(), words()).sum(), answers)
    assert zero(pull.sum(-1))
    torch.testing.assert_close(pull.gather(1, answers.labels[:, None]).squeeze(1), torch.exp(-answers.token_nll()))


def test_undial_of_itself_with_infinite_strength_is_ce_u():
    answers = random_answers()
    context = Context(own_reference(answers))
    ours = losses.undial(answers, context, words(strength=1e4))
    theirs = losses.ce_u(answers, Context(), words())
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours.sum(), answers), gradient(theirs.sum(), answers))


def test_max_entropy_is_positive_except_for_flat_logits():
    answers = random_answers()
    assert (losses.max_entropy(answers, Context(), words()) > 0.1).all()
    even = flat(answers)
    values = losses.max_entropy(even, Context(), words())
    assert float(values.detach().abs().max()) < 1e-5 and zero(gradient(values.sum(), even))


def test_pdu_is_zero_for_flat_logits_and_ignores_a_shift():
    answers = random_answers()
    values = losses.logit_flattening(answers, Context(), words())
    shifted = dataclasses.replace(answers, logits=answers.logits + 7.0)
    torch.testing.assert_close(values, losses.logit_flattening(shifted, Context(), words()), rtol=1e-4, atol=1e-4)
    assert (values > 0).all() and zero(losses.logit_flattening(flat(answers), Context(), words()))


def test_scrub_max_step_is_minus_the_retain_divergence():
    answers, context = random_answers(), Context(own_reference(random_answers(seed=1)))
    up, down = (f(answers, context, words()) for f in (losses.reference_divergence_ascent, losses.retain_kl))
    torch.testing.assert_close(up, -down)


def test_jsd_to_a_label_is_the_general_jsd_and_at_most_ln_2():
    answers = random_answers()
    certain = own_reference(answers)
    certain.hidden = 60.0 * F.one_hot(answers.labels, VOCABULARY)
    closed = losses.label_divergence(answers, Context(), words())
    general = losses.retain_divergence(answers, Context(certain), words())
    torch.testing.assert_close(closed, general, rtol=1e-4, atol=1e-5)
    assert (closed >= 0).all() and (closed <= math.log(2) + 1e-6).all()


def test_jsd_is_symmetric_and_zero_without_gradient_at_the_reference():
    one, other = random_answers(), random_answers(seed=1)
    there = losses.retain_divergence(one, Context(own_reference(other)), words())
    back = losses.retain_divergence(other, Context(own_reference(one)), words())
    torch.testing.assert_close(there, back)
    own = losses.retain_divergence(one, Context(own_reference(one)), words())
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
    values = losses.shred(answers, Context(reference), words(strength=10.0))
    chosen = losses.least_likely(answers.token_nll().detach(), answers, 0.15)
    assert zero(values[~chosen]) and zero(gradient(values.sum(), answers)[~chosen])
    undial = losses.undial(answers, Context(reference), words(strength=10.0))
    torch.testing.assert_close(
        gradient(values.sum(), answers)[chosen], gradient(undial.sum(), answers)[chosen], rtol=1e-4, atol=1e-6
    )


def test_whp_removes_what_reinforcement_raised():
    answers = random_answers()
    reference, reinforced = own_reference(answers), own_reference(random_answers(seed=1))
    values = losses.generic_prediction(
        answers, Context(reference, reinforced=reinforced), words(reinforcement_scale=0.0)
    )
    assert zero(gradient(values.sum(), answers))
    base = answers.logits.detach()
    raised = base + 4.0 * F.one_hot(answers.labels, VOCABULARY)
    reinforced.hidden = raised
    values = losses.generic_prediction(answers, Context(reference, reinforced=reinforced), words())
    expected = losses.undial(answers, Context(reference), words(strength=4.0))
    torch.testing.assert_close(values, expected)


# -- identities of losses on counterexamples


def pair():
    chosen, rejected = random_answers((4, 2), seed=3), random_answers((3, 5), seed=4)
    return chosen, rejected, Context(own_reference(chosen), None, rejected, own_reference(rejected))


def test_preference_at_the_reference_has_a_known_value_and_lifts_the_chosen():
    chosen, rejected, context = pair()
    values = losses.preference(chosen, context, words(beta=0.3))
    torch.testing.assert_close(values, torch.full((2,), 2 / 0.3 * math.log(2)))
    torch.testing.assert_close(gradient(values.sum(), chosen), gradient(chosen.sequence_nll().sum(), chosen))
    torch.testing.assert_close(gradient(values.sum(), rejected), gradient(-rejected.sequence_nll().sum(), rejected))


def test_preference_of_an_answer_over_itself_has_no_gradient():
    answers = random_answers()
    reference = Reference(answers.sequence_nll().detach() - 1)
    context = Context(reference, None, answers, reference)
    assert zero(gradient(losses.preference(answers, context, words()).sum(), answers))


def test_answer_preservation_falls_as_the_answer_gains_on_the_refusal():
    answers, refusal = random_answers((3, 2)), random_answers((2, 2), seed=1)
    values = losses.answer_preservation(answers, Context(partner=refusal), words(beta=0.5))
    expected = -1 / 0.5 * F.logsigmoid(0.5 * (refusal.sequence_nll() - answers.sequence_nll()))
    torch.testing.assert_close(values, expected)


# -- rmu


def steered(lengths, hidden, control):
    answers = random_answers(lengths)
    answers.activation = hidden
    return losses.rmu(answers, Context(control=control), words())


def test_rmu_is_zero_at_the_control_vector_and_c_squared_over_d_at_zero():
    direction = hooks.steering_direction(32, seed=1)
    assert float(direction.norm()) == pytest.approx(1, rel=1e-6)
    control = 6.5 * direction
    assert zero(steered((2, 3), control.expand(5, 32), control))
    torch.testing.assert_close(steered((2, 3), torch.zeros(5, 32), control), torch.full((5,), 6.5**2 / 32))


def test_rmu_does_not_broadcast_rows_of_other_lengths():
    """OpenUnlearning's rmu divided (b,) by (b, 1) into (b, b), so a row's loss depended on the other rows' lengths."""
    generator = torch.Generator().manual_seed(0)
    hidden, control = torch.randn(9, 8, generator=generator), torch.ones(8)
    together = steered((2, 6, 1), hidden, control)
    apart = torch.cat(
        [steered((n,), part, control) for n, part in zip((2, 6, 1), hidden.split([2, 6, 1]), strict=True)]
    )
    torch.testing.assert_close(together, apart)
    assert together.shape == (9,)


def test_rmu_clips_by_the_norm_of_its_own_gradients():
    """OpenUnlearning's rmu clipped over frozen parameters too."""
    unlearning = prepared("rmu")
    unlearning.optimizer.zero_grad()
    unlearning._accumulate(unlearning._terms(0))
    own = [p.grad for p in unlearning.model.parameters() if p.requires_grad]
    assert unlearning.optimizer.grad_norm() == pytest.approx(float(torch.stack([g.norm() for g in own]).norm()))
    assert all(p.grad is None for p in unlearning.model.parameters() if not p.requires_grad)


def test_rmu_trains_only_the_output_matrices_of_three_layers():
    torch.manual_seed(0)
    config = ARCHITECTURES["llama"]()
    config.num_hidden_layers = 5
    model = type(tiny())(config)
    unlearning = prepared("rmu", model=model, layer=3)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        f"model.layers.{number}.mlp.down_proj.weight" for number in (1, 2, 3)
    ]
    unlearning.close()
    assert all(p.requires_grad for p in model.parameters())


def test_the_default_layer_is_the_published_one():
    deep = SimpleNamespace(layers=torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(32)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.forward.layers.decoder_layers", lambda model: model.layers)
        assert chosen_layer(deep, 0) == 7 and chosen_layer(deep, 12) == 12
        with pytest.raises(MethodError, match="layer 32: the model has 32 layers"):
            chosen_layer(deep, 32)


def test_adaptive_rmu_measures_the_layer():
    rows = rows_for(algorithm.METHODS["adaptive_rmu"])
    unlearning = prepared("adaptive_rmu", rows=rows, per_device_train_batch_size=6)
    with torch.no_grad():
        answers = algorithm.answer_outputs(tiny(), rows["forget"].batch(np.arange(6), PAD), layer=unlearning.layer)
    expected = 5 * float(answers.activation.norm(dim=-1).mean())
    assert float(unlearning.context["control"].norm()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_truncated_forward_pass_gives_the_same_activation_and_gradient(name, packed, monkeypatch):
    if not packed:
        monkeypatch.setattr(packing, "supported", lambda model: False)
    model, batch = tiny(name), random_rows(shared=11).batch([0, 2, 5], PAD)
    outputs = []
    for logits in (True, False):
        model.zero_grad()
        answers = algorithm.answer_outputs(model, batch, layer=0, logits=logits)
        answers.activation.square().sum().backward()
        outputs.append((answers.activation.detach(), [p.grad for p in model.parameters() if p.grad is not None]))
    assert answers.logits.shape[1] == 0
    torch.testing.assert_close(outputs[0][0], outputs[1][0], rtol=0, atol=0)
    for a, b in zip(outputs[0][1], outputs[1][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert model.config.get_text_config().num_hidden_layers == len(decoder_layers(model))


# -- regularisers and edits of the weights


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


# -- every method, every family of models, every flag


@pytest.mark.parametrize("method", ["rmu", "repselect", "scrub", "task_vector"])
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "llama"])
def test_methods_that_use_internals_run_on_every_architecture(name, method):
    model, records = run(method, model=tiny(name), max_steps=2, kl_limit=math.inf)
    assert max(distance(model, tiny(name)).values()) > 0
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert [record["event"] for record in records].count("step") == 2


@pytest.mark.parametrize("method", LOOPED, ids=lambda m: m.name)
def test_every_flag_works_with_every_method(method):
    flags = {"dropout": 0.1, "weight_decay": 0.1, "sam_rho": 0.01, "gradient_surgery": True,
             "retain_loss": "hidden_state", "regularizer_weight": 0.1}  # fmt: skip
    model, records = run(method.name, kl_limit=math.inf, max_steps=2, **flags)
    assert max(distance(model, tiny()).values()) > 0
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert all(math.isfinite(record["loss"]) for record in records if record["event"] == "step")


@pytest.mark.parametrize("loss", [name for name in algorithm.RETAIN_LOSSES if name != "none"])
def test_every_retain_loss_works_with_an_unrelated_method(loss):
    rows = rows_for(algorithm.METHODS["npo"])
    rows["retain_counterpart"] = random_rows(9, 4)
    _, records = run("npo", rows=rows, retain_loss=loss)
    assert all(math.isfinite(r["retain_loss"]) for r in records if r["event"] == "step")


@pytest.mark.parametrize("method", [m for m in LOOPED if m.works_on_raw_text], ids=lambda m: m.name)
def test_raw_text_rows_carry_loss_from_their_second_token_on(method):
    rows = rows_for(method)
    for name in ("forget", "counterpart"):
        if name in rows:
            kept = rows[name]
            rows[name] = encoded([kept.ids_of(i) for i in range(len(kept))], [1] * len(kept))
            rows[name].example_index = kept.example_index
    _, records = run(method.name, rows=rows, kl_limit=math.inf)
    assert all(math.isfinite(record["loss"]) for record in records if record["event"] == "step")


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
def test_a_frozen_weight_is_not_even_rounded(compute):
    start, model = tiny(), tiny()
    list(algorithm.unlearn(model, rows_for(algorithm.METHODS["rmu"]), "rmu", {**FAST, "dtype": compute}))
    moved = {name for name, size in distance(model, start).items() if size > 0}
    assert moved == {f"model.layers.{i}.mlp.down_proj.weight" for i in range(2)}


# -- phases and checkpoints


def test_whp_restores_the_target_after_reinforcement():
    unlearning = prepared("whp", max_steps=6)
    start = unlearning.optimizer.snapshot()
    assert [(stage.first, stage.steps) for stage in unlearning.stages] == [(0, 3), (3, 3)]
    for _ in range(3):
        unlearning._train_step()
    assert not torch.equal(start[0], unlearning.optimizer.flats[0])
    unlearning._advance()
    assert torch.equal(start[0], unlearning.optimizer.flats[0])
    assert set(unlearning.references) == {"forget", "reinforced"}


def test_undo_learns_from_the_unlearned_model_not_the_target():
    unlearning = prepared("undo", max_steps=6)
    assert [stage.method.name for stage in unlearning.stages] == ["npo", "undo"]
    before = unlearning.references["retain"].hidden.clone() if "retain" in unlearning.references else None
    while unlearning.step < 3:
        unlearning._train_step()
    unlearned = {name: p.detach().clone() for name, p in unlearning.model.named_parameters()}
    record = unlearning._train_step()
    reference = unlearning.references["retain"]
    assert before is None or not torch.equal(before, reference.hidden)
    teacher = tiny()
    teacher.load_state_dict(unlearned, strict=False)
    answers = algorithm.answer_outputs(teacher, unlearning.rows["retain"].batch([1, 4], PAD))
    torch.testing.assert_close(reference.logits(answers), answers.logits, rtol=1e-4, atol=1e-4)
    assert record["retain_loss"] > 1e-4 and record["forget_loss"] is None


def test_undo_rejects_teachers_that_are_more_than_their_terms():
    with pytest.raises(MethodError, match="teacher_method 'whp'"):
        prepared("undo", teacher_method="whp")


def test_scrub_alternates_and_ends_with_min_steps():
    _, records = run("scrub", max_steps=-1, num_train_epochs=3.0, max_step_epochs=2.0, per_device_train_batch_size=3)
    steps = [record for record in records if record["event"] == "step"]
    kinds = ["max" if record["retain_loss"] is None else "min" for record in steps]
    assert kinds == ["max", "min"] * 4 + ["min"] * 4


@pytest.mark.parametrize("method", LOOPED, ids=lambda m: m.name)
def test_a_resumed_run_of_any_method_ends_bit_identical(method):
    chosen = {"max_steps": 6, "eval_steps": 2, "dropout": 0.1, "kl_limit": math.inf, "retain_weight": 1.5}
    model = "llama" if method.trainable else "gpt2"
    rows = rows_for(method)
    whole = prepared(method, tiny(model), rows, **chosen)
    expected = list(whole.steps())
    first = prepared(method, tiny(model), rows, **chosen)
    for record in first.steps():
        if record["event"] == "evaluation" and record["step"] >= 4:
            break
    tensors, values = first.state()
    tensors = {name: value.clone() for name, value in tensors.items()}
    second = prepared(method, tiny(model), rows, **chosen)
    second.load_state(tensors, values)
    rest = [record["loss"] for record in second.steps() if record["event"] == "step"]
    assert rest == [r["loss"] for r in expected if r["event"] == "step" and r["step"] > 4]
    assert all(torch.equal(a, b) for a, b in zip(second.optimizer.flats, whole.optimizer.flats, strict=True))
