"""Measures the figures of reliability: real processes on a tiny model, killed, starved and lied to. Not part of pytest.

python tests/soak.py                                 # all figures (about 15 minutes on one core)
python tests/soak.py --only kill_training --count 10 # one of them, with another number of trials

The result is printed and kept in tests/soak_result.json and tests/measured/soak.md; `readme_tables.py` copies the table
into the README.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
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
QUICK = [("no_figures",)]
RESUME = "--resume_from_checkpoint=latest"


def weights(run: Path) -> str:
    """SHA-256 of the model that a run saved."""
    from models.store.folders import file_hash

    return file_hash(Path(f"{run}-model") / "model.safetensors")


def uninterrupted(world, folder: Path) -> tuple[str, float]:
    """(weights, seconds between the first and the last line of the log) of a run that nothing happens to."""
    code, said = forked_runs.run(world.flags(folder / "whole", *LONG), folder / "whole.txt", QUICK)
    assert code == 0, said
    records = [json.loads(line) for line in (folder / "whole" / "metrics.jsonl").read_text().splitlines()]
    return weights(folder / "whole"), sum(record.get("seconds", 0) for record in records)


def in_batches(items, work):
    """[work(item)] where `work` is a generator function that yields a process to wait for; AT_ONCE at a time."""
    results, waiting, left = [], [], list(items)
    while left or waiting:
        while left and len(waiting) < AT_ONCE:
            going = work(left.pop(0))
            waiting.append((going, next(going)))
        still = []
        for going, run in waiting:
            if run.process.is_alive():
                still.append((going, run))
                continue
            try:
                still.append((going, going.send(run.wait())))
            except StopIteration as done:
                results.append(done.value)
        waiting = still
        time.sleep(0.01)
    return results


def resumed(world, folder: Path, name: str, expected: str):
    """Resumes a run; whether it ends in the expected weights."""
    code = yield forked_runs.start(world.flags(folder / name, *LONG, RESUME), folder / f"{name}-again.txt", QUICK)
    right = code == 0 and weights(folder / name) == expected
    for path in (folder / name, Path(f"{folder / name}-model")):
        shutil.rmtree(path, ignore_errors=True)
    return right


def kill_training(world, folder: Path, count: int) -> dict:
    """SIGKILL from outside, at a random moment between the first and the last step."""
    expected, seconds = uninterrupted(world, folder)
    generator = random.Random(1)
    late = [0]

    def trial(number):
        while True:
            name = f"run{number}-{late[0]}"
            run = forked_runs.start(world.flags(folder / name, *LONG), folder / f"{name}.txt", QUICK)
            while run.process.is_alive() and not (folder / name / "metrics.jsonl").exists():
                time.sleep(0.005)
            time.sleep(generator.uniform(0, 0.9 * seconds))
            run.process.kill()
            if (yield run) == 137:
                break
            late[0] += 1  # it had finished before
        return (yield from resumed(world, folder, name, expected))

    right = in_batches(range(count), trial)
    return {"value": f"{sum(right)}/{count}", "good": all(right)}


def kill_saving(world, folder: Path, count: int) -> dict:
    """SIGKILL at a random system call of a save: temporary folder, write, chmod, fsync, rename, removal of the old."""
    expected, _ = uninterrupted(world, folder)
    generator = random.Random(2)
    places = [generator.randrange(6, 170) for _ in range(count)]

    def trial(number):
        strikes = [*QUICK, ("kill_in_save", places[number])]
        name = f"run{number}"
        code = yield forked_runs.start(world.flags(folder / name, *LONG), folder / f"{name}.txt", strikes)
        assert code == 137, f"{places[number]} was after the end"
        return (yield from resumed(world, folder, name, expected))

    right = in_batches(range(count), trial)
    return {"value": f"{sum(right)}/{count}", "good": all(right)}


def divergence(world, folder: Path, count: int) -> dict:
    """A loss that is not a number at random steps; learning rates from 0.03 to 1e30; what is saved, what is said."""
    import torch
    from safetensors.torch import load_file

    generator = random.Random(3)
    trials = []
    for number in range(count):
        if number % 2:
            trials.append((["--max_steps=12"], [*QUICK, ("poison", generator.randrange(1, 13))]))
        else:
            rate = 10 ** generator.uniform(-1.5, 30 if number % 4 else 0)
            method = generator.choice(["gradient_ascent", "gradient_difference", "npo", "simnpo"])
            trials.append(([f"--learning_rate={rate:.3g}", f"--method={method}", "--max_steps=12"], QUICK))

    def trial(number):
        flags, strikes = trials[number]
        name = f"run{number}"
        code = yield forked_runs.start(world.flags(folder / name, *flags), folder / f"{name}.txt", strikes)
        state = json.loads((folder / name / "status.json").read_text())["state"]
        saved = Path(f"{folder / name}-model") / "model.safetensors"
        finite = not saved.exists() or all(bool(torch.isfinite(t).all()) for t in load_file(saved).values())
        return (code, state) in ((5, "diverged"), (0, "collapsed")), finite

    outcomes = in_batches(range(count), trial)
    said, broken = sum(reported for reported, _ in outcomes), sum(not finite for _, finite in outcomes)
    return {"value": f"{broken}; {said}/{count}", "good": broken == 0 and said == count}


def flipped_bits(world, folder: Path, count: int) -> dict:
    """One bit of one file of a checkpoint, at random; whether the manifest tells."""
    from models.store.folders import verify_manifest
    from results.run.run_folder import checkpoints

    run = forked_runs.start(world.flags(folder / "run", *LONG), folder / "run.txt", [("kill_at_step", 9)])
    assert run.wait() == 137
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

    def trial(number):
        (folder / str(number)).mkdir()
        flags = cases[number].flags(world, folder / str(number))
        run = forked_runs.start(flags, folder / str(number) / "said.txt", QUICK)
        code = yield run
        return "Traceback" in run.output or code != cases[number].code

    bad = sum(in_batches(range(len(cases)), trial))
    return {"value": f"{bad} of {len(cases)} command lines", "good": not bad}


def by_pytest(*tests: str, **environment: str) -> tuple[bool, str]:
    """(passed, last line) of tests of the suite, run by themselves."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=--strict-markers", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "-W", "ignore", *tests], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1", **environment})  # fmt: skip
    said = done.stdout.strip().splitlines()[-1]
    return done.returncode == 0 and "skipped" not in said, said


def submissions(world, folder: Path, count: int) -> dict:
    """A hundred API calls at once to a real page, and a hundred threads to its queue; every one is run, in order."""
    passed, _ = by_pytest("tests/test_user_interface.py::test_the_api_runs_a_hundred_submissions",
                          "tests/test_page_queue.py::test_a_hundred_jobs_submitted_at_once_run_in_order")  # fmt: skip
    return {"value": "0/100" if passed else "some were lost", "good": passed}


def external_hosts(world, folder: Path, count: int) -> dict:
    """Connections and name look-ups of page, run and report: tests/no_network.py."""
    import no_network

    told = no_network.watched(folder / "empty")
    hosts = sorted(set(told["attempts"]) - {"recorder.invalid"})
    worked = (told.get("run"), told.get("report")) == (0, 0) and "recorder.invalid" in told["attempts"]
    where = "in an empty network namespace" if told["isolated"] else "counted by hooks; namespaces are not allowed here"
    return {"value": f"{len(hosts)} ({where})", "good": worked and not hosts}


def scripts(world, folder: Path, count: int) -> dict:
    """Hostile text in every field and file, in a real browser; the report parsed for scripts."""
    passed, said = by_pytest("tests/test_browser.py::test_hostile_text_in_any_field_never_runs",
                             "tests/test_analyze_results.py::test_user_text_is_escaped_everywhere")  # fmt: skip
    return {"value": "0" if passed else f"not measured: {said[:80]}", "good": passed}


def help_seconds(world, folder: Path, count: int) -> dict:
    """Wall time of `unlearning_script.py --help`, the median of several."""
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "unlearning_script.py", "--help"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
        )
        seconds.append(time.perf_counter() - started)
    median = sorted(seconds)[len(seconds) // 2]
    return {"value": f"{median:.2f} s", "good": median < 1.5}


def loader(world, folder: Path, count: int) -> dict:
    """Random bytes and JSON into the readers, by hypothesis."""
    passed, _ = by_pytest("tests/test_preparation_properties.py::test_any_file_is_read_or_refused_with_a_line",
                          LOADER_CASES=str(count))  # fmt: skip
    return {
        "value": f"{count:,} cases, {'all read or refused with a line' if passed else 'some were not'}",
        "good": passed,
    }


# name: (what is told, target, trials, function)
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
    "help_seconds": ("`--help`", "< 1.5 s", 7, help_seconds),
    "loader": ("random bytes and JSON into the loader", "10,000 cases, all read or refused with a line", 10_000,
               loader),
}  # fmt: skip


def table(results: dict) -> str:
    """The figures as Markdown."""
    lines = ["| figure | target | measured | date, machine | command |", "|---|---|---|---|---|"]
    for name, (text, target, _, _) in FIGURES.items():
        if name in results:
            seen = results[name]
            lines.append(f"| {text} | {target} | {seen['value']} | {seen['date']}, {seen['machine']} | "
                         f"`{seen['command']}` |")  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    """Measures, prints, keeps; 1 when a figure misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=FIGURES, help="this figure alone; may be repeated")
    parser.add_argument("--count", type=int, help="trials, in place of each figure's own number")
    given = parser.parse_args()
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
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
            RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    measured.keep("soak", "python tests/soak.py", table(kept))
    print(table(kept))
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
