"""Checks every request of a browser or a program, and carries it out or queues it. Does not use Gradio.

A request is anything with a `username`. A refusal is an `InputError`, `DataError`, `UsageError`, `QueueError` or
`RunError`; its text is shown to the user.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import evaluation_metrics
import unlearning_algorithm as algorithm
from data import uploads
from data.documents.request import TYPED
from data.uploads import InputError
from models.methods import own as own_methods
from models.requests import ledger
from models.store import paths
from models.store.folders import read_json_or_empty
from models.store.paths import PROJECT, RUNS, SAVED
from results.after import purge
from results.page import methods, watching
from results.page.asking import Asker
from results.page.jobs import Job, JobQueue, child_environment
from results.page.server import places
from results.page.server.files import checked_upload, checked_uploads, remove_zips, zipped
from results.run import continuing, options

PROTECTED_MODELS = (
    "people-target",
    "people-retrained",
    "SmolLM2-135M-Instruct",
)  # other people's runs start from these
# what a form may ask to forget: everything about a name, these exact words, what a text says, ...
SOURCES = ("name", "text", "passages", "pairs", "file", "example")
# settings that have their own field in the form or that the page sets
NOT_ADVANCED = {
    *("forget_data", "forget_text", "retain_data", "holdout_data", "judging_data", "model_name_or_path", "method"),
    *("output_dir", "model_output_dir", "overwrite_output_dir", "resume_from_checkpoint"),
    *("continue_from", "earlier_data", "ledger"),
    *("training_data", "forget_about", "forget_about_file", "subject_kind", "doubtful", "yes", "request_only"),
    *("build_retrained", "base_model", "null_config", "exam_data", "lm_eval"),
    # these name programs or upload, which only the server's owner may do
    *("method_from", "metric_from", "export", "gguf_converter", "push_to_hub", "sign_with", "shared_folders"),
    *(
        "collapse_guard",
        "utility_budget",
        "time_budget",
        "max_trials",
        "search_methods",
        *evaluation_metrics.budget_flags(),
    ),
}
ADVANCED = {name: option for name, option in options.OPTIONS.items() if name not in NOT_ADVANCED}
KEPT_FILES = {"retain": "what to keep", "holdout": "what it never saw"}  # optional files of the form
MAX_WORDS = 100_000  # bytes: Linux refuses single arguments above 128 KiB
MAX_SETTING = 1000  # characters
MAX_QUESTION = 4000  # characters
UNTYPED = "what you type above"
SHOWN_TEXT = 2000  # characters of exact words in the shown command
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
        return _listed_run(self.runs(request), name)

    def chosen(self, request, names) -> list[tuple[str, Path, Job | None]]:
        """The same of several runs, from one look at the folders."""
        found = self.runs(request)
        return [_listed_run(found, name) for name in _listed(names, "runs")]

    def job(self, request, key) -> Job | None:
        """The job with an id, or a stand-in for "run:NAME", a run from a terminal; None if there is none."""
        if isinstance(key, str) and key.startswith("run:"):
            folder, job = self.runs(request).get(key[4:], (None, None))
            return job or (watching.stand_in(key, folder) if folder else None)
        job = self.queue.get(key) if isinstance(key, str) else None
        return job if job and self._may_see(request, job.owner) else None

    def find(self, request, run) -> Job:
        """The job of a run, or a stand-in for a run from a terminal, by its key or its name."""
        if not isinstance(run, str) or not run:
            raise InputError("run: give the key that /unlearn returned, or a name from /runs")
        job = self.job(request, run) or self.job(request, f"run:{run}")
        if job is None:
            raise InputError(f"no run {uploads.shown(run)}: give the key that /unlearn returned, or a name from /runs")
        return job

    def own_job(self, request, key) -> Job:
        """The same, for a job that this page runs. Raises InputError for any other key."""
        job = self.job(request, key)
        if job is None or job.id.startswith("run:"):
            raise InputError("this page has no such job")
        return job

    def model(self, request, value, what: str = "model") -> str:
        """A model that this person may use, as the runner expects it."""
        may = functools.partial(self._may_use, request)
        name = uploads.model_name(value, self.roots, PROJECT, what, may)
        places.check_bases(name, self.roots, may)
        return name

    def data_path(self, request, value, what: str) -> str:
        """A path on the server whose data this person may use."""
        may = functools.partial(self._may_use, request)
        return str(uploads.confined_path(str(value), self.roots, PROJECT, what, may))

    def _may_use(self, request, place: Path) -> bool:
        """Whether a place holds nothing of another person."""
        if not self.accounts:
            return True
        mine, theirs = [], []
        for job in self.queue.jobs():
            made = [PROJECT / folder for folder in (job.folder, job.model_folder) if folder]
            (mine if self._may_see(request, job.owner) else theirs).extend(made)
        homes = places.Homes(self.results, self.models, [self.models / name for name in PROTECTED_MODELS])
        return places.may_use(place, homes, mine, theirs, self._first(request))

    # -- unlearning

    def check(self, form: dict):
        """The examples to forget, with notes; None for the bundled ones."""
        source, file = form.get("source"), form.get("file")
        if source in ("text", "passages"):
            rows = uploads.checked_text(form.get("text"))
            if source == "text" and (size := len(form["text"].encode())) > MAX_WORDS:
                raise InputError(f"the exact words have {size:,} bytes; at most {MAX_WORDS:,}: give them as a text or "
                                 "a file, and what they say is forgotten")  # fmt: skip
            return rows
        if source == "pairs":
            return uploads.checked_pairs(form.get("pairs"))
        if source == "file":
            if file in EMPTY:
                raise InputError("no file yet: select one, or drop it into the box")
            return checked_uploads(_files(file), "what to forget")
        if source == "name":
            if form.get("about") in EMPTY:
                raise InputError("nothing to forget yet: give a name")
            return [row for path in _files(form.get("training_data")) for row in checked_upload(path, "training data")]
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
        for name in (*ADVANCED, "subject_kind"):
            value = form.get(name)
            if value in (None, ""):
                continue
            if isinstance(value, str) and (len(value) > MAX_SETTING or "\0" in value):
                raise InputError(f"--{name} {uploads.shown(value)}: at most {MAX_SETTING:,} characters, no NUL")
            if name == "retrained_model":
                value = self.model(request, value, f"--{name}")
            elif name == "attn_implementation" and "/" in str(value):
                raise InputError(f"--{name} {uploads.shown(value)}: give a name such as sdpa, no code from the hub")
            elif name == "general_data" and value != "none":
                value = self.data_path(request, value, f"--{name}")
            given[name] = str(value).lower() if isinstance(value, bool) else str(value)
        if given["method"] in own_methods.OWN:
            given["method_from"] = own_methods.OWN[given["method"]].source
        if "," in given["method"]:
            raise InputError("one method at a time: start a second run for the other one")
        given["method"] = methods.fitting(given, form)
        given |= methods.budget(form.get("utility_budget"), given, form.get("time_budget"))
        options.resolve({**given, **_stand_in_data(form)})
        return given

    def command(self, request, form: dict) -> list[str]:
        """The command as a person would type it, with the files' own names."""
        given = self.settings(request, form)
        source, text = form.get("source"), str(form.get("text") or "")
        files = ",".join(Path(str(path)).name for path in _files(form.get("file")))
        data = {"file": files or "FILE", "pairs": "pairs.jsonl", "passages": TYPED}.get(source)
        if source == "text":
            shown = text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}…"
            given["forget_text"] = shown if text.strip() else UNTYPED
        elif source == "name":
            given |= {"forget_about": ";".join(form.get("about") or [UNTYPED]), "yes": "true"}
            if names := [Path(str(path)).name for path in _files(form.get("training_data"))]:
                given["training_data"] = ",".join(names)
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
        given, folder, data = self.placed(request, form)
        if form["source"] == "name":
            data["yes"] = "true"
        return self.submit_run(request, str(folder.relative_to(self.results)), folder, {**given, **data})

    def placed(self, request, form: dict) -> tuple[dict, Path, dict]:
        """(settings, new run folder, flags of its data) of a form, after all checks and with copies of its uploads."""
        examples = self.check(form)
        given = self.settings(request, form)
        self.check_method(given["method"], [row.prompt for row in examples or ()])
        for split, what in KEPT_FILES.items():
            if form.get(split) not in EMPTY:
                checked_upload(form[split], what)
        given = {"model_name_or_path": options.TARGET, **given}
        plain = f"{Path(given['model_name_or_path']).name}-{given['method']}"
        folder = self._new_folder(request, form.get("name"), plain)
        data = self._inputs(form, examples, folder / "inputs")
        return {**given, "output_dir": self._short(folder)}, folder, data

    def submit_run(self, request, name: str, folder: Path, given: dict) -> Job:
        """Queues a run in its folder."""
        if not self._first(request):
            given = {**given, "ledger": self._short(self.ledger(request))}
        given = {**given, "output_dir": self._short(folder), "model_output_dir": self._short(self.models / name)}
        details = {"method": given["method"], "model": given.get("model_name_or_path", options.TARGET)}
        return self.submit(request, "unlearn", name, given, details, model_folder=given["model_output_dir"])

    def submit(self, request, kind: str, name: str, given: dict, details: dict, **more) -> Job:
        """Queues a script with these settings; "evaluate" measures, every other kind is the runner's."""
        script = "evaluation_metrics.py" if kind == "evaluate" else "unlearning_script.py"
        argv = ["python", script, *_flags(given)]
        return self.queue.submit(
            kind, name, argv, given["output_dir"], owner=self.owner(request), details=details, **more
        )

    def _inputs(self, form: dict, examples, inputs: Path) -> dict[str, str]:
        """The flags of the run's data, whose files are copied into the folder `inputs`."""
        inputs.mkdir(mode=0o700)
        source, given = form["source"], {}
        if source == "pairs":
            given["forget_data"] = self._short(uploads.write_pairs(examples, inputs / "forget.jsonl"))
        elif source == "file":
            copies = self._copies(form["file"], inputs / "forget")
            given["forget_data"] = copies[0] if len(copies) == 1 else self._short(inputs / "forget")
        elif source == "name":
            given["forget_about"] = ";".join(form["about"])
            if _files(form.get("training_data")):
                given["training_data"] = ",".join(self._copies(form["training_data"], inputs / "training"))
        elif source == "passages":
            (inputs / TYPED).write_text(form["text"], encoding="utf-8")
            given["forget_data"] = self._short(inputs / TYPED)
        elif source == "text":
            given["forget_text"] = form["text"]
        return given | self.kept_files(form, inputs)

    def kept_files(self, form: dict, inputs: Path) -> dict[str, str]:
        """The flags of the files with rows to keep, copied into the folder `inputs`."""
        chosen = [split for split in KEPT_FILES if form.get(split) not in EMPTY]
        return {f"{split}_data": self._kept(form[split], inputs / split) for split in chosen}

    def _new_folder(self, request, name: str | None, otherwise: str) -> Path:
        """A new run folder; two requests never get the same one."""
        self.queue.check_room(self.owner(request))
        wanted = uploads.run_name(name)
        with self._naming:
            taken = [path for path in (self.results / wanted, self.models / wanted) if wanted and path.exists()]
            if taken:
                if all(self._may_use(request, Path(os.path.realpath(path))) for path in taken):
                    raise InputError(f"a run or model named {wanted} exists already: choose another name")
                wanted, otherwise = "", wanted  # somebody else's, which the answer must not tell
            plain = re.sub(r"[^A-Za-z0-9._-]", "-", otherwise).strip(".-")[:60]
            folder = self.results / wanted if wanted else None
            while folder is None or (not wanted and folder.exists()):  # four letters collide after a few hundred runs
                folder = self.results / f"{plain}-{time.strftime('%m%d-%H%M')}-{secrets.token_hex(2)}"
            folder.mkdir(mode=0o700, parents=True)
        return folder

    def _kept(self, upload: str, target: Path) -> str:
        """A copy of an upload in the run folder, under our own name."""
        copy = target.with_suffix(Path(upload).suffix.lower())
        shutil.copyfile(upload, copy)
        return self._short(copy)

    def _copies(self, files, folder: Path) -> list[str]:
        """The copies of uploads in a new folder; their names are the subjects of documents."""
        folder.mkdir()
        for number, path in enumerate(map(Path, _files(files)), start=1):
            plain = re.sub(r"[^\w.-]", "-", path.stem).strip(".-")[:60] or f"file-{number}"
            target = folder / f"{plain}{path.suffix.lower()}"
            shutil.copyfile(path, folder / f"{plain}-{number}{path.suffix.lower()}" if target.exists() else target)
        return [self._short(path) for path in sorted(folder.iterdir())]

    def check_method(self, name: str, prompts) -> None:
        """Refuses plain text (a prompt that is None) for a method that needs questions, before anything is queued."""
        method = algorithm.METHODS.get(name)
        if method and not method.works_on_raw_text and any(prompt is None for prompt in prompts):
            raise InputError(
                f"{name.replace('_', ' ')} needs questions with answers, and this is plain text: enter questions and "
                "answers, or select another method"
            )

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
        folder = self._new_folder(request, "", f"evaluation-{Path(given['model_name_or_path']).name}")
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
                given[f"{split}_data"] = self.data_path(request, source, f"the run's {split} data")
        target = self._new_folder(request, "", f"attacks-on-{name}")
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
        return self._measure(request, self._new_folder(request, "", "requests-tested-again"), given)

    def _measure(self, request, folder: Path, given: dict) -> Job:
        details = {"method": "evaluation", "model": given["model_name_or_path"]}
        given = {**given, "output_dir": self._short(folder)}
        return self.submit(request, "evaluate", folder.name, given, details)

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
        path, saved = Path(os.path.realpath(PROJECT / os.path.expanduser(named))), self.models.resolve()
        inside = path.is_relative_to(saved) and path != saved
        inside = inside or (folder in self.old and path.parent == PROJECT / "models" and paths.is_model(path))
        return path if inside and path.is_dir() and path.name not in PROTECTED_MODELS else None

    def zip_model(self, request, name) -> str:
        """The run's model as a zip in the page's own temporary folder."""
        _, folder, job = self.run(request, name)
        model = self.model_of(folder, job)
        if model is None:
            raise InputError(f"{name} has no model to download")
        return str(zipped(model))

    def followers(self, request, names) -> dict[str, list[str]]:
        """{run: names of the other runs that continue from it} for those of `names` that have any."""
        found: dict[str, list[str]] = {}
        runs = self.runs(request)
        chosen = {os.path.realpath(_listed_run(runs, name)[1]): name for name in names}
        for other, (folder, _) in runs.items():
            before = read_json_or_empty(folder / "config.json").get("continue_from")
            name = chosen.get(os.path.realpath(continuing.found(before, folder))) if before else None
            if name and other not in names:
                found.setdefault(name, []).append(other)
        return found

    def delete(self, request, names) -> list[str]:
        """Deletes runs, their jobs, the models they made and copies of their texts. Checks all of them first."""
        chosen = self.chosen(request, names)
        if not chosen:
            raise InputError("select the runs to delete")
        for name, folder, job in chosen:
            self._check_deletable(name, folder, job)
        here = [folder for _, folder, _ in chosen if folder.is_dir() and folder.is_relative_to(self.results)]
        purge.forget_copies(here, self.results)
        for _, folder, job in chosen:
            if model := self.model_of(folder, job):
                remove_zips(model)
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

    def ask(self, request, name, question, expected="") -> dict:
        """Both models' answers to a question, as `Asker.ask` gives them."""
        question, expected = str(question or "").strip(), str(expected or "").strip()
        if not question:
            raise InputError("type a question first")
        if max(len(question), len(expected)) > MAX_QUESTION:
            raise InputError(f"at most {MAX_QUESTION:,} characters in a question or answer")
        return self.asker.ask(self.both_models(request, name), question, expected)

    def compare(self, request, names) -> Path:
        """Compares finished runs with `analyze_results.py`; returns the folder of the comparison."""
        chosen = [str(folder) for _, folder, _ in self.chosen(request, names)]
        if len(chosen) < 2:
            raise InputError("select two or more finished runs to compare")
        target = self.results / ".comparisons" / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        argv = [sys.executable, str(PROJECT / "analyze_results.py"), *chosen, f"--output_dir={target}"]
        try:
            quiet = {"cwd": PROJECT, "capture_output": True, "text": True, "env": child_environment()}
            done = subprocess.run(argv, timeout=300, check=False, **quiet)
        except subprocess.TimeoutExpired:
            raise InputError("the comparison was cancelled after 5 minutes") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("error:")] or ["it failed"]
            raise InputError("the runs cannot be compared: " + "; ".join(lines))
        return target


def _listed_run(runs: dict, name) -> tuple[str, Path, Job | None]:
    """(name, folder, job) of one of the listed runs."""
    if not isinstance(name, str) or name not in runs:
        raise InputError(f"no run {uploads.shown(name)}: select one from the list" if name else "select a run first")
    return (name, *runs[name])


def _files(value) -> list:
    """The uploads of a field for one file or for several."""
    return [] if value in EMPTY else list(value) if isinstance(value, (list, tuple)) else [value]


def _stand_in_data(form: dict) -> dict:
    """What to forget, for a check of the settings before any file is copied."""
    if form.get("source") == "name":
        about = {"forget_about": ";".join(form.get("about") or ["-"])}
        kept = {f"{split}_data": "-" for split in KEPT_FILES if form.get(split) not in EMPTY}
        return {**about, "training_data": "-", **kept} if _files(form.get("training_data")) else about
    return {} if form.get("source") == "example" else {"forget_text": "-"}


def _listed(names, what: str) -> list[str]:
    """Names without repetition; a program may send anything."""
    names = [names] if isinstance(names, str) else names or []
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{what}: give a list of names, not {uploads.shown(names)}")
    return list(dict.fromkeys(names))


def _attacks(names) -> dict[str, str]:
    """The flag for the selected attacks; refuses unknown names."""
    names = _listed(names, "attacks")
    unknown = [name for name in names if name not in evaluation_metrics.ATTACKS]
    if unknown:
        known = ", ".join(evaluation_metrics.ATTACKS)
        raise InputError(f"unknown attack {uploads.shown(unknown[0])}; known: {known}")
    return {"attacks": ",".join(names)} if names else {}


def _flags(settings: dict) -> list[str]:
    """One argument per setting, so a value with dashes, spaces or quotes stays one value."""
    return [f"--{name}={value}" for name, value in settings.items()]
