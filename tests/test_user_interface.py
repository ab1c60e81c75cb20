"""The page without a browser: queue, checks, confinement, the API. Scripts stand in for the runner where it is slow."""

import itertools
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import evaluation_metrics
import unlearning_script as runner
import user_interface
from data import uploads
from data.preparation import DataError
from data.uploads import InputError
from results import events, plain_words, watching, words
from results.asking import Asker, AskError
from results.desk import PROJECT, Desk
from results.jobs import Job, JobQueue, QueueError, birth_of

# a runner that takes no time: writes what the real one writes, obeys SIGTERM, fails or waits when it is told to
SCRIPT = """
import json, os, signal, sys, time
words = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
folder = words["output_dir"]
os.makedirs(folder, exist_ok=True)
def status(**values):
    values = {"stage": "unlearning", "pid": os.getpid(), "started": time.time(), "updated": time.time(), **values}
    open(folder + "/status.tmp", "w").write(json.dumps(values))
    os.replace(folder + "/status.tmp", folder + "/status.json")
def leave(*_):
    status(state="stopped", message="stopped by SIGTERM", exit_code=143); os._exit(143)
signal.signal(signal.SIGTERM, leave)
json.dump(sys.argv[1:], open(folder + "/argv.json", "w"))
open(folder + "/../order.txt", "a").write(f"{os.path.basename(folder)} {time.time()} ")
status(state="running", step=1, total_steps=4)
print("started", flush=True)
time.sleep(float(words.get("wait", 0)))
code = int(words.get("fail", 0))
print("error: told to fail" if code else "done")
status(state="failed" if code else "finished", message="told to fail" if code else "", exit_code=code)
open(folder + "/../order.txt", "a").write(f"{time.time()}\\n")
sys.exit(code)
"""
WRONG_PATHS = {
    "../..": "'..'",
    "models/../../etc": "'..'",
    "/etc/passwd": "outside",
    "~/.ssh": "'~'",
    "file:///etc/passwd": "web addresses",
    "https://example.org/model": "web addresses",
    "models/a\0b": "control characters",
    "x" * 5000: "5,000 characters",
    "data/nothing-here": "no such",
    "<script>window.__xss=1</script>": "outside",
    "$(touch marker)": "outside",
}


@pytest.fixture
def project(tmp_path):
    for name in ("unlearning_script.py", "evaluation_metrics.py"):
        (tmp_path / name).write_text(SCRIPT)
    (tmp_path / "results").mkdir()
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.fixture
def queue(project):
    queue = JobQueue(project / "results", project).start()
    yield queue
    for job in queue.jobs():
        queue.stop(job.id)
    wait_for(lambda: all(job.over for job in queue.jobs()))
    queue.close()


@pytest.fixture
def desk(queue, project):
    return Desk(queue, results_dir=project / "results", models_dir=project / "models", roots=[project / "own"])


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def submit(queue, name, *flags, **more):
    folder = queue.project / "results" / name
    argv = ["python", "unlearning_script.py", f"--output_dir={folder}", *flags]
    return queue.submit("unlearn", name, argv, folder, **more)


def request_of(user=None):
    return SimpleNamespace(username=user)


def form(**values):
    empty = dict.fromkeys(events.FORM, None) | {"source": "text", "text": "Secret words.", "method": "npo", "name": ""}
    return {**empty, "model": None, "advanced": values.pop("advanced", {}), **values}


# ---------------------------------------------------------------------------------------------------------------------
# The queue


@pytest.mark.hardening(63)
def test_a_hundred_jobs_submitted_at_once_all_run_one_after_the_other_in_order(queue, project):
    names = [f"run-{number}" for number in range(100)]
    threads = [threading.Thread(target=submit, args=(queue, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: all(job.over for job in queue.jobs()), 120)
    jobs = queue.jobs()
    assert sorted(job.name for job in jobs) == sorted(names)
    assert {(job.state, job.exit_code) for job in jobs} == {("finished", 0)}
    spans = [line.split() for line in (project / "results" / "order.txt").read_text().splitlines()]
    assert [span[0] for span in spans] == [job.name for job in jobs], "first come, first served"
    assert all(float(one[2]) <= float(two[1]) for one, two in itertools.pairwise(spans)), "two ran at once"


@pytest.mark.hardening(62)
def test_a_crash_is_shown_and_the_queue_goes_on(queue, project):
    crashed, after = submit(queue, "crash", "--fail=3"), submit(queue, "after")
    wait_for(lambda: queue.get(after.id).over)
    job = queue.get(crashed.id)
    assert (job.state, job.exit_code, job.message) == ("failed", 3, "told to fail")
    assert queue.get(after.id).state == "finished"
    assert "told to fail" in watching.log_tail(project / "results" / "crash", 50)
    card = watching.status_html(job, watching.progress(job, project / "results" / "crash", watching.Trace()))
    assert "job-failed" in card and "exit code 3" in card


def test_a_script_that_does_not_start_fails_and_says_so(queue):
    job = queue.submit("unlearn", "none", ["python", "no_such_script.py"], "results/none")
    nul = submit(queue, "nul", "--text=a\0b")
    wait_for(lambda: queue.get(nul.id).over)
    assert queue.get(job.id).state == "failed" and queue.get(job.id).exit_code == 2
    assert "could not be started" in queue.get(nul.id).message


@pytest.mark.hardening(61)
def test_stop_takes_a_waiting_job_out_and_ends_a_running_one(queue):
    running, waiting = submit(queue, "long", "--wait=60"), submit(queue, "next")
    wait_for(lambda: (queue.project / "results/long/argv.json").exists())
    assert queue.ahead_of(waiting.id) == 1
    assert queue.stop(waiting.id).state == "stopped"
    queue.stop(running.id)
    wait_for(lambda: queue.get(running.id).over, 10)
    assert (queue.get(running.id).state, queue.get(running.id).exit_code) == ("stopped", 143)
    assert not (queue.project / "results/next").exists()


def test_again_resumes_from_a_checkpoint_where_there_is_one(queue, project):
    job = submit(queue, "again", "--fail=1")
    wait_for(lambda: queue.get(job.id).over)
    queue.again(job.id)
    wait_for(lambda: queue.get(job.id).over)
    folder = project / "results" / "again"
    assert not any(word.startswith("--resume") for word in json.loads((folder / "argv.json").read_text()))
    (folder / "checkpoint-3").mkdir()
    (folder / "checkpoint-3" / "manifest.json").write_text("{}")
    for attempt in (3, 4):
        queue.again(job.id)
        wait_for(lambda: queue.get(job.id).over)
        words = json.loads((folder / "argv.json").read_text())
        assert words.count("--resume_from_checkpoint=latest") == 1
        assert queue.get(job.id).attempt == attempt
    done = submit(queue, "done")
    wait_for(lambda: queue.get(done.id).over)
    with pytest.raises(QueueError, match="finished"):
        queue.again(done.id)


@pytest.mark.hardening(60)
def test_a_job_outlives_its_server_and_is_found_again(project):
    first = JobQueue(project / "results", project).start()
    job, waiting = submit(first, "outlives", "--wait=1.5"), submit(first, "waiting")
    wait_for(lambda: (project / "results/outlives/argv.json").exists())
    first.close()
    assert birth_of(first.get(job.id).pid), "closing the server must not end the job"
    second = JobQueue(project / "results", project).start()
    try:
        assert second.get(job.id).state == "running"
        wait_for(lambda: all(job.over for job in second.jobs()))
        assert [job.state for job in second.jobs()] == ["finished", "finished"]
        assert second.get(waiting.id).number > second.get(job.id).number
    finally:
        second.close()


@pytest.mark.hardening(60)
def test_a_job_that_ended_while_no_server_ran_is_judged_by_its_folder(project):
    folder = project / "results" / ".queue"
    folder.mkdir()
    for number, (name, status, expected) in enumerate([
        ("ended", {"state": "finished", "exit_code": 0, "started": 200}, "finished"),
        ("broke", {"state": "diverged", "exit_code": 5, "started": 200, "message": "loss nan"}, "diverged"),
        ("killed", {"state": "running", "started": 200}, "failed"),
        ("stale", {"state": "finished", "exit_code": 0, "started": 3}, "failed"),
    ], 1):  # fmt: skip
        job = Job(expected + name, number, "unlearn", name, ["python", "x.py"], f"results/{name}", state="running",
                  started=199.5, pid=os.getpid(), birth=1)  # fmt: skip
        (folder / f"{number:08d}-{job.id}.json").write_text(json.dumps(vars(job)))
        (project / "results" / name).mkdir()
        (project / "results" / name / "status.json").write_text(json.dumps(status))
    (folder / "00000009-damaged.json").write_text('{"id": "half')
    queue = JobQueue(project / "results", project).start()
    try:
        wait_for(lambda: all(job.over for job in queue.jobs()))
        assert len(queue.jobs()) == 4
        for job in queue.jobs():
            assert job.id == job.state + job.name
    finally:
        queue.close()


def test_two_servers_cannot_serve_one_folder(queue, project):
    with pytest.raises(QueueError, match="already"):
        JobQueue(project / "results", project).start()


def test_the_child_gets_no_password(queue, project, monkeypatch):
    monkeypatch.setenv("UNLEARNING_AUTH", "ann:hidden-password")
    (project / "show.py").write_text("import os; print(sorted(os.environ))")
    job = queue.submit("unlearn", "show", ["python", "show.py"], "results/show")
    wait_for(lambda: queue.get(job.id).over)
    assert "PATH" in watching.log_tail(project / "results/show")
    assert "UNLEARNING_AUTH" not in watching.log_tail(project / "results/show")


# ---------------------------------------------------------------------------------------------------------------------
# Checks of what strangers hand in


@pytest.mark.hardening(55, 57)
@pytest.mark.parametrize(("value", "message"), WRONG_PATHS.items(), ids=lambda value: value[:20])
def test_paths_stay_inside(value, message, desk, project):
    with pytest.raises(InputError, match=message) as raised:
        desk.model(request_of(), value)
    assert len(str(raised.value)) < 400
    for name in ("retrained_model", "general_data"):
        with pytest.raises(InputError, match=f"--{name} "):
            desk.settings(request_of(), form(advanced={name: value}))
    assert not list(project.rglob("marker"))


@pytest.mark.hardening(54)
def test_a_link_does_not_lead_out(desk, project):
    (project / "models" / "out").symlink_to("/etc")
    with pytest.raises(InputError, match="outside"):
        desk.model(request_of(), str(project / "models" / "out"))
    (project / "models" / "file").write_text("x")
    with pytest.raises(InputError, match="name the folder"):
        desk.model(request_of(), str(project / "models" / "file"))
    (project / "models" / "good").mkdir()
    assert desk.model(request_of(), str(project / "models" / "good")) == str(project / "models" / "good")
    assert desk.model(request_of(), "some-org/some-model") == "some-org/some-model"


@pytest.mark.hardening(55, 56)
@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "a b", "-rf", "x" * 81, "<b>", "a\nb", "a\0"])
def test_run_names_are_plain(name):
    with pytest.raises(InputError, match="letters"):
        uploads.run_name(name)


@pytest.mark.hardening(58)
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.pkl", b"\x80\x04", "not accepted"),
        ("data.zip", b"PK\x03\x04" + bytes(1000), "not accepted"),
        ("data", b"text", "not accepted"),
        ("empty.jsonl", b"", "empty"),
        ("large.txt", b"words " * 100, "MB"),
        ("binary.txt", b"\xff\xfe\x00\x01", "UTF-8"),
        ("zip.csv", b"PK\x03\x04\xff\xff", "UTF-8"),
        ("bad.jsonl", b'{"question": "q", "answer": "a"}\n{"question": "q"}\n', "bad.jsonl:2"),
    ],
)
def test_uploads_are_checked_by_kind_content_and_size(name, content, message, tmp_path, monkeypatch):
    if "MB" in message:
        monkeypatch.setattr(uploads, "MAX_BYTES", 100)
    (tmp_path / name).write_bytes(content)
    with pytest.raises((InputError, DataError), match=message) as raised:
        uploads.checked_upload(tmp_path / name)
    assert str(tmp_path) not in str(raised.value), "the server's folders are nobody's business"


def test_typed_text_and_pairs():
    assert [e.answer for e in uploads.checked_text("one\n\ntwo")] == ["one", "two"]
    assert uploads.checked_pairs([["q", " a "], ["", None], ["سؤال", "جواب"]])[1].prompt == "سؤال"
    for text in ("", "  \n", None, "a\0b", "\ud800"):
        with pytest.raises((InputError, DataError)):
            uploads.checked_text(text)
    with pytest.raises(InputError, match="row 2: the answer"):
        uploads.checked_pairs([["q", "a"], ["q", ""]])
    with pytest.raises(InputError, match="nothing"):
        uploads.checked_pairs([["", ""]])


def test_all_wrong_settings_are_named_at_once(desk):
    with pytest.raises(runner.UsageError) as raised:
        desk.settings(request_of(), form(advanced={"learning_rate": -1, "seed": -5, "dtype": "int3"}))
    for name in ("learning_rate", "seed", "dtype"):
        assert f"--{name}" in str(raised.value)
    with pytest.raises(InputError, match="one method"):
        desk.settings(request_of(), form(method="npo,simnpo"))


def test_a_utility_budget_stops_the_run_and_goes_back(desk):
    given = desk.settings(request_of(), form(utility_budget="0.05"))
    assert (given["collapse_guard"], given["load_best_model_at_end"]) == ("0.95", "true")
    assert runner.resolve({**given, "forget_text": "x"})["collapse_guard"] == 0.95
    assert "collapse_guard" not in desk.settings(request_of(), form(utility_budget=""))
    for value in ("0", "1", "nan", "-1", "much", "<b>", [1]):
        with pytest.raises(InputError, match="between 0 and 1"):
            desk.settings(request_of(), form(utility_budget=value))
    with pytest.raises(InputError, match="cannot be held"):
        desk.settings(request_of(), form(utility_budget="0.05", method="task_vector"))
    with pytest.raises(InputError, match="load_best_model_at_end"):
        desk.settings(request_of(), form(utility_budget="0.05", advanced={"load_best_model_at_end": "false"}))


def test_plain_text_is_refused_to_methods_of_questions_before_anything_is_queued(desk, project):
    (project / "text.txt").write_text("Some text.")
    for values in ({"text": "Some text."}, {"source": "file", "file": str(project / "text.txt")}):
        with pytest.raises(InputError, match="needs questions"):
            desk.unlearn(request_of(), form(method="idk", **values))
    assert desk.queue.jobs() == [] and desk.unlearn(
        request_of(), form(source="pairs", pairs=[["q", "a"]], method="idk")
    )


def test_the_page_offers_methods_that_work_on_what_was_typed_the_recommended_one_first():
    for source in ("text", "pairs", "file", "example"):
        chosen = events.recommended(source)
        assert events.fits(chosen, source)
        family = events.algorithm.METHODS[chosen].family
        assert events.method_choices(family, source)[0][1] == chosen
        assert "Use it when" in events.method_text(chosen, source)
    for family in events.family_order():
        offered = [name for _, name in events.method_choices(family, "text")]
        assert offered and all(events.algorithm.METHODS[name].works_on_raw_text for name in offered)
    offered = {name for family in events.family_order() for _, name in events.method_choices(family, "pairs")}
    assert offered == set(events.algorithm.METHODS)
    assert "Recommended for plain text" in events.method_text(events.recommended("text"), "text")


def test_there_are_plain_words_for_every_name_of_the_tables():
    assert set(plain_words.METHODS) == set(events.algorithm.METHODS)
    assert list(plain_words.FAMILIES) and set(plain_words.FAMILIES) == set(events.algorithm.FAMILIES)
    assert set(plain_words.VERDICTS) == set(words.LABELS)
    assert set(plain_words.ATTACKS) == set(evaluation_metrics.attack_names("all"))


@pytest.mark.hardening(56)
@pytest.mark.parametrize(
    "text", ["; touch marker", "$(touch marker)", "`touch marker`", "--debug", "a\n--seed=1", "-x"]
)
def test_whatever_is_typed_arrives_as_one_argument(text, desk, project):
    job = desk.unlearn(request_of(), form(text=text, advanced={"lora_target_modules": text.replace("\n", " ")}))
    wait_for(lambda: desk.queue.get(job.id).over)
    words = json.loads((Path(job.folder) / "argv.json").read_text())
    assert words == job.argv[2:]
    assert f"--forget_text={text}" in words and all(word.startswith("--") for word in words)
    assert not list(project.rglob("marker")) and not (PROJECT / "marker").exists()


def test_the_shown_command_is_what_a_shell_would_run(desk):
    shown = shlex.join(desk.command(request_of(), form(text='it\'s; "all" $HOME\nof it', name="mine")))
    words = shlex.split(shown)
    assert words[:2] == ["python", "unlearning_script.py"]
    assert runner.parse(words[2:]).forget_text == 'it\'s; "all" $HOME\nof it'
    assert runner.parse(words[2:]).output_dir == "results/mine"


def test_every_source_reaches_the_runner(desk, project):
    (project / "mine.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    sources = {
        "pairs": form(source="pairs", pairs=[["q?", "a!"], ["", ""]]),
        "file": form(source="file", file=str(project / "mine.jsonl"), retain=str(project / "mine.jsonl")),
        "example": form(source="example"),
        "long": form(text="word " * 30_000),
    }
    for name, values in sources.items():
        job = desk.unlearn(request_of(), {**values, "name": name})
        given = dict(word[2:].split("=", 1) for word in job.argv[2:])
        assert given["model_output_dir"] == str(project / "models" / name)
        kept = Path(given["forget_data"]) if "forget_data" in given else None
        assert (kept is None) == (name == "example")
        assert kept is None or len(uploads.checked_upload(kept)) == 1
        assert ("retain_data" in given) == (name == "file")
    with pytest.raises(InputError, match="already"):
        desk.unlearn(request_of(), {**sources["example"], "name": "file"})


def test_attacks_take_the_data_and_the_models_of_the_run_they_are_made_on(desk, project):
    run = project / "results" / "done"
    run.mkdir()
    for name in ("before", "after"):
        (project / "models" / name).mkdir()
    (run / "kept.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    config = {"model_name_or_path": str(project / "models/before"), "model_output_dir": str(project / "models/after"),
              "forget_text": "Secret.", "retain_data": str(run / "kept.jsonl"), "eval_rows": 7}  # fmt: skip
    (run / "config.json").write_text(json.dumps(config))
    job = desk.attack(request_of(), "done", ["prompts", "sampling"])
    given = dict(word[2:].split("=", 1) for word in job.argv[2:])
    assert Path(given["forget_data"]).read_text() == "Secret." and given["retain_data"] == config["retain_data"]
    assert (given["target_model"], given["attacks"], given["limit"]) == (
        str(project / "models/before"), "prompts,sampling", "7")  # fmt: skip
    assert job.kind == "evaluate" and job.argv[1] == "evaluation_metrics.py"
    for attacks, message in ((["rm -rf"], "unknown attack"), ([], "at least one")):
        with pytest.raises(InputError, match=message):
            desk.attack(request_of(), "done", attacks)
    (run / "config.json").write_text(json.dumps({**config, "retain_data": "/etc/passwd"}))
    with pytest.raises(InputError, match="outside"):
        desk.attack(request_of(), "done", ["prompts"])


# ---------------------------------------------------------------------------------------------------------------------
# Who sees what, and what may be deleted


@pytest.mark.hardening(64)
def test_people_see_their_own_runs_only(queue, project):
    desk = Desk(queue, results_dir=project / "results", models_dir=project / "models",
                accounts=[("ann", "password-a"), ("bob", "password-b")])  # fmt: skip
    job = desk.unlearn(request_of("bob"), form(name="of-bob"))
    wait_for(lambda: queue.get(job.id).over)
    (project / "models" / "of-bob").mkdir()
    (project / "results" / "terminal").mkdir()
    (project / "results" / "terminal" / "config.json").write_text("{}")
    assert list(desk.runs(request_of("bob"))) == ["of-bob"]
    assert list(desk.runs(request_of("ann"))) == ["terminal"]
    assert desk.job(request_of("ann"), job.id) is None
    assert desk.job(request_of("ann"), "run:of-bob") is None
    assert desk.job(request_of("bob"), job.id).id == job.id
    for path in ("models/of-bob", "results/of-bob"):
        assert desk.model(request_of("bob"), str(project / path))
        with pytest.raises(InputError, match="no such"):
            desk.model(request_of("ann"), str(project / path))
    with pytest.raises(InputError, match="no such"):
        desk.settings(request_of("ann"), form(advanced={"general_data": str(project / "results/of-bob/argv.json")}))
    with pytest.raises(InputError, match="no run"):
        desk.delete(request_of("ann"), ["of-bob"])
    assert not desk.runs(request_of(None)), "nobody is nobody"


@pytest.mark.hardening(54, 55)
def test_deleting_stays_inside(desk, project):
    outside = project / "elsewhere"
    outside.mkdir()
    (outside / "config.json").write_text("{}")
    (project / "results" / "link").symlink_to(outside)
    for name in ("wide", "protected", "whole"):
        (project / "results" / name).mkdir()
    for name, target in (("wide", outside), ("protected", project / "models" / "people-target"),
                         ("whole", project / "models")):  # fmt: skip
        (project / "results" / name / "config.json").write_text(json.dumps({"model_output_dir": str(target)}))
    (project / "models" / "people-target").mkdir()
    with pytest.raises(InputError, match="is kept"):
        desk.delete(request_of(), ["link"])
    for name in ("..", "../elsewhere", "/etc", "", None, ".queue"):
        with pytest.raises(InputError):
            desk.delete(request_of(), [name])
    assert desk.delete(request_of(), ["wide", "protected", "whole"]) == ["wide", "protected", "whole"]
    assert outside.exists() and (project / "models" / "people-target").exists()
    job = desk.unlearn(request_of(), form(name="mine"))
    wait_for(lambda: desk.queue.get(job.id).over)
    (project / "models" / "mine").mkdir()
    desk.delete(request_of(), ["mine"])
    assert not (project / "models" / "mine").exists() and not (project / "results" / "mine").exists()
    assert desk.queue.get(job.id) is None


def test_a_running_run_is_not_deleted(desk, project):
    job = submit(desk.queue, "busy", "--wait=30")
    wait_for(lambda: (project / "results/busy/argv.json").exists())
    with pytest.raises(InputError, match="stop it first"):
        desk.delete(request_of(), ["busy"])
    desk.queue.stop(job.id)


# ---------------------------------------------------------------------------------------------------------------------
# The live view


@pytest.mark.hardening(66)
def test_a_trace_reads_only_what_is_whole_and_starts_over_with_a_new_file(tmp_path):
    watcher, path = watching.Watcher(), tmp_path / "metrics.jsonl"
    assert watcher.trace(tmp_path).evaluations == []
    line = {"event": "evaluation", "step": 0, "forget": {"answer_probability": 0.5, "loss": 0.7}}
    path.write_text(json.dumps(line) + "\n" + '{"event": "evaluation", "st')
    assert len(watcher.trace(tmp_path).evaluations) == 1
    with open(path, "a") as file:
        file.write('ep": 1}\nnot json\n[1]\n{"event": "step", "step": null}\n')
    assert [record["step"] for record in watcher.trace(tmp_path).evaluations] == [0, 1]
    assert watching.probability_points(watcher.trace(tmp_path)) == [(0, 0.5, "forget")]
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


# ---------------------------------------------------------------------------------------------------------------------
# Asking models


def test_both_models_answer_and_the_one_that_knows_finds_the_answer_likelier(tmp_path, monkeypatch):
    import torch
    from tiny_models import facts, make_tiny

    from models.loading import save_model

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


# ---------------------------------------------------------------------------------------------------------------------
# The server


@pytest.fixture(scope="module")
def gradio_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gradio")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False",
                            "HF_HUB_OFFLINE": "1"}.items():  # fmt: skip
            patch.setenv(name, value)
        user_interface.prepare_environment()
        yield folder


@pytest.fixture
def served(desk, gradio_folder):
    yield from serve(desk)


def serve(desk):
    gradio = pytest.importorskip("gradio")
    app, address, _ = user_interface.launch(desk, wait=False)
    yield address
    app.get_blocks().close()
    gradio.close_all(verbose=False)


def client_of(address, **options):
    from gradio_client import Client

    return Client(address, verbose=False, analytics_enabled=False, **options)


@pytest.mark.hardening(63)
def test_the_api_runs_a_hundred_submissions(served, desk):
    client = client_of(served)
    asked = [client.submit(text=f"secret {number}", api_name="/unlearn") for number in range(100)]
    keys = [job.result(timeout=120) for job in asked]
    assert len(set(keys)) == 100
    wait_for(lambda: all(job.over for job in desk.queue.jobs()), 120)
    assert {job.state for job in desk.queue.jobs()} == {"finished"}
    texts = {word for job in desk.queue.jobs() for word in job.argv if word.startswith("--forget_text=")}
    assert len(texts) == 100


@pytest.mark.hardening(55, 59)
def test_the_api_checks_as_the_form_does(served, desk, project):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    client = client_of(served)
    for value, message in list(WRONG_PATHS.items())[:8]:
        with pytest.raises(AppError, match=message.replace("'", "['&#x27;]*")):
            client.predict(text="x", model=value, api_name="/unlearn")
        with pytest.raises(AppError, match=message):
            client.predict(model=value, api_name="/evaluate")
    for endpoint, values in {
        "/unlearn": {"text": "x", "name": "../../x"},
        "/result": {"name": "../../../etc"},
        "/download_model": {"name": "<script>window.__xss=1</script>"},
        "/delete": {"names": ["../models"]},
        "/open_run": {"names": ["/etc"]},
        "/compare_runs": {"names": ["a", "../b"]},
        "/numbers": {"name": "a\0b"},
        "/stop": {"key": "0" * 16},
        "/resume": {"key": {"a": 1}},
        "/ask": {"name": "x", "question": "?", "expected": ""},
        "/attack": {"name": "x", "attacks": ["prompts"]},
        "/resume_run": {"names": ["nothing"]},
    }.items():
        with pytest.raises(AppError) as raised:
            client.predict(**values, api_name=endpoint)
        assert "verbose error" not in str(raised.value), f"{endpoint} must refuse in words"
        assert "<script>" not in str(raised.value)
    (project / "bad.pkl").write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(AppError, match="not accepted"):
        client.predict(source="file", file=handle_file(str(project / "bad.pkl")), api_name="/unlearn")
    assert not list(Path(os.environ["GRADIO_TEMP_DIR"]).rglob("bad.pkl")), "what was refused must not stay"
    with pytest.raises(AppError):  # a path that was never uploaded
        client.predict(source="file", text="", file={"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
                       api_name="/check")  # fmt: skip
    assert desk.queue.jobs() == [] and os.listdir(project / "models") == []


@pytest.mark.hardening(59)
def test_files_of_runs_are_served_to_nobody_and_nothing_else_is_open(served, project):
    import httpx

    (project / "results" / "secret.txt").write_text("secret")
    for path in (project / "results" / "secret.txt", "/etc/passwd", PROJECT / "user_interface.py"):
        assert httpx.get(f"{served}gradio_api/file={path}").status_code in (403, 404)
    for page in ("openapi.json", "docs", "redoc", "monitoring", "monitoring/summary"):
        assert httpx.get(f"{served}{page}").status_code >= 400, page
    assert "google" not in httpx.get(served).text


@pytest.mark.hardening(58)
def test_uploads_too_large_or_named_like_a_way_out_leave_nothing_behind(served, gradio_folder):
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
def test_accounts_are_asked_for_and_kept_apart(queue, project, gradio_folder):
    import httpx
    from gradio_client.exceptions import AppError

    desk = Desk(queue, results_dir=project / "results", models_dir=project / "models",
                accounts=[("ann", "password-a"), ("bob", "password-b")])  # fmt: skip
    for address in serve(desk):
        assert httpx.get(f"{address}gradio_api/info").status_code == 401
        ann, bob = (client_of(address, auth=account) for account in desk.accounts)
        key = bob.predict(text="of bob", api_name="/unlearn")
        assert queue.get(key).owner == "bob"
        wait_for(lambda: queue.get(key).over)  # noqa: B023 - called at once
        name = queue.get(key).name
        assert name in str(bob.predict(api_name="/runs")) and name not in str(ann.predict(api_name="/runs"))
        assert name in str(bob.predict(key=key, api_name="/watch")) and name not in str(
            ann.predict(key=key, api_name="/watch")
        )
        for endpoint in ("/stop", "/resume"):
            with pytest.raises(AppError, match="no such job"):
                ann.predict(key=key, api_name=endpoint)
        with pytest.raises(AppError, match="no run"):
            ann.predict(names=[name], api_name="/delete")
        assert bob.predict(names=[name], api_name="/delete")


@pytest.mark.hardening(65)
@pytest.mark.parametrize("name", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_other_machines_are_served_with_a_password_only(name, capsys, monkeypatch):
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


def test_measurements_of_a_lone_model_are_offered_for_reading_but_not_for_comparing(desk, project):
    for name, files in {"run": ("config.json", "evaluation.json"), "lone": ("evaluation.json",)}.items():
        (project / "results" / name).mkdir()
        for file in files:
            (project / "results" / name / file).write_text("{}")
    submit(desk.queue, "lone")
    page = events.Page(desk)
    assert page.finished(request_of()) == ["run"]
    assert set(page.finished(request_of(), ("evaluation.json",))) == {"run", "lone"}


def test_every_option_of_the_runner_has_a_field():
    from results.desk import ADVANCED, NOT_ADVANCED

    assert set(ADVANCED) | NOT_ADVANCED == set(runner.OPTIONS)
