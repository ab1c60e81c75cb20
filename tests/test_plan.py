"""--plan: it reads only the config and the data, and it matches measured runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import transformers

from data.preparation import encode_examples
from data.reading import read_examples
from models.store import adapters, default_model, loading, saving
from results.run import plan
from results.run.sets import encode_sets, read_sets
from unlearning_script import main, resolve

ROOT = Path(__file__).resolve().parents[1]


def planned(capsys, *flags) -> str:
    assert main([*flags, "--plan"]) == 0
    return capsys.readouterr().out


def estimated(flags: list[str], **options) -> dict:
    """`plan.estimate` for the flags of a run."""
    config = resolve({word[2:].split("=", 1)[0]: word.split("=", 1)[1] for word in flags if "=" in word})
    folder = plan.local_folder(config["model_name_or_path"])
    sets = read_sets(config)
    encode_sets(sets.steering, loading.load_tokenizer(folder), config)
    return plan.estimate(config, plan.local_config(folder), sets.steering.encoded, **options)


def test_planning_reads_no_weights_uses_no_network_and_writes_nothing(small, tmp_path, capsys, monkeypatch):
    import socket

    monkeypatch.setattr(loading, "_load_weights", lambda *_: pytest.fail("weights were read"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))
    said = planned(capsys, *small.flags(tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []
    for words in ("parameters", "tokens", "weights", "AdamW's moments", "total", "estimated from", "fits"):
        assert words in said


def test_the_default_model_is_planned_before_its_download(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(default_model, "FOLDER", tmp_path / "not-here")
    monkeypatch.setattr(default_model, "fetch", lambda *_: pytest.fail("it was fetched"))
    assert "134,515,008" in planned(capsys, "--forget_text=Ada lives in Lund.", "--method=npo",
                                    f"--model_name_or_path={default_model.DEFAULT_BASE}")  # fmt: skip


def test_planned_sizes_match_the_downloaded_default_model():
    if not default_model.FOLDER.is_dir():
        pytest.skip("the default model has not been fetched")
    ours = plan.shape_of(transformers.AutoConfig.for_model(**plan.DEFAULT_CONFIG))
    theirs = plan.shape_of(plan.local_config(default_model.FOLDER))
    assert ours == theirs


def test_a_hub_model_without_a_local_config_is_refused_with_advice(capsys):
    assert main(["--model_name_or_path=nobody/no-such-model", "--forget_text=a text", "--method=npo", "--plan"]) == 4
    assert "hf download nobody/no-such-model config.json" in capsys.readouterr().err


def test_data_on_the_hub_is_not_fetched(small, tmp_path, capsys):
    assert main([*small.flags(tmp_path / "run", "--forget_data=nobody/no-such-data"), "--plan"]) == 2
    assert "--forget_data nobody/no-such-data is missing" in capsys.readouterr().err


def test_a_search_cannot_be_planned(small, tmp_path, capsys):
    pytest.importorskip("optuna")
    assert main([*small.flags(tmp_path / "run", "--method=auto"), "--plan"]) == 2
    assert "--plan needs one method" in capsys.readouterr().err


def test_counts_match_the_model_and_the_loop(small, tmp_path):
    flags = small.flags(tmp_path / "run", "--max_steps=6", "--per_device_train_batch_size=2")
    found = estimated(flags)
    model, _ = loading.load_model(small.target)
    assert found["shape"].parameters == sum(p.numel() for p in model.parameters())
    assert found["steps"] == 6 and found["shape"].frozen == 0
    adapter = adapters.add_lora(model, r=16)
    trained = sum(p.numel() for p in adapter.parameters() if p.requires_grad)
    assert estimated([*flags, "--use_peft=true"])["shape"].trainable == trained


def test_settings_that_save_memory_are_planned_to_save_it(small, tmp_path):
    flags = small.flags(tmp_path / "run", "--per_device_train_batch_size=4")
    whole = estimated(flags)["parts"]
    lora = estimated([*flags, "--use_peft=true"])["parts"]
    assert lora["optimizer"] < 0.5 * whole["optimizer"]
    assert estimated([*flags, "--gradient_checkpointing=true"])["parts"]["activations"] < whole["activations"]
    one = [f for f in flags if "per_device" not in f] + ["--per_device_train_batch_size=1",
                                                         "--gradient_accumulation_steps=4"]  # fmt: skip
    assert estimated(one)["parts"]["activations"] < 0.5 * whole["activations"]
    assert estimated(one)["steps"] == estimated(flags)["steps"]
    sharded = estimated(flags, processes=4, sharded=True)["parts"]
    for part in ("weights", "gradients", "optimizer"):
        assert sharded[part] == pytest.approx(whole[part] / 4)
    assert estimated([*flags, "--method=undial"])["parts"]["references"] > whole["references"]


def planned_as(model_config, flags: list[str]) -> dict:
    """`plan.estimate` for the flags of a run, as if its model had this config."""
    config = resolve({word[2:].split("=", 1)[0]: word.split("=", 1)[1] for word in flags})
    sets = read_sets(config)
    encode_sets(sets.steering, loading.load_tokenizer(config["model_name_or_path"]), config)
    return plan.estimate(config, model_config, sets.steering.encoded)


def test_a_model_that_cannot_be_packed_is_planned_with_padded_rows(small, tmp_path):
    flags = small.flags(tmp_path / "run", "--per_device_train_batch_size=4")
    sizes = {"vocab_size": 512, "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}
    packed = planned_as(transformers.AutoConfig.for_model("llama", intermediate_size=128, **sizes), flags)["work"]
    bloom = transformers.AutoConfig.for_model("bloom", **{**sizes, "n_layer": 2, "n_head": 4})
    padded = planned_as(bloom, flags)["work"]
    assert padded.pass_answer_tokens == packed.pass_answer_tokens and padded.longest == packed.longest
    assert padded.pass_tokens % padded.longest == 0 and padded.pass_tokens > packed.pass_tokens


def test_weights_stored_in_the_compute_type_need_no_float32_under_an_adapter(small, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "type_of", lambda config: "bfloat16")
    monkeypatch.setattr(plan, "resident", lambda: 0)
    flags = small.flags(tmp_path / "run", "--use_peft=true", "--dtype=bfloat16")
    sizes = {"vocab_size": 512, "hidden_size": 2048, "num_attention_heads": 4, "num_hidden_layers": 4}
    short, half, full = (
        planned_as(transformers.AutoConfig.for_model("llama", intermediate_size=8192, dtype=dtype, **sizes), flags)
        for dtype in ("bfloat16", "float16", "float32")
    )
    count = short["shape"].frozen
    for found in (half, full):  # bfloat16 holds neither type exactly
        assert found["parts"]["weights"] - short["parts"]["weights"] == 4 * count
        assert found["parts"]["compute copies"] == short["parts"]["compute copies"]
    assert full["total"] == pytest.approx(8 * count)  # its file and its weights while it loads
    measuring = 6 * count + 3 * 4 * 256 * 512  # weights, compute copies, tables of 256 tokens
    assert short["total"] == pytest.approx(measuring)


def test_a_plan_that_does_not_fit_lists_what_would(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(plan, "available", lambda: ("a small machine", plan.resident() + (4 << 20)))
    said = planned(capsys, *small.flags(tmp_path / "run"))
    assert "it does NOT fit" in said and "--use_peft" in said and "FSDP over 8 processes" in said
    assert "--load_in_4bit" in said


# -- against measured runs

MEASURE = """
import json, sys
import results.report.figures, unlearning_script
from results.run.run_folder import peak_gib  # ru_maxrss would include the parent process
results.report.figures.FIGURES = ()
code = unlearning_script.main(sys.argv[1:])
print(json.dumps([code, peak_gib()]))
"""


def output(code: str, flags: list[str]) -> list[str]:
    """The lines printed by a program in its own process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code, *flags], cwd=ROOT, env=environment, capture_output=True,
                          text=True, timeout=600)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def measured(flags: list[str]) -> float:
    """Peak resident GiB of a real run."""
    code, peak = json.loads(output(MEASURE, flags)[-1])
    assert code == 0
    return peak


def foretold(flags: list[str]) -> float:
    """GiB according to --plan."""
    lines = output("import sys, unlearning_script; sys.exit(unlearning_script.main())", [*flags, "--plan"])
    return next(float(line.split()[1]) for line in lines if line.strip().startswith("total"))


def random_model(folder: Path, tokenizer_of, hidden: int, layers: int) -> Path:
    """A random Llama with the tokenizer of another model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = loading.load_tokenizer(tokenizer_of)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=4 * hidden, num_hidden_layers=layers,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=512, tie_word_embeddings=True,
        eos_token_id=0, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    saving.save_model(LlamaForCausalLM(config), tokenizer, folder, "a card")
    return folder


MORE = ["", "--use_peft=true", "--gradient_checkpointing=true"]


@pytest.mark.parametrize("more", MORE)
def test_the_planned_peak_matches_a_measured_run(small, tmp_path, more):
    """47 million random weights, trained in full, as an adapter or with checkpointing; within a quarter."""
    model = random_model(tmp_path / "model", small.target, 512, 12)
    flags = small.flags(tmp_path / "run", f"--model_name_or_path={model}", "--max_steps=2", "--eval_steps=2",
                        "--per_device_train_batch_size=6", "--metrics=loss", "--collapse_guard=0")  # fmt: skip
    flags += [more] if more else []
    assert foretold(flags) == pytest.approx(measured(flags), rel=0.25)


# -- the measurement itself

TWO_PEAKS = """
import ctypes
import numpy as np
from models.training.weights import keep_freed_memory
from results.run.run_folder import begin_peak, peak_gib
keep_freed_memory()  # freed memory stays with the process, as in a run
begin_peak()
large = np.ones(2**27)
first = peak_gib()
del large
begin_peak()
small = np.ones(2**24)
print(first, peak_gib())
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is reset through Linux' /proc")
def test_the_peak_of_a_run_excludes_a_larger_run_before_it():
    done = subprocess.run([sys.executable, "-c", TWO_PEAKS], cwd=ROOT, capture_output=True, text=True, check=True)
    first, second = map(float, done.stdout.split())
    assert first > 1.0 and 0.1 < second < first - 0.7


def test_a_proxy_is_planned_with_its_passes_over_rows_to_keep(small, tmp_path, capsys):
    flags = small.flags(tmp_path / "run", "--method=proxy_teacher", "--general_retain_rows=0")
    one, three = (estimated([*flags, f"--proxy_epochs={passes}"]) for passes in (1, 3))
    shape, kept = (
        one["shape"],
        encode_examples(loading.load_tokenizer(small.target), read_examples(str(small.data["retain"])), 512)[0],
    )
    body = shape.parameters - shape.embedding
    each = 6 * (body * int(kept.lengths.sum()) + shape.vocabulary * shape.hidden * int(kept.answer_lengths.sum()))
    assert three["operations"] - one["operations"] == pytest.approx(2 * each, rel=1e-3)
    assert "it fits" in planned(capsys, *flags)
