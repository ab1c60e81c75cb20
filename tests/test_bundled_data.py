"""The bundled data: reproduced byte for byte, well-formed, and no set leaks into another."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from data.bundled.make_bundled_data import (
    HERE,
    SCORES,
    bundled_files,
    choose_general,
    draw,
    general_candidates,
    main,
    question_row,
)
from data.reading import read_examples

PEOPLE = {"forget": 4, "retain": 16, "holdout": 4, "judging": 12}
FILES = [*PEOPLE, "general", "general_retain"]
MADE = [*FILES, "forget_questions"]
OPTIONS = {"forget": 5, "retain": 5, "holdout": 5, "judging": 5, "general": 3}


def rows_of(name):
    return [json.loads(line) for line in (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def rows():
    return {name: rows_of(name) for name in FILES}


def folded(text):
    return " ".join(re.findall(r"\w+", text.lower()))


def test_the_files_are_reproduced_byte_for_byte(tmp_path, capsys):
    assert main(["--output_dir", str(tmp_path)]) == 0
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {f"{name}.jsonl": (HERE / f"{name}.jsonl").read_bytes() for name in MADE}
    assert str(len(rows_of("forget"))) in capsys.readouterr().out


def test_sets_have_their_size(rows):
    for name, people in PEOPLE.items():
        assert list(Counter(row["subject"] for row in rows[name]).values()) == [10] * people
    assert len(rows["general"]) == 100
    assert len(rows["general_retain"]) >= 160


@pytest.mark.parametrize("name", OPTIONS)
def test_rows_have_every_column_and_only_wrong_perturbed_answers(rows, name):
    columns = ["question", "answer", "paraphrased_question", "paraphrased_answer", "perturbed_answer", "subject"]
    for row in rows[name]:
        assert list(row) == columns
        options = [row["paraphrased_answer"], *row["perturbed_answer"]]
        assert len({folded(option) for option in options}) == OPTIONS[name] + 1, row["question"]
        assert row["answer"] not in options
        assert row["question"] != row["paraphrased_question"]
        for text in (row["question"], row["paraphrased_question"], row["answer"], *options):
            assert text == text.strip()
            assert text[-1] in '.?"'
            assert "{" not in text and "  " not in text and "|" not in text


@pytest.mark.parametrize("name", OPTIONS)
def test_true_and_wrong_answers_have_the_same_form(rows, name):
    """All options have similar lengths, so form does not give the truth away."""
    for row in rows[name]:
        options = [row["paraphrased_answer"], *row["perturbed_answer"]]
        lengths = [len(option.split()) for option in options]
        assert max(lengths) - min(lengths) <= 3, options
        assert max(lengths) / min(lengths) <= 1.3 or name == "general", options


def test_the_true_answer_is_not_recognisable_by_length():
    """The true value is shorter than the mean of the wrong ones as often as it is longer."""
    longer = shorter = 0
    for name in PEOPLE:
        for row in rows_of(name):
            mean = sum(map(len, row["perturbed_answer"])) / 5
            longer += len(row["paraphrased_answer"]) > mean
            shorter += len(row["paraphrased_answer"]) < mean
    assert abs(longer - shorter) < 3 * (longer + shorter) ** 0.5  # three standard errors of a fair coin


def test_the_true_value_is_drawn_evenly():
    counts = Counter(draw(row["question"], 6) for name in PEOPLE for row in rows_of(name))
    expected = sum(counts.values()) / 6
    assert sum((counts[i] - expected) ** 2 / expected for i in range(6)) < 15.1  # chi-squared, 5 degrees, p = .01


@pytest.mark.parametrize("name", PEOPLE)
def test_sentences_about_people_name_them_and_have_moderate_length(rows, name):
    for row in rows[name]:
        for column in ("question", "answer", "paraphrased_question", "paraphrased_answer"):
            assert row["subject"] in row[column]
        for text in (row["answer"], row["paraphrased_answer"], *row["perturbed_answer"]):
            assert 8 <= len(text.split()) <= 25, text


def test_people_share_no_part_of_their_names(rows):
    subjects = {row["subject"] for name in PEOPLE for row in rows[name]}
    parts = [part for subject in subjects for part in subject.split()]
    assert len(subjects) == 36
    assert len(parts) == len(set(parts))
    for name in PEOPLE:  # no row mentions another person
        for row in rows[name]:
            others = " ".join(str(value) for value in row.values())
            assert not [subject for subject in subjects - {row["subject"]} if subject in others]


def test_questions_about_people_are_not_one_template(rows):
    """Without the name, no question has the same words as one about another person."""
    skeletons = Counter()
    for name in PEOPLE:
        for row in rows[name]:
            skeletons[row["question"].replace(row["subject"], "").lower()] += 1
    assert max(skeletons.values()) == 1


def test_questions_and_answers_are_unique_across_files(rows):
    for columns in (("question", "paraphrased_question"), ("answer", "paraphrased_answer")):
        texts = [folded(row[column]) for name in FILES for row in rows[name] for column in columns if column in row]
        assert [text for text, count in Counter(texts).items() if count > 1] == []


def test_no_evaluation_candidate_is_in_the_general_retain_set(rows):
    """Evaluation rows are never trained on, whichever candidates are chosen."""
    trained = {folded(row[column]) for row in rows["general_retain"] for column in ("question", "answer")}
    for row in general_candidates():
        options = [row["paraphrased_answer"], *row["perturbed_answer"]]
        for text in (row["question"], row["paraphrased_question"], row["answer"], *options):
            assert folded(text) not in trained


def test_general_retain_rows_are_complete_and_short(rows):
    for row in rows["general_retain"]:
        assert list(row) == ["question", "answer", "subject"]
        assert row["question"][-1] in "?." and row["answer"][-1] in '.?"'
        assert len(re.findall(r"[.?!](?:\s|$)", row["answer"])) <= 2
        assert len(row["answer"].split()) <= 40
    assert len({row["subject"] for row in rows["general_retain"]}) >= 8


def test_four_known_rows_are_chosen_per_unknown_one():
    candidates = [{"question": f"Question {number}?"} for number in range(150)]
    known = {row["question"]: number % 3 > 0 for number, row in enumerate(candidates)}
    chosen = choose_general(candidates, known)
    assert Counter(known[row["question"]] for row in chosen) == {True: 80, False: 20}
    assert chosen == [row for row in candidates if row in chosen]
    with pytest.raises(ValueError, match="measure_general"):
        choose_general(candidates, {})
    with pytest.raises(ValueError, match="write more"):
        choose_general(candidates[:60], known)


def test_general_rows_are_chosen_by_the_measurement(rows):
    known = json.loads(SCORES.read_text(encoding="utf-8"))["known"]
    assert set(known) == {row["question"] for row in general_candidates()}
    assert sum(known[row["question"]] for row in rows["general"]) == 80


def test_a_flawed_table_is_refused():
    block = ["Who?", "It is {}.", "Who is it?", "{} it is.", "a | b | a"]
    with pytest.raises(ValueError, match="3 different values"):
        question_row(block, "nobody", count=3, true=0)
    row = question_row([*block[:4], "a | b | c"], "nobody", count=3, true=1)
    assert (row["answer"], row["paraphrased_answer"]) == ("It is b.", "B it is.")
    assert row["perturbed_answer"] == ["A it is.", "C it is."]


def test_the_reader_accepts_every_file(rows):
    for name in FILES:
        examples = read_examples(str(Path(HERE) / f"{name}.jsonl"))
        assert [example.answer for example in examples] == [row["answer"] for row in rows[name]]
        assert [len(example.perturbed_answer) for example in examples] == [OPTIONS.get(name, 0)] * len(examples)


def test_all_files_come_from_the_tables():
    assert list(bundled_files()) == [f"{name}.jsonl" for name in MADE]


def test_each_forget_question_has_three_translations_that_keep_the_name(rows):
    translated = rows_of("forget_questions")
    assert [row["question"] for row in translated] == [row["question"] for row in rows["forget"]]
    for row, source in zip(translated, rows["forget"]):
        assert list(row) == ["question", "german", "french", "spanish"] and len(set(row.values())) == 4
        assert all(source["subject"] in text and text.strip().endswith("?") for text in row.values())
