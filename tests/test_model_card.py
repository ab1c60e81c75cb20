"""The model card: the hub's format, the text, and what it must not contain."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from run_folders import PEOPLE, PLACES, make_run

from results.report import sentences
from results.report.runs import read_run
from results.run import model_card

ROOT = Path(__file__).resolve().parents[1]
METHOD = SimpleNamespace(name="npo", paper="Zhang et al. 2024", summary="Walks uphill, gently.", known_failure="leaks")
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"


def card_of(folder: Path, base=BASE, licence="apache-2.0") -> str:
    return model_card.model_card(read_run(folder), METHOD, base, licence)


def test_the_front_matter_follows_the_hub_format(tmp_path):
    yaml = pytest.importorskip("yaml")
    card = card_of(make_run(tmp_path / "run"))
    facts = yaml.safe_load(card.split("---\n")[1])
    assert facts["license"] == "apache-2.0" and facts["base_model"] == BASE
    assert facts["library_name"] == "transformers" and facts["pipeline_tag"] == "text-generation"
    assert {"unlearning", "npo"} <= set(facts["tags"]) and facts["base_model_relation"] == "finetune"
    unknown = yaml.safe_load(card_of(tmp_path / "run", base=None, licence=None).split("---\n")[1])
    assert "license" not in unknown and "base_model" not in unknown and "unlearning" in unknown["tags"]
    adapter = card_of(make_run(tmp_path / "adapter", config={"use_peft": True}))
    facts = yaml.safe_load(adapter.split("---\n")[1])
    assert facts["library_name"] == "peft" and facts["base_model_relation"] == "adapter"
    assert "AutoPeftModelForCausalLM" in adapter


def test_numbers_and_intervals_match_the_evaluation(tmp_path):
    folder = make_run(tmp_path / "run")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    lines = card_of(folder).splitlines()
    assert "| set | metric | before | after | retrained |" in lines
    for split, metric in (("forget", "accuracy"), ("retain", "f1"), ("general", "multiple_choice_accuracy")):
        cells = next(line for line in lines if line.startswith(f"| {split} | {metric} |")).split(" | ")[2:]
        for cell, model in zip(cells, ("target", "unlearned", "retrained")):
            low, high = evaluation["intervals"][model][split][metric]
            value = evaluation["models"][model][split][metric]
            assert cell.rstrip(" |") == f"{value:.3f} [{low:.3f}, {high:.3f}]"


def test_the_card_holds_the_three_words_limits_and_command(tmp_path):
    run = read_run(make_run(tmp_path / "run", after={"retain": 0.5}, retrained=False))
    card = card_of(run.folder)
    order = ["# run", "## Verdict", "UNDECIDED (no retrained model), DAMAGED, NOT RUN", "Not decided",
             "The rest is damaged", "share of utility that is left", "Of what was to be forgotten",
             "Of what was to be kept", "## Before and after", "## Limits", "Only a model trained without", "leaks",
             "no test proves absence", "## How to load it", "from_pretrained", "## How to repeat it",
             "python unlearning_script.py --method=npo --seed=0"]  # fmt: skip
    places = [card.index(part, card.index("# run")) for part in order]
    assert places == sorted(places) and "CERTIFIED" not in card
    assert sentences.kept(run)[0].replace("\u00a0", " ") in card.replace("\\", "")


@pytest.mark.parametrize("resistance", ["HELD", "CAME BACK"])
def test_only_a_signed_verdict_is_certified_on_the_card(tmp_path, resistance):
    folder = make_run(tmp_path / "run", after={"forget": 0.12}, attacks=True)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert evaluation["comparison"]["verdict"] == "FORGOTTEN, KEPT, CAME BACK"
    resisted = evaluation["evidence"]["resistance"]
    if resistance == "HELD":
        resisted.update(word="HELD", gates=[gate for gate in resisted["gates"] if gate["word"] == "passed"])
        evaluation["comparison"].update(resistance="HELD", verdict="FORGOTTEN, KEPT, HELD")
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    assert ("CERTIFIED: " in card_of(folder)) == (resistance == "HELD")


def test_the_card_shows_a_verdict_of_an_earlier_version_as_such(tmp_path):
    folder = make_run(tmp_path / "run")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    del evaluation["evidence"]
    evaluation["comparison"]["verdict"] = "FORGOTTEN (attacks not run)"
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    card = card_of(folder)
    assert "No verdict" in card and "Verdict of an earlier version: FORGOTTEN (attacks not run)" in card
    assert "CERTIFIED" not in card


def test_the_card_holds_no_forget_row_and_no_machine_path(tmp_path):
    command = ["python", "unlearning_script.py", "--forget_text=Mara Okonjo lives in Vellmar", "--seed=1",
               "--forget_about=Mara Okonjo",
               f"--output_dir={tmp_path}/deep/out",
               "--retain_data=C:\\d\\keep.jsonl,/deep/b.csv", "--config=~/m.yaml"]  # fmt: skip
    folder = make_run(tmp_path / "run", resisting=6, attacks=True, config={
        "command": command, "model_name_or_path": f"{tmp_path}/deep/people", "forget_data": None})  # fmt: skip
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert any(person in why for person in PEOPLE for why in evaluation["evidence"]["memory"]["why"])
    evaluation["earlier"] = [{"run": f"runs/{PEOPLE[0]}", "verdict": "came back", "why": "row 1"}]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    card = card_of(folder)
    assert "REMEMBERS" in card
    assert not [word for word in (*PEOPLE, *PLACES, str(tmp_path), "deep", "C:\\", "~/") if word in card]
    assert "(the text to forget)" in card and "--output_dir=out" in card and "--retain_data=keep.jsonl,b.csv" in card


@pytest.fixture
def family(tmp_path):
    """A downloaded base, an adapter over it, a model made from that, and one of unknown origin."""
    models = tmp_path / "models"
    for name, card, adapter in (
        ("SmolLM2-135M-Instruct", f"---\nlicense: apache-2.0\nbase_model: {BASE}\n---\n# x", None),
        ("adapter", "# no front matter", BASE),
        ("made", "---\nlicense: mit\nbase_model: models/adapter\n---\n", None),
        ("unknown", "# nothing", None),
        ("circle", "---\nbase_model: models/circle\n---\n", None),
    ):
        (models / name).mkdir(parents=True)
        (models / name / "README.md").write_text(card)
        if adapter:
            (models / name / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": adapter}))
    return tmp_path


@pytest.mark.parametrize(("name", "expected"), [
    (BASE, (BASE, "apache-2.0")), ("models/SmolLM2-135M-Instruct", (BASE, "apache-2.0")),
    ("models/adapter", (BASE, "apache-2.0")), ("models/made", (BASE, "mit")), ("models/unknown", (None, None)),
    ("models/circle", (None, None)), ("org/other", ("org/other", None)), ("/nowhere/at/all", (None, None)),
])  # fmt: skip
def test_origin_is_followed_through_adapters_and_cards(family, name, expected):
    assert model_card.origin(name, family) == expected


def test_the_packaged_target_descends_from_its_base():
    assert model_card.origin("models/people-target", ROOT)[0] == BASE


def test_a_card_needs_no_heavy_package():
    heavy = ["torch", "transformers", "matplotlib"]
    code = f"import sys, results.run.model_card; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
