"""LoRA adapters over a base model, and smaller models made of some of a model's layers."""

from __future__ import annotations

import copy
import gc
import json
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_loading import (  # noqa: F401  no_network guards these tests too
    CONFIGS,
    IDS,
    edit,
    foreign_folder,
    logits,
    no_network,
    refused,
    silent,
    tiny_model,
    tiny_tokenizer,
)
from transformers import AutoModelForCausalLM

from models.forward.layers import decoder_layers, truncate_layers
from models.store import loading, saving
from models.store.adapters import add_lora
from models.store.folders import ModelError
from models.store.loading import load_model, model_hash
from models.store.saving import save_adapter, save_model


@contextmanager
def silence():
    """Without the warnings of libraries."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ---- LoRA


def trained_adapter(model, **options):
    adapted = add_lora(model, r=4, alpha=8, **options).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.5)
    return adapted


@pytest.mark.hardening(39)
@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma2"])
def test_an_adapter_folder_loads_as_its_base_with_the_adapter_merged(tmp_path, family):
    base = foreign_folder(tmp_path / "base", family)
    adapted = trained_adapter(load_model(base, progress=silent)[0])
    expected, plain = logits(adapted), logits(load_model(base, progress=silent)[0])
    folder = save_adapter(adapted, tmp_path / "adapter", str(base), "# card")
    model, tokenizer = load_model(folder, progress=silent)
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=1e-4)
    assert (expected - plain).abs().max() > 0.01
    assert not any("lora" in name for name, _ in model.named_modules()) and len(tokenizer) <= 100
    assert all(p.requires_grad for p in model.parameters())
    assert (folder / "adapter_model.safetensors").stat().st_mode & 0o777 == 0o644
    save_model(model, tokenizer, tmp_path / "merged", "")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged")), logits(model))


def test_a_merged_adapter_releases_the_file_of_its_base(tmp_path):
    base = foreign_folder(tmp_path / "base")
    folder = save_adapter(trained_adapter(load_model(base, progress=silent)[0]), tmp_path / "adapter", str(base), "")

    def mapped() -> bool:
        return str(base / "model.safetensors") in Path("/proc/self/maps").read_text()

    if not Path("/proc/self/maps").exists():
        pytest.skip("only Linux tells which files are mapped into memory")
    model, _ = load_model(base, progress=silent)
    assert mapped(), "weights are read from their file where it lies"
    del model
    gc.collect()
    model, _ = load_model(folder, progress=silent)
    gc.collect()
    assert not mapped() and model.lm_head.weight is model.model.embed_tokens.weight


def test_adapters_stack_and_name_their_base_relative_to_the_project(tmp_path, monkeypatch):
    foreign_folder(tmp_path / "base")
    for module in (loading, saving):
        monkeypatch.setattr(module, "PROJECT", tmp_path)
    first = trained_adapter(load_model("base", progress=silent)[0])
    save_adapter(first, tmp_path / "first", str(tmp_path / "base"), "")
    assert json.loads((tmp_path / "first" / "adapter_config.json").read_text())["base_model_name_or_path"] == "base"
    second = trained_adapter(load_model("first", progress=silent)[0])
    expected = logits(second)
    save_adapter(second, tmp_path / "second", "first", "")
    torch.testing.assert_close(logits(load_model("second", progress=silent)[0]), expected, atol=1e-5, rtol=1e-4)
    assert len({model_hash(name) for name in ("base", "first", "second")}) == 3


@pytest.mark.hardening(39)
def test_a_broken_adapter_is_refused(tmp_path):
    adapted = trained_adapter(tiny_model())
    folder = save_adapter(adapted, tmp_path / "a", str(tmp_path / "gone"), "")
    refused(folder, "base model is missing", "base_model_name_or_path")
    (folder / "manifest.json").unlink()
    edit(folder / "adapter_config.json", base_model_name_or_path=str(folder))
    refused(folder, "each other")
    edit(folder / "adapter_config.json", base_model_name_or_path=None)
    refused(folder, "base_model_name_or_path is missing")
    edit(folder / "adapter_config.json", base_model_name_or_path=str(foreign_folder(tmp_path / "gpt2", "gpt2")))
    refused(folder, "cannot be merged")
    edit(folder / "adapter_config.json", base_model_name_or_path=str(foreign_folder(tmp_path / "base")))
    load_model(folder, progress=silent)
    stored = load_file(folder / "adapter_model.safetensors")
    gone = sorted(stored)[0]
    del stored[gone]
    save_file(stored, folder / "adapter_model.safetensors")
    refused(folder, "do not fit")
    edit(folder / "adapter_config.json", peft_type="IA3")
    refused(folder, "IA3")


@pytest.mark.hardening(38)
def test_unknown_lora_modules_are_refused_and_known_ones_trained(tmp_path):
    with pytest.raises(ModelError) as caught:
        add_lora(tiny_model(), r=4, target_modules="q_proj,query")
    assert caught.value.exit_code == 2 and "no query" in str(caught.value) and "q_proj, " in str(caught.value)
    with pytest.raises(ModelError) as caught:
        add_lora(tiny_model(), r=0)
    assert caught.value.exit_code == 2
    wrapped = add_lora(tiny_model(), r=4, target_modules="q_proj, v_proj")
    trained = {n.split(".lora_")[0].rsplit(".", 1)[-1] for n, p in wrapped.named_parameters() if p.requires_grad}
    assert trained == {"q_proj", "v_proj"}
    everything = add_lora(tiny_model("gpt2"), r=4)
    trained = {n.split(".lora_")[0].rsplit(".", 1)[-1] for n, p in everything.named_parameters() if p.requires_grad}
    assert trained == {"c_attn", "c_proj", "c_fc"}


# ---- adapters as others train and save them


def perturbed(adapted):
    """The adapted model with other values in all that it trains."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in adapted.parameters():
            if p.requires_grad:
                p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    return adapted.eval()


def written_adapter(folder: Path, base: Path, rows: int | None = None, **options):
    """(the folder as PEFT writes it, the logits of the model as trained, as PEFT applies the adapter)."""
    from peft import LoraConfig, get_peft_model

    model = AutoModelForCausalLM.from_pretrained(base)
    if rows:
        model.resize_token_embeddings(rows)
        tiny_tokenizer(rows - 2).save_pretrained(folder)
    torch.manual_seed(3)
    adapted = perturbed(get_peft_model(model, LoraConfig(**{"r": 4, "target_modules": "all-linear", **options})))
    adapted.save_pretrained(folder)
    edit(folder / "adapter_config.json", base_model_name_or_path=str(base))
    return folder, logits(adapted)


STARTS = {
    "pissa": {"init_lora_weights": "pissa"},
    "olora": {"init_lora_weights": "olora"},
    "gaussian": {"init_lora_weights": "gaussian"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "eva": {"init_lora_weights": "eva"},
    "mica": {"init_lora_weights": "mica"},
    "DoRA": {"use_dora": True},
    "rank-stabilised": {"use_rslora": True, "lora_alpha": 3},
    "ranks by module": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 32}},
    "norms trained whole": {"modules_to_save": ["norm", "input_layernorm"]},
    "plain": {},
}


@pytest.mark.hardening(39)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("start", STARTS)
def test_an_adapter_of_any_start_gives_the_model_that_was_trained(tmp_path, start, family):
    if family == "gpt2" and start in ("mica", "olora", "norms trained whole"):
        pytest.skip("not in PEFT for transposed weights, or other names of modules")
    options = {**STARTS[start], **({"fan_in_fan_out": True} if family == "gpt2" else {})}
    base = foreign_folder(tmp_path / "base", family)
    folder, expected = written_adapter(tmp_path / "adapter", base, **options)
    torch.testing.assert_close(logits(load_model(folder, progress=silent)[0]), expected, atol=2e-5, rtol=1e-4)
    assert (expected - logits(load_model(base, progress=silent)[0])).abs().max() > 0.01


@pytest.mark.hardening(39)
@pytest.mark.parametrize("start", ["pissa_niter_4", "corda", "lora_ga", "loftq"])
def test_an_adapter_whose_start_cannot_be_repeated_is_refused(tmp_path, start):
    base = foreign_folder(tmp_path / "base")
    folder, _ = written_adapter(tmp_path / "adapter", base)
    edit(folder / "adapter_config.json", init_lora_weights=start)
    refused(folder, start, "path_initial_model_for_weight_conversion")


EMBEDDED = {
    "embeddings and head trained whole": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "embeddings trained whole": {"modules_to_save": ["embed_tokens"]},
    "LoRA on embeddings": {"target_modules": ["embed_tokens", "q_proj"]},
    "LoRA on embeddings and head": {"target_modules": ["embed_tokens", "lm_head", "v_proj"]},
    "some tokens": {"trainable_token_indices": {"embed_tokens": [3, 5, 99]}},
}


@pytest.mark.hardening(39)
@pytest.mark.parametrize("rows", [None, 107, 92])
@pytest.mark.parametrize("family", ["llama", "llama-untied"])
@pytest.mark.parametrize("kind", EMBEDDED)
def test_an_adapter_of_embeddings_gives_the_model_that_was_trained(tmp_path, kind, family, rows):
    if rows == 92 and kind == "some tokens":
        pytest.skip("token 99 is cut off")
    base = foreign_folder(tmp_path / "base", family)
    with silence():
        folder, expected = written_adapter(tmp_path / "adapter", base, rows, **EMBEDDED[kind])
    said = []
    model, tokenizer = load_model(folder, progress=said.append)
    torch.testing.assert_close(logits(model), expected, atol=1e-3 if said else 2e-5, rtol=1e-4)
    assert model.config.vocab_size == (rows or 100) and len(tokenizer) == (rows or 92) - 2
    assert bool(said) <= bool(rows == 107)
    saved = save_model(model, tokenizer, tmp_path / "saved", "")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(saved)), logits(model))


def test_an_adapter_over_an_adapter_that_changed_the_base(tmp_path):
    base = foreign_folder(tmp_path / "base")
    first, _ = written_adapter(tmp_path / "first", base, init_lora_weights="pissa")
    middle = save_model(*load_model(first, progress=silent), tmp_path / "middle", "")
    second, expected = written_adapter(tmp_path / "second", middle, init_lora_weights="olora")
    edit(second / "adapter_config.json", base_model_name_or_path=str(first))
    torch.testing.assert_close(logits(load_model(second, progress=silent)[0]), expected, atol=1e-4, rtol=1e-3)


def test_the_tokenizer_beside_an_adapter_is_used(tmp_path):
    base = foreign_folder(tmp_path / "base")
    folder, _ = written_adapter(tmp_path / "adapter", base)
    tokenizer = tiny_tokenizer(95)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    assert load_model(folder, progress=silent)[1].chat_template == tokenizer.chat_template
    assert len(loading.load_tokenizer(folder, progress=silent)) == 95
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["x.Y", None]})
    refused(folder, "auto_map")
    tiny_tokenizer(130).save_pretrained(folder)
    refused(folder, "130", "100")


# ---- layers


@pytest.mark.parametrize("family", CONFIGS)
def test_a_truncated_model_equals_the_teacher_with_those_layers(family):
    teacher = tiny_model(family)
    assert len(decoder_layers(teacher)) == 4
    same = truncate_layers(teacher, [0, 1, 2, 3])
    assert torch.equal(logits(same), logits(teacher))
    assert same.get_input_embeddings().weight.data_ptr() != teacher.get_input_embeddings().weight.data_ptr()
    student = truncate_layers(teacher, [0, 3])
    pruned = copy.deepcopy(teacher)
    layers = decoder_layers(pruned)
    del layers[1:3]
    pruned.config.num_hidden_layers = 2
    if getattr(pruned.config, "layer_types", None):
        pruned.config.layer_types = [pruned.config.layer_types[i] for i in (0, 3)]
        assert student.config.layer_types == pruned.config.layer_types
    assert torch.equal(logits(student), logits(pruned))
    assert not torch.equal(logits(student), logits(teacher))
    cached = student.generate(IDS, max_new_tokens=4, do_sample=False, use_cache=True)
    plain = student.generate(IDS, max_new_tokens=4, do_sample=False, use_cache=False)
    assert torch.equal(cached, plain)


def test_truncating_leaves_the_random_state_and_saves(tmp_path):
    teacher = tiny_model("gemma2")
    torch.manual_seed(7)
    state = torch.get_rng_state()
    student = truncate_layers(teacher, [1, 2])
    assert torch.equal(state, torch.get_rng_state())
    folder = save_model(student, tiny_tokenizer(), tmp_path / "m", "")
    assert torch.equal(logits(load_model(folder, progress=silent)[0]), logits(student))
    for keep in ([], [2, 1], [0, 4], [-1], [1, 1]):
        with pytest.raises(ModelError):
            truncate_layers(teacher, keep)
