"""Writes the tables of all READMEs, each between two comments that name it.

    python tests/readme_tables.py

Numbers come from results/examples and tests/measured, words from the tables of the code, file lists from docstrings.
"""

from __future__ import annotations

import ast
import csv
import functools
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import auto_against_default  # noqa: E402
import constructed_models  # noqa: E402
import default_seeds  # noqa: E402
import forget_authors  # noqa: E402
import forget_documents  # noqa: E402
import forget_kinds  # noqa: E402
import forget_names  # noqa: E402
import measured  # noqa: E402
import rivals  # noqa: E402
from measured import PARTS, standing, table, words_of  # noqa: E402

import evaluation_metrics  # noqa: E402
import unlearning_algorithm as algorithm  # noqa: E402
from data.documents import formats  # noqa: E402

READMES = ("README.md", "data/README.md", "models/README.md", "results/README.md", "results/examples/README.md",
           "tests/README.md")  # fmt: skip
EXAMPLES = ROOT / "results" / "examples"
DEFAULT_RUN = EXAMPLES / "default_run" / "evaluation.json"
COMPARISON = EXAMPLES / "comparison" / "comparison.csv"
REQUESTS = EXAMPLES / "requests" / "requests.json"
WRITTEN = ("runs", "saved", "examples", "measured", "kinds")  # folders that hold results or samples, not modules


def decimals(value) -> str:
    """A number with three decimals, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def named(comparison: dict, names) -> str:
    """Those numbers and words of a comparison that exist, each after its name."""
    shown = {name: value for name in names if (value := comparison.get(name)) is not None}
    return ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in shown.items())  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# From the code


def modules(folder: str) -> list[Path]:
    """The modules of a folder, room by room, `__init__.py` first."""
    rooms = [path for path in (ROOT / folder).iterdir() if path.is_dir() and path.name not in WRITTEN]
    found = [*(ROOT / folder).glob("*.py"), *(path for room in rooms for path in room.rglob("*.py"))]
    return sorted(found, key=lambda path: (path.parent, path.name != "__init__.py", path.name))


def first_line(path: Path) -> str:
    """The first line of a module's docstring, as a cell of a table."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "-"
    return text.splitlines()[0].replace("|", "\\|")


def files_table(folder: str) -> str:
    """The rooms and modules of a folder, each with the first line of its docstring."""
    rows = []
    for path in modules(folder):
        name = path.relative_to(ROOT / folder)
        if name.name != "__init__.py":
            rows.append([f"[`{name.as_posix()}`]({name.as_posix()})", first_line(path)])
        elif name.parent.parts:
            rows.append([f"**`{name.parent.as_posix()}/`**", f"**{first_line(path)}**"])
    return table(["file", "holds"], rows)


def methods_table() -> str:
    """A table per family: what each method does, when to use it, how it fails, its paper."""
    parts = []
    for family, text in algorithm.FAMILIES.items():
        rows = [[f"`{m.name}`", m.summary, m.use_when, m.known_failure, m.paper]
                for m in algorithm.METHODS.values() if m.family == family]  # fmt: skip
        parts.append(f"**`{family}`**: {text}. The family's default is `{algorithm.FAMILY_DEFAULTS[family]}`.")
        parts.append(table(["method", "what it does", "use it when", "known failure", "paper"], rows))
    return "\n\n".join(parts)


def metrics_table() -> str:
    """Metrics with what each shows and does not show."""
    rows = [[f"`{metric.name}`", metric.summary, metric.limits] for metric in evaluation_metrics.METRICS.values()]
    return table(["metric", "what it shows", "what it does not show"], rows)


def documents_table() -> str:
    """Formats of documents with what is read of each."""
    rows = []
    for row in formats.FORMATS:
        suffixes = " ".join(f"`{suffix}`" for suffix in row.suffixes[:3]) + (" ..." if len(row.suffixes) > 3 else "")
        rows.append([row.name, suffixes, row.words, row.subject, f"`{row.package}`" if row.package else ""])
    return table(["format", "files", "what is read", "subject", "extra package"], rows)


def attack_list() -> str:
    """Attacks with what each does, shows and does not show."""
    rows = [[f"`{attack.name}`", attack.summary, attack.shows, attack.limits]
            for attack in evaluation_metrics.ATTACKS.values()]  # fmt: skip
    return table(["attack", "what it does", "what it shows", "what it does not show"], rows)


# ---------------------------------------------------------------------------------------------------------------------
# From kept runs


def results_table() -> str:
    """The default run's numbers."""
    report = json.loads(DEFAULT_RUN.read_text(encoding="utf-8"))
    models = [name for name in ("target", "unlearned", "retrained") if name in report["models"]]
    metrics = ("accuracy", "answer_probability", "extraction_strength", "exact_memorization", "rouge_l_recall", "f1",
               "loss", "truth_ratio")  # fmt: skip
    rows = []
    for split in ("forget", "retain", "holdout", "general"):
        for metric in (*metrics, *(("multiple_choice_accuracy",) if split == "general" else ())):
            values = [report["models"][name].get(split, {}).get(metric) for name in models]
            if any(value is not None for value in values):
                rows.append([split, metric, *map(decimals, values)])
    told = named(report["comparison"], (*PARTS, "score", "leaking_rows", "worst_person", "membership_gap",
                 "membership_gap_low", "membership_gap_high", "utility", "utility_low", "utility_high",
                 "forget_quality", "forget_quality_statistic", "forget_quality_n", "model_utility", "membership_auc",
                 "privacy_leakage"))  # fmt: skip
    return f"{table(['set', 'metric', *models], rows)}\n\nAgainst the retrained model: {told}."


def attacks_table() -> str:
    """What the attacks found on the default run's models."""
    report = json.loads(DEFAULT_RUN.read_text(encoding="utf-8"))
    judged = report.get("evidence", {}).get("resistance", {}).get("attacks", {})
    rows = []
    for name, models in report.get("attacks", {}).items():
        attack = evaluation_metrics.ATTACKS[name]
        metric = attack.judged[0]
        added = judged.get(name, {}).get(metric, {})
        values = [models.get(model, {}).get(metric) for model in ("target", "unlearned", "retrained")]
        values += [added.get(key) for key in ("excess", "low", "high")]
        rows.append([f"`{name}`", attack.summary, metric, *map(decimals, values)])
    if not rows:
        return "The run in `results/examples/default_run/` was made without attacks."
    head = ["attack", "what it does", "number", "target", "unlearned", "retrained", "excess", "from", "to"]
    told = named(report["comparison"], ("resistance", "robustness"))
    return f"{table(head, rows)}\n\nPut together: {told}."


COMPARED = {  # column of the table: column of comparison.csv
    "forget accuracy": "forget.accuracy", "extraction strength": "forget.extraction_strength",
    "leaking rows": "leaking_rows", "membership gap": "membership_gap", "forget quality p": "forget_quality",
    "model utility, of target's": "model_utility_share", "score": "score",
    "seconds": "seconds", "peak memory, GiB": "peak_memory_gib",
}  # fmt: skip


def comparison_table(path: Path = COMPARISON) -> str:
    """A row per method or setting of a comparison, means over its seeds, ordered by memory, rest and score."""
    if not path.exists():
        return ""
    groups: dict[str, list[dict]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            groups.setdefault(row["group"], []).append(row)

    def mean(runs, column):
        values = [float(run[column]) for run in runs if run.get(column)]
        return sum(values) / len(values) if values else None

    rows = []
    for group, runs in sorted(groups.items(), key=lambda item: standing(item[1])):
        name = f"`{runs[0]['method']}`" + (f" ({group.split(' (', 1)[1]}" if " (" in group else "")
        values = [mean(runs, column) for column in COMPARED.values()]
        cells = [f"{value:.0f}" if value is not None and value >= 10 else decimals(value) for value in values]
        rows.append([name + (f", {len(runs)} seeds" if len(runs) > 1 else ""), *words_of(runs), *cells])
    title = "Methods side by side, ordered by memory, rest and score (`results/examples/comparison/`):"
    return f"{title}\n\n{table(['method', *PARTS, *COMPARED], rows)}"


def requests_table(path: Path = REQUESTS) -> str:
    """A row per deletion request of `tests/four_requests.py`: when asked, right after, and on the last model."""
    if not path.exists():
        return "`python tests/four_requests.py`: not measured yet."
    told = json.loads(path.read_text(encoding="utf-8"))
    head = ["request", "verdict", "answer probability: when asked", "right after", "on the last model",
            "retrained model", "extraction strength: when asked", "right after", "on the last model", "retrained model",
            "re-test"]  # fmt: skip
    rows = []
    for row in told["requests"]:
        values = [row[when].get(metric) for metric in ("answer_probability", "extraction_strength")
                  for when in ("known", "then", "now", "retrained")]  # fmt: skip
        words = ", ".join(row[part] for part in PARTS if part in row) or "-"
        rows.append([str(row["line"]), words, *map(decimals, values), f"{row['verdict']}: {row['why']}"])
    kept = [f"{split} {before['answer_probability']:.3f} to {after['answer_probability']:.3f}"
            for split, (before, after) in told["kept"].items()]  # fmt: skip
    others = "Answer probability of the other sets, before the first and after the last request"
    return f"{table(head, rows)}\n\n{others}: {', '.join(kept)}."


def seeds_table() -> str:
    """The default run's seeds, from the files that `default_seeds.py` keeps."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(default_seeds.KEPT.glob("seed-*.json"))]
    return default_seeds.seeds_table(rows) if rows else "`python tests/default_seeds.py`: not measured yet."


def forgotten_table(name: str, made) -> str:
    """The table that the tool `forget_<name>.py` makes of its kept summary."""
    path = EXAMPLES / name / f"{name}.json"
    if not path.exists():
        return f"`python tests/forget_{name}.py`: not measured yet."
    return made(json.loads(path.read_text(encoding="utf-8")))


# ---------------------------------------------------------------------------------------------------------------------
# All tables

MEASURED = {
    "speed": "python tests/benchmark_speed.py", "parts": "python tests/benchmark_speed.py --parts",
    "sizes": "python tests/benchmark_sizes.py", "soak": "python tests/soak.py",
    "levels": "python tests/levels_without_holdout.py",
    **{name: f"python tests/benchmark_evaluation.py --only {name}"
       for name in ("evaluation", "growth", "preparation", "startup")},
}  # fmt: skip
TABLES = {
    "methods": methods_table, "documents": documents_table, "metrics": metrics_table, "attack list": attack_list,
    "constructed": constructed_models.verdict_table, "results": results_table, "attacks": attacks_table,
    "requests": requests_table,
    "names": functools.partial(forgotten_table, "names", forget_names.names_table),
    "kinds": functools.partial(forgotten_table, "kinds", forget_kinds.kinds_table),
    "passages": functools.partial(forgotten_table, "documents", forget_documents.documents_table),
    "authors": functools.partial(forgotten_table, "authors", forget_authors.authors_table),
    "seeds": seeds_table, "comparison": comparison_table, "rivals": rivals.rivals_table,
    "search": auto_against_default.search_table,
    **{name: functools.partial(measured.kept, name, command) for name, command in MEASURED.items()},
    **{f"files of {folder}": functools.partial(files_table, folder)
       for folder in ("data", "models", "results", "tests")},
}  # fmt: skip


def filled(text: str) -> str:
    """A README with every marked table written anew."""
    for name in re.findall(r"^<!-- /([\w ]+) -->$", text, re.MULTILINE):
        block = f"<!-- {name} -->\n{TABLES[name]()}\n<!-- /{name} -->"
        text = re.sub(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _, block=block: block, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    for name in READMES:
        page = ROOT / name
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
