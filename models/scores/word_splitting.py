"""Splits text of any script into words, for word overlap, ROUGE-L and facts.

Texts are compared in lower case and Unicode normal form C. A combining mark belongs to its word. Chinese, Japanese,
Thai, Lao, Khmer and Burmese put no spaces between words; their words are characters (grapheme clusters, Unicode
Standard Annex 29) or overlapping pairs of them, see `in_pairs`.
"""

from __future__ import annotations

import functools
import itertools
import re
import string
import unicodedata

import regex

from data.languages import language_of

# Line-breaking class SA: Thai, Lao, Khmer, Burmese and their neighbours (Unicode Standard Annex 14).
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{lb=SA}"
RUN = rf"[{UNSPACED}][{UNSPACED}\p{{M}}]*"  # of characters without spaces
WORD = regex.compile(rf"(?V1){RUN}|[[\p{{L}}\p{{N}}]--[{UNSPACED}]][[\p{{L}}\p{{M}}\p{{N}}]--[{UNSPACED}]]*")
_ASCII_WORD = re.compile("[A-Za-z0-9]+")  # WORD on such text, five times as fast
STARTS_RUN = regex.compile(f"[{UNSPACED}]")
CHARACTER = regex.compile(r"\X")
_SOUND = regex.compile(rf"(?V1)[[{UNSPACED}]--\p{{Han}}]")
# Format characters, variation selectors, keycaps; Hebrew points; Arabic vowel signs, Quranic marks, tatweel; the stress
# mark and the dots of ё in Russian; the dot that lower case leaves of the Turkish capital İ.
_OPTIONAL = regex.compile(
    r"(?V1)[\p{Cf}\p{Me}\p{Variation_Selector}[\p{Hebrew}&&\p{Mn}]"
    r"\u0640\u064b-\u0652\u0670\u0610-\u061a\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]"
    r"|(?<=[аеиоуыэюя])\u0301|(?<=е)\u0308|(?<=i)\u0307"
)
# Digits of any script; ligatures, Arabic letters by their place in a word and half-width kana, as PDF files hold them.
_FORM = regex.compile(r"(?V1)[\p{Nd}--[0-9]]|[\ufb00-\ufb06\ufb50-\ufdcf\ufe70-\ufefc\uff61-\uff9f]+")
_SAME: dict = {ord(c) + 0xFEE0: c for c in string.ascii_letters}  # full-width letters
_SAME |= str.maketrans("\u02bc\u05f3\u05f4\u05be", "''\"-")  # apostrophe as a letter, geresh, gershayim, maqaf
_SAME |= str.maketrans("٫٬", ".,")  # in numbers
# One letter, two code points or spellings: Turkish ı is the lower case of I; Persian and Arabic kaf and yeh; Romanian
# letters with a comma and a cedilla; Swiss ss.
_SAME |= str.maketrans({"ı": "i", "ک": "ك", "ی": "ي", "ș": "ş", "ț": "ţ", "ß": "ss"})


def folded(text: str) -> str:
    """Lower case in normal form C with digits 0 to 9, without signs that a writer may leave out.

    These are the vowel signs of Arabic and Hebrew (Unicode Standard 16, sections 9.1 and 9.2; Lucene's ArabicNormalizer
    removes the same ones) and Russian stress and ё. Vowel signs of Indic and South-East Asian scripts are spelling.
    """
    if text.isascii():
        return text.lower()
    bare = _OPTIONAL.sub("", unicodedata.normalize("NFD", _FORM.sub(_plain_form, text.lower())))
    return unicodedata.normalize("NFC", bare).translate(_SAME)


def _plain_form(match: regex.Match) -> str:
    return "".join(str(unicodedata.decimal(c, unicodedata.normalize("NFKC", c))) for c in match[0])


@functools.lru_cache(maxsize=20_000)
def language(*texts: str) -> str:
    """The language of texts together, as `data.languages.language_of` names it; their order does not matter."""
    words: list[str] = []
    for text in texts:
        words += _ASCII_WORD.findall(text) if text.isascii() else WORD.findall(unicodedata.normalize("NFC", text))
    return language_of(words)


def in_pairs(*texts: str) -> bool:
    """Whether unspaced text counts in pairs of characters: it spells sounds, and no text has single characters only.

    A Chinese character is about a word. A Thai or Japanese letter is a sound, and unrelated sentences share most of
    their sounds; pairs tell them apart, as in Lucene's CJKBigramFilter.
    """
    if not any(not text.isascii() and _SOUND.search(text) for text in texts):
        return False
    runs = [[CHARACTER.findall(run) for run in WORD.findall(text) if STARTS_RUN.match(run)] for text in texts]
    return not any(found and max(map(len, found)) == 1 for found in runs)


def units(pattern: regex.Pattern, text: str, paired: bool) -> list[str]:
    """The matches of a pattern in a folded text; unspaced runs become characters or overlapping pairs of them."""
    found = []
    for match in pattern.findall(text):
        if STARTS_RUN.match(match):
            characters = CHARACTER.findall(match)
            pairs = paired and len(characters) > 1
            found += map("".join, itertools.pairwise(characters)) if pairs else characters
        else:
            found.append(match)
    return found
