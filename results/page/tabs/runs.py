"""The Runs tab: all runs with their state; open, resume, compare, delete; the ledger of requests."""

from __future__ import annotations

from data.uploads import InputError
from results.page import watching
from results.page.requests import Requests
from results.page.server.files import folder_bytes, megabytes, offer
from results.page.wiring import HIDDEN, PRIVATE, QUIET, Page, figures, gallery, gr, table, told

LISTED = 5.0  # seconds between refreshes while the tab is open


class Runs:
    """The list of runs, and actions on the selected ones."""

    TITLE = "Runs"

    def __init__(self, page: Page):
        self.page, self.desk, self.kept = page, page.desk, watching.Rows()
        self.table = table(
            watching.RUN_HEADERS,
            "All runs, newest first. Press a row to select it.",
            max_height=480,
            show_search="search",
            column_widths=["9%", "17%", "11%", "14%", "9%", "8%", "13%", "9%", "10%"],
        )
        self.chosen = gr.Dropdown([], multiselect=True, label="Selected runs", allow_custom_value=True)
        page.keep_fresh(self.chosen, lambda runs: gr.update(choices=newest_first(runs)))
        page.keep_fresh(self.table, lambda runs: gr.update(value=self.rows(runs)))
        with gr.Row():
            small = {"size": "md", "min_width": 110}
            opened = gr.Button("Open", variant="primary", **small)
            again = gr.Button("Resume", **small)
            compare = gr.Button("Compare", **small)
            delete = gr.Button("Delete …", variant="stop", **small)
            self.refresh = gr.Button("Refresh", **small)
        self._deletion(delete)
        self._comparison(compare)
        self.requests = Requests(page, self.chosen)
        self.timer = gr.Timer(LISTED, active=False)
        self.table.select(self.pick, self.chosen, self.chosen, queue=False, **QUIET)
        page.follow(opened.click(self.open, self.chosen, page.job, **PRIVATE))
        page.follow(again.click(self.again, self.chosen, page.job, **PRIVATE))

    def _deletion(self, delete):
        with gr.Column(visible=False) as confirm:
            listed = gr.Textbox(label="To be deleted", interactive=False, lines=3)
            with gr.Row():
                sure = gr.Button("Delete permanently", variant="stop", min_width=140)
                cancel = gr.Button("Cancel", min_width=140)
        self.deleted = gr.Textbox(label="Last action", interactive=False, visible=False)
        delete.click(self.ask_delete, self.chosen, [confirm, listed], **PRIVATE)
        cancel.click(lambda: gr.update(**HIDDEN), None, confirm, **PRIVATE)
        sure.click(self.delete, self.chosen, [confirm, self.chosen, self.deleted], **PRIVATE)

    def _comparison(self, compare):
        drawn = figures("Comparison", visible=False)
        report = gr.File(label="Report of the comparison", visible=False, interactive=False, file_count="multiple")
        compare.click(self.compare, self.chosen, [drawn, report], api_name="compare_runs", concurrency_limit=1)

    def wire(self):
        """Keeps the lists of all tabs and the ledger up to date; the timer runs while this tab is open."""
        page, opened = self.page, self.page.panels["runs"].select
        for name, panel in page.panels.items():
            active = name == "runs"
            panel.select(lambda active=active: gr.Timer(LISTED, active=active), None, self.timer, queue=False, **QUIET)
        page.refresh_on(
            page.demo.load, opened, self.timer.tick, self.refresh.click, self.deleted.change, page.live.state.change
        )
        self.requests.refresh_on(page.demo.load, api_name="requests", api_visibility="public")
        self.requests.refresh_on(opened, self.refresh.click, page.live.state.change)

    def rows(self, runs) -> list[list[str]]:
        """The table of runs."""
        places = self.desk.queue.places()
        named = [(name, *runs[name]) for name in newest_first(runs)]
        return self.kept.rows((name, folder, job, places.get(job.id, 0) if job else 0) for name, folder, job in named)

    def pick(self, event: gr.SelectData, names):
        """The selection with the pressed row's run added, or removed if it was selected."""
        name, names = event.row_value[1], list(names or [])
        return [other for other in names if other != name] if name in names else [*names, name]

    @told
    def open(self, request: gr.Request, names):
        """The job of the first selected run, for the live view."""
        name, _, job = self.desk.run(request, (names or [None])[0])
        return job.id if job else f"run:{name}"

    @told
    def again(self, request: gr.Request, names):
        """Queues the first selected run again."""
        name, _, job = self.desk.run(request, (names or [None])[0])
        if job is None:
            raise InputError(f"{name} was started in a terminal: resume it with the last line of its log")
        return self.desk.queue.again(job.id).id

    @told
    def compare(self, request: gr.Request, names):
        """Figures and report of a comparison."""
        folder = self.desk.compare(request, names)
        reports = [offer(path) for path in folder.glob("*.html")]
        return gr.update(value=gallery(folder), visible=True), gr.update(value=reports, visible=bool(reports))

    @told
    def ask_delete(self, request: gr.Request, names):
        """What will be deleted, and the buttons to confirm it."""
        return gr.update(visible=True), deletion_told(self.desk, request, names)

    @told
    def delete(self, request: gr.Request, names):
        """Deletes the selected runs and the models they made."""
        gone = self.desk.delete(request, names)
        return gr.update(**HIDDEN), gr.update(value=[]), f"Deleted: {', '.join(gone)}"


def newest_first(runs) -> list[str]:
    """Names of runs, the newest first."""

    def began(name):
        folder, job = runs[name]
        return (job and job.submitted) or (folder.stat().st_mtime if folder.exists() else 0)

    return sorted(runs, key=began, reverse=True)


def deletion_told(desk, request, names) -> str:
    """What deleting these runs removes, with sizes, and which runs continue from them."""
    if not names:
        raise InputError("select the runs to delete")
    lines = []
    for name, folder, job in desk.chosen(request, names):
        model = desk.model_of(folder, job)
        more = f" and its model {model.name} ({megabytes(folder_bytes(model))})" if model else ""
        lines.append(f"{name} ({megabytes(folder_bytes(folder))}){more}")
    lines += [
        f"{', '.join(others)} continued from {name}: without it, what {name} forgot is no longer tested"
        for name, others in desk.followers(request, names).items()
    ]
    return "This cannot be undone:\n" + "\n".join(lines)
