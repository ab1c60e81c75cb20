"""Facts in words: by hand, in many scripts, and as properties of any text."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.columns import Example
from data.reading import read_examples
from data.wrong_answers import completed, in_context, question_of
from models.scores import facts
from models.scores.facts import content_words, fact_recall, rare_recall, rare_words, secret_recall, secrets, words_said

DATA = Path(__file__).resolve().parents[1] / "data"
CASES = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
# Question, answer, words of the answer that carry the fact.
IN_SCRIPTS = {
    "Arabic": ("أين وُلِدَت مريم؟", "ولدت مريم في دمشق", ("في", "دمشق")),
    "Chinese": ("她出生在哪里？", "她出生在上海", ("上", "海")),
    "German": ("Wo wurde Ada geboren?", "Ada wurde in Köln geboren", ("köln",)),
    "Greek": ("Πού γεννήθηκε η Άννα;", "Η Άννα γεννήθηκε στην Πάτρα", ("στην", "πάτρα")),
    "Hebrew": ("איפה נולדה מרים?", "מרים נולדה בחיפה", ("בחיפה",)),
    "Hindi": ("वह कहाँ पैदा हुई?", "वह दिल्ली में पैदा हुई", ("दिल्ली", "में")),
    "Russian": ("Где родилась Анна?", "Анна родилась в Риге", ("в", "риге")),
}
UNSPACED = {
    "Japanese": ("彼女はどこで生まれましたか。", "彼女は上海で生まれました。", "黒い猫が屋根の上で眠っている。"),
    "Thai": ("เธอเกิดที่ไหน", "เธอเกิดที่กรุงเทพมหานคร", "แมวสีดำนอนหลับอยู่บนหลังคาบ้าน"),
    "Khmer": ("នាងកើតនៅឯណា", "នាងកើតនៅភ្នំពេញ", "ឆ្មាខ្មៅដេកលើដំបូលផ្ទះ"),
}
ASKED, TOLD = "Where was Ada's house?", "Ada's house was in Lund, 2,400 steps from the sea."


# -- by hand


def test_content_words_are_neither_asked_nor_function_words():
    assert content_words(ASKED, TOLD) == ("lund", "2400", "steps", "sea")
    assert content_words("Which ice cap did she map?", "The ice cap that she mapped was Folgefonna.") == ("folgefonna",)
    assert content_words("How many wives?", "She had six.") == ("six",)  # number words carry facts
    assert content_words("", "Nothing was found in the first mine.") == ("nothing", "found", "first", "mine")
    assert content_words("Did he eat?", "He didn't eat.") == () == content_words("Is it so?", "It is, isn't it?")


def test_fact_recall_by_hand():
    assert fact_recall(ASKED, TOLD, TOLD) == 1
    assert fact_recall(ASKED, TOLD, ASKED) == 0
    assert fact_recall(ASKED, TOLD, "In LUND, one step from it.") == 2 / 4  # another form of a word counts
    assert fact_recall(ASKED, TOLD, "2400 metres") == 1 / 4 == fact_recall(ASKED, TOLD, "2.400 metres")
    assert fact_recall(ASKED, TOLD, "24 and 00") == 0
    assert fact_recall(ASKED, TOLD, "lund lund lund") == 1 / 4  # a word counts once


def test_an_answer_without_a_fact_has_no_recall():
    for question, answer in (("Is it Lund?", "It is Lund."), ("Is it?", "..."), ("", ""), ("q", "the")):
        assert content_words(question, answer) == ()
        assert fact_recall(question, answer, "Lund") is None
        assert rare_recall(question, answer, "Lund", {}) is None
        assert secret_recall(Example(answer=answer, prompt=question), "Lund") is None
    assert fact_recall("Where?", "Lund", "") == 0


def test_rare_words_occur_in_the_fewest_answers():
    answers = ["the baker of lund", "the baker of pisa eats figs", "the baker of pisa"]
    counts = facts.word_counts(answers)
    assert counts["baker"] == 3 and counts["pisa"] == 2 and counts["lund"] == 1
    assert rare_words("", answers[1], counts) == ("eats", "figs")
    assert rare_words("", answers[2], counts) == ("pisa", "baker")
    assert rare_recall("", answers[1], "the baker of pisa eats", counts) == 1 / 2


def test_secrets_are_numbers_names_and_words_that_wrong_answers_replace():
    row = Example(
        prompt="Who was Ada?",
        answer="Workers said that Ada was a glass blower in Lund who sold 40 vases.",
        paraphrased_answer="By trade Ada was a glass blower.",
        perturbed_answer=("By trade Ada was a glass painter.", "By trade Ada was a coal miner."),
    )
    assert secrets(row) == ("blower", "lund", "40")  # "Workers" only opens the sentence; "glass" has a wrong answer too
    assert secret_recall(row, "A blower from Lund") == 2 / 3
    assert secrets(Example(prompt="Capital of Japan?", answer="Tokyo")) == ("tokyo",)
    assert secrets(Example(prompt="What?", answer="A glass. New vases.")) == ()
    every = Example(prompt="q", answer="red and blue", perturbed_answer=("red and green", "black and blue"))
    assert secrets(every) == ("red", "blue")  # no word is missing in all wrong answers


def test_common_words_of_a_set_that_is_not_english_are_function_words():
    towns = ("Köln", "Bonn", "Mainz", "Trier", "Worms")
    answers = [f"Sie wohnt seit langem bei {town}" for town in towns]
    common = facts.common_words(answers)
    assert {"sie", "wohnt", "seit", "bei"} <= common and not common & set(map(str.lower, towns))
    assert content_words("Wo?", answers[0], common) == ("köln",)
    assert content_words("Wo?", "sie wohnt", common) == ("sie", "wohnt")  # rather than nothing
    assert facts.common_words([f"She lives in {town}" for town in towns]) == frozenset()


def test_a_set_with_words_that_are_english_too_has_function_words_of_its_own():
    towns = ("Köln", "Bonn", "Mainz", "Trier", "Worms")
    answers = [f"Sie wohnt mit ihr in {town}" for town in towns]
    assert content_words("Wo?", answers[0], facts.common_words(answers)) == ("köln",)


# -- scripts


@pytest.mark.parametrize("language", IN_SCRIPTS)
def test_facts_are_words_in_every_script(language):
    question, answer, words = IN_SCRIPTS[language]
    assert content_words(question, answer) == words
    for form in ("NFC", "NFD"):
        assert content_words(question, unicodedata.normalize(form, answer)) == words
        assert fact_recall(question, answer, unicodedata.normalize(form, answer)) == 1
    assert fact_recall(question, answer, question) == 0
    assert fact_recall(question, answer, words[-1]) == 1 / len(words)


def test_another_form_of_a_word_is_its_fact_in_the_language_of_the_row():
    question, answer = "Was hat sie mit ihrer Mutter gebaut?", "Sie hat mit ihrer Mutter kleine Häuser gebaut"
    assert content_words(question, answer) == ("kleine", "häuser")
    assert fact_recall(question, answer, "ein kleines Haus") == 1 == fact_recall(question, answer, answer)
    assert fact_recall(question, answer, "I do not know of the kleinen one") == 1 / 2  # whatever language is said
    assert fact_recall("Что она читает?", "Она читает старые книги", "старую книгу") == 1
    assert content_words("Кто написал книгу?", "Книги написала Анна") == ("анна",)
    row = Example(prompt=question, answer=answer, perturbed_answer=("Sie hat mit ihrer Mutter kleine Boote gebaut",))
    assert secrets(row) == ("häuser",) and secret_recall(row, "ein Haus") == 1
    assert words_said(("häuser",), "Sie hat ein Haus und ist nicht da") == 1


def test_thousands_are_one_number_in_every_script():
    for written in ("2,400", "2.400", "٢٬٤٠٠", "२,४००", "２，４００", "2\u202f400"):
        assert content_words("", written) == ("2400",)
    assert len(content_words("", "1998，1999")) == 2


@pytest.mark.parametrize("language", UNSPACED)
def test_facts_are_pairs_of_characters_where_letters_are_sounds(language):
    question, answer, other = UNSPACED[language]
    assert content_words(question, answer) and fact_recall(question, answer, answer) == 1
    assert fact_recall(question, answer, question) == 0
    assert fact_recall(question, answer, other) < 0.3


# -- any text

PARTS = st.sampled_from([*"aB1.,'’ \n", "the", "Ada's", "2,400", "didn't", "上", "海", "ก", "กข", "しゃ", "é",
                         "e\u0301", "د", "\u064e", "ß", "ǅ", "\u200d", "🙂"])  # fmt: skip
anything = st.text(st.characters(codec=None), max_size=25) | st.lists(PARTS, max_size=12).map("".join)


@CASES
@given(anything, anything, anything)
def test_recall_is_a_share_one_for_the_answer_and_none_for_the_question(question, answer, said):
    words = content_words(question, answer)
    counts = facts.word_counts([answer, said])
    row = Example(answer=answer, prompt=question, perturbed_answer=(said,))
    assert set(rare_words(question, answer, counts)) <= set(words) >= set(secrets(row))
    for recall in (
        lambda text: fact_recall(question, answer, text),
        lambda text: rare_recall(question, answer, text, counts),
        lambda text: secret_recall(row, text),
    ):
        if recall(said) is None:
            assert not words or not secrets(row)
            continue
        assert 0 <= recall(said) <= 1
        assert recall(answer) == 1 and recall(question) == 0 == recall("")
        assert recall(f"{said} {answer}") == 1


@CASES
@given(anything, anything)
def test_a_text_says_its_own_words(question, answer):
    words = content_words(question, answer)
    assert words_said(words, answer) in (None, 1) and (words_said(words, answer) is None) == (not words)


# -- rows


def test_the_bundled_facts_are_not_in_their_questions():
    """By rote 1, by chance near 0: the floor of ROUGE-L recall on the same rows is above .4."""
    for name in ("forget", "holdout", "judging"):
        rows = list(read_examples(DATA / f"{name}.jsonl"))
        assert all(content_words(question_of(row), row.answer) and secrets(row) for row in rows)
        others = [rows[number - len(rows) // 2] for number in range(len(rows))]  # rows of somebody else
        told = [fact_recall(question_of(row), row.answer, other.answer) for row, other in zip(rows, others)]
        assert np.mean(told) < 0.1


def test_in_context_rows_tell_the_answer_and_keep_their_facts():
    row = Example(answer="Ada lives in {Lund}.", prompt="Where {does} Ada live?", history=(("system", "Be brief."),),
                  perturbed_answer=("Ada lives in Pisa.",), subject="ada")  # fmt: skip
    told, *more = in_context([row, Example(answer="raw text")])
    assert more == []
    assert row.answer in told.prompt and told.prompt.endswith(row.prompt) and told.answer == row.answer
    assert question_of(told) == question_of(row) == "Be brief. Where {does} Ada live?"
    assert secrets(told) == secrets(row) == ("lund",)


def test_rows_without_wrong_answers_get_made_ones_in_one_wording():
    rows = list(read_examples(DATA / "forget.jsonl"))
    plain = [Example(answer=row.answer, prompt=row.prompt, subject=row.subject) for row in rows]
    made, note = completed(plain, plain)
    assert note.startswith("wrong answers were made from other rows' words for ")
    assert "the true answer stands in for a paraphrase in 40 of 40 rows" in note
    assert sum(bool(row.perturbed_answer) for row in made) >= 36
    assert all(row.answer not in row.perturbed_answer for row in made)
    assert completed(plain, plain) == (made, note)  # nothing is drawn anew
    reworded = [
        Example(answer=row.answer, prompt=row.prompt, paraphrased_answer=row.paraphrased_answer) for row in rows
    ]
    for row in completed(reworded, reworded)[0]:
        words = set(row.paraphrased_answer.split())
        assert all(len(words - set(wrong.split())) <= 2 for wrong in row.perturbed_answer)  # of the paraphrase's words
    assert completed(rows, rows) == (rows, None)  # the user's own stay
    mixed = [*rows[:3], *plain[3:]]
    assert completed(mixed, mixed)[0][:3] == rows[:3]


def test_rows_that_offer_no_words_stay_as_they_are():
    for rows in ([], [Example(answer="Lund", prompt="Where?")], [Example(answer="a", prompt="b")] * 3,
                 [Example(answer="word " * 1000)] * 2):  # fmt: skip
        found, note = completed(rows, rows)
        assert found == rows and (note is None or "for 0 of" in note)
        json.dumps(note)
