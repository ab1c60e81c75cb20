"""Explains one run and compares many: figures, a self-contained report, tables for papers.

    python analyze_results.py results/runs/a                     # writes the run's report and figures again
    python analyze_results.py results/runs/a results/runs/b ...  # compares runs, in results/runs/comparison
    python analyze_results.py                                    # compares every finished run under results/runs/

Reads only run folders and loads no model. Leaves out each folder without a usable run and names it. The exit code is 3
if such a folder was on the command line or no usable run is left.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from data import private
from models.scores.evaluating import is_exam
from models.store.paths import RUNS, old_runs
from models.verdict.resistance import MOST
from models.verdict.words import counted
from results.report import pages, progress, sentences, verdict, words
from results.report.comparison import compare_runs
from results.report.pages import Bullets, Code, Details, Figure, Figures, Heading, Paragraph, Table
from results.report.runs import ROLES, SPLITS, Run, RunError, find_runs, finite, per_row, read_run, read_runs
from results.report.words import apart, doc, number, span

__all__ = ["compare_runs", "main", "report_blocks", "write_report"]

FORGET_ROWS, RETAIN_ROWS = 8, 4  # answers shown side by side


def write_report(run_folder: str | Path, output_dir: str | Path | None = None) -> Path:
    """Writes figures/, report.md and, last, report.html of a run; returns the path of report.html.

    `output_dir` defaults to the run's folder. Raises `RunError` for a folder without a usable run.
    """
    run = read_run(run_folder)
    target = Path(output_dir) if output_dir else run.folder
    blocks = report_blocks(run, draw_figures(run, target / "figures"))
    pages.write_text(target / "report.md", pages.markdown_page(blocks))
    return pages.write_text(target / "report.html", pages.html_page(f"Unlearning report: {run.name}", blocks))


def draw_figures(run: Run, folder: Path) -> dict[str, list[Figure]]:
    """Saves the figures of a run in `folder`; returns {section of the report: its figures}."""
    from results.report import figures  # late imports, here and below, keep --help fast
    from results.search import report as search_report

    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Figure]] = {}
    for row in (*figures.FIGURES, *search_report.FIGURES):
        figure = row.draw(run)
        if figure is not None:
            figures.save(figure, folder, row.stem)
            found.setdefault(row.section, []).append(Figure(folder, row.stem, row.caption_of(run)))
    return found


def report_blocks(run: Run, drawn: dict[str, list[Figure]]) -> list:
    """The report of one run, verdict first. `drawn`: figures by section."""
    from results.search.report import search_section

    show = {section: [Figures(found)] for section, found in drawn.items()}
    about = [
        f"Method {run.method.replace('_', ' ')}; target model ",
        ("user", str(run.config.get("model_name_or_path", "?"))),
        "; to forget: ",
        ("user", str(run.config.get("forget_data") or "a text given on the command line")),
    ]
    return [
        Heading(["Unlearning report: ", ("user", run.name)], 1),
        Paragraph(about, note=True),
        verdict.verdict(run),
        *verdict.subject(run),
        *_what_else(run),
        *earlier_requests(run),
        *verdict.gates(run),
        *show.get("gates", []),
        *verdict.membership(run),
        *verdict.persons_and_rows(run),
        *show.get("persons", []),
        *attacks(run),
        *show.get("attacks", []),
        Heading("How it went"),
        *show.get("course", []),
        Heading("Before, after, and the goal"),
        Paragraph(_how_to_read(run)),
        *[block for split in (*SPLITS, *exams(run)) for block in split_tables(run, split)],
        *verdict.beside(run),
        *comparison_table(run),
        *show.get("goal", []),
        Details("What each number shows, and what it does not", [metric_glossary(run)]),
        *answers(run),
        *search_section(run, show.get("search", [])),
        Heading("Training"),
        Paragraph(_training_sentence(run)),
        *show.get("training", []),
        *appendix(run),
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Earlier requests


def _what_else(run: Run) -> list:
    found = [*sentences.requests_back(run), *sentences.remarks(run)]
    return [Heading("What else went wrong"), Bullets(found)] if found else []


def earlier_requests(run: Run) -> list:
    """The requests before a continued run, and whether they stayed forgotten; [] for other runs."""
    from models.requests.retest import VERDICTS

    if not run.earlier:
        return []
    counts = {word: sum(row.get("verdict") == word for row in run.earlier) for word in VERDICTS}
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    names = [part for row in run.earlier for part in (("user", sentences.request_name(row)), ", ")][:-1]
    text = [
        f"This run follows {len(run.earlier)} earlier request{'s' if len(run.earlier) > 1 else ''}: ",
        *names,
        f". On this run's model: {said}. The columns before and after are from this run; known and then are from the "
        "run that carried out the request.",
    ]
    rows = [cells for row in run.earlier for cells in _request_rows(row)]
    columns = ("request", "number", "known", "then", "before", "after", "verdict")
    return [Heading("Earlier requests"), Paragraph(text), Table(columns, rows, words=2, tail=1)]


def _request_rows(row: dict) -> list[list]:
    """Table rows of one earlier request, one per metric; the first has the name and the verdict."""
    tables = [row[key] if isinstance(row.get(key), dict) else {} for key in ("known", "then", "before", "after")]
    metrics = ("answer_probability", "extraction_strength", "rouge_l_recall", "accuracy", "loss")
    shown = [metric for metric in metrics if any(finite(table.get(metric)) is not None for table in tables)]
    rows = [
        ["", doc(metric).label if metric else "–", *(number(table.get(metric)) for table in tables), ""]
        for metric in shown or [""]
    ]
    rows[0][0], rows[0][-1] = [("user", sentences.request_name(row))], f"{row.get('verdict')} ({row.get('why')})"
    return rows


# ---------------------------------------------------------------------------------------------------------------------
# Tables of numbers


def _how_to_read(run: Run) -> str:
    text = (
        "In brackets: 95 % intervals. Change: a paired test of the rows, before against after; below p = .05 a number "
        "rose or fell. The goal on the forget set is not zero, but the value of a model that never saw "
    )
    text += "these rows"
    if "retrained" in run.models:
        return f"{text}: the retrained model. Above 100 % of the progress, a number lies beyond it."
    if progress.goal(run, "answer_probability")[1]:
        return f"{text}. Without such a model, the goal is the target's value on the holdout set, which it never saw."
    return f"{text}. Neither such a model nor a holdout set was given, so the goal is unknown."


def _with_interval(value: float | None, interval: tuple | None, digits: int = 3, beside: tuple = ()) -> list:
    """A number and its interval (low, high) as a text; the number is told apart from those beside it."""
    ends = span(*interval, value, digits=digits) if interval and value is not None else ""
    if not ends:
        return [apart(value, *beside, digits=digits)[0]]
    return [apart(value, *interval, *beside, digits=digits)[0], " ", ("small", ends)]


CAPTIONS = {
    "forget": "Forget set: what should go.",
    "retain": "Retain set: what should stay.",
    "holdout": "Holdout set: rows of the same kind that no model has seen.",
    "general": "General knowledge: what should stay.",
}


def exams(run: Run) -> list[str]:
    """The run's exams, which are sets of their own."""
    return [split for split in run.models.get("unlearned", {}) if is_exam(split)]


def split_tables(run: Run, split: str) -> list:
    """The before/after table of a set; minor metrics are folded away below it."""
    models = [model for model in ROLES if split in run.models.get(model, {})]
    known = {name for model in models for name, value in run.models[model][split].items() if value is not None}
    columns = ("metric", *(ROLES[model] for model in models), "change", "goal")
    columns += ("progress",) if split == "forget" else ()
    main, minor = [], []
    for name in words.metric_order(known):
        before, after, p = progress.change(run, split, name)
        pairs = {"target": (after,), "unlearned": (before,)}  # what rose or fell is seen to
        cells = [
            _with_interval(run.value(model, split, name), run.interval(model, split, name), 3, pairs.get(model, ()))
            for model in models
        ]
        row = [doc(name).label, *cells, sentences.tested(p, before, after), *_goal_cells(run, split, name)]
        (minor if doc(name).minor else main).append(row)
    blocks: list = (
        [Table(columns, main, caption=CAPTIONS.get(split, f"Exam: {split.partition('_')[2].replace('_', ' ')}."))]
        if main
        else []
    )
    return blocks + ([Details(f"More numbers of the {split} set", [Table(columns, minor)])] if minor else [])


def _goal_cells(run: Run, split: str, metric: str) -> list[str]:
    """The goal of a metric on a set and, on the forget set, the share of the way to it."""
    if split == "holdout":
        return ["unchanged"]
    if is_exam(split):
        return ["–"]
    if split != "forget":
        return [{"higher": "not lower", "lower": "not higher"}[doc(metric).direction[split]]]
    aim, source = progress.goal(run, metric)
    share = progress.forget_way(run, metric)
    return [f"→ {number(aim)}" if source else "–", "–" if share is None else words.percent(share)]


def metric_glossary(run: Run) -> Table:
    """What each metric of the run shows and does not show."""
    names = words.metric_order({name for model in run.models.values() for table in model.values() for name in table})
    rows = [(doc(name).label, doc(name).summary, doc(name).limits) for name in names]
    return Table(("metric", "shows", "does not show"), rows, words=3)


FOLDED = ("membership_", "refusal_")  # numbers with these beginnings are folded away, but for the first test


def comparison_table(run: Run) -> list:
    """The numbers from several models or sets together, with what each shows and does not show."""

    def cell(name: str) -> list:
        value, low, high = (finite(run.comparison.get(key)) for key in (name, f"{name}_low", f"{name}_high"))
        return _with_interval(value, (low, high), 0 if name.endswith("_n") else 3)

    models = [model for model in ROLES if model in run.models]
    main, rest = [], []
    for name, (label, shows, limits) in words.COMPARISON_DOCS.items():
        names = [name if model == "unlearned" else f"{name}_{model}" for model in models]
        if any(finite(run.comparison.get(key)) is not None for key in names):
            folded = name.startswith(FOLDED) and name != "membership_auc"
            (rest if folded else main).append([label, *map(cell, names), shows, limits])
    for name, value in run.comparison.items():
        if finite(value) is not None and words.comparison_key(name) not in words.COMPARISON_DOCS:
            cells = [cell(name) if model == "unlearned" else "–" for model in models]
            rest.append([name.replace("_", " "), *cells, "", ""])
    columns = ("number", *(ROLES[model] for model in models), "shows", "does not show")
    blocks: list = [Table(columns, main, caption="Overall numbers.", tail=2)] if main else []
    return blocks + ([Details("More of these numbers", [Table(columns, rest, tail=2)])] if rest else [])


# ---------------------------------------------------------------------------------------------------------------------
# Answers, resistance, attacks


def answers(run: Run) -> list:
    """Answers before and after with changed words marked: forget rows, then a few retain rows."""
    blocks: list = []
    for split, count in (("forget", FORGET_ROWS), ("retain", RETAIN_ROWS)):
        rows = progress.shown_rows(run, split, count)
        if rows:
            total = len(per_row(run, split)["index"])
            blocks.append(Heading(f"{split.capitalize()} set: {len(rows)} of {total} rows", 3))
            blocks += [verdict.answer_card(row, _probabilities(row)) for row in rows]
    if not blocks:
        return []
    text = [
        "Rows are picked evenly, not by hand, from the least to the most likely true answer after unlearning. ",
        ("gone", "Struck through"),
        ": only in the answer before. ",
        ("new", "Underlined"),
        ": only in the answer after.",
    ]
    return [Heading("Answers side by side"), Paragraph(text), *blocks]


def _probabilities(row: dict) -> str:
    """The probability of a row's true answer for each model."""
    tables = {role: row.get(f"metrics_{role}") for role in ROLES.values()}
    known = {role: finite(table.get("answer_probability")) for role, table in tables.items() if isinstance(table, dict)}
    known = {role: value for role, value in known.items() if value is not None}
    texts = apart(*known.values(), digits=2)
    told = ", ".join(f"{role} {text}" for role, text in zip(known, texts))
    return f"probability of the true answer: {told}" if told else ""


def attacks(run: Run) -> list:
    """What attacks brought back, each model with the same budget."""
    rows = progress.attack_rows(run)
    if not rows:
        text = "No attack was run: --attacks all tries to bring the knowledge back."
        return [Heading("Under attack"), Paragraph(text)]
    text = (
        "Every model gets the same attack budget. Excess: what the attack adds to the unlearned model over what it "
        "adds to the retrained one, as a share of what separates target and retrained model, with its 90 % interval."
    )
    main = progress.main_attack_rows(run)
    rest = [row for row in rows if row not in main]
    blocks: list = [Heading("Under attack"), Paragraph(text), _attack_table(main)]
    sampled = run.attacks.get("sampling", {}).get("unlearned", {})
    said, samples = sampled.get("secret_samples"), sampled.get("samples")
    if said is not None and samples is not None:
        told = sentences.secrets_said(round(said), round(samples), sampled.get("secret_bound"))
        blocks.append(Paragraph(told))
    return blocks + ([Details("More numbers of the attacks", [_attack_table(rest)])] if rest else [])


def _attack_table(rows: list[dict]) -> Table:
    cells = [
        [[("user", row["attack"].replace("_", " "))], [("user", words.attack_label(row["attack"], row["metric"]))],
         [apart(row["excess"], MOST)[0], " ", ("small", span(row["low"], row["high"], row["excess"], MOST))],
         ", ".join(map(str, row["leaks"])) or "–",
         *apart(*(row[key] for key in ("before", "unlearned", "retrained", "target")))]
        for row in rows
    ]  # fmt: skip
    columns = ("attack", "number", "excess", "rows that leak", "after unlearning", "and attacked",
               "retrained, attacked", "target, attacked")  # fmt: skip
    return Table(columns, cells, words=2)


# ---------------------------------------------------------------------------------------------------------------------
# Training and settings


def _training_sentence(run: Run) -> str:
    if not run.steps:
        return "No training step was logged."
    last = int(max(run.steps, key=lambda line: line["step"])["step"])
    parts = [f"{counted(last, 'optimizer step')} of {run.method.replace('_', ' ')}"]
    if (seconds := run.seconds("unlearning")) is not None:
        parts.append(f"{words.duration(seconds)} of {words.duration(run.timing.get('total_seconds'))} in all")
    if (peak := finite(run.timing.get("peak_memory_gib"))) is not None:
        parts.append(f"peak memory {number(peak, 1)} GiB")
    messages = [str(line.get("message") or "") for line in run.events]
    return " ".join([", ".join(parts) + ".", *(f"{text[:1].upper()}{text[1:]}." for text in messages if text)])


def appendix(run: Run) -> list:
    """Notes, the command that repeats the run, environment, configuration, and time per stage."""
    grouped: dict[str, list[str]] = {}
    for key, note in run.notes.items():
        grouped.setdefault(note, []).append(key)
    items: list = [[("code", ", ".join(keys)), ": ", ("user", note)] for note, keys in grouped.items()]
    items += [["while reading this run: ", ("user", problem)] for problem in run.problems]
    blocks: list = [Heading("Notes"), Bullets(items) if items else Paragraph("None.")]
    command = run.config.get("command")
    if isinstance(command, list) and command:
        blocks += [Heading("How to repeat this run"), Code(shlex.join(map(str, command)))]
    settings = [(key, value) for key, value in run.config.items() if key != "command" and value not in (None, "")]
    if environment := [*_flat(run.environment)]:
        blocks.append(Details("Environment", [_settings_table(environment)]))
    blocks.append(Details("Configuration", [_settings_table(settings)]))
    stages = run.timing.get("seconds")
    if isinstance(stages, dict) and stages:
        cells = [[[("user", str(name))], words.duration(value)] for name, value in stages.items()]
        blocks.append(Details("Where the time went", [Table(("stage", "time"), cells)]))
    return blocks


def _flat(value: dict, prefix: str = ""):
    """(dotted name, value) of nested settings."""
    for key, below in value.items():
        if isinstance(below, dict):
            yield from _flat(below, f"{prefix}{key}.")
        elif below is not None:
            yield f"{prefix}{key}", below


def _settings_table(pairs) -> Table:
    rows = [[[("code", str(key))], [("user", str(value))]] for key, value in pairs]
    return Table(("setting", "value"), rows, words=2)


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
    parser.add_argument("runs", nargs="*", help="run folders (default: every finished run under results/runs/)")
    parser.add_argument(
        "--output_dir", help="folder to write to (default: the run's own folder, or comparison/ beside several runs)"
    )
    parser.add_argument("--utility_budget", type=_share, default=0.95, metavar="SHARE",
                        help="share of the target's utility below which a method is marked [0.95]")  # fmt: skip
    parser.add_argument("--shared_folders", action="store_true",
                        help="let the group read and write what is written (else the owner alone)")  # fmt: skip
    return parser


def main(argv=None) -> int:
    """Writes a report or a comparison; returns the exit code."""
    args = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a folder name must not crash an ASCII terminal
    try:
        with private.created(args.shared_folders):
            print(_write(args))
        unusable = len(args.runs) > 1 and read_runs(args.runs)[1]
        return RunError.exit_code if unusable else 0
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
        print(f"note: older runs directly in {RUNS.parent}: {len(old)}; new runs go to {RUNS}")
        finished += old
    for folder in others:
        print(f"left out: {folder} is not finished (no report.html)", file=sys.stderr)
    if not finished:
        raise RunError(f"{RUNS}: no finished run (a folder with config.json and report.html)")
    if len(finished) == 1:
        return write_report(finished[0], args.output_dir)
    return compare_runs(finished, args.output_dir or RUNS / "comparison", args.utility_budget)


if __name__ == "__main__":
    sys.exit(main())
