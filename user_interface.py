"""The web page: forget something, watch it happen, compare before and after; no terminal needed.

    python user_interface.py                                      # http://127.0.0.1:7860, this machine only
    python user_interface.py --server_name 0.0.0.0 --auth ann:long-secret,bob:another   # others too, by password

The page builds the command a person would type, shows it, and runs it as a child process (`results.page.jobs`), so a
closed tab stops nothing. Whatever a browser or a program sends is checked in `results.page.desk` and `data.uploads`,
never in the browser; this file holds the page itself.
"""

from __future__ import annotations

import argparse
import atexit
import ipaddress
import os
import shutil
import signal
import sys
import tempfile
import threading
from typing import Any

import unlearning_algorithm as algorithm
from data.reading import SUFFIXES
from models.store.paths import PROJECT, RUNS
from results.page import page_style, plain_words, tabs, trials, watching
from results.page.desk import ADVANCED, SOURCES, UNTYPED, Desk
from results.page.events import TICK, Page, named
from results.page.jobs import JobQueue, QueueError
from results.page.showing import (
    BUDGET_INFO,
    BUDGETS,
    FORM,
    IDLE,
    MODELS,
    SPOKEN,
    default_text,
    family_choices,
    gr,
    info,
    method_choices,
    method_text,
    recommended,
)
from results.run import options

AUTH_VARIABLE = "UNLEARNING_AUTH"
MEASURED = ("model", "target_model", "retrained_model", "forget", "retain", "holdout", "attacks")  # fields of Evaluate
# what was typed and not yet sent survives a reload, in this tab of the browser alone: it is what shall be forgotten
DRAFT = """const draft = 'unlearning-draft-' + (window.gradio_config?.username ?? '');
    const said = JSON.stringify([typed[0], typed[1], typed[2]?.data]);"""
PUT_BACK_DRAFT = f"""(...typed) => {{{DRAFT} window.draftWasRead = true;
    try {{return JSON.parse(sessionStorage.getItem(draft)) ?? typed}} catch {{return typed}}}}"""
# fields also change while they are set up, and once more after what is in them was sent
KEEP_DRAFT = f"""(...typed) => {{{DRAFT} if (window.draftWasRead && said !== window.draftSent)
    try {{sessionStorage.setItem(draft, JSON.stringify(typed))}} catch {{}} return []}}"""
DROP_DRAFT = f"(...typed) => {{{DRAFT} window.draftSent = said; sessionStorage.removeItem(draft); return []}}"
SHOW_LIVE = "() => document.getElementById('live')?.scrollIntoView({behavior: 'smooth', block: 'start'})"


# ---------------------------------------------------------------------------------------------------------------------
# Layout


def build(desk: Desk):
    """The page as Gradio Blocks."""
    page = Page(desk)
    with gr.Blocks(title="Make a language model forget", analytics_enabled=False, delete_cache=(3600, 86400)) as demo:
        gr.HTML(
            "<h1>Make a language model forget</h1>"
            "<p>Type what it should forget, press Unlearn, and watch it happen.</p>",
            elem_classes="lead",
            container=False,
        )
        job = gr.BrowserState(None, storage_key="unlearning-job", secret="unlearning-page")
        with gr.Tabs() as shelf:
            with gr.Tab("Unlearn", id="unlearn") as unlearn_tab:
                unlearn = _unlearn_tab(page, job)
            with gr.Tab("Compare", id="compare") as compare_tab:
                compare = tabs.compare_tab(page)
            with gr.Tab("Runs", id="runs") as runs_tab:
                runs = tabs.runs_tab(page)
            with gr.Tab("Evaluate", id="evaluate") as evaluate_tab:
                evaluate = tabs.evaluate_tab(page)
        lists = [runs["table"], runs["chosen"], compare["run"], evaluate["run"], unlearn["model"], evaluate["model"]]
        recorded = {"fn": page.ledger, "outputs": runs["ledger"], "show_progress": "hidden"}
        demo.load(api_name="requests", **recorded)
        for event in (runs_tab.select, runs["refresh"].click, unlearn["state"].change):
            event(api_visibility="private", **recorded)
        refresh = {"fn": page.choices, "outputs": lists, "show_progress": "hidden"}
        demo.load(api_name="runs", **refresh)
        for event in (
            runs_tab.select,
            evaluate_tab.select,
            runs["timer"].tick,
            runs["refresh"].click,
            runs["deleted"].change,
            unlearn["state"].change,
        ):
            event(api_visibility="private", **refresh)
        quiet = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
        for tab in (unlearn_tab, compare_tab, runs_tab, evaluate_tab):
            shown = tab is runs_tab
            tab.select(lambda shown=shown: gr.Timer(tabs.LISTED, active=shown), None, runs["timer"], **quiet)
        compare_tab.select(page.newest, compare["run"], compare["run"], **quiet)
        _wire_jobs(page, demo, job, shelf, unlearn, compare, runs, evaluate)
    return demo


def _wire_jobs(page: Page, demo, job, shelf, unlearn, compare, runs, evaluate):
    """What follows a job from one tab into another."""
    live, seen = unlearn["live"], unlearn["seen"]
    watch = {"fn": page.watch, "inputs": [job, seen], "outputs": live, "show_progress": "hidden"}
    demo.load(api_name="watch", **watch)
    unlearn["timer"].tick(api_visibility="private", queue=False, **watch)
    private = {"api_visibility": "private", "show_progress": "hidden"}
    started = unlearn["start"].click(
        named(page.unlearn, (*FORM, *ADVANCED)), unlearn["form"], job, api_name="unlearn", concurrency_limit=8
    )
    started.success(**watch, api_visibility="private", js=SHOW_LIVE_THEN)
    typed = unlearn["form"][: FORM.index("file")]  # a file cannot be put back
    started.success(None, typed, js=DROP_DRAFT, api_visibility="private")
    demo.load(None, typed, typed, js=PUT_BACK_DRAFT, api_visibility="private")
    gr.on([field.change for field in typed], None, typed, js=KEEP_DRAFT, api_visibility="private")
    for button, function, name in ((unlearn["stop"], page.stop, "stop"), (unlearn["again"], page.resume, "resume")):
        button.click(function, job, unlearn["state"], api_name=name).success(**watch, api_visibility="private")
    unlearn["done"].click(page.outcome, job, [compare["run"], evaluate["run"], shelf], **private)

    unlearn["clear"].click(lambda: None, None, job, **private).then(**watch, api_visibility="private")

    def live_tab():
        return gr.Tabs(selected="unlearn")

    opened = runs["open"].click(page.open, runs["chosen"], job, api_name="open_run")
    opened.success(live_tab, None, shelf, **private).then(**watch, api_visibility="private")
    for event in (
        evaluate["start"].click(named(page.evaluate, MEASURED), evaluate["form"], job, api_name="evaluate"),
        evaluate["attack"].click(page.attack, [evaluate["run"], evaluate["attacks"]], job, api_name="attack"),
        runs["again"].click(page.again, runs["chosen"], job, api_name="resume_run"),
        runs["retest"].click(page.retest, None, job, api_name="test_requests_again"),
    ):
        event.success(live_tab, None, shelf, **private).then(**watch, api_visibility="private")


# the inputs pass through: the value of `js` replaces them
SHOW_LIVE_THEN = "(...values) => {(" + SHOW_LIVE + ")(); return values}"


def _unlearn_tab(page: Page, job) -> dict:
    with gr.Row(equal_height=False, elem_id="desk-row"):
        with gr.Column(scale=6, min_width=320):
            part = _form(page)
        with gr.Column(scale=7, min_width=320, elem_id="live"):
            part |= _live_view()
    part["timer"], part["seen"] = gr.Timer(TICK, active=False), gr.State({})
    part["live"] += [part["timer"], part["seen"]]
    return part


def _form(page: Page) -> dict:
    """What to forget and the button first; below them which model and how. Fields in the order of `FORM`."""
    source, boxes, given = _what_to_forget()
    with gr.Row(equal_height=True):
        start = gr.Button("Unlearn", variant="primary", elem_id="unlearn-button", scale=3, min_width=180)
        check = gr.Button("Check what it read", scale=2, min_width=140)
    notes = gr.Textbox(label="What was read", visible=False, interactive=False)
    preview = gr.Dataframe(
        headers=["Row", "Leads there (kept)", "To be forgotten (carries the loss)"],
        visible=False,
        datatype="str",
        interactive=False,
        wrap=True,
        label="First rows",
        max_height=300,
        column_widths=["60px", "45%", "45%"],
    )
    model, kind, method, about, budget, time_budget = _how()
    with gr.Accordion("What it should keep (optional)", open=False):
        gr.Markdown(
            "Give some text or questions of the same kind that should stay. Without a file, a general "
            "collection of everyday questions stands in. Rows of the same kind that it never saw show what 'forgotten' "
            "looks like.",
            elem_classes="hint",
        )
        earlier = gr.Checkbox(
            value=True,
            label="Keep forgotten what earlier runs made it forget",
            info="Holds where the model was made by a run here: their texts are needed again, and are tested again.",
        )
        retain = gr.File(label="File of what to keep", type="filepath", height=150)
        holdout = gr.File(
            label="File of similar rows that it never saw",
            type="filepath",
            height=150,
        )
    advanced = _advanced()
    name = gr.Textbox(label="Name of the run (optional)", max_length=80, info="Letters, digits, '.', '-' and '_'.")
    command = gr.Code(
        f"python unlearning_script.py --method={recommended('text')} --forget_text='{UNTYPED}'",
        label="The command that will run",
        elem_id="command",
        language="shell",
        interactive=False,
        wrap_lines=True,
        lines=1,
        buttons=["copy"],
    )
    form = [source, *given, retain, holdout, model, method, name, budget, time_budget, earlier, *advanced.values()]
    data = [source, *given]
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    source.change(page.sources, [source, method], [*boxes, kind, method], queue=False, **quiet)
    check.click(page.check, data, [notes, preview], api_name="check")
    given[-1].upload(page.uploaded, [*data, method], [notes, preview, kind, method], api_visibility="private")
    kind.input(page.methods_of, [kind, source], method, **quiet)
    method.change(page.method, [method, source], [about, budget, time_budget, *advanced.values()], **quiet)
    source.change(page.about, [method, source], about, **quiet)
    source.change(lambda: [gr.update(visible=False)] * 2, None, [notes, preview], queue=False, **quiet)
    gr.on(
        [field.change for field in form],
        named(page.command, (*FORM, *ADVANCED)),
        form,
        command,
        api_name="command",
        show_progress="hidden",
        trigger_mode="always_last",
    )
    return {"form": form, "start": start, "model": model}


def _what_to_forget():
    """(source, a box per source, the fields they hold): typed text, a table of questions, a file, the example."""
    source = gr.Radio(
        [(label, key) for key, label in SOURCES.items()], value="text", label="What should it forget?", elem_id="source"
    )
    with gr.Column() as text_box:
        text = gr.Textbox(
            value="",
            lines=6,
            max_lines=20,
            label="Text to forget",
            elem_id="what",
            placeholder="Type or paste it here. An empty line begins a new passage.",
        )
    with gr.Column(visible=False) as pairs_box:
        pairs = gr.Dataframe(
            headers=["Question", "Answer to forget"],
            datatype="str",
            type="array",
            row_count=3,
            column_count=2,
            interactive=True,
            wrap=True,
            label="Questions, and the answers it should no longer give",
            value=[["", ""]] * 3,
        )
    with gr.Column(visible=False) as file_box:
        file = gr.File(label=f"File to forget ({' '.join(SUFFIXES)}; at most 50 MB)", type="filepath", height=130)
        gr.Markdown(
            "A text, or a table with columns such as question and answer, prompt and completion, messages, or text.",
            elem_classes="hint",
        )
    with gr.Column(visible=False) as example_box:
        gr.Markdown(
            "The default model was taught about 20 invented people. This makes it forget four of them and compares it "
            "with a model that never met those four. It takes some minutes.",
            elem_classes="hint",
        )
    return source, [text_box, pairs_box, file_box, example_box], [text, pairs, file]


def _how():
    """(model, family, method, what the method does, utility budget, time budget of a search)."""
    with gr.Group():
        model = gr.Dropdown(
            MODELS,
            value=options.TARGET,
            allow_custom_value=True,
            label="Model",
            info="Choose one, or type a folder below models/ or a Hugging Face name such as org/name.",
        )
        chosen = recommended("text")
        family = algorithm.METHODS[chosen].family
        with gr.Row(equal_height=True):
            kind = gr.Dropdown(
                family_choices(),
                value=family,
                label="How it forgets",
                min_width=200,
            )
            method = gr.Dropdown(method_choices(family, "text"), value=chosen, label="Method", min_width=160)
        about = gr.Markdown(method_text(chosen, "text"), elem_classes=["hint", "about"])
        budget = gr.Radio(
            BUDGETS, value="", label="How much of the rest may it lose? (utility budget)", info=BUDGET_INFO
        )
        time_budget = gr.Dropdown(
            plain_words.TIMES,
            value=plain_words.TIMES[0][1],
            allow_custom_value=True,
            visible=False,
            label="How long may it search?",
            info="Choose one, or type a time such as 90s, 45m or 2h. The best method's run is within it.",
        )
    return model, kind, method, about, budget, time_budget


def _advanced() -> dict[str, Any]:
    """A field per setting of the runner's own table; empty means: the method's default."""
    known = algorithm.hyper_parameters(options.OPTIONS["method"].default, 0)
    titles = {"training": "Training", "method": "Of the method", "model": "Model", "data": "Data", "run": "Run"}
    fields: dict[str, Any] = {}
    with gr.Accordion("Advanced settings", open=False, elem_id="advanced"):
        gr.Markdown("Empty fields take the default of the method.", elem_classes="hint")
        for group, title in titles.items():
            with gr.Accordion(title, open=False), gr.Row(equal_height=False):
                for name, option in ADVANCED.items():
                    if option.group == group:
                        default = known.get(name, option.default)
                        fields[name] = _field(name, option, default, group != "method" or name in known)
    return {name: fields[name] for name in ADVANCED}


def _field(name: str, option, default, visible: bool):
    common = {"label": name, "info": info(option, default), "visible": visible, "min_width": 220}
    if option.kind is bool or option.choices:
        values = ["true", "false"] if option.kind is bool else [str(choice) for choice in option.choices]
        return gr.Dropdown([("default", ""), *values], value="", **common)
    # numbers too: an empty number field comes back as 0, which would not be the default
    return gr.Textbox(placeholder=default_text(default), max_length=1000, **common)


def _live_view() -> dict:
    """What a job shows; the outputs in the order of `Page.watch`."""
    status = gr.HTML(IDLE, container=False, elem_id="status")
    with gr.Row():
        stop = gr.Button("Stop", variant="stop", size="md", visible=False)
        again = gr.Button("Resume", size="md", visible=False)
        done = gr.Button("See before and after", variant="primary", size="md", visible=False)
        clear = gr.Button("Put away", size="md", visible=False)
    with gr.Column(visible=False) as details:
        said = [*_said(), *_search()]
        with gr.Column() as drawn:
            curve = gr.LinePlot(
                x="step",
                y="probability",
                color="set",
                color_map=page_style.COLORS,
                height=380,
                y_lim=[0, 1],
                x_title="step",
                y_title="how likely",
                y_axis_format=".0%",
                color_title=" ",
                label="How likely it finds the true answers",
                elem_classes="plot",
                tooltip="all",
            )
            with gr.Accordion("These numbers as a table", open=False):
                table = gr.Dataframe(
                    headers=watching.CURVE_HEADERS,
                    datatype="str",
                    interactive=False,
                    max_height=300,
                    label="Answer probability and loss per set",
                    elem_classes="wide",
                )
            with gr.Accordion("Training loss", open=False):
                losses = gr.LinePlot(
                    x="step",
                    y="loss",
                    color="set",
                    color_map=page_style.COLORS,
                    height=350,
                    x_title="step",
                    y_title="loss",
                    label="Training loss per step",
                    elem_classes="plot",
                )
        with gr.Accordion("Log and command", open=False) as logs:
            command = gr.Code(
                label="The command that ran",
                lines=1,
                elem_id="command-ran",
                language="shell",
                interactive=False,
                wrap_lines=True,
                buttons=["copy"],
            )
            log = gr.Textbox(
                label="Last lines of the log", lines=12, max_lines=16, interactive=False, autoscroll=True, elem_id="log"
            )
    state = gr.Textbox(visible=False, label="State after the last button")
    live = [status, curve, losses, table, *said, log, logs, command, stop, again, done, clear, details, drawn]
    return {"stop": stop, "again": again, "done": done, "clear": clear, "state": state, "live": live}


def _search() -> list:
    """Where a search for the best method stands: in words, and its trials as a table."""
    with gr.Column(visible=False) as box:
        told = gr.Textbox(label="The search for the best way", interactive=False, lines=2)
        with gr.Accordion("All it has tried", open=False):
            table = gr.Dataframe(
                headers=trials.TRIAL_HEADERS,
                datatype="str",
                interactive=False,
                wrap=True,
                max_height=300,
                label="Trials, newest first",
                column_widths=["10%", "20%", "15%", "13%", "14%", "28%"],
                elem_classes="wide",
            )
    return [box, told, table]


def _said() -> list:
    """What the model says while it forgets: boxes per question, and a table where there are more questions."""
    said: list = []
    for _ in range(SPOKEN):
        with gr.Group(visible=False) as box:
            asked = gr.Textbox(label="Asked", interactive=False, max_lines=3)
            with gr.Row(equal_height=True):
                before = gr.Textbox(label="Said before", interactive=False, lines=2, max_lines=6, min_width=140)
                now = gr.Textbox(
                    label="Says now", interactive=False, lines=2, max_lines=6, min_width=140, elem_classes="now"
                )
        said += [box, asked, before, now]
    table = gr.Dataframe(
        headers=watching.ANSWER_HEADERS,
        datatype="str",
        interactive=False,
        wrap=True,
        label="All questions it is asked while it forgets",
        elem_classes="wide",
        visible=False,
        max_height=340,
    )
    return [*said, table]


# ---------------------------------------------------------------------------------------------------------------------
# The server


def is_loopback(name: str) -> bool:
    """Whether only this machine reaches a server bound to that name."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def accounts(text: str | None) -> list[tuple[str, str]]:
    """[(user, password)] of "user:password,user:password"; raises QueueError for anything else."""
    found = [tuple(entry.split(":", 1)) for entry in (text or "").split(",") if entry]
    if any(len(entry) != 2 or not entry[0].strip() or len(entry[1]) < 8 for entry in found):
        raise QueueError("--auth: write user:password, several with commas, passwords of 8 characters or more")
    if len({user for user, _ in found}) < len(found):
        raise QueueError("--auth: a user is named twice")
    return found


def prepare_environment() -> None:
    """No telemetry, and a private folder for uploads that goes with the server; before Gradio is imported."""
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
    for variable in ("NO_PROXY", "no_proxy"):  # Gradio asks its own server whether it is up: not through a proxy
        local = "localhost,127.0.0.1,::1"
        os.environ[variable] = f"{os.environ[variable]},{local}" if os.environ.get(variable) else local
    if not os.environ.get("GRADIO_TEMP_DIR"):
        folder = tempfile.mkdtemp(prefix="unlearning-page-")
        os.environ["GRADIO_TEMP_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def launch(desk: Desk, server_name: str = "127.0.0.1", server_port: int | None = None, wait: bool = True):
    """Serves the page; returns (app, local address, None). Raises OSError when the port is taken."""
    demo = build(desk).queue(default_concurrency_limit=8)
    return demo.launch(
        server_name=server_name,
        server_port=server_port,
        auth=list(desk.accounts) or None,
        share=False,
        prevent_thread_lock=not wait,
        quiet=True,
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        max_file_size="50mb",
        ssr_mode=False,
        _frontend=False,  # no self-test by HTTP: a busy machine fails it, and is then told to share the page publicly
        theme=page_style.theme(),
        head=f"<style>{page_style.CSS}</style>",  # not as css=: that rewrites selectors and loses the media query
        app_kwargs={"openapi_url": None, "docs_url": None, "redoc_url": None},
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--server_name", default="127.0.0.1", help="address to listen at [127.0.0.1: this machine only]"
    )
    parser.add_argument("--server_port", type=int, default=7860, help="port [7860]")
    parser.add_argument(
        "--auth",
        help=f"user:password, several with commas (or in {AUTH_VARIABLE}, which `ps` does not "
        "show); needed for other addresses than this machine's. Everyone sees their own runs; runs "
        "from a terminal are the first user's",
    )
    parser.add_argument(
        "--allowed_path",
        action="append",
        default=[],
        metavar="DIR",
        help="a further folder in which models and data may be named; may be repeated",
    )
    return parser


def main(argv=None) -> int:
    """Serves until interrupted; returns the exit code."""
    given = _parser().parse_args(argv)
    try:
        known = accounts(given.auth or os.environ.get(AUTH_VARIABLE))
        if not is_loopback(given.server_name) and not known:
            raise QueueError(
                f"--server_name {given.server_name} is reachable from other machines: give --auth "
                f"user:password (or set {AUTH_VARIABLE}), or leave --server_name out"
            )
        prepare_environment()
        queue = JobQueue(RUNS, PROJECT).start()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    desk = Desk(queue, roots=given.allowed_path, accounts=known)
    try:
        _, address, _ = launch(desk, given.server_name, given.server_port, wait=False)
        print(f"{address}\nStop with Ctrl+C; a running job goes on and is found again at the next start.", flush=True)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()
    except OSError as error:
        print(f"error: port {given.server_port}: {error}; choose another with --server_port", file=sys.stderr)
        return 2
    finally:
        queue.close()
        desk.asker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
