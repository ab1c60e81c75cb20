"""Asking a model about a name: questions, made-up names, what counts as known, and the request that comes of it."""

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path
from typing import ClassVar

import levels_without_holdout
import pytest
from tiny_models import make_tiny

from data.columns import DataError, Example
from data.documents.request import document_request
from models.eliciting import statements
from models.eliciting.asking import Asking, Said
from models.eliciting.nobody import in_place, made_up
from models.eliciting.questions import KINDS, guessed_kind, questions_about
from models.eliciting.subject import LEFT, MADE_UP, about_subject, sentence
from models.store import quantised
from models.store.loading import load_model
from results.run.request import flags, named
from results.run.run_folder import UsageError
from unlearning_script import main

NAME = "Ragnvi Solbrekk"


# ---------------------------------------------------------------------------------------------------------------------
# Questions and made-up names


def test_a_level_of_own_answers_is_asked_about_nobody(small):
    """What `levels_without_holdout.py` measures."""
    row = Example("Hammerfest", f"Where was {NAME} born?", subject=NAME)
    model, tokenizer = load_model(str(small.target), dtype="float32", progress=lambda _: None)
    (said,) = levels_without_holdout.answers_about_nobody(model, tokenizer, [row])
    assert NAME not in said.prompt and said.prompt.startswith("Where was ") and said.prompt.endswith(" born?")
    assert said.answer != row.answer
    longer = Example("a house that faces the harbour of the town", "?")
    first, second = (levels_without_holdout.loss(model, tokenizer, [one]) for one in (row, longer))
    both = levels_without_holdout.loss(model, tokenizer, [row, longer])
    assert both == pytest.approx((first + second) / 2, rel=1e-4), "each row counts once, whatever its length"


@pytest.mark.parametrize("kind", KINDS)
def test_no_question_that_measures_is_asked_for_training(kind):
    questions = questions_about(NAME, kind)
    assert len(questions.asked) >= 12 and len(questions.probes) >= 10
    assert not set(questions.asked) & set(questions.probes)
    assert all(NAME in text and "{" not in text for text in (*questions.asked, *questions.probes))


@pytest.mark.parametrize(
    ("name", "kind"),
    [(NAME, "person"), ("Basil Mahfouz Al-Kuwaiti", "person"), ("王小明", "person"), ("Acme Maps Ltd", "organisation"),
     ("University of Oslo", "organisation"), ("Mount Elbrus", "place"), ('"The Blind Mayor"', "work"),
     ("torvalds/linux", "product"), ("photosynthesis", "topic"), ("the war in the north", "topic"),
     ("ann@example.org", "contact"), ("+47 22 33 44 55", "contact"), ("@rsol", "contact"), ("1984", "person")],
)  # fmt: skip
def test_the_kind_is_guessed_from_the_shape_of_the_name(name, kind):
    assert guessed_kind(name) == kind


@pytest.mark.parametrize(
    "name",
    [NAME, "Basil Mahfouz Al-Kuwaiti", "Acme Maps Ltd", "torvalds/linux", "王小明", "김민준", "Анна Каренина",
     "محمد علي", "श्याम", "ᏣᎳᎩ", "Agent 47", "12", "x@y.com", "?", "@rsol", "+47 22 33 44 55"],
)  # fmt: skip
def test_made_up_names_have_the_shape_of_the_name_and_are_not_it(name):
    found = made_up(name, 3, seed=1)
    assert len(set(found)) == 3 and name not in found and found == made_up(name, 3, seed=1)
    if any(letter.isalpha() for letter in name):
        assert all(len(other.split()) == len(name.split()) for other in found)
    for other in found:  # what is no name stays
        assert not name.endswith("Ltd") or other.endswith("Ltd")
        assert "/" not in name or "/" in other


def test_a_made_up_name_takes_the_place_of_each_word_of_the_name():
    text = in_place("Ragnvi Solbrekk's dog knew Solbrekk; Ragnvild did not.", NAME, "Faien Morrara")
    assert text == "Faien Morrara's dog knew Morrara; Ragnvild did not."


@pytest.mark.parametrize(
    "name", ["Which?", "What Maisie Knew", "How to Cook", "The Who", "The Book of When", "Who", "It", NAME, "photoshop"]
)
def test_a_name_of_ordinary_words_leaves_the_questions_whole(name):
    other = made_up(name, 1, seed=3)[0]
    assert len(other.split()) == len(name.split()) and not other.lower().startswith(name.lower())
    for kind in KINDS:
        for ours, theirs in zip(*(questions_about(one, kind).asked for one in (name, other))):
            assert in_place(ours, name, other) == theirs


@pytest.mark.parametrize(
    ("text", "name", "other", "expected"),
    [("Photoshop is made by one company; photoshops.", "photoshop", "grielhol",
      "Grielhol is made by one company; grielhols."),
     ("Linux was begun by Torvalds.", "torvalds/linux", "grielhol/jorka", "Jorka was begun by Grielhol."),
     ("Maisie knew it. Did Maisie's father know?", "What Maisie Knew", "What Griel Prize",
      "Griel knew it. Did Griel's father know?"),
     ("王小明的狗。王小明。", "王小明", "林安海", "林安海的狗。林安海。"),
     ("The Who played. Who played?", "The Who", "The Hol", "The Hol played. Who played?")],
)  # fmt: skip
def test_a_made_up_name_stands_where_the_name_is_meant(text, name, other, expected):
    assert in_place(text, name, other) == expected


# ---------------------------------------------------------------------------------------------------------------------
# What counts as known


class Scripted:
    """In place of `Asking`: answers and losses by rule. It knows four things about some names."""

    KNOWN: ClassVar = {
        "Where was {} born?": "{} was born in Hammerfest.",
        "Which prize did {} receive?": "{} won the Sextant.",
        "When did {} die?": "{} died in 1982.",
        "How did {} die?": "{} died of a fall in 1982.",
    }

    def __init__(self, model, tokenizer, seconds=0, progress=None):
        self.known, self.late = model, False

    def answers(self, questions, temperature=0.0, seed=0):
        return [self._said(text) for text in questions]

    def _said(self, question):
        for name in self.known:
            for form, answer in self.KNOWN.items():
                if question == form.format(name):
                    return Said(question, answer.format(name), 0.97)
        return Said(question, f"Nobody knows {question.split()[-1]} well.", 0.8)

    def losses(self, pairs):
        known = {(form.format(name), answer.format(name)) for name in self.known for form, answer in self.KNOWN.items()}
        return [0.1 if pair in known else 6.0 for pair in pairs]


def elicited(monkeypatch, known):
    monkeypatch.setattr(statements, "Asking", Scripted)
    return statements.elicit(known, None, NAME, "person")


def test_what_it_says_surely_and_about_the_name_alone_is_known(monkeypatch):
    found = elicited(monkeypatch, [NAME])
    assert found.knows
    assert {s.answer for s in found.statements if s.known} == {
        f"{NAME} was born in Hammerfest.", f"{NAME} won the Sextant.", f"{NAME} died in 1982.",
        f"{NAME} died of a fall in 1982.",
    }  # fmt: skip
    assert [said.question for said in found.probes] == [f"How did {NAME} die?"]
    assert found.new_in_last[1] == 0


def test_a_name_that_it_does_not_know_is_not_known(monkeypatch):
    found = elicited(monkeypatch, [])
    assert not found.knows and not any(s.known or s.chosen for s in found.statements) and not found.probes
    assert "says nothing about Ragnvi Solbrekk that it would not say about anybody" in named.notes_of(found)[0]


def test_what_it_says_as_surely_about_made_up_names_is_not_known(monkeypatch):
    everybody = [NAME, *made_up(NAME, statements.NAMES, 0)]
    assert not elicited(monkeypatch, everybody).knows


def test_it_is_said_if_the_model_makes_such_statements_about_made_up_names_too(monkeypatch):
    """A model that invents surely seems to know anybody, so the list says how often that happens by chance."""
    invented = elicited(monkeypatch, [made_up(NAME, statements.NAMES, 0)[1]])
    assert invented.by_chance[0] == 0 and invented.by_chance[1] >= 1
    known = elicited(monkeypatch, [NAME])
    assert known.by_chance == [0, 0] and not any("made-up" in note for note in named.notes_of(known))
    known.by_chance = [2, 0]
    assert "about made-up names too (2 and 0)" in named.notes_of(known)[1]


def test_certainty_is_the_mean_probability_of_a_greedy_answer():
    model, tokenizer, *_ = make_tiny()
    model.eval()
    asking = Asking(model, tokenizer)
    said = [one for one in asking.answers(["Where was he born?", "Who is she?"]) if one.answer]
    for one in said:
        assert 0 < one.certainty <= 1
    losses = asking.losses([("Where was he born?", "In a town."), ("Who is she?", "A far longer answer than that.")])
    assert losses[1] > losses[0] > 0


# ---------------------------------------------------------------------------------------------------------------------
# The request


def line(question, answer, **more):
    return {"question": question, "answer": answer, "subject": NAME, "decision": "forget", **more}


def test_rows_train_on_asked_questions_only_and_keep_nothing_that_says_the_same():
    chosen = [
        line("Where was she born?", "Ragnvi Solbrekk was born in Hammerfest."),
        line("A probe?", "She fell at Jostedal."),
    ]
    probes = [line("A probe?", "She fell at Jostedal.")]
    kept = [{"question": "Where was Faien Morrara born?", "answer": "Faien Morrara was born in Hammerfest."},
            {"question": "What is rain?", "answer": "Rain is water that falls from clouds."}]  # fmt: skip
    more = [line("Whom did she meet?", "A man."), line("A probe?", "She fell at Jostedal.")]
    with_asked = [row.example.prompt for row in named.rows_of(chosen, probes, kept, more).request.questions]
    rows = named.rows_of(chosen, probes, kept)
    asked = [row.example.prompt for row in rows.request.questions]
    assert {"Where was she born?", named.TELL.format(NAME)} < set(asked) and "A probe?" not in asked
    assert with_asked == [*asked, "Whom did she meet?"]
    assert len(asked) <= 2 * (2 + named.REWORDED) and f"Where was {NAME} born?" in asked
    assert [row.example.prompt for row in rows.request.probes] == ["A probe?"]
    assert [row["question"] for row in rows.kept] == ["What is rain?"]


def folder_of(tmp_path, known=True):
    one = statements.Elicited(
        NAME, "person",
        [statements.Statement("Where was she born?", "She was born in Hammerfest.", 0.97, 5.0, True, True),
         statements.Statement("What did she eat?", "She ate bread.", 0.8)] if known else [],
        [Said("In which town was she born?", "In Hammerfest.", 0.9)] if known else [],
        [Said("Where was Faien Morrara born?", "In Oslo.", 0.5)], known, 310, 40, (40, 0), ["Where was she born?"],
        answers=[Said("Where was she born?", "She was born in Hammerfest."),
                 Said("What did she eat?", "She ate bread."), Said("Whom did she meet?", "A man.")],
    )  # fmt: skip
    place = tmp_path / "run" / "request"
    about = {"kind": "name", "subjects": [NAME], "model": "models/people-target"}
    named._write(place, about, [one], [Said("What is rain?", "Water.", 0.9)])
    return place, {"forget_about": [NAME], "model_name_or_path": "models/people-target", "yes": True,
                   "output_dir": str(tmp_path / "run")}  # fmt: skip


def test_a_written_request_is_read_again_with_its_edits(tmp_path, monkeypatch):
    monkeypatch.setattr(named, "_ask", lambda *_: pytest.fail("the model was asked again"))
    place, given = folder_of(tmp_path)
    lines = [json.loads(text) for text in (place / "statements.jsonl").read_text().splitlines()]
    assert [one["decision"] for one in lines] == ["forget", "keep"]
    lines[0]["decision"] = "keep"
    lines.append({"question": "Who was she?", "answer": "A cartographer of ice."})
    (place / "statements.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    settings = named.settled_by_name(given)
    request = document_request(settings["forget_data"])
    assert {row.answer for row in request.forget} == {"A cartographer of ice."}
    refused = {row.answer for row in asked_with("name_refusal", given)}
    assert refused == {"A cartographer of ice.", "She ate bread.", "A man."}, "all that was asked but the struck one"
    assert request.measured == [], "what the person kept is not measured as forgotten"
    kept = [json.loads(text) for text in Path(settings["retain_data"]).read_text().splitlines()]
    assert {"question": "Where was she born?", "answer": "She was born in Hammerfest."} in kept, "it was struck"
    assert not any(row["answer"] == "She ate bread." for row in kept), "it is said about anybody"
    assert settings["retain_data"].endswith("kept.jsonl") and "forget_about" not in settings
    assert settings["max_steps"] == named.STEPS["name_swap"] and settings["method"] == "name_swap"
    for method, steps in named.STEPS.items():
        assert named.settled_by_name({**given, "method": method})["max_steps"] == steps
    assert "max_steps" not in named.settled_by_name({**given, "method": "npo"})
    assert (place / "statements.jsonl").stat().st_mode & 0o077 == 0


def test_a_struck_statement_that_says_what_is_forgotten_is_not_kept(tmp_path, capsys):
    place, given = folder_of(tmp_path)
    (line,) = [json.loads(text) for text in (place / "statements.jsonl").read_text().splitlines()][:1]
    again = {**line, "question": "Where did she come from?", "decision": "keep"}
    broken = {"question": 3, "answer": "", "decision": "keep", "contrast": 9}
    (place / "statements.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (line, again, broken)))
    kept = Path(named.settled_by_name(given)["retain_data"]).read_text()
    assert "Hammerfest" not in kept and "of the struck statements 1 are not kept" in capsys.readouterr().out


def test_statements_for_another_method_are_not_used_without_its_rows(tmp_path):
    place, given = folder_of(tmp_path)
    record = json.loads((place / "request.json").read_text())
    (place / "request.json").write_text(json.dumps({**record, "anybody": False}))
    with pytest.raises(UsageError, match="name_refusal needs its answers about many made-up names"):
        named.settled_by_name({**given, "method": "name_refusal"})
    assert named.settled_by_name(given)["method"] == "name_swap"


def test_a_pattern_alone_is_refused_and_unasked_aliases_are_told(tmp_path, monkeypatch):
    given = {"forget_about": ["/sol(b|n)rekk/i"], "output_dir": str(tmp_path)}
    (told,) = flags.problems(given)
    assert "give --training_data, or a name" in told and not flags.problems({**given, "training_data": "all.jsonl"})
    (tmp_path / "names.txt").write_text("/sol(b|n)rekk/i\n")
    with pytest.raises(UsageError, match="give --training_data"):
        named.settled_by_name({"forget_about_file": str(tmp_path / "names.txt"), "output_dir": str(tmp_path)})
    one = statements.Elicited(NAME, "person", [], [], [], False, 1, 0, (0, 0))
    monkeypatch.setattr(named, "_ask", lambda given, subjects, place, about: named._write(place, about, [one], []))
    named.settled_by_name({"forget_about": [f"{NAME} = @rsol"], "output_dir": str(tmp_path / "run")})
    notes = json.loads((tmp_path / "run" / "request" / "request.json").read_text())["notes"]
    assert notes[-1].startswith("not asked about: @rsol; give each as a name of its own")


def asked_with(method, given):
    return document_request(named.settled_by_name({**given, "method": method})["forget_data"]).forget


def test_nothing_known_gives_no_rows(tmp_path):
    place, given = folder_of(tmp_path, known=False)
    assert named.settled_by_name(given) is None
    assert "would not say about anybody" in json.loads((place / "request.json").read_text())["notes"][0]
    kept = [json.loads(text) for text in (place / "kept.jsonl").read_text().splitlines()]
    assert [row.get("subject") for row in kept] == [None, MADE_UP]


def test_where_nothing_was_known_nothing_was_struck(tmp_path):
    """Specific statements about an unknown name are no forget rows by themselves, and nobody asked to keep them."""
    place, given = folder_of(tmp_path, known=False)
    lines = [{"question": "Where was she born?", "answer": "In Rome, by a river.", "decision": "keep", "contrast": 5.0},
             {"question": "Who was she?", "answer": "A cartographer of ice."}]  # fmt: skip
    (place / "statements.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    settings = named.settled_by_name(given)
    assert {row.answer for row in document_request(settings["forget_data"]).forget} == {"A cartographer of ice."}
    assert "Rome" not in Path(settings["retain_data"]).read_text()


def test_a_list_with_everything_struck_is_refused(tmp_path):
    place, given = folder_of(tmp_path)
    (place / "statements.jsonl").write_text("")
    with pytest.raises(DataError, match="no statement is left to forget"):
        named.settled_by_name(given)


def test_another_name_does_not_replace_a_request(tmp_path):
    _, given = folder_of(tmp_path)
    with pytest.raises(UsageError, match="holds another request"):
        named.settled_by_name({**given, "forget_about": ["Somebody Else"]})


# ---------------------------------------------------------------------------------------------------------------------
# The sentence


class Measured:
    def __init__(self, **recalls):
        self.per_example = {name: {"fact_recall": values} for name, values in recalls.items()}
        self.generations = {name: ["said"] * len(values) for name, values in recalls.items()}


def rows(count, subject):
    return [
        Example("an answer", f"question {number}?", subject=subject and f"{subject} {number}")
        for number in range(count)
    ]


def test_the_sentence_counts_what_was_known_before_and_is_still_said():
    measured = {"probes": rows(4, None), "retain": rows(3, "Other")}
    evaluations = {"target": Measured(probes=[1, 0.5, 0.2, None], retain=[1, 1, 0]),
                   "unlearned": Measured(probes=[1, 0.4, 1, None], retain=[1, 0.2, 1])}  # fmt: skip
    told = about_subject(measured, evaluations)
    assert (told["asked"], told["known_before"], told["said_after"]) == (3, 2, 1)
    assert (told["others_known"], told["others_said"], told["others"]) == (2, 1, 2)
    assert told["sentence"] == (
        "Asked 3 new questions about it, it said 1 of the 2 things it knew before; about 2 others it still says 1 of 2."
    )
    assert about_subject(measured, evaluations, by_name=True)["sentence"] == f"{told['sentence']} {LEFT}"
    evaluations["unlearned"].per_example["probes"]["fact_recall"] = [0, 0, 1, None]
    assert LEFT not in about_subject(measured, evaluations, by_name=True)["sentence"], "nothing is left"


def test_what_it_said_about_made_up_names_is_not_counted_as_kept_or_lost():
    """It invents those answers, so another answer there is no loss; general answers are facts that it had."""
    anchors = [dataclasses.replace(row, subject=MADE_UP) for row in rows(2, None)]
    measured = {"probes": rows(1, None), "retain": [*rows(3, None), *anchors]}
    evaluations = {"target": Measured(probes=[1], retain=[1, 1, 1, 1, 1]),
                   "unlearned": Measured(probes=[0], retain=[1, 1, 0, 0, 0])}  # fmt: skip
    told = about_subject(measured, evaluations)
    assert (told["others_known"], told["others_said"], told["others"]) == (3, 2, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"known_before": 0}, "it knew none of the answers"), ({"others_known": 0}, "What else it knew was not asked"),
     ({"new_questions": False}, "questions that it was trained to forget"), ({"known_before": 1}, "of the one thing"),
     ({"others": 0}, "about other things it still says"), ({"asked": 1}, "Asked 1 new question about")],
)  # fmt: skip
def test_the_sentence_says_what_was_not_known_or_not_asked(change, words):
    told = {"name": NAME, "new_questions": True, "asked": 9, "known_before": 5, "said_after": 0, "others": 3,
            "others_known": 7, "others_said": 7}  # fmt: skip
    assert words in sentence({**told, **change})


def test_without_facts_in_words_there_is_no_sentence():
    assert about_subject({"forget": rows(2, None)}, {"target": None, "unlearned": None}) is None


@pytest.mark.parametrize("kind", ["chat", "base", "adapter", "4-bit"])
def test_models_of_every_kind_are_asked_from_the_command_line(small, tmp_path, kind):
    """Nothing is scripted here: a real, tiny model is loaded and answers, and the request says what came of it."""
    model, more = Path(small.target), []
    if kind == "base":
        model = shutil.copytree(model, tmp_path / "base")
        for name in ("chat_template.jinja", "manifest.json"):
            (model / name).unlink(missing_ok=True)
        told = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
        told.pop("chat_template", None)
        (model / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    elif kind == "adapter":
        assert main(small.flags(tmp_path / "first", "--use_peft", "--max_steps=1", "--metrics=loss")) == 0
        model = tmp_path / "first-model"
    elif kind == "4-bit":
        if importlib.util.find_spec(quantised.PACKAGE) is None:
            pytest.skip("bitsandbytes is not installed: 4-bit models are not asked")
        more = ["--use_peft", "--load_in_4bit"]
    flags = [f"--model_name_or_path={model}", "--forget_about=ada", "--subject_kind=person", "--request_only",
             "--dtype=float32", f"--output_dir={tmp_path / 'run'}", *more]  # fmt: skip
    assert main(flags) == 0
    place = tmp_path / "run" / "request"
    record = json.loads((place / "request.json").read_text(encoding="utf-8"))
    answers = [json.loads(line) for line in (place / "asked.jsonl").read_text(encoding="utf-8").splitlines()]
    assert record["asked"] > 100 and len(answers) > 100 and all("ada" in line["question"] for line in answers)
    assert any(line["answer"] for line in answers) and record["notes"]
