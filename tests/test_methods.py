"""What holds for every method of the table: settings, endings, families of models, flags, resumed runs."""

import math
from pathlib import Path
from types import SimpleNamespace

import anchors
import pytest
import torch
from random_loops import FAST, LOOPED, distance, prepared, rows_for, run
from random_models import (
    ARCHITECTURES,
    encoded,
    hidden_run,
    own_reference,
    random_answers,
    random_rows,
    settings,
    tiny,
)

import unlearning_algorithm as algorithm
from models.forward.answers import Answers
from models.methods import losses, table
from models.methods.corruption import Corrupted
from models.methods.losses import Context
from models.methods.settings import SHARED_SETTINGS, TRAINING_SETTINGS
from models.scores.array_scores import harmonic_mean, model_utility

# -- the table


def test_every_setting_of_a_row_is_declared_once():
    general = {**TRAINING_SETTINGS, **SHARED_SETTINGS}
    own = [name for method in algorithm.METHODS.values() for name in method.own]
    assert len(own) == len(set(own)) and not set(own) & set(general)
    for method in algorithm.METHODS.values():
        for name, value in {**method.defaults, **method.small}.items():
            assert type(value) is type({**general, **method.own}[name].default), f"{method.name}: {name}"


@pytest.fixture(scope="module")
def public():
    """The numbers of 150 public checkpoints on TOFU forget10, of their target and of their retrained model."""
    if not anchors.FILE.exists():
        pytest.skip("skipped: ../shared/data/anchors is not there")
    return anchors.read()


def test_the_best_public_checkpoints_have_the_settings_of_the_rows(public):
    """They explain the published defaults, and judge no run."""
    found = anchors.scores(public)
    best = anchors.best(found)
    assert best["simnpo"] == "simnpo_lr5e5_b35_a1_d1_g0125_ep10" and best["idkdpo"] == "idkdpo_lr5e5_b01_a1_ep10"
    assert found[best["simnpo"]]["score"] == pytest.approx(0.86, abs=0.01)
    simnpo, npo = (algorithm.hyper_parameters(name) for name in ("simnpo", "npo"))
    assert (simnpo["learning_rate"], simnpo["beta"], simnpo["margin"]) == (5e-5, 3.5, 3.5 * 1.0)
    assert (simnpo["forget_weight"], simnpo["num_train_epochs"]) == (0.125, 10.0)
    roomy = max((row["score"], name) for name, row in found.items() if row["method"] == "npo" and row["utility"] > 0.96)
    assert roomy[1] == "npo_lr2e5_b01_a2_ep5"
    assert (npo["learning_rate"], npo["beta"], npo["retain_weight"], npo["num_train_epochs"]) == (2e-5, 0.1, 2.0, 5.0)
    assert algorithm.hyper_parameters("idk_dpo")["learning_rate"] == 5e-5


def test_published_utilities_and_memories_follow_from_their_parts(public):
    """152 published harmonic means, of nine numbers for TOFU's utility and of four for memory."""
    for row in public:
        parts = [row[name] for name in anchors.UTILITY]
        assert model_utility(parts) == pytest.approx(row["model_utility"], abs=1e-9), row["model"]
        assert harmonic_mean([row[name] for name in anchors.MEMORY]) == pytest.approx(row["mem"], abs=1e-9)


def test_the_table_of_public_checkpoints_is_that_of_its_command(public):
    text = (Path(__file__).resolve().parents[1] / "results" / "README.md").read_text(encoding="utf-8")
    assert anchors.anchors_table(anchors.scores(public)) in text


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
