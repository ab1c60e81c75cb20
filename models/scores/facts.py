"""Facts in words: which words of an answer carry the fact, and how many of them a text says.

Half of an answer's words stand in its question or join the others, so word overlap rewards a model that never saw the
row. Facts leave these words out. `evaluation_metrics` offers all functions. Words are those of `word_splitting`,
and a number is one word ("2,400").
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import regex

from data.columns import Example
from data.languages import stem
from data.wrong_answers import question_of
from models.scores.word_splitting import CHARACTER, STARTS_RUN, WORD, folded, in_pairs, language, units

RARE = 2  # words of `rare_words`
SHARE, LEAST = 0.2, 4  # a common word occurs in at least this share, and this number, of a set's answers
_NUMBER = r"\p{N}+(?:[.,:]\p{N}+)*"
_FACT_WORD = regex.compile(rf"(?V1){_NUMBER}|{WORD.pattern.removeprefix('(?V1)')}")
_THOUSANDS = regex.compile(r"(?<=\p{N})[.,，\u202f](?=\p{N}{3}(?!\p{N}))")
_DIGIT = regex.compile(r"\p{N}")
_SHORTENED = regex.compile(r"(?<=\p{L})(?:['’](?:s|d|ll|re|ve|m)|n['’]t)\b", regex.IGNORECASE)
_SENTENCE = regex.compile(r"[^.!?。！？\n]+")
# Words of scikit-learn's list that carry facts, as Nothman et al. 2018 (aclanthology.org/W18-2502) warn.
_NO_STOP_WORDS = frozenset(
    ["amount", "bill", "bottom", "call", "con", "cry", "describe", "detail", "eight", "eleven", "empty", "fifteen",
     "fifty", "fill", "fire", "first", "five", "former", "forty", "found", "four", "front", "full", "hundred",
     "interest", "last", "least", "mill", "mine", "move", "name", "never", "next", "nine", "no", "nobody", "none",
     "nothing", "one", "part", "serious", "show", "side", "sincere", "six", "sixty", "system", "ten", "thick", "thin",
     "third", "three", "top", "twelve", "twenty", "two", "un"]
)  # fmt: skip


@functools.lru_cache(maxsize=1)
def _function_words() -> frozenset[str]:
    """English function words: scikit-learn's list without the words that carry facts."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return (ENGLISH_STOP_WORDS - _NO_STOP_WORDS) | {"did", "does", "said", "just", "ca", "wo", "don", "isn"}


def _plain(text: str) -> str:
    return _THOUSANDS.sub("", folded(_SHORTENED.sub("", text)))


def _split(text: str, paired: bool) -> list[str]:
    return units(_FACT_WORD, _plain(text), paired)


def _stems(text: str, paired: bool, spoken: str) -> set[str]:
    """The words of a text and their stems: a form of a word counts as the word."""
    return {form for word in _split(text, paired) for form in (word, stem(word, spoken))}


def common_words(answers: Iterable[str]) -> frozenset[str]:
    """The function words of a set that is not English, by frequency: words in a fifth of its answers, at least four.

    Empty for English, which has a list, so that its facts do not depend on the set.
    """
    answers = list(answers)
    counts = word_counts(answers)
    english = sum(not _function_words().isdisjoint(_split(text, False)) for text in answers)
    if 2 * english >= len(answers) and language(*answers) == "english":
        return frozenset()
    return frozenset(word for word, count in counts.items() if count >= max(LEAST, SHARE * len(answers)))


def word_counts(answers: Iterable[str]) -> Counter:
    """The number of answers in which each word occurs (document frequency)."""
    return Counter(word for text in answers for word in set(_split(text, in_pairs(_plain(text)))))


@functools.lru_cache(maxsize=20_000)
def content_words(question: str, answer: str, common: Collection[str] = frozenset()) -> tuple[str, ...]:
    """The different words of an answer that carry its fact, folded, in order; none if all stand in the question.

    Left out: words whose stem, in the language of both, stands in the question, English function words, and the words
    `common` (see `common_words`) unless no other word is left. Chinese characters, and pairs of characters of other
    languages without spaces, are words.
    """
    paired, spoken = in_pairs(_plain(answer)), language(question, answer)
    asked = _stems(question, paired, spoken)
    words = [word for word in dict.fromkeys(_split(answer, paired)) if stem(word, spoken) not in asked]
    words = [word for word in words if word not in asked and word not in _function_words()]
    return tuple([word for word in words if word not in common] or words)


def words_said(
    words: Collection[str], said: str, paired: bool | None = None, spoken: str | None = None
) -> float | None:
    """Share of the words, as `content_words` gives them, that a text says in any form, in [0, 1]; None for no words.

    paired: whether words of unspaced scripts are pairs of characters; without it, whether the given ones are.
    spoken: the language whose stems count as the word; without it, that of all these words.
    """
    if not words:
        return None
    if paired is None:
        paired = any(STARTS_RUN.match(word) and len(CHARACTER.findall(word)) > 1 for word in words)
    spoken = language(*words, said) if spoken is None else spoken
    there = _stems(said, paired, spoken)
    return sum(word in there or stem(word, spoken) in there for word in words) / len(words)


def _words_of_row(words: Collection[str], question: str, answer: str, said: str) -> float | None:
    """`words_said` with pairs and stems as the row's question and answer have them, whatever language is said."""
    return words_said(words, said, in_pairs(_plain(answer)), language(question, answer))


def fact_recall(question: str, answer: str, said: str, common: Collection[str] = frozenset()) -> float | None:
    """Share of the answer's `content_words` that a text says, in [0, 1]; None if the answer has none.

    1 for the answer itself, 0 for the question. A model that never saw the row says few of them.
    """
    return _words_of_row(content_words(question, answer, common), question, answer, said)


def rare_words(question: str, answer: str, counts: Mapping[str, int], most: int = RARE) -> tuple[str, ...]:
    """The `most` content words of an answer in the fewest answers of `word_counts`; of equals the longest."""
    words = content_words(question, answer)
    return tuple(sorted(words, key=lambda word: (counts.get(word, 0), -len(word)))[:most])


def rare_recall(question: str, answer: str, said: str, counts: Mapping[str, int]) -> float | None:
    """Share of the answer's two `rare_words` that a text says, in [0, 1]; None if it has none."""
    return _words_of_row(rare_words(question, answer, counts), question, answer, said)


def secrets(example: Example) -> tuple[str, ...]:
    """The content words of an example's answer that nobody guesses, folded, in order; none for many a row.

    These are words with digits; capitalised words, except a capital that only opens a sentence; and words that no wrong
    answer has in place of the paraphrase's (without a paraphrase, the answer's) words.
    """
    words = content_words(question_of(example), example.answer)
    if not words:
        return ()
    named = _capitalised(example.answer) | _capitalised(example.paraphrased_answer or "")
    spoken = language(question_of(example), example.answer)
    told = _differing(example, spoken)
    return tuple(word for word in words if _DIGIT.search(word) or word in named or stem(word, spoken) in told)


def secret_recall(example: Example, said: str) -> float | None:
    """Share of an example's `secrets` that a text says, in [0, 1]; None if it has none."""
    return _words_of_row(secrets(example), question_of(example), example.answer, said)


def _capitalised(text: str) -> set[str]:
    """Folded words in capitals within a sentence; its first word only if no word of the sentence is in lower case."""
    found: set[str] = set()
    for sentence in _SENTENCE.findall(text):
        words = _FACT_WORD.findall(_SHORTENED.sub("", sentence))
        named = [word for word in words if word[:1].isupper() or word[:1].istitle()]
        first = words[:1] if any(word[:1].islower() for word in words) else []
        names = [word for place, word in enumerate(words) if word in named and not (place == 0 and first)]
        found |= {_plain(word) for word in names}
    return found


def _differing(example: Example, spoken: str) -> set[str]:
    """Stems of the true answer's words that stand in no wrong answer; if there are none, that one of them lacks."""
    true, wrong = example.paraphrased_answer or example.answer, example.perturbed_answer
    if not wrong:
        return set()
    paired = in_pairs(_plain(example.answer))
    stems, others = _stems(true, paired, spoken), [_stems(text, paired, spoken) for text in wrong]
    return stems - set().union(*others) or stems - set.intersection(*others)
