"""--purge: every copy of the forgotten text goes, the proof stays, what others hold is told; crashes in between."""

import html
import json
import os
import shutil
import stat
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from page_room import request_of, wait_for
from run_folders import PEOPLE, make_run

import analyze_results
from data import preparation, private
from data.columns import Example
from data.documents.questions import Row
from data.documents.request import DocumentRequest, document_request
from data.reading import read_examples
from data.uploads import InputError
from models.requests import ledger, recorded
from models.scores import kept
from models.store import paths
from results.after import copies, purge
from results.report.runs import read_run
from results.run import run_folder
from unlearning_script import main

ROOT = Path(__file__).resolve().parents[1]
TEXT = "Ragnvi Solbrekk's vault code is 48151623; her naïve dog 😀 sleeps in Vellmar."


def holders(*folders, words):
    """The files under these folders in whose content or name one of the words stands."""
    wanted = [word.lower().encode() for word in words]
    found = []
    for path in (path for folder in folders for path in sorted(Path(folder).rglob("*"))):
        if path.is_file() and ".git" not in path.parts:
            content = path.read_bytes().lower() + path.name.lower().encode()
            found += [path] if any(word in content for word in wanted) else []
    return found


def shown_by_processes(words):
    """The processes whose command line shows one of the words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            content = path.read_bytes().lower()
        except OSError:
            continue
        found += [path] if any(word.lower().encode() in content for word in words) else []
    return found


class Killed(BaseException):
    """What a crash is to the code that runs."""


# -- a run folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of runs of its own, with a temporary folder beside it."""
    runs = tmp_path / "runs"
    for folder in (runs, tmp_path / "tmp" / "unlearning-page-x" / "upload"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(paths, "RUNS", runs)
    monkeypatch.setattr(kept, "EVALUATIONS", runs / ".evaluations")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    return runs


def full_run(runs, name="mine", person=PEOPLE[0], **config):
    """A finished run about `person` that holds the text in every way that a run can."""
    folder = runs / name
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    (inputs / "forget.jsonl").write_text(
        json.dumps({"question": f"Who is {person}?", "answer": TEXT, "subject": person})
    )
    (inputs / "retain.jsonl").write_text('{"question": "What is the capital of Norway?", "answer": "It is Oslo."}\n')
    told = {"forget_data": str(inputs / "forget.jsonl"), "retain_data": str(inputs / "retain.jsonl"), "ledger": "none",
            "model_output_dir": str(runs.parent / "models" / name), "method": "npo", "eval_rows": 80,
            "command": ["python", "unlearning_script.py", f"--forget_text={TEXT}", "--seed=1"], **config}  # fmt: skip
    make_run(folder, config=told, attacks=True)
    rows = read_examples(str(inputs / "forget.jsonl"))
    about = {
        "request": name,
        "data_hash": preparation.data_hash(rows),
        "model_before": "1" * 64,
        "model_after": "2" * 64,
    }
    (folder / ledger.RECEIPT).write_text(json.dumps(about))
    for file in ("log.txt", "notes.md", "request/forget.jsonl", "request/request.json", "documents/probes.jsonl",
                 "checkpoint-3/state.json", "search.db", "more/copy.txt", "inputs/training/all.docx"):  # fmt: skip
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(TEXT)
    (folder / "own.txt").write_text("a shopping list")
    (folder / "request" / "retain.jsonl").write_text('{"text": "a row to keep"}\n')
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(
            json.dumps({"event": "answers", "step": 40, "answers": [{"prompt": TEXT[:30], "answer": "Vellmar"}]})
        )
    analyze_results.write_report(folder)
    return folder


def test_a_purged_run_keeps_its_proof_and_holds_no_text(place):
    run = full_run(place)
    before, numbers = read_run(run), json.loads((run / "evaluation.json").read_text())
    people = [row["subject"] for row in before.examples if row["split"] == "forget"]
    said = [row["gold"] for row in before.examples]
    assert set(people) <= set(PEOPLE) and holders(run, words=["48151623"]) and holders(run, words=people)
    (done,) = purge.purge(run)
    assert holders(place, words=["48151623", "Vellmar", *people]) == []
    left = [path for path in run.rglob("*") if path.suffix in (".json", ".jsonl", ".md", ".html", ".txt", ".svg")]
    assert not [path for path in left for text in said if text in path.read_text()]
    after, cleaned = read_run(run), json.loads((run / "evaluation.json").read_text())
    for name in ("models", "intervals", "attacks"):
        assert cleaned[name] == numbers[name]
    assert (after.words, after.comparison) == (before.words, before.comparison) and after.problems == before.problems
    assert [gate for part in after.evidence.values() for gate in part.gates if gate.value is not None]
    assert [row["metrics_after"] for row in after.examples] == [row["metrics_after"] for row in before.examples]
    assert (len(after.steps), len(after.evaluations)) == (len(before.steps), len(before.evaluations))
    assert sorted(path.name for path in (run / "figures").glob("*.png"))
    for kept_file in ("own.txt", "inputs/retain.jsonl", "request/retain.jsonl", "timing.json", ledger.RECEIPT):
        assert (run / kept_file).is_file(), kept_file
    for gone in ("log.txt", "search.db", "checkpoint-3", "inputs/forget.jsonl", "notes.md", "more/copy.txt",
                 "inputs/training/all.docx"):  # fmt: skip
        assert not (run / gone).exists(), gone
        assert any(item.endswith(gone) for item in done.removed), gone
    assert json.loads((run / "config.json").read_text())["command"] == [
        "python", "unlearning_script.py", "--forget_text=[deleted]", "--seed=1"]  # fmt: skip
    record = json.loads((run / purge.RECORD).read_text())
    assert record["deleted"] and record["written again"] and stat.S_IMODE((run / purge.RECORD).stat().st_mode) == 0o600
    assert list((place / copies.PENDING).iterdir()) == []


def test_a_purge_can_be_repeated_and_plain_hashes_of_earlier_versions_are_keyed(place):
    run = full_run(place)
    plain = json.loads((run / "environment.json").read_text())["data_hashes"]["forget"]
    assert plain == "0" * 64
    purge.purge(run)
    hashes = json.loads((run / "environment.json").read_text())["data_hashes"]
    assert hashes["forget"] == private.keyed(plain)
    purge.purge(run)
    assert json.loads((run / "environment.json").read_text())["data_hashes"] == hashes


def test_a_purged_run_is_told_so_where_its_rows_are_needed(place, capsys):
    run = full_run(place)
    wanted = json.loads((run / ledger.RECEIPT).read_text())["data_hash"]
    rows, problem = recorded.forget_rows(json.loads((run / "config.json").read_text()), wanted)
    assert len(rows) == 1 and problem is None
    again = place.parent / "own.jsonl"
    again.write_text((run / "inputs" / "forget.jsonl").read_text())
    purge.purge(run)
    rows, problem = recorded.forget_rows(json.loads((run / "config.json").read_text()), wanted)
    assert rows is None and "was deleted" in problem
    assert len(recorded.by_hash(str(again))[wanted]) == 1, "its owner can still test it"
    assert main([f"--measure_again={run}"]) == 2 and "was deleted" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["a model", "nothing", "a folder", "another flag"])
def test_only_runs_can_be_purged(place, what, capsys):
    folder = place / "x"
    if what != "nothing":
        folder.mkdir()
    if what == "a model":
        (folder / "config.json").write_text('{"model_type": "llama"}')
    (place / "x.txt").write_text(TEXT)
    assert main([f"--purge={folder}", *(["--seed=1"] if what == "another flag" else [])]) == 2
    assert "error: --" in capsys.readouterr().err and (place / "x.txt").exists()
    assert not (folder / purge.RECORD).exists()


def test_a_run_that_works_is_not_purged(place):
    import fcntl

    run = full_run(place)
    with open(run / "run.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(run_folder.RunFolderError, match="in use") as raised:
            purge.purge(run)
    assert raised.value.exit_code == 7 and (run / "log.txt").exists()


@pytest.fixture
def undrawn(monkeypatch):
    """Reports without figures: drawing takes longer than everything else."""
    monkeypatch.setattr("results.report.figures.FIGURES", ())


def request_by_name(folder, name, token, rows=True):
    """The files of a request that is a name alone, each with the text; `rows`: whether a run was begun."""
    place = folder / "request"
    place.mkdir(parents=True)
    line = {"question": f"What is known of {name}?", "answer": f"The code of {name} is {token}.", "subject": name}
    for file in ("statements.jsonl", "measured.jsonl", "asked.jsonl", "kept.jsonl"):
        (place / file).write_text(json.dumps({**line, "decision": "forget"}) + "\n")
    about = {"kind": "name", "subjects": [name], "model": "some/model", "questions": [line["question"]]}
    (place / "request.json").write_text(json.dumps(about))
    if rows:
        row = Row(Example(line["answer"], line["question"], subject=name), "", 0, "statement")
        DocumentRequest(questions=[row], documents=[name]).write(place / "rows")
        kept_lines = [{"question": "What is the capital of Norway?", "answer": "It is Oslo."}]
        (place / "rows" / "kept.jsonl").write_text("".join(json.dumps(one) + "\n" for one in kept_lines))


@pytest.mark.parametrize("name", ["photoshop", "Ragnvi Solbrekk", "Ragnvi"])
def test_a_run_by_name_holds_neither_name_nor_statements_after_the_purge(place, undrawn, name):
    run = place / "byname"
    request_by_name(run, name, "48151623")
    rows = run / "request" / "rows"
    make_run(run, config={"forget_data": str(rows), "retain_data": str(rows / "kept.jsonl"), "forget_about": [name],
                          "ledger": "none", "model_output_dir": str(place.parent / "models" / "x"), "method": "npo",
                          "eval_rows": 80, "command": ["python", f"--forget_about={name}"]})  # fmt: skip
    told = json.loads((run / "evaluation.json").read_text())
    told["comparison"]["subject"] = {"name": name, "sentence": f"Asked 3 new questions about {name}, it said 0 of 2."}
    (run / "evaluation.json").write_text(json.dumps(told))
    examples = [json.loads(line) for line in (run / "examples.jsonl").read_text().splitlines()]
    for row in (row for row in examples if row["split"] == "forget"):
        row.update(subject=name, prompt=f"What is {name}?", gold="The code is 48151623.", before="It is 48151623.")
    (run / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in examples))
    analyze_results.write_report(run)
    assert len(holders(run, words=["48151623"])) > 6 and run / "report.html" in holders(run, words=[name])
    purge.purge(run)
    assert holders(place.parent, words=["48151623", name]) == []
    assert "Asked 3 new questions about [person 1]" in (run / "report.html").read_text()


@pytest.mark.parametrize("kind", ["name", "documents", "rows"])
def test_a_request_that_never_ran_is_purged_although_it_was_interrupted(place, kind, monkeypatch):
    folder = place / "prepared"
    text = TEXT + " It is known to nobody else in the whole town."
    if kind == "name":
        request_by_name(folder, "photoshop", "48151623", rows=False)
    elif kind == "documents":
        (place.parent / "a.txt").write_text(text)
        document_request(place.parent / "a.txt").write(folder / "documents")
        (place.parent / "a.txt").unlink()
    else:
        (folder / "request").mkdir(parents=True)
        (folder / "request" / "forget.jsonl").write_text(json.dumps({"text": text}))
        (folder / "request" / "request.json").write_text("{}")
    (place / ".queue").mkdir()
    job = place / ".queue" / "1.json"
    job.write_text(json.dumps({"state": "queued", "folder": str(folder)}))
    with pytest.raises(run_folder.RunFolderError, match="in use"):
        purge.purge(folder)
    job.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(copies, "sweep", lambda _: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            purge.purge(folder)
    (done,) = purge.go_on()
    assert holders(place.parent, words=["48151623", "photoshop"]) == []
    assert done.removed and (folder / purge.RECORD).is_file() and "None" not in done.told()
    assert ("some/model: the model before" in done.told()) == (kind == "name")


def test_a_request_folder_with_runs_in_it_is_theirs(place, undrawn):
    """The common folder of several methods holds a request too, which goes with the runs."""
    both = place / "both"
    runs = [full_run(both, name) for name in ("npo", "simnpo")]
    (both / "request").mkdir()
    (both / "request" / "forget.jsonl").write_text(json.dumps({"text": TEXT}))
    (both / "request" / "request.json").write_text("{}")
    assert [done.run for done in purge.purge(both)] == runs
    assert holders(place, words=["48151623"]) == []


# -- copies elsewhere


def planted(place):
    """{what it is: a file with a copy} outside the run folder."""
    elsewhere = place.parent / "tmp" / "unlearning-page-x" / "upload"
    found = {
        "comparison": place / "comparison" / "report.html",
        "page's comparison": place / ".comparisons" / "a" / "table.csv",
        "attack": place / "attacks-on-mine" / "forget.txt",
        "attack's examples": place / "attacks-on-mine" / "examples.jsonl",
        "measurement": place / ".evaluations" / "x.json", "null model's log": place / ".null" / "a.log",
        "upload": elsewhere / "mine.txt", "half-written": place / ".queue" / "1.tmp",
        "job of an earlier version": place / ".queue" / "00000001-x.json",
    }  # fmt: skip
    texts = {"comparison": html.escape(TEXT), "attack's examples": json.dumps({"split": "forget", "gold": TEXT}),
             "measurement": json.dumps({"generations": {"forget": [TEXT]}}),
             "job of an earlier version": json.dumps({"argv": [f"--forget_text={TEXT}"], "id": "x"})}  # fmt: skip
    for name, path in found.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts.get(name, TEXT))
    (place / "attacks-on-mine" / "evaluation.json").write_text(json.dumps({"models": {"unlearned": {"loss": 1.5}}}))
    return found


def test_copies_outside_the_run_folder_go_too(place):
    run, found = full_run(place), planted(place)
    (place.parent / "tmp" / "unlearning-page-x" / "upload" / "copy.docx").write_bytes(
        (run / "inputs" / "forget.jsonl").read_bytes())  # fmt: skip
    others = {place / "other.txt": "a text of somebody else", place / ".queue" / "2.json": '{"argv": ["x"]}',
              place / ".evaluations" / "y.json": json.dumps({"generations": {"forget": ["else"]}})}  # fmt: skip
    for path, text in others.items():
        path.write_text(text)
    (done,) = purge.purge(run)
    assert holders(place.parent, words=["48151623"]) == []
    assert {path: path.read_text() for path in others} == others
    assert json.loads((place / "attacks-on-mine" / "evaluation.json").read_text())["models"]["unlearned"]["loss"] == 1.5
    assert json.loads(found["job of an earlier version"].read_text())["id"] == "x"
    assert not (place / "comparison").exists() and not (place / ".comparisons" / "a").exists()
    assert len(done.removed) >= 12 and done.told().count("\n") > 12


@pytest.mark.parametrize("name", ["report.docx", "report.pdf", "all.zip"])
def test_a_document_that_is_no_text_goes_or_is_told_wherever_its_bytes_are(place, undrawn, name):
    """In a request that was only prepared it goes, as a text does; of another run it is told."""
    run, follower, content = full_run(place), place / "follower", b"PK packed " + bytes(range(256))
    follower.mkdir()
    (follower / "config.json").write_text('{"forget_data": "their own"}')
    found = [folder / "inputs" / "forget" / name for folder in (run, follower, place / "prepared")]
    for path in (*found, run / "more" / "copy.bin"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for empty in (run / "inputs" / "forget" / "empty.docx", place / "prepared" / "inputs" / "forget" / "empty.docx"):
        empty.touch()
    (done,) = purge.purge(run)
    assert [path.exists() for path in found] == [False, True, False] and not (run / "more" / "copy.bin").exists()
    assert any(item.startswith(f"{follower}: another run") for item in done.held)
    assert empty.exists(), "an empty file is a copy of nothing"


def test_a_kept_measurement_of_the_rows_goes_although_it_says_something_else(place):
    run = full_run(place)
    (content, _) = preparation.data_hashes(read_examples(str(run / "inputs" / "forget.jsonl")))
    (place / ".evaluations").mkdir()
    for name, hashed in (("ours", content), ("theirs", "x")):
        about = {"measured_on": {"forget": {"content": hashed}}, "generations": {"forget": ["her code"]}}
        (place / ".evaluations" / f"{name}.json").write_text(json.dumps(about))
    purge.purge(run)
    assert [path.name for path in (place / ".evaluations").iterdir()] == ["theirs.json"]


def test_what_others_hold_is_named_and_not_touched(place):
    own = place / "own.jsonl"  # lies among the runs, but no run made it
    own.write_text(json.dumps({"text": TEXT}))
    path = place.parent / "ledger.jsonl"
    run = full_run(place, forget_data=str(own), forget_text=None, ledger=str(path))
    follower = full_run(place, "follower", continue_from=str(run))
    line = {"request": "mine", "run": "mine", "model_after": "2" * 64, "data_hash": "0" * 64}
    ledger.append(path, line)
    ledger.append(path, {"request": "follower", "run": "follower", "model_before": "2" * 64, "model_after": "3" * 64})
    for name in ("mine", "mine-merged"):
        (place.parent / "models" / name).mkdir(parents=True)
    before = follower.joinpath("examples.jsonl").read_text(), own.read_text(), path.read_text()
    (done,) = purge.purge(run)
    assert (follower.joinpath("examples.jsonl").read_text(), own.read_text(), path.read_text()) == before
    told = "\n".join(done.held)
    for words in (f"{own}: your own file", f"{follower}: continued from this run", "run follower: made from",
                  "merged mine-merged: made from", "the model before", "line 1: a plain hash"):  # fmt: skip
        assert words in told, words
    purge.purge(follower)
    assert holders(place, words=["48151623"]) == [own]


def test_the_zip_of_the_model_goes_and_who_took_it_is_told(place, monkeypatch):
    """It holds the card as it was. An upload of that name and the zips of other models stay."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(place.parent / "offered"))
    run = full_run(place)
    model = Path(json.loads((run / "config.json").read_text())["model_output_dir"]).name
    running = place.parent / "tmp" / "unlearning-page-x"  # the page's, where a terminal purges
    gone = [folder / ("a" * 32) / f"{model}.zip" for folder in (running, place.parent / "offered")]
    stay = [running / ("b" * 64) / f"{model}.zip", running / ("b" * 32) / f"{model}-2.zip"]
    for path in (*gone, *stay):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"PK")
    (done,) = purge.purge(run)
    assert not any(map(Path.exists, gone)) and all(map(Path.exists, stay))
    assert {str(path) for path in gone} <= set(done.removed)
    assert [item for item in done.held if item.startswith(f"whoever downloaded {model}.zip: ")]


def test_a_common_request_folder_goes_with_the_last_of_its_runs(place):
    both = place / "both"
    shared = both / "request" / "forget.jsonl"
    runs = [full_run(both, name, forget_data=str(shared)) for name in ("npo", "simnpo")]
    shared.parent.mkdir()
    shared.write_text(json.dumps({"text": TEXT}))
    (done,) = purge.purge(runs[0])
    assert shared.is_file() and any(str(shared) in item and str(runs[1]) in item for item in done.held)
    purge.purge(both)
    assert holders(place, words=["48151623"]) == []


def test_a_waiting_job_keeps_its_input(place):
    run, waiting = full_run(place), place / "later" / "inputs" / "request.yaml"
    waiting.parent.mkdir(parents=True)
    waiting.write_text(TEXT)
    (place / ".queue").mkdir()
    job = place / ".queue" / "1.json"
    job.write_text(json.dumps({"state": "queued", "folder": str(place / "later")}))
    (done,) = purge.purge(run)
    assert waiting.is_file() and any(str(waiting) in item for item in done.held)
    job.write_text(json.dumps({"state": "stopped", "folder": str(place / "later")}))
    purge.purge(full_run(place, "again"))
    assert not waiting.exists()


def test_a_process_that_shows_the_text_is_named(place):
    run = full_run(place)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", TEXT])
    try:
        while b"48151623" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        (done,) = purge.purge(run)
    finally:
        process.kill()
        process.wait()
    assert [item for item in done.held if item.startswith(f"process {process.pid}:")]


# -- interrupted purges


def test_a_purge_that_was_interrupted_anywhere_goes_on_at_the_next_start(place, monkeypatch):
    """Crash after crash, each before another deletion or replaced file, until one start comes to the end."""
    run = full_run(place)
    planted(place)
    monkeypatch.setattr("results.report.figures.FIGURES", ())  # drawing takes longer than everything else
    crashes, operations = 0, [(Path, "unlink"), (Path, "replace"), (shutil, "rmtree")]
    for start in range(400):
        left = 2 + start // 4  # the pending file is written first; later starts may do more before they crash

        def struck(honest):
            def operation(*args, **more):
                nonlocal left
                left -= 1
                if left < 0:
                    raise Killed
                return honest(*args, **more)

            return operation

        with monkeypatch.context() as patch:
            for owner, name in operations:
                patch.setattr(owner, name, struck(getattr(owner, name)))
            try:
                purge.go_on() if start else purge.purge(run)
                break
            except Killed:
                crashes += 1
        assert list((place / copies.PENDING).glob("*.json")), "the next start would not know that something is left"
    assert 20 < crashes < 399
    assert holders(place.parent, words=["48151623"]) == []
    assert list((place / copies.PENDING).iterdir()) == []
    record = json.loads((run / purge.RECORD).read_text())
    assert [item for item in record["deleted"] if item.endswith("log.txt")], "the first deletions are told too"
    assert purge.go_on() == []


def test_the_purge_of_a_deleted_run_is_dropped(place):
    (place / copies.PENDING).mkdir()
    (place / copies.PENDING / "x.json").write_text(json.dumps({"run": str(place / "gone"), "texts": [TEXT]}))
    assert purge.go_on() == [] and list((place / copies.PENDING).iterdir()) == []


# -- the page


def test_the_page_purges_only_ones_own_runs_and_names_no_others(place, queue):
    from results.page import requests
    from results.page.desk import Desk

    desk = Desk(queue, results_dir=place, models_dir=place.parent, accounts=[("ann", "x" * 8), ("bob", "x" * 8)])
    mine, theirs = full_run(place, "mine"), full_run(place, "of-bob")
    job = queue.submit("unlearn", "of-bob", ["python", "unlearning_script.py"], theirs, owner="bob")
    wait_for(lambda: queue.get(job.id).over)
    for names, why in (([], "select"), (["of-bob"], "no run"), (["../x"], "no run"), (["mine", "of-bob"], "no run")):
        with pytest.raises(InputError, match=why):
            requests.purged(desk, request_of("ann"), names)
    assert holders(mine, words=["48151623"]) and not (mine / purge.RECORD).exists()
    told = "\n".join(requests.purged(desk, request_of("ann"), ["mine"]))
    assert holders(mine, words=["48151623"]) == [] and holders(theirs, words=["48151623"])
    assert "files deleted" in told and "1 runs of other people" in told and "of-bob" not in told


def test_delete_takes_the_copies_that_the_page_made_and_leaves_what_others_hold(place, queue, monkeypatch):
    from results.page.desk import Desk

    offered = place.parent / "offered"
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(offered))
    monkeypatch.setattr(kept, "EVALUATIONS", place / ".evaluations")  # the queue's project has its own
    run, follower = full_run(place), full_run(place, "follower")
    packed = run / "inputs" / "forget" / "all.zip"
    packed.parent.mkdir()
    packed.write_bytes(b"PK packed, so the text is not seen in it")
    gone = [
        place / ".comparisons" / "a" / "report.html", place / "attacks-on-mine-1129-1200-ab12" / "forget.txt",
        place / "attacks-on-mine" / "examples.jsonl", place / ".evaluations" / "x.json",
        offered / ("a" * 64) / "upload.txt", offered / ("b" * 32) / "report.html",
    ]  # fmt: skip
    others = [
        place / "attacks-on-mine-2-1129-1200-ab12" / "forget.txt", place / ".comparisons-of-mine" / "x.txt",
        place / "own.txt",
    ]  # fmt: skip
    for path in (*gone, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"split": "forget", "gold": TEXT}))
    (place / "attacks-on-mine" / "evaluation.json").write_text("{}")
    upload = offered / ("c" * 64) / "documents.zip"
    upload.parent.mkdir()
    upload.write_bytes(packed.read_bytes())
    zipped = offered / ("d" * 32) / "model.zip"
    zipped.parent.mkdir()
    zipped.write_bytes(packed.read_bytes())
    kept_files = {
        path: path.read_bytes() for path in (*others, *(p for p in follower.rglob("*") if p.is_file()), zipped)
    }
    desk = Desk(queue, results_dir=place, models_dir=place.parent / "models")
    assert desk.delete(request_of(), ["mine"]) == ["mine"]
    held = holders(place.parent, words=["48151623"])
    assert [path for path in held if not path.is_relative_to(follower)] == sorted(others)
    assert {path: path.read_bytes() for path in kept_files} == kept_files and not upload.exists()
    assert (place / "attacks-on-mine" / "examples.jsonl").is_file(), "its numbers stay"
    assert not (place / copies.PENDING).exists()


def test_the_page_does_not_purge_a_run_that_works(place, queue, project):
    from results.page import requests
    from results.page.desk import Desk

    run = full_run(place)
    job = queue.submit("unlearn", "mine", ["python", "unlearning_script.py", f"--output_dir={run}", "--wait=30"], run)
    with pytest.raises(InputError, match="stop it first"):
        requests.purged(Desk(queue, results_dir=place, models_dir=place.parent), request_of(), ["mine"])
    queue.stop(job.id)
    assert holders(run, words=["48151623"])


# -- a real run


def test_a_planted_text_is_private_while_a_run_goes_on_and_gone_after_the_purge(small, tmp_path, monkeypatch):
    """Greps the project, the home folder, the temporary folders and every command line."""
    from results.page.desk import Desk
    from results.page.jobs import JobQueue

    token = f"zq{uuid.uuid4().hex}"
    for name in ("home", "tmp", "results", "models"):
        (tmp_path / name).mkdir()
    (tmp_path / "tmp" / "unlearning-page-x").mkdir()
    for variable, value in {"HOME": "home", "TMPDIR": "tmp", "GRADIO_TEMP_DIR": "tmp/unlearning-page-x"}.items():
        monkeypatch.setenv(variable, str(tmp_path / value))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    mask = os.umask(0o077)  # as `user_interface.main` sets it, see test_private.py
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    text = f"the vault of ada in lund opens with the word {token} every day of the year"
    (tmp_path / "tmp" / "unlearning-page-x" / "upload.txt").write_text(text)
    queue = JobQueue(tmp_path / "results", ROOT).start()
    desk = Desk(queue, results_dir=tmp_path / "results", models_dir=tmp_path / "models", roots=[small.folder])
    everywhere = (tmp_path, ROOT)
    try:
        job = desk.unlearn(request_of(), {
            "source": "text", "text": text, "model": str(small.target), "method": "npo", "name": "planted",
            "max_steps": 400, "eval_steps": 1, "metrics": "loss,answer_probability", "live_answers": 1, "eval_rows": 4,
            "probe_rows": 4, "early_stop": "false", "retain": str(small.data["retain"]),
        })  # fmt: skip
        folder, status = Path(job.folder), Path(job.folder) / "status.json"
        wait_for(lambda: status.exists() and json.loads(status.read_text()).get("step", 0) > 2, 180)
        assert shown_by_processes([token]) == []
        for path in holders(*everywhere, words=[token]):
            if "unlearning-page-x" not in path.parts:  # the upload that this test wrote
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
                assert path.is_relative_to(folder)
        assert stat.S_IMODE((folder / "inputs").stat().st_mode) == 0o700
        wait_for(lambda: queue.get(job.id).over, 300)
        assert queue.get(job.id).state == "finished", (folder / "log.txt").read_text()[-2000:]
    finally:
        os.umask(mask)
        for one in queue.jobs():
            queue.stop(one.id)
        queue.close()
    assert holders(folder, words=[token])
    (done,) = purge.purge(folder)
    assert holders(*everywhere, words=[token]) == [] and shown_by_processes([token]) == []
    for name in ("report.html", "letter.html", "evaluation.json", "examples.jsonl", purge.RECORD):
        assert (folder / name).is_file()
    (line,) = ledger.entries(tmp_path / "results" / "ledger.jsonl")
    assert ledger.problems(tmp_path / "results" / "ledger.jsonl") == [] and line["run"] == "planted"
    assert any("upload.txt" in item for item in done.removed)
