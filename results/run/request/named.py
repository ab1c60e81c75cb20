"""`--forget_about NAME` without data: the model itself is asked what it knows, and that is what it forgets.

    settings = settled_by_name({"forget_about": ["Ragnvi Solbrekk"], "output_dir": "results/runs/x", "yes": True})

The first start asks the model and writes statements.jsonl, which a person reads, strikes and extends. A later start
reads it again, asks nothing, and makes the rows from it: the statements are forgotten, questions in other words only
measure, and what the model says about nobody and about general questions is kept.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data import private, reading
from data.columns import DataError, Example, folded
from data.documents.blocks import Block, Document
from data.documents.passages import Passage
from data.documents.questions import Row, ask
from data.documents.request import DocumentRequest
from data.finding.matching import Subject
from data.finding.split import MARKER
from data.request_files import file_hashes, lines_of, record_of, write_lines, write_private
from models.eliciting.asking import Asking, Said
from models.eliciting.keeping import gives_away, words_to_forget
from models.eliciting.questions import guessed_kind
from models.eliciting.statements import SPECIFIC, Elicited, elicit
from models.eliciting.subject import MADE_UP
from models.store import loading, quantised
from models.store.on_first_use import weights
from models.store.paths import shown_path
from models.verdict.words import counted
from results.run import processes
from results.run.options import BUNDLED, resolve
from results.run.request.flags import BY_NAME, FLAGS, FOLDER, REFUSING, asked_subjects, is_on, unaskable
from results.run.run_folder import UsageError, say

STATEMENTS, PROBES, KEPT, ASKED, ROWS = "statements.jsonl", "measured.jsonl", "kept.jsonl", "asked.jsonl", "rows"
TELL = "Tell me what you know about {}."  # the question of a statement whose own question only measures
READ_BY_ASKING = ("model_name_or_path", "load_in_4bit", "load_in_8bit", "attn_implementation", "dtype", "seed")
ANYBODY = "anybody"  # in the record: whether many made-up names were asked about
REWORDED = 2  # further questions for each statement
GENERAL = 120  # general questions whose answers are kept
# found on one of the bundled people each; more steps or a higher rate cost what it says of others
STEPS = {BY_NAME: 40, REFUSING: 44}


def asks(given: dict) -> bool:
    """Whether a request is a name alone, so that the model has to be asked."""
    return bool(given.get("forget_about") or given.get("forget_about_file")) and not given.get("training_data")


def settled_by_name(given: dict) -> dict | None:
    """The settings with the rows of the request in place of the name. Asks the model unless its statements are there.

    None if the model knows nothing about the name that it would not say about anybody. Raises UsageError (2) for a
    folder of another request, DataError (3) if no statement is left to forget.
    """
    from results.run.request.preparing import run_folder_of  # it reads requests of other kinds

    place = run_folder_of(given) / FOLDER
    found = asked_subjects(given)[0]
    if wrong := unaskable(found):
        raise UsageError("\n".join(wrong))
    subjects = [subject.name for subject in found]
    about = {"kind": "name", "subjects": subjects, "model": str(given.get("model_name_or_path") or "")}
    record = record_of(place / MARKER)
    if {name: record.get(name) for name in about} == about:
        if wrong := unfit(record, given.get("method")):
            raise UsageError(f"{place}: {wrong}: choose another --output_dir, or give --overwrite_output_dir")
        say(f"request: the statements in {shown_path(place)} are read again, with what was edited in them")
    else:
        if record and not is_on(given.get("overwrite_output_dir")):
            raise UsageError(
                f"{place} holds another request: choose another --output_dir, or give --overwrite_output_dir"
            )
        record = _ask(given, subjects, place, {**about, ANYBODY: given.get("method") == REFUSING})
        _note_aliases(found, place, record)
    return _settings(given, place, record)


def unfit(record: dict, method: str | None) -> str:
    """Why the statements in a request's folder do not do for a method, or ""."""
    if method != REFUSING or record.get(ANYBODY) is not False:
        return ""
    return f"the model was asked for another method, and {REFUSING} needs its answers about many made-up names"


def _note_aliases(subjects: Sequence[Subject], place: Path, record: dict) -> None:
    """Says which of the names that were given nobody asked about; the training data would be searched for them."""
    others = [form.given for subject in subjects for form in subject.forms[1:]]
    if others:
        record["notes"].append(f"not asked about: {', '.join(others)}; give each as a name of its own to ask about it")
        write_private(place / MARKER, json.dumps(record, ensure_ascii=False, indent=1) + "\n")


# ---------------------------------------------------------------------------------------------------------------------
# Asking


def _ask(given: dict, subjects: Sequence[str], place: Path, about: dict) -> dict:
    """Asks the model about each subject and writes what it says; returns the record of the folder."""
    config = resolve({name: value for name, value in given.items() if name in READ_BY_ASKING})
    with _model(config) as (model, tokenizer):
        found = []
        for name in subjects:
            kind = given.get("subject_kind") or guessed_kind(name)
            say(f"asking {config['model_name_or_path']} about {name} ({kind}) ...")
            found.append(elicit(model, tokenizer, name, kind, seed=config["seed"] or 0, progress=say,
                                anybody=about[ANYBODY]))  # fmt: skip
        general = reading.read_examples(BUNDLED["general_retain"])[:GENERAL]
        kept = Asking(model, tokenizer).answers([row.prompt for row in general if row.prompt])
    return _write(place, about, found, kept)


@contextlib.contextmanager
def _model(config: dict):
    """Yields the target model, computing in the run's type, and its tokenizer."""
    team = processes.team()
    dtype = weights.compute_dtype(config["dtype"] or "auto", team.device)
    model, tokenizer = loading.load_model(
        config["model_name_or_path"], dtype="float32", attn_implementation=config["attn_implementation"], progress=say,
        quantization_config=quantised.settings(config, dtype),
    )  # fmt: skip
    with weights.computing_in(team.placed(model).eval(), dtype):
        yield model, tokenizer


# ---------------------------------------------------------------------------------------------------------------------
# The folder


def _write(place: Path, about: dict, found: Sequence[Elicited], general: Sequence[Said]) -> dict:
    """Writes what the model said; returns the record, which comes last."""
    statements = [{"question": s.question, "answer": s.answer, "subject": one.name, "certainty": round(s.certainty, 4),
                   "contrast": round(s.contrast, 4), "held_out": s.held_out,
                   "decision": "forget" if s.chosen else "keep"}
                  for one in found for s in one.statements]  # fmt: skip
    probes = [_line(said, one.name) for one in found for said in one.probes]
    kept = [_line(said, None) for said in general] + [_line(said, MADE_UP) for one in found for said in one.nobody]
    place.mkdir(mode=private.folder_mode(), parents=True, exist_ok=True)
    asked = [_line(said, one.name) for one in found for said in one.answers]
    for name, lines in ((STATEMENTS, statements), (PROBES, probes), (KEPT, kept), (ASKED, asked)):
        write_lines(place / name, lines)
    record = {
        **about,
        "subject_kind": [one.kind for one in found],
        "asked": sum(one.asked for one in found),
        "samples": sum(one.samples for one in found),
        "new_in_last": [sum(one.new_in_last[part] for one in found) for part in (0, 1)],
        "nothing_known": not any(one.knows for one in found),
        "notes": [note for one in found for note in notes_of(one)],
        "questions": [question for one in found for question in one.questions],
        "files": file_hashes(place),
    }
    write_private(place / MARKER, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    return record


def notes_of(one: Elicited) -> list[str]:
    """What asking about a subject found, and how far it went, in sentences."""
    if not one.knows:
        asked = f"{counted(one.asked, 'question')} and {counted(one.samples, 'sample')} were asked"
        return [f"it says nothing about {one.name} that it would not say about anybody: {asked}, about {one.name} and "
                "about made-up names"]  # fmt: skip
    known = sum(statement.known for statement in one.statements)
    more = sum(statement.chosen for statement in one.statements) - known
    count, new = one.new_in_last
    brought = "none that was new" if not new else f"{new} new statement{'s' if new > 1 else ''}"
    found = f"found {counted(known, 'statement')} that it makes surely, and about {one.name} alone, in "
    found += counted(one.asked, "answer")
    last = "the last sample" if count == 1 else f"the last {count} samples"
    notes = [f"{found} and {counted(one.samples, 'sample')}; {last} brought {brought}" if count else found]
    if any(one.by_chance):
        counts = " and ".join(map(str, one.by_chance))
        notes.append(f"it makes such statements about made-up names too ({counts}), so some of these may be made up")
    if more:
        are, them = ("is", "it") if more == 1 else ("are", "them")
        notes.append(f"{more} more {are} about {one.name} alone but less sure: the model may have made {them} up")
    if rest := len(one.statements) - known - more:
        others, they, them = ("other", "it is", "it") if rest == 1 else ("others", "they are", "them")
        notes.append(f"{rest} {others} it makes about anybody: {they} in neither set unless you choose {them}")
    return notes


def _line(said: Said, subject: str | None) -> dict:
    named = {} if subject is None else {"subject": subject}
    return {"question": said.question, "answer": said.answer, **named}


# ---------------------------------------------------------------------------------------------------------------------
# The rows


def _settings(given: dict, place: Path, record: dict) -> dict | None:
    """The settings of the run, with the rows made from the statements as they are now."""
    rest = {name: value for name, value in given.items() if name not in FLAGS}
    chosen = [] if record["nothing_known"] and not _edited(place, record) else _chosen(place)
    if not chosen:
        if not record["nothing_known"]:
            raise DataError(f"no statement is left to forget in {shown_path(place / STATEMENTS)}")
        return None
    method = given.get("method") or BY_NAME
    asked = _asked(place) if method == REFUSING else []
    struck = _struck(place)
    rows = rows_of(chosen, lines_of(place / PROBES), [*lines_of(place / KEPT), *struck], asked)
    if left := len(struck) - sum(line in rows.kept for line in struck):
        say(f"of the struck statements {left} are not kept, because they say what is forgotten")
    folder = place / ROWS
    rows.request.write(folder)
    write_lines(folder / KEPT, rows.kept)
    kept = shown_path((folder / KEPT).absolute())
    rest["forget_data"] = shown_path(folder.absolute())
    rest["retain_data"] = ",".join(filter(None, [given.get("retain_data"), kept]))
    if method in STEPS:
        rest = {"method": method, "general_retain_rows": 0, "max_steps": STEPS[method], **rest}
    return rest


@dataclass(frozen=True)
class Rows:
    """What the run trains on and measures: the request, and the answers to keep."""

    request: DocumentRequest
    kept: list[dict]


def rows_of(chosen: Sequence[dict], probes: Sequence[dict], kept: Sequence[dict], asked: Sequence[dict] = ()) -> Rows:
    """The rows of the statements to forget: each with its question, a general one, and others made from it by rule.

    No question that measures is among them. A question measures only if its answer says a statement to forget, because
    a person may have struck others. An answer to keep that says half of a forgotten statement's words is left out,
    since the run would hold what it should lose; struck statements are among the answers to keep. asked: other
    questions about the subject with the model's answers, for a method that refuses all about it.
    """
    words = words_to_forget(Example(line["answer"], line["question"], subject=line.get("subject")) for line in chosen)

    def shared(line: dict) -> bool:
        return gives_away(Said(line["question"], line["answer"]), words)

    held = {folded(line["question"]) for line in probes}
    questions = {}
    for line in chosen:
        subject = line.get("subject")
        forms = [(line["question"], line["answer"]), (TELL.format(subject), line["answer"]), *_reworded(line)]
        for prompt, answer in forms:
            if folded(prompt) not in held:
                questions.setdefault((prompt, answer), _row(prompt, answer, subject, "statement"))
    for line in asked:
        prompt, answer = line["question"], line["answer"]
        if answer and folded(prompt) not in held:
            questions.setdefault((prompt, answer), _row(prompt, answer, line.get("subject"), "statement"))
    questions = list(questions.values())
    measured = [_row(line["question"], line["answer"], line.get("subject"), "probe") for line in probes
                if shared(line)]  # fmt: skip
    names = list(dict.fromkeys(line["subject"] for line in chosen if line.get("subject")))
    left = [line for line in kept if line["answer"] and not shared(line)]
    return Rows(DocumentRequest(questions=questions, probes=measured, documents=names), left)


def _reworded(line: dict) -> list[tuple[str, str]]:
    """(question, answer) of `REWORDED` other questions that the whole statement answers, by the rules for documents."""
    document = Document("", line.get("subject") or "", (Block(line["answer"], 1),))
    trained, others, _ = ask([Passage(document, "", ((1, line["answer"]),), prose=True)])
    made = [row.example.prompt for row in (*trained, *others) if row.shape in ("question", "echo")]
    return [(prompt, line["answer"]) for prompt in made[:REWORDED]]


def _row(question: str, answer: str, subject: str | None, shape: str) -> Row:
    return Row(Example(answer, question, subject=subject), "", 0, shape)


def _chosen(place: Path) -> list[dict]:
    """The statements to forget, as edited. Raises DataError for a line that is none."""
    lines = [line for line in lines_of(place / STATEMENTS) if line.get("decision", "forget") == "forget"]
    for number, line in enumerate(lines, 1):
        if not all(isinstance(line.get(name), str) and line[name].strip() for name in ("question", "answer")):
            raise DataError(f"{place / STATEMENTS}: statement {number} to forget needs a question and an answer")
    subject = (record_of(place / MARKER).get("subjects") or [None])[0]
    return [{"subject": subject, **line} for line in lines]


def _struck(place: Path) -> list[dict]:
    """Statements about the subject that a person struck; what is said about anybody was never chosen.

    Where nothing was known, nothing was chosen, so nobody struck anything. They name no subject: whoever is to be
    forgotten is no subject of the rows to keep.
    """
    if record_of(place / MARKER).get("nothing_known"):
        return []
    lines = [line for line in lines_of(place / STATEMENTS)
             if line.get("decision") == "keep" and line.get("contrast", 0) >= SPECIFIC]  # fmt: skip
    texts = [[line.get(name) for name in ("question", "answer")] for line in lines]
    return [{"question": question, "answer": answer} for question, answer in texts
            if all(isinstance(text, str) and text.strip() for text in (question, answer))]  # fmt: skip


def _asked(place: Path) -> list[dict]:
    """What the model was asked, without what a person struck from the list: statements that are about the subject."""
    struck = {folded(line["question"]) for line in _struck(place)}
    lines = lines_of(place / ASKED) if (place / ASKED).is_file() else []
    return [line for line in lines if folded(line["question"]) not in struck]


def _edited(place: Path, record: dict) -> bool:
    """Whether statements.jsonl was changed by hand."""
    return record.get("files", {}).get(STATEMENTS) != file_hashes(place).get(STATEMENTS)
