"""What a run keeps where nobody gave rows: the target's own answers, to general questions and about nobody."""

import pytest

import unlearning_script
from data.columns import Example
from data.preparation import preview
from models.eliciting.nobody import made_up
from models.eliciting.statements import questions_about_nobody
from models.eliciting.subject import MADE_UP
from models.store.loading import load_model
from results.run.options import BUNDLED
from results.run.sets import Steering, keep, own_answers

ROWS = [Example("Ada Lund was born in Oslo.", "Where was Ada Lund born?"), Example("Ada Lund met Bo Ek in Rome.", None)]
GENERAL = [
    Example("Water boils at a hundred degrees.", "When does water boil?"),
    Example("Cats purr.", "Do cats purr?"),
]
CONFIG = {
    "retain_data": BUNDLED["general_retain"], "method": "profile_matching", "retain_loss": "nll", "seed": 3,
    "max_length": 64,
}  # fmt: skip


@pytest.fixture
def world(small):
    model, tokenizer = load_model(small.target, progress=lambda _: None)
    return Steering({"forget": ROWS, "retain": GENERAL}, []), tokenizer, model


def test_questions_about_nobody_are_about_names_like_the_one_named_most():
    asked = questions_about_nobody(ROWS, 3)
    names = made_up("Ada Lund", 2, 3)
    assert len(asked) == len(set(asked)) > 100 and all(any(name in text for name in names) for text in asked)
    assert not any("Ada Lund" in text or "Bo Ek" in text for text in asked)
    assert questions_about_nobody([Example("cats purr.", "do they?")], 3) == []


def test_the_models_own_answers_are_kept_and_not_the_bundled_ones(world, capsys):
    steering, tokenizer, model = world
    rows = own_answers(steering, tokenizer, CONFIG, model.eval())
    by_question = {row.prompt: row for row in rows}
    assert {row.subject for row in rows} <= {None, MADE_UP} and len(rows) > 50
    for given in GENERAL:
        if given.prompt in by_question:
            assert by_question[given.prompt].answer != given.answer
    keep(steering, rows, tokenizer, CONFIG)
    assert len(steering.encoded["retain"]) == len(rows) and steering.examples["retain"] == GENERAL
    assert preview(tokenizer, steering.encoded["retain"], 1)[0][1].startswith(rows[0].answer[:3])
    assert "the model's own answers to 2 general questions" in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"retain_data": "mine.jsonl"}, {"retain_data": "none"}, {"method": "retrain"},
                                    {"retain_loss": "answer_preservation"}])  # fmt: skip
def test_other_rows_to_keep_stay(world, change):
    steering, tokenizer, model = world
    steering.encoded["retain"] = "as encoded"
    rows = own_answers(steering, tokenizer, {**CONFIG, **change}, model)
    keep(steering, ROWS, tokenizer, {**CONFIG, **change})
    assert rows == [] and steering.encoded["retain"] == "as encoded"


def test_a_run_without_rows_to_keep_asks_its_model(small, tmp_path, capsys):
    flags = [f for f in small.flags(tmp_path / "run", "--max_steps=1") if not f.startswith("--retain_data")]
    assert unlearning_script.main(flags) == 0
    assert "keeping the model's own answers to 186 general questions" in capsys.readouterr().out
