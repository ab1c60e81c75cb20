"""--method auto against the default run, on the bundled people and on TOFU's forget01; not collected by pytest.

    python tests/auto_against_default.py                       # the bundled people; a second start goes on
    python tests/auto_against_default.py --tofu FOLDER         # forget01.jsonl and retain400.jsonl of TOFU lie there

TOFU's target and retrained model are LoRA trainings of the default model on forget01 with the first 160 retain rows,
and on these alone; the last 40 rows, of authors that neither saw, are the holdout set. Runs lie in results/runs/auto/,
models in models/saved/auto/; the numbers of the README's table go to results/examples/search/search.json.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path

from rivals import NUMBERS, RETRAIN, ROOT, run

RUNS, MODELS = ROOT / "results" / "runs" / "auto", ROOT / "models" / "saved" / "auto"
KEPT = ROOT / "results" / "examples" / "search" / "search.json"
RETAINED, UNSEEN = 160, 40  # rows of retain400: its first, its last
COMPARED = ("accuracy", "extraction_strength")


def tofu(folder: Path) -> list[str]:
    """The flags of TOFU's data and models, made where they are not there yet."""
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
            run(*RETRAIN, *flags, data["holdout"], f"--output_dir={RUNS / name}", "--overwrite_output_dir",
                f"--model_output_dir={MODELS / name}")  # fmt: skip
    target, retrained = (MODELS / name for name in trained)
    return [*data.values(), f"--model_name_or_path={target}", f"--retrained_model={retrained}"]


def measured(data: str, way: str, flags: list[str]) -> dict:
    """What a run came to, which is made where it is not there yet."""
    folder, model = RUNS / f"{data}-{way}", MODELS / f"{data}-{way}"
    if not (folder / "report.html").exists():
        run(*flags, f"--output_dir={folder}", f"--model_output_dir={model}", "--ledger=none")
    report, config = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("evaluation", "config")
    )
    search = folder / "search.json"
    search = json.loads(search.read_text(encoding="utf-8")) if search.exists() else {}
    command = search.get("winner_command", ["python", "unlearning_script.py"])
    row = {"data": data, "way": way, "method": config["method"], "verdict": report["comparison"]["verdict"]}
    row |= {name: report["comparison"].get(key) for name, key in NUMBERS.items()}
    for metric in COMPARED:
        for model in ("unlearned", "retrained"):
            row[f"{metric} {model}"] = report["models"][model]["forget"].get(metric)
    own = [word for word in command if not word.startswith(("--model_", "--retrained_", "--forget_", "--retain_data",
                                                            "--holdout_"))]  # fmt: skip
    trials = [trial["state"] for trial in search.get("trials", [])]
    return {**row, "command": shlex.join(own), "trials": len(trials), "budget": search.get("time_budget"),
            "seconds searched": search.get("seconds")}  # fmt: skip


def search_table(path: Path = KEPT) -> str:
    """The README's table: both ways on each data set."""
    if not path.exists():
        return "`python tests/auto_against_default.py`: not measured yet."
    head = ["data", "way", *NUMBERS, "forget accuracy (retrained)", "extraction strength (retrained)", "verdict"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in json.loads(path.read_text(encoding="utf-8")):
        cells = [f"{row[name]:.3f}" for name in NUMBERS]
        cells += [f"{row[f'{metric} unlearned']:.3f} ({row[f'{metric} retrained']:.3f})" for metric in COMPARED]
        way = (
            row["way"]
            if not row["trials"]
            else f"auto, {row['trials']} trials in {row['seconds searched'] / 60:.0f} min"
        )
        lines.append("| " + " | ".join([row["data"], way, *cells, row["verdict"]]) + " |")
    return "\n".join(lines)


def main():
    """Both ways on each data set, kept as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tofu", type=Path, help="folder with forget01.jsonl and retain400.jsonl")
    parser.add_argument("--time_budget", default="30m", help="of the search [30m]")
    args = parser.parse_args()
    sets = {"bundled": [], **({"tofu forget01": None} if args.tofu else {})}
    rows = []
    for name in sets:
        flags = tofu(args.tofu) if name.startswith("tofu") else []
        for way in ("default", "auto"):
            more = [] if way == "default" else ["--method=auto", f"--time_budget={args.time_budget}"]
            rows.append(measured(name.split()[0], way, [*more, *flags]) | {"data": name})
            KEPT.parent.mkdir(parents=True, exist_ok=True)
            KEPT.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(search_table())


if __name__ == "__main__":
    main()
