"""What an evaluation leaves: examples.jsonl, and evaluation.json in print."""

from __future__ import annotations

import json
from pathlib import Path

from models.scores.attacks import ATTACKS

MODELS = ("target", "unlearned", "retrained")


def write_examples(path: Path, sets: dict, evaluations: dict):
    """examples.jsonl: per example the question, the true answer, what each model says, and each metric's value."""
    names = {"target": "before", "unlearned": "after", "retrained": "retrained"}
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:  # lone surrogates of damaged data
        for split, examples in sets.items():
            for number, example in enumerate(examples):
                row = {"split": split, "subject": example.subject, "prompt": example.prompt, "gold": example.answer}
                for model, name in names.items():
                    found = evaluations.get(model)
                    measured = found is not None and split in found.per_example
                    row[name] = found.generations[split][number] if measured else None
                    values = found.per_example[split].items() if measured else ()
                    row[f"metrics_{name}"] = {metric: each[number] for metric, each in values} if measured else None
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _attack_lines(report: dict) -> list[str]:
    """The attacks of evaluation.json as lines: each judged number for every model, and the shares brought back."""
    lines = []
    for attack, models in report.get("attacks", {}).items():
        for metric in ATTACKS[attack].judged:
            values = [models.get(model, {}).get(metric) for model in MODELS]
            shares = report.get("recovery", {}).get(attack, {}).get(metric, {})
            cells = [*values, *(shares.get(model) for model in MODELS[1:])]
            cells = "".join(f"{'-':>12}" if value is None else f"{value:>12.3f}" for value in cells)
            lines.append(f"  {attack:<20}{metric:<22}{cells}")
    head = f"\n{'under attack':<44}" + "".join(f"{name:>12}" for name in (*MODELS, "recovery", "its control"))
    return [head, *lines] if lines else []


def print_report(report: dict) -> None:
    """Everything that evaluation.json holds, as tables."""
    for split in dict.fromkeys(split for sets in report["models"].values() for split in sets):
        models = [model for model, sets in report["models"].items() if split in sets]
        print(f"\n{split:<28}" + "".join(f"{model:>12}" for model in models))
        for name in report["models"][models[0]][split]:
            values = [report["models"][model][split][name] for model in models]
            print(f"  {name:<26}" + "".join(f"{'-':>12}" if v is None else f"{v:>12.4f}" for v in values))
    print("\n".join(_attack_lines(report)))
    for key, value in report["comparison"].items():
        print(f"comparison.{key}: {f'{value:.4g}' if isinstance(value, float) else value}")
    for model, table in report.get("benchmark", {}).get("models", {}).items():
        numbers = (f"{name} {'-' if value is None else f'{value:.4g}'}" for name, value in table.items())
        print(f"{report['benchmark']['name']}, {model}: " + ", ".join(numbers))
    for key in ("benchmark", "privleak", "verdict", "robustness", "forget_quality"):
        if key in report["notes"]:
            print(report["notes"][key])
