"""Checks reports against the files of their run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from run_folders import BEFORE, PEOPLE, Tags, cut_texts, make_run

import analyze_results
from results.report import figures, progress, runs, words

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
