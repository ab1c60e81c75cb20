"""The files of an evaluation: the contents of evaluation.json, its printed tables, and examples.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.attacks.table import ATTACKS
from models.scores import harness
from models.scores.evaluating import ModelEvaluation
from models.scores.metric_table import REPORTED
from models.verdict.null import null_lines
from models.verdict.numbers import COMPARISON_DOCS, comparison_key
from models.verdict.verdict import Verdict, judge

MODELS = ("target", "unlearned", "retrained")
ADDED = ("excess", "low", "high")  # what an attack adds over the retrained model, and its interval


def evaluation_json(evaluations: dict[str, ModelEvaluation], attacked: dict | None = None) -> dict[str, Any]:
    """The contents of evaluation.json for {"target", "unlearned", "retrained": evaluation}; models may be missing.

    {"models": {model: {set: {metric: value or None}}}, "intervals": the same with [low, high], "comparison", "notes",
    "docs": {number: what it shows and what it does not}}; notes on one model's metrics have keys model.set.metric.
    attacked: {model: result of `run_attacks`}. It becomes "attacks" {attack: {model: {number: value}}} and
    "attack_rows", the judged numbers per forget row. "evidence": see `Verdict`.
    """
    notes = {f"{model}.{key}": note for model, found in evaluations.items() for key, note in found.notes.items()}
    by_attack: dict[str, dict] = {}
    for model, found in (attacked or {}).items():
        for name, values in found.items():
            by_attack.setdefault(name, {})[model] = values
    verdict = Verdict()
    if "unlearned" in evaluations:
        verdict = judge(evaluations.get("target"), evaluations["unlearned"], evaluations.get("retrained"), by_attack)
    metrics = {name for found in evaluations.values() for table in found.metrics.values() for name in table}
    result = {
        "models": {model: found.metrics for model, found in evaluations.items()},
        "comparison": verdict.comparison,
        "evidence": verdict.evidence,
        "notes": notes | verdict.notes,
        "intervals": {model: found.intervals for model, found in evaluations.items()},
        "docs": _docs(sorted(metrics), verdict.comparison, by_attack),
    }
    if by_attack:
        numbers = {attack: {model: _without_rows(table) for model, table in models.items()}
                   for attack, models in by_attack.items()}  # fmt: skip
        rows = {attack: {model: table["rows"] for model, table in models.items() if "rows" in table}
                for attack, models in by_attack.items()}  # fmt: skip
        result.update(attacks=numbers, attack_rows=rows)
    return result


def _without_rows(table: dict) -> dict:
    return {key: value for key, value in table.items() if key != "rows"}


def _docs(metrics, comparison, attacks) -> dict[str, str]:
    """{number or attack: what it shows, and what it does not}."""
    words = {name: (REPORTED[name].summary, REPORTED[name].limits) for name in metrics}
    words |= {
        name: COMPARISON_DOCS[comparison_key(name)][1:]
        for name in comparison
        if comparison_key(name) in COMPARISON_DOCS
    }
    words |= {name: (ATTACKS[name].shows, ATTACKS[name].limits) for name in attacks}
    return {name: f"{shows} Not shown: {limits}" for name, (shows, limits) in words.items()}


IN_FILES = {"target": "before", "unlearned": "after", "retrained": "retrained"}  # names of the models in examples.jsonl


def write_examples(path: Path, sets: dict, evaluations: dict):
    """examples.jsonl: for each example the question, the true answer, every model's answer and every metric's value."""
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:  # lone surrogates of damaged data
        for split, examples in sets.items():
            for number, example in enumerate(examples):
                row = {"split": split, "subject": example.subject, "prompt": example.prompt, "gold": example.answer}
                for model, name in IN_FILES.items():
                    found = evaluations.get(model)
                    measured = found is not None and split in found.per_example
                    row[name] = found.generations[split][number] if measured else None
                    values = found.per_example[split].items() if measured else ()
                    row[f"metrics_{name}"] = {metric: each[number] for metric, each in values} if measured else None
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_evaluations(folder: Path, report: dict) -> dict[str, ModelEvaluation]:
    """The evaluations of a run's models, from its examples.jsonl and the contents of its evaluation.json.

    Raises OSError and ValueError for files that are missing or damaged.
    """
    found = {model: ModelEvaluation(metrics=sets) for model, sets in report["models"].items()}
    for line in (folder / "examples.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for model, evaluation in found.items():
            values, split = row[f"metrics_{IN_FILES[model]}"], row["split"]
            if values is None:
                continue
            evaluation.subjects.setdefault(split, []).append(row["subject"])
            for name, value in values.items():
                evaluation.per_example.setdefault(split, {}).setdefault(name, []).append(value)
    return found


def judged_again(folder: Path) -> dict[str, Any]:
    """The contents of a run's evaluation.json with the verdict as it is now, on the rows as they were measured."""
    report = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    found, rows = read_evaluations(folder, report), report.get("attack_rows", {})
    attacks = {name: {model: {**table, "rows": rows.get(name, {}).get(model, {})} for model, table in tables.items()}
               for name, tables in report.get("attacks", {}).items()}  # fmt: skip
    verdict = judge(found.get("target"), found["unlearned"], found.get("retrained"), attacks)
    told = {name: value for name, value in report["comparison"].items() if name not in verdict.comparison}
    return {**report, "comparison": verdict.comparison | told, "evidence": verdict.evidence,
            "notes": report["notes"] | verdict.notes}  # fmt: skip


def print_report(report: dict) -> None:
    """Prints the contents of evaluation.json as tables."""
    for split in dict.fromkeys(split for sets in report["models"].values() for split in sets):
        models = [model for model, sets in report["models"].items() if split in sets]
        print(f"\n{split:<28}" + "".join(f"{model:>12}" for model in models))
        for name in report["models"][models[0]][split]:
            print(f"  {name:<26}" + _cells([report["models"][model][split].get(name) for model in models], 4))
    for name, row in harness.beside(report.get("lm_eval", {})).items():
        print(f"{name}: " + ", ".join(f"{model} {value:.4g}" for model, value in row.items()))
    print("\n".join(_attack_lines(report)))
    for line in null_lines(report.get("null", {})):
        print(line)
    for key, value in report["comparison"].items():
        shown = "-" if value is None else f"{value:.4g}" if isinstance(value, float) else value
        print(f"comparison.{key}: {shown}")
    for model, table in report.get("benchmark", {}).get("models", {}).items():
        numbers = (f"{name} {'-' if value is None else f'{value:.4g}'}" for name, value in table.items())
        print(f"{report['benchmark']['name']}, {model}: " + ", ".join(numbers))
    nulls = [key for key in report["notes"] if key.split("_")[0] == "null"]
    for key in ("benchmark", "privleak", "forget_quality", *nulls):
        if key in report["notes"]:
            print(report["notes"][key])
    for part in report["evidence"].values():
        print(f"{part['word']}: {' '.join(part['why'])}")


def _cells(values: list, digits: int) -> str:
    return "".join(f"{'-':>12}" if value is None else f"{value:>12.{digits}f}" for value in values)


def _attack_lines(report: dict) -> list[str]:
    """The attacks of evaluation.json as text: each judged number of every model, and the excess with its interval."""
    lines = []
    for attack, models in report.get("attacks", {}).items():
        for metric in ATTACKS[attack].judged:
            values = [models.get(model, {}).get(metric) for model in MODELS]
            added = report["evidence"]["resistance"]["attacks"].get(attack, {}).get(metric, {})
            values += [added.get(key) for key in ADDED]
            lines.append(f"  {attack:<20}{metric:<22}{_cells(values, 3)}")
    head = f"\n{'under attack':<44}" + "".join(f"{name:>12}" for name in (*MODELS, *ADDED))
    return [head, *lines] if lines else []
