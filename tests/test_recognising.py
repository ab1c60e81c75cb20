"""What a person typed is recognised: names, texts and files, in any script."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.documents.formats import FORMATS
from data.finding.matching import subjects_of
from data.recognising import KINDS, WAYS, contact_of, ends_sentence, recognise, word_count

NAMES = [
    "Ragnvi Solbrekk", "ragnvi solbrekk", "May", "Apple", "The Old Man and the Sea", "J. R. R. Tolkien", "Acme Inc.",
    "Martin Luther King Jr.", "Yahoo!", "AC/DC", "owner/repo", "ann@example.org", "+47 22 33 44 55", "@rsol",
    "https://example.org/ruling.html", "/sol(b|n)rekk/i", "Basil Mahfouz Al-Kuwaiti", "O'Brien", "X Æ A-12", "1984",
    "村上春樹", "ハリー・ポッターと賢者の石", "สมชาย ใจดี", "محمد بن سلمان", "Лев Николаевич Толстой", "Σωκράτης",
    "김정은", "Ragnvi Solbrekk = @rsol = ragnvi@glacier.no",
    "“Ragnvi Solbrekk”", '"May"', "«Война и мир»", "\u200bMay\ufeff ",
    "  Ada  ", "nettle soup recipes", "Dr. Who", "U.S.", "Ragnvi Solbrekk.", "Who Framed Roger Rabbit?", "Ragnvi.",
    "Journey to the End of the Night.",
]  # fmt: skip
SHORT = [
    "She lives in Lund.", "Who is she?", "It rains; it snows.", "村上春樹は日本の小説家です。", "تعيش في لوند.",
    "हम यहाँ रहते हैं।", "Where is Ada?", "Roses are red.\nViolets are blue.",
]  # fmt: skip
TEXTS = [
    "Ada lives in Lund. She bakes bread there",
    "吾輩は猫である名前はまだ無いどこで生れたかとんと見当がつかぬ何でも薄暗いじめじめした所で",
    "x" * 300,
    "He was born in the far north of the country and later moved",
    "Roses are red and violets are\nblue as the sky is",
    "Ragnvi Solbrekk\n\nShe draws maps of glaciers and lives in the north.",
    '"It was the best of times, it was the worst of times."',
]  # fmt: skip


@pytest.mark.parametrize("text", NAMES, ids=ascii)
def test_a_short_string_is_a_name_and_only_on_request_a_string(text):
    found = recognise(text)
    assert found.kind == "name" and len(found.names) == 1 and found.ways == ("name", "words")
    assert "forget everything the model knows about" in found.said
    exact = recognise(text, taken_as="words")
    assert exact.kind == "words" and exact.said.startswith("Only these exact words: ") and exact.ways[0] == "words"


@pytest.mark.parametrize("text", SHORT, ids=ascii)
def test_a_short_text_that_is_no_name_is_nothing_until_the_person_says_which(text):
    found = recognise(text)
    assert (found.kind, found.usable, found.names, found.ways) == ("short", False, (), ("name", "words"))
    assert recognise(text, taken_as="text").kind == "short", "a short text is never trained on as a text"
    assert recognise(text, taken_as="words").kind == "words"
    (name,) = recognise(text, taken_as="name").names
    assert len(subjects_of([name])) == 1, "one request stays one subject"


def test_the_words_of_a_command_and_the_full_stop_are_no_part_of_a_name():
    for text in ("forget everything about Ada Lund", "Please delete all that you know about “Ada Lund”.",
                 "forget Ada Lund", "please forget about Ada Lund", "Ada Lund."):  # fmt: skip
        assert recognise(text).names == ("Ada Lund",), text
    assert recognise("Forget Paris").names == ("Forget Paris",), "a film"
    assert recognise("Who Framed Roger Rabbit?").names == ("Who Framed Roger Rabbit?",)
    assert "“forget everything about Ada”" in recognise("forget everything about Ada", taken_as="words").said


def test_several_names_in_a_line_and_a_pattern_alone_get_the_cure():
    assert "a line of its own" in recognise("Ada Lund, Bor Graz").said
    for name in ("Harry Potter and the Goblet of Fire", "Martin Luther King, Jr.", "Lund, Sweden", "Ada Lund"):
        assert "a line of its own" not in recognise(name).said, name
    assert "add it below" in recognise("/sol(b|n)rekk/i").said
    assert "add it below" not in recognise("/sol(b|n)rekk/i", training=["all.jsonl"]).said


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:20]))
def test_a_sentence_or_more_is_a_text(text):
    found = recognise(text)
    assert found.kind == "text" and found.names == () and found.said.startswith("A text of ")
    assert found.ways[0] == "text"


def test_what_was_taken_for_a_text_can_be_a_name_if_it_is_short():
    assert recognise("Where is Ada?", taken_as="name").names == ("Where is Ada?",)
    assert recognise("word " * 40, taken_as="name").kind == "text"
    assert recognise("Ada", taken_as="text").kind == "name", "a short string is never trained on as a text"


@pytest.mark.parametrize("text", ["Ada Lund\nBor Graz\nCyd Pisa", "Ada Lund; Bor Graz; Cyd Pisa", "ada\nbor\ncyd"])
def test_several_lines_or_semicolons_are_several_names(text):
    found = recognise(text)
    assert found.kind == "name" and len(found.names) == 3 and found.said.startswith("3 names: ")
    assert " and " in found.said


def test_aliases_stay_with_their_name():
    found = recognise("Ada Lund = ada@lund.org = @ada\nBor Graz")
    assert found.names == ("Ada Lund = ada@lund.org = @ada", "Bor Graz")
    assert found.said.endswith("about “Ada Lund” and “Bor Graz”.")
    assert recognise("E = mc² is the formula that everybody knows by heart").kind == "text"


def test_a_long_list_of_names_is_counted_and_not_spelt_out():
    found = recognise("\n".join(f"Ada {number}" for number in range(50)))
    assert found.kind == "name" and "50 names" in found.said and "47 more" in found.said
    assert recognise("\n".join(f"Ada {number}" for number in range(300))).kind == "text"


@pytest.mark.parametrize("text", ["", "   \n\t ", None, "\u200b\ufeff", 3, [1]])
def test_nothing_is_nothing(text):
    assert recognise(text).kind == "nothing" and not recognise(text).usable


def test_what_is_neither_is_said_in_words():
    assert "no letters" in recognise("!!! ???").said
    broken = recognise("/(a/")
    assert broken.kind == "unusable" and "is no regular expression" in broken.said
    assert recognise("/(a/", taken_as="words").kind == "words"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("owner/repo", "An account or a repository"),
        ("AC/DC", "A name"),
        ("ann@example.org", "An e-mail address"),
        ("+47 22 33 44 55", "A phone number"),
        ("@rsol", "An account"),
        ("/glac(ier)?/i", "A pattern"),
        ("https://example.org/a/b.html", "A web address (nothing is fetched"),
    ],
)
def test_contacts_are_named(text, what):
    assert recognise(text).said.startswith(what)


def test_a_word_that_means_several_things_gets_a_warning():
    assert "a month" in recognise("May").said and "a month" in recognise('"Rose"').said
    assert "a month" not in recognise("Rose Lund").said and "a month" not in recognise("owner/repo").said


@pytest.mark.parametrize(
    ("text", "ends"),
    [("It rains.", True), ("Acme Inc.", False), ("J. R.", False), ("U.S.", False), ("Yahoo!", False),
     ("Who is it?", True), ("雨だ。", True), ("He said “no.”", True), ("Ada", False), ("wait…", True)],
)  # fmt: skip
def test_sentence_ends(text, ends):
    assert ends_sentence(text) is ends


def test_words_are_counted_in_scripts_without_spaces():
    assert word_count("Ada lives in Lund") == 4 and word_count("— Ada –") == 1
    assert 2 <= word_count("村上春樹") <= 3 and word_count("吾輩は猫である名前はまだ無い" * 3) > 10


# -- files


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_every_format_of_documents_is_recognised(row):
    for suffix in row.suffixes:
        assert recognise("", [f"/tmp/some folder/Report{suffix.upper()}"]).kind == "documents"


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_tables_are_rows(suffix):
    found = recognise(None, [f"people{suffix}", f"more{suffix}"])
    assert found.kind == "rows" and f"people{suffix}, more{suffix}" in found.said


def test_files_that_do_not_fit_are_named_with_the_cure():
    assert "accepted types" in recognise("", ["photo.png", "a.docx"]).said
    assert "two requests" in recognise("", ["a.docx", "b.csv"]).said
    assert "clear the field" in recognise("Ada", ["a.docx"]).said
    assert "3 documents" in recognise("", ["a.docx", "b.pdf", "c.eml"]).said
    assert len(recognise("", [f"{'x' * 300}{number}.pdf" for number in range(500)]).said) < 400


def test_training_data_goes_with_a_name():
    found = recognise("Ada Lund", training=["/tmp/all.jsonl"])
    assert found.kind == "name" and found.said.endswith("Its rows are looked for in all.jsonl.")
    assert recognise("It rains here.", training=["all.jsonl"]).kind == "short"
    assert recognise("word " * 40, training=["all.jsonl"]).kind == "unusable"
    assert recognise("", ["a.docx"], ["all.jsonl"]).kind == "unusable"
    assert recognise("Ada", training=["all.png"]).kind == "unusable"
    assert recognise("", training=["all.jsonl"]).kind == "nothing"


# -- anything


@given(st.text(max_size=200), st.sampled_from(["", *WAYS, "nonsense"]))
def test_any_text_is_recognised_without_an_error(text, taken_as):
    found = recognise(text, taken_as=taken_as)
    assert found.kind in KINDS and found.said and set(found.ways) <= set(WAYS)
    assert (found.kind == "name") == bool(found.names)


@pytest.mark.parametrize("piece", ["a", "a ", "A. ", "村", "。", '"', "/", "= ", ";", "\n", "a@", "(", "\u0301", "😀"])
def test_a_very_long_text_is_recognised_at_once(piece):
    text = (piece * 1_000_000)[:1_000_000]
    began = time.perf_counter()
    assert recognise(text).kind in ("text", "unusable", "nothing")
    assert time.perf_counter() - began < 2


def test_the_kind_of_a_contact_alone():
    assert contact_of("Ada Lund") == "" and contact_of("") == ""
