"""Files that hold other files: .zip, .gz, .tar and folders. Nothing is unpacked onto the disk.

    for document in read_zip(source, notes, read): ...   # read(source, notes): the reader of one inner file
    for path, name in files(folder, readable, notes): ...

An archive within an archive is not opened. Refused are names that lead out of an archive, more bytes or entries than
the limits of `blocks`, and entries that unpack to more than `MAX_RATIO` times their size.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from data.documents.blocks import (
    MAX_BYTES,
    MAX_ENTRIES,
    MAX_FILES,
    MAX_RATIO,
    MAX_TOTAL,
    RATIO_FROM,
    Document,
    Flaw,
    Source,
    megabytes,
    short,
)

ARCHIVES = (".zip", ".gz", ".tgz", ".tar")
SKIPPED_FOLDERS = frozenset(["node_modules", "__pycache__", "__MACOSX", "venv", "site-packages"])  # and hidden ones
LICENCE = re.compile(r"((un)?licen[cs]e|copying)([-_.].*)?", re.IGNORECASE)  # nobody means to forget one
Readable = Callable[[str], bool]  # whether a file name has a format
Read = Callable[[Source, list[str]], "Iterator[Document]"]


class Zip:
    """A .zip file in memory whose entries are read within the limits. Raises Flaw."""

    def __init__(self, data: bytes):
        self.data, self.total = data, 0
        try:
            self.file = zipfile.ZipFile(io.BytesIO(data))
            self.entries = self.file.infolist()
            self.by_name = {entry.filename: entry for entry in self.entries}
        except Exception as error:  # the module raises a dozen types for damaged bytes; each means: not readable
            raise Flaw(1, f"not a readable .zip file: {short(error)}") from None
        if len(self.entries) > MAX_ENTRIES:
            raise Flaw(1, f"holds {len(self.entries):,} entries; at most {MAX_ENTRIES:,} are read")

    def part(self, name: str) -> bytes:
        """The bytes of the entry with this name."""
        if name not in self.by_name:
            raise Flaw(1, f"has no part {name}")
        return self.read(self.by_name[name])

    def read(self, entry: zipfile.ZipInfo, place: int = 1) -> bytes:
        """The bytes of an entry. `place`: for messages."""
        name = entry.filename
        if entry.flag_bits & 1:
            raise Flaw(place, f"{name} is protected by a password: pack it again without one")
        self.total = _allowed(name, entry.file_size, max(1, entry.compress_size), self.total, place)
        try:
            with self.file.open(entry) as file:
                return file.read(entry.file_size)  # never more than the size that was checked
        except Exception as error:  # as above
            raise Flaw(place, f"{name} is damaged: {short(error)}") from None


def _allowed(name: str, size: int, packed: int, total: int, place: int) -> int:
    """The bytes unpacked so far, with this entry. Raises Flaw beyond a limit."""
    if size > RATIO_FROM and size > MAX_RATIO * packed:
        raise Flaw(place, f"{name} unpacks to {size // packed:,} times its size: refused as a decompression bomb")
    if size > MAX_BYTES:
        raise Flaw(place, f"{name} unpacks to {megabytes(size)}; at most {megabytes(MAX_BYTES)} a file")
    if total + size > MAX_TOTAL:
        raise Flaw(place, f"the entries up to {name} unpack to more than {megabytes(MAX_TOTAL)} together")
    return total + size


def _safe(name: str, place: int) -> str:
    """The entry's name. Raises Flaw for one that leads out of the archive."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name) or not name.isprintable():
        raise Flaw(place, f"the entry {name[:80]!r} leads out of the archive, so the archive is refused; pack it again")
    return name


def hidden(name: str) -> bool:
    """Whether a file or one of its folders is hidden, or made by a tool."""
    return any(part.startswith(".") or part in SKIPPED_FOLDERS for part in PurePosixPath(name).parts)


def _inner(source: Source, place: int, notes: list[str], read: Read) -> Iterator[Document]:
    """The documents of one entry; a flaw in it names the entry."""
    try:
        yield from read(source, notes)
    except Flaw as flaw:
        raise Flaw(place, f"{source.name}: {flaw} (at {flaw.place})") from None


def _left_out(name: str, what: Counter, notes: list[str]):
    """Notes what was not read of an archive or a folder."""
    if what:
        notes.append(f"{name}: not read: " + ", ".join(f"{count:,} {kind}" for kind, count in what.items()))


def names_within(path: Path) -> list[str]:
    """The names of the files in an archive, or of the one in a .gz file, without hidden ones. Raises Flaw."""
    name = path.name.lower()
    if name.endswith(".gz") and not name.endswith(".tar.gz"):
        return [path.name[:-3]]
    return [name for _, name, _ in _entries(path)]


def files_within(path: Path, wanted: Callable[[str], bool]) -> Iterator[Source]:
    """The files of an archive whose names are `wanted`, unpacked in memory within the limits. Raises Flaw."""
    source = Source(path.name, _bytes(path))
    if source.name.lower().endswith(".gz") and not source.name.lower().endswith(".tar.gz"):
        yield Source(source.name[:-3], _gunzipped(source))
        return
    for _, name, data in _entries(path):
        if wanted(name):
            yield Source(name, data())


def _bytes(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Flaw(1, f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise Flaw(1, f"more than {megabytes(MAX_BYTES)}: unpack it")
    return data


def _entries(path: Path) -> Iterator[tuple[int, str, Callable[[], bytes]]]:
    """(number, name, its bytes on call) of each file in a .zip or .tar archive that is neither hidden nor a link."""
    source = Source(path.name, _bytes(path))
    if source.name.lower().endswith(".zip"):
        archive = Zip(source.data)
        for number, entry in enumerate(archive.entries, 1):
            name = _safe(entry.filename, number)
            if not entry.is_dir() and not stat.S_ISLNK(entry.external_attr >> 16) and not hidden(name):
                yield number, name, lambda entry=entry, number=number: archive.read(entry, number)
        return
    if source.name.lower().endswith((".gz", ".tgz")):
        source = Source(source.name, _gunzipped(source))
    total = 0
    for number, entry, archive in _tar_entries(source):
        name = _safe(entry.name, number)
        if entry.isreg() and not entry.issparse() and not hidden(name):
            total = _allowed(name, entry.size, max(1, entry.size), total, number)
            yield number, name, lambda entry=entry, number=number, archive=archive: _extracted(archive, entry, number)


def read_zip(source: Source, notes: list[str], readable: Readable, read: Read) -> Iterator[Document]:
    """The documents in a .zip file, by name. Raises Flaw with the number of the entry."""
    archive, skipped, found = Zip(source.data), Counter(), 0
    for number, entry in enumerate(archive.entries, 1):
        name = _safe(entry.filename, number)
        if entry.is_dir():
            continue
        if stat.S_ISLNK(entry.external_attr >> 16):
            skipped["links"] += 1
        elif kind := _unread(name, readable):
            skipped[kind] += 1
        elif data := archive.read(entry, number):
            found += 1
            yield from _inner(Source(name, data), number, notes, read)
    _conclude(source.name, found, skipped, notes)


def _unread(name: str, readable: Readable) -> str:
    """Why an entry is not read, or ""."""
    if hidden(name):
        return "hidden files"
    if name.lower().endswith(ARCHIVES):
        return "archives within the archive (unpack them first)"
    if LICENCE.fullmatch(PurePosixPath(name).name):
        return "licence texts"
    return "" if readable(name) else "files of other kinds"


def _conclude(name: str, found: int, skipped: Counter, notes: list[str]):
    _left_out(name, skipped, notes)
    if not found:
        left = ", ".join(f"{count:,} {kind}" for kind, count in skipped.items())
        raise Flaw(1, f"holds no document with a text{f', only {left}' if left else ''}")


def read_gz(source: Source, notes: list[str], readable: Readable, read: Read) -> Iterator[Document]:
    """The document in a .gz file, or those in a .tar.gz; a file whose name tells no format is read as plain text."""
    data = _gunzipped(source)
    if data[257:262] == b"ustar" or source.name.lower().endswith((".tgz", ".tar.gz")):
        yield from read_tar(Source(source.name, data), notes, readable, read)
        return
    if not data.strip():
        raise Flaw(1, "holds no document with a text")
    name = re.sub(r"\.gz$", "", source.name, flags=re.IGNORECASE)
    if name.lower().endswith(ARCHIVES):
        raise Flaw(1, "holds another archive; unpack it first")
    yield from _inner(Source(name if readable(name) else f"{name}.txt", data), 1, notes, read)


def _gunzipped(source: Source) -> bytes:
    """The unpacked bytes, in pieces, so that a bomb is refused before it fills the memory."""
    parts, size = [], 0
    limit = min(MAX_TOTAL, max(RATIO_FROM, MAX_RATIO * len(source.data)))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(source.data)) as file:
            while piece := file.read(RATIO_FROM):
                parts.append(piece)
                size += len(piece)
                if size > limit:
                    raise Flaw(1, f"unpacks to more than {megabytes(limit)}: refused as a decompression bomb")
    except (OSError, EOFError, zlib.error) as error:
        raise Flaw(1, f"not a readable .gz file: {short(error)}") from None
    return b"".join(parts)


def read_tar(source: Source, notes: list[str], readable: Readable, read: Read) -> Iterator[Document]:
    """The documents in a .tar file, by their order. Raises Flaw with the number of the entry."""
    skipped, found, total = Counter(), 0, 0
    for number, entry, archive in _tar_entries(source):
        name = _safe(entry.name, number)
        if entry.isdir():
            continue
        if not entry.isreg() or entry.issparse():
            skipped["links, devices or sparse files"] += 1
        elif kind := _unread(name, readable):
            skipped[kind] += 1
        elif entry.size:
            total = _allowed(name, entry.size, entry.size, total, number)
            found += 1
            yield from _inner(Source(name, _extracted(archive, entry, number)), number, notes, read)
    _conclude(source.name, found, skipped, notes)


def _extracted(archive: tarfile.TarFile, entry: tarfile.TarInfo, number: int) -> bytes:
    try:
        return archive.extractfile(entry).read(entry.size)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise Flaw(number, f"{entry.name} is damaged: {short(error)}") from None


def _tar_entries(source: Source) -> Iterator[tuple[int, tarfile.TarInfo, tarfile.TarFile]]:
    try:
        archive = tarfile.TarFile(fileobj=io.BytesIO(source.data))
        for number, entry in enumerate(archive, 1):
            if number > MAX_ENTRIES:
                raise Flaw(number, f"holds more than {MAX_ENTRIES:,} entries")
            yield number, entry, archive
    except (tarfile.TarError, OSError, ValueError, EOFError, RecursionError) as error:
        raise Flaw(1, f"not a readable .tar file: {short(error)}") from None


# ---------------------------------------------------------------------------------------------------------------------
# Folders


def files(folder: Path, readable: Readable, notes: list[str]) -> list[tuple[Path, str]]:
    """(path, name within the folder) of each document in a folder and its subfolders, by name.

    Left out, with a note: links, which may lead out of the folder; hidden files and folders, such as .git; empty files;
    files of other kinds; licences beside documents; files that hold NUL bytes where their name promises a text. Raises
    Flaw beyond `MAX_FILES`.
    """
    found, licences, skipped = [], [], Counter()
    for place, folders, names in os.walk(folder, onerror=lambda _: skipped.update(["folders that may not be read"])):
        linked = [name for name in folders if os.path.islink(os.path.join(place, name))]
        skipped["links"] += len(linked)
        folders[:] = sorted(name for name in folders if name not in linked and not hidden(name))
        for name in sorted(names):
            path = Path(place, name)
            kind = _unread_file(path, readable)
            if kind:
                skipped[kind] += 1
            else:
                (licences if LICENCE.fullmatch(name) else found).append((path, path.relative_to(folder).as_posix()))
        if len(found) > MAX_FILES:
            raise Flaw(1, f"holds more than {MAX_FILES:,} documents; name one of its folders")
    if found:
        skipped["licence texts"] += len(licences)
    found = found or licences
    _left_out(str(folder), +skipped, notes)
    return sorted(found, key=lambda file: file[1])


def _unread_file(path: Path, readable: Readable) -> str:
    """Why a file of a folder is not read, or ""."""
    if path.is_symlink():
        return "links"
    if path.name.startswith("."):
        return "hidden files"
    if not readable(path.name) or not path.is_file():
        return "files of other kinds"
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return ""  # its reader says why
    if not head.strip():
        return "empty files"
    packed = path.name.lower().endswith((*ARCHIVES, ".docx", ".epub", ".pdf", ".mbox", ".eml"))
    marked = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    return "binary files" if b"\0" in head and not packed and not marked else ""
