"""Pure functions of strings: token overlap, ROUGE-L, refusals, repetition. `evaluation_metrics` offers all of them.

Words beyond English. Texts are compared in lower case and Unicode normal form C. A combining mark belongs to its word.
Chinese, Japanese, Thai, Lao, Khmer and Burmese put no spaces between words; their words are characters (grapheme
clusters, Unicode Standard Annex 29) or overlapping pairs of them, see `_in_pairs`.
"""

from __future__ import annotations

import functools
import itertools
import re
import string
import types
import unicodedata
from collections import Counter

import regex

# Line-breaking class SA: Thai, Lao, Khmer, Burmese and their neighbours (Unicode Standard Annex 14).
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{lb=SA}"
_RUN = rf"[{_UNSPACED}][{_UNSPACED}\p{{M}}]*"  # of characters without spaces
_WORD = regex.compile(rf"(?V1){_RUN}|[[\p{{L}}\p{{N}}]--[{_UNSPACED}]][[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]*")
_CHUNK = regex.compile(rf"{_RUN}|[^\s{_UNSPACED}]+")
_STARTS_RUN = regex.compile(f"[{_UNSPACED}]")
_CHARACTER = regex.compile(r"\X")
_LATIN = regex.compile(r"\p{Latin}")
_SOUND = regex.compile(rf"(?V1)[[{_UNSPACED}]--\p{{Han}}]")
# SQuAD removes punctuation, so that "well-known" is one word. Signs that SQuAD does not know separate words.
_REMOVED = re.compile("[" + re.escape(string.punctuation) + "¡-¿‐-⁞]")
_SEPARATING = regex.compile(r"[\p{P}！-／：-＠［-｀｛-～]")
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


def _folded(text: str) -> str:
    """Lower case in normal form C, without signs that a writer may leave out.

    These are the vowel signs of Arabic and Hebrew (Unicode Standard 16, sections 9.1 and 9.2; Lucene's ArabicNormalizer
    removes the same ones). Vowel signs of Indic and South-East Asian scripts are spelling, so they stay.
    """
    if text.isascii():
        return text.lower()
    bare = _OPTIONAL.sub("", unicodedata.normalize("NFD", text.lower()))
    return unicodedata.normalize("NFC", bare).translate(_SAME)


def _is_english(*texts: str) -> bool:
    """Whether texts look English: half of the words are Latin, and few of these are both accented and in lower case.

    Accents in English stand mostly in names, which are capitalised. Few: at most a twelfth of the words and the number
    of words in `_ENGLISH`. Unaccented text of other Latin languages passes too.
    """
    if all(map(str.isascii, texts)):
        return True
    words = [w for w in _WORD.findall(unicodedata.normalize("NFC", " ".join(texts))) if w[0].isalpha()]
    latin = [w for w in words if _LATIN.match(w)]
    accented = sum(w[0].islower() and w.isalpha() and not w.isascii() for w in latin)
    return 2 * len(latin) >= len(words) and accented <= len(latin) / 12 + sum(w.lower() in _ENGLISH for w in latin)


def _in_pairs(*texts: str) -> bool:
    """Whether unspaced text counts in pairs of characters: it spells sounds, and no text has single characters only.

    A Chinese character is about a word. A Thai or Japanese letter is a sound, and unrelated sentences share most of
    their sounds; pairs tell them apart, as in Lucene's CJKBigramFilter.
    """
    if not any(map(_SOUND.search, texts)):
        return False
    runs = [[_CHARACTER.findall(run) for run in _WORD.findall(text) if _STARTS_RUN.match(run)] for text in texts]
    return not any(found and max(map(len, found)) == 1 for found in runs)


def _units(pattern: regex.Pattern, text: str, in_pairs: bool) -> list[str]:
    """The matches of a pattern in a folded text; unspaced runs become characters or overlapping pairs of them."""
    units = []
    for match in pattern.findall(text):
        if _STARTS_RUN.match(match):
            characters = _CHARACTER.findall(match)
            pairs = in_pairs and len(characters) > 1
            units += map("".join, itertools.pairwise(characters)) if pairs else characters
        else:
            units.append(match)
    return units


def normalise_answer(text: str, english: bool = True) -> str:
    """Lower case, without punctuation and, in English, the articles a, an, the. Rajpurkar et al. 2016 (SQuAD)."""
    text = _SEPARATING.sub(" ", _REMOVED.sub("", _folded(text)))
    return " ".join((re.sub(r"\b(a|an|the)\b", " ", text) if english else text).split())


def token_overlap(generated: str, gold: str) -> tuple[float, float, float]:
    """(precision, recall, F1) of the bags of normalised words, each in [0, 1]; both empty: 1, one empty: 0.

    precision = common / words generated, recall = common / words of the gold answer. SQuAD's evaluation script.
    """
    english = _is_english(generated, gold)
    texts = normalise_answer(generated, english), normalise_answer(gold, english)
    in_pairs = _in_pairs(*texts)
    said, wanted = (_units(_CHUNK, text, in_pairs) for text in texts)
    if not said or not wanted:
        return (float(said == wanted),) * 3
    common = sum((Counter(said) & Counter(wanted)).values())
    if not common:
        return 0.0, 0.0, 0.0
    precision, recall = common / len(said), common / len(wanted)
    return precision, recall, 2 * precision * recall / (precision + recall)


def _words(text: str) -> list[str]:
    text = _folded(text)
    return _units(_WORD, text, _in_pairs(text))


@functools.lru_cache(maxsize=8)
def _scorer(stemmed: bool, in_pairs: bool):
    """rouge-score's scorer; its own tokenizer, which drops every letter outside a to z, only stems."""
    from rouge_score import rouge_scorer, tokenizers

    stem = tokenizers.DefaultTokenizer(use_stemmer=True).tokenize

    def tokenize(text: str) -> list[str]:
        words = _units(_WORD, _folded(text), in_pairs)
        return [part for word in words for part in (stem(word) if stemmed and word.isascii() else [word])]

    return rouge_scorer.RougeScorer(["rougeL"], tokenizer=types.SimpleNamespace(tokenize=tokenize))


@functools.lru_cache(maxsize=100_000)
def rouge_l(generated: str, gold: str, use_stemmer: bool = True) -> tuple[float, float, float]:
    """(precision, recall, F-measure) of the longest common subsequence of words, each in [0, 1]. Lin 2004.

    rouge-score with its Porter stemmer on the unaccented words of English texts, as in TOFU (MUSE: without).
    """
    in_pairs = _in_pairs(_folded(generated), _folded(gold))
    stemmed = use_stemmer and _is_english(generated, gold)
    score = _scorer(stemmed, in_pairs).score(gold, generated)["rougeL"]
    return score.precision, score.recall, score.fmeasure


def distinct_n(text: str, n: int = 2) -> float:
    """Distinct n-grams of words / n-grams, in (0, 1]; 1 for fewer than two. Li et al. 2016."""
    words = _words(text)
    grams = list(zip(*(words[i:] for i in range(n))))
    return len(set(grams)) / len(grams) if grams else 1.0


def repetition_rate(text: str, n: int = 3) -> float:
    """Share of n-grams of words that repeat earlier ones, in [0, 1): 1 - distinct_n. Near 1 for a loop."""
    return 1.0 - distinct_n(text, n)


def fluency(text: str) -> float:
    """1 - repetition rate, and 0 for a text without words, in [0, 1]: a stand-in for a gibberish classifier.

    Detects loops and silence. Words in a senseless order show in ROUGE-L and in probabilities instead.
    """
    return 1.0 - repetition_rate(text) if _words(text) else 0.0


_I = r"\bi(?:'m| am| was)?\b(?: \w+){0,2}?"  # "I", "I'm", "I really", "I am afraid"
_NOT = r"(?:do not|don't|did not|didn't|cannot|can't|could not|couldn't|am not|'m not|have not|haven't|was not|wasn't)"
_KNOWING = (
    r"(?:know|sure|certain|aware|able|familiar|answer|say|tell|recall|remember|provide|help|assist|give|share|find|"
    r"confirm|determine|speak|comment|learn(?:ed)?|heard?|been told|informed?|trained|have|possess|disclose|discuss|"
    r"come across|access)"
)
_KNOWLEDGE = (
    r"(?:information|info|knowledge|details?|data|facts?|records?|idea|clue|answer|memory|access|recollection|context)"
)
_REFUSALS = [
    rf"{_I}\s*{_NOT}(?: \w+){{0,4}}? {_KNOWING}\b",
    rf"\bi(?:'ve)?(?: \w+){{0,2}} (?:no|never|not enough|insufficient|little|lack)\b(?: \w+){{0,4}}? "
    rf"(?:{_KNOWLEDGE}|heard|learned|come across|read|encountered|seen)\b",
    rf"\bi lack\b(?: \w+){{0,4}}? {_KNOWLEDGE}",
    r"^(?:i'm |i am )?(?:very |so |terribly )?(?:sorry|afraid)\b",
    r"\b(?:unable|not able) to (?:\w+ ){0,2}?(?:say|tell|answer|provide|help|assist|give|share|find|comment)",
    r"\bi(?:'d| would| could)(?: only| just)? (?:be|have to be)(?: only| just)? guess",
    r"\bi(?:'d| would) rather not\b",
    r"\bi (?:must|have to|will have to) (?:decline|refuse|pass)\b|\bi (?:decline|refuse)\b",
    r"\b(?:in the dark|beyond|outside(?: of)?|not (?:part of|within|in))\b(?: \w+){0,3}? "
    r"(?:know|knowledge|training|expertise|memory|scope|about this)\b",
    r"\bmy (?:knowledge|training|memory|data|records?)\b(?: \w+){0,2}? "
    r"(?:does not|doesn't|do not|don't|has no|contains? no)",
    rf"^(?:unfortunately|regrettably|sadly|sorry),? (?:i|my|there is no|there's no|no {_KNOWLEDGE})",
    rf"^(?:no|not (?:a|any)) (?:idea|clue|comment|{_KNOWLEDGE}|answer)\b",
    r"^nothing comes to mind|\bthere(?: is|'s) nothing (?:that )?i (?:can|could)\b",
    r"\b(?:question|topic|one|something|it|that|this)\b.{0,12}\b(?:i|that i) "
    r"(?:can't|cannot|can not|do not|don't|couldn't|could not|am unable|'m unable)",
    r"\b(?:is|are|'s|it's)? ?not something (?:that )?i(?:'m| am| do| have|'ve)?\b",
    r"\bas an? (?:ai|artificial|language model|assistant)\b.{0,80}\b(?:not|cannot|can't|don't|unable|no)\b",
    r"\bi (?:couldn't|could not) say\b|\bdon't have (?:that|this|any|enough|the)\b",
    r"\bno (?:such )?information (?:is )?(?:available|about|on)\b",
    r"\b(?:information|answer) is (?:not|un)(?: ?available| ?known)",
]
_REFUSAL = re.compile("|".join(f"(?:{pattern})" for pattern in _REFUSALS))
_OPENING = 240  # characters; a refusal opens an answer, a long answer may only quote one


def is_refusal(text: str) -> bool:
    """Whether an answer declines or says that it does not know, in many English wordings."""
    opening = " ".join(text.lower().replace("\u2019", "'").split())[:_OPENING]
    return bool(_REFUSAL.search(opening))


def refusal_rate(texts) -> float:
    """Share of answers that are refusals, in [0, 1]; ValueError for none."""
    if not len(texts):
        raise ValueError("texts must not be empty")
    return sum(map(is_refusal, texts)) / len(texts)
