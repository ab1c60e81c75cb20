"""What the form asks to forget, and its request: prepared, looked at, then run. Does not use Gradio.

    form = asked(form)                                   # with its `source`, from what was typed and chosen
    job = prepare(desk, request, form)                   # writes the request's rows; trains nothing
    choices = choices_of(table, preview_of(desk, request, job.id))
    start(desk, request, form, job.id, choices)          # the run, in the same folder

A text, documents and rows are read at once. A name is a job of the queue, because its rows are looked for in the
training data or in the model.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from data import private
from data.finding.split import MARKER
from data.reading import READERS
from data.recognising import Recognised, recognise
from data.request_files import record_of
from data.uploads import InputError
from models.store.paths import PROJECT, shown_path
from results.page import methods
from results.page.desk import EMPTY, KEPT_FILES, SOURCES, Desk, checked_upload
from results.page.jobs import SETTINGS, WITHHELD, Job
from results.run.request import preparing
from results.run.request.flags import BY_NAME, PROXY, REFUSING, UNKEPT
from results.run.request.named import READ_BY_ASKING, unfit
from results.run.request.preview import Preview, folder_in, read_preview, write_choices

KIND = "request"  # of a job that prepares one
SOURCE_OF = {"name": "name", "words": "text", "text": "passages", "documents": "file", "rows": "file"}
LOOKED_AT = ("name", "passages", "file")  # sources whose rows are shown first; the others show them in the form itself
USUAL = (PROXY, BY_NAME, UNKEPT)  # methods that the form selects by itself, by what the field holds
SHOWN_ROWS, SHOWN_CHARACTERS = 300, 2000
HEADERS = ["No.", "Forget", "Question", "Text", "Why it is here"]


def taken(form: dict) -> Recognised:
    """What the field and its files are taken for."""
    return recognise(form.get("text"), form.get("file") or (), form.get("training_data") or (),
                     str(form.get("taken_as") or ""))  # fmt: skip


def asked(form: dict) -> dict:
    """The form with its `source`. Raises InputError if it asks for nothing, or for two things at once."""
    if form.get("source") in SOURCES:
        return form
    found = taken(form)
    pairs = [row for row in form.get("pairs") or () if any(str(cell or "").strip() for cell in row)]
    others = [what for what, given in (("the field or the files", found.kind != "nothing"),
                                       ("the table of questions", bool(pairs)),
                                       ("the example", form.get("example") is True)) if given]  # fmt: skip
    if len(others) > 1:
        raise InputError(f"two things at once: {' and '.join(others)}; leave one of them")
    if form.get("example") is True or pairs:
        return {**form, "source": "pairs" if pairs else "example"}
    for path in _paths(form.get("file")):
        if Path(path).suffix.lower() not in READERS:
            checked_upload(path, "what to forget")  # refuses it, and deletes it at once
    if not found.usable:
        raise InputError(f"nothing to forget yet. {found.said}" if found.kind == "nothing" else found.said)
    return {**form, "source": SOURCE_OF[found.kind], "about": list(found.names)}


def fingerprint(form: dict) -> str:
    """A keyed hash of all that decides the rows of a form's request: a list is never used for another request."""
    names = ["source", "text", "pairs", "taken_as", "model", "max_length", "document_questions"]
    alone = form.get("source") == "name" and form.get("training_data") in EMPTY  # the model is asked
    names += ["subject_kind", *READ_BY_ASKING] if alone else []
    files = [path for name in ("file", "training_data", *KEPT_FILES) for path in _paths(form.get(name))]
    contents = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in files if Path(path).is_file()]
    values = [form.get(name) or None for name in names]
    told = json.dumps([values, contents, alone and form.get("method") == REFUSING], default=str)
    return private.keyed(told)


def _paths(value) -> list:
    return [] if value in EMPTY else list(value) if isinstance(value, (list, tuple)) else [value]


def prepare(desk: Desk, request, form: dict) -> Job:
    """A job that writes the rows of the form's request into a new run folder; a text and files are read at once."""
    form = asked(form)
    if form["source"] not in LOOKED_AT:
        raise InputError("there is nothing to look for: what you typed is what is forgotten; press Unlearn")
    given, folder, data = desk.placed(request, form)
    kept = {name: value for name, value in data.items() if name not in WITHHELD}
    if kept != data:  # a job's file says no names; the run reads them where the preparing read them
        kept["config"] = str(PROJECT / given["output_dir"] / SETTINGS)
    details = {"method": given["method"], "model": given["model_name_or_path"], "data": kept,
               "by_name": form["source"] == "name", "asked": fingerprint(form)}  # fmt: skip
    given = {**given, **data, "request_only": "true"}
    began = time.time()
    over = {}
    if form["source"] != "name":
        sets = ("forget_data", "max_length", "document_questions")
        place = {**{name: given[name] for name in sets if name in given}, "request_only": "true"}
        try:
            preparing.settled_alone({**place, "output_dir": str(PROJECT / given["output_dir"])})
        except ValueError:
            shutil.rmtree(folder, ignore_errors=True)  # the upload goes too
            raise
        over = {"state": "finished", "started": began, "ended": time.time(), "exit_code": 0}
    return desk.submit(request, KIND, folder.name, given, details, **over)


def prepared(desk: Desk, request, key) -> Job:
    """The job that prepared a request. Raises InputError if there is none, or if it has not ended."""
    job = desk.job(request, key)
    if job is None or job.kind != KIND:
        raise InputError("there is no list of rows: press Look for it")
    if not job.over:
        raise InputError("the list of rows is not ready yet: wait for it, or press Stop")
    return job


def preview_of(desk: Desk, request, key) -> Preview:
    """The rows of a prepared request."""
    folder = folder_in(PROJECT / prepared(desk, request, key).folder)
    if folder is None:
        raise InputError("no rows were found: see the log")
    return read_preview(folder)


def matches(desk: Desk, request, form: dict, key) -> bool:
    """Whether the request that a job prepared is the one that the form asks for, and can be run."""
    job = desk.job(request, key)
    ready = job is not None and job.kind == KIND and job.state == "finished"
    return ready and job.details.get("asked") == fingerprint(asked(form))


def start(desk: Desk, request, form: dict, key, choices: Sequence[dict] = ()) -> Job:
    """Writes the choices into a prepared request and queues its run; the run replaces the job that prepared it."""
    job = prepared(desk, request, key)
    form = {**form, **_source(job), "method": _method(form, job), "subject_kind": None}  # the list has its kind
    given = {"model_name_or_path": job.details["model"], **desk.settings(request, form)}
    if given["model_name_or_path"] != job.details["model"]:
        raise InputError(f"this list was made for the model {job.details['model']}, and the form says "
                         f"{given['model_name_or_path']}: select that model again, or press Look for it")  # fmt: skip
    folder = PROJECT / job.folder
    preview_of(desk, request, key)
    if wrong := unfit(record_of(folder_in(folder) / MARKER), given["method"]):
        raise InputError(f"{wrong}: press Look for it again")
    preview = write_choices(folder_in(folder), choices)
    if preview.nothing_known:
        raise InputError(f"{preview.sentence()} Tick a row that is to be forgotten all the same.")
    if not preview.counts["forget"]:
        raise InputError("no row is ticked: tick at least one row to forget")
    desk.check_method(given["method"], [row.question or None for row in preview.rows if row.forget])
    given |= {**job.details["data"], **desk.kept_files(form, folder / "inputs"), "yes": "true"}
    new = desk.submit_run(request, job.name, folder, given)
    desk.queue.forget(job.id)
    return new


def _method(form: dict, job: Job) -> str:
    """The form's method. One that follows the field becomes that of the list, if the field holds something else."""
    try:
        same = fingerprint(asked(form)) == job.details.get("asked")
    except InputError:  # it holds nothing by now
        same = False
    if same or form.get("method") not in USUAL:
        return form.get("method")
    return methods.fitting({"method": PROXY}, {**form, **_source(job)})


def _source(job: Job) -> dict:
    """What a prepared request was made from, in the words of the form: it decides the recommended method."""
    if "training_data" in job.details["data"]:
        return {"source": "name", "training_data": ["-"]}
    return {"source": "name" if job.details.get("by_name") else "file", "training_data": None}


# ---------------------------------------------------------------------------------------------------------------------
# The list as a table


def shown(text: str) -> str:
    """A text of a row as far as a table shows it."""
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} …"


def table_of(preview: Preview) -> list[list]:
    """The first rows, as `HEADERS` name the columns."""
    return [[number, row.forget, shown(row.question), shown(row.text), ", ".join(dict.fromkeys((row.why, row.where)))]
            for number, row in enumerate(_in_order(preview)[:SHOWN_ROWS], start=1)]  # fmt: skip


def ids_of(preview: Preview) -> list[str]:
    """The ids of the rows of `table_of`, in its order."""
    return [row.id for row in _in_order(preview)[:SHOWN_ROWS]]


def _in_order(preview: Preview) -> list:
    """Rows in doubt come first, because a person must look at them; of statements the surest, as they are written."""
    return preview.rows if preview.kind == "name" else sorted(preview.rows, key=lambda row: not row.doubtful)


def unlisted(desk: Desk, request, key, ids: Sequence[str]) -> str:
    """What happens to rows that the list has no room for; "" if none of them is to be forgotten."""
    count = sum(row.forget and row.id not in ids for row in preview_of(desk, request, key).rows)
    if not count:
        return ""
    place = shown_path(folder_in(PROJECT / prepared(desk, request, key).folder))
    rows, have = ("1 more row is", "it") if count == 1 else (f"{count:,} more rows are", "them")
    return f"{rows} not listed here: {place} has {have}, to be forgotten as written there"


def choices_of(table: Sequence[Sequence], ids: Sequence[str], preview: Preview) -> list[dict]:
    """The choices that an edited table makes. A row that was deleted from it is not forgotten; a new one is.

    Raises InputError for a table that does not belong to the list.
    """
    known = {row.id: row for row in preview.rows}
    found: dict[str, dict] = {}
    added = []
    for cells in table or ():
        number, forget, question, text = [*cells, None, None, None, None][:4]
        question, text = ("" if cell is None else str(cell) for cell in (question, text))
        place = _number(number)
        if place is None:
            if question.strip() or text.strip():
                added.append({"question": question, "text": text})
            continue
        row = known.get(ids[place - 1]) if 1 <= place <= len(ids) else None
        if row is None:
            raise InputError("the list has changed meanwhile: press Look for it again")
        edits = {name: cell for name, cell in (("question", question), ("text", text))
                 if cell.strip() != shown(getattr(row, name)).strip()}  # fmt: skip
        if any(len(getattr(row, name)) > SHOWN_CHARACTERS for name in edits):
            raise InputError(f"row {place} is too long to be shown whole: take it out and add one of your own")
        choice = {"id": row.id, "forget": _ticked(forget), **edits}
        found[row.id] = choice
    gone = [{"id": key, "forget": False} for key in ids if key not in found and key in known]
    return [*found.values(), *gone, *added]


def _number(value) -> int | None:
    """The number of a row; None for a row that a person added."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _ticked(value) -> bool:
    return value is True or str(value).strip().lower() in ("true", "1", "yes")
