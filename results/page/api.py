"""The page for programs: endpoints with JSON in and out, for `gradio_client` or plain HTTP. `Desk` checks each call.

    client = gradio_client.Client("http://127.0.0.1:7860")
    run = client.predict("Ada Example", settings={"max_steps": 20}, api_name="/unlearn")
    client.predict(run, api_name="/watch")

A run is named by the key that `/unlearn` returns, or by its name in `/runs`.
"""

import json
import os
from pathlib import Path

import unlearning_algorithm as algorithm
from data import columns, uploads
from data.finding.matching import subjects_of
from data.reading import SUFFIXES
from data.recognising import is_short, recognise, several_names
from data.uploads import InputError
from models.store import paths
from models.store.folders import read_json_or_empty
from models.store.paths import PROJECT
from results.page import methods, verdicts, watching
from results.page.desk import ADVANCED, EMPTY, KEPT_FILES, MAX_SETTING, NOT_ADVANCED, Desk
from results.page.server.files import offer
from results.page.wiring import HIDDEN, Page, gr, told
from results.report.runs import finite
from results.run import options

WAYS = ("name", "text", "words", "files", "training_data")  # the keys of a request; training_data goes with name
BUDGETS = {"little": "0.05", "some": "0.2", "half": ""}  # word: utility that may be lost, as the form has it
PARAMETERS = {  # settings that have a parameter of their own
    **dict.fromkeys(("forget_data", "forget_text", "training_data", "forget_about", "forget_about_file"), "request"),
    **dict.fromkeys(("utility_budget", "collapse_guard"), "budget"),
    "model_name_or_path": "model",
    "method": "method",
}
FILES = {f"{split}_data": split for split in KEPT_FILES}  # settings that are files
MAX_NAME, MAX_NAMES, MAX_FILES = 300, 100, 50
MAX_JSON = 100_000  # characters of settings as text
NUMBERS = ("answer_probability", "loss")  # of each set, at each evaluation


class Api:
    """The endpoints; `request` is what to forget, `who` the person behind the call.

    Made before the tabs, whose private handlers would otherwise take the names.
    """

    def __init__(self, page: Page):
        self.desk = page.desk
        for function in (self.unlearn, self.watch, self.stop, self.resume, self.ask, self.runs, self.delete):
            limit = 2 if function == self.ask else 8
            gr.api(told(function), api_name=function.__name__, concurrency_limit=limit)
        with gr.Column(**HIDDEN):  # files need components
            run, file = gr.Textbox(label="Run"), gr.File(label="File")
            for function in (self.download_model, self.download_report):
                start = gr.Button(function.__name__)
                start.click(told(function), run, file, api_name=function.__name__, concurrency_limit=1)
        _fill_in(page.demo)

    def unlearn(
        self,
        who: "gr.Request",
        request: str | dict,
        model: str = "",
        method: str = "",
        budget: str | float = "",
        settings: str | dict = "",
    ) -> str:
        """Queues a run and returns its key.

        request: a name, a text, the path of a file, or {"name": ...}, {"text": ...}, {"words": ...} for exact words,
        {"files": [...]}, {"training_data": [...], "name": ...}. method: a name, "auto", or "" for the recommended one.
        budget: what the rest may lose: "little" (5 %, the default), "some" (20 %), "half", or a share. settings: the
        runner's flags without dashes, as an object or as JSON.
        """
        return self.desk.unlearn(who, form_of(self.desk, who, request, model, method, budget, settings)).id

    def watch(self, who: "gr.Request", run: str, since: int = 0) -> dict:
        """The state of a run, its numbers after the first `since`, and its result at the end.

        Pass the answer's `since` to the next call. Each number is {"step": ..., set: {"answer_probability", "loss"}}.
        """
        job = self.desk.find(who, run)
        folder = PROJECT / job.folder
        trace = self.desk.watcher.trace(folder)
        seen = trace.evaluations[_position(since) :]
        status = {} if job.state == "queued" else read_json_or_empty(folder / "status.json")
        ahead = self.desk.queue.ahead_of(job.id) if job.state == "queued" else 0
        return {
            "run": job.id,
            "name": job.name,
            "state": job.state,
            "stage": str(status.get("stage") or ""),
            "step": int(finite(status.get("step")) or 0),
            "total": int(finite(status.get("total_steps")) or 0),
            "message": watching.progress(job, folder, trace, ahead).detail,
            "numbers": [_numbers(record) for record in seen],
            "since": len(trace.evaluations),
            "result": result_of(self.desk, folder, job) if job.over else None,
        }

    def stop(self, who: "gr.Request", run: str) -> str:
        """Asks a run to stop after its step, and to stop at once if it was asked before. Returns its state."""
        return self.desk.queue.stop(self._own(who, run)).state

    def resume(self, who: "gr.Request", run: str) -> str:
        """Queues a stopped or failed run again, from its checkpoint if it has one. Returns its state."""
        return self.desk.queue.again(self._own(who, run)).state

    def ask(self, who: "gr.Request", run: str, question: str, expected: str = "") -> dict:
        """What the models before and after a run answer, and how likely each finds the expected answer."""
        if not isinstance(question, str) or not isinstance(expected, str):
            raise InputError("question and expected: give texts")
        reply = self.desk.ask(who, self.desk.find(who, run).name, question, expected)
        return {
            when: {"answer": answer, "expected_probability": likely}
            for when, answer, likely in zip(("before", "after"), reply["answers"], reply["expected"])
        }

    def runs(self, who: "gr.Request") -> list:
        """All runs of the caller, the newest first."""
        found = []
        for name, (folder, job) in self.desk.runs(who).items():
            job = job or watching.stand_in(f"run:{name}", folder)
            row = {"run": job.id, "name": name, "state": job.state, "method": job.details.get("method")}
            found.append((job.submitted or job.started or 0, {**row, **_verdict(folder)}))
        return [row for _, row in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def delete(self, who: "gr.Request", runs: str | list) -> list:
        """Deletes runs and the models they made; returns their names. Checks all before it deletes any."""
        wanted, names = _listed(runs, "runs", MAX_FILES), self.desk.runs(who)
        return self.desk.delete(who, [run if run in names else self.desk.find(who, run).name for run in wanted])

    def download_model(self, request: "gr.Request", run: str) -> str:
        """The unlearned model as a zip file."""
        return self.desk.zip_model(request, self.desk.find(request, run).name)

    def download_report(self, request: "gr.Request", run: str) -> str:
        """The report of a run, one HTML file."""
        name, folder, _ = self.desk.run(request, self.desk.find(request, run).name)
        if not (folder / "report.html").is_file():
            raise InputError(f"{name} has no report yet")
        return offer(folder / "report.html")

    def _own(self, who, run) -> str:
        return self.desk.own_job(who, self.desk.find(who, run).id).id


def _fill_in(demo):
    """Lets plain HTTP leave out last values, as `gradio_client` does; a needed one is then refused by its name."""
    check = demo.validate_inputs

    def filled(function, values):
        if function.api_visibility == "public":
            values.extend(block.value for block in function.inputs[len(values) :])
        check(function, values)

    demo.validate_inputs = filled


# ---------------------------------------------------------------------------------------------------------------------
# What a call asks for


def form_of(desk: Desk, who, request, model="", method="", budget="", settings="") -> dict:
    """The desk's form of a call. Raises InputError or DataError for anything that is not as `Api.unlearn` says."""
    form = _asked(desk, who, request)
    if isinstance(budget, (int, float)):
        budget = str(finite(budget))
    for name, value in (("model", model), ("method", method), ("budget", budget)):
        if not isinstance(value, str):
            raise InputError(f"{name}: give a text, not {_kind(value)}")
        if len(value) > MAX_SETTING:
            raise InputError(f"{name}: {len(value):,} characters; at most {MAX_SETTING:,}")
    for name, value in _settings(settings).items():
        if name in FILES:
            form[FILES[name]] = _one(_files(desk, who, value, name), name)
        else:
            form[name] = value
    if "retain" in form and form.get("training_data"):
        raise InputError("retain_data and training_data: the training data is split into both sets; give only one")
    method = method.strip()
    if method not in (options.AUTO, "", *algorithm.METHODS):
        known = options.nearest(method, (options.AUTO, *algorithm.METHODS))
        raise InputError(f"unknown method {uploads.shown(method)}: {known}")
    form |= {
        "model": model.strip(),
        "method": method or methods.recommended("text" if form["source"] != "name" else "pairs"),
    }
    if form["method"] != options.AUTO and "time_budget" in form:
        raise InputError("time_budget: only a search takes it (method auto)")
    held = form["method"] == options.AUTO or algorithm.METHODS[form["method"]].guarded
    word = budget.strip().lower() or ("little" if held else "half")
    return {**form, "utility_budget": BUDGETS.get(word, word)}


def _asked(desk: Desk, who, request) -> dict:
    """The part of the form that says what to forget."""
    if isinstance(request, str):
        request = _typed(request)
    if not isinstance(request, dict) or not request:
        raise InputError(f"request: give a text, or an object with one of {', '.join(WAYS)}; given: {_kind(request)}")
    if set(request) >= {"path", "meta"}:  # an uploaded file
        request = {"files": [request]}
    unknown = [str(key) for key in request if key not in WAYS]
    if unknown:
        raise InputError(f"request: unknown key {uploads.shown(unknown[0])}; known: {', '.join(WAYS)}")
    given = {key: value for key, value in request.items() if value not in EMPTY}
    ways = [key for key in given if key != "training_data"]
    if "training_data" in given and ways != ["name"]:
        raise InputError("request: training_data goes with name, which says who or what of it is to be forgotten")
    if len(ways) != 1:
        raise InputError(
            f"request: give exactly one of name, text, words and files; given: {', '.join(ways) or 'nothing'}"
        )
    if "name" in given:
        files = _files(desk, who, given["training_data"], "training_data") if "training_data" in given else []
        return {"source": "name", "about": _names(given["name"]), "training_data": files}
    if "files" in given:
        return {"source": "file", "file": _files(desk, who, given["files"], "files")}
    (way,) = ways
    text = given[way]
    if not isinstance(text, str):
        raise InputError(f"request: {way} must be a text, not {_kind(text)}")
    if way == "text" and not columns.text_flaw(text) and is_short(text):
        raise InputError(_short(text))
    return {"source": "text" if way == "words" else "passages", "text": text}


def _short(text: str) -> str:
    """Why a short text is refused: as a text it would be trained on as a string."""
    told = uploads.shown(text.strip())
    return (f'request: "{told}" is short: give {{"name": ...}} to forget everything that is known about it, or '
            '{"words": ...} to forget only these exact words')  # fmt: skip


def _typed(text: str) -> dict:
    """A plain text as an object: a path, a name or names, or a text to forget."""
    plain = text.strip()
    above = plain.startswith(("/", "~", "./", "../"))
    if "\n" not in plain[:MAX_SETTING] and (above or ("/" in plain and Path(plain).suffix.lower() in SUFFIXES)):
        return {"files": plain}
    found = recognise(text)
    if found.kind == "short":
        raise InputError(_short(text))
    if not found.usable:
        raise InputError(f"request: {found.said}")
    if found.kind != "name":
        return {"text": text}
    if len(found.names) == 1 and several_names(found.names[0]):
        told = uploads.shown(found.names[0])
        raise InputError(
            f'request: "{told}" may be several names: give {{"name": [...]}}, a list, or {{"name": "..."}}'
        )
    return {"name": list(found.names)}


def _names(value) -> list[str]:
    """The subjects of a request, each checked as --forget_about checks it."""
    names = [name.strip() for name in _listed(value, "name", MAX_NAMES)]
    for name in names:
        if len(name) > MAX_NAME or columns.text_flaw(name):
            why = columns.text_flaw(name) or f"has more than {MAX_NAME} characters: to forget a text, give it as text"
            raise InputError(f"name {uploads.shown(name)}: {why}")
    try:
        subjects_of(names)
    except ValueError as error:
        raise InputError(f"name: {error}") from None
    return names


def _files(desk: Desk, who, value, what: str) -> list[str]:
    """Paths of uploaded files, as Gradio passes them, and of files on the server that this person may use."""
    given = [value] if isinstance(value, (str, dict)) else value
    if not isinstance(given, list) or not 0 < len(given) <= MAX_FILES:
        raise InputError(f"{what}: give a file or a list of at most {MAX_FILES} files, not {_kind(value)}")
    found = []
    for file in given:
        path = file.get("path") if isinstance(file, dict) else file
        if not isinstance(path, str):
            raise InputError(f"{what}: each file must be an upload or a path on the server, not {_kind(file)}")
        own = os.environ.get("GRADIO_TEMP_DIR")
        uploaded = isinstance(file, dict) and own and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(own))
        found.append(path if uploaded else desk.data_path(who, path, what))
    return found


def _settings(given) -> dict:
    """The settings by name, each a single value. Refuses unknown ones, and those that the page or a parameter sets."""
    if isinstance(given, str):
        try:
            given = json.loads(given[: MAX_JSON + 1]) if given.strip() else {}
        except (ValueError, RecursionError):
            raise InputError('settings: not JSON; give an object such as {"max_steps": 20}') from None
    if given is None or given == []:
        given = {}
    if not isinstance(given, dict):
        raise InputError(f'settings: give an object such as {{"max_steps": 20}}, not {_kind(given)}')
    known = {*ADVANCED, *FILES, "time_budget", "subject_kind"}
    problems, found = [], {}
    for name, value in given.items():
        if name in FILES:
            found[name] = value
        elif name in PARAMETERS:
            problems.append(f"{name}: it has a parameter of its own: {PARAMETERS[name]}")
        elif name in NOT_ADVANCED and name not in known:
            problems.append(f"{name}: the page sets it")
        elif name not in known:
            problems.append(f"unknown setting {uploads.shown(name)}: {options.nearest(name[:100], known)}")
        elif not isinstance(value, (str, int, float, bool, type(None))):
            problems.append(f"{name}: give a single value, not {_kind(value)}")
        elif isinstance(value, int) and abs(value) > options.LARGEST:
            problems.append(f"{name}: the number is too large")
        else:
            found[name] = value
    if problems:
        raise InputError("settings: " + "; ".join(problems[:5]))
    return {name: value for name, value in found.items() if value not in EMPTY}


def _listed(value, what: str, most: int) -> list[str]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) and one.strip() for one in listed):
        raise InputError(f"{what}: give a text or a list of texts, not {_kind(value)}")
    if not 0 < len(listed) <= most:
        raise InputError(f"{what}: give 1 to {most}, not {len(listed)}")
    return listed


def _one(values: list, what: str):
    if len(values) > 1:
        raise InputError(f"{what}: give one file")
    return values[0]


def _position(since) -> int:
    """How many numbers the caller has seen."""
    if since in (None, ""):
        return 0
    if isinstance(since, bool) or finite(since) is None or since < 0 or since != int(since):
        raise InputError("since: give the number that the last answer of /watch had there, or 0")
    return int(since)


def _kind(value) -> str:
    """What a value of the wrong type is; its content may be huge or nested too deeply to show."""
    if value in (None, ""):
        return "nothing"
    kinds = {
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return kinds.get(type(value), "this")


# ---------------------------------------------------------------------------------------------------------------------
# What a call gets


def _numbers(record: dict) -> dict:
    """An evaluation as step and numbers by set; None for a number that is not finite."""
    sets = {split: record[split] for split in watching.SPLITS if isinstance(record.get(split), dict)}
    shown = {split: {name: finite(found.get(name)) for name in NUMBERS} for split, found in sets.items()}
    return {"step": int(record["step"]), **shown}


def _verdict(folder: Path) -> dict:
    """The verdict's words; None where there is none."""
    words, _ = watching.verdict_of(folder) or ({}, None)
    return {part: words.get(part) for part in ("memory", "rest", "resistance")}


def result_of(desk: Desk, folder: Path, job) -> dict:
    """What came out of an ended run; None for what it does not have."""
    evaluation = read_json_or_empty(folder / "evaluation.json")
    comparison = evaluation.get("comparison")
    comparison = comparison if isinstance(comparison, dict) else {}
    subject = comparison.get("subject")
    model = desk.model_of(folder, job)
    return {
        "verdict": comparison.get("verdict"),
        **_verdict(folder),
        "headline": verdicts.headlines(evaluation)[1] or None,
        "sentence": subject.get("sentence") if isinstance(subject, dict) else None,
        "nothing_known": bool(watching.known_nothing(folder)),
        "score": finite(comparison.get("score")),
        "report": str(folder / "report.html") if (folder / "report.html").is_file() else None,
        "model": paths.shown_path(model) if model else None,
    }
