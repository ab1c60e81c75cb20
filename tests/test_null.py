"""Null models: attacks that use them against simulation and oracles, and `--null K` from training to report."""

import dataclasses
import itertools
import json
import math
import os
import shutil
import signal
import sys
import threading
from types import SimpleNamespace

import null_verdicts
import numpy as np
import pytest
import tiny_models
from scipy.stats import binomtest, norm

import evaluation_metrics
from models.scores import kept
from models.scores.evaluating import ModelEvaluation
from models.store import saving
from models.store.folders import ModelError
from models.training import null_models
from models.verdict import null
from models.verdict.references import UnfitReference

FORGET, JUDGING = 40, 120
MEMBERS = np.arange(FORGET + JUDGING) < FORGET
SUBJECTS = [f"{number // 10}" for number in range(FORGET + JUDGING)]


def simulated(models: int, seed: int, known: float = 0.0):
    """Losses (1 + models, n) of rows that differ in difficulty, forget rows being easier; row 0 `known` lower."""
    draw = np.random.default_rng(seed)
    difficulty = np.concatenate([draw.normal(2.5, 0.5, FORGET), draw.normal(3.5, 0.5, JUDGING)])
    losses = difficulty + draw.normal(0, 0.2, (1 + models, FORGET + JUDGING))
    losses[0, :FORGET] -= known
    return np.maximum(losses, 0.01)


def auc(scores) -> float:
    return null.attack_auc(scores[MEMBERS], scores[~MEMBERS])["auc"]


# ---------------------------------------------------------------------------------------------------------------------
# Statistics


def test_the_scaled_logit_is_the_logit_and_stays_finite_at_both_ends():
    p = np.array([0.001, 0.1, 0.5, 0.9, 0.999])
    np.testing.assert_allclose(null.scaled_logit(-np.log(p)), np.log(p / (1 - p)), rtol=1e-9)
    near_one = np.array([1e-3, 1e-5, 1e-7])  # 1 - exp(-x) = x - x^2 / 2, so phi is -log x - x / 2
    np.testing.assert_allclose(null.scaled_logit(near_one), -np.log(near_one) - near_one / 2, rtol=1e-6)
    ends = null.scaled_logit([0.0, 1e-12, 50.0, 2000.0])
    assert np.isfinite(ends).all() and ends[0] == ends[1] and ends[3] == -2000


@pytest.mark.parametrize("models", [2, 5, 70])
def test_u_lira_sees_nothing_on_a_model_that_never_saw_the_rows(models):
    """The plain loss does: the forget rows are easier. z has variance 1 + 1/K, as for any further null model."""
    plain, ours, spread = [], [], []
    for seed in range(60):
        losses = simulated(models, seed)
        z = null.u_lira(losses[0], losses[1:])
        plain.append(auc(-losses[0]))
        ours.append(auc(z))
        spread.append(z.std())
    assert np.mean(plain) > 0.88 and abs(np.mean(ours) - 0.5) < 0.02
    assert np.mean(spread) == pytest.approx(math.sqrt(1 + 1 / models), rel=0.04)


def test_u_lira_finds_as_much_as_theory_says():
    """A shift of d spreads gives the AUC Phi(d / sqrt(2 (1 + 1/K))); high losses make phi the loss itself."""
    found = []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        losses = 30 + draw.normal(0, 1, (5, FORGET + JUDGING)) * 0.2
        losses[0, :FORGET] -= 0.2
        found.append(auc(null.u_lira(losses[0], losses[1:])))
    assert np.mean(found) == pytest.approx(norm.cdf(1 / math.sqrt(2 * (1 + 1 / 4))), abs=0.015)


def test_u_lira_by_hand_with_a_pooled_and_with_an_own_spread():
    losses = np.random.default_rng(0).uniform(0.1, 4, (5, 7))
    phi = np.log(np.exp(-losses) / (1 - np.exp(-losses)))
    pooled = math.sqrt(np.mean([np.var(phi[1:, i], ddof=1) for i in range(7)]))
    np.testing.assert_allclose(null.u_lira(losses[0], losses[1:]), (phi[0] - phi[1:].mean(0)) / pooled, rtol=1e-9)
    many = np.random.default_rng(0).uniform(0.1, 4, (65, 7))
    phi = null.scaled_logit(many)
    own = (phi[0] - phi[1:].mean(0)) / phi[1:].std(0, ddof=1)
    np.testing.assert_allclose(null.u_lira(many[0], many[1:]), own, rtol=1e-9)


@pytest.mark.parametrize("a", [1.0, 0.3, 0.0])
@pytest.mark.parametrize("models", [1, 4])
def test_rmia_equals_its_definition(a, models):
    losses = np.random.default_rng(1).uniform(0.1, 4, (1 + models, 12))
    population, groups = np.arange(12) >= 4, [None, "a", "a", None, "b", "b", "c", "c", None, None, "d", "d"]
    p = np.exp(-losses)
    ratio = p[0] / (((1 + a) * p[1:].mean(0) + (1 - a)) / 2)
    for x, score in enumerate(null.rmia(losses[0], losses[1:], population, groups, a=a, gamma=1.2)):
        compared = [z for z in range(4, 12) if z != x and (groups[z] is None or groups[z] != groups[x])]
        assert score == pytest.approx(np.mean([ratio[x] / ratio[z] >= 1.2 for z in compared]))


def test_rmia_needs_one_null_model_and_sees_nothing_where_nothing_is():
    draws = [simulated(1, seed) for seed in range(60)]
    found = [auc(null.rmia(losses[0], losses[1:], ~MEMBERS, SUBJECTS)) for losses in draws]
    assert abs(np.mean(found) - 0.5) < 0.02
    losses = simulated(3, 0, known=2)
    assert auc(null.rmia(losses[0], losses[1:], ~MEMBERS, SUBJECTS)) > 0.95
    huge = np.full((3, 4), 2000.0)  # probabilities that no float holds
    assert null.rmia(huge[0], huge[1:], np.ones(4, bool)).tolist() == [1.0] * 4


def test_a_smaller_a_would_tell_rows_apart_by_their_difficulty():
    """Why a is 1: with a = .3, as published for images, RMIA accuses easy rows of a model that never saw them."""
    draws = [simulated(3, seed) for seed in range(30)]
    assert np.mean([auc(null.rmia(d[0], d[1:], ~MEMBERS, SUBJECTS, a=0.3)) for d in draws]) > 0.8


@pytest.mark.parametrize(
    ("loss", "null_losses"),
    [([1.0, math.nan], [[1, 1], [2, 2]]), ([1.0], [[1.0]]), ([1.0, 2.0], [[1.0], [2.0]]), ([], np.ones((2, 0)))],
)
def test_unusable_losses_are_refused(loss, null_losses):
    with pytest.raises(ValueError, match=r"finite|at least 2|rows are needed"):
        null.u_lira(loss, null_losses)


def test_copies_of_one_null_model_are_refused():
    with pytest.raises(ValueError, match="copies"):
        null.u_lira([1.0, 2.0], [[1.5, 2.5], [1.5, 2.5]])


def test_the_epsilon_of_forty_and_forty_rows_is_2_34():
    assert null.epsilon_ceiling(40, 40) == pytest.approx(2.34, abs=0.005)
    for members, others in ((40, 120), (7, 300), (300, 7), (1, 1)):
        missed, alarms = (binomtest(0, n).proportion_ci(0.95, "exact").high for n in (members, others))
        both = math.log((1 - missed) / alarms), math.log((1 - alarms) / missed)
        assert null.epsilon_ceiling(members, others) == pytest.approx(max(0, *both))
    ceilings = [null.epsilon_ceiling(n, n) for n in (5, 10, 40, 400)]
    assert ceilings == sorted(ceilings)
    with pytest.raises(ValueError, match="both sides"):
        null.epsilon_ceiling(0, 40)


def test_intervals_of_attacks_cover_with_four_people():
    truth, hits = norm.cdf(0.5 / math.sqrt(2)), []
    for seed in range(400):
        draw = np.random.default_rng(seed)
        sides = [np.repeat(draw.normal(mean, math.sqrt(0.3), people), 10) + draw.normal(0, math.sqrt(0.7), 10 * people)
                 for mean, people in ((0.5, 4), (0, 12))]  # fmt: skip
        found = null.attack_auc(*sides, *([number // 10 for number in range(len(side))] for side in sides))
        hits.append(found["low"] <= truth <= found["high"])
    assert np.mean(hits) >= 0.92


def test_an_attack_without_an_interval_says_so():
    assert null.attack_auc([3, 4, 5], [0, 1, 2]) == {"auc": 1.0, "low": None, "high": None}
    assert null.attack_auc([3, 1], [2, 0], ["a", "a"], ["b", "c"]) == {"auc": 0.75, "low": None, "high": None}


def test_a_position_counts_who_is_below_and_above():
    place = null.position(1.0, [2.0, 3.0, 4.0, 5.0, 6.0])
    assert place["rank"] == "lower than all 5" and (place["low"], place["high"]) == (2, 6)
    assert place["z"] == pytest.approx((1 - 4) / math.sqrt(2.5))
    assert null.position(9, [1, 2])["rank"] == "higher than all 2"
    assert null.position(2, [1, 2, 3, 4])["rank"] == "1 of 4 below, 2 above"
    assert null.position(0.3, [0.3, 0.3, 0.3])["z"] is None
    assert null.position(0.5, [None, math.nan, 0.1, 0.2])["rank"] == "higher than all 2"
    assert null.position(None, [1, 2]) is null.position(math.nan, [1, 2]) is null.position(1, [1, None]) is None


def test_chance_makes_a_null_model_the_lowest_as_often_as_the_note_says():
    draw = np.random.default_rng(0)
    ranks = [null.position(values[0], values[1:])["rank"] for values in draw.normal(size=(3000, 6))]
    outside = np.mean([rank.startswith(("lower", "higher")) for rank in ranks])
    assert outside == pytest.approx(2 / 6, abs=0.03) and "2 of 6 cases" in null._what_chance_does(5)


# ---------------------------------------------------------------------------------------------------------------------
# From evaluations


def evaluation_of(losses, split: str = "judging") -> ModelEvaluation:
    """An evaluation with these losses on forget and judging rows, ten rows a person."""
    parts = {"forget": losses[:FORGET], split: losses[FORGET:]}
    found = ModelEvaluation(subjects={"forget": SUBJECTS[:FORGET], split: SUBJECTS[:JUDGING]})  # the same names twice
    for name, values in parts.items():
        found.per_example[name] = {"loss": [float(value) for value in values]}
        found.metrics[name] = {"loss": float(np.mean(values))}
    return found


def report_of(models: int, known: float = 0.0, split: str = "judging"):
    unlearned, *others = [evaluation_of(losses, split) for losses in simulated(models, 3, known)]
    return null.null_report(others, unlearned)


def test_the_report_of_a_model_that_remembers_and_of_one_that_does_not():
    remembers, notes = report_of(4, known=0.45)
    assert remembers["models"] == 4 and remembers["metrics"]["forget.loss"]["rank"] == "lower than all 4"
    assert remembers["metrics"]["membership_auc"]["rank"] == "higher than all 4"
    assert remembers["epsilon_ceiling"] == null.epsilon_ceiling(FORGET, JUDGING)
    for attack in ("u_lira", "rmia"):
        found = remembers[attack]
        assert found["auc"] > 0.85 > found["null"][1] and found["low"] <= found["auc"] <= found["high"]
    unseen, _ = report_of(4)
    for attack in ("u_lira", "rmia"):
        assert unseen[attack]["low"] < 0.5 < unseen[attack]["high"] and abs(unseen[attack]["null"][0] - 0.5) < 0.2
    assert "2 of 5 cases" in notes["null"] and json.dumps(remembers, allow_nan=False)
    text = "\n".join(null.null_lines(remembers))
    assert "forget.loss" in text and "lower than all 4" in text and "3.41" in text


def test_two_null_models_are_enough_and_holdout_rows_stand_in():
    report, notes = report_of(2, split="holdout")
    assert report["u_lira"]["null"] is None and 0 < report["u_lira"]["auc"] < 1
    assert report["others"] == "holdout" and "holdout" in notes["null_others"]


def test_rows_without_a_value_are_left_out_and_missing_sets_are_explained():
    unlearned, *others = [evaluation_of(losses) for losses in simulated(3, 5)]
    others[0].per_example["forget"]["loss"][0] = None
    report, _ = null.null_report(others, unlearned)
    assert report["epsilon_ceiling"] == null.epsilon_ceiling(FORGET - 1, JUDGING)
    for found in (unlearned, *others):
        found.per_example.pop("judging")
    report, notes = null.null_report(others, unlearned)
    assert report["u_lira"] is report["rmia"] is report["epsilon_ceiling"] is None
    assert "judging or holdout" in notes["null_attacks"] and report["metrics"]["forget.loss"]
    assert null.null_lines(report)


# ---------------------------------------------------------------------------------------------------------------------
# Training and reading null models


@pytest.fixture(scope="module")
def world(small, tmp_path_factory):
    """The small world with the untrained model that its target was made from, and quick settings."""
    folder = tmp_path_factory.mktemp("null")
    everyone = tiny_models.facts()
    base, tokenizer, _ = tiny_models.make_tiny(everyone[6:24], epochs=0)
    saving.save_model(base, tokenizer, folder / "base", "a card")
    config = folder / "config.yaml"
    config.write_text("num_train_epochs: 6\nlearning_rate: 5.0e-3\nper_device_train_batch_size: 4\ndtype: float32\n")
    return SimpleNamespace(small=small, folder=folder, base=folder / "base", config=config)


def flags(world, *more: str, without=()) -> list[str]:
    """The flags of a measurement with null models into world.folder / "out"."""
    given = {
        "model_name_or_path": world.small.target, "target_model": world.small.target,
        "retrained_model": world.small.retrained, "forget_data": world.small.data["forget"],
        "retain_data": world.small.data["retain"], "holdout_data": world.small.data["holdout"],
        "general_data": world.small.data["general"], "output_dir": world.folder / "out", "base_model": world.base,
        "null_config": world.config, "metrics": "loss,answer_probability,accuracy", "null": 2,
    }  # fmt: skip
    words = [f"--{name}={value}" for name, value in given.items() if name not in without]
    return [*words, "--overwrite_output_dir", *more]


@pytest.fixture
def places(world, monkeypatch, tmp_path):
    """Models, runs and kept evaluations of this test lie in a folder of its own; returns it."""
    monkeypatch.setattr(null_models, "SAVED", tmp_path / "saved")
    monkeypatch.setattr(null_models, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(kept, "EVALUATIONS", tmp_path / "kept")
    return tmp_path


def test_null_models_are_trained_once_and_measured_once(world, places, monkeypatch, capsys):
    """Stopped in the second training; then finished; then read; then one more is asked for."""
    waited, trained = null_models._waited, []

    def stopped_at(number):
        def run(command, output):
            trained.append(next(word for word in command if word.startswith("--seed=")))
            if len(trained) == number:
                raise KeyboardInterrupt
            return waited(command, output)

        return run

    monkeypatch.setattr(null_models, "_waited", stopped_at(2))
    assert evaluation_metrics.main(flags(world)) == 130
    assert trained == ["--seed=1", "--seed=2"] and len(list((places / "saved" / "null").iterdir())) == 1
    monkeypatch.setattr(null_models, "_waited", stopped_at(0))
    assert evaluation_metrics.main(flags(world)) == 0, capsys.readouterr().err
    assert trained == ["--seed=1", "--seed=2", "--seed=2"]
    said = capsys.readouterr().out
    assert "training takes about 1 min on two idle cores (1 to train)" in said and "among null models" in said
    report = json.loads((world.folder / "out" / "evaluation.json").read_text())
    assert report["null"]["models"] == 2 and report["null"]["metrics"]["forget.loss"]["rank"] == "lower than all 2"
    assert report["null"]["u_lira"]["auc"] > 0.9 and report["null"]["rmia"]["auc"] > 0.9
    assert set(report["null"]["metrics"]["forget.loss"]) >= {"mean", "sd", "low", "high", "z", "rank"}
    before = {path: path.stat().st_mtime_ns for path in (places / "kept").iterdir()}
    assert len(before) == 2
    assert evaluation_metrics.main(flags(world)) == 0 and len(trained) == 3
    assert {path: path.stat().st_mtime_ns for path in (places / "kept").iterdir()} == before
    assert json.loads((world.folder / "out" / "evaluation.json").read_text())["null"] == report["null"]
    assert evaluation_metrics.main(flags(world, "--null=3")) == 0 and trained[3:] == ["--seed=3"]
    folders = sorted((places / "saved" / "null").iterdir())
    assert [folder.name.split("-seed-")[1] for folder in folders] == ["1", "2", "3"]
    assert not list((places / "runs" / ".null").iterdir()), "finished trainings leave no run folder"
    weights = [next(folder.glob("*.safetensors")).read_bytes() for folder in folders]
    assert all(first != second for first, second in itertools.combinations(weights, 2))


def test_a_training_that_fails_says_why_and_counts_as_nothing(world, places, capsys):
    config = world.folder / "wrong.yaml"
    config.write_text("learning_rate: 1.0e-3\nlearning_speed: 3\n")
    assert evaluation_metrics.main(flags(world, f"--null_config={config}")) == 2
    assert "unknown flag --learning_speed: did you mean learning_rate" in capsys.readouterr().err
    assert not (places / "saved").exists()


def test_a_damaged_or_half_written_model_does_not_count(world, places):
    said = []
    folder = places / "saved" / "model"
    assert not null_models._finished(folder, said.append)
    base, tokenizer, _ = tiny_models.make_tiny(epochs=0)
    saving.save_model(base, tokenizer, folder, "a card")
    (folder / "README.md").write_text("another card")
    assert null_models._finished(folder, said.append) and not said
    with open(folder / "config.json", "a") as file:
        file.write("\n")
    assert not null_models._finished(folder, said.append) and "trained again" in said[0]
    (folder / "manifest.json").unlink()
    assert not null_models._finished(folder, said.append)


def test_a_stopped_training_continues_from_its_checkpoint(world, places):
    recipe = null_models.Recipe("base", "f.jsonl", "r.jsonl", {"use_peft": True, "lora_r": 4, "seed": 7})
    run = places / "run"
    command = null_models._command(recipe, 3, places / "model", run)
    assert {"--use_peft=true", "--lora_r=4", "--seed=3", "--overwrite_output_dir=true"} <= {*command}
    (run / "checkpoint-40").mkdir(parents=True)
    assert "--overwrite_output_dir=true" in null_models._command(recipe, 3, places / "model", run)
    (run / "checkpoint-40" / "manifest.json").write_text("{}")
    command = null_models._command(recipe, 3, places / "model", run)
    assert "--resume_from_checkpoint=latest" in command and "--overwrite_output_dir=true" not in command


def test_a_signal_reaches_the_training_once_and_it_saves_its_state(tmp_path):
    code = (
        "import signal, time, pathlib\n"
        "def stop(*_):\n"
        f"    with open({str(tmp_path / 'saved')!r}, 'a') as file: file.write('x')\n"
        "    time.sleep(.2)\n"
        "    raise SystemExit(130)\n"
        "signal.signal(signal.SIGINT, stop)\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "time.sleep(60)\n"
    )

    def kill_when_ready():
        while not (tmp_path / "ready").exists():
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=kill_when_ready, daemon=True).start()
    with pytest.raises(KeyboardInterrupt), open(tmp_path / "log", "w") as log:
        null_models._waited([sys.executable, "-c", code], log)
    assert (tmp_path / "saved").read_text() == "x" and signal.getsignal(signal.SIGTERM) is before


def test_the_models_depend_on_base_rows_and_settings_and_not_on_rows_they_never_see(world, places, tmp_path):
    recipe = null_models.Recipe(str(world.base), str(world.small.data["forget"]), str(world.small.data["retain"]))
    rows, name = null_models._name_of(recipe)
    assert rows == 18
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text("".join(world.small.data["forget"].read_text().splitlines(keepends=True)[:3]))
    assert null_models._name_of(dataclasses.replace(recipe, forget_data=str(fewer))) == (18, name)
    kept_rows = tmp_path / "retain.jsonl"
    kept_rows.write_text("".join(world.small.data["retain"].read_text().splitlines(keepends=True)[:-1]))
    others = [
        dataclasses.replace(recipe, retain_data=str(kept_rows)),
        dataclasses.replace(recipe, base=str(world.small.retrained)),
        dataclasses.replace(recipe, settings={**recipe.settings, "lora_r": 8}),
    ]
    assert len({name, *(null_models._name_of(other)[1] for other in others)}) == 4


def test_the_base_is_that_of_an_adapter():
    assert null_models.base_of("models/people-target") == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert null_models.base_of(None, "models/people-retrained") == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert null_models.base_of(None, "no/such/model") is None


@pytest.mark.parametrize(
    ("more", "without", "message"),
    [
        (["--null=1"], (), "--null 1: at least 2"),
        ([], ["base_model"], "--null needs --base_model"),
        ([], ["retain_data"], "--null needs --retain_data"),
        ([], ["null"], "--null_config is for --null K"),
        (["--base_model=no/such/folder"], ["null", "null_config"], "no such folder"),
        (["--null=two"], (), "invalid int value"),
        (["--base_model=no/such/folder"], (), "no such folder"),
        (["--null_config=no.yaml"], (), "No such file"),
        (["--benchmark=tofu", "--data_dir=x"], (), "not with --ledger or --benchmark"),
    ],
)
def test_unusable_flags_are_refused_before_anything_is_loaded(
    world, places, monkeypatch, capsys, more, without, message
):
    def refuse(*_, **__):
        raise AssertionError("a model was loaded or trained")

    monkeypatch.setattr(null_models.loading, "load_model", refuse)
    monkeypatch.setattr(null_models, "_waited", refuse)
    assert evaluation_metrics.main(flags(world, *more, without=without)) in (2, 4)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"), [("- 1\n", "must be a table"), ("seed: 3\n", "seed cannot be chosen"), ("a: [", "not YAML")]
)
def test_unusable_settings_are_refused(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        null_models.read_settings(str(path))


def test_a_null_model_that_knows_the_forget_set_is_refused(world, places):
    sets = {"forget": tiny_models.facts()[:6], "holdout": tiny_models.facts()[24:]}
    target = null_models.evaluated([world.small.target], sets, None, metrics=["loss"])[0]
    with pytest.raises(UnfitReference, match=r"null model .*target, as a retrained model: .*knows the forget set"):
        null_models.evaluated([world.small.target], sets, target, metrics=["loss"])
    assert null_models.evaluated([world.small.retrained], sets, target, metrics=["loss"])


def test_a_null_model_without_finite_losses_is_refused(places):
    broken = ModelEvaluation(per_example={"forget": {"loss": [None, None]}})
    with pytest.raises(UnfitReference, match="no forget row has a finite loss"):
        null_models._check(broken, None, places)


def test_the_verdicts_of_null_models_are_printed(world, places, tmp_path, capsys):
    """The script reads the sets as evaluation_metrics.py does, whatever flags that gets."""
    flags = []
    for name, rows in (("forget", slice(0, 6)), ("retain", slice(6, 12)), ("holdout", slice(24, 36))):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"question": f.prompt, "answer": f.answer, "subject": f.subject}) + "\n"
                                for f in tiny_models.facts()[rows]))  # fmt: skip
        flags.append(f"--{name}_data={path}")
    other = shutil.copytree(world.small.retrained, tmp_path / "seed-1")
    models = [f"--target={world.small.target}", f"--retrained={world.small.retrained}", str(other)]
    assert null_verdicts.main([*models, *flags, "--draws=2", "--general_data=none", "--judging_data=none"]) == 0
    said = capsys.readouterr().out
    assert "2 draws of rows within persons" in said and "not passed" in said


@pytest.mark.parametrize("kind", null_verdicts.KINDS)
def test_draws_are_the_same_for_every_model_and_a_person_drawn_twice_counts_twice(kind):
    first, second = (evaluation_of(np.arange(FORGET + JUDGING) + shift) for shift in (0.0, 0.5))
    for seed in range(5):
        ours, theirs = (null_verdicts.drawn(model, kind, seed) for model in (first, second))
        for split in ("forget", "judging"):
            mine, other = (np.array(model.per_example[split]["loss"]) for model in (ours, theirs))
            assert (other - mine == 0.5).all() and len(mine) == len(first.subjects[split])
            assert ours.metrics[split]["loss"] == pytest.approx(mine.mean())
            assert len(set(ours.subjects[split])) == len(set(first.subjects[split]))
            start = first.per_example[split]["loss"][0]
            persons = {(name, int(value - start) // 10) for name, value in zip(ours.subjects[split], mine)}
            assert len(persons) == len(set(ours.subjects[split])), "the rows of a name are one person's"
            assert kind == "persons" or sorted(set(mine)) != sorted(first.per_example[split]["loss"])
