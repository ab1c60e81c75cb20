"""A finished run is measured anew without training: a run of an earlier version gets today's verdict."""

import json
import shutil

import judge_again
import pytest
from small_world import build

import unlearning_script
from models.verdict.words import verdict_words
from results.run.measuring import settings_again


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(world, folder of a finished run without a retrained model)."""
    folder = tmp_path_factory.mktemp("again")
    world = build(folder)
    assert unlearning_script.main(world.flags(folder / "run", "--metrics=all")) == 0
    return world, folder / "run"


def read(folder, name="evaluation.json"):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_a_run_is_measured_anew_with_other_attacks_and_a_retrained_model(finished, tmp_path):
    world, run = finished
    folder = shutil.copytree(run, tmp_path / "run")
    model = sorted(path.read_bytes() for path in (run.parent / "run-model").glob("*.safetensors"))
    old = read(folder)
    (folder / "evaluation.json").write_text(
        json.dumps({**old, "comparison": {"verdict": "INCOMPLETE"}, "evidence": {}}), encoding="utf-8"
    )
    flags = [f"--measure_again={folder}", f"--retrained_model={world.retrained}", "--attacks=quantisation_int8"]
    assert unlearning_script.main(flags) == 0
    new = read(folder)
    assert set(new["models"]) == {"target", "unlearned", "retrained"}
    assert new["models"]["unlearned"]["forget"] == pytest.approx(old["models"]["unlearned"]["forget"], nan_ok=True)
    assert verdict_words(new["comparison"]["verdict"])["resistance"] != "NOT RUN"
    assert new["evidence"]["memory"]["gates"] and "quantisation_int8" in new["attacks"]
    assert sorted(path.read_bytes() for path in (run.parent / "run-model").glob("*.safetensors")) == model
    for name in ("metrics.jsonl", "timing.json", "status.json", "request.json"):
        assert (folder / name).read_bytes() == (run / name).read_bytes(), name
    assert new["comparison"]["verdict"].split(",")[0] in (folder / "report.md").read_text(encoding="utf-8")
    spoilt = {**new, "comparison": {"verdict": "REMEMBERS"}, "evidence": {}}
    (folder / "evaluation.json").write_text(json.dumps(spoilt), encoding="utf-8")
    assert judge_again.main([str(folder), str(tmp_path / "none")]) == 1  # the second is no run
    again = read(folder)
    assert again["evidence"] == new["evidence"] and again["attacks"] == new["attacks"]
    same = {name: value for name, value in new["comparison"].items() if name != "subject"}
    assert {name: again["comparison"].get(name) for name in same} == same


@pytest.mark.parametrize(("more", "said"), [(["--method=npo"], "--method does not go with"), ([], "is gone")])
def test_settings_that_would_change_the_model_and_lost_models_are_refused(finished, tmp_path, capsys, more, said):
    _, run = finished
    folder = shutil.copytree(run, tmp_path / "run")
    config = read(folder, "config.json")
    (folder / "config.json").write_text(
        json.dumps({**config, "model_output_dir": str(tmp_path / "gone")}), encoding="utf-8"
    )
    assert unlearning_script.main([f"--measure_again={folder}", *more]) == 2
    assert said in capsys.readouterr().err
    assert read(folder)["comparison"]


def test_holdout_rows_of_a_run_before_the_split_do_not_judge_it(finished, tmp_path):
    _, run = finished
    folder = shutil.copytree(run, tmp_path / "run")
    config = read(folder, "config.json")
    for older in (True, False):
        told = {name: value for name, value in config.items() if name != "judging_data"} if older else config
        (folder / "config.json").write_text(json.dumps(told), encoding="utf-8")
        assert (settings_again(folder, {})["judging_data"] == "none") == older


def test_an_unfinished_run_and_no_run_are_refused(tmp_path, capsys):
    assert unlearning_script.main([f"--measure_again={tmp_path / 'none'}"]) == 2
    (tmp_path / "config.json").write_text("{}")
    assert unlearning_script.main([f"--measure_again={tmp_path}"]) == 2
    assert "not finished" in capsys.readouterr().err
