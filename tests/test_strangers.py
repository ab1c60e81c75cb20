"""The worked examples of the READMEs, carried out in a copy of the project: one function and one row each.

The code comes from the READMEs themselves. The line above each block says where it goes.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {"models/saved", "models/people-target", "models/people-retrained", "results/runs"}
EXAMPLES = {"data": ["format"], "models": ["loss", "metric", "attack"], "results": ["figure", "tab"]}
TABS = ["Unlearn", "Compare", "Runs", "Evaluate", "Models"]
# {words of the README: how a block gets into the text of its file}
PLACES = {
    r"Append to `(?P<file>[^`]+)`": lambda text, block, table: f"{text.rstrip()}\n\n\n{block}",
    r"Write a new file, (?P<name>\S+) in `(?P<folder>[^`]+)`": lambda text, block, table: block,
    r"Insert above `(?P<table>\w+)` in `(?P<file>[^`]+)`": lambda text, block, table: above(text, block, table),
    r"Add to `(?P<table>\w+)` in `(?P<file>[^`]+)`": lambda text, block, table: last_row(text, block, table),
}


def definition(text, table):
    """The (first, last) line of a table's definition, from 0."""
    for node in ast.parse(text).body:
        names = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(name, ast.Name) and name.id == table for name in names):
            return node.lineno - 1, node.end_lineno - 1
    raise AssertionError(f"no table {table}")


def above(text, block, table):
    """The text with `block` above the table and the comments that belong to it."""
    lines, (first, _) = text.splitlines(), definition(text, table)
    while lines[first - 1].startswith("#"):
        first -= 1
    before, after = "\n".join(lines[:first]), "\n".join(lines[first:])
    return f"{before.rstrip()}\n\n\n{block}\n\n{after}\n"


def last_row(text, block, table):
    """The text with `block` before the closing bracket of the table."""
    lines, (_, last) = text.splitlines(), definition(text, table)
    assert lines[last][0] in ")]}"
    return "\n".join([*lines[:last], *block.splitlines(), *lines[last:], ""])


def blocks(readme, example):
    """[(where it goes, code)] of an example."""
    text = readme.read_text(encoding="utf-8").split(f"<!-- example: {example} -->")[1]
    text = re.split(r"^##+ ", text, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^([^\n]+):\n\n```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def insert(project, where, block):
    """Inserts a block of code at the place that the line above it names."""
    rule, found = next((rule, found) for rule in PLACES if (found := re.fullmatch(rule, where)))
    place = found.groupdict()
    path = project / (place.get("file") or f"{place['folder']}{place['name']}")
    text = path.read_text(encoding="utf-8") if "file" in place else ""
    path.write_text(PLACES[rule](text, block, place.get("table")), encoding="utf-8")


def ignored(folder, names):
    """Names not to copy: large folders, and everything at the top level that is not code of the project."""
    inside = Path(folder).relative_to(ROOT)
    if not inside.parts:
        return [
            name for name in names if not name.endswith(".py") and name not in ("data", "models", "results", "tests")
        ]
    return [name for name in names if (inside / name).as_posix() in LEFT_OUT]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with all examples inserted."""
    copy = tmp_path_factory.mktemp("stranger") / "project"
    shutil.copytree(ROOT, copy, ignore=ignored)
    for folder, examples in EXAMPLES.items():
        for example in examples:
            for where, block in blocks(ROOT / folder / "README.md", example):
                insert(copy, where, block)
    return copy


def python(project, *words):
    """The finished child process `python ...` in the copy."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    return subprocess.run(
        [sys.executable, *words], cwd=project, env=environment, capture_output=True, text=True, timeout=300
    )


def said(project, code):
    """What a program prints in the copy, as JSON."""
    done = python(project, "-c", f"import json\n{code}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def run(project, small, tmp_path_factory):
    """The folder of a short run with the new method, metric, attack and figure."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    new = ("--method=capped_ascent", "--loss_cap=4.5", "--metrics=answer_probability,verbatim", "--attacks=pruning")
    done = python(project, "unlearning_script.py", *small.flags(folder, *new, "--max_steps=2"))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize(
    ("folder", "example"), [(folder, example) for folder, found in EXAMPLES.items() for example in found]
)
def test_an_example_is_one_function_and_one_row(folder, example):
    (first, function), (second, row) = blocks(ROOT / folder / "README.md", example)
    assert not first.startswith("Add to") and second.startswith("Add to")
    assert len(ast.parse(function).body) <= 3 and len(function.splitlines()) <= 20
    assert len(row.splitlines()) <= 8


def test_a_new_loss_runs_with_its_setting(project, run):
    shown = python(project, "unlearning_script.py", "--help").stdout
    assert re.search(r"--loss_cap FLOAT\s+capped_ascent: loss", shown) and "  capped_ascent " in shown
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert (config["method"], config["loss_cap"], config["max_steps"]) == ("capped_ascent", 4.5, 2)
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [line for line in map(json.loads, lines) if line["event"] == "step"]
    assert len(steps) == 2 and all(-4.5 <= step["forget_loss"] < 0 for step in steps)


def test_the_limit_of_the_new_setting_is_enforced(project, small, tmp_path):
    flags = small.flags(tmp_path / "run", "--method=capped_ascent", "--loss_cap=0")
    done = python(project, "unlearning_script.py", *flags)
    assert done.returncode == 2 and "--loss_cap 0.0: must be above 0" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_new_metric_is_measured(run):
    evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["models"]["target"]["forget"]["verbatim"] > 0.5
    assert all("verbatim" in sets["forget"] for sets in evaluation["models"].values())
    assert "verbatim answers" in (run / "report.html").read_text(encoding="utf-8")


def test_a_new_attack_is_carried_out(run):
    found = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["attacks"]["pruning"]
    assert all(0 < found["unlearned"][f"answer_probability{when}"] < 1 for when in ("", "_before"))
    assert found["unlearned"]["answer_probability"] != found["unlearned"]["answer_probability_before"]


def test_a_new_figure_is_in_the_report(run):
    assert all((run / "figures" / f"spread.{kind}").stat().st_size for kind in ("png", "svg"))
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "Forget rows by answer probability, before and after." in report


def test_a_new_format_is_read_and_checked(project, tmp_path):
    (tmp_path / "good.cards").write_text("Where does Ada live? :: In Oslo.\n\nWho is Bor? :: A baker.\n")
    (tmp_path / "bad.cards").write_text("Where does Ada live?\n")
    code = """
from data.columns import DataError
from data.reading import read_examples
rows = [(row.prompt, row.answer, row.line) for row in read_examples({good!r})]
try:
    read_examples({bad!r})
except DataError as error:
    print(json.dumps([rows, str(error)]))
"""
    good, bad = (str(tmp_path / f"{name}.cards") for name in ("good", "bad"))
    rows, refused = said(project, code.format(good=good, bad=bad))
    assert rows == [["Where does Ada live?", "In Oslo.", 1], ["Who is Bor?", "A baker.", 3]]
    assert refused == f"{bad}:1: no ' :: ' between question and answer"


def test_a_new_tab_and_setting_are_on_the_page(project, tmp_path):
    pytest.importorskip("gradio")
    code = f"""
import pathlib, user_interface
from results.page.desk import Desk
from results.page.jobs import JobQueue
user_interface.prepare_environment()
page = user_interface.build(Desk(JobQueue(pathlib.Path({str(tmp_path)!r}), user_interface.PROJECT)))
parts = page.get_config_file()["components"]
print(json.dumps([[part["type"], *map(part["props"].get, ("label", "choices"))] for part in parts]))
"""
    parts = said(project, code)
    assert [label for kind, label, _ in parts if kind == "tabitem"] == TABS
    assert ["dataframe", "Models", None] in parts
    assert any("loss_cap" in str(label) for _, label, _ in parts)
    attacks = next(choices for _, label, choices in parts if label == "Attacks on this run's model")
    assert ["Set the smallest weights to zero", "pruning"] in attacks


def test_the_tables_of_the_readme_get_the_new_rows(project):
    code = """
import sys
sys.path.insert(0, "tests")
import readme_tables as made
print(json.dumps([made.methods_table(), made.metrics_table(), made.attack_list(), made.files_table("results")]))
"""
    names = ("`capped_ascent`", "`verbatim`", "`pruning`", "`page/tabs/models.py`")
    assert all(name in table for name, table in zip(names, said(project, code), strict=True))
