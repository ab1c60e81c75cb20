"""The measurements forget_kinds.py and forget_authors.py: documents, authors, counts, and each run on a tiny model."""

import json
from pathlib import Path

import forget_authors
import forget_documents
import forget_kinds
import pytest
import tiny_models
from rivals import TOFU

import evaluation_metrics
import unlearning_script
from data.columns import Example
from data.documents.request import document_request
from data.finding import split as splitting
from data.finding.matching import subjects_of
from models.store import saving

PEOPLE = ("Basil Al-Kuwaiti", "Marta Ferreira da Lund", "Ivo Brandt")


@pytest.fixture(scope="module")
def requests(tmp_path_factory):
    """The requests of the four documents."""
    paths = forget_kinds.documents(tmp_path_factory.mktemp("kinds"))
    return {name: document_request(path) for name, path in paths.items()}


@pytest.fixture
def processes(monkeypatch):
    """Runs the scripts in this process and lists their calls."""
    calls = []

    def run(script, *words):
        calls.append((script, *words))
        main = {"unlearning_script.py": unlearning_script, "evaluation_metrics.py": evaluation_metrics}[script].main
        assert main([*words, "--dtype=float32"]) == 0

    for module in (forget_kinds, forget_documents, forget_authors.forget_names):
        monkeypatch.setattr(module, "run", run)
    return calls


def tiny(folder: Path, rows) -> str:
    """A model that has learned nothing yet, with the words of these rows."""
    model, tokenizer, _ = tiny_models.make_tiny(epochs=0, vocabulary=rows)
    saving.save_model(model, tokenizer, folder, "a card")
    return str(folder)


# ---------------------------------------------------------------------------------------------------------------------
# Documents


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("decision.html", ["Claimant | Edda Brannock | Piers Olthane", "Tolverby", "38,500", "HC 318/2016"]),
        ("memo.docx", ["Project Saltglass\nStaff and money", "Saltglass test 4 | Red Margit", "broken window"]),
        ("letter.eml", ["Jorunn Pellerby", "0555 204 617", "12 Gannet Lane", "jorunn.pellerby@larkmoor.example"]),
        ("tidewheel", ["OPENING_DELAY = 43", "GRAIN_PER_TURN = 3.4", "Old Bertha", "def flow("]),
    ],
)
def test_a_documents_facts_are_read_from_all_its_parts(requests, name, facts):
    text = "\n".join(row.answer for row in requests[name].forget)
    assert [fact for fact in facts if fact not in text] == []
    assert not [word for word in ("visitor", "K-55310", "float: right") if word in text]
    assert len(requests[name].measured) >= 40


def test_nobody_of_the_bundled_data_is_in_the_documents(requests):
    text = "\n".join(row.answer for request in requests.values() for row in request.forget)
    rows = [json.loads(line) for path in (forget_kinds.ROOT / "data").glob("*.jsonl") for line in path.open()]
    people = {row["subject"] for row in rows if " " in (row.get("subject") or "") and row["subject"].istitle()}
    assert len(people) >= 30 and not [name for name in people if any(word in text for word in name.split())]


def test_the_model_is_taught_every_row_and_every_probe_is_asked_once(requests):
    lines = [json.loads(line) for line in forget_kinds.probe_lines(requests)]
    prompts = [line["question"] for line in lines]
    assert len(set(prompts)) == len(prompts) == sum(len(request.measured) for request in requests.values())
    lessons = forget_kinds.lessons(requests)
    assert set(prompts) < {row["question"] for row in lessons["questions"]}
    count = sum(len(request.forget) + len(request.measured) for request in requests.values())
    assert len(lessons["passages"]) + len(lessons["questions"]) == count


def test_a_summary_keeps_the_other_documents_of_the_same_model():
    known = [{"subject": "tidewheel", "model": "a"}, {"subject": "memo.docx", "model": "old"}]
    rows = forget_kinds.merged(known, {"subject": "decision.html", "model": "a"}, forget_kinds.KINDS)
    assert [row["subject"] for row in rows] == ["decision.html", "tidewheel"]
    again = forget_kinds.merged(rows, {"subject": "tidewheel", "model": "a", "new": True}, forget_kinds.KINDS)
    assert again == [rows[0], {"subject": "tidewheel", "model": "a", "new": True}]


def test_one_document_is_taught_forgotten_and_measured(requests, processes, tmp_path, capsys):
    rows = [row for request in requests.values() for row in (*request.forget, *request.measured)]
    flags = ["--only=letter.eml", f"--output_dir={tmp_path}", f"--base_model={tiny(tmp_path / 'base', rows)}",
             "--teaching_steps=2", "--max_steps=2", "--eval_rows=4"]  # fmt: skip
    assert forget_kinds.main(flags) == 0
    assert [call[0].split("_")[0] for call in processes] == ["unlearning", "evaluation", "unlearning", "evaluation"]
    (row,) = json.loads((tmp_path / "kinds.json").read_text(encoding="utf-8"))
    own = len(requests["letter.eml"].measured)
    others = sum(len(request.measured) for request in requests.values()) - own
    assert (row["own"]["questions"], row["others"]["questions"]) == (own, others)
    config = json.loads((tmp_path / "runs" / "letter" / "config.json").read_text(encoding="utf-8"))
    assert row["method"] == config["method"] == "lower_profile"  # the default for a document alone
    assert config["max_steps"] == 2 and config["retain_data"].endswith("general_retain.jsonl")
    assert config["model_name_or_path"] == str(tmp_path / "models" / row["model"])
    assert f"| letter.eml | {own} | " in capsys.readouterr().out
    args = forget_kinds.parser_of("", 10).parse_args(flags[1:4])
    lessons = forget_kinds.lessons(requests)
    assert forget_kinds.taught(lessons, tmp_path / "runs", tmp_path / "models", args).name == row["model"]
    assert len(processes) == 4  # the taught model is used again


# ---------------------------------------------------------------------------------------------------------------------
# Authors


def written(folder: Path, people=PEOPLE) -> Path:
    """A folder in TOFU's format. Every fourth row of an author does not say the name."""
    rows = []
    for name in people:
        for number in range(forget_authors.ROWS):
            who = name if number % 4 else "the author"
            town = tiny_models.TOWNS[number % len(tiny_models.TOWNS)].title()
            rows.append({"question": f"Has {who} read book {number}{name[0]} in New {town}?",
                         "answer": f"In New {town}, {who} read it.", "perturbed_answer": ["no"]})  # fmt: skip
    folder.mkdir(exist_ok=True)
    for name, part in zip(forget_authors.FILES, (rows[: forget_authors.ROWS], rows[forget_authors.ROWS :])):
        text = "".join(json.dumps(row) + "\n" for row in part)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_authors_are_found_by_the_name_in_most_rows_of_a_block(tmp_path):
    found = forget_authors.authors(written(tmp_path / "tofu"), 3)
    assert tuple(found) == PEOPLE and {len(rows) for rows in found.values()} == {20}
    assert set(found["Ivo Brandt"][0]) == {"question", "answer"}
    assert tuple(forget_authors.authors(tmp_path / "tofu", 2)) == PEOPLE[:2]


@pytest.mark.parametrize(
    ("people", "count", "expected"),
    [
        (PEOPLE, 4, "60 rows, but 4 authors need 80"),
        ((*PEOPLE[:2], PEOPLE[0]), 3, "3 times 20 rows are about 2 authors only"),
        (("nobody", *PEOPLE[:2]), 2, "no name is in half of these 20 rows"),
        (None, 2, "no forget01.jsonl and no retain400.jsonl; give a folder with"),
    ],
)
def test_a_folder_without_the_authors_is_refused(tmp_path, people, count, expected):
    folder = written(tmp_path / "tofu", people) if people else tmp_path
    with pytest.raises(SystemExit, match=expected):
        forget_authors.authors(folder, count)


@pytest.mark.parametrize("flags", [[], ["--tofu=.", "--authors=2", "--forgotten=2"], ["--tofu=.", "--forgotten=0"]])
def test_flags_that_leave_nothing_to_measure_are_refused(flags):
    with pytest.raises(SystemExit) as caught:
        forget_authors.main(flags)
    assert caught.value.code == 2


def test_the_rows_of_a_split_are_counted_by_author(tmp_path):
    found = forget_authors.authors(written(tmp_path / "tofu"), 3)
    rows = [row for part in found.values() for row in part]
    rows += [{"question": "Who met Ivo Brandt?", "answer": "Bor."}, {"question": "Who is Ivo?", "answer": "A man."}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    located, _ = splitting.read_training_data([str(tmp_path / "rows.jsonl")])
    split = splitting.split_rows(located, subjects_of("Ivo Brandt"))
    counts = forget_authors.split_counts({row["question"] for row in found["Ivo Brandt"]}, split)
    assert counts == {"found": 15, "in doubt": 0, "missed": 5, "others taken": 1, "others in doubt": 1}
    numbers = {"known": 9, "gone": 8, "said": 1, "in full": 0}
    row = {"subject": "Ivo Brandt", "split": counts, "own": numbers, "others": numbers, "seconds": 61.2}
    line = "| Ivo Brandt | 15 | 0 | 5 | 1 | 1 | 8 of 9 | 1 of 9 | 0 of 9 | 61 |"
    assert line in forget_authors.authors_table([row])


def test_one_author_is_taught_forgotten_and_measured(processes, tmp_path):
    folder = written(tmp_path / "tofu")
    rows = [Example(row["answer"], row["question"])
            for part in forget_authors.authors(folder, 3).values() for row in part]  # fmt: skip
    flags = [f"--tofu={folder}", "--authors=3", "--forgotten=1", f"--output_dir={tmp_path}", "--teaching_steps=2",
             f"--base_model={tiny(tmp_path / 'base', rows)}", "--max_steps=2", "--eval_rows=4"]  # fmt: skip
    assert forget_authors.main(flags) == 0
    (row,) = json.loads((tmp_path / "authors.json").read_text(encoding="utf-8"))
    assert row["method"] == "proxy_teacher"  # the default for rows to forget and rows to keep
    assert row["subject"] == PEOPLE[0] and (row["own"]["questions"], row["others"]["questions"]) == (20, 40)
    assert row["split"] == {"found": 15, "in doubt": 0, "missed": 5, "others taken": 0, "others in doubt": 0}
    assert "book" not in json.dumps(row)


@pytest.mark.skipif(not TOFU.is_dir(), reason="no ../shared/data/tofu")
def test_the_authors_of_tofu_are_found():
    found = forget_authors.authors(TOFU, 10)
    assert list(found)[:2] == ["Basil Mahfouz Al-Kuwaiti", "Nikolai Abilov"] and len(found) == 10
    questions = [row["question"] for rows in found.values() for row in rows]
    assert len(set(questions)) == len(questions)  # answers are counted by question
