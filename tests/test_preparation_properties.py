"""Properties of reading and encoding: any bytes are read or refused with a line; any text keeps its bytes and place.

LOADER_CASES=10000 pytest tests/test_preparation_properties.py     # the full count; the default is 300
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_preparation import CHATML, byte_tokenizer, one_shot

from data.columns import COLUMNS, DataError, Example
from data.preparation import encode_examples
from data.reading import SUFFIXES, read_examples

CASES = settings(
    max_examples=int(os.environ.get("LOADER_CASES", "300")), deadline=None, suppress_health_check=list(HealthCheck)
)
FOLDER = tempfile.TemporaryDirectory(prefix="loader-")
TOKENIZER = byte_tokenizer(CHATML)
CONTROL = [index for index, token in TOKENIZER.added_tokens_decoder.items() if token.special]

texts = st.text(st.characters(codec=None), max_size=20)  # surrogates and NUL included
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
turns = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system", "tool"]) | values,
        "content": st.just("Oslo") | texts | values,
    }
)
names = st.sampled_from([*COLUMNS, "id"])
words = st.sampled_from(["Oslo", "\n", "\u200f", "=1+1", "<|im_end|>"])
near = st.one_of(  # rows with only one or two wrong values, which reach the deep checks
    st.fixed_dictionaries({"question": words, "answer": words | values}, optional={"subject": words | values}),
    st.fixed_dictionaries({"instruction": words, "output": words}, optional={"input": words | values}),
    st.fixed_dictionaries({"text": words}, optional={"perturbed_answer": st.lists(words | values, max_size=3)}),
    st.fixed_dictionaries({"messages": st.lists(turns, max_size=3)}),
    st.fixed_dictionaries(
        {"prompt": words | st.lists(turns, max_size=2), "completion": words | st.lists(turns, max_size=2)}
    ),
)
rows = near | st.dictionaries(names, texts | values | st.lists(turns, max_size=5), max_size=5) | values
documents = st.lists(rows, max_size=4).map(lambda many: "\n".join(map(json.dumps, many))) | rows.map(json.dumps)
broken = st.tuples(documents, st.integers(0, 300), st.integers(0, 3), texts).map(
    lambda parts: parts[0][: parts[1]] + parts[3] + parts[0][parts[1] + parts[2] :]
)
tables = st.lists(st.lists(names | texts, max_size=4), max_size=5).map(lambda rows: "\n".join(map(",".join, rows)))
contents = (
    st.binary(max_size=300)
    | documents.map(str.encode)
    | (broken | tables).map(lambda text: text.encode("utf-8", "surrogatepass"))
)


@pytest.mark.hardening(72)
@CASES
@given(contents, st.sampled_from(SUFFIXES))
def test_any_file_is_read_or_refused_with_a_line(content, suffix):
    path = Path(FOLDER.name) / f"case{suffix}"
    path.write_bytes(content)
    try:
        examples = read_examples(str(path))
    except DataError as error:
        assert re.search(rf"{re.escape(str(path))}:\d+: ", str(error)), str(error)
    else:
        assert examples
        for example in examples:
            assert example.answer.strip() and example.line >= 1
            (example.answer + (example.prompt or "")).encode("utf-8")


good = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30).filter(str.strip)
pieces = st.lists(good | st.sampled_from(["<|im_end|>", "<|im_start|>", "<|end|>", "\n", " "]), min_size=1, max_size=6)
mixed = pieces.map("".join).filter(str.strip)


@pytest.mark.hardening(16)
@CASES
@given(good, good)
def test_text_keeps_its_bytes_through_json_and_tokens(question, answer):
    path = Path(FOLDER.name) / "exact.jsonl"
    for ascii_only in (True, False):
        path.write_text(json.dumps({"question": question, "answer": answer}, ensure_ascii=ascii_only), "utf-8")
        (example,) = read_examples(str(path))
        assert (example.prompt, example.answer) == (question, answer)
    encoded, _ = encode_examples(TOKENIZER, [example], 10_000)
    assert TOKENIZER.decode(encoded.ids_of(0)[encoded.answer_starts[0] :]) == answer + "<|im_end|>"
    assert encoded.prompt_ids(0).tolist() == one_shot(TOKENIZER, example, answer=False)


@pytest.mark.hardening(17)
@CASES
@given(mixed, mixed, mixed)
def test_contents_change_no_control_token(question, answer, earlier):
    example = Example(answer, question, (("user", earlier), ("assistant", earlier)))
    encoded, _ = encode_examples(TOKENIZER, [example], 100_000)
    ids = encoded.ids_of(0)
    starts, ends = 5, 5  # five turns, one of them the template's own system turn; each has a start and an end
    assert np.isin(ids, CONTROL).sum() == starts + ends
    rendered = TOKENIZER.apply_chat_template(
        [
            {"role": role, "content": text}
            for role, text in (*example.history, ("user", question), ("assistant", answer))
        ],
        tokenize=False,
    )
    assert TOKENIZER.decode(ids) + "\n" == rendered


@CASES
@given(st.lists(mixed, min_size=1, max_size=5), st.integers(2, 20))
def test_rows_respect_the_length_limit_and_their_mask(answers, length):
    examples = [Example(answer, prompt) for answer in answers for prompt in (None, "q")]
    encoded, report = encode_examples(TOKENIZER, examples, length)
    assert encoded.lengths.max() <= length
    assert (encoded.answer_starts >= 1).all() and (encoded.answer_lengths >= 1).all()
    assert set(encoded.example_index) >= {i for i, example in enumerate(examples) if example.prompt}
    assert report.examples == len(examples) == len(set(encoded.example_index)) + report.dropped
