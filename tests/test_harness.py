"""--lm_eval: with the real package where it is installed, and against a stand-in of its interface everywhere."""

import importlib
import json
import sys

import pytest

import evaluation_metrics as em
import unlearning_script as script
from models.scores import harness
from models.store.folders import ModelError
from results.run import measuring, options

STAND_IN = {
    "lm_eval/__init__.py": """
calls, watched = [], []
def simple_evaluate(model, tasks, limit, bootstrap_iters, log_samples, apply_chat_template):
    calls.append((tasks, limit, apply_chat_template))
    watched.append("apply_chat_template" in vars(model.tokenizer))
    loss = float(next(model.pretrained.parameters()).abs().sum())
    return {"results": {"wet": {"alias": "wet", "acc,none": loss, "acc_stderr,none": "N/A",
                                "exact_match,flexible": 0.5, "exact_match_stderr,flexible": 0.1, "name": "wet"}}}
""",
    "lm_eval/tasks.py": """
class TaskManager:
    def load(self, names):
        if names == ["unknown_task"]:
            raise KeyError("task unknown_task not found")
""",
    "lm_eval/models/__init__.py": "",
    "lm_eval/models/huggingface.py": """
class HFLM:
    def __init__(self, pretrained, tokenizer, backend, batch_size):
        self.pretrained, self.tokenizer = pretrained, tokenizer
""",
    "lm_eval-9.9.dist-info/METADATA": "Metadata-Version: 2.1\nName: lm-eval\nVersion: 9.9\n",
}
TASK = """
task: wet
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


def forget_package():
    for name in [name for name in sys.modules if name.split(".")[0] == "lm_eval"]:
        del sys.modules[name]


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    for name, text in STAND_IN.items():
        path = tmp_path / "packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    forget_package()
    monkeypatch.syspath_prepend(tmp_path / "packages")
    yield importlib.import_module("lm_eval")
    forget_package()


@pytest.fixture
def task(tmp_path):
    """(task file, data file) of an exam about two of the tiny model's people, who live at different places."""
    rows = [{"question": "where does ada live ?", "choices": [f"ada lives in {town} by the sea" for town in towns],
             "answer": 0} for towns in (("lund", "riga"), ("riga", "lund"))]  # fmt: skip
    (tmp_path / "wet.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "wet.yaml").write_text(TASK.format(data=tmp_path / "wet.jsonl"))
    return tmp_path / "wet.yaml", tmp_path / "wet.jsonl"


def test_without_the_package_the_cure_is_named(monkeypatch):
    forget_package()
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    assert harness.problems("mmlu") == [harness.MISSING] and "pip install lm-eval" in harness.MISSING
    assert harness.problems(None) == harness.problems("none") == []
    with pytest.raises(script.UsageError, match="pip install lm-eval"):
        options.resolve({"lm_eval": "mmlu"})


def test_a_missing_file_and_an_unknown_task_are_refused_before_a_model_is_loaded(stand_in, small, tmp_path, capsys):
    assert harness.problems("mmlu,gone.yaml") == ["--lm_eval gone.yaml: no such file"]
    with pytest.raises(ModelError, match=r"--lm_eval unknown_task: lm-eval cannot load it: .*not found") as refused:
        harness.check("unknown_task")
    assert refused.value.exit_code == 2
    assert script.main(small.flags(tmp_path / "run", "--lm_eval=unknown_task")) == 2
    assert stand_in.calls == [] and "cannot load it" in capsys.readouterr().err


def test_a_run_measures_the_tasks_before_and_after(stand_in, small, tmp_path, task, capsys, monkeypatch):
    monkeypatch.setattr(measuring, "EVALUATIONS", tmp_path / "kept")
    file, data = task
    flags = small.flags(tmp_path / "run", f"--lm_eval={file}", "--max_steps=2")
    assert script.main(flags) == 0, capsys.readouterr().err
    assert stand_in.calls == [([str(file)], 4, True)] * 2  # the unlearned model, then the target
    assert stand_in.watched == [True] * 2, "a chat template that does not end hangs no run"
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    told, beside = report["lm_eval"], report["evidence"]["rest"]["beside"]
    assert told["target"]["wet"]["exact_match (flexible)"] == {"value": 0.5, "stderr": 0.1}
    assert told["target"]["wet"]["acc"]["value"] != told["unlearned"]["wet"]["acc"]["value"]
    assert told["target"]["wet"]["acc"]["stderr"] is None and "name" not in told["target"]["wet"]
    assert beside["wet: acc"] == {role: told[role]["wet"]["acc"]["value"] for role in ("target", "unlearned")}
    assert "wet: acc" in (tmp_path / "run" / "report.md").read_text()
    assert "wet: exact_match (flexible)" in capsys.readouterr().out

    # the target's numbers are kept, until a file of the task changes
    again = small.flags(tmp_path / "again", f"--lm_eval={file}", "--max_steps=2")
    assert script.main(again) == 0 and len(stand_in.calls) == 3
    data.write_text(data.read_text() + data.read_text())
    changed = small.flags(tmp_path / "changed", f"--lm_eval={file}", "--max_steps=2")
    assert script.main(changed) == 0 and len(stand_in.calls) == 5


def test_the_evaluation_script_measures_the_tasks(stand_in, small, tmp_path, capsys):
    flags = [f"--model_name_or_path={small.target}", f"--forget_data={small.data['forget']}", "--general_data=none",
             "--metrics=loss", "--limit=3", "--lm_eval=mmlu", f"--output_dir={tmp_path / 'out'}"]  # fmt: skip
    assert em.main(flags) == 0 and stand_in.calls == [(["mmlu"], 3, True)]
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert set(report["lm_eval"]) == {"unlearned"} and "wet: acc: unlearned" in capsys.readouterr().out


def test_tags_of_a_task_file_run_nothing(tmp_path):
    (tmp_path / "x.yaml").write_text("task: !function evil.run\ndataset_kwargs: [!python/object:os.system x, 3]\n")
    assert list(harness._data_files(tmp_path / "x.yaml")) == []


def test_the_real_package_scores_a_local_task(small, task):
    pytest.importorskip("lm_eval", reason="lm-eval is optional and not installed")
    from models.store.loading import load_model

    model, tokenizer = load_model(small.target)
    harness.check(str(task[0]))
    found = harness.measure(model, tokenizer, str(task[0]))
    assert found["wet"]["acc"]["value"] in (0, 0.5, 1) and {"value", "stderr"} == {*found["wet"]["acc"]}
