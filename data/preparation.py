"""Turns examples into token rows with the loss mask that unlearning and evaluation use.

    read_examples(source) -> remove_overlap(forget, retain) -> encode_examples(tokenizer, examples, max_length)

A row is a sequence of token ids and the index at which its answer starts. The tokens answer_start <= t < length carry
loss: the answer and its end-of-turn token, or every token of a raw text except the first. The causal shift is applied
later, in models/forward/answers.py.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data import private
from data.columns import DataError, Example, folded
from data.templates import Format

OVERLAP_ALLOWED = 0.1  # share of the retain rows; a larger overlap suggests that files were mixed up
BATCH_TEXTS, BATCH_CHARACTERS = 1000, 2_000_000  # per tokeniser call: keeps its threads busy, needs little memory


# ---------------------------------------------------------------------------------------------------------------------
# Sets of examples


def folded_texts(example: Example) -> tuple[str, ...]:
    """The example's texts, folded; examples with equal folded texts count as the same row."""
    between = (text for _, text in example.between)
    return tuple(map(folded, (*(text for _, text in example.history), example.prompt or "", *between, example.answer)))


def remove_overlap(
    forget: Sequence[Example], retain: Sequence[Example], allow_overlap: bool = False
) -> tuple[list[Example], list[Example]]:
    """(kept, removed) rows of `retain`; the removed rows are also in `forget`, ignoring case and white space.

    Raises DataError if no row remains, or if more than 10 % of the retain rows are in the forget set and
    `allow_overlap` is false: training to keep and to forget the same rows would cancel out.
    """
    wanted = {folded_texts(example) for example in forget}
    kept: list[Example] = []
    removed: list[Example] = []
    for example in retain:
        (removed if folded_texts(example) in wanted else kept).append(example)
    if removed and not kept:
        raise DataError(f"all {len(removed)} retain rows are also in the forget set: use other retain data")
    if len(removed) > OVERLAP_ALLOWED * len(retain) and not allow_overlap:
        lines = ", ".join(str(example.line) for example in removed[:10])
        raise DataError(
            f"{len(removed)} of {len(retain)} retain rows are also in the forget set (retain lines {lines}"
            f"{', ...' if len(removed) > 10 else ''}), more than {OVERLAP_ALLOWED:.0%}: "
            "were the files mixed up? --allow_overlap removes these rows and continues"
        )
    return kept, removed


def data_hash(examples: Iterable[Example]) -> str:
    """The name of the examples' contents in records: `content_hash` under the project's key (`private.keyed`)."""
    return private.keyed(content_hash(examples))


def data_hashes(examples: Iterable[Example]) -> tuple[str, str]:
    """(`data_hash`, the plain hash that stands in records of earlier versions)."""
    plain = content_hash(examples)
    return private.keyed(plain), plain


def content_hash(examples: Iterable[Example]) -> str:
    """SHA-256 (hex) of the examples' contents in order; line numbers and file format do not count.

    Only for rows that are no secret: short contents can be guessed from it.
    """
    digest = hashlib.sha256()
    for example in examples:
        content = [
            example.history,
            example.prompt,
            example.answer,
            example.paraphrased_question,
            example.paraphrased_answer,
            example.perturbed_answer,
            example.subject,
            *filter(None, (example.between, example.reasoning)),
        ]
        digest.update(json.dumps(content).encode("ascii") + b"\n")
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------------------------------
# Token rows


class EncodedRows:
    """Token rows in flat arrays.

    ids: (total,) int32; offsets: (n + 1,) int64, where each row starts; answer_starts: (n,) int32, within the row,
    1 <= answer_start < length; example_index: (n,) int64, the row's example (a long raw text has several rows).
    """

    __slots__ = ("answer_starts", "example_index", "ids", "offsets")

    def __init__(self, ids: np.ndarray, offsets: np.ndarray, answer_starts: np.ndarray, example_index: np.ndarray):
        self.ids = np.asarray(ids, np.int32)
        self.offsets = np.asarray(offsets, np.int64)
        self.answer_starts = np.asarray(answer_starts, np.int32)
        self.example_index = np.asarray(example_index, np.int64)

    def __len__(self) -> int:
        return len(self.answer_starts)

    @property
    def lengths(self) -> np.ndarray:
        """(n,) tokens of each row."""
        return np.diff(self.offsets)

    @property
    def answer_lengths(self) -> np.ndarray:
        """(n,) tokens that carry loss."""
        return self.lengths - self.answer_starts

    def ids_of(self, i: int) -> np.ndarray:
        """(length,) ids of row i."""
        return self.ids[self.offsets[i] : self.offsets[i + 1]]

    def prompt_ids(self, i: int) -> np.ndarray:
        """(answer_start,) ids of row i before its answer, from which generation starts."""
        return self.ids_of(i)[: self.answer_starts[i]]

    def take(self, indices: Sequence[int] | np.ndarray) -> EncodedRows:
        """The rows at `indices`, in that order."""
        indices = np.asarray(indices, np.int64)
        lengths = self.lengths[indices]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        source = np.repeat(self.offsets[:-1][indices] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return EncodedRows(self.ids[source], offsets, self.answer_starts[indices], self.example_index[indices])

    @classmethod
    def concat(cls, parts: Sequence[EncodedRows]) -> EncodedRows:
        """All rows of `parts` in order; example_index keeps the values of each part."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([[0], np.cumsum(lengths)]),
            np.concatenate([part.answer_starts for part in parts]),
            np.concatenate([part.example_index for part in parts]),
        )

    def batch(self, indices: Sequence[int] | np.ndarray, pad_token_id: int) -> dict[str, Any]:
        """int64 tensors of the rows at `indices`: input_ids (B, T), right-padded; lengths, answer_starts, indices (B,).

        The pad id may equal the end-of-turn id: mask by position, never by id.
        """
        import torch

        indices = np.asarray(indices, np.int64)
        lengths = self.lengths[indices]
        ids = np.full((len(indices), int(lengths.max())), pad_token_id, np.int64)
        for row, index in enumerate(indices):
            ids[row, : lengths[row]] = self.ids_of(index)
        return {
            "input_ids": torch.from_numpy(ids),
            "lengths": torch.from_numpy(lengths.astype(np.int64)),
            "answer_starts": torch.from_numpy(self.answer_starts[indices].astype(np.int64)),
            "indices": torch.from_numpy(indices),
        }


@dataclass
class EncodingReport:
    """What encoding did to the examples."""

    template: str = "plain"  # "chat": the tokenizer's own template; "plain": question/answer as plain text
    examples: int = 0
    truncated: int = 0  # rows that lost prompt tokens or the end of their answer
    dropped: int = 0  # examples without a token that carries loss
    notes: list[str] = field(default_factory=list)


# ---------------------------------------------------------------------------------------------------------------------
# Encoding


def _turn_row(prompt: list[int], answer: list[int], limit: int) -> tuple[list[int], int]:
    """(ids, answer start) of a question and its answer; cuts a long row at the left of its prompt first."""
    if len(prompt) + len(answer) > limit:
        answer = answer[: limit - 1]  # one token must precede the answer, to predict its first token
        prompt = prompt[len(prompt) + len(answer) - limit :]
    return prompt + answer, len(prompt)


def _text_rows(ids: list[int], limit: int) -> list[tuple[list[int], int]]:
    """(ids, answer start) of each row of a raw text.

    Each row repeats the last token of the row before, so every token but the text's first carries loss exactly once.
    """
    return [(ids[start : start + limit], 1) for start in range(0, len(ids) - 1, limit - 1)]


def _chunks(examples: Iterable[Example]) -> Iterator[list[Example]]:
    chunk: list[Example] = []
    size = 0
    for example in examples:
        chunk.append(example)
        size += len(example.answer) + len(example.prompt or "")
        size += sum(len(text) for _, text in (*example.history, *example.between))
        if len(chunk) >= BATCH_TEXTS or size >= BATCH_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def encode_examples(
    tokenizer: Any, examples: Iterable[Example], max_length: int, cut: Collection[int] = ()
) -> tuple[EncodedRows, EncodingReport]:
    """Token rows of at most max_length tokens, and a report of what was cut or dropped.

    Prompt and answer: the chat template with its generation prompt, the answer, the template's end-of-turn token. A row
    that is too long is cut at the left of its prompt, and at the end of its answer only if the answer alone is too
    long. Raw text: bos if the tokenizer adds one, then the text, in as many rows as needed. Examples whose answers have
    no tokens are dropped. `examples` may be a generator. cut: places of answers that were cut off, and get no end.
    Raises DataError if no row is left, if chat messages come with a tokenizer that has no chat template, or if the
    template refuses a conversation.
    """
    if max_length < 2:
        raise ValueError(f"max_length must be at least 2, got {max_length}")
    form, report = Format(tokenizer), EncodingReport()
    report.template = "chat" if form.chat else "plain"
    ids, lengths, starts, owners = array("i"), array("q"), array("i"), array("q")
    dropped: list[int] = []
    cut_answers = chunked = 0
    for chunk in _chunks(examples):
        for example, (prompt, answer, end) in zip(chunk, form.encode(chunk)):
            if not answer or len(prompt) + len(answer) < 2:
                dropped.append(example.line)
                found = []
            elif example.prompt is None:
                found = _text_rows(prompt + answer, max_length)
                chunked += len(found) > 1
            else:
                end = [] if report.examples in cut else end
                found = [_turn_row(prompt, [*answer, *end], max_length)]
                report.truncated += len(prompt) + len(answer) + len(end) > max_length
                cut_answers += len(answer) + len(end) > max_length - 1
            for row, start in found:
                ids.extend(row)
                lengths.append(len(row))
                starts.append(start)
                owners.append(report.examples)
            report.examples += 1
    if not report.examples:
        raise DataError("no rows to encode: the data is empty")
    if not starts:
        raise DataError(f"none of {report.examples} rows has a token that carries loss: their answers have no tokens")
    rows = EncodedRows(ids, np.concatenate([[0], np.cumsum(lengths)]), starts, owners)
    report.dropped = len(dropped)
    report.notes += form.notes
    report.notes += _length_notes(report, max_length, cut_answers, chunked, dropped)
    return rows, report


def _length_notes(
    report: EncodingReport, max_length: int, cut_answers: int, chunked: int, dropped: list[int]
) -> list[str]:
    notes = []
    if report.truncated:
        cut = f", {cut_answers} of them also at the end of their answer" if cut_answers else ""
        notes.append(
            f"{report.truncated} rows were longer than {max_length} tokens: cut at the left of their prompt{cut}"
        )
    if chunked:
        notes.append(f"{chunked} raw texts were longer than {max_length} tokens and became several rows each")
    if dropped:
        lines = ", ".join(map(str, dropped[:10])) + (", ..." if len(dropped) > 10 else "")
        notes.append(f"{len(dropped)} rows have no token that carries loss and were dropped (lines {lines})")
    return notes


def encode_prompt(tokenizer: Any, example: Example) -> list[int]:
    """Ids of the example's history and prompt, from which generation starts; the answer is ignored."""
    form = Format(tokenizer)
    return next(form.prompts([example], [form.shape(example)]))


def end_of_turn(tokenizer: Any) -> list[int]:
    """Ids (at most one) that end an answer: the chat template's end-of-turn token, else the end-of-text token."""
    return list(Format(tokenizer).shape(Example(answer="a", prompt="q")).end)


def preview(tokenizer: Any, rows: EncodedRows, count: int) -> list[tuple[str, str]]:
    """(text without loss, text with loss) of the first `count` rows, with visible control tokens."""
    shown = []
    for i in range(min(count, len(rows))):
        ids, start = rows.ids_of(i).tolist(), int(rows.answer_starts[i])
        shown.append((tokenizer.decode(ids[:start]), tokenizer.decode(ids[start:])))
    return shown
