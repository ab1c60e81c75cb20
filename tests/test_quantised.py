"""Quantised models: adapters on a 4-bit or 8-bit base, if bitsandbytes is installed, and files that hold codes."""

import importlib.util
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GptOssConfig

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


# -- files that hold quantised codes

FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])  # e2m1, OCP MX 1.0


def rewritten(folder, kind: str, change, **more):
    """The tensors of a model folder after `change(name, tensor)`, a dict for each, and config.json naming the kind."""
    tensors = load_file(folder / "model.safetensors")
    coded = {}
    for name, tensor in tensors.items():
        coded.update(change(name, tensor))
    save_file(coded, folder / "model.safetensors", {"format": "pt"})
    config = folders.read_json(folder / "config.json")
    config["quantization_config"] = {"quant_method": kind, **more}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / folders.MANIFEST).unlink(missing_ok=True)
    return folder


def in_fp8(name: str, tensor, kind: str) -> dict:
    """A decoder matrix as fp8 codes and a scale for each block of 32 x 32 of its values, or one ("static")."""
    if "_proj" not in name:
        return {name: tensor}
    rows, columns = (1, 1) if kind == "static fp8" else (size // 32 for size in tensor.shape)
    blocks = tensor.float().view(rows, tensor.shape[0] // rows, columns, tensor.shape[1] // columns)
    scale = torch.exp2(torch.ceil(torch.log2(blocks.abs().amax((1, 3)) / 448)))
    codes = (blocks / scale[:, None, :, None]).view(tensor.shape).to(torch.float8_e4m3fn)
    coded = {name: codes, name.replace(".weight", ".weight_scale_inv"): scale}
    if kind == "mxfp8":
        coded[f"{name}_scale_inv"] = (torch.log2(scale) + 127).to(torch.uint8)
    if kind == "static fp8":
        coded |= {f"{name}_scale_inv": scale[0, 0].clone(), name.replace("weight", "activation_scale"): torch.ones(())}
    return coded


def of_fp8(codes, scale):
    """The values of `in_fp8`."""
    scale = scale if scale.is_floating_point() else torch.exp2(scale.float() - 127)
    if scale.ndim:
        scale = scale.repeat_interleave(32, 0).repeat_interleave(32, 1)
    return codes.float() * scale


FP8 = {
    "fp8": {"activation_scheme": "dynamic", "weight_block_size": [32, 32]},
    "static fp8": {"activation_scheme": "static", "weight_block_size": None},
    "mxfp8": {"activation_scheme": "dynamic", "weight_block_size": [32, 32], "scale_fmt": "ue8m0"},
}


def coded_folder(kind: str, small, folder):
    """(a folder whose files hold codes of this kind, the plain values that they stand for by name)."""
    if kind == "mxfp4":
        return gpt_oss(small, folder)
    shutil.copytree(small.target, folder)
    rewritten(
        folder, kind.split()[-1], lambda name, tensor: in_fp8(name, tensor, kind), modules_to_not_convert=["lm_head"],
        **FP8[kind],
    )  # fmt: skip
    held = load_file(folder / "model.safetensors")
    return folder, {
        name: of_fp8(tensor, held[f"{name}_scale_inv"]) if f"{name}_scale_inv" in held else tensor
        for name, tensor in held.items() if not name.endswith("_scale_inv") and not name.endswith("activation_scale")
    }  # fmt: skip


def gpt_oss(small, folder):
    """`coded_folder` of a small gpt-oss: two codes of 4 bits a byte, and a scale for each 32 values of an expert."""
    tokenizer = loading.load_tokenizer(small.target)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(GptOssConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, num_local_experts=4, num_experts_per_tok=2, eos_token_id=0, pad_token_id=0,
    ))  # fmt: skip
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    values = {}

    def change(name, tensor):
        if not name.endswith(("gate_up_proj", "down_proj")):
            return {name: tensor}
        experts, inner, outer = tensor.shape
        blocks = torch.randint(0, 256, (experts, outer, inner // 32, 16), dtype=torch.uint8)
        scales = torch.randint(118, 124, (experts, outer, inner // 32), dtype=torch.uint8)
        numbers = torch.stack([FP4[(blocks & 15).long()], FP4[(blocks >> 4).long()]], -1).flatten(-2)
        values[name] = (numbers * torch.exp2(scales.float() - 127)[..., None]).flatten(-2).transpose(1, 2)
        return {f"{name}_blocks": blocks, f"{name}_scales": scales}

    rewritten(folder, "mxfp4", change)
    held = load_file(folder / "model.safetensors")
    plain = {name: tensor for name, tensor in held.items() if not name.endswith(("_blocks", "_scales"))}
    return folder, {**plain, **values}


@pytest.mark.parametrize("kind", [*quantised.EXPANDED, "static fp8"])
def test_codes_that_can_become_plain_weights_do_and_the_unlearned_model_holds_them(small, tmp_path, kind, capsys):
    folder, values = coded_folder(kind, small, tmp_path / "coded")
    notes = []
    model, _ = loading.load_model(folder, progress=notes.append)
    assert any(f"holds {kind.split()[-1]} weights" in note for note in notes)
    found = dict(model.named_parameters())
    assert set(values) - set(found) <= {"lm_head.weight"}  # tied
    for name, p in found.items():
        assert p.dtype == torch.float32 and torch.equal(p, values[name].float()), name
    assert "parameters" in planned(small.flags(tmp_path / "plan", f"--model_name_or_path={folder}", "--plan"), capsys)
    if kind in ("mxfp8", "static fp8"):  # train as fp8 does
        return
    more = ["--max_steps=2", "--metrics=loss", *(["--use_peft"] if kind == "fp8" else [])]
    assert main(small.flags(tmp_path / "run", f"--model_name_or_path={folder}", *more)) == 0
    saved = loading.load_model(tmp_path / "run-model", progress=lambda text: None)[0]
    assert not hasattr(saved.config, "quantization_config")
    assert saved.num_parameters() == model.num_parameters()


def planned(flags, capsys) -> str:
    capsys.readouterr()
    assert main(flags) == 0
    return capsys.readouterr().out


KINDS = {  # as published folders write them
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True},
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"},
    "bitsandbytes": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "compressed-tensors": {"quant_method": "compressed-tensors", "format": "pack-quantized"},
    "torchao": {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig"}}},
    "fbgemm_fp8": {"quant_method": "fbgemm_fp8"},
    "hqq": {"quant_method": "hqq"},
    "a kind that nobody knows": {"quant_method": "q7", "bits": 7},
    "null": {"bits": 4, "group_size": 64},  # MLX names no method
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_codes_are_refused_with_the_cure_before_anything_is_loaded(small, tmp_path, monkeypatch, capsys, kind):
    folder = shutil.copytree(small.target, tmp_path / "coded")
    rewritten(folder, "", lambda name, tensor: {name: tensor})
    config = folders.read_json(folder / "config.json")
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": KINDS[kind]}))
    monkeypatch.setattr(loading, "_load_weights", lambda *_: pytest.fail("weights were read"))
    for more in ([], ["--use_peft"], ["--plan"]):
        assert main(small.flags(tmp_path / "run", f"--model_name_or_path={folder}", *more)) == 4
        said = capsys.readouterr().err
        assert f"({KINDS[kind].get('quant_method', 'null')})" in said
        assert "full-precision folder" in said and "--load_in_4bit" in said


@pytest.mark.parametrize("code", ["qweight", "weight_packed", "weight_scale", "weight_scale_inv", "SCB"])
def test_codes_that_config_json_does_not_name_are_refused_before_anything_is_loaded(small, tmp_path, monkeypatch, code):
    folder = shutil.copytree(small.target, tmp_path / "coded")

    def change(name, tensor):
        return {name.replace("weight", code): tensor} if "_proj" in name else {name: tensor}

    rewritten(folder, "", change)
    config = folders.read_json(folder / "config.json")
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(loading, "_load_weights", lambda *_: pytest.fail("weights were read"))
    with pytest.raises(folders.ModelError, match=f"{code} holds quantised codes.*full-precision"):
        loading.load_model(folder)


def test_codes_are_not_quantised_again(small, tmp_path):
    folder, _ = coded_folder("fp8", small, tmp_path / "coded")
    with pytest.raises(folders.ModelError, match="quantised already"):
        loading.load_model(folder, quantization_config="--load_in_4bit's settings")
