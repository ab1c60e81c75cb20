"""A search for the best method in words: how far it is, what it has tried, what is best so far.

`--method auto` keeps search.json in the run folder; a missing or damaged one reads as no search.
"""

from __future__ import annotations

import re
from pathlib import Path

from models.store.folders import read_json_or_empty
from results.report.runs import finite
from results.report.words import duration, percent

TRIAL_HEADERS = ["Trial", "Method", "Forgotten", "Rest that is kept", "Took", "Outcome"]


def search_of(folder: Path) -> dict:
    """search.json of a run folder; {} where nothing is searched."""
    found = read_json_or_empty(folder / "search.json")
    return found if isinstance(found.get("trials"), list) else {}


def tried(search: dict) -> list[dict]:
    """The trials that are over."""
    return [trial for trial in search.get("trials", []) if isinstance(trial, dict)]


def share(search: dict) -> float:
    """How much of the search is done, 0..1: of its trials or of its time, whichever is further."""
    if search.get("state") != "searching":
        return 1.0
    most = finite(search.get("max_trials")) or float("inf")
    return min(1.0, max(len(tried(search)) / most, (finite(search.get("seconds")) or 0.0) / budget(search)))


def budget(search: dict) -> float:
    """Seconds of a search's time budget, which the runner has checked; infinite where it cannot be read."""
    found = re.findall(r"([\d.]+)([hms])", str(search.get("time_budget")))
    return sum(float(count) * {"h": 3600, "m": 60, "s": 1}[unit] for count, unit in found) or float("inf")


def _gone(trial: dict) -> str:
    value = finite(trial.get("forgetting"))
    return "–" if value is None else percent(value)


def _kept(trial: dict) -> str:
    value = finite(trial.get("utility"))
    return "–" if value is None else percent(value)


def trial_rows(search: dict) -> list[list[str]]:
    """A row per trial, the newest first."""
    rows = []
    for trial in tried(search)[::-1]:
        outcome = "does not yet answer like rows never seen" if trial.get("told_apart") else ""
        outcome = outcome if trial.get("within") else "loses more than allowed"
        if trial.get("state") != "complete":
            outcome = f"given up: {trial.get('why') or 'no reason given'}"
        elif trial.get("number") == search.get("winner"):
            outcome = "the best so far" if trial.get("within") else "keeps the most so far, and still too little"
        method = str(trial.get("method") or "–").replace("_", " ")
        took = duration(round(finite(trial.get("seconds")) or 0))
        rows.append([str(trial.get("number", "")), method, _gone(trial), _kept(trial), took, outcome])
    return rows


def told(search: dict, searching: bool) -> str:
    """Where the search stands, in two or three sentences; "" where there is none."""
    if not search:
        return ""
    done, most = len(tried(search)), finite(search.get("max_trials"))
    best = next((trial for trial in tried(search) if trial.get("number") == search.get("winner")), None)
    limit = f" of at most {most:.0f}" if most else ""
    now = f"Trial {done + 1}{limit} is under way; the search takes {search.get('time_budget')} at most."
    if not searching:
        now = f"{done} {'trial was' if done == 1 else 'trials were'} made."
    if best is None:
        return f"{now} None has come to its end yet." if searching else f"{now} None came to its end."
    name = str(best.get("method") or "").replace("_", " ")
    what = f"trial {best.get('number')}, {name}: {_gone(best)} forgotten, {_kept(best)} of the rest kept"
    if best.get("within"):
        return f"{now} {'Best so far' if searching else 'The best'}: {what}."
    return f"{now} None keeps as much of the rest as you asked for; the nearest is {what}."
