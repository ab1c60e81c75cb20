"""What the benchmarks measured last, kept beside them for the README: a text, its command, machine and day."""

from __future__ import annotations

import datetime
import os
import platform
import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "measured"


def machine() -> str:
    """Cores and processor."""
    cpu = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpu.read_text(encoding="utf-8")) if cpu.exists() else None
    return f"{os.cpu_count()} cores, {found[1] if found else platform.machine()}"


def keep(name: str, command: str, text: str) -> None:
    """Writes tests/measured/<name>.md, which `readme_tables.py` copies into the README."""
    FOLDER.mkdir(exist_ok=True)
    told = f"`{command}`, {datetime.date.today().isoformat()}, {machine()}:"
    (FOLDER / f"{name}.md").write_text(f"{told}\n\n{text.strip()}\n", encoding="utf-8")


def kept(name: str, command: str) -> str:
    """What was kept, or that nothing was."""
    path = FOLDER / f"{name}.md"
    return path.read_text(encoding="utf-8").strip() if path.exists() else f"`{command}`: not measured yet."
