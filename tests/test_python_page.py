"""The page of Python examples: every block is short and runs, in order, as cells of a notebook."""

import json
import re
from pathlib import Path

import pytest
from test_own_code import tables  # noqa: F401 - this autouse fixture restores METHODS and METRICS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "results" / "PYTHON.md").read_text(encoding="utf-8")
# (title of the section, file that a block is, or None, code)
CELLS = [
    (title, file or None, code)
    for title, section in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    for file, code in re.findall(r"(?:^File `([\w.]+)`:\n\n)?^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
]


@pytest.fixture
def desk_top(small, tmp_path, monkeypatch):
    """The folder in which the page's names exist."""
    (tmp_path / "my-model").symlink_to(small.target)
    (tmp_path / "my-base-model").symlink_to(small.base)
    (tmp_path / "my-retrained-model").symlink_to(small.retrained)
    for name in ("forget", "retain", "holdout"):
        (tmp_path / f"{name}.jsonl").write_bytes(small.data[name].read_bytes())
    exam = {"question": "where does ada live ?", "choices": ["lund", "riga"], "answer": "A"}
    (tmp_path / "exam.jsonl").write_text(json.dumps(exam) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_run_in_order(desk_top, capsys):
    space, said = {}, {}
    for title, file, code in CELLS:
        if file:
            (desk_top / file).write_text(code, encoding="utf-8")
        else:
            exec(compile(code, f"PYTHON.md: {title}", "exec"), space)
            said[title] = capsys.readouterr().out
    assert re.match(r"\w", said["Its result"]) and "\n- " in said["Its result"]
    assert said["Asking the unlearned model"].strip()
    assert len(said["A training loop of your own"].splitlines()) > 5
    assert len(said["With the base model"].splitlines()) > 10
    assert said["Measuring models"].strip() and "fact_recall" in said["Attacks"]
    assert {path.name for path in (desk_top / "models").iterdir()} == {"gradient_difference", "wga", "mine", "exam"}
    assert (desk_top / "my-own-model" / "model.safetensors").is_file()
    assert (desk_top / "comparison" / "comparison.html").is_file()
    assert json.loads((desk_top / "runs/mine/config.json").read_text())["own_cap"] == 4.0
    assert float(said["A metric of your own, and an exam"].splitlines()[-2]) > 0
    assert "'target'" in said["A metric of your own, and an exam"].splitlines()[-1]


def test_the_examples_are_short_and_show_the_three_functions():
    assert len(CELLS) >= 10
    for title, _, code in CELLS:
        assert len([line for line in code.splitlines() if line.strip()]) <= 10, title
    text = "".join(code for *_, code in CELLS)
    assert all(f"{name}(" in text for name in ("run_unlearning", "unlearn", "evaluate_model"))
