"""What a person typed or chose: a name, several names, a text, documents or rows, said back in one sentence.

    recognise("Ragnvi Solbrekk").said          # A name: forget everything the model knows about “Ragnvi Solbrekk”.
    recognise("", ["report.docx"]).kind        # "documents"

Only the text and the names of the files are looked at, so the answer comes while somebody types. A name or a title is
taken as one. Any other short text is taken as nothing ("short") until the person says which it is, and no short text
is trained on as a string unless the person says so (`taken_as="words"`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import regex

from data.documents.formats import readable
from data.finding.contacts import PhoneForm, contact_form
from data.finding.matching import split_subjects, subjects_of
from data.finding.names import FUNCTION_WORDS, PARTICLES, SUFFIXES, TITLES
from data.finding.text import fold, words_of
from data.reading import TYPES, row_suffixes

KINDS = ("nothing", "name", "short", "words", "text", "documents", "rows", "unusable")
WAYS = {  # how a person may have a text taken
    "name": "Forget everything it knows about it (a name, a title, a topic)",
    "text": "What this text says, also when it is asked for in other words",
    "words": "Only these exact words",
}
NAME_WORDS = 7  # a name or a title has at most this many, and so has a short text
LIST_WORDS = 4  # a line of a list without capitals has at most this many; longer ones are a poem
NAME_CHARACTERS, MOST_NAMES = 120, 100
SHORT_TEXT = 20  # words; a longer text is no name that was taken for a text
READ = 2_000  # characters that show what a text is
SHOWN = 60  # characters of a name, and names of a list, in the sentence
EMPTY = "Type a name, paste a text, or choose files."
ONE_WORD = " One word can mean several things, such as a person and a month: look at the list before you start."
PATTERN = " A pattern is only looked for in the data that the model was trained on: add it below, or type a name."
SEVERAL = " If these are several names, give each a line of its own."
_STOPS = ".。．।॥۔…"
_SMALL = FUNCTION_WORDS | PARTICLES | {"to", "at", "by", "from", "with", "or", "as"}  # without a capital in a title
_WHAT = r"(?:everything|anything|all|what|whatever)(?:\s+(?:that\s+)?(?:you|it|the\s+model)\s+knows?)?"
_COMMAND = regex.compile(  # lower case before a bare name: "Forget Paris" is a film
    rf"(?i:(?:please\s+)?(?:forget|unlearn|erase|delete|remove)\s+{_WHAT}\s+(?:about|of|on)\s+)(?=\S)"
    r"|(?:(?i:please\s+)(?i:forget|unlearn)|forget|unlearn)\s+(?:about\s+)?(?=\p{Lu})"
)
_QUOTES = ("“”", "„“", "„”", "«»", "»«", "‘’", "「」", "『』", '""', "''")
_INVISIBLE = regex.compile(r"[\p{Cf}\p{Cc}--[\n\t]]+", regex.VERSION1)
_MARKS = regex.compile(r"""[.!?…。．！？؟।॥।۔]+["'”’»」』）)\]]*$""")
_INITIALS = regex.compile(r"(?:^|[\s(.\-])\p{L}\.$")  # J. R. R., U.S.
_SHORTENED = frozenset((*TITLES, *SUFFIXES, "bros", "mt", "ft", "vol", "no", "co", "etc"))  # Acme Inc.
# letters of a word, about, in scripts without spaces
_SPACELESS = ((regex.compile(r"\p{Han}"), 2), (regex.compile(r"[\p{Hiragana}\p{Katakana}ー]"), 3),
              (regex.compile(r"[\p{L}&&[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]", regex.VERSION1), 4))  # fmt: skip
_CASED = regex.compile(r"[\p{Lu}\p{Ll}]")


@dataclass(frozen=True)
class Recognised:
    """What it is, the sentence that says so, the names in it, and the other ways in which it may be taken."""

    kind: str  # of `KINDS`
    said: str
    names: tuple[str, ...] = ()  # as they were given, with their aliases
    ways: tuple[str, ...] = ()  # of `WAYS`; the first is the one that was taken, except of a "short" text

    @property
    def usable(self) -> bool:
        """Whether there is something to forget."""
        return self.kind not in ("nothing", "short", "unusable")


def recognise(text: str | None, files: Sequence[str | Path] = (), training: Sequence[str | Path] = (),
              taken_as: str = "") -> Recognised:  # fmt: skip
    """What `text` and the names of `files` ask to forget. Reads no file.

    training: files with the data that the model was trained on, which go with a name. taken_as: a key of `WAYS` that
    the person chose. It counts where `Recognised.ways` offers it.
    """
    files, training = ([Path(path).name for path in paths or ()] for paths in (files, training))
    typed = _INVISIBLE.sub("", text).strip() if isinstance(text, str) else ""
    if files and typed:
        return Recognised("unusable", "A text and files at once: clear the field, or take the files out. Files with "
                          "all the data that the model was trained on belong into the box below.")  # fmt: skip
    found = _files(files) if files else _text(typed, taken_as) if typed else Recognised("nothing", EMPTY)
    if not training and found.kind == "name" and any(contact_of(name) == "A pattern" for name in found.names):
        return replace(found, said=found.said + PATTERN)
    if not training or not found.usable:
        return found
    if found.kind != "name":
        return Recognised("unusable", "The data that the model was trained on is searched for a name: type the name, "
                          "or take that data out.")  # fmt: skip
    if wrong := [name for name in training if not _accepted(name)]:
        return _not_accepted(wrong)
    return Recognised("name", f"{found.said} Its rows are looked for in {_listed(training)}.", found.names, found.ways)


# ---------------------------------------------------------------------------------------------------------------------
# Files


def _accepted(name: str) -> bool:
    return readable(name) or Path(name).suffix.lower() in row_suffixes()


def _not_accepted(names: Sequence[str]) -> Recognised:
    return Recognised("unusable", f"{_listed(names)}: this type of file is not read; accepted types: {TYPES}")


def _files(names: list[str]) -> Recognised:
    """Documents or rows, by the endings of the files' names."""
    rows = [name for name in names if Path(name).suffix.lower() in row_suffixes()]
    if wrong := [name for name in names if not _accepted(name)]:
        return _not_accepted(wrong)
    if rows and len(rows) < len(names):
        return Recognised("unusable", f"Documents and tables of rows at once: {_listed(rows)} holds rows. Give them "
                          "one after the other, as two requests.")  # fmt: skip
    if rows:
        return Recognised("rows", f"Rows of data ({_listed(names)}): forget what each row says.")
    what, them = ("A document", "it") if len(names) == 1 else (f"{len(names)} documents", "them")
    said = f"forget what is said in {them}, also when it is asked for in other words."
    return Recognised("documents", f"{what} ({_listed(names)}): {said}")


def _listed(names: Sequence[str]) -> str:
    """Some of the names, in one short line."""
    shown = [name if len(name) <= SHOWN else f"{name[: SHOWN - 1]}…" for name in names[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(shown) + more


# ---------------------------------------------------------------------------------------------------------------------
# Texts


def word_count(text: str) -> int:
    """The words of a text; of a script without spaces, about as many as a reader would count."""
    count = sum(any(map(str.isalnum, word)) for word in text.split())
    spaceless = sum(len(pattern.findall(text)) / size for pattern, size in _SPACELESS)
    return max(count, round(count / 2 + spaceless)) if spaceless else count


def _unquoted(text: str) -> str:
    """The text without quotation marks around the whole of it."""
    for left, right in _QUOTES:
        inner = text[len(left) : -len(right)]
        if (
            len(text) > 2
            and text.startswith(left)
            and text.endswith(right)
            and left not in inner
            and right not in inner
        ):
            return inner.strip()
    return text


def ends_sentence(text: str) -> bool:
    """Whether a text ends as a sentence does. An initial or an abbreviation that ends a name does not: Acme Inc."""
    text = text.rstrip()
    if not (match := _MARKS.search(text)):
        return False
    if match[0] == "." and (_INITIALS.search(text) or text[:-1].split()[-1:][0].lower().strip("(") in _SHORTENED):
        return False
    return not (match[0][0] in "!?" and len(text.split()) == 1)  # Yahoo!


def _name_like(line: str) -> bool:
    """Whether a line alone is a name, a title or a contact."""
    if contact_of(line):
        return True
    one = not regex.search(r"[.!?]\s+\p{Lu}\p{Ll}+\s+\p{Ll}", line)
    return one and word_count(line) > 0 and is_short(line) and (not ends_sentence(line) or _titled(line))


def is_short(text: str) -> bool:
    """Whether a text is too short to be trained on as a text: it may be a name, and says hardly anything."""
    text = text.strip()
    return len(text) <= NAME_CHARACTERS and word_count(text) <= NAME_WORDS


def _titled(line: str) -> bool:
    """Whether all words have capitals, as in a name or a title; small words of a title need none."""
    words = words_of(line)
    return any(word[:1].isupper() for word in words) and all(
        not word[:1].islower() or fold(word).lower() in _SMALL for word in words
    )


def several_names(name: str) -> bool:
    """Whether one line seems to hold several whole names: Ada Lund, Bor Graz."""
    parts = regex.split(r"\s*,\s+(?:and\s+)?|\s+(?:and|&)\s+", name)
    whole = (len(words := part.split()) > 1 and all(word[:1].isupper() for word in words) for part in parts)
    return len(parts) > 1 and all(whole)


def _listed_like(line: str) -> bool:
    """The same for a line of a list, which must not be a line of a poem."""
    words = words_of(line)
    capitals = sum(word[:1].isupper() or not _CASED.search(word) for word in words)
    return _name_like(line) and (len(words) <= LIST_WORDS or 2 * capitals >= len(words))


def contact_of(text: str) -> str:
    """What kind of contact a text is ("An e-mail address"), or "". Raises ValueError for a broken /pattern/."""
    text = text.strip()
    if regex.match(r"https?://\S+$", text):
        return "A web address (nothing is fetched from the web)"
    form = contact_form(text) if text else None
    if form is None:
        return ""
    if isinstance(form, PhoneForm):
        return "A phone number"
    kind = form.patterns[0][0]
    if kind == "account" and "/" in text and text == text.upper():  # AC/DC
        return ""
    return {"e-mail": "An e-mail address", "pattern": "A pattern"}.get(kind, "An account or a repository")


def _text(text: str, taken_as: str) -> Recognised:
    """What a typed text is: a name, several names, or a text."""
    if not regex.search(r"[\p{L}\p{N}]", text):
        return Recognised("unusable", "There are no letters and no digits in it: type a name, a title or a text.")
    plain = _unquoted(text)
    asked = _unquoted(_unstopped(plain[match.end() :].strip())) if (match := _COMMAND.match(plain)) else plain
    head = asked[: READ + 1]
    try:
        items = split_subjects(head) if len(head) <= READ else []
        check = _name_like if len(items) == 1 else _listed_like
        parts = [item.split(" = ") for item in items]  # a name and its aliases
        named = 0 < len(items) <= MOST_NAMES and all(check(part[0]) and all(map(_name_like, part)) for part in parts)
        if named:
            subjects_of(items)
        names = tuple(dict.fromkeys(map(_unstopped, items)))
    except ValueError as error:  # a broken /pattern/
        if taken_as != "words":
            return Recognised("unusable", f"{str(error).splitlines()[0]}.", ways=("name", "words"))
        named, names = True, ()
    short = not named and is_short(head)
    ways = ("name", "words") if named or short else ("text", "words", "name") if word_count(head) <= SHORT_TEXT else (
        "text",)  # fmt: skip
    kind = taken_as if taken_as in ways else "short" if short else ways[0]
    ways = tuple(sorted(ways, key=kind.__ne__))
    shown = " ".join(plain[:READ].split())
    if kind == "name":
        names = names if named and names else (_unstopped(" ".join(asked.split()).replace(";", ",")),)
        return Recognised("name", _name_told(names), names, ways)
    shown = shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 1]}…"
    if kind == "short":
        return Recognised("short", f"“{shown}” is short: choose below whether to forget everything it knows about it, "
                          "or only these exact words.", (), ways)  # fmt: skip
    if kind == "words":
        return Recognised("words", f"Only these exact words: “{shown}”. What else the model knows about it stays.", (),
                          ways)  # fmt: skip
    paragraphs = len([part for part in regex.split(r"\n\s*\n", text) if part.strip()])
    count = word_count(text)
    size = f"{count:,} word{'' if count == 1 else 's'}"
    size += f" in {paragraphs:,} paragraphs" if paragraphs > 1 else ""
    return Recognised("text", f"A text of {size}: forget what it says, also when it is asked for in other words.", (),
                      ways)  # fmt: skip


def _unstopped(name: str) -> str:
    """The name without the full stop after it; the mark of a question is a part of a title."""
    return name.rstrip(_STOPS) or name if ends_sentence(name) and not contact_of(name) else name


def _name_told(names: tuple[str, ...]) -> str:
    """The sentence about a name or names."""
    names = tuple(name.split(" = ")[0] for name in names)
    quoted = [f"“{name if len(name) <= SHOWN else name[: SHOWN - 1] + '…'}”" for name in names]
    if len(names) == 1:
        what = contact_of(names[0]) or "A name"
        one_word = what == "A name" and len(words_of(fold(names[0]))) == 1 and word_count(names[0]) < 2
        hint = ONE_WORD if one_word else SEVERAL if several_names(names[0]) else ""
        return f"{what}: forget everything the model knows about {quoted[0]}.{hint}"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    listed = ", ".join(quoted[:3]) + more if more else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
    return f"{len(names)} names: forget everything the model knows about {listed}."
