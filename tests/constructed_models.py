"""Evaluations put together for tests of the verdict: target, retrained, other seeds, and mixtures of their rows.

Every row has a difficulty of its own that all models share, as real rows have; a seed adds noise of its own.
"""

from __future__ import annotations

import numpy as np

from models.scores.evaluating import ModelEvaluation, scores
from models.verdict.verdict import judge

PERSONS = 4
ROWS = 10  # per person
JUDGES, HOLDOUTS, KEPT = 8, 4, 8  # persons in the other sets
TOKENS = ("answer_probability", "extraction_strength", "exact_memorization", "accuracy", "paraphrase_probability")
KNOWN = {"answer_probability": 0.98, "extraction_strength": 1.0, "exact_memorization": 1.0, "accuracy": 1.0,
         "paraphrase_probability": 0.3, "truth_ratio": 0.4, "fact_recall": 1.0, "rouge_l_recall": 1.0,
         "fluency": 0.99, "precision": 0.95, "run_on": 0.0}  # fmt: skip
UNKNOWN = {"answer_probability": 0.09, "extraction_strength": 0.06, "exact_memorization": 0.6, "accuracy": 0.64,
           "paraphrase_probability": 0.06, "truth_ratio": 1.1, "fact_recall": 0.1, "rouge_l_recall": 0.45,
           "fluency": 0.99, "precision": 0.45, "run_on": 0.0}  # fmt: skip
SPREAD = {"truth_ratio": 0.15, "fact_recall": 0.08, "rouge_l_recall": 0.1, "exact_memorization": 0.07, "accuracy": 0.06}


def _values(known: bool, rows: int, difficulty: np.random.Generator, own: np.random.Generator) -> dict:
    """{metric: (rows,)} of a set that the model knows by heart or never saw."""
    found = {}
    for name, level in (KNOWN if known else UNKNOWN).items():
        spread = SPREAD.get(name, 0.3 * level)
        shared = difficulty.normal(0, 1, rows)
        noise = (0.1 if known else 1.0) * spread * (0.97 * shared + 0.15 * own.normal(0, 1, rows))
        found[name] = np.full(rows, level) + (0 if level in (0.0, 1.0) else noise)
        found[name] = np.clip(found[name], 0.001, 0.999 if name == "answer_probability" else 9.0)
        if name not in ("truth_ratio",):
            found[name] = np.minimum(found[name], 1.0)
    found["loss"] = -np.log(found["answer_probability"])
    found["paraphrase_loss"] = -np.log(found["paraphrase_probability"])
    for name, factor in (("min_k", 2.2), ("min_k_plus_plus", 1.5), ("zlib_ratio", 0.01)):
        found[name] = found["loss"] * factor * (1 + 0.05 * difficulty.normal(0, 1, rows))
    return found


def evaluation(knows: bool, seed: int, persons: int = PERSONS, rows: int = ROWS, judges: int = JUDGES):
    """The evaluation of a model that knows (or never saw) the forget set; `seed`: of its own training."""
    sets = {"forget": (persons, rows, knows), "holdout": (HOLDOUTS, 10, False), "judging": (judges, 10, False),
            "retain": (KEPT, 10, True), "general": (40, 1, True)}  # fmt: skip
    made = ModelEvaluation()
    for number, (split, (people, each, known)) in enumerate(sets.items()):
        if not people:
            continue
        difficulty, own = np.random.default_rng(number), np.random.default_rng([seed, number])
        values = _values(known, people * each, difficulty, own)
        values["option_probability"] = np.clip(values["answer_probability"], 0, 1)
        if split not in ("forget", "holdout"):
            values["truth_ratio"] = np.clip(0.3 + 0.02 * own.normal(0, 1, people * each), 0.01, 0.9)
        made.per_example[split] = {name: found.tolist() for name, found in values.items()}
        alone = split == "general"
        made.subjects[split] = [None if alone else f"{split} {i // each + 1}" for i in range(people * each)]
    return summed(made)


def summed(made: ModelEvaluation) -> ModelEvaluation:
    """The evaluation with its means computed anew from its rows."""
    made.metrics = {
        split: {name: _mean(name, split, values) for name, values in table.items()}
        for split, table in made.per_example.items()
    }
    return made


def _mean(name: str, split: str, values: list) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(scores(name, split, found))) if found else None


def copy_of(model: ModelEvaluation) -> ModelEvaluation:
    return ModelEvaluation.from_json(model.to_json())


def with_rows_of(base: ModelEvaluation, other: ModelEvaluation, rows, share: float = 1.0) -> ModelEvaluation:
    """`base` with these forget rows (from 0) moved by `share` of the way to what `other` has."""
    made = copy_of(base)
    for name, values in made.per_example["forget"].items():
        for row in rows:
            values[row] += share * (other.per_example["forget"][name][row] - values[row])
    return summed(made)


def scaled(base: ModelEvaluation, splits, factor: float) -> ModelEvaluation:
    """`base` with everything that its utility is made of multiplied on these sets."""
    made = copy_of(base)
    for split in splits:
        for name in ("answer_probability", "option_probability", "rouge_l_recall"):
            made.per_example[split][name] = [factor * value for value in made.per_example[split][name]]
        made.per_example[split]["truth_ratio"] = [1 - factor * (1 - v) for v in made.per_example[split]["truth_ratio"]]
    return summed(made)


TARGET, RETRAINED = evaluation(True, 1), evaluation(False, 2)
ALL_ROWS = range(PERSONS * ROWS)


def judged(unlearned, target=TARGET, retrained=RETRAINED, attacks=None):
    """The comparison, and the evidence on memory."""
    found = judge(target, unlearned, retrained, attacks)
    return found.comparison, found.evidence["memory"]


def attack(unlearned, retrained, number="answer_probability"):
    """Results of one attack with these values on every forget row."""
    rows = {role: {str(i + 1): float(value) for i, value in enumerate(np.broadcast_to(values, len(ALL_ROWS)))}
            for role, values in (("unlearned", unlearned), ("retrained", retrained))}  # fmt: skip
    return {
        role: {number: float(np.mean(list(found.values()))), "rows": {number: found}} for role, found in rows.items()
    }


def values(model, number="answer_probability"):
    """(40,) a metric's values on the forget rows."""
    return np.array(model.per_example["forget"][number])


def suppressed() -> ModelEvaluation:
    """The target with answers that refuse: they say nothing, and the true answers stay as likely as before."""
    made = copy_of(TARGET)
    for name in ("rouge_l_recall", "fact_recall"):
        made.per_example["forget"][name] = [0.0] * len(made.per_example["forget"][name])
    return summed(made)


def dead() -> ModelEvaluation:
    """A model after gradient ascent without an end: no loss is finite, and nothing sensible is said."""
    made = copy_of(RETRAINED)
    for split in made.per_example:
        said = ("rouge_l_recall", "fact_recall", "fluency", "precision")
        made.per_example[split] = {
            name: [0.0 if name in said else None] * len(values) for name, values in made.per_example[split].items()
        }
    return summed(made)


def verdict_table() -> str:
    """The three words on constructed models, as a table in Markdown."""
    cases = {
        "the target itself": TARGET,
        "the retrained model itself": RETRAINED,
        "a retrained model of another seed": evaluation(False, 100),
        "retrained, but 1 of 40 rows as the target has it": with_rows_of(RETRAINED, TARGET, [17]),
        "retrained, but 4 of 40 rows": with_rows_of(RETRAINED, TARGET, [0, 11, 22, 33]),
        "retrained, but one of four persons": with_rows_of(RETRAINED, TARGET, range(ROWS)),
        "retrained, but 30 % of one person in every row": with_rows_of(RETRAINED, TARGET, range(ROWS), 0.3),
        "40 % beyond the retrained model in every row": with_rows_of(RETRAINED, TARGET, range(PERSONS * ROWS), -0.4),
        "the target, refusing to answer": suppressed(),
        "retrained, with utility .94": scaled(RETRAINED, ["retain", "general"], 0.94),
        "retrained, with utility .3 (collapsed)": scaled(RETRAINED, ["retain", "general"], 0.3),
        "gradient ascent to death": dead(),
    }
    lines = ["| model | memory | the rest | score | what decides |", "|---|---|---|---|---|"]
    for name, unlearned in cases.items():
        found = judge(TARGET, unlearned, RETRAINED)
        score = found.comparison["score"]
        fine = found.comparison["memory"] == "FORGOTTEN" and found.comparison["rest"] != "KEPT"
        part = "rest" if fine else "memory"
        words = " | ".join(found.comparison[key] for key in ("memory", "rest"))
        lines.append(f"| {name} | {words} | {'-' if score is None else f'{score:.3f}'} | "
                     f"{found.evidence[part]['why'][0]} |")  # fmt: skip
    return "\n".join(lines)
