"""Checks every request of a browser or a program, and carries it out or queues it. Does not use Gradio.

A request is anything with a `username`. A refusal is an `InputError`, `DataError`, `UsageError`, `QueueError` or
`RunError`; its text is shown to the user.
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
from models.methods import own as own_methods
from models.requests import ledger
from models.store import paths
from models.store.folders import read_json_or_empty
from models.store.paths import PROJECT, RUNS, SAVED
from results.page import watching
from results.page.asking import Asker
from results.page.jobs import Job, JobQueue
from results.report.runs import finite
from results.run import continuing, options

PROTECTED_MODELS = (
    "people-target",
    "people-retrained",
    "SmolLM2-135M-Instruct",
)  # other people's runs start from these
SOURCES = {"text": "Text", "pairs": "Questions and answers", "file": "File", "example": "Example"}
# settings that have their own field in the form or that the page sets
NOT_ADVANCED = {
    *("forget_data", "forget_text", "retain_data", "holdout_data", "judging_data", "model_name_or_path", "method"),
    *("output_dir", "model_output_dir", "overwrite_output_dir", "resume_from_checkpoint"),
    *("continue_from", "earlier_data", "ledger"),
    *("training_data", "forget_about", "forget_about_file", "doubtful", "yes", "build_retrained", "base_model"),
    *("null_config", "exam_data", "lm_eval"),
    # these name programs or upload, which only the server's owner may do
    *("method_from", "metric_from", "export", "gguf_converter", "push_to_hub"),
    *("collapse_guard", "utility_budget", "time_budget", "max_trials", *evaluation_metrics.budget_flags()),
}
ADVANCED = {name: option for name, option in options.OPTIONS.items() if name not in NOT_ADVANCED}
KEPT_FILES = {"retain": "what to keep", "holdout": "what it never saw"}  # optional files of the form
ARGUMENT_BYTES = 100_000  # Linux refuses single arguments above 128 KiB
MAX_SETTING = 1000  # characters
UNTYPED = "what you type above"
SHOWN_TEXT = 2000  # characters of typed text in the shown command; a longer text is shown as a file
UP_TO_HALF = "0.5"  # utility that a search may lose if no budget is selected
EMPTY = (None, "", [])


class Desk:
    """All that the page does for a request. A form is {field: value} with the API's names; fields may be missing.

    `roots`: folders that may hold models and data, besides the project's. `accounts`: (user, password) pairs; the first
    account owns the runs that have no owner.
    """

    def __init__(self, queue: JobQueue, *, results_dir=None, models_dir=None, roots=(), accounts=(), asker=None):
        self.queue, self.asker = queue, asker or Asker(PROJECT)
        self.results, self.models = Path(results_dir or RUNS), Path(models_dir or SAVED)
        own = dict.fromkeys([PROJECT / "models", self.models, self.results, PROJECT / "data"])
        # runs from before results/runs existed
        self.old = paths.old_runs(PROJECT / "results") if self.results == RUNS else []
        self.roots = [*own, *(Path(root).resolve() for root in roots)]
        self.accounts = tuple(accounts)
        self.watcher = watching.Watcher()
        self._naming = threading.Lock()

    # -- who may see what

    def owner(self, request) -> str | None:
        """The account behind a request; None without accounts."""
        return getattr(request, "username", None) if self.accounts else None

    def _first(self, request) -> bool:
        """Whether this person's runs are recorded together with runs from a terminal."""
        return not self.accounts or self.owner(request) == self.accounts[0][0]

    def _may_see(self, request, owner: str | None) -> bool:
        return not self.accounts or self.owner(request) == (owner or self.accounts[0][0])

    def runs(self, request) -> dict[str, tuple[Path, Job | None]]:
        """{name: (folder, job)} of the runs that this person may see."""
        jobs = {PROJECT / job.folder: job for job in self.queue.jobs()}
        found = {}
        for folder in dict.fromkeys([*self.old, *watching.run_folders(self.results), *jobs]):
            job = jobs.get(folder)
            if (job or folder.exists()) and self._may_see(request, job.owner if job else None):
                root = self.results if folder.is_relative_to(self.results) else PROJECT / "results"
                found[job.name if job else str(folder.relative_to(root))] = (folder, job)
        return found

    def run(self, request, name) -> tuple[str, Path, Job | None]:
        """(name, folder, job) of a run; only listed names exist."""
        found = self.runs(request)
        if not isinstance(name, str) or name not in found:
            raise InputError(
                f"no run {uploads.shown(name)}: select one from the list" if name else "select a run first"
            )
        return (name, *found[name])

    def job(self, request, key) -> Job | None:
        """The job with an id, or a stand-in for "run:NAME", a run from a terminal; None if there is none."""
        if isinstance(key, str) and key.startswith("run:"):
            folder, job = self.runs(request).get(key[4:], (None, None))
            return job or (_stand_in(key, folder) if folder else None)
        job = self.queue.get(key) if isinstance(key, str) else None
        return job if job and self._may_see(request, job.owner) else None

    def model(self, request, value, what: str = "model") -> str:
        """A model that this person may use, as the runner expects it."""
        name = uploads.model_name(value, self.roots, PROJECT, what)
        path = Path(os.path.realpath(PROJECT / name))
        for job in self.queue.jobs():
            theirs = [os.path.realpath(PROJECT / folder) for folder in (job.folder, job.model_folder) if folder]
            if not self._may_see(request, job.owner) and any(path.is_relative_to(folder) for folder in theirs):
                raise InputError(f"{what} {uploads.shown(value)}: no such file or folder")
        return name

    def _data_path(self, request, value, what: str) -> str:
        path = uploads.confined_path(str(value), self.roots, PROJECT, what)
        self.model(request, str(path if path.is_dir() else path.parent), what)  # not inside another person's run
        return str(path)

    # -- unlearning

    def check(self, form: dict):
        """The examples to forget, with notes; None for the bundled ones."""
        source, file = form.get("source"), form.get("file")
        if source == "text":
            return uploads.checked_text(form.get("text"))
        if source == "pairs":
            return uploads.checked_pairs(form.get("pairs"))
        if source == "file":
            if file in EMPTY:
                raise InputError("no file yet: select one, or drop it into the box")
            return checked_upload(file, "what to forget")
        if source != "example":
            raise InputError(f"{uploads.shown(source)}: the source must be one of {', '.join(SOURCES)}")
        return None

    def settings(self, request, form: dict) -> dict[str, str]:
        """The runner's settings without data files, checked by the runner's rules; reports all problems together."""
        given: dict[str, str] = {}
        if form.get("model") not in EMPTY:
            given["model_name_or_path"] = self.model(request, form["model"])
            before = self.continued(request, given["model_name_or_path"]) if form.get("source") != "example" else None
            if before and form.get("earlier") is not False:
                given["continue_from"] = before
        given["method"] = str(form.get("method") or "")
        for name in ADVANCED:
            value = form.get(name)
            if value in (None, ""):
                continue
            if isinstance(value, str) and (len(value) > MAX_SETTING or "\0" in value):
                raise InputError(f"--{name} {uploads.shown(value)}: at most {MAX_SETTING:,} characters, no NUL")
            if name == "retrained_model":
                value = self.model(request, value, f"--{name}")
            elif name == "general_data" and value != "none":
                value = self._data_path(request, value, f"--{name}")
            given[name] = str(value).lower() if isinstance(value, bool) else str(value)
        if given["method"] in own_methods.OWN:
            given["method_from"] = own_methods.OWN[given["method"]].source
        if "," in given["method"]:
            raise InputError("one method at a time: start a second run for the other one")
        given |= _budget(form.get("utility_budget"), given, form.get("time_budget"))
        options.resolve({**given, **({} if form["source"] == "example" else {"forget_text": "-"})})
        return given

    def command(self, request, form: dict) -> list[str]:
        """The command as a person would type it, with the files' own names."""
        given = self.settings(request, form)
        source, text = form.get("source"), str(form.get("text") or "")
        data = {"file": Path(str(form.get("file") or "FILE")).name, "pairs": "pairs.jsonl"}.get(source)
        if source == "text" and len(text) > SHOWN_TEXT:
            data = "text.txt"
        elif source == "text":
            given["forget_text"] = text if text.strip() else UNTYPED
        if data:
            given["forget_data"] = data
        for split in KEPT_FILES:
            if form.get(split) not in EMPTY:
                given[f"{split}_data"] = Path(str(form[split])).name
        if name := uploads.run_name(form.get("name")):
            given["output_dir"] = self._short(self.results / name)
        return ["python", "unlearning_script.py", *_flags(given)]

    def unlearn(self, request, form: dict) -> Job:
        """Checks everything, copies the uploads into a new run folder, queues the job."""
        examples = self.check(form)
        given = self.settings(request, form)
        _check_method(given["method"], examples)
        for split, what in KEPT_FILES.items():
            if form.get(split) not in EMPTY:
                checked_upload(form[split], what)
        model = given.get("model_name_or_path", options.TARGET)
        folder = self._new_folder(form.get("name"), f"{Path(model).name}-{given['method']}")
        given |= self._inputs(form, examples, folder / "inputs")
        if not self._first(request):
            given["ledger"] = self._short(self.ledger(request))
        name = str(folder.relative_to(self.results))
        given |= {"output_dir": self._short(folder), "model_output_dir": self._short(self.models / name)}
        details = {"method": given["method"], "model": model}
        return self._submit(request, "unlearn", name, given, details, model_folder=given["model_output_dir"])

    def _submit(self, request, kind: str, name: str, given: dict, details: dict, **more) -> Job:
        script = "unlearning_script.py" if kind == "unlearn" else "evaluation_metrics.py"
        argv = ["python", script, *_flags(given)]
        return self.queue.submit(
            kind, name, argv, given["output_dir"], owner=self.owner(request), details=details, **more
        )

    def _inputs(self, form: dict, examples, inputs: Path) -> dict[str, str]:
        """The flags of the run's data, whose files are copied into the folder `inputs`."""
        inputs.mkdir()
        source, given = form["source"], {}
        if source == "pairs":
            given["forget_data"] = self._short(uploads.write_pairs(examples, inputs / "forget.jsonl"))
        elif source == "file":
            given["forget_data"] = self._kept(form["file"], inputs / "forget")
        elif source == "text" and len(form["text"].encode()) > ARGUMENT_BYTES:
            (inputs / "forget.txt").write_text(form["text"], encoding="utf-8")
            given["forget_data"] = self._short(inputs / "forget.txt")
        elif source == "text":
            given["forget_text"] = form["text"]
        for split in KEPT_FILES:
            if form.get(split) not in EMPTY:
                given[f"{split}_data"] = self._kept(form[split], inputs / split)
        return given

    def _new_folder(self, name: str | None, otherwise: str) -> Path:
        """A new run folder; two requests never get the same one."""
        wanted = uploads.run_name(name)
        with self._naming:
            if wanted and ((self.results / wanted).exists() or (self.models / wanted).exists()):
                raise InputError(f"a run or model named {wanted} exists already: choose another name")
            plain = re.sub(r"[^A-Za-z0-9._-]", "-", otherwise).strip(".-")[:60]
            folder = self.results / wanted if wanted else None
            while folder is None or (not wanted and folder.exists()):  # four letters collide after a few hundred runs
                folder = self.results / f"{plain}-{time.strftime('%m%d-%H%M')}-{secrets.token_hex(2)}"
            folder.mkdir(parents=True)
        return folder

    def _kept(self, upload: str, target: Path) -> str:
        """A copy of an upload in the run folder, under our own name."""
        copy = target.with_suffix(Path(upload).suffix.lower())
        shutil.copyfile(upload, copy)
        return self._short(copy)

    def _short(self, path: Path) -> str:
        return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)

    # -- measuring

    def evaluate(self, request, form: dict) -> Job:
        """Queues `evaluation_metrics.py` for any model, on uploads or the bundled people."""
        given = {"model_name_or_path": self.model(request, form.get("model"))}
        for flag in ("target_model", "retrained_model"):
            if form.get(flag) not in EMPTY:
                given[flag] = self.model(request, form[flag], flag.replace("_", " "))
        splits = ("forget", "retain", "holdout")
        own = [split for split in splits if form.get(split) not in EMPTY]
        if own and not {"forget", "retain"} <= set(own):
            raise InputError("give both a forget set and a retain set, or no file at all")
        for split in own:
            checked_upload(form[split], f"{split} data")
        attacks = _attacks(form.get("attacks"))
        folder = self._new_folder("", f"evaluation-{Path(given['model_name_or_path']).name}")
        (folder / "inputs").mkdir()
        for split in own:
            given[f"{split}_data"] = self._kept(form[split], folder / "inputs" / split)
        if not own:
            given |= {f"{split}_data": options.BUNDLED[split] for split in splits}
        return self._measure(request, folder, {**given, **attacks})

    def attack(self, request, name, attacks) -> Job:
        """Queues attacks on a run's model, its target and its retrained model, with the run's own data."""
        name, folder, _ = self.run(request, name)
        config = read_json_or_empty(folder / "config.json")
        given = dict(zip(("target_model", "model_name_or_path"), self.both_models(request, name)))
        chosen = _attacks(attacks)
        if not chosen:
            raise InputError("select at least one attack")
        if config.get("retrained_model"):
            given["retrained_model"] = self.model(request, config["retrained_model"], "the run's retrained model")
        for split in ("forget", "retain", "holdout", "judging", "general"):
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

    def retest(self, request) -> Job:
        """Queues the test of all recorded requests on the model of the newest one."""
        recorded = self.requests(request)
        if not recorded:
            raise InputError("no request is recorded yet, so there is nothing to test")
        name, folder, job = self.run(request, recorded[-1]["run"])
        model = self.model_of(folder, job)
        if model is None:
            raise InputError(f"the model of {name}, which made the newest request, no longer exists")
        given = {"model_name_or_path": self._short(model), "ledger": self._short(self.ledger(request))}
        return self._measure(request, self._new_folder("", "requests-tested-again"), given)

    def _measure(self, request, folder: Path, given: dict) -> Job:
        details = {"method": "evaluation", "model": given["model_name_or_path"]}
        given = {**given, "output_dir": self._short(folder)}
        return self._submit(request, "evaluate", folder.name, given, details)

    # -- recorded requests

    def ledger(self, request) -> Path:
        """The ledger of a person's requests: the first account's, or their own."""
        path = paths.ledger_of(self.results / "run")
        if self._first(request):
            return path
        return path.parent / f"ledger-{hashlib.sha256(str(self.owner(request)).encode()).hexdigest()[:12]}.jsonl"

    def requests(self, request) -> list[dict]:
        """The ledger's lines about runs that this person may see; [] without a ledger."""
        runs = self.runs(request)
        try:
            return [entry for entry in ledger.entries(self.ledger(request)) if entry.get("run") in runs]
        except ledger.LedgerError:
            return []

    def continued(self, request, model: str) -> str | None:
        """The folder of the finished run that made a model; the next request continues from it."""
        path = os.path.realpath(PROJECT / model)
        for folder, job in self.runs(request).values():
            made = self.model_of(folder, job)
            if made and str(made) == path and (folder / "report.html").is_file():
                return self._short(folder)
        return None

    # -- finished runs

    def both_models(self, request, name) -> list[str]:
        """The models before and after a run."""
        _, folder, _ = self.run(request, name)
        config = read_json_or_empty(folder / "config.json")
        return [
            self.model(request, os.path.expanduser(str(config.get(key) or "")), f"the run's model ({key})")
            for key in ("model_name_or_path", "model_output_dir")
        ]

    def model_of(self, folder: Path, job: Job | None) -> Path | None:
        """The folder of the model that a run made, if it may be deleted with the run; else None."""
        named = (job and job.model_folder) or read_json_or_empty(folder / "config.json").get("model_output_dir")
        if not isinstance(named, str) or not named:
            return None
        path = Path(os.path.realpath(PROJECT / os.path.expanduser(named)))
        inside = path.is_relative_to(self.models.resolve()) and path != self.models.resolve()
        inside = inside or (folder in self.old and path.parent == PROJECT / "models" and paths.is_model(path))
        return path if inside and path.is_dir() and path.name not in PROTECTED_MODELS else None

    def zip_model(self, request, name) -> str:
        """The run's model as a zip in the page's own temporary folder."""
        _, folder, job = self.run(request, name)
        model = self.model_of(folder, job)
        if model is None:
            raise InputError(f"{name} has no model to download")
        target = _offer_folder() / f"{model.name}.zip"
        if shutil.disk_usage(target.parent).free < 1.1 * folder_bytes(model):
            raise InputError(f"not enough disk space for the zip; the model is in {self._short(model)}")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # weights do not compress
            for path in sorted(model.rglob("*")):
                if path.is_file() and not path.is_symlink():
                    archive.write(path, Path(model.name) / path.relative_to(model))
        return str(target)

    def followers(self, request, names) -> dict[str, list[str]]:
        """{run: names of the other runs that continue from it} for those of `names` that have any."""
        found: dict[str, list[str]] = {}
        chosen = {os.path.realpath(self.run(request, name)[1]): name for name in names}
        for other, (folder, _) in self.runs(request).items():
            before = read_json_or_empty(folder / "config.json").get("continue_from")
            name = chosen.get(os.path.realpath(continuing.found(before, folder))) if before else None
            if name and other not in names:
                found.setdefault(name, []).append(other)
        return found

    def delete(self, request, names) -> list[str]:
        """Deletes runs, their jobs and the models they made; nothing else. Checks all of them first."""
        chosen = [self.run(request, name) for name in dict.fromkeys(names or ())]
        if not chosen:
            raise InputError("select the runs to delete")
        for name, folder, job in chosen:
            self._check_deletable(name, folder, job)
        for _, folder, job in chosen:
            model = self.model_of(folder, job)
            if model:
                shutil.rmtree(model)
            shutil.rmtree(folder, ignore_errors=True)
            if job:
                self.queue.forget(job.id)
        return [name for name, _, _ in chosen]

    def _check_deletable(self, name: str, folder: Path, job: Job | None) -> None:
        state = job.state if job else watching.folder_state(folder)
        if state in ("queued", "running"):
            raise InputError(f"{name} is {state}: stop it first")
        inside = folder.resolve().is_relative_to(self.results.resolve()) or folder in self.old
        if folder.is_symlink() or not inside:
            raise InputError(f"{name} cannot be deleted: it is not a run of this page")
        model = self.model_of(folder, job)
        used = [
            other.name
            for other in self.queue.jobs()
            if model and not other.over and os.path.realpath(PROJECT / str(other.details.get("model"))) == str(model)
        ]
        if used:
            raise InputError(f"{name} cannot be deleted: {', '.join(used)} still needs its model")

    def compare(self, request, names) -> Path:
        """Compares finished runs with `analyze_results.py`; returns the folder of the comparison."""
        chosen = [str(self.run(request, name)[1]) for name in dict.fromkeys(names or ())]
        if len(chosen) < 2:
            raise InputError("select two or more finished runs to compare")
        target = self.results / ".comparisons" / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        argv = [sys.executable, str(PROJECT / "analyze_results.py"), *chosen, f"--output_dir={target}"]
        try:
            done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            raise InputError("the comparison was cancelled after 5 minutes") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("error:")] or ["it failed"]
            raise InputError("the runs cannot be compared: " + "; ".join(lines))
        return target


def _stand_in(key: str, folder: Path) -> Job:
    """A run from a terminal as a job."""
    status = read_json_or_empty(folder / "status.json")
    state = watching.folder_state(folder)
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


def _budget(value, given: dict, time_budget=None) -> dict[str, str]:
    """The runner's flags for a utility budget: stop at that loss and restore the best state; for a search, also a time.

    `value`: the share that may be lost, or empty.
    """
    searches = given["method"] == options.AUTO
    if value in (None, "") and not searches:
        return {}
    try:
        share = float(value or UP_TO_HALF)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 < share < 1:
        raise InputError(f"utility budget {uploads.shown(value)}: give a share between 0 and 1, such as 0.05")
    if searches:
        return {"utility_budget": f"{1 - share:g}", "time_budget": str(time_budget or "10m")}
    method = algorithm.METHODS.get(given["method"])
    if method and not method.guarded:
        raise InputError(f"{method.name} cannot stop at a utility budget: clear it, or select another method")
    if given.get("load_best_model_at_end", "true") != "true":
        raise InputError("a utility budget restores the best state: --load_best_model_at_end must be true")
    return {"collapse_guard": f"{1 - share:g}", "load_best_model_at_end": "true"}


def _check_method(name: str, examples) -> None:
    """Refuses plain text for a method that needs questions, before anything is queued."""
    method = algorithm.METHODS.get(name)
    if method and not method.works_on_raw_text and any(row.prompt is None for row in examples or ()):
        raise InputError(
            f"{name.replace('_', ' ')} needs questions with answers, and this is plain text: enter questions and "
            "answers, or select another method"
        )


def _attacks(names) -> dict[str, str]:
    """The flag for the selected attacks; refuses unknown names."""
    names = [names] if isinstance(names, str) else list(names or ())
    unknown = [name for name in names if name not in evaluation_metrics.ATTACKS]
    if unknown:
        known = ", ".join(evaluation_metrics.ATTACKS)
        raise InputError(f"unknown attack {uploads.shown(unknown[0])}; known: {known}")
    return {"attacks": ",".join(names)} if names else {}


def _flags(settings: dict) -> list[str]:
    """One argument per setting, so a value with dashes, spaces or quotes stays one value."""
    return [f"--{name}={value}" for name, value in settings.items()]


def checked_upload(path: str | Path, what: str):
    """`uploads.checked_upload`; a refused file is deleted at once from the page's temporary folder."""
    try:
        return uploads.checked_upload(path, what)
    except ValueError:
        path, own = Path(path), os.environ.get("GRADIO_TEMP_DIR")
        if own and path.resolve().is_relative_to(Path(own).resolve()):
            path.unlink(missing_ok=True)
        raise


def folder_bytes(folder: Path) -> int:
    """Size of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def megabytes(count: int) -> str:
    """A size as text."""
    return f"{count / 1e6:,.1f} MB" if count < 1e7 else f"{count / 1e6:,.0f} MB"


def _offer_folder() -> Path:
    """A new folder with an unguessable name that the page may serve files from."""
    folder = Path(os.environ["GRADIO_TEMP_DIR"]) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder


def offer(path: Path) -> str:
    """A copy of a file that the page may serve: results/ itself is never served."""
    return str(shutil.copyfile(path, _offer_folder() / path.name))
