"""Every entry of transformers' causal-LM mapping: right in the way it takes, or refused with exit code 4.

A run takes a seeded part of the list (the date, or EVERY_MODEL_SEED); `--every_model` takes all of it and writes
tests/every_model.md.
"""

from __future__ import annotations

import functools
import json
import warnings

import every_model
import numpy as np
import pytest
import tiny_models
import torch
from random_models import encoded as encoded_rows
from transformers import AutoModelForCausalLM

import unlearning_script
from data.preparation import encode_examples
from models.forward import generation, proof
from models.forward.answers import WAYS, Way, answer_outputs, evaluating
from models.store.adapters import add_lora
from models.store.folders import ModelError
from models.store.loading import load_model
from models.store.saving import save_model

EXAMPLES = tiny_models.facts()[:6]
NEW_TOKENS = 6
RUNS = 3  # families that also go through the runner


def pytest_generate_tests(metafunc):
    chosen, runs = every_model.chosen(metafunc.config.getoption("--every_model"), RUNS)
    if "family" in metafunc.fixturenames:
        metafunc.parametrize("family", chosen)
    if "run_of" in metafunc.fixturenames:
        metafunc.parametrize("run_of", runs)


@pytest.fixture(scope="module")
def told(request):
    """The rows of the table, by family; written when all tests are done."""
    rows = {}
    yield rows
    if request.config.getoption("--every_model"):
        every_model.write_table(rows)


@pytest.fixture(scope="module")
def encoded():
    tokenizer = tiny_models.make_tokenizer(EXAMPLES)
    return tokenizer, encode_examples(tokenizer, EXAMPLES, 64)[0]


def test_a_family_is_right_or_refused(family, told, encoded, tmp_path):
    model, reason = every_model.built(family)
    if model is None:
        told[family] = {"outcome": f"not built: {reason}"}
        pytest.skip(f"{family} cannot be built small: {reason}")
    tokenizer, rows = encoded
    if not every_model.is_causal(model, rows):
        with pytest.raises(ModelError) as refusal:
            save_model(model, tokenizer, tmp_path / "model", "a card")
            proof.prove(load_model(tmp_path / "model", progress=lambda _: None)[0], rows, 0)
        assert refusal.value.exit_code == 4 and "causal" in str(refusal.value)
        told[family] = {"outcome": "refused: no causal LM"}
        return
    together = proof._fastest_is_right(model, rows.batch(range(3), 0))
    del model._unlearning_proofs
    told[family] = {"outcome": "right", **of_rows(model, rows), **of_generation(model, tokenizer, rows)}
    apart = (told[family]["rows"], told[family]["generation"]) == (every_model.WORDS[0], "shared")
    assert together == apart, "the fastest ways are right together and wrong apart, or the other way round"
    told[family]["saved"] = again(model, tokenizer, rows, tmp_path / "model")
    told[family]["LoRA"] = with_lora(model, rows)


def of_rows(model, rows) -> dict:
    """The way that the rows take; asserts that losses and gradients are the plain ones."""
    truth = every_model.plain_losses(model, rows)
    plain = every_model.gradients(model, truth)
    found = answer_outputs(model, rows.batch(range(len(rows)), 0)).sequence_nll()
    loss = float((found - truth).detach().abs().max() / truth.detach().abs().max())
    gradient, name = every_model.apart(every_model.gradients(model, found), plain)
    model.zero_grad()
    assert loss < 1e-4
    assert gradient < 5e-3, name
    (way,) = proof.proofs(model).ways.values()
    return {"rows": every_model.WORDS[WAYS.index(way)], "loss": loss, "gradient": gradient}


def of_generation(model, tokenizer, rows) -> dict:
    """The way that generation takes; asserts the greedy tokens of a loop without cache, up to ties."""
    prompts = [rows.prompt_ids(i) for i in range(len(rows))]
    with evaluating(model):
        said = generation.generate(model, prompts, [NEW_TOKENS] * len(prompts), {tokenizer.eos_token_id})
    for prompt, tokens in zip(prompts, said):
        plain, margins = every_model.plain_greedy(model, prompt, NEW_TOKENS)
        plain = plain[: plain.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in plain else plain
        tie = next((place for place, margin in enumerate(margins) if margin < 1e-3), NEW_TOKENS)
        assert tokens[:tie] == plain[:tie]
    (way,) = proof.proofs(model).generation.values()
    return {"generation": way}


def again(model, tokenizer, rows, folder) -> str:
    """Whether the model is the same after saving and loading; refused only where transformers cannot load it either."""
    save_model(model, tokenizer, folder, "a card")
    try:
        loaded, _ = load_model(folder, progress=lambda _: None)
    except ModelError as error:
        with pytest.raises(ValueError, match="Unrecognized configuration class"):
            AutoModelForCausalLM.from_pretrained(folder)
        assert error.exit_code == 4
        return "refused"
    ids = torch.tensor(rows.ids_of(0), dtype=torch.long)[None]
    with torch.no_grad():
        before, after = (m(input_ids=ids, use_cache=False).logits for m in (model, loaded))
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5 * float(before.abs().max()))
    return "yes"


def with_lora(model, rows) -> str:
    """Whether an adapter trains: the loss at its start is the model's own, and gradients reach it."""
    batch = rows.batch(range(len(rows)), 0)
    before = answer_outputs(model, batch).sequence_nll().detach()
    try:
        adapted = add_lora(model, r=2)
    except ModelError as error:
        assert error.exit_code == 2
        return "refused"
    after = answer_outputs(adapted, batch).sequence_nll()
    torch.testing.assert_close(after.detach(), before, rtol=1e-4, atol=1e-4)
    after.sum().backward()
    reached = [p.grad.abs().max() for name, p in adapted.named_parameters() if "lora_B" in name and p.grad is not None]
    assert reached and all(torch.isfinite(value) for value in reached) and max(reached) > 0
    return "yes"


def test_a_run_with_evaluation(run_of, small, tmp_path, capsys):
    """Two steps, saving and measuring, through the command line."""
    model, reason = every_model.built(run_of)
    if model is None:
        pytest.skip(f"{run_of} cannot be built small: {reason}")
    _, tokenizer = load_model(small.target, progress=lambda _: None)
    save_model(model, tokenizer, tmp_path / "model", "a card")
    flags = small.flags(tmp_path / "run", f"--model_name_or_path={tmp_path / 'model'}", "--max_steps=2",
                        "--metrics=all", "--eval_rows=2", "--probe_rows=2")  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = unlearning_script.main(flags)
    said = capsys.readouterr()
    if not every_model.is_causal(model, encode_examples(tokenizer, EXAMPLES, 64)[0]):
        assert code == 4 and "causal LM" in said.err
        return
    assert code == 0, said.err
    found = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert {"target", "unlearned"} <= set(found["models"])
    assert all(np.isfinite(found["models"][name]["forget"]["loss"]) for name in ("target", "unlearned"))


def test_the_rules_build_nearly_everything():
    """A rule that stops fitting would turn the sweep into a list of skipped tests."""
    assert len(every_model.entries()) > 150
    named = ["llama", "gpt2", "mamba", "mixtral", "deepseek_v3", "qwen3_next", "gemma3"]
    assert [name for name in named if every_model.built(name)[0] is None] == []


# -- what the proof must notice


@pytest.fixture
def llama():
    return every_model.built("llama")[0]


COMMON = ("llama", "qwen2", "qwen3", "qwen3_moe", "mistral", "mixtral", "gemma", "gemma2", "gemma3_text", "phi3",
          "olmo2", "granite", "cohere2", "smollm3", "gpt2", "gpt_neox", "deepseek_v3")  # fmt: skip


@pytest.mark.parametrize("common", COMMON)
def test_common_families_keep_the_fast_paths(common, encoded, capsys):
    """A proof that fails for no reason would cost every user time."""
    model, _ = every_model.built(common)
    proof.prove(model, encoded[1], 0)
    assert list(proof.proofs(model).ways.values()) == [WAYS[0]] and WAYS[0] == Way(packed=True, lean=True, narrow=True)
    assert list(proof.proofs(model).generation.values()) == ["shared"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_no_difference(dtype, llama, encoded):
    llama.to(dtype)
    proof.prove(llama, encoded[1], 0)
    assert list(proof.proofs(llama).ways.values()) == [WAYS[0]]
    assert list(proof.proofs(llama).generation.values()) == ["shared"]


def test_router_losses_do_not_enter_the_loss(encoded):
    """A config may ask for router logits; the loss of a step is that of the answers alone."""
    model, _ = every_model.built("mixtral")
    model.config.output_router_logits = True
    assert of_rows(model, encoded[1])["rows"] == "packed"


def test_the_proof_changes_neither_the_model_nor_the_random_state(llama, encoded):
    llama.train()
    before, state = {name: p.clone() for name, p in llama.state_dict().items()}, torch.get_rng_state()
    with torch.inference_mode():
        proof.prove(llama, encoded[1], 0)
    assert llama.training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], p) for name, p in llama.state_dict().items())
    assert all(p.grad is None for p in llama.parameters())


def test_the_proof_leaves_no_gradient_in_an_optimizer(encoded):
    """It may come in the middle of a step, and the optimizer collects the gradients of embeddings by hooks."""
    from models.training.weights import FlatAdamW

    model, _ = every_model.built("gpt2")
    optimizer = FlatAdamW(model, compute_dtype=torch.bfloat16)
    optimizer.begin_step()
    proof.prove(model, encoded[1], 0)
    assert len(optimizer.rows) == 2 and not any(optimizer.rows.values()) and not optimizer.gradient


@pytest.mark.parametrize(
    ("spoiled", "expected"),
    [("rotary", 1), ("packed", 2), ("head", 3), ("batch", 4)],
    ids=["a rotary embedding", "packed attention", "a head called otherwise", "rows that see each other"],
)
def test_a_wrong_way_is_not_used_and_a_line_says_so(spoiled, expected, llama, encoded, monkeypatch, capsys):
    every_model.spoil(llama, spoiled, monkeypatch)
    proof._said.clear()
    rows = encoded[1]
    truth = every_model.plain_losses(llama, rows)
    found = answer_outputs(llama, rows.batch(range(len(rows)), 0)).sequence_nll()
    assert list(proof.proofs(llama).ways.values()) == [WAYS[expected]]
    torch.testing.assert_close(found, truth, rtol=1e-4, atol=1e-4)
    answer_outputs(llama, rows.batch(range(len(rows)), 0))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("note: LlamaForCausalLM: ") and "instead: " in line


@pytest.mark.parametrize(
    ("spoiled", "expected"),
    [("prefix", "padded"), ("rows of a cache", "library"), ("padding", "alone"), ("second step", "uncached")],
)
def test_a_wrong_way_of_generation_is_not_used_and_a_line_says_so(
    spoiled, expected, llama, encoded, monkeypatch, capsys
):
    proof._said.clear()
    every_model.spoil_generation(llama, spoiled, monkeypatch)
    proof.prove(llama, encoded[1], 0)
    assert list(proof.proofs(llama).generation.values()) == [expected]
    (line,) = capsys.readouterr().out.splitlines()
    assert f"{generation.WAYS[expected][0]} instead: " in line


@pytest.mark.parametrize("spoiled", ["rotary", "packed", "prefix", "rows of a cache", "padding", "second step"])
def test_the_fastest_ways_are_not_taken_together_if_one_is_wrong(spoiled, llama, encoded, monkeypatch):
    """A row and a way of generation that pass here are not looked at again."""
    batch = encoded[1].batch(range(3), 0)
    assert proof._fastest_is_right(llama, batch)
    del llama._unlearning_proofs
    (every_model.spoil if spoiled in ("rotary", "packed") else every_model.spoil_generation)(
        llama, spoiled, monkeypatch
    )
    assert not proof._fastest_is_right(llama, batch)
    assert not proof.proofs(llama).ways and not proof.proofs(llama).generation


@pytest.mark.parametrize("masked", ["hole", "left"])
def test_padding_at_either_place_is_noticed(masked, llama, encoded, monkeypatch):
    """Behind a common prefix it lies between tokens; without one it comes first."""
    own = llama.forward

    @functools.wraps(own)
    def unmasked(**given):
        mask = given.get("attention_mask")
        spoiled = mask is not None and not bool(mask.all()) and bool((mask[:, 0] == 1).all()) == (masked == "hole")
        return own(**{**given, "attention_mask": None} if spoiled else given)

    assert proof._fastest_is_right(llama, encoded[1].batch(range(3), 0))
    del llama._unlearning_proofs
    monkeypatch.setattr(llama, "forward", unmasked)
    assert not proof._fastest_is_right(llama, encoded[1].batch(range(3), 0))


@pytest.mark.parametrize(("count", "length"), [(1, 12), (6, 30), (40, 90)])
def test_a_proof_takes_seven_passes_of_few_tokens_however_many_rows_there_are(count, length, llama):
    draw, tokens = np.random.default_rng(0), []
    rows = encoded_rows([draw.integers(3, 53, length - i % 3) for i in range(count)], [8] * count)
    llama.model.register_forward_pre_hook(
        lambda _module, _args, given: tokens.append(given["input_ids"].numel()), with_kwargs=True
    )
    proof.prove(llama, rows, 0)
    # generation: a prefix, the ends of its prompts, two steps; prompts with padding; rows: both plain, and packed
    assert tokens == [8, 4, 2, 1, 8, 24, 16]
    tokens.clear()
    del llama._unlearning_proofs
    proof.prove_rows(llama, rows, 0)
    proof.way_of_generation(llama, [rows.prompt_ids(i) for i in range(min(3, count))], length)
    # apart: two rows plain, one packed; two batches of prompts with two steps and one; the check of all their tokens
    assert tokens == [12, 10, 16, 8, 8, 1, 1, 20, 2, 32]


def test_rows_beyond_a_length_of_the_config_are_proved_beyond_it(llama, encoded):
    """Windows, chunks and scaled contexts change what a family computes."""
    rows = encoded[1].take([0, 1])
    assert proof._length(llama, 10_000) == 12
    llama.config.sliding_window = 24
    del llama._unlearning_proofs
    assert [proof._length(llama, longest) for longest in (20, 24, 25)] == [12, 12, 32]
    answer_outputs(llama, rows.batch([0, 1], 0))
    long = {**rows.batch([0, 1], 0), "input_ids": torch.randint(3, 80, (2, 40)), "lengths": torch.tensor([40, 30])}
    answer_outputs(llama, long)
    assert sorted(length for _, length in proof.proofs(llama).ways) == [12, 32]


def test_a_head_that_cannot_be_frozen_has_its_logits_kept(llama, encoded, capsys):
    """Its logits are more than a matrix product with scaling and soft-capping."""
    from models.forward.reference import cache_reference

    proof._said.clear()
    llama.lm_head.register_forward_hook(lambda _module, _args, logits: logits + 0.1 * logits.square())
    rows = encoded[1]
    reference = cache_reference(llama, rows, 0, distribution=True)
    with torch.no_grad():
        answers = answer_outputs(llama, rows.batch([2, 4], 0))
    torch.testing.assert_close(reference.logits(answers), answers.logits, rtol=1e-5, atol=1e-5)
    assert reference.head is None and "the logits are kept: " in capsys.readouterr().out
