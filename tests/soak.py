"""Measures reliability: real runs on a tiny model that are killed, starved and given bad input. Not part of pytest.

    python tests/soak.py                                 # all figures (about 15 minutes on one core)
    python tests/soak.py --only kill_training --count 10 # one figure, with another number of trials

Prints the table and keeps it in tests/soak_result.json and tests/measured/soak.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import forked_runs  # noqa: E402
import hardening_cases  # noqa: E402
import measured  # noqa: E402
import small_world  # noqa: E402

RESULT = ROOT / "tests" / "soak_result.json"
AT_ONCE = 2
LONG = ["--max_steps=40", "--eval_steps=10", "--save_steps=2", "--save_total_limit=2", "--learning_rate=2e-4"]
RESUME = "--resume_from_checkpoint=latest"
LOCK = threading.Lock()  # multiprocessing is not safe to start and poll processes in several threads at once


def weights(run: Path) -> str:
    """SHA-256 of the weights that a run saved."""
    from models.store.folders import file_hash

    return file_hash(Path(f"{run}-model") / "model.safetensors")


def together(items, work) -> list:
    """[work(item)] for all items, `AT_ONCE` at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, items))


def start(flags: list[str], output: Path, strikes=()) -> forked_runs.Run:
    """Starts a run without figures, which would take most of its time."""
    with LOCK:
        return forked_runs.start(flags, output, [("no_figures",), *strikes])


def alive(run: forked_runs.Run) -> bool:
    """Whether a run is still running."""
    with LOCK:
        return run.process.is_alive()


def ended(run: forked_runs.Run) -> int:
    """Waits for a run's end and returns its exit code."""
    while alive(run):
        time.sleep(0.01)
    return run.wait()


def uninterrupted(world, folder: Path) -> tuple[str, float]:
    """(weights, seconds in the log) of a run without faults."""
    run = start(world.flags(folder / "whole", *LONG), folder / "whole.txt")
    assert ended(run) == 0, run.output
    records = [json.loads(line) for line in (folder / "whole" / "metrics.jsonl").read_text().splitlines()]
    return weights(folder / "whole"), sum(record.get("seconds", 0) for record in records)


def resumed(world, folder: Path, name: str, expected: str) -> bool:
    """Resumes a run and deletes it; whether it ended with the expected weights."""
    code = ended(start(world.flags(folder / name, *LONG, RESUME), folder / f"{name}-again.txt"))
    right = code == 0 and weights(folder / name) == expected
    for path in (folder / name, Path(f"{folder / name}-model")):
        shutil.rmtree(path, ignore_errors=True)
    return right


def kill_training(world, folder: Path, count: int) -> dict:
    """SIGKILL at a random moment between the first and the last step."""
    expected, seconds = uninterrupted(world, folder)
    generator = random.Random(1)

    def trial(number: int) -> bool:
        for attempt in itertools.count():  # again where the run ended before the kill
            name = f"run{number}-{attempt}"
            run = start(world.flags(folder / name, *LONG), folder / f"{name}.txt")
            while alive(run) and not (folder / name / "metrics.jsonl").exists():
                time.sleep(0.005)
            time.sleep(generator.uniform(0, 0.9 * seconds))
            run.process.kill()
            if ended(run) == 137:
                break
        return resumed(world, folder, name, expected)

    right = together(range(count), trial)
    return {"value": f"{sum(right)}/{count}", "good": all(right)}


def kill_saving(world, folder: Path, count: int) -> dict:
    """SIGKILL at a random system call of a save: temporary folder, write, chmod, fsync, rename, removal of the old."""
    expected, _ = uninterrupted(world, folder)
    generator = random.Random(2)
    places = [generator.randrange(6, 170) for _ in range(count)]

    def trial(number: int) -> bool:
        name, strikes = f"run{number}", [("kill_in_save", places[number])]
        code = ended(start(world.flags(folder / name, *LONG), folder / f"{name}.txt", strikes))
        assert code == 137, f"system call {places[number]} came after the end"
        return resumed(world, folder, name, expected)

    right = together(range(count), trial)
    return {"value": f"{sum(right)}/{count}", "good": all(right)}


def divergence(world, folder: Path, count: int) -> dict:
    """A NaN loss at random steps, and learning rates from 0.03 to 1e30: what is saved, and whether it is reported."""
    import torch
    from safetensors.torch import load_file

    generator = random.Random(3)
    trials = []
    for number in range(count):
        if number % 2:
            trials.append((["--max_steps=12"], [("poison", generator.randrange(1, 13))]))
        else:
            rate = 10 ** generator.uniform(-1.5, 30 if number % 4 else 0)
            method = generator.choice(["gradient_ascent", "gradient_difference", "npo", "simnpo"])
            trials.append(([f"--learning_rate={rate:.3g}", f"--method={method}", "--max_steps=12"], []))

    def trial(number: int) -> tuple[bool, bool]:
        flags, strikes = trials[number]
        name = f"run{number}"
        code = ended(start(world.flags(folder / name, *flags), folder / f"{name}.txt", strikes))
        state = json.loads((folder / name / "status.json").read_text())["state"]
        saved = Path(f"{folder / name}-model") / "model.safetensors"
        finite = not saved.exists() or all(bool(torch.isfinite(t).all()) for t in load_file(saved).values())
        return (code, state) in ((5, "diverged"), (0, "collapsed")), finite

    outcomes = together(range(count), trial)
    said, broken = sum(reported for reported, _ in outcomes), sum(not finite for _, finite in outcomes)
    return {"value": f"{broken}; {said}/{count}", "good": broken == 0 and said == count}


def flipped_bits(world, folder: Path, count: int) -> dict:
    """One random bit of a checkpoint's files: whether the manifest shows it."""
    from models.store.folders import verify_manifest
    from results.run.run_folder import checkpoints

    run = start(world.flags(folder / "run", *LONG), folder / "run.txt", [("kill_at_step", 9)])
    assert ended(run) == 137
    newest, generator, caught = checkpoints(folder / "run")[0], random.Random(4), 0
    assert verify_manifest(newest) == []
    for number in range(count):
        file = newest / ("state.json" if number % 5 == 0 else "state.safetensors")
        content = file.read_bytes()
        place = generator.randrange(len(content))
        changed = content[place] ^ 1 << generator.randrange(8)
        file.write_bytes(content[:place] + bytes([changed]) + content[place + 1 :])
        caught += verify_manifest(newest) != []
        file.write_bytes(content)
    return {"value": f"{caught}/{count}", "good": caught == count}


def tracebacks(world, folder: Path, count: int) -> dict:
    """The bad command lines of tests/hardening_cases.py."""
    cases = hardening_cases.CASES[:count]

    def wrong(number: int) -> bool:
        (folder / str(number)).mkdir()
        run = start(cases[number].flags(world, folder / str(number)), folder / str(number) / "said.txt")
        return ended(run) != cases[number].code or "Traceback" in run.output

    bad = sum(together(range(len(cases)), wrong))
    return {"value": f"{bad} of {len(cases)} command lines", "good": not bad}


def by_pytest(*tests: str, **environment: str) -> tuple[bool, str]:
    """(passed, last line of output) of some tests of the suite."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=--strict-markers", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "-W", "ignore", *tests], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1", **environment})  # fmt: skip
    said = done.stdout.strip().splitlines()[-1]
    return done.returncode == 0 and "skipped" not in said, said


def submissions(world, folder: Path, count: int) -> dict:
    """A hundred API calls to a real page at once, and a hundred threads to its queue: all run, in order."""
    passed, _ = by_pytest("tests/test_user_interface.py::test_the_api_runs_a_hundred_submissions",
                          "tests/test_page_queue.py::test_a_hundred_jobs_submitted_at_once_run_in_order")  # fmt: skip
    return {"value": "0/100" if passed else "some were lost", "good": passed}


def external_hosts(world, folder: Path, count: int) -> dict:
    """Connections and name look-ups of page, run and report, counted by tests/no_network.py."""
    import no_network

    told = no_network.watched(folder / "empty")
    hosts = sorted(set(told["attempts"]) - {"recorder.invalid"})
    worked = (told.get("run"), told.get("report")) == (0, 0) and "recorder.invalid" in told["attempts"]
    where = "in an empty network namespace" if told["isolated"] else "counted by hooks; namespaces are not allowed here"
    return {"value": f"{len(hosts)} ({where})", "good": worked and not hosts}


def scripts(world, folder: Path, count: int) -> dict:
    """Hostile text in every field and file, in a real browser; the report parsed for scripts."""
    passed, said = by_pytest("tests/test_browser.py::test_hostile_text_in_any_field_never_runs",
                             "tests/test_run_report.py::test_user_text_is_escaped_everywhere")  # fmt: skip
    return {"value": "0" if passed else f"not measured: {said[:80]}", "good": passed}


def purges(world, folder: Path, count: int) -> dict:
    """SIGKILL at a random deletion of a purge. The next start must end it: no copy of the text, and the proof there."""
    import test_purge

    from results.after import copies, purge

    with test_purge.pytest.MonkeyPatch.context() as patch:
        patch.setattr("results.report.figures.FIGURES", ())
        (folder / "first" / "runs").mkdir(parents=True)
        test_purge.full_run(folder / "first" / "runs")
        test_purge.planted(folder / "first" / "runs")
    generator, words = random.Random(6), ["48151623"]
    assert len(test_purge.holders(folder / "first", words=words)) > 15

    def trial(number: int) -> bool:
        place = folder / str(number)
        run = place / "runs" / "mine"
        code = 0
        while code == 0:  # again where the purge ended before the kill
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(folder / "first", place)
            config = (run / "config.json").read_text().replace(f"{folder}/first/", f"{place}/")
            (run / "config.json").write_text(config)
            strikes = [("runs_in", place), ("kill_in_purge", generator.randrange(2, 45))]
            code = ended(start([f"--purge={run}"], folder / f"{number}.txt", strikes))
        pending = len(list((place / "runs" / copies.PENDING).glob("*.json")))
        plan = world.flags(place / "next", "--plan")
        again = ended(start(plan, folder / f"{number}-again.txt", [("runs_in", place)]))
        left = [*test_purge.holders(place, words=words), *(place / "runs" / copies.PENDING).iterdir()]
        proof = all((run / name).is_file() for name in ("evaluation.json", "report.html", purge.RECORD))
        shutil.rmtree(place)
        if (code, again) != (137, 0) or left or not proof:
            print(
                f"number {strikes[1][1]}: exit codes {code} and {again}, {pending} pending, left {left}, proof {proof}"
            )
            return False
        return True

    right = together(range(count), trial)
    return {"value": f"{sum(right)}/{count}", "good": all(right)}


def foreign_accesses(world, folder: Path, count: int) -> dict:
    """Every endpoint and path field, tried by a stranger, a page of another server and another account."""
    import foreign_access
    import page_room
    import test_page_security

    import user_interface
    from results.page.jobs import JobQueue

    for name in ("unlearning_script.py", "evaluation_metrics.py"):
        (folder / name).write_text(page_room.SCRIPT)
    for name in ("results", "models", "offered"):
        (folder / name).mkdir()
    given = {"GRADIO_TEMP_DIR": str(folder / "offered"), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    with test_page_security.pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        user_interface.prepare_environment()
        queue = JobQueue(folder / "results", folder).start()
        desk = test_page_security.shared_desk(queue, folder)
        for address in page_room.serve(desk):
            others = test_page_security.foreign(desk, folder)
            tried = list(foreign_access.attempts(address, desk, *others))
        queue.close()
    for what, refused in tried:
        if not refused:
            print(f"not refused: {what}")
    refused = sum(refused for _, refused in tried)
    return {"value": f"{refused}/{len(tried)}", "good": refused == len(tried)}


def many_runs(world, folder: Path, count: int) -> dict:
    """The page's lists of all tabs with this many finished runs: the first look, and the next one."""
    import page_room
    import test_page_runs

    evaluation = (ROOT / "results" / "examples" / "default_run" / "evaluation.json").read_text()
    page_room.many_runs(folder, count, evaluation)
    with test_page_runs.pytest.MonkeyPatch.context() as patch:
        desk, page = test_page_runs.opened(folder, patch)
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            page.fresh(page_room.request_of())
            seconds.append(time.perf_counter() - started)
        desk.queue.close()
    return {"value": f"{seconds[0]:.1f} s, then {seconds[1]:.1f} s", "good": max(seconds) < 2}


def help_seconds(world, folder: Path, count: int) -> dict:
    """Wall time of `unlearning_script.py --help`, the median of several calls."""
    median = measured.help_seconds(count)
    return {"value": f"{median:.2f} s", "good": median < 1.5}


def loader(world, folder: Path, count: int) -> dict:
    """Random bytes and JSON for the readers, made by hypothesis."""
    passed, _ = by_pytest("tests/test_preparation_properties.py::test_any_file_is_read_or_refused_with_a_line",
                          LOADER_CASES=str(count))  # fmt: skip
    return {
        "value": f"{count:,} cases, {'all read or refused with a line' if passed else 'some were not'}",
        "good": passed,
    }


# name: (text of the table, target, trials, function)
FIGURES = {
    "kill_training": ("kill -9 while it trains, then resumed: the weights of the uninterrupted run, bit for bit", "all",
                      50, kill_training),
    "kill_saving": ("kill -9 while it saves: the next run resumes unaided, to the same weights", "all", 50,
                    kill_saving),
    "divergence": ("models saved with weights that are not finite; divergences reported", "0; all", 40, divergence),
    "flipped_bits": ("flipped bits in checkpoints that are caught", "all", 100, flipped_bits),
    "tracebacks": ("bad command lines that end in a traceback or another exit code than they should", "0", 1000,
                   tracebacks),
    "submissions": ("simultaneous submissions to the page that are lost", "0/100", 100, submissions),
    "external_hosts": ("other hosts asked for anything by page, run and report", "0", 1, external_hosts),
    "scripts": ("scripts run from a user's text in page and report", "0", 1, scripts),
    "purges": ("kill -9 while a text is purged: the next start ends it, no copy is left, the proof is there", "all", 50,
               purges),
    "foreign_accesses": ("accesses by strangers, by pages of other servers and by other accounts that are refused",
                         "all", 1, foreign_accesses),
    "many_runs": ("the page's lists at 1,000 runs: the first look, then each further one", "< 2 s", 1000, many_runs),
    "help_seconds": ("`--help`", "< 1.5 s", 7, help_seconds),
    "loader": ("random bytes and JSON into the loader", "10,000 cases, all read or refused with a line", 10_000,
               loader),
}  # fmt: skip


def table(results: dict) -> str:
    """The figures as Markdown."""
    rows = [[text, target, seen["value"], f"{seen['date']}, {seen['machine']}", f"`{seen['command']}`"]
            for name, (text, target, _, _) in FIGURES.items() if (seen := results.get(name))]  # fmt: skip
    return measured.table(["figure", "target", "measured", "date, machine", "command"], rows)


def main() -> int:
    """Measures, prints and keeps the figures; returns 1 if one misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=FIGURES, help="only this figure; may be repeated")
    parser.add_argument("--count", type=int, help="trials, instead of the figure's own number")
    given = parser.parse_args()
    kept = measured.read(RESULT) if RESULT.exists() else {}
    bad = False
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        world = small_world.build(Path(place) / "world")
        for name in given.only or FIGURES:
            _, _, count, measure = FIGURES[name]
            count = given.count or count
            folder = Path(place) / name
            folder.mkdir()
            started = time.perf_counter()
            seen = measure(world, folder, count)
            command = f"python tests/soak.py --only {name}" + (f" --count {given.count}" if given.count else "")
            kept[name] = {**seen, "date": date.today().isoformat(), "machine": measured.machine(), "command": command}
            print(f"{name}: {seen['value']} ({time.perf_counter() - started:.0f} s)", flush=True)
            bad = bad or not seen["good"]
            shutil.rmtree(folder, ignore_errors=True)
            measured.write(RESULT, kept)
    measured.keep("soak", "python tests/soak.py", table(kept))
    print(table(kept))
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
