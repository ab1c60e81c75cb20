"""Seconds and memory of whole runs as models grow, beside the plain way, and what --plan foretells of them.

    python tests/benchmark_sizes.py                                  # about ten minutes on one core
    python tests/benchmark_sizes.py --plain FILE --memory 24         # FILE: a script of the plain way to compare with
    python tests/benchmark_sizes.py --only none                      # measures nothing, plans what was measured anew

Models with random bf16 weights have the shapes and vocabularies of published ones. A run is `unlearning_script.py` with
few steps on few short rows; it loads, trains, saves and measures. Each measurement has its own process with one thread,
and only one computes at a time. Ours and the plain way take turns, each twice. Seconds are those that a process itself
computes, so that other work on the machine hardly matters; the plan measures the machine's rate with the same clock. A
run that the plan does not expect to fit into --memory is planned only: its weights are a file with a header and no
content.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import runpy
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

from models.store import default_model  # noqa: E402

GIB = 2**30
SHAPES = {  # vocabulary, width, inner width, layers, heads, key-value heads, tied head, type
    "Qwen2.5-0.5B": (151936, 896, 4864, 24, 14, 2, True, "qwen2"),
    "Llama-3.2-1B": (128256, 2048, 8192, 16, 32, 8, True, "llama"),
    "Llama-3.2-3B": (128256, 3072, 8192, 28, 24, 8, True, "llama"),
    "Llama-3.1-8B": (128256, 4096, 14336, 32, 32, 8, False, "llama"),
}
WAYS = {"LoRA": ["--use_peft"], "full": []}
STEPS, ROWS, TURNS = 3, 4, 2  # rows of each set, all in each step
PLAIN_BYTES = 10  # a bf16 weight, its copy as reference, its gradient and AdamW's two moments
PLAIN = ROOT.parent / "shared" / "bench" / "plain_baseline.py"
KEPT = measured.FOLDER / "sizes.json"
HEAD = ["model", "trained", "s/step", "plain s/step", "of plain", "peak GiB", "plain GiB", "planned GiB",
        "of measured", "unlearning, s", "planned, s", "of measured"]  # fmt: skip


def config_of(shape: tuple):
    """The transformers config of a shape."""
    from transformers import AutoConfig

    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
             "num_key_value_heads", "tie_word_embeddings")  # fmt: skip
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    return AutoConfig.for_model(shape[-1], **dict(zip(names, shape)), dtype="bfloat16", **ids)


def build(name: str, folder: Path, content: bool):
    """Writes a model of random weights with the default model's tokenizer; without `content`, only its header."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    config = config_of(SHAPES[name])
    with torch.device("cpu" if content else "meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    AutoTokenizer.from_pretrained(str(default_model.FOLDER)).save_pretrained(folder)
    if content:
        model.save_pretrained(folder, max_shard_size="100GB")
        return
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    header, end = {}, 0
    for key, p in model.named_parameters():
        header[key] = {"dtype": "BF16", "shape": list(p.shape), "data_offsets": [end, end := end + 2 * p.numel()]}
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def write_rows(folder: Path):
    """The first bundled rows, with question and answer only."""
    for name in ("forget", "retain"):
        lines = (ROOT / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:ROWS]
        rows = [{key: json.loads(line)[key] for key in ("question", "answer")} for line in lines]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def flags_of(folder: Path, way: str) -> list[str]:
    """The flags of a run on the model in `folder`/model."""
    retain = folder / "retain.jsonl"
    given = {"model_name_or_path": folder / "model", "forget_data": folder / "forget.jsonl", "retain_data": retain,
             "holdout_data": "none", "judging_data": "none", "general_data": retain, "general_retain_rows": 0,
             "output_dir": folder / "run", "model_output_dir": folder / "unlearned", "method": "npo",
             "max_steps": STEPS, "eval_steps": STEPS, "per_device_train_batch_size": ROWS, "live_answers": 0,
             "retain_rows_per_forget_row": 1.0, "learning_rate": 1e-6, "metrics": "loss", "collapse_guard": 0,
             "early_stop": "false", "probe_rows": ROWS}  # fmt: skip
    return [*(f"--{name}={value}" for name, value in given.items()), *WAYS[way]]


def child(*words: str) -> str:
    """What a process of this file prints, see `worker`."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run([sys.executable, __file__, "--worker", *words], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "TOKENIZERS_PARALLELISM": "false", **one})  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return done.stdout


def worker(script: str, *words: str):
    """Builds a model, plans it, or runs a script with a clock that counts the seconds that this process computes."""
    if script == "build":
        build(words[0], Path(words[1]) / "model", content=True)
        return
    time.perf_counter = time.process_time
    if script == "plan":
        print(json.dumps(plans_of(words[0], Path(words[1]))))
        return
    if Path(script).resolve() == ROOT / "unlearning_script.py":  # a model's size does not change its figures
        import results.report.figures

        results.report.figures.FIGURES = ()
    sys.argv = [script, *words]
    runpy.run_path(script, run_name="__main__")


def plans_of(name: str, folder: Path) -> dict:
    """{way: GiB, seconds and parameters according to --plan} of a shape, whose header is written for it."""
    import unlearning_script

    build(name, folder / "model", content=False)
    found = {}
    for way in WAYS:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert unlearning_script.main([*flags_of(folder, way), "--plan"]) == 0
        text = said.getvalue()
        number, unit = re.search(r"time: about ([\d.]+) (s|min|h) of unlearning", text).groups()
        found[way] = {"gib": float(re.search(r"^ *total +([\d.]+)", text, re.M)[1]),
                      "seconds": float(number) * {"s": 1, "min": 60, "h": 3600}[unit],
                      "parameters": int(re.search(r"parameters +([\d,]+)", text)[1].replace(",", ""))}  # fmt: skip
    return found


def ours(flags: list[str], folder: Path) -> dict:
    """A whole run: its seconds a step, seconds of unlearning and peak, with the program but without the figures."""
    child("unlearning_script.py", *flags)
    timing, records = measured.read(folder / "run" / "timing.json"), (folder / "run" / "metrics.jsonl").read_text()
    steps = [record["seconds"] for record in map(json.loads, records.splitlines()) if record["event"] == "step"]
    found = {"step": statistics.median(steps[1:]), "gib": timing["peak_memory_gib"],
             "seconds": timing["seconds"]["unlearning"]}  # fmt: skip
    for path in (folder / "run", folder / "unlearned"):
        shutil.rmtree(path)
    return found


def plain(folder: Path, script: Path) -> dict:
    """The plain way on the same rows: seconds a step and peak memory."""
    said = child(str(script), f"--model_name_or_path={folder / 'model'}", f"--forget_data={folder / 'forget.jsonl'}",
                 f"--retain_data={folder / 'retain.jsonl'}", f"--per_device_train_batch_size={ROWS}",
                 f"--steps={STEPS}")  # fmt: skip
    found = json.loads(said.splitlines()[-1])
    return {"step": found["seconds_per_step"], "gib": found["peak_memory_gib"]}


def measure(name: str, folder: Path, arguments, plans: dict, found: dict):
    """Fills `found` with {way: [a result per turn]} of one shape, "plain" too if it is compared; yields after each."""
    found |= {way: [] for way in WAYS if plans[way]["gib"] <= arguments.memory}
    if not found:
        return
    if arguments.plain.is_file() and PLAIN_BYTES * plans["full"]["parameters"] / GIB + 1 <= arguments.memory:
        found["plain"] = []
    child("build", name, str(folder))
    for _ in range(TURNS):
        for way, results in found.items():
            beside = way == "plain"
            results.append(plain(folder, arguments.plain) if beside else ours(flags_of(folder, way), folder))
            print(name, way, json.dumps(results[-1]), flush=True)
            yield


def cells(found: list, beside: list, foretold: dict) -> list[str]:
    """What was measured and planned; a dash for what was not measured. Ratios are medians of those within a turn."""

    def middle(values) -> str:
        values = list(values)
        return f"{statistics.median(values):.2f}" if found and values else "-"

    told = [foretold["gib"], foretold["seconds"]]
    pairs = list(zip(found, beside))
    return [
        middle(a["step"] for a in found), middle(b["step"] for b in beside),
        middle(a["step"] / b["step"] for a, b in pairs),
        middle(a["gib"] for a in found), middle(b["gib"] for b in beside),
        f"{told[0]:.2f}", middle(told[0] / a["gib"] for a in found),
        middle(a["seconds"] for a in found), f"{told[1]:.0f}", middle(told[1] / a["seconds"] for a in found),
    ]  # fmt: skip


def main():
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plain", type=Path, default=PLAIN, help="the script of the plain way (left out if missing)")
    parser.add_argument("--memory", type=float, default=10, help="GiB that a measured run may take")
    parser.add_argument("--only", default=",".join(SHAPES), help="shapes to measure; the others keep their results")
    arguments = parser.parse_args()
    kept, rows = measured.read(KEPT) if KEPT.exists() else {}, []
    for name in SHAPES:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            write_rows(folder)
            plans = json.loads(child("plan", name, str(folder)).splitlines()[-1])
            if name in arguments.only.split(","):
                kept[name] = {}
                for _ in measure(name, folder, arguments, plans, kept[name]):  # each result is kept at once
                    measured.write(KEPT, kept)
            found = kept.get(name, {})
            rows += [[name, way, *cells(found.get(way, []), found.get("plain", []), plans[way])] for way in WAYS]
    text = measured.table(HEAD, rows)
    print(text)
    measured.keep("sizes", "python tests/benchmark_sizes.py", text)


if __name__ == "__main__":
    main()
