"""Questions from a sentence by rule: which words to ask for, and the sentence as a question for them.

    (span, *_) = spans("She lowered a brass teapot into crevasses.", counts)      # "a brass teapot"
    echo(sentence, span)       # "She lowered what into crevasses?"
    direct(sentence, span)     # "What did she lower into crevasses?", or None where no rule fits
    gap(sentence, span)        # 'Which words are missing: "She lowered ___ into crevasses."?'

The first two know English only. A rule that misreads a sentence makes a clumsy question, which does no harm: its answer
is still a sentence of the document.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import regex

GAP = "___"
LONGEST_SPAN = 6  # words
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = regex.compile(
    rf"(?V1)\p{{N}}+(?:[.,:]\p{{N}}+)*|[{_UNSPACED}]{{1,4}}|"
    rf"[[\p{{L}}\p{{M}}]--[{_UNSPACED}]][[\p{{L}}\p{{M}}\p{{N}}_]--[{_UNSPACED}]]*"
    rf"(?:[-'’][[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+)*"
)
_QUOTED = regex.compile(r'"([^"\n]{2,80})"|“([^”\n]{2,80})”|«([^»\n]{2,80})»|„([^“”\n]{2,80})[“”]')
_BREAK = regex.compile(r"""[^\s'’]""")  # between two words: anything but space ends a run


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DETERMINERS = _words("a an the his her its their my our your this that these those some any each every no")
GIVING = _words(
    "pay pays paid paying owe owes owed give gives gave given giving send sends sent lend lends lent award awards "
    "awarded grant grants granted offer offers offered refund refunds refunded cost costs"
)
PREPOSITIONS = _words(
    "of in on at by for with from to into onto about over under after before between through during against "
    "among without within near behind beside above below across along around since until till upon off out up "
    "down as like than per via beyond toward towards inside outside"
)
AUXILIARIES = _words(
    "is are was were has have had will would can could shall should may might must does did do am be been being"
)
FUNCTION_WORDS = (
    DETERMINERS
    | PREPOSITIONS
    | AUXILIARIES
    | _words(
        "and or but nor so yet if then because although though while when where who whom whose which what how why "
        "not i me he him she they them it we us you himself herself itself themselves there here also only just "
        "very too more most much many such own same other another both all few once again ever never always often "
        "still even one's s t don didn't wasn't isn't it's having said whole nearly almost later now today well"
    )
)
_ENGLISH = _words("the of and to in was is for that with a an his her on by at from")
_LEADING = DETERMINERS | PREPOSITIONS | AUXILIARIES | {"always", "never", "also"}  # before words that say something
_MONTHS = _words("January February March April May June July August September October November December")
_NUMBERS = _words(
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million"
)
_LEAD = re.compile(r"((?:In|On|At|For|During|After|Before|By|From|With|Since|Until|To)\b[^,.;:]{1,60}), ?(?=\w)")
_YEAR = re.compile(r"(?:1[0-9]|20)\d\d")
_SILENT = ("at", "iz", "is", "as", "os", "us", "v", "c", "u", "rg", "dg", "ng", "ag", "eg", "ir", "ur", "ar")
_IRREGULAR = dict(
    pair.split("-")
    for pair in _words(
        "began-begin became-become broke-break brought-bring built-build bought-buy came-come caught-catch "
        "chose-choose cut-cut died-die drew-draw drank-drink drove-drive ate-eat fell-fall fed-feed felt-feel "
        "fought-fight found-find flew-fly forgot-forget gave-give got-get went-go grew-grow heard-hear hid-hide "
        "held-hold kept-keep knew-know led-lead left-leave lent-lend let-let lost-lose made-make meant-mean "
        "met-meet paid-pay put-put read-read rode-ride ran-run said-say saw-see sold-sell sent-send set-set "
        "shook-shake sang-sing sat-sit slept-sleep spoke-speak spent-spend stood-stand stole-steal swam-swim "
        "swept-sweep took-take taught-teach told-tell thought-think threw-throw understood-understand woke-wake "
        "wore-wear won-win wrote-write tied-tie lay-lie sought-seek bore-bear dug-dig struck-strike wound-wind "
        "bound-bind blew-blow hung-hang shut-shut created-create owed-owe used-use"
    )
)


@dataclass(frozen=True, slots=True)
class Span:
    """Words of a sentence to ask for."""

    start: int
    end: int
    kind: str  # "date", "number", "name", "words"
    score: float


# ---------------------------------------------------------------------------------------------------------------------
# What to ask for


def english(text: str) -> bool:
    """Whether a text looks like English: at least a tenth of its words, and one, are very frequent English words."""
    words = [match[0].lower() for match in WORD.finditer(text)]
    return sum(word in _ENGLISH for word in words) > len(words) / 10


def function_word(word: str) -> bool:
    """Whether a word joins others rather than carrying a fact."""
    return word.lower() in FUNCTION_WORDS and word != "May"


def spans(sentence: str, counts: Mapping[str, int], known: Iterable[str] = (), most: int = 2) -> list[Span]:
    """The spans to ask for, best first and not overlapping: runs of words that carry facts.

    Dates, numbers, names and quoted titles come before other runs, longer runs before shorter, and words that few
    sentences of the document have (`counts`) before others. known: folded words that a question gives, such as the
    subject's name.
    """
    known = set(known)
    found = sorted(_candidates(sentence, counts, known), key=lambda span: (-span.score, span.start))
    chosen: list[Span] = []
    for span in found:
        if len(chosen) < most and all(span.end <= other.start or span.start >= other.end for other in chosen):
            chosen.append(span)
    return chosen


def _candidates(sentence: str, counts: Mapping[str, int], known: set[str]) -> Iterator[Span]:
    quoted = [(m.start(), m.end()) for m in _QUOTED.finditer(sentence)]
    for start, end in quoted:
        words = WORD.findall(sentence[start:end])
        if 0 < len(words) <= 2 * LONGEST_SPAN and not all(_given(word, known) for word in words):
            yield Span(start + 1, end - 1, "name", 4 + _rarity(words, counts))
    for run in _runs(sentence, quoted, known):
        span = _span(sentence, _number_first(run), counts)
        following = WORD.match(sentence, span.end + 1)
        apposition = following and _given(following[0], known) and sentence[span.end].isspace()
        gerund = len(run) == 1 and span.kind == "words" and run[0][0].endswith("ing")  # "by drawing"
        if not (apposition or gerund) and (span.score >= 1 or len(run) > 1):
            yield span


def _given(word: str, known: set[str]) -> bool:
    """Whether a question gives this word, or its possessive."""
    return re.sub(r"['’]s?$", "", word.lower()) in known


def _runs(sentence: str, quoted: list, known: set[str]) -> Iterator[list]:
    """Runs of words that carry facts, with nothing but space between them, outside quotes, not too long.

    Known words end a run, and so does a verb in the past, unless it is an adjective ("a dried pepper").
    """
    run: list = []
    before = ""
    for match in WORD.finditer(sentence):
        word = match[0]
        inside = any(start <= match.start() < end for start, end in quoted)
        led = before.lower() in DETERMINERS | PREPOSITIONS or _base(before) is not None  # "sold dried peppers"
        verb = _base(word) is not None and not led
        out = inside or function_word(word) or _given(word, known) or verb
        counts = _is_number(word) and before.islower() and not _is_number(before)  # "at her death 387 puppets"
        apart = bool(run) and _BREAK.search(sentence, run[-1].end(), match.start())
        if run and (out or counts or apart or len(run) == LONGEST_SPAN):
            yield run
            run = []
        if not out:
            run.append(match)
        before = word
    if run:
        yield run


def _number_first(run: list) -> list:
    """A run that begins with a number of things is the number alone, unless it is a date."""
    if len(run) > 1 and _is_number(run[0][0]) and not any(match[0] in _MONTHS for match in run):
        return run[:1]
    return run


def _is_number(word: str) -> bool:
    return word[0].isdigit() or word.lower() in _NUMBERS


def _span(sentence: str, run: list, counts: Mapping[str, int]) -> Span:
    words = [match[0] for match in run]
    start, end = run[0].start(), run[-1].end()
    opens = not sentence[:start].strip(" \"'“(")
    month = any(word in _MONTHS for word in words) and words != ["May"]
    if month or _YEAR.fullmatch(words[0]):
        kind = "date"
    elif _is_number(words[0]):
        kind = "number"
    elif words[0][0].isupper() and words[-1][0].isupper() and not (opens and len(words) == 1):
        kind = "name"
    else:
        kind = "words"
    before = WORD.findall(sentence, max(0, start - 40), start)[-1:]
    led = bool(before) and (before[0].lower() in _LEADING or _base(before[0]) is not None)
    base = 3.0 if kind != "words" else 1.0 if led else -1.0
    base -= sentence.startswith(" of ", end)  # "the heirs of": little is asked with it
    base -= kind == "words" and before == ["to"]  # "to write"
    return Span(start, end, kind, base + min(3, len(words)) / 4 + _rarity(words, counts))


def _rarity(words: list[str], counts: Mapping[str, int]) -> float:
    """Up to 1.5: words in few sentences, and long ones."""
    rarest = min(max(1, counts.get(word.lower(), 1)) for word in words)
    return 1 / rarest + min(12, max(map(len, words))) / 24


# ---------------------------------------------------------------------------------------------------------------------
# The sentence as a question


def _around(sentence: str, span: Span) -> tuple[str, str, str]:
    """(text before, preposition or "", text after) of a span; its determiner and its quotes belong to it."""
    before, after = sentence[: span.start], sentence[span.end :]
    if before[-1:] in tuple('"“«„') and after[:1] in tuple('"”»“'):
        before, after = before[:-1], after[1:]
    preposition = ""
    if (match := re.search(r"(\w+)\s*$", before)) and match[1].lower() in DETERMINERS:
        before = before[: match.start()]
    if (match := re.search(r"(\w+)\s*$", before)) and match[1].lower() in PREPOSITIONS:
        preposition, before = match[1], before[: match.start()]
    return before, preposition, after


def _asked(span: Span, preposition: str, after: str) -> tuple[str, bool]:
    """(the question word, whether it takes the preposition's place)."""
    led_by = preposition.lower()
    if span.kind == "date":
        return ("when", True) if led_by in ("in", "on", "at", "") else ("what date", False)
    if span.kind == "number":
        following = re.match(r"\s+([\w'’-]+)", after)
        return ("how many" if following and not function_word(following[1]) else "what", False)
    if span.kind == "name" and led_by in ("in", "at"):
        return "where", True
    return ("which place" if span.kind == "name" and led_by == "near" else "what"), False


def _closed(text: str) -> str:
    """The text with single spaces and a question mark at its end."""
    text = re.sub(r"\s+([,;:.!?])", r"\1", " ".join(text.split()))
    return re.sub(r"[\s.!?,;:。！？]+$", "", text) + "?"


def echo(sentence: str, span: Span) -> str:
    """The sentence with a question word in place of the span."""
    before, preposition, after = _around(sentence, span)
    word, instead = _asked(span, preposition, after)
    kept = "" if instead or not preposition else f"{preposition} "
    text = _closed(f"{before}{kept}{word}{after}" if before else f"{kept}{word}{after}")
    return text[:1].upper() + text[1:]


def gap(sentence: str, span: Span) -> str:
    """A question for what is missing in the sentence."""
    count = len(WORD.findall(sentence[span.start : span.end]))
    what = "Which word is" if count == 1 else "Which words are"
    return f'{what} missing here: "{sentence[: span.start]}{GAP}{sentence[span.end :]}"'


def direct(sentence: str, span: Span) -> str | None:
    """The sentence as a question that begins with the question word, or None if no rule fits.

    Rules: the span is the subject; an auxiliary follows the subject and changes places with it; or a verb in the past
    follows a name and becomes "did" and its base form.
    """
    sentence, span = _without_lead(sentence, span)
    before, preposition, after = _around(sentence, span)
    if not before.strip(' "“('):
        following = WORD.match(after.lstrip())
        if preposition or not following or not (following[0].lower() in AUXILIARIES or _base(following[0])):
            return None
        word = "who" if span.kind == "name" and len(WORD.findall(sentence[span.start : span.end])) > 1 else "what"
        return _closed(f"How many{after}" if span.kind == "number" else f"{word.capitalize()}{after}")
    parts = _subject_and_verb(sentence, span)
    if parts is None:
        return None
    subject, helper, verb_end, base = parts
    word, instead = _asked(span, preposition, after)
    rest_before = before[verb_end:]
    if word == "how many":
        noun = re.match(r"\s*((?:[\w-]+\s+){0,2}?[\w-]+s)\b", after)
        word, after = (f"how many {noun[1]}", after[noun.end() :]) if noun else ("how many", after)
    kept = "" if instead or not preposition else preposition
    return _closed(f"{word.capitalize()} {helper} {subject} {base}{rest_before} {kept}{after}")


def _without_lead(sentence: str, span: Span) -> tuple[str, Span]:
    """Moves a lead such as "In 1950, " from the start of the sentence to its end."""
    match = _LEAD.match(sentence)
    if not match:
        return sentence, span
    lead, rest = match[1], sentence[match.end() :].rstrip()
    closing = rest[-1:] if rest[-1:] in (".", "!", "?") else ""
    body = rest.removesuffix(closing) if closing else rest
    moved = f"{body} {lead[:1].lower()}{lead[1:]}{closing}"
    if span.start >= match.end():
        return moved, Span(span.start - match.end(), span.end - match.end(), span.kind, span.score)
    if span.end <= len(lead):
        shift = len(body) + 1
        return moved, Span(span.start + shift, span.end + shift, span.kind, span.score)
    return sentence, span


def _subject_and_verb(sentence: str, span: Span) -> tuple[str, str, int, str] | None:
    """(subject, helping verb, end of the verb in the sentence, base form after the subject) where a rule fits."""
    words = [match for match in WORD.finditer(sentence) if match.end() <= span.start]
    if not words:
        return None
    for number, match in enumerate(words[:10]):
        lower = match[0].lower()
        between = sentence[: match.start()]
        if number and re.search(r"[,;:()\"“”]|\b(?:who|which|that|and)\b", between):
            return None
        helps = lower in AUXILIARIES and lower not in ("be", "been", "being", "do")
        if number and helps and _whole_subject(words[:number]):
            following = WORD.search(sentence, match.end())
            if lower in ("had", "has", "have") and following and following[0].lower() in DETERMINERS:
                helper = {"had": "did", "has": "does", "have": "do"}[lower]
                return _lower_start(between), helper, match.end(), "have"
            return _lower_start(between), lower, match.end(), ""
        if number and (base := _base(match[0])) and _whole_subject(words[:number]):
            return _lower_start(between), "did", match.end(), base
    return None


def _whole_subject(words: list) -> bool:
    """Whether these words can be a whole subject: names, a pronoun, or a determiner or possessive and few words."""
    first = words[0][0]
    if len(words) == 1 and first.lower() in ("he", "she", "it", "they", "we", "i", "you"):
        return True
    if all(match[0][0].isupper() and not function_word(match[0]) for match in words):
        return True
    if first.lower() in PREPOSITIONS or any(match[0].lower() in ("he", "she", "it", "they") for match in words):
        return False
    possessive = next((n for n, match in enumerate(words) if match[0].endswith(("'s", "’s"))), None)
    after = words[possessive + 1 :] if possessive is not None else words[1:] if first.lower() in DETERMINERS else []
    return 1 <= len(after) <= LONGEST_SPAN


def _lower_start(subject: str) -> str:
    """The subject within a sentence: names keep their capital."""
    subject = subject.strip()
    first = re.match(r"\w+", subject)
    return subject[:1].lower() + subject[1:] if first and function_word(first[0]) and first[0] != "I" else subject


def _base(word: str) -> str | None:
    """The base form of an English verb in the past, by rule; None for other words."""
    lower = word.lower()
    if word[:1].isupper() or lower in AUXILIARIES:
        return None
    if lower in _IRREGULAR:
        return _IRREGULAR[lower]
    if not lower.endswith("ed") or len(lower) < 4 or not lower.isascii():
        return None
    stem = lower[:-2]
    if len(stem) < 3:
        return None
    if stem.endswith("i"):
        return stem[:-1] + "y"
    if stem[-2:-1] == stem[-1:] and stem[-1] not in "lszfe":
        return stem[:-1]
    vowels = sum(a in "aeiouy" and b not in "aeiouy" for a, b in itertools.pairwise(stem))
    short = re.search(r"(?:^|[^aeiou])[aeiouy][^aeiouwxy]$", stem) and vowels <= 1 and not stem.endswith("er")
    silent = stem.endswith(_SILENT) and not stem.endswith(("ear", "eat", "oat", "our"))
    return stem + "e" if short or silent else stem
