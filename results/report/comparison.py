"""Compares runs: groups them over seeds, ranks them under a utility budget, and says what each is good and bad at."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
import sys
from pathlib import Path

from results.report import pages, words
from results.report.pages import Bullets, Code, Details, Figure, Figures, Heading, Paragraph, Table, Verdict
from results.report.runs import SPLITS, Run, RunError, finite, pareto_front, read_runs, settings_key
from results.report.words import number, percent

NUMBERS = (
    "closeness", "utility", "forget_probability", "retain_probability", "forget_accuracy", "extraction",
    "forget_quality", "retain_accuracy_share", "model_utility_share", "membership_auc", "score", "seconds", "memory",
)  # fmt: skip
CSV_NAMES = {  # the names of evaluation.json and timing.json, and none twice
    "utility": "utility_share", "forget_probability": "forget.answer_probability", "memory": "peak_memory_gib",
    "retain_probability": "retain.answer_probability", "forget_accuracy": "forget.accuracy",
    "extraction": "forget.extraction_strength",
}  # fmt: skip
PARTS = ("forgetting", "privacy", "utility", "robustness")


def group_runs(runs: list[Run]) -> list[dict]:
    """Runs that differ in their seed alone become one group: means over seeds, and standard deviations in "spread".

    A group: {"label", "method", "n", "runs": [row], "spread": {number: sd or None}, each of `NUMBERS`: mean or None,
    "parts": {part of the score: mean or None}, "verdicts": {word: count}}; a row has the same numbers for one run, and
    "run".
    """
    closeness, utility = _criteria(runs)
    rows = [_row(run, closeness[0], utility[0]) for run in runs]
    found: dict[str, list[dict]] = {}
    for row in rows:
        found.setdefault(settings_key(row["run"]), []).append(row)
    groups = []
    for members in found.values():
        group: dict = {"method": members[0]["run"].method, "n": len(members), "runs": members, "spread": {}}
        for name in NUMBERS:
            values = [row[name] for row in members if row[name] is not None]
            group[name] = _mean(values)
            group["spread"][name] = _deviation(values)
        group["parts"] = {name: _mean(finite(row["run"].comparison.get(name)) for row in members) for name in PARTS}
        group["verdicts"] = _counts(words.label(row["run"]) for row in members)
        group["closeness_name"], group["utility_name"] = closeness[1], utility[1]
        groups.append(group)
    _name_groups(groups)
    return groups


def _criteria(runs: list[Run]):
    """((function, name) of closeness, the same of utility): the best measure that all runs have, or that most have."""

    def own(run):
        share = words.forget_way(run)
        return None if share is None else max(0.0, 1 - abs(1 - share))

    def unlikely(run):
        value = run.value("unlearned", "forget", "answer_probability")
        return None if value is None else 1 - value

    whose = "the retrained model" if all("retrained" in run.models for run in runs) else "rows never seen"
    closeness = (
        (lambda run: finite(run.comparison.get("forgetting")), f"closeness to {whose} on the forget set"),
        (own, f"closeness to {whose} (forget-set answer probability)"),
        (unlikely, "1 - forget-set answer probability"),
    )

    def left_by(name):
        return lambda run: words.utility_left(run)[0] if words.utility_left(run)[1] == name else None

    utility = [(left_by(name), name) for name in dict.fromkeys(words.utility_left(run)[1] for run in runs)]

    def best(candidates):
        return max(candidates, key=lambda pair: sum(pair[0](run) is not None for run in runs))

    return best(closeness), best(utility)


def _row(run: Run, closeness, utility) -> dict:
    stages = run.timing.get("seconds")

    def share(ours, before):
        return ours / before if ours is not None and before else None

    def both(key):
        return finite(run.comparison.get(key)), finite(run.comparison.get(f"{key}_target"))

    return {
        "run": run,
        "closeness": closeness(run),
        "utility": utility(run),
        "forget_probability": run.value("unlearned", "forget", "answer_probability"),
        "retain_probability": run.value("unlearned", "retain", "answer_probability"),
        "forget_accuracy": run.value("unlearned", "forget", "accuracy"),
        "extraction": run.value("unlearned", "forget", "extraction_strength"),
        "retain_accuracy_share": share(*(run.value(model, "retain", "accuracy") for model in ("unlearned", "target"))),
        "model_utility_share": share(*both("model_utility")),
        **{name: finite(run.comparison.get(name)) for name in ("forget_quality", "membership_auc", "score")},
        "seconds": finite(stages.get("unlearning")) if isinstance(stages, dict) else None,
        "memory": finite(run.timing.get("peak_memory_gib")),
    }


def _mean(values) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _deviation(values: list[float]) -> float | None:
    """Sample standard deviation, None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _counts(items) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in items:
        found[item] = found.get(item, 0) + 1
    return found


def _name_groups(groups: list[dict]) -> None:
    """Labels: the method's name, with the settings that tell groups of one method apart."""
    for group in groups:
        twins = [other for other in groups if other["method"] == group["method"]]
        configs = [twin["runs"][0]["run"].config for twin in twins]
        ours = group["runs"][0]["run"].config
        settings = json.loads(settings_key(group["runs"][0]["run"]))
        differing = [key for key in settings if any(config.get(key) != ours.get(key) for config in configs)]
        label = group["method"].replace("_", " ")
        if differing:
            label += " (" + ", ".join(f"{key}={_short(ours.get(key))}" for key in differing[:3]) + ")"
        group["label"] = label
    for label, count in _counts(group["label"] for group in groups).items():
        if count > 1:
            for group in (group for group in groups if group["label"] == label):
                group["label"] += f" [{group['runs'][0]['run'].name}]"


def _short(value) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.rstrip("/").rsplit("/", 1)[-1]


def rank(groups: list[dict], budget: float) -> list[dict]:
    """Groups, best first, with "rank" and "within": those that keep `budget` of the utility by closeness, then the rest
    by utility; what was not measured comes last."""

    def key(group):
        low = -math.inf
        within = group["utility"] is not None and group["utility"] >= budget - 1e-9
        closeness = low if group["closeness"] is None else group["closeness"]
        utility = low if group["utility"] is None else group["utility"]
        return (within and closeness > low, within, closeness if within else utility, utility)

    found = sorted(groups, key=key, reverse=True)
    for place, group in enumerate(found, 1):
        group["rank"], group["within"] = place, key(group)[1]
    return found


def _references(runs: list[Run]) -> tuple[dict[str, tuple[float, float]], float | None]:
    """({"target", "retrained": (forget, retain answer probability)}, share of the target's utility retrained has)."""
    found = {}
    for model in ("target", "retrained"):
        for run in runs:
            pair = tuple(run.value(model, split, "answer_probability") for split in ("forget", "retain"))
            if None not in pair:
                found[model] = pair
                break
    for run in runs:
        ours, base = (finite(run.comparison.get(f"model_utility_{name}")) for name in ("retrained", "target"))
        if ours is not None and base:
            return found, ours / base
    return found, None


def compare_runs(folders, output_dir: str | Path, utility_budget: float = 0.95) -> Path:
    """Compares the runs in `folders`; writes figures, comparison.md, .csv, .tex and .html and returns the last.

    Folders without a usable run are named on stderr and left out; raises `RunError` when none is left.
    """
    runs, refused = read_runs(folders)
    for problem in refused:
        print(f"left out: {problem}", file=sys.stderr)
    if not runs:
        raise RunError("; ".join(refused) or "no run to compare: give run folders")
    groups = rank(group_runs(runs), utility_budget)
    references, retrained_utility = _references(runs)
    for group in groups:
        group.update(references=references, retrained_utility=retrained_utility)
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    drawn = draw_comparison(groups, utility_budget, output_dir)
    blocks = comparison_blocks(groups, runs, refused, utility_budget, drawn)
    pages.write_text(output_dir / "comparison.csv", comparison_csv(groups))
    pages.write_text(output_dir / "comparison.tex", comparison_latex(groups, utility_budget))
    pages.write_text(output_dir / "comparison.md", pages.markdown_page(blocks))
    return pages.write_text(output_dir / "comparison.html", pages.html_page("Comparison of unlearning runs", blocks))


def draw_comparison(groups: list[dict], budget: float, output_dir: Path) -> list[Figure]:
    """Draws what there is to draw of a comparison."""
    from results.report import comparison_figures as figures
    from results.report.figures import save

    folder = output_dir / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    first = groups[0]
    drawn = [
        (
            "tradeoff",
            "Forgetting against utility. Best is top right; the dashed line is the Pareto front, the methods that no "
            "other beats in both. Stars: target and retrained model. Faint: single seeds; whiskers: their spread.",
            figures.draw_tradeoff(groups, budget, first["closeness_name"], first["utility_name"]),
        ),
        (
            "levels",
            "The same on the two sets themselves; stars are the target and the retrained model.",
            figures.draw_levels(groups),
        ),
        (
            "parts",
            "The parts of the score: 1 is as good as the retrained model. The lowest decides.",
            figures.draw_parts(groups),
        ),
        (
            "curves",
            "How fast the forget set falls: means over seeds, shaded from the lowest to the highest.",
            figures.draw_method_curves(groups),
        ),
        ("time", "Seconds of unlearning; whiskers are the spread over seeds.", figures.draw_cost(groups, "seconds")),
        ("memory", "Peak memory of the whole run.", figures.draw_cost(groups, "memory")),
    ]
    found = []
    for stem, caption, figure in drawn:
        if figure is not None:
            save(figure, folder, stem)
            found.append(Figure(folder, stem, caption))
    return found


SHOWN = {  # columns of the ranking and the number in each
    "closeness ↑": "closeness", "utility ↑": "utility", "forget acc.": "forget_accuracy", "extraction": "extraction",
    "forget quality p ↑": "forget_quality", "retain acc., share ↑": "retain_accuracy_share",
    "MIA AUC": "membership_auc", "score ↑": "score",
}  # fmt: skip
COLUMNS = ("method", *SHOWN, "time ↓", "GiB ↓", "seeds", "verdict")
HOW_TO_READ = (
    "Arrows: what is better; columns without one are best near the retrained model. utility: share left. forget acc.: "
    "next-token accuracy on the forget set. extraction: extraction strength on the forget set. forget quality p: KS "
    "test against the retrained model. retain acc., share: next-token accuracy on the retain set as a share of the "
    "target's. MIA AUC: membership test, .5 is chance. score: harmonic mean of forgetting, privacy and utility. time: "
    "of unlearning. ±: standard deviation over seeds."
)


def _spread(group: dict, name: str) -> list:
    """Mean, and the standard deviation over seeds where there are several, as a text."""
    spread = group["spread"][name]
    return [number(group[name])] + ([" ", ("under", f"± {number(spread)}")] if spread is not None else [])


def _ranking_rows(groups: list[dict]) -> list[list]:
    rows = []
    for group in groups:
        verdicts = group["verdicts"].items()
        rows.append([
            f"{group['rank']}. {group['label']}" + ("" if group["within"] else " *"),
            *(_spread(group, name) for name in SHOWN.values()),
            words.duration(group["seconds"]),
            number(group["memory"], 1),
            str(group["n"]),
            ", ".join(word if count == group["n"] else f"{word} {count}×" for word, count in verdicts),
        ])  # fmt: skip
    return rows


def _reference_rows(groups: list[dict]) -> list[list]:
    """The target and the retrained model as first rows of the ranking, from the first run that has them."""
    runs, rows = [row["run"] for group in groups for row in group["runs"]], []
    for model in ("target", "retrained"):
        run = next((run for run in runs if model in run.models), None)
        if run is None:
            continue
        retained, base = (run.value(name, "retain", "accuracy") for name in (model, "target"))
        numbers = {
            "utility": 1.0 if model == "target" else groups[0]["retrained_utility"],
            "forget_accuracy": run.value(model, "forget", "accuracy"),
            "extraction": run.value(model, "forget", "extraction_strength"),
            "retain_accuracy_share": retained / base if retained is not None and base else None,
            "membership_auc": finite(run.comparison.get(f"membership_auc_{model}")),
        }
        rows.append([f"{model} model", *(number(numbers.get(name)) for name in SHOWN.values()), "–", "–", "–", "–"])
    return rows


def _front_sentence(groups: list[dict]) -> str:
    known = [group for group in groups if None not in (group["closeness"], group["utility"])]
    front = pareto_front([group["closeness"] for group in known], [group["utility"] for group in known])
    names = [group["label"] for group, there in zip(known, front) if there]
    return f"On the Pareto front, beaten by no other in both: {', '.join(names)}." if names else ""


def _repeat(runs: list[Run]) -> list:
    """The command of every run, folded away."""
    commands = [run.config.get("command") for run in runs]
    lines = [shlex.join(map(str, command)) for command in commands if isinstance(command, list) and command]
    return [Details("To repeat these runs", [Code("\n".join(lines))])] if lines else []


def comparison_blocks(groups, runs, refused, budget: float, drawn: list[Figure]) -> list:
    """The comparison, its result in words first."""
    best = groups[0]
    text = f"{len(runs)} runs, {len(groups)} methods or settings"
    blocks: list = [Heading("Comparison of unlearning runs", 1), Paragraph(text, "note"), _winner(groups, budget)]
    blocks += (
        [Bullets([["note: ", ("user", warning)] for warning in warnings])] if (warnings := comparability(runs)) else []
    )
    caption = f"Ranked by {best['closeness_name']} among those that keep {percent(budget)} of the target's "
    caption += f"{best['utility_name']}; "
    caption += f"* below that budget, ranked after them by utility. {HOW_TO_READ}"
    blocks += [Heading("Ranking"), Table(COLUMNS, [*_reference_rows(groups), *_ranking_rows(groups)],
                                         caption=caption, tail=1)]  # fmt: skip
    blocks += [Heading("Trade-off and cost"), *([Paragraph(text)] if (text := _front_sentence(groups)) else [])]
    blocks += [Figures(drawn), Heading("What each is good and bad at")]
    for group in groups:
        good, bad = method_sentences(group, groups, budget)
        blocks.append(Heading([("user", group["label"])], 3))
        blocks.append(
            Bullets(
                [*([[("b", "Good: "), text] for text in good]), *([[("b", "Bad: "), text] for text in bad])]
                or ["Nothing stands out in its numbers."]
            )
        )
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
    blocks += _repeat(runs)
    if refused:
        blocks += [Heading("Left out", 3), Bullets([[("user", problem)] for problem in refused])]
    return blocks


def _winner(groups: list[dict], budget: float) -> Verdict:
    best = groups[0]
    within = [group for group in groups if group["within"]]
    if best["within"] and best["closeness"] is not None:
        word, tone = best["label"], "good" if best["closeness"] >= words.REACHED else "mixed"
        sentence = (
            f"Of {len(within)} that keep {percent(budget)} of the target's {best['utility_name']}, it comes nearest: "
            f"{best['closeness_name']}: {number(best['closeness'], 2)} of 1."
        )
        if best["closeness"] < words.LEFT:
            sentence += " That is less than half of the way: none of these methods forgot enough."
    else:
        word, tone = "none within the budget", "bad"
        sentence = f"No method keeps {percent(budget)} of the target's utility and has its forgetting measured."
    tiles = []
    for group in groups[:4]:
        beside = f"closeness; utility {number(group['utility'])}" + ("" if group["within"] else ", below the budget")
        tiles.append((f"{group['rank']}. {group['label']}", number(group["closeness"], 2), beside))
    return Verdict(word, sentence, tone, tiles, [])


def comparability(runs: list[Run]) -> list[str]:
    """What keeps these runs from being compared straight: other models, other data, no retrained model."""
    found = []
    for key in ("model_name_or_path", "forget_data", "retain_data", "holdout_data"):
        values = _counts(str(run.config.get(key)) for run in runs)
        if len(values) > 1:
            found.append(f"the runs differ in {key} ({', '.join(values)}), so their numbers do not compare directly")
    without = [run.name for run in runs if "retrained" not in run.models]
    if without and len(without) < len(runs):
        found.append(f"no retrained model in {', '.join(without)}: another yardstick than in the other runs")
    elif without:
        found.append("no run has a retrained model: closeness is to rows never seen, and nothing here is certified")
    return found


def method_sentences(group: dict, groups: list[dict], budget: float) -> tuple[list[str], list[str]]:
    """(good, bad) sentences on one method, from its numbers and how they stand among the others."""
    good, bad = [], []
    others = [other for other in groups if other is not group]

    def extreme(name, lowest):
        values = [other[name] for other in others if other[name] is not None]
        if group[name] is None or not values:
            return False
        return group[name] < min(values) if lowest else group[name] > max(values)

    closeness, utility = group["closeness"], group["utility"]
    if closeness is not None:
        text = f"{group['closeness_name'].capitalize()}: {number(closeness, 2)} of 1"
        text += (
            ", the best here"
            if extreme("closeness", False)
            else ", the worst here"
            if extreme("closeness", True)
            else ""
        )
        (
            good if closeness >= 0.8 else bad if closeness < words.LEFT else good if extreme("closeness", False) else []
        ).append(text + ".")
    if utility is not None:
        text = f"{100 * utility:.1f}\u00a0% of the target's {group['utility_name']} is left"
        text += (
            ", the most here" if extreme("utility", False) else ", the least here" if extreme("utility", True) else ""
        )
        (good if group["within"] else bad).append(
            text + ("." if group["within"] else f"; the budget is {percent(budget)}.")
        )
    shares = [share for row in group["runs"] if (share := words.forget_way(row["run"])) is not None]
    if shares and min(shares) > 2 - words.REACHED:
        bad.append("Over-forgets: the forget set's answers end up less likely than for a model that never saw them.")
    for name, text in (("seconds", f"Unlearning takes {words.duration(group['seconds'])}"),
                       ("memory", f"Peak memory is {number(group['memory'], 1)} GiB")):  # fmt: skip
        if extreme(name, True):
            good.append(f"{text}, the least here.")
        elif extreme(name, False):
            bad.append(f"{text}, the most here.")
    good += _good_of_all(group)
    bad += _bad_of_all(group)
    return good, bad


def _mean_change(group: dict, split: str, metric: str) -> tuple[float, float] | None:
    pairs = [
        tuple(row["run"].value(model, split, metric) for model in ("target", "unlearned")) for row in group["runs"]
    ]
    pairs = [pair for pair in pairs if None not in pair]
    return tuple(sum(values) / len(pairs) for values in zip(*pairs)) if pairs else None


def _good_of_all(group: dict) -> list[str]:
    aucs = [(finite(c.get("membership_auc")), finite(c.get("membership_auc_retrained"))) for c in
            (row["run"].comparison for row in group["runs"])]  # fmt: skip
    if aucs and all(None not in pair and abs(pair[0] - pair[1]) < 0.05 for pair in aucs):
        return [f"A membership test sees what it sees on the retrained model: AUC {number(aucs[0][0], 2)}."]
    return []


def _bad_of_all(group: dict) -> list[str]:
    found = []
    change = _mean_change(group, "retain", "refusal_rate")
    if change and change[1] - change[0] > 0.02:
        found.append(f"Refuses {percent(change[1])} of the retain set's questions ({percent(change[0])} before).")
    change = _mean_change(group, "forget", "refusal_rate")
    if change and change[1] - change[0] > 0.2:
        found.append(f"Hides rather than removes: {percent(change[1])} of its answers on the forget set are refusals.")
    change = _mean_change(group, "forget", "fluency")
    if change and change[1] < 0.9 * change[0]:
        found.append(f"Loops or silence on the forget set: fluency {number(change[0], 2)} to {number(change[1], 2)}.")
    change = _mean_change(group, "holdout", "answer_probability")
    if change and change[1] < 0.8 * change[0]:
        found.append("Also makes rows unlikely that nobody asked to forget: holdout answer probability "
                     f"{number(change[0], 2)} to {number(change[1], 2)}.")  # fmt: skip
    spread = group["spread"]["closeness"]
    if spread is not None and spread > 0.1:
        found.append(f"Depends on the seed: closeness varies by ± {number(spread, 2)}.")
    collapsed = sum(count for word, count in group["verdicts"].items() if word.startswith("COLLAPSED"))
    if collapsed:
        found.append(f"Collapsed in {collapsed} of {group['n']} runs.")
    return found


def comparison_csv(groups: list[dict]) -> str:
    """One line per run, with its group's rank and label, every number in full and no name twice."""
    runs = [row["run"] for group in groups for row in group["runs"]]
    metrics = words.metric_order({name for run in runs for name in run.models["unlearned"].get("forget", {})})
    splits = [split for split in SPLITS if any(split in run.models["unlearned"] for run in runs)]
    first = [CSV_NAMES.get(name, name) for name in NUMBERS]
    comparison = [name for key in words.COMPARISON_DOCS for name in (key, f"{key}_target", f"{key}_retrained")
                  if any(name in run.comparison for run in runs)]  # fmt: skip
    comparison = [name for name in comparison if name not in first]
    cells = [(split, name) for split in splits for name in metrics if f"{split}.{name}" not in first]
    header = ["rank", "group", "within_budget", "run", "method", "seed", "verdict", *first, *comparison]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(pages.csv_cell, [*header, *(f"{split}.{name}" for split, name in cells)]))
    for group in groups:
        for row in group["runs"]:
            run = row["run"]
            line = [group["rank"], group["label"], str(group["within"]).lower(), run.name, run.method,
                    run.config.get("seed"), words.label(run)]  # fmt: skip
            line += [*(row[name] for name in NUMBERS), *(finite(run.comparison.get(name)) for name in comparison)]
            line += [run.value("unlearned", split, name) for split, name in cells]
            writer.writerow(map(pages.csv_cell, line))
    return out.getvalue()


def comparison_latex(groups: list[dict], budget: float) -> str:
    """The ranking as a LaTeX table, the references first."""
    caption = (
        f"Unlearning methods ranked by {groups[0]['closeness_name']} among those that keep {percent(budget)} of the "
        f"target's {groups[0]['utility_name']}; * below that budget. {HOW_TO_READ}"
    )
    count = len(SHOWN) + 2  # the method, its numbers, the time
    rows = [[pages.plain_text(cell) for cell in row[:count]] for row in _ranking_rows(groups)]
    references = [[pages.plain_text(cell) for cell in row[:count]] for row in _reference_rows(groups)]
    return pages.latex_table(COLUMNS[:count], rows, caption, references)
