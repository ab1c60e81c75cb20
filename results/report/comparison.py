"""Compares runs: the order by verdict, the figures and what each method is good and bad at, as a page and tables."""

from __future__ import annotations

import csv
import io
import shlex
import sys
from pathlib import Path

import numpy as np

from models.verdict.words import PARTS, WORDS, counted
from results.report import pages, words
from results.report.pages import Bullets, Code, Details, Figure, Figures, Heading, Paragraph, Table, Verdict
from results.report.ranking import NUMBERS, Comparison, compare, verdict_cells
from results.report.runs import SPLITS, Run, RunError, finite, pareto_front, read_runs
from results.report.sentences import poor_answers, side_effects
from results.report.words import apart, duration, number, percent

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
    text = f"{counted(len(runs), 'run')}, {_methods(groups)}"
    blocks: list = [Heading("Comparison of unlearning runs", 1), Paragraph(text, note=True), _winner(comparison)]
    if warnings := comparability(runs):
        blocks.append(Bullets([["note: ", ("user", warning)] for warning in warnings]))
    caption = f"{_order(comparison)} {HOW_TO_READ}"
    rows = [*_reference_rows(comparison), *_ranking_rows(comparison)]
    blocks += [Heading("Ranking"), Table(COLUMNS, rows, words=5, caption=caption), Heading("Trade-off and cost")]
    if front := _front_sentence(groups):
        blocks.append(Paragraph(front))
    blocks += [Figures(drawn), Heading("What each is good and bad at")]
    for group in groups:
        items = [[("b", f"{title}: "), text] for title, texts in method_sentences(group, comparison).items()
                 for text in texts]  # fmt: skip
        blocks += [Heading([("user", group["label"])], 3), Bullets(items or ["Nothing stands out in its numbers."])]
    cells = [
        [[("user", run.name)], run.method, str(run.config.get("seed", "–")), *_three(run), [("user", str(run.folder))]]
        for run in runs
    ]
    blocks += [Heading("Runs"), Table(("run", "method", "seed", *PARTS, "folder"), cells, words=7)]
    commands = [run.config.get("command") for run in runs]
    if lines := [shlex.join(map(str, command)) for command in commands if isinstance(command, list) and command]:
        blocks.append(Details("How to repeat these runs", [Code("\n".join(lines))]))
    if refused:
        blocks += [Heading("Left out", 3), Bullets([[("user", problem)] for problem in refused])]
    return blocks


def _three(run: Run) -> list:
    """The cells of a run's three words."""
    return [[("user", word)] for word in verdict_cells(run.words, run.comparison.get("verdict"))]


def _order(comparison: Comparison) -> str:
    """How the methods are ordered, in sentences."""
    return (
        "Ordered by memory, then by the rest, then by score; several seeds stand where the worst of them stands. Ranks "
        "are ranges: methods with the same words share a rank unless a 95 % t interval over seeds separates their "
        f"scores. * keeps less than {percent(comparison.budget)} of the target's {comparison.utility_name}."
    )


def _methods(groups: list[dict]) -> str:
    return "1 method" if len(groups) == 1 else f"{len(groups)} methods or settings"


def _winner(comparison: Comparison) -> Verdict:
    """The methods that stand first, and their words."""
    groups, best = comparison.groups, comparison.groups[0]
    level = [group for group in groups if group["standing"] == best["standing"]]
    names = ", ".join(group["label"] for group in level[:6]) + (" and others" if len(level) > 6 else "")
    said = "; ".join(f"{part} " + ", ".join(dict.fromkeys(name for group in level for name in group["words"][part]))
                     for part in PARTS)  # fmt: skip
    if best["standing"] is None:
        word, tone, sentence = "no verdict", "open", "None of these runs has a verdict of this version."
    elif best["word"] == "FORGOTTEN":
        came_back = any("CAME BACK" in group["words"]["resistance"] for group in level)
        word, tone = names, "good" if best["standing"] == (0, 0) and not came_back else "mixed"
        sentence = f"{len(level)} of {_methods(groups)}: {said}."
    else:
        word, tone = "none has forgotten", "bad"
        sentence = f"No method is FORGOTTEN in every run. The nearest, {names}: {said}."
    if "–" in best["rank"] and best["standing"] is not None:
        sentence += f" No interval separates their scores: rank {best['rank']}."
    tiles = []
    for group in groups[:4]:
        told = ", ".join(_counted(group, part) for part in PARTS)
        tiles.append((f"{group['rank']}. {group['label']}", number(group["score"], 2), f"score; {told}"))
    return Verdict(word, sentence, tone, tiles, [])


def _counted(group: dict, part: str) -> str:
    """The words of a part over the seeds: "FORGOTTEN", or "FORGOTTEN 2×, REMEMBERS 1×"."""
    return ", ".join(word if n == group["n"] else f"{word} {n}×" for word, n in group["words"][part].items())


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
        found.append(
            "no run has a retrained model: closeness refers to rows never seen, and no memory can be FORGOTTEN"
        )
    if old := [run.name for run in runs if not run.words]:
        found.append(f"no verdict of this version in {', '.join(old)}: evaluate these runs again to order them")
    return found


def _front_sentence(groups: list[dict]) -> str:
    known = [group for group in groups if None not in (group["closeness"], group["utility"])]
    front = pareto_front([group["closeness"] for group in known], [group["utility"] for group in known])
    names = [group["label"] for group, there in zip(known, front) if there]
    return f"On the Pareto front, where no other mean is better in both: {', '.join(names)}." if names else ""


# ---------------------------------------------------------------------------------------------------------------------
# The ranking

SHOWN = {  # {column: number}
    "score ↑": "score", "leaking rows ↓": "leaking_rows", "closeness ↑": "closeness", "utility ↑": "utility",
    "membership gap": "membership_gap", "forget quality p ↑": "forget_quality", "extraction": "extraction",
    "forget acc.": "forget_accuracy",
}  # fmt: skip
COLUMNS = ("rank", "method", *PARTS, *SHOWN, "time ↓", "GiB ↓", "seeds")
HOW_TO_READ = (
    "Arrows show the better direction; without one, near the retrained model is best. score: below .5 with a leaking "
    "row or a known person, above it without. leaking rows: forget rows that are still known. closeness: to the "
    "retrained model on the forget set. utility: share left. membership gap: the largest AUC of a membership test "
    "minus the retrained model's, 0 is best. forget quality p: KS test against the retrained model. extraction: "
    "extraction strength on the forget set. forget acc.: next-token accuracy on the forget set. time: of unlearning. "
    "±: standard deviation over seeds."
)


def _with_spread(group: dict, name: str, budget: float) -> list:
    """The mean, told apart from its gate, and, for several seeds, the standard deviation, as a text."""
    spread, digits = group["spread"][name], 1 if name == "leaking_rows" else 3
    gate = {"score": 0.5, "utility": budget, "leaking_rows": 0.0}.get(name)
    text = apart(group[name], gate, digits=digits)[0]
    return [text] + ([" ", ("under", f"± {number(spread, digits)}")] if spread is not None else [])


def _ranking_rows(comparison: Comparison) -> list[list]:
    return [
        [
            group["rank"],
            group["label"] + (" *" if group["below"] else ""),
            *(_counted(group, part) for part in PARTS),
            *(_with_spread(group, name, comparison.budget) for name in SHOWN.values()),
            duration(group["seconds"]),
            number(group["memory"], 1),
            str(group["n"]),
        ]
        for group in comparison.groups
    ]


def _reference_rows(comparison: Comparison) -> list[list]:
    """The target and the retrained model as first rows of the ranking, from the best run that has them."""
    rows = []
    for model in ("target", "retrained"):
        run = next((run for run in comparison.ranked_runs if model in run.models), None)
        if run is None:
            continue
        numbers = {
            "utility": 1.0 if model == "target" else comparison.retrained_utility,
            "forget_accuracy": run.value(model, "forget", "accuracy"),
            "extraction": run.value(model, "forget", "extraction_strength"),
        }
        numbers = [number(numbers.get(name)) for name in SHOWN.values()]
        rows.append(["–", f"{model} model", *"–" * len(PARTS), *numbers, "–", "–", "–"])
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
    header = ["rank", "group", "within_budget", "run", "method", "seed", *PARTS, *first, *together]
    lines = [[*header, *(f"{split}.{name}" for split, name in cells)]]
    for group in comparison.groups:
        for row in group["runs"]:
            run = row["run"]
            lines.append([
                group["rank"], group["label"], str(group["within"]).lower(), run.name, run.method,
                run.config.get("seed"), *verdict_cells(run.words, run.comparison.get("verdict")),
                *(row[name] for name in NUMBERS),
                *(finite(run.comparison.get(name)) for name in together),
                *(run.value("unlearned", split, name) for split, name in cells),
            ])  # fmt: skip
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(map(pages.csv_cell, line) for line in lines)
    return out.getvalue()


def comparison_latex(comparison: Comparison) -> str:
    """The ranking as a LaTeX table, the references first."""
    caption = f"Unlearning methods. {_order(comparison)} {HOW_TO_READ}"
    count = COLUMNS.index("time ↓") + 1
    rows, references = (
        [[pages.plain_text(cell) for cell in row[:count]] for row in table]
        for table in (_ranking_rows(comparison), _reference_rows(comparison))
    )
    return pages.latex_table(COLUMNS[:count], rows, caption, references)


# ---------------------------------------------------------------------------------------------------------------------
# Each method in sentences

VARIES = 0.1  # standard deviation of the closeness over seeds, above which it is told


def method_sentences(group: dict, comparison: Comparison) -> dict[str, list[str]]:
    """{"Good", "Open", "Bad": sentences} on one method: its words, and its costs among the others."""
    found: dict[str, list[str]] = {"Good": [], "Open": [], "Bad": []}
    for part in PARTS:
        for name, count in group["words"][part].items():
            if name in WORDS[part]:
                word = WORDS[part][name]
                seeds = f" in {count} of {group['n']} runs" if group["n"] > 1 else ""
                title = {"good": "Good", "bad": "Bad"}.get(word.tone, "Open")
                found[title].append(f"{name}{seeds}: {word.plain}{_reason(group, part, name)}")
    for name, write, text in (("seconds", duration, "Unlearning takes {}"), ("memory", _gib, "Peak memory is {} GiB")):
        values = [other[name] for other in comparison.groups if other is not group and other[name] is not None]
        if group[name] is None or not values or write(group[name]) in map(write, values):
            continue
        if not min(values) <= group[name] <= max(values):
            least = group[name] < min(values)
            told = f"{text.format(write(group[name]))}, the {'least' if least else 'most'} here."
            found["Good" if least else "Bad"].append(told)
    found["Bad"] += _bad_of_all(group)
    return found


def _gib(value: float) -> str:
    return number(value, 1)


def _reason(group: dict, part: str, name: str) -> str:
    """What decides a word that is not good, from the first run with it."""
    run = next(row["run"] for row in group["runs"] if row["words"].get(part) == name)
    why = run.evidence[part].why if WORDS[part][name].tone != "good" else []
    return f" {why[0]}" if why else ""


def _bad_of_all(group: dict) -> list[str]:
    def change(split: str, metric: str) -> tuple:
        """Means over the runs that have both numbers."""
        pairs = [pair for row in group["runs"] if None not in (pair := row["run"].change(split, metric))]
        return tuple(np.mean(pairs, axis=0)) if pairs else (None, None)

    found = [*side_effects(change), *poor_answers(change)]
    spread = group["spread"]["closeness"]
    if spread is not None and spread > VARIES:
        found.append(f"Depends on the seed: closeness varies by ± {apart(spread, VARIES, digits=2)[0]}.")
    return found
