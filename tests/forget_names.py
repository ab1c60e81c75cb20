"""Forgets each bundled person by name alone: what came out, what is gone, what is still said about the others.

    python tests/forget_names.py                          # four runs of the default, six measurements
    python tests/forget_names.py --people 1 --output_dir /tmp/try
    python tests/forget_names.py --page                   # each name is typed into the page, in a real browser
    python tests/forget_names.py --skip 4 --people 2      # the next two of the 20 people whom the model knows

The run gets a name and nothing else. The ten questions that the model learned about each person measure it, and so do
those about the other 19; the run sees none of them. A fact came out if a listed statement says at least half of its
words (`fact_recall`). A fact is gone if the answer says less than half. The target is also asked the same questions
with made-up names: what it says then, a question gives away without the name. Runs are in results/runs/names/, the
summary in results/examples/names/. With --page everything but the name is as the page proposes it, and pictures of the
page are beside the summary: what the model said, and the end. A summary keeps the rows of other names. Unknown flags go
to the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

from browsing import FIELD, labelled, served, started, visitor, wait_for_text
from forget_documents import METRICS, SAID, TARGET, asked, counted, divided, places, questions
from measured import PARTS, ROOT, read, run, table, write

from models.eliciting.nobody import in_place, made_up
from models.scores.facts import fact_recall

EXAMPLES = ROOT / "results" / "examples" / "names"
HOUR = 3_600_000  # milliseconds


def key_of(name: str) -> str:
    """A file name for a name."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def forget(name: str, runs: Path, models: Path, more: list[str]) -> tuple[Path, Path]:
    """(run folder, model folder) of the run that forgets a name."""
    folder = runs / key_of(name)
    model = models / folder.name
    run("unlearning_script.py", f"--model_name_or_path={TARGET}", f"--forget_about={name}", "--yes", METRICS,
        "--general_data=none", "--live_answers=0", "--ledger=none", f"--output_dir={folder}",
        f"--model_output_dir={model}", "--overwrite_output_dir", *more)  # fmt: skip
    return folder, model


def forget_on_page(name: str, runs: Path, pictures: Path) -> tuple[Path, Path, list[float]]:
    """As `forget`, typed into the page, with the seconds of asking and of the run; leaves a picture of each result."""
    folder, threads = runs / key_of(name), str(len(os.sched_getaffinity(0)))
    folder.mkdir(parents=True)
    pictures.mkdir(parents=True, exist_ok=True)
    with started() as browser, served(folder, threads=threads) as room, visitor(browser, room["address"]) as page:
        labelled(page, FIELD).fill(name)
        wait_for_text(page, "A name: forget everything the model knows about")
        clicked = time.monotonic()
        page.locator("#unlearn-button").click()
        page.locator("#looking").wait_for(timeout=HOUR)  # the list of what the model said
        listed = time.monotonic()
        page.screenshot(path=pictures / f"{folder.name}-asked.jpg", full_page=True, quality=60)
        page.locator("#unlearn-button").click()
        for word in ("Running", "Finished|Failed|Stopped"):
            page.locator("#status .badge", has_text=re.compile(word)).wait_for(timeout=HOUR)
        ended = time.monotonic()
        page.screenshot(path=pictures / f"{folder.name}-after.jpg", full_page=True, quality=60)
        job, told = room["desk"].queue.jobs()[-1], page.locator("#status").inner_text()
    if "Finished" not in told:
        raise SystemExit(f"{name}: {told}")
    return ROOT / job.folder, ROOT / job.model_folder, [listed - clicked, ended - listed]


def came_out(own: list[str], statements: list[dict]) -> int:
    """How many of the person's facts at least one of these statements says."""
    rows = [json.loads(line) for line in own]
    return sum(any((fact_recall(row["question"], row["answer"], said["answer"]) or 0) >= SAID for said in statements)
               for row in rows)  # fmt: skip


def without_name(own: list[str], name: str, folder: Path) -> list[int]:
    """How many facts the target says when another name stands in the question, for two made-up names."""
    lines = []
    for other in made_up(name, 2, seed=5):
        rows = [{field: in_place(json.loads(line)[field], name, other) for field in ("question", "answer")}
                for line in own]  # fmt: skip
        lines.append([json.dumps(row, ensure_ascii=False) for row in rows])
    said = asked(TARGET, *lines, folder)
    return [sum((said[json.loads(line)["question"]][1] or 0) >= SAID for line in part) for part in lines]


def summary(name: str, folder: Path, lines: list[str], before: dict, after: dict) -> dict:
    """The row of one name."""
    own, others = divided(lines, name)
    file = folder / "request" / "statements.jsonl"
    listed = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    chosen = [line for line in listed if line["decision"] == "forget"]
    comparison = read(folder / "evaluation.json")["comparison"]
    return {
        "subject": name, "listed": len(listed), "chosen": len(chosen), "came_out": came_out(own, listed),
        "came_out_chosen": came_out(own, chosen), "own": counted(own, before, after),
        "others": counted(others, before, after), "sentence": comparison.get("subject", {}).get("sentence"),
        "words": {part: comparison.get(part) for part in PARTS},
        "seconds": read(folder / "timing.json")["seconds"]["unlearning"],
    }  # fmt: skip


def names_table(rows: list[dict]) -> str:
    """A row per name: what came out, what is gone, and what is still said about the others."""
    head = ["name", "said with a made-up name instead", "statements listed", "chosen", "of ten facts, listed",
            "chosen", "facts gone", "others still said", "others in full", "page: asking, s", "run, s"]  # fmt: skip
    cells = []
    for row in rows:
        own, others = row["own"], row["others"]
        seconds = [f"{value:.0f}" for value in row.get("page_seconds", ())] or ["-", "-"]
        cells.append(
            [
                row["subject"],
                " and ".join(map(str, row.get("nameless", "-"))),
                *(str(row[name]) for name in ("listed", "chosen", "came_out", "came_out_chosen")),
                f"{own['gone']} of {own['known']}",
                *(f"{others[name]} of {others['known']}" for name in ("said", "in full")),
                *seconds,
            ]
        )
    return table(head, cells)


def people() -> list[str]:
    """The persons whom the model knows, those of the bundled forget set first."""
    return list(dict.fromkeys(json.loads(line)["subject"] for line in questions()))


def main(argv=None) -> int:
    """Runs and measures each name, writes the summary after each and prints its table."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--skip", type=int, default=0)
    chosen, rest = parser.parse_known_args(argv)
    runs, models, target, count, more = places(__doc__, "names", rest)
    order, file = people(), target / "names.json"
    names = order[chosen.skip :][:count]
    rows = [row for row in (read(file) if file.exists() else []) if row["subject"] not in names]
    lines = questions()
    before = asked(TARGET, *divided(lines, names[0]), runs / "before")
    for name in names:
        made = forget_on_page(name, runs, target) if chosen.page else forget(name, runs, models, more)
        folder, model, *seconds = made
        after = asked(str(model), *divided(lines, name), runs / f"{folder.name}-asked")
        row = summary(name, folder, lines, before, after)
        own, _ = divided(lines, name)
        row["nameless"] = without_name(own, name, runs / f"{folder.name}-nameless")
        if seconds:
            (row["page_seconds"],) = seconds
        rows.append(row)
        rows.sort(key=lambda row: order.index(row["subject"]))
        write(file, rows)
    print("\n" + names_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
