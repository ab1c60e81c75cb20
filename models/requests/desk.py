"""The desk of deletion requests: each with its dates, its state, the models made from it, and its next test.

    rows = requests(ledger)              # finished ones from the ledger, open ones from the run folders beside it
    print(table(rows)); write_csv(rows, "requests.csv")

A request is due for another test when the time of `--retest_after` is over, and when its model was trained further
without a test. Tests stand in a ledger of their own beside the requests' (`tests_of`), one chained line per test.
"""

from __future__ import annotations

import csv
import datetime
import re
from pathlib import Path

from models.requests import ledger
from models.store import paths
from models.store.folders import read_json_or_empty
from models.store.on_first_use import fcntl

OPEN, RUNNING, DONE, FAILED, RETEST = "open", "running", "done", "failed", "re-test due"
STATES = {"running": RUNNING, "failed": FAILED, "diverged": FAILED, "stopped": OPEN, "finished": DONE,
          "collapsed": DONE}  # {state in status.json: state of the request}  # fmt: skip
COLUMNS = ("request", "received", "due", "state", "run", "method", "verdict", "rows", "tested", "retest", "derived",
           "subjects")  # fmt: skip
DATES = ("received", "due", "retest_after")  # settings of a run


# ---------------------------------------------------------------------------------------------------------------------
# Dates


def today() -> datetime.date:
    """The date in UTC, as the ledger's times."""
    return datetime.datetime.now(datetime.timezone.utc).date()


def date_of(text: str, start: datetime.date | None = None) -> datetime.date:
    """The date of "2026-11-20", or, with a `start`, of "30d" or "6w" after it. Raises ValueError for anything else."""
    if span := re.fullmatch(r"(\d{1,5})\s*([dw])", str(text).strip().lower()):
        if start is None:
            raise ValueError("give a date such as 2026-11-20")
        try:
            return start + datetime.timedelta(days=int(span[1]) * (7 if span[2] == "w" else 1))
        except OverflowError:
            raise ValueError("beyond the calendar") from None
    try:
        return datetime.date.fromisoformat(str(text).strip())
    except ValueError:
        raise ValueError("give a date such as 2026-11-20" + (" or a time such as 30d or 6w" if start else "")) from None


def dates(given: dict) -> tuple[dict[str, str], list[str]]:
    """({"received", "due", "retest_after": as given or as an ISO date}, problems) of a run's settings."""
    found, problems = {}, []
    for name in DATES:
        if given.get(name):
            start = None if name == "received" else _start(found)
            try:
                when = date_of(given[name], start)
                found[name] = str(given[name]).strip() if name == "retest_after" else when.isoformat()
            except ValueError as error:
                problems.append(f"--{name} {str(given[name])[:40]!r}: {error}")
    if {"received", "due"} <= found.keys() and found["due"] < found["received"]:
        problems.append(f"--due {found['due']} is before --received {found['received']}")
    return found, problems


def _start(found: dict) -> datetime.date:
    return datetime.date.fromisoformat(found["received"]) if "received" in found else today()


# ---------------------------------------------------------------------------------------------------------------------
# Tests


def tests_of(path: Path) -> Path:
    """The ledger of tests beside a ledger of requests."""
    return path.with_name(f"{path.stem}-tests.jsonl")


def record_test(path: Path, row: dict, model_hash: str) -> None:
    """Adds a line on a test of a request. row: "request", "verdict", "why". Raises `LedgerError`."""
    line = {name: row.get(name) for name in ("request", "verdict", "why")}
    ledger.append(tests_of(path), {**line, "model": model_hash, "time": ledger.now()}, once=())


def _last_tests(path: Path) -> dict[str, dict]:
    """{request: the newest line on a test of it}."""
    file = tests_of(path)
    return {str(line.get("request")): line for line in ledger.entries(file)} if file.is_file() else {}


# ---------------------------------------------------------------------------------------------------------------------
# The list


def requests(path: str | Path, runs: Path | None = None, on: datetime.date | None = None) -> list[dict]:
    """A row of `COLUMNS` for each request: those in the ledger, then those that only have a run folder.

    runs: the folder of runs (the project's, or the ledger's own). on: the day for which is asked (today).
    """
    path = Path(path)
    runs = runs or (paths.RUNS if path.resolve().parent == paths.LEDGER.parent else path.parent)
    rows = finished(path, on)
    lines = {line.get("line"): line for line in ledger.entries(path)} if rows else {}
    after = _followers(list(lines.values()))
    for row in rows:
        row["derived"] = derived(lines[row["line"]], after, runs)
    known = {row["request"] for row in rows}
    for receipt in ledger.files_beside(runs / "x", ledger.RECEIPT):
        about = read_json_or_empty(receipt)
        ours = about.get("ledger", path.name) == path.name and "data_hash" in about
        if ours and about.get("request") and about["request"] not in known:
            rows.append(_open(receipt.parent, about, runs))
    return rows


def finished(path: Path, on: datetime.date | None = None) -> list[dict]:
    """The rows of the requests in the ledger, without what was made from their models."""
    lines = [line for line in ledger.entries(path) if line.get("request")] if path.is_file() else []
    tests, after, on = _last_tests(path), _followers(lines), on or today()
    return [_done(line, tests.get(str(line["request"]), {}), after(line), on) for line in lines]


def _done(line: dict, test: dict, after: list[dict], on: datetime.date) -> dict:
    tested, retest = test.get("time"), ""
    day = _day(tested or line.get("time"))
    if line.get("retest_after") and day:
        retest = date_of(line["retest_after"], day).isoformat()
    if any(str(other.get("time")) > str(tested or line.get("time")) for other in after):
        retest = on.isoformat()  # trained further, and not tested since
    about = {
        name: line.get(name) for name in ("request", "received", "due", "run", "method", "verdict", "rows", "line")
    }
    state = RETEST if retest and retest <= on.isoformat() else DONE
    return {**about, "state": state, "tested": tested, "retest": retest, "subjects": line.get("subjects") or []}


def _open(folder: Path, about: dict, runs: Path) -> dict:
    state = STATES.get(str(read_json_or_empty(folder / "status.json").get("state")), OPEN)
    if state == RUNNING and not _works(folder):
        state = FAILED
    config = read_json_or_empty(folder / "config.json")
    known = {name: about.get(name) for name in ("request", "received", "due", "subjects")}
    run = str(folder.relative_to(runs)) if folder.is_relative_to(runs) else folder.name
    return {**dict.fromkeys(COLUMNS), **known, "state": state, "run": run, "method": config.get("method"),
            "derived": [], "subjects": known["subjects"] or []}  # fmt: skip


def _works(folder: Path) -> bool:
    """Whether a process still holds the lock of a run folder."""
    try:
        with open(folder / "run.lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _day(text) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


def _followers(lines: list[dict]):
    """after(line): the requests that were carried out on the model of this one, or on a model made from it."""
    made_from: dict[str, list[dict]] = {}
    for line in lines:
        if line.get("model_before"):
            made_from.setdefault(line["model_before"], []).append(line)

    def after(line: dict) -> list[dict]:
        found, seen, models = [], {line.get("model_after")}, [line.get("model_after")]
        while models:
            for other in made_from.get(models.pop(), []):
                if other.get("model_after") not in seen:
                    found.append(other)
                    seen.add(other.get("model_after"))
                    models.append(other.get("model_after"))
        return found

    return after


def derived(line: dict, after, runs: Path) -> list[str]:
    """What was made from a request's model: continued runs, merged adapters, adapters over it, GGUF files.

    after: see `_followers`.
    """
    found = [f"run {other.get('run')}" for other in after(line)]
    named = read_json_or_empty(runs / str(line.get("run")) / "config.json").get("model_output_dir")
    if not isinstance(named, str) or not named:
        return found
    model = Path(named).expanduser()
    model = model if model.exists() else paths.PROJECT / model
    if (merged := model.with_name(f"{model.name}-merged")).is_dir():
        found.append(f"merged {merged.name}")
    for place in (model, *(model.parent.glob(f"{model.name}-*"))):
        found += [f"GGUF {file.relative_to(model.parent)}" for file in sorted(place.glob("*.gguf"))]
    for adapter in sorted(model.parent.glob("*/adapter_config.json")):
        base = read_json_or_empty(adapter).get("base_model_name_or_path")
        if isinstance(base, str) and Path(base).name == model.name and adapter.parent != model:
            found.append(f"adapter {adapter.parent.name}")
    return found


def due(rows: list[dict]) -> list[dict]:
    """The requests that must be tested again."""
    return [row for row in rows if row["state"] == RETEST]


# ---------------------------------------------------------------------------------------------------------------------
# As text and as CSV


def table(rows: list[dict], on: datetime.date | None = None) -> str:
    """The requests as text, one a line; what is late says so."""
    if not rows:
        return "no request"
    on = (on or today()).isoformat()
    lines = [f"{'request':17} {'received':10} {'due':10} {'state':11} {'run':32} verdict"]
    for row in rows:
        late = row["state"] in (OPEN, RUNNING, FAILED) and row["due"] and row["due"] < on
        cells = (str(row[name] or "-") for name in ("request", "received", "due"))
        head = " ".join(f"{cell[:17]:{width}}" for cell, width in zip(cells, (17, 10, 10)))
        lines.append(f"{head} {row['state']:11} {str(row['run'])[:32]:32} {row['verdict'] or '-'}"
                     + (f"; late since {row['due']}" if late else ""))  # fmt: skip
        lines += [f"{'':17} also holds what it learned: {name}" for name in row["derived"]]
    return "\n".join(lines)


def write_csv(rows: list[dict], path: str | Path) -> None:
    """The rows as a CSV file that no spreadsheet executes."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            cells = ("; ".join(cell) if isinstance(cell, list) else cell for cell in map(row.get, COLUMNS))
            texts = ("" if cell is None else str(cell) for cell in cells)
            writer.writerow([f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text for text in texts])
