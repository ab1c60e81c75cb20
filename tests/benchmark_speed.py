"""Seconds and memory of an unlearning step, compared with the usual way to write it.

    python tests/benchmark_speed.py                      # about ten minutes on two cores
    python tests/benchmark_speed.py --tofu FOLDER        # npo on TOFU's forget01.jsonl and retain400.jsonl in FOLDER
    python tests/benchmark_speed.py --parts              # what each part of our step is worth

Each configuration has its own process and thus its own peak memory. The processes take turns step by step: only one
computes at a time. The plain way is the usual training code of the field: each step pads a forget batch and a
retain batch to their longest rows, runs the model on each with logits at every position, runs a live copy of the target
as the reference (npo), and takes one AdamW step, all in one type.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import measured  # noqa: E402

from results.run.run_folder import peak_gib  # noqa: E402

CONFIGURATIONS = {
    "plain bf16": ("plain", "npo", "bfloat16"),
    "plain fp32": ("plain", "npo", "float32"),
    "ours": ("ours", "npo", {}),
    "ours, LoRA": ("ours", "npo", {"use_peft": True}),
    "ours, gradient checkpointing": ("ours", "npo", {"gradient_checkpointing": True}),
    "plain bf16, gradient_difference": ("plain", "gradient_difference", "bfloat16"),
    "ours, gradient_difference": ("ours", "gradient_difference", {}),
}
GROUPS = (tuple(CONFIGURATIONS)[:3], tuple(CONFIGURATIONS)[3:])


def whole(*_):
    """A context that changes nothing, in place of one that changes the model's forward pass."""
    return contextlib.nullcontext()


PARTS = {  # ours, with a name in a module of models/ replaced
    "ours": ("ours", "npo", {}),
    "each row whole, no prefix shared": ("ours", "npo", {"packing": {"WORTH_SHARING": 10**9}}),
    "attention apart for segments of unequal size": ("ours", "npo", {"packing": {"GROUP": 0}}),
    "a packed batch of any number of tokens": ("ours", "npo", {"packing": {"ROUND": 1}}),
    "the last feed-forward block at every position": ("ours", "npo", {"answers": {"narrowed": whole}}),
    "the library's norms and rotary embeddings": ("ours", "npo", {"cpu_paths": {"lean_layers": whole}}),
    "padded rows, the library's attention": ("ours", "npo", {"packing": {"supported": lambda model: False}}),
    "the optimizer in whole passes": ("ours", "npo", {"weights": {"PIECE": {"cpu": 2**40, "cuda": 2**40}}}),
}
BATCH = 8


def plain_steps(model, rows, method: str, pad: int):
    """Takes steps the plain way; yields each step's number of real tokens."""
    import torch
    import torch.nn.functional as F

    reference = copy.deepcopy(model).eval() if method == "npo" else None
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    model.train()

    def padded(name: str, step: int) -> dict:
        batch = rows[name].batch([(step * BATCH + i) % len(rows[name]) for i in range(BATCH)], pad)
        place = torch.arange(batch["input_ids"].shape[1])[None]
        real = place < batch["lengths"][:, None]
        labels = batch["input_ids"].masked_fill(~real | (place < batch["answer_starts"][:, None]), -100)
        return {"input_ids": batch["input_ids"], "attention_mask": real.long(), "labels": labels}

    def sequence_nll(net, batch):
        logits = net(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
        labels = batch["labels"][:, 1:]
        return F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-100, reduction="none").sum(-1)

    step = 0
    while True:
        forget, retain = padded("forget", step), padded("retain", step)
        if reference is None:
            loss = -model(**forget).loss
        else:
            with torch.no_grad():
                before = sequence_nll(reference, forget)
            loss = -2 / 0.1 * F.logsigmoid(0.1 * (sequence_nll(model, forget) - before)).mean()
        (loss + model(**retain).loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        yield int(forget["attention_mask"].sum() + retain["attention_mask"].sum())


def our_steps(model, rows, method: str, pad: int, settings: dict):
    """Takes steps of the project's loop; yields each step's number of real tokens."""
    import unlearning_algorithm as algorithm
    from models.forward import answers, cpu_paths, packing
    from models.store import adapters
    from models.training import weights

    weights.keep_freed_memory()
    for module in (answers, cpu_paths, packing, weights):
        for part, value in settings.pop(module.__name__.split(".")[-1], {}).items():
            assert hasattr(module, part), f"{module.__name__} has no {part} to replace"
            setattr(module, part, value)
    if settings.pop("use_peft", False):
        model = adapters.add_lora(model, r=16, alpha=32.0, dropout=0.0, target_modules="all-linear")
    settings = {"learning_rate": 1e-6, "per_device_train_batch_size": BATCH, "retain_rows_per_forget_row": 1.0,
                "max_steps": 10_000, "eval_steps": 100_000, "probe_rows": 1, "early_stop": False,
                "load_best_model_at_end": False, **settings}  # fmt: skip
    run = algorithm.Unlearning(model, rows, method, settings, pad_token_id=pad)
    run.prepare()
    for record in run.steps():
        if record["event"] == "step":
            yield round(record["tokens_per_second"] * record["seconds"])


def worker(name: str, arguments) -> None:
    """Serves one configuration: takes a step for each line of input and prints its seconds, tokens and peak memory."""
    from torch.utils.flop_counter import FlopCounterMode

    from data.preparation import encode_examples
    from data.reading import read_examples
    from models.store import loading

    kind, method, options = {**PARTS, **CONFIGURATIONS}[name]
    dtype = options if kind == "plain" else "float32"
    model, tokenizer = loading.load_model(arguments.model_name_or_path, dtype=dtype, progress=lambda text: None)
    sources = {"forget": arguments.forget_data, "retain": arguments.retain_data}
    rows = {key: encode_examples(tokenizer, read_examples(path), 512)[0] for key, path in sources.items()}
    pad = tokenizer.pad_token_id
    steps = plain_steps(model, rows, method, pad) if kind == "plain" else our_steps(model, rows, method, pad, options)
    del model
    next(steps)  # the first step allocates memory, and ours caches its reference
    for line in sys.stdin:
        counter = FlopCounterMode(display=False) if line.strip() == "count" else None
        started = time.perf_counter()
        with counter or contextlib.nullcontext():
            tokens = next(steps)
        answer = {"seconds": time.perf_counter() - started, "tokens": tokens, "peak_gib": peak_gib()}
        print(json.dumps({**answer, "flops": counter.get_total_flops() if counter else 0}), flush=True)


def ask(process, word: str) -> dict:
    """A worker's answer to a word: "step", or "count" for a step whose operations are counted."""
    process.stdin.write(word + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise SystemExit("a configuration ended early; its message is above")


def matrix_peak() -> float:
    """FLOP/s of a bf16 product of 2048 x 2048 matrices, measured while nothing else runs."""
    code = (
        "import torch,time;a=torch.randn(2048,2048,dtype=torch.bfloat16);[a@a for _ in range(3)];"
        "t=time.perf_counter();[a@a for _ in range(20)];print(20*2*2048**3/(time.perf_counter()-t))"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def start(name: str, arguments) -> subprocess.Popen:
    """The worker process of a configuration."""
    command = [sys.executable, __file__, "--worker", name, "--model_name_or_path", arguments.model_name_or_path,
               "--forget_data", arguments.forget_data, "--retain_data", arguments.retain_data]  # fmt: skip
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def parts_table(arguments) -> str:
    """A row per part, measured in turns with ours. The ratio is the median of the ratios within a turn, because the
    machine drifts by more than most parts are worth."""
    rows = []
    for name in list(PARTS)[1:]:
        answers = {}
        alternate(["ours", name], arguments, answers, {})
        turns = [[answer["seconds"] for answer in answers[each]] for each in ("ours", name)]
        ours, other = map(statistics.median, turns)
        ratio = statistics.median(b / a for a, b in zip(*turns))
        rows.append([name, f"{other:.2f}", f"{ours:.2f}", f"{ratio:.2f}"])
    return measured.table(["configuration", "s/step", "ours beside it", "of ours"], rows)


def table(answers: dict, flops: dict, peak: float) -> str:
    """A row per configuration; ratios are of medians, to the plain loop of the same method."""
    median = {name: statistics.median(a["seconds"] for a in found) for name, found in answers.items()}
    rows = []
    for name, found in answers.items():
        base = median.get("plain bf16, gradient_difference" if "difference" in name else "plain bf16")
        fp32 = None if "difference" in name else median.get("plain fp32")
        rate = sum(a["tokens"] for a in found) / sum(a["seconds"] for a in found)
        rows.append([
            name, f"{median[name]:.2f}", *("-" if b is None else f"{median[name] / b:.2f}" for b in (base, fp32)),
            f"{rate:.0f}", f"{flops[name] / median[name] / peak:.0%}", f"{max(a['peak_gib'] for a in found):.1f}",
        ])  # fmt: skip
    return measured.table(["configuration", "s/step", "of plain bf16", "of plain fp32", "tokens/s",
                           "share of bf16 peak", "peak GiB"], rows)  # fmt: skip


def alternate(names: list[str], arguments, answers: dict, flops: dict):
    """Lets the configurations take turns: their steps go into `answers`, the operations of one step into `flops`."""
    workers = {}
    for name in names:  # each is past its first steps before anything is timed
        workers[name] = start(name, arguments)
        flops[name] = ask(workers[name], "count")["flops"]
        answers[name] = []
    for _ in range(arguments.rounds):
        for name, process in workers.items():
            answers[name].append(ask(process, "step"))
    for process in workers.values():
        process.stdin.close()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_name_or_path", default=str(ROOT / "models" / "people-target"))
    parser.add_argument("--forget_data", default=str(ROOT / "data" / "forget.jsonl"))
    parser.add_argument("--retain_data", default=str(ROOT / "data" / "retain.jsonl"))
    parser.add_argument("--tofu", type=Path, help="folder with forget01.jsonl and retain400.jsonl")
    parser.add_argument("--rounds", type=int, default=9, help="steps of each configuration")
    parser.add_argument("--only", help="configurations to run, separated by semicolons")
    parser.add_argument("--parts", action="store_true", help="measure the parts of our step instead")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker, arguments)
        return
    if arguments.parts:
        text = parts_table(arguments)
        print(text)
        measured.keep("parts", "python tests/benchmark_speed.py --parts", text)
        return
    names = arguments.only.split(";") if arguments.only else list(GROUPS[0] if arguments.tofu else CONFIGURATIONS)
    if arguments.tofu:
        sets = {"forget_data": "forget01.jsonl", "retain_data": "retain400.jsonl"}
        vars(arguments).update({name: str(arguments.tofu / file) for name, file in sets.items()})
    peak = matrix_peak()
    product = f"bf16 product of 2048 x 2048 matrices: {peak / 1e9:.0f} GFLOP/s"
    print(product, flush=True)
    answers, flops = {}, {}
    for group in GROUPS:  # all at once would not fit into the memory of a small machine
        alternate([name for name in group if name in names], arguments, answers, flops)
    text = f"{table(answers, flops, peak)}\n\n{product}; npo, {BATCH} forget and {BATCH} retain rows a step."
    print(text)
    if names == list(CONFIGURATIONS):
        measured.keep("speed", "python tests/benchmark_speed.py", text)


if __name__ == "__main__":
    main()
