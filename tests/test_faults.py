"""Kills, signals, full disks, no memory, no network, odd clocks: real processes and what remains on disk."""

import json
import os
import pickletools
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import forked_runs
import pytest
import small_world
import tiny_models

from models.store import folders, loading
from models.store.folders import file_hash, verify_manifest
from results.page import jobs
from results.run import run_folder

QUICK = [("no_figures",)]
SAVING = ["--max_steps=8", "--save_steps=1", "--save_total_limit=2"]
RESUME = "--resume_from_checkpoint=latest"


def weights(run: Path) -> str:
    """SHA-256 of the model that a run saved."""
    return file_hash(Path(f"{run}-model") / "model.safetensors")


def status(run: Path) -> dict:
    return json.loads((run / "status.json").read_text(encoding="utf-8"))


def start(small, folder, name, *more, strikes=QUICK, **options):
    return forked_runs.start(small.flags(folder / name, *more), folder / f"{name}.txt", strikes, **options)


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """The weights of an undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")
    run = start(small, folder, "whole", *SAVING)
    assert run.wait() == 0, run.output
    return weights(folder / "whole")


# -- killed and resumed


@pytest.mark.hardening(48)
def test_a_run_killed_in_training_resumes_to_identical_weights(small, whole, tmp_path):
    killed = {n: start(small, tmp_path, f"at{n}", *SAVING, strikes=[("kill_at_step", n)]) for n in (1, 4, 8)}
    assert [run.wait() for run in killed.values()] == [137] * 3
    resumed = {n: start(small, tmp_path, f"at{n}", *SAVING, RESUME) for n in killed}
    for number, run in resumed.items():
        assert run.wait() == 0, run.output
        assert "resumed from" in run.output or number == 1
        assert weights(tmp_path / f"at{number}") == whole


@pytest.mark.hardening(49)
def test_a_run_killed_while_saving_resumes_to_identical_weights(small, whole, tmp_path):
    """Kills in the first, the second and later saves: temporary folder, write, fsync, rename."""
    places = (7, 9, 11, 14, 17, 22, 30, 45)
    killed = {n: start(small, tmp_path, f"at{n}", *SAVING, strikes=[("kill_in_save", n)]) for n in places}
    assert [run.wait() for run in killed.values()] == [137] * len(places)
    left = list(tmp_path.glob("at*/.checkpoint-*"))
    assert left, "no kill fell between the beginning and the end of a save"
    for number in places:
        run = start(small, tmp_path, f"at{number}", *SAVING, RESUME)
        assert run.wait() == 0, run.output
        assert weights(tmp_path / f"at{number}") == whole
    assert not list(tmp_path.glob("at*/.checkpoint-*")) and not list(tmp_path.glob(".*-model.*"))


@pytest.mark.hardening(49)
def test_a_killed_save_restores_the_folder_that_it_replaced(tmp_path):
    from models.store.folders import new_folder, tidy

    with new_folder(tmp_path / "m") as temporary:
        (temporary / "file").write_text("old")
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    (tmp_path / "m").rename(tmp_path / f".m.previous-{dead.stdout.strip()}")
    (tmp_path / f".m.writing-{dead.stdout.strip()}-abc").mkdir()
    (tmp_path / f".m.writing-{os.getpid()}-abc").mkdir()
    tidy(tmp_path / "m")
    assert (tmp_path / "m" / "file").read_text() == "old" and verify_manifest(tmp_path / "m") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".m.writing-{os.getpid()}-abc", "m"]


@pytest.mark.hardening(53)
def test_resuming_with_other_settings_data_or_model_is_refused_by_name(small, tmp_path):
    assert start(small, tmp_path, "run", *SAVING, strikes=[("kill_at_step", 3)]).wait() == 137
    less = tmp_path / "less.jsonl"
    less.write_text("".join(small.data["forget"].read_text().splitlines(keepends=True)[:3]))
    attempts = {
        "per_device_train_batch_size was 8, is 4": ["--per_device_train_batch_size=4"],
        "data forget was": [f"--forget_data={less}"],
        "model was": [f"--model_name_or_path={small.retrained}"],
        "beta was 0.1, is 0.5": ["--beta=0.5"],
    }
    for words, flags in attempts.items():
        run = start(small, tmp_path, "run", *SAVING, *flags, RESUME)
        assert run.wait() == 2 and words in run.output and "evaluating" not in run.output, run.output
    assert len(run_folder.checkpoints(tmp_path / "run")) == 2


@pytest.mark.hardening(54)
def test_a_linked_checkpoint_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folders.write_manifest(tmp_path / "elsewhere")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint-9").symlink_to(tmp_path / "elsewhere")
    assert run_folder.checkpoints(tmp_path / "run") == [] and not jobs.has_checkpoint(tmp_path / "run")
    (tmp_path / "run" / "checkpoint-8").mkdir()
    folders.write_manifest(tmp_path / "run" / "checkpoint-8")
    assert jobs.has_checkpoint(tmp_path / "run")


# -- signals

STOPS = {
    "SIGINT": ("step 3", signal.SIGINT, 1, 130),
    "SIGTERM": ("step 3", signal.SIGTERM, 1, 143),
    "SIGHUP": ("step 3", signal.SIGHUP, 1, 129),
    "SIGINT twice": ("step 3", signal.SIGINT, 2, 130),
    "while preparing": ("loading", signal.SIGTERM, 1, 143),
    "while measuring the target": ("evaluating target", signal.SIGTERM, 1, 143),
    "while saving": ("saving", signal.SIGTERM, 1, 143),
    "while measuring after": ("evaluating unlearned", signal.SIGTERM, 1, 143),
}


@pytest.fixture(scope="module")
def stopped(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stops")
    runs = {}
    for number, (name, (stage, sent, times, _)) in enumerate(STOPS.items()):
        strikes = [*QUICK, ("signal", stage, int(sent), times)]
        runs[name] = folder / f"run{number}", start(small, folder, f"run{number}", "--max_steps=8", strikes=strikes)
    return {name: (path, run.wait(), run.output) for name, (path, run) in runs.items()}


@pytest.mark.hardening(50, 61)
@pytest.mark.parametrize("name", STOPS)
def test_a_signal_stops_the_run_cleanly_at_every_stage(name, stopped):
    stage, _, times, code = STOPS[name]
    folder, given, said = stopped[name]
    assert given == code, said
    assert "Traceback" not in said and not (folder / "report.html").exists()
    trained = [path.name for path in folder.glob("checkpoint-*")]
    if times == 2:
        assert not trained and status(folder)["state"] == "running", "the second signal leaves at once"
        return
    assert status(folder)["state"] == "stopped" and status(folder)["exit_code"] == code
    if stage == "step 3":
        assert trained == ["checkpoint-3"] and RESUME in said, "the current step was finished and kept"
    elif stage in ("saving", "evaluating unlearned", "evaluating target"):
        assert verify_manifest(Path(f"{folder}-model")) == [] and "the unlearned model is in" in said
    else:
        assert not trained and "unlearning:" not in said


@pytest.mark.hardening(50, 61)
def test_the_printed_command_resumes_a_stopped_run(stopped, small, tmp_path):
    folder, _, said = stopped["SIGTERM"]
    words = said.split("to resume: python unlearning_script.py ")[1].splitlines()[0]
    assert words.count("--output_dir") == 1
    spent = json.loads((folder / "checkpoint-3" / "state.json").read_text())["spent"]
    code, output = forked_runs.run(shlex.split(words), tmp_path / "said.txt", QUICK)
    assert code == 0 and "resumed from" in output, output
    assert status(folder)["exit_code"] == 0
    timing = json.loads((folder / "timing.json").read_text())
    for stage in ("loading", "unlearning"):
        assert timing["seconds"][stage] > spent["seconds"][stage] > 0, "the part before the stop counts"
    assert timing["total_seconds"] > spent["total_seconds"] + timing["seconds"]["evaluating unlearned"]
    assert timing["peak_memory_gib"] >= spent["peak_memory_gib"] > 0


# -- full disks and no memory


@pytest.mark.hardening(45)
def test_out_of_memory_exits_with_6_and_advice(small, tmp_path):
    rows = [json.loads(line) for line in small.data["forget"].read_text().splitlines()] * 48
    long = tmp_path / "long.jsonl"
    long.write_text("".join(json.dumps({**row, "answer": f"{row['answer']} " * 30}) + "\n" for row in rows))
    flags = [f"--forget_data={long}", "--per_device_train_batch_size=256", "--max_length=250"]
    run = start(small, tmp_path, "run", *flags, strikes=[("memory", "step 1", 16 * 2**20)])
    assert run.wait() == 6, run.output
    assert "Traceback" not in run.output
    assert "error: out of memory. Lower --per_device_train_batch_size (now 256" in run.output
    assert status(tmp_path / "run")["exit_code"] == 6 and status(tmp_path / "run")["stage"] == "unlearning"
    measure = [f"--model_name_or_path={small.target}", f"--forget_data={long}",
               f"--retain_data={small.data['retain']}", f"--output_dir={tmp_path / 'measured'}"]  # fmt: skip
    code, said = forked_runs.run(
        measure, tmp_path / "said.txt", [("memory", "loaded", 2**20)], script="evaluation_metrics"
    )
    assert code == 6 and "error: out of memory" in said and "Traceback" not in said, said


@pytest.mark.hardening(46)
@pytest.mark.parametrize("closed", ["output_dir", "model_output_dir"])
def test_a_folder_without_write_permission_is_refused_before_loading(small, closed):
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        for name, mode in (("closed", 0o555), ("open", 0o777)):
            (Path(place) / name).mkdir()
            os.chmod(Path(place) / name, mode)
        other = "model_output_dir" if closed == "output_dir" else "output_dir"
        flags = small.flags(Path(place) / "run", f"--{closed}={place}/closed/x", f"--{other}={place}/open/x")
        strikes = [("as_nobody",)] if os.geteuid() == 0 else []
        code, said = forked_runs.run(flags, Path(place) / "said.txt", strikes)
        assert code == 6 and f"error: --{closed} {place}/closed/x: Permission denied" in said, said
        assert "loading" not in said and "Traceback" not in said


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1.6 MB: room for one checkpoint of the tiny model, not for two."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1600k", "tmpfs", place]).returncode:
        pytest.skip("mounting a small file system needs root; the limit on file sizes is tested besides")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.hardening(47)
def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(small, small_disk, whole, tmp_path):
    places = [f"--output_dir={small_disk / 'run'}", f"--model_output_dir={tmp_path / 'run-model'}"]
    run = start(small, tmp_path, "run", *SAVING, *places)
    assert run.wait() == 6, run.output
    assert "No space left" in run.output and "Traceback" not in run.output
    (kept,) = run_folder.checkpoints(small_disk / "run")
    assert verify_manifest(kept) == []
    subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
    again = start(small, tmp_path, "run", *SAVING, *places, RESUME)
    assert again.wait() == 0 and f"resumed from {kept}" in again.output, again.output
    assert weights(tmp_path / "run") == whole


@pytest.mark.hardening(47)
def test_a_failed_checkpoint_leaves_nothing_behind(small, tmp_path):
    run = start(small, tmp_path, "run", *SAVING, strikes=[*QUICK, ("file_size", 200_000)])
    assert run.wait() == 6 and "Traceback" not in run.output, run.output
    assert "error: cannot write" in run.output and "nothing was replaced" in run.output
    assert not list((tmp_path / "run").glob("*checkpoint*"))


@pytest.mark.hardening(51)
def test_a_dead_process_releases_its_lock_and_a_living_one_keeps_it(small, tmp_path):
    import unlearning_script

    config = unlearning_script.resolve({
        "model_name_or_path": str(small.target), "output_dir": str(tmp_path / "run"),
        "model_output_dir": str(tmp_path / "model"), "forget_text": "x", "method": "npo"})  # fmt: skip
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.lock").write_text("999999999")
    folder = run_folder.RunFolder(config)
    with pytest.raises(run_folder.RunFolderError, match=f"in use by process {os.getpid()}") as caught:
        run_folder.RunFolder(config)
    assert caught.value.exit_code == 7
    folder.release()
    run_folder.RunFolder(config).release()


# -- divergence


@pytest.mark.hardening(41)
def test_a_nan_loss_stops_the_run_at_its_step(small, tmp_path):
    run = start(small, tmp_path, "run", *SAVING, strikes=[*QUICK, ("poison", 4)])
    assert run.wait() == 5 and "step 4: loss nan" in run.output, run.output
    assert [path.name for path in run_folder.checkpoints(tmp_path / "run")] == ["checkpoint-3", "checkpoint-2"]
    assert status(tmp_path / "run")["state"] == "diverged" and not (tmp_path / "run-model").exists()


@pytest.mark.hardening(40, 42)
def test_unbounded_ascent_never_counts_as_success(small, tmp_path):
    ascent = ["--method=gradient_ascent", "--max_steps=60", "--learning_rate=1e-2", "--metrics=all", "--eval_rows=0",
              f"--retrained_model={small.retrained}", "--save_steps=1"]  # fmt: skip
    guarded = start(small, tmp_path, "guarded", *ascent)
    free = start(small, tmp_path, "free", *ascent, "--collapse_guard=0", "--load_best_model_at_end=false")
    assert guarded.wait() == 0, guarded.output
    assert status(tmp_path / "guarded")["state"] == "collapsed" and "the retain probe fell below" in guarded.output
    assert free.wait() == 0, free.output
    for name in ("guarded", "free"):
        report = json.loads((tmp_path / name / "evaluation.json").read_text())
        assert not report["comparison"]["memory"].startswith("FORGOTTEN")
    assert report["comparison"]["rest"] == "BROKEN"
    assert "BROKEN" in (tmp_path / "free" / "report.html").read_text()


# -- odd but valid input


@pytest.mark.hardening(4, 7, 16, 18, 21, 23, 25, 34, 35, 69)
def test_odd_data_gives_the_same_numbers_in_any_environment(small, tmp_path):
    """BOM, CRLF, an array in .jsonl, a repeated row, an overlap, a long row, hostile and right-to-left text, a model
    without chat template; then all of it with an ASCII terminal, another time zone and a clock that goes back."""
    hostile = "<script>window.__xss=1</script> =cmd() <|end|> مرحبا 👩‍👩‍👧 e\u0301 日本"
    everyone = tiny_models.facts()
    rows = [small_world.row(e) for e in everyone[:6]]
    rows += [rows[0], {**rows[1], "question": hostile, "answer": f"ada {hostile}", "subject": hostile},
             {**rows[2], "question": "where does ada live ? " * 60}]  # fmt: skip
    odd = tmp_path / "odd.jsonl"
    odd.write_bytes(b"\xef\xbb\xbf\r\n" + json.dumps(rows, ensure_ascii=False).replace("}, {", "},\r\n{").encode())
    small_world.write_rows(tmp_path / "retain.jsonl", everyone[5:24])
    model = tmp_path / "model"
    shutil.copytree(small.target, model)
    import hardening_cases

    (model / "manifest.json").unlink()
    hardening_cases.no_template(model)
    flags = [f"--forget_data={odd}", f"--retain_data={tmp_path / 'retain.jsonl'}", f"--model_name_or_path={model}",
             "--max_length=64", "--eval_rows=0", "--metrics=accuracy,loss,answer_probability,recall"]  # fmt: skip
    plain = start(small, tmp_path, "plain", *flags)
    elsewhere = start(small, tmp_path, "elsewhere", *flags, strikes=[*QUICK, ("clock_back",)],
                      environment={"PYTHONIOENCODING": "ascii", "LC_ALL": "de_DE.ISO-8859-1", "LANG": "de_DE",
                                   "TZ": "Pacific/Kiritimati"})  # fmt: skip
    assert plain.wait() == 0, plain.output
    assert elsewhere.wait() == 0, elsewhere.output
    for words in ("holds a JSON array", "repeat an earlier row", "1 rows that are in the forget set were removed",
                  "longer than 64 tokens: cut at the left of their prompt", "no chat template"):  # fmt: skip
        assert words in plain.output
    assert weights(tmp_path / "plain") == weights(tmp_path / "elsewhere")
    numbers = [json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("plain", "elsewhere")]
    assert numbers[0] == numbers[1]
    seen = [json.loads(line) for line in (tmp_path / "plain" / "examples.jsonl").read_text("utf-8").splitlines()]
    assert any(row["prompt"] == hostile and row["gold"] == f"ada {hostile}" for row in seen), "every byte is kept"
    page = (tmp_path / "plain" / "report.html").read_text(encoding="utf-8")
    assert "<script>window" not in page and "&lt;script&gt;window" in page and "مرحبا 👩‍👩‍👧 e\u0301 日本" in page


@pytest.mark.hardening(19, 20)
def test_one_row_to_forget_and_one_to_retain_are_enough(small, tmp_path):
    for name in ("forget", "retain"):
        first = small.data[name].read_text(encoding="utf-8").splitlines()[0]
        (tmp_path / f"{name}.jsonl").write_text(first + "\n", encoding="utf-8")
    data = [f"--{name}_data={tmp_path / f'{name}.jsonl'}" for name in ("forget", "retain")]
    run = start(
        small, tmp_path, "run", *data, "--per_device_train_batch_size=8", "--metrics=all", "--holdout_data=none"
    )
    assert run.wait() == 0, run.output
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert report["models"]["unlearned"]["forget"]["accuracy"] is not None
    assert "membership_auc" not in {k for k, v in report["comparison"].items() if v is not None}
    assert any("membership" in key or "holdout" in note for key, note in report["notes"].items())


@pytest.mark.hardening(24)
def test_methods_that_need_no_retain_rows_run_without(small, tmp_path):
    run = start(small, tmp_path, "run", "--method=gradient_ascent", "--retain_data=none")
    assert run.wait() == 0, run.output
    assert "retain" not in json.loads((tmp_path / "run" / "evaluation.json").read_text())["models"]["unlearned"]


# -- what leaves the machine


@pytest.mark.hardening(31)
def test_outputs_hold_no_machine_details_and_no_pickle(small, tmp_path):
    """Everything is in a home folder; the environment holds a token and names."""
    home = tmp_path / "home" / "geheimrat"
    shutil.copytree(small.folder, home / "world")
    secrets = {"HF_TOKEN": "hf_verysecrettoken123", "USER": "geheimrat", "LOGNAME": "geheimrat", "HOME": str(home),
               "AWS_SECRET_ACCESS_KEY": "AKIAVERYSECRET"}  # fmt: skip
    world = small_world.World(home / "world")
    rows = [json.loads(line) for line in world.data["forget"].read_text().splitlines()]
    world.data["forget"].write_text("".join(json.dumps({**row, "extra": 1}) + "\n" for row in rows))
    flags = world.flags(home / "run", "--use_peft=true", "--merge_adapter=true")
    code, said = forked_runs.run(flags, tmp_path / "said.txt", (), secrets)
    assert code == 0, said
    files = [path for name in ("run", "run-model", "run-model-merged") for path in (home / name).rglob("*")
             if path.is_file()]  # fmt: skip
    assert {"config.json", "report.html", "adapter_config.json", "README.md"} <= {path.name for path in files}
    told = {b"geheimrat", b"verysecret", b"AKIAVERY", str(tmp_path).encode(), str(forked_runs.ROOT).encode()}
    host = re.compile(rf"(?<![\w-]){re.escape(socket.gethostname())}(?![\w-])".encode())
    for path in files:
        content = path.read_bytes()
        assert path.suffix == ".png" or path.suffix == ".safetensors" or not host.search(content), path
        assert not [words for words in told if words in content], path
        assert path.suffix not in (".bin", ".pt", ".pkl") and not _is_pickle(content), path
        assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0
    config = json.loads((home / "run" / "config.json").read_text())
    assert config["forget_data"] == "~/world/forget.jsonl" and config["model_output_dir"] == "~/run-model"
    base = json.loads((home / "run-model" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert base == "../world/target"
    assert loading.load_model(home / "run-model", progress=lambda _: None)


def _is_pickle(content: bytes) -> bool:
    if content[:2] == b"PK":
        return True  # what torch.save writes is a zip with a pickle in it
    if content[:1] != b"\x80":
        return False
    try:
        list(pickletools.genops(content))
    except Exception:
        return False
    return True


@pytest.mark.hardening(67)
def test_page_run_and_report_use_no_network(tmp_path):
    pytest.importorskip("gradio")
    import no_network

    told = no_network.watched(tmp_path / "empty")
    assert (told.get("run"), told.get("report")) == (0, 0), told
    assert told["attempts"] == ["recorder.invalid"], "the one that shows that attempts are seen"


LARGE = """
import json, sys, time
sys.path[:0] = [".", "tests"]
from data.preparation import encode_examples
from data.reading import iter_examples, read_examples
from data.uploads import checked_upload
from results.run.run_folder import peak_gib
from test_preparation import byte_tokenizer
rows = read_examples(sys.argv[1])
encoded, report = encode_examples(byte_tokenizer(), rows, 512)
count = sum(1 for _ in iter_examples(sys.argv[2]))
shown = checked_upload(sys.argv[2])
peak = peak_gib()
print(json.dumps([len(rows[0].answer), report.truncated, len(encoded.ids), count, len(shown), shown.notes[0], peak]))
"""


@pytest.mark.hardening(13, 15)
def test_one_line_of_10_mb_and_many_rows_fit_in_memory(tmp_path):
    """Uses 300,000 rows; a million take the same memory, because rows are not kept."""
    words = "She lives in Oslo, near the sea. " * 310_000
    (tmp_path / "line.jsonl").write_text(json.dumps({"question": "Where?", "answer": words}))
    with open(tmp_path / "rows.jsonl", "w") as file:
        file.writelines(f'{{"question": "q{i}", "answer": "a{i}"}}\n' for i in range(300_000))
    done = subprocess.run([sys.executable, "-c", LARGE, tmp_path / "line.jsonl", tmp_path / "rows.jsonl"],
                          cwd=forked_runs.ROOT, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    characters, truncated, tokens, count, shown, note, peak = json.loads(done.stdout)
    assert characters > 10_000_000 and (truncated, tokens) == (1, 512)
    assert (count, shown, note) == (300_000, 1000, "300,000 rows in rows.jsonl")
    assert peak < 1.0, "GiB"
