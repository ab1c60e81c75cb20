"""`--training_data FILES --forget_about NAME`: splits the data, shows the split, asks, and gives the run its sets.

    with settled(settings) as asked:       # changes nothing if nobody has to look at rows
        if not asked.only:                 # --request_only
            run(asked.settings)            # --forget_data and --retain_data in their place
            asked.close()                  # what to look at

Nothing is trained on rows in doubt unless the user says so. Without a terminal and without --yes the split is written
and the run stops, with the command that goes on. `preparing` does the same for a text, documents and rows.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from data import private
from data.documents.blocks import MARK
from data.finding import split as splitting
from data.finding.matching import is_partial
from data.finding.split import Placed, Split
from data.preparation import content_hash
from data.request_files import edited
from models.store.paths import shown_path
from results.run import processes
from results.run.options import command_line
from results.run.request import named, preparing, preview, reference
from results.run.request.flags import FLAGS, FOLDER, REFERENCE_FLAGS, asked_subjects, is_on, sources_of
from results.run.run_folder import UsageError, say

TITLES = {"forget": "forget", "retain": "keep", "doubtful": "in doubt"}
ANSWERS = {"y": "forget", "n": "retain", "l": "doubtful"}
DECIDED = {"forget": "forget", "keep": "retain", "aside": "doubtful"}


@dataclass
class Asked:
    """The settings of the run, with the sets of the request, and what to say at the end.

    `only`: the request was to be prepared, and nothing to be trained.
    """

    settings: dict
    only: bool = False
    lines: list[str] = field(default_factory=list)

    def close(self):
        """Says what the user should look at."""
        for line in self.lines:
            say(line)


@contextlib.contextmanager
def settled(given: dict, plan: bool = False) -> Iterator[Asked]:
    """The settings with the request's files, and with the retrained model that --build_retrained builds.

    `plan`: shows the split without writing into the run folder, asking or building. Raises UsageError (2) where a
    person must look first, DataError (3) if the request fits no row or every row.
    """
    given = {name: value for name, value in given.items() if value is not None}
    only = is_on(given.get("request_only")) and not plan
    alone = not given.get("training_data")
    if alone and named.asks(given):
        asked = processes.team().from_main(lambda: _named(dict(given), only, plan))
        given, only = asked.settings, asked.only
    elif alone and not plan and (only or is_on(given.get("yes"))):
        given = processes.team().from_main(lambda: _prepared(dict(given), only))
    if alone and (only or not given.get("build_retrained")):
        yield Asked({name: value for name, value in given.items() if name not in ("yes", "request_only")}, only)
        return
    team = processes.team()
    with contextlib.ExitStack() as stack:
        temporary = private.temporary_folder("request-") if plan else None
        if temporary:
            stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        asked = team.from_main(lambda: _asked(dict(given), temporary))
        asked.only = only
        if given.get("build_retrained") and not plan and not only:
            asked.settings["retrained_model"] = team.from_main(lambda: str(reference.build(asked.settings)))
        for name in REFERENCE_FLAGS:
            asked.settings.pop(name, None)
        yield asked


def _asked(given: dict, temporary: Path | None) -> Asked:
    """The split settled with the user; `temporary`: a folder for a plan, which asks nothing."""
    if not given.get("training_data"):
        return Asked(given)
    only = is_on(given.get("request_only"))
    place = temporary or preparing.run_folder_of(given) / FOLDER
    rest = {name: value for name, value in given.items() if name not in FLAGS}
    split = _split(given, place, fresh=temporary is not None)
    show(split, given)
    _decide(split, place, given, ask=temporary is None and not only)
    if not only:
        splitting.check(split, place)
    for part in ("forget", "retain"):
        rest[f"{part}_data"] = shown_path(splitting.place_of(place, part).absolute())
    ends = end_lines(split, place if temporary is None else None)
    for line in ends:
        say(line)
    if only and temporary is None:
        _say_how_to_go_on(place, preparing.command_to_go_on(given))
    elif temporary is None:
        counts = split.counts
        question = f"forget these {counts['forget']} rows and keep {counts['retain']}?"
        _confirm(question, place, given, shlex.join(command_line(rest)))
    return Asked(rest, lines=ends)


def _prepared(given: dict, only: bool) -> dict:
    """The settings of a request without training data; with `only`, says what was found and how to go on."""
    rest = preparing.settled_alone(given)
    if only:
        place = Path(rest["forget_data"])
        place = place if (place / MARK).is_file() else Path(given["output_dir"]) / FOLDER
        for line in preview.read_preview(place).lines():
            say(line)
        _say_how_to_go_on(place, preparing.command_to_go_on(given))
    return rest


def _named(given: dict, only: bool, plan: bool) -> Asked:
    """The settings of a request that is a name alone; `only` where nothing is known, too."""
    if plan:
        raise UsageError("--plan: the model has to be asked about the name first: --request_only")
    rest = named.settled_by_name(given)
    place = Path(given["output_dir"]).expanduser() / FOLDER
    for line in preview.read_preview(place).lines():
        say(line)
    if rest is None:
        return Asked(given, only=True)
    if only:
        _say_how_to_go_on(place, preparing.command_to_go_on(given))
    else:
        count = sum(row.forget for row in preview.read_preview(place).rows)
        which = "this statement" if count == 1 else f"these {count} statements"
        _confirm(f"forget {which}?", place, given, preparing.command_to_go_on(given))
    return Asked(rest, only)


def _split(given: dict, place: Path, fresh: bool) -> Split:
    """The split of the training data; the edited files of an earlier start of the same request, if there are any."""
    subjects, listed = asked_subjects(given)
    rows, notes = splitting.read_training_data(sources_of(given["training_data"]))
    about = splitting.identity(rows, subjects)
    if not fresh and (place / splitting.MARKER).exists():
        if splitting.about(place) in (about, splitting.identity(rows, subjects, content_hash)):
            split = splitting.read(place)
            say(f"request: the files in {shown_path(place)} are read again, with what was edited in them")
            return split
        if edited(place / splitting.MARKER) and not is_on(given.get("overwrite_output_dir")):
            raise UsageError(preparing.another_request(place))
    split = splitting.split_rows(rows, subjects, listed)
    split.notes += [note for note in notes if "columns not used" not in note]
    _write(split, place, about)
    return split


def _write(split: Split, place: Path, about: dict | None = None):
    try:
        splitting.write(split, place, about or splitting.about(place))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(place)) from None


# ---------------------------------------------------------------------------------------------------------------------
# What is shown


def show(split: Split, given: dict):
    """Prints the counts of each part and the first row of each kind."""
    total = sum(split.counts.values())
    say(f"request: forget {_names(split)}; {total} rows of {given['training_data']}")
    for part, title in TITLES.items():
        kinds = ", ".join(f"{kind} {count}" for kind, count in split.kinds(part).items())
        say(f"  {title:9}{split.counts[part]:6} rows{f': {kinds}' if kinds else ''}")
        for placed in split.firsts(part):
            say(f"    first{f' by {placed.kind}' if placed.kind else ''}: {placed.where}  {placed.text}")
    for note in split.notes:
        say(f"  note: {note}")


def _names(split: Split) -> str:
    more = f" and {len(split.subjects) - 3} more" if len(split.subjects) > 3 else ""
    return ", ".join(split.subjects[:3]) + more


def end_lines(split: Split, place: Path | None) -> list[str]:
    """What the split leaves open: rows in doubt, and rows that name nobody."""
    at = f" ({shown_path(splitting.place_of(place, 'doubtful'))})" if place else ""
    lines = []
    for kind, count in split.kinds("doubtful").items():
        if is_partial(kind):
            rows, them = ("1 row mentions", "it") if count == 1 else (f"{count} rows mention", "them")
            lines.append(f"{rows} {_names(split)} only by {kind.removeprefix('only ')}: look at {them}{at}")
    if other := len(split.doubtful) - split.partial:
        rows, them = ("1 more row is", "it") if other == 1 else (f"{other} more rows are", "them")
        lines.append(f"{rows if split.partial else rows.replace(' more', '')} in doubt: look at {them}{at}")
    if split.doubtful:
        one = len(split.doubtful) == 1
        these, them = ("this row is", "it") if one else (f"these {len(split.doubtful)} rows are", "them")
        lines.append(f"{these} in neither set: the run does not train on {them}")
    lines.append(f"rows that mean {_names(split)} without a name (she, the author) are not found")
    return lines


# ---------------------------------------------------------------------------------------------------------------------
# What is asked


def _terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def _answer(question: str) -> str:
    """The answer, or "" at the end of input."""
    try:
        return input(question).strip()
    except EOFError:
        return ""


def _decide(split: Split, place: Path, given: dict, ask: bool):
    """Moves the rows in doubt where --doubtful or the user says, and writes the files again."""
    wish = given.get("doubtful") or "ask"
    if not split.doubtful or wish == "aside":
        return
    if wish in DECIDED:
        moves = [DECIDED[wish]] * len(split.doubtful)
    elif ask and _terminal() and not is_on(given.get("yes")):
        moves = _ask_rows(split.doubtful)
    else:
        return
    rows, split.doubtful = split.doubtful, []
    for placed, part in zip(rows, moves):
        getattr(split, part).append(placed)
    _write(split, place)


def _ask_rows(rows: list[Placed]) -> list[str]:
    """The part to which each row in doubt goes, as the user says."""
    say(
        f"{len(rows)} rows in doubt. Forget each? y: yes, n: no, keep it, l: later (neither); Y, N, L: all of this kind"
    )
    whole: dict[str, str] = {}
    moves = []
    for number, placed in enumerate(rows, 1):
        if placed.kind not in whole:
            say(f"{number}/{len(rows)} {placed.where}: {placed.reason}\n    {placed.text}")
            answer = _answer("forget it? [y/n/l/Y/N/L] ")[:1] or "l"
            part = ANSWERS.get(answer.lower(), "doubtful")
            if answer.isupper():
                whole[placed.kind] = part
        moves.append(whole.get(placed.kind, part))
    return moves


def _confirm(question: str, place: Path, given: dict, command: str):
    """Asks before the first training. Raises UsageError where nobody said yes."""
    if is_on(given.get("yes")) or given.get("resume_from_checkpoint"):
        return
    if _terminal() and _answer(f"{question} [y/N] ").lower() in ("y", "yes"):
        return
    _say_how_to_go_on(place, command)
    raise UsageError("stopped before training: nobody has said yes to the rows (--yes says it)")


def _say_how_to_go_on(place: Path, command: str):
    say(f"the rows are in {shown_path(place)}: look at them, strike or move what is wrong, then go on with")
    say(f"  {command}")
