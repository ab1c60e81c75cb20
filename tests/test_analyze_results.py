"""Checks reports against the files of their run."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from run_folders import BEFORE, PEOPLE, Tags, cut_texts, make_run

import analyze_results
from models.verdict.words import PARTS
from results.report import figures, pages, progress, runs, sentences, verdict, words

# ---------------------------------------------------------------------------------------------------------------------
# Reading


def lines(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    """A run with everything, its report written."""
    folder = make_run(tmp_path_factory.mktemp("results") / "full", attacks=True, resisting=3)
    analyze_results.write_report(folder)
    return folder


def test_curves_match_the_evaluations_in_the_log(full):
    log = [line for line in lines(full, "metrics.jsonl") if line["event"] == "evaluation"]
    curves = runs.curves(runs.read_run(full))
    assert set(curves) == {"forget", "retain", "holdout", "general"}
    for split, curve in curves.items():
        assert curve["step"].tolist() == [line["step"] for line in log]
        for metric in ("answer_probability", "loss", "accuracy"):
            assert curve[metric].tolist() == [line[split][metric] for line in log]


def test_training_series_match_the_log_and_nulls_become_gaps(tmp_path):
    folder = make_run(tmp_path / "run")
    log = [line for line in lines(folder, "metrics.jsonl") if line["event"] == "step"]
    log[3]["forget_loss"] = None
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    data = runs.training(runs.read_run(folder))
    assert data["step"].tolist() == list(range(1, 41))
    assert np.isnan(data["forget_loss"][3]) and np.isfinite(np.delete(data["forget_loss"], 3)).all()
    assert data["learning_rate"].tolist() == [line["learning_rate"] for line in log]


def test_rows_and_subjects_match_the_examples(full):
    rows = [row for row in lines(full, "examples.jsonl") if row["split"] == "forget"]
    run = runs.read_run(full)
    values = runs.per_row(run, "forget")
    for role in ("before", "after", "retrained"):
        assert values[role].tolist() == [row[f"metrics_{role}"]["answer_probability"] for row in rows]
    subjects = {row["subject"]: row for row in runs.per_subject(run, "forget")}
    assert set(subjects) == set(PEOPLE)
    mine = [row["metrics_after"]["answer_probability"] for row in rows if row["subject"] == PEOPLE[1]]
    assert subjects[PEOPLE[1]]["after"] == pytest.approx(np.mean(mine)) and subjects[PEOPLE[1]]["n"] == len(mine)


def test_bars_match_values_and_intervals_of_the_evaluation(full):
    evaluation = json.loads((full / "evaluation.json").read_text())
    table = figures.bar_table(runs.read_run(full), "forget")
    assert "zlib_ratio" not in table and "rouge_l_recall" in table
    for metric, row in table.items():
        for model, (value, interval) in row.items():
            assert value == evaluation["models"][model]["forget"][metric]
            assert list(interval) == evaluation["intervals"][model]["forget"][metric]


def test_bar_lengths_equal_their_values(full):
    run = runs.read_run(full)
    figure = figures.draw_bars(run, "forget")
    drawn = sorted(patch.get_width() for patch in figure.axes[0].patches)
    table = figures.bar_table(run, "forget")
    assert drawn == pytest.approx(sorted(value for row in table.values() for value, _ in row.values()))


def test_curve_figure_has_start_level_retrained_level_and_marks(full):
    run = runs.read_run(full)
    axes = figures.draw_curves(run).axes[0]
    level = run.value("retrained", "forget", "answer_probability")
    flat = [
        line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 2 and len(set(line.get_ydata())) == 1
    ]
    assert any(y == pytest.approx(level) for y in flat)
    assert any(y == pytest.approx(BEFORE["forget"]) for y in flat)
    texts = " ".join(text.get_text() for text in axes.texts)
    assert "kept (35)" in texts and "stopped early (40)" in texts


def test_the_scatter_shows_every_row_of_the_examples(full):
    clouds = figures.draw_scatter(runs.read_run(full)).axes[0].collections
    rows = lines(full, "examples.jsonl")
    assert [cloud.get_label().split()[0] for cloud in clouds] == ["retain", "holdout", "forget"]
    for cloud in clouds:
        split = cloud.get_label().split()[0]
        pairs = [[row[f"metrics_{role}"]["answer_probability"] for role in ("before", "after")] for row in rows
                 if row["split"] == split]  # fmt: skip
        assert np.asarray(cloud.get_offsets()).tolist() == pairs


def test_subjects_show_means_over_their_rows(full):
    axes = figures.draw_subjects(runs.read_run(full)).axes[0]
    rows = [row for row in lines(full, "examples.jsonl") if row["split"] == "forget"]
    names = [label.get_text() for label in axes.get_yticklabels()][: len(PEOPLE)]
    assert set(names) == set(PEOPLE)
    for place, name in enumerate(names):
        drawn = [float(line.get_xdata()[0]) for line in axes.lines
                 if len(line.get_xdata()) == 1 and line.get_ydata()[0] == place]  # fmt: skip
        own = [row for row in rows if row["subject"] == name]
        means = [np.mean([row[f"metrics_{role}"]["answer_probability"] for row in own])
                 for role in ("before", "after", "retrained")]  # fmt: skip
        assert drawn == pytest.approx(means)


def test_the_training_figure_shows_the_losses_and_rates_of_the_log(full):
    upper, lower = figures.draw_training(runs.read_run(full)).axes
    log = [line for line in lines(full, "metrics.jsonl") if line["event"] == "step"]
    for line, key in (
        (upper.lines[0], "forget_loss"),
        (upper.lines[1], "retain_loss"),
        (lower.lines[0], "learning_rate"),
    ):
        assert line.get_xdata().tolist() == [entry["step"] for entry in log]
        assert line.get_ydata().tolist() == [entry[key] for entry in log]


def test_attack_tables_and_figures_match_the_evaluation(full):
    evaluation = json.loads((full / "evaluation.json").read_text())
    run = runs.read_run(full)
    rows = {(row["attack"], row["metric"]): row for row in progress.attack_rows(run)}
    assert not [metric for _, metric in rows if metric.endswith("_before") or metric.startswith("layer_")]
    found = evaluation["attacks"]["relearning"]
    before, after = found["unlearned"]["answer_probability_before"], 0.48
    row = rows["relearning", "answer_probability"]
    assert (row["before"], row["unlearned"], row["retrained"]) == (before, after, 0.2)
    told = evaluation["evidence"]["resistance"]["attacks"]["relearning"]["answer_probability"]
    assert [row[key] for key in ("excess", "low", "high", "leaks")] == [*list(told.values())[:3], told["leaking_rows"]]
    bars = figures.draw_attacks(run).axes[0].patches
    main = {"relearning": "answer_probability", "quantisation_int4": "answer_probability", "sampling":
            "best_fact_recall", "prompts": "best_fact_recall", "logit_lens": "best_reciprocal_rank"}  # fmt: skip
    for model in ("target", "unlearned", "retrained"):
        expected = [evaluation["models"][model]["forget"]["answer_probability"]]
        expected += [evaluation["attacks"][attack][model][metric] for attack, metric in main.items()]
        widths = [bar.get_width() for bar in bars]
        assert all(any(width == pytest.approx(value) for width in widths) for value in expected)
    assert len(bars) == 3 * 6
    text = " ".join(Tags((full / "report.html").read_text(encoding="utf-8")).text)
    assert (
        "Under attack" in text
        and "[0.220, 0.400]" in text
        and "2, 7" in text
        and "leak in 16 samples" in text
        and "right letters in multiple choice" in text
    )


PEOPLE_HARD_TO_DRAW = ("مريم الزهراء بنت عبد الله بن عبد الرحمن", "A person whose name takes more room than it gets",
                       "שרה", "$x_1$ \\frac % & {}")  # fmt: skip


@pytest.mark.parametrize("settings", [
    {"attacks": True, "people": PEOPLE_HARD_TO_DRAW}, {"retrained": False}, {"retrained": False, "holdout": False},
    {"people": ("one",)}, {"rows": 1, "attacks": True},
], ids=["hard names", "no retrained model", "forget and retain alone", "one subject", "one row"])  # fmt: skip
def test_figures_of_a_run_do_not_cut_off_text(tmp_path, settings):
    run = runs.read_run(make_run(tmp_path / "run", **settings))
    drawn = {row.stem: figure for row in figures.FIGURES if (figure := row.draw(run)) is not None}
    assert {"forgetting_curves", "before_after_forget", "rows", "subjects", "training"} <= set(drawn)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        for stem, figure in drawn.items():
            assert cut_texts(figure) == [], stem


def test_arrows_show_how_knowledge_moves_a_metric():
    assert figures.arrow("accuracy", "forget") == figures.arrow("truth_ratio", "retain") == "↑"
    assert figures.arrow("refusal_rate", "retain") == figures.arrow("truth_ratio", "forget") == "↓"


@pytest.mark.hardening(66)
def test_a_half_written_last_line_is_ignored_and_bad_lines_are_named(tmp_path):
    folder = make_run(tmp_path / "run")
    log = (folder / "metrics.jsonl").read_text()
    count = len(lines(folder, "metrics.jsonl"))
    (folder / "metrics.jsonl").write_text(log + '{"event": "step", "step": 41, "lo')
    run = runs.read_run(folder)
    assert not run.problems and len(run.steps) == 40
    (folder / "metrics.jsonl").write_text(log + "\x00broken\n[1]\n" + log.splitlines()[0] + "\n")
    run = runs.read_run(folder)
    assert run.problems == [f"metrics.jsonl: 2 unreadable lines left out, first at line {count + 1}"]


@pytest.mark.hardening(68)
@pytest.mark.parametrize(
    ("overrides", "missing", "named"),
    [
        ({"evaluation.json": "{"}, None, "evaluation.json"),
        ({"evaluation.json": "[]"}, None, "evaluation.json"),
        ({"evaluation.json": ""}, None, "evaluation.json"),
        ({"evaluation.json": "{}"}, None, "evaluation.json"),
        ({"evaluation.json": '{"models": {"unlearned": [1]}}'}, None, "evaluation.json"),
        ({"evaluation.json": "[" * 100_000}, None, "evaluation.json"),
        ({"config.json": "\x00"}, None, "config.json"),
        ({}, "evaluation.json", "evaluation.json"),
        ({}, "config.json", "config.json"),
    ],
)
def test_a_damaged_or_partial_folder_is_named_with_exit_code_3(tmp_path, capsys, overrides, missing, named):
    folder = make_run(tmp_path / "run", overrides=overrides)
    if missing:
        (folder / missing).unlink()
    assert analyze_results.main([str(folder)]) == 3
    out, err = capsys.readouterr()
    assert str(folder / named) in err and not out


@pytest.mark.hardening(68)
def test_missing_files_and_empty_folders_are_named(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for name in ("nowhere", "empty", "file"):
        assert analyze_results.main([str(tmp_path / name)]) == 3
        assert str(tmp_path / name) in capsys.readouterr().err


def test_missing_numbers_are_left_out_of_the_report(tmp_path):
    folder = make_run(tmp_path / "run")
    text = (folder / "evaluation.json").read_text()
    evaluation = json.loads(text)
    evaluation["models"]["unlearned"]["forget"].update(accuracy=float("nan"), loss="high", f1=True, recall=None)
    evaluation["models"]["retrained"]["holdout"] = None
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    run = runs.read_run(folder)
    for metric in ("accuracy", "loss", "f1", "recall"):
        assert run.value("unlearned", "forget", metric) is None
    assert run.value("retrained", "holdout", "accuracy") is None
    page = analyze_results.write_report(folder).read_text(encoding="utf-8")
    assert "nan" not in page.lower().split("</style>")[1].split("base64")[0]


# ---------------------------------------------------------------------------------------------------------------------
# The report of one run


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


# ---------------------------------------------------------------------------------------------------------------------
# The program


def test_help_and_reading_load_no_heavy_package(tmp_path):
    folder = make_run(tmp_path / "run")
    code = (
        "import sys, analyze_results\n"
        "heavy = {'torch', 'transformers', 'matplotlib', 'pandas', 'scipy', 'sklearn', 'datasets'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        f"analyze_results.write_report({str(folder)!r})\n"
        "assert not (heavy - {'matplotlib', 'scipy'}) & set(sys.modules), sorted(heavy & set(sys.modules))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    root = Path(analyze_results.__file__).parent
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


@pytest.mark.hardening(69)
def test_numbers_do_not_follow_the_locale_or_the_terminal(tmp_path):
    texts = []
    for name, environment in (
        ("a", {"LC_ALL": "C"}),
        ("b", {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONIOENCODING": "ascii", "TZ": "Asia/Tokyo"}),
    ):
        folder = make_run(tmp_path / name / "läufe", config={"output_dir": "läufe"})
        root = Path(analyze_results.__file__).parent
        command = [sys.executable, "analyze_results.py", str(folder)]
        subprocess.run(command, cwd=root, check=True, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
        texts.append((folder / "report.md").read_text(encoding="utf-8"))
    assert texts[0] == texts[1]


def test_wrong_usage_exits_with_code_2(capsys):
    for arguments in (["--utility_budget", "2"], ["--nonsense"]):
        with pytest.raises(SystemExit) as stop:
            analyze_results.main(arguments)
        assert stop.value.code == 2
    capsys.readouterr()


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.9486, "94.9"), (0.9496, "94.96"), (0.94996, "94.996"), (0.95, "95"), (0.951, "95.1"), (0.93, "93")],
)
def test_a_share_shows_on_which_side_of_the_gate_it_is(share, shown):
    assert words.percents(share, 0.95)[0] == f"{shown}\u00a0%"


def test_the_ends_of_an_interval_differ_from_each_other_and_from_the_gate():
    assert words.span(0.89996, 0.90004) == "[0.89996, 0.90004]"
    assert words.span(0.94996, 0.97, 0.95) == "[0.94996, 0.97000]"
    assert words.span(0.9, 0.9) == words.span(None, 0.9) == words.span(float("nan"), 1) == ""


def test_figures_of_the_verdict_show_each_gate_with_a_margin_and_each_person(full):
    run = runs.read_run(full)
    shown = {gate.name: numbers for gate, numbers in figures.gate_rows(run)}
    assert not {"rows", "equivalence.rouge_l_recall"} & set(shown)  # a count and a gate without contrast
    worst = run.evidence["memory"].gate("persons").value
    assert shown["persons"][0] == pytest.approx(worst / 0.2)
    assert shown["membership"] == pytest.approx((0.2, -0.6, 0.9))
    assert shown["attack.relearning"] == pytest.approx((1.55, 1.1, 2.0))
    left = run.evidence["rest"].gate("utility")
    assert shown["utility"] == pytest.approx(((1 - left.value) / 0.05, (1 - left.high) / 0.05, (1 - left.low) / 0.05))
    names = [label.get_text() for label in figures.draw_persons(run).axes[0].get_yticklabels()]
    assert names == [one["subject"] for one in run.evidence["memory"].listed("persons")]
