"""Two people of one name, kept apart by what stands beside the name: Anna Berg (baker), Anna Berg (singer), Jr, Sr.

What the data writes beside the name in its own labels (`subject`, or any other short column that is not trained on)
tells who is meant. Where the labels differ and the request does not say which one, the rows are in doubt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import regex

from data.finding.names import Hit, plain, split_qualifier
from data.finding.text import fold
from data.reading import LocatedRow

KIND = "perhaps another of this name"
CERTAIN = ("full name", "full name, inflected", "initials", "alias")
LABEL = 100  # characters at most
_GENERATION = regex.compile(r",? ?\(?((?i:jr|sr|junior|senior|the (?:elder|younger))|II+|IV|VI+|IX|XI+)(?!\p{L})")
_AFTER = regex.compile(r" ?[(\[{,;:/|#_\-\d]| (?:[IVX]+$|(?:the|der|die|den|le|la|el) )|,? (?i:jr|sr|junior|senior)\b")
_BEFORE = regex.compile(r"[)\]}:/|,;\-\d.] ?$")
_LISTED = regex.compile(r" ?[,;/&|] ?(?:and )?\p{Lu}[\p{L}.'\-]* (?:.* )?\p{Lu}\p{L}")


@dataclass
class _Told:
    """What the rows write beside one name: {row: qualifiers}, {qualifier: the label}."""

    rows: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    labels: dict[str, str] = field(default_factory=dict)
    generations: dict[str, str] = field(default_factory=dict)


def labels_of(located: LocatedRow) -> dict[str, str]:
    """The short columns of a row that are not trained on: its subject, a name, a title."""
    example = located.example
    trained = {*located.kind.split("/"), "input", "system", "labels"}
    texts = {example.prompt, example.answer, example.paraphrased_question, example.paraphrased_answer}
    return {column: value for column, value in located.row.items()
            if isinstance(value, str) and len(value) <= LABEL and column not in trained and value not in texts
            and not column.startswith(("paraphrased", "perturbed"))}  # fmt: skip


def keep_apart(found: dict[int, list], rows: Sequence[LocatedRow], subjects: Sequence) -> None:
    """Changes the mentions in `found`: those of somebody else go, those that may mean somebody else are in doubt."""
    forms = {(number, form.given): form for number, subject in enumerate(subjects) for form in subject.forms}
    told: dict[tuple, _Told] = defaultdict(_Told)
    for row, places in found.items():
        labels = labels_of(rows[row])
        for at, (number, column, hit) in enumerate(places):
            if hit.of and hit.kind in CERTAIN:
                _read(told[number, hit.of], row, hit, labels.get(column))
                if column in labels and not hit.before and not hit.after and hit.words == fold(hit.of):
                    places[at] = (number, column, replace(hit, shown=True))  # the row's subject is this name
    for row, places in found.items():
        changed = ((number, column, _changed(forms.get((number, hit.of)), told.get((number, hit.of)), row, hit))
                   for number, column, hit in places)  # fmt: skip
        found[row] = [place for place in changed if place[2]]


def _read(told: _Told, row: int, hit: Hit, label: str | None) -> None:
    """Notes what stands beside one mention; `label`: the whole text if it is a label."""
    generation = _GENERATION.match(hit.after)
    if label is not None:
        qualifier = _label_qualifier(hit)
        if qualifier is not None:
            told.rows[row].add(qualifier)
            told.labels.setdefault(qualifier, label)
    elif generation:
        told.rows[row].add(plain(generation[1]))
        told.generations.setdefault(plain(generation[1]), f"{hit.words} {generation[1]}")
    elif (brackets := regex.match(r" ?\(([^()]+)\)", hit.after)) and plain(brackets[1]) == split_qualifier(hit.of)[1]:
        told.rows[row].add(plain(brackets[1]))


def _label_qualifier(hit: Hit) -> str | None:
    """What a label has beside the name, "" for the name alone; None where it is about something else or several."""
    before, after = plain(hit.before), hit.after.strip(" .")
    if (before and not _BEFORE.search(hit.before)) or _LISTED.match(hit.after):
        return None
    if after and not _AFTER.match(hit.after):
        return None
    return plain(f"{before} {after}")


def _changed(form, told: _Told | None, row: int, hit: Hit) -> Hit | None:
    """What becomes of one mention in a row; None if it means somebody else."""
    asked = form.qualifier if form and hit.of else ""
    told = told or _Told()
    here = told.rows.get(row, set())
    if asked and asked in here:
        return replace(hit, shown=True)
    if asked and here - {""}:
        return None
    known = told.labels | (told.generations if len(told.generations) > 1 else {})
    alone = here == {""} and len(known) == 2  # the label is the name asked for, and only one other has a qualifier
    if hit.kind not in CERTAIN or (not asked and (len(known) < 2 or alone)):
        return hit
    others = [label for qualifier, label in known.items() if qualifier not in here and qualifier != asked]
    which = f": {', '.join(others[:3])}" if others else ""
    return Hit(KIND, f"{hit.words}: another {split_qualifier(hit.of)[0]} may be meant{which}", of=hit.of)
