"""A request to forget documents: the rows to train on, the probes that only measure, and where each came from.

    request = document_request("report.docx")      # None: the source holds rows, not documents
    request.write("my_request")                    # passages.jsonl, questions.jsonl, probes.jsonl: edit, strike lines
    request = document_request("my_request")       # the rows that are left

    python -m data.documents.request report.docx my_request

The rows to train on are the passages, a text from each of their sentences on, and questions made by rule; so the
knowledge goes, also where a question asks for it, and not only the string. The probes are other questions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from data import private, reading
from data.columns import DataError, Example, folded
from data.documents import formats
from data.documents.blocks import MARK, Document
from data.documents.passages import openings, passages
from data.documents.questions import Row, ask, topic
from data.request_files import file_hashes, write_private

TYPED, THE_TEXT = "text.txt", "the text"  # the file of a text that somebody typed, and its subject without a name
PARTS = ("passages", "questions", "probes")
STRUCK = "struck.jsonl"  # lines that were taken out and can be put back; nothing reads them for a run
_NOTED = ("documents", *PARTS)
SUMMARY = "; the probes are never trained on"  # the end of the note that counts the rows


@dataclass
class DocumentRequest:
    """Rows to forget (`passages`, `questions`) and rows that only measure (`probes`)."""

    passages: list[Row] = field(default_factory=list)
    questions: list[Row] = field(default_factory=list)
    probes: list[Row] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)  # the subjects, one per document
    notes: list[str] = field(default_factory=list)
    written: bool = False  # read from a request folder

    @property
    def forget(self) -> list[Example]:
        """The rows to train on."""
        return [row.example for row in (*self.passages, *self.questions)]

    @property
    def measured(self) -> list[Example]:
        """The probes, which nothing is trained on."""
        return [row.example for row in self.probes]

    def write(self, folder: str | Path, about: dict | None = None) -> Path:
        """Writes the request, readable by its owner alone, because it holds what is to be forgotten; `MARK` comes last.

        Each line of passages.jsonl, questions.jsonl and probes.jsonl is a row; whoever deletes a line strikes it.
        about: what else `MARK` records.
        """
        folder = Path(folder)
        folder.mkdir(mode=private.folder_mode(), parents=True, exist_ok=True)
        (folder / MARK).unlink(missing_ok=True)
        (folder / STRUCK).unlink(missing_ok=True)
        for part in PARTS:
            write_private(folder / f"{part}.jsonl", "".join(_line(row) + "\n" for row in getattr(self, part)))
        counts = {part: len(getattr(self, part)) for part in PARTS}
        record = {"kind": "documents", "documents": self.documents, **counts, **(about or {})}
        record["files"] = file_hashes(folder)
        write_private(folder / MARK, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
        return folder


def _line(row: Row) -> str:
    """A row as one line that `reading` accepts."""
    example = row.example
    asked = (
        {"text": example.answer} if example.prompt is None else {"question": example.prompt, "answer": example.answer}
    )
    where = {"file": row.file, "paragraph": row.place, "shape": row.shape}
    where |= {"sentence": row.sentence} if row.sentence else {}
    return json.dumps({**asked, "subject": example.subject, **where}, ensure_ascii=False)


def is_documents(source: str | Path) -> bool:
    """Whether a source is a document, a folder of documents or the folder of a request."""
    if not str(source).strip():  # the path of nothing is the current folder
        return False
    try:
        path = Path(source).expanduser()
        return (path / MARK).is_file() or reading.holds_documents(path)
    except (OSError, RuntimeError, ValueError):  # no path at all, or bad data; its reader says why
        return False


def document_request(
    source: str | Path, questions: bool = True, max_length: int = 512, seed: int = 0
) -> DocumentRequest | None:
    """The request to forget a source, or None if it holds no documents but rows.

    questions: whether question-form rows are trained on. max_length: tokens of a passage, about. The rows depend on
    nothing else, so a later run finds the same ones. Raises DataError that names file and place.
    """
    if not is_documents(source):
        return None
    path = Path(source).expanduser()
    if (path / MARK).is_file():
        return _reread(path, questions)
    request = DocumentRequest()
    found = list(_documents(path, request.notes))
    request.documents = [document.subject for document in found]
    pieces = [passage for document in found for passage in passages(document, max_length)]
    for piece in pieces:
        shapes = [("passage", piece.text), *(("opening", text) for text in openings(piece))]
        for shape, text in shapes:
            example = Example(text, subject=piece.document.subject, line=piece.place)
            request.passages.append(Row(example, piece.document.name, piece.place, shape))
    request.questions, request.probes, notes = ask(pieces, seed)
    request.notes += [f"{path.name}: {note}" for note in notes]
    return _settled(request, path, questions)


def _documents(path: Path, notes: list[str]) -> Iterable[Document]:
    for file, name in reading.document_files(path, notes) if path.is_dir() else [(path, path.name)]:
        found = formats.read_file(file, notes, name)
        yield from map(_about, found) if name == TYPED else found


def _about(document: Document) -> Document:
    """A typed text under the name that it is most about: nobody named its file, so the file's name says nothing."""
    plain = replace(document, subject=THE_TEXT)
    return replace(plain, subject=topic(plain))


def _settled(request: DocumentRequest, path: Path, questions: bool) -> DocumentRequest:
    """The request without question-form rows unless they are wanted, with a note on its rows."""
    if not questions:
        request.questions = []
    if not request.forget:
        raise DataError(f"{path}:1: no rows to forget are left")
    counts = [len(set(request.documents)), *(len(getattr(request, part)) for part in PARTS)]
    words = ", ".join(
        f"{count:,} {name if count != 1 else name.removesuffix('s')}" for count, name in zip(counts, _NOTED)
    )
    request.notes.append(f"{path.name}: {words}{SUMMARY}")
    return request


def merged(requests: Iterable[DocumentRequest]) -> DocumentRequest:
    """One request of several; a row that one of them trains on is no probe of another."""
    whole = DocumentRequest()
    for request in requests:
        for name in ("passages", "questions", "probes", "documents", "notes"):
            getattr(whole, name).extend(getattr(request, name))
    asked = {folded(row.example.prompt) for row in whole.questions if row.example.prompt}
    probes = {folded(row.example.prompt or ""): row for row in whole.probes}
    whole.probes = [row for prompt, row in probes.items() if prompt not in asked]
    return whole


# ---------------------------------------------------------------------------------------------------------------------
# A request that was written, and perhaps edited


def _reread(folder: Path, questions: bool) -> DocumentRequest:
    """The rows of a request folder. Raises DataError for a bad line and for a probe that is also trained on."""
    request = DocumentRequest(written=True)
    for part in PARTS:
        setattr(request, part, _rows(folder / f"{part}.jsonl"))
    trained = {folded(row.example.prompt): row for row in request.questions if row.example.prompt}
    both = [row for row in request.probes if folded(row.example.prompt or "") in trained]
    if both:
        lines = ", ".join(str(row.example.line) for row in both[:10])
        raise DataError(
            f"{folder / 'probes.jsonl'}:{both[0].example.line}: {len(both)} probes are also in questions.jsonl "
            f"(lines {lines}), so they would measure what they train: strike them in one of the files"
        )
    if bare := next((row for row in request.probes if row.example.prompt is None), None):
        raise DataError(f"{folder / 'probes.jsonl'}:{bare.example.line}: a probe needs a question and an answer")
    request.documents = list(
        dict.fromkeys(row.example.subject or row.file for row in (*request.passages, *request.questions))
    )
    return _settled(request, folder, questions)


def _rows(path: Path) -> list[Row]:
    """The rows of one file; none if it is missing or empty, because all its lines may be struck."""
    if not path.is_file() or not path.read_bytes().strip():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return [Row(example, *_where(lines[example.line - 1])) for example in reading.read_examples(path)]


def _where(line: str) -> tuple[str, int, str, int]:
    """(file, place, shape, sentence) of a line; an added line has none."""
    try:
        row = json.loads(line)
    except ValueError:
        row = {}
    row = row if isinstance(row, dict) else {}
    place, sentence = (row[name] if isinstance(row.get(name), int) else 0 for name in ("paragraph", "sentence"))
    return str(row.get("file", "")), place, str(row.get("shape", "added")), sentence


def main(argv: list[str] | None = None) -> int:
    """Writes the request of a source into a folder; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) != 2:
        print("usage: python -m data.documents.request SOURCE FOLDER", file=sys.stderr)
        return 2
    try:
        request = document_request(argv[0])
        if request is None:
            raise DataError(f"{argv[0]}: no document, or no such file; accepted: {' '.join(formats.SUFFIXES)}")
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    folder = request.write(argv[1])
    print("\n".join([*request.notes, f"request: {folder}; delete lines to strike rows, then --forget_data {folder}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
