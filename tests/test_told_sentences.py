"""What is told beside the report (re-tests, letter, page, search, comparison, requests): as its numbers say."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from run_folders import make_run
from sentence_checks import NOISE, NUMBER, TINY, around, numbers_in, rounds, unsaid, value

from models.eliciting import subject
from models.eliciting.statements import Elicited, Statement
from models.requests import retest
from models.verdict import memory, null
from models.verdict.gates import FAILED, NOT_MEASURED, OVER, PASSED, Gate
from models.verdict.words import counted
from results.after import letter
from results.page import requests, verdicts, watching
from results.report import comparison
from results.report.comparison import compare
from results.report.ranking import rank
from results.report.runs import Part, read_run
from results.run.request import asked, named
from results.run.request.preview import Preview, Row
from results.search import report as search_report

ALONE = re.compile(
    r"(?<![\d.,])1 (?:rows|persons|requests|lines|trials|samples|answers|statements|others|questions|runs)\b"
)
SAID: list[str] = []


def said(text: str) -> str:
    SAID.append(text)
    assert text and not re.search(r"\bnan\b|\binf\b|-0(?:\.0+)? ?%|  ", text), text
    assert not ALONE.search(text), text
    return text


# ---------------------------------------------------------------------------------------------------------------------
# Re-tests


def told(share: float, traces=None, persons=("a", "b"), top: float = 1.0) -> tuple[str, str]:
    known, then = ({"answer_probability": x} for x in (top, 0.0))
    word, why = retest.verdict(known, then, {"answer_probability": share * top}, None, traces, persons)
    return word, said(why)


@pytest.mark.parametrize("share", [*around(retest.BACK), -0.2, 0.0, 0.5, 1.0, 1.03, 0.1 + 0.2 - 0.2])
def test_a_request_is_back_only_beyond_the_share_that_is_printed(share):
    word, why = told(share)
    shown = value(re.match(rf"({NUMBER})%", why)[1]) / 100
    assert word == (retest.CAME_BACK if shown > retest.BACK else retest.STILL)
    assert rounds(f"{shown:.6f}".rstrip("0"), max(share, 0.0)) or abs(shown - max(share, 0)) <= 0.0051
    assert told(share, {"loss": np.array([0.0, 0.0])})[1].endswith(" row or person") or word == retest.CAME_BACK


@pytest.mark.parametrize("place", [*around(memory.LEAK), 1.0, 1.2])
@pytest.mark.parametrize("back", [0, 1, 2, 11])
def test_rows_that_are_back_are_counted_and_named(place, back):
    traces = {"answer_probability": np.array([place] * back + [-9.0] * 5)}
    word, why = told(0.0, traces, ["one"] * (back + 5))
    if not back or place <= memory.LEAK + 1e-9:
        assert word == retest.STILL
        return
    found = re.match(r"(\d+) of (\d+) rows? back: (rows?) (.*)", why)
    assert (int(found[1]), int(found[2])) == (back, back + 5) and (found[3] == "row") == (back == 1)
    shares = [value(text) for text in re.findall(rf"\(({NUMBER})%\)", why)]
    assert len(shares) == min(back, 10) and all(share > 100 * memory.LEAK for share in shares)
    assert ("and 1 more" in why) == (back == 11)


@pytest.mark.parametrize("place", [*around(memory.PERSON), 0.1 + 0.2 - 0.1])
def test_persons_that_are_back_are_beyond_the_gate_as_printed(place):
    word, why = told(0.0, {"answer_probability": np.array([place, 0.0])})
    assert word == (retest.CAME_BACK if place > memory.PERSON + 1e-9 else retest.STILL)
    if word == retest.CAME_BACK:
        found = re.match(rf"1 of 2 persons back: ({NUMBER})% of", why)
        assert value(found[1]) > 100 * memory.PERSON


def test_a_request_that_cannot_be_tested_says_why():
    def why(known, then, now, unseen=None):
        pairs = [{"answer_probability": x} if x is not None else {} for x in (known, then, now)]
        word, text = retest.verdict(*pairs, {"answer_probability": unseen})
        assert word == retest.UNTESTED
        return said(text)

    assert "not found" in why(0.9, 0.1, None) and "not on record" in why(None, 0.1, 0.1)
    assert "less than half" in why(0.9, 0.51, 0.5) and "less than half" in why(0.9, 0.6, 0.5, 0.2)
    assert "too little" in why(0.14, 0.1, 0.1, 0.1)  # all of it was forgotten, but there was hardly anything
    assert retest.verdict(*[{"answer_probability": x} for x in (0.9, 0.45, 0.45)])[0] == retest.STILL  # half of it


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_retest_counts_the_lines_of_the_ledger(lines):
    row = {
        "line": 1,
        "time": "2026",
        "method": "npo",
        "run": "a",
        "known": {},
        "then": {},
        "now": {},
        "verdict": "x",
        "why": "y",
    }
    text = retest.printed({"problems": [], "ledger": "l", "lines": lines, "requests": [row]})
    SAID.append(text)
    assert f"l: {lines} line{'' if lines == 1 else 's'}, an unbroken chain" in text


def test_the_page_says_that_a_ledger_is_not_intact():
    assert requests.retest_told({"problems": ["x"], "requests": [{"verdict": retest.STILL}]})[0] == "bad"
    said(requests.retest_told({"problems": ["x"]})[1])


STATES = (retest.CAME_BACK, retest.STILL, retest.UNTESTED)


@pytest.mark.parametrize("words", [(), *(case for n in (1, 2, 3) for case in itertools.product(STATES, repeat=n))])
def test_the_page_says_of_a_retest_what_its_rows_say(words):
    tone, text = requests.retest_told({"requests": [{"line": n, "verdict": word} for n, word in enumerate(words, 1)]})
    said(text)
    back, still = words.count(retest.CAME_BACK), words.count(retest.STILL)
    assert tone == ("bad" if back else "good" if words and still == len(words) else "unsure")
    assert (" came back" in text) == (back > 0) and ("still forgotten" in text) == (not back and still > 0)
    found = [int(n) for n in numbers_in(text)]
    assert not back or found == [back, len(words), *(n for n, word in enumerate(words, 1) if word == retest.CAME_BACK)]
    assert back or not still or still == len(words) == 1 or found[0] == still
    assert ("the others cannot" in text) == (not back and 0 < still < len(words) - 1)


@pytest.mark.parametrize(("wrong", "count"), [([], 1), ([], 2), (["a"], 2), (["a", "b"], 9)])
def test_the_page_counts_the_lines_of_a_ledger(wrong, count, monkeypatch, tmp_path):
    monkeypatch.setattr(requests.ledger, "problems", lambda path: wrong)
    monkeypatch.setattr(requests.ledger, "missing", lambda path: [])
    monkeypatch.setattr(requests.ledger, "entries", lambda path: [{}] * count)
    text = said(requests.chain_told(tmp_path))
    assert int(numbers_in(text)[0]) == (len(wrong) or count) and ("intact" in text) == (not wrong)


# ---------------------------------------------------------------------------------------------------------------------
# The letter


def gate(word: str, name: str) -> Gate:
    return Gate(name, name, word)


@pytest.mark.parametrize("count", [0, 1, 6, 7, 9])
@pytest.mark.parametrize("word", [FAILED, OVER, NOT_MEASURED, PASSED])
def test_the_letter_lists_what_was_not_passed(count, word):
    part = Part(gates=[gate(word, f"g{n}") for n in range(count)])
    run = SimpleNamespace(models={}, attacks={}, evidence={"memory": part})
    texts = [said(text) for text in letter.not_shown(run)]
    listed = {FAILED: "Not passed", OVER: "Not passed", NOT_MEASURED: "Not decided"}.get(word, "!")
    found = [text for text in texts if text.startswith(listed)]
    assert len(found) == (count > 0 and word != PASSED) and len(texts) == 2 + len(found)
    for text in found:
        more = re.search(r" and (\d+) more", text)
        assert len(re.findall(r"g\d", text)) + (int(more[1]) if more else 0) == count


def test_the_letter_counts_rows_and_says_what_is_unknown():
    run = SimpleNamespace(method="npo", status={}, config={})
    for count, text in ((1, "1 row:"), (2, "2 rows:"), (None, "some rows:")):
        facts = dict(letter.facts(run, {"request": "r", "rows": count}))
        assert facts["Rows, as keyed hash"].startswith(text) and "None" not in facts["What was done"]


# ---------------------------------------------------------------------------------------------------------------------
# What is said about a subject


@pytest.mark.parametrize("new", [True, False])
def test_the_sentence_about_a_subject_prints_its_counts(new):
    for asked_, known, after in ((1, 0, 0), (1, 1, 0), (1, 1, 1), (5, 0, 0), (5, 1, 1), (5, 4, 3)):
        for others, others_known, others_said in ((0, 0, 0), (0, 3, 3), (1, 3, 2), (7, 30, 0)):
            text = said(subject.sentence({
                "name": "Ada", "new_questions": new, "asked": asked_, "known_before": known, "said_after": after,
                "others": others, "others_known": others_known, "others_said": others_said}))  # fmt: skip
            found = [int(n) for n in numbers_in(text)]
            wanted = [asked_] + ([after] + [known] * (known > 1) if known else [])
            wanted += ([others] * (others > 1) + [others_said, others_known]) if others_known else []
            assert (
                found == wanted and ("knew none" in text) == (not known) and ("not asked" in text) == (not others_known)
            )


def test_answers_without_a_value_are_not_said_to_be_gone():
    rows = [SimpleNamespace(prompt="q", subject="Ada")] * 2

    def model(*recalls):
        return SimpleNamespace(per_example={"forget": {"fact_recall": list(recalls)}}, generations={})

    found = subject.about_subject({"forget": rows}, {"target": model(1.0, 1.0), "unlearned": model(None, 1.0)})
    assert (found["asked"], found["known_before"], found["said_after"]) == (1, 1, 1)
    found = subject.about_subject({"forget": rows}, {"target": model(0.4, 1.0), "unlearned": model(0.6, 0.4)})
    assert (found["known_before"], found["said_after"]) == (1, 0)
    words = [re.search(r'badge">([^<]*)', verdicts._question(row))[1] for row in found["questions"]]
    assert words == ["said only after", "no longer said"]  # what was not known before is not "still" said


@pytest.mark.parametrize("place", [*around(memory.PERSON), *around(0.0), None])
def test_the_page_prints_the_position_of_a_person_on_the_side_of_its_word(place):
    known = place is not None and memory.is_known(place)
    told_ = verdicts._person({"subject": "Ada", "word": "known" if known else "forgotten", "position": place})
    shown = re.search(rf'badge">\w+ ?({NUMBER})?<', told_)[1]
    assert "-0.00<" not in told_ and (shown is None) == (place is None)
    assert place is None or (value(shown) > memory.PERSON) == known


# ---------------------------------------------------------------------------------------------------------------------
# A search


def search_of(*utilities: float, budget: float = 0.95, winner: int | None = 1, **more) -> dict:
    shared = {"method": "npo", "state": "complete", "forgetting": 0.9, "score": 0.9, "told_apart": False}
    trials = [{**shared, "number": n, "utility": x, "within": x >= budget} for n, x in enumerate(utilities, 1)]
    return {"trials": trials, "utility_budget": budget, "winner": winner, "time_budget": "1h", "max_trials": 5,
            "seconds": 60.0, "rows": [], **more}  # fmt: skip


@pytest.mark.parametrize("kept", [*around(0.95), 0.0, 1.0, 1.02])
@pytest.mark.parametrize("searching", [True, False])
def test_a_search_prints_what_was_kept_on_the_side_of_the_budget(kept, searching):
    search = search_of(kept)
    for text in (said(watching.search_told(search, searching)), " ".join(watching.trial_rows(search)[0])):
        shown = value(re.findall(rf"({NUMBER})\u00a0%", text)[1])
        enough = not re.search("No trial keeps|not enough", text)
        assert (shown >= 95) == enough == (kept >= 0.95 - NOISE * 10) or abs(kept - 0.95) < NOISE * 10, text


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_search_counts_its_trials(count):
    search = search_of(*[0.97] * count, winner=1 if count else None)
    now, then = (said(watching.search_told(search, searching)) for searching in (True, False))
    assert f"made {counted(count, 'trial')}" in then
    assert f"Trial {count + 1} of at most 5 is running" in now if count < 5 else "The last of 5 trials has ended" in now
    text = said(search_report._told(search)[0])
    assert text.startswith(f"{counted(count, 'trial')} in 1 min 00 s, 0 of them given up.")


@pytest.mark.parametrize("flags", [*itertools.product((True, False), repeat=4)])
def test_the_winner_is_the_best_of_those_that_the_sentence_names(flags):
    known, apart, better_known, better_apart = flags
    search = search_of(0.97, 0.97, winner=1)
    first, second = search["trials"]
    first |= {"known": known, "told_apart": apart}
    second |= {"known": better_known, "told_apart": better_apart, "score": 0.99}
    text = said(search_report._told(search)[0])
    named = [trial for trial in search["trials"] if not ("leave no row known" in text and trial.get("known"))
             and not ("does not tell" in text and trial["told_apart"])]  # fmt: skip
    place = [(not trial["known"], not trial["told_apart"], trial["score"]) for trial in search["trials"]]
    assert place[0] < place[1] or max(named, key=lambda trial: trial["score"]) is first
    assert ("although a test tells" in text) == apart


def test_a_search_without_enough_says_so():
    search = search_of(0.8, 0.7, rehearsal=f"{search_report.REHEARSED} x")
    assert "No trial kept 95\u00a0% of the target's utility; trial 1 kept the most" in said(
        search_report._told(search)[0]
    )
    assert "No trial was completed" in said(search_report._told(search_of(winner=None))[0])


# ---------------------------------------------------------------------------------------------------------------------
# A comparison of runs


def test_a_comparison_marks_and_prints_what_its_numbers_say(tmp_path):
    runs = [read_run(make_run(tmp_path / f"{method}-{seed}", method, seed, seconds=seconds, **more))
            for method, seed, seconds, more in (
                ("npo", 0, 90.0, {}), ("npo", 1, 90.0, {"after": {"forget": 0.9}}), ("idk", 0, 90.04, {"resisting": 3}),
                ("simnpo", 0, 300.0, {"after": {"retain": 0.5}}))]  # fmt: skip
    for group_count in (1, len(runs)):
        made = compare(runs[:group_count], 0.95)
        for group in made.groups:
            texts = comparison.method_sentences(group, made)
            for text in itertools.chain(*texts.values()):
                said(text)
            times = [text for text in texts["Good"] + texts["Bad"] if "Unlearning takes" in text]
            assert len(times) == (group["seconds"] == 300.0)  # 90.00 and 90.04 s are the same as printed
            assert all("5 min 00 s, the most here" in text for text in times)
            for key, below, above in (("score", 0.5, 0.5), ("utility", made.budget, made.budget)):
                shown = value(comparison._with_spread({**group, key: below - 1e-6}, key, made.budget)[0])
                assert shown < above
        said(comparison._winner(made).sentence)
    made.groups[0]["utility"], made.groups[1]["utility"] = None, 0.1
    rank(made.groups, 0.95)
    marks = {row[1].endswith(" *") for row, group in zip(comparison._ranking_rows(made), made.groups)
             if group["utility"] is None}  # fmt: skip
    assert marks == {False}  # nothing was measured, so nothing is below the budget
    for group in made.groups:
        group.update(standing=None, word=None)
    assert "No interval separates" not in said(comparison._winner(made).sentence)


@pytest.mark.parametrize("spread", [0.05, 0.1 - TINY, 0.1, 0.1 + 1e-5, 0.3])
def test_a_spread_over_seeds_is_told_only_beyond_its_gate(spread):
    found = comparison._bad_of_all({"runs": [], "spread": {"closeness": spread}})
    assert len(found) == (spread > comparison.VARIES)
    assert not found or value(re.search(rf"± ({NUMBER})", said(found[0]))[1].rstrip(".")) > comparison.VARIES


# ---------------------------------------------------------------------------------------------------------------------
# Requests


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_preview_counts_in_singular_and_plural(count):
    rows = [_row(n, kind) for kind in ("forget", "doubtful", "struck") for n in range(count)]
    for nothing in (True, False):
        text = said(Preview("rows", ["Ada"], rows, [], count, count, nothing, ["q"] * count).sentence())
        assert nothing or [int(n) for n in numbers_in(text)] == ([count] * 5 if count else [0])


def _row(number: int, kind: str) -> Row:
    blank = {field.name: "" for field in dataclasses.fields(Row) if field.default is dataclasses.MISSING}
    return Row(**{**blank, "id": f"{kind}{number}", "forget": kind == "forget", "doubtful": kind == "doubtful"})


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_asking_found_counts_in_singular_and_plural(count):
    kinds = ((True, True), (False, True), (False, False)) * count
    statements = [Statement("q", "a", 1.0, known=known, chosen=chosen) for known, chosen in kinds]
    for knows, new in itertools.product((True, False), (0, 1, 2)):
        found = Elicited(
            "Ada", "person", statements, [], [], knows, max(1, count), max(1, count), (count, new), [], [count]
        )
        notes = [said(text) for text in named.notes_of(found)]
        assert (
            not knows
            or [int(n) for n in numbers_in(notes[0])][:3] == [count, max(1, count), count][: 3 if count else 2]
        )


@pytest.mark.parametrize("count", [1, 2])
def test_rows_in_doubt_are_counted_in_singular_and_plural(count):
    for kinds in ({"only first name": count}, {"other": count}, {"only first name": 1, "other": count}):
        partial = kinds.get("only first name", 0)
        split = SimpleNamespace(kinds=lambda part, kinds=kinds: kinds, partial=partial, subjects=["Ada"],
                                doubtful=[0] * sum(kinds.values()))  # fmt: skip
        for text in asked.end_lines(split, None):
            assert not re.search(r"these 1 |this rows|\b1 more rows", said(text))


# ---------------------------------------------------------------------------------------------------------------------
# Null models


@pytest.mark.parametrize("ceiling", [2.3381, 2.34, 2.3449, 0.0])
def test_an_epsilon_at_most_is_never_rounded_down(ceiling):
    place = null.position(0.5, [0.1, 0.2, 0.3])
    report = {"metrics": {"forget.loss": place}, "models": 3, "u_lira": None, "rmia": None, "epsilon_ceiling": ceiling}
    lines = null.null_lines(report)
    assert ceiling - 1e-9 <= value(lines[-1].rsplit(" ", 1)[1]) < ceiling + 0.01
    assert place["rank"] == "higher than all 3" and lines[-2].startswith("1 of 1 numbers lie outside")
    for x, rank_ in ((0.1, "0 of 3 below, 2 above"), (0.0, "lower than all 3"), (0.3, "2 of 3 below, 0 above")):
        assert null.position(x, [0.1, 0.2, 0.3])["rank"] == rank_
    assert null.position(math.nan, [0.1, 0.2]) is None and null.position(0.1, [0.1]) is None


# ---------------------------------------------------------------------------------------------------------------------
# Nothing is left out

TESTED = (
    retest._rows_back, retest.verdict, retest.printed, requests.retest_told, letter.not_shown, subject.sentence,
    watching.search_told, search_report._told, comparison._bad_of_all, named.notes_of, asked.end_lines,
    Preview.sentence,
)  # fmt: skip


def test_every_template_of_these_functions_has_a_case():
    if len(SAID) < 100:
        pytest.skip("needs the other tests of this file")
    assert unsaid(SAID, *TESTED) == {}
