"""The runner, end to end on a tiny model that knows its rows; bad input; kill, stop and resume with real processes."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked_runs
import pytest
import small_world
import tiny_models

import unlearning_algorithm as algorithm
import unlearning_script
from data.reading import read_examples
from models.eliciting.subject import MADE_UP
from models.store import folders, loading
from results.run import measuring, run_folder
from results.run.sets import encode_sets, read_sets
from unlearning_script import main, resolve

ROOT = Path(__file__).resolve().parents[1]
WHOLE = ("--metrics=all", "--eval_rows=0", "--probe_rows=16", "--early_stop=true", "--live_answers=1")


def run(small, tmp_path, *more, name="run", **options):
    """The exit code of a short run with everything measured."""
    return main(small.flags(tmp_path / name, *WHOLE, *more, **options))


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("holdout", [True, False])
def test_without_a_holdout_set_the_base_model_gives_the_levels(small, tmp_path, capsys, holdout):
    without = () if holdout else ("holdout_data",)
    flags = small.flags(tmp_path / "run", "--method=level_matching", f"--base_model={small.retrained}", without=without)
    assert main(flags) == 0
    told = f"levels: without a holdout set, the losses of {small.retrained} on the forget rows"
    assert (told in capsys.readouterr().out) == (not holdout)


# -- the main job


def test_a_complete_run_writes_every_documented_file(small, tmp_path, capsys):
    import transformers

    assert run(small, tmp_path, f"--retrained_model={small.retrained}", "--max_steps=12") == 0
    folder = tmp_path / "run"
    names = ["config.json", "environment.json", "status.json", "metrics.jsonl", "evaluation.json", "timing.json",
             "examples.jsonl", "report.md", "report.html"]  # fmt: skip
    assert all((folder / name).stat().st_size for name in names)
    assert list((folder / "figures").glob("*.png"))
    status = json.loads((folder / "status.json").read_text())
    assert status["state"] == "finished" and status["exit_code"] == 0
    report = json.loads((folder / "evaluation.json").read_text())
    assert set(report["models"]) == {"target", "unlearned", "retrained"}
    forget = {name: values["forget"] for name, values in report["models"].items()}
    assert forget["target"]["accuracy"] > 0.95 > forget["retrained"]["accuracy"]
    assert forget["unlearned"]["answer_probability"] < 0.7 * forget["target"]["answer_probability"]
    assert {"accuracy", "precision", "recall", "f1", "loss"} <= set(forget["unlearned"])
    assert 0 <= report["comparison"]["forget_quality"] <= 1 and report["comparison"]["forget_quality_n"] == 6
    seen = records(folder)
    steps = [record for record in seen if record["event"] == "step"]
    keys = ["step", "epoch", "loss", "forget_loss", "retain_loss", "learning_rate", "grad_norm", "tokens_per_second"]
    assert steps and all(set(keys) <= set(record) for record in steps)
    assert any(record["event"] == "answers" and record["answers"][0]["answer"] for record in seen)
    examples = [json.loads(line) for line in (folder / "examples.jsonl").read_text().splitlines()]
    assert {row["split"] for row in examples} == {"forget", "retain", "holdout", "judging", "general", "in_context"}
    assert examples[0]["before"] and examples[0]["metrics_before"] and examples[0]["metrics_after"]
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "run-model")
    assert model.num_parameters() == loading.parameter_count(small.target)
    card = (tmp_path / "run-model" / "README.md").read_text()
    assert "npo" in card and "| forget | accuracy |" in card
    out = capsys.readouterr().out
    assert "* method = npo" in out and "tokens with loss" in out and "comparison" in out


def test_no_machine_path_in_the_saved_model(small, tmp_path):
    assert run(small, tmp_path, "--method=simnpo", "--max_steps=2") == 0
    for path in (tmp_path / "run-model").glob("*.json"):
        assert str(tmp_path) not in path.read_text(encoding="utf-8")
    assert str(small.folder) not in (tmp_path / "run-model" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("method", algorithm.METHODS)
def test_every_method_runs(small, tmp_path, method):
    flags = (f"--method={method}", "--max_steps=2", "--metrics=accuracy,loss", "--live_answers=1", "--early_stop=true")
    assert main(small.flags(tmp_path / "run", *flags)) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["method"] == method


def test_a_distilled_student_is_smaller_than_the_target(small, tmp_path):
    assert run(small, tmp_path, "--method=knowledge_distillation", "--teacher_method=npo", "--max_steps=2") == 0
    assert loading.parameter_count(tmp_path / "run-model") < loading.parameter_count(small.target)


def test_an_adapter_is_saved_and_loads_over_its_base(small, tmp_path):
    assert run(small, tmp_path, "--method=npo", "--use_peft", "--merge_adapter") == 0
    assert (tmp_path / "run-model" / "adapter_model.safetensors").exists()
    merged, _ = loading.load_model(tmp_path / "run-model-merged")
    over_base, _ = loading.load_model(tmp_path / "run-model")
    for a, b in zip(merged.parameters(), over_base.parameters()):
        assert (a - b).abs().max().item() < 1e-3


def test_several_methods_are_compared(small, tmp_path):
    assert run(small, tmp_path, "--method=npo,simnpo", "--max_steps=2") == 0
    assert all((tmp_path / "run" / name / "report.html").exists() for name in ("npo", "simnpo"))
    assert list((tmp_path / "run" / "comparison").glob("*.html"))


def test_raw_text_is_forgotten(small, tmp_path):
    text = "ada lives in lund by the sea\n\nbor works as a smith all year"
    assert run(small, tmp_path, f"--forget_text={text}", without=("forget_data", "holdout_data")) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["forget_data"] is None and config["forget_text"] == text


def test_an_unchanged_model_is_evaluated_once(small, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "EVALUATIONS", tmp_path / "kept")
    assert run(small, tmp_path, "--method=npo", "--max_steps=1") == 0
    kept = list((tmp_path / "kept").glob("*.json"))
    assert len(kept) == 1
    before = kept[0].stat().st_mtime_ns
    assert run(small, tmp_path, "--method=simnpo", "--max_steps=1", name="second") == 0
    assert [path.stat().st_mtime_ns for path in (tmp_path / "kept").glob("*.json")] == [before]


def test_a_change_of_any_measuring_code_makes_a_kept_evaluation_stale():
    names = {str(path.relative_to(ROOT)) for path in measuring.measuring_code()}
    listed = subprocess.run(["git", "ls-files", "models/*.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    rooms = set(listed.stdout.split()) or {"models/verdict/verdict.py", "models/forward/packing.py"}
    assert rooms <= names and {"data/preparation.py", "data/templates.py", "evaluation_metrics.py"} <= names
    assert not [name for name in names if name.startswith("models/saved")]


def test_a_retrained_model_measured_before_is_not_loaded_again(small, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "EVALUATIONS", tmp_path / "kept")
    retrained = str(small.retrained)
    flags = ["--method=npo", "--max_steps=1", f"--retrained_model={retrained}", "--attacks=quantisation_int8"]
    loaded, load_model = [], loading.load_model
    monkeypatch.setattr(loading, "load_model", lambda name, **k: loaded.append(str(name)) or load_model(name, **k))
    assert run(small, tmp_path, *flags) == 0
    assert loaded.count(retrained) == 2  # a glance before the run, the measurement after it
    assert run(small, tmp_path, *flags, name="second") == 0
    assert loaded.count(retrained) == 2
    first, second = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("run", "second"))
    assert first["models"]["retrained"] == second["models"]["retrained"] and first["attacks"] == second["attacks"]


def test_general_rows_join_the_retain_set_except_those_to_forget(small, tmp_path):
    bundled = list(read_examples(str(ROOT / "data" / "general_retain.jsonl")))
    to_forget = small_world.write_rows(tmp_path / "forget.jsonl", [*tiny_models.facts()[:6], bundled[0]])
    flags = small.flags(tmp_path / "run", f"--forget_data={to_forget}", "--eval_rows=0", "--method=profile_matching")
    config = resolve({**dict(flag[2:].split("=", 1) for flag in flags), "general_retain_rows": 1000})
    sets, tokenizer = read_sets(config), loading.load_tokenizer(config["model_name_or_path"])
    steering = sets.steering
    encode_sets(steering, tokenizer, config)
    own = len(steering.examples["retain"])
    assert len(steering.encoded["retain"]) == own + len(bundled) - 1
    assert len(steering.encoded["retain_probe"]) == len(sets.measured["retain"]) == own, (
        "probes use the user's rows alone"
    )
    steering.encoded.clear()
    encode_sets(steering, tokenizer, {**config, "general_retain_rows": 0})
    assert "retain_probe" not in steering.encoded


def test_what_was_invented_about_made_up_names_is_not_probed_as_something_to_keep(small, tmp_path):
    """A request by name anchors the run there; a utility budget on these rows would end it before anything is gone."""
    facts = tiny_models.facts()
    rows = [*facts[6:10], *(dataclasses.replace(row, subject=MADE_UP) for row in facts[10:16])]
    kept = small_world.write_rows(tmp_path / "kept.jsonl", rows)
    config = resolve(dict(flag[2:].split("=", 1) for flag in small.flags(tmp_path / "run", f"--retain_data={kept}")))
    sets, tokenizer = read_sets(config), loading.load_tokenizer(config["model_name_or_path"])
    encode_sets(sets.steering, tokenizer, config)
    encoded = sets.steering.encoded
    assert (len(encoded["retain"]), len(encoded["retain_probe"])) == (10, 4)


# -- configuration


@pytest.mark.hardening(40)
def test_a_flag_beats_the_file_and_the_file_beats_the_default(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("method: npo\nlearning_rate: 2e-5\nbeta: 0.3\n")
    values = unlearning_script.read_config_file(str(file))
    config = resolve({**values, "beta": "0.7"})
    assert (config["learning_rate"], config["beta"], config["method"]) == (2e-5, 0.7, "npo")
    assert config["retain_weight"] == algorithm.METHODS["npo"].small["retain_weight"]


def test_large_models_get_published_defaults_and_small_ones_tuned_defaults():
    assert algorithm.hyper_parameters("npo", 8_000_000_000)["learning_rate"] == 2e-5
    assert algorithm.hyper_parameters("npo", None)["learning_rate"] == 2e-5
    assert algorithm.hyper_parameters("npo", 135_000_000)["learning_rate"] > 2e-5


@pytest.mark.parametrize("family", algorithm.FAMILIES)
def test_a_family_name_is_a_method(family):
    assert resolve({"method": family})["method"] == algorithm.FAMILY_DEFAULTS[family]


@pytest.mark.hardening(43)
def test_all_problems_are_shown_at_once(capsys):
    code = main(["--learning_rate=-1", "--num_train_epochs=abc", "--per_device_train_batch_size=0", "--dropout=2",
                 "--method=npoo", "--metrics=acuracy"])  # fmt: skip
    errors = capsys.readouterr().err
    assert code == 2
    for fragment in ("learning_rate", "num_train_epochs", "per_device_train_batch_size", "dropout", "npo", "accuracy"):
        assert fragment in errors


BAD = {
    "unknown flag": (["--learning_rat=1"], 2, "did you mean learning_rate"),
    "stray word": (["npo"], 2, "unexpected argument"),
    "unknown method": (["--method=simpno"], 2, "did you mean simnpo"),
    "setting of another method": (["--method=npo", "--strength=3"], 2, "not a setting of npo"),
    "two forget sources": (["--forget_text=a b", "--forget_data=x.jsonl"], 2, "give only one of them"),
    "empty text": (["--forget_text=  "], 2, "empty"),
    "nan rate": (["--learning_rate=nan"], 2, "finite"),
    "no such forget file": (["--forget_data=nowhere.jsonl"], 3, "nowhere.jsonl"),
    "no such model": (["--model_name_or_path=./nowhere"], 4, "no such folder"),
    "absurd rate": (["--method=npo", "--learning_rate=1e30"], 5, "learning rate 1e+30"),
    "no config file": (["--config=nowhere.yaml"], 2, "nowhere.yaml"),
}


@pytest.mark.hardening(27, 40, 44)
@pytest.mark.parametrize(("flags", "code", "fragment"), BAD.values(), ids=BAD)
def test_bad_input_is_named_before_a_model_is_loaded(small, tmp_path, capsys, monkeypatch, flags, code, fragment):
    if code != 5:
        monkeypatch.setattr(loading, "_load_weights", lambda *a, **k: pytest.fail("a model was loaded"))
    named = [flag for flag in flags if flag.startswith("--")]
    without = ("forget_data",) if named[:1] == ["--forget_text=  "] else ()
    argv = small.flags(tmp_path / "run", *named, without=without)
    assert main([*argv, *[word for word in flags if word not in named]]) == code
    captured = capsys.readouterr()
    assert fragment in captured.err and "Traceback" not in captured.err
    assert not (tmp_path / "run" / "report.html").exists()


DATA = {
    "empty": ("", "empty"),
    "malformed": ('{"question": "a", "answer": "b"}\n{"question": \n', ":2"),
    "columns": ('{"frage": "a", "antwort": "b"}\n', "frage"),
    "null": ('{"question": "a", "answer": null}\n', ":1"),
}


@pytest.mark.hardening(1, 3, 5, 9)
@pytest.mark.parametrize(("content", "fragment"), DATA.values(), ids=DATA)
def test_bad_data_is_reported_with_its_line(small, tmp_path, capsys, content, fragment):
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    assert run(small, tmp_path, f"--forget_data={file}") == 3
    error = capsys.readouterr().err
    assert "bad.jsonl" in error and fragment in error


@pytest.mark.hardening(22)
def test_forget_equal_to_retain_is_refused(small, tmp_path, capsys):
    assert run(small, tmp_path, f"--retain_data={small.data['forget']}") == 3
    assert "forget" in capsys.readouterr().err


@pytest.mark.hardening(52)
def test_a_finished_run_is_not_overwritten(small, tmp_path, capsys):
    assert run(small, tmp_path, "--method=npo", "--max_steps=1") == 0
    before = (tmp_path / "run" / "report.html").read_bytes()
    assert run(small, tmp_path, "--method=npo", "--max_steps=1") == 2
    assert "--overwrite_output_dir" in capsys.readouterr().err
    assert (tmp_path / "run" / "report.html").read_bytes() == before
    assert run(small, tmp_path, "--method=npo", "--max_steps=1", "--overwrite_output_dir") == 0


@pytest.mark.hardening(41)
def test_divergence_exits_with_5_and_keeps_the_last_good_state(small, tmp_path, capsys, monkeypatch):
    """NaN injected at step 3: exit 5 within that step."""
    honest = algorithm.Unlearning._accumulate

    def poisoned(self, terms):
        losses = honest(self, terms)
        if self.step == 2:
            losses["forget"] = float("nan")
        return losses

    monkeypatch.setattr(algorithm.Unlearning, "_accumulate", poisoned)
    assert run(small, tmp_path, "--method=npo", "--save_steps=1", "--early_stop=false") == 5
    assert "step 3" in capsys.readouterr().err
    folder = tmp_path / "run"
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-2"]
    assert json.loads((folder / "status.json").read_text())["state"] == "diverged"
    assert [r["step"] for r in records(folder) if r["event"] == "step"] == [1, 2]
    assert not (tmp_path / "run-model").exists()


def test_help_answers_quickly():
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "unlearning_script.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert all(name in done.stdout for name in (*algorithm.METHODS, "--learning_rate", "--forget_text"))
    assert time.perf_counter() - started < 10  # half a second on an idle machine; tests/soak.py measures it


# -- real processes: stop, kill, resume


def start(small, folder, *more) -> forked_runs.Run:
    flags = small.flags(folder, "--max_steps=30", "--eval_steps=10", "--save_steps=1", "--save_total_limit=2",
                        "--collapse_guard=0", "--live_answers=1", *more)  # fmt: skip
    return forked_runs.start(flags, folder.with_suffix(".txt"), [("no_figures",)])


def wait_for_step(folder, step, run):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and run.process.is_alive():
        path = folder / "metrics.jsonl"
        if path.exists() and any(f'"step": {step},' in line for line in path.read_text().splitlines()):
            return
        time.sleep(0.01)
    pytest.fail(f"step {step} never came: {run.output[-2000:]}")


def weights_hash(folder):
    return folders.file_hash(next(Path(f"{folder}-model").glob("*.safetensors")))


@pytest.mark.hardening(48, 50)
@pytest.mark.parametrize("method", ["npo", "proxy_teacher"])  # the second trains a proxy first, and again after a stop
def test_killed_and_stopped_runs_resume_to_identical_weights(small, tmp_path, method):
    chosen = f"--method={method}"
    whole = start(small, tmp_path / "whole", chosen)
    assert whole.wait() == 0, whole.output
    expected = weights_hash(tmp_path / "whole")

    killed = start(small, tmp_path / "broken", chosen)
    wait_for_step(tmp_path / "broken", 7, killed)
    killed.process.kill()
    assert killed.wait() == 137
    stopped = start(small, tmp_path / "broken", chosen, "--resume_from_checkpoint=latest")
    wait_for_step(tmp_path / "broken", 15, stopped)
    os.kill(stopped.pid, signal.SIGTERM)
    assert stopped.wait() == 143
    assert "resumed from" in stopped.output and "--resume_from_checkpoint=latest" in stopped.output
    assert json.loads((tmp_path / "broken" / "status.json").read_text())["state"] == "stopped"
    last = start(small, tmp_path / "broken", chosen, "--resume_from_checkpoint=latest")
    assert last.wait() == 0, last.output
    assert weights_hash(tmp_path / "broken") == expected
    steps = [r["step"] for r in records(tmp_path / "broken") if r["event"] == "step"]
    assert steps == list(range(1, 31))


@pytest.mark.hardening(51, 53)
def test_a_second_run_in_the_folder_and_resuming_another_run_are_refused(small, tmp_path, capsys):
    first = start(small, tmp_path / "run")
    wait_for_step(tmp_path / "run", 3, first)
    second = start(small, tmp_path / "run")
    assert second.wait() == 7 and f"in use by process {first.pid}" in second.output
    first.process.kill()
    assert first.wait() == 137
    changed = ("--max_steps=30", "--eval_steps=10", "--collapse_guard=0", "--beta=0.5")
    assert main(small.flags(tmp_path / "run", *changed, "--resume_from_checkpoint=latest")) == 2
    assert "beta was 0.1, is 0.5" in capsys.readouterr().err


@pytest.mark.hardening(30)
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(small, tmp_path):
    first = start(small, tmp_path / "run")
    wait_for_step(tmp_path / "run", 6, first)
    first.process.kill()
    assert first.wait() == 137
    newest, older = run_folder.checkpoints(tmp_path / "run")[:2]
    file = newest / "state.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    again = start(small, tmp_path / "run", "--resume_from_checkpoint=latest")
    assert again.wait() == 0, again.output
    assert f"checkpoint {newest} skipped" in again.output and f"resumed from {older}" in again.output


# -- the bundled models


@pytest.mark.parametrize("name", ["people-target", "people-retrained"])
def test_bundled_models_know_what_they_should(name):
    """The target answers forget and retain nearly verbatim; the retrained model knows the retained people alone."""
    from data.preparation import encode_examples

    folder = ROOT / "models" / name
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not built yet")
    model, tokenizer = loading.load_model(str(folder), dtype="float32", progress=lambda text: None)
    accuracy = {}
    for split in ("forget", "retain", "holdout"):
        rows, _ = encode_examples(tokenizer, read_examples(str(ROOT / "data" / f"{split}.jsonl")), 512)
        accuracy[split] = algorithm.probe(model, rows, tokenizer.pad_token_id)["accuracy"]
    assert accuracy["retain"] >= 0.95
    assert accuracy["holdout"] < 0.75
    if name == "people-target":
        assert accuracy["forget"] >= 0.95
    else:
        assert accuracy["forget"] < 0.75
