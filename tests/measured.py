"""What the measuring tools share: the project's scripts as processes, Markdown tables, and results kept for READMEs."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.verdict.words import PARTS  # noqa: E402
from results.report.ranking import ORDERS, verdict_cells  # noqa: E402

FOLDER = ROOT / "tests" / "measured"


def run(script: str, *flags: str, allowed=(0,)):
    """Runs a script of the project in its own process. An exit code that is not `allowed` also ends the caller."""
    print(f"\n$ python {script} {' '.join(flags)}", flush=True)
    code = subprocess.run([sys.executable, script, *flags], cwd=ROOT, check=False).returncode
    if code not in allowed:
        raise SystemExit(code)


def read(path: Path):
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, value):
    """Writes a JSON file; creates its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def table(head, rows) -> str:
    """A Markdown table of texts."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def words_of(rows: list[dict]) -> list[str]:
    """A cell per part of the verdict: the word of these runs, with counts where they differ.

    A row holds the three words; one of an earlier version its "verdict".
    """
    told = [verdict_cells({part: row[part] for part in PARTS if part in row}, row.get("verdict")) for row in rows]
    found = [Counter(word.split(" (")[0] for word in words) for words in zip(*told)]
    return [", ".join(word if n == len(rows) else f"{word} {n}x" for word, n in counts.items()) for counts in found]


def standing(rows: list[dict]) -> tuple:
    """Sorts groups of rows by their worst memory word, their worst rest word, and their mean score."""
    worst = [max(order.get(str(row.get(part)).split(" (")[0], 9) for row in rows) for part, order in ORDERS.items()]
    scores = [float(row["score"]) for row in rows if row.get("score") not in (None, "")]
    return (*worst, -statistics.fmean(scores) if scores else 1.0)


def help_seconds(count: int) -> float:
    """Seconds until `unlearning_script.py --help` has answered: the median of `count` calls."""
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        subprocess.run([sys.executable, "unlearning_script.py", "--help"], cwd=ROOT, capture_output=True, check=True)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def machine() -> str:
    """Cores and processor."""
    cpu = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpu.read_text(encoding="utf-8")) if cpu.exists() else None
    return f"{os.cpu_count()} cores, {found[1] if found else platform.machine()}"


def keep(name: str, command: str, text: str):
    """Writes tests/measured/<name>.md, which `readme_tables.py` copies into a README."""
    FOLDER.mkdir(exist_ok=True)
    told = f"`{command}`, {datetime.date.today().isoformat()}, {machine()}:"
    (FOLDER / f"{name}.md").write_text(f"{told}\n\n{text.strip()}\n", encoding="utf-8")


def kept(name: str, command: str) -> str:
    """The kept text, or a note that there is none."""
    path = FOLDER / f"{name}.md"
    return path.read_text(encoding="utf-8").strip() if path.exists() else f"`{command}`: not measured yet."
