"""The loop: which weights move, accumulation, sampling, stopping, guarding, checkpoints."""

import math

import numpy as np
import pytest
import torch
import transformers
from random_loops import FAST, LOOPED, PAD, distance, loop_of, rows_for, run
from random_models import ARCHITECTURES, plain_losses, random_rows, tiny

import unlearning_algorithm as algorithm
from data.sampling import BatchStream, epoch_batches, token_budget_batches
from models.store.adapters import add_lora
from models.training.step import LR_SCHEDULES, learning_rate_at


@pytest.mark.parametrize("method", LOOPED, ids=lambda m: m.name)
def test_only_trainable_weights_move_and_every_record_is_complete(method):
    start, model = tiny(), tiny()
    chosen = {**FAST, "max_steps": 4, "kl_limit": math.inf}
    unlearning = loop_of(method, model, rows_for(method), chosen)
    unlearning.prepare()
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert (len(trainable) < len(distance(model, start))) == (method.trainable is not None)
    records = [record for record in unlearning.steps() if record["event"] == "step"]
    for name, moved in distance(model, start).items():
        assert (moved > 0) == (name in trainable), name
    unlearning.close()
    assert all(p.requires_grad for p in model.parameters())
    for record in records:
        assert all(math.isfinite(record[key]) for key in ("loss", "learning_rate", "grad_norm", "seconds"))
    if not (method.phases or method.schedule or method.update):
        for record in records:
            assert (record["forget_loss"] is None) == (method.forget is None)
            assert (record["retain_loss"] is None) == (method.retain == "none")


@pytest.mark.parametrize("method", [m for m in LOOPED if not m.full_weights_only], ids=lambda m: m.name)
def test_frozen_weights_stay_and_every_adapter_moves(method):
    model = add_lora(tiny(), r=2, alpha=4, dropout=0.0, target_modules="all-linear")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    unlearning = loop_of(method, model, rows_for(method), {**FAST, "max_steps": 6})
    unlearning.prepare()
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable and all("lora_" in name for name in trainable)
    for _ in unlearning.steps():
        pass
    for name, p in model.named_parameters():
        assert torch.equal(p.detach(), before[name]) == (name not in trainable), name


@pytest.mark.parametrize("method", [m for m in LOOPED if m.full_weights_only], ids=lambda m: m.name)
def test_methods_that_edit_weights_reject_an_adapter(method):
    model = add_lora(tiny(), r=2, alpha=4, dropout=0.0, target_modules="all-linear")
    with pytest.raises(ValueError, match=f"{method.name} edits the weights"):
        algorithm.Unlearning(model, rows_for(method), method, FAST, pad_token_id=PAD)


def test_lora_with_gradient_checkpointing_trains_every_layer():
    model = add_lora(tiny(), r=2, alpha=4, dropout=0.0, target_modules="all-linear")
    unlearning = algorithm.Unlearning(
        model, rows_for(algorithm.METHODS["npo"]), "npo", {**FAST, "gradient_checkpointing": True}, pad_token_id=PAD
    )
    unlearning.prepare()
    unlearning._train_step()
    flat = {name: p for name, p in model.named_parameters() if "lora_B" in name}
    assert flat and all(float(p.abs().max()) > 0 for p in flat.values())


def gradients(method, size, accumulate):
    """Gradients of the first effective batches, a little away from the start, where every loss has some."""
    sizes = {"per_device_train_batch_size": size, "gradient_accumulation_steps": accumulate}
    unlearning = loop_of(method, tiny(), rows_for(method), {**FAST, **sizes})
    unlearning.prepare()
    generator = torch.Generator().manual_seed(5)
    for flat in unlearning.optimizer.flats:
        flat.add_(torch.randn(flat.shape, generator=generator), alpha=0.02)
    unlearning.model.train()
    losses = {}
    for number in range(2):
        losses |= unlearning._accumulate(unlearning._terms(number))
    return losses, [grad.clone() for grad in unlearning.optimizer.grads]


@pytest.mark.hardening(71)
@pytest.mark.parametrize("method", LOOPED, ids=lambda m: m.name)
def test_batch_1_accumulated_is_the_full_batch(method):
    """Published code averages per micro-batch, so rows in small batches weigh more."""
    losses, whole = gradients(method, 6, 1)
    for size in (2, 1):
        other_losses, other = gradients(method, size, 6 // size)
        assert other_losses == pytest.approx(losses, rel=1e-5)
        for a, b in zip(other, whole):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6 * float(b.abs().max()) + 1e-8)


def test_separate_backward_passes_equal_one_backward_of_the_sum():
    one, apart = tiny(), tiny()
    rows = rows_for(algorithm.METHODS["gradient_difference"])
    total = -plain_losses(one, rows["forget"]).sum() / rows["forget"].answer_lengths.sum()
    total = total + plain_losses(one, rows["retain"]).sum() / rows["retain"].answer_lengths.sum()
    total.backward()
    unlearning = algorithm.Unlearning(
        apart, rows, "gradient_difference", {**FAST, "per_device_train_batch_size": 9, "retain_weight": 1.0},
        pad_token_id=PAD,
    )  # fmt: skip
    unlearning.prepare()
    unlearning._accumulate(unlearning._terms(0))
    for p, q in zip(one.parameters(), apart.parameters()):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-4, atol=1e-6)


def test_same_seed_same_weights_other_seed_other_weights():
    first, second, other = (run("npo", seed=seed, per_device_train_batch_size=2)[0] for seed in (3, 3, 4))
    assert max(distance(first, second).values()) == 0
    assert max(distance(first, other).values()) > 0


def test_l2_sp_pulls_with_mu_times_the_distance_from_the_target():
    rows = rows_for(algorithm.METHODS["l2_sp"])
    unlearning = algorithm.Unlearning(tiny(), rows, "l2_sp", {**FAST, "regularizer_weight": 0.5}, pad_token_id=PAD)
    unlearning.prepare()
    assert unlearning._regularize() == 0.0
    assert all(float(grad.abs().max()) == 0 for grad in unlearning.optimizer.grads)
    for flat in unlearning.optimizer.flats:
        flat.add_(0.01)
    count = sum(flat.numel() for flat in unlearning.optimizer.flats)
    assert unlearning._regularize() == pytest.approx(0.25 * count * 1e-4, rel=1e-3)
    pull = unlearning.optimizer.grads[0]
    torch.testing.assert_close(pull, torch.full_like(pull, 0.005), rtol=1e-3, atol=1e-6)


def test_dropout_changes_a_step():
    plain, dropped = run("gradient_difference")[0], run("gradient_difference", dropout=0.5)[0]
    assert max(distance(plain, dropped).values()) > 0


def test_dropout_ends_with_the_run():
    """A config that kept it would be saved with the model, and every later training would drop out."""
    unlearning = algorithm.Unlearning(tiny(), rows_for(algorithm.METHODS["npo"]), "npo", {**FAST, "dropout": 0.5},
                                      pad_token_id=PAD)  # fmt: skip
    before = unlearning.model.config.attention_dropout
    unlearning.prepare()
    assert unlearning.model.config.attention_dropout == 0.5 != before
    unlearning.close()
    assert unlearning.model.config.attention_dropout == before


# -- stopping and guarding


def test_the_first_holdout_numbers_equal_a_probe():
    """They come from the pass over all holdout rows."""
    rows = rows_for(algorithm.METHODS["npo"])
    unlearning = algorithm.Unlearning(tiny(), rows, "npo", {**FAST, "probe_rows": 3}, pad_token_id=PAD)
    unlearning.prepare()
    looked_at = unlearning._probe_rows["holdout"]
    assert 0 < len(looked_at) < len(rows["holdout"])
    expected = algorithm.probe(unlearning.model, looked_at, PAD)
    assert unlearning.start["holdout"] == pytest.approx(expected, rel=1e-5)


def without_holdout():
    rows = rows_for(algorithm.METHODS["npo"])
    del rows["holdout"]
    return rows


@pytest.mark.hardening(42)
def test_collapse_guard_stops_unbounded_ascent_and_restores_the_last_good_state():
    start = tiny()
    chosen = {
        "max_steps": 200,
        "learning_rate": 3e-3,
        "level": 50.0,
        "collapse_guard": 0.5,
        "load_best_model_at_end": True,
    }
    model, records = run("gradient_ascent", rows=without_holdout(), **chosen)
    events = [record["event"] for record in records]
    assert "collapse" in events and events[-1] == "best"
    assert records[-1]["step"] < 200
    assert all(torch.isfinite(p).all() for p in model.parameters())
    kept = plain_losses(model, random_rows(9, 1)).sum().item()
    assert kept < 2 * plain_losses(start, random_rows(9, 1)).sum().item()


@pytest.mark.parametrize(
    ("method", "kept", "ends"),
    [
        ("npo", (1.0, 0.6, 0.97), []),  # it wins back what it lost on the way
        ("npo", (1.0, 0.6, 0.9), [("collapse", 2)]),
        ("npo", (1.0, 0.4, 0.97), [("collapse", 1)]),  # too much to come back from
        ("gradient_difference", (1.0, 0.6, 0.97), [("collapse", 1)]),  # nothing of it comes back
    ],
)
def test_a_budget_counts_at_the_end_of_a_method_that_wins_back_what_it_lost(monkeypatch, method, kept, ends):
    """Otherwise a budget of 5 % stops most methods at their first look, and the target itself is returned."""
    seen = iter(kept)

    def look(self, known=()):
        value = {"accuracy": 1.0, "answer_probability": next(seen)}
        return {"forget": {**value, "loss": 2.0 - value["answer_probability"]}, "retain": {**value, "loss": 1.0}}

    monkeypatch.setattr(algorithm.Unlearning, "_look", look)
    chosen = {"collapse_guard": 0.95, "load_best_model_at_end": True, "level": 9.0}
    _, records = run(method, rows=without_holdout(), **chosen)
    assert [(r["event"], r["step"]) for r in records if r["event"] == "collapse"] == ends
    assert records[-1]["event"] == "best" and records[-1]["step"] == (0 if ends else 2)


def test_early_stop_at_the_level():
    start = algorithm.probe(tiny(), random_rows(6, 0), PAD)["loss"]
    chosen = {"max_steps": 100, "early_stop": True, "level": start + 1}
    _, records = run("gradient_difference", rows=without_holdout(), **chosen)
    stop = next(record for record in records if record["event"] == "early_stop")
    last = [record for record in records if record["event"] == "evaluation"][-1]
    assert last["forget"]["loss"] >= start + 1 and stop["step"] == last["step"] < 100


@pytest.mark.parametrize("method", ["level_matching", "profile_matching", "npo"])
def test_a_level_below_the_starting_loss_still_raises_the_loss(method):
    rows = without_holdout()
    start = algorithm.probe(tiny(), rows["forget"], PAD)["loss"]
    chosen = {"max_steps": 40, "early_stop": True, "level": 0.1, "probe_rows": 50, "load_best_model_at_end": False}
    _, records = run(method, rows=rows, **chosen)
    losses = [record["forget"]["loss"] for record in records if record["event"] == "evaluation"]
    assert max(losses) > losses[0] == pytest.approx(start, abs=1e-4)
    stops = [record for record in records if record["event"] == "early_stop"]
    assert not stops or losses[-1] >= start + algorithm.CLEARLY_ABOVE - 1e-4


def unseen_losses(rows, mean):
    draw = np.random.default_rng(0)
    return [draw.exponential(mean, int(count)) for count in rows["forget"].answer_lengths]


@pytest.mark.parametrize("method", ["level_matching", "profile_matching", "npo"])
def test_without_a_holdout_set_each_row_gets_the_level_it_has_in_a_model_that_never_saw_it(method):
    rows = without_holdout()
    start = algorithm.probe(tiny(), rows["forget"], PAD)["loss"]
    unseen = unseen_losses(rows, start + 2)
    run = algorithm.Unlearning(tiny(), rows, method, FAST, pad_token_id=PAD, unseen=unseen)
    run.prepare()
    means = [float(values.mean()) for values in unseen]
    assert run.level == pytest.approx(np.mean(means))
    if method == "level_matching":
        assert run.levels.tolist() == pytest.approx(means, rel=1e-5)
    elif method == "profile_matching":  # the row's own quantiles, none drawn, none scaled
        for row, values in enumerate(unseen):
            levels = np.sort(run.levels[row, : len(values)].numpy())
            places = (np.arange(64) + 0.5) / 64
            profile = np.quantile(values, places)[((np.arange(len(values)) + 0.5) / len(values) * 64).astype(int)]
            np.testing.assert_allclose(levels, np.sort(profile), rtol=1e-5)
    else:
        assert run.levels is None


def test_a_holdout_set_and_a_model_that_knows_the_rows_as_well_leave_the_levels_as_they_were():
    for rows, mean in ((rows_for(algorithm.METHODS["npo"]), 50.0), (without_holdout(), 0.01)):
        levels = []
        for unseen in (None, unseen_losses(rows, mean)):
            run = algorithm.Unlearning(tiny(), rows, "profile_matching", FAST, pad_token_id=PAD, unseen=unseen)
            run.prepare()
            levels.append((run.level, run.levels.tolist()))
        assert levels[0] == levels[1]


def test_the_model_ends_in_its_best_state():
    model, records = run("gradient_difference", max_steps=12, learning_rate=3e-3, load_best_model_at_end=True)
    best = records[-1]
    seen = next(r for r in records if r["event"] == "evaluation" and r["step"] == best["step"])
    after = algorithm.probe(model, random_rows(6, 0), PAD)
    assert after["loss"] == pytest.approx(seen["forget"]["loss"], rel=1e-5)


@pytest.mark.parametrize("name", ["name_swap", "name_refusal", "lower_profile"])
@pytest.mark.parametrize(("layer", "trained"), [(0, {0, 1, 2}), (1, {0, 1})])
def test_the_layers_that_read_names_are_trained_and_no_other_weight(layer, trained, name):
    def four_layers():
        torch.manual_seed(0)
        config = ARCHITECTURES["llama"]()
        config.num_hidden_layers = 4
        return transformers.AutoModelForCausalLM.from_config(config).eval()

    model, method = four_layers(), algorithm.METHODS[name]
    unlearning = algorithm.Unlearning(model, rows_for(method), method.name, FAST | {"layer": layer}, pad_token_id=PAD)
    unlearning.prepare()
    list(unlearning.steps())
    moved = [name for name, value in distance(model, four_layers()).items() if value > 0]
    assert {int(name.split("layers.")[1].split(".")[0]) for name in moved} == trained


@pytest.mark.parametrize(("probability", "factor"), [(0.9, 2.5), (0.5, 2.5), (0.4, 1)])
def test_a_text_known_by_heart_is_forgotten_at_a_higher_rate(monkeypatch, probability, factor):
    method, look = algorithm.METHODS["lower_profile"], algorithm.Unlearning._look

    def known(self, *args):
        seen = look(self, *args)
        return {**seen, "forget": {**seen["forget"], "answer_probability": probability}}

    monkeypatch.setattr(algorithm.Unlearning, "_look", known)
    chosen = {**FAST, "max_steps": 1, "lr_scheduler_type": "constant"}
    unlearning = algorithm.Unlearning(tiny(), rows_for(method), method.name, chosen, pad_token_id=PAD)
    rate = unlearning.settings.learning_rate
    unlearning.prepare()
    records = list(unlearning.steps())
    assert [one["learning_rate"] for one in records if one["event"] == "step"] == [pytest.approx(factor * rate)]
    expected = [f"learning rate {factor * rate:.2g}: the model knows the text by heart (answer probability "
                f"{probability:.2f})"] if factor > 1 else []  # fmt: skip
    assert [one["message"] for one in records if one["event"] == "learning_rate"] == expected
    tested = algorithm.Unlearning(
        tiny(), rows_for(method), method.name, {**chosen, "find_learning_rate": True}, pad_token_id=PAD
    )
    tested.prepare()
    assert [one["message"] for one in tested.news[:-1]] == expected, "the range test tells what came before it too"


@pytest.mark.parametrize("name, kept", [("profile_matching", 4), ("gradient_difference", 2)])
def test_a_method_that_ends_by_itself_keeps_its_last_state_within_the_limit(monkeypatch, name, kept):
    """Its early states forget as much while what it lost on the way is not yet won back; the fifth loses too much."""
    lost = {0: 0.0, 1: 0.04, 2: 0.0, 3: 0.03, 4: 0.01, 5: 0.2}
    monkeypatch.setattr(algorithm.Unlearning, "criterion", lambda self, seen: {2: 0.1}.get(self.step, 0.2))
    monkeypatch.setattr(algorithm.Unlearning, "_retain_lost", lambda self, seen: lost[self.step])
    _, records = run(name, load_best_model_at_end=True, collapse_guard=0.95, eval_steps=1, max_steps=5)
    assert next(record["step"] for record in records if record["event"] == "best") == kept


@pytest.mark.parametrize(
    "name, more, looks",
    [("npo", {}, 5), ("gradient_ascent", {}, 10), ("npo", {"early_stop": True}, 10), ("npo", {"eval_steps": 4}, 5)],
)
def test_a_run_that_no_probe_may_end_is_probed_half_as_often(name, more, looks):
    model, rows = tiny(), rows_for(algorithm.METHODS[name])
    ending = {"early_stop": None, "load_best_model_at_end": None}
    chosen = {k: v for k, v in {**FAST, **ending, "eval_steps": 0, **more}.items() if v is not None}
    unlearning = algorithm.Unlearning(model, rows, name, {**chosen, "max_steps": 20}, pad_token_id=PAD)
    unlearning.plan()
    assert unlearning.total_steps // unlearning.eval_steps == looks


@pytest.mark.hardening(41)
def test_non_finite_loss_stops_before_the_step_and_leaves_the_weights():
    model, rows = tiny(), rows_for(algorithm.METHODS["npo"])
    unlearning = algorithm.Unlearning(model, rows, "npo", FAST, pad_token_id=PAD)
    unlearning.prepare()
    unlearning.references["forget"].nll[:] = float("nan")
    before = unlearning.optimizer.snapshot()
    with pytest.raises(algorithm.Diverged, match=r"step 1: .* not finite"):
        unlearning._train_step()
    assert unlearning.step == 0
    assert all(torch.equal(a, b) for a, b in zip(before, unlearning.optimizer.flats))


def test_the_untouched_target_is_never_the_best_state(monkeypatch):
    """A run whose first probe shows more harm than forgetting must not silently return the target."""
    monkeypatch.setattr(algorithm.Unlearning, "criterion", lambda self, seen: float(self.step))
    start = tiny()
    model, records = run("gradient_difference", load_best_model_at_end=True, max_steps=3)
    assert records[-1]["step"] == 1
    assert max(distance(model, start).values()) > 0


@pytest.mark.hardening(40)
def test_an_absurd_learning_rate_is_refused_before_any_step():
    with pytest.raises(algorithm.Diverged, match="learning rate 1e\\+30"):
        run("npo", learning_rate=1e30)


def test_missing_rows_are_named():
    with pytest.raises(ValueError, match="npo needs forget and retain rows"):
        algorithm.Unlearning(tiny(), {}, "npo", {})


# -- sampling


def test_an_epoch_takes_every_row_once():
    lengths = np.random.default_rng(0).integers(5, 50, 103)
    batches = epoch_batches(lengths, 8, seed=1, epoch=0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(103))
    assert [len(b) for b in batches].count(8) == 12
    assert any((a != b).any() for a, b in zip(batches, epoch_batches(lengths, 8, 1, 1)) if len(a) == len(b))


def test_batches_hold_rows_of_similar_length():
    lengths = np.random.default_rng(0).integers(5, 50, 512)
    spread = np.mean([np.ptp(lengths[b]) for b in epoch_batches(lengths, 8, 1, 0)])
    random = np.mean([np.ptp(b) for b in np.random.default_rng(1).permutation(lengths).reshape(-1, 8)])
    assert spread < 0.4 * random


def test_retain_batches_reach_every_row():
    """Published code paired forget row i with retain row i and never used the rest."""
    stream = BatchStream(np.arange(40) + 1, 4, seed=0)
    assert len(np.unique(np.concatenate([stream[i] for i in range(10)]))) == 40


def test_a_stream_is_a_pure_function_of_its_number():
    a, b = BatchStream(np.arange(40) + 1, 4, 0), BatchStream(np.arange(40) + 1, 4, 0)
    late = b[23]
    for i in range(24):
        last = a[i]
    np.testing.assert_array_equal(last, late)


def test_token_budget_batches_stay_within_budget_and_lose_nothing():
    lengths = np.random.default_rng(0).integers(1, 90, 200)
    batches = token_budget_batches(lengths, 256)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    assert all(len(b) * lengths[b].max() <= 256 for b in batches if len(b) > 1)


@pytest.mark.parametrize("shape", LR_SCHEDULES)
def test_learning_rate_warms_up_and_ends_where_it_should(shape):
    chosen = type("S", (), {"learning_rate": 1.0, "warmup_steps": 4, "lr_scheduler_type": shape})
    rates = [learning_rate_at(step, 20, chosen) for step in range(20)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[-1] == pytest.approx(1.0 if shape.startswith("constant") else 0.0, abs=0.07)


# -- the table


def test_every_method_has_a_known_family_and_every_family_a_default():
    assert {m.family for m in algorithm.METHODS.values()} == set(algorithm.FAMILIES) == set(algorithm.FAMILY_DEFAULTS)
    for family, name in algorithm.FAMILY_DEFAULTS.items():
        assert algorithm.METHODS[name].family == family
    assert all(m.paper and m.known_failure and m.summary for m in algorithm.METHODS.values())


# -- checkpoints


@pytest.mark.hardening(48)
@pytest.mark.parametrize("method", ["npo", "profile_matching", "l2_sp"])
@pytest.mark.parametrize("after", [0, 3, 4])
def test_a_resumed_run_ends_bit_identical(method, after):
    chosen = {**FAST, "max_steps": 7, "eval_steps": 2, "dropout": 0.1, "load_best_model_at_end": True}
    rows = rows_for(algorithm.METHODS[method])
    whole = algorithm.Unlearning(tiny("gpt2"), rows, method, chosen, pad_token_id=PAD)
    whole.prepare()
    expected = list(whole.steps())

    first = algorithm.Unlearning(tiny("gpt2"), rows, method, chosen, pad_token_id=PAD)
    first.prepare()
    for record in first.steps():
        if record["event"] == "evaluation" and record["step"] >= after:
            break
    tensors, values = first.state()
    tensors = {name: value.clone() for name, value in tensors.items()}

    second = algorithm.Unlearning(tiny("gpt2"), rows, method, chosen, pad_token_id=PAD)
    second.prepare()
    second.load_state(tensors, values)
    rest = list(second.steps())
    assert [r["loss"] for r in rest if r["event"] == "step"] == [
        r["loss"] for r in expected if r["event"] == "step" and r["step"] > values["step"]
    ]
    assert all(torch.equal(a, b) for a, b in zip(second.optimizer.flats, whole.optimizer.flats))
    assert second.best[:2] == whole.best[:2]
