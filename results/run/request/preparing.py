"""A request folder for a text, documents or rows, so that a person sees and strikes rows before anything is trained.

    settings = settled_alone({"forget_data": "report.docx", "output_dir": "results/runs/x", "yes": True})

It does for --forget_data and --forget_text what `asked` does for --training_data. The folder is written once. A later
start of the same request reads it again with what was edited in it.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from data import reading, request_files
from data.columns import DataError
from data.documents.blocks import MARK
from data.documents.request import SUMMARY, DocumentRequest, document_request, is_documents, merged
from data.finding import split as splitting
from data.finding.split import Placed, Split
from data.preparation import data_hash
from data.reading import LocatedRow
from models.store.paths import RUNS, shown_path
from results.run.options import command_line, resolve
from results.run.request.flags import FLAGS, FOLDER, is_on, sources_of
from results.run.run_folder import UsageError, say
from results.run.sets import REQUEST as DOCUMENTS

READ = (
    "forget_data",
    "forget_text",
    "document_questions",
    "max_length",
    "request_only",
    "yes",
)  # what decides the rows


def run_folder_of(given: dict) -> Path:
    """The run folder, or the common one of several runs. Sets a missing --output_dir."""
    if not given.get("output_dir"):
        several = "," in str(given.get("method", "")) or given.get("method") == "all"
        name = f"request-{time.strftime('%Y%m%d-%H%M%S')}"
        alone = {name: value for name, value in given.items() if name not in ("request_only", "yes")}
        given["output_dir"] = shown_path(RUNS / name) if several else resolve(alone)["output_dir"]
    return Path(given["output_dir"]).expanduser()


def command_to_go_on(given: dict) -> str:
    """The command that runs a prepared request."""
    given = {name: "; ".join(value) if isinstance(value, list) else value for name, value in given.items()}
    given = {name: value for name, value in given.items() if name not in ("request_only", "yes")}
    return shlex.join(command_line({**given, "yes": True}))


def settled_alone(given: dict) -> dict:
    """The settings with the request folder in place of --forget_data or --forget_text; writes or reads the folder.

    Raises DataError (3) for bad data, UsageError (2) for data of two kinds and for a folder that holds another request.
    """
    made = _made(resolve({name: given[name] for name in READ if name in given}))  # reports wrong settings first
    run = run_folder_of(given)
    rest = {name: value for name, value in given.items() if name not in (*FLAGS, "forget_text")}
    documents = isinstance(made, DocumentRequest)
    place = run / (DOCUMENTS if documents else FOLDER)
    rows = [*made.forget, *made.measured] if documents else [placed.row.example for placed in made.forget]
    about = {"given": [], "data": data_hash(rows)}
    if _is_there(place, about, given):
        say(f"request: the files in {shown_path(place)} are read again, with what was edited in them")
    elif documents:
        made.write(place, {**about, "notes": [note for note in made.notes if not note.endswith(SUMMARY)]})
    else:
        splitting.write(made, place, about)
    if not is_on(given.get("request_only")):
        _check(place)
    rest["forget_data"] = shown_path((place if documents else splitting.place_of(place, "forget")).absolute())
    return rest


def _made(config: dict) -> DocumentRequest | Split:
    """The request that the settings name."""
    if config["forget_text"]:
        rows = reading.examples_from_text(config["forget_text"])
        located = [LocatedRow("text", row.line, "text", {"text": row.answer}, row) for row in rows]
        return _split(located, [])
    sources = sources_of(config["forget_data"])
    documents = [source for source in sources if is_documents(source)]
    if documents and len(documents) < len(sources):
        raise UsageError("--forget_data names documents and rows: make two requests of them, one after the other")
    if documents:
        read = (document_request(path, config["document_questions"], config["max_length"]) for path in documents)
        return merged(request for request in read if request)
    return _split(*splitting.read_training_data(sources))


def _split(rows: Sequence[LocatedRow], notes: list[str]) -> Split:
    if not rows:
        raise DataError("there is nothing to forget in the data")
    return Split([], [Placed(row, where=f"{row.file}:{row.line}") for row in rows], notes=notes)


def _is_there(place: Path, about: dict, given: dict) -> bool:
    """Whether the folder holds this request. Raises UsageError if it holds an edited one of something else."""
    marker = place / (MARK if place.name == DOCUMENTS else splitting.MARKER)
    record = request_files.record_of(marker)
    if not record:
        return False
    if {name: record.get(name) for name in about} == about:
        return True
    if request_files.edited(marker) and not is_on(given.get("overwrite_output_dir")):
        raise UsageError(another_request(place))
    return False


def another_request(place: Path) -> str:
    """Why an edited request is not replaced."""
    return (
        f"{place} holds the edited rows of another request, or of data that has changed: choose another --output_dir, "
        "or give --overwrite_output_dir to replace it"
    )


def _check(place: Path) -> None:
    """Raises DataError if every row was struck."""
    if place.name == FOLDER and not splitting.read(place).forget:
        raise DataError(f"no row is left to forget in {shown_path(place)}")
