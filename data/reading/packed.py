"""Which files of a folder or an archive hold rows: tables, and not their licence, description or list of columns.

chosen_rows(["README.md", "data/train-00000.jsonl", "data/test-00000.jsonl"])   # the train file, and a note
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data.columns import DataError
from data.documents import containers, formats
from data.documents.blocks import Flaw

DESCRIBES = re.compile(
    r"(readme|licen[cs]e|unlicense|copying|copyright|notice|authors|contributors|citation|changelog|contributing|"
    r"code_of_conduct|security)([-_.].*)?|requirements.*\.txt|(md5|sha\d+)sums?(\.txt)?|checksums?\.txt|"
    r"(dataset_infos?|dataset_dict|state|metadata|manifest|package|config|croissant)\.json",
    re.IGNORECASE,
)
SPLIT = re.compile(r"(?:^|[-_.])(train|test|validation|valid|val|dev)(?=[-_.]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Packed:
    """A file of rows in an archive, unpacked in memory. It is opened like a path."""

    name: str
    data: bytes

    @property
    def suffix(self) -> str:
        """The suffix of its name."""
        return PurePosixPath(self.name).suffix

    def open(self, mode: str = "rb") -> io.BytesIO:
        """Its bytes as a file."""
        return io.BytesIO(self.data)


def chosen_rows(names: Iterable[str], suffixes: Sequence[str], code: bool = False) -> tuple[list[str], list[str]]:
    """(files with rows, notes) of a folder's files; no file for a folder of documents.

    names: paths within the folder, without hidden ones. suffixes: of files with rows. code: whether it is a Git
    repository, in which .json files are no rows. Rows lie at the top. Where the top holds only descriptions, they may
    lie in one folder below it; documents below make a folder of documents. Of splits by name, train is read. Raises
    DataError for rows in several folders.
    """
    names = sorted(names)
    while names and len({name.split("/")[0] for name in names}) == 1 and "/" in names[0]:
        top = names[0].split("/")[0] + "/"
        found, notes = chosen_rows([name[len(top) :] for name in names], suffixes, code)
        return [top + name for name in found], notes
    left = [name for name in names if not DESCRIBES.fullmatch(PurePosixPath(name).name)]
    tables = [name for name in left if _suffix(name) in suffixes]
    top = [name for name in tables if "/" not in name]
    if top:
        kinds = {_suffix(name) for name in top}
        code = code or any(_suffix(name) in formats.CODE for name in left if "/" not in name)
        if kinds == {".json"} and code:
            return [], []
        top += [name for name in left if "/" not in name and _suffix(name) == ".txt"]
        return _one_split(sorted(top), [name for name in names if name not in left and "/" not in name])
    if not tables or any(formats.readable(name) for name in left):
        return [], []
    rooms = defaultdict(list)
    for name in tables:
        rooms[name.rpartition("/")[0]].append(name)
    if len(rooms) > 1:
        raise DataError(f"holds rows in several folders: name one of {', '.join(sorted(rooms)[:10])}")
    return _one_split(tables, [])


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _one_split(tables: list[str], described: list[str]) -> tuple[list[str], list[str]]:
    """The files of the split train, if every file belongs to a split, else all files."""
    notes = [f"not read: {', '.join(described[:10])}"] if described else []
    splits = defaultdict(list)
    for name in tables:
        found = SPLIT.search(PurePosixPath(name).stem)
        splits[found[1].lower() if found else ""].append(name)
    if len(splits) == 1 or "" in splits:
        return tables, notes
    if "train" not in splits:
        raise DataError(f"holds several splits ({', '.join(splits)}): name the files of one")
    others = [name for split, names in splits.items() if split != "train" for name in names]
    return splits["train"], [*notes, f"the split train is read, not {', '.join(others[:10])}"]


def is_archive(path: Path) -> bool:
    """Whether a file is an archive or a packed file, by its name."""
    return path.name.lower().endswith(containers.ARCHIVES)


def rows_in_archive(path: Path, suffixes: Sequence[str]) -> tuple[list[str], list[str]]:
    """(files with rows, notes) of an archive; no file if it holds documents or cannot be read."""
    try:
        return chosen_rows(containers.names_within(path), suffixes)
    except Flaw:
        return [], []  # the reader of documents says why
