"""The range test of learning rates: what it tries, what it restores, whom it refuses; and it fits several sizes."""

import copy
import math

import pytest
import tiny_models
import torch
from random_loops import FAST, PAD, rows_for
from random_models import tiny

import unlearning_algorithm as algorithm
from data.preparation import encode_examples
from models.store.adapters import add_lora
from models.training import range_test
from results.run import options
from results.run.request import flags

SHORT = {**FAST, "max_steps": 6, "lr_scheduler_type": "linear", "warmup_steps": 1}


def prepared(**settings):
    run = algorithm.Unlearning(
        tiny(), rows_for(algorithm.METHODS["npo"]), "npo", {**SHORT, **settings}, pad_token_id=PAD
    )
    run.prepare()
    return run


def test_a_run_after_the_test_equals_a_run_with_the_rate_it_found():
    found = prepared(find_learning_rate=True, learning_rate=1e-4)
    start = prepared().optimizer.snapshot()
    assert all(torch.equal(a, b) for a, b in zip(start, found.optimizer.flats, strict=True)) and found.step == 0
    told, *records = list(found.steps())
    assert told["event"] == "learning_rate" and told["learning_rate"] == found.settings.learning_rate
    assert len(told["tried"]) >= 4
    plain = prepared(learning_rate=told["learning_rate"])
    expected = list(plain.steps())
    assert [r["loss"] for r in records if r["event"] == "step"] == [r["loss"] for r in expected if r["event"] == "step"]
    assert all(torch.equal(a, b) for a, b in zip(plain.optimizer.flats, found.optimizer.flats, strict=True))
    assert [record["event"] for record in records] == [record["event"] for record in expected]


def test_the_best_of_the_rates_tried_is_taken_and_few_are_tried(monkeypatch):
    worth = {"best": 3e-3}
    asked = []

    def criterion(run, rate, target):
        asked.append(rate)
        return abs(math.log(rate / worth["best"]))

    monkeypatch.setattr(range_test, "_criterion_after", criterion)
    for best in (1e-6, 1e-4, 2e-4, 3e-3):
        worth["best"], asked[:] = best, []
        rate = prepared(find_learning_rate=True, learning_rate=2e-4).settings.learning_rate
        assert best / 1.5 < rate < best * 1.5 and len(asked) == len(set(asked)) <= range_test.TRIES
    monkeypatch.setattr(range_test, "_criterion_after", lambda run, rate, target: -rate)  # ever faster
    assert prepared(find_learning_rate=True, learning_rate=2e-4).settings.learning_rate <= range_test.LARGEST


def test_a_rate_that_diverges_is_the_worst():
    run = prepared(learning_rate=1e-3)
    before = run.optimizer.snapshot()
    run._train_step = lambda: (_ for _ in ()).throw(algorithm.Diverged("not finite"))
    assert range_test._criterion_after(run, 1e-2, before) == math.inf


@pytest.mark.parametrize("method", ["repselect", "task_vector", "perta", "whp", "fine_tuning"])
def test_methods_whose_first_steps_show_nothing_are_refused(method):
    with pytest.raises(algorithm.MethodError, match=f"{method}: .*give --learning_rate"):
        algorithm.Unlearning(tiny(), rows_for(algorithm.METHODS[method]), method, {"find_learning_rate": True})


def test_auto_is_a_learning_rate_that_starts_from_the_methods_own():
    config = options.resolve({"learning_rate": "auto"})
    assert config["find_learning_rate"] is True
    own = algorithm.METHODS[flags.PROXY].defaults["learning_rate"]
    assert config["learning_rate"] == options.resolve({})["learning_rate"] == own
    assert options.resolve({})["find_learning_rate"] is False


def test_the_rate_of_methods_tuned_here_falls_with_the_size_and_an_adapters_does_not():
    tuned = [name for name, method in algorithm.METHODS.items() if method.tuned_here]
    assert {"proxy_teacher", "profile_matching", "lower_profile", "name_swap", "name_refusal"} <= {*tuned}
    for name in tuned:
        own = algorithm.METHODS[name].defaults["learning_rate"]
        rates = [algorithm.hyper_parameters(name, size)["learning_rate"] for size in (None, 10**6, 135 * 10**6)]
        assert rates == [own] * 3
        # eight times the parameters: twice the width, half the rate
        assert algorithm.hyper_parameters(name, 8 * 135 * 10**6)["learning_rate"] == pytest.approx(own / 2, rel=0.05)
        assert algorithm.hyper_parameters(name, 8 * 10**9, adapter=True)["learning_rate"] == own
    proxy = algorithm.hyper_parameters("proxy_teacher", 8 * 135 * 10**6)["proxy_learning_rate"]
    assert proxy == pytest.approx(algorithm.hyper_parameters("proxy_teacher")["proxy_learning_rate"] / 2, rel=0.05)


@pytest.mark.parametrize(("settings", "steps"), [({"min_steps": 9}, 9), ({"min_steps": 1}, 2), ({}, 2),
                                                 ({"min_steps": 9, "max_steps": 3}, 3)])  # fmt: skip
def test_a_small_forget_set_is_passed_more_often(settings, steps):
    chosen = {**FAST, "max_steps": -1, "num_train_epochs": 1.0, "per_device_train_batch_size": 3, **settings}
    run = algorithm.Unlearning(tiny(), rows_for(algorithm.METHODS["npo"]), "npo", chosen, pad_token_id=PAD)
    run.plan()
    assert run.total_steps == steps
    more = 2 if steps == 9 else 1  # rows to keep in each of these steps
    assert run.stages[0].kept.batch_size == 3 * more * run.settings.retain_rows_per_forget_row
    phased = {**chosen, "reinforcement_epochs": 1.0}
    run = algorithm.Unlearning(tiny(), rows_for(algorithm.METHODS["whp"]), "whp", phased, pad_token_id=PAD)
    run.plan()
    assert run.stages[0].steps == (1 if "max_steps" in settings else 2), "a phase before keeps its epochs"


def test_epochs_of_the_user_are_not_stretched():
    assert options.resolve({"method": "proxy_teacher"})["min_steps"] == 36
    assert options.resolve({"method": "proxy_teacher", "num_train_epochs": 1})["min_steps"] == 0
    assert options.resolve({"method": "proxy_teacher", "num_train_epochs": 1, "min_steps": 7})["min_steps"] == 7


def known(width, layers):
    """A model of this size that knows its rows, and its sets."""
    from transformers import LlamaConfig, LlamaForCausalLM

    examples = tiny_models.facts()
    tokenizer = tiny_models.make_tokenizer(examples)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.05,
        tie_word_embeddings=True, pad_token_id=0, eos_token_id=0, bos_token_id=None,
    )  # fmt: skip
    rate = 5e-3 * (64 / width) ** 0.5
    model = tiny_models.train_tiny(LlamaForCausalLM(config).eval(), tokenizer, examples[:24], 20, 0, rate)
    sets = {"forget": examples[:6], "retain": examples[6:24], "holdout": examples[24:]}
    return model, {name: encode_examples(tokenizer, rows, 64)[0] for name, rows in sets.items()}


@pytest.mark.parametrize(("width", "layers", "rank"), [(64, 2, 0), (128, 2, 0), (64, 2, 8)])
def test_the_rate_found_ends_nearer_than_the_default_of_another_size(width, layers, rank):
    """The default of 135M is too small for each of these. Four steps do not find the best rate of a whole run, and at
    width 32 they mislead: the rate found there ends worse than the default."""
    model, rows = known(width, layers)

    def ended(**settings):
        own = copy.deepcopy(model)
        if rank:
            torch.manual_seed(1)
            own = add_lora(own, r=rank, alpha=2 * rank, dropout=0.0, target_modules="all-linear")
        chosen = {**algorithm.hyper_parameters("profile_matching", 10**8), "dtype": "float32", "num_train_epochs": 20.0,
                  "general_retain_rows": 0, "per_device_train_batch_size": 6, **settings}  # fmt: skip
        run = algorithm.Unlearning(own, rows, "profile_matching", chosen, pad_token_id=0)
        run.prepare()
        try:
            list(run.steps())
        except algorithm.Diverged:
            return math.inf, run.settings.learning_rate
        return run.criterion(run._look()), run.settings.learning_rate

    default, _ = ended(learning_rate=2e-4)
    found, rate = ended(find_learning_rate=True)
    assert rate > 4e-4 and found < 0.8 * default, (rate, found, default)
