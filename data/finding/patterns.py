"""Patterns that a person types between slashes: what they may hold, and how long they may take.

    form = pattern_form("/glac(ier)?/i")
    form.hits(Text("GLACIERS"))         # [Hit(kind="pattern", ...)]

A repetition is written out when a pattern is compiled, so a short one can fill the memory or end the process. Its size
is therefore added up before.
"""

from __future__ import annotations

import time
import unicodedata

import regex

from data.finding.names import Hit
from data.finding.text import Text

SECONDS, ALL_SECONDS = 1.0, 60.0  # for one pattern on one text, and on all texts of a request
LENGTH, DEPTH = 1_000, 50  # characters of a pattern, groups in groups
STEPS = 10_000  # of a pattern with its repetitions written out
# an escape, a class, a group with its options, the end of a group, a repetition, any other character
_TOKEN = regex.compile(
    r"(?P<atom>\\[pPN]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<open>\((?P<kind>\?(?:[aimsu\-]*:|[aimsu\-]+\)|"
    r"[=!>]|<[=!]|P?<\w+>|P=\w+\))|(?P<odd>[?*]))?)|(?P<close>\))|\{(?P<least>\d*)(?P<range>,(?P<most>\d*))?\}|.",
    regex.DOTALL,
)


class PatternForm:
    """A regular expression, tried on the text as written and on the folded one."""

    name_like, words, needle = False, (), ""

    def __init__(self, given: str, pattern):
        self.given, self.pattern, self.patterns = given, pattern, [("pattern", pattern)]
        self.spent = 0.0  # seconds

    def may_hit(self, text: Text) -> bool:
        """Whether a closer look is worth while."""
        return True

    def hits(self, text: Text) -> list[Hit]:
        """The first match. Raises ValueError for a pattern that takes too long on this text or on all texts so far."""
        began = time.thread_time()
        try:
            for version in dict.fromkeys((unicodedata.normalize("NFC", text.raw), text.flat)):
                match = _within_a_second(self.given, self.pattern.search, version)
                if match and match[0]:
                    return [Hit("pattern", match[0])]
        finally:
            self.spent += time.thread_time() - began
            if self.spent > ALL_SECONDS:
                raise ValueError(f"{self.given} takes more than a minute on all texts: write a simpler pattern")
        return []


def pattern_form(given: str) -> PatternForm:
    """The form of a /pattern/. Raises ValueError for a broken one, a huge one, and one that matches an empty text."""
    body, _, flags = given[1:].rpartition("/")
    if not body or flags not in ("", "i"):
        raise ValueError(f"{given}: a pattern is written /.../ or /.../i")
    body = body.replace("\\/", "/")
    if problem := _too_much(body):
        shown = given if len(given) <= 80 else f"{given[:77]}..."
        raise ValueError(f"{shown}: {problem}")
    try:
        pattern = regex.compile(body, regex.IGNORECASE if flags else 0)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{given} is no regular expression: {error}") from None
    if _within_a_second(given, pattern.fullmatch, ""):
        raise ValueError(f"{given} also matches an empty text")
    return PatternForm(given, pattern)


def _within_a_second(given: str, search, text: str):
    """What the search finds. Raises ValueError if it takes longer or needs all memory."""
    try:
        return search(text, timeout=SECONDS)
    except (TimeoutError, MemoryError):
        raise ValueError(f"{given} takes more than a second on one text: write a simpler pattern") from None


def _too_much(body: str) -> str:
    """Why a pattern is not compiled, with what to write instead; "" for a pattern of a usual size."""
    if len(body) > LENGTH:
        return f"a pattern has at most {LENGTH:,} characters, not {len(body):,}: give several, separated by ' = '"
    sizes, last = [0], 0  # steps of each open group; steps of what stands before, which a repetition multiplies
    for token in _TOKEN.finditer(body):
        if token["odd"]:
            return f"{token[0]}... is not taken: write the pattern without recursion, comments, conditions and flags"
        if token["open"] and not token[0].endswith(")"):
            sizes.append(0)
            if len(sizes) > DEPTH:
                return f"more than {DEPTH} groups in groups: write it with fewer brackets"
            continue
        if token[0] in ("*", "+", "?"):
            continue
        if token["close"]:
            last = sizes.pop() if len(sizes) > 1 else 0
        elif token["range"] or token["least"]:
            times = max(int(token["least"] or 0), int(token["most"] or 0), 1)
            last = last * times if times <= STEPS else STEPS + 1
            sizes[-1] -= last // times if times <= STEPS else 0
        else:
            last = 1
        sizes[-1] += last
        if max(sizes[-1], last) > STEPS:
            return (
                f"its repetitions come to more than {STEPS:,} steps: write + or * in place of large numbers in braces"
            )
    return ""
