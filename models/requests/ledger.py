"""The ledger: one line per completed request, each with the hash of the previous line.

    append(path, entry); entries(path) -> list of dicts; problems(path) -> breaks in the chain

A line records that something was unlearned, by which method and with what result. It holds a hash of the data, never
the data. The owner of the rows can find the line by this hash; anyone else learns only the number of rows.

    hash_n = SHA-256(line n without its "hash"),   line n holds "previous" = hash_(n - 1)

An altered, removed, inserted or swapped line breaks the chain. The chain does not show that its last lines were
removed, and someone with write access can forge a new chain. Store the printed hash elsewhere. Each run also keeps the
hash of its own line in its folder (`RECEIPT`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from models.store import folders
from models.store.on_first_use import fcntl

NAME = "ledger.jsonl"
RECEIPT = "request.json"  # in a run folder: the request, the model it produced, the number and hash of its line
FIRST = "0" * 64  # "previous" of the first line


class LedgerError(ValueError):
    """The ledger cannot be written (exit code 6), or its chain is broken (exit code 3)."""

    def __init__(self, message: str, exit_code: int = 3):
        super().__init__(message)
        self.exit_code = exit_code


def now() -> str:
    """The time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _text(entry: dict) -> str:
    """The canonical text of an entry: equal entries have equal hashes."""
    return json.dumps(entry, ensure_ascii=True, sort_keys=True, separators=(", ", ": "), allow_nan=False)


def line_hash(entry: dict) -> str:
    """SHA-256 (hex) of an entry without its own "hash"."""
    return hashlib.sha256(_text({k: v for k, v in entry.items() if k != "hash"}).encode()).hexdigest()


def _read(path: Path) -> list[str]:
    """The complete lines of a ledger; an unfinished last line, without a newline, does not count."""
    try:
        return path.read_bytes().decode("utf-8", errors="replace").split("\n")[:-1]
    except FileNotFoundError:
        raise LedgerError(f"{path}: no such ledger; give --ledger the file that the runs wrote") from None
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}", 6) from None


def _entry(line: str) -> dict | None:
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(line)
        return value if isinstance(value, dict) else None
    return None


def entries(path: str | Path) -> list[dict]:
    """The readable lines of a ledger in order, even where the chain is broken (see `problems`)."""
    return [entry for line in _read(Path(path)) if (entry := _entry(line)) is not None]


def problems(path: str | Path) -> list[str]:
    """Breaks in a ledger's chain, line by line; [] if every line is unchanged and in its place."""
    path, found, previous = Path(path), [], FIRST
    for number, line in enumerate(_read(path), 1):
        entry = _entry(line)
        if entry is None:
            found.append(f"{path}:{number}: not a ledger line")
            previous = None
            continue
        if entry.get("hash") != line_hash(entry) or line != _text(entry):
            found.append(f"{path}:{number}: the line was changed after it was written")
        elif previous is not None and entry.get("previous") != previous:
            found.append(f"{path}:{number}: does not follow the line before it: a line was removed, added or moved")
        previous = entry.get("hash")
    return found


def files_beside(ledger: Path, name: str) -> list[Path]:
    """Files of this name in the run folders, up to three levels below a ledger's folder."""
    return sorted(path for depth in ("*", "*/*", "*/*/*") for path in ledger.parent.glob(f"{depth}/{name}"))


def missing(path: str | Path) -> list[str]:
    """Lines that are missing from the ledger although a run folder beside it holds their receipt."""
    path, found = Path(path), []
    held = {entry.get("hash") for entry in entries(path)}
    for receipt in files_beside(path, RECEIPT):
        said = folders.read_json_or_empty(receipt)
        if said.get("ledger") == path.name and said.get("hash") and said["hash"] not in held:
            found.append(f"{path}: line {said.get('line')}, written by {receipt.parent.name}, is missing or changed")
    return found


def check_writable(path: str | Path):
    """Raises `LedgerError` if a line cannot be added: before hours of work, not after them."""
    path = Path(path)
    cure = "give --ledger another file, or none"
    if path.exists():
        if not path.is_file():
            raise LedgerError(f"--ledger {path}: not a file; {cure}", 2)
        if not os.access(path, os.R_OK | os.W_OK):
            raise LedgerError(f"--ledger {path}: cannot be written; {cure}", 6)
        if wrong := problems(path):
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            raise LedgerError(f"--ledger has a broken chain: {wrong[0]}{more}; restore it, or {cure}")
        return
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise LedgerError(f"--ledger {path}: {above} is not writable; {cure}", 6)


def append(path: str | Path, entry: dict, once: tuple = ("request", "model_after")) -> dict:
    """Adds a line and returns it with its "line", "previous" and "hash".

    If a line with the same values of `once` is there already, that one stays and is returned: a request gets one line.

    Processes wait for each other. The line is on disk when this returns. An unfinished last line of a killed process is
    removed first. Raises `LedgerError`.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            return _append(file, path, entry, once)
    except OSError as error:
        raise LedgerError(f"--ledger {path}: {error.strerror}; no line was added", 6) from None


def _append(file, path: Path, entry: dict, once: tuple) -> dict:
    file.seek(0)
    content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    before = [_entry(line) for line in whole.decode("utf-8", errors="replace").split("\n")[:-1]]
    for earlier in before:
        if earlier and once and all(earlier.get(name) == entry.get(name) for name in once):
            return earlier
    last = before[-1] if before else {"hash": FIRST}
    if not last or not isinstance(last.get("hash"), str):
        raise LedgerError(f"{path}:{len(before)}: not a ledger line, so nothing can follow it; restore the file")
    entry = {**entry, "line": len(before) + 1, "previous": last["hash"]}
    entry["hash"] = line_hash(entry)
    file.truncate(len(whole))
    try:
        file.write(_text(entry).encode() + b"\n")
        file.flush()
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(len(whole))
        raise
    os.fsync(file.fileno())
    if not before:
        folders.sync(path.parent)
    return entry
