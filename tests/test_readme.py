"""The READMEs are correct: tables match the code, commands parse, links and named files exist."""

import argparse
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import readme_tables

import evaluation_metrics
import unlearning_algorithm
import unlearning_script
from models.verdict.words import WORDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in readme_tables.READMES}
README = PAGES["README.md"]
WRITTEN_LATER = ("results/runs", "models/saved", "results/ledger", "figures/", "request/")


def commands(text):
    """The lines of code blocks without a language; joins continued lines and cuts comments."""
    blocks = [block for kind, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if not kind]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.split(" #")[0].strip() for line in lines if line.strip()]


def calls(text):
    """The calls of a script in code blocks and in running text."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    named = [" ".join(call.split()) for call in re.findall(r"`(python [^`]+)`", prose)]
    parts = [part.strip() for command in commands(text) + named for part in re.split(r"&&|;", command)]
    return [part for part in parts if ".py" in part and not part.endswith("--help")]


CALLS = sorted({call for text in PAGES.values() for call in calls(text)})


class Parsed(BaseException):
    """Ends a script once it has read its flags."""


def parsed_only(self, argv=None, namespace=None, known=argparse.ArgumentParser.parse_known_args):
    _, unknown = known(self, argv, namespace)
    assert not unknown
    raise Parsed


@pytest.mark.parametrize("name", PAGES)
def test_every_table_is_up_to_date(name):
    assert readme_tables.filled(PAGES[name]) == PAGES[name], "run python tests/readme_tables.py"


def test_every_table_has_a_place_in_a_readme():
    marks = {name for text in PAGES.values() for name in re.findall(r"^<!-- /([\w ]+) -->$", text, re.MULTILINE)}
    assert marks >= {*readme_tables.TABLES} - {"files of data"}


def test_the_readme_is_short_and_holds_the_two_commands():
    assert len(README.encode()) <= 12_000
    assert "pip install -r requirements.txt && python unlearning_script.py" in commands(README)
    assert "pip install -r requirements.txt && python -m pytest" in commands(README)


@pytest.mark.parametrize("call", CALLS)
def test_commands_parse(call, monkeypatch):
    words = shlex.split(call)
    script = next(word for word in words if word.endswith(".py"))
    flags = words[words.index(script) + 1 :]
    if script == "unlearning_script.py":
        methods = unlearning_script.parse(flags).__dict__.get("method", "auto").split(",")
        assert {*methods} <= {"auto", "all", *unlearning_algorithm.METHODS}
    elif script.startswith("tests/test_"):
        assert (ROOT / script).exists()
    elif re.search("argparse|parse_known_args", (ROOT / script).read_text(encoding="utf-8")):
        monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", parsed_only)
        monkeypatch.setattr(sys, "argv", [script, *flags])
        with pytest.raises(Parsed):
            runpy.run_path(str(ROOT / script), run_name="__main__")
    else:
        assert (ROOT / script).exists() and not flags


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings(name):
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", PAGES[name]):
        path, _, heading = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        assert not heading or heading in [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings], link


@pytest.mark.parametrize("name", PAGES)
def test_every_file_it_names_exists(name):
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.py|\.jsonl?|\.md|\.txt))`", PAGES[name])
    checked = [path for path in named if ("/" in path or path.endswith(".py")) and not path.startswith(WRITTEN_LATER)]
    places = [ROOT, ROOT / "tests", (ROOT / name).parent, *(ROOT / name).parent.glob("*/")]
    assert [path for path in checked if not any((place / path).exists() for place in places)] == []


def test_the_tree_of_the_readme_exists():
    tree = README.split("## Files")[1].split("```")[1].splitlines()[1:]
    above = [line.split()[0] for line in tree if not line.startswith(" ")]
    assert len(above) == 9 and all((ROOT / path).exists() for path in above)


@pytest.mark.parametrize("folder", ["data", "models", "results", "tests"])
def test_every_module_is_listed_with_what_it_holds(folder):
    rows = readme_tables.files_table(folder)
    modules = [path for path in (ROOT / folder).rglob("*.py")
               if path.relative_to(ROOT / folder).parts[0] not in ("runs", "saved", "kinds")]  # fmt: skip
    listed = [path for path in modules if path.name != "__init__.py"]
    assert listed and all(f"`{path.relative_to(ROOT / folder).as_posix()}`" in rows for path in listed)
    assert "| - |" not in rows and rows in PAGES[f"{folder}/README.md"]


def test_every_word_of_the_verdict_is_explained():
    tables = README.split("## What the result means")[1].split("\n## ")[0].split("| what it means |")[1:]
    explained = [re.findall(r"^\| ([A-Z][A-Z -]+) \|", table, re.MULTILINE) for table in tables]
    assert [sorted(words) for words in explained] == [sorted(words) for words in WORDS.values()]


def test_recommended_methods_exist():
    table = README.split("## How to choose")[1].split("## ")[0]
    named = {*re.findall(r"^\| [^|]+ \| `(\w+)`", table, re.MULTILINE)}
    assert len(named) == 8 and named <= {"auto", *unlearning_algorithm.METHODS}


def test_the_basic_metrics_are_measured_by_name():
    assert {"accuracy", "precision", "recall", "f1", "loss"} <= set(evaluation_metrics.METRICS)
