"""The ledger of deletion requests on the page: all requests, whether the record is intact, a retest."""

from __future__ import annotations

from pathlib import Path

from data.uploads import InputError
from models.requests import desk as requests
from models.requests import ledger, retest
from models.requests.ledger import LedgerError
from models.store.folders import read_json_or_empty
from models.verdict.words import verdict_words
from results.after import purge
from results.page import watching
from results.page.wiring import HIDDEN, PRIVATE, QUIET, Page, gr, table, told
from results.report.ranking import verdict_cells

HEADERS = ["Request", "Time (UTC)", "Run", "Method", "Rows", "Verdict", "Continues", "Latest test", "Received", "Due",
           "State"]  # fmt: skip
PURGE = (
    "For the runs selected above: deletes what was typed or uploaded, the answers, the log and every copy of them, and "
    "writes the report again without them. Numbers, figures, letter and ledger stay. **This cannot be undone.**"
)
NONE_YET = "No request is recorded yet. Each finished run adds a line: time, method and result, never the content."


class Requests:
    """The ledger as a part of the Runs tab."""

    def __init__(self, page: Page, chosen):
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
        self._purging(chosen)

    def _purging(self, chosen):
        """Deletes the text of the selected runs, after a second press."""
        purge = gr.Button("Delete the text, keep the proof …", variant="stop", min_width=200)
        with gr.Column(visible=False) as confirm:
            gr.Markdown(PURGE)
            with gr.Row():
                sure = gr.Button("Delete every copy of the text", variant="stop", min_width=140)
                cancel = gr.Button("Cancel", min_width=140)
        told = gr.Textbox(label="What was deleted, and who still holds it", interactive=False, lines=4, visible=False)
        purge.click(lambda: gr.update(visible=True), None, confirm, **PRIVATE)
        cancel.click(lambda: gr.update(**HIDDEN), None, confirm, **PRIVATE)
        sure.click(self.purge, chosen, [confirm, told], concurrency_limit=1, **PRIVATE)

    def refresh_on(self, *events, **more):
        """Reads the ledger again after each event."""
        for event in events:
            event(self.recorded, None, [self.table, self.chain, self.again], **{**QUIET, **more})

    def recorded(self, request: gr.Request):
        """The requests so far, and whether the ledger is intact."""
        rows, chain = recorded(self.desk, request)
        return gr.update(value=rows), chain, gr.update(interactive=bool(rows))

    @told
    def purge(self, request: gr.Request, names):
        """Deletes every copy of the selected runs' texts; shows what was deleted."""
        return gr.update(**HIDDEN), gr.update(value="\n".join(purged(self.desk, request, names)), visible=True)

    @told
    def retest(self, request: gr.Request):
        """Queues a test of all recorded requests on the newest model."""
        return self.desk.retest(request).id


def purged(desk, request, names) -> list[str]:
    """Deletes the texts of these runs; the lines to show. Runs of other people are counted, not named."""
    if not names:
        raise InputError("select the runs whose text is to be deleted")
    chosen = desk.chosen(request, names)
    for name, folder, job in chosen:
        if (job.state if job else watching.folder_state(folder)) in ("queued", "running"):
            raise InputError(f"{name} still works: stop it first")
    visible, lines = [str(folder) for folder, _ in desk.runs(request).values()], []
    for name, folder, _ in chosen:
        for done in purge.purge(folder):
            theirs = [
                item for item in done.held if str(desk.results) in item and not any(map(item.__contains__, visible))
            ]
            mine = [item for item in done.held if item not in theirs]
            hidden = [f"{len(theirs)} runs of other people"] if theirs else []
            lines += [
                f"{name}: {len(done.removed)} files deleted, {len(done.rewritten)} written again without the text"
            ]
            lines += [f"still held: {item}" for item in (*mine, *hidden)]
    return lines


def recorded(desk, request) -> tuple[list[list[str]], str]:
    """(a row per request that this person may see, newest first; whether the ledger is intact)."""
    runs = desk.runs(request)
    reports = [path for folder, _ in runs.values() if (path := folder / "retest.json").is_file()]
    newest = read_json_or_empty(max(reports, key=lambda path: path.stat().st_mtime)) if reports else {}
    return request_rows(desk.requests(request), newest, desk.ledger(request)), chain_told(desk.ledger(request))


def request_rows(entries: list[dict], report: dict, path: Path | None = None) -> list[list[str]]:
    """A row per request, newest first, with its state (of the ledger at `path`) and the latest test's finding."""
    states = {row["request"]: row["state"] for row in requests.finished(path)} if path else {}
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
            entry.get("received"),
            entry.get("due"),
            states.get(entry.get("request")),
        )
        rows.append(["–" if cell is None else str(cell) for cell in cells])
    return rows


def retest_told(report: dict) -> tuple[str, str]:
    """(tone, sentence) of a retest's result."""
    rows = _tested(report)
    if report.get("problems"):
        return "bad", "The ledger is not intact: see the deletion requests under Runs."
    if not rows:
        return "unsure", "No request was tested."
    back = [str(row.get("line")) for row in rows if row.get("verdict") == retest.CAME_BACK]
    still = sum(row.get("verdict") == retest.STILL for row in rows)
    if back:
        return "bad", f"{len(back)} of {len(rows)} came back: request{'s' * (len(back) > 1)} {', '.join(back)}."
    if not still:
        return "unsure", "The request cannot be tested." if len(rows) == 1 else "No request could be tested."
    if still < len(rows):
        others = "the other" if len(rows) - still == 1 else "the others"
        are = "is" if still == 1 else "are"
        return "unsure", f"{still} of {len(rows)} requests {are} still forgotten; {others} cannot be tested."
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
        lines = "1 line does" if len(wrong) == 1 else f"{len(wrong)} lines do"
        return f"The ledger was changed or damaged: {lines} not match.\n{listed}"
    if not count:
        return NONE_YET
    lines = "1 request" if count == 1 else f"{count} requests"
    return f"{lines}, intact: each line holds the hash of the line before it, and all hashes match."
