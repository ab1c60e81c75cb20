"""The ledger of deletion requests for people: what was carried out, and whether its lines still fit together."""

from __future__ import annotations

from pathlib import Path

from models.requests import ledger, retest
from models.requests.ledger import LedgerError
from models.store.folders import read_json_or_empty

REQUEST_HEADERS = ["Request", "When (UTC)", "Run", "Method", "Rows", "Verdict", "Goes on from", "Tested again"]
NONE_YET = "No request is recorded here yet. Each finished run adds a line: when, how, with what result, never what."


def requests_of(path: Path, runs) -> list[dict]:
    """The ledger's lines whose runs are among those named; [] where there is no ledger."""
    try:
        return [entry for entry in ledger.entries(path) if entry.get("run") in runs]
    except LedgerError:
        return []


def newest_retest(folders) -> dict:
    """The latest test of earlier requests among run folders; {} where there was none."""
    found = [path for folder in folders if (path := folder / "retest.json").is_file()]
    return read_json_or_empty(max(found, key=lambda path: path.stat().st_mtime)) if found else {}


def retest_told(report: dict) -> str:
    """What a test of earlier requests found, in a sentence."""
    rows = _tested(report)
    if report.get("problems"):
        return "The record of the requests does not fit together: see the ledger under Runs."
    back = [str(row.get("line")) for row in rows if row.get("verdict") == retest.CAME_BACK]
    still = sum(row.get("verdict") == retest.STILL for row in rows)
    if back:
        return f"{len(back)} of {len(rows)} came back: request {', '.join(back)}."
    if still < len(rows):
        return f"{still} of {len(rows)} requests are still forgotten; the others cannot be tested."
    return "The request is still forgotten." if still == 1 else f"All {still} requests are still forgotten."


def _tested(report: dict) -> list[dict]:
    rows = report.get("requests")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def request_rows(entries: list[dict], report: dict | None = None) -> list[list[str]]:
    """A row per request, the newest first; with what the latest test of them found."""
    again = {row.get("request"): f"{row.get('verdict')}: {row.get('why')}" for row in _tested(report or {})}
    numbers = {entry.get("request"): entry.get("line") for entry in entries}
    rows = []
    for entry in entries[::-1]:
        before = numbers.get(entry.get("follows"))
        cells = (
            entry.get("line"),
            str(entry.get("time") or "–").replace("T", " ").removesuffix("Z")[:16],
            entry.get("run"),
            str(entry.get("method") or "–").replace("_", " "),
            entry.get("rows"),
            entry.get("verdict"),
            f"request {before}" if before else "–",
            again.get(entry.get("request")),
        )
        rows.append(["–" if cell is None else str(cell) for cell in cells])
    return rows


def chain_told(path: Path) -> str:
    """Whether the ledger is as it was written, in a sentence or more."""
    try:
        wrong = [*ledger.problems(path), *ledger.missing(path)]
        count = len(ledger.entries(path))
    except LedgerError:
        return NONE_YET
    if wrong:
        listed = "\n".join(f"- {problem.removeprefix(f'{path}:')}" for problem in wrong[:20])
        return f"The ledger was tampered with, or damaged: {len(wrong)} of its lines do not fit.\n{listed}"
    if not count:
        return NONE_YET
    lines = "1 request; its line is" if count == 1 else f"{count} requests; their lines are"
    return f"{lines} as written: each holds the fingerprint of the one before it, and all of them fit."
