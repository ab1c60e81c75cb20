"""The split of training data by a request: rows to forget, rows to keep, rows in doubt, as files that a person edits.

    split = split_rows(rows, subjects)
    write(split, folder)     # forget.jsonl, retain.jsonl, doubtful.jsonl, request.json
    split = read(folder)     # with the edits: a row belongs to the file in which it stands

Every row of the data is in exactly one part. A row in a file has all its columns, `found_by` (why it is there) and
`found_in` (file:line). Several kinds of columns give a folder per part with a file per kind, because a file holds one.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data import private
from data.columns import RECORDED, DataError
from data.finding.matching import Subject, is_partial, match, nearest_names
from data.finding.names import KINDS as NAME_KINDS
from data.preparation import data_hash
from data.reading import LocatedRow, located_rows
from data.request_files import file_hashes, record_of, write_private

ADD = "add other rows to --training_data, or give these as --forget_data and rows to keep as --retain_data"
PARTS = ("forget", "retain", "doubtful")
WHY, WHERE = RECORDED
MARKER = "request.json"  # written last
NEARLY_ALL, MANY, TINY = 0.9, 0.5, 20  # shares of rows that one name may hold, and rows too few to tell


@dataclass(frozen=True)
class Placed:
    """A row of a split, the kind of its match ("": none), and the reason why it is there."""

    row: LocatedRow
    kind: str = ""
    reason: str = ""
    where: str = ""  # file:line of the training data

    @property
    def text(self) -> str:
        """The row in one short line."""
        example = self.row.example
        line = " | ".join(" ".join(text.split()) for text in (example.prompt, example.answer) if text)
        return line if len(line) <= 150 else line[:147] + "..."


@dataclass
class Split:
    """What a request means: its subjects, the rows of each part, and what the user should know."""

    subjects: list[str]
    forget: list[Placed] = field(default_factory=list)
    retain: list[Placed] = field(default_factory=list)
    doubtful: list[Placed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The rows of each part."""
        return {part: len(getattr(self, part)) for part in PARTS}

    def kinds(self, part: str) -> dict[str, int]:
        """The rows of a part by kind of match, the most frequent first."""
        return dict(Counter(placed.kind for placed in getattr(self, part) if placed.kind).most_common())

    def firsts(self, part: str) -> list[Placed]:
        """The first row of each kind of match."""
        found: dict[str, Placed] = {}
        for placed in getattr(self, part):
            found.setdefault(placed.kind, placed)
        return list(found.values())

    @property
    def partial(self) -> int:
        """Rows in doubt that name a subject by one word of its name only."""
        return sum(is_partial(placed.kind) for placed in self.doubtful)


def read_training_data(sources: Sequence[str]) -> tuple[list[LocatedRow], list[str]]:
    """(rows, notes) of files, folders or datasets. Raises DataError for bad rows and for a file that is given twice."""
    rows, notes, seen = [], [], {}
    for source in sources:
        found = list(located_rows(source, notes))
        for name in dict.fromkeys(row.file for row in found):
            place = os.path.realpath(name) if os.path.exists(name) else name
            if place in seen:
                other = "" if seen[place] == name else f", also as {seen[place]}"
                raise DataError(f"--training_data: {name} is given twice{other}")
            seen[place] = name
        rows += found
    return rows, notes


def split_rows(rows: Sequence[LocatedRow], subjects: Sequence[Subject], listed: frozenset[str] = frozenset()) -> Split:
    """The split of all rows. `listed`: subjects of a list, of which some may match no row.

    Raises DataError if a subject matches no row, with the nearest names in the data, or if one names nearly every row.
    """
    matches = match(rows, subjects)
    split = Split([subject.name for subject in subjects], notes=list(matches.notes))
    for position, row in enumerate(rows):
        found, where = matches.rows.get(position), f"{row.file}:{row.line}"
        part = split.retain if found is None else split.forget if found.certain else split.doubtful
        part.append(Placed(row, found.kind, found.reason, where) if found else Placed(row, where=where))
    named = {found.subject for found in matches.rows.values()}
    missing = [subject for number, subject in enumerate(subjects) if number not in named]
    unknown = [_not_found(rows, subject) for subject in missing if subject.name not in listed or not named]
    if unknown:
        raise DataError("\n".join(unknown[:20]))
    split.notes += [_not_found(rows, subject) for subject in missing[:20]]
    sure = {found.subject for found in matches.rows.values() if found.certain}
    for number, subject in enumerate(subjects):
        if number in named - sure and len(split.notes) < 40:
            split.notes.append(_not_found(rows, subject).replace("no row names", "no row surely names"))
    if len(missing) > 20:
        split.notes.append(f"{len(missing) - 20} more subjects of the list are named by no row")
    if len(split.forget) == len(rows):
        raise DataError(f"all {len(rows)} rows name {', '.join(split.subjects[:3])}, so nothing is left to keep: {ADD}")
    if len(rows) >= TINY:
        split.notes += _widely_named(matches, subjects, len(rows))
    return split


def _widely_named(matches, subjects, total: int) -> list[str]:
    """A note per subject that most rows name. Raises DataError for one that nearly all rows name: it is no name."""
    notes = []
    named = Counter(found.subject for found in matches.rows.values() if found.certain)
    for number, count in named.items():
        name, share = subjects[number].name, f"{count} of {total} rows ({100 * count // total}%)"
        if count >= NEARLY_ALL * total:
            raise DataError(f"{name}: found in {share}, so it names nobody here: give a fuller name, or {ADD}")
        if count > MANY * total:
            notes.append(f"{name} was found in {share}: look whether it names what is meant")
    return notes


def _not_found(rows, subject: Subject) -> str:
    near = nearest_names(rows, subject.name)
    hint = f"; nearest names in the data: {', '.join(near)}" if near else ""
    two = "; two subjects are separated by ';', since a comma is part of a name" if "," in subject.name else ""
    return f"no row names {subject.name}{hint}{two}"


# ---------------------------------------------------------------------------------------------------------------------
# Files


def identity(rows: Sequence[LocatedRow], subjects: Sequence[Subject], hashed=data_hash) -> dict:
    """What makes two requests the same: the subjects as given and the data's contents.

    hashed: `content_hash` for a request that an earlier version wrote.
    """
    given = [[form.given for form in subject.forms] for subject in subjects]
    return {"given": given, "data": hashed(row.example for row in rows)}


def place_of(folder: Path, part: str) -> Path:
    """Where a part of a request lies: a file, or a folder with a file per kind of row."""
    return folder / part if (folder / part).is_dir() else folder / f"{part}.jsonl"


def write(split: Split, folder: Path, about: dict | None = None) -> None:
    """Writes the parts as .jsonl files and, last, request.json with `about`; only the owner may read them.

    Replaces the parts of an earlier split. An empty part has no file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, private.folder_mode())
    (folder / MARKER).unlink(missing_ok=True)
    kinds = dict.fromkeys(placed.row.kind for part in PARTS for placed in getattr(split, part))
    for part in PARTS:
        for old in (folder / f"{part}.jsonl", *(folder / part).glob("*.jsonl")):
            old.unlink(missing_ok=True)
        if (folder / part).is_dir():
            (folder / part).rmdir()
        for kind in kinds:
            placed = [placed for placed in getattr(split, part) if placed.row.kind == kind]
            if placed:
                name = f"{part}.jsonl" if len(kinds) == 1 else f"{part}/{kind.replace('/', '-')}.jsonl"
                write_private(folder / name, "".join(map(_line, placed)))
    record = {"kind": "rows", "subjects": split.subjects, "counts": split.counts, "notes": split.notes}
    record |= {**(about or {}), "files": file_hashes(folder)}
    write_private(folder / MARKER, json.dumps(record, ensure_ascii=True, indent=1) + "\n")


def _line(placed: Placed) -> str:
    row = {**placed.row.row, WHY: f"{placed.reason}", WHERE: placed.where}
    text = json.dumps(row, ensure_ascii=False, default=str)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate in a column that is not used
        text = json.dumps(row, default=str)
    return text + "\n"


def about(folder: Path) -> dict:
    """The `identity` in a request folder; {} for a folder without a finished request."""
    record = record_of(folder / MARKER)
    return {name: record[name] for name in ("given", "data")} if {"given", "data"} <= record.keys() else {}


def read(folder: Path) -> Split:
    """The split in a request folder, as edited: rows may be removed, added, or moved between the files.

    Raises DataError for a folder without a finished request and for bad rows.
    """
    try:
        about = record_of(folder / MARKER)
        split = Split([str(name) for name in about["subjects"]], notes=[str(note) for note in about["notes"]])
    except (TypeError, KeyError):
        raise DataError(f"{folder}: no finished request ({MARKER} is missing or unreadable)") from None
    for part in PARTS:
        place = place_of(folder, part)
        if place.is_file() and not place.read_bytes().strip():
            continue  # every row was taken out
        for row in located_rows(place, []) if place.exists() else ():
            why, where = row.row.get(WHY), row.row.get(WHERE)
            why = "added by hand" if why is None else str(why)
            columns = {name: value for name, value in row.row.items() if name not in (WHY, WHERE)}
            plain = LocatedRow(row.file, row.line, row.kind, columns, row.example)
            getattr(split, part).append(Placed(plain, _kind_in(why), why, str(where or f"{row.file}:{row.line}")))
    return split


def _kind_in(reason: str) -> str:
    """The kind of match that a reason names; "" for none."""
    return next((kind for kind in sorted(NAME_KINDS, key=len, reverse=True) if kind in reason.split(" (")[0]), "")


def check(split: Split, folder: Path) -> None:
    """Raises DataError if no row is left to forget or to keep."""
    if not split.forget:
        doubt = f" {len(split.doubtful)} rows are in doubt ({place_of(folder, 'doubtful')}): look at them, move those "
        doubt += "that are meant into forget.jsonl, or give --doubtful forget" if split.doubtful else ""
        raise DataError(f"no row is left to forget.{doubt if split.doubtful else ''}")
    if not split.retain:
        kept = " without those in doubt: give --doubtful keep, or other rows as well" if split.doubtful else ""
        raise DataError(f"no row is left to keep{kept}")
