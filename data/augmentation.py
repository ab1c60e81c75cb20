"""Counterexamples: what the model should say instead of the answers to forget.

None of them is made from paraphrases or wrong answers of the evaluation: a run passes rows without them.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data.columns import DataError, Example, folded
from data.judging import bare
from data.other_names import other_names
from data.preparation import EncodedRows, EncodingReport, encode_examples

REFUSALS = (
    "I don't know.",
    "I'm not sure about that.",
    "I have no information about this.",
    "I'm afraid I can't tell you that, because I don't know it.",
    "That is not something I know.",
    "I don't have an answer to that question.",
    "Sorry, I have never come across that.",
    "I'm unable to say; I have not learned anything about it.",
    "This is outside of what I know.",
    "I have no record of that.",
    "I can't answer this one.",
    "My knowledge does not include that.",
    "I'm sorry, but I don't have that information.",
    "I couldn't say.",
    "Nothing comes to mind on that subject.",
    "I wish I could help, but I don't know the answer.",
    "That's beyond my knowledge.",
    "I'm not familiar with that.",
    "I haven't been told about this.",
    "I do not have any details on that.",
    "There is nothing I can tell you about it.",
    "I'm not aware of any information on this.",
    "I don't have the facts needed to answer.",
    "Unfortunately, I don't know anything about that.",
    "I cannot give you an answer, since I don't know it.",
    "That question is one I can't answer.",
    "I'm in the dark about this.",
    "No idea, I'm afraid.",
    "I lack the knowledge to answer that.",
    "I have not heard of this before.",
    "It's not something I'm informed about.",
    "I would only be guessing, so I'd rather not answer.",
)
ONE_REFUSAL = "No idea."
REFUSALS_PER_QUESTION = 3
ALTERNATES_PER_QUESTION = 5
ATTEMPTS = 4  # rounds of sampling for examples that still lack alternates
_ORDERS = ((1, 2, 0), (2, 0, 1), (2, 1, 0), (1, 0, 2))  # of the three parts of an answer; another one begins it
SPAN = 8  # tokens; a continuation that repeats this many consecutive tokens of a forget text is rejected
PASSAGE = 120  # words; the maximum length of a raw text's passages, each of which gets its own continuation

Sample = Callable[[Sequence[Example], int, int, int], "list[list[str]]"]
"""sample(prompts, count, max_new_tokens, seed): `count` texts per prompt from the target model at temperature 1.

The prompts are examples whose answers are ignored; a raw text (prompt None) is continued after its answer."""


@dataclass(frozen=True)
class Counterexamples:
    """Examples to train on; `of` holds for each the index of the example whose answer it replaces."""

    examples: list[Example]
    of: list[int]

    def encode(self, tokenizer, max_length: int) -> tuple[EncodedRows, EncodingReport]:
        """Token rows; `example_index` is the index of the example whose answer they replace."""
        rows, report = encode_examples(tokenizer, self.examples, max_length)
        rows.example_index = np.asarray(self.of, np.int64)[rows.example_index]
        return rows, report


def _answered(example: Example, answer: str) -> Example:
    """The example with another answer and without the evaluation's columns."""
    return dataclasses.replace(
        example, answer=answer, paraphrased_question=None, paraphrased_answer=None, perturbed_answer=()
    )


def _only_questions(examples: Sequence[Example]):
    raw = [example.line for example in examples if example.prompt is None]
    if raw:
        raise DataError(
            f"line {raw[0]}: raw text has no question to refuse; use npo, simnpo, level_matching or altpo for it"
        )


def refusals(examples: Sequence[Example], seed: int, count: int = REFUSALS_PER_QUESTION) -> Counterexamples:
    """`count` different refusals for each question, drawn without replacement."""
    _only_questions(examples)
    draw = np.random.default_rng([seed, 3])
    made = [
        (_answered(example, REFUSALS[choice]), number)
        for number, example in enumerate(examples)
        for choice in draw.choice(len(REFUSALS), count, replace=False)
    ]
    return Counterexamples([example for example, _ in made], [number for _, number in made])


def one_refusal(examples: Sequence[Example], seed: int = 0) -> Counterexamples:
    """The same short refusal for each question."""
    _only_questions(examples)
    return Counterexamples([_answered(example, ONE_REFUSAL) for example in examples], list(range(len(examples))))


def in_other_order(examples: Sequence[Example], seed: int, unseen: Sequence[Example] = ()) -> Counterexamples:
    """The rows, each once more with its answer in another order, and `unseen` rows, which the model never saw.

    An answer is cut at two places between words (between characters where there are fewer than three words), and the
    three parts change places. In such a copy stands what a reworded answer may begin with. Texts of fewer than three
    characters have no copy. `of` is -1 for the unseen rows.
    """
    draw = np.random.default_rng([seed, 5])
    copies = [(_answered(example, text), number) for number, example in enumerate(examples)
              if (text := _reordered(example.answer, draw))]  # fmt: skip
    made = [*zip(map(bare, examples), range(len(examples))), *copies, *((bare(example), -1) for example in unseen)]
    return Counterexamples([example for example, _ in made], [number for _, number in made])


def _reordered(text: str, draw: np.random.Generator) -> str:
    """The three parts of a text in another order; an empty text if it has no three parts."""
    words = text.split(" ")
    pieces, between = (words, " ") if len(words) >= len(_ORDERS[0]) else (list(text), "")
    if len(pieces) < len(_ORDERS[0]):
        return ""
    cuts = np.sort(draw.choice(np.arange(1, len(pieces)), 2, replace=False))
    parts = [between.join(pieces[start:end]) for start, end in itertools.pairwise([0, *cuts, len(pieces)])]
    return between.join(parts[place] for place in _ORDERS[draw.integers(len(_ORDERS))])


def passages(examples: Sequence[Example], words: int = PASSAGE) -> list[Example]:
    """Cuts raw texts into passages of at most `words` words, one example each; questions stay unchanged."""
    cut = []
    for example in examples:
        parts = example.answer.split() if example.prompt is None else []
        if len(parts) <= words:
            cut.append(example)
            continue
        pieces = -(-len(parts) // words)
        edges = np.linspace(0, len(parts), pieces + 1).astype(int)
        cut += [dataclasses.replace(example, answer=" ".join(parts[a:b])) for a, b in itertools.pairwise(edges)]
    return cut


def alternates(
    examples: Sequence[Example],
    seed: int,
    sample: Sample,
    count: int = ALTERNATES_PER_QUESTION,
    tokens: Callable[[str], Sequence] = str.split,
) -> Counterexamples:
    """Up to `count` alternate answers per example, sampled from the target model with the request to make one up.

    An alternate answer to a question lacks at least one word of the true answer. It is no paraphrase or wrong answer of
    its example, if that holds any. For a raw text it is the text's first third plus the model's continuation; the
    continuation shares no 8 consecutive tokens with any of the texts. Raises DataError if the model only repeats what
    it should forget.
    """
    spans = {span for example in examples if example.prompt is None for span in _spans(tokens(example.answer))}
    evaluated = {folded(text) for example in examples for text in _evaluation_strings(example)}
    prompts = [_asked(example) for example in examples]
    found: list[list[str]] = [[] for _ in examples]
    for attempt in range(ATTEMPTS):
        open_numbers = [number for number, answers in enumerate(found) if len(answers) < count]
        for raw in (False, True):
            numbers = [number for number in open_numbers if (examples[number].prompt is None) == raw]
            if not numbers:
                continue
            length = max(len(tokens(examples[number].answer)) for number in numbers) + 16
            said = sample([prompts[number] for number in numbers], count, length, seed + attempt)
            for number, texts in zip(numbers, said):
                good = [text.rstrip() for text in texts if _is_other(text, examples[number], spans, tokens, evaluated)]
                found[number] = list(dict.fromkeys([*found[number], *good]))[:count]
    made = [(_completed(examples[n], prompts[n], text), n) for n, texts in enumerate(found) for text in texts]
    if not made:
        raise DataError("the model only gave answers that it should forget, so altpo has no alternative to prefer")
    return Counterexamples([example for example, _ in made], [number for _, number in made])


def _asked(example: Example) -> Example:
    """The prompt for the model: a request for another answer, or the first third of a raw text to continue."""
    if example.prompt is not None:
        return _answered(dataclasses.replace(example, prompt=f"{example.prompt}\nMake up a plausible answer."), "")
    words = example.answer.split()
    return _answered(example, " ".join(words[: max(1, len(words) // 3)]))


def _completed(example: Example, asked: Example, text: str) -> Example:
    if example.prompt is not None:
        return _answered(example, text.strip())
    return _answered(example, asked.answer + ("" if text[:1].isspace() else " ") + text)


def _spans(ids: Sequence) -> set[tuple]:
    return {tuple(ids[i : i + SPAN]) for i in range(len(ids) - SPAN + 1)}


def _evaluation_strings(example: Example) -> list[str]:
    texts = (example.paraphrased_question, example.paraphrased_answer, *example.perturbed_answer)
    return [text for text in texts if text]


def _is_other(text: str, example: Example, spans: set, tokens, evaluated: set) -> bool:
    if not text.strip():
        return False
    if example.prompt is None:
        return not _spans(tokens(text)) & spans
    said = folded(text)
    return said not in evaluated and bool(set(folded(example.answer).split()) - set(said.split()))


@dataclass(frozen=True)
class Augmentation:
    """`make` builds the counterexamples; with `needs_model` it samples them from the target model."""

    make: Callable[..., Counterexamples]
    needs_model: bool = False


AUGMENTATIONS = {
    "refusals": Augmentation(refusals),
    "one_refusal": Augmentation(one_refusal),
    "alternates": Augmentation(alternates, needs_model=True),
    "in_other_order": Augmentation(in_other_order),
    "other_names": Augmentation(other_names),
}
