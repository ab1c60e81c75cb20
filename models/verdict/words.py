"""The words of a verdict: one each for memory, rest and resistance, with all texts about it."""

from __future__ import annotations

from dataclasses import dataclass

PARTS = ("memory", "rest", "resistance")


@dataclass(frozen=True)
class Word:
    """One word of a part; `tone` is "good", "unsure" or "bad", `plain` a sentence for readers of no papers."""

    word: str
    tone: str
    headline: str
    plain: str


_WORDS = {
    "memory": [
        Word("FORGOTTEN", "good", "Forgotten",
             "No row and no person is still known, and every measure is as on a model that never saw the data."),
        Word("REMEMBERS", "bad", "It still knows",
             "It still knows something of what it should forget. The list says what."),
        Word("OVER-FORGOTTEN", "unsure", "It avoids the truth",
             "It knows less than a model that never saw the data, which is itself a trace."),
        Word("UNDECIDED", "unsure", "Not decided",
             "The data at hand can show neither that it forgot nor that it remembers."),
    ],
    "rest": [
        Word("KEPT", "good", "The rest is kept", "What it should keep is still there."),
        Word("DAMAGED", "bad", "The rest is damaged", "It lost more than a twentieth of what it should keep."),
        Word("BROKEN", "bad", "The model is broken", "It lost more than half of what it should keep. Do not use it."),
        Word("UNDECIDED", "unsure", "Loss not decided", "The rows at hand cannot say how much of the rest was lost."),
    ],
    "resistance": [
        Word("HELD", "good", "Attacks bring nothing back", "No attack that was run brought back what was forgotten."),
        Word("CAME BACK", "bad", "Attacks bring it back", "An attack brings back some of what was forgotten."),
        Word("NOT RUN", "unsure", "Attacks not run", "Nobody tried to bring the knowledge back."),
        Word("UNDECIDED", "unsure", "Attacks not decided", "The attacks were run on too little to decide."),
    ],
}  # fmt: skip
WORDS: dict[str, dict[str, Word]] = {part: {word.word: word for word in words} for part, words in _WORDS.items()}
SIGNED = {"memory": "FORGOTTEN", "rest": "KEPT", "resistance": "HELD"}
NO_RETRAINED = "UNDECIDED (no retrained model)"


def word_of(text) -> str:
    """The word without its reason in brackets: "UNDECIDED" for "UNDECIDED (no retrained model)"."""
    return str(text or "").split(" (")[0]


def verdict_text(words: dict[str, str]) -> str:
    """The three words as one text: "FORGOTTEN, KEPT, HELD"."""
    return ", ".join(words[part] for part in PARTS)


def verdict_words(verdict) -> dict[str, str]:
    """{part: word} of such a text; {} for a text of another kind, such as a verdict of an earlier version."""
    found = [word_of(text) for text in str(verdict or "").split(", ")]
    words = dict(zip(PARTS, found))
    return words if len(found) == len(PARTS) and all(words[part] in WORDS[part] for part in PARTS) else {}


def certified(comparison: dict) -> bool:
    """Whether the verdict can be signed: FORGOTTEN, KEPT and HELD."""
    return all(comparison.get(part) == word for part, word in SIGNED.items())


def counted(count: int, noun: str) -> str:
    """A count with its noun: "1 row", "2 rows"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
