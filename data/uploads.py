"""Checks of input from the web page and its API: paths, names, files, tables.

A path outside the allowed folders is never opened or looked up: its text is checked first, then the place that its
links lead to. Messages address the user of the form.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from data.columns import DataError, Example
from data.reading import READERS, TYPES, Examples, examples_from_text, iter_examples

MAX_PATH = 1000  # characters
MAX_BYTES = 50_000_000
MAX_TEXT = 1_000_000  # characters
MAX_ROWS = 1_000_000
MAX_PAIRS = 10_000
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class InputError(ValueError):
    """Input that the page refuses; the message says why and what to do."""

    exit_code = 2


def shown(value: Any) -> str:
    """A short, one-line form of an untrusted value, for messages."""
    try:
        text = repr(value)[1:-1] if isinstance(value, str) else repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or a number with too many digits
        text = type(value).__name__
    return text if len(text) <= 120 else f"{text[:100]}… ({len(text)} characters)"


def confined_path(
    value: str, roots: Sequence[Path], base: Path, what: str = "path", may: Callable[[Path], bool] | None = None
) -> Path:
    """The existing file or folder `value`, inside one of `roots`; a relative path starts at `base`.

    may: whether the person may use a place, without links; any other place is told as missing.
    Raises InputError: too long, control characters, `~`, URL, `..`, outside the roots (by text or by link), in a hidden
    folder, missing.
    """
    value = value.strip() if isinstance(value, str) else ""
    allowed = ", ".join(dict.fromkeys(f"{root.name}/" for root in roots))
    if not value:
        raise InputError(f"{what}: empty")
    if len(value) > MAX_PATH:
        raise InputError(f"{what}: {len(value):,} characters; a path may have at most {MAX_PATH:,}")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise InputError(f"{what} {shown(value)}: control characters are not allowed in a path")
    if value.startswith("~"):
        raise InputError(f"{what} {shown(value)}: '~' is not allowed here; name a folder in {allowed}")
    if _URL.match(value) or value.startswith("//"):
        raise InputError(
            f"{what} {shown(value)}: web addresses and file: links are not accepted; name a folder in {allowed}"
        )
    if ".." in Path(value).parts:
        raise InputError(f"{what} {shown(value)}: '..' is not allowed; name a folder in {allowed}")
    path = Path(os.path.normpath(base / value))
    outside = InputError(f"{what} {shown(value)}: outside the folders that this page may use ({allowed})")
    if not any(path.is_relative_to(root) for root in roots):
        raise outside
    missing = InputError(f"{what} {shown(value)}: no such file or folder")
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError, UnicodeError):
        raise missing from None
    inside = [real.relative_to(root.resolve()) for root in roots if real.is_relative_to(root.resolve())]
    if not inside:
        raise outside
    hidden = all(any(part.startswith(".") for part in place.parts) for place in inside)
    if hidden or not (may is None or may(real)):
        raise missing
    return path


def model_name(
    value: str, roots: Sequence[Path], base: Path, what: str = "model", may: Callable[[Path], bool] | None = None
) -> str:
    """A checked model name: a folder in `roots` (relative to `base` if inside it) or a hub name org/name."""
    value = value.strip() if isinstance(value, str) else ""
    if HUB_NAME.fullmatch(value) and ".." not in value and not (base / value.split("/")[0]).is_dir():
        return value
    path = confined_path(value, roots, base, what, may)
    if not path.is_dir():
        raise InputError(f"{what} {shown(value)} is a file; name the folder that holds config.json and the weights")
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def run_name(value: str | None) -> str:
    """A run's name, which becomes its folder's name; "" when none is given."""
    value = (value or "").strip()
    if value and not _RUN_NAME.fullmatch(value):
        raise InputError(
            f"name {shown(value)}: use at most 80 letters, digits, '.', '-' and '_', and begin with a letter or digit"
        )
    return value


def checked_upload(path: str | Path, what: str = "file") -> Examples:
    """The first 1,000 examples of an uploaded file. All its rows are checked; `.notes` says how many there are.

    Raises InputError for the wrong type or size and DataError for bad rows. Messages name the file, not its folder.
    """
    path = Path(path)
    if path.suffix.lower() not in READERS:
        raise InputError(f"{what} {shown(path.name)}: file type not accepted; accepted types: {TYPES}")
    if not path.is_file() or path.is_symlink():
        raise InputError(f"{what} {shown(path.name)}: no longer here; choose the file again")
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
        raise InputError(f"{what} {shown(path.name)}: more than {MAX_ROWS:,} rows; use the command line for so many")
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
    """Examples from the page's table of questions and answers. Leaves out empty rows.

    Raises InputError naming each row that lacks its question or answer.
    """
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
