"""Writes README.md's tables from the code, results/examples and tests/measured, between `<!-- x -->` marks.

python tests/readme_tables.py
"""

from __future__ import annotations

import csv
import functools
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

sys.path.insert(0, str(ROOT / "tests"))

import auto_against_default  # noqa: E402
import measured  # noqa: E402
import rivals  # noqa: E402

import evaluation_metrics  # noqa: E402
import unlearning_algorithm as algorithm  # noqa: E402

SHOWN = ("accuracy", "answer_probability", "extraction_strength", "exact_memorization", "rouge_l_recall", "f1", "loss",
         "truth_ratio")  # fmt: skip


def methods_table() -> str:
    """Methods by family, with their papers and known failures."""
    lines = ["| method | family | what it does | known failure | paper |", "|---|---|---|---|---|"]
    for family in algorithm.FAMILIES:
        for method in algorithm.METHODS.values():
            if method.family == family:
                star = " (family default)" if algorithm.FAMILY_DEFAULTS[family] == method.name else ""
                cells = [f"`{method.name}`{star}", family, method.summary, method.known_failure, method.paper]
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def metrics_table() -> str:
    """Metrics with what each shows."""
    lines = ["| metric | what it shows |", "|---|---|"]
    lines += [f"| `{metric.name}` | {metric.summary} |" for metric in evaluation_metrics.METRICS.values()]
    return "\n".join(lines)


def results_table() -> str:
    """The default run's numbers, from results/examples/default_run."""
    report = json.loads((ROOT / "results" / "examples" / "default_run" / "evaluation.json").read_text(encoding="utf-8"))
    models = [name for name in ("target", "unlearned", "retrained") if name in report["models"]]
    lines = ["| set | metric | " + " | ".join(models) + " |", "|---|---|" + "---|" * len(models)]
    for split in ("forget", "retain", "holdout", "general"):
        for metric in (*SHOWN, *(("multiple_choice_accuracy",) if split == "general" else ())):
            values = [report["models"][name].get(split, {}).get(metric) for name in models]
            if any(value is not None for value in values):
                cells = ["-" if value is None else f"{value:.3f}" for value in values]
                lines.append(f"| {split} | {metric} | " + " | ".join(cells) + " |")
    comparison = report["comparison"]
    wanted = ("forget_quality", "forget_quality_statistic", "forget_quality_n", "model_utility", "membership_auc",
              "privacy_leakage", "verdict", "weakest_part")  # fmt: skip
    told = [f"{name} {shown(comparison[name])}" for name in wanted if comparison.get(name) is not None]
    return "\n".join([*lines, "", "Against the retrained model: " + ", ".join(told) + "."])


COMPARED = {  # column of the table: column of comparison.csv
    "forget accuracy": "forget.accuracy", "extraction strength": "forget.extraction_strength",
    "forget quality p": "forget_quality", "retain accuracy, of target's": "retain_accuracy_share",
    "model utility, of target's": "model_utility_share", "membership AUC": "membership_auc", "score": "score",
    "seconds": "seconds", "peak memory, GiB": "peak_memory_gib",
}  # fmt: skip
COMPARISON = ROOT / "results" / "examples" / "comparison" / "comparison.csv"


def comparison_table(path: Path = COMPARISON) -> str:
    """One row per method or setting of a comparison, means over its seeds, the best two-sided score first."""
    if not path.exists():
        return ""
    with open(path, newline="", encoding="utf-8") as file:
        groups: dict[str, list[dict]] = {}
        for row in csv.DictReader(file):
            groups.setdefault(row["group"], []).append(row)

    def mean(rows, column):
        values = [float(row[column]) for row in rows if row.get(column)]
        return sum(values) / len(values) if values else None

    def verdict(rows):
        found = [row["verdict"] for row in rows]
        return ", ".join(
            word if len(set(found)) == 1 else f"{word} {found.count(word)}x" for word in dict.fromkeys(found)
        )

    lines = ["Methods side by side, the best two-sided score first (`results/examples/comparison/`):", ""]
    lines += ["| method | " + " | ".join(COMPARED) + " | verdict |", "|---" * (len(COMPARED) + 2) + "|"]
    for group, rows in sorted(groups.items(), key=lambda item: -(mean(item[1], "score") or -1)):
        name = rows[0]["method"]
        name = f"`{name}`" + (f" ({group.split(' (', 1)[1]}" if " (" in group else "")
        values = [mean(rows, column) for column in COMPARED.values()]
        cells = ["-" if value is None else f"{value:.3f}" if value < 10 else f"{value:.0f}" for value in values]
        lines.append(f"| {name}{f', {len(rows)} seeds' if len(rows) > 1 else ''} | " + " | ".join(cells)
                     + f" | {verdict(rows)} |")  # fmt: skip
    return "\n".join(lines)


REQUESTS = ROOT / "results" / "examples" / "requests" / "requests.json"


def requests_table(path: Path = REQUESTS) -> str:
    """One row per deletion request of `tests/four_requests.py`: when asked, right after, and on the last model."""
    if not path.exists():
        return "`python tests/four_requests.py`: not measured yet."
    told = json.loads(path.read_text(encoding="utf-8"))
    head = ["request", "answer probability: when asked", "right after", "on the last model", "retrained model"]
    head += ["extraction strength: when asked", "right after", "on the last model", "retrained model", "re-test"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in told["requests"]:
        values = [row[when].get(metric) for metric in ("answer_probability", "extraction_strength")
                  for when in ("known", "then", "now", "retrained")]  # fmt: skip
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        lines.append("| " + " | ".join([str(row["line"]), *cells, f"{row['verdict']}: {row['why']}"]) + " |")
    kept = [f"{split} {before['answer_probability']:.3f} to {after['answer_probability']:.3f}"
            for split, (before, after) in told["kept"].items()]  # fmt: skip
    return "\n".join([*lines, "", "Answer probability of the other sets, before the first and after the last request: "
                      + ", ".join(kept) + "."])  # fmt: skip


def attacks_table() -> str:
    """What the attacks found on the default run's models, from results/examples/default_run."""
    report = json.loads((ROOT / "results" / "examples" / "default_run" / "evaluation.json").read_text(encoding="utf-8"))
    lines = ["| attack | what it does | number | target | unlearned | retrained | recovery | of retrained |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, models in report.get("attacks", {}).items():
        attack = evaluation_metrics.ATTACKS[name]
        metric = attack.judged[0]
        shares = report.get("recovery", {}).get(name, {}).get(metric, {})
        values = [models.get(model, {}).get(metric) for model in ("target", "unlearned", "retrained")]
        values += [shares.get(model) for model in ("unlearned", "retrained")]
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        lines.append(f"| `{name}` | {attack.summary} | {metric} | " + " | ".join(cells) + " |")
    if len(lines) == 2:
        return "The run that `results/examples/default_run/` holds was made without attacks."
    comparison = report["comparison"]
    told = [f"{name} {shown(comparison[name])}" for name in ("robustness", "robust_score", "verdict")
            if comparison.get(name) is not None]  # fmt: skip
    return "\n".join([*lines, "", "Put together: " + ", ".join(told) + ". " + report["notes"]["robustness"] + "."])


def shown(value) -> str:
    """A number with three digits, a word as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


MEASURED = {
    "speed": "python tests/benchmark_speed.py", "parts": "python tests/benchmark_speed.py --parts",
    "soak": "python tests/soak.py",
    **{name: f"python tests/benchmark_evaluation.py --only {name}"
       for name in ("evaluation", "growth", "preparation", "startup")},
}  # fmt: skip
TABLES = {
    "methods": methods_table, "metrics": metrics_table, "results": results_table, "attacks": attacks_table,
    "comparison": comparison_table, "rivals": rivals.rivals_table, "requests": requests_table,
    "search": auto_against_default.search_table,
    **{name: functools.partial(measured.kept, name, command) for name, command in MEASURED.items()},
}  # fmt: skip


def filled(text: str) -> str:
    """README.md with every table written anew."""
    for name, table in TABLES.items():
        block = f"<!-- {name} -->\n{table()}\n<!-- /{name} -->"
        text = re.sub(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _, block=block: block, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(filled(readme.read_text(encoding="utf-8")), encoding="utf-8")
