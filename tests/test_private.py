"""What is to be forgotten on disk: who may read it, hashes that cannot be guessed back, nothing on a command line."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from page_room import form, request_of, wait_for

from data import preparation, private, request_files
from data.columns import DataError, Example
from models.requests import recorded
from unlearning_script import main

ROOT = Path(__file__).resolve().parents[1]
ROWS = [Example("Her number is 030 1234567.", prompt="What is the number of Ragnvi Solbrekk?")]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# -- hashes


@pytest.fixture
def key(tmp_path, monkeypatch):
    monkeypatch.setenv(private.KEY_VARIABLE, str(tmp_path / "keys" / "hash.key"))
    return tmp_path / "keys" / "hash.key"


def test_a_hash_says_nothing_without_the_key(key, tmp_path, monkeypatch):
    hashed = preparation.data_hash(ROWS)
    plain = preparation.content_hash(ROWS)
    assert hashed.startswith(private.PREFIX) and plain not in hashed and mode(key) == 0o600
    assert hashed == preparation.data_hash(ROWS) and len(hashed) == len(private.PREFIX) + 64
    monkeypatch.setenv(private.KEY_VARIABLE, str(tmp_path / "other.key"))
    assert preparation.data_hash(ROWS) != hashed, "the same text has the same hash for everybody"


def test_processes_that_start_together_get_one_key(key):
    code = "from data import private; print(private.keyed('x'))"
    started = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(6)]
    assert len({process.communicate()[0] for process in started}) == 1
    assert [path.name for path in key.parent.iterdir()] == [key.name]


@pytest.mark.parametrize("content", ["", "no key", "abcd"])
def test_a_damaged_key_is_refused_and_not_replaced(key, content):
    key.parent.mkdir()
    key.write_text(content)
    with pytest.raises(DataError, match="the key of the hashes"):
        private.keyed("x")
    assert key.read_text() == content


def test_rows_of_earlier_versions_are_found_by_their_plain_hash(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "the vault code is 48151623"}\n')
    rows, _ = recorded.read_forget(str(tmp_path / "rows.jsonl"), [])
    config = {"forget_data": str(tmp_path / "rows.jsonl")}
    for wanted in preparation.data_hashes(rows):
        assert recorded.by_hash(str(tmp_path / "rows.jsonl"))[wanted] == rows
        assert recorded.forget_rows(config, wanted) == (rows, None)
    assert recorded.forget_rows(config, "0" * 64)[0] is None


def test_the_files_of_a_request_are_recorded_under_the_key(tmp_path):
    (tmp_path / "forget.jsonl").write_text("a line\n")
    plain = hashlib.sha256(b"a line\n").hexdigest()
    for hashed, wrong in ((private.keyed(plain), False), (plain, False), ("0" * 64, True)):
        (tmp_path / "request.json").write_text(json.dumps({"files": {"forget.jsonl": hashed}}))
        assert request_files.edited(tmp_path / "request.json") == wrong
    assert request_files.file_hashes(tmp_path) == {"forget.jsonl": private.keyed(plain)}


# -- files


def test_new_files_are_for_their_owner_or_for_the_group(tmp_path):
    for shared, file, folder in ((False, 0o600, 0o700), (True, 0o660, 0o770)):
        with private.created(shared):
            (tmp_path / f"{shared}").mkdir()
            (tmp_path / f"{shared}" / "text").write_text("secret")
            private.write(tmp_path / f"{shared}" / "more", "secret")
        assert mode(tmp_path / f"{shared}") == folder
        assert {mode(path) for path in (tmp_path / f"{shared}").iterdir()} == {file}
    before = os.umask(0o022)
    os.umask(before)
    assert before != 0o077, "the mask stays after the block"


@pytest.mark.parametrize(("flags", "allowed"), [((), 0o700), (("--shared_folders",), 0o770)])
def test_a_run_writes_for_its_owner_alone_unless_told_otherwise(small, tmp_path, flags, allowed):
    before = os.umask(0o022)
    try:
        (tmp_path / "run").mkdir()  # the page makes it before the runner starts
        assert main(small.flags(tmp_path / "run", "--max_steps=1", "--metrics=loss", *flags)) == 0
        written = [tmp_path / "run", *(tmp_path / "run").rglob("*"), tmp_path / "ledger.jsonl"]
        wrong = [path for path in written if mode(path) != (allowed if path.is_dir() else allowed & 0o660)]
        assert wrong == [] and len(written) > 10
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_the_page_writes_for_its_owner_alone(monkeypatch):
    import user_interface

    seen = []
    monkeypatch.setattr(user_interface, "_serve", lambda given: seen.append(os.umask(0o077)) or 0)
    assert user_interface.main([]) == 0 and seen == [0o077]


# -- command lines


def test_what_is_to_be_forgotten_is_on_no_command_line_and_in_no_job(queue, project):
    folder = project / "results" / "mine"
    secrets = ['it\'s; "48151623"\nMaße 😀: yes', "Ragnvi Solbrekk", "@ragnvi"]
    flags = [f"--forget_text={secrets[0]}", *(f"--forget_about={name}" for name in secrets[1:]), "--wait=1.5"]
    job = queue.submit("unlearn", "mine", ["python", "unlearning_script.py", f"--output_dir={folder}", *flags], folder)
    wait_for(lambda: (folder / "argv.json").exists())
    shown = Path(f"/proc/{queue.get(job.id).pid}/cmdline").read_bytes().decode()
    files = {path: path.read_text() for path in (project / "results").rglob("*") if path.is_file()}
    for secret in ("48151623", "Ragnvi", "@ragnvi", "forget_text"):
        assert secret not in shown and "--output_dir" in shown
        assert [path for path, text in files.items() if secret in text] == [folder / "inputs" / "request.yaml"]
    assert mode(folder / "inputs" / "request.yaml") == 0o600
    from results.run.options import read_config_file

    told = read_config_file(str(folder / "inputs" / "request.yaml"))
    assert told == {"forget_text": secrets[0], "forget_about": secrets[1:]}
    assert mode(queue.folder) == 0o700 and {mode(path) for path in queue.folder.glob("*.json")} == {0o600}


def test_a_text_typed_into_the_page_reaches_the_runner_by_a_file(desk):
    job = desk.unlearn(request_of(), form(text="the vault code is 48151623"))
    assert not any("48151623" in word for word in job.argv)
    wait_for(lambda: desk.queue.get(job.id).over)
    assert "48151623" in (Path(job.folder) / "inputs" / "request.yaml").read_text()


# -- temporary folders


HOLDER = """
import sys, time
from data import private
private.temporary_folder("request-")
folder = private.temporary_folder("unlearning-page-")
(folder / "upload.txt").write_text("the vault code")
print(folder, flush=True)
time.sleep(60)
"""


def test_the_temporary_folders_of_a_killed_process_are_deleted_at_the_next_start(tmp_path, monkeypatch):
    from results.after import commands

    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    started = [subprocess.Popen([sys.executable, "-c", HOLDER], cwd=ROOT, stdout=subprocess.PIPE, env=environment)
               for _ in range(2)]  # fmt: skip
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed = started[0]
    try:
        folders = [Path(process.stdout.readline().decode().strip()) for process in started]
        assert all(mode(folder) == 0o700 for folder in folders)
        (tmp_path / "request-of-another-program").mkdir()
        (tmp_path / "unlearning-page-link").symlink_to(folders[1])
        (tmp_path / "other-page").mkdir()
        (tmp_path / "other-page" / private.LOCK).touch()
        assert private.sweep() == [], "both still run"
        killed.kill()
        killed.wait()
        commands.go_on()
        left = {path.name for path in tmp_path.iterdir()}
        assert not folders[0].exists() and (folders[1] / "upload.txt").is_file()
        assert len([name for name in left if name.startswith("request-")]) == 2
        assert {"request-of-another-program", "unlearning-page-link", "other-page"} <= left
    finally:
        for process in started:
            process.kill()
            process.wait()
            process.stdout.close()
    assert len(private.sweep()) == 2
