"""The report of one run: its page and its Markdown, the verdict in it, and text of users in it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from run_folders import Tags, make_run

import analyze_results
from models.verdict.words import PARTS
from results.report import figures, pages, progress, runs, sentences, verdict, words


def lines(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    """A run with everything, its report written."""
    folder = make_run(tmp_path_factory.mktemp("results") / "full", attacks=True, resisting=3)
    analyze_results.write_report(folder)
    return folder


def test_report_writes_page_markdown_and_figures(full):
    stems = {row.stem for row in figures.FIGURES}
    assert {"forgetting_curves", "rows", "subjects", "training", "attacks", "before_after_forget"} <= stems
    assert {path.name for path in (full / "figures").iterdir()} == {
        f"{s}.{kind}" for s in stems for kind in ("png", "svg")
    }
    for stem in stems:
        head = (full / "figures" / f"{stem}.png").read_bytes()
        assert head.startswith(b"\x89PNG") and b"pHYs" in head[:100]
        assert int.from_bytes(head[head.index(b"pHYs") + 4 :][:4], "big") == round(150 / 0.0254)
    markdown = (full / "report.md").read_text(encoding="utf-8")
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", markdown):
        assert (full / path).exists()
    assert not list(full.rglob(".*"))


def test_the_report_page_is_self_contained(full):
    page = Tags((full / "report.html").read_text(encoding="utf-8"))
    assert not page.open
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    sources = [value for _, name, value in page.attributes if name in ("src", "href", "srcset", "style", "action")]
    assert sources and not [value for value in sources if not value.startswith(("data:image/svg+xml;base64,", "--n:"))]
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert ("meta", "name", "viewport") in page.attributes


def test_the_report_puts_the_three_words_first_and_lists_what_decides_them(full):
    run = runs.read_run(full)
    text = " ".join(Tags((full / "report.html").read_text(encoding="utf-8")).text)
    parts = ["REMEMBERS, KEPT, CAME BACK", "Memory: ", "The rest: ", "Under attack: ", "Gates", "person known best",
             "Persons and rows", "Yun Sato", "3 of 20 forget rows are still known", "How it went",
             "Before, after, and the goal", "Answers side by side", "Notes", "How to repeat this run", "Environment",
             "Configuration"]  # fmt: skip
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    for part in run.evidence.values():
        assert all(sentence in text for sentence in (*part.why, *(gate.label for gate in part.gates)))
    assert "python unlearning_script.py --method=npo --seed=0" in text


def test_every_person_and_every_leaking_row_is_in_the_report(full):
    evidence = json.loads((full / "evaluation.json").read_text())["evidence"]["memory"]
    blocks = verdict.persons_and_rows(runs.read_run(full))
    table = next(block for block in blocks if isinstance(block, pages.Table))
    assert [pages.plain_text(row[0]) for row in table.rows] == [one["subject"] for one in evidence["persons"]]
    assert [pages.plain_text(row[3]) for row in table.rows] == [one["word"] for one in evidence["persons"]]
    cards = [block for block in blocks if isinstance(block, pages.Answers)]
    known = [row for row in lines(full, "examples.jsonl") if row["split"] == "forget"][:3]
    assert {card.prompt for card in cards} == {row["prompt"] for row in known}
    for card in cards:
        row = next(row for row in known if row["prompt"] == card.prompt)
        assert dict(card.answers)["true answer"] == row["gold"] and card.subject == row["subject"]


def test_questions_about_a_subject_and_their_answers_are_shown_as_they_are(tmp_path):
    folder = make_run(tmp_path / "run")
    report = json.loads((folder / "evaluation.json").read_text())
    said = {"question": "Who was Ada?", "before": "A baker.", "after": "", "known_before": True, "said_after": False}
    report["comparison"]["subject"] = {"sentence": "Asked 1 new question about Ada.", "questions": [said]}
    (folder / "evaluation.json").write_text(json.dumps(report))
    blocks = verdict.subject(runs.read_run(folder))
    assert "| Who was Ada? | A baker. |  | yes | no |" in pages.markdown_page(blocks)
    cells = ["Who was Ada?", "A baker.", "yes", "no"]
    assert [text for text in Tags(pages.html_page("a title", blocks)).text if text in cells] == cells


def test_without_a_leaking_row_the_report_gives_the_bound(tmp_path):
    run = runs.read_run(make_run(tmp_path / "run", after={"forget": 0.12}))
    text = " ".join(block.text for block in verdict.persons_and_rows(run) if isinstance(block, pages.Paragraph))
    assert run.words["memory"] == "FORGOTTEN" and "None of 20 forget rows is still known" in text
    assert 1 - 0.05 ** (1 / 20) <= float(re.search(r"at most ([\d.]+)", text)[1]) / 100 <= 0.1392


def test_lost_rows_and_numbers_beside_the_words_are_in_the_report(tmp_path):
    folder = make_run(tmp_path / "run", after={"retain": 0.3})
    run = runs.read_run(folder)
    text = pages.markdown_page(verdict.persons_and_rows(run) + verdict.beside(run))
    assert run.words["rest"] == "BROKEN" and "Rows that should stay and were lost: 20" in text
    first = next(row for row in lines(folder, "examples.jsonl") if row["split"] == "retain")
    assert pages.markdown_escape(first["prompt"]) in text
    for part in ("run on to the limit", "read from the prompt", "0.075", "it rose"):
        assert part in text, part


def evidence_of(folder: Path, change) -> runs.Run:
    """The run after `change(evaluation)` of its evaluation.json."""
    evaluation = json.loads((folder / "evaluation.json").read_text())
    change(evaluation)
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return runs.read_run(folder)


DAMAGE = {
    "gone": (lambda e: e.pop("evidence"), None),
    "no object": (lambda e: e.update(evidence=[1]), None),
    "a part is no object": (lambda e: e["evidence"].update(rest="KEPT"), "the evidence of rest is no object"),
    "a part is gone": (lambda e: e["evidence"].pop("memory"), None),
    "foreign gates": (lambda e: e["evidence"]["memory"].update(gates=[1, {"name": 2}, {"name": "a", "word": "so"}]),
                      "3 of 3 gates of memory are unreadable"),
    "numbers that are not": (lambda e: e["evidence"]["memory"]["gates"][2].update(
        value=float("nan"), low="x", high=[], null={"a": 1}, most=True), None),
    "lists that are not": (lambda e: e["evidence"]["memory"].update(
        rows={"a": 1}, persons=[1, {"position": "far", "subject": None}], why="x", turn=3, membership=[]), None),
    "tables that are not": (lambda e: (e["evidence"]["rest"].update(parts=[1], beside={"run_on": [1], "x": {"y": 0}}),
                                       e["evidence"]["resistance"].update(attacks={"relearning": {"a": 1}})), None),
    "rows that do not exist": (lambda e: e["evidence"]["memory"].update(
        rows=[{"row": place, "leaks": True, "position": None} for place in (0, -1, 999, None, "1", 1.5)]), None),
    "another word": (lambda e: e["evidence"]["rest"].update(word="DAMAGED"), "contradicts itself"),
    "another verdict": (lambda e: e["comparison"].update(verdict="FORGOTTEN, KEPT, HELD"), "contradicts itself"),
    "nested without end": (lambda e: e["evidence"]["memory"].update(x=json.loads("[" * 400 + "]" * 400)), None),
}  # fmt: skip


@pytest.mark.hardening(68)
@pytest.mark.parametrize(("change", "problem"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_evidence_is_named_and_never_stops_the_report(tmp_path, change, problem):
    run = evidence_of(make_run(tmp_path / "run", attacks=True, resisting=2), change)
    assert problem is None or any(problem in text for text in run.problems)
    text = "".join(Tags(analyze_results.write_report(run.folder).read_text(encoding="utf-8")).text)
    assert problem is None or problem in text
    assert not words.certified(run) and "CERTIFIED" not in text and "nan" not in text.lower()


def test_only_three_words_with_passed_gates_are_certified(tmp_path):
    folder = make_run(tmp_path / "run", after={"forget": 0.12}, attacks=True)

    def hold(evaluation):
        resisted = evaluation["evidence"]["resistance"]
        resisted.update(word="HELD", gates=[gate for gate in resisted["gates"] if gate["word"] == "passed"])
        evaluation["comparison"].update(resistance="HELD", verdict="FORGOTTEN, KEPT, HELD")

    run = evidence_of(folder, hold)
    assert words.certified(run) and verdict.verdict(run).sentence.startswith("CERTIFIED: 7 of 8 gates are passed")
    for break_it in (
        lambda e: e["evidence"]["memory"]["gates"][0].update(word="failed"),
        lambda e: e["evidence"]["rest"].update(gates=[]),
        lambda e: e["comparison"].update(rest="UNDECIDED", verdict="FORGOTTEN, UNDECIDED, HELD"),
    ):
        folder = make_run(tmp_path / "run", after={"forget": 0.12}, attacks=True)
        evidence_of(folder, hold)
        broken = evidence_of(folder, break_it)
        assert not words.certified(broken) and "CERTIFIED" not in verdict.verdict(broken).sentence


def test_a_verdict_of_an_earlier_version_is_shown_as_such(tmp_path):
    def older(evaluation):
        del evaluation["evidence"]
        for part in PARTS:
            del evaluation["comparison"][part]
        evaluation["comparison"].update(verdict="INCOMPLETE", weakest_part="forgetting")

    run = evidence_of(make_run(tmp_path / "run", attacks=True), older)
    assert run.words == {} and not run.problems
    assert words.label(run) == "verdict of an earlier version: INCOMPLETE"
    page = " ".join(Tags(analyze_results.write_report(run.folder).read_text(encoding="utf-8")).text)
    assert "Verdict of an earlier version: INCOMPLETE. Measure the run again." in page
    assert verdict.verdict(run).columns == [] and "Memory: " not in page and "CERTIFIED" not in page


def test_remarks_name_refusals_drift_and_loops(tmp_path):
    folder = make_run(tmp_path / "run", after={"holdout": 0.01})

    def spoil(evaluation):
        unlearned = evaluation["models"]["unlearned"]
        unlearned["retain"].update(refusal_rate=0.3)
        unlearned["forget"].update(fluency=0.2, refusal_rate=0.5)

    run = evidence_of(folder, spoil)
    text = " ".join(sentences.remarks(run))
    for part in ("Over-refusal: 30", "Rows never seen changed", "Fluency on the forget set", "may hide knowledge"):
        assert part in text, part


def test_changes_have_a_direction_only_where_a_paired_test_shows_one(tmp_path):
    folder = make_run(tmp_path / "run")
    run = runs.read_run(folder)
    fell = sentences.forgotten(run)[0]
    assert (
        fell.startswith("Forget-set answer probability fell from") and "a model that never saw these rows has" in fell
    )
    (folder / "examples.jsonl").unlink()
    bare = sentences.forgotten(runs.read_run(folder))[0]
    assert "fell" not in bare and " before and " in bare


def test_the_paired_tests_are_mcnemar_for_shares_and_t_over_subjects_otherwise(tmp_path):
    from scipy.stats import binomtest, ttest_1samp

    folder = make_run(tmp_path / "run")
    rows = lines(folder, "examples.jsonl")
    for number, row in enumerate(row for row in rows if row["split"] == "general"):
        row["metrics_before"]["multiple_choice_accuracy"] = float(number < 8)
        row["metrics_after"]["multiple_choice_accuracy"] = float(5 <= number < 19)
    (folder / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = evidence_of(folder, lambda e: [e["models"][model]["general"].update(multiple_choice_accuracy=value)
                                         for model, value in (("target", 0.4), ("unlearned", 0.7))])  # fmt: skip
    share, mean = (
        progress.paired_p(run, *pair) for pair in (("general", "multiple_choice_accuracy"), ("retain", "f1"))
    )
    assert share == pytest.approx(binomtest(5, 16, 0.5).pvalue)  # 5 fell, 11 rose
    assert progress.paired_p(run, "general", "refusal_rate") == 1.0  # no row changed
    people = {}
    for row in rows:
        if row["split"] == "retain":
            people.setdefault(row["subject"], []).append(row["metrics_after"]["f1"] - row["metrics_before"]["f1"])
    assert mean == pytest.approx(ttest_1samp([np.mean(values) for values in people.values()], 0).pvalue)


def test_without_a_retrained_model_the_holdout_set_stands_in(tmp_path):
    run = runs.read_run(make_run(tmp_path / "a", retrained=False))
    assert progress.goal(run, "answer_probability") == (run.value("target", "holdout", "answer_probability"), "holdout")
    assert words.label(run).startswith("UNDECIDED (no retrained model), KEPT")
    assert "rows that it never saw" in sentences.forgotten(run)[0]
    bare = runs.read_run(make_run(tmp_path / "b", retrained=False, holdout=False))
    assert progress.goal(bare, "answer_probability") == (None, "")
    for folder in ("a", "b"):
        page = analyze_results.write_report(tmp_path / folder).read_text(encoding="utf-8")
        assert "UNDECIDED (no retrained model)" in page and "retrained</th>" not in page


def test_the_report_says_that_a_run_failed_or_has_no_forget_set(tmp_path):
    folder = make_run(tmp_path / "run")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    for model in evaluation["models"].values():
        del model["forget"]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    (folder / "status.json").write_text('{"state": "failed", "message": "the disk is full"}')
    run = runs.read_run(folder)
    assert sentences.forgotten(run) == ["Not measured: the run has no forget set."]
    assert "The run ended as failed: the disk is full." in sentences.remarks(run)


def test_way_is_0_at_the_start_and_1_at_the_goal():
    assert progress.way(0.9, 0.9, 0.1) == 0
    assert progress.way(0.9, 0.1, 0.1) == 1
    assert progress.way(0.9, 0.05, 0.1) > 1
    assert progress.way(1.0, 3.0, 3.0) == 1  # a loss rises to its goal
    assert progress.way(0.5, 0.4, 0.51) is None
    assert progress.way(0.5, None, 0.1) is None


def test_a_minimal_folder_still_gets_a_report(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "evaluation.json").write_text('{"models": {"unlearned": {"forget": {"loss": 1.5}}}}')
    page = Tags(analyze_results.write_report(folder).read_text(encoding="utf-8"))
    text = " ".join(page.text)
    assert "1.500" in text and "metrics.jsonl" in text and "no verdict" in text


NASTY = "<script>window.__xss=1</script><img src=x onerror=alert(1)> | `*_[x](http://e.vil)_*` \"'& $\\frac$"


def outside_code(markdown: str) -> str:
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", markdown, flags=re.S | re.M)


@pytest.mark.hardening(18, 57)
def test_user_text_is_escaped_everywhere(tmp_path):
    folder = make_run(tmp_path / "run", people=(NASTY, "=cmd()", "b", "c"), resisting=2, retrained=False)
    config = json.loads((folder / "config.json").read_text())
    config.update(run_name=NASTY, model_name_or_path=NASTY, command=["python", NASTY])
    (folder / "config.json").write_text(json.dumps(config))
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation["notes"][NASTY] = NASTY
    evaluation["comparison"].update({"verdict": NASTY, NASTY: 1.0})
    evaluation["models"]["unlearned"]["forget"][NASTY] = 0.5
    gate = {"name": NASTY, "label": NASTY, "word": "failed", "why": NASTY, "value": 0.5, "most": 0.2}
    evaluation["evidence"]["memory"].update(
        why=[NASTY], turn=NASTY, gates=[gate], persons=[{"subject": NASTY, "position": 0.5, "word": NASTY}],
        rows=[{"row": 1, "leaks": True, "position": 0.9, "trace": NASTY}], membership={"scores": {NASTY: {"gap": 0.5}}},
    )  # fmt: skip
    evaluation["evidence"]["rest"].update(beside={NASTY: {"unlearned": 0.5}}, parts={NASTY: {"share": 0.5}})
    evaluation["attacks"] = {NASTY: {"unlearned": {"answer_probability": 0.5}}}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    page = Tags(analyze_results.write_report(folder).read_text(encoding="utf-8"))
    assert not page.open and "script" not in page.tags
    assert all(value.startswith("data:") for tag, name, value in page.attributes if name == "src")
    assert NASTY in "".join(page.text)
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    outside = outside_code(markdown)
    assert "<script" not in outside and "<img" not in outside and "](http" not in outside
    other = make_run(tmp_path / "other")
    comparison = analyze_results.compare_runs([folder, other], tmp_path / "out")
    page = Tags(comparison.read_text(encoding="utf-8"))
    assert not page.open and "script" not in page.tags
    assert "<script" not in outside_code((tmp_path / "out" / "comparison.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text", ["# no heading", "- no list", "1. no list", "a|b", "<b>", "*x*", "[a](b)", "`x`", "a\n\nb", "+ 1"]
)
def test_markdown_escape_leaves_no_markup(text):
    escaped = pages.markdown_escape(text)
    assert "\n" not in escaped and not re.match(r"[#+\-]|\d+[.)]", escaped)
    assert not re.search(r"(?<!\\)[*`\[\]|]|<", escaped)


@pytest.mark.hardening(18)
@pytest.mark.parametrize("text", ["=cmd()", "+1+1", "-2", "@SUM(A1)", " =1", "\t=1", "\r=1"])
def test_csv_cells_are_never_formulas(text):
    assert pages.csv_cell(text) == f"'{text}"


def test_csv_numbers_stay_numbers():
    assert pages.csv_cell(-10.5) == -10.5 and pages.csv_cell(None) == "" and pages.csv_cell("npo") == "npo"


@pytest.mark.hardening(16)
def test_right_to_left_text_emoji_and_joined_letters_stay_unchanged(tmp_path):
    people = ("مريم الزهراء", "👩‍👩‍👧‍👦 e\u0301", "日本太郎", "שרה")
    folder = make_run(tmp_path / "run", people=people, resisting=2)
    text = analyze_results.write_report(folder).read_text(encoding="utf-8")
    page = Tags(text)
    for name in people:
        assert name in "".join(page.text) and name in (folder / "report.md").read_text(encoding="utf-8")
    directions = {tag for tag, name, value in page.attributes if name == "dir" and value == "auto"}
    assert {"p", "dd", "th"} <= directions and "bdi" in page.tags


@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("a b c", "a x c"), ("שלום עולם", "שלום"), ("日本 語", "日 本語"), ("x", "")]
)
def test_word_difference_loses_nothing(before, after):
    left, right = words.word_difference(before, after)
    assert "".join(text for _, text in left) == before and "".join(text for _, text in right) == after
    assert "".join(t for kind, t in left if not kind) == "".join(t for kind, t in right if not kind)


def test_word_difference_marks_what_changed():
    left, right = words.word_difference("She lives in Vellmar.", "She lives in Port Lume.")
    assert [text for kind, text in left if kind == "gone"] == ["Vellmar."]
    assert "".join(text for kind, text in right if kind == "new") == "Port Lume."


def test_a_new_metric_attack_and_figure_need_one_row_each(full, tmp_path, monkeypatch):
    metric = words.doc("some_new_number")
    monkeypatch.setitem(words.REPORTED, "some_new_number", dataclasses.replace(metric, label="new", limits="all else"))
    row = figures.FigureRow("mine", "training", figures.draw_training, "My own figure.")
    monkeypatch.setattr(figures, "FIGURES", (row,))
    folder = make_run(tmp_path / "run")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation["models"]["unlearned"]["forget"]["some_new_number"] = 0.625
    evaluation["attacks"] = {"some_new_attack": {"unlearned": {"success": 0.375}}}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    text = " ".join(Tags(analyze_results.write_report(folder).read_text(encoding="utf-8")).text)
    for part in ("0.625", "all else", "some new attack", "0.38", "My own figure."):
        assert part in text, part
    assert [path.name for path in sorted((folder / "figures").iterdir())] == ["mine.png", "mine.svg"]


def test_every_figure_is_in_the_report(full):
    text = " ".join(Tags((full / "report.html").read_text(encoding="utf-8")).text)
    run = runs.read_run(full)
    assert all(row.caption_of(run) in text for row in figures.FIGURES)


def test_the_same_run_gives_identical_figure_files(full, tmp_path):
    run = runs.read_run(full)
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        figures.save(figures.draw_subjects(run), tmp_path / place, "subjects")
    for kind in ("png", "svg"):
        assert (tmp_path / "a" / f"subjects.{kind}").read_bytes() == (tmp_path / "b" / f"subjects.{kind}").read_bytes()
