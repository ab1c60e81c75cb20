"""The queue of jobs: each runs one of the scripts as a child process, one at a time. People take turns.

A job is a JSON file in `results/runs/.queue/`, so a closed tab or a restarted server loses none. A restarted server
recognises a running process by its id and start time, and reads the result of an ended one from its run folder. The
child has its own session and writes to `log.txt` in its run folder: a pipe would block once its reader is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from data import private
from models.store.folders import read_json_or_empty
from models.store.on_first_use import fcntl
from models.store.process_identity import alive, birth_of

LOG = "log.txt"
ENDED = ("finished", "failed", "stopped", "diverged", "collapsed")
EXIT_WORDS = {
    1: "an unexpected error; see the end of the log",
    2: "an invalid setting",
    3: "the data cannot be used",
    4: "the model cannot be used",
    5: "training diverged",
    6: "the disk is full, or a folder is not writable",
    7: "the run folder is in use",
    8: "something forgotten came back",
    -9: "killed, usually because memory ran out",
    137: "killed, usually because memory ran out",
    -11: "crashed in native code",
}
CAME_BACK = 8  # a retest's exit code for this result, which is not a failure
MOST_OPEN = {True: 20, False: 1000}  # jobs that have not ended: of one account, and of a page without accounts
POLL = 0.1  # seconds between looks at the child
FORCED = 5.0  # seconds until a stop is forced in a stage with nothing worth finishing
GRACE = 10.0  # seconds after a second stop until a job that does not answer is killed
EVALUATING = ("evaluating unlearned", "evaluating target", "evaluating retrained")
UNINTERRUPTED = ("unlearning", "saving", *EVALUATING, "reporting")  # stages that stop cleanly by themselves
AUTH_VARIABLE = "UNLEARNING_AUTH"  # everybody's passwords; never passed to a child
SETTINGS = "inputs/request.yaml"  # in a run folder
WITHHELD = ("forget_text", "forget_about")  # what is to be forgotten: in a file, because `ps` shows command lines


class QueueError(ValueError):
    """Another server uses the queue's folder, or a job cannot do what was asked."""

    exit_code = 7


@dataclass
class Job:
    """One entry of the queue; `argv` is what a person would type, `folder` is where it writes."""

    id: str
    number: int
    kind: str  # "unlearn", "evaluate", or "request": it prepares the rows of one
    name: str
    argv: list[str]
    folder: str
    model_folder: str | None = None
    owner: str | None = None
    submitted: float = 0.0
    state: str = "queued"
    started: float | None = None
    ended: float | None = None
    pid: int | None = None
    birth: int | None = None
    exit_code: int | None = None
    message: str = ""
    stop_asked: float | None = None
    stop_now: float | None = None  # when it was asked a second time
    attempt: int = 1
    details: dict = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in ENDED


def child_environment() -> dict[str, str]:
    """The environment of a child, which may run what a stranger's model or data brings along."""
    return {key: value for key, value in os.environ.items() if key != AUTH_VARIABLE}


def withheld(argv: list[str], file: Path) -> list[str]:
    """The command with its `WITHHELD` settings moved into a settings file that only its owner can read."""
    found: dict[str, list[str]] = {}
    kept = []
    for word in argv:
        flag, equals, value = word.partition("=")
        if equals and flag.startswith("--") and flag[2:] in WITHHELD:
            found.setdefault(flag[2:], []).append(value)
        else:
            kept.append(word)
    if not found:
        return argv
    file.parent.mkdir(mode=private.folder_mode(), parents=True, exist_ok=True)
    settings = {name: values if len(values) > 1 else values[0] for name, values in found.items()}
    private.write(file, yaml.safe_dump(settings))
    return [*kept, f"--config={file}"]


def has_checkpoint(folder: str | Path) -> bool:
    """Whether a run folder holds a checkpoint to resume from."""
    return any(not path.parent.is_symlink() for path in Path(folder).glob("checkpoint-*/manifest.json"))


class JobQueue:
    """Jobs under `results_dir`, run by one thread; `project` holds the scripts.

    `submit`, `stop`, `again` and `forget` are thread-safe. `close` does not stop a running child: the next server
    adopts it.
    """

    def __init__(self, results_dir: Path, project: Path):
        self.folder, self.project = Path(results_dir) / ".queue", Path(project)
        self._guard = threading.RLock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._jobs: dict[str, Job] = {}
        self._served: dict[str | None, float] = {}  # owner: when their newest job started
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen | None = None
        self._lock_file = None

    # -- life

    def start(self) -> JobQueue:
        """Reads the jobs of an earlier server and starts to work. Raises QueueError if another server is running."""
        old = self.project / "results" / ".queue"  # the place of jobs before results/runs existed
        if old.is_dir() and not self.folder.exists():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            old.rename(self.folder)
            print(f"note: the jobs of {old} are now in {self.folder}", flush=True)
        self.folder.mkdir(mode=private.folder_mode(), parents=True, exist_ok=True)
        self._lock_file = open(self.folder / "lock", "a+")  # noqa: SIM115 - the lock lasts as long as the file is open
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock_file.close()
            raise QueueError(f"another server already uses {self.folder.parent}: use that one") from None
        for path in sorted(self.folder.glob("*.json")):
            with contextlib.suppress(TypeError):  # a damaged file stays, for a person to look at
                job = Job(**read_json_or_empty(path))
                self._jobs[job.id] = job
                self._served[job.owner] = max(self._served.get(job.owner, 0.0), job.started or 0.0)
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stops working; a running child continues."""
        self._closing.set()
        self._wake.set()
        if self._thread:
            self._thread.join(5)
        if self._lock_file:
            self._lock_file.close()

    # -- what callers do

    def jobs(self) -> list[Job]:
        """Copies of all jobs, oldest first."""
        with self._guard:
            return [dataclasses.replace(job) for job in sorted(self._jobs.values(), key=lambda job: job.number)]

    def get(self, job_id: str | None) -> Job | None:
        """A copy of one job."""
        with self._guard:
            job = self._jobs.get(str(job_id))
            return dataclasses.replace(job) if job else None

    def places(self) -> dict[str, int]:
        """{id: number of jobs ahead of it, if nobody else submits one} of the open jobs."""
        with self._guard:
            return {job.id: place for place, job in enumerate(self._order())}

    def ahead_of(self, job_id: str) -> int:
        """The number of jobs ahead of this one; 0 for one that has ended."""
        return self.places().get(job_id, 0)

    def _order(self) -> list[Job]:
        """Open jobs: the running one, then one of each person in turn, first of those who have waited longest.

        The jobs of one person keep their order.
        """
        jobs = sorted((job for job in self._jobs.values() if not job.over), key=lambda job: job.number)
        turns: dict[str | None, int] = {}
        rounds = {}
        for job in jobs:
            if job.state == "queued":
                rounds[job.id] = turns[job.owner] = turns.get(job.owner, 0) + 1
        first = {owner: next(job.number for job in jobs if job.owner == owner) for owner in turns}
        return sorted(jobs, key=lambda job: (
            rounds.get(job.id, 0), self._served.get(job.owner, 0.0), first.get(job.owner, 0), job.number
        ))  # fmt: skip

    def check_room(self, owner: str | None) -> None:
        """Raises QueueError if a person has too many jobs that have not ended."""
        most = MOST_OPEN[owner is not None]
        with self._guard:
            if sum(job.owner == owner and not job.over for job in self._jobs.values()) >= most:
                raise QueueError(f"{most} of your jobs have not ended yet: wait for one of them, or stop one")

    def submit(self, kind: str, name: str, argv: list[str], folder, **more) -> Job:
        """Puts a job at the end of the queue. argv: ["python", script, "--flag=value", ...]; no shell sees it.

        What is to be forgotten goes into a file of the run folder, see `withheld`.
        """
        with self._guard:
            self.check_room(more.get("owner"))
            key, number = secrets.token_hex(8), self._next_number()
            argv = withheld(argv, self.project / folder / SETTINGS)
            job = Job(key, number, kind, name, argv, str(folder), submitted=time.time(), **more)
            self._jobs[job.id] = job
            self._save(job)
        self._wake.set()
        return dataclasses.replace(job)

    def stop(self, job_id: str) -> Job:
        """Removes a waiting job; asks a running one to stop after its step, and to stop now on the second call.

        A job that does not answer is killed `GRACE` seconds after the second call: it would block everybody's jobs.
        """
        with self._guard:
            job = self._jobs[job_id]
            if job.state == "queued":
                self._end(job, "stopped", None, "removed from the queue before it started")
            elif job.state == "running":
                if job.stop_asked:
                    job.stop_now = job.stop_now or time.time()
                job.stop_asked = job.stop_asked or time.time()
                self._signal(job, signal.SIGTERM)
                self._save(job)
            return dataclasses.replace(job)

    def again(self, job_id: str) -> Job:
        """Queues a stopped or failed job again, from its newest checkpoint if it has one."""
        with self._guard:
            job = self._jobs[job_id]
            if not job.over or job.state == "finished":
                raise QueueError(f"{job.name} is {job.state}: only a stopped or failed job can be resumed")
            self.check_room(job.owner)
            job.argv = [word for word in job.argv if not word.startswith("--resume_from_checkpoint")]
            if has_checkpoint(self.project / job.folder):
                job.argv.append("--resume_from_checkpoint=latest")
            self._path(job).unlink(missing_ok=True)
            job.number, job.state, job.attempt = self._next_number(), "queued", job.attempt + 1
            job.submitted, job.started, job.ended = time.time(), None, None
            job.pid = job.birth = job.exit_code = job.stop_asked = job.stop_now = None
            job.message = ""
            self._save(job)
        self._wake.set()
        return dataclasses.replace(job)

    def forget(self, job_id: str) -> None:
        """Removes an ended job from the list, but not its folders."""
        with self._guard:
            job = self._jobs[job_id]
            if not job.over:
                raise QueueError(f"{job.name} is {job.state}: stop it first")
            self._path(self._jobs.pop(job_id)).unlink(missing_ok=True)

    # -- files

    def _next_number(self) -> int:
        return max((job.number for job in self._jobs.values()), default=0) + 1

    def _path(self, job: Job) -> Path:
        return self.folder / f"{job.number:08d}-{job.id}.json"

    def _save(self, job: Job) -> None:
        temporary = self._path(job).with_suffix(".tmp")
        private.write(temporary, json.dumps(dataclasses.asdict(job), indent=1))
        temporary.replace(self._path(job))

    # -- the worker

    def _work(self) -> None:
        while not self._closing.is_set():
            with self._guard:
                job = next(iter(self._order()), None)
            if job is None:
                self._wake.wait(1.0)
                self._wake.clear()
            elif job.state == "running":
                self._watch(job)
            else:
                self._launch(job)

    def _launch(self, job: Job) -> None:
        folder = self.project / job.folder
        words = [sys.executable, str(self.project / job.argv[1]), *job.argv[2:]]
        environment = child_environment() | {
            "PYTHONUNBUFFERED": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "DO_NOT_TRACK": "1",
        }
        with self._guard:
            if job.state != "queued":  # stopped in the meantime
                return
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with private.created(), open(folder / LOG, "ab") as log:
                    self._process = subprocess.Popen(
                        words,
                        cwd=self.project,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
            except (OSError, ValueError) as error:
                self._end(job, "failed", None, f"could not be started: {error}")
                return
            job.state, job.started, job.pid = "running", time.time(), self._process.pid
            job.birth = birth_of(job.pid)
            self._served[job.owner] = job.started
            self._save(job)
        self._watch(job)

    def _watch(self, job: Job) -> None:
        """Waits for our child or an earlier server's. Forces a stop in a stage with nothing worth finishing."""
        own = self._process if self._process and self._process.pid == job.pid else None
        forced = False
        while not self._closing.is_set():
            ended = own.poll() is not None if own else job.birth is None or not alive(job.pid, job.birth)
            if ended:
                self._judge(job, own.returncode if own else None)
                self._process = None
                return
            if job.stop_asked and not forced and time.time() - job.stop_asked > FORCED:
                forced = True
                if read_json_or_empty(self.project / job.folder / "status.json").get("stage") not in UNINTERRUPTED:
                    self._signal(job, signal.SIGTERM)
            if job.stop_now and time.time() - job.stop_now > GRACE:
                self._signal(job, signal.SIGKILL)
            if own is None:
                self._closing.wait(POLL)
            else:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    own.wait(POLL)

    def _signal(self, job: Job, number: int) -> None:
        """Signals the child's process group, if the id still belongs to it."""
        if job.birth is not None and alive(job.pid, job.birth):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(job.pid, number)

    def _judge(self, job: Job, code: int | None) -> None:
        """Ends a job by its exit code, or by the status in its folder if the code was not seen."""
        status = read_json_or_empty(self.project / job.folder / "status.json")
        earlier = status["pid"] != job.pid if "pid" in status else status.get("started", 0) < (job.started or 0) - 1
        if job.birth is not None and status.get("birth", job.birth) != job.birth:
            earlier = True
        if earlier:  # from another attempt; compare ids if possible, because a clock may be set back
            status = {}
        if code is None:
            code = status.get("exit_code")
        message = str(status.get("message") or "")
        if code in (0, CAME_BACK):
            message = message or EXIT_WORDS.get(code, "")
            state = "collapsed" if status.get("state") == "collapsed" else "finished"
        elif job.stop_asked or code in (129, 130, 143):
            state, message = "stopped", message or "stopped"
        else:
            state = "diverged" if code == 5 else "failed"
            message = message or EXIT_WORDS.get(code, "the process ended without a message")
        with self._guard:
            self._end(job, state, code, message)

    def _end(self, job: Job, state: str, code: int | None, message: str) -> None:
        job.state, job.exit_code, job.message, job.ended = state, code, message[:4000], time.time()
        self._save(job)
