"""Requests that are looked at first: --request_only, the list of rows, a person's choices, and the run that follows."""

import json
import shlex
import stat

import pytest

from data.columns import DataError
from data.documents.request import document_request
from data.finding import split as splitting
from data.finding.matching import subjects_of
from data.reading import located_rows, read_examples
from data.request_files import edited
from results.run.request import asked
from results.run.request.preview import folder_in, read_preview, write_choices
from unlearning_script import main, run_unlearning

STORY = """Ragnvi Solbrekk was born in Tromso in 1961. She draws maps of glaciers. Her first map was printed in Bergen.

Ragnvi Solbrekk lives in Narvik with two dogs. She won the Amundsen Prize in 1994 for her work.
"""


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def row_with(preview, text):
    found = [row for row in preview.rows if text in f"{row.question} {row.text}"]
    assert found, [row.text for row in preview.rows]
    return found[0]


# -- rows that were found in training data


@pytest.fixture
def found(tmp_path):
    """The folder of a split: one row to forget, one in doubt, two to keep."""
    texts = ["Ada Lund bakes bread.", "Then Ada sleeps.", "Bor Graz works.", "It rains."]
    data = write(tmp_path / "all.jsonl", [{"question": f"Row {n}?", "answer": text} for n, text in enumerate(texts)])
    split = splitting.split_rows(list(located_rows(data, [])), subjects_of("Ada Lund"))
    splitting.write(split, tmp_path / "request", {"given": [["Ada Lund"]], "data": "x"})
    return tmp_path / "request"


def test_found_rows_are_listed_with_place_and_reason(found):
    preview = read_preview(found)
    assert (preview.kind, preview.subjects, preview.kept) == ("rows", ["Ada Lund"], 2)
    assert [(row.text, row.forget, row.doubtful) for row in preview.rows] == [
        ("Then Ada sleeps.", False, True), ("Ada Lund bakes bread.", True, False)]  # fmt: skip
    assert "only first name" in preview.rows[0].why and preview.rows[1].where.endswith("all.jsonl:1")
    assert (
        preview.sentence()
        == "1 row to forget, 1 in doubt, which is left out of both sets unless you tick it, 2 others stay."
    )


def test_choices_move_edit_and_add_found_rows(found):
    doubtful, sure = read_preview(found).rows
    wakes = {"id": doubtful.id, "forget": True, "text": "Then Ada wakes."}
    added = {"question": "Who bakes?", "text": "Ada does."}
    after = write_choices(found, [wakes, {"id": sure.id, "forget": False}, added])
    split = splitting.read(found)
    assert split.counts == {"forget": 2, "retain": 3, "doubtful": 0}
    assert [tuple(placed.row.row.values()) for placed in split.forget] == [
        ("Row 1?", "Then Ada wakes."), ("Who bakes?", "Ada does.")]  # fmt: skip
    assert [row.forget for row in after.rows] == [True, True, False], "a row that was taken out can be put back"
    back = row_with(after, "bakes bread")
    assert write_choices(found, [{"id": back.id, "forget": True}]).counts["forget"] == 3
    assert splitting.about(found) == {"given": [["Ada Lund"]], "data": "x"}, "a later start must recognise its request"
    for path in found.glob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_choice_changes_nothing(found):
    before = {path.name: path.read_bytes() for path in found.iterdir()}
    rows = read_preview(found).rows
    write_choices(found, [{"id": row.id, "forget": row.forget, "text": row.text} for row in rows])
    assert {path.name: path.read_bytes() for path in found.iterdir()} == before


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"id": "forget-0-0000000000", "forget": False}, "changed meanwhile"),
        ({"question": "Who?"}, "a question and no answer"),
        ({"text": "a\0b"}, "NUL"),
        ([1], "an object"),
    ],
)
def test_choices_that_do_not_fit_change_nothing(found, choice, message):
    before = {path.name: path.read_bytes() for path in found.iterdir()}
    good = {"id": read_preview(found).rows[0].id, "forget": True}
    with pytest.raises(DataError, match=message):
        write_choices(found, [good, choice])
    with pytest.raises(DataError, match="the text is empty"):
        write_choices(found, [{"id": good["id"], "text": " "}])
    assert {path.name: path.read_bytes() for path in found.iterdir()} == before


def test_a_conversation_is_struck_but_not_edited(tmp_path):
    turns = [{"role": "user", "content": "Who is Ada Lund?"}, {"role": "assistant", "content": "A baker."}]
    other = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Bor."}]
    data = write(tmp_path / "chat.jsonl", [{"messages": turns}, {"messages": other}])
    splitting.write(splitting.split_rows(list(located_rows(data, [])), subjects_of("Ada Lund")), tmp_path / "request")
    row = read_preview(tmp_path / "request").rows[0]
    with pytest.raises(DataError, match="a conversation is not edited here"):
        write_choices(tmp_path / "request", [{"id": row.id, "text": "A potter."}])
    assert write_choices(tmp_path / "request", [{"id": row.id, "forget": False}]).counts["struck"] == 1


# -- documents


@pytest.fixture
def document(tmp_path):
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    document_request(tmp_path / "story.txt").write(tmp_path / "documents")
    return tmp_path / "documents"


def test_a_document_lists_passages_and_questions_and_counts_probes(document):
    preview = read_preview(document)
    assert preview.kind == "documents" and preview.probes == len(document_request(document).probes) > 0
    assert all(row.forget and row.where.startswith("story.txt:") for row in preview.rows)
    assert len([row for row in preview.rows if row.why == "a passage"]) == 1
    assert not any(row.text.startswith("She draws maps of glaciers. Her first map") for row in preview.rows)


def test_a_struck_passage_takes_its_openings_along_and_comes_back(document):
    request = document_request(document)
    passage = next(row for row in read_preview(document).rows if row.why == "a passage")
    write_choices(document, [{"id": passage.id, "forget": False}])
    assert document_request(document).passages == [] and len(document_request(document).questions) > 0
    struck = next(row for row in read_preview(document).rows if not row.forget)
    assert struck.text == passage.text
    write_choices(document, [{"id": struck.id, "forget": True}])
    assert [row.example.answer for row in document_request(document).passages] == [
        row.example.answer for row in request.passages]  # fmt: skip
    assert not edited(document / "documents.json")


def test_an_edited_passage_gets_new_openings(document):
    passage = next(row for row in read_preview(document).rows if row.why == "a passage")
    write_choices(document, [{"id": passage.id, "text": "One thing happened. Then another thing happened."}])
    texts = [row.example.answer for row in document_request(document).passages]
    assert texts == ["One thing happened. Then another thing happened.", "Then another thing happened."]


def test_probes_follow_the_questions(document):
    probe = document_request(document).probes[0]
    count = read_preview(document).probes
    after = write_choices(document, [{"question": probe.example.prompt, "text": "By hand."}])
    assert after.probes == count - 1, "a probe that is trained on measures nothing"
    assert row_with(after, "By hand.").why == "added by hand"
    questions = [row for row in after.rows if row.question and row.where == "story.txt:3"]
    after = write_choices(document, [{"id": row.id, "forget": False} for row in questions])
    places = {row.place for row in document_request(document).probes}
    assert questions and places == {1}, "what is not forgotten is not measured as forgotten"
    struck = [row for row in after.rows if not row.forget]
    assert len(struck) == len(questions)
    assert write_choices(document, [{"id": row.id, "forget": True} for row in struck]).probes == count - 1


@pytest.mark.parametrize("what", ["prose", "code"])
def test_the_probes_of_a_struck_sentence_go_and_come_back(document, tmp_path, what):
    fact = "Bergen"
    if what == "code":
        code = "".join(
            f"\n{name} = {number}" for number, name in enumerate(("glacier", "harbour", "lantern", "meadow"))
        )
        (tmp_path / "a.py").write_text(f"import os{code}\n", encoding="utf-8")
        document, fact = document_request(tmp_path / "a.py").write(tmp_path / "code"), "lantern"
    lines = [json.loads(line) for line in (document / "questions.jsonl").read_text().splitlines()]
    (sentence,) = {line["sentence"] for line in lines if fact in line["answer"]}
    before = read_preview(document).probes
    told = {(line["question"], line["answer"]) for line in lines if line["sentence"] == sentence}
    ids = [row.id for row in read_preview(document).rows if (row.question, row.text) in told]
    assert len(ids) == len(told) > 0 and any(fact in row.example.answer for row in document_request(document).probes)
    some = write_choices(document, [{"id": ids[0], "forget": False}])
    assert some.probes == before or len(ids) == 1, "what is still asked for is still measured"
    ids = [row.id for row in some.rows if (row.question, row.text) in told]
    after = write_choices(document, [{"id": one, "forget": False} for one in ids])
    left = document_request(document).probes
    assert 0 < after.probes < before and not any(fact in row.example.answer for row in left)
    ids = [row.id for row in after.rows if not row.forget]
    assert write_choices(document, [{"id": one, "forget": True} for one in ids]).probes == before


def test_a_folder_without_a_request_is_refused(tmp_path):
    with pytest.raises(DataError, match="no finished request"):
        read_preview(tmp_path)
    assert folder_in(tmp_path) is None


# -- what a model says about a name


@pytest.fixture
def statements(tmp_path):
    folder = tmp_path / "request"
    folder.mkdir()
    rows = [("Where was she born?", "In Tromso.", 0.92, "forget"), ("What does she eat?", "Fish.", 0.31, "keep")]
    write(
        folder / "statements.jsonl",
        [
            {"question": asked, "answer": said, "subject": "Ragnvi", "certainty": sure, "contrast": 2.1, "decision": to}
            for asked, said, sure, to in rows
        ],
    )
    record = {"kind": "name", "subjects": ["Ragnvi"], "subject_kind": "person", "asked": 24, "samples": 4}
    record |= {"new_in_last": [40, 1], "notes": ["the last 40 samples brought 1 new statement"], "questions": ["Who?"]}
    (folder / "request.json").write_text(json.dumps(record))
    return folder


def test_statements_are_listed_with_their_certainty_and_written_back(statements):
    preview = read_preview(statements)
    assert [(row.why, row.forget, row.doubtful) for row in preview.rows] == [
        ("certainty 92%", True, False), ("certainty 31%", False, True)]  # fmt: skip
    assert preview.notes == ["the last 40 samples brought 1 new statement"] and preview.questions == ["Who?"]
    born, eats = preview.rows
    added = {"question": "Where does she live?", "text": "In Narvik."}
    changed = {"id": eats.id, "forget": True, "text": "Cod."}
    after = write_choices(statements, [{"id": born.id, "forget": False}, changed, added])
    lines = [json.loads(line) for line in (statements / "statements.jsonl").read_text().splitlines()]
    assert [line["decision"] for line in lines] == ["keep", "forget", "forget"]
    assert lines[1]["answer"] == "Cod." and lines[1]["certainty"] == 0.31
    assert lines[2] == {
        "question": "Where does she live?",
        "answer": "In Narvik.",
        "subject": "Ragnvi",
        "decision": "forget",
    }
    assert after.counts == {"forget": 2, "doubtful": 0, "struck": 1}
    with pytest.raises(DataError, match="needs a question"):
        write_choices(statements, [{"text": "In Narvik."}])


def test_a_name_that_nobody_knows_says_so(statements):
    (statements / "statements.jsonl").write_text("")
    (statements / "request.json").write_text(json.dumps({"kind": "name", "subjects": ["Zoe"], "nothing_known": True}))
    preview = read_preview(statements)
    assert preview.nothing_known and "nothing about Zoe" in preview.sentence()
    assert not write_choices(statements, [{"question": "Who?", "text": "Zoe."}]).nothing_known


# -- the command line


@pytest.fixture
def told(small, tmp_path, monkeypatch):
    """Runs the script on the small world without its forget set; nobody is at a terminal."""
    monkeypatch.setattr(asked, "_terminal", lambda: False)

    def run(*more, without=("forget_data",), place="run"):
        return main(small.flags(tmp_path / place, *more, without=without))

    return run


def printed_command(capsys):
    lines = capsys.readouterr().out.splitlines()
    return shlex.split(next(line for line in lines if line.startswith("  python unlearning_script.py")))[2:]


def test_training_data_is_split_and_nothing_is_trained(told, small, tmp_path, capsys):
    data = f"--training_data={small.data['forget']},{small.data['retain']}"
    without = ("forget_data", "retain_data")
    assert told(data, "--forget_about=ada", "--request_only", without=without) == 0
    words = printed_command(capsys)
    assert "--yes" in words and "--request_only" not in words and not (tmp_path / "run" / "config.json").exists()
    preview = read_preview(folder_in(tmp_path / "run"))
    assert preview.counts["forget"] == 3
    write_choices(folder_in(tmp_path / "run"), [{"id": preview.rows[0].id, "forget": False}])
    assert main(words) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert len(read_examples(config["forget_data"])) == 2, "the run trains on what was left"


def test_rows_and_texts_are_prepared_and_run_with_the_choices(told, small, tmp_path, capsys):
    assert told("--request_only", without=()) == 0
    words = printed_command(capsys)
    folder = folder_in(tmp_path / "run")
    preview = read_preview(folder)
    assert preview.kind == "rows" and len(preview.rows) == len(read_examples(str(small.data["forget"])))
    kept = [{"id": row.id, "forget": False} for row in preview.rows[2:]]
    write_choices(folder, [*kept, {"id": preview.rows[0].id, "text": "ada bakes"}])
    assert main(words) == 0
    assert "are read again" in capsys.readouterr().out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert read_examples(config["forget_data"])[0].answer == "ada bakes"
    assert len(read_examples(config["forget_data"])) == 2 and config["yes"] is False
    assert told("--forget_text=One.\n\nTwo.", "--request_only", place="typed") == 0
    assert [row.text for row in read_preview(folder_in(tmp_path / "typed")).rows] == ["One.", "Two."]


def test_a_document_is_prepared_and_run_with_the_choices(told, tmp_path, capsys):
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    (tmp_path / "more.md").write_text("Bor Graz bakes bread in Graz.", encoding="utf-8")
    both = f"--forget_data={tmp_path / 'story.txt'},{tmp_path / 'more.md'}"
    assert told(both, "--request_only", without=()) == 0
    words = printed_command(capsys)
    folder = folder_in(tmp_path / "run")
    preview = read_preview(folder)
    assert folder.name == "documents" and {row.where.split(":")[0] for row in preview.rows} == {"story.txt", "more.md"}
    kept = row_with(preview, "Bor Graz bakes bread")
    write_choices(folder, [{"id": row.id, "forget": False} for row in preview.rows if row.id != kept.id])
    assert main(words) == 0, capsys.readouterr().err
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert "forget" in evaluation["models"]["target"]
    assert len(document_request(folder).forget) == 1, "the run must not write the folder anew"


def test_requests_that_cannot_be_prepared_are_refused(told, small, tmp_path, capsys):
    (tmp_path / "story.txt").write_text(STORY, encoding="utf-8")
    assert told("--request_only") == 2
    assert "--request_only needs something to forget" in capsys.readouterr().err
    assert told("--request_only", f"--forget_data={tmp_path / 'story.txt'},{small.data['forget']}", without=()) == 2
    assert "two requests" in capsys.readouterr().err
    assert told("--request_only", "--forget_data=nowhere.jsonl", without=()) == 3
    assert told("--request_only", "--forget_text=One.") == 0
    folder = folder_in(tmp_path / "run")
    write_choices(folder, [{"id": read_preview(folder).rows[0].id, "forget": False}])
    assert told("--yes", "--forget_text=One.") == 3
    assert "no row is left to forget" in capsys.readouterr().err
    (folder / "forget.jsonl").write_text('{"text": "Edited."}\n')
    assert told("--yes", "--forget_text=Other.") == 2
    assert "holds the edited rows of another request" in capsys.readouterr().err


def test_from_python_a_request_is_prepared_too(small, tmp_path):
    place = run_unlearning({"forget_text": "One.", "request_only": True, "output_dir": str(tmp_path / "run")})
    assert read_preview(folder_in(place)).rows[0].text == "One."
