"""Explains one run and compares many: figures, a report that stands by itself, tables for papers.

    python analyze_results.py results/a                        # writes the run's report and figures again
    python analyze_results.py results/a results/b ...          # compares runs, in results/runs/comparison
    python analyze_results.py                                  # compares every finished run under results/runs/

Reads run folders only: no model is loaded. Folders that hold no usable run are named and left out; exit code 3 when one
was named on the command line, or when none is left.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from pathlib import Path

from models.store.paths import RUNS, old_runs
from results.report import earlier, pages, words
from results.report.comparison import compare_runs, group_runs, rank
from results.report.pages import Answers, Bullets, Code, Details, Figure, Figures, Heading, Paragraph, Table, Verdict
from results.report.runs import (
    ROLES,
    SPLITS,
    Run,
    RunError,
    curves,
    find_runs,
    finite,
    pareto_front,
    per_row,
    per_subject,
    read_run,
    read_runs,
    training,
)
from results.report.words import METRIC_DOCS, doc, number, percent

__all__ = [
    "METRIC_DOCS",
    "Run",
    "RunError",
    "compare_runs",
    "curves",
    "find_runs",
    "group_runs",
    "main",
    "pareto_front",
    "per_row",
    "per_subject",
    "rank",
    "read_run",
    "training",
    "write_report",
]

FORGET_ROWS, RETAIN_ROWS = 8, 4  # answers shown side by side
TONES = {"FORGOTTEN": "good", "SUPPRESSED": "mixed", "OVER-FORGOTTEN": "bad", "INCOMPLETE": "bad", "COLLAPSED": "bad"}


# ---------------------------------------------------------------------------------------------------------------------
# One run explained


def write_report(run_folder: str | Path, output_dir: str | Path | None = None) -> Path:
    """Writes figures/, report.md and, last, report.html of a run; returns the path of report.html.

    `output_dir`: somewhere else than the run's own folder. Raises `RunError` where there is no usable run.
    """
    from results.report import figures
    from results.search import report as search_report

    run = read_run(run_folder)
    target = Path(output_dir) if output_dir else run.folder
    drawings = target / "figures"
    drawings.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for stem, caption, figure in [*figures.run_figures(run), *search_report.search_figures(run)]:
        figures.save(figure, drawings, stem)
        drawn[stem] = Figure(drawings, stem, caption)
    blocks = report_blocks(run, drawn)
    pages.write_text(target / "report.md", pages.markdown_page(blocks))
    return pages.write_text(target / "report.html", pages.html_page(f"Unlearning report: {run.name}", blocks))


def report_blocks(run: Run, drawn: dict[str, Figure]) -> list:
    """The report of one run, the verdict first."""
    from results.search.report import search_section

    def show(*stems):
        found = [drawn[stem] for stem in stems if stem in drawn]
        return [Figures(found)] if found else []

    data = run.config.get("forget_data") or "a text given on the command line"
    about = [
        f"Method {run.method.replace('_', ' ')}; target model ",
        ("user", str(run.config.get("model_name_or_path", "?"))),
        "; to forget: ",
        ("user", str(data)),
    ]
    blocks = [Heading(["Unlearning report: ", ("user", run.name)], 1), Paragraph(about, "note"), verdict(run)]
    blocks += earlier.blocks(run)
    blocks += [Heading("How it went"), *show("forgetting_curves", "rows")]
    blocks += [Heading("Before, after, and the goal"), Paragraph(_how_to_read(run))]
    for split in SPLITS:
        blocks += split_tables(run, split)
    blocks += comparison_table(run)
    blocks += show("before_after_forget", "before_after_retain", "before_after_holdout", "before_after_general")
    blocks += [Details("What each number shows, and what it does not", [metric_glossary(run)])]
    blocks += answers(run)
    blocks += [
        Heading("Strengths and weaknesses in this run"),
        Heading("Strengths", 3),
        Bullets(words.strengths(run) or ["None that the numbers show."]),
        Heading("Weaknesses", 3),
        Bullets(words.weaknesses(run) or ["None that the numbers show; see what was not tested above."]),
    ]
    blocks += resistance(run)
    blocks += [*show("subjects"), *attacks(run), *show("attacks")]
    blocks += search_section(run, drawn)
    blocks += [Heading("Training"), Paragraph(_training_sentence(run)), *show("training")]
    return blocks + appendix(run)


def verdict(run: Run) -> Verdict:
    """The verdict block: the word, the sentence, four pairs of numbers, three lists."""
    tiles = []
    for split, metric, what in (
        ("forget", "answer_probability", "Forget set: answer probability"),
        ("forget", "rouge_l_recall", "Forget set: how much of the answers comes out"),
        ("retain", "answer_probability", "Retain set: answer probability"),
    ):
        before, after = (run.value(model, split, metric) for model in ("target", "unlearned"))
        if after is None:
            continue
        aim, whose = words.goal(run, metric) if split == "forget" else (None, "")
        beside = {
            "retrained": f"goal {number(aim, 2)}, the retrained model's",
            "holdout": f"rows never seen: {number(aim, 2)}",
        }.get(whose, "shall stay" if split != "forget" else "")
        tiles.append((what, f"{number(before, 2)} → {number(after, 2)}", beside))
    left, by = words.utility_left(run)
    if left is not None and by == "model utility":
        tiles.append(
            ("Utility left", percent(min(left, 1.0)), f"of the target's {by}" + (" (it rose)" if left > 1.005 else ""))
        )
    word = words.label(run)
    lists = [("What was forgotten", words.forgotten(run)), ("What was kept", words.kept(run)),
             ("What was not achieved", [*earlier.came_back(run), *words.not_achieved(run)])]  # fmt: skip
    sentence = words.headline(run)
    sentence = sentence[:1].upper() + sentence[1:] + "." if sentence else ""
    gates = re.search(r"(Gates not passed: .*|Undecided: .*)", run.notes.get("verdict", ""))
    sentence += f" {gates[1].rstrip('.')}." if gates and "retrained" in run.models else ""
    return Verdict(word, sentence, TONES.get(word.split(" (")[0], "open"), tiles, lists)


def _how_to_read(run: Run) -> str:
    text = "In brackets, 95 % intervals. On the forget set the goal is not zero but what a model has that never saw "
    text += "these rows"
    if "retrained" in run.models:
        text += ": the retrained model. The last column says how much of the way from before to there was gone; "
        return text + "above 100 % is over-forgetting."
    if words.goal(run, "answer_probability")[1]:
        return (
            text + "; no such model was given, so the target's value on the holdout set, rows it never saw, stands in."
        )
    return text + "; neither such a model nor a holdout set was given, so how far to go is not known."


def _cell(run: Run, model: str, split: str, metric: str) -> list:
    value, interval = run.value(model, split, metric), run.interval(model, split, metric)
    if value is None or interval is None:
        return [number(value)]
    return [number(value), " ", ("small", f"[{number(interval[0])}, {number(interval[1])}]")]


MAIN_METRICS = 13  # the first of METRIC_DOCS; variants and raw membership scores are folded away
CAPTIONS = {
    "forget": "Forget set: what shall go.",
    "retain": "Retain set: what shall stay.",
    "holdout": "Holdout set: the same kind of rows, never seen by any model. Nothing should change here.",
    "general": "General knowledge: what shall stay.",
}


def split_tables(run: Run, split: str) -> list:
    """The before/after table of one set, if any model was measured on it; lesser metrics folded away below it."""
    models = [model for model in ROLES if split in run.models.get(model, {})]
    names = words.metric_order({name for model in models for name in run.models[model][split]})
    names = [name for name in names if any(run.value(model, split, name) is not None for model in models)]
    columns = ["metric", *(ROLES[model] for model in models), "goal", *(["way gone"] if split == "forget" else [])]

    def table(chosen, caption):
        rows = [
            [doc(name).label, *(_cell(run, model, split, name) for model in models), _aim(run, split, name),
             *_way_cell(run, split, name)] for name in chosen
        ]  # fmt: skip
        return Table(columns, rows, caption=caption)

    main = [name for name in names if name in list(METRIC_DOCS)[:MAIN_METRICS]]
    rest = [name for name in names if name not in main]
    blocks: list = [table(main, CAPTIONS[split])] if main else []
    return blocks + ([Details(f"More numbers of the {split} set", [table(rest, "")])] if rest else [])


def _aim(run: Run, split: str, metric: str) -> str:
    if split == "forget":
        aim, whose = words.goal(run, metric)
        return f"→ {number(aim)}" if whose else "–"
    if split == "holdout":
        return "unchanged"
    return {"higher": "not lower", "lower": "not higher"}[doc(metric).knowing]


def _way_cell(run: Run, split: str, metric: str) -> list:
    if split != "forget":
        return []
    share = words.forget_way(run, metric)
    return ["–" if share is None else f"{100 * share:.0f} %"]


def metric_glossary(run: Run) -> Table:
    """What every metric of the run shows and does not show."""
    names = words.metric_order({name for model in run.models.values() for table in model.values() for name in table})
    return Table(
        ("metric", "shows", "does not show"), [(doc(n).label, doc(n).shows, doc(n).limits) for n in names], words=3
    )


MAIN_COMPARISON = 12  # the first of COMPARISON_DOCS; the other membership tests and refusals are folded away


def comparison_table(run: Run) -> list:
    """What only several models or sets together can tell, with what each number shows and what it does not."""

    def cell(name: str) -> list:
        value, low, high = (finite(run.comparison.get(key)) for key in (name, f"{name}_low", f"{name}_high"))
        text: list = [number(value, 0 if name.endswith("_n") else 3)]
        return text if low is None or high is None else [*text, " ", ("small", f"[{number(low)}, {number(high)}]")]

    models = [model for model in ROLES if model in run.models]
    known, rest = [], []
    for place, (name, (label, shows, limits)) in enumerate(words.COMPARISON_DOCS.items()):
        names = [name if model == "unlearned" else f"{name}_{model}" for model in models]
        if any(finite(run.comparison.get(key)) is not None for key in names):
            row = [label, *map(cell, names), shows, limits]
            (known if place < MAIN_COMPARISON else rest).append(row)
    rest += [[name.replace("_", " "), *(cell(name) if model == "unlearned" else "–" for model in models), "", ""]
             for name, value in run.comparison.items() if finite(value) is not None
             and words.comparison_key(name) not in words.COMPARISON_DOCS]  # fmt: skip
    weakest = run.comparison.get("weakest_part")
    caption = f"Put together. The weakest part is {weakest}." if weakest else "Put together."
    columns = ("number", *(ROLES[model] for model in models), "shows", "does not show")
    blocks: list = [Table(columns, known, caption=caption, tail=2)] if known else []
    return blocks + ([Details("More of these numbers", [Table(columns, rest, tail=2)])] if rest else [])


def answers(run: Run) -> list:
    """Answers before and after, changed words marked: forget rows, then a few retain rows."""
    blocks: list = []
    for split, count in (("forget", FORGET_ROWS), ("retain", RETAIN_ROWS)):
        rows = words.shown_rows(run, split, count)
        if rows:
            total = len(per_row(run, split)["index"])
            blocks.append(Heading(f"{split.capitalize()} set: {len(rows)} of {total} rows", 3))
            blocks += [_answer_card(row) for row in rows]
    if not blocks:
        return []
    text = [
        "Picked evenly from the least to the most likely true answer after unlearning, not by hand. ",
        ("gone", "Struck"),
        ": said before, no longer. ",
        ("new", "Underlined"),
        ": not said before.",
    ]
    return [Heading("Answers side by side"), Paragraph(text), *blocks]


def _answer_card(row: dict) -> Answers:
    before, after = (row.get(key) for key in ("before", "after"))
    marked = words.word_difference(str(before), str(after)) if before is not None else ([], [("", str(after))])
    shown = [("true answer", str(row.get("gold") or ""))]
    shown += [("before", marked[0])] if before is not None else []
    shown += [("after", marked[1] or "(nothing)")]
    if row.get("retrained") is not None:
        shown.append(("retrained", str(row["retrained"]) or "(nothing)"))
    found = []
    for role in ("before", "after", "retrained"):
        table = row.get(f"metrics_{role}")
        value = finite(table.get("answer_probability")) if isinstance(table, dict) else None
        found += [f"{role} {number(value, 2)}"] if value is not None else []
    note = f"probability of the true answer: {', '.join(found)}" if found else ""
    return Answers(str(row.get("prompt") or "(raw text)"), str(row.get("subject") or ""), note, shown)


def resistance(run: Run) -> list:
    """Which rows and subjects resisted, or that none did."""
    rows = words.resisting_rows(run)
    if rows is None:
        return []
    blocks: list = [Heading("What resisted")]
    if not rows[0]:
        return [*blocks, Paragraph(f"None of {rows[1]} forget rows kept more than half of what was to go.")]
    shown = rows[0][:20]
    cells = [[[("user", str(row["prompt"] or ""))], [("user", str(row["subject"] or "–"))], number(row["before"], 2),
              number(row["after"], 2), number(row["goal"], 2), percent(row["left"])] for row in shown]  # fmt: skip
    caption = f"{len(rows[0])} of {rows[1]} forget rows kept more than half of what was to go"
    caption += f"; the {len(shown)} that kept most." if len(shown) < len(rows[0]) else "."
    blocks.append(Table(("row", "subject", "before", "after", "goal", "left"), cells, words=2, caption=caption))
    subjects = words.resisting_subjects(run)
    if len(subjects) > 1:
        cells = [[[("user", row["subject"])], number(row["before"], 2), number(row["after"], 2), number(row["goal"], 2),
                  percent(row["left"])] for row in subjects[:20]]  # fmt: skip
        blocks.append(
            Table(("subject", "before", "after", "goal", "left"), cells, caption="By subject, most left first.")
        )
    return blocks


def attacks(run: Run) -> list:
    """What attacks brought back, every model under the same budget."""
    rows = words.attack_rows(run)
    if not rows:
        return [
            Heading("Under attack"),
            Paragraph("No attack was run: --attacks all tries to bring the knowledge back."),
        ]
    main = words.main_attack_rows(run)

    def table(chosen):
        cells = [
            [[("user", row["attack"].replace("_", " "))], [("user", words.attack_label(row["metric"]))],
             *(number(row[key], 2) for key in ("before", "unlearned", "retrained", "target")),
             *("–" if row[key] is None else percent(row[key]) for key in ("back", "back_retrained"))]
            for row in chosen
        ]  # fmt: skip
        columns = ("attack", "number", "after unlearning", "and attacked", "retrained, attacked", "target, attacked",
                   "brought back", "by retrained")  # fmt: skip
        return Table(columns, cells, words=2)

    text = "Every model is attacked with the same budget. What counts is how far the attacked model lies above the "
    text += "attacked retrained model, which shows what the attack itself teaches. Brought back: the share of what the "
    text += "target knew more than the unlearned model before the attack."
    rest = [row for row in rows if row not in main]
    blocks: list = [Heading("Under attack"), Paragraph(text), table(main)]
    return blocks + ([Details("More numbers of the attacks", [table(rest)])] if rest else [])


def _training_sentence(run: Run) -> str:
    if not run.steps:
        return "No training step was logged."
    last = int(max(run.steps, key=lambda line: line["step"])["step"])
    parts = [f"{last} optimizer steps of {run.method.replace('_', ' ')}"]
    stages = run.timing.get("seconds")
    seconds = finite(stages.get("unlearning")) if isinstance(stages, dict) else None
    if seconds is not None:
        parts.append(f"{words.duration(seconds)} of {words.duration(run.timing.get('total_seconds'))} in all")
    peak = finite(run.timing.get("peak_memory_gib"))
    if peak is not None:
        parts.append(f"peak memory {number(peak, 1)} GiB")
    text = ", ".join(parts) + "."
    messages = [str(line.get("message") or "") for line in run.events]
    return " ".join([text, *(message[:1].upper() + message[1:] + "." for message in messages if message)])


def appendix(run: Run) -> list:
    """Notes, environment, configuration, and the command that repeats the run."""
    blocks: list = [Heading("Notes")]
    grouped: dict[str, list[str]] = {}
    for key, note in run.notes.items():
        grouped.setdefault(note, []).append(key)
    items: list = [[("code", ", ".join(keys)), ": ", ("user", note)] for note, keys in grouped.items()]
    items += [["while reading this run: ", ("user", problem)] for problem in run.problems]
    blocks.append(Bullets(items) if items else Paragraph("None."))
    command = run.config.get("command")
    if isinstance(command, list) and command:
        blocks += [Heading("To repeat this run"), Code(shlex.join(map(str, command)))]
    flat = [*_flat(run.environment)]
    if flat:
        blocks.append(Details("Environment", [_settings_table(flat)]))
    settings = [(key, value) for key, value in run.config.items() if key != "command" and value not in (None, "")]
    blocks.append(Details("Configuration", [_settings_table(settings)]))
    stages = run.timing.get("seconds")
    if isinstance(stages, dict) and stages:
        cells = [[[("user", str(name))], words.duration(value)] for name, value in stages.items()]
        blocks.append(Details("Where the time went", [Table(("stage", "time"), cells)]))
    return blocks


def _flat(value: dict, prefix: str = ""):
    for key, below in value.items():
        if isinstance(below, dict):
            yield from _flat(below, f"{prefix}{key}.")
        elif below is not None:
            yield f"{prefix}{key}", below


def _settings_table(pairs) -> Table:
    return Table(
        ("setting", "value"), [[[("code", str(key))], [("user", str(value))]] for key, value in pairs], words=2
    )


# ---------------------------------------------------------------------------------------------------------------------
# The command line


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="analyze_results.py", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("runs", nargs="*", help="run folders; none: every finished run under results/runs/")
    parser.add_argument(
        "--output_dir", help="where to write (one run: its own folder; several: comparison/ beside them)"
    )
    parser.add_argument("--utility_budget", type=_share, default=0.95, metavar="SHARE",
                        help="share of the target's utility a method must keep to be ranked first [0.95]")  # fmt: skip
    return parser


def main(argv=None) -> int:
    """Writes a report or a comparison; returns the exit code."""
    args = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a folder's name shall not end a run in a narrow locale
    try:
        print(_write(args))
        bad = (
            read_runs(args.runs)[1] if len(args.runs) > 1 else []
        )  # named on stderr by compare_runs; the rest is drawn
        return RunError.exit_code if bad else 0
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error.strerror}: {error.filename or ''}", file=sys.stderr)
        return 6


def _write(args: argparse.Namespace) -> Path:
    if len(args.runs) == 1:
        return write_report(args.runs[0], args.output_dir)
    if args.runs:
        parents = {Path(run).resolve().parent for run in args.runs}
        beside = Path(args.runs[0]).parent if len(parents) == 1 else RUNS
        return compare_runs(args.runs, args.output_dir or beside / "comparison", args.utility_budget)
    finished, others = find_runs(RUNS)
    if old := [folder for folder in old_runs(RUNS.parent) if (folder / "report.html").exists()]:
        print(f"note: {len(old)} runs lie in {RUNS.parent}, where they were written before; new ones go to {RUNS}")
        finished += old
    for folder in others:
        print(f"left out: {folder} is not finished: it has no report.html", file=sys.stderr)
    if not finished:
        raise RunError(f"{RUNS}: no finished run, that is, no folder with config.json and report.html")
    if len(finished) == 1:
        return write_report(finished[0], args.output_dir)
    return compare_runs(finished, args.output_dir or RUNS / "comparison", args.utility_budget)


if __name__ == "__main__":
    sys.exit(main())
