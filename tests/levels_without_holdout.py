"""Levels without rows that the model never saw: each way to guess what such rows would cost, beside the truth.

    python tests/levels_without_holdout.py           # the losses, and a run with each of them
    python tests/levels_without_holdout.py --losses  # only the losses; each of the two replaces what was kept

The losses are means over rows of the mean over an answer's tokens. The model's own answers are sampled at temperature 1
to the forget questions with a made-up name in the place of the subject's. The runs take `profile_matching`, which
raises the losses to the level. All are judged in the same way, by the retrained model and the judging rows. The copies
of target and retrained model have all weights in one file, so nothing names their base.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from measured import PARTS, ROOT, keep, read, run, table

from data.reading import read_examples
from models.eliciting.asking import Asking
from models.eliciting.nobody import in_place, made_up
from models.store.loading import load_model
from models.training.weights import compute_dtype, computing_in
from results.run.options import TARGET
from unlearning_algorithm import hyper_parameters

BASE, RETRAINED = "HuggingFaceTB/SmolLM2-135M-Instruct", "models/people-retrained"
MODELS, RUNS = ROOT / "models" / "saved" / "levels", ROOT / "results" / "runs" / "levels"
STATED = hyper_parameters("profile_matching")["level"]


def mean_loss(asking: Asking, pairs: list[tuple[str, str]]) -> float:
    """The mean over answers of the mean loss of an answer's tokens and its end, in nats."""
    sizes = [len(asking.tokenizer(answer, add_special_tokens=False)["input_ids"]) + 1 for _, answer in pairs]
    return float(np.mean([loss / size for loss, size in zip(asking.losses(pairs), sizes)]))


def about_nobody(rows) -> list[str]:
    """The questions of rows with a made-up name in the place of each subject's."""
    others = {subject: made_up(subject, 1)[0] for subject in {row.subject for row in rows}}
    return [in_place(row.prompt, row.subject, others[row.subject]) for row in rows]


def losses() -> dict[str, float]:
    """{way to guess the level: nats per token}."""
    forget, unseen = (read_examples(str(ROOT / "data" / f"{name}.jsonl")) for name in ("forget", "holdout"))
    found = {}
    for name in (TARGET, BASE):
        model, tokenizer = load_model(name, dtype="float32", progress=lambda _: None)
        with computing_in(model, compute_dtype("auto", model.device)):
            asking = Asking(model, tokenizer)
            if name == BASE:
                found["the base model on the forget rows"] = mean_loss(asking, [(e.prompt, e.answer) for e in forget])
                continue
            found["the target on rows it never saw"] = mean_loss(asking, [(e.prompt, e.answer) for e in unseen])
            said = asking.answers(about_nobody(forget), temperature=1.0, seed=1, whole=True)
            found["the target on its own answers about made-up subjects"] = mean_loss(
                asking, [(one.question, one.answer) for one in said]
            )
    return {**found, "stated by --level": STATED}


def plain_copy(name: str) -> Path:
    """A copy of an adapter's model with all weights, which names no base."""
    folder = MODELS / Path(name).name
    if not (folder / "config.json").exists():
        model, tokenizer = load_model(name, dtype="float32", progress=lambda _: None)
        for part in (model, tokenizer):
            part.save_pretrained(folder)
    return folder


def row_of(label: str, level: float, flags: list[str]) -> list[str]:
    """The cells of a run with these flags; runs it if there is none."""
    folder = RUNS / label.replace(" ", "-")
    if not (folder / "report.html").exists():
        models = [f"--model_name_or_path={plain_copy(TARGET)}", f"--retrained_model={plain_copy(RETRAINED)}"]
        data = [f"--{name}_data={ROOT / 'data' / name}.jsonl" for name in ("forget", "retain", "judging")]
        run("unlearning_script.py", "--method=profile_matching", *models, *data, *flags, f"--output_dir={folder}",
            f"--model_output_dir={MODELS / 'unlearned'}", "--overwrite_output_dir", "--ledger=none",
            "--live_answers=0")  # fmt: skip
    report = read(folder / "evaluation.json")
    comparison, forget = report["comparison"], report["models"]["unlearned"]["forget"]
    return [label, f"{level:.2f}", *(comparison[part] for part in PARTS[:2]), f"{forget['loss']:.2f}",
            str(comparison["leaking_rows"]), f"{comparison['membership_gap']:.2f}",
            f"{comparison['utility']:.3f}"]  # fmt: skip


def main(argv=None) -> int:
    """Measures the losses, then runs with each; keeps the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--losses", action="store_true", help="only measure the losses")
    args, found = parser.parse_args(argv), losses()
    told = table(["level from", "nats per token"], [[name, f"{value:.2f}"] for name, value in found.items()])
    print(f"\n{told}")
    if args.losses:
        keep("levels", "python tests/levels_without_holdout.py --losses", told)
        return 0
    unseen, base, own = (next(value for name, value in found.items() if part in name)
                         for part in ("never saw", "base model", "made-up"))  # fmt: skip
    none = "--holdout_data=none"
    ways = {
        "holdout rows": (unseen, [f"--holdout_data={ROOT / 'data' / 'holdout.jsonl'}"]),
        "base model": (base, [none, f"--base_model={BASE}"]),
        "stated": (STATED, [none]),
        "own answers": (own, [none, f"--level={own:.3f}"]),
    }
    head = ["level from", "nats per token", *PARTS[:2], "forget loss", "leaking rows", "membership gap", "utility"]
    runs = table(head, [row_of(label, *way) for label, way in ways.items()])
    print(f"\n{runs}")
    keep("levels", "python tests/levels_without_holdout.py", f"{told}\n\n{runs}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
