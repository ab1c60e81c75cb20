"""The project's two methods against four tuned rivals, with three seeds on two sets of people.

    python tests/rivals.py                                        # 36 runs; a second start continues
    python tests/rivals.py --sets bundled --seeds 1 --methods npo,simnpo

The set "bundled" forgets the people of data/forget.jsonl. The set "others" forgets every fourth person of
data/retain.jsonl and keeps all others; its retrained model is trained first, with the recipe of the bundled one. No
text is generated, so there is no ROUGE. Runs are in results/runs/rivals/, models in models/saved/rivals/, the table's
numbers in results/examples/rivals/rivals.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from measured import PARTS, ROOT, read, run, standing, table, words_of

RUNS, MODELS = ROOT / "results" / "runs" / "rivals", ROOT / "models" / "saved" / "rivals"
KEPT = ROOT / "results" / "examples" / "rivals" / "rivals.json"
METHODS = ("profile_matching", "level_matching", "simnpo", "npo", "undial", "altpo")
METRICS = ("loss", "accuracy", "answer_probability", "extraction_strength", "exact_memorization", "truth_ratio",
           "paraphrase_probability", "option_probability", "multiple_choice_accuracy", "min_k", "min_k_plus_plus",
           "zlib_ratio")  # fmt: skip
NUMBERS = {  # column of the table: its name in evaluation.json
    "score": "score", "forgetting": "forgetting", "privacy": "privacy", "utility": "utility",
    "leaking rows": "leaking_rows", "membership gap": "membership_gap", "forget quality p": "forget_quality",
}  # fmt: skip
COMPARED = ("accuracy", "extraction_strength")  # metrics shown beside those of the retrained model
COMPARED_HEAD = ("forget accuracy (retrained)", "extraction strength (retrained)")
RETRAIN = ["--method=retrain", "--model_name_or_path=HuggingFaceTB/SmolLM2-135M-Instruct", "--use_peft", "--lora_r=16",
           "--lora_alpha=32", "--learning_rate=1e-3", "--num_train_epochs=8", "--lr_scheduler_type=linear",
           "--warmup_steps=10", "--per_device_train_batch_size=8", "--eval_steps=1000", "--probe_rows=4",
           "--eval_rows=4", "--metrics=loss", "--live_answers=0"]  # fmt: skip


def other_people() -> tuple[str, str]:
    """The (forget, retain) lines of the set "others"."""
    retain = (ROOT / "data" / "retain.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    chosen = list(dict.fromkeys(json.loads(line)["subject"] for line in retain))[3::4]
    forget = [line for line in retain if json.loads(line)["subject"] in chosen]
    kept = [line for line in retain if json.loads(line)["subject"] not in chosen]
    return "".join(forget), (ROOT / "data" / "forget.jsonl").read_text(encoding="utf-8") + "".join(kept)


def flags_of(name: str) -> list[str]:
    """The flags for the data and the models of a set. Makes them if they are missing."""
    if name == "bundled":
        return []
    folder, retrained = RUNS / name, MODELS / f"{name}-retrained"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{split}.jsonl" for split in ("forget", "retain")]
    for path, text in zip(paths, other_people()):
        path.write_text(text, encoding="utf-8")
    data = [f"--forget_data={paths[0]}", f"--retain_data={paths[1]}", "--holdout_data=data/holdout.jsonl"]
    if not (retrained / "manifest.json").exists():
        run("unlearning_script.py", *RETRAIN, *data, f"--output_dir={folder / 'retrained'}",
            f"--model_output_dir={retrained}")  # fmt: skip
    return [*data, "--model_name_or_path=models/people-target", f"--retrained_model={retrained}"]


def numbers(folder: Path) -> dict:
    """{column: value} of a finished run, from its evaluation.json."""
    found = read(folder / "evaluation.json")
    row = {part: found["comparison"][part] for part in PARTS}
    row |= {column: found["comparison"].get(key) for column, key in NUMBERS.items()}
    for model in ("unlearned", "retrained"):
        row |= {f"{metric} {model}": found["models"][model]["forget"].get(metric) for metric in COMPARED}
    return row


def measured(name: str, method: str, seed: int) -> dict:
    """A row of rivals.json. Starts the run if it is missing."""
    folder = RUNS / name / f"{method}-{seed}"
    if not (folder / "evaluation.json").exists():
        run("unlearning_script.py", f"--method={method}", f"--seed={seed}", *flags_of(name),
            f"--metrics={','.join(METRICS)}", "--eval_rows=40", "--live_answers=0", f"--output_dir={folder}",
            "--overwrite_output_dir", "--ledger=none", f"--model_output_dir={MODELS / 'last'}")  # fmt: skip
    return {"set": name, "method": method, "seed": seed, **numbers(folder)}


def rivals_table(path: Path = KEPT) -> str:
    """A row per set and method, by memory, rest and score: the words, and means over the seeds."""
    if not path.exists():
        return "`python tests/rivals.py`: not measured yet."
    groups: dict[tuple, list[dict]] = {}
    for row in read(path):
        groups.setdefault((row["set"], row["method"]), []).append(row)

    def mean(rows, column):
        values = [row[column] for row in rows if row.get(column) is not None]
        return f"{statistics.fmean(values):.3f}" if values else "-"

    rest, lines = list(NUMBERS)[1:], []
    for (name, method), rows in sorted(groups.items(), key=lambda item: (item[0][0], *standing(item[1]))):
        scores = [row["score"] for row in rows if row["score"] is not None]
        cells = [name, f"`{method}`", str(len(rows)), *words_of(rows)]
        cells += [f"{mean(rows, 'score')} ({min(scores):.3f} to {max(scores):.3f})" if scores else "-"]
        cells += [mean(rows, column) for column in rest]
        cells += [f"{mean(rows, f'{metric} unlearned')} ({mean(rows, f'{metric} retrained')})"
                  for metric in COMPARED]  # fmt: skip
        lines.append(cells)
    return table(["people", "method", "seeds", *PARTS, "score (least to most)", *rest, *COMPARED_HEAD], lines)


def main(argv=None) -> int:
    """Starts the missing runs and writes rivals.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sets", default="bundled,others")
    parser.add_argument("--seeds", default="42,1,2")
    parser.add_argument("--methods", default=",".join(METHODS))
    args = parser.parse_args(argv)
    rows = [
        measured(name, method, int(seed))
        for seed in args.seeds.split(",")
        for name in args.sets.split(",")
        for method in args.methods.split(",")
    ]
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")
    print("\n" + rivals_table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
