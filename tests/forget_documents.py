"""Forgets a passage about each bundled person and counts which questions about her or him still get their answers.

    python tests/forget_documents.py                           # four runs of the default method, five measurements
    python tests/forget_documents.py --people 1 --output_dir /tmp/try --max_steps=20

The passages are in tests/passages/, in other words than the questions. The model learned questions only, so a run has
to carry over from the passage to questions that it never sees. An answer is gone if it says less than half of the words
that carry its fact (`fact_recall`), and still said if it says at least half. Runs are in results/runs/documents/, the
summary in results/examples/documents/; with --output_dir everything is there. Unknown flags go to the runs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from measured import PARTS, ROOT, read, run, table, write

TARGET = "models/people-target"
PASSAGES = ROOT / "tests" / "passages"
METRICS = "--metrics=fact_recall,answer_probability,accuracy,loss"
SAID = 0.5  # share of the words that carry a fact
QUESTIONS = ("forget", "retain")  # bundled sets of questions that the target model knows


def subject_of(passage: Path) -> str:
    """The person that a passage is about: its heading."""
    return passage.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def questions() -> list[str]:
    """The lines of the bundled sets whose answers the target model knows."""
    return [line for name in QUESTIONS
            for line in (ROOT / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]  # fmt: skip


def divided(lines: list[str], subject: str) -> tuple[list[str], list[str]]:
    """(lines about the subject, lines about others)."""
    own = [line for line in lines if json.loads(line)["subject"] == subject]
    return own, [line for line in lines if json.loads(line)["subject"] != subject]


def asked(model: str, own: list[str], others: list[str], folder: Path) -> dict[str, tuple[str, float | None]]:
    """{question: (answer, fact recall)} of a model, for rows about one person and about others."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("own", own), ("others", others)):
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run("evaluation_metrics.py", f"--model_name_or_path={model}", f"--forget_data={folder / 'own.jsonl'}",
        f"--retain_data={folder / 'others.jsonl'}", "--general_data=none", METRICS, f"--output_dir={folder}",
        "--overwrite_output_dir")  # fmt: skip
    rows = map(json.loads, (folder / "examples.jsonl").read_text(encoding="utf-8").splitlines())
    return {row["prompt"]: (row["after"], row["metrics_after"].get("fact_recall"))
            for row in rows if row["split"] in QUESTIONS}  # fmt: skip


def counted(lines: list[str], before: dict, after: dict) -> dict[str, int]:
    """Of the questions that the model answered before: how many there are, and what became of their answers.

    before, after: {question: (answer, fact recall)}. "gone" says less than half of a fact, "said" at least half, "in
    full" all of it, "changed" is any other answer than before.
    """
    wanted = [json.loads(line)["question"] for line in lines]
    known = [question for question in wanted if (before[question][1] or 0) >= SAID]
    values = [after[question][1] or 0 for question in known]
    return {
        "questions": len(wanted), "known": len(known), "gone": sum(value < SAID for value in values),
        "said": sum(value >= SAID for value in values), "in full": sum(value == 1 for value in values),
        "changed": sum(after[question][0] != before[question][0] for question in known),
    }  # fmt: skip


def forget(passage: Path, runs: Path, models: Path, more: list[str]) -> tuple[Path, Path]:
    """(run folder, model folder) of the run that forgets a passage; the user gives nothing but the passage."""
    folder, model = runs / passage.stem, models / passage.stem
    run("unlearning_script.py", f"--model_name_or_path={TARGET}", f"--forget_data={passage}", METRICS,
        "--live_answers=0", "--ledger=none", f"--output_dir={folder}", f"--model_output_dir={model}",
        "--overwrite_output_dir", *more)  # fmt: skip
    return folder, model


def summary(subject: str, folder: Path, lines: list[str], before: dict, after: dict) -> dict:
    """The row of one run, with the answers about its subject and about others."""
    own, others = divided(lines, subject)
    report = read(folder / "evaluation.json")
    ends = [report["models"][role].get("probes", {}).get("fact_recall") for role in ("target", "unlearned")]
    words = {part: report["comparison"].get(part) for part in PARTS}
    seconds = read(folder / "timing.json")["seconds"]["unlearning"]
    counts = {"own": counted(own, before, after), "others": counted(others, before, after)}
    method = read(folder / "config.json")["method"]
    return {"subject": subject, **counts, "probes": ends, "words": words, "seconds": seconds, "method": method}


def documents_table(rows: list[dict]) -> str:
    """A row per passage: what became of the answers about its person and about the others."""
    head = ["passage about", "own answers changed", "own facts gone", "others still said", "others in full",
            "probes' facts before", "after", "seconds"]  # fmt: skip
    cells = []
    for row in rows:
        own, others = row["own"], row["others"]
        probes = ["-" if value is None else f"{value:.2f}" for value in row["probes"]]
        cells.append([row["subject"], f"{own['changed']} of {own['known']}", f"{own['gone']} of {own['known']}",
                      f"{others['said']} of {others['known']}", f"{others['in full']} of {others['known']}", *probes,
                      f"{row['seconds']:.0f}"])  # fmt: skip
    return table(head, cells)


def folders(name: str, output_dir: str | None) -> tuple[Path, Path, Path]:
    """(folder of runs, of models, of the summary) of a measurement; with `output_dir` everything is there."""
    if output_dir:
        return Path(output_dir).resolve() / "runs", Path(output_dir).resolve() / "models", Path(output_dir).resolve()
    results = ROOT / "results"
    return results / "runs" / name, ROOT / "models" / "saved" / name, results / "examples" / name


def places(description: str, name: str, argv) -> tuple[Path, Path, Path, int, list[str]]:
    """(folder of runs, which is emptied, of models, of the summary, people, other flags) of a command line."""
    parser = argparse.ArgumentParser(description=description.split("\n\n")[0])
    parser.add_argument("--output_dir", help="a folder for everything, instead of the project's")
    parser.add_argument("--people", type=int, default=4, choices=range(1, 5))
    args, more = parser.parse_known_args(argv)
    runs, models, target = folders(name, args.output_dir)
    shutil.rmtree(runs, ignore_errors=True)
    return runs, models, target, args.people, more


def main(argv=None) -> int:
    """Runs and measures each passage, writes the summary and prints its table."""
    runs, models, target, people, more = places(__doc__, "documents", argv)
    lines, rows = questions(), []
    passages = sorted(PASSAGES.glob("*.md"))[:people]
    before = asked(TARGET, *divided(lines, subject_of(passages[0])), runs / "before")
    for passage in passages:
        folder, model = forget(passage, runs, models, more)
        own, others = divided(lines, subject_of(passage))
        after = asked(str(model), own, others, runs / f"{passage.stem}-asked")
        rows.append(summary(subject_of(passage), folder, lines, before, after))
        write(target / "documents.json", rows)
    print("\n" + documents_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
