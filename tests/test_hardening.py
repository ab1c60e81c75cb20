"""Bad command lines are refused with a message, each row of the hardening table has a test, no code loads pickles."""

import ast
import json
import re

import forked_runs
import hardening_cases
import hardening_table
import pytest


@pytest.fixture(scope="module")
def outcomes(small, tmp_path_factory):
    """{case name: (folder, exit code, output)} of all bad command lines, run four at a time."""
    started = {}
    for case in hardening_cases.CASES:
        folder = tmp_path_factory.mktemp("case")
        started[case.name] = folder, forked_runs.start(case.flags(small, folder), folder / "said.txt")
        if len(started) % 4 == 0:
            started[case.name][1].wait()
    return {name: (folder, run.wait(), run.output) for name, (folder, run) in started.items()}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=pytest.mark.hardening(case.row)) for case in hardening_cases.CASES],
)
def test_bad_input_is_refused_with_a_message(case, outcomes, small):
    folder, code, said = outcomes[case.name]
    assert code == case.code, said[-1500:]
    assert "error: " in said and "Traceback" not in said
    for words in case.says:
        assert words in said
    assert "loading weights" not in said and not (folder / "run-model").exists()
    assert not (folder / "run" / "report.html").exists()
    if case.code in (2, 3, 6):
        assert "evaluating" not in said, "refused before the model is used"
    assert not (folder / "model" / "opened").exists(), "a pickle was opened"
    if (folder / "full").exists():
        assert (folder / "full" / "thesis.txt").read_text() == "mine" and (folder / "file").read_text() == "mine"
    assert (small.target / "model.safetensors").exists()
    if (folder / "run" / "status.json").exists():
        assert json.loads((folder / "run" / "status.json").read_text())["exit_code"] == code


def test_every_row_of_the_table_has_a_test_and_the_page_is_current():
    shown = hardening_table.collected()
    assert list(shown) == list(range(1, 73))
    assert [row for row, tests in shown.items() if not tests] == []
    assert hardening_table.PAGE.read_text(encoding="utf-8") == hardening_table.page()


FOLDERS = ("data", "models", "results")
SOURCES = [
    *forked_runs.ROOT.glob("*.py"),
    *(path for top in FOLDERS for path in (forked_runs.ROOT / top).rglob("*.py")),
]
FORBIDDEN = r"c?pickle|shelve|marshal|dill|joblib|torch\.(load|save)|os\.system|yaml\.(unsafe_)?load|eval|exec"


@pytest.mark.hardening(31, 56)
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(forked_runs.ROOT)))
def test_no_code_uses_pickles_or_runs_text(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not any(re.fullmatch(FORBIDDEN, name.split(".")[0]) for name in names), f"{path.name}:{node.lineno}"
        elif isinstance(node, ast.Call):
            assert not re.fullmatch(FORBIDDEN, ast.unparse(node.func)), f"{path.name}:{node.lineno}"
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert given.get("shell", "False") == "False" and given.get("allow_pickle", "False") == "False"
            assert given.get("trust_remote_code", "False") == "False"
