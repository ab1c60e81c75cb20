"""Splits text of any script into words, for word overlap, ROUGE-L and facts.

Texts are compared in lower case and Unicode normal form C. A combining mark belongs to its word. Chinese, Japanese,
Thai, Lao, Khmer and Burmese put no spaces between words; their words are characters (grapheme clusters, Unicode
Standard Annex 29) or overlapping pairs of them, see `in_pairs`.
"""

from __future__ import annotations

import itertools
import string
import unicodedata

import regex

# Line-breaking class SA: Thai, Lao, Khmer, Burmese and their neighbours (Unicode Standard Annex 14).
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{lb=SA}"
RUN = rf"[{UNSPACED}][{UNSPACED}\p{{M}}]*"  # of characters without spaces
WORD = regex.compile(rf"(?V1){RUN}|[[\p{{L}}\p{{N}}]--[{UNSPACED}]][[\p{{L}}\p{{M}}\p{{N}}]--[{UNSPACED}]]*")
STARTS_RUN = regex.compile(f"[{UNSPACED}]")
CHARACTER = regex.compile(r"\X")
_LATIN = regex.compile(r"\p{Latin}")
_SOUND = regex.compile(rf"(?V1)[[{UNSPACED}]--\p{{Han}}]")
# Format characters, variation selectors, keycaps; Hebrew points; Arabic vowel signs, Quranic marks, tatweel.
_OPTIONAL = regex.compile(
    r"(?V1)[\p{Cf}\p{Me}\p{Variation_Selector}[\p{Hebrew}&&\p{Mn}]"
    r"\u0640\u064b-\u0652\u0670\u0610-\u061a\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]"
)
_SAME = {ord(c) + 0xFEE0: c for c in string.ascii_letters + string.digits}  # full-width letters and digits
_SAME |= str.maketrans("\u02bc\u05f3\u05f4\u05be", "''\"-")  # apostrophe as a letter, geresh, gershayim, maqaf
# Frequent in English and, in this spelling, rare in other languages: "was", "in" or "a" are not.
_ENGLISH = {"the", "and", "of", "with", "from", "she", "he", "they", "his", "their", "it", "this", "that", "who",
            "which", "were", "are", "not"}  # fmt: skip


def folded(text: str) -> str:
    """Lower case in normal form C, without signs that a writer may leave out.

    These are the vowel signs of Arabic and Hebrew (Unicode Standard 16, sections 9.1 and 9.2; Lucene's ArabicNormalizer
    removes the same ones). Vowel signs of Indic and South-East Asian scripts are spelling, so they stay.
    """
    if text.isascii():
        return text.lower()
    bare = _OPTIONAL.sub("", unicodedata.normalize("NFD", text.lower()))
    return unicodedata.normalize("NFC", bare).translate(_SAME)


def is_english(*texts: str) -> bool:
    """Whether texts look English: half of the words are Latin, and few of these are both accented and in lower case.

    Accents in English stand mostly in names, which are capitalised. Few: at most a twelfth of the words and the number
    of words in `_ENGLISH`. Unaccented text of other Latin languages passes too.
    """
    if all(map(str.isascii, texts)):
        return True
    words = [w for w in WORD.findall(unicodedata.normalize("NFC", " ".join(texts))) if w[0].isalpha()]
    latin = [w for w in words if _LATIN.match(w)]
    accented = sum(w[0].islower() and w.isalpha() and not w.isascii() for w in latin)
    return 2 * len(latin) >= len(words) and accented <= len(latin) / 12 + sum(w.lower() in _ENGLISH for w in latin)


def in_pairs(*texts: str) -> bool:
    """Whether unspaced text counts in pairs of characters: it spells sounds, and no text has single characters only.

    A Chinese character is about a word. A Thai or Japanese letter is a sound, and unrelated sentences share most of
    their sounds; pairs tell them apart, as in Lucene's CJKBigramFilter.
    """
    if not any(map(_SOUND.search, texts)):
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
