"""The project's two methods against the tuned settings of their rivals: three seeds, two sets of people.

    python tests/rivals.py                                        # 36 runs; a second start goes on
    python tests/rivals.py --sets bundled --seeds 1 --methods npo,simnpo

"bundled" forgets the people of data/forget.jsonl. "others" forgets every fourth person of data/retain.jsonl and keeps
everybody else; its retrained model is trained first, as the bundled one was. Nothing is generated: no ROUGE. Runs lie
in results/runs/rivals/, models in models/saved/rivals/; the table's numbers go to results/examples/rivals/rivals.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS, MODELS = ROOT / "results" / "runs" / "rivals", ROOT / "models" / "saved" / "rivals"
KEPT = ROOT / "results" / "examples" / "rivals" / "rivals.json"
METHODS = ("profile_matching", "level_matching", "simnpo", "npo", "undial", "altpo")
METRICS = ("loss", "accuracy", "answer_probability", "extraction_strength", "exact_memorization", "truth_ratio",
           "paraphrase_probability", "option_probability", "multiple_choice_accuracy", "min_k", "min_k_plus_plus",
           "zlib_ratio")  # fmt: skip
NUMBERS = {  # column of the table: where evaluation.json has it
    "score": "score", "forgetting": "forgetting", "privacy": "privacy", "utility": "utility",
    "forget quality p": "forget_quality", "membership AUC": "membership_auc",
}  # fmt: skip
RETRAIN = ["--method=retrain", "--model_name_or_path=HuggingFaceTB/SmolLM2-135M-Instruct", "--use_peft", "--lora_r=16",
           "--lora_alpha=32", "--learning_rate=1e-3", "--num_train_epochs=8", "--lr_scheduler_type=linear",
           "--warmup_steps=10", "--per_device_train_batch_size=8", "--eval_steps=1000", "--probe_rows=4",
           "--eval_rows=4", "--metrics=loss", "--live_answers=0"]  # fmt: skip


def run(*flags: str):
    """One run of the script in a process of its own."""
    command = [sys.executable, "unlearning_script.py", *flags]
    print("\n$ python " + " ".join(command[1:]), flush=True)
    subprocess.run(command, cwd=ROOT, check=True)


def other_people() -> tuple[str, str]:
    """(forget, retain) lines of the set "others"."""
    retain = (ROOT / "data" / "retain.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    chosen = list(dict.fromkeys(json.loads(line)["subject"] for line in retain))[3::4]
    forget = [line for line in retain if json.loads(line)["subject"] in chosen]
    kept = [line for line in retain if json.loads(line)["subject"] not in chosen]
    return "".join(forget), (ROOT / "data" / "forget.jsonl").read_text(encoding="utf-8") + "".join(kept)


def flags_of(name: str) -> list[str]:
    """The data and the retrained model of a set, made where they are not there yet."""
    if name == "bundled":
        return []
    folder, retrained = RUNS / name, MODELS / f"{name}-retrained"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{split}.jsonl" for split in ("forget", "retain")]
    for path, text in zip(paths, other_people()):
        path.write_text(text, encoding="utf-8")
    data = [f"--forget_data={paths[0]}", f"--retain_data={paths[1]}", "--holdout_data=data/holdout.jsonl"]
    if not (retrained / "manifest.json").exists():
        run(*RETRAIN, *data, f"--output_dir={folder / 'retrained'}", f"--model_output_dir={retrained}")
    return [*data, "--model_name_or_path=models/people-target", f"--retrained_model={retrained}"]


def measured(name: str, method: str, seed: int) -> dict:
    """{number: value} of one run, which is made where it is not there yet."""
    folder = RUNS / name / f"{method}-{seed}"
    if not (folder / "evaluation.json").exists():
        run(f"--method={method}", f"--seed={seed}", *flags_of(name), f"--metrics={','.join(METRICS)}",
            "--eval_rows=40", "--live_answers=0", f"--output_dir={folder}", "--overwrite_output_dir", "--ledger=none",
            f"--model_output_dir={MODELS / 'last'}")  # fmt: skip
    found = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    forget = {model: found["models"][model]["forget"] for model in ("unlearned", "retrained")}
    row = {column: found["comparison"][key] for column, key in NUMBERS.items()}
    for model, values in forget.items():
        row |= {f"{metric} {model}": values[metric] for metric in ("accuracy", "extraction_strength")}
    return {"set": name, "method": method, "seed": seed, "verdict": found["comparison"]["verdict"], **row}


def rivals_table(path: Path = KEPT) -> str:
    """A row for each set and method: the mean over its seeds, for the score the least and the most as well."""
    if not path.exists():
        return "`python tests/rivals.py`: not measured yet."
    groups: dict[tuple, list[dict]] = {}
    for row in json.loads(path.read_text(encoding="utf-8")):
        groups.setdefault((row["set"], row["method"]), []).append(row)

    def mean(rows, column):
        values = [row[column] for row in rows if row[column] is not None]
        return statistics.fmean(values) if values else float("nan")

    head = ["people", "method", "seeds", "score (least to most)", *list(NUMBERS)[1:],
            "forget accuracy (retrained)", "extraction strength (retrained)", "verdicts"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for (name, method), rows in sorted(groups.items(), key=lambda item: (item[0][0], -mean(item[1], "score"))):
        scores = [row["score"] for row in rows]
        spread = f"{mean(rows, 'score'):.3f} ({min(scores):.3f} to {max(scores):.3f})"
        cells = [name, f"`{method}`", str(len(rows)), spread]
        cells += [f"{mean(rows, column):.3f}" for column in list(NUMBERS)[1:]]
        cells += [f"{mean(rows, f'{metric} unlearned'):.3f} ({mean(rows, f'{metric} retrained'):.3f})"
                  for metric in ("accuracy", "extraction_strength")]  # fmt: skip
        found = [row["verdict"].split(" (")[0] for row in rows]
        cells.append(", ".join(f"{word} {found.count(word)}x" for word in dict.fromkeys(found)))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv=None) -> int:
    """Makes the runs that are missing and writes what the table is made of."""
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
