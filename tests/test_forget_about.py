"""--forget_about in a run: the flags, the questions, the files that a person edits, and the retrained model."""

import json
from pathlib import Path

import pytest
import tiny_models

from data.finding import split as splitting
from data.reading import read_examples
from models.store import saving
from models.training import null_models
from results.run.request import asked, flags, reference
from unlearning_script import main, resolve


def write(path: Path, rows) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


# ---------------------------------------------------------------------------------------------------------------------
# The flags

SETS = ("forget_data", "retain_data")


@pytest.fixture
def told(small, tmp_path, monkeypatch):
    """Runs the script on the small world's own rows as training data; nobody is at a terminal."""
    monkeypatch.setattr(asked, "_terminal", lambda: False)
    data = f"--training_data={small.data['forget']},{small.data['retain']}"

    def run(*more, without=SETS, place="run"):
        return main(small.flags(tmp_path / place, data, "--forget_about=ada", *more, without=without))

    return run


def test_a_request_runs_from_training_data_to_report(told, small, tmp_path, capsys):
    assert told("--yes") == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "forget        3 rows: full name 3" in said and "keep         21 rows" in said
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert Path(config["forget_data"]) == tmp_path / "run" / "request" / "forget.jsonl"
    assert config["training_data"] is None and "--forget_about" not in " ".join(config["command"])
    assert {row.subject for row in read_examples(config["forget_data"])} == {"ada"}
    assert (tmp_path / "run" / "report.html").exists() and "columns not used" not in said
    assert said.strip().endswith("rows that mean ada without a name (she, the author) are not found")


def test_without_a_yes_the_split_is_written_and_the_command_goes_on(told, small, tmp_path, capsys):
    assert told() == 2
    said = capsys.readouterr()
    assert "nobody has said yes" in said.err and not (tmp_path / "run" / "config.json").exists()
    command = next(line.strip() for line in said.out.splitlines() if "unlearning_script.py" in line)
    assert f"--forget_data={tmp_path}/run/request/forget.jsonl" in command and "--yes" not in command
    forget = tmp_path / "run" / "request" / "forget.jsonl"
    forget.write_text("".join(forget.read_text().splitlines(keepends=True)[:2]))
    import shlex

    assert main(shlex.split(command)[2:]) == 0
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert len(read_examples(forget)) == 2


def test_the_same_request_reads_edited_files_and_another_is_refused(told, tmp_path, capsys):
    assert told() == 2
    forget = tmp_path / "run" / "request" / "forget.jsonl"
    forget.write_text(forget.read_text().splitlines(keepends=True)[0])
    assert told() == 2
    assert "are read again" in capsys.readouterr().out and len(read_examples(forget)) == 1
    assert told("--forget_about=bor") == 2
    assert "holds the edited rows of another request" in capsys.readouterr().err
    assert told("--forget_about=bor", "--overwrite_output_dir") == 2
    assert {row.subject for row in read_examples(forget)} == {"bor"}


def doubtful_world(tmp_path) -> str:
    rows = ["Ada Lund bakes bread.", "Then Ada sleeps.", "Bor Graz works.", "It rains."]
    return write(tmp_path / "named.jsonl", [{"question": f"Row {n}?", "answer": text} for n, text in enumerate(rows)])


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ((), (1, 2, 1)),
        (("--doubtful=forget",), (2, 2, 0)),
        (("--doubtful=keep",), (1, 3, 0)),
        (("--doubtful=aside",), (1, 2, 1)),
    ],
)
def test_rows_in_doubt_are_trained_on_only_if_the_user_says_so(tmp_path, monkeypatch, capsys, more, counts):
    settings = {"training_data": doubtful_world(tmp_path), "forget_about": "Ada Lund", "yes": True,
                "output_dir": str(tmp_path / "run"), "method": "npo"}  # fmt: skip
    settings |= dict(word.removeprefix("--").split("=") for word in more)
    with asked.settled(settings) as request:
        assert set(request.settings) == {"output_dir", "method", "forget_data", "retain_data"}
    assert tuple(splitting.read(tmp_path / "run" / "request").counts.values()) == counts
    line = "1 row mentions Ada Lund only by first name: look at it"
    assert (line in "\n".join(request.lines)) == (counts[2] == 1)


def test_a_person_at_a_terminal_decides_row_by_row(tmp_path, monkeypatch, capsys):
    rows = ["Ada Lund bakes.", "Then Ada sleeps.", "There Ada eats.", "Here Lund ends.", "It rains."]
    path = write(tmp_path / "named.jsonl", [{"text": text} for text in rows])
    monkeypatch.setattr(asked, "_terminal", lambda: True)
    answers = iter(["y", "N", "l", "y"])
    monkeypatch.setattr(asked, "_answer", lambda question: next(answers))
    settings = {"training_data": path, "forget_about": "Ada Lund", "output_dir": str(tmp_path / "run")}
    with asked.settled(settings):
        pass
    split = splitting.read(tmp_path / "run" / "request")
    assert split.counts == {"forget": 2, "retain": 2, "doubtful": 1}
    assert next(answers, None) is None and "row 1" not in capsys.readouterr().out
    answers = iter(["l", ""])  # the row that is still in doubt, then no yes
    with pytest.raises(ValueError, match="nobody has said yes"), asked.settled(settings):
        pass


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("--forget_about=zoe zorn",), 3, "no row names zoe zorn"),
        (("--training_data=nowhere.jsonl",), 3, "no such file or folder: nowhere.jsonl"),
        (("--forget_about=/(/",), 2, "is no regular expression"),
        (("--forget_about_file=nowhere.txt",), 3, "--forget_about_file nowhere.txt: No such file"),
        (("--forget_about= ",), 2, "--forget_about: no name in it: give a name"),
        (("--forget_about=;\n",), 2, "--forget_about: no name in it: give a name"),
        (("--forget_about=the",), 2, "--forget_about: the is in nearly every text"),
        (("--doubtful=maybe",), 2, "must be one of ask, forget, keep, aside"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_words(told, capsys, more, code, message):
    assert told("--yes", *more) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("given", [{"forget_about": " "}, {"forget_about": [";", " "]}, {}])
def test_an_empty_name_is_not_called_an_empty_file(given):
    with pytest.raises(flags.DataError, match=r"^--forget_about: no subject in it: give a name"):
        flags.asked_subjects(given)


def test_an_empty_file_of_names_is_named(tmp_path):
    (tmp_path / "names.txt").write_text("# nobody\n\n;\n")
    with pytest.raises(flags.DataError, match=r"^--forget_about_file \S+names.txt: no subject in it"):
        flags.asked_subjects({"forget_about_file": str(tmp_path / "names.txt")})


def test_contradictions_are_refused_together(told, small, capsys):
    assert told("--yes", without=()) == 2
    said = capsys.readouterr().err
    assert all(f"--{name} and --training_data" in said for name in SETS)
    assert told("--yes", without=("forget_about", *SETS)) == 2
    assert "needs --forget_about" in capsys.readouterr().err
    assert told("--yes", without=("training_data",)) == 2
    assert "--forget_data and --forget_about: rows and a name" in capsys.readouterr().err


def test_one_file_twice_is_refused(told, small, capsys):
    again = f"{small.data['forget']},{small.folder}/../{small.folder.name}/forget.jsonl"
    assert told("--yes", f"--training_data={again}") == 3
    assert "is given twice" in capsys.readouterr().err


def test_subjects_come_from_several_flags_and_a_file(told, small, tmp_path, monkeypatch):
    (tmp_path / "people.txt").write_text("# a list\nbor\n\nzoe zorn\n", encoding="utf-8")
    words = ["--forget_about=ada", "--forget_about=cyd", f"--forget_about_file={tmp_path}/people.txt", "--yes"]
    words += [f"--training_data={small.data['forget']},{small.data['retain']}", f"--output_dir={tmp_path}/run"]
    from unlearning_script import parse

    with asked.settled(vars(parse(words))) as request:
        named = {row.subject for row in read_examples(request.settings["forget_data"])}
    assert named == {"ada", "bor", "cyd"}


def test_a_plan_shows_the_split_and_writes_nothing(told, tmp_path, capsys):
    assert told("--plan") == 0
    said = capsys.readouterr().out
    assert "forget        3 rows" in said and "exact: unknown; --base_model is missing" in said
    assert "approximate: " in said and list(tmp_path.iterdir()) == []


def test_resolving_alone_never_falls_back_to_the_bundled_rows(tmp_path):
    config = resolve(
        {"training_data": "all.jsonl", "forget_about": ["Ada", "Bor"], "output_dir": str(tmp_path / "run")}
    )
    assert config["forget_data"] == str(tmp_path / "run" / "request" / "forget.jsonl")
    assert config["retrained_model"] is None and config["forget_about"] == "Ada\nBor"


# ---------------------------------------------------------------------------------------------------------------------
# The retrained model


@pytest.fixture
def base(tmp_path, monkeypatch):
    """(folder of an untrained base model, a file of training settings); built models lie in the test's folder."""
    monkeypatch.setattr(null_models, "SAVED", tmp_path / "saved")
    monkeypatch.setattr(null_models, "RUNS", tmp_path / "runs")
    model, tokenizer, _ = tiny_models.make_tiny(epochs=0)
    saving.save_model(model, tokenizer, tmp_path / "base", "a card")
    (tmp_path / "recipe.yaml").write_text(
        "learning_rate: 5.0e-3\nnum_train_epochs: 20\nper_device_train_batch_size: 4\n"
    )
    return tmp_path / "base", tmp_path / "recipe.yaml"


def test_the_retrained_model_is_built_once_and_measured(told, base, tmp_path, capsys):
    more = ("--yes", "--build_retrained", f"--base_model={base[0]}", f"--null_config={base[1]}")
    assert told(*more) == 0, capsys.readouterr().err
    (folder,) = (tmp_path / "saved" / "null").iterdir()
    assert folder.name.endswith("-seed-0") and "retrained model: training takes" in capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert json.loads((tmp_path / "run" / "config.json").read_text())["retrained_model"].endswith(folder.name)
    losses = {role: report["models"][role]["forget"]["loss"] for role in ("target", "retrained")}
    assert losses["retrained"] > losses["target"] + 0.5, "it never saw her rows"
    assert told(*more, place="second") == 0
    assert "training takes" not in capsys.readouterr().out


def test_a_null_model_of_the_same_request_lies_beside_the_retrained_one(base, tmp_path, small, monkeypatch):
    trained = []
    monkeypatch.setattr(null_models, "_train", lambda recipe, seed, folder, log: trained.append(folder))
    recipe = null_models.Recipe(str(base[0]), str(small.data["forget"]), str(small.data["retain"]))
    folder = null_models.reference(recipe, lambda _: None)
    null_models.built(recipe, 2, lambda _: None)
    assert [path.name.rpartition("-")[2] for path in trained] == ["0", "1", "2"] and trained[0] == folder
    assert len({path.name.rpartition("-seed-")[0] for path in trained}) == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--build_retrained",), "--base_model is missing"),
        (("--build_retrained", "--base_model={target}"), "is the target model itself"),
        (("--build_retrained", "--base_model={base}", "--retrained_model={retrained}"), "give only one of them"),
        (("--build_retrained", "--base_model={base}", "--method=retrain"), "do the same"),
    ],
)
def test_a_retrained_model_that_cannot_be_built_is_refused(told, small, base, capsys, more, message):
    places = {"target": small.target, "retrained": small.retrained, "base": base[0]}
    assert told("--yes", *(word.format(**places) for word in more)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("exact", "better"), [(240.0, True), (1000.0, False)])
def test_the_plan_says_when_retraining_is_the_better_answer(told, base, capsys, monkeypatch, exact, better):
    monkeypatch.setattr(reference.plan, "seconds_of", lambda *configs: [150.0, exact])
    assert told("--plan", f"--base_model={base[0]}", f"--null_config={base[1]}") == 0
    said = capsys.readouterr().out
    assert f"exact: {reference.plan.span(exact)} by retraining" in said and "approximate: 2.5 min by npo" in said
    assert ("retraining is the better answer" in said) is better
    assert ("--method=retrain" in said and "--forget_about=ada" in said) is better


def test_times_of_a_plan_are_real_estimates(told, base, capsys):
    assert told("--plan", f"--base_model={base[0]}", f"--null_config={base[1]}") == 0
    said = capsys.readouterr().out
    assert "by retraining from" in said and "approximate: " in said and "learning_rate=0.005" in said


def test_every_flag_of_a_request_is_an_option():
    from unlearning_script import OPTIONS

    assert {*flags.FLAGS, *flags.REFERENCE_FLAGS} <= set(OPTIONS)
