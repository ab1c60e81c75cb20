"""Re-tests earlier requests: compares today's model with the measurements right after each request.

Row by row and person by person, as the verdict on memory: a mean over ten rows hides one that is wholly back.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from models.requests import desk, ledger, recorded
from models.store import paths
from models.verdict import memory
from models.verdict.gates import settled
from models.verdict.references import CONTRAST
from models.verdict.words import counted

TOLD = ("accuracy", "answer_probability", "extraction_strength", "rouge_l_recall", "loss")  # the ledger keeps these
JUDGED = ("answer_probability", "extraction_strength")
BY_ROW = (*JUDGED, "paraphrase_probability", "fact_recall")  # a fact may also come back in other words
BACK = 0.1  # a request came back if more than this share of the removed knowledge is back, as a mean over its rows
STILL, CAME_BACK, UNTESTED = "still forgotten", "came back", "cannot be tested"
VERDICTS = (CAME_BACK, STILL, UNTESTED)  # the most serious first


def chosen(metrics: dict | None) -> dict:
    """The numbers that a later re-test needs, from one set's metrics."""
    return {name: round(value, 6) for name in TOLD if (value := (metrics or {}).get(name)) is not None}


def row_numbers(per_example: dict) -> dict[str, list]:
    """{metric of `BY_ROW`: its value on each row or None}, from the per-example scores of one set."""
    return {
        name: [None if value is None else round(value, 4) for value in per_example[name]]
        for name in BY_ROW
        if per_example.get(name)
    }


def share_back(known: dict, then: dict, now: dict) -> float | None:
    """(now - then) / (known - then), the largest over `JUDGED`: the share of the removed knowledge that is back.

    None if no metric fell by at least `CONTRAST` then, or if none is measured now.
    """
    shares = []
    for name in JUDGED:
        top, low, value = (numbers.get(name) for numbers in (known, then, now))
        if None not in (top, low, value) and top - low >= CONTRAST:
            shares.append((value - low) / (top - low))
    return round(max(shares), 9) if shares else None  # without the rounding of sums at a gate


def traces_back(known: dict, then: dict, now: dict) -> dict[str, np.ndarray]:
    """{metric: (n,) share of each row that is back}, NaN for rows that had fallen by less than `memory.ROW_CONTRAST`.

    The arguments are `row_numbers`. {} unless all three hold the same number of rows.
    """
    found = {}
    for name in BY_ROW:
        columns = [rows.get(name) if isinstance(rows, dict) else None for rows in (known, now, then)]
        if all(isinstance(values, list) and values for values in columns) and len(set(map(len, columns))) == 1:
            columns = [[np.nan if value is None else value for value in values] for values in columns]
            found[name] = np.round(memory.positions(*columns), 9)
    return {name: shares for name, shares in found.items() if np.isfinite(shares).any()}


def _rows_back(traces: dict[str, np.ndarray], subjects: list) -> str | None:
    """Which rows or persons are back, in words; None if none is. Persons are counted, not named."""
    if rows := memory.leaking_rows(traces):
        shares = np.nanmax([np.nan_to_num(values, nan=-np.inf) for values in traces.values()], axis=0)
        told = ", ".join(f"{row} ({_percent(shares[row - 1], memory.LEAK)})" for row in rows[:10])
        more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
        return f"{len(rows)} of {counted(len(shares), 'row')} back: row{'s' * (len(rows) > 1)} {told}{more}"
    persons = [share for share in memory.person_positions(traces, subjects).values() if share is not None]
    if back := sum(map(memory.is_known, persons)):
        told = f"{back} of {counted(len(persons), 'person')} back: {_percent(max(persons), memory.PERSON)}"
        return f"{told} of what was forgotten of the one that is back most"
    return None


def _percent(share: float, gate: float) -> str:
    """A share in percent, with as many digits as show on which side of the gate it is."""
    digits = next((n for n in range(8) if round(100 * settled(share), n) != round(100 * gate, 6)), 0)
    return f"{round(100 * share, digits) + 0.0:.{digits}f}%"


def verdict(
    known: dict, then: dict, now: dict, unseen: dict | None = None, traces: dict | None = None, subjects=()
) -> tuple[str, str]:
    """(verdict, reason); the verdict is one of `VERDICTS`.

    `known`, `then`: metrics of the request's rows before and after unlearning; `now`: on today's model; `unseen`: of
    rows that the model never saw, if any. `traces`: the same row by row (`traces_back`), with the rows' `subjects`; one
    row or one person that is back is enough. A request that was less than half forgotten cannot be "still" forgotten.
    """
    if not now:
        return UNTESTED, "its rows were not found"
    if traces and (back := _rows_back(traces, list(subjects))):
        return CAME_BACK, back
    share = share_back(known, then, now)
    top, low = (numbers.get("answer_probability") for numbers in (known, then))
    floor = (unseen or {}).get("answer_probability") or 0.0
    if None in (top, low):
        return UNTESTED, "its numbers at the time are not on record"
    if top - low < 0.5 * (top - floor):
        return UNTESTED, "less than half of it was forgotten at the time"
    if share is None:
        return UNTESTED, "too little was forgotten at the time to tell whether it is back"
    if share > BACK:
        return CAME_BACK, f"{_percent(share, BACK)} of what was forgotten is back"
    told = f"{_percent(max(share, 0.0), BACK)} of what was forgotten is back"
    return STILL, f"{told}, and no single row or person" if traces else f"{told}; by the mean alone: no rows on record"


def lineage(entries: list[dict], model_hash: str) -> set[str] | None:
    """The ids of the requests that led to a model; None for a model that is not in the ledger."""
    made = {entry.get("model_after"): entry for entry in entries}
    if model_hash not in made:
        return None
    requests = set()
    while (entry := made.get(model_hash)) is not None and entry.get("request") not in requests:
        requests.add(entry.get("request"))
        model_hash = entry.get("model_before")
    return requests


def tested(entries: list[dict], rows: dict[str, list], model_hash: str, measure, wanted=None) -> list[dict]:
    """A row per line of the ledger: its request, the numbers then and now, the verdict and the reason.

    `rows`: {data hash: examples}. `measure(examples, entry)`: today's model, of hash `model_hash`, on them as (metrics,
    per-example scores, subjects). `wanted`: the requests to test (all).
    """
    found, now = [], {}
    ours = lineage(entries, model_hash)
    for entry in entries:
        if wanted is not None and entry.get("request") not in wanted:
            continue
        content = str(entry.get("data_hash"))
        settings = (content, str(entry.get("measured")))
        if content in rows and settings not in now:
            metrics, per_example, subjects = measure(rows[content], entry)
            now[settings] = chosen(metrics), row_numbers(per_example), subjects
        names = ("known", "then", "unseen", "known_rows", "then_rows")
        known, then, unseen, known_rows, then_rows = (
            entry.get(name) if isinstance(entry.get(name), dict) else {} for name in names
        )
        today, today_rows, subjects = now.get(settings, ({}, {}, []))
        word, why = verdict(known, then, today, unseen, traces_back(known_rows, then_rows, today_rows), subjects)
        if ours is not None and entry.get("request") not in ours:
            why += "; unlearned on another model, not on an ancestor of this one"
        kept = {name: entry.get(name) for name in ("line", "request", "time", "method", "run", "data_hash", "rows")}
        found.append({**kept, "known": known, "then": then, "now": today, "verdict": word, "why": why})
    return found


def printed(report: dict) -> str:
    """The report of a re-test as text: breaks in the ledger's chain, then a table of the requests."""
    lines = [*report["problems"]]
    if not lines:
        lines.append(f"{report['ledger']}: {counted(report['lines'], 'line')}, an unbroken chain")
    if report["requests"]:
        lines += ["", "answer probability and extraction strength of each request's rows: known > then > now"]
    for row in report["requests"]:
        shown = []
        for name in JUDGED:
            values = [row[when].get(name) for when in ("known", "then", "now")]
            shown.append(" > ".join("-" if value is None else f"{value:.3f}" for value in values))
        head = f"{row['line']:>4}  {str(row['time'])[:10]}  {row['method']!s:20} {str(row['run'])[:32]:32}"
        lines.append(f"{head} {shown[0]:>21} {shown[1]:>23}  {row['verdict']} ({row['why']})")
    return "\n".join(lines)


def report_of(args) -> dict:
    """Verifies a ledger. With a model, also measures the rows of every request that can be found."""
    from data.sampling import spread
    from models.scores.evaluating import evaluate_model
    from models.store.loading import load_model, model_hash
    from models.training.weights import compute_dtype, computing_in

    path, given = Path(args.ledger), recorded.by_hash(args.forget_data)
    entries, problems = ledger.entries(path), [*ledger.problems(path), *ledger.missing(path)]
    report = {"ledger": str(path), "time": ledger.now(), "lines": len(entries), "problems": problems, "requests": []}
    if args.requests or not args.model_name_or_path:
        return report
    wanted = {row["request"] for row in desk.due(desk.requests(path))} if args.retest_due else None
    chosen = [entry for entry in entries if wanted is None or entry.get("request") in wanted]
    rows = {**recorded.beside(path, {str(entry.get("data_hash")) for entry in chosen}), **given}
    report["model_hash"] = model_hash(args.model_name_or_path)
    model, tokenizer = load_model(args.model_name_or_path, progress=lambda text: print(text, flush=True))

    def measure(examples, entry):
        used = {"eval_rows": 0, "max_length": args.max_length, "dtype": "float32"}
        used |= entry["measured"] if isinstance(entry.get("measured"), dict) else {}
        chosen = spread(examples, used["eval_rows"])
        with computing_in(model, compute_dtype(used["dtype"], model.device)):
            found = evaluate_model(model, tokenizer, {"forget": chosen}, metrics=TOLD, max_length=used["max_length"])
        return found.metrics["forget"], found.per_example["forget"], found.subjects.get("forget", [])

    report["requests"] = tested(entries, rows, report["model_hash"], measure, wanted)
    return report


def main(args) -> int:
    """`evaluation_metrics.py --ledger`: prints and writes a re-test, returns the exit code.

    3 if the ledger's chain is broken, 8 if a request came back.
    """
    report = report_of(args)
    if args.requests or (args.retest_due and not args.model_name_or_path):
        return _listed(args, report)
    print(printed(report))
    _record(Path(args.ledger), report)
    if args.output_dir:
        target = Path(args.output_dir) / "retest.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(paths.portable(report), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        print(f"written: {target}")
    came_back = any(row["verdict"] == CAME_BACK for row in report["requests"])
    return 3 if report["problems"] else 8 if came_back else 0


def _listed(args, report: dict) -> int:
    """Prints the list of requests, or of those to test again, and writes it as CSV; returns the exit code."""
    rows = desk.requests(args.ledger)
    rows = desk.due(rows) if args.retest_due else rows
    print("\n".join([*report["problems"], desk.table(rows)]))
    if args.csv:
        desk.write_csv(rows, args.csv)
        print(f"written: {args.csv}")
    return 3 if report["problems"] else 0


def _record(path: Path, report: dict):
    """Adds a line to the ledger of tests for each request that was tested; a read-only ledger stays as it is."""
    for row in report["requests"]:
        if row["verdict"] != UNTESTED and row["request"]:
            try:
                desk.record_test(path, row, report["model_hash"])
            except ledger.LedgerError as error:
                print(f"note: this test is not recorded: {error}")
                return
