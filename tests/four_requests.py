"""Four deletion requests one after another, a bundled person each, and the re-test of all four on the last model.

    python tests/four_requests.py                       # four runs and two re-tests
    python tests/four_requests.py --requests 2 --output_dir /tmp/try --num_train_epochs 2 --eval_rows=10

Runs lie in results/runs/requests/ and their models in models/saved/requests/ (--output_dir: both there). The summary
and the ledger, which the README shows, go to results/examples/requests/ (or stay in --output_dir).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
METRICS = "accuracy,loss,answer_probability,extraction_strength,rouge_l_recall"
SETTINGS = ["--per_device_train_batch_size=5", f"--metrics={METRICS}", "--eval_rows=40", "--live_answers=0"]


def run(script: str, *flags: str, allowed=(0,)):
    """A script of the project in a process of its own, as a person would start it."""
    print(f"\n$ python {script} {' '.join(flags)}", flush=True)
    code = subprocess.run([sys.executable, script, *flags], cwd=ROOT, check=False).returncode
    if code not in allowed:
        raise SystemExit(code)


def people() -> dict[str, list[str]]:
    """The lines of the bundled forget set by person, in their order."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "data" / "forget.jsonl").read_text(encoding="utf-8").splitlines(keepends=True):
        found.setdefault(json.loads(line)["subject"], []).append(line)
    return found


def carry_out(runs: Path, models: Path, count: int, more: list[str]) -> list[Path]:
    """The requests, each from the model of the one before; returns the run folders."""
    folders = []
    for number, lines in enumerate(list(people().values())[:count], 1):
        data = runs / f"{number}.jsonl"
        data.write_text("".join(lines), encoding="utf-8")
        flags = [f"--forget_data={data}", f"--output_dir={runs / f'request-{number}'}",
                 f"--ledger={runs / 'ledger.jsonl'}",
                 f"--model_output_dir={models / f'request-{number}'}", "--overwrite_output_dir"]  # fmt: skip
        if folders:
            flags.insert(0, f"--continue_from={folders[-1]}")
        else:
            flags[:0] = ["--model_name_or_path=models/people-target", "--holdout_data=data/holdout.jsonl",
                         "--retain_data=data/retain.jsonl,data/forget.jsonl", *SETTINGS, *more]  # fmt: skip
        run("unlearning_script.py", *flags)
        folders.append(runs / f"request-{number}")
    return folders


def retest(runs: Path, model: Path, name: str) -> dict:
    """What the re-test of the ledger reports of a model."""
    flags = [f"--ledger={runs / 'ledger.jsonl'}", f"--model_name_or_path={model}", f"--output_dir={runs / name}"]
    run("evaluation_metrics.py", *flags, allowed=(0, 8))
    return json.loads((runs / name / "retest.json").read_text(encoding="utf-8"))


def summary(folders: list[Path], last: dict, retrained: dict) -> dict:
    """What README.md's table is made of."""
    ends = [json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["models"] for folder in folders]
    seconds = [json.loads((folder / "timing.json").read_text(encoding="utf-8"))["seconds"] for folder in folders]
    rows = [{**row, "retrained": goal["now"]} for row, goal in zip(last["requests"], retrained["requests"])]
    splits = [split for split in ("retain", "holdout", "general") if split in ends[0]["target"]]
    kept = {split: [ends[0]["target"][split], ends[-1]["unlearned"][split]] for split in splits}
    return {"requests": rows, "kept": kept, "problems": last["problems"],
            "seconds_unlearning": [stage["unlearning"] for stage in seconds]}  # fmt: skip


def main(argv=None) -> int:
    """Carries the requests out, tests them again, writes the summary and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output_dir", help="a folder for everything, instead of the project's")
    parser.add_argument("--requests", type=int, default=4, choices=range(2, 5))
    parser.add_argument("--num_train_epochs", default="14")
    args, more = parser.parse_known_args(argv)  # the rest are settings of the first request, which the others take over
    runs = Path(args.output_dir).resolve() / "runs" if args.output_dir else ROOT / "results" / "runs" / "requests"
    models = runs.parent / "models" if args.output_dir else ROOT / "models" / "saved" / "requests"
    shutil.rmtree(runs, ignore_errors=True)
    runs.mkdir(parents=True)
    folders = carry_out(runs, models, args.requests, [f"--num_train_epochs={args.num_train_epochs}", *more])
    last = retest(runs, models / f"request-{len(folders)}", "retest")
    retrained = retest(runs, Path("models/people-retrained"), "retest-retrained")
    target = runs.parent if args.output_dir else ROOT / "results" / "examples" / "requests"
    target.mkdir(exist_ok=True)
    found = summary(folders, last, retrained)
    (target / "requests.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if not args.output_dir:
        shutil.copy(runs / "ledger.jsonl", target / "ledger.jsonl")
    sys.path.insert(0, str(ROOT / "tests"))
    import readme_tables

    print("\n" + readme_tables.requests_table(target / "requests.json"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
