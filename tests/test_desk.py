"""The desk of requests: dates, states, tests that are due, derived models, the list as CSV, writers at once."""

import csv
import datetime
import json
import subprocess
import sys
from pathlib import Path

import pytest

import evaluation_metrics
from models.requests import desk, ledger
from unlearning_script import UsageError, main, resolve

ROOT = Path(__file__).resolve().parents[1]
DAY = datetime.date(2026, 11, 20)


@pytest.mark.parametrize(("text", "start", "found"), [
    ("2026-11-20", None, "2026-11-20"), ("30d", DAY, "2026-12-20"), ("6w", DAY, "2027-01-01"),
    (" 0d ", DAY, "2026-11-20"), ("2027-01-01", DAY, "2027-01-01"), ("30d", None, None), ("soon", DAY, None),
    ("2026-13-01", DAY, None),
    ("-3d", DAY, None), ("2w", None, None), ("99999d 1", DAY, None), ("", DAY, None),
])  # fmt: skip
def test_a_date_is_a_day_or_a_time_after_another(text, start, found):
    if found is None:
        with pytest.raises(ValueError, match="2026-11-20"):
            desk.date_of(text, start)
    else:
        assert desk.date_of(text, start).isoformat() == found


def test_dates_of_a_run_are_checked_before_anything_else():
    config = resolve({"received": "2026-11-20", "due": "30d", "retest_after": "90d"})
    assert (config["received"], config["due"], config["retest_after"]) == ("2026-11-20", "2026-12-20", "90d")
    with pytest.raises(UsageError) as raised:
        resolve({"received": "30d", "due": "never", "retest_after": "yearly"})
    for name in desk.DATES:
        assert f"--{name}" in str(raised.value)
    with pytest.raises(UsageError, match="before --received"):
        resolve({"received": "2026-11-20", "due": "2026-11-01"})


# -- the list


def line(request, before, after, **more):
    return {"request": request, "run": request, "method": "npo", "verdict": "FORGOTTEN, KEPT, HELD", "rows": 2,
            "model_before": before, "model_after": after, "time": "2026-11-20T10:00:00Z", "data_hash": "h",
            **more}  # fmt: skip


def folder_of(place, name, state=None, **receipt):
    folder = place / name
    folder.mkdir()
    (folder / ledger.RECEIPT).write_text(json.dumps({"request": name, "data_hash": "h", **receipt}))
    if state:
        (folder / "status.json").write_text(json.dumps({"state": state}))
    return folder


def states(path, on=DAY):
    return {row["request"]: row["state"] for row in desk.requests(path, on=on)}


def test_a_request_is_due_for_a_test_when_its_time_is_over(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger.append(path, line("r1", "a", "b", retest_after="90d"))
    ledger.append(path, line("r2", "x", "y"))
    assert states(path) == {"r1": desk.DONE, "r2": desk.DONE}
    late = datetime.date(2027, 2, 18)
    assert states(path, late - datetime.timedelta(days=1))["r1"] == desk.DONE
    assert states(path, late) == {"r1": desk.RETEST, "r2": desk.DONE}
    desk.record_test(path, {"request": "r1", "verdict": "still forgotten", "why": "0%"}, "b")
    desk.record_test(path, {"request": "r1", "verdict": "still forgotten", "why": "0%"}, "b")
    assert len(ledger.entries(desk.tests_of(path))) == 2, "a second test of the same model is another line"
    assert ledger.problems(desk.tests_of(path)) == []
    assert states(path, desk.today())["r1"] == desk.DONE


def test_a_request_is_due_for_a_test_after_its_model_was_trained_further(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger.append(path, line("r1", "a", "b"))
    ledger.append(path, line("r2", "b", "c", time="2026-11-21T10:00:00Z"))
    ledger.append(path, line("r3", "c", "d", time="2026-11-22T10:00:00Z"))
    assert states(path) == {"r1": desk.RETEST, "r2": desk.RETEST, "r3": desk.DONE}
    rows = {row["request"]: row["derived"] for row in desk.requests(path)}
    assert rows == {"r1": ["run r2", "run r3"], "r2": ["run r3"], "r3": []}
    desk.record_test(path, {"request": "r1", "verdict": "still forgotten"}, "d")  # today, so after both
    assert states(path) == {"r1": desk.DONE, "r2": desk.RETEST, "r3": desk.DONE}


def test_open_running_and_failed_requests_are_listed_from_their_folders(tmp_path):
    import fcntl

    path = tmp_path / "ledger.jsonl"
    for name, state in (("a", None), ("b", "running"), ("c", "running"), ("d", "failed"), ("e", "stopped")):
        folder_of(tmp_path, name, state, received="2026-11-01", due="2026-11-10")
    with open(tmp_path / "b" / "run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = states(path)
        told = desk.table(desk.requests(path, on=DAY), DAY)
    assert found == {"a": desk.OPEN, "b": desk.RUNNING, "c": desk.FAILED, "d": desk.FAILED, "e": desk.OPEN}
    assert told.count("late since 2026-11-10") == 5
    assert desk.table(desk.requests(path, on=DAY), datetime.date(2026, 11, 10)).count("late") == 0


def test_models_made_from_a_model_are_listed_under_its_request(tmp_path):
    path = tmp_path / "ledger.jsonl"
    ledger.append(path, line("r1", "a", "b"))
    (tmp_path / "r1").mkdir()
    model = tmp_path / "models" / "mine"
    for name in ("mine", "mine-merged", "mine-gguf", "tuned", "other"):
        (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / "mine-gguf" / "q4.gguf").write_text("")
    for name, base in (("tuned", str(model)), ("other", "models/unrelated")):
        about = json.dumps({"base_model_name_or_path": base})
        (tmp_path / "models" / name / "adapter_config.json").write_text(about)
    (tmp_path / "r1" / "config.json").write_text(json.dumps({"model_output_dir": str(model)}))
    assert desk.requests(path)[0]["derived"] == ["merged mine-merged", "GGUF mine-gguf/q4.gguf", "adapter tuned"]


def test_the_list_as_csv_runs_nothing_in_a_spreadsheet(tmp_path, capsys):
    path = tmp_path / "ledger.jsonl"
    ledger.append(path, line("r1", "a", "b", run="=cmd|' /C calc'!A0", subjects=["h1", "h2"], received="2026-11-20"))
    ledger.append(path, line("r2", "b", "c", time="2026-11-21T10:00:00Z"))
    flags = [f"--ledger={path}", f"--csv={tmp_path / 'list.csv'}"]
    assert evaluation_metrics.main([*flags, "--requests"]) == 0
    rows = list(csv.DictReader((tmp_path / "list.csv").open()))
    assert [row["request"] for row in rows] == ["r1", "r2"] and rows[0]["subjects"] == "h1; h2"
    assert rows[0]["run"] == "'=cmd|' /C calc'!A0" and rows[0]["received"] == "2026-11-20"
    assert evaluation_metrics.main([*flags, "--retest_due"]) == 0
    assert [row["request"] for row in csv.DictReader((tmp_path / "list.csv").open())] == ["r1"]
    assert "re-test due" in capsys.readouterr().out
    for wrong in (["--requests"], ["--csv=x", f"--ledger={path}"]):
        assert evaluation_metrics.main(wrong) == 2


def test_requests_and_tests_of_many_processes_lose_no_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    code = (
        "import sys; from models.requests import desk, ledger\n"
        "path, who = sys.argv[1:]\n"
        "from pathlib import Path\n"
        "for n in range(10):\n"
        "    ledger.append(path, {'request': f'{who}-{n}', 'model_after': 'm'})\n"
        "    desk.record_test(Path(path), {'request': f'{who}-{n}', 'verdict': 'still forgotten'}, 'm')"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(path), str(n)], cwd=ROOT) for n in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    for file in (path, desk.tests_of(path)):
        assert ledger.problems(file) == [] and len(ledger.entries(file)) == 40
    assert len(desk.requests(path)) == 40


def test_a_run_records_its_dates_and_who_it_is_about_and_a_test_is_recorded(small, tmp_path, capsys):
    dates = ("--received=2026-11-20", "--due=30d", "--retest_after=1d")
    metrics = "--metrics=accuracy,loss,answer_probability,extraction_strength"
    strong = ("--max_steps=30", "--learning_rate=1e-2", "--collapse_guard=0", "--load_best_model_at_end=false")
    assert main(small.flags(tmp_path / "run", *strong, metrics, *dates)) == 0
    path = tmp_path / "ledger.jsonl"
    (row,) = desk.requests(path)
    assert (row["received"], row["due"], row["state"], row["run"]) == ("2026-11-20", "2026-12-20", desk.DONE, "run")
    from data import private
    from data.finding.text import fold
    from data.reading import read_examples

    names = dict.fromkeys(example.subject for example in read_examples(str(small.data["forget"])) if example.subject)
    assert row["subjects"] == [private.keyed(fold(name).lower()) for name in names] and names
    later = desk.today() + datetime.timedelta(days=1)
    assert (
        states(path, later) == {row["request"]: desk.RETEST} and states(path, desk.today())[row["request"]] == desk.DONE
    )
    tested = [f"--ledger={path}", f"--model_name_or_path={tmp_path / 'run-model'}"]
    assert evaluation_metrics.main([*tested, "--retest_due"]) == 0
    assert not desk.tests_of(path).exists(), "nothing was due"
    assert evaluation_metrics.main(tested) == 0
    (test,) = ledger.entries(desk.tests_of(path))
    assert test["request"] == row["request"] and test["verdict"] in capsys.readouterr().out
