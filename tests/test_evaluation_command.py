"""The evaluation's command line and the published benchmarks, on a tiny model."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import facts, make_tiny

import evaluation_metrics as em

PROJECT = Path(__file__).resolve().parents[1]
OUTSIDERS = facts(("mia", "ned", "oda", "pam"), shift=5)


@pytest.fixture(scope="module")
def known():
    return make_tiny(vocabulary=OUTSIDERS)


def write(path: Path, rows: list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(json.dumps(row) for row in rows)
    path.write_text(lines if path.suffix == ".jsonl" else json.dumps(rows), encoding="utf-8")
    return path


def as_row(example) -> dict:
    return {
        "question": example.prompt,
        "answer": example.answer,
        "paraphrased_answer": example.paraphrased_answer,
        "perturbed_answer": list(example.perturbed_answer),
        "subject": example.subject,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, known):
    """A saved tiny model and data files."""
    folder = tmp_path_factory.mktemp("evaluation")
    model, tokenizer, examples = known
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    write(folder / "forget.jsonl", [as_row(e) for e in examples[:6]])
    write(folder / "retain.jsonl", [as_row(e) for e in examples[6:12]])
    short = [{k: v for k, v in as_row(e).items() if k in ("question", "answer", "perturbed_answer")} for e in examples]
    whole = [as_row(e) for e in examples]
    sets = {"forget01": whole[:6], "retain400": whole[6:12], "real_authors": short[12:15], "world_facts": short[15:18]}
    for name, rows in sets.items():
        write(folder / "tofu" / f"{name}.jsonl", rows)
    write(folder / "muse" / "verbmem" / "forget.json", [{"prompt": "ada lives in", "gt": "lund by the sea"}] * 2)
    for side in ("forget", "retain"):
        rows = [{"question": e.prompt, "answer": e.answer} for e in examples[:3]]
        write(folder / "muse" / "knowmem" / f"{side}_qa.json", rows)
        write(folder / "muse" / "knowmem" / f"{side}_qa_icl.json", rows[:1])
    write(folder / "muse" / "privleak" / "forget.json", [e.answer for e in examples[:6]])
    write(folder / "muse" / "privleak" / "holdout.json", [e.answer for e in facts(shift=4)[:6]])
    return folder


def evaluate(folder, *more, output="out"):
    return em.main(
        ["--model_name_or_path", str(folder / "model"), "--output_dir", str(folder / output), *map(str, more)]
    )


def test_the_command_writes_an_evaluation(folder, capsys):
    data = ["--forget_data", folder / "forget.jsonl", "--retain_data", folder / "retain.jsonl"]
    assert evaluate(folder, *data, "--target_model", folder / "model", "--metrics", "loss,recall") == 0
    report = json.loads((folder / "out" / "evaluation.json").read_text())
    assert set(report["models"]) == {"target", "unlearned"}
    assert set(report["models"]["unlearned"]["forget"]) == {"loss", "recall", "generation_perplexity"}
    assert report["models"]["unlearned"]["forget"]["generation_perplexity"] < 1.5  # it says what the target says
    assert report["comparison"]["verdict"] == "UNDECIDED (no retrained model), UNDECIDED, NOT RUN"  # no such metrics
    assert "verdict" in capsys.readouterr().out
    assert evaluate(folder, *data) == 2
    assert "--overwrite_output_dir" in capsys.readouterr().err


def test_the_command_writes_every_rows_values_and_prints_attacks(folder, capsys):
    data = ["--forget_data", folder / "forget.jsonl", "--retain_data", folder / "retain.jsonl"]
    more = ["--limit", "3", "--attacks", "quantisation_int8", "--metrics", "accuracy,f1", "--general_data"]
    assert evaluate(folder, *data, *more, folder / "retain.jsonl", output="rows") == 0
    rows = [json.loads(line) for line in (folder / "rows" / "examples.jsonl").read_text().splitlines()]
    sets = ("forget", "retain", "general", "in_context")
    assert [row["split"] for row in rows] == [name for name in sets for _ in range(3)]
    report = json.loads((folder / "rows" / "evaluation.json").read_text())
    forget = [row["metrics_after"]["accuracy"] for row in rows[:3]]
    assert report["models"]["unlearned"]["forget"]["accuracy"] == pytest.approx(np.mean(forget))
    assert rows[0]["after"] and rows[0]["before"] is None and rows[0]["metrics_retrained"] is None
    printed = capsys.readouterr().out
    assert "under attack" in printed and "quantisation_int8" in printed


@pytest.fixture(scope="module")
def copies(folder, known):
    """Two copies of the target: the copied folder, and the same model saved with different bytes."""
    _, tokenizer, examples = known
    shutil.copytree(folder / "model", folder / "copied")
    other, _, _ = make_tiny(examples, seed=3, vocabulary=OUTSIDERS)
    other.save_pretrained(folder / "taught_all")
    tokenizer.save_pretrained(folder / "taught_all")
    return folder


@pytest.mark.parametrize(
    ("retrained", "message"),
    [("model", "is the target model"), ("copied", "same weights"), ("taught_all", "knows the forget set as well")],
)
def test_the_target_given_as_retrained_model_is_refused(copies, retrained, message, capsys):
    data = ["--forget_data", copies / "forget.jsonl", "--target_model", copies / "model"]
    assert evaluate(copies, *data, "--retrained_model", copies / retrained, output=f"refused_{retrained}") == 4
    printed = capsys.readouterr()
    assert message in printed.err and "unlearned:" not in printed.out  # before the model itself was measured
    assert not (copies / f"refused_{retrained}" / "evaluation.json").exists()


def test_the_runner_refuses_the_target_as_retrained_model(copies, tmp_path, capsys, monkeypatch):
    import unlearning_script
    from results.run import measuring

    monkeypatch.setattr(measuring, "EVALUATIONS", tmp_path / "evaluations")
    for retrained, message in (("copied", "same weights"), ("taught_all", "knows the forget set")):
        code = unlearning_script.main(
            [f"--model_name_or_path={copies / 'model'}", f"--retrained_model={copies / retrained}",
             f"--forget_data={copies / 'forget.jsonl'}", f"--retain_data={copies / 'retain.jsonl'}", "--method=npo",
             "--max_steps=2", "--metrics=loss", f"--output_dir={tmp_path / retrained}",
             f"--model_output_dir={tmp_path / 'out'}"]
        )  # fmt: skip
        assert code == 4 and message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_reports_all_problems_together(folder, capsys):
    code = evaluate(folder, "--forget_dat", "x", "--metrics", "f2", "--attacks", "samplin", "--benchmark", "wmdp")
    message = capsys.readouterr().err
    assert code == 2
    for hint in ("did you mean --forget_data", "did you mean f1", "did you mean sampling", "tofu, muse", "--data_dir"):
        assert hint in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("flags", "code"),
    [(["--forget_data", "missing.jsonl"], 3), (["--forget_data", "forget.jsonl", "--target_model", "nowhere"], 4)],
)
def test_the_command_exits_with_the_code_of_the_problem(folder, flags, code, capsys):
    flags = [str(folder / flag) if flag.endswith((".jsonl", "nowhere")) else flag for flag in flags]
    assert evaluate(folder, *flags, output="wrong") == code
    assert capsys.readouterr().err.startswith("error: ")


def test_tofu_scores_have_their_own_names(folder):
    flags = ["--benchmark", "tofu", "--data_dir", folder / "tofu", "--retrained_model", folder / "model"]
    assert evaluate(folder, *flags, output="tofu_out") == 0
    report = json.loads((folder / "tofu_out" / "evaluation.json").read_text())
    table = report["benchmark"]["models"]["unlearned"]
    assert table["Forget Quality"] == 1 and 0 < table["Model Utility"] < 1
    assert table["ROUGE Retain"] > 0.9
    wanted = {
        f"{n} {s}"
        for n in ("ROUGE", "Prob.", "Truth Ratio")
        for s in ("Real Authors", "Real World", "Retain", "Forget")
    }
    assert set(table) == wanted | {"Model Utility", "Forget Quality"}
    numbers = [value for key, value in table.items() if key.split()[-1] in ("Authors", "World", "Retain")]
    assert len(numbers) == 9 and table["Model Utility"] == pytest.approx(em.model_utility(numbers))


def test_muse_scores_have_their_own_names(folder):
    flags = ["--benchmark", "muse", "--data_dir", folder / "muse", "--retrained_model", folder / "model"]
    assert evaluate(folder, *flags, output="muse_out") == 0
    table = json.loads((folder / "muse_out" / "evaluation.json").read_text())["benchmark"]["models"]["unlearned"]
    assert set(table) == {"verbmem_f", "knowmem_f", "knowmem_r", "min_k_auc", "privleak"}
    assert table["privleak"] == 0
    assert evaluate(folder, *flags[:-2], output="muse_alone") == 0
    alone = json.loads((folder / "muse_alone" / "evaluation.json").read_text())
    assert alone["benchmark"]["models"]["unlearned"]["privleak"] is None and "retrained" in alone["notes"]["privleak"]
    assert 0 <= table["verbmem_f"] <= 100


def test_benchmark_folders_are_checked(tmp_path, capsys):
    for name in ("tofu", "muse"):
        assert em.main(["--model_name_or_path", "m", "--output_dir", str(tmp_path / "o"), "--benchmark", name,
                        "--data_dir", str(tmp_path)]) == 3  # fmt: skip
    write(tmp_path / "verbmem" / "forget.json", [{"prompt": 3}])
    assert em.main(["--model_name_or_path", "m", "--output_dir", str(tmp_path / "o"), "--benchmark", "muse",
                    "--data_dir", str(tmp_path)]) == 3  # fmt: skip
    assert "prompt and gt" in capsys.readouterr().err


def test_help_is_quick():
    """Measures processor time, which other jobs hardly affect. Importing torch alone would take longer."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "evaluation_metrics.py", "--help"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0 and all(name in done.stdout for name in [*em.METRICS, *em.ATTACKS])
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
