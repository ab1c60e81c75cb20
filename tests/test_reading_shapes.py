"""Rows in the shapes that people have: each is read as what it can only mean, or refused with the cure."""

from __future__ import annotations

import gc
import gzip
import io
import json
import struct
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


# Files made to exhaust memory

LONG = "a" * 400_000


def repeated(value, count):
    """A column that refers to one value `count` times."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([value]))


def bombs():
    """{name of a small file: what writes it}: each has rows of 40 MB or more."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def parquet(columns, **options):
        return lambda path: pq.write_table(pa.table(columns), path, compression="zstd", **options)

    def arrow(columns, file=True, compression=None):
        def write(path):
            made, options = pa.table(columns), pa.ipc.IpcWriteOptions(compression=compression)
            kind = pa.ipc.new_file if file else pa.ipc.new_stream
            with kind(path, made.schema, options=options) as writer:
                writer.write_table(made)

        return write

    references = {"question": repeated(LONG, 100), "answer": repeated("x", 100)}
    nested = {"text": pa.ListArray.from_arrays([0, 100], repeated(LONG, 100))}
    starts, plain = {"text": [LONG + str(i) for i in range(100)]}, {"use_dictionary": False}
    grown = {**plain, "column_encoding": "DELTA_BYTE_ARRAY"}
    view = struct.pack("<i4sii", len(LONG), LONG[:4].encode(), 0, 0)  # length, first letters, buffer, place in it
    buffers = [None, pa.py_buffer(view * 100), pa.py_buffer(LONG.encode())]
    views = pa.Array.from_buffers(pa.string_view(), 100, buffers)
    nothing = pa.FixedSizeListArray.from_arrays(pa.nulls(10_000_000), 10_000_000)
    numbers = pa.array([7] * 6_000_000, pa.int64())
    return {
        "references.parquet": parquet(references),
        "references-of-others.parquet": parquet(references, store_schema=False),
        "nested.parquet": parquet(nested, store_schema=False),
        "plain.parquet": parquet({"text": [LONG] * 100}, **plain),
        "one-text.parquet": parquet({"text": [LONG * 100]}, **plain),
        "starts.parquet": parquet(starts, **grown),
        "nested-starts.parquet": parquet({"text": [starts["text"]]}, use_dictionary=False,
                                         column_encoding={"text.list.element": "DELTA_BYTE_ARRAY"}),
        "numbers.parquet": parquet({"text": numbers}),
        "packed.arrow": arrow({"text": [LONG] * 100}, compression="zstd"),
        "packed-stream.arrow": arrow({"text": [LONG] * 100}, file=False, compression="lz4"),
        "packed-references.arrow": arrow({"text": repeated(LONG * 100, 1)}, compression="zstd"),
        "references.arrow": arrow(references),
        "references-stream.arrow": arrow(references, file=False),
        "views.arrow": arrow({"text": views}),
        "nothing.arrow": arrow({"text": nothing}),
    }  # fmt: skip


@pytest.mark.parametrize("wrapped", ["", ".gz", ".zip"])
def test_a_small_file_with_huge_rows_is_refused_before_they_are_made(tmp_path, wrapped, monkeypatch):
    import pyarrow

    from data.reading import unpacked

    monkeypatch.setattr(unpacked, "MAX_TOTAL", 30_000_000)
    written = bombs()
    for name, write in written.items():
        path = tmp_path / name
        write(path)
        assert path.stat().st_size < 2_000_000, name
        if wrapped == ".gz":
            path = tmp_path / f"{name}.gz"
            path.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        elif wrapped:
            path = tmp_path / f"{name}.zip"
            with zipfile.ZipFile(path, "w") as archive:
                archive.write(tmp_path / name, name)
        gc.collect()
        usual, pool = pyarrow.default_memory_pool(), pyarrow.system_memory_pool()  # one that nothing else uses
        pyarrow.set_memory_pool(pool)
        try:
            told = refusal(path)
        finally:
            pyarrow.set_memory_pool(usual)
        assert f"{path}" in told and "decompression bomb" in told and "as .jsonl" in told, told
        assert pool.max_memory() < 30_000_000, f"{name}: {pool.max_memory():,} bytes"


def test_a_file_of_900_bytes_with_rows_of_4_gb_is_refused_at_once(tmp_path):
    import time

    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    columns = {"question": repeated("a" * 4_000_000, 1000), "answer": repeated("x", 1000)}
    pyarrow.parquet.write_table(pyarrow.table(columns), path, compression="zstd")
    assert path.stat().st_size < 1000
    started = time.perf_counter()
    assert "unpacks to more than 200 MB" in refusal(path)
    assert time.perf_counter() - started < 5


def varint(number):
    """A number as a footer holds it, from 0 up."""
    number, found = 2 * number, []
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def with_a_lying_footer(data, sizes):
    """A Parquet file whose footer tells small sizes, and no unusual encodings; `sizes`: those that it told."""
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8]
    for told in map(varint, sizes):
        assert told in footer
        footer = footer.replace(told, bytes([2 | 128, *[128] * (len(told) - 2), 0]))  # 1, in as many bytes
    for listed in (b"\x19\x25\x0e\x06", b"\x19\x25\x06\x0e", b"\x19\x35\x00\x06\x0e"):  # 14: DELTA_BYTE_ARRAY
        footer = footer.replace(listed, listed.replace(b"\x0e", b"\x06"))
    return data[: -8 - length] + footer + data[-8:]


def test_a_footer_that_tells_small_sizes_helps_no_bomb(tmp_path, monkeypatch):
    """Neither sizes nor encodings of the footer count, but what the pages are unpacked to."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from data.reading import unpacked

    monkeypatch.setattr(unpacked, "MAX_TOTAL", 30_000_000)
    written = bombs()
    lists = pa.ListArray.from_arrays([0, 10_000_000], pa.nulls(10_000_000, pa.string()))
    written["nulls.parquet"] = lambda path: pq.write_table(pa.table({"text": lists}), path)
    for name in (name for name in written if name.endswith(".parquet")):
        path = tmp_path / name
        written[name](path)
        about = pq.ParquetFile(path).metadata
        chunks = [about.row_group(group).column(number) for group in range(about.num_row_groups)
                  for number in range(about.num_columns)]  # fmt: skip
        sizes = {chunk.total_uncompressed_size for chunk in chunks} | {group.total_byte_size for group in
                 map(about.row_group, range(about.num_row_groups))}  # fmt: skip
        large = sorted((size for size in sizes if size > 10_000), reverse=True)
        path.write_bytes(with_a_lying_footer(path.read_bytes(), large))
        lying = pq.ParquetFile(path).metadata.row_group(0)
        assert max(lying.column(0).total_uncompressed_size, lying.total_byte_size) <= 10_000, name
        gc.collect()
        usual, pool = pa.default_memory_pool(), pa.system_memory_pool()
        pa.set_memory_pool(pool)
        try:
            told = refusal(path)
        finally:
            pa.set_memory_pool(usual)
        assert f"{path}" in told and "decompression bomb" in told, told
        assert pool.max_memory() < 30_000_000, f"{name}: {pool.max_memory():,} bytes"


def test_page_headers_are_read_as_pyarrow_reads_them(tmp_path):
    """Every page of every kind of file is found; a damaged header is refused."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from data.reading import parquet_pages

    texts = [f"{number} " + "words " * 20 for number in range(5000)]
    table = pa.table({"text": texts, "number": list(range(5000)), "lists": [[text, None] for text in texts]})
    for way in ({}, {"use_dictionary": False}, {"data_page_version": "2.0"}, {"data_page_size": 5000},
                {"row_group_size": 700, "compression": "none"}, {"write_page_checksum": True}):  # fmt: skip
        file = io.BytesIO()
        pq.write_table(table, file, **way)
        about = pq.ParquetFile(file).metadata
        for group in map(about.row_group, range(about.num_row_groups)):
            for chunk in map(group.column, range(about.num_columns)):
                found = list(parquet_pages.pages(file, chunk))
                values = [page.values for page in found if page.kind != parquet_pages.DICTIONARY]
                assert sum(values) == chunk.num_values and len(values) >= 1
                size = sum(page.size for page in found)  # the footer counts the headers too
                assert size < chunk.total_uncompressed_size < size + 500 * len(found)
                assert chunk.has_dictionary_page == (found[0].kind == parquet_pages.DICTIONARY)
    data = bytearray(file.getvalue())
    data[chunk.dictionary_page_offset] = 0x1D  # a field of a type that no header has
    with pytest.raises(ValueError, match="a damaged page header"):
        list(parquet_pages.pages(io.BytesIO(data), chunk))


def test_an_arrow_file_with_wrong_places_is_refused(tmp_path):
    """pyarrow believes the places of the texts in a file and would read elsewhere in memory."""
    import pyarrow as pa

    path, table = tmp_path / "a.arrow", pa.table({"question": ["Where?", "Who?"], "answer": ["Oslo.", "Ada."]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    assert len(read_examples(path)) == 2
    ends = struct.pack("<iii", 0, 6, 10)
    assert path.read_bytes().count(ends) == 1
    path.write_bytes(path.read_bytes().replace(ends, struct.pack("<iii", 0, 6, 2_000_000_000)))
    assert "not a readable Arrow file" in refusal(path)


def test_a_saved_data_set_with_huge_rows_is_refused_before_it_is_loaded(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    from data.reading import unpacked

    monkeypatch.setattr(unpacked, "MAX_TOTAL", 30_000_000)
    monkeypatch.setattr(datasets, "load_from_disk", lambda _: pytest.fail("it was loaded"))
    few = datasets.Dataset.from_dict({"question": ["Where?"], "answer": ["Oslo."]})
    for kind, name in (("one", ""), ("several", "test")):
        saved = few if kind == "one" else datasets.DatasetDict({"train": few, "test": few})
        saved.save_to_disk(tmp_path / kind)
        (arrow,) = (tmp_path / kind / name).glob("*.arrow")
        for bomb in ("references-stream.arrow", "packed-stream.arrow"):
            bombs()[bomb](arrow)
            told = refusal(tmp_path / kind)
            assert f"{arrow}: unpacks to more than 30 MB" in told, told


def test_a_long_list_in_a_table_is_read_as_json_only(tmp_path):
    from data.reading import tables

    short, long = "['a', 'b']", "['a'" + ", 'b'" * tables.PYTHON_LIST + "]"
    for cell, choices in ((short, ["a", "b"]), (long, None), (long.replace("'", '"'), ["a"])):
        found = tables._list(cell)
        assert found is None if choices is None else found[: len(choices)] == choices


def test_rows_of_every_kind_are_read_as_they_are(tmp_path):
    """Also where texts repeat, are packed, or lie in views; other columns may hold anything."""
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    from data.reading import unpacked

    kinds = {
        "question": pa.array(["Where?", None, "Who?", "Where?"]),
        "repeated": pa.array(["a", "b", None, "a"]).dictionary_encode(),
        "numbers": pa.array([1, None, 3, 4], pa.int16()),
        "days": pa.array([datetime.date(2020, 1, 1)] * 4),
        "lists": pa.array([["a", None], [], None, ["b"]]),
        "objects": pa.array([{"a": "x", "b": [1]}, None, {"a": None, "b": []}, {"a": "y", "b": None}]),
        "fixed": pa.array([[1, 2], None, [3, 4], [5, 6]], pa.list_(pa.int32(), 2)),
        "maps": pa.array([[("a", "b")], [], None, [("c", "d"), ("e", "f")]], pa.map_(pa.string(), pa.string())),
        "bytes": pa.array([b"ab", b"cd", None, b"ef"], pa.binary(2)),
        "none": pa.nulls(4),
    }
    views = {"views": pa.array(["x" * 40, None, "y", "z"], pa.string_view())}
    table, path = pa.table(kinds), tmp_path / "a"
    texts = ("question", "lists.list.element", "objects.a")
    encodings = [dict.fromkeys(texts, kind) for kind in ("PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY")]
    ways = [{}, *({"use_dictionary": False, "column_encoding": encoding} for encoding in encodings)]
    for way in ways:
        pq.write_table(table, path, **way)
        with open(path, "rb") as file:
            assert [row for rows in unpacked.parquet_rows(file, 1) for row in rows] == table.to_pylist()
    table = pa.table({**kinds, **views})
    for kind, compression in ((pa.ipc.new_file, None), (pa.ipc.new_stream, "zstd"), (pa.ipc.new_file, "lz4")):
        with kind(path, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
            writer.write_table(table.slice(1, 3))
            writer.write_table(table)
        with open(path, "rb") as file:
            found = [row for rows in unpacked.arrow_rows(file, 1) for row in rows]
        assert found == table.slice(1, 3).to_pylist() + table.to_pylist()


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
