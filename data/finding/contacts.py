"""Mentions of an e-mail address, a phone number, an account or a pattern, in any usual writing.

    contact_form("+47 22 33 44 55")    # also (022) 333-4455, 22.33.44.55, 004722334455
    contact_form("@rsol"), contact_form("github.com/rsol"), contact_form("r.sol@glacier.no")
    contact_form("/glac(ier)?/i")

`contact_form` returns None for anything else: then it is a name.
"""

from __future__ import annotations

import unicodedata

import regex

from data.finding.names import FLAGS, Hit
from data.finding.patterns import PatternForm, pattern_form
from data.finding.text import Text, fold

_EMAIL = regex.compile(r"[\w.%+\-]+@[\w\-]+(?:\.[\w\-]+)+")
_PHONE = regex.compile(r"\+?[\d\s().\-/·]+")
_HANDLE = regex.compile(r"@([\w.\-]{2,})")
_ADDRESS = regex.compile(r"(?:https?://)?(?:www\.)?((?:[\w\-]+\.)+[a-z]{2,})/(@?[\w.\-~/]+?)/?", regex.IGNORECASE)
_REPOSITORY = regex.compile(r"([\w.\-]+)/([\w.\-]+)")
_SEPARATOR = r"[\s().\-/·]{0,3}"
LEAST_DIGITS, MOST_DIGITS = 7, 15
# country calling codes of one and two digits (ITU-T E.164); all others have three
ONE = {"1", "7"}
TWO = {str(code) for code in (20, 27, *range(30, 35), 36, 39, 40, 41, *range(43, 50), *range(51, 59), *range(60, 67),
                             81, 82, 84, 86, *range(90, 96), 98)}  # fmt: skip


class ContactForm:
    """A contact, and where a text holds it. `patterns`: (kind, pattern), the certain ones first."""

    name_like = False
    words = ()

    def __init__(self, given: str, patterns: list, needle: str = ""):
        self.given, self.patterns, self.needle = given, patterns, needle

    def may_hit(self, text: Text) -> bool:
        """Whether a closer look is worth while."""
        return not self.needle or self.needle in text.lower

    def hits(self, text: Text) -> list[Hit]:
        """The mentions in a text; a bare one inside a certain one does not count."""
        found, taken = [], []
        for kind, pattern in self.patterns:
            for match in pattern.finditer(text.flat):
                if not any(start < match.end() and match.start() < end for start, end in taken):
                    taken.append(match.span())
                    found.append(Hit(kind, match[0].strip()))
        return found


class PhoneForm(ContactForm):
    """A phone number: compared by digits; country code and trunk zero may be missing on either side."""

    def __init__(self, given: str):
        super().__init__(given, [])
        digits = _digits(given)
        self.country, core = country_and_rest(given)
        self.digits = digits
        spaced = _SEPARATOR.join(core)
        self._core = regex.compile(rf"{spaced}(?!\d)")
        self.core = core

    def may_hit(self, text: Text) -> bool:
        """Whether the text has as many digits."""
        return sum(map(str.isdecimal, text.flat)) >= len(self.core)

    def hits(self, text: Text) -> list[Hit]:
        """The places where these digits stand, unless another country code stands before them."""
        flat = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text.flat)
        found = []
        for match in self._core.finditer(flat):
            before = regex.search(r"((?:\+|\b00)?[\d][\d\s().\-/·]{0,7})?$", flat[: match.start()])
            kind = self._kind(before[1] or "", flat[match.end() :])
            if kind:
                found.append(Hit(kind, (before[0] + match[0]).strip()))
        return found

    def _kind(self, before: str, after: str) -> str | None:
        """What the digits before and after the national number make of it."""
        follows = regex.match(r"[ .\-/]?\d", after)
        digits, doubt = _digits(before), "number among other digits"
        if not digits or digits == "0":  # the trunk zero
            return doubt if follows else "phone"
        bare = digits.removeprefix("00") if digits.startswith("00") else digits
        bare = bare[:-1] if bare.endswith("0") and bare[:-1] in (self.country, *ONE, *TWO) else bare  # +44 (0)20
        international = before.lstrip().startswith("+") or digits.startswith("00")
        if international:
            known = bare == self.country if self.country else len(bare) <= 3
            return ("phone" if known and not follows else doubt) if known else None
        if bare == self.country:
            return doubt if follows else "phone"
        return None if before[-1:].isdecimal() else doubt  # digits of one longer number


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(char)) for char in text if char.isdecimal())


def country_and_rest(given: str) -> tuple[str, str]:
    """(country code or "", the national number without trunk zero) of a phone number."""
    digits, text = _digits(given), given.strip()
    if not (text.startswith("+") or digits.startswith("00")):
        return "", digits.lstrip("0")
    digits = digits.removeprefix("00") if not text.startswith("+") else digits
    size = 1 if digits[:1] in ONE else 2 if digits[:2] in TWO else 3
    return digits[:size], digits[size:].lstrip("0")


def contact_form(given: str) -> ContactForm | PatternForm | None:
    """The form of a contact, an account or a /pattern/; None for a name. Raises ValueError for an unusable pattern."""
    text = unicodedata.normalize("NFKC", given).strip()
    if text.startswith("/") and len(text) > 1:
        return pattern_form(given.strip())
    if _EMAIL.fullmatch(text):
        return _email_form(text)
    if _PHONE.fullmatch(text) and LEAST_DIGITS <= len(_digits(text)) <= MOST_DIGITS:
        return PhoneForm(text)
    if match := _HANDLE.fullmatch(text):
        return _account_form(text, "", match[1])
    if match := _ADDRESS.fullmatch(text):
        return _account_form(text, match[1].lower(), match[2].lstrip("@"))
    if (match := _REPOSITORY.fullmatch(text)) and not text.isdecimal():
        return ContactForm(text, [("account", _whole(regex.escape(fold(text))))], fold(text).lower())
    return None


def _whole(pattern: str):
    return regex.compile(rf"(?<![\w.\-]){pattern}(?![\w\-])", FLAGS)


def _email_form(text: str) -> ContactForm:
    user, _, host = fold(text).partition("@")
    dot = r" ?[\[(]? ?(?:\.|\bdot\b|\bpunkt\b) ?[\])]? ?"
    dots = [dot.join(map(regex.escape, part.split("."))) for part in (user, host)]
    at = r" ?(?:@|[\[({]? ?(?:\bat\b|\(a\)) ?[\])}]?) ?"
    pattern = rf"(?<![\w.%+\-]){dots[0]}(?:\+[\w.\-]+)?{at}{dots[1]}(?![\w\-]|\.\w)"
    return ContactForm(text, [("e-mail", regex.compile(pattern, FLAGS))], user.split(".")[0].lower())


def _account_form(given: str, host: str, path: str) -> ContactForm:
    """An account on a site (github.com/x), or a handle on any (@x). Its bare name leaves a doubt."""
    name = regex.escape(fold(path))
    bare = ("bare account name", _whole(rf"@?{name}"))
    end = r"(?![\w\-])"
    if not host:
        sure = regex.compile(rf"(?<![\w.])@{name}{end}|(?<=[\w\-]\.[a-z]{{2,9}}/)@?{name}{end}", FLAGS)
        return ContactForm(given, [("account", sure), bare], fold(path).lower())
    site = regex.escape(host.removeprefix("www."))
    pages = rf"{name}\.{regex.escape(host.split('.')[-2])}\.io\b"
    sure = ("account", regex.compile(rf"(?<![\w\-]){site}[/:]@?{name}{end}|(?<![\w\-.]){pages}", FLAGS))
    return ContactForm(given, [sure] if "/" in path else [sure, bare], fold(path).lower())
