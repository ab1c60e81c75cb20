"""Seconds and memory of an unlearning step beside the plain way, in alternating steps; not collected by pytest.

    python tests/benchmark_speed.py                      # about ten minutes on two cores; prints the README's table
    python tests/benchmark_speed.py --tofu FOLDER        # npo on forget01.jsonl and retain400.jsonl of TOFU
    python tests/benchmark_speed.py --parts              # what each part of the packing is worth

Every configuration is a process of its own that waits for its turn, so that only one computes at a time and each has a
peak memory of its own. The plain way is what the field's training code does: each step pads a forget batch and a retain
batch to their longest rows, runs the model on each apart with logits at every position, runs a live copy of the target
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

from results.run.memory import peak_gib  # noqa: E402

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
    """In place of a context that changes the model's forward: none."""
    return contextlib.nullcontext()


PARTS = {  # ours with a name of a module of models/ replaced
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
    """Yields the real tokens of each step taken the plain way."""
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
    """Yields the real tokens of each step of the project's loop."""
    import unlearning_algorithm as algorithm
    from models.forward import answers, cpu_paths, packing
    from models.store import adapters
    from models.training import weights

    weights.keep_freed_memory()
    for module in (answers, cpu_paths, packing, weights):
        for part, value in settings.pop(module.__name__.split(".")[-1], {}).items():
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
    """One configuration: a line on standard input is a step, the answer its seconds, tokens and peak memory."""
    import torch

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
    next(steps)  # the first step allocates, and ours caches its reference
    for line in sys.stdin:
        from torch.utils.flop_counter import FlopCounterMode

        started, counter = time.perf_counter(), FlopCounterMode(display=False)
        if line.strip() == "count":
            with counter:
                tokens = next(steps)
        else:
            tokens = next(steps)
        seconds = time.perf_counter() - started
        peak = peak_gib()
        flops = counter.get_total_flops() if line.strip() == "count" else 0
        answer = {"seconds": seconds, "tokens": tokens, "peak_gib": peak, "flops": flops}
        print(json.dumps({**answer, "torch": torch.__version__}), flush=True)


def ask(process, word: str) -> dict:
    """One answer of a worker, which is the last thing it prints."""
    process.stdin.write(word + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise SystemExit("a configuration ended early; its message is above")


def matrix_peak() -> float:
    """FLOP/s of a bf16 product of 2048 x 2048 matrices on an idle machine."""
    code = (
        "import torch,time;a=torch.randn(2048,2048,dtype=torch.bfloat16);[a@a for _ in range(3)];"
        "t=time.perf_counter();[a@a for _ in range(20)];print(20*2*2048**3/(time.perf_counter()-t))"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def start(name: str, arguments) -> subprocess.Popen:
    """The worker of a configuration; it loads while nothing is timed."""
    command = [sys.executable, __file__, "--worker", name, "--model_name_or_path", arguments.model_name_or_path,
               "--forget_data", arguments.forget_data, "--retain_data", arguments.retain_data]  # fmt: skip
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def parts_table(arguments) -> str:
    """The printed table of parts, each in turns with ours: medians, and of the ratios within a turn the median, since
    the machine drifts by more than most parts are worth."""
    lines = ["| configuration | s/step | ours beside it | of ours |", "|---|---|---|---|"]
    for name in PARTS:
        if name == "ours":
            continue
        answers = {}
        alternate(["ours", name], arguments, answers, {})
        turns = [[answer["seconds"] for answer in answers[each]] for each in ("ours", name)]
        ours, other = map(statistics.median, turns)
        ratio = statistics.median(b / a for a, b in zip(*turns))
        lines.append(f"| {name} | {other:.2f} | {ours:.2f} | {ratio:.2f} |")
    return "\n".join(lines)


def table(answers: dict, flops: dict, peak: float) -> str:
    """The printed table; ratios are of medians, against the plain bf16 loop of the same method."""
    lines = ["| configuration | s/step | of plain bf16 | of plain fp32 | tokens/s | share of bf16 peak | peak GiB |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    median = {name: statistics.median(a["seconds"] for a in found) for name, found in answers.items()}
    for name, found in answers.items():
        base = median.get("plain bf16, gradient_difference" if "difference" in name else "plain bf16")
        fp32 = None if "difference" in name else median.get("plain fp32")
        rate = sum(a["tokens"] for a in found) / sum(a["seconds"] for a in found)
        cells = [name, f"{median[name]:.2f}", *("-" if b is None else f"{median[name] / b:.2f}" for b in (base, fp32)),
                 f"{rate:.0f}", f"{flops[name] / median[name] / peak:.0%}",
                 f"{max(a['peak_gib'] for a in found):.1f}"]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def alternate(names: list[str], arguments, answers: dict, flops: dict):
    """Steps of the named configurations by turns, into `answers`; operations of one step each, into `flops`."""
    workers = {}
    for name in names:  # one after another, and each past its first steps, before anything is timed
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
    parser.add_argument("--rounds", type=int, default=9, help="steps of each configuration, by turns")
    parser.add_argument("--only", help="configurations to run, with semicolons")
    parser.add_argument("--parts", action="store_true", help="the parts of the packing instead")
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
    print(f"bf16 product of 2048 x 2048 matrices: {peak / 1e9:.0f} GFLOP/s", flush=True)
    answers, flops = {}, {}
    for group in GROUPS:  # each by turns; all at once would not fit the memory of a small machine
        alternate([name for name in group if name in names], arguments, answers, flops)
    told = f"bf16 product of 2048 x 2048 matrices: {peak / 1e9:.0f} GFLOP/s"
    text = f"{table(answers, flops, peak)}\n\n{told}; npo, {BATCH} forget and {BATCH} retain rows a step."
    print(text)
    if names == list(CONFIGURATIONS):
        measured.keep("speed", "python tests/benchmark_speed.py", text)


if __name__ == "__main__":
    main()
