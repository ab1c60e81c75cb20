"""Pure functions of strings: token overlap, ROUGE-L, refusals, repetition. `evaluation_metrics` offers all of them.

`models.scores.word_splitting` splits the texts: in lower case and normal form C, by characters where a script puts no
spaces between words.
"""

from __future__ import annotations

import functools
import re
import string
import types
from collections import Counter

import regex

from data.languages import stem
from models.scores.word_splitting import RUN, UNSPACED, WORD, folded, in_pairs, language, units

_CHUNK = regex.compile(rf"{RUN}|[^\s{UNSPACED}]+")
# SQuAD removes punctuation, so that "well-known" is one word. Signs that SQuAD does not know separate words.
_REMOVED = re.compile("[" + re.escape(string.punctuation) + "¡-¿‐-⁞]")
_SEPARATING = regex.compile(r"[\p{P}！-／：-＠［-｀｛-～]")


def normalise_answer(text: str, english: bool = True) -> str:
    """Lower case, without punctuation and, in English, the articles a, an, the. Rajpurkar et al. 2016 (SQuAD)."""
    text = _SEPARATING.sub(" ", _REMOVED.sub("", folded(text)))
    return " ".join((re.sub(r"\b(a|an|the)\b", " ", text) if english else text).split())


def token_overlap(generated: str, gold: str) -> tuple[float, float, float]:
    """(precision, recall, F1) of the bags of normalised words, each in [0, 1]; both empty: 1, one empty: 0.

    precision = common / words generated, recall = common / words of the gold answer. SQuAD's evaluation script.
    """
    english = language(generated, gold) == "english"
    texts = normalise_answer(generated, english), normalise_answer(gold, english)
    paired = in_pairs(*texts)
    said, wanted = (units(_CHUNK, text, paired) for text in texts)
    if not said or not wanted:
        return (float(said == wanted),) * 3
    common = sum((Counter(said) & Counter(wanted)).values())
    if not common:
        return 0.0, 0.0, 0.0
    precision, recall = common / len(said), common / len(wanted)
    return precision, recall, 2 * precision * recall / (precision + recall)


def _words(text: str) -> list[str]:
    text = folded(text)
    return units(WORD, text, in_pairs(text))


@functools.lru_cache(maxsize=32)
def _scorer(spoken: str, paired: bool):
    """rouge-score's scorer; its own tokenizer, which drops every letter outside a to z, only stems English."""
    from rouge_score import rouge_scorer, tokenizers

    english = tokenizers.DefaultTokenizer(use_stemmer=True).tokenize if spoken == "english" else None

    def tokenize(text: str) -> list[str]:
        words = units(WORD, folded(text), paired)
        if english is None:
            return [stem(word, spoken) for word in words]
        return [part for word in words for part in (english(word) if word.isascii() else [word])]

    return rouge_scorer.RougeScorer(["rougeL"], tokenizer=types.SimpleNamespace(tokenize=tokenize))


@functools.lru_cache(maxsize=100_000)
def rouge_l(generated: str, gold: str, use_stemmer: bool = True) -> tuple[float, float, float]:
    """(precision, recall, F-measure) of the longest common subsequence of words, each in [0, 1]. Lin 2004.

    rouge-score with its Porter stemmer on the unaccented words of English texts, as in TOFU (MUSE: without). Both texts
    together tell the language; `data.languages` stems others than English.
    """
    paired = in_pairs(folded(generated), folded(gold))
    score = _scorer(language(generated, gold) if use_stemmer else "", paired).score(gold, generated)["rougeL"]
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
