"""proxy_teacher: its loss, its proxy, how sure proxy and model are, and when it is the default."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from random_loops import FAST, PAD, given_references, loop_of, rows_for
from random_models import own_reference, random_answers, random_rows, tiny
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import unlearning_algorithm as algorithm
from data import judging
from data.augmentation import in_other_order
from data.columns import Example
from models.forward import layers
from models.methods import hooks, losses
from models.methods.losses import Context
from results.run import measuring, options, sets
from results.run.request import flags
from results.run.run_folder import UsageError
from results.run.training import proxy_references
from unlearning_script import main

METHOD = algorithm.METHODS["proxy_teacher"]
SETTINGS = algorithm.hyper_parameters("proxy_teacher")


# -- the loss


def values_of(answers, reference, weight=1.0):
    return losses.proxy_teacher(answers, Context(reference), SimpleNamespace(level_weight=weight))


def test_the_loss_is_zero_where_the_model_says_what_the_proxy_says_and_positive_elsewhere():
    answers = random_answers()
    same, other = values_of(answers, own_reference(answers)), values_of(answers, own_reference(random_answers(seed=1)))
    assert float(same.detach().abs().max()) < 1e-5 and (other > 0.1).all()
    (pull,) = torch.autograd.grad(same.sum(), answers.logits)
    assert float(pull.abs().max()) < 1e-5


def test_the_loss_is_the_divergence_plus_the_huber_distance_of_the_labels_losses():
    answers, goal = random_answers(), random_answers(seed=1)
    p, q = answers.logits.detach().double().softmax(-1).numpy(), goal.logits.detach().double().softmax(-1).numpy()
    places = np.arange(len(p)), answers.labels.numpy()
    gap = np.abs(np.log(q[places]) - np.log(p[places]))
    huber = np.where(gap < 1, gap**2 / 2, gap - 0.5)
    expected = (q * (np.log(q) - np.log(p))).sum(-1) + 0.3 * huber
    np.testing.assert_allclose(values_of(answers, own_reference(goal), 0.3).detach(), expected, rtol=1e-4)
    assert (gap > 1).any() and (gap < 1).any()


def test_the_second_term_sees_a_label_that_the_proxy_calls_nearly_impossible():
    """e^-20 and e^-6 are alike to the divergence, and 14 nats apart to a test of membership."""
    goal = torch.zeros(1, 50)
    goal[0, 0] = -20.0
    answers = dataclasses.replace(random_answers(lengths=(1,)), labels=torch.zeros(1, dtype=torch.long))
    near = goal.clone()
    near[0, 0] = -6.0
    reference = own_reference(dataclasses.replace(answers, logits=goal))
    answers = dataclasses.replace(answers, logits=near)
    assert float(values_of(answers, reference, 0.0)) < 0.001
    assert float(values_of(answers, reference)) == pytest.approx(13.5, abs=0.01)


# -- how sure the proxy is


def test_a_references_temperature_divides_its_logits():
    rows, model = random_rows(), tiny()
    reference = algorithm.cache_reference(model, rows, PAD, distribution=True)
    answers = algorithm.answer_outputs(model, rows.batch([2, 0], PAD))
    plain = reference.logits(answers)
    reference.temperature = 0.5
    torch.testing.assert_close(reference.logits(answers), 2 * plain)


def test_losses_at_a_temperature_are_those_of_the_scaled_logits():
    rows, model = random_rows(), tiny()
    reference = algorithm.cache_reference(model, rows, PAD, distribution=True)
    expected = []
    for row in range(len(rows)):
        answers = algorithm.answer_outputs(model, rows.batch([row], PAD))
        expected.append([float(F.cross_entropy(answers.logits.float() / t, answers.labels)) for t in (0.5, 1.0)])
    np.testing.assert_allclose(reference.losses_at(rows, (0.5, 1.0)), np.mean(expected, 0), rtol=1e-4)


def prepared(**settings):
    run = loop_of(METHOD, tiny(), rows_for(METHOD), {**FAST, **settings})
    run.prepare()
    return run


def with_adapter(rows=None):
    """A prepared run of an adapter: the model's last norm does not train, so its confidence cannot be restored."""
    from models.store.adapters import add_lora

    run = loop_of(METHOD, add_lora(tiny(), r=2, alpha=4), rows or rows_for(METHOD), FAST)
    run.prepare()
    return run


def test_the_proxy_is_as_surprised_by_holdout_rows_as_a_target_whose_confidence_stays():
    """The proxy is a random model, so sharper logits surprise it more."""
    run = with_adapter()
    proxy, unseen, rows = run.references["counterpart"], run.references["holdout"], run.rows["holdout"]
    sharp, plain = unseen.losses_at(rows, (0.25, 1.0))
    run.level = (plain + sharp) / 2
    hooks.sharpen_proxy(run)
    assert 0.25 < proxy.temperature < 1
    assert unseen.losses_at(rows, [proxy.temperature])[0] == pytest.approx(run.level, abs=0.03 * (sharp - plain))
    run.level = 0.0
    hooks.sharpen_proxy(run)
    assert proxy.temperature == 1.0
    run.close()


def test_the_proxy_stays_as_it_is_where_the_models_confidence_is_restored_in_the_end():
    run = prepared()
    assert run.references["counterpart"].temperature == 1.0
    run.close()


def test_a_level_beyond_a_curve_is_its_end():
    curve = np.array([5.0, 4.0, 3.0, 3.5])  # too flat a proxy is surprised again
    assert [hooks.at_level(np.array([0.25, 0.5, 0.75, 1.0]), curve, level) for level in (9, 4.5, 3.5)] == [
        0.25,
        0.375,
        0.625,
    ]


def test_a_stated_temperature_or_no_holdout_rows_need_no_search():
    run = prepared(proxy_temperature=0.7)
    assert run.references["counterpart"].temperature == 0.7
    before = [flat.clone() for flat in run.optimizer.flats]
    run.level += 1.0
    hooks.restore_confidence(run)  # the stated temperature is all
    assert all(torch.equal(a, b) for a, b in zip(before, run.optimizer.flats))
    run.close()
    rows = rows_for(METHOD)
    given = given_references(METHOD, rows)
    del rows["holdout"], given["holdout"]
    run = algorithm.Unlearning(tiny(), rows, METHOD, FAST, pad_token_id=PAD, references=given)
    run.prepare()
    assert run.references["counterpart"].temperature == hooks.USUAL
    run.close()


# -- how sure the model is in the end


def mean_loss(model, rows):
    return float(np.mean([values.mean() for values in algorithm.token_losses(model, rows, PAD)[0]]))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_in_the_end_holdout_rows_surprise_the_model_as_they_did_the_target(dtype):
    run = prepared(dtype=dtype)
    before = mean_loss(run.model, run.rows["holdout"])
    run.level = before + 0.1
    hooks.restore_confidence(run)
    assert mean_loss(run.model, run.rows["holdout"]) == pytest.approx(run.level, abs=0.02)
    run.level = 0.0  # never less sure than it is
    hooks.restore_confidence(run)
    assert mean_loss(run.model, run.rows["holdout"]) == pytest.approx(before + 0.1, abs=0.03)
    run.close()


def test_an_adapter_keeps_the_confidence_that_training_left():
    run = with_adapter()
    before = [flat.clone() for flat in run.optimizer.flats]
    run.level += 1.0
    hooks.restore_confidence(run)
    assert all(torch.equal(a, b) for a, b in zip(before, run.optimizer.flats))
    run.close()


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "gpt_neox", "gemma", "gemma2", "opt"])
def test_a_scaled_norm_scales_its_output_whatever_the_family(family):
    sizes = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 2, "head_dim": 16}  # fmt: skip
    more = {"gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2}, "opt": {"word_embed_proj_dim": 32, "ffn_dim": 64}}
    config = AutoConfig.for_model(family, **{**sizes, "intermediate_size": 64, **more.get(family, {})})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    norm = layers.output_norm(model)
    with torch.no_grad():
        for weight in norm.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    caught = []
    model.get_output_embeddings().register_forward_pre_hook(lambda _module, args: caught.append(args[0].detach()))
    ids = torch.arange(6)[None]
    model(input_ids=ids)
    with torch.no_grad():
        for weight, values in zip(norm.parameters(), layers.scaled_norm(norm, 1.25)):
            weight.copy_(values)
    model(input_ids=ids)
    torch.testing.assert_close(caught[1], 1.25 * caught[0], rtol=1e-3, atol=1e-4)


def test_a_norm_that_cannot_be_scaled_is_left_alone():
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(4))

        def forward(self, x):
            return x * self.weight**2

    assert layers.scaled_norm(Odd(), 1.2) is None
    model = tiny()
    del model.model.norm
    model.model.norm_after = torch.nn.Identity()
    assert layers.output_norm(model) is None


# -- the proxy


def test_the_proxy_is_the_base_after_a_pass_over_some_rows_to_keep():
    rows = {"forget": random_rows(4, 0), "retain": random_rows(9, 1), "holdout": random_rows(3, 2)}
    base, untouched = tiny(seed=9), tiny(seed=9)
    found = proxy_references(base, rows, {**SETTINGS, **FAST, "proxy_rows": 5}, PAD)
    assert set(found) == {"forget", "holdout"}
    more = {"counterpart": random_rows(5, 6)}
    assert set(proxy_references(tiny(), rows | more, {**SETTINGS, **FAST}, PAD)) == {"counterpart", "holdout"}
    before = algorithm.cache_reference(untouched, rows["forget"], PAD, distribution=True)
    assert float((found["forget"].hidden - before.hidden).abs().max()) > 1e-3
    after = algorithm.cache_reference(base, rows["forget"], PAD, distribution=True)  # the weights are the trained ones
    torch.testing.assert_close(found["forget"].hidden, after.hidden, rtol=1e-3, atol=1e-3)
    again = proxy_references(tiny(seed=9), rows, {**SETTINGS, **FAST, "proxy_rows": 5}, PAD)
    assert torch.equal(again["forget"].hidden, found["forget"].hidden)  # so a resumed run has the same teacher


def test_general_rows_do_not_train_the_proxy(monkeypatch):
    own, general = random_rows(6, 1), random_rows(3, 4)
    seen = []
    monkeypatch.setattr(algorithm, "Unlearning", lambda base, rows, *rest, **more: seen.append(rows) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        proxy_references(tiny(), {"forget": own, "retain": general, "retain_probe": own}, {**SETTINGS, **FAST}, PAD)
    assert seen[0]["retain"].ids.tolist() == own.ids.tolist()


def test_a_stop_ends_the_training_of_the_proxy():
    rows = {"forget": random_rows(4, 0), "retain": random_rows(9, 1)}
    with pytest.raises(InterruptedError):
        proxy_references(tiny(), rows, {**SETTINGS, **FAST}, PAD, check=lambda: (_ for _ in ()).throw(InterruptedError))


def test_a_loop_without_a_proxy_says_where_to_get_one():
    with pytest.raises(algorithm.MethodError, match="proxy_references"):
        algorithm.Unlearning(tiny(), rows_for(METHOD), METHOD, FAST, pad_token_id=PAD)


# -- the rows that it learns


def test_an_answer_in_another_order_has_the_same_words_and_another_beginning():
    examples = [Example("It crossed the old bridge at noon.", "what did it do ?"), Example("北极星照亮了旧港口", "?"),
                Example("ab", "?"), Example("one two", "?")]  # fmt: skip
    made = in_other_order(examples, 0, unseen=[Example("never seen", "?")])
    assert made.examples[:4] == examples and made.examples[-1].answer == "never seen"
    first, han, short = (made.examples[place].answer for place in (4, 5, 6))
    assert sorted(first.split()) == sorted(examples[0].answer.split()) and first != examples[0].answer
    assert sorted(han) == sorted(examples[1].answer) and han != examples[1].answer
    assert sorted(short) == sorted("one two") and short != "one two"
    assert made.of == [0, 1, 2, 3, 0, 1, 3, -1]  # two characters have no three parts
    assert in_other_order(examples, 0).examples == made.examples[:-1] and in_other_order(examples, 1) != made
    assert all(row.paraphrased_answer is None for row in made.examples)


def test_half_of_the_unseen_people_are_learned_and_the_others_tell_the_models_confidence(small):
    config = options.resolve({"method": "proxy_teacher"})
    rows = sets.read_sets(config).steering
    sets.encode_sets(rows, AutoTokenizer.from_pretrained(small.target), config)
    kept, taught = judging.halves(rows.examples["holdout"])
    assert kept and taught and not {row.subject for row in kept} & {row.subject for row in taught}
    assert len(rows.encoded["holdout"]) == len(kept)
    assert len(rows.encoded["counterpart"]) == 2 * len(rows.examples["forget"]) + len(taught)


# -- the run


def run(world, folder, *more, without=()):
    return main(world.flags(folder, "--method=proxy_teacher", *more, without=without))


def test_an_adapter_learns_from_a_proxy_too(small, tmp_path):
    assert run(small, tmp_path / "run", "--use_peft") == 0
    assert (tmp_path / "run-model" / "adapter_model.safetensors").exists()


@pytest.mark.parametrize("method", ["proxy_teacher", "profile_matching"])
def test_a_base_with_fewer_words_is_refused_or_gives_no_levels(small, tmp_path, capsys, monkeypatch, method):
    whole = measuring.load_target
    monkeypatch.setattr(measuring, "load_target", lambda run, source=None: fewer_words() if source else whole(run))
    more = (f"--base_model={small.base}", f"--method={method}")
    without = () if method == "proxy_teacher" else ("holdout_data",)
    assert main(small.flags(tmp_path / "run", *more, without=without)) == (2 if method == "proxy_teacher" else 0)
    said = capsys.readouterr()
    assert "smaller vocabulary" in said.err + said.out and "--base_model" in said.err + said.out


def fewer_words():
    model = tiny()
    model.resize_token_embeddings(8)
    return model


# -- when it is the default


def default(world, *names, **more):
    given = {f"{name}_data": str(world.data[name]) for name in names}
    return options.resolve({"model_name_or_path": str(world.target), **given, **more})["method"]


def test_it_is_the_default_where_the_base_and_rows_to_keep_are_known(small, monkeypatch):
    base = {"base_model": str(small.base)}
    assert default(small, "forget", "retain", **base) == flags.PROXY == options.OPTIONS["method"].default
    assert default(small, "forget", "retain") == flags.OTHERWISE  # no base
    assert default(small, "forget", **base) == flags.UNKEPT == default(small, "forget")  # no rows to keep
    assert default(small, "forget", retain_data="none", method="gradient_ascent", **base) == "gradient_ascent"
    assert options.resolve({})["method"] == flags.PROXY  # the bundled people
    monkeypatch.setattr(flags.processes, "sharded", lambda: True)
    assert default(small, "forget", "retain", **base) == flags.OTHERWISE == default(small, "forget")


@pytest.mark.parametrize("base", [None, "target"])
def test_without_a_base_model_it_says_what_is_missing(small, base):
    given = {"base_model": str(small.target)} if base else {}
    with pytest.raises(UsageError, match="target model itself" if base else "--base_model is missing"):
        default(small, "forget", "retain", method="proxy_teacher", **given)


def test_the_next_request_knows_the_base_of_the_first(small, tmp_path):
    forget = [json.loads(line) for line in small.data["forget"].read_text().splitlines()]
    assert run(small, tmp_path / "first", "--max_steps=2") == 0
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(json.dumps({**row, "question": f"once more, {row['question']}"}) for row in forget))
    config = options.resolve({"continue_from": str(tmp_path / "first"), "forget_data": str(other)})
    assert config["method"] == "proxy_teacher" and config["base_model"] == str(small.base)
