"""The page against a stranger: foreign names and pages, others' places, stuck jobs, guessed passwords, full queues."""

import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import foreign_access
import pytest
from page_room import client_of, form, request_of, serve, submit, wait_for

from data.uploads import InputError
from models.store.process_identity import alive, birth_of
from results.page import jobs, watching
from results.page.desk import PROJECT, Desk
from results.page.jobs import JobQueue, QueueError
from results.page.server import logins
from results.page.server.guard import refusal

# -- names and pages


LOCAL = ["localhost:7860", "LOCALHOST:7860", "localhost", "127.0.0.1:7860", "127.9.9.9", "[::1]:7860", "localhost.:80"]
FOREIGN = ["evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example:7860", "192.168.1.7",
           "", "a@127.0.0.1@evil.example", "[::1", "0.0.0.0:7860", "localhost:port"]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN)
def test_a_local_server_answers_to_its_own_names_only(host):
    assert refusal(host, None, local=True)
    assert refusal(host, f"http://{host}", local=True)
    assert all(refusal(own, None, local=True) is None for own in LOCAL)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize(
    ("host", "origin", "fine"),
    [
        ("127.0.0.1:7860", "http://127.0.0.1:7860", True),
        ("127.0.0.1:7860", "http://localhost:7860", True),
        ("localhost", "http://localhost:80", True),
        ("127.0.0.1:7860", "http://127.0.0.1:8000", False),
        ("127.0.0.1:7860", "http://evil.example", False),
        ("127.0.0.1:7860", "http://evil.example:7860", False),
        ("127.0.0.1:7860", "null", False),
        ("127.0.0.1:7860", "", False),
        ("127.0.0.1:7860", "http://127.0.0.1:x", False),
        ("127.0.0.1:7860", "https://tool.example", True),
    ],
)
def test_a_foreign_page_is_refused_whatever_it_calls(host, origin, fine, local):
    assert (refusal(host, origin, local, frozenset({"tool.example"})) is None) == fine


def test_a_server_for_other_machines_takes_its_own_pages_only():
    assert refusal("lab.example:7860", "http://lab.example:7860", local=False) is None
    assert refusal("lab.example:7860", "http://evil.example", local=False)
    assert refusal("lab.example:7860", "http://lab.example:9000", local=False)


def test_a_server_without_accounts_refuses_a_foreign_host_and_a_foreign_page(served, desk):
    import httpx

    names = list(client_of(served).view_api(return_format="dict")["named_endpoints"])
    tried = list(foreign_access.from_elsewhere(served, names))
    assert len(names) >= 14 and len(tried) > 200 and [what for what, refused in tried if not refused] == []
    own = httpx.post(f"{served}gradio_api/call/runs", json={"data": []}, headers={"Origin": served.strip("/")})
    assert own.status_code == 200
    assert desk.queue.jobs() == []


# -- places


@pytest.fixture
def shared(queue, project):
    """See `shared_desk`."""
    return shared_desk(queue, project)


def shared_desk(queue, project):
    """A desk of two accounts: ann, who also has the runs of the terminal, and bob; each has a run with a model."""
    (project / "given").mkdir()
    (project / "given" / "rows.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    desk = Desk(queue, results_dir=project / "results", models_dir=project / "models", roots=[project / "given"],
                accounts=[("ann", "password-a"), ("bob", "password-b")])  # fmt: skip
    for user in ("ann", "bob"):
        job = desk.unlearn(request_of(user), form(name=f"of-{user}"))
        wait_for(lambda job=job: queue.get(job.id).over)
    (project / "results" / "terminal").mkdir()
    (project / "results" / "terminal" / "config.json").write_text("{}")
    for name in ("of-ann", "of-bob", "terminal"):
        (project / "models" / name).mkdir()
        (project / "results" / name / "forget.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    for hidden in ("results/.comparisons", "results/of-bob/.kept", "models/.cache", "given/.git"):
        (project / hidden).mkdir(exist_ok=True)
        (project / hidden / "x.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    return desk


MINE = {
    "bob": ["models/of-bob", "results/of-bob/forget.jsonl", "given/rows.jsonl"],
    "ann": ["models/of-ann", "models/terminal", "results/of-ann/forget.jsonl", "results/terminal", "given/rows.jsonl"],
}
NOBODYS = ["results", "models", "results/.queue", "results/.comparisons/x.jsonl", "results/of-bob/.kept/x.jsonl",
           "models/.cache", "given/.git/x.jsonl"]  # fmt: skip
NOT_MINE = {
    "bob": [*NOBODYS, "models/of-ann", "models/terminal", "results/terminal/forget.jsonl", "results/of-ann",
            "results/of-ann/forget.jsonl", "results/order.txt"],
    "ann": [*NOBODYS, "models/of-bob", "results/of-bob", "results/of-bob/forget.jsonl"],
}  # fmt: skip


@pytest.mark.hardening(54, 64)
@pytest.mark.parametrize("user", ["ann", "bob"])
def test_path_fields(user, shared, project):
    me = request_of(user)

    def reads(path):
        shared.data_path(me, path, "rows")

    def loads(path):
        shared.model(me, path)

    def all_fields(path):
        yield from (reads, loads)
        yield lambda path: shared.settings(me, form(general_data=path))
        yield lambda path: shared.settings(me, form(retrained_model=path))
        yield lambda path: shared.settings(me, form(model=path))
        yield lambda path: shared.evaluate(me, {"model": "org/name", "target_model": path})

    for path in MINE[user]:
        reads(str(project / path))
    before = len(shared.queue.jobs())
    for path in NOT_MINE[user]:
        path = str(project / path)
        for field in all_fields(path):
            told = set()
            for asked in (path, f"{path}/none"):
                with pytest.raises(InputError, match="no such file or folder") as raised:
                    field(asked)
                told.add(str(raised.value).replace(asked, "X"))
            assert len(told) == 1, f"the answer tells whether {path} exists"
    assert len(shared.queue.jobs()) == before


def foreign(shared, project):
    """(the run, the places) of others that each account may not use, for `foreign_access.attempts`."""
    jobs = {job.owner: (job.id, job.name) for job in shared.queue.jobs()}
    others = {"bob": jobs["ann"], "ann": jobs["bob"]}
    return others, {user: [str(project / path) for path in NOT_MINE[user][::-1]] for user in others}


def test_every_endpoint_and_field_refuses_strangers_foreign_pages_and_the_other_account(shared, project, gradio_folder):
    for address in serve(shared):
        run_of, paths = foreign(shared, project)
        few = {"bob": [path for path in paths["bob"] if "of-ann" in path][:2]}  # tests/soak.py tries all
        tried = list(foreign_access.attempts(address, shared, {"bob": run_of["bob"]}, few))
        assert [what for what, refused in tried if not refused] == []
        assert len(tried) > 300
        mine = client_of(address, auth=("bob", "password-b"))
        assert mine.predict("of-bob", api_name="/watch")["name"] == "of-bob", "one's own run is answered"
        path = str(project / "given" / "rows.jsonl")
        for endpoint, data in (("/unlearn", [{"files": [path]}, "", "npo"]),
                               ("/evaluate", ["models/people-target", None, None, None, None, None, []])):  # fmt: skip
            assert "event: complete" in foreign_access.raw(address, mine.cookies, endpoint, *data)


def test_links_into_the_run_of_another_are_refused(shared, project):
    (project / "given" / "way").symlink_to(project / "results" / "of-ann")
    (project / "results" / "of-bob" / "way").symlink_to(project / "results" / "of-ann")
    for path in ("given/way", "given/way/forget.jsonl", "results/of-bob/way/forget.jsonl"):
        with pytest.raises(InputError, match="no such"):
            shared.data_path(request_of("bob"), str(project / path), "rows")


def adapter(folder, base):
    """An adapter's folder over a base."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": base}))
    return str(folder)


def test_an_adapter_over_a_base_outside_the_allowed_folders_is_refused(shared, project, tmp_path_factory):
    outside, bob = tmp_path_factory.mktemp("outside"), request_of("bob")
    (outside / "config.json").write_text("{}")
    (project / "given" / "link").symlink_to(outside)
    (project / "given" / "base").mkdir()
    mine = project / "models" / "of-bob"
    refused = {
        "absolute": str(outside), "missing": str(outside / "none"), "home": "~", "above": "../../..",
        "relative": f"../../../{outside.name}", "another's": str(project / "models" / "of-ann"),
        "another's beside": "../../of-ann", "a link": str(project / "given" / "link"), "all": str(project / "models"),
    }  # fmt: skip
    told = {}
    for number, (name, base) in enumerate(refused.items()):
        path = adapter(mine / f"refused-{number}", base)
        twice = adapter(mine / f"twice-{number}", f"../refused-{number}")
        for given in (path, twice):
            for field in ("model", "retrained_model"):
                with pytest.raises(InputError, match="the base of the adapter") as raised:
                    shared.settings(bob, form(**{"model": "org/name", field: given}))
        told[name] = str(raised.value).split(")")[1]
    assert told["absolute"].replace(str(outside), "") == told["missing"].replace(str(outside / "none"), "")
    allowed = ["org/name", "models/people-target", str(mine), "..", str(project / "given" / "base"), 7, ""]
    for number, base in enumerate(allowed):
        path = adapter(mine / f"fine-{number}", base)
        assert shared.model(bob, path) == path
    loop = adapter(mine / "loop", "../loop")
    assert shared.model(bob, loop) == loop, "the loader refuses it"


def test_the_bundled_models_and_data_are_for_everybody(shared):
    for user in ("ann", "bob"):
        assert shared.model(request_of(user), "models/people-target") == "models/people-target"
        assert shared.data_path(request_of(user), "data/forget.jsonl", "rows") == str(PROJECT / "data/forget.jsonl")
    with pytest.raises(InputError, match="no such"):
        shared.data_path(request_of("bob"), "data/README.md", "rows")


def test_without_accounts_all_runs_are_ones_own(desk, project):
    (project / "results" / "mine").mkdir()
    (project / "results" / "mine" / "x.jsonl").write_text("{}")
    assert desk.data_path(request_of(), str(project / "results" / "mine" / "x.jsonl"), "rows")
    with pytest.raises(InputError, match="no such"):
        desk.data_path(request_of(), str(project / "results" / ".queue"), "rows")


def test_a_run_name_of_another_is_not_confirmed(shared):
    for user, other in (("bob", "of-ann"), ("bob", "terminal"), ("ann", "of-bob")):
        job = shared.unlearn(request_of(user), form(name=other))
        assert job.name != other and job.name.startswith(other)
        with pytest.raises(InputError, match="exists already"):
            shared.unlearn(request_of(user), form(name=f"of-{user}"))


# -- a job that does not answer


DEAF = """
import json, os, signal, subprocess, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("deaf.tmp", "w").write(json.dumps([os.getpid(), child.pid]))
os.replace("deaf.tmp", "deaf.json")
time.sleep(60)
"""


@pytest.mark.hardening(61)
@pytest.mark.parametrize("adopted", [False, True])
def test_a_job_that_ignores_stop_is_killed_with_its_children(adopted, project, monkeypatch):
    monkeypatch.setattr(jobs, "GRACE", 1.0)
    queue = JobQueue(project / "results", project).start()
    (project / "deaf.py").write_text(DEAF)
    job = queue.submit("unlearn", "deaf", ["python", "deaf.py"], "results/deaf")
    after = queue.submit("unlearn", "after", ["python", "unlearning_script.py", "--output_dir=results/after"],
                         "results/after")  # fmt: skip
    wait_for(lambda: (project / "deaf.json").exists())
    group = {pid: birth_of(pid) for pid in json.loads((project / "deaf.json").read_text())}
    if adopted:
        queue.close()
        queue = JobQueue(project / "results", project).start()
    try:
        queue.stop(job.id)
        time.sleep(1.5)
        assert queue.get(job.id).state == "running", "one Stop never kills"
        assert queue.stop(job.id).state == "running"
        folder = project / "results" / "deaf"
        assert "it is ended after" in watching.progress(queue.get(job.id), folder, watching.Trace()).detail
        wait_for(lambda: queue.get(after.id).over, 20)
        assert queue.get(job.id).state == "stopped" and queue.get(after.id).state == "finished"
        wait_for(lambda: not any(alive(pid, birth) for pid, birth in group.items()))
    finally:
        queue.close()


# -- passwords


def test_no_child_gets_the_passwords(desk, project, monkeypatch):
    from results.page.asking import Asker

    monkeypatch.setenv("UNLEARNING_AUTH", "ann:hidden-password")
    (project / "results" / "page").mkdir()
    told = 'import json, os; input(); print(json.dumps({"answers": sorted(os.environ)}), flush=True)'
    (project / "results" / "page" / "asking.py").write_text(told)
    asker = Asker(project, time_limit=60)
    variables = asker.ask(["x"], "?")["answers"]
    asker.close()
    assert "PATH" in variables and "UNLEARNING_AUTH" not in variables
    seen = []
    monkeypatch.setattr(subprocess, "run", lambda *_, **given: seen.append(given["env"]) or 1 / 0)
    for name in ("one", "two"):
        (project / "results" / name).mkdir()
        (project / "results" / name / "config.json").write_text("{}")
    with pytest.raises(ZeroDivisionError):
        desk.compare(request_of(), ["one", "two"])
    assert "PATH" in seen[0] and "UNLEARNING_AUTH" not in seen[0]


SECRETIVE = """
import argparse, os, subprocess, sys
from results.page.server import logins
parser = argparse.ArgumentParser()
parser.add_argument("--auth")
logins.restart_without(parser.parse_known_args()[0].auth, "UNLEARNING_AUTH")
print([logins.taken("UNLEARNING_AUTH"), sys.argv[1:], sys.flags.optimize], flush=True)
look = "import os; print(*(open(f'/proc/{pid}/{name}').read() for pid in (os.getpid(), os.getppid()) "
look += "for name in ('environ', 'cmdline')), os.listdir('/proc/self/fd'))"
print(subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout)
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="skipped: this system has no /proc")
@pytest.mark.parametrize("way", ["--auth=", "--auth ", "--au ", "variable", "none"])
def test_no_process_reads_the_passwords_in_proc(way, tmp_path, monkeypatch):
    secret, more = "ann:hïdden-password,bob:another-one", ["--server_port=1", "--allowed_host", "a b"]
    monkeypatch.setenv("UNLEARNING_AUTH", secret if way == "variable" else "ann:overruled")
    if way == "none":
        monkeypatch.delenv("UNLEARNING_AUTH")
    given = [f"--auth={secret}"] if way == "--auth=" else [way.strip(), secret] if way[-1] == " " else []
    (tmp_path / "page.py").write_text(SECRETIVE)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    words = [sys.executable, "-O", str(tmp_path / "page.py"), more[0], *given, *more[1:]]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    first, *rest = done.stdout.splitlines()
    assert ast.literal_eval(first) == [None if way == "none" else secret, more, 1]
    rest = "\n".join(rest)
    assert "allowed_host" in rest and "PYTHONPATH" in rest
    assert not any(word in rest for word in ("dden-password", "another-one", "overruled", "UNLEARNING_AUTH="))


def test_the_page_starts_again_without_its_passwords(tmp_path):
    """The whole program, with a list of accounts that the second start refuses."""
    code = f"""
import os, runpy, sys
from results.page.server import logins
honest = logins.taken
logins.taken = lambda name: print(sys.argv[1:], logins.PIPE in os.environ) or honest(name)
runpy.run_path({str(PROJECT / "user_interface.py")!r}, run_name="__main__")
"""
    words = [sys.executable, "-c", code, "--server_name", "0.0.0.0", "--auth", "ann:short"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 2 and "8 characters" in done.stderr
    assert done.stdout.splitlines() == ["['--server_name', '0.0.0.0'] True"], "the first start ends before it serves"


def test_the_passwords_leave_the_environment_once_they_are_read(monkeypatch, capsys):

    import user_interface

    monkeypatch.setenv("UNLEARNING_AUTH", "ann:short")
    assert user_interface.main([]) == 2 and "--auth" in capsys.readouterr().err
    assert "UNLEARNING_AUTH" not in os.environ


@pytest.fixture
def book():
    """Log-ins of two accounts, and a clock as a list of one number."""
    now = [0.0]
    return logins.LogIns([("ann", "password-a"), ("bob", "password-b")], clock=lambda: now[0]), now


def wait_after(book, name="ann", password="guess") -> int:
    """0 if a wrong password was looked at, else the seconds to wait."""
    from fastapi import HTTPException

    try:
        assert book.check(name, password) is False
    except HTTPException as error:
        assert error.status_code == 429
        return int(error.headers["Retry-After"])
    return 0


def test_wrong_passwords_wait_twice_as_long_each_time(book):
    book, now = book
    waits = []
    for _ in range(40):
        if wait := wait_after(book):
            waits.append(wait)
            now[0] += wait
    assert waits[:5] == [2, 3, 5, 9, 17] and waits == sorted(waits) and waits[-1] == 301
    assert waits[0] and len(waits) >= 15, "each guess after the first three had to wait"


def test_a_right_password_counts_after_the_wait_only_and_ends_it(book):
    book, now = book
    assert [wait_after(book) > 0 for _ in range(5)] == [False] * 3 + [True] * 2
    assert wait_after(book, password="password-a") == 2, "a right guess must not be told"
    token = logins.caller.set("10.0.0.7")
    assert book.check("ann", "password-a"), "another address does not wait for somebody's guesses"
    logins.caller.reset(token)
    assert book.check("bob", "password-b")
    now[0] += 2
    assert book.check("ann", "password-a") and wait_after(book) == wait_after(book) == 0


def test_guesses_at_many_names_wait_too_and_do_not_fill_the_memory(book, monkeypatch):
    book, now = book
    assert [wait_after(book, f"nobody-{number}") > 0 for number in range(4)] == [False] * 3 + [True]
    now[0] += 2
    assert not book.check("", ""), "nobody has no password"
    monkeypatch.setattr(logins, "KEPT", 6)
    for number in range(50):
        token = logins.caller.set(f"10.0.0.{number}")
        wait_after(book)
        logins.caller.reset(token)
    assert len(book._wrong) <= 6
    now[0] += logins.FORGOTTEN + 1
    token = logins.caller.set("10.0.0.49")
    assert [wait_after(book) for _ in range(3)] == [0, 0, 0], "an hour later it starts again"
    logins.caller.reset(token)


def test_the_server_makes_guessing_wait(shared, gradio_folder):
    import httpx

    for address in serve(shared):
        told = [httpx.post(f"{address}login", data={"username": "bob", "password": "guess"}).status_code
                for _ in range(6)]  # fmt: skip
        assert told == [400] * 3 + [429] * 3
        right = {"username": "bob", "password": "password-b"}
        refused = httpx.post(f"{address}login", data=right)
        assert refused.status_code == 429 and "again in" in refused.json()["detail"]
        time.sleep(float(refused.headers["retry-after"]))
        assert httpx.post(f"{address}login", data=right).status_code == 200


# -- a full queue


@pytest.mark.hardening(63)
def test_people_take_turns(queue, project):
    first = submit(queue, "bob-running", "--wait=1", owner="bob")
    wait_for(lambda: queue.get(first.id).state == "running")
    for number in range(4):
        submit(queue, f"bob-{number}", owner="bob")
    for name in ("ann-0", "ann-1", "eve-0"):
        submit(queue, name, owner=name.split("-")[0])
    order = ["bob-running", "ann-0", "eve-0", "bob-0", "ann-1", "bob-1", "bob-2", "bob-3"]
    ahead = {job.name: queue.ahead_of(job.id) for job in queue.jobs()}
    assert ahead == {name: place for place, name in enumerate(order)}
    wait_for(lambda: all(job.over for job in queue.jobs()))
    ran = [line.split()[0] for line in (project / "results" / "order.txt").read_text().splitlines()]
    assert ran == order
    assert queue.ahead_of(first.id) == 0


def test_whoever_was_served_last_waits_after_a_restart_too(project):
    queue = JobQueue(project / "results", project).start()
    for name in ("ann", "bob"):
        job = submit(queue, name, owner=name)
        wait_for(lambda job=job: queue.get(job.id).over)
    queue.close()
    queue = JobQueue(project / "results", project).start()
    try:
        running = submit(queue, "running", "--wait=1", owner="eve")
        wait_for(lambda: queue.get(running.id).state == "running")
        jobs = [submit(queue, name, owner=name.split("-")[0]) for name in ("bob-1", "ann-1")]
        assert [queue.ahead_of(job.id) for job in jobs] == [2, 1]
        wait_for(lambda: all(job.over for job in queue.jobs()))
    finally:
        queue.close()


def test_a_person_has_at_most_so_many_open_jobs_and_stops_nobody_else(shared, project, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_OPEN", {True: 3, False: 4})
    bob, ann = request_of("bob"), request_of("ann")
    submit(shared.queue, "long", "--wait=30", owner="ann")
    mine = [shared.unlearn(bob, form()) for _ in range(3)]
    before = {path.name for path in (project / "results").iterdir()}
    for ask in (lambda: shared.unlearn(bob, form()), lambda: shared.evaluate(bob, {"model": "org/name"})):
        with pytest.raises(QueueError, match="3 of your jobs"):
            ask()
    assert {path.name for path in (project / "results").iterdir()} == before, "nothing is left of a refused one"
    assert shared.unlearn(ann, form())
    shared.queue.stop(mine[0].id)
    assert shared.unlearn(bob, form())
    with pytest.raises(QueueError, match="3 of your jobs"):
        shared.queue.again(mine[0].id)


def test_a_page_without_accounts_has_a_cap_too(desk, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_OPEN", {True: 3, False: 2})
    submit(desk.queue, "long", "--wait=30")
    desk.unlearn(request_of(), form())
    with pytest.raises(QueueError, match="2 of your jobs"):
        desk.unlearn(request_of(), form())
