"""Seconds of an evaluation compared with one metric at a time; growth with rows; preparation; start-up.

    python tests/benchmark_evaluation.py                     # all four tables
    python tests/benchmark_evaluation.py --only evaluation   # or growth, preparation, startup

The field's code measures one metric at a time: padded batches of 8 rows, logits at every position, a pass for each
metric, and `generate` for every answer. Both ways take turns on the same rows of the same model in bfloat16. The table
also shows the largest difference between their values.
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

from measured import help_seconds, keep, table  # noqa: E402

from results.run.run_folder import peak_gib  # noqa: E402

METRICS = ["answer_probability", "truth_ratio", "rouge_l_recall", "min_k", "extraction_strength"]
BATCH = 8


def silent(text: str):
    """Takes a progress line and shows nothing."""


# ---------------------------------------------------------------------------------------------------------------------
# One metric at a time


def padded_losses(model, tokenizer, examples) -> list:
    """Per example (losses (L,) of its answer tokens, whether each token is the argmax (L,)), from padded batches."""
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
    """Greedy answers by the library's `generate`, in left-padded batches."""
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
    """{split: {metric: mean}}, with separate passes for each metric."""
    import numpy as np

    from models.scores import array_scores, text_scores

    def losses(examples) -> list:
        return [values for values, _ in padded_losses(model, tokenizer, examples)]

    def truth_ratio(examples) -> list:
        options = [[dataclasses.replace(e, answer=e.paraphrased_answer or e.answer) for e in examples]]
        wrong = len(examples[0].perturbed_answer)
        options += [[dataclasses.replace(e, answer=e.perturbed_answer[i]) for e in examples] for i in range(wrong)]
        means = [[values.mean() for values in losses(rows)] for rows in options]
        return [array_scores.truth_ratio([row[0]], [row[1:]])[0] for row in zip(*means)]

    def rouge(examples) -> list:
        said = plain_answers(model, tokenizer, examples)
        return [text_scores.rouge_l(text, example.answer)[1] for text, example in zip(said, examples)]

    def strength(examples) -> list:
        found = [right[:-1] for _, right in padded_losses(model, tokenizer, examples)]  # without the end-of-turn token
        return [array_scores.extraction_strength(answer, np.ones_like(answer)) for answer in found]

    metrics = {
        "answer_probability": lambda examples: [np.exp(-values.mean()) for values in losses(examples)],
        "truth_ratio": truth_ratio,
        "rouge_l_recall": rouge,
        "min_k": lambda examples: [array_scores.min_k(-values[:-1]) for values in losses(examples)],  # no end-of-turn
        "extraction_strength": strength,
    }
    return {split: {name: np.mean(metric(examples)) for name, metric in metrics.items()}
            for split, examples in splits.items()}  # fmt: skip


def evaluation_benchmark(arguments) -> str:
    """Seconds of both ways, on a model that knows the forget set and on one that does not."""
    import torch

    import evaluation_metrics
    from data.reading import read_examples
    from models.store import loading
    from models.training import weights

    splits = {split: list(read_examples(ROOT / "data" / f"{split}.jsonl"))[:40] for split in ("forget", "holdout")}
    rows = []
    for name in ("people-target", "people-retrained"):
        plain, tokenizer = loading.load_model(ROOT / "models" / name, dtype="bfloat16", progress=silent)
        model, _ = loading.load_model(ROOT / "models" / name, dtype="float32", progress=silent)
        turns = []
        for _ in range(arguments.rounds + 1):
            with torch.inference_mode():
                started = time.perf_counter()
                one = one_at_a_time(plain, tokenizer, splits)
                between = time.perf_counter()
                with weights.computing_in(model, torch.bfloat16):
                    shared = evaluation_metrics.evaluate_model(model, tokenizer, splits, metrics=METRICS).per_example
            turns.append((between - started, time.perf_counter() - between))
        largest = max(
            abs(one[split][metric] - statistics.fmean(shared[split][metric])) for split in splits for metric in METRICS
        )
        usual, ours = (statistics.median(found) for found in zip(*turns[1:]))  # the first turn warms both up
        rows.append([name, f"{usual:.1f}", f"{ours:.1f}", f"{ours / usual:.2f}", f"{largest:.3f}"])
    return table(["model", "one metric at a time, s", "one shared pass, s", "ratio", "largest difference"], rows)


# ---------------------------------------------------------------------------------------------------------------------
# Growth with the number of rows


def growth_worker(count: int) -> None:
    """Prints time and peak memory of ten steps of npo on `count` forget rows and as many retain rows."""
    import unlearning_algorithm as algorithm
    from data.preparation import encode_examples
    from data.reading import read_examples
    from models.store import loading
    from models.training import weights

    weights.keep_freed_memory()
    model, tokenizer = loading.load_model(ROOT / "models" / "people-target", dtype="float32", progress=silent)
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
    print(json.dumps({"prepare": prepared, "thousand": 1000 * seconds / tokens, "peak_gib": peak_gib()}))


def growth_benchmark(arguments) -> str:
    """Time per token of a step, time per row of the cached references, and peak memory, for 40 to 4,000 rows."""
    rows = []
    for count in (40, 400, 4000):
        found = answer_of(f"growth {count}")
        rows.append([f"{count:,}", f"{found['thousand']:.2f}", f"{1000 * found['prepare'] / count:.1f}",
                     f"{found['peak_gib']:.1f}"])  # fmt: skip
    return table(["forget rows", "s per 1,000 tokens of a step", "reference, s per 1,000 rows", "peak GiB"], rows)


def answer_of(worker: str) -> dict:
    """What a worker process prints last."""
    command = [sys.executable, __file__, "--worker", worker]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


# ---------------------------------------------------------------------------------------------------------------------
# A million rows, and start-up


def preparation_worker(path: str) -> None:
    """Prints time and peak memory of reading and encoding a file."""
    from data.preparation import encode_examples
    from data.reading import iter_examples
    from models.store import loading

    tokenizer = loading.load_tokenizer(str(ROOT / "models" / "people-target"), progress=silent)
    started = time.perf_counter()
    rows, _ = encode_examples(tokenizer, iter_examples(path), 512)
    seconds = time.perf_counter() - started
    print(json.dumps({"rows": len(rows), "seconds": seconds, "peak_gib": peak_gib()}))


def preparation_benchmark(arguments) -> str:
    """Reads and encodes a file of one million question-and-answer rows."""
    lines = (ROOT / "data" / "retain.jsonl").read_text(encoding="utf-8").splitlines()
    columns = ("question", "answer", "subject")
    rows = [{key: value for key, value in json.loads(line).items() if key in columns} for line in lines]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "million.jsonl"
        with open(path, "w", encoding="utf-8") as file:
            for number in range(arguments.rows):
                row = rows[number % len(rows)]
                file.write(json.dumps({**row, "question": f"{row['question']} ({number})"}) + "\n")
        found = answer_of(f"preparation {path}")
    return (
        f"{found['rows']:,} rows read and encoded in {found['seconds']:.0f} s, peak memory {found['peak_gib']:.2f} GiB."
    )


def startup_benchmark(arguments) -> str:
    """Seconds of `--help`, to the default run's first step without kept evaluations, of the proof, and of asking."""
    from results.run.measuring import EVALUATIONS

    EVALUATIONS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=EVALUATIONS.parent) as folder, put_aside(EVALUATIONS):
        seconds = statistics.median(first_step(Path(folder) / name) for name in "abc")
        asking = asked(Path(folder) / "asked")
    first, *proofs = answer_of("proof 8")
    return (f"`--help` answers in {help_seconds(3):.2f} s; "
            f"the default run's first step comes {seconds:.1f} s after the command. "
            f"The proof of the fast ways at 135M takes {statistics.median(proofs):.2f} s, the median of {len(proofs)} "
            f"fresh models ({first:.2f} s for the first of a process). "
            f"`--forget_about NAME --request_only` has asked the model after {asking:.0f} s.")  # fmt: skip


def proof_worker(count: int):
    """Prints the seconds of the proof on freshly loaded models, a JSON list."""
    from data.preparation import encode_examples
    from data.reading import read_examples
    from models.forward import proof
    from models.store import default_model
    from models.store.loading import load_model

    seconds, folder = [], str(default_model.fetch(silent))
    for _ in range(count):
        model, tokenizer = load_model(folder, dtype="float32", progress=silent)
        rows, _ = encode_examples(tokenizer, read_examples(ROOT / "data" / "forget.jsonl"), 512)
        started = time.perf_counter()
        proof.prove(model, rows, tokenizer.pad_token_id)
        seconds.append(time.perf_counter() - started)
    print(json.dumps(seconds))


def asked(run: Path) -> float:
    """Seconds of a command that asks the bundled target about one of its people and stops at the list."""
    started = time.perf_counter()
    command = [sys.executable, "unlearning_script.py", "--model_name_or_path=models/people-target",
               "--forget_about=Ragnvi Solbrekk", "--request_only", f"--output_dir={run}"]  # fmt: skip
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


@contextlib.contextmanager
def put_aside(kept: Path):
    """Hides the kept evaluations during the block and deletes those kept meanwhile."""
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
    """Seconds from the command to the first step of the default run. Stops the run then."""
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
WORKERS = {"growth": lambda value: growth_worker(int(value)), "preparation": preparation_worker,
           "proof": lambda value: proof_worker(int(value))}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="turns of each way to evaluate")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to prepare")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        kind, value = arguments.worker.split(" ", 1)
        WORKERS[kind](value)
        return
    for name in arguments.only.split(","):
        text = PARTS[name](arguments)
        print(f"\n{name}\n{text}", flush=True)
        keep(name, f"python tests/benchmark_evaluation.py --only {name}", text)


if __name__ == "__main__":
    main()
