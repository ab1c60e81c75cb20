"""Adapters on a 4-bit or 8-bit base model: refusals and, if bitsandbytes is installed, a whole run."""

import importlib.util
import json

import pytest
import torch

from models.store import adapters, folders, loading, quantised
from results.run.options import resolve
from results.run.run_folder import UsageError
from unlearning_script import main

needs_package = pytest.mark.skipif(
    importlib.util.find_spec(quantised.PACKAGE) is None,
    reason="bitsandbytes is not installed: 4-bit and 8-bit base models are not tested",
)


def test_all_reasons_against_a_quantised_base_are_reported_together(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as refused:
        resolve({"load_in_4bit": True, "load_in_8bit": True, "forget_text": "a text"})
    said = str(refused.value)
    assert "give one of them" in said and "--load_in_4bit needs --use_peft" in said
    assert "needs the package bitsandbytes, which is not installed: pip install bitsandbytes" in said
    with pytest.raises(UsageError, match="cannot be merged into quantised weights"):
        resolve({"load_in_8bit": True, "use_peft": True, "merge_adapter": True, "forget_text": "a text"})
    assert resolve({"forget_text": "a text"})["load_in_4bit"] is False  # without the flag nothing is needed


@needs_package
@pytest.mark.parametrize("bits", [4, 8])
def test_an_adapter_is_trained_on_a_quantised_base(small, tmp_path, bits):
    flags = ["--use_peft", "--lora_r=4", f"--load_in_{bits}bit", "--max_steps=8", "--learning_rate=1e-2"]
    assert main(small.flags(tmp_path / "run", *flags)) == 0
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text(encoding="utf-8"))["models"]
    losses = [report[name]["forget"]["loss"] for name in ("target", "unlearned")]
    assert losses[1] > 2 * losses[0]
    adapter = folders.read_json(tmp_path / "run-model" / "adapter_config.json")
    assert adapter["peft_type"] == "LORA"
    assert loading.load_model(tmp_path / "run-model")[0].num_parameters() == loading.parameter_count(small.target)


@needs_package
@pytest.mark.parametrize("bits", [4, 8])
def test_the_base_is_stored_in_few_bits_and_does_not_change(small, bits):
    from models.training import weights

    settings = quantised.settings({f"load_in_{bits}bit": True}, torch.float32)
    model, _ = loading.load_model(small.target, quantization_config=settings)
    matrix = model.model.layers[0].mlp.up_proj.weight
    assert not matrix.is_floating_point() and matrix.numel() * 8 // 64 // 128 in (4, 8)
    assert model.get_output_embeddings().weight.dtype == torch.float32
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    wrapped = adapters.add_lora(model, r=4)
    optimizer = weights.FlatAdamW(wrapped, compute_dtype=torch.bfloat16)
    with weights.computing_in(model, torch.bfloat16):
        ids = torch.arange(3, 20)[None]
        wrapped(input_ids=ids, labels=ids).loss.backward()
    optimizer.gather()
    optimizer.step(1e-2)
    optimizer.release()
    after = dict(wrapped.get_base_model().named_parameters())
    for name, values in before.items():
        name = name if name in after else name.replace(".weight", ".base_layer.weight")
        assert torch.equal(after[name], values), name
    assert any(p.abs().max() > 0 for name, p in wrapped.named_parameters() if "lora_B" in name)


@needs_package
@pytest.mark.parametrize(("bits", "likeness"), [(4, 0.9999), (8, 0.95)])
def test_gradients_pass_through_the_quantised_layers(small, bits, likeness):
    """They resemble those of a plain model with these weights, even after an evaluation; int8 also rounds inputs."""
    from bitsandbytes.functional import dequantize_4bit

    settings = quantised.settings({f"load_in_{bits}bit": True}, torch.float32)
    rounded, _ = loading.load_model(small.target, quantization_config=settings)
    plain, _ = loading.load_model(small.target)
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        rounded(input_ids=ids)
        for name, matrix in plain.named_parameters():
            theirs = rounded.get_parameter(name)
            if bits == 4 and not theirs.is_floating_point():
                matrix.copy_(dequantize_4bit(theirs.data, theirs.quant_state))
    gradients = []
    for model in (rounded, plain):
        torch.manual_seed(1)
        model = adapters.add_lora(model, r=4)
        for name, p in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(p, std=0.1)
        model.train()
        model(input_ids=ids, labels=ids).loss.backward()
        found = {name: p.grad for name, p in model.named_parameters() if "layers.0" in name and "lora_" in name}
        gradients.append(torch.cat([found[name].flatten() for name in sorted(found)]))
    assert float(torch.cosine_similarity(*gradients, dim=0)) > likeness


@needs_package
def test_an_adapter_folder_cannot_be_quantised(small, tmp_path, capsys):
    assert main(small.flags(tmp_path / "a", "--use_peft", "--max_steps=1", "--metrics=loss")) == 0
    capsys.readouterr()
    again = [f"--model_name_or_path={tmp_path / 'a-model'}", "--use_peft", "--load_in_4bit"]
    assert main(small.flags(tmp_path / "b", *again)) == 2
    assert "cannot be merged into quantised weights" in capsys.readouterr().err
