"""Follows a run while it writes: stage, progress, time left, curves, live answers, search, the end of its log.

Each look reads only new lines, so its cost does not grow with the run. Curves have at most 500 points and logs 200
lines, because more would freeze a browser.
"""

from __future__ import annotations

import functools
import html
import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from data.finding.split import MARKER
from data.request_files import record_of
from models.store.folders import read_json_or_empty
from models.store.process_identity import alive
from models.verdict.words import PARTS
from results.page.jobs import GRACE, LOG, Job, has_checkpoint
from results.report.ranking import verdict_cells
from results.report.runs import finite, judged
from results.report.words import duration, percents
from results.run import options
from results.run.request.preview import folder_in, read_preview

SPLITS = {"forget": "to forget", "retain": "to keep", "holdout": "never seen"}  # set: its name on the page
STAGES = {  # the runner's name: (the page's name, share of a typical run's time)
    "preparing": ("Reading the data", 2),
    "asking the base model": ("Asking the base model", 2),
    "training the proxy": ("Training the teacher", 10),
    "loading": ("Loading the model", 6),
    "checking retrained": ("Checking the retrained model", 2),
    "searching": ("Trying methods", 200),
    "unlearning the teacher": ("Unlearning the teacher", 10),
    "unlearning": ("Unlearning", 34),
    "saving": ("Saving the model", 2),
    "evaluating unlearned": ("Measuring the unlearned model", 16),
    "evaluating target": ("Measuring the original model", 16),
    "evaluating retrained": ("Measuring the retrained model", 10),
    "reporting": ("Writing the report", 4),
    "done": ("Done", 0),
}
STATES = {
    "queued": "Waiting",
    "running": "Running",
    "finished": "Finished",
    "failed": "Failed",
    "stopped": "Stopped",
    "diverged": "Diverged",
    "collapsed": "Stopped early",
    "interrupted": "Interrupted",
    # ends of a finished job without a verdict, see `end_state`
    "ready": "Ready to look at",
    "nothing": "Nothing known",
    "measured": "Measured",
    "unmeasured": "Not measured",
}
LOG_LINES, LOG_BYTES, LINE_CHARACTERS, POINTS = 200, 65_536, 2_000, 500
KEPT, KEPT_ROWS = 32, 10_000  # traces, and rows of the list of runs, in memory
LOOK = 0.8  # seconds in which one look at the list makes new rows


def log_tail(folder: Path, lines: int = LOG_LINES) -> str:
    """The last lines of a run's log; a progress bar counts as one line."""
    try:
        with open(folder / LOG, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    rows = [row.rstrip("\r").rpartition("\r")[2][:LINE_CHARACTERS] for row in text.split("\n")]
    return "\n".join(rows[1 if size > LOG_BYTES else 0 :][-lines:]).strip("\n")


def thinned(rows: list, most: int) -> list:
    """At most `most` rows, evenly spread, with the first and the last."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]


@dataclass
class Trace:
    """The content of metrics.jsonl so far, and how far it was read."""

    offset: int = 0
    inode: int = 0
    steps: list[tuple] = field(default_factory=list)  # (step, forget loss, retain loss)
    evaluations: list[dict] = field(default_factory=list)
    first_answers: dict = field(default_factory=dict)
    last_answers: dict = field(default_factory=dict)
    seconds: float = 0.0

    def take(self, record: dict) -> None:
        """Adds one line of the file; ignores a line without a numeric step."""
        kind, step = record.get("event"), finite(record.get("step"))
        if step is None:
            return
        self.seconds += finite(record.get("seconds")) or 0.0
        if kind == "step":
            self.steps.append((int(step), finite(record.get("forget_loss")), finite(record.get("retain_loss"))))
        elif kind == "evaluation":
            self.evaluations.append(record)
        elif kind == "answers" and isinstance(record.get("answers"), list):
            self.first_answers = self.first_answers or record
            self.last_answers = record


class Watcher:
    """Traces of the `KEPT` runs watched last, by folder; thread-safe."""

    def __init__(self):
        self._guard = threading.Lock()
        self._traces: OrderedDict[str, Trace] = OrderedDict()

    def trace(self, folder: Path) -> Trace:
        """The folder's trace, read up to the last complete line."""
        path = folder / "metrics.jsonl"
        with self._guard:
            trace = self._traces.pop(str(folder), None) or Trace()
            try:
                about = path.stat()
                if about.st_size < trace.offset or about.st_ino != trace.inode:
                    trace = Trace(inode=about.st_ino)
                with open(path, "rb") as file:
                    file.seek(trace.offset)
                    data = file.read()
            except OSError:
                data, trace = b"", Trace()
            whole = data.rfind(b"\n") + 1  # the rest is a half-written line
            for line in data[:whole].split(b"\n"):
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(record, dict):
                    trace.take(record)
            trace.offset += whole
            self._traces[str(folder)] = trace
            if len(self._traces) > KEPT:
                self._traces.popitem(last=False)
            return trace


# ---------------------------------------------------------------------------------------------------------------------
# What the live view shows


def probability_points(trace: Trace) -> list[tuple]:
    """(step, answer probability, set) of each evaluation, for the plot."""
    points = []
    for record in thinned(trace.evaluations, POINTS // len(SPLITS)):
        for split in SPLITS:
            value = finite((record.get(split) or {}).get("answer_probability"))
            if value is not None:
                points.append((int(record["step"]), value, SPLITS[split]))
    return points


def loss_points(trace: Trace) -> list[tuple]:
    """(step, training loss, set) of each step, for the plot."""
    points = []
    for step, forget, retain in thinned(trace.steps, POINTS // 2):
        pairs = (("forget", forget), ("retain", retain))
        points += [(step, value, SPLITS[name]) for name, value in pairs if value is not None]
    return points


CURVE_HEADERS = ["Step", *(f"{name}: {what}" for name in SPLITS.values() for what in ("how likely", "loss"))]


def curve_rows(trace: Trace) -> list[list]:
    """The plot as a table: a row per evaluation, newest first."""
    rows = []
    for record in thinned(trace.evaluations, LOG_LINES)[::-1]:
        row: list = [int(record["step"])]
        for split in SPLITS:
            seen = record.get(split) if isinstance(record.get(split), dict) else {}
            for key in ("answer_probability", "loss"):
                value = finite(seen.get(key))
                row.append("–" if value is None else f"{value:.3f}")
        rows.append(row)
    return rows


NO_QUESTION = "(continue the first half of the text)"
ANSWER_HEADERS = ["Question", "Answer before", "Answer now", "To be forgotten"]


def answer_rows(trace: Trace) -> list[list[str]]:
    """Live answers to the first forget rows, at the first and at the latest evaluation."""
    rows = []
    before = trace.first_answers.get("answers") or []
    for number, now in enumerate(trace.last_answers.get("answers") or []):
        first = before[number] if number < len(before) else {}
        if isinstance(now, dict):
            cells = (now.get("prompt") or NO_QUESTION, first.get("answer"), now.get("answer"), now.get("gold"))
            rows.append(["" if cell is None else str(cell) for cell in cells])
    return rows


def known_nothing(folder: Path) -> str:
    """The sentence of a request about which the model knows nothing; "" for any other run."""
    place = folder_in(folder)
    if place is None or record_of(place / MARKER).get("nothing_known") is not True:
        return ""
    try:
        preview = read_preview(place)
    except ValueError:
        return ""
    return preview.sentence() if preview.nothing_known else ""


def end_state(state: str, folder: Path, kind: str = "unlearn") -> str:
    """The key in `STATES` of a job's end: that of a finished job says whether there is a verdict of this version."""
    if state != "finished" or (folder / "retest.json").is_file():
        return state
    if known_nothing(folder):
        return "nothing"
    if kind == "request":
        return "ready"
    verdict = verdict_of(folder)
    if verdict and verdict[0]:
        return state
    return "measured" if kind == "evaluate" and verdict else "unmeasured"


@dataclass
class Progress:
    """The progress of a job in words."""

    state: str
    stage: str
    share: float | None  # 0..1; None: unknown
    detail: str
    seconds_left: float | None = None


def progress(job: Job, folder: Path, trace: Trace, ahead: int = 0, searched: float | None = None) -> Progress:
    """State, stage, share done and time left, from the job, status.json and the trace.

    `searched`: share done of a search for a method; None without a search.
    """
    if job.state == "queued":
        waiting = "starts next" if not ahead else f"{ahead} job{'s' if ahead > 1 else ''} ahead"
        return Progress("queued", "In the queue", 0.0, waiting)
    status = read_json_or_empty(folder / "status.json")
    stage = str(status.get("stage") or "")
    if job.kind == "evaluate":
        stage = ""
    starting = {"evaluate": "Measuring", "request": "Looking for it"}.get(job.kind, "Starting")
    words, _ = STAGES.get(stage, (starting, 0))
    step, total = finite(status.get("step")) or 0, finite(status.get("total_steps")) or 0
    names = [name for name in STAGES if name != "searching" or searched is not None]
    done = sum(STAGES[name][1] for name in names[: names.index(stage)]) if stage in names else 0
    inside = step / total if stage == "unlearning" and total else searched or 0.0 if stage == "searching" else 0.0
    share = (done + inside * STAGES.get(stage, ("", 0))[1]) / sum(STAGES[name][1] for name in names)
    left = None
    if stage == "unlearning" and step and total:
        left = trace.seconds / step * (total - step)
    detail = f"step {step:.0f} of {total:.0f}" if stage == "unlearning" and total else str(status.get("doing") or "")
    if job.state == "stopped":  # the runner's own message is a command for the terminal
        way = "Resume continues from the checkpoint" if has_checkpoint(folder) else "no checkpoint: it can start again"
        return Progress("stopped", words, min(share, 0.99), way)
    if job.over:
        share = 1.0 if job.state in ("finished", "collapsed") else min(share, 0.99)
        return Progress(end_state(job.state, folder, job.kind), words, share, job.message)
    if job.stop_asked:
        detail = "stopping after the current step; press Stop again to stop now"
    if job.stop_now:
        detail = f"stopping now; if it does not answer, it is ended after {duration(GRACE)}"
    if job.kind == "request":
        share = step / total if total else None
        detail = detail or (f"{step:.0f} of {total:.0f}" if total else "")
    return Progress(
        "running", words, None if job.kind == "evaluate" or share is None else min(share, 0.99), detail, left
    )


def status_html(job: Job, seen: Progress, now: float | None = None, result: str = "", tone: str = "",
                about: str = "") -> str:  # fmt: skip
    """The status card, one of the page's two pieces of handwritten HTML. It escapes every text.

    tone: of the result; it colours a finished job, and only a good one is green. about: the sentence about the subject.
    """
    escape = html.escape
    took = (job.ended or now or time.time()) - job.started if job.started else None
    facts = [escape(seen.detail)] if seen.detail else []
    if seen.seconds_left is not None:
        facts.append(f"about {duration(max(1.0, round(seen.seconds_left)))} of unlearning left")
    if took is not None:
        facts.append(f"{'took' if job.over else 'running for'} {duration(round(took))}")
    if job.state in ("failed", "diverged") and job.exit_code is not None:
        facts.append(f"exit code {job.exit_code}")
    title = job.name if job.over or seen.state == "queued" else seen.stage
    name = "" if title == job.name else job.name
    percent = None if seen.share is None else round(100 * seen.share)
    bar = '<progress aria-label="Progress">working</progress>'
    if percent is not None:
        bar = f'<progress max="100" value="{percent}" aria-label="Progress">{percent} %</progress>'
    outcome = f'<p class="job-result"><strong>{escape(result)}</strong></p>' if result else ""
    first = f'<p class="about-subject">{escape(about)}</p>' if about else ""
    return (
        f'<section class="job job-{escape(seen.state)} tone-{escape(tone or "none")}" role="status" '
        f'aria-label="State of the job">'
        f'{first}<p class="job-head"><span class="badge">{escape(STATES.get(seen.state, seen.state))}</span>'
        f"<strong>{escape(title)}</strong><span class='job-name'>{escape(name)}</span></p>"
        f'{bar}<p class="job-facts">{" · ".join(facts)}</p>{outcome}</section>'
    )


# ---------------------------------------------------------------------------------------------------------------------
# A search for the best method: `--method auto` keeps search.json in the run folder


TRIAL_HEADERS = ["Trial", "Method", "Forgotten", "Rest kept", "Time", "Outcome"]


def search_of(folder: Path) -> dict:
    """search.json of a run folder; {} without a search."""
    found = read_json_or_empty(folder / "search.json")
    return found if isinstance(found.get("trials"), list) else {}


def tried(search: dict) -> list[dict]:
    """The trials that ended."""
    return [trial for trial in search.get("trials", []) if isinstance(trial, dict)]


def search_share(search: dict) -> float:
    """Share of the search that is done, 0..1: of its trials or of its time, whichever is larger."""
    if search.get("state") != "searching":
        return 1.0
    try:
        seconds = options.seconds_of(search.get("time_budget"))
    except ValueError:
        seconds = math.inf
    most = finite(search.get("max_trials")) or math.inf
    return min(1.0, max(len(tried(search)) / most, (finite(search.get("seconds")) or 0.0) / seconds))


def _percent(trial: dict, key: str, *beside: float) -> str:
    value = finite(trial.get(key))
    return "–" if value is None else percents(value, 0.0, 1.0, *beside)[0]


def _budget(search: dict) -> list[float]:
    """[the share of the rest that a trial must keep], [] if it is not known."""
    budget = finite(search.get("utility_budget"))
    return [] if budget is None else [budget]


def trial_rows(search: dict) -> list[list[str]]:
    """A row per trial, the newest first."""
    rows = []
    for trial in tried(search)[::-1]:
        if trial.get("state") != "complete":
            outcome = f"stopped early: {trial.get('why') or 'no reason given'}"
        elif trial.get("number") == search.get("winner"):
            outcome = "the best so far" if trial.get("within") else "keeps the most so far, but not enough"
        elif not trial.get("within"):
            outcome = "loses more than allowed"
        else:
            outcome = "its answers still differ from those to unseen rows" if trial.get("told_apart") else ""
        method = str(trial.get("method") or "–").replace("_", " ")
        took = duration(round(finite(trial.get("seconds")) or 0))
        shares = [_percent(trial, "forgetting"), _percent(trial, "utility", *_budget(search))]
        rows.append([str(trial.get("number", "")), method, *shares, took, outcome])
    return rows


def search_told(search: dict, searching: bool) -> str:
    """The state of a search in two or three sentences; "" without a search."""
    if not search:
        return ""
    done, most = len(tried(search)), finite(search.get("max_trials"))
    best = next((trial for trial in tried(search) if trial.get("number") == search.get("winner")), None)
    limit = f" of at most {most:.0f}" if most else ""
    now = f"Trial {done + 1}{limit} is running; the search takes at most {search.get('time_budget')}."
    if most and done >= most:
        now = f"The last of {done} trials has ended."
    if not searching:
        now = f"The search made {done} trial{'' if done == 1 else 's'}."
    if best is None:
        return f"{now} No trial has completed{' yet' if searching else ''}."
    name = str(best.get("method") or "").replace("_", " ")
    kept = _percent(best, "utility", *_budget(search))
    shares = f"{_percent(best, 'forgetting')} forgotten, {kept} of the rest kept"
    what = f"trial {best.get('number')}, {name}: {shares}"
    if best.get("within"):
        return f"{now} {'Best so far' if searching else 'The best'}: {what}."
    return f"{now} No trial keeps as much of the rest as you asked for; the closest is {what}."


# ---------------------------------------------------------------------------------------------------------------------
# All runs


RUN_HEADERS = ["State", "Run", "Method", "Model", "Started", "Duration", *map(str.capitalize, PARTS)]


def run_folders(results_dir: Path) -> list[Path]:
    """Run folders, up to two levels deep: several methods share a folder."""
    found = {path.parent for pattern in ("*/config.json", "*/*/config.json") for path in results_dir.glob(pattern)}
    return sorted(
        path for path in found if not any(part.startswith(".") for part in path.relative_to(results_dir).parts)
    )


def folder_state(folder: Path) -> str:
    """State of a run without a job of this page."""
    status = read_json_or_empty(folder / "status.json")
    state = str(status.get("state") or "")
    if state == "running" and not alive(status.get("pid"), status.get("birth")):
        return "interrupted"
    if not state and (folder / "report.html").exists():
        return "finished"
    return state if state in STATES else "interrupted"


def stand_in(key: str, folder: Path) -> Job:
    """A run from a terminal as a job."""
    status = read_json_or_empty(folder / "status.json")
    state = folder_state(folder)
    command = read_json_or_empty(folder / "config.json").get("command")
    argv = [str(word) for word in command] if isinstance(command, list) else []
    return Job(
        key,
        0,
        "unlearn",
        key.removeprefix("run:"),
        argv,
        str(folder),
        state=state,
        ended=None if state == "running" else finite(status.get("updated")),
        started=finite(status.get("started")),
        exit_code=status.get("exit_code"),
        message=str(status.get("message") or ""),
    )


def run_row(name: str, folder: Path, job: Job | None, ahead: int = 0) -> list[str]:
    """One row of the table of runs."""
    config, status = read_json_or_empty(folder / "config.json"), read_json_or_empty(folder / "status.json")
    began = (job and job.started) or finite(status.get("started"))
    ended = (job and job.ended) or finite(status.get("updated"))
    state, verdict = job.state if job else folder_state(folder), verdict_of(folder)
    shown = end_state(state, folder, job.kind if job else "unlearn")
    return [
        STATES.get(shown, shown) + (f" ({ahead} ahead)" if ahead else ""),
        name,
        str(config.get("method") or (job and job.details.get("method")) or "–").replace("_", " "),
        str(config.get("model_name_or_path") or (job and job.details.get("model")) or "–"),
        time.strftime("%d %b %H:%M", time.localtime(began)) if began else "–",
        duration(round(ended - began)) if began and ended and ended > began and state != "running" else "–",
        *(verdict_cells(*verdict) if verdict else ["–"] * len(PARTS)),
    ]


class Rows:
    """`run_row` of many runs. A row is made again only when a file that it shows, or its job, has changed.

    One look makes rows for `LOOK` seconds; the rest follow at the next looks, because a thousand evaluations take
    longer to read than a page may wait.
    """

    FILES = ("config.json", "status.json", "evaluation.json", "report.html", "retest.json", "request")

    def __init__(self):
        self._rows: dict[Path, tuple[tuple, list[str]]] = {}

    def rows(self, runs: Iterable[tuple[str, Path, Job | None, int]]) -> list[list[str]]:
        """The rows of runs, each given as the arguments of `run_row`."""
        until = time.monotonic() + LOOK
        return [self._row(*run, until) for run in runs]

    def _row(self, name: str, folder: Path, job: Job | None, ahead: int, until: float) -> list[str]:
        if (job and not job.over) or not folder.is_dir():  # an open job may change without a file
            return run_row(name, folder, job, ahead)
        seen = (name, job and (job.state, job.started, job.ended), *map(_stamp, (folder / file for file in self.FILES)))
        kept = self._rows.get(folder)
        if kept and kept[0] == seen:
            return kept[1]
        if time.monotonic() > until:
            return ["…", name, *["…"] * (len(RUN_HEADERS) - 2)]
        row = run_row(name, folder, job, ahead)
        if job or folder_state(folder) != "running":  # what a terminal runs may end without a word
            if len(self._rows) >= KEPT_ROWS:
                self._rows.clear()
            self._rows[folder] = (seen, row)
        return row


def _stamp(path: Path) -> tuple | None:
    """What changes when a file is written again; None without a file."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, about.st_ino


def verdict_of(folder: Path) -> tuple[dict[str, str], str | None] | None:
    """(the three words, the verdict as text) of a run's evaluation; None before there is one."""
    path = folder / "evaluation.json"
    return _verdict_of(path, _stamp(path))


@functools.lru_cache(maxsize=KEPT_ROWS)
def _verdict_of(path: Path, stamp: tuple | None) -> tuple[dict[str, str], str | None] | None:
    """The same; an evaluation can take 5 ms to read, so it is read again only when `stamp` has changed."""
    evaluation = read_json_or_empty(path)
    comparison = evaluation.get("comparison")
    told = comparison.get("verdict") if isinstance(comparison, dict) else None
    return (judged(evaluation, [])[0], told) if evaluation else None
