"""Documents: what is refused, the limits against files made to exhaust memory, and what holds for any text."""

from __future__ import annotations

import gzip
import html
import os
import re
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_documents import BOMB, LOCKED, docx, epub, packed, paragraph, read, refusal, tar, texts, write

from data import reading, uploads
from data.columns import DataError
from data.documents import blocks, containers, formats
from data.documents.blocks import Source
from data.documents.passages import openings, passages, sentences, size

CASES = settings(
    max_examples=int(os.environ.get("LOADER_CASES", "150")), deadline=None, suppress_health_check=list(HealthCheck)
)
# ---------------------------------------------------------------------------------------------------------------------
# Refusals and limits


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.docx", docx(paragraph(" ")), ":1: no text in this Word file"),
        ("a.docx", docx(paragraph("x"), BOMB), ":1: word/document.xml declares a document type"),
        ("a.docx", docx("<w:p>" * 2000 + "</w:p>" * 2000), "nested more than 1,000 elements deep"),
        ("a.docx", docx("<w:p><w:t>x</w:p>"), "word/document.xml is malformed"),
        ("a.docx", packed({"x": "y"}), "has no part word/document.xml"),
        ("a.docx", b"\xd0\xcf\x11\xe0rest", "protected by a password, or an old .doc"),
        ("a.docx", b"PK\x03\x04", "not a readable .zip"),
        ("a.epub", packed({"x": "y"}), "has no part META-INF/container.xml"),
        ("a.epub", epub({}), "lists no chapters"),
        ("a.epub", epub({"a.xhtml": "<p> </p>"}), "no text in this book file"),
        ("a.epub", epub({"a.xhtml": "<p>x", "b.xhtml": b"\0"}), ":2: chapter OPS/b.xhtml: holds a NUL"),
        ("a.epub", epub({"a.xhtml": "<p>x"}, **LOCKED), ":1: chapter OPS/a.xhtml is encrypted"),
        ("a.eml", "no head at all", "not a mail"),
        ("a.eml", "Subject: x\n\n \n", "no text in this mail file"),
        ("a.mbox", "Subject: x\n\ntext", "no mails: in a mailbox"),
        ("a.mbox", "From a\nSubject: x\n\ntext\n\nFrom b Mon Nov 30 14:49:23 2026\njunk\n", ":2: mail 2: not a mail"),
        ("a.zip", packed({"a.docx": b"PK", "b.md": "x"}), ":1: a.docx: not a readable .zip"),
        ("a.zip", packed({"b.md": "x", "../../a.md": "x"}), ":2: the entry '../../a.md' leads out"),
        ("a.zip", packed({"/etc/a.md": "x"}), "leads out of the archive"),
        ("a.zip", packed({"C:\\a.md": "x"}), "leads out of the archive"),
        ("a.zip", packed({"a.png": "x", "b.zip": "x"}), "holds no document with a text, only 1 files of other kinds"),
        ("a.zip", packed({"a.txt": b"0" * 2_000_000}), ":1: a.txt unpacks to "),
        ("a.tar", tar({"a.md": b"x", "../b.md": b"x"}), ":2: the entry '../b.md' leads out"),
        ("a.tar", tar({"a.md": None}), "only 1 links, devices or sparse files"),
        ("a.tar", b"no tar" * 200, "not a readable .tar"),
        ("a.gz", gzip.compress(b"0" * 2_000_000), "unpacks to more than 1 MB: refused as a decompression bomb"),
        ("a.gz", gzip.compress(b"text")[:-6], "not a readable .gz"),
        ("a.gz", b"text", "not a readable .gz"),
        ("a.zip.gz", gzip.compress(packed({"a.md": "x"})), "holds another archive"),
        ("a.md", " \n\t", ":1: no rows"),
        ("a.md", "<!-- nothing -->", "no text in this Markdown file"),
        ("a.html", "<script>x</script>", "no text in this HTML file"),
        ("a.py", b"x = 1\n\xff\xfe\xfd\xfc\xfb\xfa", ":2: not UTF-8, byte offset 6"),
    ],
)  # fmt: skip
def test_unreadable_documents_are_refused_with_place_and_cure(tmp_path, name, content, expected):
    said = refusal(write(tmp_path, name, content))
    assert re.match(rf"{re.escape(str(tmp_path / name))}:\d+: ", said) and expected in said
    assert "Traceback" not in said and len(said) < 600


def test_password_protected_entries_are_refused(tmp_path):
    content = bytearray(packed({"a.md": "text"}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    assert "a.md is protected by a password" in refusal(write(tmp_path, "a.zip", bytes(content)))


@pytest.mark.parametrize(
    ("limit", "value", "name", "content", "expected"),
    [
        ("MAX_ENTRIES", 2, "a.zip", packed({f"{n}.md": "x" for n in range(3)}), "holds 3 entries"),
        ("MAX_ENTRIES", 2, "a.tar", tar({f"{n}.md": b"x" for n in range(3)}), "more than 2 entries"),
        ("MAX_TOTAL", 10, "a.zip", packed({f"{n}.md": "12345678" for n in range(2)}), "together"),
        ("MAX_BYTES", 300, "a.zip", packed({"a.md": "1" * 400}), "a.md unpacks to"),
        ("MAX_BYTES", 10, "a.md", "12345678901", "divide the document"),
        ("MAX_BLOCKS", 2, "a.md", "a\n\nb\n\nc", ":5: more than 2 paragraphs"),
        ("MAX_BLOCKS", 2, "a.html", "<p>a<p>b<p>c", "more than 2 paragraphs"),
        ("MAX_MESSAGES", 1, "a.mbox", "From a\nTo: x\n\na\n\nFrom b\nTo: x\n\nb\n", "holds 2 mails"),
    ],
)  # fmt: skip
def test_limits_of_size_and_count_are_kept(tmp_path, monkeypatch, limit, value, name, content, expected):
    path = write(tmp_path, name, content)
    for module in [module for name, module in sys.modules.items() if name.startswith("data.documents")]:
        if hasattr(module, limit):
            monkeypatch.setattr(module, limit, value)
    assert expected in refusal(path)


def test_a_folder_has_a_limit_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "MAX_FILES", 2)
    for number in range(3):
        write(tmp_path, f"{number}.md", "x")
    assert "holds more than 2 documents" in refusal(tmp_path)


def test_a_name_in_an_archive_writes_nothing(tmp_path):
    before = {*tmp_path.rglob("*")}
    path = write(tmp_path, "in/a.zip", packed({"x/a.md": "text", "b.md": "text"}))
    assert len(reading.read_examples(path)) == 2
    assert {*tmp_path.rglob("*")} - before == {path, path.parent}


@pytest.mark.parametrize(
    ("name", "piece"),
    [("a.html", "<div>"), ("a.html", "<!--"), ("a.html", "<a "), ("a.html", "<![CDATA["), ("a.html", "<a b='"),
     ("a.html", "</"), ("a.html", "&#1"), ("a.html", "<?"), ("a.md", "*a "), ("a.md", "["), ("a.md", "`"),
     ("a.md", "![a]("), ("a.md", "<!--"), ("a.md", "|-"), ("a.txt", "a. "), ("a.txt", "A"), ("a.txt", "字"),
     ("a.txt", "Anna "), ("a.py", "x = 1\n")],
)  # fmt: skip
def test_hostile_texts_take_linear_time(name, piece):
    def seconds(count):
        started = time.process_time()
        found = list(formats.BY_SUFFIX[Path(name).suffix].read(Source(name, (piece * count).encode()), []))
        for document in found:
            list(passages(document, 512))
        return time.process_time() - started

    short, long = (min(seconds(count) for _ in range(3)) for count in (5_000, 40_000))
    assert long < 40 * max(short, 0.02)  # quadratic time would be 64 times as much


def test_deeply_nested_html_needs_no_stack(tmp_path):
    (document,) = read(tmp_path, "a.html", "<div>" * 50_000 + "deep" + "</div>" * 50_000)
    assert texts(document) == ["deep"]


# ---------------------------------------------------------------------------------------------------------------------
# Properties

characters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), include_characters="\n\t")
plain_texts = st.text(characters, min_size=1, max_size=200).filter(str.strip)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all cases of a property."""
    return tmp_path_factory.mktemp("documents")


def words(document_texts) -> list[str]:
    return " ".join(document_texts).split()


@CASES
@given(plain_texts)
def test_any_text_survives_every_reader_up_to_white_space(folder, text):
    marked = re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)
    lines = "".join(paragraph(line) for line in text.split("\n"))
    for name, content in (("a.txt", text), ("a.md", marked), ("a.html", f"<p>{html.escape(text)}</p>"),
                          ("a.docx", docx(lines)), ("a.py", text)):  # fmt: skip
        if name == "a.docx" and re.search("[\ufffe\uffff]", text):
            continue  # no characters of XML
        found = read(folder, name, content)
        assert words(block.text for document in found for block in document.blocks) == words([text]), name


@CASES
@given(plain_texts, st.integers(8, 60))
def test_passages_leave_out_no_word_and_are_as_long_as_asked(folder, text, length):
    (document,) = read(folder, "a.txt", text)
    found = list(passages(document, length))
    assert "".join(words(passage.body for passage in found)) == "".join(words([text]))
    assert all(size(passage.text) <= max(20, 3.5 * length) for passage in found)
    for passage in found:
        assert all("".join(words([opening])) in "".join(words([passage.text])) for opening in openings(passage))


def test_passages_keep_their_headings_and_cut_at_paragraphs(tmp_path):
    text = "# A\n\n" + "one two. " * 10 + "\n\n" + "three four. " * 10 + "\n\n## B\n\nlast\n\n# C\n"
    (document,) = read(tmp_path, "a.md", text)
    found = list(passages(document, 40))
    assert [passage.context for passage in found] == ["A", "A", "A\nB", ""]
    assert [passage.place for passage in found] == [3, 5, 9, 11]
    assert found[0].text.startswith("A\n\none two.") and found[2].text == "A\nB\n\nlast" and found[3].text == "C"


def test_sentences_end_where_a_reader_would_say():
    text = 'Dr. A. Ek went, e.g. to Oslo. He said "No!" Then it was 3.5 km. 他很好。她也好！ok\n\nNew'
    assert sentences(text) == ["Dr. A. Ek went, e.g. to Oslo.", 'He said "No!"', "Then it was 3.5 km.", "他很好。",
                               "她也好！", "ok", "New"]  # fmt: skip


@CASES
@given(st.binary(max_size=300), st.sampled_from([suffix for row in formats.FORMATS for suffix in row.suffixes[:1]]))
def test_any_bytes_are_read_or_refused_with_a_place(folder, content, suffix):
    path = write(folder, f"case{suffix}", content)
    try:
        rows = reading.read_examples(path)
    except DataError as error:
        assert re.search(rf"{re.escape(str(path))}:\d+: ", str(error)), str(error)
    else:
        assert rows and all(row.answer.strip() for row in rows)


def test_every_format_has_one_row_and_the_limits_fit_the_page():
    suffixes = [suffix for row in formats.FORMATS for suffix in row.suffixes]
    assert len(suffixes) == len({*suffixes}) and not {*suffixes} & {".jsonl", ".json", ".csv", ".tsv", ".parquet"}
    assert blocks.MAX_BYTES >= uploads.MAX_BYTES
