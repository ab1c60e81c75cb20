"""The default run with several seeds: the words, the numbers, and how much room each gate of the verdict leaves.

    python tests/default_seeds.py                              # five seeds, without attacks
    python tests/default_seeds.py --seeds 42,43 --attacks all  # unknown flags go to the runs
    python tests/default_seeds.py --table                      # prints the table of what is there

The room of a gate is the distance of the nearer end of its interval from its bound, as a share of the bound (of its
distance from 1, for utility): a quarter or more is room, less is luck, below 0 it is not passed. Runs are in
results/runs/seeds/; a file for each seed, with every gate, is in results/examples/seeds/. Models are deleted.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from pathlib import Path

from measured import PARTS, ROOT, read, run, table, write

KEPT = ROOT / "results" / "examples" / "seeds"
SEEDS = (42, 43, 44, 45, 46)
ROOM = 0.25
LEAST = {"score": min, "leaking_rows": max, "worst_person": max, "utility": min}  # number: its worst over seeds
NUMBERS = ("score", "leaking_rows", "worst_person", "membership_gap", "utility")
METRICS = ("accuracy", "answer_probability", "paraphrase_probability", "extraction_strength")


def room_of(gate: dict) -> float | None:
    """The room of a gate as a share of its bound; None for one that decides nothing, or counts."""
    ends = [gate["value"] if gate[end] is None else gate[end] for end in ("low", "high")]
    if None in ends or gate["word"] in ("no contrast", "not measured") or not (gate["least"] or gate["most"]):
        return None
    gaps = []
    if gate["least"] is not None:
        unit = 1 - gate["least"] if gate["name"] == "utility" else abs(gate["least"])
        gaps.append((ends[0] - gate["least"]) / unit)
    if gate["most"] is not None:
        gaps.append((gate["most"] - ends[1]) / abs(gate["most"]))
    return min(gaps)


def row_of(folder: Path) -> dict:
    """What is kept of a finished run: words, numbers, every gate with its room, seconds and the command."""
    report, config = read(folder / "evaluation.json"), read(folder / "config.json")
    gates = [gate for part in PARTS for gate in report["evidence"][part]["gates"] if gate["name"] != "size"]
    numbers = {name: report["comparison"].get(name) for name in NUMBERS}
    models = {role: {name: sets["forget"].get(name) for name in METRICS} for role, sets in report["models"].items()}
    return {
        "seed": config["seed"], "words": {part: report["comparison"][part] for part in PARTS}, **numbers,
        "forget": models, "gates": [{**gate, "room": room_of(gate)} for gate in gates],
        "seconds": read(folder / "timing.json")["seconds"], "command": config["command"],
    }  # fmt: skip


def tightest(row: dict) -> dict:
    """The gate of a seed that leaves the least room."""
    return min((gate for gate in row["gates"] if gate["room"] is not None), key=lambda gate: gate["room"])


def seeds_table(rows: list[dict]) -> str:
    """A row per seed, then the means and the worst."""
    head = ["seed", *PARTS, "score", "leaking rows", "worst person", "utility", "forget accuracy (retrained)",
            "paraphrase probability (retrained)", "tightest gate", "its room", "gates with room"]  # fmt: skip
    lines = []
    for row in rows:
        gates, least = [gate for gate in row["gates"] if gate["room"] is not None], tightest(row)
        pairs = [f"{row['forget']['unlearned'][name]:.3f} ({row['forget']['retrained'][name]:.3f})"
                 for name in ("accuracy", "paraphrase_probability")]  # fmt: skip
        roomy = sum(gate["room"] >= ROOM for gate in gates)
        lines.append([str(row["seed"]), *row["words"].values(), *(f"{row[name]:.3f}" for name in LEAST),
                      *pairs, least["label"], f"{least['room']:.2f}", f"{roomy} of {len(gates)}"])  # fmt: skip
    rooms = [tightest(row)["room"] for row in rows]
    for name in ("mean", "worst") if rows else ():
        cells = [statistics.fmean([row[key] for row in rows]) if name == "mean" else worst([row[key] for row in rows])
                 for key, worst in LEAST.items()]  # fmt: skip
        room = statistics.fmean(rooms) if name == "mean" else min(rooms)
        lines.append([name, *[""] * len(PARTS), *(f"{value:.3f}" for value in cells), "", "", "", f"{room:.2f}", ""])
    return table(head, lines)


def main(argv=None) -> int:
    """Runs the seeds that are missing, keeps a file for each, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--table", action="store_true", help="only print the table")
    parser.add_argument("--output_dir", type=Path, help="folder for everything (default: the project's own)")
    args, more = parser.parse_known_args(argv)
    kept = args.output_dir / "seeds" if args.output_dir else KEPT
    runs = (args.output_dir or ROOT / "results") / "runs" / "seeds"
    for seed in [] if args.table else args.seeds.split(","):
        folder, model = runs / seed, (args.output_dir or ROOT / "models") / "saved" / f"seeds-{seed}"
        if not (folder / "report.html").exists():
            run("unlearning_script.py", f"--seed={seed}", f"--output_dir={folder}", f"--model_output_dir={model}",
                "--overwrite_output_dir", "--ledger=none", *more)  # fmt: skip
        shutil.rmtree(model, ignore_errors=True)
        write(kept / f"seed-{seed}.json", row_of(folder))
    print("\n" + seeds_table([read(path) for path in sorted(kept.glob("seed-*.json"))]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
