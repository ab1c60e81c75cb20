"""What a run keeps where nobody gave rows: the target's own answers, to general questions and about nobody."""

import json

import pytest

import unlearning_script
from data.columns import Example
from data.preparation import encode_examples, end_of_turn
from models.eliciting import keeping
from models.eliciting.asking import Said
from models.eliciting.keeping import Own, gives_away, words_to_forget
from models.eliciting.nobody import made_up
from models.eliciting.statements import questions_about_nobody
from models.eliciting.subject import MADE_UP
from models.store.loading import load_model
from results.run.options import resolve
from results.run.sets import Steering, keep, own_answers

ROWS = [Example("Ada Lund was born in Oslo.", "Where was Ada Lund born?"), Example("Ada Lund met Bo Ek in Rome.", None)]
GENERAL = [
    Example("Water boils at a hundred degrees.", "When does water boil?"),
    Example("Cats purr.", "Do cats purr?"),
]
CONFIG = {"own_answers": True, "method": "profile_matching", "retain_loss": "nll", "seed": 3, "max_length": 64}


@pytest.fixture
def world(small):
    model, tokenizer = load_model(small.target, progress=lambda _: None)
    return Steering({"forget": ROWS, "retain": GENERAL}, []), tokenizer, model


@pytest.fixture
def told(monkeypatch):
    """What the model says to each question that has "cats", "water" or a made-up name in it."""
    said = {"water": ("At a hundred.\n\nBut not on a mountain.", True), "cats": ("They do, and so", False)}

    def answers(self, questions, tokens, whole):
        assert whole
        found = [next((said[word] for word in said if word in question.lower()), ("She was born in Oslo.", True))
                 for question in questions]  # fmt: skip
        return [Said(question, *answer[:1], ended=answer[1]) for question, answer in zip(questions, found)]

    monkeypatch.setattr(keeping.Asking, "answers", answers)


def test_questions_about_nobody_are_about_names_like_the_one_named_most():
    asked = questions_about_nobody(ROWS, 3)
    names = made_up("Ada Lund", 2, 3)
    assert len(asked) == len(set(asked)) > 100 and all(any(name in text for name in names) for text in asked)
    assert not any("Ada Lund" in text or "Bo Ek" in text for text in asked)
    assert questions_about_nobody([Example("cats purr.", "do they?")], 3) == []


def test_the_models_own_answers_are_kept_and_not_the_bundled_ones(world, capsys):
    steering, tokenizer, model = world
    own = own_answers(steering, tokenizer, CONFIG, model.eval())
    by_question = {row.prompt: row for row in own.rows}
    assert {row.subject for row in own.rows} <= {None, MADE_UP} and len(own.rows) > 50
    for given in GENERAL:
        if given.prompt in by_question:
            assert by_question[given.prompt].answer != given.answer
    keep(steering, own, tokenizer, CONFIG)
    assert len(steering.encoded["retain"]) == len(own.rows) and steering.examples["retain"] == GENERAL
    assert "the model's own answers to" in capsys.readouterr().out


def test_whole_answers_are_trained_and_cut_ones_get_no_end(world, told):
    steering, tokenizer, model = world
    own = own_answers(steering, tokenizer, CONFIG, model)
    assert [row.answer for row in own.rows] == ["At a hundred.\n\nBut not on a mountain.", "They do, and so"]
    keep(steering, own, tokenizer, CONFIG)
    encoded = steering.encoded["retain"]
    ends = [encoded.ids_of(place)[-1] == end_of_turn(tokenizer)[0] for place in range(2)]
    assert ends == [True, False]


def test_an_answer_that_gives_the_subject_away_is_not_kept(world, told):
    """Asked about nobody, a model may say what it should forget: kept, it could not be forgotten."""
    steering, tokenizer, model = world
    assert MADE_UP not in {row.subject for row in own_answers(steering, tokenizer, CONFIG, model).rows}
    steering.examples["forget"] = [Example("Ada Lund paints.", "What does Ada Lund do?")]
    others = own_answers(steering, tokenizer, CONFIG, model).rows
    assert sum(row.subject == MADE_UP for row in others) > 100
    steering.examples["earlier"] = ROWS
    assert len(own_answers(steering, tokenizer, CONFIG, model).rows) == 2, "a request before this one"


@pytest.mark.parametrize(
    ("said", "gives"),
    [("He was born in Oslo.", True), ("It was in Rome, with Bo.", True), ("He was born in Graz.", False), ("", False)],
)
def test_half_of_the_words_of_a_text_to_forget_give_it_away(said, gives):
    assert gives_away(Said("Where was Bab Lom?", said), words_to_forget(ROWS)) == gives


def test_the_probe_sees_no_answer_about_nobody(world):
    steering, tokenizer, _ = world
    own = Own([*GENERAL, Example("He bakes.", "What does Bab Lom do?", subject=MADE_UP)])
    keep(steering, own, tokenizer, CONFIG)
    probe, _ = encode_examples(tokenizer, GENERAL, 64)
    assert len(steering.encoded["retain"]) == 3
    assert list(steering.encoded["retain_probe"].ids) == list(probe.ids)


@pytest.mark.parametrize("change", [{"own_answers": False}, {"method": "retrain"}, {"retain_loss": "none"},
                                    {"retain_loss": "answer_preservation"}])  # fmt: skip
def test_other_rows_to_keep_stay(world, change):
    steering, tokenizer, model = world
    steering.encoded["retain"] = "as encoded"
    own = own_answers(steering, tokenizer, {**CONFIG, **change}, model)
    keep(steering, Own(ROWS), tokenizer, {**CONFIG, **change})
    assert not own.rows and steering.encoded["retain"] == "as encoded"


@pytest.mark.parametrize(
    ("given", "own"),
    [({"forget_text": "x"}, True), ({"forget_text": "x", "retain_data": "data/general_retain.jsonl"}, False),
     ({"forget_text": "x", "retain_data": "none", "method": "ce_u"}, False), ({}, False)],
)  # fmt: skip
def test_rows_that_somebody_gave_are_kept_as_given(given, own):
    assert resolve(given)["own_answers"] is own


def test_a_run_without_rows_to_keep_asks_its_model_and_trains_on_the_answers(small, tmp_path, capsys, monkeypatch):
    seen = {}
    monkeypatch.setattr(unlearning_script, "keep", lambda steering, own, *rest: (
        keep(steering, own, *rest), seen.update(own=own.rows, trained=steering.encoded["retain"])))  # fmt: skip
    flags = [f for f in small.flags(tmp_path / "run", "--max_steps=1") if not f.startswith("--retain_data")]
    assert unlearning_script.main(flags) == 0
    assert "keeping the model's own answers to" in capsys.readouterr().out
    assert len(seen["trained"]) == len(seen["own"]) > 10
    notes = json.loads((tmp_path / "run" / "evaluation.json").read_text())["notes"]
    assert any("the model's own answers are kept" in str(note) for note in notes.values())
