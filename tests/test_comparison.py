"""Checks comparisons against the files of their runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from run_folders import Tags, cut_texts, make_run, overlapping_texts

import analyze_results
from models.methods.table import METHODS
from results.report import comparison_figures as figures
from results.report import pages
from results.report.ranking import Comparison, compare, rank, surely_better, verdict_cells
from results.report.runs import pareto_front, read_run


def test_no_other_point_beats_the_pareto_front():
    x = [0.1, 0.5, 0.9, 0.5, 0.9, np.nan]
    y = [1.0, 0.9, 0.2, 0.9, 0.1, 2.0]
    assert pareto_front(x, y).tolist() == [True, True, True, True, False, False]
    generator = np.random.default_rng(0)
    x, y = generator.random((2, 60))
    front = pareto_front(x, y)
    for i in range(60):
        beaten = any((x[j] >= x[i] and y[j] >= y[i]) and (x[j] > x[i] or y[j] > y[i]) for j in range(60))
        assert front[i] != beaten


def judged(folder: Path, verdict: str, score: float, why: str = "Row 3 is still known.") -> Path:
    """Writes a verdict with a reason and a score into a run."""
    path = folder / "evaluation.json"
    evaluation = json.loads(path.read_text())
    three = verdict.split(", ")
    words = dict(zip(("memory", "rest", "resistance"), three)) if len(three) == 3 else {}
    evaluation["comparison"].update({"verdict": verdict, "score": score, **words})
    evaluation["evidence"] = {part: {"word": word, "why": [why], "turn": None} for part, word in words.items()}
    path.write_text(json.dumps(evaluation))
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Runs of four methods: one forgot, one in one of two seeds, one broke the model, one forgot nothing."""
    root = tmp_path_factory.mktemp("many")
    for name, method, seed, after, seconds, verdict, score in (
        ("a", "npo", 0, {"forget": 0.25, "retain": 0.93}, 50, "FORGOTTEN, KEPT, HELD", 0.95),
        ("b", "npo", 1, {"forget": 0.35, "retain": 0.93}, 70, "UNDECIDED, KEPT, NOT RUN", 0.9),
        ("c", "gradient_ascent", 0, {"forget": 0.12, "retain": 0.4}, 20, "OVER-FORGOTTEN, BROKEN, NOT RUN", 0.7),
        ("d", "fine_tuning", 0, {"forget": 0.9, "retain": 0.94}, 200, "REMEMBERS, KEPT, NOT RUN", 0.1),
        ("e", "level_matching", 0, {"forget": 0.13, "retain": 0.92}, 100, "FORGOTTEN, KEPT, HELD", 0.9),
    ):
        judged(make_run(root / name, method, seed, after, seconds=seconds), verdict, score)
    return root


def test_seeds_are_grouped_with_mean_and_spread(many):
    runs = [read_run(many / name) for name in "abcde"]
    groups = {group["label"]: group for group in compare(runs, 0.95).groups}
    assert set(groups) == {"npo", "gradient ascent", "fine tuning", "level matching"}
    values = [run.value("unlearned", "forget", "answer_probability") for run in runs[:2]]
    assert groups["npo"]["n"] == 2 and groups["npo"]["forget_probability"] == pytest.approx(np.mean(values))
    assert groups["npo"]["spread"]["forget_probability"] == pytest.approx(np.std(values, ddof=1))
    assert groups["npo"]["seconds"] == 60 and groups["fine tuning"]["spread"]["seconds"] is None


def test_runs_with_different_settings_form_separate_groups(tmp_path):
    make_run(tmp_path / "a", config={"learning_rate": 1e-5})
    make_run(tmp_path / "b", config={"learning_rate": 5e-5})
    groups = compare([read_run(tmp_path / name) for name in "ab"], 0.95).groups
    assert {group["label"] for group in groups} == {"npo (learning_rate=1e-05)", "npo (learning_rate=5e-05)"}


def test_memory_orders_before_the_rest_and_the_rest_before_the_score(many):
    groups = compare([read_run(many / name) for name in "abcde"], 0.95).groups
    assert [group["label"] for group in groups] == ["level matching", "npo", "gradient ascent", "fine tuning"]
    assert [group["word"] for group in groups] == ["FORGOTTEN", "UNDECIDED", "OVER-FORGOTTEN", "REMEMBERS"]
    assert [group["rank"] for group in groups] == ["1", "2", "3", "4"], "a group stands where its worst seed stands"
    assert [group["within"] for group in groups if group["label"] == "gradient ascent"] == [False]
    assert groups[1]["words"]["memory"] == {"FORGOTTEN": 1, "UNDECIDED": 1}


def group(label: str, standing, *scores) -> dict:
    mean = float(np.mean(scores))
    return {"label": label, "standing": standing, "runs": [{"score": score} for score in scores], "score": mean,
            "utility": 1.0}  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "ranks"),
    [
        ([group("a", (0, 0), 0.9), group("b", (0, 0), 0.6)], {"a": "1–2", "b": "1–2"}),  # one seed has no interval
        ([group("a", (0, 0), 0.9, 0.91, 0.92), group("b", (0, 0), 0.6, 0.61, 0.62)], {"a": "1", "b": "2"}),
        ([group("a", (0, 0), 0.5, 0.9), group("b", (0, 0), 0.6, 0.61)], {"a": "1–2", "b": "1–2"}),
        ([group("a", (0, 0), 0.6), group("b", (0, 1), 0.9), group("c", (1, 0), 0.9)], {"a": "1", "b": "2", "c": "3"}),
        ([group("a", (2, 0), 0.1), group("old", None, 0.9)], {"a": "1–2", "old": "1–2"}),
        ([group("a", (0, 0), 0.9, 0.9), group("b", (0, 0), 0.8, 0.8)], {"a": "1–2", "b": "1–2"}),  # no spread at all
    ],
)
def test_a_rank_claims_no_order_that_intervals_do_not_support(groups, ranks):
    assert {found["label"]: found["rank"] for found in rank(groups[::-1], 0.95)} == ranks
    assert [found["label"] for found in groups] == [found["label"] for found in rank(groups[::-1], 0.95)]


def test_scores_are_separated_by_welchs_interval():
    one, other = group("a", (0, 0), 0.80, 0.84, 0.88), group("b", (0, 0), 0.70, 0.71, 0.75)
    # difference .12, standard error .0277, Welch's 3.46 degrees of freedom: t(.975) = 2.95, so .12 +- .082
    assert surely_better(one, other) and not surely_better(other, one)
    assert not surely_better(group("c", (0, 0), 0.75, 0.79, 0.83), other)  # .07 +- .082


def test_a_verdict_of_an_earlier_version_is_named_and_ordered_last(tmp_path):
    judged(make_run(tmp_path / "new", "npo"), "REMEMBERS, UNDECIDED, NOT RUN", 0.2)
    judged(make_run(tmp_path / "old", "idk"), "SUPPRESSED", 0.9)
    page = analyze_results.compare_runs([tmp_path / "old", tmp_path / "new"], tmp_path / "out")
    text = " ".join(Tags(page.read_text(encoding="utf-8")).text)
    assert "verdict of an earlier version: SUPPRESSED" in text and "no verdict of this version in old" in text
    assert [found["label"] for found in compare([read_run(tmp_path / n) for n in ("old", "new")], 0.9).groups] == [
        "npo", "idk"]  # fmt: skip
    assert verdict_cells({}, None) == ["no verdict", "–", "–"]


def test_a_comparison_writes_page_tables_and_figures(many, tmp_path):
    page = analyze_results.compare_runs([many / name for name in "abcde"], tmp_path)
    assert page == tmp_path / "comparison.html"
    parsed = Tags(page.read_text(encoding="utf-8"))
    assert not parsed.open and "script" not in parsed.tags
    text = " ".join(parsed.text)
    assert text.index("level matching") < text.index("1. level matching") < text.index("2. npo")
    assert "1 of 4 methods or settings: memory FORGOTTEN; rest KEPT; resistance HELD." in text
    assert "BROKEN: It lost more than half" in text and "20.0 s, the least here" in text
    assert "UNDECIDED in 1 of 2 runs" in text and "Row 3 is still known." in text
    for stem in ("tradeoff", "levels", "curves", "time", "memory"):
        assert (tmp_path / "figures" / f"{stem}.png").exists() and (tmp_path / "figures" / f"{stem}.svg").exists()
    with open(tmp_path / "comparison.csv", newline="", encoding="utf-8") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert set(rows) == set("abcde")
    run = read_run(many / "e")
    assert float(rows["e"]["forget.answer_probability"]) == run.value("unlearned", "forget", "answer_probability")
    assert float(rows["e"]["privacy_leakage"]) == -10.0 and rows["a"]["rank"] == rows["b"]["rank"] == "2"
    assert [rows[name]["memory"] for name in "abc"] == ["FORGOTTEN", "UNDECIDED", "OVER-FORGOTTEN"]
    assert rows["c"]["within_budget"] == "false"
    latex = (tmp_path / "comparison.tex").read_text(encoding="utf-8")
    head, references, body = latex.split(r"\hline")[1:4]
    assert [line.split(" & ")[1] for line in references.strip().splitlines()] == ["target model", "retrained model"]
    columns = 1 + head.count(" & ")
    assert body.count(r"\\") == 4 and rf"\begin{{tabular}}{{l{'r' * (columns - 1)}}}" in latex
    assert all(line.count(" & ") == columns - 1 for line in (references + body).strip().splitlines() if line)
    assert "level matching & FORGOTTEN & KEPT & HELD & 0.900" in body
    assert "On the Pareto front, where no other mean is better in both: level matching" in text
    assert "How to repeat these runs" in text and "python unlearning_script.py --method=npo --seed=1" in text


def test_the_csv_table_has_all_published_numbers_and_unique_columns(many, tmp_path):
    analyze_results.compare_runs([many / name for name in "abcde"], tmp_path)
    with open(tmp_path / "comparison.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert len(set(header)) == len(header)
    row = dict(zip(header, next(row for row in rows if row[header.index("run")] == "c")))
    evaluation, timing = (json.loads((many / "c" / f"{name}.json").read_text()) for name in ("evaluation", "timing"))
    models, comparison = evaluation["models"], evaluation["comparison"]
    wanted = {
        "forget.accuracy": models["unlearned"]["forget"]["accuracy"],
        "forget.extraction_strength": models["unlearned"]["forget"]["extraction_strength"],
        "forget_quality": comparison["forget_quality"],
        "retain_accuracy_share": models["unlearned"]["retain"]["accuracy"] / models["target"]["retain"]["accuracy"],
        "model_utility_share": comparison["model_utility"] / comparison["model_utility_target"],
        "membership_auc": comparison["membership_auc"],
        "score": comparison["score"],
        "seconds": timing["seconds"]["unlearning"],
        "peak_memory_gib": timing["peak_memory_gib"],
    }
    assert {name: float(row[name]) for name in wanted} == pytest.approx(wanted)
    assert {part: row[part] for part in ("memory", "rest", "resistance")} == {
        part: comparison[part] for part in ("memory", "rest", "resistance")}  # fmt: skip


def test_the_readme_table_has_one_row_per_method_best_first(many, tmp_path):
    readme_tables = pytest.importorskip("readme_tables")
    analyze_results.compare_runs([many / name for name in "abcde"], tmp_path)
    lines = readme_tables.comparison_table(tmp_path / "comparison.csv").splitlines()
    head = [cell.strip() for cell in lines[2].strip("|").split("|")]
    rows = [dict(zip(head, (cell.strip() for cell in line.strip("|").split("|")))) for line in lines[4:]]
    assert len(rows) == 4 and rows[0]["method"] == "`level_matching`" and rows[-1]["method"] == "`fine_tuning`"
    assert [row["memory"] for row in rows[2:]] == ["OVER-FORGOTTEN", "REMEMBERS"]
    npo = next(row for row in rows if row["method"] == "`npo`, 2 seeds")
    runs = [read_run(many / name) for name in "ab"]
    mean = np.mean([run.value("unlearned", "forget", "accuracy") for run in runs])
    assert npo["forget accuracy"] == f"{mean:.3f}" and npo["seconds"] == "60"
    assert npo["memory"] == "FORGOTTEN 1x, UNDECIDED 1x" and npo["rest"] == "KEPT"
    assert readme_tables.comparison_table(tmp_path / "none.csv") == ""


def test_the_report_of_a_search_shows_the_words_of_the_winners_run(tmp_path):
    folder = judged(make_run(tmp_path / "run"), "FORGOTTEN, KEPT, NOT RUN", 0.9)
    search = {"trials": [{"number": 1, "method": "npo", "state": "complete", "within": True}], "winner": 1,
              "utility_budget": 0.95}  # fmt: skip
    (folder / "search.json").write_text(json.dumps(search))
    page = analyze_results.write_report(folder).read_text(encoding="utf-8")
    assert "memory FORGOTTEN; rest KEPT; resistance NOT RUN" in " ".join(Tags(page).text)


def test_latex_is_escaped():
    assert pages.latex_escape("a_b & 50% of $x$ #1 {y} \\z ~^") == (
        r"a\_b \& 50\% of \$x\$ \#1 \{y\} \textbackslash{}z \textasciitilde{}\textasciicircum{}"
    )


@pytest.mark.hardening(68)
def test_bad_folders_are_named_and_the_rest_is_compared(many, tmp_path, capsys):
    bad = make_run(tmp_path / "bad", overrides={"evaluation.json": "{"})
    code = analyze_results.main(
        [str(many / "a"), str(bad), str(tmp_path / "none"), str(many / "c"), "--output_dir", str(tmp_path / "out")]
    )
    out, err = capsys.readouterr()
    assert code == 3 and "bad/evaluation.json" in err and str(tmp_path / "none") in err
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert out.strip().endswith("comparison.html") and "gradient ascent" in page and "bad/evaluation.json" in page


def test_no_usable_run_exits_with_code_3(tmp_path, capsys):
    assert analyze_results.main([str(tmp_path / "x"), str(tmp_path / "y"), "--output_dir", str(tmp_path / "out")]) == 3
    err = capsys.readouterr().err
    assert str(tmp_path / "x") in err and str(tmp_path / "y") in err and not (tmp_path / "out").exists()


def test_no_argument_compares_every_finished_run(tmp_path, monkeypatch, capsys):
    root = tmp_path / "results" / "runs"
    monkeypatch.setattr(analyze_results, "RUNS", root)
    assert analyze_results.main([]) == 3
    make_run(root / "a")
    make_run(root / "set" / "b", "idk")
    make_run(root / "running", finished=False)
    make_run(root / "broken", overrides={"evaluation.json": "{"})
    make_run(tmp_path / "results" / "older")
    assert analyze_results.main([]) == 0
    out, err = capsys.readouterr()
    assert "runs/comparison/comparison.html" in out and "note: older runs" in out
    assert "running is not finished" in err and "broken/evaluation.json" in err
    with open(root / "comparison" / "comparison.csv", encoding="utf-8") as file:
        assert {row["run"] for row in csv.DictReader(file)} == {"a", "b", "older"}


def test_one_folder_writes_its_report_again(tmp_path, capsys):
    folder = make_run(tmp_path / "run")
    assert analyze_results.main([str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_mixed_runs_are_compared_with_a_warning(tmp_path):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", "idk", retrained=False, config={"forget_data": "other.jsonl"})
    make_run(tmp_path / "c", "simnpo", retrained=False, holdout=False)
    text = analyze_results.compare_runs([tmp_path / name for name in "abc"], tmp_path / "out").read_text(
        encoding="utf-8"
    )
    assert "the runs differ in forget_data" in text and "no retrained model in b, c" in text


def test_each_method_has_its_own_style_everywhere():
    assert set(METHODS) <= set(figures.METHOD_ORDER)
    pairs = [figures.method_style(method)[:2] for method in figures.METHOD_ORDER]
    assert len(set(pairs)) == len(pairs)
    assert len({colour for colour, _ in pairs[:7]}) == 7, "the first seven differ in their colour alone"
    assert figures.method_style("something new") == figures.method_style("something new")


# ---------------------------------------------------------------------------------------------------------------------
# Figures


EIGHT = ("profile_matching", "npo", "simnpo", "gradient_difference", "idk_dpo", "kl_minimization", "rmu", "undial")


def crowd(root: Path, methods, seeds: int = 1, **settings) -> Comparison:
    """Runs that cluster as real ones do: near the retrained model and the target's utility."""
    generator = np.random.default_rng(5)
    runs = []
    for method in methods:
        forget, retain = float(generator.beta(1.2, 1.8)), float(0.96 - 0.6 * generator.beta(0.6, 3))
        memory = ("FORGOTTEN", "UNDECIDED", "OVER-FORGOTTEN", "REMEMBERS")[int(4 * forget)]
        verdict = f"{memory}, {'KEPT' if retain > 0.9 else 'DAMAGED'}, NOT RUN"
        for seed in range(seeds):
            shift = generator.normal(0, 0.02, 2)
            after = {"forget": float(np.clip(forget + shift[0], 0.01, 0.95)), "retain": retain + float(shift[1]) / 3}
            folder = make_run(root / f"{method}-{seed}", method, seed, after, seconds=20 + 300 * forget, attacks=True,
                              **settings)  # fmt: skip
            runs.append(read_run(judged(folder, verdict, 0.9 - forget)))
    return compare(runs, 0.95)


@pytest.fixture(scope="module")
def eight(tmp_path_factory) -> Comparison:
    return crowd(tmp_path_factory.mktemp("eight"), EIGHT, seeds=3)


def drawn_points(axes) -> list[tuple[float, float]]:
    """Where the methods' own markers are: single points that have a label."""
    named = [dots for dots in axes.collections if not dots.get_label().startswith("_") and len(dots.get_offsets()) == 1]
    return [tuple(map(float, dots.get_offsets()[0])) for dots in named]


def test_the_tradeoff_figure_matches_the_evaluations(eight):
    axes = figures.draw_tradeoff(eight).axes[0]
    expected = []
    for group in eight.groups:
        found = [json.loads((row["run"].folder / "evaluation.json").read_text())["comparison"] for row in group["runs"]]
        shares = [c["model_utility"] / c["model_utility_target"] for c in found]
        expected.append((float(np.mean([c["forgetting"] for c in found])), float(np.mean(shares))))
    assert np.array(drawn_points(axes)) == pytest.approx(np.array(expected))
    front = next(line for line in axes.lines if line.get_drawstyle() == "steps-pre")
    corners = set(zip(np.round(front.get_xdata(), 9), np.round(front.get_ydata(), 9)))
    best = [pair for pair, there in zip(expected, pareto_front(*zip(*expected))) if there]
    assert {(round(x, 9), round(y, 9)) for x, y in best} <= corners and len(corners) == len(best) + 2
    names = {text.get_text() for text in axes.texts}
    assert {"target", "retrained", "profile matching", "gradient difference"} <= names


def test_colour_and_marker_show_the_memory_word(eight):
    assert len(set(figures.WORD_STYLES.values())) == len({colour for colour, _ in figures.WORD_STYLES.values()}) == 4
    assert len({marker for _, marker in (*figures.WORD_STYLES.values(), figures.NO_WORD)}) == 5
    from matplotlib.colors import to_hex

    figure = figures.draw_tradeoff(eight)
    dots = {dot.get_label(): dot for dot in figure.axes[0].collections}
    for found in eight.groups:
        dot = dots[found["label"]]
        assert to_hex(dot.get_facecolor()[0]).upper() == figures.word_style(found)[0]
    told = {text.get_text() for text in figure.legends[0].get_texts()}
    assert told == {found["word"] for found in eight.groups} and len(told) > 1


def test_the_levels_figure_matches_the_evaluations(eight):
    axes = figures.draw_levels(eight).axes[0]
    expected = [[np.mean([row["run"].value("unlearned", split, "answer_probability") for row in group["runs"]])
                 for split in ("forget", "retain")] for group in eight.groups]  # fmt: skip
    assert np.array(drawn_points(axes)) == pytest.approx(np.array(expected))


def test_the_parts_figure_matches_the_evaluations(eight):
    axes = figures.draw_parts(eight).axes[0]
    drawn = {dots.get_label(): dots.get_offsets()[:, 0] for dots in axes.collections}
    assert set(drawn) == {"forgetting", "privacy", "utility", "robustness"}
    for name, values in drawn.items():
        means = [np.mean([row["run"].comparison[name] for row in group["runs"]]) for group in eight.groups]
        assert np.asarray(values) == pytest.approx(means)


def test_curves_are_means_over_the_logs_of_all_seeds(eight):
    axes = figures.draw_method_curves(eight).axes[0]
    for group, line in zip(eight.groups, axes.lines):
        points = [[entry["forget"]["answer_probability"] for entry in row["run"].evaluations] for row in group["runs"]]
        assert line.get_ydata() == pytest.approx(np.mean(points, axis=0))
        assert line.get_color() == figures.word_style(group)[0]
        assert line.get_marker() == figures.method_style(group["method"])[1]


@pytest.mark.parametrize(("longest", "ends", "axis"), [(30, [10, 20, 30], "step"), (400, [100] * 3, "percent")])
def test_one_far_longer_run_does_not_squeeze_the_small_curves(longest, ends, axis):
    curves = [np.array([0.0, end]) for end in (10, 20, longest)]
    drawn = [
        ({"method": "npo", "label": "npo", "place": 1, "word": None}, (steps, *[np.array([1.0, 0.1])] * 3))
        for steps in curves
    ]
    figure = figures._small_plots(drawn, None)
    assert [axes.lines[0].get_xdata()[-1] for axes in figure.axes] == ends
    assert axis in figure.get_supxlabel()


@pytest.mark.parametrize("name", ["seconds", "memory"])
def test_costs_match_the_timing_files(eight, name):
    stem = {"seconds": "time", "memory": "memory"}[name]
    axes = next(draw for found, draw, _ in figures.FIGURES if found == stem)(eight).axes[0]
    pick = {"seconds": lambda t: t["seconds"]["unlearning"], "memory": lambda t: t["peak_memory_gib"]}[name]
    means = [np.mean([pick(json.loads((row["run"].folder / "timing.json").read_text())) for row in group["runs"]])
             for group in eight.groups]  # fmt: skip
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(means)


def all_figures(comparison: Comparison) -> list:
    return [figure for _, draw, _ in figures.FIGURES if (figure := draw(comparison)) is not None]


def test_names_do_not_overlap_or_leave_the_figure(eight, tmp_path):
    everything = crowd(tmp_path, figures.METHOD_ORDER)
    for comparison in (eight, everything):
        assert len(all_figures(comparison)) == len(figures.FIGURES)
        for figure in all_figures(comparison):
            assert cut_texts(figure) == []
        for figure in (figures.draw_tradeoff(comparison), figures.draw_levels(comparison)):
            assert overlapping_texts(figure.axes[0]) == []
    shown = {text.get_text() for text in figures.draw_levels(everything).axes[0].texts}
    assert {str(place) for place in range(1, len(everything.groups) + 1)} <= shown, "places stand for names in a crowd"
    assert len(figures.draw_method_curves(everything).axes) >= len(everything.groups), "one small plot for each"


def test_long_names_and_single_methods_are_drawn_completely(tmp_path):
    for number, names in enumerate((("a_method_with_a_name_as_long_as_names_get", "שיטה"), ("npo",))):
        for figure in all_figures(crowd(tmp_path / str(number), names)):
            assert cut_texts(figure) == []


def test_missing_numbers_leave_figures_out(tmp_path):
    pair = crowd(tmp_path, ("npo", "idk"), retrained=False, holdout=False)
    assert all(cut_texts(figure) == [] for figure in all_figures(pair))
    bare = tmp_path / "bare"
    make_run(bare, overrides={"evaluation.json": '{"models": {"unlearned": {"forget": {"loss": 1.5}}}}',
                              "metrics.jsonl": "", "timing.json": "{}"})  # fmt: skip
    page = analyze_results.compare_runs([bare, tmp_path / "npo-0"], tmp_path / "out").read_text(encoding="utf-8")
    assert "npo" in page and "no verdict" in page
