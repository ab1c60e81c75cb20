"""Models and tokenizers: refusals before loading, loading, hashing, and atomic saving."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertModel,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    T5Config,
)

from models.store import folders, loading
from models.store.adapters import add_lora
from models.store.default_model import DEFAULT_BASE
from models.store.folders import ModelError, verify_manifest, write_manifest
from models.store.loading import load_model, model_hash
from models.store.saving import save_adapter, save_model
from models.store.screening import screen_config

ROOT = Path(__file__).resolve().parent.parent
SMALL = {"vocab_size": 100, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
USUAL = {
    **SMALL,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
CONFIGS = {
    "llama": lambda: LlamaConfig(**USUAL, tie_word_embeddings=True),
    "llama-untied": lambda: LlamaConfig(**USUAL, tie_word_embeddings=False),
    "gpt2": lambda: GPT2Config(**SMALL, n_embd=16, n_layer=4, n_head=2, n_positions=64),
    "qwen2": lambda: Qwen2Config(**USUAL, use_sliding_window=True, sliding_window=8, max_window_layers=2),
    "qwen3": lambda: Qwen3Config(**USUAL),
    "gemma2": lambda: Gemma2Config(**USUAL, query_pre_attn_scalar=8, sliding_window=8),
    "gemma3": lambda: Gemma3TextConfig(**USUAL, query_pre_attn_scalar=8, sliding_window=8),
    "gpt_neox": lambda: GPTNeoXConfig(
        **{k: v for k, v in USUAL.items() if k not in ("num_key_value_heads", "head_dim")}
    ),
}
IDS = torch.tensor([[1, 5, 9, 33, 70, 12, 8, 4, 60, 3, 7, 11]])


def silent(_):
    pass


def tiny_tokenizer(size: int = 90) -> PreTrainedTokenizerFast:
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"w{i}": i for i in range(3, size)}}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def tiny_model(family: str = "llama"):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(CONFIGS[family]()).eval()


def foreign_folder(path: Path, family: str = "llama", tokenizer_size: int = 90) -> Path:
    """A folder as transformers writes it, without a manifest."""
    tiny_model(family).save_pretrained(path)
    tiny_tokenizer(tokenizer_size).save_pretrained(path)
    return path


def edit(path: Path, **changes):
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


def logits(model, ids=IDS):
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits


def refused(folder, *words: str, exit_code: int = 4):
    """The folder is refused with this exit code, in one line that holds all these words."""
    with pytest.raises(ModelError) as caught:
        load_model(folder, progress=silent)
    message = str(caught.value)
    assert caught.value.exit_code == exit_code and "\n" not in message
    for word in words:
        assert word in message, message
    return message


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Every test fails if it tries to reach another host."""
    attempts = []

    def connect(self, address):
        attempts.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    yield attempts
    assert not attempts


# ---- round trips


@pytest.mark.parametrize("family", CONFIGS)
def test_a_saved_model_loads_with_equal_weights_here_and_in_transformers(tmp_path, family):
    model, tokenizer = tiny_model(family), tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    folder = save_model(model, tokenizer, tmp_path / "saved", "# card")
    ours, ours_tokenizer = load_model(folder, progress=silent)
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, ours.state_dict()[name]) and torch.equal(tensor, theirs.state_dict()[name]), name
    assert torch.equal(logits(model), logits(ours))
    assert not ours.training and ours_tokenizer.chat_template == tokenizer.chat_template
    assert (folder / "README.md").read_text() == "# card"
    tied = model.config.tie_word_embeddings
    assert (ours.get_input_embeddings().weight is ours.get_output_embeddings().weight) == tied


def test_a_saved_folder_holds_no_machine_path_and_is_readable_by_others(tmp_path):
    model, tokenizer = load_model(foreign_folder(tmp_path / "source"), progress=silent)
    folder = save_model(model, tokenizer, tmp_path / "saved", "# card")
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o644, path
        assert str(tmp_path).encode() not in path.read_bytes(), path
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "manifest.json"} <= {
        p.name for p in folder.iterdir()
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["saved", "source"]


def test_tied_embeddings_are_stored_once_in_another_dtype(tmp_path):
    model = tiny_model()
    folder = save_model(model, tiny_tokenizer(), tmp_path / "half", "", dtype="bfloat16")
    stored = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in stored and {t.dtype for t in stored.values()} == {torch.bfloat16}
    back, _ = load_model(folder, dtype="auto", progress=silent)
    assert back.dtype == torch.bfloat16 and model.dtype == torch.float32
    assert torch.equal(back.state_dict()["model.norm.weight"], model.state_dict()["model.norm.weight"].bfloat16())
    assert load_model(folder, progress=silent)[0].dtype == torch.float32


GENERATION = {
    "greedy": {"do_sample": False, "temperature": 0.0},
    "greedy with unused flags": {"temperature": 0.6, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "typical_p": 0.5},
    "sampling": {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 20},
    "several ends": {"eos_token_id": [2, 7], "repetition_penalty": 1.3, "max_new_tokens": 3},
    "flags of beams": {"length_penalty": 0.7, "early_stopping": True},
    "no padding": {"pad_token_id": -1, "do_sample": True, "temperature": 0.3},
}


@pytest.mark.parametrize("case", GENERATION)
def test_a_saved_generation_config_gives_the_same_texts(tmp_path, case):
    source = foreign_folder(tmp_path / "source")
    own = json.loads((source / "generation_config.json").read_text())
    (source / "generation_config.json").write_text(json.dumps({**own, **GENERATION[case]}))
    model, tokenizer = load_model(source, progress=silent)
    folder = save_model(model, tokenizer, tmp_path / "saved", "")

    def said(path):
        found = AutoModelForCausalLM.from_pretrained(path)
        torch.manual_seed(5)
        length = {} if "max_new_tokens" in GENERATION[case] else {"max_new_tokens": 8}
        return bool(found.generation_config.do_sample), found.generate(IDS, **length).tolist()

    assert said(folder) == said(source)
    kept = json.loads((folder / "generation_config.json").read_text())
    unused = case.startswith("greedy")
    wanted = {name: value for name, value in GENERATION[case].items() if not unused and name != "do_sample"}
    assert wanted.items() <= kept.items() and not (unused and {"temperature", "top_p", "min_p"} & {*kept})
    assert model.generation_config.to_dict() == load_model(source, progress=silent)[0].generation_config.to_dict()


@pytest.mark.hardening(35)
def test_missing_pad_token_becomes_end_of_turn(tmp_path):
    tokenizer = load_model(foreign_folder(tmp_path / "m"), progress=silent)[1]
    assert tokenizer.pad_token == tokenizer.eos_token == "</s>"


def test_relative_path_is_found_from_the_current_directory_then_the_project(tmp_path, monkeypatch):
    foreign_folder(tmp_path / "here" / "m")
    foreign_folder(tmp_path / "project" / "other")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(loading, "PROJECT", tmp_path / "project")
    assert load_model("m", progress=silent)[0].config.model_type == "llama"
    assert load_model("other", progress=silent)[0].config.model_type == "llama"


def test_the_model_hash_depends_on_weights_not_on_the_folder(tmp_path):
    first = foreign_folder(tmp_path / "a")
    second = tmp_path / "b"
    shutil.copytree(first, second)
    assert model_hash(first) == model_hash(second)
    stored = load_file(second / "model.safetensors")
    stored["model.norm.weight"][0] += 1
    save_file(stored, second / "model.safetensors", {"format": "pt"})
    assert model_hash(first) != model_hash(second)


# ---- refusals


@pytest.mark.hardening(27)
def test_a_missing_folder_or_a_file_is_refused(tmp_path):
    refused(tmp_path / "absent", "no such folder")
    refused("models/absent-model", "no such folder: models/absent-model")
    file = tmp_path / "model.gguf"
    file.write_text("x")
    refused(file, "is a file")
    refused("../../x/y", "no such folder")
    refused("", "empty")


@pytest.mark.hardening(28)
def test_a_hub_name_offline_names_the_variable_that_forbids_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    refused("some-org/some-model", "no such folder: some-org/some-model", "HF_HUB_OFFLINE=1")


@pytest.mark.hardening(28)
def test_an_unreachable_hub_is_reported_in_one_line(tmp_path):
    code = "from models.store.loading import load_model\nload_model('some-org/some-model', progress=lambda line: None)"
    environment = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    environment.update(HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path))  # nothing listens on the discard port
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert "ModelError: no such folder: some-org/some-model" in last and "hub" in last


KERNEL = "attacker/kernel"
BAD_CONFIGS = {
    "remote code": ({"auto_map": {"AutoModelForCausalLM": "x.Y"}}, "auto_map"),
    "attention": ({"attn_implementation": KERNEL}, KERNEL),
    "private attention": ({"_attn_implementation": KERNEL}, KERNEL),
    "internal attention": ({"_attn_implementation_internal": KERNEL}, KERNEL),
    "attention by part": ({"_attn_implementation": {"": "sdpa", "text_config": KERNEL}}, KERNEL),
    "nested attention": ({"text_config": {"_attn_implementation": KERNEL}}, KERNEL),
    "kernel with revision": ({"_attn_implementation": "attacker/kernel@main:f"}, KERNEL),
    "paged kernel": ({"_attn_implementation": "paged|attacker/kernel"}, KERNEL),
    "unknown attention": ({"_attn_implementation": "mystery"}, "mystery"),
    "flash without its package": ({"_attn_implementation": "flash_attention_3"}, "flash_attention_3"),
    "experts": ({"_experts_implementation": KERNEL}, KERNEL),
    "kernel table": ({"kernel_config": {"RMSNorm": KERNEL}}, KERNEL),
    "unknown type": ({"model_type": "lama"}, "llama"),
    "no type": ({"model_type": None}, "model_type"),
    "number as type": ({"model_type": 3}, "model_type"),
    "text as size": ({"hidden_size": "sixteen"}, "hidden_size"),
    "list as layers": ({"num_hidden_layers": [4]}, "num_hidden_layers"),
    "huge vocabulary": ({"vocab_size": 10**9}, "vocab_size is 1000000000"),
    "huge depth": ({"num_hidden_layers": 10**12}, "num_hidden_layers"),
    "negative vocabulary": ({"vocab_size": -5}, "vocab_size is -5"),
    "no heads": ({"num_attention_heads": 0}, "num_attention_heads"),
    "not a number": ({"hidden_size": float("nan")}, "hidden_size"),
    "heads that do not divide": ({"num_attention_heads": 3}, "config.json"),
    "other vocabulary": ({"vocab_size": 120}, "(100, 16)", "(120, 16)", "embed_tokens"),
    "other width": ({"intermediate_size": 64}, "mlp.gate_proj.weight", "(32, 16)"),
    "more layers": ({"num_hidden_layers": 6}, "model.layers.4"),
    "fewer layers": ({"num_hidden_layers": 3}, "model.layers.3"),
    "quantised": ({"quantization_config": {"quant_method": "gptq"}}, "(gptq)", "full-precision", "--load_in_4bit"),
    "architectures": ({"architectures": "LlamaForCausalLM"}, "architectures"),
    "classifier": ({"architectures": ["LlamaForSequenceClassification"]}, "not a causal LM"),
}


@pytest.mark.hardening(32, 33)
@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_bad_config_is_refused(tmp_path, case):
    changes, *words = BAD_CONFIGS[case]
    folder = foreign_folder(tmp_path / "m")
    edit(folder / "config.json", **changes)
    refused(folder, "m", *words)


@pytest.mark.hardening(32)
@pytest.mark.parametrize(
    "case", ["attention", "nested attention", "huge vocabulary", "other vocabulary", "remote code"]
)
def test_bad_config_is_refused_before_weights_are_read(tmp_path, case, monkeypatch):
    folder = foreign_folder(tmp_path / "m")
    edit(folder / "config.json", **BAD_CONFIGS[case][0])
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *a, **k: pytest.fail("reached the loader"))
    refused(folder, "m")


@pytest.mark.hardening(32)
@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a": ' * 5000, "\xff"])
def test_unreadable_config_is_refused(tmp_path, text):
    folder = foreign_folder(tmp_path / "m")
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    refused(folder, "config.json")
    (folder / "config.json").unlink()
    refused(folder, "config.json", "missing")


@pytest.mark.hardening(37)
def test_encoders_are_refused(tmp_path):
    sizes = {"vocab_size": 100, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    bert = BertModel(BertConfig(**sizes, num_hidden_layers=1))
    bert.save_pretrained(tmp_path / "bert")
    tiny_tokenizer().save_pretrained(tmp_path / "bert")
    refused(tmp_path / "bert", "BertModel", "not a causal LM")
    edit(tmp_path / "bert" / "config.json", architectures=["BertLMHeadModel"])
    refused(tmp_path / "bert", "not a causal LM")
    folder = foreign_folder(tmp_path / "t5")
    T5Config(architectures=["T5ForConditionalGeneration"]).save_pretrained(folder)
    refused(folder, "not a causal LM")


DAMAGES = {
    "empty": lambda data: b"",
    "garbage": lambda data: b"garbage" * 1000,
    "one byte short": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "header cut": lambda data: data[:100],
    "longer": lambda data: data + b"x",
    "header length": lambda data: b"\xff" * 8 + data[8:],
    "header type": lambda data: (2).to_bytes(8, "little") + b"[]",
}


@pytest.mark.hardening(29)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_safetensors_are_named(tmp_path, damage):
    file = foreign_folder(tmp_path / "m") / "model.safetensors"
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    refused(tmp_path / "m", "model.safetensors")


@pytest.mark.hardening(33)
def test_missing_and_extra_weights_are_named(tmp_path):
    folder = foreign_folder(tmp_path / "m")
    stored = load_file(folder / "model.safetensors")
    norm = stored.pop("model.layers.2.input_layernorm.weight")
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    refused(folder, "missing", "model.layers.2.input_layernorm.weight")
    stored["model.layers.2.input_layernorm.weight"] = norm
    stored["model.layers.2.stray.weight"] = norm.clone()
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    refused(folder, "model.layers.2.stray.weight")


def test_shards_load_and_a_missing_or_outside_shard_is_refused(tmp_path):
    folder = tmp_path / "m"
    model = tiny_model()
    model.save_pretrained(folder, max_shard_size="10KB")
    tiny_tokenizer().save_pretrained(folder)
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert torch.equal(logits(load_model(folder, progress=silent)[0]), logits(model))
    shard = sorted(folder.glob("*.safetensors"))[0]
    shard.rename(folder / "away")
    refused(folder, shard.name, "missing")
    index = folder / "model.safetensors.index.json"
    edit(index, weight_map={"x": "../outside.safetensors"})
    refused(folder, "outside.safetensors")


class Marker:
    """Unpickling this creates the file, as a malicious .bin would."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.hardening(31)
def test_pickles_are_never_opened(tmp_path):
    marker = tmp_path / "executed"
    payload = pickle.dumps(Marker(str(marker)))
    with open(tmp_path / "proof", "wb") as file:
        file.write(payload)
    folder = foreign_folder(tmp_path / "m")
    (folder / "pytorch_model.bin").write_bytes(payload)
    load_model(folder, progress=silent)  # beside safetensors it is ignored
    (folder / "model.safetensors").unlink()
    refused(folder, "pytorch_model.bin", "pickle")
    adapter = tmp_path / "adapter"
    save_adapter(add_lora(tiny_model(), r=2), adapter, str(folder), "")
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "manifest.json").unlink()
    (adapter / "adapter_model.bin").write_bytes(payload)
    refused(adapter, "adapter_model.bin")
    assert not marker.exists()
    pickle.loads((tmp_path / "proof").read_bytes()).close()  # the payload works
    assert marker.exists()


@pytest.mark.hardening(33, 36)
def test_a_missing_too_large_or_unsafe_tokenizer_is_refused(tmp_path):
    folder = foreign_folder(tmp_path / "m", tokenizer_size=130)
    refused(folder, "130", "100")
    tiny_tokenizer().save_pretrained(folder)
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["x.Y", None]})
    refused(folder, "auto_map")
    tiny_tokenizer().save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    refused(folder, "tokenizer")
    (folder / "tokenizer.json").unlink()
    refused(folder, "no tokenizer")


def test_wrong_dtype_is_a_usage_error(tmp_path):
    with pytest.raises(ModelError) as caught:
        load_model(foreign_folder(tmp_path / "m"), dtype="int3", progress=silent)
    assert caught.value.exit_code == 2


# ---- manifest


@pytest.mark.hardening(30)
def test_every_flipped_bit_is_found(tmp_path):
    folder = save_model(tiny_model(), tiny_tokenizer(), tmp_path / "m", "")
    assert verify_manifest(folder) == []
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    generator = random.Random(0)
    for _ in range(100):
        place, bit = generator.randrange(len(data)), 1 << generator.randrange(8)
        data[place] ^= bit
        file.write_bytes(data)
        assert [p.split(":")[0] for p in verify_manifest(folder)] == ["model.safetensors"]
        data[place] ^= bit
    file.write_bytes(data)
    load_model(folder, progress=silent)  # the cached hash is dropped as soon as the file changes
    data[-1] ^= 1
    file.write_bytes(data)
    refused(folder, "model.safetensors", "manifest.json")


def test_the_manifest_reports_missing_and_changed_files(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("1")
    (tmp_path / "sub" / "b").write_text("2")
    written = write_manifest(tmp_path, {"step": 3})
    assert set(written["files"]) == {"a", "sub/b"} and json.loads((tmp_path / "manifest.json").read_text())["step"] == 3
    (tmp_path / "new").write_text("an extra file is no damage")
    assert verify_manifest(tmp_path) == []
    (tmp_path / "a").write_text("12")
    (tmp_path / "sub" / "b").unlink()
    assert len(verify_manifest(tmp_path)) == 2
    for text in ("", "[]", '{"files": {"a": 1}}', '{"files": {"../x": {"sha256": "0", "size": 1}}}'):
        (tmp_path / "manifest.json").write_text(text)
        assert verify_manifest(tmp_path), text
    (tmp_path / "manifest.json").unlink()
    assert verify_manifest(tmp_path)


def test_a_model_is_hashed_once_in_the_background(tmp_path, monkeypatch):
    folder = save_model(tiny_model(), tiny_tokenizer(), tmp_path / "m", "")
    expected, read, go_on = model_hash(folder), [], threading.Event()
    monkeypatch.setattr(folders, "_hashes", {})

    def slow_hash(path, own=folders.file_hash):
        assert go_on.wait(60)
        read.append(path)
        return own(path)

    monkeypatch.setattr(folders, "file_hash", slow_hash)
    loading.hash_meanwhile(str(folder), None, "", progress=silent)
    assert not read, "it returns at once"
    go_on.set()
    assert model_hash(folder) == expected and len(read) == len(set(read)) == 2
    with pytest.raises(ModelError, match="no such folder"):
        loading.hash_meanwhile("a/b/c", progress=silent)


def test_a_given_tokenizer_is_not_read_again(tmp_path):
    folder = foreign_folder(tmp_path / "m")
    own = load_model(folder, progress=silent)[1]
    assert load_model(folder, tokenizer=own, progress=silent)[1] is own
    with pytest.raises(ModelError, match="the tokenizer has 130 tokens"):
        load_model(folder, tokenizer=tiny_tokenizer(130), progress=silent)


# ---- failed saves


@pytest.mark.hardening(40)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_weights_are_not_saved(tmp_path, bad):
    model = tiny_model()
    with torch.no_grad():
        model.model.norm.weight[3] = bad
    with pytest.raises(ModelError) as caught:
        save_model(model, tiny_tokenizer(), tmp_path / "m", "")
    assert caught.value.exit_code == 5 and "model.norm.weight" in str(caught.value)
    adapted = add_lora(tiny_model(), r=2)
    with torch.no_grad():
        next(p for n, p in adapted.named_parameters() if "lora_B" in n)[0, 0] = bad
    with pytest.raises(ModelError) as caught:
        save_adapter(adapted, tmp_path / "a", DEFAULT_BASE, "")
    assert caught.value.exit_code == 5 and list(tmp_path.iterdir()) == []


@pytest.mark.hardening(47)
def test_a_failed_save_keeps_the_previous_model(tmp_path, monkeypatch):
    folder = save_model(tiny_model(), tiny_tokenizer(), tmp_path / "m", "first")
    changed = tiny_model()
    with torch.no_grad():
        changed.model.norm.weight.add_(1)
    tokenizer = tiny_tokenizer()
    with monkeypatch.context() as patch:
        patch.setattr(tokenizer, "save_pretrained", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(ModelError) as caught:
            save_model(changed, tokenizer, folder, "second")
    assert caught.value.exit_code == 6 and "No space left" in str(caught.value)
    assert verify_manifest(folder) == [] and (folder / "README.md").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    save_model(changed, tokenizer, folder, "second")
    assert (folder / "README.md").read_text() == "second" and [p.name for p in tmp_path.iterdir()] == ["m"]
    assert torch.equal(logits(load_model(folder, progress=silent)[0]), logits(changed))


FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, "tests")
from test_loading import *
model, tokenizer = tiny_model("llama-untied"), tiny_tokenizer()
folder = save_model(model, tokenizer, sys.argv[1], "first")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    save_model(model, tokenizer, folder, "second")
except ModelError as error:
    print(error.exit_code, verify_manifest(folder), str(error))
"""


@pytest.mark.hardening(47)
def test_a_full_disk_keeps_the_previous_model(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "m")], cwd=ROOT, capture_output=True, text=True
    )
    assert result.stdout.startswith("6 [] cannot write"), result.stdout + result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


@pytest.mark.hardening(46)
def test_saving_to_or_under_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for target in (tmp_path / "file", tmp_path / "file" / "m"):
        with pytest.raises(ModelError) as caught:
            save_model(tiny_model(), tiny_tokenizer(), target, "")
        assert caught.value.exit_code == 6
    assert (tmp_path / "file").read_text() == "mine"


def test_importing_the_loader_imports_no_torch():
    code = "import sys, models.store.loading; print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_screen_config_returns_the_config(tmp_path):
    assert screen_config(foreign_folder(tmp_path / "m", "gpt2")).model_type == "gpt2"
