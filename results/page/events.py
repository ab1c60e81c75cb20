"""The web page's events: each turns what a component sent into a call of the desk, and the answer into what to show."""

from __future__ import annotations

import functools
import html
import inspect
import shlex

import unlearning_algorithm as algorithm
from data.uploads import InputError
from models.store.folders import read_json_or_empty
from models.store.paths import PROJECT
from results.page import plain_words, requests, trials, watching
from results.page.desk import ADVANCED, Desk, folder_bytes, megabytes, offer
from results.page.jobs import has_checkpoint
from results.page.showing import (
    AUTO_BUDGET,
    BUDGET_INFO,
    FORM,
    IDLE,
    MODELS,
    NO_BUDGET,
    SHOWN_ROWS,
    SPOKEN_OUTPUTS,
    chance,
    default_text,
    drawing,
    examples_table,
    family_of,
    fits,
    gr,
    info,
    method_choices,
    method_text,
    number_rows,
    recommended,
    shown_rows,
    shown_search,
    spoken,
    verdict_head,
    verdict_html,
)
from results.report.runs import RunError, read_run
from results.run import options

TICK = 1.0  # seconds between looks at a running job


def told(function):
    """A handler whose refusals reach the person as a message: escaped, since Gradio shows messages as HTML."""

    @functools.wraps(function)
    def handler(*args):
        try:
            return function(*args)
        except (ValueError, OSError) as error:
            if not hasattr(error, "exit_code") and not isinstance(error, OSError):
                raise
            text = str(error) if hasattr(error, "exit_code") else f"{error.strerror or error}"
            text = html.escape(text[:3000], quote=False).replace("\n", "<br>")
            raise gr.Error(text, duration=30, print_exception=False) from None

    return handler


def named(function, names):
    """A handler of many values with a parameter per value, all optional, so that programs can call it by name."""

    def handler(request, *values):
        return function(request, *values)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    rest = [inspect.Parameter(name, kind, default=None) for name in names]
    handler.__signature__ = inspect.Signature([inspect.Parameter("request", kind), *rest])
    handler.__annotations__ = {"request": gr.Request}
    handler.__name__ = function.__name__
    return handler


# ---------------------------------------------------------------------------------------------------------------------
# Handlers: bound to the desk, one per event of the page


class Page:
    """The page's events. Every method takes the request first, because Gradio fills it in by position."""

    def __init__(self, desk: Desk):
        self.desk = desk

    # -- lists of choices

    def finished(self, request, needed=("evaluation.json", "config.json")) -> list[str]:
        """Names of runs with something to compare, newest first; measurements of a lone model have no config.json."""
        found = [
            (folder.stat().st_mtime, name)
            for name, (folder, _) in self.desk.runs(request).items()
            if all((folder / file).is_file() for file in needed)
        ]
        return [name for _, name in sorted(found, reverse=True)]

    def model_choices(self, request) -> list[tuple[str, str]]:
        """The bundled models and those that this person's runs made."""
        made = []
        for name in self.desk.runs(request):
            folder = self.desk.model_folder(request, name)
            if folder and folder.is_relative_to(PROJECT):
                made.append((f"made by run {name}", str(folder.relative_to(PROJECT))))
        return MODELS + sorted(made)

    def choices(self, request: gr.Request):
        """Fresh lists for all dropdowns of runs and models, and the table of runs."""
        runs = self.desk.runs(request)
        ahead = self.desk.queue.ahead_of
        rows = [
            watching.run_row(name, folder, job, ahead(job.id) if job and job.state == "queued" else 0)
            for name, (folder, job) in runs.items()
        ]
        began = {
            name: (job and job.submitted) or folder.stat().st_mtime
            for name, (folder, job) in runs.items()
            if job or folder.exists()
        }
        rows.sort(key=lambda row: began.get(row[1], 0), reverse=True)
        models = self.model_choices(request)
        return (
            gr.update(value=rows),
            gr.update(choices=[row[1] for row in rows]),
            gr.update(choices=self.finished(request)),
            gr.update(choices=self.finished(request, ("evaluation.json",))),
            *[gr.update(choices=models)] * 2,
        )

    # -- the form

    @staticmethod
    def form(values) -> dict:
        """The form's values by name, in the order in which the page lists its components."""
        return {**dict(zip(FORM, values)), "advanced": dict(zip(ADVANCED, values[len(FORM) :]))}

    def sources(self, source, method):
        """Shows the box that belongs to the chosen source, and a method that works on what is in it."""
        boxes = [gr.update(visible=source == key) for key in ("text", "pairs", "file", "example")]
        return [*boxes, *self._fitting(source, method)]

    @staticmethod
    def _fitting(source, method):
        """Updates of family and method: the method stays where it works on such rows."""
        if method not in (*algorithm.METHODS, options.AUTO) or not fits(method, source):
            method = recommended(source)
        family = family_of(method)
        return gr.update(value=family), gr.update(choices=method_choices(family, source), value=method)

    def methods_of(self, family, source):
        """The methods of a family, its default chosen."""
        choices = method_choices(family, source)
        return gr.update(choices=choices, value=choices[0][1] if choices else None)

    def command(self, request: gr.Request, *values):
        """The command line of the form as it stands, or why there is none."""
        try:
            return shlex.join(self.desk.command(request, self.form(values)))
        except ValueError as error:
            if not hasattr(error, "exit_code"):
                raise
            return "\n".join(f"# {line}" for line in str(error).splitlines())

    @told
    def check(self, request: gr.Request, source, text, pairs, file):
        """First rows of the data to forget and what carries loss, after the checks of a real run."""
        return self._checked(self.desk.check(source, text, pairs, file))

    @told
    def uploaded(self, request: gr.Request, source, text, pairs, file, method):
        """The same for a file just chosen, and a method that works on what is in it."""
        examples = self.desk.check(source, text, pairs, file)
        raw = any(example.prompt is None for example in examples or ())
        return *self._checked(examples), *self._fitting("text" if raw else source, method)

    @staticmethod
    def _checked(examples):
        if examples is None:
            from data.reading import read_examples

            examples = read_examples(str(PROJECT / options.BUNDLED["forget"]), 1000)
        what = "row" if any(example.prompt is not None for example in examples) else "passage"
        notes = getattr(examples, "notes", None) or [f"{len(examples):,} {what}{'s' if len(examples) != 1 else ''}"]
        more = [f"the first {SHOWN_ROWS} are shown"] if len(examples) > SHOWN_ROWS else []
        return gr.update(value="; ".join([*notes, *more]), visible=True), gr.update(
            value=shown_rows(examples), visible=True
        )

    def method(self, name, source, *_):
        """What the method does, its utility budget, and its defaults as hints in the advanced settings."""
        known = algorithm.hyper_parameters(name, 0) if name in algorithm.METHODS else {}
        updates = []
        for key, option in ADVANCED.items():
            default = known.get(key, option.default)
            shown = option.group != "method" or key in known
            hint = {} if option.kind is bool or option.choices else {"placeholder": default_text(default)}
            updates.append(gr.update(visible=shown, info=info(option, default), **hint))
        searches = name == options.AUTO
        held = searches or (name in algorithm.METHODS and algorithm.METHODS[name].guarded)
        budget = {"info": AUTO_BUDGET if searches else BUDGET_INFO} if held else {"info": NO_BUDGET, "value": ""}
        time_budget = gr.update(visible=searches)
        return [method_text(name, source), gr.update(interactive=held, **budget), time_budget, *updates]

    def about(self, name, source):
        """What the method does, for another source."""
        return method_text(name, source)

    @told
    def unlearn(self, request: gr.Request, *values):
        """Queues the run; its id goes into the browser's own store."""
        return self.desk.unlearn(request, self.form(values)).id

    # -- the live view

    def watch(self, request: gr.Request, key, seen):
        """What a job shows now; parts that have not changed since the last look are left alone."""
        seen = seen if isinstance(seen, dict) else {}
        job = self.desk.job(request, key)
        if job is None:
            return self._nothing()
        folder = PROJECT / job.folder
        trace = self.desk.watcher.trace(folder)
        ahead = self.desk.queue.ahead_of(job.id) if job.state == "queued" else 0
        mark = {"id": job.id, "attempt": job.attempt, "points": len(trace.evaluations), "steps": len(trace.steps)}
        fresh = any(mark[name] != seen.get(name) for name in ("id", "attempt"))
        search = trials.search_of(folder)
        searching = search.get("state") == "searching" and not job.over
        now = watching.progress(job, folder, trace, ahead, trials.share(search) if search else None)
        card = watching.status_html(job, now, result=self._verdict(job, folder))
        broken = job.state in ("failed", "diverged")
        log = watching.log_tail(folder, 50 if broken else watching.LOG_LINES)
        mark |= {"log": hash(log), "over": job.over, "trials": len(trials.tried(search)), "searching": searching}
        sought = fresh or any(mark[name] != seen.get(name) for name in ("trials", "searching"))
        drawn = fresh or mark["points"] != seen.get("points")
        stepped = fresh or (mark["steps"] != seen.get("steps") and (job.over or mark["steps"] % 5 == 0))
        stoppable = not job.over and not job.id.startswith("run:")
        resumable = job.state in ("failed", "stopped", "diverged") and not job.id.startswith("run:")
        done = (folder / "evaluation.json").is_file() and job.over
        return [
            card,
            drawing(watching.probability_points(trace), "probability") if drawn else gr.skip(),
            drawing(watching.loss_points(trace), "loss") if stepped else gr.skip(),
            gr.update(value=watching.curve_rows(trace)) if drawn else gr.skip(),
            *(spoken(watching.answer_rows(trace)) if drawn else [gr.skip()] * SPOKEN_OUTPUTS),
            *(shown_search(search, searching) if sought else [gr.skip()] * 3),
            log if fresh or mark["log"] != seen.get("log") else gr.skip(),
            gr.Accordion(open=broken) if fresh or mark["over"] != seen.get("over") else gr.skip(),
            gr.update(value=shlex.join(job.argv), visible=True) if fresh else gr.skip(),
            gr.update(visible=stoppable, value="Stop at once" if job.stop_asked else "Stop"),
            gr.update(visible=resumable, value="Resume" if search or has_checkpoint(folder) else "Start again"),
            gr.update(visible=done, value="See before and after" if job.kind == "unlearn" else "See the numbers"),
            gr.update(visible=job.over),
            gr.update(visible=True),
            gr.update(visible=bool(trace.evaluations)),
            gr.Timer(TICK, active=not job.over),
            mark,
        ]

    @staticmethod
    def _verdict(job, folder) -> str:
        """The verdict of a run or of a test that has one, in one line."""
        if job.over and (folder / "retest.json").is_file():
            return requests.retest_told(read_json_or_empty(folder / "retest.json"))
        if not job.over or job.kind != "unlearn" or not (folder / "evaluation.json").is_file():
            return ""
        try:
            word, (head, _) = verdict_head(read_run(folder))
        except RunError:
            return ""
        return f"{head or word}."

    @staticmethod
    def _nothing():
        nothing = gr.update(value=None)
        hidden = [gr.update(visible=False)] * 7  # command, four buttons, all details, curves
        silent = [nothing, nothing, nothing, *spoken([]), *shown_search({}, False), "", gr.skip()]
        return [IDLE, *silent, *hidden, gr.Timer(TICK, active=False), {}]

    @told
    def stop(self, request: gr.Request, key):
        """Stops a job in order; at the second press at once."""
        job = self.desk.job(request, key)
        if job is None or job.id.startswith("run:"):
            raise InputError("there is no such job of this page")
        return self.desk.queue.stop(job.id).state

    @told
    def resume(self, request: gr.Request, key):
        """Queues a stopped job again, from its checkpoint where it has one."""
        job = self.desk.job(request, key)
        if job is None or job.id.startswith("run:"):
            raise InputError("there is no such job of this page")
        return self.desk.queue.again(job.id).state

    def outcome(self, request: gr.Request, key):
        """The run or measurement of a job, chosen in the tab that shows it, and that tab."""
        job = self.desk.job(request, key)
        if job is None:
            return gr.skip(), gr.skip(), gr.skip()
        if job.kind == "unlearn":
            return job.name, gr.skip(), gr.Tabs(selected="compare")
        return gr.skip(), job.name, gr.Tabs(selected="evaluate")

    # -- comparing

    @told
    def result(self, request: gr.Request, name, split):
        """Everything a finished run has to show."""
        if not name:
            return [gr.skip()] * 7 + [gr.update(visible=False)]
        _, folder, _ = self.desk.run(request, name)
        run = read_run(folder)
        model = self.desk.model_folder(request, name)
        figures = sorted((folder / "figures").glob("*.png"))
        report = folder / "report.html"
        size = f" ({megabytes(folder_bytes(model))})" if model else ""
        return [
            verdict_html(run),
            examples_table(run, split),
            gr.update(value=number_rows(read_json_or_empty(folder / "evaluation.json"))),
            [(offer(path), path.stem.replace("_", " ")) for path in figures],
            gr.update(value=offer(report) if report.is_file() else None, visible=report.is_file()),
            gr.update(value=f"Prepare the model as a zip{size}", visible=model is not None),
            gr.update(value=None, visible=False),
            gr.update(visible=True),
        ]

    @told
    def examples(self, request: gr.Request, name, split):
        """Answers before and after on another set."""
        return examples_table(read_run(self.desk.run(request, name)[1]), split) if name else gr.skip()

    def newest(self, request: gr.Request, name):
        """The newest finished run, where none is chosen yet."""
        found = [] if name else self.finished(request)
        return found[0] if found else gr.skip()

    @told
    def zip_model(self, request: gr.Request, name):
        """The unlearned model as a zip file."""
        return gr.update(value=self.desk.zip_model(request, name), visible=True)

    @told
    def ask(self, request: gr.Request, name, question, expected):
        """Both models' answers to a question, and how likely each model finds each answer."""
        question, expected = str(question or "").strip(), str(expected or "").strip()
        if not question:
            raise InputError("type a question first")
        if len(question) > 4000 or len(expected) > 4000:
            raise InputError("at most 4,000 characters in a question or answer")
        reply = self.desk.asker.ask(self.desk.both_models(request, name), question, expected)
        said = zip(reply["answers"], ("before", "after"), reply["probabilities"])
        rows = [[text, who, *map(chance, row)] for text, who, row in said]
        if expected:
            rows.append([expected, "true answer", *map(chance, reply["expected"])])
        return *reply["answers"], gr.update(value=rows, visible=True)

    # -- runs

    def pick(self, event: gr.SelectData, names):
        """The chosen runs with that of the row pressed, which a second press takes out again."""
        name, names = event.row_value[1], list(names or [])
        return [other for other in names if other != name] if name in names else [*names, name]

    @told
    def again(self, request: gr.Request, names):
        """Queues the first chosen run again, to be watched."""
        name, _, job = self.desk.run(request, (names or [None])[0])
        if job is None:
            raise InputError(f"{name} was started in a terminal: the last line of its log says how to go on there")
        return self.desk.queue.again(job.id).id

    @told
    def open(self, request: gr.Request, names):
        """The job of the first chosen run, to be watched."""
        name, _, job = self.desk.run(request, (names or [None])[0])
        return job.id if job else f"run:{name}"

    @told
    def compare(self, request: gr.Request, names):
        """Figures and report of a comparison of runs."""
        folder = self.desk.compare(request, names)
        figures = [(offer(path), path.stem.replace("_", " ")) for path in sorted(folder.rglob("*.png"))]
        reports = [offer(path) for path in folder.glob("*.html")]
        return gr.update(value=figures, visible=True), gr.update(value=reports, visible=bool(reports))

    @told
    def ask_delete(self, request: gr.Request, names):
        """What would be deleted, and the button that does it."""
        if not names:
            raise InputError("choose the runs to delete")
        lines = []
        for name in names:
            _, folder, _ = self.desk.run(request, name)
            model = self.desk.model_folder(request, name)
            more = f" and its model {model.name} ({megabytes(folder_bytes(model))})" if model else ""
            lines.append(f"{name} ({megabytes(folder_bytes(folder))}){more}")
        lines += [
            f"{', '.join(others)} continued from {name}: what {name} forgot is then no longer kept forgotten or tested"
            for name, others in self.desk.followers(request, names).items()
        ]
        return gr.update(visible=True), "This cannot be undone:\n" + "\n".join(lines)

    @told
    def delete(self, request: gr.Request, names):
        """Deletes the chosen runs and the models they made."""
        gone = self.desk.delete(request, names)
        return gr.update(visible=False), gr.update(value=[]), f"Deleted: {', '.join(gone)}"

    # -- requests carried out

    def ledger(self, request: gr.Request):
        """The requests recorded so far, and whether their lines still fit together."""
        path = self.desk.ledger(request)
        runs = self.desk.runs(request)
        tested = requests.newest_retest(folder for folder, _ in runs.values())
        rows = requests.request_rows(requests.requests_of(path, runs), tested)
        return gr.update(value=rows), requests.chain_told(path), gr.update(interactive=bool(rows))

    @told
    def retest(self, request: gr.Request):
        """Queues the test of all recorded requests on the newest model."""
        return self.desk.retest(request).id

    # -- evaluating

    @told
    def numbers(self, request: gr.Request, name):
        """Verdict and numbers of a run or an evaluation."""
        if not name:
            return [gr.skip()] * 3 + [gr.update(visible=False)]
        _, folder, _ = self.desk.run(request, name)
        evaluation = read_json_or_empty(folder / "evaluation.json")
        if not evaluation:
            raise RunError(f"{name} has no evaluation.json yet")
        try:
            card = verdict_html(read_run(folder))
        except RunError:  # a measurement, not a run: it has no settings of a method
            word = str((evaluation.get("comparison") or {}).get("verdict") or "no verdict")
            head, sentence = plain_words.VERDICTS.get(word.split(" (")[0], ("Measured", ""))
            card = (
                f'<section class="card card-unsure" aria-label="Verdict"><h3 class="big">{head}'
                f'<span class="badge">{html.escape(word)}</span></h3><p>{sentence}</p></section>'
            )
        notes = [f"{key}: {text}" for key, text in (evaluation.get("notes") or {}).items()]
        return card, gr.update(value=number_rows(evaluation)), "\n".join(notes), gr.update(visible=True)

    @told
    def evaluate(self, request: gr.Request, *values):
        """Queues the measurement of a model."""
        return self.desk.evaluate(request, *values).id

    @told
    def attack(self, request: gr.Request, name, attacks):
        """Queues attacks on the model that a run made."""
        return self.desk.attack(request, name, attacks).id
