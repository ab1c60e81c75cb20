"""The page without a browser: the live view, asking both models, the server and its API."""

import html
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from page_room import WRONG_PATHS, client_of, judged, request_of, serve, submit, wait_for

import unlearning_script as runner
import user_interface
from models.verdict.words import WORDS
from results.page import live, verdicts, watching
from results.page.asking import Asker, AskError
from results.page.desk import PROJECT, Desk
from results.page.jobs import Job
from results.page.wiring import finished

# -- the live view


@pytest.mark.hardening(66)
def test_a_trace_reads_complete_lines_and_restarts_with_a_new_file(tmp_path):
    watcher, path = watching.Watcher(), tmp_path / "metrics.jsonl"
    assert watcher.trace(tmp_path).evaluations == []
    line = {"event": "evaluation", "step": 0, "forget": {"answer_probability": 0.5, "loss": 0.7}}
    path.write_text(json.dumps(line) + "\n" + '{"event": "evaluation", "st')
    assert len(watcher.trace(tmp_path).evaluations) == 1
    with open(path, "a") as file:
        file.write('ep": 1}\nnot json\n[1]\n{"event": "step", "step": null}\n')
    assert [record["step"] for record in watcher.trace(tmp_path).evaluations] == [0, 1]
    assert watching.probability_points(watcher.trace(tmp_path)) == [(0, 0.5, "to forget")]
    path.unlink()
    path.write_text("")
    assert watcher.trace(tmp_path).evaluations == []


def test_plots_and_logs_stay_small(tmp_path):
    trace = watching.Trace()
    for step in range(5000):
        trace.take({"event": "step", "step": step, "forget_loss": 1.0, "retain_loss": 2.0, "seconds": 0.5})
        trace.take({"event": "evaluation", "step": step,
                    **{split: {"answer_probability": 0.5, "loss": 1} for split in watching.SPLITS}})  # fmt: skip
    assert len(watching.loss_points(trace)) == 500 and len(watching.probability_points(trace)) <= 500
    assert watching.loss_points(trace)[-1][0] == 4999
    assert len(watching.curve_rows(trace)) == 200
    names = {name for *_, name in watching.probability_points(trace) + watching.loss_points(trace)}
    assert names == set(live.COLORS), "a curve without a colour"
    (tmp_path / watching.LOG).write_text("".join(f"line {i}\n" for i in range(10_000)) + "10%\r20%\r30%")
    tail = watching.log_tail(tmp_path).splitlines()
    assert len(tail) == 200 and tail[-1] == "30%" and tail[-2] == "line 9999"


def test_progress_tells_stage_share_and_time_left(tmp_path):
    job = Job(
        "a", 1, "unlearn", "<img src=x onerror=alert(1)>", [], str(tmp_path), state="running", started=time.time()
    )
    (tmp_path / "status.json").write_text('{"stage": "unlearning", "step": 5, "total_steps": 20}')
    trace = watching.Trace(seconds=10.0)
    seen = watching.progress(job, tmp_path, trace)
    assert (seen.stage, seen.detail, seen.seconds_left) == ("Unlearning", "step 5 of 20", 30.0)
    early = {"stage": "loading"}
    (tmp_path / "status.json").write_text(json.dumps(early))
    assert watching.progress(job, tmp_path, trace).share < seen.share < 1
    card = watching.status_html(job, seen)
    assert "<img" not in card and "&lt;img" in card and "30.0 s" in card
    assert watching.progress(Job("b", 2, "unlearn", "x", [], "y"), tmp_path, trace, 3).detail.startswith("3 jobs")


def test_a_search_is_described_in_words(tmp_path):
    assert watching.search_of(tmp_path) == {} and watching.search_told({}, True) == ""
    whole = {"state": "complete", "within": True, "seconds": 61.0, "why": ""}
    found = [
        {"number": 1, "method": "profile_matching", "forgetting": 0.81, "utility": 0.97, **whole},
        {"number": 2, "method": "npo", "forgetting": 0.93, "utility": 0.96, **whole},
        {"number": 3, "method": "<b>", "state": "given up", "why": "hopeless", "seconds": 9},
    ]
    search = {"trials": found, "winner": 2, "max_trials": 50, "time_budget": "10m", "state": "searching"}
    (tmp_path / "search.json").write_text(json.dumps(search))
    search = watching.search_of(tmp_path)
    said = watching.search_told(search, searching=True)
    assert said == (
        "Trial 4 of at most 50 is running; the search takes at most 10m. "
        "Best so far: trial 2, npo: 93\u00a0% forgotten, 96\u00a0% of the rest kept."
    )
    rows = watching.trial_rows(search)
    assert [row[0] for row in rows] == ["3", "2", "1"]
    assert [row[5] for row in rows[:2]] == ["stopped early: hopeless", "the best so far"]
    assert watching.search_share(search | {"seconds": 300}) == 0.5
    assert watching.search_share(search | {"seconds": 3}) == 0.06
    assert watching.search_share(search | {"state": "chosen"}) == 1.0
    for trial in found[:2]:
        trial["within"] = False
    said = watching.search_told(search | {"trials": found}, searching=False)
    assert said.startswith(
        "The search made 3 trials. No trial keeps as much of the rest as you asked for; the closest is trial 2"
    )
    (tmp_path / "search.json").write_text('{"trials": [1, null, {"number"')
    assert watching.search_of(tmp_path) == {}


# -- the verdict for people


@pytest.mark.parametrize(
    ("words", "tone"),
    [
        (("FORGOTTEN", "KEPT", "HELD"), "good"),
        (("FORGOTTEN", "KEPT", "NOT RUN"), "good"),
        (("FORGOTTEN", "UNDECIDED", "HELD"), "unsure"),
        (("FORGOTTEN", "DAMAGED", "HELD"), "bad"),
        (("FORGOTTEN", "KEPT", "CAME BACK"), "bad"),
        (("OVER-FORGOTTEN", "KEPT", "HELD"), "unsure"),
        (("UNDECIDED (no retrained model)", "KEPT", "NOT RUN"), "unsure"),
        (("UNDECIDED", "BROKEN", "NOT RUN"), "bad"),
        (("REMEMBERS", "KEPT", "HELD"), "bad"),
    ],
)
def test_only_a_forgotten_memory_is_green(words, tone, tmp_path):
    evaluation = judged(*words)
    card = verdicts.verdict_html(evaluation)
    assert f'class="card tone-{tone}"' in card and all(f">{word}<" in card for word in words)
    for part, word in zip(WORDS, words):
        about = WORDS[part][word.split(" (")[0]]
        assert about.headline in card and html.escape(about.plain) in card
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    job = Job("a", 1, "unlearn", "x", [], str(tmp_path), state="finished", ended=1.0)
    found, sentence = live.outcome_told(job, tmp_path)
    assert found == tone and WORDS["memory"][words[0].split(" (")[0]].headline in sentence
    status = watching.status_html(job, watching.progress(job, tmp_path, watching.Trace()), result=sentence, tone=found)
    assert f"job-finished tone-{tone}" in status and html.escape(sentence) in status
    assert watching.run_row("x", tmp_path, job)[-3:] == list(words)


def test_the_card_lists_reasons_persons_and_rows_and_escapes_them():
    bad = "<img src=x onerror=alert(1)>"
    gate = {"name": "rows", "label": f"rows {bad}", "word": "failed", "why": f"one row {bad}"}
    lost = {"split": "retain", "row": 7, "subject": "Fay", "left": 0.12}
    evaluation = judged(
        "REMEMBERS", "KEPT", "NOT RUN", why=[f"Row 2 {bad}.", "b", "c", "d"], turn=f"One test {bad}.", gates=[gate],
        persons=[{"subject": f"Ada {bad}", "position": 0.93, "rows": 2, "word": "known"},
                 {"subject": "Bor", "position": 0.04, "rows": 2, "word": "forgotten"},
                 {"subject": "Eve", "position": None, "rows": 1, "word": "no contrast"}],
        rows=[{"row": 1, "subject": "Bor", "position": 0.1, "trace": "fact_recall", "leaks": False},
              {"row": 2, "subject": f"Ada {bad}", "position": 0.97, "trace": "answer_probability", "leaks": True}],
    )  # fmt: skip
    evaluation["evidence"]["rest"]["lost_rows"] = [lost]
    examples = [{"split": "forget", "prompt": "first?"}, {"split": "retain", "prompt": "x"},
                {"split": "forget", "prompt": f"second {bad}?"}]  # fmt: skip
    card = verdicts.verdict_html(evaluation, examples)
    assert "<img" not in card and card.count("&lt;img") >= 6
    for text in ("as before) (3)", "known 0.93", "forgotten 0.04", "no contrast", "as before) (1)", "row 2, Ada",
                 "answer probability 0.97", "second", "One test", "All tests (1)",
                 "row 7, retain, Fay, 12\u00a0% is left"):  # fmt: skip
        assert text in card, text
    assert "first?" not in card and "<li>d</li>" not in card, "three reasons, and only rows that leak"


def test_a_run_without_a_retrained_model_says_what_would_decide_it():
    evaluation = judged("UNDECIDED (no retrained model)", "KEPT", "NOT RUN", why=["No row is known."], turn="Give one.")
    card = verdicts.verdict_html(evaluation)
    assert "tone-good" not in card.split("word-rest")[0] and "Give one." in card
    assert ">UNDECIDED (no retrained model)<" in card and "CERTIFIED" not in card


def test_certified_needs_three_words_and_their_tests():
    gate = {"name": "rows", "label": "rows", "word": "passed", "why": "none"}
    evaluation = judged("FORGOTTEN", "KEPT", "HELD")
    assert "CERTIFIED" not in verdicts.verdict_html(evaluation), "no test supports it"
    for part in evaluation["evidence"].values():
        part["gates"] = [gate]
    assert "CERTIFIED" in verdicts.verdict_html(evaluation)
    evaluation["evidence"]["memory"]["gates"] = [{**gate, "word": "failed"}]
    card = verdicts.verdict_html(evaluation)
    assert "CERTIFIED" not in card and "FORGOTTEN<" not in card and "tone-none" in card, "the evidence contradicts it"


@pytest.mark.parametrize("comparison", [{"verdict": "FORGOTTEN (attacks not run)"}, {"verdict": "<b>"}, {}, None, [1]])
def test_a_verdict_of_an_earlier_version_is_named_and_never_green(comparison):
    card = verdicts.verdict_html({"models": {"unlearned": 3}, "comparison": comparison, "evidence": [1]})
    assert 'class="card tone-none"' in card and "tone-good" not in card and "<b>" not in card
    told = comparison.get("verdict") if isinstance(comparison, dict) else None
    assert ("of an earlier version" in card) == bool(told) and html.escape(told or "") in card


# -- asking models


def test_both_models_answer_and_the_trained_one_prefers_the_truth(tmp_path, monkeypatch):
    import torch
    from tiny_models import facts, make_tiny

    from models.store.saving import save_model

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the models are too small to share among cores
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    known = facts(("ada",))
    for name, epochs in (("knows", 30), ("new", 0)):
        model, tokenizer, _ = make_tiny(known, epochs=epochs)
        save_model(model, tokenizer, tmp_path / name, "# tiny")
    torch.set_num_threads(threads)
    asker = Asker(PROJECT, time_limit=120)
    try:
        reply = asker.ask([str(tmp_path / "knows"), str(tmp_path / "new")], known[0].prompt, known[0].answer)
        assert reply["answers"][0] == known[0].answer
        assert reply["expected"][0] > 0.5 > reply["expected"][1]
        assert reply["probabilities"][0][0] == pytest.approx(reply["expected"][0], abs=1e-4)
        with pytest.raises(AskError, match="no such folder"):
            asker.ask([str(tmp_path / "none")] * 2, "q")
        asker.time_limit = 0.0
        with pytest.raises(AskError, match="within"):
            asker.ask([str(tmp_path / "knows")] * 2, "q")
    finally:
        asker.close()


# -- the server


def test_two_runs_with_the_same_random_name_both_get_a_folder(desk, monkeypatch):
    drawn = iter(["beef", "beef", "cafe"])
    monkeypatch.setattr("results.page.desk.secrets.token_hex", lambda _size: next(drawn))
    first, second = (desk._new_folder(request_of(), "", "people-npo") for _ in range(2))
    assert first.name.endswith("beef") and second.name.endswith("cafe") and second.is_dir()


@pytest.mark.hardening(63)
def test_the_api_runs_a_hundred_submissions(served, desk):
    client = client_of(served)
    asked = [client.submit({"words": f"secret {number}"}, api_name="/unlearn") for number in range(100)]
    keys = [job.result(timeout=120) for job in asked]
    assert len(set(keys)) == 100
    wait_for(lambda: all(job.over for job in desk.queue.jobs()), 120)
    assert {job.state for job in desk.queue.jobs()} == {"finished"}
    texts = {(Path(job.folder) / "inputs" / "request.yaml").read_text() for job in desk.queue.jobs()}
    assert len(texts) == 100


@pytest.mark.hardening(55, 59)
def test_the_api_checks_as_the_form_does(served, desk, project):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    client = client_of(served)
    for value, message in list(WRONG_PATHS.items())[:8]:
        with pytest.raises(AppError, match=message.replace("'", "['&#x27;]*")):
            client.predict({"words": "x"}, model=value, api_name="/unlearn")
        with pytest.raises(AppError, match=message):
            client.predict(model=value, api_name="/evaluate")
    for endpoint, values in {
        "/unlearn": {"request": {"words": "x"}, "settings": {"output_dir": "../../x"}},
        "/watch": {"run": "../../../etc"},
        "/download_model": {"run": "<script>window.__xss=1</script>"},
        "/download_report": {"run": "a\0b"},
        "/delete": {"runs": ["../models"]},
        "/compare_runs": {"names": ["a", "../b"]},
        "/stop": {"run": "0" * 16},
        "/resume": {"run": {"a": 1}},
        "/ask": {"run": "x", "question": "?", "expected": ""},
        "/attack": {"name": "x", "attacks": ["prompts"]},
    }.items():
        with pytest.raises(AppError) as raised:
            client.predict(**values, api_name=endpoint)
        assert "verbose error" not in str(raised.value), f"{endpoint} must refuse in words"
        assert "<script>" not in str(raised.value)
    (project / "bad.pkl").write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(AppError, match="not accepted"):
        client.predict({"files": [handle_file(str(project / "bad.pkl"))]}, api_name="/unlearn")
    assert not list(Path(os.environ["GRADIO_TEMP_DIR"]).rglob("bad.pkl")), "a refused file must not stay"
    with pytest.raises(AppError):  # a path that was never uploaded
        client.predict({"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, api_name="/unlearn")
    assert desk.queue.jobs() == [] and os.listdir(project / "models") == []


@pytest.mark.hardening(59)
def test_run_files_are_never_served_and_no_other_page_is_open(served, project):
    import httpx

    (project / "results" / "secret.txt").write_text("secret")
    for path in (project / "results" / "secret.txt", "/etc/passwd", PROJECT / "user_interface.py"):
        assert httpx.get(f"{served}gradio_api/file={path}").status_code in (403, 404)
    for page in ("openapi.json", "docs", "redoc", "monitoring", "monitoring/summary"):
        assert httpx.get(f"{served}{page}").status_code >= 400, page
    assert "google" not in httpx.get(served).text


@pytest.mark.hardening(58)
def test_bad_uploads_leave_nothing_behind(served, gradio_folder):
    import httpx

    before = set(gradio_folder.rglob("*"))
    large = httpx.post(f"{served}gradio_api/upload", files={"files": ("large.txt", bytes(51 * 2**20))}, timeout=60)
    assert large.status_code == 413
    assert not [path for path in set(gradio_folder.rglob("*")) - before if path.is_file()], "the rest was cleaned up"
    named = httpx.post(f"{served}gradio_api/upload", files={"files": ("../../out.jsonl", b'{"text": "t"}')})
    kept = [Path(path).resolve() for path in named.json()] if named.status_code == 200 else []
    assert all(path.is_relative_to(gradio_folder.resolve()) for path in kept)
    assert (
        not (gradio_folder.parent / "out.jsonl").exists() and not (gradio_folder.parent.parent / "out.jsonl").exists()
    )


@pytest.mark.hardening(64)
def test_accounts_are_required_and_kept_apart(queue, project, gradio_folder):
    import httpx
    from gradio_client.exceptions import AppError

    desk = Desk(queue, results_dir=project / "results", models_dir=project / "models",
                accounts=[("ann", "password-a"), ("bob", "password-b")])  # fmt: skip
    for address in serve(desk):
        assert httpx.get(f"{address}gradio_api/info").status_code == 401
        ann, bob = (client_of(address, auth=account) for account in desk.accounts)
        key = bob.predict({"words": "of bob"}, api_name="/unlearn")
        assert queue.get(key).owner == "bob"
        wait_for(lambda: queue.get(key).over)  # noqa: B023 - called at once
        name = queue.get(key).name
        assert name in str(bob.predict(api_name="/runs")) and name not in str(ann.predict(api_name="/runs"))
        assert bob.predict(key, api_name="/watch")["name"] == name
        for endpoint in ("/watch", "/stop", "/resume", "/delete"):
            with pytest.raises(AppError, match="no run"):
                ann.predict(key, api_name=endpoint)
        assert bob.predict(key, api_name="/delete") == [name]


@pytest.mark.hardening(65)
@pytest.mark.parametrize("name", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_other_machines_need_a_password(name, capsys, monkeypatch):
    monkeypatch.delenv("UNLEARNING_AUTH", raising=False)
    assert user_interface.main(["--server_name", name]) == 2
    assert "--auth" in capsys.readouterr().err
    assert user_interface.main(["--server_name", name, "--auth", "ann:short"]) == 2
    assert not user_interface.is_loopback(name)
    assert all(user_interface.is_loopback(own) for own in ("127.0.0.1", "::1", "localhost", "127.9.9.9"))


def test_help_is_quick_and_needs_no_gradio():
    code = "import sys, user_interface as u\ntry: u.main(['--help'])\nexcept SystemExit: print('gradio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "--server_port" in done.stdout and done.stdout.endswith("False\n")


def test_a_measurement_of_one_model_is_not_offered_for_comparing(desk, project):
    for name, files in {"run": ("config.json", "evaluation.json"), "lone": ("evaluation.json",)}.items():
        (project / "results" / name).mkdir()
        for file in files:
            (project / "results" / name / file).write_text("{}")
    submit(desk.queue, "lone")
    runs = desk.runs(request_of())
    assert finished(runs) == ["run"]
    assert set(finished(runs, ("evaluation.json",))) == {"run", "lone"}


def test_a_new_tab_is_one_class_and_one_line(desk, gradio_folder, monkeypatch):
    gradio = pytest.importorskip("gradio")

    class Count:
        TITLE = "Count"

        def __init__(self, page):
            shown = gradio.Number(label="Runs")
            page.keep_fresh(shown, len)
            gradio.Button("Count").click(lambda: len(page.desk.runs(request_of())), None, shown, api_name="count")

        def wire(self):
            pass

    monkeypatch.setitem(sys.modules, "results.page.tabs.count", SimpleNamespace(Count=Count))
    monkeypatch.setattr(user_interface, "TABS", [*user_interface.TABS, "count:Count"])
    submit(desk.queue, "one")
    for address in serve(desk):
        client = client_of(address)
        assert client.predict(api_name="/count") == 1
        assert "one" in str(client.predict(api_name="/runs")[0]), "the list of runs"


def test_every_option_of_the_runner_has_a_field():
    from results.page.desk import ADVANCED, NOT_ADVANCED

    assert set(ADVANCED) | NOT_ADVANCED == set(runner.OPTIONS)
