"""Finds the rows of earlier runs: in the files that their config.json names, or in other files by hash."""

from __future__ import annotations

import json
import os
from pathlib import Path

from data import preparation, reading
from data.columns import DataError
from data.documents.request import document_request
from models.requests.ledger import files_beside
from models.store.folders import read_json_or_empty
from models.store.paths import PROJECT


def paths_of(sources: str) -> list[str]:
    """The files, folders or datasets in a list separated by commas. Paths may start at the project."""
    found = []
    for source in sources.split(",") if not os.path.exists(sources) else [sources]:
        source = os.path.expanduser(source)
        there = os.path.exists(source) or not os.path.exists(PROJECT / source)
        found.append(source if there else str(PROJECT / source))
    return found


def read_all(sources: str, split: str, notes: list) -> list:
    """The rows of a file, folder or dataset, or of several, see `paths_of`. Of documents: the passages."""
    rows = []
    for path in paths_of(sources):
        read = reading.read_examples(path)
        notes += [f"{split}: {note}" for note in getattr(read, "notes", [])]
        rows += read
    return rows


def read_forget(sources: str, notes: list, questions: bool = True, max_length: int = 512) -> tuple[list, list]:
    """(rows to forget, requests): the rows of files, and those of a `DocumentRequest` for each source of documents.

    questions: whether documents give question-form rows too. max_length: tokens of a passage, about.
    """
    rows, requests = [], []
    for path in paths_of(sources):
        request = document_request(path, questions, max_length)
        if request is None:
            rows += read_all(path, "forget", notes)
        else:
            requests.append(request)
            notes += [f"forget: {note}" for note in request.notes]
            rows += request.forget
    return rows, requests


def forget_hash(run: Path) -> str | None:
    """The hash of a run's forget set, from its environment.json; None for a run without a forget set."""
    hashes = read_json_or_empty(run / "environment.json").get("data_hashes")
    return hashes.get("forget") if isinstance(hashes, dict) else None


def forget_rows(config: dict, wanted: str) -> tuple[list | None, str | None]:
    """(rows, None) of the forget set that a run's `config` names, or (None, the problem)."""
    if config.get("purged"):
        return None, f"its text was deleted on {str(config['purged'])[:10]} (--purge)"
    if config.get("forget_text"):
        rows, place = list(reading.examples_from_text(config["forget_text"])), "its config.json"
    else:
        place = str(config.get("forget_data"))
        try:
            if "document_questions" in config:  # runs before this setting read documents as rows
                rows, _ = read_forget(place, [], config["document_questions"], config.get("max_length", 512))
            else:
                rows = read_all(place, "earlier", [])
        except DataError as error:
            return None, str(error).splitlines()[0]
    if wanted not in preparation.data_hashes(rows):
        return None, f"{place} has changed: its rows are not the ones that were forgotten"
    return rows, None


def by_hash(sources: str | None) -> dict[str, list]:
    """{hash: rows} of each file in a comma-separated list, and of all files together; today's hashes and older ones."""
    if not sources:
        return {}
    parts = [read_forget(source, [])[0] for source in sources.split(",")]
    parts.append([row for part in parts for row in part])
    parts += [read_forget(source, [], questions=False)[0] for source in sources.split(",")]
    return {name: part for part in parts for name in preparation.data_hashes(part)}


def beside(ledger: Path, wanted: set[str]) -> dict[str, list]:
    """{hash: rows} for the `wanted` hashes, from the data files of the run folders beside a ledger."""
    found = {}
    for config in files_beside(ledger, "config.json"):
        content = forget_hash(config.parent)
        if content in wanted and content not in found:
            rows, _ = forget_rows(read_json_or_empty(config), content)
            found.update({content: rows} if rows else {})
    return found


def measured_rows(run: Path) -> tuple[dict[str, list], dict[str, list]]:
    """({metric: value of each forget row}) of the target and of the unlearned model, from a run's examples.jsonl.

    Both are {} if the file is gone or unreadable.
    """
    try:
        lines = (run / "examples.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
        rows = [row for line in lines if (row := json.loads(line))["split"] == "forget"]
        tables = [[row[f"metrics_{role}"] or {} for row in rows] for role in ("before", "after")]
        names = [dict.fromkeys(name for row in table for name in row) for table in tables]
        before, after = ({n: [row.get(n) for row in table] for n in known} for table, known in zip(tables, names))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}, {}
    return before, after
