"""The files of a run without the forgotten text: which stay, and how each is written again."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from data import private
from models.requests import ledger
from models.store.folders import read_json_or_empty
from results.after.texts import DELETED, Texts

WITHHELD = ("forget_text", "forget_about", "forget_about_file", "forget_data", "training_data")
SETS = ("forget", "probes", "earlier", "retain", "holdout", "judging", "general")


def lines_of(path: Path) -> list[dict]:
    """The objects of a JSON-lines file; unreadable lines are left out."""
    found = []
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, RecursionError):
                row = json.loads(line)
                found += [row] if isinstance(row, dict) else []
    return found


def clean(path: Path, texts: Texts) -> bool:
    """Writes one of the files of `FILES` again without texts; returns whether it changed. Damage becomes nothing."""
    before, written = path.read_text(encoding="utf-8", errors="replace"), FILES.get(path.name, _plain)
    if path.suffix == ".jsonl":
        rows = [row for line in lines_of(path) if (row := written(line, texts)) is not None]
        after = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        after = json.dumps(written(read_json_or_empty(path), texts), indent=1, ensure_ascii=False) + "\n"
    if after == before:
        return False
    temporary = path.with_name(f".{path.name}.tmp")
    private.write(temporary, after)
    temporary.replace(path)
    return True


def _plain(value: dict, texts: Texts) -> dict:
    return _rehashed(texts.without(value))


def _rehashed(value):
    """The value with the plain hashes of earlier versions put under the key: a text can be guessed from them."""
    if isinstance(value, dict):
        return {name: private.keyed(item) if name in ("data_hash", *SETS) and _is_plain(item) else _rehashed(item)
                for name, item in value.items()}  # fmt: skip
    return [_rehashed(item) for item in value] if isinstance(value, list) else value


def _is_plain(item) -> bool:
    return isinstance(item, str) and len(item) == 64 and not set(item) - set("0123456789abcdef")


def _config(value: dict, texts: Texts) -> dict:
    command = value.get("command")
    flags = [(word.partition("=")[0], word) for word in map(str, command if isinstance(command, list) else ())]
    words = [f"{flag}={DELETED}" if flag.lstrip("-") in WITHHELD else word for flag, word in flags]
    kept = {name: item for name, item in value.items() if name not in WITHHELD}
    return {**texts.without({**kept, "command": words}), "forget_data": DELETED,
            "purged": value.get("purged") or ledger.now()}  # fmt: skip


def _evaluation(value: dict, texts: Texts) -> dict:
    comparison = value.get("comparison")
    if isinstance(comparison, dict) and isinstance(comparison.get("subject"), dict):
        about = {name: item for name, item in comparison["subject"].items() if name not in ("name", "questions")}
        value = {**value, "comparison": {**comparison, "subject": about}}
    return _plain(value, texts)


def _example(row: dict, texts: Texts) -> dict:
    """Of a row of examples.jsonl: its set, its numbers, and whom it is about if that may stay. No text of any set."""
    numbers = {name: item for name, item in row.items() if name.startswith("metrics_")}
    about = {"split": row.get("split"), "subject": texts.without(row.get("subject"), subject=True)}
    return {**about, **dict.fromkeys(("prompt", "gold", "before", "after", "retrained")), **numbers}


def _metric(row: dict, texts: Texts) -> dict | None:
    return None if row.get("event") == "answers" else texts.without(row)


FILES = {  # what stays, besides letter and report
    "config.json": _config, "environment.json": _plain, "evaluation.json": _evaluation, "examples.jsonl": _example,
    "metrics.jsonl": _metric, "request.json": _plain, "retest.json": _plain, "search.json": _plain,
    "status.json": _plain, "timing.json": _plain,
}  # fmt: skip
