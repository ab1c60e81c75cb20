"""The page for programs: short calls become the runner's command, and wrong ones are refused in words."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from page_room import client_of, judged, request_of, serve, settings_of, wait_for

from data.columns import DataError
from data.documents.request import document_request
from data.uploads import InputError
from results.page.api import Api, form_of, result_of
from results.page.asking import Asker
from results.page.desk import PROJECT, Desk
from results.page.jobs import JobQueue
from results.page.methods import recommended
from results.run.request.flags import UNKEPT
from results.run.run_folder import UsageError

ROWS = '{"question": "Who is Ada?", "answer": "A clerk from Lund."}\n'


def flags(job) -> dict:
    return settings_of(job)


def started(desk, request, **more) -> dict:
    """The flags of the run that a call starts."""
    return flags(desk.unlearn(request_of(), form_of(desk, request_of(), request, **more)))


@pytest.fixture
def rows(project):
    """A file of rows in a folder that the page may use."""
    path = project / "models" / "rows.jsonl"
    path.write_text(ROWS)
    return str(path)


def uploaded(folder, name, text=ROWS) -> dict:
    """A file as Gradio passes it after an upload."""
    (folder / "up").mkdir(exist_ok=True)
    (folder / "up" / name).write_text(text)
    return {"path": str(folder / "up" / name), "meta": {"_type": "gradio.FileData"}}


# -- what a call asks for


@pytest.mark.parametrize(
    "name", ["Ada Example", "May", "owner/repo", "ada@example.org", "Анна Ахматова", "李白", "Node.js", "O'Neil"]
)
def test_a_short_text_is_a_name_that_nobody_is_asked_about(name, desk):
    given = started(desk, name)
    assert (given["forget_about"], given["yes"]) == (name, "true")
    assert not {"forget_text", "forget_data", "training_data"} & set(given)


@pytest.mark.parametrize(
    "text",
    [
        "one two three four five six seven eight",
        "Ada Example moved to Lund. She lives there now.",
        "アダはルンドに住んでいます。 はい、そうです。 いいえ、そうではありません。",
    ],
)
def test_a_longer_text_is_the_request_that_the_page_makes_of_it(text, desk):
    for request in (text, {"text": text}):
        given = started(desk, request)
        assert Path(given["forget_data"]).read_text() == text and Path(given["forget_data"]).name == "text.txt"
        assert given["method"] == UNKEPT and not {"forget_text", "forget_about"} & set(given)
    if "Ada" in text:
        made = document_request(given["forget_data"])
        assert made.questions and made.probes, "asked for in other words, and measured"


@pytest.mark.parametrize("text", ["Ada lives in Lund.", "May", "Who is Ada?", "Ada lives.\nShe bakes."])
def test_a_short_text_is_never_trained_on_as_a_string_unless_it_is_asked_for(text, desk):
    told = r'is short: give \{"name": ...\} .* or \{"words": ...\}'
    for request in [{"text": text}] + [text] * (text != "May"):
        with pytest.raises(InputError, match=told):
            form_of(desk, request_of(), request)
    assert started(desk, {"words": text})["forget_text"] == text


def test_exact_words_that_are_too_long_are_refused_and_not_made_a_document(desk):
    words = "é" * 50_001
    with pytest.raises(InputError, match="100,002 bytes; at most 100,000: give them as a text"):
        desk.unlearn(request_of(), form_of(desk, request_of(), {"words": words}))
    assert desk.queue.jobs() == [] and started(desk, {"text": words})["forget_data"].endswith("text.txt")
    shown = desk.command(request_of(), {"source": "text", "text": words, "method": "npo"})
    assert not any("forget_data" in word for word in shown), "what is shown is no document"


def test_several_names_in_a_line_are_asked_for_as_a_list(desk):
    with pytest.raises(InputError, match=r'may be several names: give \{"name"'):
        form_of(desk, request_of(), "Ada Lund, Bor Graz")
    assert started(desk, {"name": "Ada Lund, Bor Graz"})["forget_about"] == "Ada Lund, Bor Graz"
    assert started(desk, "forget everything about Ada Lund")["forget_about"] == "Ada Lund"


def test_an_object_says_what_a_text_means(desk, rows, gradio_folder):
    assert started(desk, {"words": "May"})["forget_text"] == "May"
    long = "Ada Example the Third of Lund by the Sea, Countess"
    assert started(desk, {"name": long})["forget_about"] == long
    for request in ({"name": ["Ada", "Bor"]}, "Ada\nBor"):
        assert started(desk, request)["forget_about"] == "Ada;Bor"
    assert started(desk, '"Ada Example"')["forget_about"] == "Ada Example"
    assert started(desk, "Ada = ada@example.org")["forget_about"] == "Ada = ada@example.org"
    for request in (rows, {"files": rows}, {"files": [rows]}):
        kept = started(desk, request)["forget_data"]
        assert Path(kept).read_text() == ROWS and "inputs" in Path(kept).parts, "a copy in the run folder"
    given = started(desk, {"training_data": [rows, uploaded(gradio_folder, "b.jsonl")], "name": "Ada"})
    assert given["forget_about"] == "Ada" and [Path(p).read_text() for p in given["training_data"].split(",")] == [
        ROWS, ROWS]  # fmt: skip
    assert given["method"] == recommended("pairs")


def test_several_documents_keep_their_names(desk, gradio_folder):
    files = [uploaded(gradio_folder, name, "Ada lived here for years.\n") for name in ("Ada's letter.txt", "b.md")]
    kept = Path(started(desk, {"files": files})["forget_data"])
    assert sorted(path.name for path in kept.iterdir()) == ["Ada-s-letter.txt", "b.md"]
    (gradio_folder / "other").mkdir()
    twice = [uploaded(gradio_folder, "b.md", "one text of many\n"), uploaded(gradio_folder / "other", "b.md", "two\n")]
    kept = Path(started(desk, {"files": twice})["forget_data"])
    assert {path.read_text() for path in kept.iterdir()} == {"one text of many\n", "two\n"}
    with pytest.raises(InputError, match=r"rows \(.jsonl\) and documents"):
        started(desk, {"files": [uploaded(gradio_folder, "r.jsonl"), files[1]]})


def test_budget_method_and_settings_reach_the_command(desk, rows):
    given = started(desk, "Ada", settings={"max_steps": 20, "learning_rate": 1e-4, "use_peft": True, "seed": None})
    assert (given["max_steps"], given["learning_rate"], given["use_peft"]) == ("20", "0.0001", "true")
    assert "seed" not in given and given["collapse_guard"] == "0.95", "little, unless said otherwise"
    assert started(desk, "Ada", settings='{"max_steps": 20}')["max_steps"] == "20"
    assert started(desk, "Ada", budget="some")["collapse_guard"] == "0.8"
    assert started(desk, "Ada", budget=0.1)["collapse_guard"] == "0.9"
    assert "collapse_guard" not in started(desk, "Ada", budget="half")
    assert "collapse_guard" not in started(desk, "Ada", method="task_vector"), "a method that cannot stop at a budget"
    assert Path(started(desk, "Ada", settings={"holdout_data": rows})["holdout_data"]).read_text() == ROWS
    assert started(desk, "Ada Example", settings={"subject_kind": "place"})["subject_kind"] == "place"
    pytest.importorskip("optuna")
    given = started(desk, "Ada", method="auto", settings={"time_budget": "30m"})
    assert (given["method"], given["utility_budget"], given["time_budget"]) == ("auto", "0.95", "30m")


NESTED: list = []
for _ in range(50_000):
    NESTED = [NESTED]
WRONG_REQUESTS = {
    "nothing": ("", "Type a name"),
    "no letters": ("?!", "no letters"),
    "none": (None, "give a text, or an object"),
    "number": (7, "a number"),
    "nan": (float("nan"), "a number"),
    "list": (["Ada"], "a list"),
    "nested": (NESTED, "a list"),
    "empty": ({}, "give a text, or an object"),
    "unknown key": ({"nmae": "Ada"}, "unknown key nmae"),
    "two ways": ({"name": "Ada", "text": "May"}, "exactly one"),
    "data alone": ({"training_data": ["data/forget.jsonl"]}, "goes with name"),
    "data and text": ({"training_data": ["data/forget.jsonl"], "text": "x"}, "goes with name"),
    "name a number": ({"name": 5}, "a number"),
    "name nested": ({"name": [NESTED]}, "a list"),
    "name empty": ({"name": [" "]}, "a list of texts"),
    "name huge": ({"name": "x" * 10**6}, "more than 300"),
    "name NUL": ({"name": "a\0b"}, "name"),
    "name half a character": ({"name": "\ud800"}, "name"),
    "name broken pattern": ({"name": "/(/"}, "name"),
    "pattern alone": ({"name": "/sol(b|n)rekk/i"}, "give --training_data, or a name"),
    "names too many": ({"name": ["Ada"] * 101}, "1 to 100"),
    "text a number": ({"text": 5}, "must be a text"),
    "words a number": ({"words": 5}, "words must be a text"),
    "text and words": ({"text": "x" * 200, "words": "x"}, "exactly one"),
    "text huge": ({"text": "x" * (10**6 + 1)}, "at most 1,000,000"),
    "text NUL": ({"text": "a\0b"}, "NUL"),
    "file a number": ({"files": [5]}, "an upload or a path"),
    "file nested": ({"files": NESTED}, "an upload or a path"),
    "file object": ({"files": {"path": NESTED}}, "an upload or a path"),
    "file outside": ({"files": ["/etc/passwd"]}, "outside"),
    "file never uploaded": ({"files": [{"path": "/etc/passwd"}]}, "outside"),
    "file missing": ({"files": ["data/none.jsonl"]}, "no such"),
    "file above": ("../../x.jsonl", r"'\.\.'"),
    "file of the system": ("/etc/passwd", "outside"),
    "file a folder": ({"files": ["data/finding"]}, "not accepted"),
    "files too many": ({"files": ["data/forget.jsonl"] * 51}, "at most 50"),
}


@pytest.mark.hardening(55, 59)
@pytest.mark.parametrize(("request_", "message"), WRONG_REQUESTS.values(), ids=WRONG_REQUESTS)
def test_a_wrong_request_is_refused_in_words(request_, message, desk):
    with pytest.raises((InputError, DataError, UsageError), match=message) as raised:
        desk.unlearn(request_of(), form_of(desk, request_of(), request_))
    assert len(str(raised.value)) < 1000 and desk.queue.jobs() == []


WRONG_SETTINGS = {
    "unknown": ({"max_step": 3}, "unknown setting max_step: did you mean max_steps"),
    "with dashes": ({"--max_steps": 3}, "did you mean max_steps"),
    "code": ({"trust_remote_code": True}, "unknown setting trust_remote_code"),
    "folder": ({"output_dir": "/tmp/x"}, "output_dir: the page sets it"),
    "model folder": ({"model_output_dir": "/tmp/x"}, "the page sets it"),
    "ledger": ({"ledger": "/tmp/x"}, "the page sets it"),
    "null": ({"null_config": "/etc/passwd"}, "the page sets it"),
    "subjects": ({"forget_about_file": "/etc/passwd"}, "parameter of its own: request"),
    "model": ({"model_name_or_path": "x"}, "parameter of its own: model"),
    "kind": ({"subject_kind": "person of note"}, "must be one of person, organisation"),
    "path": ({"retrained_model": "/etc"}, "outside"),
    "kernels": ({"attn_implementation": "someone/kernels"}, "attn_implementation"),
    "data path": ({"general_data": "~/.ssh/id"}, "'~'"),
    "file path": ({"retain_data": "/etc/passwd"}, "outside"),
    "two files": ({"retain_data": ["data/forget.jsonl", "data/retain.jsonl"]}, "one file"),
    "nan": ({"learning_rate": float("nan")}, "finite"),
    "infinite": ({"learning_rate": float("inf")}, "finite"),
    "huge number": ({"max_steps": 10**5000}, "too large"),
    "huge text": ({"lora_target_modules": "x" * 10**6}, "at most 1,000"),
    "wrong type": ({"max_steps": "many"}, "max_steps"),
    "list": ({"max_steps": [3]}, "a single value, not a list"),
    "nested": ({"max_steps": NESTED}, "a single value, not a list"),
    "many unknown": ({str(number): 1 for number in range(1000)}, "unknown setting 0"),
    "not JSON": ("{", "not JSON"),
    "deep JSON": ("[" * 90_000, "not JSON"),
    "long JSON": (" " * 200_000 + "{}", "not JSON"),
    "JSON list": ("[1]", "give an object"),
    "number": (3, "a number"),
    "time": ({"time_budget": "1h"}, "only a search"),
}  # fmt: skip


@pytest.mark.hardening(55, 56)
@pytest.mark.parametrize(("settings", "message"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_a_wrong_setting_is_named(settings, message, desk):
    with pytest.raises((InputError, UsageError), match=message) as raised:
        desk.unlearn(request_of(), form_of(desk, request_of(), "Ada", settings=settings))
    assert len(str(raised.value)) < 10_000 and desk.queue.jobs() == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"method": "nop"}, "unknown method nop: did you mean npo"),
        ({"method": "npo,simnpo"}, "unknown method"),
        ({"method": ["npo"]}, "method: give a text"),
        ({"model": 5}, "model: give a text"),
        ({"model": "x" * 5000}, "model: 5,000 characters"),
        ({"model": "/etc"}, "outside"),
        ({"budget": "much"}, "between 0 and 1"),
        ({"budget": float("nan")}, "between 0 and 1"),
        ({"budget": 10**5000}, "between 0 and 1"),
        ({"budget": {"a": 1}}, "budget: give a text"),
        ({"budget": "little", "method": "task_vector"}, "cannot stop"),
    ],
)
def test_a_wrong_model_method_or_budget_is_named(more, message, desk):
    with pytest.raises(InputError, match=message):
        desk.unlearn(request_of(), form_of(desk, request_of(), "Ada", **more))
    assert desk.queue.jobs() == []


def test_two_kinds_of_rows_to_keep_are_refused(desk, rows):
    request = {"training_data": rows, "name": "Ada"}
    with pytest.raises(InputError, match="only one"):
        form_of(desk, request_of(), request, settings={"retain_data": rows})


# -- what a call gets


def api_of(desk) -> Api:
    """The endpoints without a page."""
    api = object.__new__(Api)
    api.desk = desk
    return api


def test_watch_tells_state_new_numbers_and_the_result(desk, project):
    api, me = api_of(desk), request_of()
    run = api.unlearn(me, {"words": "Ada lives in Lund."}, settings={"max_steps": 4})
    wait_for(lambda: desk.queue.get(run).over)
    folder = Path(desk.queue.get(run).folder)
    line = {"event": "evaluation", "step": 1, "forget": {"answer_probability": 0.5, "loss": float("nan")}}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n" + json.dumps({**line, "step": 2}) + "\n")
    comparison = {"verdict": "x", "score": 0.25, "subject": {"name": "Ada", "sentence": "It says 0 of 3 things."}}
    (folder / "evaluation.json").write_text(json.dumps({"comparison": comparison}))
    (folder / "report.html").write_text("<p>report</p>")
    seen = api.watch(me, run)
    assert (seen["run"], seen["state"], seen["stage"]) == (run, "finished", "unlearning")
    assert [number["step"] for number in seen["numbers"]] == [1, 2] and seen["since"] == 2
    assert seen["numbers"][0]["forget"] == {"answer_probability": 0.5, "loss": None}
    assert api.watch(me, run, since=1)["numbers"] == seen["numbers"][1:]
    assert api.watch(me, run, since=seen["since"])["numbers"] == []
    result = seen["result"]
    assert (result["sentence"], result["score"]) == ("It says 0 of 3 things.", 0.25)
    assert result["report"] == str(folder / "report.html") and result["model"] is None
    json.dumps(seen, allow_nan=False)
    assert api.watch(me, seen["name"])["run"] == run, "a name is as good as a key"
    assert [row["run"] for row in api.runs(me)] == [run]
    for since in (-1, 1.5, float("nan"), "x", [1], True, 10**400):
        with pytest.raises(InputError, match="since"):
            api.watch(me, run, since=since)


def test_the_result_has_the_three_words_only_if_they_are_a_verdict(desk, tmp_path):
    (tmp_path / "evaluation.json").write_text(json.dumps(judged("FORGOTTEN", "KEPT", "NOT RUN")))
    found = result_of(desk, tmp_path, None)
    assert (found["memory"], found["rest"], found["resistance"]) == ("FORGOTTEN", "KEPT", "NOT RUN")
    (tmp_path / "evaluation.json").write_text(json.dumps({"comparison": {"verdict": "FORGOTTEN", "subject": [1]}}))
    found = result_of(desk, tmp_path, None)
    assert found["memory"] is None and found["sentence"] is None and found["report"] is None
    assert found["nothing_known"] is False
    (tmp_path / "request").mkdir()
    (tmp_path / "request" / "request.json").write_text('{"kind": "name", "nothing_known": true}')
    assert result_of(desk, tmp_path, None)["nothing_known"] is True


def test_runs_of_a_terminal_are_watched_and_not_stopped(desk, project):
    (project / "results" / "mine").mkdir()
    (project / "results" / "mine" / "config.json").write_text("{}")
    (project / "results" / "mine" / "status.json").write_text('{"state": "finished", "step": 4, "total_steps": 4}')
    api, me = api_of(desk), request_of()
    assert api.watch(me, "mine")["step"] == 4 and api.watch(me, "run:mine")["state"] == "finished"
    with pytest.raises(InputError, match="no such job"):
        api.stop(me, "mine")


@pytest.mark.hardening(64)
def test_nobody_calls_for_the_run_of_another(queue, project):
    desk = Desk(queue, results_dir=project / "results", models_dir=project / "models",
                accounts=[("ann", "password-a"), ("bob", "password-b")])  # fmt: skip
    api, ann, bob = api_of(desk), request_of("ann"), request_of("bob")
    run = api.unlearn(bob, "Ada")
    name = api.watch(bob, run)["name"]
    calls = [api.watch, api.stop, api.resume, api.delete, api.download_model, api.download_report]
    calls += [lambda who, run: api.ask(who, run, "Who?"), lambda who, run: desk.attack(who, run, ["prompts"])]
    for call in [*calls, lambda who, run: desk.compare(who, [run])]:
        told = set()
        for other in (run, name, f"run:{name}", "0" * 16):
            with pytest.raises(InputError, match="no run") as raised:
                call(ann, other)
            told.add(str(raised.value).replace(other, "X"))
        assert len(told) == 1, "the answer tells whether the run exists"
        for wrong in (None, 5, float("nan"), {"a": NESTED}, NESTED, ""):
            with pytest.raises(InputError, match="run"):
                call(ann, wrong)
    assert api.runs(ann) == [] and [row["name"] for row in api.runs(bob)] == [name]
    wait_for(lambda: queue.get(run).over)
    assert api.delete(bob, run) == [name]


@pytest.mark.parametrize("wrong", [5, float("nan"), {"a": NESTED}, NESTED, [[1]], [None], [NESTED]])
def test_lists_of_names_that_are_none_are_refused_in_words(wrong, desk):
    for call in (
        desk.compare,
        desk.delete,
        lambda who, names: desk.evaluate(who, {"model": "org/x", "attacks": names}),
    ):
        with pytest.raises(InputError, match="list of names") as raised:
            call(request_of(), wrong)
        assert len(str(raised.value)) < 300


# -- the server


ENDPOINTS = {
    "/unlearn": ["request", "model", "method", "budget", "settings"],
    "/watch": ["run", "since"],
    "/stop": ["run"],
    "/resume": ["run"],
    "/ask": ["run", "question", "expected"],
    "/runs": [],
    "/delete": ["runs"],
    "/download_model": ["run"],
    "/download_report": ["run"],
    "/evaluate": ["model", "target_model", "retrained_model", "forget", "retain", "holdout", "attacks"],
    "/attack": ["name", "attacks"],
    "/compare_runs": ["names"],
    "/requests": [],
    "/test_requests_again": [],
}


def test_the_api_is_short_and_its_names_are_stable(served):
    found = client_of(served).view_api(return_format="dict")["named_endpoints"]
    listed = {name: [part["parameter_name"] for part in about["parameters"]] for name, about in found.items()}
    assert listed == ENDPOINTS
    text = (PROJECT / "results" / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"`(/\w+)\(([^)]*)\)`", "".join(re.findall(r"^\| `/.*", text, re.MULTILINE)))
    assert {name: re.findall(r"\w+(?=[,=]|$)", inside) for name, inside in table} == ENDPOINTS


def test_uploads_and_refusals_travel_through_the_server(served, desk, project):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    client = client_of(served)
    (project / "mine.jsonl").write_text(ROWS)
    run = client.predict({"files": [handle_file(str(project / "mine.jsonl"))]}, api_name="/unlearn")
    assert Path(flags(desk.queue.get(run))["forget_data"]).read_text() == ROWS
    wait_for(lambda: desk.queue.get(run).over)
    assert client.predict(run, api_name="/watch")["state"] == "finished"
    assert client.predict(api_name="/runs")[0]["run"] == run
    (Path(desk.queue.get(run).folder) / "report.html").write_text("<p>the report</p>")
    assert Path(client.predict(run, api_name="/download_report")).read_text() == "<p>the report</p>"
    name = desk.queue.get(run).name
    (project / "models" / name).mkdir()
    (project / "models" / name / "config.json").write_text("{}")
    with zipfile.ZipFile(client.predict(name, api_name="/download_model")) as archive:
        assert archive.namelist() == [f"{name}/config.json"]
    shutil.rmtree(project / "models" / name)
    stolen = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    for endpoint, *values in [
        ("/unlearn", 7), ("/unlearn", {"files": [stolen]}), ("/unlearn", {"files": [{"path": "/etc/passwd"}]}),
        ("/unlearn", "Ada", "", "", "", {"output_dir": "x"}), ("/unlearn", "Ada", "/etc"), ("/watch", {"a": [[[1]]]}),
        ("/watch", run, "x"), ("/stop", "0" * 16), ("/resume", run), ("/ask", run, ""), ("/ask", run, {"a": 1}),
        ("/delete", [["x"]]), ("/download_model", run), ("/download_report", "<b>x</b>"),
    ]:  # fmt: skip
        with pytest.raises(AppError) as raised:
            client.predict(*values, api_name=endpoint)
        told = str(raised.value)
        assert "verbose error" not in told and "Traceback" not in told and "<b>" not in told, f"{endpoint}: {told}"
    assert len(desk.queue.jobs()) == 1


def test_plain_http_may_leave_out_values_and_is_told_what_is_missing(served, desk):
    import httpx

    def call(name, body):
        asked = httpx.post(
            f"{served}gradio_api/call/{name}", content=body, headers={"content-type": "application/json"}
        )
        if asked.status_code != 200:
            return asked.text
        return httpx.get(f"{served}gradio_api/call/{name}/{asked.json()['event_id']}", timeout=60).text

    (key,) = json.loads(re.search(r"event: complete\ndata: (.*)", call("unlearn", '{"data": ["Ada"]}'))[1])
    assert flags(desk.queue.get(key))["forget_about"] == "Ada"
    for name, message in {"unlearn": "request: give", "watch": "run: give", "download_report": "run: give",
                          "attack": "select a run"}.items():  # fmt: skip
        assert message in call(name, '{"data": []}')
    for body in ("[" * 200 + "]" * 200, "NaN", "null", "1" + "0" * 5000, "[" * 200_000):
        told = call("unlearn", f'{{"data": [{body}]}}')
        assert ("request: give" in told or "error parsing the body" in told) and "Traceback" not in told
    assert len(desk.queue.jobs()) == 1


def test_the_example_of_the_readme_runs(small, project, gradio_folder, monkeypatch):
    """With a tiny model in place of the reader's own, and this server's address."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len([line for line in code.splitlines() if line]) == 8
    queue = JobQueue(project / "results", PROJECT).start()
    desk = Desk(queue, results_dir=project / "results", models_dir=project / "models", roots=[small.folder],
                asker=Asker(PROJECT))  # fmt: skip
    (project / "forget.jsonl").write_text(small.data["forget"].read_text())
    monkeypatch.chdir(project)
    try:
        for address in serve(desk):
            replaced = {"http://127.0.0.1:7860": address, "models/mine": str(small.target),
                        '{"max_steps": 20}': '{"max_steps": 3, "eval_rows": 4}'}  # fmt: skip
            for mine, here in replaced.items():
                assert mine in code
                code = code.replace(mine, here)
            seen: dict = {}
            exec(code, seen)
            (job,) = queue.jobs()
            assert job.state == "finished", (seen["seen"], os.listdir(job.folder))
            assert seen["seen"]["result"]["verdict"].split(",")[0] and seen["seen"]["total"] == 3
    finally:
        queue.close()
        desk.asker.close()
