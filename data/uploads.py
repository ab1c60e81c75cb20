"""Checks of what a stranger hands in through the web page or its API: paths, names, files, tables.

Nothing outside of the allowed folders is opened, or even looked for: a path is refused by its text first, and again
after its links have been followed. Messages are for the person who filled in the form.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from data.reading import SUFFIXES, DataError, Example, Examples, examples_from_text, iter_examples

MAX_PATH = 1000  # characters
MAX_BYTES = 50_000_000
MAX_TEXT = 1_000_000  # characters
MAX_ROWS = 1_000_000
MAX_PAIRS = 10_000
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class InputError(ValueError):
    """A value that the page does not accept; the message says why and what to do."""

    exit_code = 2


def shown(value: Any) -> str:
    """A stranger's value for a message: one line, short."""
    text = repr(value)[1:-1] if isinstance(value, str) else repr(value)
    return text if len(text) <= 120 else f"{text[:100]}… ({len(text)} characters)"


def confined_path(value: str, roots: Sequence[Path], base: Path, what: str = "path") -> Path:
    """The existing file or folder that `value` names, inside one of `roots`; relative ones start at `base`.

    Raises InputError: too long, control characters, `~`, URL, `..`, outside of the roots (by text or by link), missing.
    """
    value = value.strip() if isinstance(value, str) else ""
    allowed = ", ".join(dict.fromkeys(f"{root.name}/" for root in roots))
    if not value:
        raise InputError(f"{what}: empty")
    if len(value) > MAX_PATH:
        raise InputError(f"{what}: {len(value):,} characters; a path may have {MAX_PATH:,}")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise InputError(f"{what} {shown(value)}: control characters are not allowed in a path")
    if value.startswith("~"):
        raise InputError(f"{what} {shown(value)}: '~' is not understood here; name a folder in {allowed}")
    if _URL.match(value) or value.startswith("//"):
        raise InputError(
            f"{what} {shown(value)}: web addresses and file: links are not accepted; name a folder in {allowed}"
        )
    if ".." in Path(value).parts:
        raise InputError(f"{what} {shown(value)}: '..' is not allowed; name a folder in {allowed}")
    path = Path(os.path.normpath(base / value))
    outside = InputError(f"{what} {shown(value)}: outside of the folders this page may use ({allowed})")
    if not any(path.is_relative_to(root) for root in roots):
        raise outside
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError, UnicodeError):
        raise InputError(f"{what} {shown(value)}: no such file or folder") from None
    if not any(real.is_relative_to(root.resolve()) for root in roots):
        raise outside
    return path


def model_name(value: str, roots: Sequence[Path], base: Path, what: str = "model") -> str:
    """What to pass as a model: a folder in `roots`, relative to `base` where it lies there, or a hub name org/name."""
    value = value.strip() if isinstance(value, str) else ""
    if _HUB_NAME.fullmatch(value) and ".." not in value and not (base / value.split("/")[0]).is_dir():
        return value
    path = confined_path(value, roots, base, what)
    if not path.is_dir():
        raise InputError(f"{what} {shown(value)}: a file; name the folder that holds config.json and the weights")
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def run_name(value: str | None) -> str:
    """A run's name, which becomes a folder's; "" when none was given."""
    value = (value or "").strip()
    if value and not _RUN_NAME.fullmatch(value):
        raise InputError(
            f"name {shown(value)}: use letters, digits, '.', '-' and '_', beginning with a letter or digit, at most 80"
        )
    return value


def checked_upload(path: str | Path, what: str = "file") -> Examples:
    """The first 1,000 examples of an uploaded file, all of whose rows were checked; `.notes` says how many there are.

    Raises InputError for the wrong kind or size and DataError for bad rows; the message names the file, not its folder.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{what} {shown(path.name)}: this kind is not accepted; accepted are {' '.join(SUFFIXES)}")
    if not path.is_file() or path.is_symlink():
        raise InputError(f"{what} {shown(path.name)}: not here (any more); choose the file again")
    size = path.stat().st_size
    if not size:
        raise InputError(f"{what} {shown(path.name)}: empty")
    if size > MAX_BYTES:
        raise InputError(f"{what} {shown(path.name)}: {size / 1e6:.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB here")
    notes: list[str] = []
    try:
        rows = iter_examples(path, MAX_ROWS + 1, notes)
        kept = list(islice(rows, 1000))
        count = len(kept) + sum(1 for _ in rows)
    except DataError as error:
        raise DataError(str(error).replace(f"{path.parent}/", "")) from None
    if count > MAX_ROWS:
        raise InputError(f"{what} {shown(path.name)}: more than {MAX_ROWS:,} rows; use the command line for these")
    found = Examples(kept, [note.replace(f"{path.parent}/", "") for note in notes])
    found.notes.insert(0, f"{count:,} row{'s' if count != 1 else ''} in {path.name}")
    return found


def checked_text(text: str) -> Examples:
    """Typed text as examples, one per paragraph."""
    if not isinstance(text, str) or not text.strip():
        raise InputError("nothing to forget yet: type or paste a text")
    if len(text) > MAX_TEXT:
        raise InputError(f"the text has {len(text):,} characters; at most {MAX_TEXT:,} here, so upload it as a file")
    return examples_from_text(text)


def checked_pairs(rows: Iterable[Sequence[Any]]) -> list[Example]:
    """Question and answer rows of the page's table; empty rows are left out, half empty ones refused by number."""
    found, problems = [], []
    for number, row in enumerate(rows or (), start=1):
        cells = [str(cell).strip() if cell is not None else "" for cell in (*row, "", "")[:2]]
        if not any(cells):
            continue
        if not all(cells):
            problems.append(f"row {number}: the {'answer' if cells[0] else 'question'} is missing")
            continue
        found.append(Example(answer=cells[1], prompt=cells[0], line=number))
    if problems:
        raise InputError("; ".join(problems[:20]))
    if not found:
        raise InputError("nothing to forget yet: fill in a question and its answer")
    if len(found) > MAX_PAIRS:
        raise InputError(f"{len(found):,} pairs; at most {MAX_PAIRS:,} here, so upload them as a file")
    return found


def write_pairs(examples: Sequence[Example], path: Path) -> Path:
    """Question and answer pairs as JSON lines."""
    lines = [json.dumps({"question": e.prompt, "answer": e.answer}, ensure_ascii=False) for e in examples]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
