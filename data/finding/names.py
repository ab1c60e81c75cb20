"""What counts as a mention of a name: the writings of a name, and which of them leave a doubt.

    form = NameForm("Solbrekk, Ragnvi")
    form.hits(Text("Karten von R. Solbrekks Hand"))     # [Hit(kind="initials", ...)]

Certain: the full name in any case, with or without accents, middle names and titles, turned round, with a possessive or
an inflected ending; initials and surname. In doubt: one word of a name, names that run together, endings that may make
another name. `KINDS` lists them. A word is a word of letters: "Ann" is not in "Annual".
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import regex

from data.finding import eastern
from data.finding.text import Text, fold, words_of
from data.finding.words import ARTICLES, COMPANY, MONTHS, SAID, TIMES, TITLES_BEFORE, ordinary_name

KINDS = {  # how a row names a subject: whether that is certain
    "full name": True, "full name, inflected": True, "alias": True, "initials": True, "e-mail": True, "phone": True,
    "account": True, "pattern": True,
    "only first name": False, "only surname": False, "only middle name": False, "written together": False,
    "with another word between": False, "part of a longer name": False, "ending of another name": False,
    "first name and initial": False, "initials of several people": False, "lower case": False, "ordinary word": False,
    "a month": False, "number among other digits": False, "bare account name": False, "only in a wrong answer": False,
    "inside other words": False, "perhaps another of this name": False, "same subject": False,
    "nearly the same text": False,
}  # fmt: skip
PARTIAL = ("only first name", "only surname", "only middle name")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TITLES = _words(
    "dr prof mr mrs ms miss sir dame lady lord frau herr fru hr mme mlle madame monsieur don dona sra sr pan pani rev "
    "saint st"
)
SUFFIXES = _words("jr sr ii iii iv phd md inc llc ltd gmbh ag corp co")
PARTICLES = _words(
    "al el bin ibn ben bint abu van von der den de da di del della du la le af av zu zur ter ten dos das do y st mc "
    "mac o d l"
)
FUNCTION_WORDS = _words("and und og och ja i y et e of the a an in on for die das or")
ALWAYS_WORDS = _words("will may can might must shall should would could")  # without a capital never a name
LEAST_TOGETHER = 8  # letters; shorter names that run together are words
LEAST_INFLECTED = 4
BESIDE = 100  # characters before and after a mention that may tell who is meant
WHEN = "in|of|since|until|till|by|during|throughout|between|early|late|mid|every|last|next|im|i|ab|seit"
ORDINALS = "first|second|third|(?:four|fif|six|seven|eigh|nin|ten)th|twent|thirt|[a-z]+teenth|eleventh|twelfth"
J = r"(?:[ \-_'\"*~`&+/·・‧]|\.(?! )|%20|</?\w[^<>]{0,60}>){1,4}"  # between the words of a name
U = r"[ \-'_.]?"  # inside one: Al-Kuwaiti, O'Brien
FLAGS = regex.IGNORECASE


def _folded(words: str) -> frozenset[str]:
    return frozenset(fold(word) for word in words.split())


ENDINGS = {
    "Latin": _folded(  # Slavic; Finnish; Hungarian
        "a u e i y o om em am ou ovi ova ove ovo ovu ovej ovou owi owo owie owej owa ie iem ia iu io ja ju jem ami ach "
        "ej oj oy ego emu im ym ich ych iej "
        "n in en on an un yn ssa issa essa sta ista esta lla illa ella lta ilta elta lle ille elle ksi iksi na ina tta "
        "itta ta ii aa seen iin han hin "
        "t ot et at nak nek val vel ban ben hoz hez tol rol"
    ),
    "Cyrillic": _folded(
        "а у ом ем е и ы ой ою ей ею ю я ё ым им ого его ому ему ых их ыми ими ові еві єм єм ова ову овой ев ові ъ"
    ),
    "Greek": _folded("ου ο η ης ας α ων ους ε"),
}
FINNISH = _folded("n ssa sta lla lta lle na ksi t")  # on a stem whose last consonants are weaker
FINNISH_NEN = _folded("sen sta sessa sesta seen sella selta selle sena seksi set sia sissa sista sten siin silla")
WEAKER = {"kk": "k", "pp": "p", "tt": "t", "nt": "nn", "lt": "ll", "rt": "rr", "mp": "mm", "nk": "ng", "ht": "hd"}
OTHER_PERSON = _words("ova ovou ovej owa owej owna ову ова овои")  # with an inflected first name
_SPACELESS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
_PREFIXED = regex.compile(r"[\p{Arabic}\p{Hebrew}]")
_DIGRAPHS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})


@dataclass(frozen=True)
class Hit:
    """One place where a text names a subject: the kind, the words, and how they are written."""

    kind: str
    words: str
    case: str = "same"  # any case will do, "capital", "lower", or "none" where the text has one case only
    begins: bool = False  # at the start of a sentence, where a capital says nothing
    dated: bool = False  # a month beside a number, a weekday, another month, or after in
    shown: bool = False  # what stands beside it shows that somebody is meant: Mr May, May said
    led: bool = False  # an article stands before it: an apple
    word: str = ""  # the folded word, of a one-word mention
    of: str = ""  # the name that was asked for
    before: str = ""  # what stands before it in the text, and after it
    after: str = ""
    beside: str = ""  # of a surname alone: the word with a capital before it, perhaps somebody else's first name


@dataclass
class Usage:
    """How the words of names are used in all of the data, in texts with capital letters."""

    lower: Counter = field(default_factory=Counter)
    middle: Counter = field(default_factory=Counter)  # with a capital inside a sentence

    def count(self, hits):
        """Adds the one-word mentions among `hits`."""
        for hit in hits:
            if hit.word and hit.case == "lower":
                self.lower[hit.word] += 1
            elif hit.word and hit.case == "capital" and not (hit.begins or hit.dated):
                self.middle[hit.word] += 1

    def ordinary(self, word: str) -> bool:
        """Whether a word is more often written without a capital than with one inside a sentence: will, rose."""
        return self.lower[word] > 0 and self.lower[word] >= self.middle[word]


def settled(hit: Hit, usage: Usage) -> str | None:
    """The kind of a hit in view of how its word is used, or None if it is the ordinary word."""
    if not hit.word:
        return hit.kind
    ordinary = usage.ordinary(hit.word)
    if hit.kind in PARTIAL:
        skipped = hit.case == "lower" or hit.dated or (ordinary and (hit.begins or hit.case == "none"))
        return None if skipped else hit.kind
    if hit.dated:
        return "a month"
    if hit.shown:
        return hit.kind
    if hit.case == "lower":
        taken = hit.word in ALWAYS_WORDS or (ordinary and usage.middle[hit.word])
        return None if taken else "lower case"
    if hit.word in TIMES:  # these have a capital always
        return "ordinary word"
    if ordinary or ordinary_name(hit.word):
        unclear = hit.begins or hit.led or hit.case == "none"
    else:
        unclear = hit.led and hit.case == "none"
    if unclear and hit.case != "same":
        return "ordinary word"
    return hit.kind


# ---------------------------------------------------------------------------------------------------------------------
# Patterns


def _edge(character: str, left: bool) -> str:
    """What may not stand beside a name that begins or ends with this character."""
    if _SPACELESS.match(character) or (not left and regex.match(r"\p{Hangul}", character)):
        return ""
    if left and regex.match(r"\p{Arabic}", character):
        return r"(?<![\p{L}\p{M}])(?:[وفبكل]{0,2}(?:ال)?)"
    if left and regex.match(r"\p{Hebrew}", character):
        return r"(?<![\p{L}\p{M}])[ובלמהשכ]{0,2}"
    if regex.match(r"[\p{L}\p{M}]", character):
        return r"(?<![\p{L}\p{M}])" if left else r"(?![\p{L}\p{M}])"
    if regex.match(r"\p{N}", character):
        return r"(?<![\p{L}\p{M}\p{N}])" if left else r"(?![\p{L}\p{M}\p{N}])"
    return ""


def _bounded(pattern: str, first: str, last: str) -> str:
    return f"{_edge(first[0], True)}(?:{pattern}){_edge(last[-1], False)}"


def _spellings(raw: str, several: bool) -> list[str]:
    """The folded spellings of one word: Müller, Muller, Mueller. `several`: inside a name of several words."""
    lower = unicodedata.normalize("NFC", raw).lower()
    found = [fold(lower), fold(lower.translate(_DIGRAPHS))]
    if several and len(lower) > 4:
        found += [fold(regex.sub(r"ae|oe|ue|aa", lambda pair: pair[0][0], lower))]
    return list(dict.fromkeys(filter(None, found)))


def _finnish(word: str) -> list[tuple[str, frozenset[str]]]:
    """(stem, endings) where Finnish changes the end of a word: Virtasen, Antin, Rannan, Variksen."""
    found = [(word[:-3], FINNISH_NEN)] if regex.search(r"..nen$", word) else []
    for strong, weak in WEAKER.items():
        if regex.search(rf".{strong}[aeiou]$", word):
            stem = word[: -1 - len(strong)] + weak + word[-1]
            found += [(stem, FINNISH), (stem[:-1] + "e", FINNISH)]  # Lahti, Lahden
    if regex.search(r"[aeiouy]s$", word):
        found.append((word[:-1] + "kse", FINNISH))
    return found


def _common(words: Iterable[str]) -> str:
    """The letters with which all words begin."""
    found = sorted(words)
    low, high = found[0], found[-1]
    return low[: next((at for at, letter in enumerate(low) if letter != high[at : at + 1]), len(low))]


def _root(word: str) -> str:
    """The letters with which all inflected forms of a word begin; endings change the last two at most, or a stem."""
    return _common([word[: max(3, len(word) - 2)], *(stem for stem, _ in _stems(word))]) or word


def _stems(word: str) -> list[tuple[str, frozenset[str]]]:
    """(stem, endings) of a word's inflected forms in the manner of its script; none for a short word."""
    script = next((name for name in ENDINGS if regex.fullmatch(rf"[\p{{{name}}}]+", word)), None)
    if script is None or len(word) < LEAST_INFLECTED:
        return []
    endings = ENDINGS[script]
    found = [(word, endings), *(_finnish(word) if script == "Latin" else ())]
    if regex.search(r"[aeiouyаеиоуыэюяьαηο]$", word):
        found.append((word[:-1], endings))  # Anna, Anny
    if regex.search(r"(?:[иыо]и|[ая]я)$", word):
        found.append((word[:-2], endings))  # Чайковский, Чайковского
    if regex.search(r"[^aeiouy]e[^aeiouy]$", word):
        found.append((word[:-2] + word[-1], endings))  # Pavel, Pavla
    if regex.search(r"(?:[aiu]s|[οηα]σ)$", word):
        found.append((word[:-2], endings | {"ui", "aus", "iui"}))  # Jonas, Jono
    return found


class Word:
    """One word of a name, with what belongs to it: Al-Kuwaiti, van Beethoven, O'Brien."""

    def __init__(self, raw: str, several: bool):
        self.units = words_of(raw)
        self.flat = fold("".join(self.units)).lower()
        *head, last = self.units
        particles = [unit for unit in head if fold(unit).lower() in PARTICLES]
        self.particle = bool(particles) and len(particles) == len(head)
        self.head = "".join(f"(?:{'|'.join(map(regex.escape, _spellings(unit, several)))}){U}" for unit in head)
        self.last = _spellings(last, several)
        self.stems = [stem for word in self.last for stem in _stems(word)]
        self.short = len(self.flat) == 1

    def pattern(self, group: str = "", bare: bool = False) -> str:
        """The word with possessives; with `group` also inflected, in that group. `bare`: perhaps without particle."""
        head = f"(?:{self.head})?" if bare and self.particle else self.head
        exact = "|".join(map(regex.escape, self.last))
        tail = r"(?:'\p{L}{1,5}|s)?" if regex.match(r"\p{L}", self.last[0][-1]) else ""
        found = f"(?:{exact}){tail}"
        if group and self.stems:  # `inflects` checks the ending: a list of all of them is slow to compile
            stems = {_common(stem for stem, _ in _stems(word)) for word in self.last if _stems(word)}
            found += f"|(?P<{group}>(?:{'|'.join(sorted(map(regex.escape, stems)))})\\p{{L}}{{1,9}})"
        return f"{head}(?:{found})"

    def inflects(self, written: str) -> bool:
        """Whether this is an inflected form of the word's last part."""
        lower = written.lower()
        return any(lower.startswith(stem) and lower[len(stem) :] in endings for stem, endings in self.stems)


_GIVEN = regex.compile(  # (baker); Jr., II; the Elder; a comma and small letters after two words
    r"(.*[\p{L}\p{M}\p{N}.])(?: ?（([^（）]+)）| [(\[]([^()\[\]]+)[)\]]"
    r"|,? ((?i:jr|sr|junior|senior)\.?|II+|IV|VI+|IX|XI+)|,? (the (?:Elder|Younger))|(?<= .*), ?(\p{Ll}[^,]*))"
)


def split_qualifier(given: str) -> tuple[str, str]:
    """(the name, what tells it from others of this name or "")."""
    match = _GIVEN.fullmatch(" ".join(given.split()))
    return (match[1], plain(" ".join(filter(None, match.groups()[1:])))) if match else (given, "")


def plain(text: str) -> str:
    """A qualifier in the form in which two are compared; titles and degrees tell nobody apart."""
    words = words_of(fold(text).lower())
    same = {"junior": "jr", "senior": "sr"}
    keep = {"jr", "sr", "ii", "iii", "iv"}
    return " ".join(same.get(word, word) for word in words if word in keep or word not in TITLES | SUFFIXES)


def parts_of(name: str) -> list[str]:
    """The words of a name in their usual order, without titles and suffixes; particles belong to the next word."""
    text = " ".join(eastern.DOT.sub(" ", unicodedata.normalize("NFC", name)).replace("，", ",").split())
    before, comma, after = text.partition(",")
    plain = fold(after).lower().strip(" .")
    if comma and plain and plain not in SUFFIXES and "," not in after:
        text = f"{after} {before}"
    elif comma and plain in SUFFIXES:
        text = before
    words = [word for word in text.split() if words_of(fold(word))]
    while len(words) > 2 and fold(words[0]).lower().strip(".") in TITLES:
        words = words[1:]
    while len(words) > 1 and fold(words[-1]).lower().strip(".,") in SUFFIXES:
        words = words[:-1]
    joined: list[str] = []
    for word in words:
        if joined and fold(joined[-1].split()[-1]).lower() in PARTICLES and len(joined) > 1:
            joined[-1] += f" {word}"
        else:
            joined.append(word)
    return joined


class NameForm:
    """A name or an alias, and where a text mentions it."""

    def __init__(self, given: str, alias: bool = False):
        self.given, self.kind = given, "alias" if alias else "full name"
        name, self.qualifier = split_qualifier(given)  # Anna Berg (baker)
        literal = fold(name).strip()
        if not literal:
            raise ValueError(f"{given!r} has no visible character")
        parts = parts_of(name)
        odd = any(regex.search(r"[^\p{L}\p{M}\p{N}\-'_.,()&]", fold(part).replace(" ", "")) for part in parts)
        self.words = [] if odd or len(parts) == 0 else [Word(part, len(parts) > 1) for part in parts]
        self.ordinary = literal != literal.lower() and all(ordinary_name(word.flat) for word in self.words)
        self.name_like = not alias and 2 <= len(self.words) <= 4 and self._looks_like_a_name(parts)
        self._exactly = _bounded(regex.escape(literal), literal, literal)
        units = {
            fold(spelling).lower() for word in self.words for unit in word.units for spelling in _spellings(unit, True)
        }
        self.stems = set(map(_root, units))
        self.keys = {stem[:3] for unit in units for stem in (unit, *(stem for stem, _ in _stems(unit)))}
        self.eastern = bool(self.words) and all(eastern.is_eastern(word.flat) for word in self.words)
        spaced = self.words and not regex.search(rf"{_SPACELESS.pattern}|{_PREFIXED.pattern}", literal)
        flats = [word.flat for word in self.words]
        self.needles = eastern.needles(flats) if self.eastern else self.stems or {literal.lower()}
        self.needle = "" if spaced and not self.eastern else min(self.needles)

    @cached_property
    def _patterns(self) -> list:
        """(kind, pattern) of each writing, the name to the letter last; compiled when a text first needs them."""
        return [
            (kind, regex.compile(text, FLAGS)) for kind, text in [*self._writings(), ("to the letter", self._exactly)]
        ]

    def _looks_like_a_name(self, parts: list[str]) -> bool:
        """Whether single words of it can mean it: Ragnvi Solbrekk, but not the old bridge."""
        words = [word for part in parts for word in part.split()]
        if {fold(word).lower() for word in words} & (FUNCTION_WORDS - PARTICLES):
            return False
        capital = [word[:1] != word[:1].lower() for word in parts]
        cased = any(char.lower() != char.upper() for char in parts[0])
        return not cased or all(capital) or not any(capital)

    def _writings(self):
        """(kind, pattern) of each writing, the certain ones first."""
        if not self.words:
            return
        first, last, middle = self.words[0], self.words[-1], self.words[1:-1]
        if self.eastern and sum(len(word.flat) for word in self.words) > 1:
            yield from eastern.writings([word.flat for word in self.words])
            if first is last:
                return
        if first is last:
            yield "one word", self._between(first.pattern("x1"), first, first)
            return
        between = "".join(f"(?:(?:{word.pattern()}|{regex.escape(word.flat[0])}\\.?){J})?" for word in middle)
        extra = r"(?:(?P<extra>\p{L}[\p{L}'\-]*\.?) ){0,2}?"
        start, end = first.pattern("x1"), last.pattern("x2", bare=True)
        yield "full name", self._between(f"{start}{J}{between}{extra}{end}", first, last)
        after = "".join(f"(?:{J}(?:{word.pattern()}|{regex.escape(word.flat[0])}\\.?))?" for word in middle)
        yield "full name", self._between(f"{end}(?:, ?|{J}){start}{after}", last, first)
        initial = regex.escape(first.flat[0])
        more = r"(?:\p{L}\.[ \-]?){0,2}"
        yield "initials", self._between(f"(?P<i>{initial})(?P<dot>\\.?)[ \\-]?{more}{last.pattern('x2')}", first, last)
        turned = f"{last.pattern()},? (?P<i>{initial})(?:(?P<dot>\\.)|(?!\\p{{L}}|'))"
        yield "initials", self._between(turned, last, "-")
        together = "".join(f"(?:{'|'.join(map(regex.escape, word.last))})" for word in self.words)
        if sum(len(word.flat) for word in self.words) >= LEAST_TOGETHER:
            yield "written together", self._between(together, first, last)
        if self.name_like:
            yield "first name and initial", self._between(f"{first.pattern()} {last.flat[0]}\\.", first, "-")
            for number, word in enumerate(self.words):
                kind = PARTIAL[0] if number == 0 else PARTIAL[1] if word is last else PARTIAL[2]
                if len(word.flat) > 1:
                    group = "x1" if len(word.flat) > LEAST_INFLECTED else ""
                    yield kind, self._between(word.pattern(group), word, word)

    def _between(self, pattern: str, first, last) -> str:
        return _bounded(pattern, first.flat, last.flat if isinstance(last, Word) else last)

    def may_hit(self, text: Text) -> bool:
        """Whether a closer look is worth while."""
        return any(needle in text.lower for needle in self.needles)

    def hits(self, text: Text) -> list[Hit]:
        """The mentions in a text, certain or not; a part of a longer mention is no mention of its own."""
        found, taken = [], []
        for kind, pattern in self._patterns:
            for match in pattern.finditer(text.flat):
                if any(start < match.end() and match.start() < end for start, end in taken):
                    continue
                hit = self._hit(kind, match, text)
                if hit:
                    taken.append(match.span())
                    before, after = text.flat[: match.start()][-BESIDE:], text.flat[match.end() :][:BESIDE]
                    found.append(replace(hit, of=self.given, before=before, after=after))
        return found

    def _hit(self, kind: str, match, text: Text) -> Hit | None:
        """The hit of one match, or None for a match that is no mention."""
        flat, words = text.flat, match[0].strip()
        if kind in PARTIAL or kind == "one word":
            return self._single(kind, match, text)
        if kind == "initials":
            inflected = _group(match, "x2")
            wrong = inflected and not self.words[-1].inflects(inflected)
            return Hit(kind, words) if _is_initial(match, text) and not wrong else None
        if kind == "written together":
            inner = len(words) - len(self.words[-1].last[0])
            return Hit(self.kind if words[inner : inner + 1].isupper() and not words.isupper() else kind, words)
        if self.eastern and kind in ("full name", "to the letter") and eastern.runs_on(flat, *match.span()):
            return Hit("inside other words", words)
        if kind != "full name":
            return Hit(self.kind if kind == "to the letter" else kind, words)
        between = match.captures("extra") if "extra" in match.re.groupindex else []
        if any(_separates(word) for word in between):
            return None
        if any(len(word.strip(".")) > 1 for word in between):
            return Hit("with another word between", words)
        if _goes_on(flat, match):
            return Hit("part of a longer name", words)
        first, last = _group(match, "x1"), _group(match, "x2")
        if (first and not self.words[0].inflects(first)) or (last and not self.words[-1].inflects(last)):
            return None
        if not (first or last):
            return Hit("lower case" if self.ordinary and words == words.lower() else self.kind, words)
        # Daniela Novak is not Daniel Novak, and Daniela Nováková is not Daniela Nováka's name
        if not last or (first and any(last.lower().endswith(ending) for ending in OTHER_PERSON)):
            return Hit("ending of another name", words)
        return Hit(f"{self.kind}, inflected" if self.kind == "full name" else self.kind, words)

    def _single(self, kind: str, match, text: Text) -> Hit | None:
        """A mention by one word: its case decides later, in view of the other rows."""
        words, flat, start = match[0].strip(), text.flat, match.start()
        case, inflected = _case(words, text), _group(match, "x1")
        if inflected and not any(word.inflects(inflected) for word in self.words):
            return None
        if kind == "one word":
            given = fold(self.given).strip()
            if inflected and case == "lower":
                return None
            if given[:1] == given[:1].lower() != given[:1].upper():
                case = "same"  # a name given without a capital means the word in any case
            longer = _goes_on(flat, match) or regex.search(r"\p{Lu}\p{L}*-$", flat[:start])
            if case == "capital" and ordinary_name(self.words[0].flat):
                longer = longer or _in_a_name(flat, match, text)
            kind = "ending of another name" if inflected else "part of a longer name" if longer else self.kind
        word = next((w.flat for w in self.words if words.lower().startswith(w.flat[:3])), words.lower())
        beside = regex.search(r"(\p{Lu}[\p{L}\-]{2,}) $", flat[max(0, start - 30) : start])
        other = beside[1] if beside and kind == PARTIAL[1] and beside[1].lower() not in TITLES else ""
        words = f"{other} {words}".strip()
        begins, dated = text.begins_sentence(start), _is_month(word, flat, match)
        return Hit(kind, words, case, begins, dated, *_beside(flat, match, case), word, beside=other)


def _group(match, name: str) -> str | None:
    """What a group of this name has matched; None if the pattern has no such group."""
    return match[name] if name in match.re.groupindex else None


def _case(words: str, text: Text) -> str:
    """How a word begins: "capital", "lower", or "none" where case says nothing."""
    letter = regex.search(r"[\p{L}\p{N}]", words)
    letter = letter[0] if letter else words[:1]
    if text.caseless or letter.lower() == letter.upper():
        return "none"
    return "lower" if letter == letter.lower() else "capital"


def _separates(word: str) -> bool:
    """Whether a word between first name and surname keeps them apart: Anna and Larsen; not Anna K. Larsen."""
    plain = word.strip(".").lower()
    if len(plain) == 1:
        return not (word.endswith(".") or word.isupper())
    return plain in FUNCTION_WORDS


def _goes_on(flat: str, match) -> bool:
    """Whether a capital letter follows after a hyphen: Solbrekk-Olsen, not Solbrekk-related."""
    return bool(regex.match(r"-\p{Lu}\p{Ll}", flat[match.end() : match.end() + 3]))


def _is_initial(match, text: Text) -> bool:
    """Whether a single letter is an initial: it has a dot, or it is a capital that is not the word A or I."""
    letter, dot = match["i"], match["dot"]
    if dot:
        return letter.isupper() or text.caseless
    return letter.isupper() and letter not in "AIO" and not text.caseless


def _is_month(word: str, flat: str, match) -> bool:
    """Whether a month stands beside a number, a weekday or another month, or after a word of time."""
    if word not in MONTHS:
        return False
    before, after = (
        flat[max(0, match.start() - 24) : match.start()].lower(),
        flat[match.end() : match.end() + 24].lower(),
    )
    if regex.search(r"\d(?:st|nd|rd|th)?(?: of|\.)? $", before) or regex.match(
        rf",? (?:\d|(?:the )?(?:{ORDINALS})\b)", after
    ):
        return True
    if regex.search(rf"\b(?:{'|'.join(TIMES)}),?(?: (?:and|or|to|und|et|y))?[ \-/]$", before):
        return True
    if regex.match(rf"(?:,|-|/| -)? ?(?:(?:and|or|to|through|until|und|et|y) )?(?:{'|'.join(TIMES)})\b", after):
        return True
    return bool(regex.search(rf"\b(?:{WHEN})[ -]$", before))


def _beside(flat: str, match, case: str) -> tuple[bool, bool]:
    """(whether the words beside a one-word mention show that somebody is meant, whether an article stands before)."""
    left, right = flat[max(0, match.start() - 30) : match.start()], flat[match.end() : match.end() + 30]
    before = regex.search(r"(\p{L}+)\.? $", left)
    after = regex.match(r" (\p{L}+)", right)
    before, after = before[1] if before else "", after[1].lower() if after else ""
    title = before.lower() in TITLES | TITLES_BEFORE and (before[:1].isupper() or case == "none")
    spoke = after in SAID or (case == "capital" and before in SAID and bool(regex.match(r"[.,;]|$", right)))
    owned = case == "capital" and (bool(regex.search(r"'s?$", match[0])) or after in COMPANY)
    return title or spoke or owned, before.lower() in ARTICLES


def _in_a_name(flat: str, match, text: Text) -> bool:
    """Whether the word beside an ordinary word has a capital too: New Hope Church, Rose Garden."""
    before = regex.search(r"(\p{Lu}\p{L}+) $", flat[max(0, match.start() - 30) : match.start()])
    after = regex.match(r" (\p{Lu}\p{Ll}+)", flat[match.end() : match.end() + 30])
    if before and (
        before[1].lower() in TITLES | TITLES_BEFORE | TIMES or text.begins_sentence(match.start() - len(before[0]))
    ):
        before = None
    return bool(before or (after and after[1].lower() not in COMPANY | TIMES))
