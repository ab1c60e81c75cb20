"""A user's path through the page in a real browser, with the real runner on a tiny model."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from browsing import (
    FIELD,
    OTHER_WAYS,
    PATIENCE,
    choose,
    labelled,
    opened,
    pick,
    served,
    setting,
    state_of,
    upload,
    visitor,
    wait_for_text,
)

from results.page.desk import PROJECT

HOSTILE = "<script>window.__xss='script'</script><img src=x onerror=\"window.__xss='img'\"> **b** $(touch marker) سر"


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A served page with a tiny model that knows six facts, and files about them."""
    pytest.importorskip("gradio")
    import torch
    from tiny_models import facts, make_tiny

    from models.store.saving import save_model

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
    with served(folder) as room:
        yield {**room, "known": known, "model": str(folder / "models/tiny")}


@pytest.fixture
def page(browser, room):
    with visitor(browser, room["address"]) as page:
        yield page


def fill_in(page, room, name, learning_rate, steps, looks):
    choose(page, "Model", room["model"])
    pick(page, "Approach", "Make it less likely")
    pick(page, "Method", "gradient difference")
    labelled(page, "Run name (optional)").fill(name)
    opened(page, "What it should keep (optional)")
    upload(page, "File with rows to keep", room["folder"] / "retain.jsonl")
    for key, value in {"learning_rate": learning_rate, "max_steps": steps, "eval_steps": looks}.items():
        setting(page, key, value)


@pytest.mark.hardening(60)
def test_a_typed_question_is_unlearned_and_both_models_answer_it(page, room):
    """Types a question and its answer, follows the run over a reload, and asks both models."""
    question, answer = room["known"][0].prompt, room["known"][0].answer
    opened(page, OTHER_WAYS)
    cells = page.locator("[data-testid='cell-0-0'], [data-testid='cell-0-1']")
    cells.first.wait_for()
    for index, text in enumerate((question, answer)):
        cells.nth(index).dblclick()
        editor = "[data-testid^=cell] :is(textarea, input)"  # takes the focus shortly after the double click
        page.wait_for_function("editor => document.activeElement.matches(editor)", arg=editor, timeout=PATIENCE)
        page.keyboard.type(text)
        page.keyboard.press("Enter")
    wait_for_text(page, "Questions and answers: ")
    fill_in(page, room, "typed", 0.0005, 30, 1)
    page.get_by_label("Some (up to 20 %)").check()
    page.locator("#command").get_by_text("--collapse_guard=0.8").wait_for()
    page.get_by_label("Up to half").check()  # a tight limit may restore a state that knew it all
    page.locator("#command").get_by_text("--collapse_guard=0.8").wait_for(state="hidden")
    page.locator("#command").get_by_text("--max_steps=30").wait_for()
    page.locator("#unlearn-button").click()
    state_of(page, "Running")
    page.reload()  # the job continues, and the page finds it again
    state_of(page, "Finished", "Stopped early")
    assert labelled(page, "Question").input_value() == question
    assert labelled(page, "Answer before").input_value() == answer
    said_now = labelled(page, "Answer now").element_handle()  # the last answers may arrive after the state
    page.wait_for_function("([field, text]) => field.value !== text", arg=[said_now, answer], timeout=PATIENCE)
    page.get_by_role("button", name="Compare before and after").click()
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


def test_a_text_is_looked_at_changed_and_unlearned(page, room):
    """Nothing is trained before the rows were shown; a row without a tick stays; the run asks questions."""
    labelled(page, FIELD).fill("ada lives in lund by the sea. ada works as a baker all year.")
    wait_for_text(page, "A text of 14 words")
    fill_in(page, room, "looked", 0.0005, 4, 1)
    page.locator("#unlearn-button").click()
    state_of(page, "Ready to look at")
    folder = room["folder"] / "results" / "looked"
    assert not (folder / "config.json").exists()
    box = page.locator("#looking [data-testid='cell-0-1'] input[type=checkbox]")
    box.click()
    page.get_by_role("button", name="Unlearn these rows").click()
    state_of(page, "Finished", "Stopped early")
    assert "ada lives" in (folder / "documents" / "struck.jsonl").read_text(), "the row without a tick was taken out"
    assert json.loads((folder / "config.json").read_text())["forget_data"].endswith("looked/documents")
    assert labelled(page, "Question").input_value().endswith("?"), "a question, not half a text"


@pytest.mark.hardening(61)
def test_a_stopped_run_resumes_from_its_checkpoint(page, room):
    page.locator("#files input[type=file]").set_input_files(str(room["folder"] / "forget.jsonl"))
    wait_for_text(page, "Rows of data (forget.jsonl)")
    page.get_by_label("Start at once: ").check()
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
def test_a_failed_run_shows_its_exit_code_and_log_in_red(page, room):
    labelled(page, FIELD).fill("Words that are a sentence, and a longer one at that.")
    page.get_by_label("Start at once: ").check()
    choose(page, "Model", "nobody/no-such-model")
    labelled(page, "Run name (optional)").fill("failing")
    page.locator("#unlearn-button").click()
    state_of(page, "Failed")
    assert "exit code 4" in page.locator("#status").inner_text()
    assert page.locator("section.job-failed").is_visible()
    assert "error:" in page.locator("#log textarea").input_value()


@pytest.mark.hardening(18, 56, 57)
def test_hostile_text_in_any_field_never_runs(page, room):
    labelled(page, FIELD).fill(f"{HOSTILE}. {HOSTILE}.")
    page.locator("#look-button").click()
    state_of(page, "Ready to look at")
    page.get_by_text("touch marker", exact=False).locator("visible=true").nth(1).wait_for()
    for label in ("Run name (optional)", "Model"):
        choose(page, label, HOSTILE)
    page.locator("#unlearn-button").click()
    wait_for_text(page, "outside the folders")
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
        "Runs": ("Selected runs",),
        "Evaluate": ("Run or measurement", "Model to measure", "Model before unlearning (optional)"),
    }.items():
        page.get_by_role("tab", name=tab).first.click()
        for label in labels:
            choose(page, label, HOSTILE)
    page.get_by_role("button", name="Measure", exact=True).click()
    # a run as if from a terminal with hostile names, answers, log and verdict
    folder = room["folder"] / "results" / "<img src=x onerror=window.__xss=1>"
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    numbers = {"forget": {"answer_probability": 0.5}}
    hostile_row = {"split": "forget", "subject": HOSTILE, "prompt": HOSTILE, "gold": HOSTILE, "before": HOSTILE,
                   "after": HOSTILE}  # fmt: skip
    words = {"memory": "REMEMBERS", "rest": "KEPT", "resistance": "HELD"}
    rows = [{"row": 1, "subject": HOSTILE, "split": HOSTILE, "position": 1.0, "trace": HOSTILE, "leaks": True}]
    told = {"why": [HOSTILE], "turn": HOSTILE, "rows": rows, "lost_rows": rows, "persons": [{"subject": HOSTILE,
            "word": HOSTILE, "position": 1.0}], "gates": [{"name": HOSTILE, "label": HOSTILE, "word": "undecided",
            "why": HOSTILE}]}  # fmt: skip
    for name, value in {
        "config.json": {"run_name": HOSTILE, "method": HOSTILE, "model_name_or_path": HOSTILE, "command": [HOSTILE]},
        "evaluation.json": {"models": {"target": numbers, "unlearned": numbers},
                            "comparison": {"verdict": "REMEMBERS, KEPT, HELD", **words}, "notes": {HOSTILE: HOSTILE},
                            "evidence": {part: {**told, "word": word} for part, word in words.items()}},
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
    choose(page, "Selected runs", folder.name)
    page.get_by_role("button", name="Open", exact=True).click()
    state_of(page, "Failed")
    page.wait_for_timeout(1000)
    assert not any(Path(place, "marker").exists() for place in (PROJECT, room["folder"], os.getcwd()))
    assert page.evaluate("window.__xss") is None
    shutil.rmtree(folder)


def test_the_keyboard_alone_starts_a_run(page, room):
    choose(page, "Model", room["model"])
    setting(page, "max_steps", 1)
    text = labelled(page, FIELD)
    text.focus()
    page.keyboard.type("ada lives in lund by the sea and bakes bread.")
    page.get_by_label("Start at once: ").check()
    page.locator("#files button").first.focus()
    for _ in range(5):  # the ways to take a text stand between the file and the button
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "unlearn-button":
            break
    focused = page.evaluate(
        "() => { const e = document.activeElement, s = getComputedStyle(e); "
        "return [e.id, s.outlineStyle, parseFloat(s.outlineWidth)] }"
    )
    assert focused[0] == "unlearn-button" and focused[1] == "solid" and focused[2] >= 2, "the focus must be visible"
    page.keyboard.press("Enter")
    state_of(page, "Running", "Finished")
    page.get_by_role("button", name="Stop", exact=True).press("Enter")
    state_of(page, "Stopped", "Finished")
