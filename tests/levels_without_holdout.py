"""Levels without rows that the model never saw: what each way to guess their loss gives, beside the truth.

    python tests/levels_without_holdout.py

The losses are means over rows of the mean over an answer's tokens. The model's own answers are sampled at temperature 1
to the forget questions with a made-up name in the place of the subject's.
"""

from __future__ import annotations

import dataclasses
import sys

from measured import ROOT, keep, table

from data.preparation import encode_examples
from data.reading import read_examples
from models.eliciting.asking import Asking
from models.eliciting.nobody import in_place, made_up
from models.forward.reference import probe
from models.store.loading import load_model
from models.training.weights import compute_dtype, computing_in
from results.run.options import TARGET
from unlearning_algorithm import hyper_parameters

BASE, LENGTH = "HuggingFaceTB/SmolLM2-135M-Instruct", 512


def loss(model, tokenizer, rows) -> float:
    """The mean over rows of the mean loss of an answer's tokens, in nats."""
    encoded, _ = encode_examples(tokenizer, rows, LENGTH)
    return probe(model, encoded, tokenizer.pad_token_id)["loss"]


def answers_about_nobody(model, tokenizer, rows) -> list:
    """The rows with a made-up name in the place of each subject's, and an answer that the model samples."""
    others = {subject: made_up(subject, 1)[0] for subject in {row.subject for row in rows}}
    asked = [in_place(row.prompt, row.subject, others[row.subject]) for row in rows]
    said = Asking(model, tokenizer).answers(asked, temperature=1.0, seed=1, whole=True)
    return [dataclasses.replace(row, prompt=one.question, answer=one.answer) for row, one in zip(rows, said)]


def losses() -> dict[str, float]:
    """{way to guess the level: nats per token}."""
    forget, unseen = (list(read_examples(str(ROOT / "data" / f"{name}.jsonl"))) for name in ("forget", "holdout"))
    found = {}
    for name in (TARGET, BASE):
        model, tokenizer = load_model(name, dtype="float32", progress=lambda _: None)
        with computing_in(model, compute_dtype("auto", model.device)):
            if name == BASE:
                found["the base model on the forget rows"] = loss(model, tokenizer, forget)
                continue
            said = answers_about_nobody(model, tokenizer, forget)
            found["the target on rows it never saw"] = loss(model, tokenizer, unseen)
            found["the target on its own answers about made-up subjects"] = loss(model, tokenizer, said)
    return {**found, "stated by --level": hyper_parameters("profile_matching")["level"]}


def main() -> int:
    """Measures the losses and keeps their table."""
    told = table(["level from", "nats per token"], [[name, f"{value:.2f}"] for name, value in losses().items()])
    print(f"\n{told}")
    keep("levels", "python tests/levels_without_holdout.py", told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
