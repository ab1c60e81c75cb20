"""Exams: every published form of a row, refusals that name the place, and the numbers beside the verdict."""

import dataclasses
import json

import constructed_models as made
import pytest
import tiny_models

import analyze_results
import evaluation_metrics as em
import unlearning_script as script
from data import exams
from data.columns import DataError
from models.scores.evaluating import EXAM_METRICS
from models.store import saving
from models.verdict import rest
from results.run import measuring, options
from results.run.sets import read_sets

SEA = {"question": "which is wet ?", "choices": ["sand", "sea", "stone", "sky"], "answer": 1}


def read(tmp_path, *rows, name="my-exam.jsonl"):
    (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return exams.read_exams([str(tmp_path / name)])


FORMS = {
    "MMLU and WMDP": SEA,
    "letter": {**SEA, "answer": "B"},
    "small letter in brackets": {**SEA, "answer": "(b)"},
    "text": {**SEA, "answer": "sea"},
    "number as text": {**SEA, "answer": "1"},
    "ARC": {"question": SEA["question"], "choices": {"text": SEA["choices"], "label": ["1", "2", "3", "4"]},
            "answerKey": "2"},
    "by letter": {"question": SEA["question"], "options": dict(zip("ABCD", SEA["choices"])), "answer": "B"},
    "options and answer_index": {"question": SEA["question"], "options": SEA["choices"], "answer_index": 1},
    "float from a table": {**SEA, "answer": 1.0},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_published_form_is_the_same_row(tmp_path, form):
    ((name, (row,)),) = read(tmp_path, FORMS[form]).items()
    assert name == "exam_my_exam"
    assert (row.answer, row.perturbed_answer, row.line) == ("B", ("A", "C", "D"), 1)
    assert row.prompt == "which is wet ?\nA. sand\nB. sea\nC. stone\nD. sky\n\nAnswer with the letter."


def test_a_table_and_numbers_as_choices(tmp_path):
    (tmp_path / "e.csv").write_text('question,choices,answer,subject\nhow many ?,"[1, 2, 3]",2,sums\n')
    (row,) = exams.read_exams([str(tmp_path / "e.csv")])["exam_e"]
    assert (row.answer, row.subject) == ("B", "sums")  # the text of a choice wins over a number in text
    (row,) = read(tmp_path, {"question": "how many ?", "choices": ["1", "2", "3"], "answer": 2})["exam_my_exam"]
    assert row.answer == "C"  # a number counts from 0


FLAWS = {
    "answer beyond": ({**SEA, "answer": 4}, "numbered 0 to 3; choices are counted from 0"),
    "no such letter": ({**SEA, "answer": "E"}, "none of the choices"),
    "answer is true": ({**SEA, "answer": True}, "expected the number"),
    "no answer": ({"question": "q", "choices": ["a", "b"]}, "no answer"),
    "two answers": ({**SEA, "answerKey": "B"}, "several of answer, answerKey"),
    "no choices": ({"question": "q", "answer": 0}, "no choices"),
    "one choice": ({**SEA, "choices": ["sea"], "answer": 0}, "1 choices, expected 2 to 26"),
    "the same twice": ({**SEA, "choices": ["sea", "sea "]}, "two choices are the same"),
    "an empty choice": ({**SEA, "choices": ["sea", ""]}, "a choice is ''"),
    "a choice is null": ({**SEA, "choices": ["sea", None]}, "a choice is None"),
    "choices as prose": ({**SEA, "choices": "sand or sea"}, "expected a list"),
    "no question": ({**SEA, "question": " "}, "question is ' '"),
    "labels that are missing": ({**SEA, "choices": {"text": ["a", "b"], "label": ["A"]}}, "one label each"),
    "text and letter disagree": ({"question": "q", "choices": ["B", "A"], "answer": "A"}, "letter of another"),
    "no object": (["q", ["a", "b"], 0], "must be an object"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flawed_row_is_refused_with_file_and_line(tmp_path, flaw):
    row, reason = FLAWS[flaw]
    with pytest.raises(DataError, match=r"my-exam\.jsonl:2: ") as refused:
        read(tmp_path, SEA, row)
    assert reason in str(refused.value)


def test_names_of_sets_and_notes(tmp_path):
    for folder in "abc":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "WMDP bio.jsonl").write_text(json.dumps({**SEA, "origin": "x"}) + "\n")
    notes = []
    found = exams.read_exams([str(tmp_path / f / "WMDP bio.jsonl") for f in "abc"], notes=notes)
    assert list(found) == ["exam_wmdp_bio", "exam_wmdp_bio_2", "exam_wmdp_bio_3"]
    assert "columns not used: 'origin'" in notes[0]
    assert exams.set_name("cais/mmlu:all:test") == "exam_mmlu_all_test" and exams.set_name("/x/...") == "exam_exam"


# -- the evaluation


def papers(shift=0):
    """Six questions of words that a tiny tokenizer knows."""
    words = ("salt", "wind", "moss", "corn", "rain", "gold")
    return [{"question": f"number {i} ?", "choices": [words[(i + j) % 6] for j in range(3)], "answer": (i + shift) % 3}
            for i in range(6)]  # fmt: skip


@pytest.fixture(scope="module")
def knower(tmp_path_factory):
    """(folder, exam file) of a tiny model that has learned an exam's letters beside its facts."""
    folder = tmp_path_factory.mktemp("exam")
    (folder / "sea.jsonl").write_text("".join(json.dumps(row) + "\n" for row in papers()))
    rows = exams.read_exams([str(folder / "sea.jsonl")])["exam_sea"]
    model, tokenizer, _ = tiny_models.make_tiny([*tiny_models.facts()[:24], *rows * 4], epochs=30)
    saving.save_model(model, tokenizer, folder / "model", "a card")
    return folder / "model", folder / "sea.jsonl", model, tokenizer, rows


def test_an_exam_measures_the_letters_and_nothing_else(knower):
    *_, model, tokenizer, rows = knower
    found = em.evaluate_model(model, tokenizer, {"exam_sea": rows}, metrics=["loss"])
    assert {*found.metrics["exam_sea"]} == {*EXAM_METRICS} and found.metrics["exam_sea"][EXAM_METRICS[0]] == 1
    wrong = [dataclasses.replace(row, answer=row.perturbed_answer[0],
                                 perturbed_answer=(row.answer, *row.perturbed_answer[1:])) for row in rows]  # fmt: skip
    assert em.evaluate_model(model, tokenizer, {"exam_sea": wrong}).metrics["exam_sea"][EXAM_METRICS[0]] == 0
    assert found.generations["exam_sea"] == [None] * 6  # nothing is generated


def test_a_run_takes_the_exam_before_and_after(small, knower, tmp_path, capsys):
    model, file, *_ = knower
    run = tmp_path / "run"
    flags = small.flags(run, f"--model_name_or_path={model}", f"--exam_data={file}", "--eval_rows=0")
    assert script.main(flags) == 0, capsys.readouterr().err
    report = json.loads((run / "evaluation.json").read_text())
    before, after = (report["models"][role]["exam_sea"]["multiple_choice_accuracy"] for role in ("target", "unlearned"))
    row = report["evidence"]["rest"]["beside"]["exam_sea"]
    assert before == 1 and (row["target"], row["unlearned"]) == (1, after)
    assert row["change"] == pytest.approx(after - 1)
    text = (run / "report.md").read_text()
    assert "Exam: sea." in text and "exam sea" in text
    assert "| exam_sea | multiple_choice_accuracy |" in (tmp_path / "run-model" / "README.md").read_text()
    assert "exam_sea" in capsys.readouterr().out
    assert "exam_data" in measuring.CHANGEABLE
    assert analyze_results.exams(analyze_results.read_run(run)) == ["exam_sea"]


def test_none_takes_no_exam(small):
    config = options.resolve({"exam_data": "none", **{f"{name}_data": str(path) for name, path in small.data.items()}})
    assert set(read_sets(config).measured) == {"forget", "retain", "holdout", "judging", "general", "in_context"}


def test_an_exam_with_a_flaw_stops_before_a_model_is_loaded(small, tmp_path, capsys):
    (tmp_path / "exam.jsonl").write_text(json.dumps({**SEA, "answer": 9}) + "\n")
    flags = small.flags(tmp_path / "run", f"--exam_data={tmp_path / 'exam.jsonl'}", "--model_name_or_path=no/such")
    assert script.main(flags) == 3
    assert "exam.jsonl:1" in capsys.readouterr().err


def test_the_evaluation_script_takes_an_exam(small, knower, tmp_path):
    model, file, *_ = knower
    flags = [f"--model_name_or_path={model}", f"--forget_data={small.data['forget']}", "--general_data=none",
             "--metrics=loss", "--limit=4", f"--exam_data={file}", f"--output_dir={tmp_path / 'out'}"]  # fmt: skip
    assert em.main(flags) == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert report["models"]["unlearned"]["exam_sea"]["multiple_choice_accuracy"] == 1


def test_the_change_of_an_exam_is_paired_and_turns_no_word():
    models = []
    for base, right in ((made.TARGET, [1.0] * 8), (made.RETRAINED, [1.0] * 4 + [0.0] * 4)):
        model = made.copy_of(base)
        model.per_example["exam_x"] = {"multiple_choice_accuracy": right}
        model.metrics["exam_x"] = {"multiple_choice_accuracy": sum(right) / 8}
        model.subjects["exam_x"] = [None] * 8
        models.append(model)
    row = rest.beside(*models, None)["exam_x"]
    assert (row["target"], row["unlearned"], row["change"]) == (1, 0.5, -0.5) and row["low"] < -0.5 < row["high"] < 0
    with_exam = em.judge(*models, made.RETRAINED, {}).comparison
    assert with_exam == em.judge(made.TARGET, made.RETRAINED, made.RETRAINED, {}).comparison
    assert "change" not in rest.beside(None, models[1], None)["exam_x"]  # nothing to compare with
