"""The layout: which file may import which, how long files are, and what the top level holds."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ["unlearning_algorithm", "unlearning_script", "evaluation_metrics", "analyze_results", "user_interface"]
OURS = {*SCRIPTS, "data", "models", "results"}
BELOW = {"unlearning_algorithm", "evaluation_metrics", "data", "models"}
# what each folder may import; the longest matching prefix counts
MAY_IMPORT = {
    "data": {"data"},
    "models": {"models", "data"},
    "results.report": {"results.report", "models"},
    "results.run": {"results.run", "results.report", *BELOW},
    "results.search": {"results.search", "results.run", "results.report", *BELOW},
    "results.page": {"results", "analyze_results", *BELOW},
    "unlearning_algorithm": {"data", "models"},
    "evaluation_metrics": {"unlearning_algorithm", "data", "models"},
    "analyze_results": {"results.report", "results.search.report", "models", "data.private"},
    "results.after": {"results.after", "results.run", "results.report", "analyze_results", *BELOW},
    "unlearning_script": {"results", "analyze_results", *BELOW},
    "user_interface": OURS - {"user_interface", "unlearning_script"},
}
ROOMS = sorted(path.parent for top in ("data", "models", "results") for path in (ROOT / top).glob("*/__init__.py"))


def within(name, prefixes):
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def sources():
    yield from ((path.stem, path) for path in sorted(ROOT.glob("*.py")))
    for top in ("data", "models", "results"):
        for path in sorted((ROOT / top).rglob("*.py")):
            room = ".".join(path.relative_to(ROOT).parts[:-1])
            named = [prefix for prefix in MAY_IMPORT if within(room, [prefix])]
            yield max(named, key=len, default="data"), path


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("room", "path"), list(sources()), ids=str)
def test_files_import_only_what_their_folder_may(room, path):
    ours = [name for name in imported(path) if name.split(".")[0] in OURS]
    assert [name for name in ours if not within(name, MAY_IMPORT[room])] == []


def test_every_folder_of_code_is_checked():
    """A glob that misses a folder level would check nothing and pass."""
    rooms = {path.parent for _, path in sources()}
    assert len(ROOMS) >= 10 and set(ROOMS) <= rooms


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_each_folder_documents_its_content_and_stays_small(room):
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
    assert text and "In: " in text and "Not here: " in text and len(text.splitlines()) <= 4
    assert len(list(room.glob("*.py"))) <= 12


@pytest.mark.parametrize("path", [path for _, path in sources() if "bundled" not in path.parts], ids=str)
def test_files_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 600
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in functions if node.end_lineno - node.lineno >= 60] == []


def test_the_top_level_holds_only_agreed_files():
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


def test_the_tests_named_in_soak_exist():
    """soak.py would count a test that has moved as a failed one."""
    text = re.sub(r'"\s*"', "", (ROOT / "tests" / "soak.py").read_text(encoding="utf-8"))
    named = re.findall(r"(tests/test_\w+\.py)::(\w+)", text)
    assert len(named) >= 5
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path} has no {name}"
