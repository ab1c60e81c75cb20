"""The live view of a job: progress, buttons, answers and curves while it runs, its search, its log."""

from __future__ import annotations

import shlex
from pathlib import Path

from models.store.folders import read_json_or_empty
from models.store.paths import PROJECT
from results.page import forgetting, requests, verdicts, watching
from results.page.jobs import Job, has_checkpoint
from results.page.tabs.looking import Looking
from results.page.wiring import HIDDEN, PRIVATE, QUIET, Page, command_line, gr, table, told

TICK = 1.0  # seconds between looks at a running job
SPOKEN = 2  # live answers with their own boxes
COLORS = {"to forget": "#c2410c", "to keep": "#0369a1", "never seen": "#64748b"}  # distinct for the colour-blind too
PLOT = {"x": "step", "color": "set", "color_map": COLORS, "x_title": "step", "elem_classes": "plot"}
IDLE = """<section class="card"><h3>What happens next</h3><ol>
<li>Enter what the model should forget: a name, a text or files. Press <b>Look for it</b>.</li>
<li>Look at the rows that were found, change what is wrong, and press <b>Unlearn</b>.</li>
<li>Follow the run here: its progress, the time left, and what the model answers.</li>
<li>Then compare its answers before and after, and ask both models yourself.</li>
</ol><p class="hint">The original model stays unchanged: the run makes a second one. Nothing you type leaves this
machine.</p></section>"""
SHOW_LIVE = """(...values) => {
    document.getElementById('live')?.scrollIntoView({behavior: 'smooth', block: 'start'}); return values}"""


class Live:
    """The view of the job in `page.job`. `look`: the event arguments that update it; `state` changes with a button."""

    def __init__(self, page: Page):
        self.page, self.desk = page, page.desk
        page.live = self
        self.status = gr.HTML(IDLE, container=False, elem_id="status")
        with gr.Row():
            self.stop = gr.Button("Stop", variant="stop", size="md", visible=False)
            self.again = gr.Button("Resume", size="md", visible=False)
            self.done = gr.Button("Compare before and after", variant="primary", size="md", visible=False)
            self.clear = gr.Button("Close", size="md", visible=False)
        self.looking = Looking(page)
        with gr.Column(visible=False) as self.details:
            self._answers()
            self._search()
            self._curves()
            self._log()
        self.state = gr.Textbox(visible=False, label="Last action")
        self.timer, self.seen = gr.Timer(TICK, active=False), gr.State({})
        outputs = [
            *(self.status, self.curve, self.losses, self.table, *(part for box in self.boxes for part in box)),
            *(self.answers, self.search, self.searched, self.trials, self.log, self.logs, self.command, self.stop),
            *(self.again, self.done, self.clear, self.details, self.drawn, self.timer, self.seen),
            *self.looking.outputs,
        ]
        inputs = [page.job, self.seen]
        self.look = {"fn": self.watch, "inputs": inputs, "outputs": outputs, "show_progress": "hidden"}
        self._events()

    def _answers(self):
        """A box for each of the first questions, and a table if there are more."""
        self.boxes = []
        for _ in range(SPOKEN):
            with gr.Group(visible=False) as box:
                asked = gr.Textbox(label="Question", interactive=False, max_lines=3)
                with gr.Row(equal_height=True):
                    text = {"interactive": False, "lines": 2, "max_lines": 6, "min_width": 140}
                    before = gr.Textbox(label="Answer before", **text)
                    now = gr.Textbox(label="Answer now", elem_classes="now", **text)
            self.boxes.append((box, asked, before, now))
        label = "All questions asked during the run"
        self.answers = table(watching.ANSWER_HEADERS, label, visible=False, max_height=340)

    def _search(self):
        with gr.Column(visible=False) as self.search:
            self.searched = gr.Textbox(label="Search for the best method", interactive=False, lines=2)
            with gr.Accordion("All trials", open=False):
                widths = ["9%", "19%", "18%", "12%", "14%", "28%"]
                self.trials = table(
                    watching.TRIAL_HEADERS, "Trials, newest first", max_height=300, column_widths=widths
                )

    def _curves(self):
        with gr.Column() as self.drawn:
            self.curve = gr.LinePlot(
                y="probability",
                height=380,
                y_lim=[0, 1],
                y_title="how likely",
                y_axis_format=".0%",
                color_title=" ",
                label="How likely the model finds the true answers",
                tooltip="all",
                **PLOT,
            )
            with gr.Accordion("These numbers as a table", open=False):
                label = "Probability of the answers and loss, per set"
                self.table = table(watching.CURVE_HEADERS, label, max_height=300)
            with gr.Accordion("Training loss", open=False):
                self.losses = gr.LinePlot(y="loss", height=350, y_title="loss", label="Training loss per step", **PLOT)

    def _log(self):
        with gr.Accordion("Log and command", open=False) as self.logs:
            self.command = command_line("The command that ran", "command-ran")
            self.log = gr.Textbox(
                label="Last lines of the log", lines=12, max_lines=16, interactive=False, autoscroll=True, elem_id="log"
            )

    def _events(self):
        page, job = self.page, self.page.job
        page.demo.load(**self.look, **PRIVATE)
        self.timer.tick(queue=False, **self.look, **PRIVATE)
        for button, function in ((self.stop, self.stop_job), (self.again, self.resume_job)):
            button.click(function, job, self.state, **PRIVATE).success(**self.look, **PRIVATE)
        self.clear.click(lambda: None, None, job, **QUIET).then(**self.look, **PRIVATE)

    def wire(self):
        """Links a finished job to the tab with its results."""
        tabs = self.page.tabs
        runs = {"unlearn": ("compare", tabs["compare"].run), "evaluate": ("evaluate", tabs["evaluate"].run)}

        def outcome(request: gr.Request, key):
            job = self.desk.job(request, key)
            if job is None:
                return {self.page.shelf: gr.skip()}
            tab, run = runs["unlearn" if job.kind == "unlearn" else "evaluate"]
            return {run: job.name, self.page.shelf: gr.Tabs(selected=tab)}

        outputs = [*(run for _, run in runs.values()), self.page.shelf]
        self.done.click(outcome, self.page.job, outputs, **QUIET)

    def start(self, event):
        """After `event` started a job in this tab: scrolls here and shows it."""
        event.success(**self.look, **PRIVATE, js=SHOW_LIVE)  # the value of `js` replaces the inputs

    # -- what it shows

    def watch(self, request: gr.Request, key, seen):
        """The state of a job, without what has not changed since the last look."""
        seen = seen if isinstance(seen, dict) else {}
        job = self.desk.job(request, key)
        if job is None:
            return self._nothing()
        folder = PROJECT / job.folder
        trace = self.desk.watcher.trace(folder)
        search = watching.search_of(folder)
        searching = search.get("state") == "searching" and not job.over
        broken = job.state in ("failed", "diverged")
        log = watching.log_tail(folder, 50 if broken else watching.LOG_LINES)
        mark = {
            "id": job.id, "attempt": job.attempt, "points": len(trace.evaluations), "steps": len(trace.steps),
            "log": hash(log), "over": job.over, "trials": len(watching.tried(search)), "searching": searching,
        }  # fmt: skip

        def changed(*names):
            return any(mark[name] != seen.get(name) for name in ("id", "attempt", *names))

        shown = {self.status: self._card(job, folder, trace, search), self.timer: gr.Timer(TICK, active=not job.over)}
        shown |= {self.details: gr.update(visible=True), self.drawn: gr.update(visible=bool(trace.evaluations))}
        shown |= {self.seen: mark, **self._buttons(job, folder, search)}
        if changed("over"):
            looked = job.kind == forgetting.KIND and job.state == "finished"
            shown |= self.looking.shown(request, job.id if looked else "")
        if changed():
            shown[self.command] = gr.update(value=shlex.join(job.argv), visible=True)
        if changed("points"):
            shown[self.curve] = drawing(watching.probability_points(trace), "probability")
            shown[self.table] = gr.update(value=watching.curve_rows(trace))
            shown |= self._said(watching.answer_rows(trace))
        if changed() or (changed("steps") and (job.over or mark["steps"] % 5 == 0)):
            shown[self.losses] = drawing(watching.loss_points(trace), "loss")
        if changed("trials", "searching"):
            shown |= self._found(search, searching)
        if changed("log"):
            shown[self.log] = log
        if changed("over"):
            shown[self.logs] = gr.Accordion(open=broken)
        return shown

    def _card(self, job: Job, folder: Path, trace, search: dict) -> str:
        ahead = self.desk.queue.ahead_of(job.id) if job.state == "queued" else 0
        now = watching.progress(job, folder, trace, ahead, watching.search_share(search) if search else None)
        tone, result = outcome_told(job, folder)
        about = verdicts.subject_sentence(read_json_or_empty(folder / "evaluation.json")) if job.over else ""
        return watching.status_html(job, now, result=result, tone=tone, about=about)

    def _buttons(self, job: Job, folder: Path, search: dict) -> dict:
        ours = not job.id.startswith("run:")
        resumable = ours and job.state in ("failed", "stopped", "diverged")
        done = job.over and job.kind != forgetting.KIND and (folder / "evaluation.json").is_file()
        prepares = job.kind == forgetting.KIND
        return {
            self.stop: gr.update(visible=ours and not job.over, value="Stop now" if job.stop_asked else "Stop"),
            self.again: gr.update(
                visible=resumable,
                value="Look again" if prepares else "Resume" if search or has_checkpoint(folder) else "Start again",
            ),
            self.done: gr.update(
                visible=done, value="Compare before and after" if job.kind == "unlearn" else "See the numbers"
            ),
            self.clear: gr.update(visible=job.over),
        }

    def _said(self, rows: list[list[str]]) -> dict:
        shown = {self.answers: gr.update(value=rows, visible=len(rows) > SPOKEN)}
        for number, (box, *texts) in enumerate(self.boxes):
            row = rows[number] if number < len(rows) else [""] * 4
            shown |= {box: gr.update(visible=number < len(rows)), **dict(zip(texts, row))}
        return shown

    def _found(self, search: dict, searching: bool) -> dict:
        return {
            self.search: gr.update(visible=bool(search)),
            self.searched: watching.search_told(search, searching),
            self.trials: gr.update(value=watching.trial_rows(search)),
        }

    def _nothing(self) -> dict:
        hidden = (self.command, self.stop, self.again, self.done, self.clear, self.details, self.drawn)
        return {
            self.status: IDLE,
            **{part: gr.update(value=None) for part in (self.curve, self.losses, self.table)},
            **self._said([]),
            **self._found({}, False),
            self.log: "",
            **{part: gr.update(**HIDDEN) for part in hidden},
            self.timer: gr.Timer(TICK, active=False),
            self.seen: {},
            **self.looking.shown(None, ""),
        }

    # -- what its buttons do

    @told
    def stop_job(self, request: gr.Request, key):
        """Asks a job to stop; the second time it stops immediately."""
        return self.desk.queue.stop(self.desk.own_job(request, key).id).state

    @told
    def resume_job(self, request: gr.Request, key):
        """Queues a stopped job again, from its checkpoint if it has one."""
        return self.desk.queue.again(self.desk.own_job(request, key).id).state


def outcome_told(job: Job, folder: Path) -> tuple[str, str]:
    """(tone, sentence) of a finished job's verdict or of a retest's result, or why there is none; ("", "") before."""
    if job.over and (folder / "retest.json").is_file():
        return requests.retest_told(read_json_or_empty(folder / "retest.json"))
    if not job.over:
        return "", ""
    end = watching.end_state(job.state, folder, job.kind)
    if end in verdicts.NO_VERDICT:
        evaluation = read_json_or_empty(folder / "evaluation.json")
        return "", watching.known_nothing(folder) or verdicts.NO_VERDICT[end].format(verdicts.earlier(evaluation))
    return verdicts.headlines(read_json_or_empty(folder / "evaluation.json"))


def drawing(points: list[tuple], value: str):
    """Update of a line plot from points (step, value, set). The plot is hidden until there is a line to draw."""
    import pandas

    frame = pandas.DataFrame(points, columns=["step", value, "set"])
    return gr.update(value=frame, visible=frame["step"].nunique() > 1)
