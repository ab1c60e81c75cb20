"""Untrusted input, and what each user may see and delete: the server makes every check."""

import json
import shlex
from pathlib import Path

import pytest
from page_room import WRONG_PATHS, form, request_of, submit, wait_for

import evaluation_metrics
import unlearning_algorithm as algorithm
import unlearning_script as runner
from data import uploads
from data.columns import DataError
from data.uploads import InputError
from results.page import live, methods, requests, watching
from results.page.desk import PROJECT, Desk
from results.page.jobs import JobQueue
from results.page.tabs.runs import deletion_told, newest_first
from results.page.wiring import finished


@pytest.mark.hardening(55, 57)
@pytest.mark.parametrize(("value", "message"), WRONG_PATHS.items(), ids=lambda value: value[:20])
def test_paths_stay_inside_the_allowed_folders(value, message, desk, project):
    with pytest.raises(InputError, match=message) as raised:
        desk.model(request_of(), value)
    assert len(str(raised.value)) < 400
    for name in ("retrained_model", "general_data"):
        with pytest.raises(InputError, match=f"--{name} "):
            desk.settings(request_of(), form(**{name: value}))
    assert not list(project.rglob("marker"))


@pytest.mark.hardening(54)
def test_links_cannot_lead_outside(desk, project):
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
        ("data.zip", b"PK\x03\x04" + bytes(1000), "not a readable"),
        ("data", b"text", "not accepted"),
        ("empty.jsonl", b"", "empty"),
        ("large.txt", b"words " * 100, "MB"),
        ("binary.txt", b"\x80\xff\xfd\x00\x01", "UTF-8"),
        ("picture.txt", b"\x89PNG\xff\xfe\x00\x01", "a picture"),
        ("zip.csv", b"PK\x03\x04\xff\xff", "a .zip archive"),
        ("bad.jsonl", b'{"question": "q", "answer": "a"}\n{"question": "q"}\n', "bad.jsonl:2"),
    ],
)
def test_uploads_are_checked_by_kind_content_and_size(name, content, message, tmp_path, monkeypatch):
    if "MB" in message:
        monkeypatch.setattr(uploads, "MAX_BYTES", 100)
    (tmp_path / name).write_bytes(content)
    with pytest.raises((InputError, DataError), match=message) as raised:
        uploads.checked_upload(tmp_path / name)
    assert str(tmp_path) not in str(raised.value), "the message shows a folder of the server"


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
        desk.settings(request_of(), form(learning_rate=-1, seed=-5, dtype="int3"))
    for name in ("learning_rate", "seed", "dtype"):
        assert f"--{name}" in str(raised.value)
    with pytest.raises(InputError, match="one method"):
        desk.settings(request_of(), form(method="npo,simnpo"))


def test_a_utility_budget_stops_the_run_and_restores_the_best_state(desk):
    given = desk.settings(request_of(), form(utility_budget="0.05"))
    assert (given["collapse_guard"], given["load_best_model_at_end"]) == ("0.95", "true")
    assert runner.resolve({**given, "forget_text": "x"})["collapse_guard"] == 0.95
    assert "collapse_guard" not in desk.settings(request_of(), form(utility_budget=""))
    for value in ("0", "1", "nan", "-1", "much", "<b>", [1]):
        with pytest.raises(InputError, match="between 0 and 1"):
            desk.settings(request_of(), form(utility_budget=value))
    with pytest.raises(InputError, match="cannot stop"):
        desk.settings(request_of(), form(utility_budget="0.05", method="task_vector"))
    with pytest.raises(InputError, match="load_best_model_at_end"):
        desk.settings(request_of(), form(utility_budget="0.05", load_best_model_at_end="false"))


def test_a_search_gets_a_utility_budget_and_a_time_budget(desk):
    pytest.importorskip("optuna")
    given = desk.settings(request_of(), form(method="auto", utility_budget="0.05", time_budget="30m"))
    assert (given["utility_budget"], given["time_budget"]) == ("0.95", "30m") and "collapse_guard" not in given
    given = desk.settings(request_of(), form(method="auto", utility_budget="", time_budget=None))
    assert (given["utility_budget"], given["time_budget"]) == ("0.5", "10m")
    assert "utility_budget" not in desk.settings(request_of(), form(method="npo", time_budget="30m"))
    for value in ("soon", "-1m", "0s", "<b>", "1h; touch marker"):
        with pytest.raises(runner.UsageError, match="time_budget"):
            desk.settings(request_of(), form(method="auto", time_budget=value))
    job = desk.unlearn(request_of(), form(method="auto", time_budget="90s"))
    assert {"--method=auto", "--time_budget=90s", "--utility_budget=0.5"} <= set(job.argv)


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ({"source": "example"}, "proxy_teacher"),
        ({"source": "name", "about": ["Ada"]}, "name_swap"),  # a name alone has settings of its own
        ({"source": "name", "about": ["Ada"], "training_data": ["all.jsonl"]}, "proxy_teacher"),
        ({"source": "file"}, "lower_profile"),  # nothing to keep that is like it
        ({"source": "file", "retain": "keep.jsonl"}, "proxy_teacher"),
        ({"source": "file", "retain": "keep.jsonl", "model": "no adapter"}, "profile_matching"),
        ({"source": "file", "method": "npo"}, "npo"),
    ],
)
def test_the_recommended_method_gives_way_where_it_cannot_run(values, method):
    filled = {"method": methods.recommended("pairs"), **values}
    given = {"method": filled["method"], **({"model_name_or_path": "none"} if filled.get("model") else {})}
    assert methods.fitting(given, filled) == method


def test_methods_for_questions_refuse_plain_text_before_queueing(desk, project):
    (project / "text.txt").write_text("Some text.")
    for values in ({"text": "Some text."}, {"source": "file", "file": str(project / "text.txt")}):
        with pytest.raises(InputError, match="needs questions"):
            desk.unlearn(request_of(), form(method="idk", **values))
    assert desk.queue.jobs() == [] and desk.unlearn(
        request_of(), form(source="pairs", pairs=[["q", "a"]], method="idk")
    )


def test_the_page_offers_only_fitting_methods_recommended_first():
    for source in ("text", "pairs", "file", "example"):
        chosen = methods.recommended(source)
        assert methods.fits(chosen, source)
        family = algorithm.METHODS[chosen].family
        assert methods.method_choices(family, source)[0][1] == chosen
        assert "Use it when" in methods.method_text(chosen, source)
    for family in methods.FAMILIES:
        offered = [name for _, name in methods.method_choices(family, "text")]
        assert offered and all(algorithm.METHODS[name].works_on_raw_text for name in offered)
    offered = {name for family in methods.FAMILIES for _, name in methods.method_choices(family, "pairs")}
    assert offered == set(algorithm.METHODS)
    assert methods.family_choices()[-1] == ("Search for the best method", "auto")
    for source in ("text", "pairs"):
        assert methods.method_choices("auto", source) == [("search", "auto")] and methods.fits("auto", source)
    assert "Tries several methods" in methods.method_text("auto", "text")
    assert "Recommended for plain text" in methods.method_text(methods.recommended("text"), "text")


def test_every_method_family_and_attack_has_plain_words():
    assert all(method.plain and method.use_when for method in algorithm.METHODS.values())
    assert set(methods.FAMILIES) == set(algorithm.FAMILIES)
    assert all(evaluation_metrics.ATTACKS[name].plain for name in evaluation_metrics.attack_names("all"))


@pytest.mark.hardening(56)
@pytest.mark.parametrize(
    "text", ["; touch marker", "$(touch marker)", "`touch marker`", "--debug", "a\n--seed=1", "-x"]
)
def test_typed_text_arrives_as_one_argument(text, desk, project):
    job = desk.unlearn(request_of(), form(text=text, lora_target_modules=text.replace("\n", " ")))
    wait_for(lambda: desk.queue.get(job.id).over)
    words = json.loads((Path(job.folder) / "argv.json").read_text())
    assert words == job.argv[2:] and all(word.startswith("--") for word in words)
    (file,) = (word.removeprefix("--config=") for word in words if word.startswith("--config="))
    assert runner.read_config_file(file) == {"forget_text": text}
    assert f"--lora_target_modules={text}".replace("\n", " ") in words
    assert not list(project.rglob("marker")) and not (PROJECT / "marker").exists()


def test_the_shown_command_is_what_a_shell_would_run(desk):
    shown = shlex.join(desk.command(request_of(), form(text='it\'s; "all" $HOME\nof it', name="mine")))
    words = shlex.split(shown)
    assert words[:2] == ["python", "unlearning_script.py"]
    assert runner.parse(words[2:]).forget_text == 'it\'s; "all" $HOME\nof it'
    assert runner.parse(words[2:]).output_dir == str(desk.results / "mine")


def test_every_source_reaches_the_runner(desk, project):
    (project / "mine.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    sources = {
        "pairs": form(source="pairs", pairs=[["q?", "a!"], ["", ""]]),
        "file": form(source="file", file=str(project / "mine.jsonl"), retain=str(project / "mine.jsonl")),
        "example": form(source="example"),
        "long": form(source="passages", text="word " * 30_000),
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


def test_attacks_use_the_data_and_models_of_their_run(desk, project):
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


# -- visibility and deletion


@pytest.mark.hardening(64)
def test_users_see_only_their_own_runs(queue, project):
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
        desk.settings(request_of("ann"), form(general_data=str(project / "results/of-bob/argv.json")))
    with pytest.raises(InputError, match="no run"):
        desk.delete(request_of("ann"), ["of-bob"])
    assert not desk.runs(request_of(None)), "a stranger sees nothing"


@pytest.mark.hardening(54, 55)
def test_deleting_never_touches_other_folders(desk, project):
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
    with pytest.raises(InputError, match="cannot be deleted"):
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


def test_a_run_in_the_old_location_is_listed_opened_and_deleted(project, monkeypatch):
    for name, folder in {"PROJECT": ".", "RUNS": "results/runs", "SAVED": "models/saved"}.items():
        monkeypatch.setattr(f"results.page.desk.{name}", project / folder)
    for folder in ("results/old", "results/runs/new", "results/examples/shown", "models/old", "models/saved/new"):
        (project / folder).mkdir(parents=True)
        config = {"method": "npo", "model_output_dir": str(project / "models/old")} if folder == "results/old" else {}
        (project / folder / "config.json").write_text(json.dumps(config))
    for name in ("evaluation.json", "report.html"):
        (project / "results/old" / name).write_text("{}")
    queue = JobQueue(project / "results/runs", project).start()
    try:
        desk = Desk(queue)
        runs = desk.runs(request_of())
        assert set(runs) == {"old", "new"} and set(newest_first(runs)) == set(runs) and finished(runs) == ["old"]
        assert watching.run_row("old", *runs["old"])[:3] == ["Not measured", "old", "npo"]
        opened = desk.job(request_of(), "run:old")
        assert (opened.name, opened.state, opened.folder) == ("old", "finished", str(project / "results/old"))
        assert desk.model_of(*runs["old"]) == project / "models/old"
        assert desk.delete(request_of(), ["old"]) == ["old"]
    finally:
        queue.close()
    assert list(desk.runs(request_of())) == ["new"]
    assert sorted(path.name for path in (project / "models").iterdir()) == ["saved"]
    assert sorted(path.name for path in (project / "results").iterdir()) == ["examples", "runs"]


def test_deleting_warns_about_runs_that_continued_from_it(desk, project):
    for name, before in (("first", None), ("second", "results/first"), ("third", "results/second")):
        (project / "results" / name).mkdir()
        before = before and str(project / before)
        (project / "results" / name / "config.json").write_text(json.dumps({"continue_from": before}))
    assert desk.followers(request_of(), ["first"]) == {"first": ["second"]}
    assert desk.followers(request_of(), ["first", "second"]) == {"second": ["third"]}
    assert desk.followers(request_of(), ["third"]) == {}
    told = deletion_told(desk, request_of(), ["first"])
    assert "second continued from first" in told and "This cannot be undone" in told


def test_a_running_run_is_not_deleted(desk, project):
    job = submit(desk.queue, "busy", "--wait=30")
    wait_for(lambda: (project / "results/busy/argv.json").exists())
    with pytest.raises(InputError, match="stop it first"):
        desk.delete(request_of(), ["busy"])
    desk.queue.stop(job.id)


# -- deletion requests


def test_a_request_continues_the_run_of_its_model_and_all_are_retested(desk, project):
    from models.requests import ledger

    with pytest.raises(InputError, match="no request"):
        desk.retest(request_of())
    for name in ("first", "second"):
        (project / "results" / name).mkdir()
        (project / "models" / name).mkdir()
        (project / "models" / name / "config.json").write_text("{}")
        config = {"model_output_dir": str(project / "models" / name), "method": "npo"}
        (project / "results" / name / "config.json").write_text(json.dumps(config))
        (project / "results" / name / "report.html").write_text("")
        line = {"request": name, "run": name, "method": "npo", "rows": 3, "verdict": "FORGOTTEN, KEPT, NOT RUN",
                "time": "2026-11-25T08:00:00Z", "follows": "first" if name == "second" else None}  # fmt: skip
        ledger.append(project / "results" / ledger.NAME, line)
    rows, told = requests.recorded(desk, request_of())
    assert [row[0] for row in rows] == ["2", "1"] and rows[0][6] == "request 1"
    assert told.startswith("2 requests, intact")
    assert desk.continued(request_of(), str(project / "models" / "second")) == str(project / "results" / "second")
    assert desk.continued(request_of(), "org/name") is None
    job = desk.retest(request_of())
    assert f"--model_name_or_path={project / 'models' / 'second'}" in job.argv
    assert f"--ledger={project / 'results' / ledger.NAME}" in job.argv
    wait_for(lambda: desk.queue.get(job.id).over)
    found = [{"line": 1, "request": "first", "verdict": "came back", "why": "60% of what was forgotten is back"},
             {"line": 2, "request": "second", "verdict": "still forgotten", "why": "0% of it"}]  # fmt: skip
    (Path(job.folder) / "retest.json").write_text(json.dumps({"problems": [], "requests": found}))
    assert requests.recorded(desk, request_of())[0][1][7] == "came back: 60% of what was forgotten is back"
    assert live.outcome_told(desk.queue.get(job.id), Path(job.folder)) == ("bad", "1 of 2 came back: request 1.")
    path = project / "results" / ledger.NAME
    path.write_text(path.read_text().replace('"rows": 3', '"rows": 4', 1))
    assert "changed or damaged" in requests.recorded(desk, request_of())[1]


def test_each_account_has_its_own_ledger(queue, project):
    desk = Desk(queue, results_dir=project / "results", models_dir=project / "models",
                accounts=[("ann", "password-a"), ("../bob", "password-b")])  # fmt: skip
    ann, bob = (desk.ledger(request_of(user)) for user in ("ann", "../bob"))
    assert ann != bob and {ann.parent, bob.parent} == {project / "results"}
    flags = [word for word in desk.unlearn(request_of("../bob"), form()).argv if word.startswith("--ledger=")]
    assert flags == [f"--ledger={bob}"]
    assert not any(word.startswith("--ledger=") for word in desk.unlearn(request_of("ann"), form()).argv)
