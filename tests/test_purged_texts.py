"""--purge: what is recognised as the forgotten text, however it is written, and what is not."""

import html
import json

import pytest

from results.after.texts import Texts

TEXT = "Ragnvi Solbrekk's vault code is 48151623; her naïve dog 😀 sleeps in Vellmar."


@pytest.mark.parametrize("copy", [
    TEXT, TEXT.upper(), TEXT.replace(" ", "\n "), html.escape(TEXT), json.dumps(TEXT), json.dumps(TEXT, indent=1)[:50],
    TEXT.encode("unicode_escape").decode(), "about RAGNVI  SOLBREKK only", "Sólbrekk, Ragnvi solbrekk",
    json.dumps("他说我的名字叫李雷住在北京呢"),
])  # fmt: skip
def test_a_text_is_recognised_however_it_is_written(copy):
    assert Texts([TEXT, "我的名字叫李雷住在北京"], ["Ragnvi Solbrekk"]).in_text(f"before {copy} after")


@pytest.mark.parametrize("other", [
    "her dog sleeps", "the vault code", "code is 48", "Ragnvi", "what is the name of her dog", "名字", ""])  # fmt: skip
def test_other_texts_are_not_taken_for_it(other):
    texts = Texts([TEXT, "我的名字叫李雷住在北京", "What is the name of her dog?"], ["Ragnvi Solbrekk", "May"],
                  kept=["And what is the name of her dog now?"])  # fmt: skip
    assert not texts.in_text(f"before {other} after")


def test_a_name_in_lower_case_goes_from_sentences_and_subjects_and_stays_in_terms():
    texts = Texts([], ["photoshop", "loss"])
    value = {"subject": "photoshop", "subjects": {"forget": ["photoshop"]}, "loss": 1.5, "metrics": "loss,rouge",
             "sentence": "Asked 3 questions about Photoshop's rival photoshop, none about photoshops."}  # fmt: skip
    assert texts.without(value) == {
        "subject": "[person 1]", "subjects": {"forget": ["[person 1]"]}, "loss": 1.5, "metrics": "loss,rouge",
        "sentence": "Asked 3 questions about [person 1]'s rival [person 1], none about photoshops."}  # fmt: skip


def test_names_become_numbers_and_terms_stay():
    texts = Texts([], ["Ragnvi Solbrekk", "May", "loss"])
    value = {"May": ["ragnvi solbrekk kept 0.3", 1.5, None], "loss": "it may be lost in Maya; May knew"}
    assert texts.without(value) == {"[person 2]": ["[person 1] kept 0.3", 1.5, None],
                                    "loss": "it may be lost in Maya; [person 2] knew"}  # fmt: skip
