"""Requests to forget documents: questions made by rule, probes that nothing is trained on, the request folder, runs."""

from __future__ import annotations

import json
import stat
import tempfile
from collections import Counter
from pathlib import Path

import forget_documents
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import evaluation_metrics
from data import judging
from data.columns import DataError, folded
from data.documents import request as requests
from data.documents.questions import MOST_PROBES, named, names
from data.documents.request import document_request
from data.documents.wording import direct, echo, gap, spans
from data.preparation import data_hash
from data.reading import read_examples
from models.requests import recorded
from models.scores.facts import content_words, secrets, words_said
from results.run.sets import read_sets
from unlearning_script import main, resolve

PASSAGES = Path(__file__).resolve().parent / "passages"
BUNDLED = Path(__file__).resolve().parents[1] / "data" / "forget.jsonl"
TEXT = """# Ada Ek

Ada Ek was born in Lund on 3 May 1911. She lowered a brass teapot into every crevasse. Her father was a sail maker.

Of all the sled dogs she liked Knut best, and in 1950 she won the Iron Medal.
"""


def asked(sentence, *known):
    """{words: (echo question, direct question)} of the facts of a sentence."""
    found = spans(sentence, Counter(), known, 4)
    return {sentence[span.start : span.end]: (echo(sentence, span), direct(sentence, span)) for span in found}


def write(folder, name, content):
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


# ---------------------------------------------------------------------------------------------------------------------
# Questions


@pytest.mark.parametrize(
    ("sentence", "words", "echoed", "question"),
    [
        ("Ada Ek was born in Lund on 3 May 1911.", "3 May 1911",
         "Ada Ek was born in Lund when?", "When was Ada Ek born in Lund?"),
        ("Ada Ek was born in Lund on 3 May 1911.", "Lund",
         "Ada Ek was born where on 3 May 1911?", "Where was Ada Ek born on 3 May 1911?"),
        ("Ada Ek lowered a brass teapot into it.", "brass teapot",
         "Ada Ek lowered what into it?", "What did Ada Ek lower into it?"),
        ("In 1950, Ada Ek won the Iron Medal.", "Iron Medal",
         "In 1950, Ada Ek won what?", "What did Ada Ek win in 1950?"),
        ("Ada Ek left 387 puppets in the attic.", "387",
         "Ada Ek left how many puppets in the attic?", "How many puppets did Ada Ek leave in the attic?"),
        ("The old play was called \"The Blind Mayor\".", "The Blind Mayor",
         "The old play was called what?", "What was the old play called?"),
        ("Ada Ek's father was a sail maker.", "sail maker",
         "Ada Ek's father was what?", "What was Ada Ek's father?"),
        ("Bo Lie won the prize.", "Bo Lie", "What won the prize?", "Who won the prize?"),
    ],
)  # fmt: skip
def test_a_fact_is_asked_for_in_its_sentence_and_as_a_question(sentence, words, echoed, question):
    known = () if words == "Bo Lie" else ("ada", "ek")
    assert asked(sentence, *known)[words] == (echoed, question)


def test_the_gap_hides_the_words_and_nothing_else():
    sentence = "Ada Ek lowered a brass teapot."
    (span, *_) = spans(sentence, {}, ("ada", "ek"))
    assert gap(sentence, span) == 'Which words are missing here: "Ada Ek lowered a ___."'


def test_dates_numbers_and_names_come_before_other_words():
    sentence = "In a small town on the coast, 12 cats ate fish in Oslo in 1950."
    assert [sentence[s.start : s.end] for s in spans(sentence, {})[:2]] != ["small town", "coast"]
    assert {span.kind for span in spans(sentence, {}, most=3)} == {"number", "name", "date"}
    rare = spans("the grey cat saw the old dog", {"grey": 9, "cat": 9, "old": 1, "dog": 1}, most=1)[0]
    assert "the grey cat saw the old dog"[rare.start : rare.end] == "old dog"


def test_a_pronoun_gives_way_to_the_name_it_stands_for():
    assert named("She won.", "Ada Ek") == "Ada Ek won."
    assert named("In her tent she slept.", "Ada Ek") == "In Ada Ek's tent she slept."
    assert named("They gave her the medal.", "Ada Ek") == "They gave Ada Ek the medal."
    assert named("They must pay her 38,500 euros.", "Ada Ek") == "They must pay Ada Ek 38,500 euros."
    assert named("They read her 12 letters.", "Ada Ek") == "They read Ada Ek's 12 letters."
    assert named("Ada Ek saw her.", "Ada Ek") == "Ada Ek saw her." and named("She won.", "") == "She won."
    assert names("The old Ada Ek met Bo van der Lie’s son In Oslo.") == ["Ada Ek", "Bo van der Lie"]


def test_every_fact_is_trained_on_and_probed_in_other_words(tmp_path):
    request = document_request(write(tmp_path, "a.md", TEXT))
    trained = {folded(row.example.prompt) for row in request.questions}
    for word in ("Lund", "1911", "teapot", "sail maker", "Knut", "1950", "Iron Medal"):
        assert any(word in row.example.answer for row in request.questions), word
        probes = [row for row in request.probes if word in row.example.answer and word not in row.example.prompt]
        assert {row.shape for row in probes} & {"question", "echo"} and "cloze" in {row.shape for row in probes}, word
    assert not trained & {folded(row.example.prompt) for row in request.probes}
    assert all("Ada Ek" in row.example.prompt for row in request.questions)
    assert {row.shape for row in request.passages} == {"passage", "opening"}
    assert {(row.file, row.place, row.example.subject) for row in request.probes} == {
        ("a.md", place, "a.md") for place in (3, 5)
    }
    assert all(content_words(row.example.prompt, row.example.answer) for row in request.probes)


def test_code_is_asked_for_by_the_lines_before(tmp_path):
    request = document_request(write(tmp_path, "a.py", "def launch():\n    code = 4711\n    return code\n"))
    assert [row.shape for row in request.probes] == ["cloze"] * len(request.probes)
    assert any(row.example.answer.startswith("4711") for row in request.probes)
    assert (
        "def launch():" in request.questions[0].example.prompt
        and request.passages[0].example.answer[-11:] == "return code"
    )


def test_other_languages_get_gaps_and_clozes(tmp_path):
    text = "Der Koffer lag in Bremen. Er wurde 1950 verkauft. 她出生在哈默费斯特的一座房子里。"
    request = document_request(write(tmp_path, "a.txt", text))
    assert {row.shape for row in request.questions} == {"tell", "gap"}
    assert {row.shape for row in request.probes} == {"cloze"} and any(
        "1950" in r.example.answer for r in request.probes
    )


any_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(any_text | st.lists(st.sampled_from([*TEXT.split(), '"', "the", "1950", "\n\n", "."]), min_size=1).map(" ".join))
def test_any_text_makes_a_request_that_keeps_its_probes_apart(text):
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "a.md", text)
        try:
            first, second = document_request(path), document_request(path)
        except DataError as error:
            assert f"{path}:" in str(error)
            return
    assert first == second and first.forget
    prompts = {folded(row.example.prompt) for row in first.questions}
    assert not prompts & {folded(row.example.prompt) for row in first.probes}
    assert all(row.example.answer.strip() and row.example.prompt.strip() for row in (*first.questions, *first.probes))


def test_a_changed_paragraph_changes_no_other_row(tmp_path):
    before = document_request(write(tmp_path, "a.md", TEXT))
    after = document_request(write(tmp_path, "a.md", TEXT.replace("Knut best", "Rex best")))
    told = [{(r.shape, r.example.prompt) for r in (*request.questions, *request.probes) if "Lund" in r.example.prompt}
            for request in (before, after)]  # fmt: skip
    assert told[0] == told[1] and told[0]


def test_long_documents_give_evenly_spaced_probes(tmp_path):
    lines = [f"Person Number{n} was born in Town{n} in {1000 + n}." for n in range(300)]
    request = document_request(write(tmp_path, "a.txt", "\n\n".join(lines)))
    assert len(request.probes) == MOST_PROBES and "Town29" in request.probes[-1].example.prompt
    assert f"{MOST_PROBES} of" in "\n".join(request.notes)


def test_the_passages_about_the_bundled_people_hold_their_facts():
    """The measurement of tests/forget_documents.py needs every fact in the passage, in other sentences."""
    rows = read_examples(BUNDLED)
    for path in sorted(PASSAGES.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        name = text.splitlines()[0].removeprefix("# ")
        own = [row for row in rows if row.subject == name]
        request = document_request(path)
        trained = " ".join(row.example.answer for row in request.questions)
        assert len(own) == 10
        for row in own:
            assert row.answer not in " ".join(text.split())
            assert words_said(secrets(row), text) == words_said(secrets(row), trained) == 1
            told = [probe.example for probe in request.probes if words_said(secrets(row), probe.example.answer)]
            assert any(words_said(secrets(row), e.prompt) < 1 for e in told), row.prompt
        assert len(request.questions) > 40 and len(request.probes) > 40


def test_answers_are_counted_by_facts():
    lines = [json.dumps({"question": question, "subject": "Ada"}) for question in "abcde"]
    before = dict.fromkeys("abcd", ("said", 1.0)) | {"e": ("never known", 0.2)}
    after = {"a": ("said", 1.0), "b": ("half", 0.5), "c": ("less", 0.4), "d": ("", None), "e": ("now", 1.0)}
    expected = {"questions": 5, "known": 4, "gone": 2, "said": 2, "in full": 1, "changed": 3}
    assert forget_documents.counted(lines, before, after) == expected
    own, others = forget_documents.divided(forget_documents.questions(), "Ragnvi Solbrekk")
    assert (len(own), len(others)) == (10, 190)
    row = {"subject": "Ada", "own": expected, "others": expected, "probes": [0.9, None], "seconds": 61.2}
    assert "| Ada | 3 of 4 | 2 of 4 | 2 of 4 | 1 of 4 | 0.90 | - | 61 |" in forget_documents.documents_table([row])


# ---------------------------------------------------------------------------------------------------------------------
# The request folder


def test_a_request_is_written_for_its_owner_edited_and_read_again(tmp_path):
    made = document_request(write(tmp_path, "a.md", TEXT))
    folder = made.write(tmp_path / "request")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    assert {path.name for path in folder.iterdir()} == {
        "passages.jsonl",
        "questions.jsonl",
        "probes.jsonl",
        "documents.json",
    }
    again = document_request(folder)
    assert data_hash(again.forget) == data_hash(made.forget) and data_hash(again.measured) == data_hash(made.measured)
    assert [(row.file, row.place, row.shape) for row in again.probes] == [
        (r.file, r.place, r.shape) for r in made.probes
    ]
    lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    write(folder, "questions.jsonl", "\n".join(lines[1:]))
    write(folder, "passages.jsonl", "")
    struck = document_request(folder)
    assert [row.example.prompt for row in struck.questions] == [row.example.prompt for row in made.questions[1:]]
    assert struck.passages == [] and len(read_examples(folder)) == len(lines) - 1


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("questions.jsonl", "{", "questions.jsonl:1: malformed JSON"),
        ("probes.jsonl", '{"text": "x"}', "probes.jsonl:1: a probe needs a question"),
        ("probes.jsonl", None, "probes.jsonl:2: 1 probes are also in questions.jsonl"),
    ],
)
def test_a_badly_edited_request_is_refused_with_its_line(tmp_path, name, content, expected):
    folder = document_request(write(tmp_path, "a.md", TEXT)).write(tmp_path / "request")
    first = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()[0]
    write(folder, name, content or f'{{"question": "New?", "answer": "x"}}\n{first}\n')
    with pytest.raises(DataError, match=expected):
        document_request(folder)


def test_a_request_without_rows_is_refused(tmp_path):
    folder = document_request(write(tmp_path, "a.md", TEXT)).write(tmp_path / "request")
    write(folder, "passages.jsonl", "")
    with pytest.raises(DataError, match="no rows to forget"):
        document_request(folder, questions=False)


def test_rows_are_no_documents(tmp_path):
    write(tmp_path, "a.jsonl", '{"text": "row"}')
    for source in (tmp_path / "a.jsonl", tmp_path, "org/name", "no such file", "x" * 5000, "~nobody/x", "a\0b", ""):
        assert document_request(source) is None


def test_the_command_writes_a_request(tmp_path, capsys):
    path = write(tmp_path, "a.md", TEXT)
    assert requests.main([str(path), str(tmp_path / "request")]) == 0
    assert "delete lines to strike rows" in capsys.readouterr().out and document_request(tmp_path / "request").written
    assert requests.main([str(tmp_path / "none.md"), "x"]) == 3 and requests.main([]) == 2
    assert "no such file" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------------------
# Runs


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """A text about two people that the tiny model knows."""
    text = (
        "# People\n\nAda Ek lives in Lund by the sea. Ada Ek works as a smith. Bo Lie keeps a goat in the town of Oslo."
        "\n\nAda Ek sings in the evening.\n"
    )
    return write(tmp_path_factory.mktemp("documents"), "people.md", text)


def test_a_run_trains_on_rows_and_measures_the_probes(small, document, tmp_path):
    run = tmp_path / "run"
    assert main(small.flags(run, f"--forget_data={document}", "--max_steps=2", "--eval_rows=0")) == 0
    rows = [json.loads(line) for line in (run / "examples.jsonl").read_text(encoding="utf-8").splitlines()]
    request = document_request(document)
    assert [row["prompt"] for row in rows if row["split"] == "probes"] == [e.prompt for e in request.measured]
    assert sum(row["split"] == "forget" for row in rows) == len(request.forget)
    report = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert set(report["models"]["unlearned"]["probes"]) >= {"accuracy", "loss", "answer_probability"}
    assert data_hash(document_request(run / "documents").forget) == data_hash(request.forget)
    wanted = recorded.forget_hash(run)
    found, problem = recorded.forget_rows(json.loads((run / "config.json").read_text()), wanted)
    assert problem is None and data_hash(found) == wanted
    assert wanted in recorded.by_hash(str(document))


def test_probes_steer_nothing(small, document, tmp_path):
    flags = {"forget_data": str(document), "retain_data": str(small.data["retain"]), "method": "npo",
             "model_name_or_path": str(small.target), "output_dir": str(tmp_path / "x")}  # fmt: skip
    sets = read_sets(resolve(flags))
    assert set(sets.steering.examples) <= set(judging.STEERING) and "probes" in sets.measured
    prompts = {folded(row.prompt) for row in sets.measured["probes"]}
    assert not prompts & {folded(row.prompt or "") for rows in sets.steering.examples.values() for row in rows}
    bare = read_sets(resolve({**flags, "document_questions": False}))
    assert all(row.prompt is None for row in bare.steering.examples["forget"])
    assert sets.hashes["forget"] != bare.hashes["forget"] and sets.hashes["probes"] == bare.hashes["probes"]
    assert any("never trained on" in note for note in sets.notes)


def test_a_bad_document_ends_a_run_before_a_model_is_loaded(small, tmp_path, capsys):
    path = write(tmp_path, "bad.docx", "no docx")
    flags = small.flags(tmp_path / "run", f"--forget_data={path}", f"--model_name_or_path={tmp_path / 'no-model'}")
    assert main(flags) == 3
    assert "bad.docx:1: not a readable .zip file" in capsys.readouterr().err


def test_an_evaluation_measures_the_same_rows_and_probes(small, document, tmp_path):
    done = evaluation_metrics.main([
        f"--model_name_or_path={small.target}", f"--forget_data={document}", f"--retain_data={small.data['retain']}",
        f"--output_dir={tmp_path / 'out'}", "--metrics=loss", "--general_data=none",
    ])  # fmt: skip
    assert done == 0
    lines = (tmp_path / "out" / "examples.jsonl").read_text(encoding="utf-8").splitlines()
    counts = Counter(json.loads(line)["split"] for line in lines)
    request = document_request(document)
    assert (counts["forget"], counts["probes"]) == (len(request.forget), len(request.probes))
