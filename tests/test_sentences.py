"""Every sentence of a report: what it claims agrees with the numbers that it prints, on both sides of its gate."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import math
import re
from pathlib import Path

import pytest
from run_folders import make_run
from sentence_checks import NOISE, NUMBER, TINY, around, tells, value

import analyze_results
from models.scores.intervals import none_of
from results.report import sentences, words
from results.report.runs import read_run

ROOT = Path(analyze_results.__file__).parent


# ---------------------------------------------------------------------------------------------------------------------
# What a sentence claims, checked against the numbers in it


def direction(found) -> bool:
    return (value(found[2]) < value(found[3])) == (found[1] == "rose") and found[2] != found[3]


def interval(found) -> bool:
    return value(found[1]) < value(found[2])


def shift(found) -> bool:
    low, high, claim = value(found[1]), value(found[2]), found[3]
    return {"it rose": low > 0, "it fell": high < 0, "no change is shown": low <= 0 <= high}[claim]


CLAIMS = {  # {pattern: whether the numbers in the match support it}
    rf"(rose|fell) from ({NUMBER}) to ({NUMBER})": direction,
    rf"(?:rose|fell) from \S+ to \S+ \(p = ({NUMBER})\)": lambda found: value(found[1]) < 0.05,
    rf"no difference shown, p = ({NUMBER})": lambda found: value(found[1]) >= 0.05,
    rf"not shown, p = ({NUMBER})": lambda found: value(found[1]) >= 0.05,
    rf"^(?:rose|fell), p = ({NUMBER})": lambda found: value(found[1]) < 0.05,
    rf"is ({NUMBER}) before and ({NUMBER}) after": lambda found: found[1] != found[2],
    rf"\[({NUMBER}), ({NUMBER})\]": interval,
    rf"interval \[({NUMBER}), ({NUMBER})\]\): (it rose|it fell|no change is shown)": shift,
    rf"Over-refusal: ({NUMBER})\D*%.* refusals, ({NUMBER})": lambda found: value(found[1]) > value(found[2]),
    rf"Fluency on the forget set is ({NUMBER}) before and ({NUMBER})": lambda found: value(found[1]) > value(found[2]),
    r"(\d+) of (\d+) gates? (?:is|are) passed": lambda found: 0 <= int(found[1]) <= int(found[2]),
    r"(\d+) of (\d+) gates? (?:is|are) passed and none is failed; (\d+) [a-z ]+(?:; (\d+) [a-z ]+)?\.": lambda found: (
        int(found[2]) - int(found[1]) == int(found[3]) + int(found[4] or 0) > 0
    ),
    r"(\d+) of (\d+) forget (rows?) (is|are) still known": lambda found: (
        0 < int(found[1]) <= int(found[2])
        and (found[4] == "is") == (found[1] == "1")
        and (found[3] == "row") == (found[2] == "1")
    ),
    r"(?<![\d.,])1 (?:rows|gates|samples|persons|trials) ": lambda found: False,
    r"(?<![^\s\[])(?:nan\b|-0(?:\.0+)?(?![\w.]))": lambda found: False,
    rf"^0 of (\d+) samples said a secret.* at most ({NUMBER})": lambda found: (
        none_of(int(found[1])) <= value(found[2]) / 100 + 1e-9
    ),
    rf"None of (\d+) forget rows?.* at most ({NUMBER})": lambda found: (
        none_of(int(found[1])) <= value(found[2]) / 100 < none_of(int(found[1])) + 1.1e-4
    ),
}


def unsupported(text: str) -> list[str]:
    """The claims of a text that the numbers printed in it do not support."""
    return [f"{found[0]} in: {text}" for pattern, holds in CLAIMS.items()
            for found in re.finditer(pattern, text) if not holds(found)]  # fmt: skip


FALSE = [
    "Multiple choice rose from 0.66 to 0.66 (p = 0.01).", "Loss rose from 0.90 to 0.80 (p = 0.01).",
    "Multiple choice rose from 0.66 to 0.72 (p = 0.300).", "F1 is 0.90 before and 0.90 after.", "0.900 [0.900, 0.900]",
    "x (95 % interval [-0.010, 0.030]): it rose.", "x is 0.1 before and 0.2 after (no difference shown, p = 0.001).",
    "None of 40 forget rows is still known. So at most 7.00 % of", "1 of 40 forget row is still known.",
    "-0 % is left.",    "1 of 1 gates are passed and none is failed.", "None of 1 rows is known.", "p = nan",
    "Over-refusal: 3 % of answers are refusals, 3 % before.",
]  # fmt: skip


@pytest.mark.parametrize("text", FALSE)
def test_the_check_finds_sentences_that_their_numbers_do_not_support(text):
    assert unsupported(text)


# ---------------------------------------------------------------------------------------------------------------------
# Every template, around its gate

LEVELS = (0.0, 0.139, 0.0864, 0.9486, 0.95, 0.95 - TINY, 0.994, 0.996, 1.0, 2.918, 12.34, 12.341, 1234.5)
PS = (0.0, 1e-12, 3e-7, *around(0.05), 0.3, 1.0, None, math.nan)
CHANGES = (
    [(a, b) for a, b in itertools.product(LEVELS, LEVELS)] + [(x, x + TINY) for x in LEVELS] + [(0.3, 0.3 - 2e-10)]
)
CASES = {  # {template: arguments on both sides of its gate}
    "changed": [("Number", *pair, p, *aim) for pair in CHANGES for p in PS for aim in ((), (pair[1] + TINY, "it has"))],
    "tested": [(p, *pair) for pair in [(0.1, 0.2), (0.2, 0.1), (None, 0.1), (0.1, 0.1), (0.1, math.nan)] for p in PS],
    "no_row_leaks": [(n, known) for n in (1, 2, 3, 5, 19, 20, 40, 400, 4000) for known in (True, False)],
    "rows_leak": [(*counts, known) for counts in ((1, 1), (1, 40), (2, 40), (40, 40)) for known in (True, False)],
    "refusals": [("retain", before, before + more) for before in (0.0, 0.01, 0.5) for more in around(0.02)],
    "drift": [(0.13, 0.13 * factor) for factor in (*around(0.8), *around(1.2))],
    "secrets_said": [(0, 640, none_of(640)), (0, 3, None), (0, 1, 0.95), (1, 1, 1.0), (3, 640, 0.0136),
                     (3, 640, 0.01360001)],
    "shifted": [("n", middle, *ends) for middle in (-0.02, 0.0, 0.02) for ends in
                [(None, None), (middle, middle), *((low, low + 0.03) for low in (*around(0.0), *around(-0.03)))]],
    "less_fluent": [(0.98, 0.98 * factor - TINY) for factor in around(0.9)],
    "hidden": [(share,) for share in (*around(0.2), 0.996, 1.0)],
    "ended": [("failed", "the disk is full"), ("stopped", None)],
    "guarded": [()],
    "request_back": [("run-1", "1 of 10 rows back")],
    "signed": [(["passed"] * passed + ["no contrast"] * dull + ["not measured"] * missing,)
               for passed, dull, missing in ((1, 0, 0), (1, 1, 0), (7, 1, 0), (12, 0, 2), (9, 1, 2))],
    "earlier_version": [("INCOMPLETE",)],
    "no_verdict": [()],
    "asked": [(least, most, x) for least in (None, -0.2, 0.95) for most in (None, 0.2, 0.97) for x in around(0.95)],
}  # fmt: skip
TOLD = {  # {template: the numbers among its arguments that it must print}
    "changed": lambda name, before, after, *rest: (before, after),
    "refusals": lambda split, before, after: (before, after), "drift": lambda *pair: pair,
    "less_fluent": lambda *pair: pair, "hidden": lambda share: (share,),
    "shifted": lambda name, middle, *ends: (middle,), "rows_leak": lambda leaking, count, known: (leaking, count),
    "no_row_leaks": lambda count, known: (count,), "secrets_said": lambda said, samples, bound: (said, samples),
}  # fmt: skip
PARTS_OF = ("_shows",)
OF_RUNS = ("headline", "reasons", "forgotten", "kept", "requests_back", "remarks", "request_name",
           "side_effects", "poor_answers")  # put the templates together; tested below on whole runs  # fmt: skip


def test_every_function_of_the_file_is_a_tested_template_or_puts_templates_together():
    own = [name for name, found in inspect.getmembers(sentences, inspect.isfunction)
           if found.__module__ == sentences.__name__]  # fmt: skip
    assert sorted(own) == sorted([*CASES, *OF_RUNS, *PARTS_OF])


@pytest.mark.parametrize("name", CASES)
def test_what_a_template_claims_agrees_with_the_numbers_it_prints(name):
    for arguments in CASES[name]:
        text = getattr(sentences, name)(*arguments)
        assert isinstance(text, str) and text
        assert unsupported(text) == [], arguments
        assert tells(text, *TOLD.get(name, lambda *given: ())(*arguments)) == [], (text, arguments)


def test_an_upper_bound_is_never_rounded_down():
    for bound in (none_of(640), 0.0136, 0.01360001, 0.0136499, 0.95, 1.0):
        shown = value(re.search(rf"at most ({NUMBER})", sentences.secrets_said(1, 640, bound))[1])
        assert 100 * bound - 1e-6 <= shown < 100 * bound + 0.01


def test_without_a_retrained_model_no_row_is_compared_with_one():
    for text in (sentences.rows_leak(3, 40, False), sentences.no_row_leaks(40, False)):
        assert "to the target" not in text and "at most" not in text


def test_an_interval_is_missing_for_the_reason_that_is_told():
    assert "too few" in sentences.shifted("n", 0.1, None, None) and "too few" not in sentences.shifted(
        "n", 0.1, 0.1, 0.1
    )
    assert "no change is shown" in sentences.shifted("n", 0.1, 0.0, 0.2)


def test_no_direction_without_a_test_that_shows_it():
    for (before, after), p in itertools.product(CHANGES, [p for p in PS if p is None or not p < 0.05 - NOISE * 10]):
        assert not re.search(r"rose|fell|higher|lower|more|less", sentences.changed("N", before, after, p))


def test_two_numbers_are_printed_alike_only_if_they_are_the_same():
    for (before, after), p in itertools.product(CHANGES, PS):
        text = sentences.changed("N", before, after, p, after + TINY, "it has")
        assert (" before and after" in text) == (abs(before - after) < words.SAME), text
        goal, last = (
            re.search(rf"it has ({NUMBER})", text)[1],
            re.findall(NUMBER, text.split(" (")[0].split(";")[0])[-1],
        )
        assert goal != last, text


def test_what_puts_templates_together_claims_nothing_itself():
    for name in OF_RUNS:
        (tree,) = ast.parse(inspect.getsource(getattr(sentences, name))).body
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        claims = [text for text in texts if re.search(r"rose|fell|more|less|most|least|[0-9]", text)]
        assert [text for text in claims if text != ast.get_docstring(tree, clean=False)] == [], name


@pytest.mark.parametrize("gate", [0.95, 0.9, 0.2, 0.1, 0.05, 0.5])
def test_a_number_and_its_gate_are_printed_on_the_right_sides(gate):
    for x in around(gate):
        for write in (words.apart, words.percents):
            shown, bound = (value(text.removesuffix("\u00a0%")) for text in write(x, gate))
            assert (shown > bound) - (shown < bound) == side(x, gate), (write, x, gate)
        found = re.fullmatch(rf"\[({NUMBER}), ({NUMBER})\]", words.span(x, gate + 0.05, gate))
        assert side(value(found[1]), gate) == side(x, gate)


def side(x: float, gate: float) -> int:
    """1 above the gate, -1 below, 0 at it."""
    return 0 if abs(x - gate) < NOISE * 10 else 1 if x > gate else -1


def test_numbers_that_a_reader_cannot_tell_apart_get_more_digits():
    for pair in ((999.96, 1000.0), (-0.001, 0.0), (-1e-6, 1e-6), (0.9996, 1.0), (9.9996, 10.0)):
        for write in (words.apart, words.percents):
            first, second = (value(text.removesuffix("\u00a0%")) for text in write(*pair))
            assert first < second, (write, pair)
    assert words.percents(-0.0) == ["0\u00a0%"] and words.percents(None, math.nan) == ["–", "–"]


@pytest.mark.parametrize("share", [0.0, TINY, 0.004, 0.5, 0.994, 0.9949, 0.996, 1 - TINY, 1.0])
def test_a_share_is_0_or_100_percent_only_if_it_is(share):
    shown = value(words.percent(share).removesuffix("\u00a0%"))
    assert (shown == 0) == (share == 0) and (shown >= 100) == (share >= 1)


@pytest.mark.parametrize(("split", "metric", "gate", "before"), [
    ("retain", "refusal_rate", sentences.REFUSED, 0.0), ("general", "refusal_rate", sentences.REFUSED, 0.0),
    ("forget", "refusal_rate", sentences.HIDDEN, 0.0), ("forget", "fluency", -0.1, 1.0),
    ("holdout", "answer_probability", -0.2, 1.0), ("holdout", "answer_probability", 0.2, 1.0),
])  # fmt: skip
def test_a_remark_appears_only_beyond_its_gate(split, metric, gate, before):
    for share, expected in ((0.99, 0), (1 - 1e-6, 0), (1 + 1e-6, 1), (1.01, 1)):
        pair = (before, before + gate * share)
        found = [
            *sentences.side_effects(lambda *key, pair=pair: pair if key == (split, metric) else (None, None)),
            *sentences.poor_answers(lambda *key, pair=pair: pair if key == (split, metric) else (None, None)),
        ]
        assert len(found) == expected and not any(map(unsupported, found)), (share, found)


# ---------------------------------------------------------------------------------------------------------------------
# Whole runs

RUNS = {
    "default": {}, "attacked": {"attacks": True, "resisting": 3}, "no retrained model": {"retrained": False},
    "no holdout": {"retrained": False, "holdout": False}, "broken": {"after": {"retain": 0.2, "holdout": 0.5}},
    "unchanged": {"after": {"forget": 0.95, "retain": 0.94}}, "one row": {"rows": 1},
    "one person": {"people": ("one",)},
    "a little less": {"after": {"forget": 0.945, "retain": 0.935, "general": 0.405}},
}  # fmt: skip


@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
def test_the_sentences_of_a_run_and_its_whole_report_agree_with_their_numbers(tmp_path, settings):
    folder = make_run(tmp_path / "run", **settings)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation["earlier"] = [{"run": "runs/a", "verdict": "came back", "why": "1 of 10 rows back: row 3 (100%)"}]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    run = read_run(folder)
    parts = [sentences.reasons(part) for part in run.evidence.values()]
    told = (sentences.forgotten, sentences.kept, sentences.remarks, sentences.requests_back)
    lists = [function(run) for function in told]
    for text in itertools.chain([sentences.headline(run)], *parts, *lists):
        assert text.endswith((".", ")")) or text in itertools.chain(*parts), text
        assert unsupported(text) == []
    analyze_results.write_report(folder)
    for line in (folder / "report.md").read_text(encoding="utf-8").replace("\\", "").splitlines():
        assert unsupported(line) == []
    assert sentences.request_name({"run": "a/b\\c/"}) == "c"


@pytest.mark.parametrize(("before", "after"), [(0.99001, 0.99049), (0.5, 0.5 - TINY), (0.2, 0.3)])
def test_a_table_shows_that_a_number_rose_or_fell(tmp_path, monkeypatch, before, after):
    run = read_run(make_run(tmp_path / "run"))
    for role, x in (("target", before), ("unlearned", after), ("retrained", 0.0)):
        run.models[role]["forget"] = {"fact_recall": x}
    run.intervals = {}
    monkeypatch.setattr(analyze_results.progress, "change", lambda *key: (before, after, 0.001))
    (row,) = analyze_results.split_tables(run, "forget")[0].rows
    first, last = (value(cell[0]) for cell in row[1:3])
    assert {"rose, p = 0.001": first < last, "fell, p = 0.001": first > last}[row[4]]


@pytest.mark.parametrize("share", [1 - 1e-3, 1.0, 1 + 1e-3, 0.0, -1e-3])
def test_the_progress_is_100_percent_only_at_the_goal(tmp_path, monkeypatch, share):
    run = read_run(make_run(tmp_path / "run"))
    monkeypatch.setattr(analyze_results.progress, "forget_way", lambda *key: share)
    shown = value(analyze_results._goal_cells(run, "forget", "fact_recall")[1].removesuffix("\u00a0%"))
    assert (side(shown, 100), side(shown, 0)) == (side(share, 1), side(share, 0))


def test_a_report_without_a_retrained_model_does_not_speak_of_one(tmp_path):
    for share in (0.95, 0.12):
        run = read_run(make_run(tmp_path / f"run{share}", after={"forget": share}, retrained=False))
        run.evidence["memory"].more["rows"] = [
            {"row": 1, "position": share, "trace": "fact_recall", "leaks": share > 0.5}
        ]
        blocks = analyze_results.verdict._leaking(run)
        text = " ".join(str(getattr(block, "text", "")) for block in blocks)
        assert "to the target" not in text and "at most" not in text and ("still known" in text) == (share > 0.5)


def test_a_lost_row_is_printed_below_its_gate(tmp_path):
    run = read_run(make_run(tmp_path / "run"))
    for left in (0.5 - 1e-3, 0.5 - TINY):
        cell = analyze_results.verdict._lost_row(run, {"row": 1, "left": left})[-1]
        assert value(cell.removesuffix("\u00a0%")) < 50


OLD = re.compile(r"SUPPRESSED|INCOMPLETE|COLLAPSED|UNCERTIFIED|attacks not run\)|robust_score|weakest_part")
MINE = [*sorted((ROOT / "results" / "report").glob("*.py")), *sorted((ROOT / "models" / "requests").glob("*.py")),
        ROOT / "analyze_results.py", ROOT / "results" / "run" / "model_card.py",
        ROOT / "results" / "run" / "continuing.py"]  # fmt: skip


@pytest.mark.parametrize("path", MINE, ids=lambda path: path.name)
def test_no_label_of_an_earlier_version_is_left(path):
    text = path.read_text(encoding="utf-8")
    assert OLD.findall(text) == []


@pytest.mark.parametrize("path", [path for path in MINE if path.name != "sentences.py"], ids=lambda path: path.name)
def test_no_other_file_of_reports_says_that_a_number_rose_or_fell(path):
    assert re.findall(r"\b(?:rose|fell|dropped|improved|worsened) (?:from|to)\b", path.read_text()) == []
