"""Reads the published benchmarks' files: TOFU (Maini et al. 2024) and MUSE (Shi et al. 2024).

TOFU: a folder with forgetNN, retainNN, real_authors, world_facts and optionally holdoutNN (.json or .jsonl). A file
with `_perturbed` in its name adds reworded and wrong answers and replaces the plain one.
MUSE: a corpus folder with verbmem/forget.json, knowmem/{forget,retain}_qa.json (and `_icl` examples), privleak/{forget,
holdout}.json.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from data.columns import DataError, Example
from data.reading import read_examples

BENCHMARKS = ("tofu", "muse")
TOFU_SETS = ("forget", "retain", "holdout", "real_authors", "world_facts")
TOFU_NAMES = {"real_authors": "Real Authors", "world_facts": "Real World", "retain": "Retain", "forget": "Forget"}
MUSE_FILES = {
    "verbmem_forget": ("verbmem/forget.json", ("prompt", "gt")),
    "knowmem_forget": ("knowmem/forget_qa.json", ("question", "answer")),
    "knowmem_forget_icl": ("knowmem/forget_qa_icl.json", ("question", "answer")),
    "knowmem_retain": ("knowmem/retain_qa.json", ("question", "answer")),
    "knowmem_retain_icl": ("knowmem/retain_qa_icl.json", ("question", "answer")),
    "privleak_forget": ("privleak/forget.json", ()),
    "privleak_holdout": ("privleak/holdout.json", ()),
}
ROWS = 400  # TOFU evaluates at most this many rows of a set


def read_tofu(folder: str | Path) -> dict[str, list[Example]]:
    """{set: examples} of a TOFU folder, at most `ROWS` each. Raises DataError if forget or retain is missing.

    The folder must hold a single size of each set: forget01 or forget05, not both.
    """
    folder, sets = _folder(folder), {}
    names = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".jsonl"))
    for name in TOFU_SETS:
        found = [path for path in names if re.fullmatch(rf"{name}\d*(_perturbed)?", path.stem)]
        found = [path for path in found if path.stem.endswith("_perturbed")] or found
        if len(found) > 1:
            raise DataError(f"{folder}: several {name} files ({', '.join(p.name for p in found)}): keep one")
        if found:
            sets[name] = list(read_examples(str(found[0]), ROWS))
    missing = [name for name in ("forget", "retain") if name not in sets]
    if missing:
        raise DataError(f"{folder}: no {' and no '.join(missing)} file, such as forget01.jsonl or retain400.jsonl")
    return sets


def read_muse(folder: str | Path) -> dict[str, list]:
    """{part: [(prompt, gold)]} of a MUSE folder, {part: [text]} for privleak. Leaves out missing parts."""
    folder, parts, problems = _folder(folder), {}, []
    for part, (name, keys) in MUSE_FILES.items():
        path = folder / name
        if not path.exists():
            continue
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            problems.append(f"{path}: not JSON ({error})")
            continue
        if keys:
            good = isinstance(rows, list) and all(
                isinstance(row, dict) and all(isinstance(row.get(key), str) for key in keys) for row in rows
            )
            parts[part] = [tuple(row[key] for key in keys) for row in rows] if good else None
        else:
            rows = [row.get("text") if isinstance(row, dict) else row for row in rows] if isinstance(rows, list) else []
            parts[part] = rows if rows and all(isinstance(row, str) and row.strip() for row in rows) else None
        if not parts[part]:
            problems.append(f"{path}: expected a list of {' and '.join(keys) + ' objects' if keys else 'texts'}")
    if problems:
        raise DataError("\n  ".join(problems))
    if not parts:
        expected = ", ".join(name for name, _ in MUSE_FILES.values())
        raise DataError(f"{folder}: no MUSE file found; expected {expected}")
    return parts


def _folder(folder: str | Path) -> Path:
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"--data_dir: no such folder: {folder}")
    return folder
