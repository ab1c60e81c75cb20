"""Four deletion requests, one bundled person each, and the retest of all four on the last model.

    python tests/four_requests.py                       # four runs and two retests
    python tests/four_requests.py --requests 2 --output_dir /tmp/try --num_train_epochs 2 --eval_rows=10

Runs are in results/runs/requests/, models in models/saved/requests/, the summary and the ledger in
results/examples/requests/. With --output_dir everything is there. Unknown flags go to the first request.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from measured import PARTS, ROOT, read, run, write

METRICS = "accuracy,loss,answer_probability,extraction_strength,rouge_l_recall"
SETTINGS = ["--per_device_train_batch_size=5", f"--metrics={METRICS}", "--eval_rows=40", "--live_answers=0"]


def people() -> list[str]:
    """The lines of the bundled forget set, one text per person."""
    found: dict[str, str] = {}
    for line in (ROOT / "data" / "forget.jsonl").read_text(encoding="utf-8").splitlines(keepends=True):
        subject = json.loads(line)["subject"]
        found[subject] = found.get(subject, "") + line
    return list(found.values())


def carry_out(runs: Path, models: Path, count: int, more: list[str]) -> list[Path]:
    """Runs the requests, each on the model of the previous one; returns the run folders."""
    folders: list[Path] = []
    for number, lines in enumerate(people()[:count], 1):
        data, folder = runs / f"{number}.jsonl", runs / f"request-{number}"
        data.write_text(lines, encoding="utf-8")
        start = [f"--continue_from={folders[-1]}"] if folders else [
            "--model_name_or_path=models/people-target", "--holdout_data=data/holdout.jsonl",
            "--retain_data=data/retain.jsonl,data/forget.jsonl", *SETTINGS, *more,
        ]  # fmt: skip
        run("unlearning_script.py", *start, f"--forget_data={data}", f"--output_dir={folder}",
            f"--ledger={runs / 'ledger.jsonl'}", f"--model_output_dir={models / folder.name}",
            "--overwrite_output_dir")  # fmt: skip
        folders.append(folder)
    return folders


def retest(runs: Path, model: Path, name: str) -> dict:
    """The report of the ledger's retest on a model."""
    flags = [f"--ledger={runs / 'ledger.jsonl'}", f"--model_name_or_path={model}", f"--output_dir={runs / name}"]
    run("evaluation_metrics.py", *flags, allowed=(0, 8))
    return read(runs / name / "retest.json")


def summary(folders: list[Path], last: dict, retrained: dict) -> dict:
    """The content of requests.json, the source of the README's table."""
    measured = [read(folder / "evaluation.json") for folder in folders]
    ends = [evaluation["models"] for evaluation in measured]
    words = [{part: evaluation["comparison"][part] for part in PARTS} for evaluation in measured]
    rows = [{**row, **three, "retrained": goal["now"]}
            for row, three, goal in zip(last["requests"], words, retrained["requests"])]  # fmt: skip
    splits = [split for split in ("retain", "holdout", "general") if split in ends[0]["target"]]
    kept = {split: [ends[0]["target"][split], ends[-1]["unlearned"][split]] for split in splits}
    seconds = [read(folder / "timing.json")["seconds"]["unlearning"] for folder in folders]
    return {"requests": rows, "kept": kept, "problems": last["problems"], "seconds_unlearning": seconds}


def main(argv=None) -> int:
    """Runs the requests and the retests, writes the summary and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output_dir", help="a folder for everything, instead of the project's")
    parser.add_argument("--requests", type=int, default=4, choices=range(2, 5))
    parser.add_argument("--num_train_epochs", default="14")
    args, more = parser.parse_known_args(argv)
    runs = Path(args.output_dir).resolve() / "runs" if args.output_dir else ROOT / "results" / "runs" / "requests"
    models = runs.parent / "models" if args.output_dir else ROOT / "models" / "saved" / "requests"
    target = runs.parent if args.output_dir else ROOT / "results" / "examples" / "requests"
    shutil.rmtree(runs, ignore_errors=True)
    runs.mkdir(parents=True)
    folders = carry_out(runs, models, args.requests, [f"--num_train_epochs={args.num_train_epochs}", *more])
    last = retest(runs, models / folders[-1].name, "retest")
    retrained = retest(runs, Path("models/people-retrained"), "retest-retrained")
    write(target / "requests.json", summary(folders, last, retrained))
    if not args.output_dir:
        shutil.copy(runs / "ledger.jsonl", target / "ledger.jsonl")
    import readme_tables

    print("\n" + readme_tables.requests_table(target / "requests.json"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
