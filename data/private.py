"""Keeps what is to be forgotten to its owner: who may read new files, and hashes that cannot be guessed back.

    with created():                # new files 0600, new folders 0700
    with created(shared=True):     # 0660 and 0770: for the group too
    keyed("abc")                   # "hmac-sha256:...", with the project's key
    temporary_folder("request-")   # deleted at the next start if this process is killed

A plain hash of a known sentence gives its phone number away: whoever has the hash tries all numbers in minutes. With
HMAC (RFC 2104) they would need the key, which is random, readable by its owner alone, and stands in no report.
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from data.columns import DataError

KEY_VARIABLE = "UNLEARNING_HASH_KEY"
KEY_FILE = Path(__file__).resolve().parents[1] / "results" / "hash.key"  # beside the ledger, whose lines it explains
PREFIX = "hmac-sha256:"
TEMPORARY = ("unlearning-page-", "request-")  # how the names of our temporary folders begin
LOCK = ".unlearning.lock"  # in each of them, locked by its process
_shared = False
_locks: list = []


@contextlib.contextmanager
def created(shared: bool = False):
    """Files and folders made meanwhile are for their owner alone; `shared`: for the group as well.

    The mask belongs to the process, so threads that write at the same time get it too.
    """
    global _shared
    before, was = os.umask(0o007 if shared else 0o077), _shared
    _shared = shared
    try:
        yield
    finally:
        os.umask(before)
        _shared = was


def folder_mode() -> int:
    """The mode of a folder that holds what is to be forgotten."""
    return 0o770 if _shared else 0o700


def write(path: Path, text: str):
    """Writes a text into a file that at most the group can read, even where `created` is not in force."""
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, folder_mode() & 0o660)
    with open(opened, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def temporary_folder(prefix: str) -> Path:
    """A new temporary folder of this process, for its owner alone. Once the process is gone, `sweep` deletes it."""
    import fcntl

    folder = Path(tempfile.mkdtemp(prefix=prefix))
    file = open(folder / f"{LOCK}.new", "w")  # noqa: SIM115 - the lock lasts as long as the file is open
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.rename(folder / f"{LOCK}.new", folder / LOCK)  # so that no lock is ever seen before it is held
    _locks.append(file)
    return folder


def sweep() -> list[Path]:
    """Deletes the temporary folders of processes that were killed; returns them. Those of running ones stay."""
    import fcntl

    gone = []
    for lock in (path for prefix in TEMPORARY for path in Path(tempfile.gettempdir()).glob(f"{prefix}*/{LOCK}")):
        with contextlib.suppress(OSError), open(lock, "r+") as file:  # fails for other people's folders
            if lock.is_symlink() or lock.parent.is_symlink() or os.fstat(file.fileno()).st_uid != os.geteuid():
                continue
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its process runs
            shutil.rmtree(lock.parent)
            gone.append(lock.parent)
    return gone


def keyed(text: str) -> str:
    """`PREFIX` and HMAC-SHA-256 (hex) of a text, with the key of this project. Raises DataError without a key."""
    path = os.environ.get(KEY_VARIABLE) or str(KEY_FILE)
    return PREFIX + hmac.new(_key(path), text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()


@functools.cache
def _key(name: str) -> bytes:
    """The key in a file; the first call makes it. Two processes that start together get the same one."""
    path = Path(name).expanduser()
    try:
        if not path.exists():
            _make(path)
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a key in hexadecimal digits"
        raise DataError(
            f"{path}: the key of the hashes cannot be used: {why}; restore it, or name another file in {KEY_VARIABLE}"
        ) from None
    if len(key) < 16:
        raise DataError(f"{path}: the key of the hashes is too short; restore it, or name another in {KEY_VARIABLE}")
    return key


def _make(path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write(temporary, secrets.token_hex(32) + "\n")
        with contextlib.suppress(FileExistsError):  # unlike a rename, a link replaces no key
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
