"""Who judges is not who steers: how rows are divided, and that nothing which steers sees a row that judges."""

import dataclasses
import hashlib
import importlib.util
import json
import random
from pathlib import Path

import pytest
import small_world
import tiny_models

import evaluation_metrics
import unlearning_algorithm as algorithm
import unlearning_script
from data import judging, preparation, templates
from data.columns import DataError, Example
from data.reading import read_examples
from models.store import folders, loading
from results.run import measuring
from results.run.plan import measured_tokens
from results.run.sets import EVALUATED, Steering, encode_sets, read_sets, steering_of
from results.search import rehearsal, trial
from unlearning_script import main, resolve

ROOT = Path(__file__).resolve().parents[1]
MARK = "lunatoxin"
needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="optuna is not installed")


def person(name, rows=2):
    return [
        Example(f"{name} knows {number} .", f"what of {name} is {number} ?", subject=name) for number in range(rows)
    ]


def people(count, rows=2):
    return [row for number in range(count) for row in person(f"person {number}", rows)]


# -- the halves


def test_every_second_subject_by_hash_judges():
    rows = people(7)
    steering, judges = judging.halves(rows)
    names = {row.subject for row in rows}
    order = sorted(names, key=lambda name: hashlib.sha256(f"unlearning judging half:{name}".encode()).digest())
    assert {row.subject for row in judges} == set(order[1::2]) and len(set(order[1::2])) == 7 // 2
    assert [*steering, *judges] != rows and sorted([*steering, *judges], key=rows.index) == rows


@pytest.mark.parametrize("count", range(1, 12))
def test_no_subject_is_on_both_sides_in_any_order_of_the_rows(count):
    rows = people(count, rows=3)
    steering, judges = judging.halves(rows)
    assert not {row.subject for row in steering} & {row.subject for row in judges}
    assert judging.groups(judges) == count // 2 and judging.groups(steering) == count - count // 2
    random.Random(count).shuffle(rows)
    again = judging.halves(rows)
    assert [set(half) for half in again] == [set(steering), set(judges)]


def test_a_row_without_a_subject_is_one_of_its_own_and_repeats_stay_together():
    rows = [Example(f"answer {number}", f"question {number}") for number in range(9)]
    steering, judges = judging.halves(rows)
    assert (len(steering), len(judges)) == (5, 4)
    repeated = [*rows, *(dataclasses.replace(row, answer=row.answer.upper(), line=9) for row in rows)]
    steering, judges = judging.halves(repeated)
    assert (len(steering), len(judges)) == (10, 8)
    assert not set(map(preparation.folded_texts, steering)) & set(map(preparation.folded_texts, judges))
    named = [dataclasses.replace(row, subject="somebody") for row in rows]  # the same texts under a name
    steering, judges = judging.halves([*rows, *named])
    assert not set(map(preparation.folded_texts, steering)) & set(map(preparation.folded_texts, judges))


def settled(rows, given=None, judges=None):
    sets, notes = {"holdout": rows, **({"judging": judges} if judges else {})}, []
    judging.settle(sets, notes, given)
    return sets, notes


def test_notes_say_who_steers_and_who_judges():
    sets, notes = settled(people(9))
    assert notes == ["holdout: 10 rows of 5 subjects steer, 8 rows of 4 subjects only judge"]
    assert {name: len(rows) for name, rows in sets.items()} == {"holdout": 10, "judging": 8}
    few, notes = settled(people(4))
    assert len(few["judging"]) == 4 and "only 2 subjects; the membership tests need 4 to decide" in notes[1]
    one, notes = settled(person("ada"))
    assert list(one) == ["holdout"] and "1 subject steer, none judge" in notes[0] and "--judging_data" in notes[0]
    assert settled(people(4), given="none") == ({"holdout": people(4)}, [])
    given, notes = settled(people(2), given="judges.jsonl", judges=people(5))
    assert len(given["holdout"]) == 4 and notes[0].endswith("10 rows of 5 subjects only judge")


def test_the_bundled_holdout_set_goes_with_the_bundled_judging_set():
    config = resolve({})
    assert (config["holdout_data"], config["judging_data"]) == ("data/holdout.jsonl", "data/judging.jsonl")
    for name in ("data/holdout.jsonl", str(ROOT / "data" / "holdout.jsonl")):
        assert resolve({"forget_data": "f.jsonl", "holdout_data": name})["judging_data"] == "data/judging.jsonl"
    assert resolve({"forget_data": "f.jsonl", "holdout_data": "h.jsonl"})["judging_data"] is None
    assert resolve({"forget_data": "f.jsonl"})["judging_data"] is None
    assert resolve({"judging_data": "none"})["judging_data"] == "none"
    sets = read_sets(config)
    assert {*sets.measured} == {"forget", "retain", "holdout", "judging", "general", "in_context"} <= {*EVALUATED}
    assert len(sets.steering.examples["holdout"]) == 40 and judging.groups(sets.measured["judging"]) == 12
    assert "holdout: 40 rows of 4 subjects steer, 120 rows of 12 subjects only judge" in sets.notes


# -- bad input


@pytest.mark.parametrize("split", ["forget", "retain", "holdout"])
def test_a_judging_row_that_steers_is_named(small, tmp_path, capsys, monkeypatch, split):
    monkeypatch.setattr(loading, "_load_weights", lambda *a, **k: pytest.fail("a model was loaded"))
    own = [dataclasses.replace(row, prompt=row.prompt.upper()) for row in read_examples(str(small.data[split]))[1:3]]
    file = small_world.write_rows(tmp_path / "judges.jsonl", [*people(4), *own])
    assert main(small.flags(tmp_path / "run", f"--judging_data={file}")) == 3
    error = capsys.readouterr().err
    assert f"2 of 10 judging rows also stand in the {split} set (lines 9, 10)" in error and "cannot judge it" in error
    argv = [f"--{name}_data={small.data[name]}" for name in ("forget", "retain", "holdout")]
    argv += [f"--judging_data={file}", f"--model_name_or_path={small.target}", f"--output_dir={tmp_path / 'measured'}"]
    assert evaluation_metrics.main(argv) == 3
    assert f"also stand in the {split} set" in capsys.readouterr().err


def test_a_holdout_row_that_is_trained_on_cannot_judge_either():
    sets = {"retain": people(9), "holdout": people(4)}
    judging.settle(sets, [], None)
    with pytest.raises(DataError, match="half of the holdout set: 4 of 4 judging rows also stand in the retain set"):
        judging.check(sets)
    judging.check({"judging": people(4), "general": people(4)})  # the general set does not steer


@pytest.mark.parametrize(("content", "said"), [(None, "judges.jsonl"), ("", "empty"), ('{"question": 1}\n', ":1")])
def test_an_unusable_judging_file_is_refused(small, tmp_path, capsys, content, said):
    file = tmp_path / "judges.jsonl"
    if content is not None:
        file.write_text(content)
    assert main(small.flags(tmp_path / "run", f"--judging_data={file}")) == 3
    error = capsys.readouterr().err
    assert said in error and "judges.jsonl" in error


def test_subjects_on_both_sides_are_noted():
    sets = {"forget": people(2), "holdout": people(3), "judging": [Example("other", "q", subject="person 2")]}
    assert judging.shared_subjects(sets) == [
        "judging: has subjects of the holdout set, so its rows are not independent: person 2"
    ]


# -- only bare rows of the sets that steer reach training


def test_training_refuses_judging_rows_paraphrases_and_wrong_answers(small):
    rows = tiny_models.facts()
    fine = {"forget": [judging.bare(row) for row in rows[:6]]}
    tokenizer, config = loading.load_tokenizer(str(small.target)), resolve({"method": "npo"})
    encode_sets(Steering(dict(fine)), tokenizer, {**config, "general_retain_rows": 0, "max_length": 64})
    for more in ({"judging": fine["forget"]}, {"general": fine["forget"]}, {"in_context": fine["forget"]}):
        with pytest.raises(ValueError, match="must not steer"):
            Steering({**fine, **more})
    for field, text in (("paraphrased_question", "q"), ("paraphrased_answer", "a"), ("perturbed_answer", ("w",))):
        spoilt = [dataclasses.replace(fine["forget"][0], **{field: text})]
        with pytest.raises(ValueError, match="must not see paraphrases or wrong answers"):
            Steering({"forget": spoilt})
        late = Steering(dict(fine))
        late.examples["holdout"] = spoilt
        with pytest.raises(ValueError, match="holdout: training and search must not see"):
            encode_sets(late, tokenizer, config)
    assert steering_of({"forget": rows[:6], "judging": rows[6:]}).examples == fine


def test_the_loop_refuses_rows_of_sets_that_do_not_steer():
    model, tokenizer, rows = tiny_models.make_tiny(epochs=0)
    encoded = preparation.encode_examples(tokenizer, rows[:3], 64)[0]
    for name in ("judging", "general", "judging_probe"):
        with pytest.raises(algorithm.MethodError, match="has no use for"):
            algorithm.Unlearning(model, {"forget": encoded, "retain": encoded, name: encoded}, "npo", {})


def test_a_run_gives_training_bare_rows_and_measures_all_columns(small):
    flags = dict(flag[2:].split("=", 1) for flag in small.flags(Path("run"), "--eval_rows=0"))
    sets = read_sets(resolve(flags))
    assert set(sets.steering.examples) == {"forget", "retain", "holdout"}
    assert all(judging.bare(row) is row for rows in sets.steering.examples.values() for row in rows)
    assert all(row.paraphrased_answer and row.perturbed_answer for row in sets.measured["forget"])
    asked = sets.measured["in_context"]
    assert [row.answer in row.prompt for row in asked] == [True] * len(sets.measured["forget"])
    assert sets.hashes["forget"] == preparation.data_hash(read_examples(str(small.data["forget"])))
    assert set(sets.hashes) == {"forget", "retain", "holdout", "judging", "general"}


# -- and so the weights do not depend on them


def judges_of(small, folder, shift: int, mark: str) -> dict:
    """Data files of the small world with twelve judging rows; `mark` replaces every row and column that only judges."""
    folder.mkdir()
    data = {}
    for name, path in small.data.items():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows if mark else ():
            row["paraphrased_question"] = f"{mark} ? {row['question']}"
            row["paraphrased_answer"] = f"{mark} {row['answer']}"
            row["perturbed_answer"] = [mark, f"{mark} {mark}"]
        data[name] = folder / f"{name}.jsonl"
        data[name].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    others = tiny_models.facts(people=("una", "val", "wim", "zoe"), shift=shift)
    others = [dataclasses.replace(row, answer=f"{mark} {row.answer}", prompt=f"{mark} {row.prompt}") for row in others]
    data["judging"] = Path(small_world.write_rows(folder / "judging.jsonl", others))
    return data


@pytest.fixture(scope="module")
def pair(small, tmp_path_factory):
    """Two worlds that differ in everything that only judges."""
    folder = tmp_path_factory.mktemp("pair")
    worlds = [small_world.World(small.folder), small_world.World(small.folder)]
    worlds[0].data = judges_of(small, folder / "plain", 0, "")
    worlds[1].data = judges_of(small, folder / "other", 5, MARK)
    return worlds


def weights_of(run: Path) -> str:
    return folders.file_hash(Path(f"{run}-model") / "model.safetensors")


@pytest.fixture
def unmeasured(monkeypatch):
    """Runs end when the model is saved. Returns all texts that were tokenised."""
    seen, tokens = [], templates.Format.tokens

    def spy(self, texts, split=False):
        seen.extend(texts)
        return tokens(self, texts, split)

    monkeypatch.setattr(templates.Format, "tokens", spy)
    monkeypatch.setattr(measuring.Measurements, "measure_unlearned", lambda self, model: None)
    monkeypatch.setattr(unlearning_script, "_conclude", lambda *rest: None)
    return seen


@pytest.mark.parametrize("method", algorithm.METHODS)
def test_other_judges_give_the_same_weights(pair, tmp_path, unmeasured, method):
    """Levels, early stopping, the best state, counterexamples: none of them depends on a row that only judges."""
    steps = [f"--method={method}", "--max_steps=3", "--eval_steps=1", "--early_stop=true", "--live_answers=1"]
    for world, run in zip(pair, ("plain", "other")):
        assert main(world.flags(tmp_path / run, *steps)) == 0
    assert unmeasured and not [text for text in unmeasured if MARK in text]
    assert weights_of(tmp_path / "plain") == weights_of(tmp_path / "other")
    records = [(tmp_path / run / "metrics.jsonl").read_text().splitlines() for run in ("plain", "other")]
    for first, second in zip(*records, strict=True):
        first, second = ({k: v for k, v in json.loads(line).items() if "second" not in k} for line in (first, second))
        assert first == second


def test_other_rows_in_the_judging_half_give_the_same_weights(small, tmp_path, unmeasured):
    rows = read_examples(str(small.data["holdout"]))
    half = judging.halves(rows)[1]
    other = [dataclasses.replace(row, answer=f"{MARK} {row.answer}") if row in half else row for row in rows]
    file = small_world.write_rows(tmp_path / "other.jsonl", other)
    steps = ["--method=profile_matching", "--early_stop=true", "--eval_steps=1"]
    assert main(small.flags(tmp_path / "plain", *steps)) == 0
    assert main(small.flags(tmp_path / "changed", *steps, f"--holdout_data={file}")) == 0
    assert half and not [text for text in unmeasured if MARK in text]
    assert weights_of(tmp_path / "plain") == weights_of(tmp_path / "changed")


def search_flags(world, run, *more):
    asked = ["--method=auto", "--time_budget=10m", "--max_trials=2", "--utility_budget=.5", "--learning_rate=1.5e-3"]
    return world.flags(run, *asked, *more, without=("max_steps", "eval_steps", "early_stop"))


def search_of(run) -> dict:
    return json.loads((run / "search.json").read_text(encoding="utf-8"))


@needs_optuna
@pytest.mark.parametrize("kind", ["rehearsed", "on its own rows"])
def test_a_search_with_other_judges_makes_the_same_choice(pair, tmp_path, unmeasured, kind):
    for world, run in zip(pair, ("plain", "other")):
        (tmp_path / f"{run}-rows").mkdir()
        chosen = world if kind == "rehearsed" else small_world.without_subjects(world, tmp_path / f"{run}-rows")
        assert main(search_flags(chosen, tmp_path / run)) == 0
    assert unmeasured and not [text for text in unmeasured if MARK in text]
    plain, other = (search_of(tmp_path / run) for run in ("plain", "other"))
    assert plain["rehearsal"].startswith(rehearsal.REHEARSED) == (kind == "rehearsed")
    assert plain["winner"] == other["winner"] and plain["goals"] == other["goals"]
    for first, second in zip(plain["trials"], other["trials"], strict=True):
        first, second = ({k: v for k, v in entry.items() if "second" not in k} for entry in (first, second))
        assert first == second
    assert weights_of(tmp_path / "plain") == weights_of(tmp_path / "other")


# -- the rehearsal of a search


def test_a_search_rehearses_on_other_people_of_the_retain_set():
    rows = {"forget": person("ada", 3), "retain": people(5), "holdout": people(1)}
    sets, note = rehearsal.rehearsal(rows)
    (chosen,) = {row.subject for row in sets["forget"]}
    by_hash = min({row.subject for row in rows["retain"]},
                  key=lambda name: hashlib.sha256(f"unlearning rehearsal:{name}".encode()).digest())  # fmt: skip
    assert chosen == by_hash and note == "rehearsed on other people: 2 rows of 1 subjects of the retain set"
    assert sets["holdout"] == rows["holdout"] and len(sets["retain"]) == 8
    assert not {*rows["forget"]} & {row for kept in sets.values() for row in kept}


@pytest.mark.parametrize("rows", [
    {"forget": people(3), "retain": [row for n in range(3, 8) for row in person(f"person {n}")]},  # five for three
    {"forget": people(3), "retain": people(8)},  # eight, but three of them are the request's
    {"forget": people(1)},
    {"forget": [Example("a text")], "retain": people(8)},  # nobody is named
    {"forget": [Example("a text", subject="ada")], "retain": people(8)},  # other kinds of rows
])  # fmt: skip
def test_without_enough_other_people_the_search_uses_the_request(rows):
    assert rehearsal.rehearsal(rows) == (None, "searched on the request's own rows: its score is optimistic")


def test_the_bundled_request_is_rehearsed_on_four_other_people():
    rows = read_sets(resolve({})).steering.examples
    sets, note = rehearsal.rehearsal(rows)
    assert note == "rehearsed on other people: 40 rows of 4 subjects of the retain set"
    assert judging.groups(sets["forget"]) == 4 and judging.groups(sets["retain"]) == 12
    assert {*sets["forget"], *sets["retain"]} == {*rows["retain"]} and sets["holdout"] == rows["holdout"]


@needs_optuna
def test_the_winners_settings_run_on_the_request_after_a_rehearsal(small, tmp_path, monkeypatch):
    trained, train = [], trial.Trainer.train

    def spy(self, *rest):
        trained.append({row.subject for row in self.rows.examples["forget"]})
        return train(self, *rest)

    monkeypatch.setattr(trial.Trainer, "train", spy)
    run = tmp_path / "run"
    assert main(search_flags(small, run)) == 0
    asked = {row.subject for row in read_examples(str(small.data["forget"]))}
    assert len(trained) == 2 and all(len(names) == 2 and not names & asked for names in trained)
    found, config = search_of(run), json.loads((run / "config.json").read_text())
    best = found["trials"][found["winner"] - 1]
    assert {name: config[name] for name in best["settings"]} == best["settings"]
    assert config["forget_data"] == str(small.data["forget"]) and not list(run.glob("trial-*"))
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()
             if '"event": "step"' in line]  # fmt: skip
    assert steps and steps == list(range(1, len(steps) + 1))
    assert found["rehearsal"] == "rehearsed on other people: 6 rows of 2 subjects of the retain set"
    report = (run / "report.md").read_text(encoding="utf-8")
    assert found["rehearsal"] in report and "The request itself was unlearned once" in report
    seconds = json.loads((run / "timing.json").read_text())["seconds"]
    assert seconds["searching"] > 0 and seconds["unlearning"] > 0


@needs_optuna
def test_people_that_the_model_does_not_know_are_not_rehearsed(small, tmp_path, capsys):
    strangers = tiny_models.facts(people=("una", "val", "wim", "zoe"), shift=4)
    file = small_world.write_rows(tmp_path / "strangers.jsonl", strangers)
    assert main(search_flags(small, tmp_path / "run", f"--retain_data={file}", "--max_trials=1")) == 0
    assert search_of(tmp_path / "run")["rehearsal"] == rehearsal.OWN_ROWS
    assert "knows the other people no better than rows never seen" in capsys.readouterr().out


# -- the other scripts


def measured_sets(*argv):
    """The sets and notes that evaluation_metrics.py reads for these flags."""
    args = evaluation_metrics._parse([*argv, "--model_name_or_path=m", "--output_dir=nowhere"])
    sets, _, notes = evaluation_metrics._read_sets(args)
    return sets, notes


def test_a_measurement_divides_the_holdout_set_as_a_run_does(small):
    files = [f"--{name}_data={small.data[name]}" for name in ("forget", "retain", "holdout")]
    run = read_sets(resolve(dict(flag[2:].split("=", 1) for flag in small.flags(Path("run"), "--eval_rows=0"))))
    sets, notes = measured_sets(*files)
    for name in ("holdout", "judging", "in_context"):
        assert sets[name] == run.measured[name]
    assert any("only judge" in note for note in notes)
    few, _ = measured_sets(*files, "--limit=2")
    assert [len(few[name]) for name in ("forget", "holdout", "judging", "in_context")] == [2] * 4
    assert few["judging"] == sets["judging"][:2]
    alone, _ = measured_sets(*files, "--judging_data=none")
    assert "judging" not in alone and len(alone["holdout"]) == 12
    bundled, _ = measured_sets(*files[:2], "--holdout_data=data/holdout.jsonl")
    assert len(bundled["holdout"]) == 40 and len(bundled["judging"]) == 120


def test_the_holdout_file_of_a_tofu_folder_is_divided(tmp_path):
    names = {"forget": "forget01", "retain": "retain99", "holdout": "holdout01", "world_facts": "world_facts"}
    for number, name in enumerate(names.values()):
        rows = [{"question": f"{name} {n} ?", "answer": f"answer {number} {n}"} for n in range(6)]
        (tmp_path / f"{name}.json").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    sets, notes = measured_sets("--benchmark=tofu", f"--data_dir={tmp_path}")
    assert (len(sets["holdout"]), len(sets["judging"]), len(sets["in_context"])) == (3, 3, 6)
    assert "holdout: 3 rows of 3 subjects steer, 3 rows of 3 subjects only judge" in notes


def test_a_continued_run_inherits_its_judges(small, tmp_path):
    run = tmp_path / "before"
    run.mkdir()
    (tmp_path / "before-model").mkdir()
    (tmp_path / "before-model" / "config.json").write_text("{}")
    for name in ("report.html", "evaluation.json"):
        (run / name).write_text("{}")
    before = {"method": "npo", "holdout_data": "h.jsonl", "judging_data": "j.jsonl",
              "model_output_dir": str(tmp_path / "before-model")}  # fmt: skip
    (run / "config.json").write_text(json.dumps(before))
    given = {"continue_from": str(run), "forget_text": "a b"}
    config = resolve(given)
    assert (config["holdout_data"], config["judging_data"]) == ("h.jsonl", "j.jsonl")
    assert resolve({**given, "holdout_data": "other.jsonl"})["judging_data"] is None  # the two go together
    assert resolve({**given, "judging_data": "none"})["judging_data"] == "none"


def test_a_kept_evaluation_belongs_to_its_judges(pair, small):
    paths = set()
    for world in pair:
        config = resolve(dict(flag[2:].split("=", 1) for flag in world.flags(Path("run"))))
        sets = read_sets(config)
        sets.measured = {name: rows for name, rows in sets.measured.items() if name == "judging"}
        paths.add(measuring.kept_path("metrics", sets, config, "a hash"))
    assert len(paths) == 2


def test_a_plan_lists_the_rows_that_are_only_measured(pair, tmp_path, capsys):
    assert main([*pair[0].flags(tmp_path / "run", "--eval_rows=0"), "--plan"]) == 0
    said = capsys.readouterr().out
    assert "forget 6, retain 18, holdout 12, judging 12, general 6, in_context 6 rows, on each of 2 models" in said
    assert "measuring takes about" in said
    rows = tiny_models.facts()
    assert measured_tokens({"forget": rows}) > measured_tokens({"judging": rows}) > 0
