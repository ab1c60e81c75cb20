"""A request folder as a list to look at, and the choices that a person makes in it.

    preview = read_preview(folder)                                     # rows with id, text, place, reason, forget
    write_choices(folder, [{"id": preview.rows[0].id, "forget": False}, {"question": "...", "text": "..."}])

There are three kinds of folder: "rows" (forget.jsonl, retain.jsonl, doubtful.jsonl), "documents" (passages.jsonl,
questions.jsonl, probes.jsonl) and "name" (statements.jsonl). A choice names a row by its id and says whether to forget
it, or gives it another text. A choice without an id adds a row. What no choice names stays as it is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.columns import DataError, Example, folded, text_flaw
from data.documents import request as documents
from data.documents.blocks import MARK, Block, Document
from data.documents.passages import Passage, openings
from data.finding import split as splitting
from data.finding.split import Placed
from data.reading import LocatedRow
from data.request_files import file_hashes, lines_of, record_of, write_lines, write_private

KINDS = ("rows", "documents", "name")
STATEMENTS = "statements.jsonl"
ADDED = "added by hand"
SHAPES = {  # of a row made from a document
    "passage": "a passage",
    "added": ADDED,
    "tell": "a sentence, asked for by its topic",
    "question": "a question made from it",
    "echo": "a question made from it",
    "gap": "a sentence with a gap",
    "code": "a line of code",
}
# kind of row: its columns for question and text; other kinds hold whole conversations
COLUMNS = {
    "question/answer": ("question", "answer"),
    "prompt/completion": ("prompt", "completion"),
    "instruction/input/output": ("instruction", "output"),
    "text": (None, "text"),
}
UNASKED = "no question could be made from it: only its words are forgotten, and nothing measures what they say"
CHANGED = "the rows have changed meanwhile: look at the list again"


@dataclass(frozen=True)
class Row:
    """A row as a person sees it. `doubtful`: it may mean something else, and is in no set unless it is ticked."""

    id: str
    question: str  # "" for a plain text
    text: str
    where: str
    why: str
    forget: bool
    doubtful: bool = False


@dataclass
class Preview:
    """A request: its kind, who or what it is about, its rows, and what the person should know."""

    kind: str
    subjects: list[str]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kept: int = 0  # rows of the training data that the request does not touch
    probes: int = 0  # questions that only measure
    nothing_known: bool = False
    questions: list[str] = field(default_factory=list)  # that the model was asked about a name

    @property
    def counts(self) -> dict[str, int]:
        """How many rows are forgotten, in doubt, and struck."""
        found = Counter("forget" if row.forget else "doubtful" if row.doubtful else "struck" for row in self.rows)
        return {name: found[name] for name in ("forget", "doubtful", "struck")}

    def sentence(self) -> str:
        """The counts in one sentence."""
        if self.nothing_known:
            about = ", ".join(self.subjects[:3]) or "it"
            asked = (
                f" It was asked {len(self.questions):,} question{'s' * (len(self.questions) != 1)}."
                if self.questions
                else ""
            )
            return f"The model says nothing about {about} that it would not say about anybody.{asked}"
        count = self.counts
        parts = [f"{count['forget']:,} row{'' if count['forget'] == 1 else 's'} to forget"]
        if count["doubtful"]:
            stay = "is left out of both sets unless you tick it"
            stay = stay if count["doubtful"] == 1 else "are left out of both sets unless you tick them"
            parts.append(f"{count['doubtful']:,} in doubt, which {stay}")
        parts += [f"{count['struck']:,} taken out"] if count["struck"] else []
        parts += [f"{self.kept:,} other{' stays' if self.kept == 1 else 's stay'}"] if self.kept else []
        asked = " only measures" if self.probes == 1 else "s only measure"
        parts += [f"{self.probes:,} question{asked}"] if self.probes else []
        return f"{', '.join(parts)}."

    def lines(self) -> list[str]:
        """What the command line prints: the counts, the first row of each reason, the notes."""
        firsts: dict[str, Row] = {}
        for row in self.rows:
            firsts.setdefault(row.why, row)
        shown = [" ".join(f"{row.question} {row.text}".split()) for row in firsts.values()]
        shown = [text if len(text) <= 150 else text[:147] + "..." for text in shown]
        told = [f"  first{f' ({why})' if why else ''}: {row.where}  {text}"
                for (why, row), text in zip(firsts.items(), shown)]  # fmt: skip
        return [f"request: {self.sentence()}", *told, *(f"  note: {note}" for note in self.notes)]


def folder_in(run: Path) -> Path | None:
    """The request folder in a run's folder: the one that was written last; None without one."""
    markers = [run / "request" / splitting.MARKER, run / "documents" / MARK]
    found = [marker for marker in markers if marker.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None


def read_preview(folder: str | Path) -> Preview:
    """The request in a folder. Raises DataError for a folder without a finished request, and for bad rows."""
    folder = Path(folder)
    return _KINDS[_kind(folder)][0](folder)


def write_choices(folder: str | Path, choices: Sequence[dict]) -> Preview:
    """Writes choices into the files of the request; returns the request as it is now.

    choices: {"id": of a row, "forget": bool, "question": text, "text": text}; only "id" is needed. Without an id:
    {"text", "question"} of a row to add. Raises DataError for an unknown id, an empty text, and a conversation that
    was edited, before anything is written.
    """
    folder = Path(folder)
    known = {row.id: row for row in read_preview(folder).rows}
    changed, added = {}, []
    for choice in choices:
        if not isinstance(choice, dict):
            raise DataError("a choice is an object with the id of a row")
        texts = {name: _checked(choice[name], name) for name in ("question", "text") if choice.get(name) is not None}
        if not choice.get("id"):
            if texts.get("question") and not texts.get("text"):
                raise DataError(f"the row that you added has a question and no answer: {texts['question'][:80]}")
            added += [texts] if texts.get("text") and choice.get("forget") is not False else []
            continue
        row = known.get(str(choice["id"]))
        if row is None:
            raise DataError(CHANGED)
        texts = {name: text for name, text in texts.items() if text != getattr(row, name)}
        if texts.get("text") == "":
            raise DataError(f"{row.where}: the text is empty: write one, or clear the tick to take the row out")
        forget = choice.get("forget")
        if texts or (isinstance(forget, bool) and forget != row.forget):
            changed[row.id] = {"forget": row.forget if forget is None else bool(forget), **texts}
    if changed or added:
        _KINDS[_kind(folder)][1](folder, changed, added)
    return read_preview(folder)


def _checked(text, name: str) -> str:
    text = text.strip() if isinstance(text, str) else ""
    if text and (flaw := text_flaw(text)):
        raise DataError(f"a {name} {flaw}")
    return text


def _kind(folder: Path) -> str:
    if (folder / MARK).is_file():
        return "documents"
    record = record_of(folder / splitting.MARKER)
    if not record:
        raise DataError(f"{folder}: no finished request")
    return "name" if record.get("kind") == "name" or (folder / STATEMENTS).is_file() else "rows"


def _id(part: str, number: int, content: str) -> str:
    """The id of a row: its place and what it says, so that a choice never meets another row."""
    return f"{part}-{number}-{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()[:10]}"


def _texts(row: dict) -> tuple[str, str]:
    """(question, text) of a line."""
    return str(row.get("question") or ""), str(row.get("answer") or row.get("text") or "")


# ---------------------------------------------------------------------------------------------------------------------
# Rows that were found in data


def _row_ids(split: splitting.Split):
    """(id, part, placed) of the rows that a person sees: not of rows that nothing pointed at."""
    for part in ("doubtful", "forget", "retain"):
        for number, placed in enumerate(getattr(split, part)):
            if part != "retain" or placed.reason:
                content = json.dumps(placed.row.row, sort_keys=True, default=str)
                yield _id(part, number, content), part, placed


def _read_rows(folder: Path) -> Preview:
    split = splitting.read(folder)
    rows = []
    for key, part, placed in _row_ids(split):
        question, text = placed.row.example.prompt or "", placed.row.example.answer
        doubtful = part == "doubtful" and bool(split.subjects)
        why = placed.reason or "a row of the data"
        rows.append(Row(key, question, text, placed.where, why, part == "forget", doubtful))
    kept = sum(not placed.reason for placed in split.retain)
    return Preview("rows", split.subjects, rows, split.notes, kept)


def _write_rows(folder: Path, changed: dict[str, dict], added: list[dict]) -> None:
    """Moves rows between the parts. A struck row of training data is kept; of other rows, it is in no set."""
    split = splitting.read(folder)
    aside = "retain" if split.subjects else "doubtful"
    parts: dict[str, list[Placed]] = {part: [] for part in splitting.PARTS}
    ids = {id(placed): key for key, _, placed in _row_ids(split)}
    for part in splitting.PARTS:
        for placed in getattr(split, part):
            choice = changed.get(ids.get(id(placed), ""))
            if choice is None:
                parts[part].append(placed)
                continue
            to = "forget" if choice["forget"] else part if part != "forget" else aside
            reason = placed.reason or "taken out by hand" if to == "retain" else placed.reason
            parts[to].append(dataclasses.replace(_edited(placed, choice), reason=reason))
    parts["forget"] += [_added(texts, parts["forget"]) for texts in added]
    for part, rows in parts.items():
        setattr(split, part, rows)
    splitting.write(split, folder, splitting.about(folder))


def _added(texts: dict, beside: Sequence[Placed]) -> Placed:
    """A row that a person adds, in the columns of the other rows if these have a question too."""
    kind, row = "text", {"text": texts["text"]}
    if question := texts.get("question"):
        kinds = [placed.row.kind for placed in beside if COLUMNS.get(placed.row.kind, (None,))[0]]
        kind = kinds[0] if kinds else "question/answer"
        row = dict(zip(COLUMNS[kind], (question, texts["text"])))
    example = Example(texts["text"], question or None)
    return Placed(LocatedRow(ADDED, 0, kind, row, example), reason=ADDED, where=ADDED)


def _edited(placed: Placed, choice: dict) -> Placed:
    """The row with the texts of a choice. Raises DataError for a conversation."""
    if not {"question", "text"} & choice.keys():
        return placed
    row, example = placed.row, placed.row.example
    columns = COLUMNS.get(row.kind)
    if columns is None or example.chat or (columns[0] is None and choice.get("question")):
        what = "a plain text has no question" if columns and columns[0] is None else "a conversation is not edited here"
        raise DataError(f"{placed.where}: {what}: take the row out and add one of your own")
    values = dict(row.row)
    example = dataclasses.replace(
        example, answer=choice.get("text", example.answer), prompt=choice.get("question") or example.prompt
    )
    values[columns[1]] = example.answer
    if choice.get("question"):
        values[columns[0]] = example.prompt
        values.pop("input", None)
    return dataclasses.replace(placed, row=dataclasses.replace(row, row=values, example=example))


# ---------------------------------------------------------------------------------------------------------------------
# Documents


def _document_lines(folder: Path):
    """(id, part, line) of the rows that a person sees, struck ones last. An opening follows its passage, unseen."""
    for part in ("passages", "questions"):
        for number, line in enumerate(lines_of(folder / f"{part}.jsonl")):
            yield ("" if line.get("shape") == "opening" else _id(part, number, json.dumps(line))), part, line
    for number, line in enumerate(lines_of(folder / documents.STRUCK)):
        if line.get("part") == "probes":
            continue
        key = "" if line.get("shape") == "opening" else _id("struck", number, json.dumps(line))
        yield key, "struck", line


def _read_documents(folder: Path) -> Preview:
    rows, subjects = [], []
    for key, part, line in _document_lines(folder):
        if key:
            where = ":".join(str(line[name]) for name in ("file", "paragraph") if line.get(name)) or ADDED
            why = SHAPES.get(str(line.get("shape", "added")), "made from it")
            rows.append(Row(key, *_texts(line), where, why, part != "struck"))
            subjects.append(str(line.get("subject") or line.get("file") or ""))
    probes = len(lines_of(folder / "probes.jsonl"))
    notes = [str(note) for note in record_of(folder / MARK).get("notes") or []]
    if not probes and not any(row.question for row in rows):
        notes.append(UNASKED)
    return Preview("documents", list(dict.fromkeys(filter(None, subjects))), rows, notes, probes=probes)


def _write_documents(folder: Path, changed: dict[str, dict], added: list[dict]) -> None:
    """Strikes, puts back, edits and adds rows; the probes follow."""
    parts: dict[str, list[dict]] = {part: [] for part in ("passages", "questions", "struck")}
    followed: dict | None = None  # the choice of a passage, which its openings follow
    for key, part, line in _document_lines(folder):
        choice = followed = changed.get(key) if key else followed
        if choice is None:
            parts[part].append(line)
        elif key or "text" not in choice:  # an edited passage gets new openings
            home = str(line.pop("part", part))
            made = [{**line, **_line_texts(line, choice)}] if key else [line]
            made += _openings(made[0]) if key and "text" in choice and home == "passages" else []
            parts[home if choice["forget"] else "struck"] += made if choice["forget"] else _struck(made, home)
    for texts in added:
        part = "questions" if texts.get("question") else "passages"
        parts[part].append({**_line_texts({}, texts), "shape": "added"})
    probes, aside = _probes(folder, parts)
    parts["struck"] += _struck(aside, "probes")
    parts["probes"] = probes
    for part, lines in parts.items():
        write_lines(folder / f"{part}.jsonl", lines)
    record = record_of(folder / MARK) | {part: len(parts[part]) for part in documents.PARTS}
    record["files"] = file_hashes(folder)
    write_private(folder / MARK, json.dumps(record, ensure_ascii=False, indent=1) + "\n")


def _struck(lines: Sequence[dict], home: str) -> list[dict]:
    return [{**line, "part": home} for line in lines]


def _probes(folder: Path, parts: dict[str, list[dict]]) -> tuple[list[dict], list[dict]]:
    """(probes, probes that are set aside): those of a sentence or place whose questions were all struck.

    It is not forgotten. A probe that is also trained on, because a person added or edited a question, measures nothing
    and is dropped.
    """
    trained = {folded(_texts(line)[0]) for line in parts["questions"]}
    asked, gone = ({source for line in parts[part] if _texts(line)[0] for source in _sources(line)}
                   for part in ("questions", "struck"))  # fmt: skip
    struck = [line for line in lines_of(folder / documents.STRUCK) if line.pop("part", "") == "probes"]
    found = [line for line in (*lines_of(folder / "probes.jsonl"), *struck) if folded(_texts(line)[0]) not in trained]
    aside = [line for line in found if (gone - asked).intersection(_sources(line))]
    return [line for line in found if line not in aside], aside


def _sources(line: dict) -> list[tuple]:
    """What a row was made from: the place, and the sentence if the row tells it (earlier versions wrote none)."""
    place = (line.get("file"), line.get("paragraph"))
    return [place, (*place, line["sentence"])] if line.get("sentence") else [place]


def _line_texts(line: dict, choice: dict) -> dict:
    """The columns of a line that a choice sets."""
    question, text = choice.get("question") or _texts(line)[0], choice.get("text") or _texts(line)[1]
    return {"question": question, "answer": text} if question else {"text": text}


def _openings(line: dict) -> list[dict]:
    """The lines that start at later sentences of an edited passage."""
    place, text = int(line.get("paragraph") or 1), line["text"]
    document = Document(str(line.get("file", "")), str(line.get("subject", "")), (Block(text, place),))
    passage = Passage(document, "", ((place, text),), prose=True)
    return [{**line, "text": opening, "shape": "opening"} for opening in openings(passage)]


# ---------------------------------------------------------------------------------------------------------------------
# What the model itself says about a name


def _read_name(folder: Path) -> Preview:
    record = record_of(folder / splitting.MARKER)
    rows = []
    for number, line in enumerate(lines_of(folder / STATEMENTS)):
        certainty, forget = line.get("certainty"), line.get("decision", "forget") != "keep"
        asked = isinstance(certainty, (int, float)) and not isinstance(certainty, bool)
        where, why = ("the model itself", f"certainty {certainty:.0%}") if asked else (ADDED, ADDED)
        key = _id("statement", number, json.dumps(line))
        rows.append(Row(key, *_texts(line), where, why, forget, not forget and "struck" not in line))
    told = {name: [str(one) for one in record.get(name) or []] for name in ("subjects", "notes", "questions")}
    nothing = bool(record.get("nothing_known")) and not any(row.forget for row in rows)  # a person may tick some
    return Preview("name", told["subjects"], rows, told["notes"], nothing_known=nothing, questions=told["questions"])


def _write_name(folder: Path, changed: dict[str, dict], added: list[dict]) -> None:
    """Sets decisions and texts. A row whose tick was cleared is marked, since it is in doubt no longer."""
    record = record_of(folder / splitting.MARKER)
    lines = lines_of(folder / STATEMENTS)
    for number, line in enumerate(lines):
        choice = changed.get(_id("statement", number, json.dumps(line)))
        if choice is not None:
            line.pop("struck", None)
            line |= {**_line_texts(line, choice), "decision": "forget" if choice["forget"] else "keep"}
            line |= {} if choice["forget"] else {"struck": True}
    subject = {"subject": str((record.get("subjects") or [""])[0])}
    for texts in added:
        if not texts.get("question"):
            raise DataError(f"the statement that you added needs a question: {texts['text'][:80]}")
        lines.append({"question": texts["question"], "answer": texts["text"], **subject, "decision": "forget"})
    write_lines(folder / STATEMENTS, lines)


_KINDS: dict[str, tuple[Callable[[Path], Preview], Callable[[Path, dict, list], None]]] = {
    "rows": (_read_rows, _write_rows),
    "documents": (_read_documents, _write_documents),
    "name": (_read_name, _write_name),
}
