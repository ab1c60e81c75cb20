"""The ledger: what a line may hold, what breaks the chain, kills, many processes at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import forked_runs
import pytest

from models.requests import ledger
from models.verdict.words import PARTS, verdict_words
from unlearning_script import main, resolve

ROOT = Path(__file__).resolve().parents[1]


def written(path, count=4):
    for number in range(count):
        ledger.append(path, {"request": f"r{number}", "verdict": "FORGOTTEN, KEPT, HELD"})
    return path.read_text().splitlines(keepends=True)


def test_lines_form_a_chain(tmp_path):
    path = tmp_path / "ledger.jsonl"
    written(path)
    entries = ledger.entries(path)
    assert ledger.problems(path) == [] and [entry["line"] for entry in entries] == [1, 2, 3, 4]
    assert entries[0]["previous"] == ledger.FIRST
    assert [entry["previous"] for entry in entries[1:]] == [entry["hash"] for entry in entries[:-1]]


CHANGES = {
    "a word altered": (lambda lines: [lines[0], lines[1].replace("FORGOTTEN", "REMEMBERS"), *lines[2:]], 2),
    "the last line altered": (lambda lines: [*lines[:3], lines[3].replace("FORGOTTEN", "REMEMBERS")], 4),
    "a line removed": (lambda lines: [lines[0], *lines[2:]], 2),
    "the first line removed": (lambda lines: lines[1:], 1),
    "two lines exchanged": (lambda lines: [lines[0], lines[2], lines[1], lines[3]], 2),
    "a line doubled": (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),
    "a line that is no JSON": (lambda lines: [*lines[:2], "scribble\n", *lines[2:]], 3),
    "another spelling of the same": (lambda lines: [lines[0].replace(": ", ":"), *lines[1:]], 1),
    "a key said twice": (lambda lines: [lines[0].replace("{", '{"verdict": "REMEMBERS", ', 1), *lines[1:]], 1),
}


@pytest.mark.parametrize(("change", "line"), CHANGES.values(), ids=CHANGES)
def test_any_change_is_found_at_its_line(tmp_path, change, line):
    path = tmp_path / "ledger.jsonl"
    path.write_text("".join(change(written(path))))
    assert ledger.problems(path)[0].startswith(f"{path}:{line}: ")


def test_an_altered_line_with_a_new_hash_breaks_the_next_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    lines = written(path)
    forged = {**json.loads(lines[1]), "verdict": "REMEMBERS"}
    lines[1] = ledger._text({**forged, "hash": ledger.line_hash(forged)}) + "\n"
    path.write_text("".join(lines))
    assert [problem.split(": ")[0] for problem in ledger.problems(path)] == [f"{path}:3"]


def test_lines_of_earlier_versions_stay_readable_and_intact(tmp_path):
    """A line written before a verdict had three words and before lines held the numbers of rows."""
    path = tmp_path / "ledger.jsonl"
    old = {"request": "r0", "verdict": "INCOMPLETE", "known": {"answer_probability": 0.9}, "line": 1}
    old["previous"] = ledger.FIRST
    path.write_text(ledger._text({**old, "hash": ledger.line_hash(old)}) + "\n")
    ledger.append(path, {"request": "r1", "verdict": "FORGOTTEN, KEPT, HELD", "then_rows": {"loss": [1.0]}})
    assert ledger.problems(path) == [] and [entry["line"] for entry in ledger.entries(path)] == [1, 2]


def test_receipts_of_runs_reveal_a_truncated_ledger(tmp_path):
    path = tmp_path / "ledger.jsonl"
    lines = written(path)
    last = json.loads(lines[-1])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ledger.RECEIPT).write_text(json.dumps({"ledger": path.name, "line": 4, "hash": last["hash"]}))
    assert ledger.missing(path) == []
    path.write_text("".join(lines[:-1]))
    assert ledger.problems(path) == []  # a chain alone cannot show it
    assert ledger.missing(path) == [f"{path}: line 4, written by run, is missing or changed"]


def test_the_next_append_removes_a_half_line_of_a_killed_process(tmp_path):
    path = tmp_path / "ledger.jsonl"
    lines = written(path, 2)
    for cut in (1, 20, len(lines[1]) - 1):
        path.write_text(lines[0] + lines[1][:cut])
        assert ledger.problems(path) == [] and len(ledger.entries(path)) == 1
        ledger.append(path, {"request": "next"})
        assert ledger.problems(path) == [] and [entry["request"] for entry in ledger.entries(path)] == ["r0", "next"]


def test_a_request_gets_one_line_only(tmp_path):
    path = tmp_path / "ledger.jsonl"
    written(path, 2)
    assert ledger.append(path, {"request": "r0", "verdict": "another"})["line"] == 1
    assert len(ledger.entries(path)) == 2


def test_no_line_is_appended_after_a_broken_one(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text("scribble\n")
    with pytest.raises(ledger.LedgerError, match=":1: not a ledger line"):
        ledger.append(path, {"request": "r"})
    assert path.read_text() == "scribble\n"


def test_concurrent_processes_lose_no_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    code = (
        "import sys; from models.requests import ledger\n"
        "for n in range(25): ledger.append(sys.argv[1], {'request': f'{sys.argv[2]}-{n}'})"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(path), str(n)], cwd=ROOT) for n in range(6)]
    assert [process.wait() for process in started] == [0] * 6
    assert ledger.problems(path) == [] and len(ledger.entries(path)) == 150


# -- written by runs


def test_the_line_of_a_run_does_not_reveal_the_forgotten_data(small, tmp_path):
    text = "ada lives in lund by the sea"
    flags = small.flags(tmp_path / "run", f"--forget_text={text}", without=("forget_data", "holdout_data"))
    assert main(flags) == 0
    (line,) = ledger.entries(tmp_path / "ledger.jsonl")
    written = (tmp_path / "ledger.jsonl").read_text()
    assert not any(word in written for word in ("lives", "lund", "jsonl"))  # neither the text nor the data's location
    assert "--forget_text=(hmac-sha256:" in line["command"] and "--method=npo" in line["command"]
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert line["data_hash"] == environment["data_hashes"]["forget"] and line["rows"] == 1
    assert line["data_hash"].startswith("hmac-sha256:")
    card = (tmp_path / "run-model" / "README.md").read_text()
    assert line["data_hash"].partition(":")[2][:12] not in card
    assert line["model_before"] == environment["model_hash"] != line["model_after"]
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert line["verdict"] == evaluation["comparison"]["verdict"] and line["state"] == "finished"
    assert set(verdict_words(line["verdict"])) == set(PARTS)
    assert all(len(line[name]["answer_probability"]) == 1 for name in ("known_rows", "then_rows"))
    assert line["then"]["loss"] == pytest.approx(evaluation["models"]["unlearned"]["forget"]["loss"], abs=1e-6)
    assert line["time"].endswith("Z") and line["run"] == "run"
    receipt = json.loads((tmp_path / "run" / ledger.RECEIPT).read_text())
    assert receipt["hash"] == line["hash"] and ledger.missing(tmp_path / "ledger.jsonl") == []


def test_the_ledger_flag_takes_none_or_a_path(small, tmp_path):
    assert main(small.flags(tmp_path / "a", "--ledger=none", "--max_steps=1")) == 0
    assert not list(tmp_path.glob("**/ledger.jsonl"))
    assert main(small.flags(tmp_path / "b", f"--ledger={tmp_path / 'x' / 'requests.jsonl'}", "--max_steps=1")) == 0
    assert len(ledger.entries(tmp_path / "x" / "requests.jsonl")) == 1 and not (tmp_path / "ledger.jsonl").exists()


def test_the_default_ledger_is_in_results():
    assert resolve({})["ledger"] == os.path.join("results", "ledger.jsonl")


BAD = {
    "altered": (lambda path: path.write_text("scribble\n"), 3, "ledger.jsonl:1"),
    "a folder": (lambda path: path.mkdir(), 2, "not a file"),
}


@pytest.mark.parametrize(("spoil", "code", "said"), BAD.values(), ids=BAD)
def test_an_unusable_ledger_is_refused_before_a_model_is_loaded(
    small, tmp_path, capsys, monkeypatch, spoil, code, said
):
    from models.store import loading

    monkeypatch.setattr(loading, "_load_weights", lambda *a, **k: pytest.fail("a model was loaded"))
    spoil(tmp_path / "ledger.jsonl")
    assert main(small.flags(tmp_path / "run")) == code
    error = capsys.readouterr().err
    assert said in error and "--ledger another file, or none" in error


STRIKES = {when: ("kill_in_line", when) for when in ("before", "half", "after")}


@pytest.mark.parametrize("strike", [*STRIKES.values(), ("signal", "done", 9)], ids=[*STRIKES, "done"])
def test_a_run_killed_around_its_line_ends_with_one_line(small, tmp_path, strike):
    """After a kill and a restart there is one line, and the chain is intact."""
    flags = small.flags(tmp_path / "run", "--max_steps=2", "--metrics=loss")
    first = forked_runs.start(flags, tmp_path / "out.txt", [strike, ("no_figures",)])
    assert first.wait() == 137, first.output
    again = forked_runs.start([*flags, "--resume_from_checkpoint=latest"], tmp_path / "again.txt", [("no_figures",)])
    assert again.wait() == 0, again.output
    assert len(ledger.entries(tmp_path / "ledger.jsonl")) == 1 and ledger.problems(tmp_path / "ledger.jsonl") == []
