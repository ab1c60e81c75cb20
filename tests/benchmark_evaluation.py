"""Seconds of an evaluation beside one metric at a time, growth with rows, start-up; not collected by pytest.

    python tests/benchmark_evaluation.py                     # prints the tables of the README
    python tests/benchmark_evaluation.py --only evaluation   # or growth, preparation, startup

One metric at a time is how the field's code does it: padded batches of 8 rows, logits at every position, a pass of its
own for each metric, and `generate` for every answer. Both ways measure the same rows of the same model in bfloat16, by
turns, and the largest difference of their values is printed beside the seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import measured  # noqa: E402

from results.run.memory import peak_gib  # noqa: E402

METRICS = ["answer_probability", "truth_ratio", "rouge_l_recall", "min_k", "extraction_strength"]
BATCH = 8


# ---------------------------------------------------------------------------------------------------------------------
# One metric at a time


def padded_losses(model, tokenizer, examples) -> list:
    """Per example the losses (L,) of its answer tokens and whether each is the argmax, from padded batches."""
    import torch
    import torch.nn.functional as F

    from data.preparation import encode_examples

    rows, _ = encode_examples(tokenizer, examples, 512)
    found = []
    for first in range(0, len(rows), BATCH):
        batch = rows.batch(list(range(first, min(first + BATCH, len(rows)))), tokenizer.pad_token_id)
        mask = torch.arange(batch["input_ids"].shape[1])[None] < batch["lengths"][:, None]
        logits = model(input_ids=batch["input_ids"], attention_mask=mask.long()).logits[:, :-1].float()
        labels = batch["input_ids"][:, 1:]
        losses = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
        right = logits.argmax(-1) == labels
        for row, (start, length) in enumerate(zip(batch["answer_starts"].tolist(), batch["lengths"].tolist())):
            place = slice(start - 1, length - 1)
            found.append((losses[row, place].numpy(), right[row, place].numpy()))
    return found


def plain_answers(model, tokenizer, examples) -> list[str]:
    """Greedy answers through the library's `generate`, left-padded batches."""
    import torch

    from data.preparation import encode_prompt

    texts = []
    for first in range(0, len(examples), BATCH):
        prompts = [encode_prompt(tokenizer, example) for example in examples[first : first + BATCH]]
        width = max(map(len, prompts))
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        made = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=200,
                              pad_token_id=tokenizer.pad_token_id)  # fmt: skip
        texts += [tokenizer.decode(row[width:], skip_special_tokens=True).strip() for row in made]
    return texts


def one_at_a_time(model, tokenizer, splits) -> dict:
    """{split: {metric: mean}}, each metric with passes of its own."""
    import numpy as np

    from models.scores import array_scores, text_scores

    values: dict = {split: {} for split in splits}
    for split, examples in splits.items():
        values[split]["answer_probability"] = np.mean(
            [np.exp(-losses.mean()) for losses, _ in padded_losses(model, tokenizer, examples)]
        )
    for split, examples in splits.items():
        options = [[dataclasses.replace(e, answer=e.paraphrased_answer or e.answer) for e in examples]]
        wrong = len(examples[0].perturbed_answer)
        options += [[dataclasses.replace(e, answer=e.perturbed_answer[i]) for e in examples] for i in range(wrong)]
        means = [[losses.mean() for losses, _ in padded_losses(model, tokenizer, rows)] for rows in options]
        values[split]["truth_ratio"] = np.mean(
            [array_scores.truth_ratio([row[0]], [row[1:]])[0] for row in zip(*means)]
        )
    for split, examples in splits.items():
        said = plain_answers(model, tokenizer, examples)
        values[split]["rouge_l_recall"] = np.mean(
            [text_scores.rouge_l(text, e.answer)[1] for text, e in zip(said, examples)]
        )
    for split, examples in splits.items():
        values[split]["min_k"] = np.mean(
            [array_scores.min_k(-losses) for losses, _ in padded_losses(model, tokenizer, examples)]
        )
    for split, examples in splits.items():
        strengths = []
        for _, right in padded_losses(model, tokenizer, examples):
            answer = right[:-1]  # without the end-of-turn token
            strengths.append(array_scores.extraction_strength(answer, np.ones_like(answer)))
        values[split]["extraction_strength"] = np.mean(strengths)
    return values


def evaluation_benchmark(arguments) -> str:
    """The table of seconds: both ways by turns, on a model that knows the forget set and on one that does not."""
    import torch

    import evaluation_metrics
    from data.reading import read_examples
    from models.store import loading
    from models.training import weights

    splits = {split: list(read_examples(ROOT / "data" / f"{split}.jsonl"))[:40] for split in ("forget", "holdout")}
    lines = [
        "| model | one metric at a time, s | one shared pass, s | ratio | largest difference |",
        "|---|---|---|---|---|",
    ]
    for name in ("people-target", "people-retrained"):
        plain, tokenizer = loading.load_model(ROOT / "models" / name, dtype="bfloat16", progress=lambda text: None)
        model, _ = loading.load_model(ROOT / "models" / name, dtype="float32", progress=lambda text: None)
        seconds: dict[str, list] = {"plain": [], "ours": []}
        for number in range(arguments.rounds + 1):
            with torch.inference_mode():
                started = time.perf_counter()
                one = one_at_a_time(plain, tokenizer, splits)
                between = time.perf_counter()
                with weights.computing_in(model, torch.bfloat16):
                    shared = evaluation_metrics.evaluate_model(model, tokenizer, splits, metrics=METRICS).per_example
            if number:  # the first turn warms both
                seconds["plain"].append(between - started)
                seconds["ours"].append(time.perf_counter() - between)
        largest = max(
            abs(one[split][metric] - statistics.fmean(shared[split][metric])) for split in splits for metric in METRICS
        )
        plain_seconds, our_seconds = (statistics.median(found) for found in seconds.values())
        cells = [f"{plain_seconds:.1f}", f"{our_seconds:.1f}", f"{our_seconds / plain_seconds:.2f}", f"{largest:.3f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------------------------
# Growth with the number of rows


def growth_worker(count: int) -> None:
    """npo on `count` forget and as many retain rows: seconds and tokens of ten steps, and the peak memory."""
    import unlearning_algorithm as algorithm
    from data.preparation import encode_examples
    from data.reading import read_examples
    from models.store import loading
    from models.training import weights

    weights.keep_freed_memory()
    model, tokenizer = loading.load_model(
        ROOT / "models" / "people-target", dtype="float32", progress=lambda text: None
    )
    people = list(read_examples(ROOT / "data" / "retain.jsonl"))
    examples = [people[i % len(people)] for i in range(count)]
    rows = encode_examples(tokenizer, examples, 512)[0]
    settings = {"learning_rate": 1e-6, "per_device_train_batch_size": BATCH, "retain_rows_per_forget_row": 1.0,
                "max_steps": 10, "eval_steps": 100_000, "early_stop": False,
                "load_best_model_at_end": False}  # fmt: skip
    settings = {**algorithm.hyper_parameters("npo"), **settings}
    started = time.perf_counter()
    run = algorithm.Unlearning(
        model, {"forget": rows, "retain": rows}, "npo", settings, pad_token_id=tokenizer.pad_token_id
    )
    run.prepare()
    prepared = time.perf_counter() - started
    steps = [record for record in run.steps() if record["event"] == "step"][1:]
    tokens = sum(record["tokens_per_second"] * record["seconds"] for record in steps)
    seconds = sum(record["seconds"] for record in steps)
    peak = peak_gib()
    print(json.dumps({"prepare": prepared, "thousand": 1000 * seconds / tokens, "peak_gib": peak}))


def growth_benchmark(arguments) -> str:
    """Seconds per 1,000 tokens, of the cached references per row, and peak memory, from 40 to 4,000 rows."""
    lines = [
        "| forget rows | s per 1,000 tokens of a step | reference, s per 1,000 rows | peak GiB |",
        "|---|---|---|---|",
    ]
    for count in (40, 400, 4000):
        found = answer_of([sys.executable, __file__, "--worker", f"growth {count}"])
        cells = [f"{found['thousand']:.2f}", f"{1000 * found['prepare'] / count:.1f}", f"{found['peak_gib']:.1f}"]
        lines.append(f"| {count:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def answer_of(command: list[str]) -> dict:
    """What a worker printed last."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


# ---------------------------------------------------------------------------------------------------------------------
# Preparing a million rows, and start-up


def preparation_worker(path: str) -> None:
    """Reads and encodes the file: seconds and peak memory."""
    from data.preparation import encode_examples
    from data.reading import iter_examples
    from models.store import loading

    tokenizer = loading.load_tokenizer(str(ROOT / "models" / "people-target"), progress=lambda text: None)
    started = time.perf_counter()
    rows, _ = encode_examples(tokenizer, iter_examples(path), 512)
    peak = peak_gib()
    print(json.dumps({"rows": len(rows), "seconds": time.perf_counter() - started, "peak_gib": peak}))


def preparation_benchmark(arguments) -> str:
    """One million question-and-answer rows from a file."""
    lines = (ROOT / "data" / "retain.jsonl").read_text(encoding="utf-8").splitlines()
    keep = ("question", "answer", "subject")
    rows = [{key: value for key, value in json.loads(line).items() if key in keep} for line in lines]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "million.jsonl"
        with open(path, "w", encoding="utf-8") as file:
            for number in range(arguments.rows):
                row = rows[number % len(rows)]
                file.write(json.dumps({**row, "question": f"{row['question']} ({number})"}) + "\n")
        found = answer_of([sys.executable, __file__, "--worker", f"preparation {path}"])
    return (
        f"{found['rows']:,} rows read and encoded in {found['seconds']:.0f} s, peak memory {found['peak_gib']:.2f} GiB."
    )


def startup_benchmark(arguments) -> str:
    """`--help`, and from the command to the first step of the default run, nothing having been measured before."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "unlearning_script.py", "--help"], cwd=ROOT, capture_output=True, check=True)
        seconds.append(time.perf_counter() - started)
    told = [f"`--help` answers in {statistics.median(seconds):.2f} s"]
    with tempfile.TemporaryDirectory(dir=ROOT / "results") as folder, put_aside(ROOT / "results" / ".evaluations"):
        seconds = [first_step(Path(folder) / name) for name in "abc"]
        told.append(f"the default run's first step comes {statistics.median(seconds):.1f} s after the command")
    return "; ".join(told) + "."


@contextlib.contextmanager
def put_aside(kept: Path):
    """Hides the kept evaluations for the time of the block; what is kept meanwhile is thrown away."""
    aside = kept.with_name(f"{kept.name}.aside")
    there = kept.exists()
    if there:
        kept.rename(aside)
    try:
        yield
    finally:
        if there:
            shutil.rmtree(kept, ignore_errors=True)
            aside.rename(kept)


def first_step(run: Path) -> float:
    """Seconds from the command to the first step of the default run, which is then stopped."""
    started = time.perf_counter()
    command = [sys.executable, "unlearning_script.py", f"--output_dir={run}", f"--model_output_dir={run}-model"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    log, seen = run / "metrics.jsonl", False
    while process.poll() is None and not seen:
        time.sleep(0.05)
        seen = log.exists() and '"event": "step"' in log.read_text(encoding="utf-8")
    until = time.perf_counter() - started
    process.terminate()
    process.wait()
    if not seen:
        raise SystemExit(f"{run}: ended before its first step")
    return until


PARTS = {
    "evaluation": evaluation_benchmark, "growth": growth_benchmark, "preparation": preparation_benchmark,
    "startup": startup_benchmark,
}  # fmt: skip
WORKERS = {"growth": lambda value: growth_worker(int(value)), "preparation": preparation_worker}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="turns of each way of evaluating")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to prepare")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        kind, value = arguments.worker.split(" ", 1)
        WORKERS[kind](value)
        return
    for name in arguments.only.split(","):
        text = PARTS[name](arguments)
        print(f"\n{name}\n{text}", flush=True)
        measured.keep(name, f"python tests/benchmark_evaluation.py --only {name}", text)


if __name__ == "__main__":
    main()
