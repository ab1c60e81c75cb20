"""A person's way through the page in a real browser, with the real runner on a model small enough to take seconds."""

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest

import user_interface
from results.asking import Asker
from results.desk import PROJECT, Desk
from results.jobs import JobQueue

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-quic"),
]
HOSTILE = "<script>window.__xss='script'</script><img src=x onerror=\"window.__xss='img'\"> **b** $(touch marker) سر"
PATIENCE = 60_000


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A served page with folders of its own, a tiny model that knows six facts, and files about them."""
    pytest.importorskip("gradio")
    import torch
    from tiny_models import facts, make_tiny

    from models.loading import save_model

    folder = tmp_path_factory.mktemp("page")
    known = facts(("ada", "bor"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the model is too small to share among cores
    model, tokenizer, _ = make_tiny(known, epochs=25)
    torch.set_num_threads(threads)
    save_model(model, tokenizer, folder / "models" / "tiny", "# tiny")
    for name, rows in (("forget", known[:3]), ("retain", known[3:])):
        lines = [json.dumps({"question": row.prompt, "answer": row.answer}) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"GRADIO_TEMP_DIR": str(folder / "gradio"), "GRADIO_ANALYTICS_ENABLED": "False",
                            "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}.items():  # fmt: skip
            patch.setenv(name, value)
        user_interface.prepare_environment()
        (folder / "results").mkdir()
        queue = JobQueue(folder / "results", PROJECT).start()
        desk = Desk(queue, results_dir=folder / "results", models_dir=folder / "models", asker=Asker(PROJECT))
        app, address, _ = user_interface.launch(desk, wait=False)
        yield {"folder": folder, "desk": desk, "address": address, "known": known, "model": str(folder / "models/tiny")}
        app.get_blocks().close()
        for job in queue.jobs():
            queue.stop(job.id)
        queue.close()
        desk.asker.close()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, room):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.outside, page.errors = [], []
    own = re.compile(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|data:|blob:")
    page.on("request", lambda request: None if own.match(request.url) else page.outside.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(room["address"])
    page.wait_for_selector("#unlearn-button")
    yield page
    assert page.outside == [], "the page must not ask other machines for anything"
    assert page.errors == []
    assert page.evaluate("window.__xss") is None, "a script ran"
    context.close()


def labelled(page, label):
    """The visible field whose label begins with these words; a label also holds the field's hint."""
    return page.get_by_label(re.compile(rf"^\s*{re.escape(label)}(?!\w)")).locator("visible=true").first


def pick(page, label, option):
    """Chooses from a list that takes nothing else."""
    labelled(page, label).click()
    page.get_by_role("option", name=option, exact=True).locator("visible=true").click()


def choose(page, label, value):
    field = labelled(page, label)
    field.fill(value)
    field.press("Enter")
    field.blur()


def wait_for_text(page, text):
    """Waits until a text box or the page shows these words."""
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
    """Opens a folded part; its button also holds a triangle."""
    page.get_by_role("button", name=re.compile(rf"^{re.escape(title)}\W*$")).first.click()


def setting(page, name, value):
    """Fills in an advanced setting."""
    if not page.get_by_text("Empty fields take the default of the method.").is_visible():
        opened(page, "Advanced settings")
        opened(page, "Training")
    labelled(page, name).fill(str(value))
    labelled(page, name).blur()


def fill_in(page, room, name, learning_rate, steps, looks):
    choose(page, "Model", room["model"])
    pick(page, "Method", "gradient difference")
    labelled(page, "Name of the run (optional)").fill(name)
    opened(page, "What it should keep (optional)")
    upload(page, "File of what to keep", room["folder"] / "retain.jsonl")
    for key, value in {"learning_rate": learning_rate, "max_steps": steps, "eval_steps": looks}.items():
        setting(page, key, value)


def state_of(page, *words):
    page.locator("#status .badge", has_text=re.compile("|".join(words))).wait_for(timeout=PATIENCE)


@pytest.mark.hardening(60)
def test_from_typing_to_the_answer_after(page, room):
    """Types a question and its answer, watches the model forget it, reloads meanwhile, and asks both models."""
    question, answer = room["known"][0].prompt, room["known"][0].answer
    page.get_by_label("Questions and answers", exact=True).check()
    cells = page.locator("[data-testid='cell-0-0'], [data-testid='cell-0-1']")
    cells.first.wait_for()
    for index, text in enumerate((question, answer)):
        cells.nth(index).dblclick()
        editor = "[data-testid^=cell] :is(textarea, input)"  # it takes the focus a moment after the double click
        page.wait_for_function("editor => document.activeElement.matches(editor)", arg=editor, timeout=PATIENCE)
        page.keyboard.type(text)
        page.keyboard.press("Enter")
    page.get_by_role("button", name="Check what it read").click()
    wait_for_text(page, "1 row")
    fill_in(page, room, "typed", 0.0005, 30, 1)
    page.get_by_label("Some: 20 %").check()
    page.locator("#command").get_by_text("--collapse_guard=0.8").wait_for()
    page.get_by_label("Up to half").check()  # within a tight limit a tiny model may go back to where it knew it all
    page.locator("#command").get_by_text("--collapse_guard=0.8").wait_for(state="hidden")
    page.locator("#command").get_by_text("--max_steps=30").wait_for()
    page.locator("#unlearn-button").click()
    state_of(page, "Running")
    page.reload()  # the job goes on, and the page finds it again
    state_of(page, "Finished", "Stopped at the limit")
    assert labelled(page, "Asked").input_value() == question
    assert labelled(page, "Said before").input_value() == answer
    said_now = labelled(page, "Says now").element_handle()  # the last answers may come a moment after the state
    page.wait_for_function("([field, text]) => field.value !== text", arg=[said_now, answer], timeout=PATIENCE)
    page.get_by_role("button", name="See before and after").click()
    page.locator("section.card[aria-label=Verdict]").wait_for()
    labelled(page, "Ask both models").fill(question)
    labelled(page, "True answer").fill(answer)
    page.get_by_role("button", name="Ask both", exact=True).click()
    before, after = labelled(page, "Before"), labelled(page, "After")
    page.wait_for_function("field => field.value", arg=before.element_handle(), timeout=PATIENCE)
    assert before.input_value() == answer
    assert after.input_value() != answer
    folder = room["folder"] / "results" / "typed"
    assert json.loads((folder / "config.json").read_text())["max_steps"] == 30
    assert (folder / "report.html").exists() and (room["folder"] / "models" / "typed" / "config.json").exists()


@pytest.mark.hardening(61)
def test_stop_and_resume(page, room):
    page.get_by_label("File", exact=True).check()
    upload(page, "File to forget", room["folder"] / "forget.jsonl")
    wait_for_text(page, "3 rows in forget.jsonl")
    fill_in(page, room, "stopped", 1e-6, 5000, 1000)
    page.locator("#unlearn-button").click()
    page.locator("#status", has_text="step").wait_for()
    page.get_by_role("button", name="Stop", exact=True).click()
    state_of(page, "Stopped")
    job = next(job for job in room["desk"].queue.jobs() if job.name == "stopped")
    assert job.exit_code == 143
    assert list((room["folder"] / "results" / "stopped").glob("checkpoint-*")), "a stop must leave a checkpoint"
    page.get_by_role("button", name="Resume").click()
    state_of(page, "Running")
    log = room["folder"] / "results" / "stopped" / "log.txt"
    deadline = time.monotonic() + PATIENCE / 1000
    while "resumed from" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    page.get_by_role("button", name="Stop", exact=True).click()
    state_of(page, "Stopped")


@pytest.mark.hardening(62)
def test_a_failure_is_red_and_shows_exit_code_and_log(page, room):
    labelled(page, "Text to forget").fill("Words.")
    choose(page, "Model", "nobody/no-such-model")
    labelled(page, "Name of the run (optional)").fill("failing")
    page.locator("#unlearn-button").click()
    state_of(page, "Failed")
    assert "exit code 4" in page.locator("#status").inner_text()
    assert page.locator("section.job-failed").is_visible()
    assert "error:" in page.locator("#log textarea").input_value()


@pytest.mark.hardening(18, 56, 57)
def test_hostile_text_in_every_field_runs_nowhere(page, room):
    labelled(page, "Text to forget").fill(HOSTILE)
    page.get_by_role("button", name="Check what it read").click()
    page.get_by_text("touch marker", exact=False).nth(1).wait_for()
    for label in ("Name of the run (optional)", "Model"):
        choose(page, label, HOSTILE)
    page.locator("#unlearn-button").click()
    wait_for_text(page, "outside of the folders")
    choose(page, "Model", "nobody/<b>")
    opened(page, "Advanced settings")
    for group in ("Training", "Model", "Data", "Run"):
        opened(page, group)
    for field in page.locator("#advanced input[type=text], #advanced textarea").all():
        if field.is_visible() and field.is_editable():
            field.fill(HOSTILE)
    page.locator("#unlearn-button").click()
    for tab, labels in {
        "Compare": ("Finished run",),
        "Runs": ("Chosen runs",),
        "Evaluate": ("Run or measurement", "Model to measure", "Model before unlearning (optional)"),
    }.items():
        page.get_by_role("tab", name=tab).first.click()
        for label in labels:
            choose(page, label, HOSTILE)
    page.get_by_role("button", name="Measure", exact=True).click()
    # a run as if from a terminal whose every word is hostile: names, answers, log, verdict
    folder = room["folder"] / "results" / "<img src=x onerror=window.__xss=1>"
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    numbers = {"forget": {"answer_probability": 0.5}}
    hostile_row = {"split": "forget", "subject": HOSTILE, "prompt": HOSTILE, "gold": HOSTILE, "before": HOSTILE,
                   "after": HOSTILE}  # fmt: skip
    for name, value in {
        "config.json": {"run_name": HOSTILE, "method": HOSTILE, "model_name_or_path": HOSTILE, "command": [HOSTILE]},
        "evaluation.json": {"models": {"target": numbers, "unlearned": numbers},
                            "comparison": {"verdict": HOSTILE, "weakest_part": HOSTILE}, "notes": {HOSTILE: HOSTILE}},
        "status.json": {"state": "failed", "message": HOSTILE, "stage": HOSTILE, "exit_code": 1, "started": 1},
        "examples.jsonl": hostile_row,
        "metrics.jsonl": {"event": "answers", "step": 1, "answers": [{"prompt": HOSTILE, "gold": HOSTILE,
                                                                     "answer": HOSTILE}]},
    }.items():  # fmt: skip
        (folder / name).write_text(json.dumps(value) + "\n")
    (folder / "log.txt").write_text(HOSTILE)
    page.reload()
    page.wait_for_selector("#unlearn-button")
    page.get_by_role("tab", name="Compare").first.click()
    choose(page, "Finished run", folder.name)
    page.locator("section.card[aria-label=Verdict]").locator("visible=true").wait_for()
    for label in ("Ask both models", "True answer"):
        labelled(page, label).fill(HOSTILE)
    page.get_by_role("button", name="Ask both", exact=True).click()
    page.get_by_role("tab", name="Evaluate").first.click()
    choose(page, "Run or measurement", folder.name)
    page.get_by_role("tab", name="Runs").first.click()
    choose(page, "Chosen runs", folder.name)
    page.get_by_role("button", name="Open", exact=True).click()
    state_of(page, "Failed")
    page.wait_for_timeout(1000)
    assert not any(Path(place, "marker").exists() for place in (PROJECT, room["folder"], os.getcwd()))
    assert page.evaluate("window.__xss") is None
    shutil.rmtree(folder)


# what has no name for a screen reader among the things a person can press or fill in
NAMELESS = """() => [...document.querySelectorAll('button, input:not([type=hidden]), textarea, select, [role=tab]')]
    .filter(e => e.offsetParent && !e.closest('.table-wrap, .table-container, [role=grid]'))
    .filter(e => !(e.textContent.trim() || (e.labels && e.labels.length) || e.ariaLabel || e.title || e.placeholder
        || e.getAttribute('aria-labelledby') || (e.type === 'file' && e.closest('button, label')?.ariaLabel)
        || (e.type === 'file' && e.closest('.block')?.querySelector('label'))))
    .map(e => e.outerHTML.slice(0, 160))"""
# visible texts whose contrast with what is behind them is below 4.5 (3 for large ones), as in WCAG 2.1
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


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_the_page_fits_the_screen_is_legible_and_everything_has_a_name(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{page.url.split('?')[0]}?__theme={scheme}")
    page.wait_for_selector("#unlearn-button")
    button = page.locator("#unlearn-button").bounding_box()
    assert button["y"] + button["height"] <= 800, "the button is seen without scrolling"
    for tab in ("Unlearn", "Compare", "Runs", "Evaluate"):
        page.get_by_role("tab", name=tab).first.click()
        page.wait_for_timeout(400)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
        assert page.evaluate(NAMELESS) == [], tab
        assert page.evaluate(FAINT) == [], tab


def test_the_keyboard_alone_starts_a_run(page, room):
    choose(page, "Model", room["model"])
    setting(page, "max_steps", 1)
    text = labelled(page, "Text to forget")
    text.focus()
    page.keyboard.type("ada lives in lund by the sea")
    page.keyboard.press("Tab")
    focused = page.evaluate(
        "() => { const e = document.activeElement, s = getComputedStyle(e); "
        "return [e.id, s.outlineStyle, parseFloat(s.outlineWidth)] }"
    )
    assert focused[0] == "unlearn-button" and focused[1] == "solid" and focused[2] >= 2, "the focus must be seen"
    page.keyboard.press("Enter")
    state_of(page, "Running", "Finished")
    page.get_by_role("button", name="Stop", exact=True).press("Enter")
    state_of(page, "Stopped", "Finished")
