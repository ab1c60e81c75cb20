"""What tests in a browser share: the browser, a served page, its views, and a user's actions."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-quic"),
]
PATIENCE = 1000 * int(os.environ.get("BROWSER_PATIENCE", "60"))  # raise it on a busy machine
ROOT = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def started():
    """A browser; LookupError with the reason without one."""
    if CHROMIUM is None:
        raise LookupError("no Chromium on this machine")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise LookupError("no playwright: pip install playwright") from None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def visitor(browser, address, width=1280, height=900):
    """A fresh view of the page; fails on injected scripts, errors and requests to other machines."""
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.outside, page.errors = [], []
    own = re.compile(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|data:|blob:")
    page.on("request", lambda request: None if own.match(request.url) else page.outside.append(request.url))
    # Gradio's own: it measures its plot again after hiding it
    known = re.compile("reading 'offsetWidth'.*ResizeObserver", re.DOTALL)
    page.on("pageerror", lambda error: known.search(error.stack or "") or page.errors.append(f"{error}\n{error.stack}"))
    page.goto(address)
    page.wait_for_selector("#unlearn-button")
    yield page
    assert page.outside == [], "the page contacted another machine"
    assert not page.errors, page.errors
    assert page.evaluate("window.__xss") is None, "a script ran"
    context.close()


@contextlib.contextmanager
def served(folder, project=None, threads="1"):
    """The page with its own folders and the scripts of `project`, by default ours."""
    import user_interface
    from results.page.asking import Asker
    from results.page.desk import PROJECT, Desk
    from results.page.jobs import JobQueue

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"GRADIO_TEMP_DIR": str(folder / "gradio"), "GRADIO_ANALYTICS_ENABLED": "False",
                            "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": threads}.items():  # fmt: skip
            patch.setenv(name, value)
        user_interface.prepare_environment()
        for name in ("results", "models"):
            (folder / name).mkdir(exist_ok=True)
        queue = JobQueue(folder / "results", project or PROJECT).start()
        desk = Desk(queue, results_dir=folder / "results", models_dir=folder / "models", asker=Asker(PROJECT))
        app, address, _ = user_interface.launch(desk, wait=False)
        yield {"folder": folder, "desk": desk, "address": address}
        app.get_blocks().close()
        for job in queue.jobs():
            queue.stop(job.id)
        queue.close()
        desk.asker.close()


# -- a run in every state, and every view

# a runner without work: it copies a run's files and then continues, stops or fails as its name says
STAND_IN = """
import json, os, shutil, signal, sys, time
folder = next(word.split("=", 1)[1] for word in sys.argv if word.startswith("--output_dir="))
state = os.path.basename(folder).split("-")[0]
made = os.path.join(os.path.dirname(os.path.abspath(__file__)), "made", state)
for name in os.listdir(made):
    (shutil.copytree if os.path.isdir(made + "/" + name) else shutil.copy)(made + "/" + name, folder + "/" + name)
def status(**values):
    values = {"stage": "unlearning", "step": 20, "total_steps": 40, "updated": time.time(), **values}
    open(folder + "/status.json", "w").write(json.dumps({"pid": os.getpid(), "started": time.time() - 95, **values}))
def stop(*_):
    status(state="stopped", exit_code=143); os._exit(143)
signal.signal(signal.SIGTERM, stop)
print("run_name =", os.path.basename(folder), flush=True)
if state == "finished":
    status(state="finished", stage="done", step=40, exit_code=0)
elif state == "failed":
    message = "nobody/no-such-model: no such model on this machine, and HF_HUB_OFFLINE=1 forbids to fetch it"
    print("error:", message)
    status(state="failed", stage="loading", message=message, exit_code=4); sys.exit(4)
else:
    status(state="running"); time.sleep(6000)
"""


def stand_in(folder):
    """The folder of the stand-in runner, with the files of a run in every state."""
    from run_folders import make_run

    (folder / "unlearning_script.py").write_text(STAND_IN)
    make_run(folder / "made" / "finished", attacks=True, resisting=3, finished=False)
    for name in ("figures", "report.html"):
        example = ROOT / "results" / "examples" / "default_run" / name
        (shutil.copytree if example.is_dir() else shutil.copy)(example, folder / "made" / "finished" / name)
    for state in ("running", "stopped", "failed"):
        made = make_run(folder / "made" / state, finished=False)
        for name in ("evaluation.json", "examples.jsonl", "status.json"):
            (made / name).unlink()
        lines = (made / "metrics.jsonl").read_text().splitlines(keepends=True)
        (made / "metrics.jsonl").write_text("".join(lines[: 0 if state == "failed" else len(lines) // 2]))
    trials = [
        {"number": 1, "method": "profile_matching", "forgetting": 0.81, "utility": 0.97, "state": "complete"},
        {"number": 2, "method": "npo", "forgetting": 0.93, "utility": 0.96, "state": "complete"},
        {"number": 3, "method": "simnpo", "state": "given up", "why": "hopeless: half-way 4% of the way is gone"},
    ]
    trials = [{"within": trial["state"] == "complete", "seconds": 61.0, **trial} for trial in trials]
    search = {"state": "searching", "trials": trials, "winner": 2, "max_trials": 50, "time_budget": "10m"}
    (folder / "made" / "running" / "search.json").write_text(json.dumps(search))
    (folder / "made" / "stopped" / "checkpoint-20").mkdir()
    (folder / "made" / "stopped" / "checkpoint-20" / "manifest.json").write_text("{}")
    return folder


def prepared(room):
    """Runs of the page: finished, failed, stopped, running and waiting."""
    from models.requests import ledger

    desk = room["desk"]
    jobs = {}
    for state in ("finished", "failed", "stopped", "running", "waiting"):
        form = {"source": "text", "text": "Ada lives in Lund.", "method": "npo", "name": f"{state}-run"}
        jobs[state] = desk.unlearn(SimpleNamespace(username=None), form)
        if state == "stopped":
            until(lambda: (desk.results / "stopped-run" / "status.json").exists())
            desk.queue.stop(jobs[state].id)
        if state not in ("running", "waiting"):
            until(lambda job=jobs[state]: desk.queue.get(job.id).over)
    until(lambda: (desk.results / "running-run" / "status.json").exists())
    verdicts = ("FORGOTTEN, KEPT, NOT RUN", "UNDECIDED (no retrained model), KEPT, NOT RUN")
    for line in ({"request": "1", "verdict": verdicts[0]}, {"request": "2", "verdict": verdicts[1], "follows": "1"}):
        told = {"run": "finished-run", "method": "npo", "rows": 12, "time": "2026-11-25T08:00:00Z"}
        ledger.append(desk.results / ledger.NAME, {**told, **line})
    model = desk.models / "finished-run"
    model.mkdir()
    (model / "config.json").write_text("{}")
    states = {state: desk.queue.get(job.id).state for state, job in jobs.items()}
    assert states == {state: {"waiting": "queued"}.get(state, state) for state in jobs}


FIELD = "What should it forget?"
OTHER_WAYS = "Other ways: questions and answers, an example, types of files"


def until(condition, seconds=3 * PATIENCE / 1000):
    """Waits for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def views(page):
    """Goes through every view of the page and yields the name of each; needs `prepared` runs."""
    page.locator("#command .cm-content").wait_for()
    yield "unlearn-idle"
    labelled(page, FIELD).fill("Ragnvi Solbrekk")
    wait_for_text(page, "A name: forget everything the model knows about")
    page.get_by_label("Only these exact words").wait_for()
    yield "unlearn-name"
    labelled(page, FIELD).fill("Ada lives in Lund. Ada is a baker.\n\nHer cat is called Minou.")
    wait_for_text(page, "A text of 13 words in 2 paragraphs")
    page.locator("#look-button").click()
    state_of(page, "Ready to look at")
    wait_for_text(page, "rows to forget")
    page.get_by_text("Her cat is called Minou.").locator("visible=true").first.wait_for()
    page.wait_for_timeout(400)
    yield "unlearn-looked"
    for title in (OTHER_WAYS, "What it should keep (optional)", "Advanced settings", "Training", "Method settings"):
        opened(page, title)
    page.wait_for_timeout(400)
    yield "unlearn-settings"
    for name, word in {"running": "Running", "waiting": "Waiting", "stopped": "Stopped", "failed": "Failed",
                       "finished": "Finished"}.items():  # fmt: skip
        open_tab(page, "Runs")
        page.get_by_label("Selected runs").locator("visible=true").first.wait_for()
        crosses = page.locator(".token-remove").locator("visible=true")
        if crosses.count():
            crosses.last.click()  # removes all of them
        choose(page, "Selected runs", f"{name}-run")
        page.get_by_role("button", name="Open", exact=True).click()
        state_of(page, word)
        page.wait_for_timeout(1200)
        if name == "running":
            assert "Trial 4 of at most 50" in labelled(page, "Search for the best method").input_value()
            opened(page, "All trials")
        yield f"unlearn-{name}"
    page.get_by_role("button", name="Compare before and after").click()
    page.locator("section.card[aria-label=Verdict]").locator("visible=true").wait_for()
    yield "compare"
    for title in ("Figures", "All numbers"):
        opened(page, title)
    page.wait_for_timeout(800)
    yield "compare-numbers"
    open_tab(page, "Runs")
    page.wait_for_timeout(800)
    opened(page, "Deletion requests (ledger)")
    wait_for_text(page, "2 requests, intact")
    page.wait_for_timeout(400)
    yield "runs"
    page.get_by_role("button", name="Delete …").click()
    labelled(page, "To be deleted").wait_for()
    yield "runs-delete"
    page.get_by_role("button", name="Cancel", exact=True).click()
    open_tab(page, "Evaluate")
    yield "evaluate"
    choose(page, "Run or measurement", "finished-run")
    page.locator("section.card[aria-label=Verdict]").locator("visible=true").wait_for()
    opened(page, "What the numbers mean")
    page.wait_for_timeout(800)
    yield "evaluate-run"


# -- a user's actions


def open_tab(page, name):
    """Opens a tab; on a narrow screen it may be in the menu of further tabs."""
    tab = page.get_by_role("tab", name=name).locator("visible=true")
    if not tab.count():
        page.locator(".overflow-menu > button").locator("visible=true").click()
        tab = page.locator(".overflow-dropdown").get_by_text(name, exact=True)
    tab.first.click()


def labelled(page, label):
    """The visible field whose label starts with these words; a label also holds the field's hint."""
    return page.get_by_label(re.compile(rf"^\s*{re.escape(label)}(?!\w)")).locator("visible=true").first


def pick(page, label, option):
    """Selects from a list that allows no other value."""
    labelled(page, label).click()
    page.get_by_role("option", name=option, exact=True).locator("visible=true").click()


def choose(page, label, value):
    field = labelled(page, label)
    field.fill(value)
    field.press("Enter")
    field.blur()


def wait_for_text(page, text):
    """Waits until a text box or the page shows a text."""
    page.wait_for_function(
        """text => [...document.querySelectorAll('input, textarea')].some(field => field.value.includes(text))
        || document.body.innerText.includes(text)""",
        arg=text,
    )


def upload(page, label, path):
    block = page.locator(".block", has_text=label).last
    block.locator("input[type=file]").set_input_files(str(path))
    page.locator(".file-preview", has_text=path.stem).first.wait_for()


def opened(page, title):
    """Opens an accordion; its button also holds a triangle."""
    page.get_by_role("button", name=re.compile(rf"^{re.escape(title)}\W*$")).first.click()


def setting(page, name, value):
    """Fills in an advanced setting."""
    if not page.get_by_text("Empty fields use the method's default.").is_visible():
        opened(page, "Advanced settings")
        opened(page, "Training")
    labelled(page, name).fill(str(value))
    labelled(page, name).blur()


def state_of(page, *words):
    page.locator("#status .badge", has_text=re.compile("|".join(words))).wait_for(timeout=PATIENCE)


# -- forbidden on a page

# controls without a name for a screen reader
NAMELESS = """() => [...document.querySelectorAll('button, input:not([type=hidden]), textarea, select, [role=tab]')]
    .filter(e => e.offsetParent && !e.closest('.table-wrap, .table-container, [role=grid]'))
    .filter(e => !(e.textContent.trim() || (e.labels && e.labels.length) || e.ariaLabel || e.title || e.placeholder
        || e.getAttribute('aria-labelledby') || (e.type === 'file' && e.closest('button, label')?.ariaLabel)
        || (e.type === 'file' && e.closest('.block')?.querySelector('label'))))
    .map(e => e.outerHTML.slice(0, 160))"""
# visible texts with a contrast below 4.5 (large texts: 3), as in WCAG 2.1
FAINT = """() => {
    const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
    const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                         return .2126 * r + .7152 * g + .0722 * b; };
    const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                          if (c.length === 3 || c[3] > .9) return c.slice(0, 3); } return [255, 255, 255]; };
    const found = new Set();
    for (const e of document.querySelectorAll('main *')) {
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !e.offsetParent || e.closest('[disabled], .cm-editor, svg, .sr-only')) continue;
        const style = getComputedStyle(e), [a, b] = [light(rgb(style.color).slice(0, 3)), light(behind(e))];
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.6 && style.fontWeight >= 600);
        if (ratio < (large ? 3 : 4.5)) found.add(`${e.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
    }
    return [...found]; }"""
