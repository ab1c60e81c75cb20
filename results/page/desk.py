"""What the web page does, whoever asks: a browser or a program. It checks requests and hands them to the queue.

Nothing here knows of Gradio except that a request carries a `username`; what is wrong is raised as `InputError`,
`DataError`, `UsageError`, `QueueError` or `RunError`, whose text is for the person who asked.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import evaluation_metrics
import unlearning_algorithm as algorithm
from data import uploads
from data.uploads import InputError
from models.store import paths
from models.store.folders import read_json_or_empty
from models.store.paths import PROJECT, RUNS, SAVED
from results.page import requests, watching
from results.page.asking import Asker
from results.page.jobs import Job, JobQueue
from results.report.runs import finite
from results.run import continuing, options

PROTECTED_MODELS = ("people-target", "people-retrained", "SmolLM2-135M-Instruct")  # others' runs start from these
SOURCES = {"text": "Text", "pairs": "Questions and answers", "file": "File", "example": "Example"}
# settings that have a place of their own in the form, or that the page decides
NOT_ADVANCED = {
    "forget_data",
    "forget_text",
    "retain_data",
    "holdout_data",
    "model_name_or_path",
    "method",
    "output_dir",
    "model_output_dir",
    "overwrite_output_dir",
    "resume_from_checkpoint",
    "continue_from",
    "earlier_data",
    "ledger",  # the one beside the page's runs
    "collapse_guard",  # the form's utility budget
    "utility_budget",
    "time_budget",
    "max_trials",
}
ADVANCED = {name: option for name, option in options.OPTIONS.items() if name not in NOT_ADVANCED}
PATHS_AMONG_THEM = {"retrained_model": "model", "general_data": "data"}
ARGUMENT_BYTES = 100_000  # Linux refuses single arguments above 128 KiB
MAX_SETTING = 1000  # characters
UNTYPED = "what you type above"
SHOWN_TEXT = 2000  # characters of typed text in the command shown; longer ones are shown as a file
UP_TO_HALF = "0.5"  # share of what should stay that a search may lose where no budget is chosen
NO_FILE = (None, "", [])


class Desk:
    """Takes requests to pieces, checks them, and hands them to the queue. `roots`: folders that paths may lie in."""

    def __init__(self, queue: JobQueue, *, results_dir=None, models_dir=None, roots=(), accounts=(), asker=None):
        self.queue, self.asker = queue, asker or Asker(PROJECT)
        self.results = Path(results_dir or RUNS)
        self.models = Path(models_dir or SAVED)
        own = dict.fromkeys([PROJECT / "models", self.models, self.results, PROJECT / "data"])
        # runs that were written before results/runs
        self.old = paths.old_runs(PROJECT / "results") if self.results == RUNS else []
        self.roots = [*own, *(Path(root).resolve() for root in roots)]
        self.accounts = tuple(accounts)
        self.watcher = watching.Watcher()
        self._naming = threading.Lock()

    # -- who may see what

    def owner(self, request) -> str | None:
        """The account behind a request; None where there are no accounts."""
        return getattr(request, "username", None) if self.accounts else None

    def runs(self, request) -> dict[str, tuple[Path, Job | None]]:
        """{name: (folder, job)} of the runs this person may see. Those without an owner are the first account's."""
        jobs = {str(PROJECT / job.folder): job for job in self.queue.jobs()}
        places = {str(folder): folder for folder in (*self.old, *watching.run_folders(self.results)) if folder.exists()}
        places.update({folder: Path(folder) for folder in jobs})
        found = {}
        for key, folder in places.items():
            job = jobs.get(key)
            if self._may_see(request, job.owner if job else None):
                root = self.results if folder.is_relative_to(self.results) else PROJECT / "results"
                found[job.name if job else str(folder.relative_to(root))] = (folder, job)
        return found

    def _may_see(self, request, owner: str | None) -> bool:
        return not self.accounts or self.owner(request) == (owner or self.accounts[0][0])

    def run(self, request, name) -> tuple[str, Path, Job | None]:
        """(name, folder, job) of a run by its name; only names in the list exist."""
        found = self.runs(request)
        if not isinstance(name, str) or name not in found:
            raise InputError(f"no run {uploads.shown(name)}: choose one of the list" if name else "choose a run first")
        return (name, *found[name])

    def job(self, request, key) -> Job | None:
        """The job with an id, or one made up for a run started elsewhere ("run:NAME"); None where there is none."""
        if isinstance(key, str) and key.startswith("run:"):
            known = self.runs(request).get(key[4:])
            if known is None:
                return None
            folder, job = known
            return job or self._stranger(key[4:], folder)
        job = self.queue.get(key) if isinstance(key, str) else None
        return job if job and self._may_see(request, job.owner) else None

    def _stranger(self, name: str, folder: Path) -> Job:
        """A run that was started in a terminal, as a job."""
        status = read_json_or_empty(folder / "status.json")
        state = watching.folder_state(folder)
        command = read_json_or_empty(folder / "config.json").get("command")
        argv = [str(word) for word in command] if isinstance(command, list) else []
        ended = None if state == "running" else finite(status.get("updated"))
        return Job(
            f"run:{name}",
            0,
            "unlearn",
            name,
            argv,
            str(folder),
            state=state,
            ended=ended,
            started=finite(status.get("started")),
            exit_code=status.get("exit_code"),
            message=str(status.get("message") or ""),
        )

    def model(self, request, value, what: str = "model") -> str:
        """A model that this person may use, as the runner wants it named."""
        name = uploads.model_name(value, self.roots, PROJECT, what)
        path = os.path.realpath(PROJECT / name)
        for job in self.queue.jobs():
            theirs = [os.path.realpath(PROJECT / folder) for folder in (job.folder, job.model_folder) if folder]
            if not self._may_see(request, job.owner) and any(Path(path).is_relative_to(f) for f in theirs):
                raise InputError(f"{what} {uploads.shown(value)}: no such file or folder")
        return name

    # -- unlearning

    def check(self, source: str, text: str, pairs, file):
        """What was understood of the forget data: examples with notes; None for the bundled ones."""
        if source == "text":
            return uploads.checked_text(text)
        if source == "pairs":
            return uploads.checked_pairs(pairs)
        if source == "file":
            if file in NO_FILE:
                raise InputError("no file yet: choose one, or drop it into the box")
            return checked_upload(file, "what to forget")
        if source != "example":
            raise InputError(f"{uploads.shown(source)}: what to forget comes from {', '.join(SOURCES)}")
        return None

    def settings(self, request, form: dict) -> dict[str, str]:
        """The runner's settings from a form, without files: checked by the runner's own rules, all problems at once."""
        given: dict[str, str] = {}
        if form["model"] not in NO_FILE:
            given["model_name_or_path"] = self.model(request, form["model"])
            before = self.continued(request, given["model_name_or_path"]) if form["source"] != "example" else None
            if before and form.get("earlier") is not False:
                given["continue_from"] = before
        given["method"] = str(form["method"] or "")
        for name, value in form["advanced"].items():
            if value in (None, ""):
                continue
            if isinstance(value, str) and (len(value) > MAX_SETTING or "\0" in value):
                raise InputError(f"--{name} {uploads.shown(value)}: at most {MAX_SETTING:,} characters, no NUL")
            if PATHS_AMONG_THEM.get(name) == "model":
                value = self.model(request, value, f"--{name}")
            elif name in PATHS_AMONG_THEM and value != "none":
                value = self._data_path(request, value, f"--{name}")
            given[name] = _word(value)
        if "," in given["method"]:
            raise InputError("one method at a time here: start a second run for the other one")
        given |= self._budget(form.get("utility_budget"), given, form.get("time_budget"))
        options.resolve({**given, **({} if form["source"] == "example" else {"forget_text": "-"})})
        return given

    @staticmethod
    def _budget(value, given: dict, time_budget=None) -> dict[str, str]:
        """The runner's settings for a share of what should stay that may be lost: it stops there and goes back.

        A search for a method is held to it too, and to a time.
        """
        searches = given["method"] == options.AUTO
        if value in (None, "") and not searches:
            return {}
        try:
            share = float(value or UP_TO_HALF)
        except (TypeError, ValueError):
            share = -1.0
        if not 0 < share < 1:
            raise InputError(f"utility budget {uploads.shown(value)}: a share between 0 and 1, such as 0.05")
        if searches:
            return {"utility_budget": f"{1 - share:g}", "time_budget": str(time_budget or "10m")}
        method = algorithm.METHODS.get(given["method"])
        if method and not method.guarded:
            raise InputError(
                f"{method.name} cannot be held to a utility budget: leave it out, or choose another method"
            )
        if given.get("load_best_model_at_end", "true") != "true":
            raise InputError("a utility budget goes back to the best state: --load_best_model_at_end must be true")
        return {"collapse_guard": f"{1 - share:g}", "load_best_model_at_end": "true"}

    @staticmethod
    def _check_method(name: str, examples):
        """Refuses plain text to a method that can only answer questions otherwise, before anything is queued."""
        method = algorithm.METHODS.get(name)
        if method and not method.works_on_raw_text and any(row.prompt is None for row in examples or ()):
            raise InputError(
                f"{name.replace('_', ' ')} needs questions with answers, and this is plain text: write it as questions "
                "and answers, or choose another method"
            )

    def _data_path(self, request, value, what: str) -> str:
        path = uploads.confined_path(str(value), self.roots, PROJECT, what)
        self.model(request, str(path if path.is_dir() else path.parent), what)  # not inside somebody else's run
        return str(path)

    def command(self, request, form: dict) -> list[str]:
        """The command for a terminal: files by their own names, which is what a person would type."""
        given = self.settings(request, form)
        data = {"file": Path(str(form["file"] or "FILE")).name, "pairs": "pairs.jsonl"}.get(form["source"])
        text = str(form["text"] or "")
        if form["source"] == "text" and len(text) > SHOWN_TEXT:
            data = "text.txt"
        elif form["source"] == "text":
            given["forget_text"] = text if text.strip() else UNTYPED
        if data:
            given["forget_data"] = data
        for split in ("retain", "holdout"):
            if form[split] not in NO_FILE:
                given[f"{split}_data"] = Path(str(form[split])).name
        if uploads.run_name(form["name"]):
            given["output_dir"] = self._short(self.results / form["name"].strip())
        return ["python", "unlearning_script.py", *_flags(given)]

    def unlearn(self, request, form: dict) -> Job:
        """Checks everything, keeps the uploads in a new run folder, queues the job."""
        examples = self.check(form["source"], form["text"], form["pairs"], form["file"])
        given = self.settings(request, form)
        self._check_method(given["method"], examples)
        for split in ("retain", "holdout"):
            if form[split] not in NO_FILE:
                checked_upload(form[split], "what to keep" if split == "retain" else "what it never saw")
        model = given.get("model_name_or_path", options.TARGET)
        folder = self._new_folder(form["name"], f"{Path(model).name}-{given['method']}")
        inputs = folder / "inputs"
        inputs.mkdir()
        if form["source"] == "pairs":
            given["forget_data"] = self._short(uploads.write_pairs(examples, inputs / "forget.jsonl"))
        elif form["source"] == "file":
            given["forget_data"] = self._kept(form["file"], inputs / "forget")
        elif form["source"] == "text" and len(form["text"].encode()) > ARGUMENT_BYTES:
            (inputs / "forget.txt").write_text(form["text"], encoding="utf-8")
            given["forget_data"] = self._short(inputs / "forget.txt")
        elif form["source"] == "text":
            given["forget_text"] = form["text"]
        for split in ("retain", "holdout"):
            if form[split] not in NO_FILE:
                given[f"{split}_data"] = self._kept(form[split], inputs / split)
        name = str(folder.relative_to(self.results))
        if not self._first(request):
            given["ledger"] = self._short(self.ledger(request))
        given |= {"output_dir": self._short(folder), "model_output_dir": self._short(self.models / name)}
        argv = ["python", "unlearning_script.py", *_flags(given)]
        return self.queue.submit(
            "unlearn",
            name,
            argv,
            self._short(folder),
            owner=self.owner(request),
            model_folder=given["model_output_dir"],
            details={"method": given["method"], "model": model},
        )

    def _new_folder(self, name: str | None, otherwise: str) -> Path:
        """A run folder that nobody else gets, even in the same second."""
        wanted = uploads.run_name(name)
        with self._naming:
            if wanted and ((self.results / wanted).exists() or (self.models / wanted).exists()):
                raise InputError(f"there is a run or a model called {wanted} already: choose another name")
            plain = re.sub(r"[^A-Za-z0-9._-]", "-", otherwise).strip(".-")[:60]
            folder = self.results / wanted if wanted else None
            while folder is None or (not wanted and folder.exists()):  # four letters meet among some hundred runs
                folder = self.results / f"{plain}-{time.strftime('%m%d-%H%M')}-{secrets.token_hex(2)}"
            folder.mkdir(parents=True)
        return folder

    def _kept(self, upload: str, target: Path) -> str:
        """A copy of an upload in the run folder, by a name of ours."""
        copy = target.with_suffix(Path(upload).suffix.lower())
        shutil.copyfile(upload, copy)
        return self._short(copy)

    def _short(self, path: Path) -> str:
        return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)

    # -- evaluating

    def evaluate(self, request, model, target, retrained, forget, retain, holdout, attacks=()) -> Job:
        """Queues `evaluation_metrics.py` for any model, on uploads or the bundled people."""
        given = {"model_name_or_path": self.model(request, model)}
        for flag, value in (("target_model", target), ("retrained_model", retrained)):
            if value not in NO_FILE:
                given[flag] = self.model(request, value, flag.replace("_", " "))
        sets = {"forget": forget, "retain": retain, "holdout": holdout}
        own = [split for split, file in sets.items() if file not in NO_FILE]
        if own and not {"forget", "retain"} <= set(own):
            raise InputError("give both a file of what was to be forgotten and one of what was to be kept, or none")
        for split in own:
            checked_upload(sets[split], f"{split} data")
        chosen = self._attacks(attacks)
        folder = self._new_folder("", f"evaluation-{Path(given['model_name_or_path']).name}")
        (folder / "inputs").mkdir()
        for split in sets:
            if split in own:
                given[f"{split}_data"] = self._kept(sets[split], folder / "inputs" / split)
            elif not own:
                given[f"{split}_data"] = options.BUNDLED[split]
        return self._measure(request, folder, {**given, **chosen})

    def attack(self, request, name, attacks) -> Job:
        """Queues attacks on the model that a run made, and on those before and beside it, on the run's own data."""
        name, folder, _ = self.run(request, name)
        config = read_json_or_empty(folder / "config.json")
        given = dict(zip(("target_model", "model_name_or_path"), self.both_models(request, name)))
        chosen = self._attacks(attacks)
        if not chosen:
            raise InputError("choose at least one attack")
        if config.get("retrained_model"):
            given["retrained_model"] = self.model(request, config["retrained_model"], "the run's retrained model")
        for split in ("forget", "retain", "holdout", "general"):
            source = config.get(f"{split}_data")
            if isinstance(source, str) and source not in ("", "none"):
                given[f"{split}_data"] = self._data_path(request, source, f"the run's {split} data")
        target = self._new_folder("", f"attacks-on-{name}")
        if isinstance(config.get("forget_text"), str):
            (target / "forget.txt").write_text(config["forget_text"], encoding="utf-8")
            given["forget_data"] = self._short(target / "forget.txt")
        if config.get("eval_rows"):
            given["limit"] = config["eval_rows"]
        return self._measure(request, target, {**given, **chosen})

    @staticmethod
    def _attacks(names) -> dict[str, str]:
        """The flag for the attacks chosen, none of which may be unknown."""
        names = [names] if isinstance(names, str) else list(names or ())
        unknown = [name for name in names if name not in evaluation_metrics.ATTACKS]
        if unknown:
            known = ", ".join(evaluation_metrics.ATTACKS)
            raise InputError(f"unknown attack {uploads.shown(unknown[0])}: there are {known}")
        return {"attacks": ",".join(names)} if names else {}

    def _measure(self, request, folder: Path, given: dict) -> Job:
        argv = ["python", "evaluation_metrics.py", *_flags({**given, "output_dir": self._short(folder)})]
        return self.queue.submit(
            "evaluate",
            folder.name,
            argv,
            self._short(folder),
            owner=self.owner(request),
            details={"method": "evaluation", "model": given["model_name_or_path"]},
        )

    # -- requests carried out

    def _first(self, request) -> bool:
        """Whether this person's runs are recorded where a terminal records them too."""
        return not self.accounts or self.owner(request) == self.accounts[0][0]

    def ledger(self, request) -> Path:
        """The ledger of a person's requests: with accounts, each but the first has one of their own."""
        path = paths.ledger_of(self.results / "run")
        if self._first(request):
            return path
        return path.parent / f"ledger-{hashlib.sha256(str(self.owner(request)).encode()).hexdigest()[:12]}.jsonl"

    def continued(self, request, model: str) -> str | None:
        """The finished run that made a model, by its folder: the next request goes on from there. None: no run did."""
        path = os.path.realpath(PROJECT / model)
        for name, (folder, _) in self.runs(request).items():
            made = self.model_folder(request, name)
            if made and str(made) == path and (folder / "report.html").is_file():
                return self._short(folder)
        return None

    def retest(self, request) -> Job:
        """Queues the test of all recorded requests on the model that the newest of them left."""
        path = self.ledger(request)
        recorded = requests.requests_of(path, self.runs(request))
        if not recorded:
            raise InputError("no request is recorded yet, so there is nothing to test again")
        name = recorded[-1]["run"]
        model = self.model_folder(request, name)
        if model is None:
            raise InputError(f"the model of {name}, which carried out the newest request, is gone")
        folder = self._new_folder("", "requests-tested-again")
        return self._measure(request, folder, {"model_name_or_path": self._short(model), "ledger": self._short(path)})

    # -- finished runs

    def both_models(self, request, name) -> list[str]:
        """The models before and after a run."""
        _, folder, _ = self.run(request, name)
        config = read_json_or_empty(folder / "config.json")
        return [
            self.model(request, os.path.expanduser(str(config.get(key) or "")), f"the run's model ({key})")
            for key in ("model_name_or_path", "model_output_dir")
        ]

    def model_folder(self, request, name) -> Path | None:
        """The folder of the model that a run made: a saved one that no other run starts from; or None."""
        _, folder, job = self.run(request, name)
        named = (job and job.model_folder) or read_json_or_empty(folder / "config.json").get("model_output_dir")
        if not isinstance(named, str) or not named:
            return None
        path = Path(os.path.realpath(PROJECT / os.path.expanduser(named)))
        inside = path.is_relative_to(self.models.resolve()) and path != self.models.resolve()
        inside = inside or (folder in self.old and path.parent == PROJECT / "models" and paths.is_model(path))
        return path if inside and path.is_dir() and path.name not in PROTECTED_MODELS else None

    def zip_model(self, request, name) -> str:
        """The run's model as a zip in the page's own temporary folder."""
        folder = self.model_folder(request, name)
        if folder is None:
            raise InputError(f"{name}: there is no model to download")
        target = _offer_folder() / f"{folder.name}.zip"
        if shutil.disk_usage(target.parent).free < 1.1 * folder_bytes(folder):
            raise InputError(f"not enough disk space for the zip; the model lies in {self._short(folder)}")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # weights do not compress
            for path in sorted(folder.rglob("*")):
                if path.is_file() and not path.is_symlink():
                    archive.write(path, Path(folder.name) / path.relative_to(folder))
        return str(target)

    def followers(self, request, names) -> dict[str, list[str]]:
        """Of the runs `names` those that other runs continue from, with the names of these others."""
        found: dict[str, list[str]] = {}
        chosen = {os.path.realpath(self.run(request, name)[1]): name for name in names}
        for other, (folder, _) in self.runs(request).items():
            before = read_json_or_empty(folder / "config.json").get("continue_from")
            name = chosen.get(os.path.realpath(continuing.found(before, folder))) if before else None
            if name and other not in names:
                found.setdefault(name, []).append(other)
        return found

    def delete(self, request, names) -> list[str]:
        """Deletes runs, their jobs and the models they made; nothing else."""
        chosen = [self.run(request, name) for name in dict.fromkeys(names or ())]
        if not chosen:
            raise InputError("choose the runs to delete")
        for name, folder, job in chosen:
            state = job.state if job else watching.folder_state(folder)
            if state in ("queued", "running"):
                raise InputError(f"{name} is {state}: stop it first")
            inside = folder.resolve().is_relative_to(self.results.resolve()) or folder in self.old
            if folder.is_symlink() or not inside:
                raise InputError(f"{name} is kept: it is not a run of this page")
            model = self.model_folder(request, name)
            needy = [
                other.name
                for other in self.queue.jobs()
                if not other.over
                and model
                and os.path.realpath(PROJECT / str(other.details.get("model"))) == str(model)
            ]
            if needy:
                raise InputError(f"{name} is kept: its model is used by {', '.join(needy)}")
        for name, folder, job in chosen:
            model = self.model_folder(request, name)
            if model:
                shutil.rmtree(model)
            shutil.rmtree(folder, ignore_errors=True)
            if job:
                self.queue.forget(job.id)
        return [name for name, _, _ in chosen]

    def compare(self, request, names) -> Path:
        """Compares finished runs with `analyze_results.py`; the folder of the comparison."""
        chosen = [str(self.run(request, name)[1]) for name in dict.fromkeys(names or ())]
        if len(chosen) < 2:
            raise InputError("choose two or more finished runs to compare")
        target = self.results / ".comparisons" / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        argv = [sys.executable, str(PROJECT / "analyze_results.py"), *chosen, f"--output_dir={target}"]
        try:
            done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            raise InputError("the comparison took longer than 5 minutes and was given up") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("error:")] or ["it failed"]
            raise InputError("the runs cannot be compared: " + "; ".join(lines))
        return target


def checked_upload(path: str | Path, what: str):
    """`uploads.checked_upload`; what is refused is deleted from the page's own temporary folder at once."""
    try:
        return uploads.checked_upload(path, what)
    except ValueError:
        path, own = Path(path), os.environ.get("GRADIO_TEMP_DIR")
        if own and path.resolve().is_relative_to(Path(own).resolve()):
            path.unlink(missing_ok=True)
        raise


def _word(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return (
        repr(int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value)
        if isinstance(value, (int, float))
        else str(value)
    )


def _flags(settings: dict) -> list[str]:
    """One argument per setting: a value that looks like a flag, or holds spaces and quotes, stays a value."""
    return [f"--{name}={value}" for name, value in settings.items()]


def folder_bytes(folder: Path) -> int:
    """Size of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def megabytes(count: int) -> str:
    """A size for people."""
    return f"{count / 1e6:,.1f} MB" if count < 1e7 else f"{count / 1e6:,.0f} MB"


def _offer_folder() -> Path:
    """A new folder with a name nobody can guess, from which the page may serve a file."""
    folder = Path(os.environ["GRADIO_TEMP_DIR"]) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder


def offer(path: Path) -> str:
    """A copy of a file where the page may serve it from: results/ itself is served to nobody."""
    return str(shutil.copyfile(path, _offer_folder() / path.name))
