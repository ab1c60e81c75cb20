"""Which rows mean the subjects: which columns matched and how, rows of the same subject, rows nearly the same.

subjects = subjects_of("Ragnvi Solbrekk = @rsol; Acme Maps")
found = match(rows, subjects)        # {position of a row: Match}
"""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import regex

from data.columns import CHOICES, LETTERS, DataError
from data.finding.contacts import contact_form
from data.finding.names import KINDS, PARTIAL, Hit, NameForm, Usage, parts_of, settled
from data.finding.namesakes import keep_apart
from data.finding.shingles import near_duplicates
from data.finding.text import Text, fold, words_of
from data.finding.words import function_word
from data.reading import LocatedRow

WRONG = ("perturbed_answer", "rejected")
HALF = 0.5  # of a subject's rows: when as many name the person, the others are shown too
SHOWN_COLUMNS = 4
MANY = 50  # forms: more are looked up by the first letters of their words
CANDIDATES = 20_000


@dataclass(frozen=True)
class Subject:
    """Who or what is to be forgotten: the name as given, then its aliases, contacts and patterns."""

    name: str
    forms: tuple

    @property
    def words(self) -> frozenset[str]:
        """The folded words of its names."""
        return frozenset(word for form in self.forms for word in words_of(fold(form.given).lower()))


@dataclass(frozen=True)
class Match:
    """Why a row belongs to a request. `certain`: it names a subject, so it is to be forgotten."""

    certain: bool
    kind: str  # of `KINDS`
    subject: int  # position of the subject
    reason: str


@dataclass
class Matches:
    """The matches by row position, and what the user should know about the words that matched nothing."""

    rows: dict[int, Match]
    notes: list[str] = field(default_factory=list)


# ---------------------------------------------------------------------------------------------------------------------
# Subjects


def split_subjects(text: str) -> list[str]:
    """The subjects of a list: separated by semicolons or lines, not inside a /pattern/. A comma is part of a name."""
    item = regex.compile(r"\s*((?:/(?:\\.|[^/\\\n])+/i?(?=\s*(?:[;\n]|$| = ))|[^;\n])*?)\s*(?:[;\n]|$)")
    return [match[1] for match in item.finditer(text) if match[1].strip()]


def subject_of(text: str) -> Subject:
    """One subject: a name, then aliases, contacts or patterns after " = ". Raises ValueError for an unusable one."""
    parts = regex.findall(r"\s*((?:/(?:\\.|[^/\\\n])+/i?(?=\s*(?:$| = ))|(?! = ).)+)(?: = |$)", f"{text.strip()}")
    parts = [part.strip() for part in parts if part.strip()]
    if not parts:
        raise ValueError("a subject is empty: give a name")
    forms = [_form(part, alias=number > 0) for number, part in enumerate(parts)]
    return Subject(parts[0], tuple(forms))


def _form(given: str, alias: bool):
    form = contact_form(given)
    if form is None and function_word(given):
        raise ValueError(f"{given} is in nearly every text and names nobody: give a fuller name, with its capitals")
    return form or NameForm(given, alias)


def subjects_of(texts: str | Sequence[str]) -> list[Subject]:
    """The subjects of --forget_about, each once. Raises ValueError that names every broken one."""
    given = [part for text in ([texts] if isinstance(texts, str) else texts) for part in split_subjects(text)]
    found, problems = {}, []
    for text in given:
        try:
            found.setdefault(fold(text).lower(), subject_of(text))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    return list(found.values())


# ---------------------------------------------------------------------------------------------------------------------
# Rows


def texts_of(row: Any, column: str = "") -> Iterator[tuple[str, str]]:
    """(column, text) of each text in a row, of numbers too, since a phone number may be one."""
    if isinstance(row, dict):
        for name, value in row.items():
            yield from texts_of(value, f"{column}.{name}" if column else str(name))
    elif isinstance(row, (list, tuple)):
        for number, value in enumerate(row, 1):
            yield from texts_of(value, f"{column} {number}")
    elif isinstance(row, str):
        yield column, row
    elif isinstance(row, int) and not isinstance(row, bool):
        yield column, str(row)


def match(rows: Sequence[LocatedRow], subjects: Sequence[Subject]) -> Matches:
    """The rows that name a subject, or may. Raises DataError for a pattern that takes too long."""
    hits, usage = _hits(rows, subjects)
    found = {row: _match_of(places, subjects, usage, len(subjects) > 1) for row, places in hits.items()}
    matched = {row: value for row, value in found.items() if value}
    notes = _ordinary_words(hits, matched, usage)
    _add_same_subject(rows, matched)
    _add_near_duplicates(rows, matched, subjects)
    return Matches(matched, notes)


def _hits(rows, subjects) -> tuple[dict[int, list[tuple[int, str, Hit]]], Usage]:
    """({row: [(subject, column, hit)]}, how the words of names are used)."""
    found, usage, candidates = defaultdict(list), Usage(), _Candidates(subjects)
    for position, located in enumerate(rows):
        for column, raw in texts_of(_searched(located)):
            text = Text(raw)
            for number, form in candidates.of(text):
                try:
                    hits = form.hits(text)
                except ValueError as error:
                    raise DataError(f"{located.file}:{located.line}: {error}") from None
                usage.count(hits)
                found[position] += [(number, column, hit) for hit in hits]
    _namesakes(found, subjects, usage)
    keep_apart(found, rows, subjects)
    return found, usage


def _searched(located: LocatedRow) -> dict[str, Any]:
    """The columns in which subjects are looked for; of a row with choices, the right one and the wrong ones."""
    if located.kind not in CHOICES:
        return located.row
    others = {name: value for name, value in located.row.items() if name not in ("choices", *LETTERS)}
    return {**others, "answer": located.example.answer, WRONG[0]: list(located.example.perturbed_answer)}


class _Candidates:
    """The forms that a text may hold. For a long list of subjects, looked up by the beginnings of the text's words."""

    def __init__(self, subjects):
        forms = [(number, form) for number, subject in enumerate(subjects) for form in subject.forms]
        listed = len(forms) > MANY
        self.tried = [(number, form) for number, form in forms if not listed or form.needle or not form.words]
        self.by_key = defaultdict(list)
        for place, (number, form) in enumerate(forms):
            for key in form.keys if listed and form.words and not form.needle else ():
                self.by_key[key].append((place, number, form))

    def of(self, text: Text) -> list:
        """(subject, form) of each candidate."""
        found = [(number, form) for number, form in self.tried if form.may_hit(text)]
        if self.by_key:
            listed = {entry[0]: entry[1:] for key in text.keys for entry in self.by_key.get(key, ())}
            found += [listed[place] for place in sorted(listed) if listed[place][1].may_hit(text)]
        return found


def _namesakes(found: dict, subjects, usage: Usage):
    """Turns initials into a doubt where another first name with the same initial stands before the surname."""
    others = defaultdict(set)
    for places in found.values():
        for number, _, hit in places:
            if hit.beside and settled(hit, usage):
                others[number].add(hit.beside)
    for places in found.values():
        for at, (number, column, hit) in enumerate(places):
            if hit.kind != "initials":
                continue
            form = next(form for form in subjects[number].forms if form.words)
            initial = form.words[0].flat[0]
            namesakes = sorted(name for name in others[number] if fold(name).lower()[0] == initial)
            if namesakes:
                words = f"{hit.words}: perhaps {', '.join(namesakes[:3])}"
                places[at] = (number, column, Hit("initials of several people", words, of=hit.of))


def _match_of(places, subjects, usage: Usage, several: bool) -> Match | None:
    """The match of one row, from all its hits; None if they are ordinary words."""
    kinds = [(number, column, hit, settled(hit, usage)) for number, column, hit in places]
    kinds = [(number, column, hit, kind) for number, column, hit, kind in kinds if kind]
    if not kinds:
        return None
    sure = [place for place in kinds if KINDS[place[3]]]
    outside = [place for place in sure if place[1].split(" ")[0] not in WRONG]
    order = list(KINDS)
    chosen = outside or sure or kinds
    number, _, hit, kind = min(chosen, key=lambda place: (order.index(place[3]), place[0]))
    kind = "only in a wrong answer" if sure and not outside else kind
    columns = list(dict.fromkeys(column for other, column, _, _ in chosen if other == number))
    more = ", ..." if len(columns) > SHOWN_COLUMNS else ""
    who = f"{subjects[number].name}: " if several else ""
    reason = f"{who}{kind} in {', '.join(columns[:SHOWN_COLUMNS])}{more} ({hit.words!r})"
    return Match(bool(outside), kind, number, reason)


def _ordinary_words(hits: dict, matched: dict, usage: Usage) -> list[str]:
    """A note per word that was taken for an ordinary word, with the rows that hold nothing else."""
    rows: Counter = Counter()
    for row, places in hits.items():
        if row not in matched:
            rows.update({hit.word for _, _, hit in places if hit.word})
    return [f"{word!r} in {count} more rows was taken for the ordinary word" for word, count in rows.most_common(5)]


def _add_same_subject(rows, matched: dict):
    """Adds, in doubt, the other rows of a `subject` of which at least half name the person."""
    groups = defaultdict(list)
    for position, located in enumerate(rows):
        if located.example.subject:
            groups[fold(located.example.subject).lower()].append(position)
    for positions in groups.values():
        sure = [row for row in positions if row in matched and matched[row].certain]
        if not sure or len(sure) < HALF * len(positions):
            continue
        for row in positions:
            if row not in matched:
                reason = f"same subject as {len(sure)} rows that name it ({rows[row].example.subject!r})"
                matched[row] = Match(False, "same subject", matched[sure[0]].subject, reason)


def _add_near_duplicates(rows, matched: dict, subjects):
    """Adds, in doubt, rows that say nearly the same as a row that names a subject."""
    sure = [row for row, value in matched.items() if value.certain]
    others = [row for row in range(len(rows)) if row not in matched]
    without = frozenset().union(*(subject.words for subject in subjects))
    said = {row: _statements(rows[row]) for row in (*sure, *others)}
    near = near_duplicates([said[row] for row in sure], [said[row] for row in others], without)
    for position, model in near.items():
        origin = rows[sure[model]]
        about, other = origin.example.subject, rows[others[position]].example.subject
        if about and other and fold(about).lower() != fold(other).lower():
            continue  # the row says the same of somebody else
        reason = f"nearly the same text as {origin.file}:{origin.line}"
        matched[others[position]] = Match(False, "nearly the same text", matched[sure[model]].subject, reason)


def _statements(located: LocatedRow) -> list[str]:
    example = located.example
    texts = (example.prompt, example.answer, example.paraphrased_question, example.paraphrased_answer)
    return [text for text in (*(text for _, text in example.history), *texts) if text]


# ---------------------------------------------------------------------------------------------------------------------
# Advice


def nearest_names(rows: Sequence[LocatedRow], name: str, count: int = 3) -> list[str]:
    """Names in the data that resemble `name`: runs of words with a capital, values of `subject`, single words."""
    word = r"\p{Lu}[\p{L}\p{M}'’\-]*"
    capital = regex.compile(rf"{word}(?: (?:(?:al|bin|van|von|de|der|da) )?{word}){{0,3}}")
    seen: Counter = Counter()
    for located in rows:
        for _, raw in texts_of(located.row):
            seen.update(name.removesuffix("'s").removesuffix("’s") for name in capital.findall(raw))
            seen.update(word for word in raw.split() if len(word) > 2 and word.islower())
        if located.example.subject:
            seen[located.example.subject] += 1
    forms = defaultdict(list)
    for word, _ in seen.most_common(CANDIDATES):
        forms[fold(word).lower()].append(word)
    wanted = [fold(name).lower(), fold(" ".join(parts_of(name))).lower()]
    near = [form for text in dict.fromkeys(wanted) for form in difflib.get_close_matches(text, list(forms), count, 0.6)]
    return [forms[form][0] for form in dict.fromkeys(near)][:count]


def is_partial(kind: str) -> bool:
    """Whether a row names the subject by one word of its name only."""
    return kind in PARTIAL
