"""Asks a loaded model many questions at once, and says how sure it is of each answer.

said = Asking(model, tokenizer).answers(questions)       # [Said(question, answer, certainty)]
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.columns import Example
from data.preparation import encode_examples, encode_prompt, end_of_turn
from models.forward import generation

MOST_TOKENS = 32
BATCH = 128  # prompts at a time; on two cores, batches of 64 take a sixth longer
PAIRS = 64  # answers at a time whose losses are computed, with the logits of all their tokens


@dataclass(frozen=True)
class Said:
    """One answer. certainty: geometric mean of the probabilities of its tokens and of its end, in [0, 1].

    ended: whether the model ended it, within the tokens that it had.
    """

    question: str
    answer: str
    certainty: float = 1.0
    ended: bool = True


class _Chances:
    """The log-probability of the likeliest token of each step, which a greedy answer takes."""

    def __init__(self):
        self.steps: list[float] = []

    def append(self, logits):
        """One step, logits (V,)."""
        logits = logits.float()
        self.steps.append(float(logits.max() - logits.logsumexp(-1)))

    def mean(self, length: int) -> float:
        """exp(mean) over the first `length` steps; 0 for none."""
        steps = self.steps[:length]
        return math.exp(sum(steps) / len(steps)) if steps else 0.0


class Asking:
    """A model that is asked, the time until which it may be, and how many answers it has given."""

    def __init__(self, model, tokenizer, seconds: float = math.inf, progress=None):
        self.model, self.tokenizer, self.progress = model, tokenizer, progress or (lambda text: None)
        self.ends = time.monotonic() + seconds
        self.given = 0
        self.stop = {*end_of_turn(tokenizer), tokenizer.eos_token_id} - {None}

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.ends

    def answers(self, questions: Sequence[str], temperature: float = 0.0, seed: int = 0, tokens: int = MOST_TOKENS,
                whole: bool = False) -> list[Said]:  # fmt: skip
        """The answers to the questions, in batches: at most `tokens` of each, as statements or as the `whole` text.

        The certainty of a sampled answer is that of its likeliest tokens, so only greedy ones can be compared.
        """
        found = []
        for start in range(0, len(questions), BATCH):
            if self.given and self.given % (2 * BATCH) == 0:
                self.progress(f"  {self.given} answers so far")
            found += self._batch(questions[start : start + BATCH], temperature, seed + start, tokens, whole)
        return found

    def _batch(self, questions: Sequence[str], temperature: float, seed: int, tokens: int, whole: bool) -> list[Said]:
        prompts = [np.asarray(encode_prompt(self.tokenizer, Example("-", text)), np.int64) for text in questions]
        chances = [_Chances() for _ in prompts]
        limits = [tokens] * len(prompts)
        said = generation.generate(
            self.model, prompts, limits, self.stop, temperature=temperature, seed=seed, rows=BATCH, seen=chances
        )
        self.given += len(prompts)
        found = []
        for question, ids, chance in zip(questions, said, chances):
            ended, text = len(ids) < tokens, self.tokenizer.decode(ids, skip_special_tokens=True).strip()
            text = text if whole else self._statement(text, ended)
            found.append(Said(question, text, chance.mean(len(ids) + ended), ended))
        return found

    def _statement(self, text: str, ended: bool) -> str:
        """The answer's first paragraph; a text that was cut off ends with its last whole sentence, if it has one."""
        text = text.split("\n")[0].strip()
        if not ended:
            end = max(text.rfind(mark) for mark in ".!?。！？।")
            text = text[: end + 1] if end > 0 else text
        return text

    def losses(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The loss of each answer after its question, summed over its tokens and its end, in nats."""
        import torch

        from models.forward.answers import answer_outputs

        rows, _ = encode_examples(self.tokenizer, [Example(answer, question) for question, answer in pairs], 512)
        found: list[float] = []
        with torch.inference_mode():
            for start in range(0, len(pairs), PAIRS):
                batch = rows.batch(range(start, min(start + PAIRS, len(pairs))), self.tokenizer.pad_token_id or 0)
                said = answer_outputs(self.model, batch)
                counts = torch.bincount(said.row, minlength=len(batch["lengths"]))
                found += (said.sequence_mean() * counts).tolist()
        return found
