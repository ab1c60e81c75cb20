"""Compares runs: the ranking, the figures and what each method is good and bad at, as a page and as tables."""

from __future__ import annotations

import csv
import io
import shlex
import sys
from pathlib import Path

import numpy as np

from results.report import pages, words
from results.report.pages import Bullets, Code, Details, Figure, Figures, Heading, Paragraph, Table, Verdict
from results.report.progress import LEFT, REACHED, forget_way
from results.report.ranking import NUMBERS, Comparison, compare
from results.report.runs import SPLITS, Run, RunError, finite, pareto_front, read_runs
from results.report.sentences import poor_answers, side_effects
from results.report.words import duration, number, percent

CSV_NAMES = {  # as in evaluation.json and timing.json
    "utility": "utility_share", "forget_probability": "forget.answer_probability", "memory": "peak_memory_gib",
    "retain_probability": "retain.answer_probability", "forget_accuracy": "forget.accuracy",
    "extraction": "forget.extraction_strength",
}  # fmt: skip


def compare_runs(folders, output_dir: str | Path, utility_budget: float = 0.95) -> Path:
    """Compares the runs in `folders`; writes figures, comparison.md, .csv, .tex and .html and returns the last.

    Leaves out folders without a usable run and names them on stderr. Raises `RunError` if none is left.
    """
    runs, refused = read_runs(folders)
    for problem in refused:
        print(f"left out: {problem}", file=sys.stderr)
    if not runs:
        raise RunError("; ".join(refused) or "no run to compare: give run folders")
    comparison = compare(runs, utility_budget)
    output_dir = Path(output_dir)
    blocks = comparison_blocks(comparison, refused, _draw(comparison, output_dir / "figures"))
    pages.write_text(output_dir / "comparison.csv", comparison_csv(comparison))
    pages.write_text(output_dir / "comparison.tex", comparison_latex(comparison))
    pages.write_text(output_dir / "comparison.md", pages.markdown_page(blocks))
    return pages.write_text(output_dir / "comparison.html", pages.html_page("Comparison of unlearning runs", blocks))


def _draw(comparison: Comparison, folder: Path) -> list[Figure]:
    from results.report.comparison_figures import FIGURES
    from results.report.figures import save

    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for stem, draw, caption in FIGURES:
        figure = draw(comparison)
        if figure is not None:
            save(figure, folder, stem)
            found.append(Figure(folder, stem, caption))
    return found


# ---------------------------------------------------------------------------------------------------------------------
# The page


def comparison_blocks(comparison: Comparison, refused: list[str], drawn: list[Figure]) -> list:
    """The comparison, its result in words first."""
    runs, groups = comparison.runs, comparison.groups
    text = f"{len(runs)} runs, {len(groups)} methods or settings"
    blocks: list = [Heading("Comparison of unlearning runs", 1), Paragraph(text, note=True), _winner(comparison)]
    if warnings := comparability(runs):
        blocks.append(Bullets([["note: ", ("user", warning)] for warning in warnings]))
    caption = (
        f"Ranked by {comparison.closeness_name} among methods that keep {percent(comparison.budget)} of the target's "
        f"{comparison.utility_name}. * below that budget: these follow, ranked by utility. {HOW_TO_READ}"
    )
    rows = [*_reference_rows(comparison), *_ranking_rows(groups)]
    blocks += [Heading("Ranking"), Table(COLUMNS, rows, caption=caption, tail=1), Heading("Trade-off and cost")]
    if front := _front_sentence(groups):
        blocks.append(Paragraph(front))
    blocks += [Figures(drawn), Heading("What each is good and bad at")]
    for group in groups:
        good, bad = method_sentences(group, comparison)
        items = [[("b", "Good: "), text] for text in good] + [[("b", "Bad: "), text] for text in bad]
        blocks += [Heading([("user", group["label"])], 3), Bullets(items or ["Nothing stands out in its numbers."])]
    cells = [
        [
            [("user", run.name)],
            run.method,
            str(run.config.get("seed", "–")),
            words.label(run),
            [("user", str(run.folder))],
        ]
        for run in runs
    ]
    blocks += [Heading("Runs"), Table(("run", "method", "seed", "verdict", "folder"), cells, words=5)]
    commands = [run.config.get("command") for run in runs]
    if lines := [shlex.join(map(str, command)) for command in commands if isinstance(command, list) and command]:
        blocks.append(Details("How to repeat these runs", [Code("\n".join(lines))]))
    if refused:
        blocks += [Heading("Left out", 3), Bullets([[("user", problem)] for problem in refused])]
    return blocks


def _winner(comparison: Comparison) -> Verdict:
    groups, best = comparison.groups, comparison.groups[0]
    budget = percent(comparison.budget)
    if best["within"] and best["closeness"] is not None:
        word, tone = best["label"], "good" if best["closeness"] >= REACHED else "mixed"
        count = sum(group["within"] for group in groups)
        sentence = (
            f"The best of {count} that keep {budget} of the target's {comparison.utility_name}: "
            f"{comparison.closeness_name} is {number(best['closeness'], 2)} of 1."
        )
        if best["closeness"] < LEFT:
            sentence += " That is less than half of the way: none of these methods forgot enough."
    else:
        word, tone = "none within the budget", "bad"
        sentence = f"No method with measured forgetting keeps {budget} of the target's utility."
    tiles = []
    for group in groups[:4]:
        note = f"closeness; utility {number(group['utility'])}" + ("" if group["within"] else ", below the budget")
        tiles.append((f"{group['rank']}. {group['label']}", number(group["closeness"], 2), note))
    return Verdict(word, sentence, tone, tiles, [])


def comparability(runs: list[Run]) -> list[str]:
    """Reasons why the runs are not directly comparable: different models or data, no retrained model."""
    found = []
    for key in ("model_name_or_path", "forget_data", "retain_data", "holdout_data"):
        values = dict.fromkeys(str(run.config.get(key)) for run in runs)
        if len(values) > 1:
            found.append(f"the runs differ in {key} ({', '.join(values)}), so their numbers are not comparable")
    without = [run.name for run in runs if "retrained" not in run.models]
    if without and len(without) < len(runs):
        found.append(f"no retrained model in {', '.join(without)}: these runs have a different goal")
    elif without:
        found.append("no run has a retrained model: closeness refers to rows never seen, and nothing is certified")
    return found


def _front_sentence(groups: list[dict]) -> str:
    known = [group for group in groups if None not in (group["closeness"], group["utility"])]
    front = pareto_front([group["closeness"] for group in known], [group["utility"] for group in known])
    names = [group["label"] for group, there in zip(known, front) if there]
    return f"On the Pareto front, where no other is better in both: {', '.join(names)}." if names else ""


# ---------------------------------------------------------------------------------------------------------------------
# The ranking

SHOWN = {  # {column: number}
    "closeness ↑": "closeness", "utility ↑": "utility", "forget acc.": "forget_accuracy", "extraction": "extraction",
    "forget quality p ↑": "forget_quality", "retain acc., share ↑": "retain_accuracy_share",
    "MIA AUC": "membership_auc", "score ↑": "score",
}  # fmt: skip
COLUMNS = ("method", *SHOWN, "time ↓", "GiB ↓", "seeds", "verdict")
HOW_TO_READ = (
    "Arrows show the better direction; without one, near the retrained model is best. utility: share left. "
    "forget acc.: next-token accuracy on the forget set. extraction: extraction strength on the forget set. forget "
    "quality p: KS test against the retrained model. retain acc., share: next-token accuracy on the retain set as a "
    "share of the target's. MIA AUC: membership test, .5 is chance. score: harmonic mean of forgetting, privacy and "
    "utility. time: of unlearning. ±: standard deviation over seeds."
)


def _with_spread(group: dict, name: str) -> list:
    """The mean and, for several seeds, the standard deviation, as a text."""
    spread = group["spread"][name]
    return [number(group[name])] + ([" ", ("under", f"± {number(spread)}")] if spread is not None else [])


def _ranking_rows(groups: list[dict]) -> list[list]:
    return [
        [
            f"{group['rank']}. {group['label']}" + ("" if group["within"] else " *"),
            *(_with_spread(group, name) for name in SHOWN.values()),
            duration(group["seconds"]),
            number(group["memory"], 1),
            str(group["n"]),
            ", ".join(word if n == group["n"] else f"{word} {n}×" for word, n in group["verdicts"].items()),
        ]
        for group in groups
    ]


def _reference_rows(comparison: Comparison) -> list[list]:
    """The target and the retrained model as first rows of the ranking, from the best run that has them."""
    rows = []
    for model in ("target", "retrained"):
        run = next((run for run in comparison.ranked_runs if model in run.models), None)
        if run is None:
            continue
        retained, base = (run.value(name, "retain", "accuracy") for name in (model, "target"))
        numbers = {
            "utility": 1.0 if model == "target" else comparison.retrained_utility,
            "forget_accuracy": run.value(model, "forget", "accuracy"),
            "extraction": run.value(model, "forget", "extraction_strength"),
            "retain_accuracy_share": retained / base if retained is not None and base else None,
            "membership_auc": finite(run.comparison.get(f"membership_auc_{model}")),
        }
        rows.append([f"{model} model", *(number(numbers.get(name)) for name in SHOWN.values()), "–", "–", "–", "–"])
    return rows


def comparison_csv(comparison: Comparison) -> str:
    """One line per run, with its group's rank and label and every number in full; no column appears twice."""
    runs = comparison.ranked_runs
    metrics = words.metric_order({name for run in runs for name in run.models["unlearned"].get("forget", {})})
    splits = [split for split in SPLITS if any(split in run.models["unlearned"] for run in runs)]
    first = [CSV_NAMES.get(name, name) for name in NUMBERS]
    together = [name for key in words.COMPARISON_DOCS for name in (key, f"{key}_target", f"{key}_retrained")
                if name not in first and any(name in run.comparison for run in runs)]  # fmt: skip
    cells = [(split, name) for split in splits for name in metrics if f"{split}.{name}" not in first]
    header = ["rank", "group", "within_budget", "run", "method", "seed", "verdict", *first, *together]
    lines = [[*header, *(f"{split}.{name}" for split, name in cells)]]
    for group in comparison.groups:
        for row in group["runs"]:
            run = row["run"]
            lines.append([
                group["rank"], group["label"], str(group["within"]).lower(), run.name, run.method,
                run.config.get("seed"), words.label(run), *(row[name] for name in NUMBERS),
                *(finite(run.comparison.get(name)) for name in together),
                *(run.value("unlearned", split, name) for split, name in cells),
            ])  # fmt: skip
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(map(pages.csv_cell, line) for line in lines)
    return out.getvalue()


def comparison_latex(comparison: Comparison) -> str:
    """The ranking as a LaTeX table, the references first."""
    caption = (
        f"Unlearning methods ranked by {comparison.closeness_name} among those that keep {percent(comparison.budget)} "
        f"of the target's {comparison.utility_name}; * below that budget. {HOW_TO_READ}"
    )
    count = len(SHOWN) + 2  # the method, its numbers, the time
    rows, references = (
        [[pages.plain_text(cell) for cell in row[:count]] for row in table]
        for table in (_ranking_rows(comparison.groups), _reference_rows(comparison))
    )
    return pages.latex_table(COLUMNS[:count], rows, caption, references)


# ---------------------------------------------------------------------------------------------------------------------
# Each method in sentences


def method_sentences(group: dict, comparison: Comparison) -> tuple[list[str], list[str]]:
    """(good, bad) sentences on one method, from its numbers and its place among the others."""
    good, bad = [], []

    def place(name, lowest, highest):
        """The text to add if no other group has a number as low, or as high."""
        values = [other[name] for other in comparison.groups if other is not group and other[name] is not None]
        if group[name] is None or not values:
            return ""
        return lowest if group[name] < min(values) else highest if group[name] > max(values) else ""

    closeness, utility = group["closeness"], group["utility"]
    if closeness is not None:
        name = comparison.closeness_name
        added = place("closeness", ", the worst here", ", the best here")
        text = f"{name[:1].upper()}{name[1:]}: {number(closeness, 2)} of 1{added}."
        if closeness >= 0.8 or (closeness >= LEFT and "best" in added):
            good.append(text)
        elif closeness < LEFT:
            bad.append(text)
    if utility is not None:
        added = place("utility", ", the least here", ", the most here")
        text = f"{100 * utility:.1f}\u00a0% of the target's {comparison.utility_name} is left{added}"
        if group["within"]:
            good.append(f"{text}.")
        else:
            bad.append(f"{text}; the budget is {percent(comparison.budget)}.")
    shares = [share for row in group["runs"] if (share := forget_way(row["run"])) is not None]
    if shares and min(shares) > 2 - REACHED:
        bad.append("Over-forgets: the forget set's answers end up less likely than for a model that never saw them.")
    for name, text in (("seconds", f"Unlearning takes {duration(group['seconds'])}"),
                       ("memory", f"Peak memory is {number(group['memory'], 1)} GiB")):  # fmt: skip
        if added := place(name, ", the least here", ", the most here"):
            (good if "least" in added else bad).append(f"{text}{added}.")
    return good + _good_of_all(group), bad + _bad_of_all(group)


def _good_of_all(group: dict) -> list[str]:
    aucs = [tuple(finite(row["run"].comparison.get(name)) for name in ("membership_auc", "membership_auc_retrained"))
            for row in group["runs"]]  # fmt: skip
    if all(None not in pair and abs(pair[0] - pair[1]) < 0.05 for pair in aucs):
        return [f"A membership test scores as on the retrained model: AUC {number(aucs[0][0], 2)}."]
    return []


def _bad_of_all(group: dict) -> list[str]:
    def change(split: str, metric: str) -> tuple:
        """Means over the runs that have both numbers."""
        pairs = [pair for row in group["runs"] if None not in (pair := row["run"].change(split, metric))]
        return tuple(np.mean(pairs, axis=0)) if pairs else (None, None)

    found = [*side_effects(change), *poor_answers(change)]
    spread = group["spread"]["closeness"]
    if spread is not None and spread > 0.1:
        found.append(f"Depends on the seed: closeness varies by ± {number(spread, 2)}.")
    collapsed = sum(count for word, count in group["verdicts"].items() if word.startswith("COLLAPSED"))
    if collapsed:
        found.append(f"Collapsed in {collapsed} of {group['n']} runs.")
    return found
