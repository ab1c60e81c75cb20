"""--method auto against the default run, on the bundled people and on TOFU's forget01.

    python tests/auto_against_default.py                       # the bundled people; a second start continues
    python tests/auto_against_default.py --tofu FOLDER         # also forget01.jsonl and retain400.jsonl in FOLDER

TOFU's target is a LoRA training of the default model on forget01 and the first 160 retain rows, its retrained model one
on these retain rows only. The last 40 retain rows are the holdout set: neither model saw their authors. Runs are in
results/runs/auto/, models in models/saved/auto/, the numbers of the table in results/examples/search/search.json.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from measured import PARTS, ROOT, read, run, table, words_of, write
from rivals import COMPARED, COMPARED_HEAD, NUMBERS, RETRAIN, numbers

RUNS, MODELS = ROOT / "results" / "runs" / "auto", ROOT / "models" / "saved" / "auto"
KEPT = ROOT / "results" / "examples" / "search" / "search.json"
RETAINED, UNSEEN = 160, 40  # rows at the beginning and at the end of retain400.jsonl


def tofu(folder: Path) -> list[str]:
    """The flags for TOFU's data and models. Makes them if they are missing."""
    forget, retain = ((folder / name).read_text(encoding="utf-8") for name in ("forget01.jsonl", "retain400.jsonl"))
    rows = retain.splitlines(keepends=True)
    texts = {"forget": forget, "retain": "".join(rows[:RETAINED]), "holdout": "".join(rows[-UNSEEN:])}
    RUNS.mkdir(parents=True, exist_ok=True)
    for name, text in {**texts, "all": forget + texts["retain"]}.items():
        (RUNS / f"tofu-{name}.jsonl").write_text(text, encoding="utf-8")
    data = {name: f"--{name}_data={RUNS / f'tofu-{name}.jsonl'}" for name in texts}
    everything = f"--retain_data={RUNS / 'tofu-all.jsonl'}"
    trained = {"tofu-target": ["--method=fine_tuning", "--forget_data=none", everything],
               "tofu-retrained": ["--method=retrain", data["forget"], data["retain"]]}  # fmt: skip
    for name, flags in trained.items():
        if not (MODELS / name / "manifest.json").exists():
            run("unlearning_script.py", *RETRAIN, *flags, data["holdout"], f"--output_dir={RUNS / name}",
                "--overwrite_output_dir", f"--model_output_dir={MODELS / name}")  # fmt: skip
    target, retrained = (MODELS / name for name in trained)
    return [*data.values(), f"--model_name_or_path={target}", f"--retrained_model={retrained}"]


def measured(data: str, way: str, flags: list[str]) -> dict:
    """A row of the kept search.json. Starts the run if it is missing."""
    folder = RUNS / f"{data}-{way}"
    if not (folder / "report.html").exists():
        run("unlearning_script.py", *flags, f"--output_dir={folder}", f"--model_output_dir={MODELS / folder.name}",
            "--ledger=none")  # fmt: skip
    search = read(folder / "search.json") if (folder / "search.json").exists() else {}
    command = search.get("winner_command", ["python", "unlearning_script.py"])
    places = ("--model_", "--retrained_", "--forget_", "--retain_data", "--holdout_")
    return {
        "data": data, "way": way, "method": read(folder / "config.json")["method"], **numbers(folder),
        "command": shlex.join(word for word in command if not word.startswith(places)),
        "trials": len(search.get("trials", [])), "budget": search.get("time_budget"),
        "seconds searched": search.get("seconds"),
    }  # fmt: skip


def search_table(path: Path = KEPT) -> str:
    """One row per data set and way of running: default or --method auto."""
    if not path.exists():
        return "`python tests/auto_against_default.py`: not measured yet."
    rows = []
    for row in read(path):
        way = row["way"]
        if row["trials"]:
            way = f"auto, {row['trials']} trials in {row['seconds searched'] / 60:.0f} min"
        cells = ["-" if row.get(name) is None else f"{row[name]:.3f}" for name in NUMBERS]
        cells += [f"{row[f'{metric} unlearned']:.3f} ({row[f'{metric} retrained']:.3f})" for metric in COMPARED]
        rows.append([row["data"], way, *words_of([row]), *cells])
    return table(["data", "way", *PARTS, *NUMBERS, *COMPARED_HEAD], rows)


def main():
    """Runs both ways on each data set and writes search.json after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tofu", type=Path, help="folder with forget01.jsonl and retain400.jsonl")
    parser.add_argument("--time_budget", default="30m", help="of the search [30m]")
    args = parser.parse_args()
    rows = []
    for name in ("bundled", *(["tofu forget01"] if args.tofu else [])):
        flags = tofu(args.tofu) if name.startswith("tofu") else []
        for way, more in (("default", []), ("auto", ["--method=auto", f"--time_budget={args.time_budget}"])):
            rows.append(measured(name.split()[0], way, [*more, *flags]) | {"data": name})
            write(KEPT, rows)
    print(search_table())


if __name__ == "__main__":
    main()
