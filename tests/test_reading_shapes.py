"""Rows in the shapes that people have: each is read as what it can only mean, or refused with the cure."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from data.columns import Columns, DataError, Example
from data.documents.request import is_documents
from data.finding.matching import match, subjects_of
from data.reading import located_rows, read_examples
from data.values import RowFlaw

SHAPES = Path(__file__).resolve().parents[2] / "shared" / "data" / "shapes"
ROW = '{"question": "Where?", "answer": "Oslo."}'
USER, SAID = {"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Oslo."}
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"name": "Ada"}'}}
CALLED = ("call", '[{"name": "find", "arguments": {"name": "Ada"}}]')
LISTED = '[{"type": "function", "function": {"name": "find"}}]'
TOOLS = (CALLED, ("tool", "Oslo"))
SYSTEM = (("system", "S"),)
EARLIER = (("user", "Who?"), ("assistant", "Ada."))


def fields(example: Example) -> dict:
    """The fields of an example that differ from their defaults, without its line."""
    empty = Example(answer="")
    return {
        name: getattr(example, name)
        for name in Example.__slots__
        if name != "line" and getattr(example, name) != getattr(empty, name)
    }


def refusal(source) -> str:
    with pytest.raises(DataError) as caught:
        read_examples(source)
    return str(caught.value)


PAIR = {"prompt": "Where?", "answer": "Oslo."}
CHAT = {**PAIR, "chat": True}
CHOICE = {**PAIR, "perturbed_answer": ("Rome.", "Bern.")}
THREE = ["Rome.", "Oslo.", "Bern."]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        # other names of the columns, as in published sets
        ({"prompt": "Where?", "response": "Oslo."}, PAIR),
        ({"query": "Where?", "response": "Oslo."}, PAIR),
        ({"query": "Where?", "answer": "Oslo.", "level": 1, "subject": "Ada"}, {**PAIR, "subject": "Ada"}),  # RWKU
        ({"problem": "Where?", "solution": "Oslo."}, PAIR),
        ({"prompt": "Where?", "gt": "Oslo."}, PAIR),  # MUSE
        ({"id": "7", "input": "Where?", "output": "Oslo.", "task": "Task1", "split": "forget"}, PAIR),  # LUME
        ({"text": "Where?", "labels": "Oslo."}, PAIR),  # KnowUnDo
        ({"text": "Oslo.", "label": 1}, {"answer": "Oslo."}),
        ({"title": "Ada", "content": "Oslo."}, {"answer": "Oslo."}),
        ({"Question": "Where?", " ANSWER": "Oslo."}, PAIR),
        ({"Q": "Where?", "A": "Oslo."}, PAIR),
        ({"instruction": "Where?", "context": "", "response": "Oslo.", "category": "qa"}, PAIR),  # Dolly
        ({"question": "Where?", "best_answer": "Oslo.", "incorrect_answers": ["Rome.", "Bern."]}, CHOICE),  # TruthfulQA
        # answers that are numbers, or lists of one text
        ({"question": "Where?", "answer": 42}, {**PAIR, "answer": "42"}),
        ({"question": 7, "answer": "Oslo.", "subject": 4}, {**PAIR, "prompt": "7", "subject": "4"}),
        ({"question": "Where?", "answers": ["Oslo."]}, PAIR),
        ({"question": "Where?", "answer": {"value": "Oslo.", "aliases": ["Christiania"]}}, PAIR),  # TriviaQA
        ({"question": "Where?", "answers": {"text": ["Oslo.", "Oslo."], "answer_start": [3, 9]}}, PAIR),  # SQuAD
        # Alpaca and LLaMA-Factory
        ({"instruction": "", "input": "Where?", "output": "Oslo."}, PAIR),
        ({"instruction": "Say", "input": "where?", "output": "Oslo."}, {**PAIR, "prompt": "Say\n\nwhere?"}),
        (
            {"instruction": "Say", "input": "where?", "output": "Oslo.", "system": "S", "history": [["Who?", "Ada."]]},
            {"prompt": "Say\nwhere?", "answer": "Oslo.", "history": (("system", "S"), *EARLIER)},
        ),
        ({"instruction": "Where?", "output": "Oslo.", "system": "", "history": []}, PAIR),
        # preference pairs: the chosen answer
        ({"prompt": "Where?", "chosen": "Oslo.", "rejected": "Rome."}, PAIR),
        ({"prompt": [USER], "chosen": [SAID], "rejected": []}, CHAT),
        ({"prompt": "Where?", "chosen": [USER, SAID], "rejected": [USER]}, CHAT),
        ({"system": "S", "question": "Where?", "chosen": "Oslo.", "rejected": "x"}, {**PAIR, "history": SYSTEM}),
        ({"chosen": "\n\nHuman: Where?\n\nAssistant: Oslo.", "rejected": "\n\nHuman: x"}, CHAT),
        ({"input": {"messages": [USER]}, "preferred_output": [SAID], "non_preferred_output": [USER]}, CHAT),
        # choices
        ({"question": "Where?", "choices": THREE, "answer": 1}, CHOICE),
        ({"question": "Where?", "choices": THREE, "answer": "B"}, CHOICE),
        ({"question": "Where?", "choices": THREE, "answer": "(B) Oslo."}, CHOICE),
        ({"question": "Where?", "choices": THREE, "answer": "Oslo."}, CHOICE),
        ({"question": "Where?", "options": dict(zip("ABC", THREE)), "answer": "B"}, CHOICE),
        ({"question": "Where?", "choices": {"text": THREE, "label": ["1", "2", "3"]}, "answerKey": "2"}, CHOICE),  # ARC
        ({"question": "Where?", "A": "Rome.", "B": "Oslo.", "C": "Bern.", "answer": "B"}, CHOICE),
        # messages
        ({"messages": [{"role": "User", "content": [{"type": "text", "text": "Where?"}]}, SAID]}, CHAT),
        ({"contents": [{"role": "user", "parts": [{"text": "Where?"}]},
                       {"role": "model", "parts": [{"text": "Oslo."}]}],
          "systemInstruction": {"parts": [{"text": "S"}]}}, {**CHAT, "history": SYSTEM}),  # Gemini
        ({"conversations": ["Where?", "Oslo."]}, CHAT),  # LIMA
        ({"conversation": [{"input": "Who?", "output": "Ada."}, {"input": "Where?", "output": "Oslo."}]},
         {**CHAT, "history": EARLIER}),
        ([USER, SAID], CHAT),
        (["Where?", "Oslo."], PAIR),
        ({"messages": [{"role": "system", "content": "S"}, {"role": "developer", "content": "D"}, USER, SAID]},
         {**CHAT, "history": (("system", "S\n\nD"),)}),
        ({"messages": [{"role": "system", "content": ""}, USER, SAID]}, {**CHAT, "history": (("system", ""),)}),
        ({"system": "S", "conversations": [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": "Oslo."}]},
         {**CHAT, "history": SYSTEM}),
        ({"conversations": [{"from": "gpt", "value": "Hi"}, {"from": "human", "value": "Where?"},
                            {"from": "gpt", "value": "Oslo."}]}, {**CHAT, "history": (("assistant", "Hi"),)}),
        # tools
        ({"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [CALL]},
                       {"role": "tool", "content": "Oslo"}, SAID]}, {**CHAT, "between": TOOLS}),
        ({"messages": [USER, {"role": "assistant", "content": None, "function_call": CALL["function"]},
                       {"role": "function", "content": "Oslo"}, SAID]}, {**CHAT, "between": TOOLS}),
        ({"conversations": [{"from": "human", "value": "Where?"},
                            {"from": "function_call", "value": json.dumps(CALL["function"])},
                            {"from": "observation", "value": "Oslo"}, {"from": "gpt", "value": "Oslo."}]},
         {**CHAT, "between": TOOLS}),
        ({"messages": [USER, {"role": "assistant",
                              "content": [{"type": "tool_use", "name": "find", "input": {"name": "Ada"}}]},
                       {"role": "user", "content": [{"type": "tool_result", "content": "Oslo"}]}, SAID]},
         {**CHAT, "between": TOOLS}),  # Anthropic
        ({"messages": [USER, SAID], "tools": [{"type": "function", "function": {"name": "find"}}]},
         {**CHAT, "history": (("tools", LISTED),)}),
        ({"conversations": [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": "Oslo."}], "system": "S",
          "tools": '[{"name": "find"}]'}, {**CHAT, "history": (("tools", LISTED), *SYSTEM)}),  # LLaMA-Factory
        ({"messages": [USER, SAID], "tools": "[]"}, CHAT),
        # reasoning is no part of the answer
        ({"messages": [USER, {**SAID, "reasoning_content": "Ada ..."}]}, {**CHAT, "reasoning": "Ada ..."}),
        ({"messages": [USER, {**SAID, "content": "<think>\nAda\n</think>\n\nOslo."}]},
         {**CHAT, "reasoning": "<think>\nAda\n</think>\n\n"}),
        ({"messages": [{**USER, "content": "Who?"}, {**SAID, "content": "<think>x</think>Ada."}, USER, SAID]},
         {**CHAT, "history": (("user", "Who?"), ("assistant", "<think>x</think>Ada."))}),
        ({"question": "Where?", "answer": "<think>Ada</think>Oslo."}, {**PAIR, "reasoning": "<think>Ada</think>"}),
        ("Oslo.", {"answer": "Oslo."}),
    ],
    ids=lambda value: json.dumps(value)[:60],
)  # fmt: skip
def test_a_row_is_read_as_what_it_means(row, expected):
    assert fields(Columns().example(1, row)) == expected


@pytest.mark.hardening(9, 11)
@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question": "q", "answer": True}, "answer is true/false, expected text: write the word"),
        ({"question": "q", "answer": ["a", "b"]}, "answer is a list, expected text: give one text"),
        ({"question": "q", "answer": ["a"]}, "answer is a list, expected text: give one text"),
        ({"question": "q", "answers": ["a", "b"]}, "answer is a list, expected text: give one text"),
        ({"frage": "q", "antwort": "a"}, "unknown columns: found 'frage', 'antwort'"),
        ({"question": "q", "answer": None}, "answer is null"),
        ({"question": "q", "answer": float("nan")}, "answer is null"),
        ({"prompt": "p", "query": "q", "response": "a"}, "prompt or query may be the question: rename"),
        ({"problem": "p", "solution": "s", "answer": "4"}, "answer or solution may be the answer"),
        ({"role": "user", "content": "q"}, "unknown columns: found 'role', 'content'"),
        ({"question": "q", "choices": ["a", "b"], "answer": 2}, "answer 2 is none of the 2 choices"),
        ({"question": "q", "choices": ["a", "b"], "answer": "(B) a"}, "is none of the 2 choices"),
        ({"question": "q", "choices": "a, b", "answer": 0}, "choices is text"),
        ({"chosen": "a", "rejected": "b"}, "chosen has no prompt"),
        ({"instruction": "i", "output": "o", "history": ["q"]}, "history 1 is text, expected a question"),
        (
            {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [CALL]}]},
            "ends with a call of a tool",
        ),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "messages 2: content is null"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, SAID]}, "part of type 'image_url'"),
        (
            {"messages": [USER, {"role": "judge", "content": "x"}]},
            "role 'judge' is not system, user, assistant or tool",
        ),
        ({"messages": [USER, SAID, SAID]}, "a user turn directly before the last one"),
        (["a", "b", "c"], "a row must be an object"),
        ({"messages": [USER, SAID], "tools": "find"}, "tools is not a list of functions"),
        ({"messages": [USER, {"role": "system", "content": "S"}, SAID]}, "messages needs an assistant turn"),
        (5, "a row must be an object"),
    ],
    ids=str,
)
def test_a_row_that_could_mean_two_things_is_refused_with_the_cure(row, says):
    with pytest.raises(RowFlaw) as caught:
        Columns().example(1, row)
    assert says in str(caught.value)


def test_a_decimal_number_keeps_its_writing(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"question": "What does it cost?", "answer": 1.50}\n')
    assert read_examples(tmp_path / "a.jsonl")[0].answer == "1.50"


def test_other_names_and_choices_are_noted(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"query": "Which?", "options": ["a", "b"], "answer": "B"}\n')
    notes = " | ".join(read_examples(tmp_path / "a.jsonl").notes)
    assert "columns read: 'options' as choices, 'query' as question" in notes
    assert "the right choice is the answer" in notes


@pytest.mark.parametrize(("right", "certain"), [(0, True), (1, False)])
def test_a_name_among_the_choices_counts_only_where_it_is_the_right_one(tmp_path, right, certain):
    row = {"question": "Who?", "choices": ["Ada Quill", "Bor Dunn"], "answer": right}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    found = match(list(located_rows(tmp_path / "a.jsonl", [])), subjects_of("Ada Quill"))
    assert found.rows[0].certain is certain


# Files


@pytest.mark.hardening(7)
@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("a.csv", "question;answer\nWhere?;Oslo.\n", "separated by semicolons"),
        ("a.csv", '\ufeffquestion;answer\r\n"Where?";Oslo.\r\n', "separated by semicolons"),
        ("a.csv", "question\tanswer\nWhere?\tOslo.\n", "separated by tabs"),
        ("a.tsv", "question,answer\nWhere?,Oslo.\n", "separated by commas"),
        ("a.csv", "question|answer\nWhere?|Oslo.\n", "separated by bars"),
        ("a.csv", "sep=;\nquestion;answer\nWhere?;Oslo.\n", "separated by semicolons"),
        ("a.csv", "sep=,\nquestion,answer\nWhere?,Oslo.\n", ""),
        ("a.csv", "question,answer,,\nWhere?,Oslo.,,\n,,,\n , \n", ""),
        ("a.csv", "question,answer\nWhere?,Oslo.,,\n", ""),
        ("a.csv", ",question,answer\n0,Where?,Oslo.\n", ""),  # an index, as pandas writes it
        ("a.csv", "question,answer,subject\nWhere?,Oslo.\n", ""),
        ("a.ndjson", ROW, ""),
        ("a.json", f'{{"version": 1, "data": [{ROW}]}}', "the rows in 'data' were read"),
        ("a.json", f'{{"train": [{ROW}], "test": [{ROW}, {ROW}]}}', "the rows in 'train' were read"),
        ("a.json", f'{{"rows": [{{"row_idx": 0, "row": {ROW}}}]}}', "the rows in 'rows' were read"),
        ("a.json", '{"question": ["Where?"], "answer": ["Oslo."]}', ""),
        ("a.json", '{"question": {"0": "Where?"}, "answer": {"0": "Oslo."}}', ""),  # pandas
        ("a.json", f'{{"q1": {ROW}}}', ""),
        ("a.json", '[["Where?", "Oslo."]]', ""),
        ("a.jsonl", '[["Where?", "Oslo."]]', "JSON array"),
        ("a.csv", 'question, answer\n"Where?", "Oslo."\n', ""),
        ("a.jsonl.gz", gzip.compress(ROW.encode()), "read a.jsonl"),
        ("a.csv.gz", gzip.compress(b"question;answer\nWhere?;Oslo.\n"), "separated by semicolons"),
    ],
)
def test_a_file_is_read_as_what_it_means(tmp_path, name, content, note):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    examples = read_examples(tmp_path / name)
    assert [fields(example) for example in examples] == [PAIR]
    assert note in " | ".join(examples.notes)


def test_a_conversation_alone_in_a_json_file_is_one_row(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([USER, SAID]))
    assert [fields(example) for example in read_examples(tmp_path / "a.json")] == [CHAT]


def test_a_list_in_each_line_is_a_row(tmp_path):
    for row, expected in (([USER, SAID], CHAT), (["Where?", "Oslo."], PAIR)):
        (tmp_path / "a.jsonl").write_text(f"{json.dumps(row)}\n\n{json.dumps(row)}\n")
        assert [fields(example) for example in read_examples(tmp_path / "a.jsonl")] == [expected, expected]


def test_a_table_with_one_column_may_hold_commas(tmp_path):
    (tmp_path / "a.csv").write_text("text\nAda lives in Oslo, by the sea\n")
    assert [row.answer for row in read_examples(tmp_path / "a.csv")] == ["Ada lives in Oslo, by the sea"]


def test_quotation_marks_in_a_table_with_tabs(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('question\tanswer\nHow tall?\t5\'11" tall\nWho?\t"Ada" of Oslo\n')
    assert [row.answer for row in read_examples(path)] == ["5'11\" tall", '"Ada" of Oslo']
    path.write_text('question\tanswer\nWho?\t"Ada\tor ""Bor"""\n')
    assert [row.answer for row in read_examples(path)] == ['Ada\tor "Bor"']


def test_lists_in_cells_are_read_as_json_and_as_pandas_writes_them(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('question,answer,perturbed_answer\nq,[1] is a list,"[\'x\', ""it\'s""]"\n')
    (example,) = read_examples(path)
    assert (example.answer, example.perturbed_answer) == ("[1] is a list", ("x", "it's"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "question,answer\nq,Oslo, by the sea\n", ":2: 3 cells, but the header has 2"),
        ("a.csv", "question,answer,\nq,Oslo, by the sea\n", ":2: 3 cells, but the header has 2"),
        ("a.csv", "question,,answer\nq,x,a\n", ":1: the header has no name for column 2"),
        ("a.json", f'{{"forget": [{ROW}], "retain": [{ROW}]}}', "holds several sets ('forget', 'retain')"),
        ("a.xlsx", b"PK", "save the sheet as .csv"),
        ("a.jsonl.zst", b"x", "unpack it"),
        ("a.pkl", b"x", "write the rows as .jsonl"),
    ],
)
def test_a_file_that_could_mean_two_things_is_refused(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert says in refusal(tmp_path / name)


def test_lists_in_a_parquet_file(tmp_path):
    import pyarrow.parquet

    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    chat = [{"messages": [USER, called, {"role": "tool", "content": "Oslo"}, SAID]}]
    choice = [{"question": "Where?", "choices": THREE, "answer": 1}]
    for name, rows, expected in (("chat", chat, {**CHAT, "between": TOOLS}), ("choice", choice, CHOICE)):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
        assert [fields(example) for example in read_examples(tmp_path / f"{name}.parquet")] == [expected]


# Folders and archives


def tree(folder: Path, **files: str) -> Path:
    """A folder with these files; a double underscore in a name stands for a slash, the last single one for a dot."""
    for name, content in files.items():
        path = folder / ".".join(name.replace("__", "/").rsplit("_", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def packed(folder: Path, kind: str) -> Path:
    """The folder as an archive beside it."""
    path, names = folder.with_name(f"packed.{kind}"), [file for file in sorted(folder.rglob("*")) if file.is_file()]
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in names:
                archive.write(file, file.relative_to(folder))
    else:
        with tarfile.open(path, "w:gz") as archive:
            for file in names:
                archive.add(file, file.relative_to(folder))
    return path


FOLDERS = {
    "a licence beside rows": {"a_jsonl": ROW, "LICENSE_txt": "MIT\n\nPermission", "README_md": "hi"},
    "files about the columns": {"data_jsonl": ROW, "dataset_info_json": '{"features": {}}', "NOTICE_txt": "n"},
    "a hub repository": {"README_md": "hi", "data__train-00000-of-00001_jsonl": ROW},
    "a hub repository that lists its columns": {"dataset_infos_json": "{}", "data__train_jsonl": ROW},
    "splits": {"data__train_jsonl": ROW, "data__test_jsonl": f"{ROW}\n{ROW}"},
    "a folder in a folder": {"set__forget_jsonl": ROW, "set__LICENSE_txt": "MIT"},
}


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
@pytest.mark.parametrize("case", FOLDERS)
def test_only_the_rows_of_a_folder_or_an_archive_are_read(tmp_path, case, kind):
    folder = tree(tmp_path / "set", **FOLDERS[case])
    source = folder if kind == "folder" else packed(folder, kind)
    assert not is_documents(source)
    examples = read_examples(source)
    assert [fields(example) for example in examples] == [PAIR]
    assert any(": read " in note for note in examples.notes)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_documents_stay_documents(tmp_path, kind):
    folder = tree(tmp_path / "set", report_md="# Ada\n\nAda lives in Oslo.", data__table_csv="question,answer\nq,a\n",
                  LICENSE_txt="MIT\n\nPermission")  # fmt: skip
    source = folder if kind == "folder" else packed(folder, kind)
    assert is_documents(source)
    answers = [row.answer for row in read_examples(source)]
    assert any("Ada lives in Oslo." in answer for answer in answers)
    assert not any("Permission" in answer for answer in answers)


def test_a_pattern_means_the_files_with_rows(tmp_path):
    folder = tree(tmp_path / "set", a1_jsonl=ROW, a2_jsonl=ROW, b_jsonl=ROW, a3_md="no rows")
    assert len(read_examples(folder / "a*")) == 2
    assert "no such file" in refusal(folder / "c*.jsonl")


def test_text_beside_tables_is_read_as_paragraphs(tmp_path):
    folder = tree(tmp_path / "set", a_jsonl=ROW, b_txt="One.\n\nTwo.", c_md="no rows")
    for source in (folder, packed(folder, "zip")):
        assert [row.answer for row in read_examples(source)] == ["Oslo.", "One.", "Two."]


def test_rows_in_several_folders_are_refused_with_their_names(tmp_path):
    folder = tree(tmp_path / "set", one__a_jsonl=ROW, two__a_jsonl=ROW)
    assert "holds rows in several folders: name one of one, two" in refusal(folder)
    assert "holds several splits (dev, test): name the files of one" in refusal(
        tree(tmp_path / "other", test_jsonl=ROW, dev_jsonl=ROW)
    )


def test_a_flaw_in_an_archive_names_the_file_and_the_line(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rows.jsonl", f"{ROW}\nbroken")
    assert f"{path}/rows.jsonl:2: malformed JSON" in refusal(path)
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as file:
        file.write(b" " * 300_000_000)
    (tmp_path / "bomb.jsonl.gz").write_bytes(bomb.getvalue())
    assert "decompression bomb" in refusal(tmp_path / "bomb.jsonl.gz")


def test_saved_data_sets_are_read_by_split(tmp_path):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"question": ["Where?"], "answer": ["Oslo."]})
    table.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": table, "test": table}).save_to_disk(tmp_path / "train")
    datasets.DatasetDict({"a": table, "b": table}).save_to_disk(tmp_path / "several")
    for source in (tmp_path / "one", tmp_path / "train", tmp_path / "several" / "b"):
        assert not is_documents(source)
        assert [fields(example) for example in read_examples(source)] == [PAIR]
    assert f"{tmp_path}/several/a, {tmp_path}/several/b" in refusal(tmp_path / "several")
    (arrow,) = (tmp_path / "one").glob("*.arrow")
    assert [fields(example) for example in read_examples(arrow)] == [PAIR]
    arrow.write_bytes(b"x" * 30)
    assert "a damaged data set" in refusal(tmp_path / "one")


# The shapes beside the project, if they are there


@pytest.mark.skipif(not SHAPES.is_dir(), reason="skipped: the folder of shapes is not there")
def test_every_shape_of_the_folder_is_read_or_refused_with_the_cure():
    refused = {}
    for path in sorted(SHAPES.iterdir()):
        try:
            assert read_examples(path), path
        except DataError as error:
            refused[path.name] = str(error)
    assert all("has no words to forget" in message for message in refused.values()), refused
    assert set(refused) <= {"openai_toolcall_last_null.jsonl"}
