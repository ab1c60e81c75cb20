"""Files that come in as uploads and go out as downloads, through the page's own temporary folder."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import zipfile
from pathlib import Path

from data import uploads
from data.reading import Examples, row_suffixes
from data.uploads import InputError
from models.store.paths import shown_path

_zipping = threading.RLock()
_zips: dict[Path, tuple[tuple, Path]] = {}  # folder: (the state of its files, its zip)


def checked_upload(path: str | Path, what: str):
    """`uploads.checked_upload`; a refused file is deleted at once from the page's temporary folder."""
    try:
        return uploads.checked_upload(path, what)
    except ValueError:
        path, own = Path(path), os.environ.get("GRADIO_TEMP_DIR")
        if own and path.resolve().is_relative_to(Path(own).resolve()):
            path.unlink(missing_ok=True)
        raise


def checked_uploads(files: list[str], what: str):
    """`checked_upload` of each file, as one list. Refuses rows with documents: a folder of both is read as rows."""
    names = [Path(str(file)).suffix.lower() for file in files]
    rows = [name for name in names if name in row_suffixes()]
    if rows and any(name not in (*rows, ".txt") for name in names):
        raise InputError(f"{what}: rows ({rows[0]}) and documents together: start a run for each kind")
    found = [checked_upload(file, what) for file in files]
    return Examples([row for one in found for row in one], [note for one in found for note in one.notes])


def folder_bytes(folder: Path) -> int:
    """Size of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def megabytes(count: int) -> str:
    """A size as text."""
    return f"{count / 1e6:,.1f} MB" if count < 1e7 else f"{count / 1e6:,.0f} MB"


def offer_folder() -> Path:
    """A new folder with an unguessable name that the page may serve files from."""
    folder = Path(os.environ["GRADIO_TEMP_DIR"]) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder


def zipped(folder: Path) -> Path:
    """A model's folder as a zip that the page may serve. Calls at the same time and later ones get the same zip.

    A changed folder gets a new one. Raises InputError if the disk is too full for it.
    """
    state = [(path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    seen = tuple((path, about.st_size, about.st_mtime_ns) for path, about in state)
    with _zipping:
        before, made = _zips.get(folder, ((), Path()))
        if before == seen and made.is_file():
            return made
        remove_zips(folder)
        target = offer_folder() / f"{folder.name}.zip"
        if shutil.disk_usage(target.parent).free < 1.1 * folder_bytes(folder):
            raise InputError(f"not enough disk space for the zip; the model is in {shown_path(folder)}")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # weights do not compress
            for path, _ in state:
                archive.write(path, Path(folder.name) / path.relative_to(folder))
        _zips[folder] = (seen, target)
        return target


def remove_zips(folder: Path) -> None:
    """Deletes the zips of a model's folder, also those of an earlier server in the same temporary folder."""
    with _zipping:
        _zips.pop(folder, None)
        for path in Path(os.environ.get("GRADIO_TEMP_DIR") or "none").glob(f"{'[0-9a-f]' * 32}/{folder.name}.zip"):
            shutil.rmtree(path.parent)


def offer(path: Path) -> str:
    """A copy of a file that the page may serve: results/ itself is never served."""
    return str(shutil.copyfile(path, offer_folder() / path.name))
