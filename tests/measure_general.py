"""Measures which general-knowledge candidates the default model knows.

    python -m tests.measure_general

Writes data/general_scores.json, from which make_bundled_data.py chooses the rows of general.jsonl. Run it from
the project root after a change of the candidates; it takes a minute or two.
"""

from __future__ import annotations

import json

from data.bundled.make_bundled_data import SCORES, general_candidates
from data.columns import Example
from evaluation_metrics import evaluate_model
from models.store.default_model import DEFAULT_BASE
from models.store.loading import load_model

METRIC = "multiple_choice_accuracy"
TRUTHS = ("answer", "paraphrased_answer")


def choice(row: dict, truth: str) -> Example:
    """A question with the text in column `truth` as its answer, beside the wrong answers."""
    return Example(row[truth], row["question"], paraphrased_answer=row[truth], perturbed_answer=row["perturbed_answer"])


def main() -> None:
    """Asks each question twice, with the answer and with its paraphrase as the truth. Two right answers mean "known".

    An answer is right if the truth has the smallest mean answer-token loss of all options, in the chat template.
    """
    rows = general_candidates()
    splits = {truth: [choice(row, truth) for row in rows] for truth in TRUTHS}
    model, tokenizer = load_model(DEFAULT_BASE)
    scores = evaluate_model(model, tokenizer, splits, metrics=[METRIC]).per_example
    right = {truth: [value == 1.0 for value in scores[truth][METRIC]] for truth in TRUTHS}
    known = {row["question"]: all(pair) for row, pair in zip(rows, zip(*right.values()))}
    share = {truth: round(sum(values) / len(rows), 4) for truth, values in right.items()}
    report = {"model": DEFAULT_BASE, "candidates": len(rows), "accuracy_by_truth": share, "known": known}
    SCORES.write_bytes((json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    print(f"{SCORES}: {sum(known.values())} of {len(rows)} known; accuracy with {share}")


if __name__ == "__main__":
    main()
