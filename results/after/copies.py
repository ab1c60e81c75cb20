"""Copies of a forgotten text outside the folder of its run: which are deleted, and which others hold.

Deleted: comparisons, kept measurements, evaluations and attacks on the run's rows, uploads and files that the page
offered, its zip of the model. Only named: other runs, the user's own files, models made from the run's model, running
processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path

from models.requests import desk, ledger, recorded
from models.scores import kept
from models.store import paths
from models.store.folders import read_json_or_empty
from results.after import cleaning
from results.after.texts import LARGEST, words_in

PENDING = ".purges"  # among the runs: a file per unfinished purge, with the texts that are looked for
TEMPORARY = ("unlearning-page-*", "request-*", "letter-*")  # our folders among the temporary ones
OURS = ("config.json", "evaluation.json", "status.json", "retest.json")
MADE = {"inputs", "request", "documents", ".queue", ".null"}  # folders in which all files are ours
COMPARED = "comparison"
WEIGHTS = (".safetensors", ".pt", ".gguf", ".npy")


def sweep(purge) -> None:
    """Deletes the copies outside the run folder that may be deleted; adds the others to what is still held.

    purge: what is looked for (`texts`, `contents`, `holds(path)`), `remove(path)`, `rewrite(path)`, lists in `done`.
    """
    _sweep_measurements([purge])
    for folder in _folders(purge.run):
        _sweep(purge, folder, folder)
    places = _temporary_folders()
    for path in (*_temporary(purge, places), *_zips(read_json_or_empty(purge.run / "config.json"))):
        purge.remove(path)
    more = [*_processes(purge.texts), *_plain_lines(purge.run)]
    purge.done.held += [item for item in more if item not in purge.done.held]


def sweep_beside(purges: list, runs: Path) -> None:
    """Deletes the copies that the page made of the texts of some runs; `runs`: the folder of all its runs.

    Comparisons, attacks on the run, kept measurements, uploads, offered reports: not what other runs hold.
    """
    _sweep_measurements(purges)
    for purge in purges:
        _sweep_beside(purge, runs)


def _sweep_beside(purge, runs: Path) -> None:
    attacked = re.escape(f"attacks-on-{purge.run.relative_to(runs)}".replace("/", "-")[:60])
    attacks = re.compile(rf"{attacked}(-\d{{4}}-\d{{4}}-[0-9a-f]{{4}})?")
    for folder in (*runs.glob(".comparisons/*"), *(path for path in runs.iterdir() if attacks.fullmatch(path.name))):
        _sweep(purge, folder, runs)
    for path in _temporary(purge, _offered()):
        purge.remove(path)


def _sweep(purge, folder: Path, top: Path) -> None:
    """Deletes or cleans the copies in a folder, which is `top` or lies in it."""
    found: dict[Path, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        ours = path.is_relative_to(purge.run) or PENDING in path.relative_to(top).parts
        if not ours and purge.may_go(path) and purge.holds(path):
            found.setdefault(_owner(path, top), []).append(path)
    for owner, held in found.items():
        _settle(purge, owner, held, top)


def _folders(run: Path) -> list[Path]:
    """The folders in which copies may lie: all runs and, for a run elsewhere, what our scripts wrote beside it."""
    places = [paths.RUNS] if paths.RUNS.is_dir() else []
    if not run.resolve().is_relative_to(paths.RUNS.resolve()):
        for path in sorted(path for path in run.parent.iterdir() if path.is_dir() and path.resolve() != run.resolve()):
            named = path.name.startswith((COMPARED, ".comparisons", ".queue", ".evaluations"))
            request = path.name == "request" and (path / "request.json").is_file()
            places += [path] if named or request or any((path / name).is_file() for name in OURS[1:]) else []
    return places


def _owner(path: Path, top: Path) -> Path:
    """The run, measurement or comparison that a file belongs to; the file itself if it belongs to none."""
    for folder in path.parents:
        if _is_comparison(folder) or any((folder / name).is_file() for name in OURS):
            return folder
        if folder == top:
            break
    return path


def _is_comparison(folder: Path) -> bool:
    return folder.name.startswith(COMPARED) or folder.parent.name == ".comparisons"


def _settle(purge, owner: Path, found: list[Path], top: Path) -> None:
    """Deletes or cleans what was found in one place below `top`, or names its holder."""
    if (owner / "config.json").is_file():
        before = Path(str(read_json_or_empty(owner / "config.json").get("continue_from") or "")).name
        how = "continued from this run" if before == purge.run.name else "another run with the same text"
        purge.done.held.append(f"{owner}: {how}; --purge it too")
    elif owner.is_dir() and _is_comparison(owner):
        purge.remove(owner)
    elif owner.is_dir() or owner.parent.name == ".queue":  # a measurement, whose numbers stay; a job's command
        for path in found:
            if path.name in cleaning.FILES or (path.parent.name == ".queue" and path.suffix == ".json"):
                purge.rewrite(path)
            else:
                purge.remove(path)
    elif waits(owner):
        purge.done.held.append(f"{owner}: of a job that waits or works; purge its run when it has ended")
    elif others := _readers(owner, purge.run):
        purge.done.held.append(f"{owner}: the data of {', '.join(others)}; purge these runs too")
    elif (
        MADE & {top.name, *owner.relative_to(top).parts}
        or owner.name == "log.txt"
        or owner.parent.name.startswith("attacks-on-")
    ):
        purge.remove(owner)
    else:
        purge.done.held.append(f"{owner}: no run made this file; delete it yourself")


def waits(path: Path) -> bool:
    """Whether a job of the page still needs a file."""
    for job in (paths.RUNS / ".queue").glob("*.json"):
        told = read_json_or_empty(job)
        folder = paths.PROJECT / str(told.get("folder") or "none")
        if told.get("state") in ("queued", "running") and path.resolve().is_relative_to(folder.resolve()):
            return True
    return False


def _readers(path: Path, run: Path) -> list[str]:
    """The other runs, beside a common request folder, that still read a file in it."""
    found = set()
    for config in (file for parent in list(path.parents)[1:3] for file in parent.glob("*/config.json")):
        told = read_json_or_empty(config)
        data = Path(str(told.get("forget_data") or "none"))
        data = (data if data.exists() else paths.PROJECT / data).resolve()
        other = config.parent.resolve() != run.resolve() and not told.get("purged")
        if other and data.exists() and data in (path.resolve(), *path.resolve().parents):
            found.add(str(config.parent))
    return sorted(found)


def _sweep_measurements(purges: list) -> None:
    """Deletes the kept measurements of the runs' rows: they hold what the models said about them. Reads each once."""
    for path in sorted(kept.EVALUATIONS.glob("*.json")) if kept.EVALUATIONS.is_dir() else ():
        told, words = read_json_or_empty(path), words_in(path)
        on, subjects = told.get("measured_on"), told.get("subjects")
        content = on.get("forget", {}).get("content") if isinstance(on, dict) else None
        named = set(subjects.get("forget") or []) if isinstance(subjects, dict) else set()
        for purge in purges:
            if content in purge.contents or named & set(purge.texts.names) or purge.texts.in_words(words):
                purge.remove(path)
                break


def _offered() -> set[Path]:
    """The temporary folder of the page that this process is."""
    return {Path(os.environ["GRADIO_TEMP_DIR"])} if os.environ.get("GRADIO_TEMP_DIR") else set()


def _temporary_folders() -> set[Path]:
    """The temporary folders of all pages and runs."""
    root = Path(tempfile.gettempdir())
    return _offered() | {found for pattern in TEMPORARY for found in root.glob(pattern)}


def _is_zip(path: Path) -> bool:
    """Whether a file in a page's temporary folder is a model that the page packed."""
    return path.suffix == ".zip" and bool(re.fullmatch("[0-9a-f]{32}", path.parent.name))


def _temporary(purge, places: set[Path]):
    """Yields the files of these temporary folders with the text or the bytes of an input."""
    for path in sorted(path for place in places for path in place.rglob("*")):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink() and not _is_zip(path) and purge.holds(path):
                yield path


def _zips(config: dict) -> list[Path]:
    """What pages packed of a run's model: with the card as it was, which of an earlier version tells a plain hash."""
    name = f"{Path(str(config.get('model_output_dir') or 'none')).name}.zip"
    found = (path for place in _temporary_folders() for path in place.glob("*/*.zip"))
    return sorted(path for path in found if path.name == name and _is_zip(path))


def is_one_of(path: Path, hashes: set[str]) -> bool:
    """Whether a file has one of these SHA-256 hashes. Weights and larger files than an input can be are not read."""
    with contextlib.suppress(OSError):
        if hashes and path.suffix not in WEIGHTS and 0 < path.stat().st_size <= LARGEST:
            return hashlib.sha256(path.read_bytes()).hexdigest() in hashes
    return False


# ---------------------------------------------------------------------------------------------------------------------
# What others hold


def owned_elsewhere(run: Path, config: dict) -> list[str]:
    """Who else holds the text, or a model that learned from it: named, not touched."""
    found = [f"{path}: your own file; delete it yourself" for path in own_files(run, config)]
    source = str(config.get("forget_data") or "")
    if "/" in source and not Path(source).suffix and not any(Path(path).exists() for path in recorded.paths_of(source)):
        found.append(f"{source}: if this is a data set of the hub, its cache in the home folder holds it")
    if config.get("forget_text") and not (run / "inputs" / "request.yaml").is_file():
        found.append("the shell's history, if the text was typed there (--forget_text)")
    file, line = _line_of(run)
    if line:
        runs = paths.RUNS if run.resolve().is_relative_to(paths.RUNS.resolve()) else run.parent
        rows = [row for row in desk.requests(file, runs) if row["request"] == line["request"]]
        found += [f"{made}: made from this run's model" for made in rows[0]["derived"]]
    if zips := _zips(config):
        found.append(f"whoever downloaded {zips[0].name}: the model, with its card as it was")
    before = config.get("model_name_or_path") or read_json_or_empty(run / "request" / "request.json").get("model")
    return [*found, *([f"{before}: the model before, which still knows it"] if before else [])]


def own_files(run: Path, config: dict) -> list[Path]:
    """The files and folders that the user named as data and that no run made, wherever they lie."""
    named = [config.get(name) for name in ("forget_data", "training_data", "forget_about_file")]
    named = [Path(path).resolve() for source in named if isinstance(source, str) and source not in ("", "none")
             for path in recorded.paths_of(source)]  # fmt: skip
    made = [(folder / name).resolve() for folder in (run, run.parent) for name in ("inputs", "request", "documents")]
    return [path for path in dict.fromkeys(named) if path.exists() and not any(map(path.is_relative_to, made))]


def _line_of(run: Path) -> tuple[Path | None, dict | None]:
    """(the ledger, the run's line in it); None for what is not there."""
    named = Path(os.path.expanduser(str(read_json_or_empty(run / "config.json").get("ledger") or "none")))
    file = next((path for path in (named, paths.PROJECT / named) if path.is_file()), None)
    request = read_json_or_empty(run / ledger.RECEIPT).get("request")
    lines = ledger.entries(file) if file and request else []
    return file, next((line for line in lines if line.get("request") == request), None)


def _plain_lines(run: Path) -> list[str]:
    """A line of an earlier version that holds a plain hash: a ledger's lines cannot be changed."""
    file, line = _line_of(run)
    if line is None or str(line.get("data_hash")).startswith("hmac-"):
        return []
    return [f"{file}, line {line.get('line')}: a plain hash of the rows, written by an earlier version"]


def _processes(texts) -> list[str]:
    """Running processes whose command line shows the text (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if int(path.parent.name) != os.getpid() and texts.in_text(path.read_bytes().decode("utf-8", "replace")):
                found.append(f"process {path.parent.name}: its command line shows it until it ends")
    return found
