"""The page's queue: order, stop, resume, crashes, a server that ends. A small script replaces the runner."""

import itertools
import json
import os
import threading

import pytest
from page_room import submit, wait_for

from models.store.process_identity import alive, birth_of
from results.page import watching
from results.page.jobs import Job, JobQueue, QueueError


@pytest.mark.hardening(63)
def test_a_hundred_jobs_submitted_at_once_run_in_order(queue, project):
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
def test_a_crash_is_shown_and_the_queue_continues(queue, project):
    crashed, after = submit(queue, "crash", "--fail=3"), submit(queue, "after")
    wait_for(lambda: queue.get(after.id).over)
    job = queue.get(crashed.id)
    assert (job.state, job.exit_code, job.message) == ("failed", 3, "told to fail")
    assert queue.get(after.id).state == "finished"
    assert "told to fail" in watching.log_tail(project / "results" / "crash", 50)
    card = watching.status_html(job, watching.progress(job, project / "results" / "crash", watching.Trace()))
    assert "job-failed" in card and "exit code 3" in card


def test_a_retest_that_finds_forgotten_data_is_not_a_failure(queue):
    job = submit(queue, "tested", "--fail=8")
    wait_for(lambda: queue.get(job.id).over)
    assert queue.get(job.id).state == "finished" and queue.get(job.id).exit_code == 8


def test_a_script_that_cannot_start_fails_with_a_message(queue):
    job = queue.submit("unlearn", "none", ["python", "no_such_script.py"], "results/none")
    nul = submit(queue, "nul", "--text=a\0b")
    wait_for(lambda: queue.get(nul.id).over)
    assert queue.get(job.id).state == "failed" and queue.get(job.id).exit_code == 2
    assert "could not be started" in queue.get(nul.id).message


@pytest.mark.hardening(61)
def test_stop_removes_a_waiting_job_and_ends_a_running_one(queue):
    running, waiting = submit(queue, "long", "--wait=60"), submit(queue, "next")
    wait_for(lambda: (queue.project / "results/long/argv.json").exists())
    assert queue.ahead_of(waiting.id) == 1
    assert queue.stop(waiting.id).state == "stopped"
    queue.stop(running.id)
    wait_for(lambda: queue.get(running.id).over, 10)
    assert (queue.get(running.id).state, queue.get(running.id).exit_code) == ("stopped", 143)
    assert not (queue.project / "results/next").exists()


def test_again_resumes_from_a_checkpoint_if_there_is_one(queue, project):
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
def test_a_job_outlives_its_server_and_the_next_one_adopts_it(project):
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
def test_a_job_that_ended_without_a_server_is_judged_by_its_folder(project):
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


def test_a_process_is_known_by_its_id_and_its_birth():
    import subprocess
    import sys

    own = birth_of(os.getpid())
    assert own and alive(os.getpid()) and alive(os.getpid(), own) and not alive(os.getpid(), own + 100)
    child = subprocess.Popen([sys.executable, "-c", ""])
    wait_for(lambda: birth_of(child.pid) is None)
    assert child.returncode is None, "a zombie is dead although nobody has waited for it"
    child.wait()
    for wrong in (child.pid, 0, -1, None, "x", float("nan"), 10**30, [1]):
        assert not alive(wrong)


def test_another_process_with_the_id_of_a_dead_one_is_not_taken_for_it(project, tmp_path):
    from models.store.folders import tidy

    other = birth_of(os.getpid()) - 500
    status = {"state": "running", "pid": os.getpid(), "birth": other}
    (project / "results" / "status.json").write_text(json.dumps(status))
    assert watching.folder_state(project / "results") == "interrupted"
    (project / "results" / "status.json").write_text(json.dumps({**status, "birth": other + 500}))
    assert watching.folder_state(project / "results") == "running"
    for birth in (other, other + 500):
        (tmp_path / f".m.writing-{os.getpid()}.{birth}-abc").mkdir()
    tidy(tmp_path / "m")
    assert [path.name for path in tmp_path.glob(".m.*")] == [f".m.writing-{os.getpid()}.{other + 500}-abc"]


def test_a_status_of_another_process_is_not_taken_for_the_jobs(queue, project):
    script = (project / "unlearning_script.py").read_text()
    (project / "old.py").write_text(script.replace('"pid": os.getpid()', '"pid": os.getpid(), "birth": 1'))
    job = queue.submit("unlearn", "old", ["python", "old.py", f"--output_dir={project}/results/old", "--fail=1"],
                       "results/old")  # fmt: skip
    wait_for(lambda: queue.get(job.id).over)
    assert queue.get(job.id).message == "an unexpected error; see the end of the log"


@pytest.mark.parametrize("taken", [False, True])
def test_jobs_in_the_old_location_move_once_with_a_note(project, capsys, taken):
    old, new = project / "results" / ".queue", project / "results" / "runs" / ".queue"
    old.mkdir()
    job = Job("old", 1, "unlearn", "old", ["python", "x.py"], "results/old", state="finished")
    (old / "00000001-old.json").write_text(json.dumps(vars(job)))
    if taken:
        new.mkdir(parents=True)
    queue = JobQueue(project / "results" / "runs", project).start()
    try:
        assert [job.name for job in queue.jobs()] == ([] if taken else ["old"])
        assert old.exists() == taken
        assert (f"the jobs of {old} are now in {new}" in capsys.readouterr().out) == (not taken)
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
