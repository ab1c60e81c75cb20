"""The ledger of deletion requests on the page: all requests, whether the record is intact, a retest."""

from __future__ import annotations

from pathlib import Path

from models.requests import ledger, retest
from models.requests.ledger import LedgerError
from models.store.folders import read_json_or_empty
from models.verdict.words import verdict_words
from results.page.wiring import QUIET, Page, gr, table, told
from results.report.ranking import verdict_cells

HEADERS = ["Request", "Time (UTC)", "Run", "Method", "Rows", "Verdict", "Continues", "Latest test"]
NONE_YET = "No request is recorded yet. Each finished run adds a line: time, method and result, never the content."


class Requests:
    """The ledger as a part of the Runs tab."""

    def __init__(self, page: Page):
        self.page, self.desk = page, page.desk
        with gr.Accordion("Deletion requests (ledger)", open=False):
            self.chain = gr.Textbox(label="Is the record intact?", interactive=False, lines=2)
            label = "Every request: time, run, method and result, never the content"
            self.table = table(HEADERS, label, max_height=360)
            self.again = gr.Button("Retest all requests", min_width=200)
            gr.Markdown(
                "Asks the newest model about everything it should have forgotten, and reports what came back.",
                elem_classes="hint",
            )
        page.follow(self.again.click(self.retest, None, page.job, api_name="test_requests_again"))

    def refresh_on(self, *events, **more):
        """Reads the ledger again after each event."""
        for event in events:
            event(self.recorded, None, [self.table, self.chain, self.again], **{**QUIET, **more})

    def recorded(self, request: gr.Request):
        """The requests so far, and whether the ledger is intact."""
        rows, chain = recorded(self.desk, request)
        return gr.update(value=rows), chain, gr.update(interactive=bool(rows))

    @told
    def retest(self, request: gr.Request):
        """Queues a test of all recorded requests on the newest model."""
        return self.desk.retest(request).id


def recorded(desk, request) -> tuple[list[list[str]], str]:
    """(a row per request that this person may see, newest first; whether the ledger is intact)."""
    runs = desk.runs(request)
    reports = [path for folder, _ in runs.values() if (path := folder / "retest.json").is_file()]
    newest = read_json_or_empty(max(reports, key=lambda path: path.stat().st_mtime)) if reports else {}
    return request_rows(desk.requests(request), newest), chain_told(desk.ledger(request))


def request_rows(entries: list[dict], report: dict) -> list[list[str]]:
    """A row per request, newest first, with the finding of the latest test."""
    tests = {row.get("request"): f"{row.get('verdict')}: {row.get('why')}" for row in _tested(report)}
    numbers = {entry.get("request"): entry.get("line") for entry in entries}
    rows = []
    for entry in entries[::-1]:
        before, verdict = numbers.get(entry.get("follows")), entry.get("verdict")
        cells = (
            entry.get("line"),
            str(entry.get("time") or "–").replace("T", " ").removesuffix("Z")[:16],
            entry.get("run"),
            str(entry.get("method") or "–").replace("_", " "),
            entry.get("rows"),
            verdict if not verdict or verdict_words(verdict) else verdict_cells({}, verdict)[0],
            f"request {before}" if before else "–",
            tests.get(entry.get("request")),
        )
        rows.append(["–" if cell is None else str(cell) for cell in cells])
    return rows


def retest_told(report: dict) -> tuple[str, str]:
    """(tone, sentence) of a retest's result."""
    rows = _tested(report)
    if report.get("problems"):
        return "bad", "The ledger is not intact: see the deletion requests under Runs."
    back = [str(row.get("line")) for row in rows if row.get("verdict") == retest.CAME_BACK]
    still = sum(row.get("verdict") == retest.STILL for row in rows)
    if back:
        return "bad", f"{len(back)} of {len(rows)} came back: request {', '.join(back)}."
    if still < len(rows):
        return "unsure", f"{still} of {len(rows)} requests are still forgotten; the others cannot be tested."
    return "good", "The request is still forgotten." if still == 1 else f"All {still} requests are still forgotten."


def _tested(report: dict) -> list[dict]:
    rows = report.get("requests")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def chain_told(path: Path) -> str:
    """Whether the ledger is unchanged, in a sentence and a line per problem."""
    try:
        wrong = [*ledger.problems(path), *ledger.missing(path)]
        count = len(ledger.entries(path))
    except LedgerError:
        return NONE_YET
    if wrong:
        listed = "\n".join(f"- {problem.removeprefix(f'{path}:')}" for problem in wrong[:20])
        return f"The ledger was changed or damaged: {len(wrong)} of its lines do not match.\n{listed}"
    if not count:
        return NONE_YET
    lines = "1 request" if count == 1 else f"{count} requests"
    return f"{lines}, intact: each line holds the hash of the line before it, and all hashes match."
