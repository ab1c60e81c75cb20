"""Deletes every copy of a run's forgotten text, and keeps the proof: numbers, hashes, figures, letter, ledger.

    for purged in purge("results/runs/x"):
        print(purged.told())

Report, examples and evaluation are written again without texts (results/after/cleaning.py). Copies elsewhere are looked
for among the runs, in kept measurements, comparisons and the page's temporary folders (results/after/copies.py). A
private file per purge holds what is looked for until the end; `go_on` finishes the purges that were interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import analyze_results
from data import preparation, private, reading, sampling
from data.columns import DataError
from data.documents.blocks import MARK
from data.finding import split as splitting
from data.finding.matching import subjects_of
from models.requests import ledger, recorded
from models.store import paths
from models.store.folders import read_json_or_empty
from models.store.on_first_use import fcntl
from results.after import cleaning, copies, letter
from results.after.texts import Texts
from results.report.runs import RunError
from results.run import model_card
from results.run.run_folder import RunFolderError, UsageError, say

RECORD = "purge.json"  # in the run folder: what was deleted, when, and who still holds something
WRITTEN = ("letter.", "report.")
# texts and weights on their way; what else lies in a run folder stays if it does not hold the text
DELETED = ("log.txt", "search.db*", "checkpoint-*", "trial-*", ".checkpoint-*", ".trial-*", ".*.tmp")
FORGOTTEN = ("forget", "doubtful", "statements", "passages", "questions", "probes", "measured", "struck", "request",
             "names", "text", "training")  # fmt: skip
# of a request, beside these: all that the model said, and the list of the documents
SAID = ("asked.jsonl", "kept.jsonl", MARK)
SIDES = ("forget", "probes", "in_context")  # sets of examples.jsonl that hold what was to be forgotten


@dataclass
class Purged:
    """What a purge deleted, what it wrote again, and who still holds the text or what was learned from it."""

    run: Path
    removed: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)

    def told(self) -> str:
        """The lists as text."""
        parts = (("deleted", self.removed), ("written again without the text", self.rewritten),
                 ("still held elsewhere", self.held))  # fmt: skip
        lines = [f"{name}: {len(items)}" + "".join(f"\n  {item}" for item in items) for name, items in parts]
        return "\n".join([f"the text of {self.run} is deleted; its numbers, hashes, letter and ledger stay", *lines])


def purge(run: str | Path) -> list[Purged]:
    """Deletes the texts of a run, of each run of a folder of several methods, or of a request that never ran.

    Raises UsageError (2) for another folder, RunFolderError (7) for one in use.
    """
    folder = Path(run).expanduser()
    runs = [folder] if _is_run(folder) else [path for path in sorted(folder.glob("*")) if _is_run(path)]
    if not runs and (_is_request(folder) or (folder.is_dir() and _pending(folder).is_file())):
        runs = [folder]
    if not runs:
        raise UsageError(f"--purge {run}: no folder of a run (with the config.json and status.json that a run writes) "
                         "or of a request")  # fmt: skip
    with private.created(), contextlib.ExitStack() as stack:
        for path in runs:
            stack.enter_context(_locked(path))
        started = [_Purge(path) for path in runs]  # all texts are known before the first is deleted
        for one in started:
            one.clean_folder()
        return [one.finish() for one in started]


def forget_copies(folders: list[Path], runs: Path) -> list[Purged]:
    """Deletes the copies of some runs' texts that the page made beside them, for runs about to be deleted themselves.

    runs: the folder of all runs. What other runs hold stays.
    """
    sought = [_Sought(run) for run in folders]
    copies.sweep_beside(sought, runs)
    return [one.done for one in sought]


def go_on() -> list[Purged]:
    """Finishes the purges that a crash or a kill interrupted."""
    done = []
    if not os.access(paths.RUNS, os.R_OK | os.X_OK):  # another user's runs, or none yet
        return done
    for file in sorted((paths.RUNS / copies.PENDING).glob("*.json")):
        run = Path(str(read_json_or_empty(file).get("run")))
        if not run.is_dir():
            file.unlink(missing_ok=True)  # the run was deleted with all that it held
            continue
        say(f"the purge of {run} was interrupted: it goes on")
        try:
            done += purge(run)
        except (ValueError, OSError) as error:  # the start that goes on has work of its own
            say(f"note: not finished: {error}")
    for log in (paths.RUNS / copies.PENDING).glob("*.txt"):
        if not log.with_suffix(".json").is_file():
            log.unlink(missing_ok=True)
    return done


def _is_run(folder: Path) -> bool:
    """Whether a folder is a run's: a model has a config.json too, and must not be touched."""
    config = read_json_or_empty(folder / "config.json")
    return {"method", "output_dir", "model_output_dir"} <= config.keys() and (folder / "status.json").is_file()


def _is_request(folder: Path) -> bool:
    """Whether a folder holds a request that no run has begun, because nobody went on or nothing was known."""
    marks = (folder / "request" / splitting.MARKER, folder / "documents" / MARK)
    return any(mark.is_file() for mark in marks) and not (folder / "config.json").exists()


def _pending(run: Path) -> Path:
    """The private file of a run's purge."""
    return paths.RUNS / copies.PENDING / f"{hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16]}.json"


@contextlib.contextmanager
def _locked(run: Path):
    """Holds a run folder's lock. Raises RunFolderError (7) while the run works or waits for its turn."""
    if not _is_run(run) and copies.waits(run):
        raise RunFolderError(f"{run} is in use: wait for its job or stop it, then purge", 7)
    with open(run / "run.lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunFolderError(f"{run} is in use: wait for the run or stop it, then purge", 7) from None
        yield


# ---------------------------------------------------------------------------------------------------------------------
# What is looked for


def _collected(run: Path, config: dict) -> dict[str, list[str]]:
    """What the run holds of the forgotten: {"texts", "names", "files": hashes of inputs, "contents": of the rows}."""
    texts, names, contents, rows = [config.get("forget_text")], _named(run, config), [], []
    given = [config["forget_data"]] if isinstance(config.get("forget_data"), str) else []
    given += [str(path) for name in ("inputs", "request", "documents") for path in sorted((run / name).rglob("*"))
              if path.is_file() and _forgotten(path)]  # fmt: skip
    for source in given:
        with contextlib.suppress(DataError, OSError, ValueError):
            found, requests = recorded.read_forget(source, [])
            contents += preparation.data_hashes(sampling.spread(found, config.get("eval_rows") or 0))
            rows += [*found, *(row for request in requests for row in request.measured)]
    for row in rows:
        texts += [row.answer, row.prompt, row.paraphrased_question, row.paraphrased_answer]
        names.append(row.subject)
    for line in cleaning.lines_of(run / "examples.jsonl"):
        if line.get("split") in SIDES:
            texts += [line.get("prompt"), line.get("gold")]
            names.append(line.get("subject"))
    files = [hashlib.sha256(data).hexdigest() for path in _files_of(given) if (data := path.read_bytes())]
    found = {"texts": texts, "names": names, "files": files, "contents": contents}
    return {name: [text for text in dict.fromkeys(found[name]) if isinstance(text, str)] for name in found}


def _files_of(given: list[str]) -> list[Path]:
    """The files among these sources, and the documents of folders."""
    found = []
    for path in (path for source in given for path in recorded.paths_of(source)):
        path = Path(path)
        with contextlib.suppress(DataError, OSError):
            found += [file for file, _ in reading.document_files(path, [])] if path.is_dir() else [path]
    return [path for path in found if path.is_file()]


def _named(run: Path, config: dict) -> list:
    """The names and aliases that were asked for."""
    found = read_json_or_empty(run / "request" / "request.json").get("subjects")
    found = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
    with contextlib.suppress(ValueError):
        found += [form.given for subject in subjects_of(config.get("forget_about") or []) for form in subject.forms]
    return found


def _forgotten(path: Path) -> bool:
    """Whether an input of a run is, by its name, of the forget side."""
    return path.name.split(".")[0] in FORGOTTEN or path.parent.name in ("forget", "doubtful", "training")


def _said(path: Path) -> bool:
    """Whether a file of a request folder holds what a model said, or names the documents."""
    return path.name in SAID and path.parent.name in ("request", "rows", "documents")


def _kept_texts(config: dict) -> list[str]:
    """The texts of the rows to keep: what they say too is no trace."""
    with contextlib.suppress(DataError, OSError, ValueError, TypeError, KeyError):
        rows = recorded.read_all(config["retain_data"], "retain", [])
        return [text for row in rows for text in (row.prompt, row.answer) if text]
    return []


class _Sought:
    """What a run holds of the forgotten, what is done to its copies, and the list of that. `before`: see `_Purge`."""

    def __init__(self, run: Path, before: dict | None = None):
        self.run, self.done, before = run, Purged(run), before or {}
        config = read_json_or_empty(run / "config.json")
        found = _collected(run, config)
        self.about = {name: list(dict.fromkeys([*before.get(name, []), *found[name]])) for name in found}
        self.texts = Texts(self.about["texts"], self.about["names"], _kept_texts(config))
        self.files, self.contents = set(self.about["files"]), set(self.about["contents"])
        self.own = {Path(name) for name in before.get("own") or copies.own_files(run, config)}  # the user's, not ours

    def remove(self, path: Path):
        """Deletes a file or folder and says so."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        beside = path.is_relative_to(self.run.parent)
        if (name := str(path.relative_to(self.run.parent) if beside else path)) not in self.done.removed:
            self.done.removed.append(name)
            self.removed(name)

    def holds(self, path: Path) -> bool:
        """Whether a file holds a part of the text, or is one of the inputs byte for byte, as a document or archive."""
        return self.texts.in_file(path) or copies.is_one_of(path, self.files)

    def removed(self, name: str):
        """Called after the first deletion of this name."""

    def rewrite(self, path: Path):
        """Writes a file again without the text."""
        if cleaning.clean(path, self.texts):
            self.done.rewritten.append(str(path))

    def may_go(self, path: Path) -> bool:
        """Whether this is a file, and not one of the user's own."""
        return path.is_file() and not path.is_symlink() and path.resolve() not in self.own


class _Purge(_Sought):
    """One run's purge. Its private file among the runs is written before anything is deleted, and removed last."""

    def __init__(self, run: Path):
        self.file = _pending(run)
        self.log = self.file.with_suffix(".txt")  # a line per deletion, because an interrupted purge tells them too
        before = read_json_or_empty(self.file)
        super().__init__(run, before)
        self.done.held = before.get("held") or copies.owned_elsewhere(run, read_json_or_empty(run / "config.json"))
        if self.log.is_file():
            self.done.removed = self.log.read_text(encoding="utf-8").splitlines()
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.file.with_suffix(".tmp")
        more = {"run": str(run.resolve()), "held": self.done.held, "own": sorted(map(str, self.own))}
        private.write(temporary, json.dumps(self.about | more))
        temporary.replace(self.file)

    def removed(self, name: str):
        """Notes a deletion for the start that goes on."""
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(name + "\n")

    def clean_folder(self):
        """Rewrites what stays in the run folder, and deletes what else holds the text."""
        for path in sorted(self.run.iterdir()):
            if any(path.match(pattern) for pattern in DELETED):
                self.remove(path)
            elif path.name in cleaning.FILES:
                self.rewrite(path)
            elif not path.name.startswith(WRITTEN) and path.name != "figures":
                for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                    if self.may_go(file) and (_forgotten(file) or _said(file) or self.holds(file)):
                        self.remove(file)

    def finish(self) -> Purged:
        """Deletes the copies elsewhere, writes report and cards again, and records what was done."""
        copies.sweep(self)
        self._write_again()
        for path in sorted(self.run.rglob("*")):  # what is left must hold nothing
            if self.may_go(path) and self.holds(path):
                self.remove(path)
        about = {"time": ledger.now(), "deleted": self.done.removed, "written again": self.done.rewritten,
                 "held": self.done.held}  # fmt: skip
        record = self.texts.without(paths.portable(about), subject=True)  # the names of files may tell the subject
        private.write(self.run / RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        self.file.unlink()
        self.log.unlink(missing_ok=True)
        return self.done

    def _write_again(self):
        """Report and figures from the cleaned numbers, and the cards of the saved model."""
        run, config = self.run, read_json_or_empty(self.run / "config.json")
        if not (run / "report.html").is_file():
            return
        for path in (run / "figures").glob("*"):
            path.unlink()
        try:
            analyze_results.write_report(run)
            self.done.rewritten += [str(run / name) for name in ("report.html", "report.md", "figures")]
        except RunError as error:
            for path in run.glob("report.*"):
                self.remove(path)
            self.done.held.append(f"no report could be written again: {error}")
        card = Path(str(config.get("model_output_dir"))) / "README.md"
        if card.is_file():  # a card of an earlier version holds a plain hash
            try:
                model_card.write_cards(run, config)
                self.done.rewritten.append(str(card))
            except (RunError, KeyError, OSError) as error:
                self.done.held.append(f"{card}: could not be written again ({error})")
        if self.texts.in_file(run / letter.NAME):  # a letter names nobody; an edited one may
            letter.write(run)
            self.done.rewritten.append(str(run / letter.NAME))
