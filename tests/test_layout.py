"""The house: which file may import which, and what stands at the top level."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ["unlearning_algorithm", "unlearning_script", "evaluation_metrics", "analyze_results", "user_interface"]
OURS = {*SCRIPTS, "data", "models", "results"}
# of results/: used by the interface alone, so they may use what it may
SERVE_THE_PAGE = {"asking", "desk", "events", "showing", "tabs"}
# likewise, used by the runner and whoever shows its settings
SERVE_THE_RUNNER = {
    "options", "continuing", "measuring", "planning", "processes", "search", "search_score", "search_study"
}  # fmt: skip
MAY_IMPORT = {
    "data": {"data"},
    "models": {"models"},
    "results": {"results", "models"},
    "unlearning_algorithm": {"data", "models"},
    "evaluation_metrics": {"unlearning_algorithm", "data", "models"},
    "analyze_results": {"results"},
    "unlearning_script": OURS - {"user_interface", "unlearning_script"},
    "user_interface": OURS - {"user_interface"},
}


def sources():
    for path in sorted(ROOT.glob("*.py")):
        yield path.stem, path
    for room in ("data", "models", "results"):
        for path in sorted((ROOT / room).glob("*.py")):
            served = {"user_interface": SERVE_THE_PAGE, "unlearning_script": SERVE_THE_RUNNER}
            reader = next((name for name, stems in served.items() if path.stem in stems), room)
            yield reader if room == "results" else room, path


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize(("room", "path"), list(sources()), ids=lambda value: getattr(value, "name", value))
def test_import_directions(room, path):
    assert set(imported(path)) & OURS <= MAY_IMPORT[room]


def test_the_top_level_is_the_card():
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    listed = done.stdout.splitlines()
    top = {name.split("/")[0] for name in listed if name}
    if not top:
        pytest.skip("not a git checkout")
    card = {f"{name}.py" for name in SCRIPTS} | {"data", "models", "results", "tests", "requirements.txt", "README.md"}
    assert top <= card | {".ci", ".gitignore", "LICENSE", "pyproject.toml"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_heavy_is_imported_before_it_is_needed(name):
    """`--help` answers in 1.5 s; torch alone takes longer to import."""
    heavy = ["torch", "transformers", "sklearn", "matplotlib", "datasets", "gradio", "peft", "pandas"]
    code = f"import sys, {name}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_tests_that_the_soak_runs_are_there():
    """A test that moved to another file would count as one that failed."""
    text = re.sub(r'"\s*"', "", (ROOT / "tests" / "soak.py").read_text(encoding="utf-8"))
    named = re.findall(r"(tests/test_\w+\.py)::(\w+)", text)
    assert len(named) >= 5
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path} has no {name}"
