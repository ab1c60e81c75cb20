"""The page's list of many runs, the zip of a model, and what Delete takes with it."""

import json
import threading
import zipfile
from pathlib import Path

import pytest
from page_room import form, many_runs, request_of, submit, wait_for

import user_interface
from results.page import watching
from results.page.desk import Desk
from results.page.jobs import JobQueue
from results.page.server import files
from results.page.tabs.runs import deletion_told
from results.page.wiring import Page, finished


def opened(project, monkeypatch):
    """(desk, page) over the runs that are there, without a server."""
    pytest.importorskip("gradio")
    queue = JobQueue(project / "results", project).start()
    desk = Desk(queue, results_dir=project / "results", models_dir=project / "models")
    pages, made = [], Page.__init__
    monkeypatch.setattr(Page, "__init__", lambda self, *given: pages.append(self) or made(self, *given))
    user_interface.build(desk)
    return desk, pages[0]


@pytest.fixture
def counted(monkeypatch):
    """How often this thread listed the folders and read their files; a server of another test may read beside it."""
    seen = {"listed": 0, "read": 0}
    listed, read = watching.run_folders, Path.read_text
    monkeypatch.setattr(
        watching, "run_folders", lambda folder: seen.update(listed=seen["listed"] + 1) or listed(folder)
    )
    here = threading.get_ident()

    def counting(*path, **more):
        seen["read"] += threading.get_ident() == here
        return read(*path, **more)

    monkeypatch.setattr(Path, "read_text", counting)
    return seen


@pytest.mark.parametrize("count", [20, 60])
def test_each_action_looks_at_the_folders_once_and_reads_each_file_a_few_times(project, monkeypatch, counted, count):
    many_runs(project, count)
    (measured := project / "results" / ".evaluations").mkdir()
    for number in range(20):
        (measured / f"{number}.json").write_text('{"measured_on": {}}')
    desk, page = opened(project, monkeypatch)
    names = list(desk.runs(request_of()))
    api = next(block.fn for block in page.demo.fns.values() if block.api_name == "runs")
    actions = {
        "the lists of all tabs": lambda: page.fresh(request_of()),
        "the endpoint": lambda: api(request_of()),
        "what Delete says": lambda: deletion_told(desk, request_of(), names[:10]),
        "Delete": lambda: desk.delete(request_of(), names[:10]),
    }
    try:
        for what, action in actions.items():
            counted.update(listed=0, read=0)
            action()
            assert counted["listed"] <= 2, what
            assert counted["read"] <= 8 * count + 40, what
    finally:
        desk.queue.close()


def test_a_second_look_reads_no_file_of_an_ended_run_and_sees_what_changed(project, monkeypatch, counted):
    many_runs(project, 20)
    desk, page = opened(project, monkeypatch)
    try:
        table = page.tabs["runs"].rows
        before = table(desk.runs(request_of()))
        counted.update(read=0)
        assert table(desk.runs(request_of())) == before and counted["read"] == 0
        for name in ("run-4", "run-5"):
            (project / "results" / name / "config.json").write_text(json.dumps({"method": "simnpo"}))
        (project / "results" / "run-6" / "report.html").unlink()
        (project / "results" / "run-6" / "status.json").unlink()
        after = {row[1]: row for row in table(desk.runs(request_of()))}
        assert after["run-4"][2] == after["run-5"][2] == "simnpo" and after["run-6"][0] == "Interrupted"
        assert [row for row in before if row[1] not in ("run-4", "run-5", "run-6")] == [
            row for name, row in after.items() if name not in ("run-4", "run-5", "run-6")
        ]
    finally:
        desk.queue.close()


def test_a_look_that_takes_too_long_leaves_rows_for_the_next_one(project, monkeypatch):
    many_runs(project, 6)
    runs = [(f"run-{number}", project / "results" / f"run-{number}", None, 0) for number in range(6)]
    clock = iter(range(1000))
    monkeypatch.setattr(watching.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(watching, "LOOK", 2)  # two rows a look
    rows, looks = watching.Rows(), []
    for _ in range(4):
        found = rows.rows(runs)
        assert [row[1] for row in found] == [run[0] for run in runs]
        assert {len(row) for row in found} == {len(watching.RUN_HEADERS)}
        looks.append([row[2] for row in found].count("npo"))
    assert looks == [2, 4, 6, 6]


def test_the_row_of_a_working_run_is_made_each_time(desk, project):
    rows, kept = watching.Rows(), project / "results" / "terminal"
    kept.mkdir()
    (kept / "config.json").write_text("{}")
    (kept / "status.json").write_text(json.dumps({"state": "running", "pid": 1}))
    alive = [True]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "alive", lambda *_: alive[0])
        assert rows.rows([("terminal", kept, None, 0)])[0][0] == "Running"
        alive[0] = False
        assert rows.rows([("terminal", kept, None, 0)])[0][0] == "Interrupted"
    job = submit(desk.queue, "waits", "--wait=1")
    second = submit(desk.queue, "second")
    folder = project / "results" / "second"
    assert rows.rows([("second", folder, desk.queue.get(second.id), 1)])[0][0] == "Waiting (1 ahead)"
    wait_for(lambda: desk.queue.get(second.id).over)
    assert rows.rows([("second", folder, desk.queue.get(second.id), 0)])[0][0] == "Not measured"
    assert desk.queue.get(job.id).over


# -- the zip of a model


def model_of_run(desk, project, name="mine", user=None):
    """A finished run with a model; the model's folder."""
    job = desk.unlearn(request_of(user), form(name=name))
    wait_for(lambda: desk.queue.get(job.id).over)
    model = project / "models" / name
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(bytes(1000))
    return model


def zips(project):
    return sorted((project / "offered").rglob("*.zip"))


@pytest.fixture
def offered(project, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(project / "offered"))
    return project / "offered"


def test_a_model_has_one_zip_however_often_it_is_asked_for(desk, project, offered, monkeypatch):
    model = model_of_run(desk, project)
    written = []
    monkeypatch.setattr(zipfile.ZipFile, "write", lambda self, *names, write=zipfile.ZipFile.write:
                        written.append(names) or write(self, *names))  # fmt: skip
    threads = [threading.Thread(target=desk.zip_model, args=(request_of(), "mine")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = desk.zip_model(request_of(), "mine")
    assert zips(project) == [Path(first)] and len(written) == 2
    with zipfile.ZipFile(first) as archive:
        assert archive.namelist() == ["mine/config.json", "mine/model.safetensors"]
    (model / "README.md").write_text("changed")
    second = desk.zip_model(request_of(), "mine")
    assert second != first and zips(project) == [Path(second)], "the zip of the earlier state is gone"
    Path(second).unlink()
    assert Path(desk.zip_model(request_of(), "mine")).is_file()


def test_a_zip_goes_with_its_run_and_no_upload_goes_with_it(desk, project, offered):
    model_of_run(desk, project)
    model_of_run(desk, project, "other")
    others = desk.zip_model(request_of(), "other")
    desk.zip_model(request_of(), "mine")
    files._zips.clear()  # the zip is of an earlier server
    upload = offered / ("a" * 64) / "mine.zip"
    upload.parent.mkdir()
    upload.write_bytes(b"an upload")
    desk.delete(request_of(), ["mine"])
    assert zips(project) == sorted([upload, Path(others)])
    assert finished(desk.runs(request_of()), ()) == ["other"]


def test_a_full_disk_leaves_no_zip(desk, project, offered, monkeypatch):
    from collections import namedtuple

    model_of_run(desk, project)
    monkeypatch.setattr("shutil.disk_usage", lambda _: namedtuple("Usage", "free")(10))
    with pytest.raises(ValueError, match="not enough disk space"):
        desk.zip_model(request_of(), "mine")
    assert zips(project) == []
