"""Writes examples in a tokenizer's chat template, or as plain question and answer if it has none.

User text is tokenised as plain text: `<|im_end|>` inside a question becomes eight ordinary tokens. Only the template's
own control tokens are control tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np

from data.columns import DataError, Example
from data.messages import end_of_thought, without_thought
from data.rendering import CALL, SLOT, TOOLS, Refused, Rendered, fix_date, knows_thinking, rendered, slot

LONG_TEXT = 100_000  # characters; longer texts are tokenised in blocks, because memory grows with the text
PLAIN = "Question: {prompt}\nAnswer:"


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a template between two control tokens: constant ids, or template text with slots for contents."""

    ids: tuple[int, ...] = ()  # of a segment without contents
    control: str = ""  # the control token it starts with
    parts: tuple[str | int, ...] = ()  # template texts and numbers of contents, in order


class Fit(NamedTuple):
    """What a template does to a content: whether it strips its left and its right, and writes it as JSON."""

    left: bool = False
    right: bool = False
    escaped: bool = False

    def __call__(self, text: str) -> str:
        """The content as the template writes it."""
        text = text.lstrip() if self.left else text
        text = text.rstrip() if self.right else text
        return json.dumps(text, ensure_ascii=False)[1:-1] if self.escaped else text


_AS_IS = Fit()


def _fit(match: re.Match) -> Fit:
    return Fit(not match[1], not match[3], "\\t" in (match[1], match[3]))


@dataclass(frozen=True, slots=True)
class Shape:
    """A template for one sequence of roles, cut into segments."""

    segments: tuple[Segment, ...]
    fits: tuple[Fit, ...]  # what the template does to each content
    tail: str  # template text before the answer, from the last control token on
    tail_ids: tuple[int, ...]
    lead: str  # white space between the prompt and the answer
    answer_fit: Fit
    end: tuple[int, ...]  # end-of-turn token


class Format:
    """Turns examples into token ids, with the tokenizer's chat template or the plain one.

    A template is rendered with placeholders once per sequence of roles and cut at its control tokens. Each segment is
    tokenised whole, template text and contents together, so the ids are the same as for the whole rendered text. Only a
    row whose content became a control token is tokenised again with `split_special_tokens=True`; its merges at the
    borders of the content may differ.
    """

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        self.chat = bool(getattr(tokenizer, "chat_template", None))
        self.notes: dict[str, None] = {}
        if day := fix_date(tokenizer):
            self.notes[f"the chat template writes the date: {day} in every prompt of this model"] = None
        self.shapes: dict[tuple[str, ...], Shape] = {}
        template = str(tokenizer.chat_template) if self.chat else ""
        # Some tokenizers register their control tokens as ordinary added tokens; those occur in the template's text.
        added = {
            token.content: index
            for index, token in tokenizer.added_tokens_decoder.items()
            if token.content.strip() and (token.special or token.content in template)
        }
        self.control_ids = added
        longest_first = sorted(added, key=len, reverse=True)
        self.control = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")" if added else r"(?!)()")
        # Unknown words are harmless but share the unknown token's id, so an injected one is recognised by its text.
        self.unknown = tokenizer.unk_token if tokenizer.unk_token_id is not None else None
        self.is_control = np.zeros(max([len(tokenizer), *added.values()]) + 1, bool)
        self.is_control[[index for text, index in added.items() if text != self.unknown]] = True
        self.bos = self._bos()
        self.eos = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)

    def _bos(self) -> str:
        """The token that the tokenizer itself puts before a text, or nothing."""
        bos = self.tokenizer.bos_token_id
        ids = self.tokenizer("a")["input_ids"]
        return self.tokenizer.bos_token if bos is not None and ids[:1] == [bos] else ""

    # Tokenisation

    def tokens(self, texts: list[str], split: bool = False) -> list[list[int]]:
        """Ids of each text, without added tokens; with `split` no text becomes a special token."""
        if not texts:
            return []
        encoded = self.tokenizer(
            texts,
            add_special_tokens=False,
            split_special_tokens=split,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return encoded["input_ids"]

    def content_tokens(self, text: str) -> list[int]:
        """Ids of a text in which nothing becomes a control token; a long text is tokenised in blocks."""
        ids: list[int] = []
        for block in _blocks(text):
            found = self.tokens([block], split=True)[0]
            if self.is_control[found].any():
                # Some added tokens survive split_special_tokens; cutting inside their text prevents that.
                cuts = [0, *(match.start() + 1 for match in self.control.finditer(block)), len(block)]
                pieces = [block[a:b] for a, b in pairwise(cuts) if a < b]
                found = list(chain.from_iterable(self.tokens(pieces, split=True)))
            ids += found
        return ids

    def _suspect(self, all_ids: list[list[int]], texts: list[str], expected: list[int]) -> list[int]:
        """Indices of the id lists that do not hold exactly the control tokens their template wrote."""
        lengths = np.fromiter(map(len, all_ids), np.int64, len(all_ids))
        flat = np.fromiter(chain.from_iterable(all_ids), np.int64, int(lengths.sum()))
        counts = np.concatenate([[0], np.cumsum(self.is_control[flat])])
        ends = np.cumsum(lengths)
        suspect = counts[ends] - counts[ends - lengths] != np.asarray(expected)
        if self.unknown:
            suspect |= np.fromiter((self.unknown in text for text in texts), bool, len(texts))
        return np.flatnonzero(suspect).tolist()

    # Templates

    def shape(self, example: Example) -> Shape:
        """The template for the example's roles. Raises DataError when the template refuses them."""
        roles = _roles(example)
        if roles not in self.shapes:
            if not roles:  # raw text gets no end-of-text token: unlearning must not teach that texts never end
                self.shapes[roles] = self._parsed(self.bos, (), "", _AS_IS, ())
            elif self.chat:
                self.shapes[roles] = self._chat_shape(roles, example.line)
            elif example.history or example.between or example.chat:
                raise DataError(
                    f"row {example.line}: chat messages need a chat template and this tokenizer has none: use a chat "
                    "model, or write the data as question/answer"
                )
            else:
                self.shapes[roles] = self._plain_shape()
        return self.shapes[roles]

    def _plain_shape(self) -> Shape:
        """Question and answer as plain text."""
        note = "the tokenizer has no chat template: rows are written as " + repr(PLAIN.format(prompt="...") + " ...")
        self.notes[note] = None
        text = self.bos + PLAIN.format(prompt=slot(0))
        return self._parsed(text, (_AS_IS,), " ", _AS_IS, self.eos)

    def _chat_shape(self, roles: tuple[str, ...], line: int) -> Shape:
        """The chat template for these roles."""
        try:
            text = rendered(self.tokenizer, roles, self.control)
        except Refused as reason:
            raise DataError(f"row {line}: the chat template refuses a conversation of {reason}") from None
        self.notes |= dict.fromkeys(text.notes)
        fits = {int(match[2]): _fit(match) for match in SLOT.finditer(text.prompt)}
        if any(number not in fits and not role.startswith((CALL, TOOLS)) for number, role in enumerate(roles)):
            self.notes.setdefault("the chat template leaves out some earlier turns")
        return self._with_answer(text, tuple(fits.get(number, _AS_IS) for number in range(len(roles))))

    def _with_answer(self, text: Rendered, fits: tuple) -> Shape:
        """The shape, including the template's text between prompt and answer and its end-of-turn token."""
        prompt, number = text.prompt, len(fits)
        match = next((match for match in SLOT.finditer(text.full) if int(match[2]) == number), None)
        if match is None:
            return self._parsed(prompt, fits, "", _AS_IS, self.eos)
        before, after = text.full[: match.start()], text.full[match.end() :]
        lead = before[len(prompt) :] if before.startswith(prompt) else ""
        if lead.strip():
            # Text that the template adds, such as an empty thinking block, is not the answer and carries no loss.
            self.notes[f"the chat template's {lead!r} before answers counts as prompt"] = None
            prompt, lead = prompt + lead, ""
        end = self.control.search(after)
        ids = (self.control_ids[end[0]],) if end else self.eos
        return self._parsed(prompt, fits, lead, _fit(match), ids)

    def _parsed(self, text: str, fits: tuple, lead: str, answer_fit: Fit, end: tuple) -> Shape:
        """A rendered prompt with slots, cut at its control tokens into the segments of a shape."""
        segments: list[Segment] = []
        stretches: list[list[str | int]] = [[""]]  # each: its control token, then texts and numbers of contents
        for number, literal in enumerate(SLOT.split(text)):  # text, tab, slot number, tab, text, ...
            if number % 4 == 2:
                stretches[-1].append(int(literal))
            elif number % 4 == 0:
                for odd, piece in enumerate(self.control.split(literal)):  # text, control token, text, ...
                    if odd % 2:
                        stretches.append([piece])
                    elif piece:
                        stretches[-1].append(piece)
        for control, *parts in stretches:
            if any(isinstance(part, int) for part in parts):
                segments.append(Segment(control=control, parts=tuple(parts)))
            elif control or parts:
                segments.append(Segment(ids=tuple(self.tokens(["".join([control, *parts])])[0])))
        control, *parts = stretches[-1]
        cut = max((i + 1 for i, part in enumerate(parts) if isinstance(part, int)), default=0)
        tail = "".join(parts[cut:]) if cut else "".join([control, *parts])
        tail_ids = tuple(self.tokens([tail])[0]) if tail else ()
        return Shape(tuple(segments), fits, tail, tail_ids, lead, answer_fit, end)

    # Rows

    def encode(self, examples: Sequence[Example]) -> Iterator[tuple[list[int], list[int], tuple[int, ...]]]:
        """(prompt ids, answer ids, end-of-turn ids) of each example."""
        shapes = [self.shape(example) for example in examples]
        prompts = self.prompts(examples, shapes)
        answers = self._answers(examples, shapes)
        for prompt, answer, shape in zip(prompts, answers, shapes):
            yield prompt, answer, shape.end

    def prompts(self, examples: Sequence[Example], shapes: Sequence[Shape]) -> Iterator[list[int]]:
        """Prompt ids of each example, up to where its answer starts."""
        texts: list[str] = []
        anchors: list[str] = []
        for example, shape in zip(examples, shapes):
            contents = [fit(self._turn(*turn)) for turn, fit in zip(_turns(example), shape.fits)]
            for segment in shape.segments:
                if segment.parts:
                    parts = [contents[part] if isinstance(part, int) else part for part in segment.parts]
                    texts.append("".join(parts))
                    anchors.append(segment.control)
        ids = iter(self._anchored(anchors, texts))
        for shape in shapes:
            row: list[int] = []
            for segment in shape.segments:
                row += next(ids) if segment.parts else segment.ids
            yield row

    def _turn(self, role: str, text: str) -> str:
        """An earlier turn's content; a template that knows thinking leaves out what the model thought before it."""
        thought, rest = without_thought(text) if role == "assistant" else ("", text)
        return rest if thought and knows_thinking(self.tokenizer, end_of_thought(thought)) else text

    def _anchored(self, anchors: list[str], texts: list[str]) -> list[list[int]]:
        """Ids of each control token and the text after it; nothing in the text becomes a control token."""
        short = [anchor + text if len(text) <= LONG_TEXT else anchor for anchor, text in zip(anchors, texts)]
        ids = self.tokens(short)
        for i in self._suspect(ids, texts, [bool(anchor) for anchor in anchors]):
            ids[i] = []
        for i, (anchor, text) in enumerate(zip(anchors, texts)):
            if not ids[i] or len(text) > LONG_TEXT:
                control = [self.control_ids[anchor]] if anchor else []
                ids[i] = control + self.content_tokens(text)
        return ids

    def _spoken(self, example: Example) -> str:
        """The answer, after its reasoning where the template has no place for it and the row's text holds it."""
        if not example.reasoning:
            return example.answer
        closing = end_of_thought(example.reasoning)
        if closing and not knows_thinking(self.tokenizer, closing):
            return example.reasoning + example.answer
        self.notes["what the model thinks before an answer is left out of the rows: it is asked without"] = None
        return example.answer

    def _answers(self, examples: Sequence[Example], shapes: Sequence[Shape]) -> list[list[int]]:
        """Ids of each answer, tokenised together with the end of its prompt."""
        texts = [shape.lead + shape.answer_fit(self._spoken(e)) for e, shape in zip(examples, shapes)]
        joined = [shape.tail + text if len(text) <= LONG_TEXT else "" for text, shape in zip(texts, shapes)]
        ids = self.tokens(joined)
        expected = [int(self.is_control[list(shape.tail_ids)].sum()) for shape in shapes]
        suspect = set(self._suspect(ids, texts, expected))
        for i, (text, shape) in enumerate(zip(texts, shapes)):
            cut = len(shape.tail_ids)
            # If the answer's first characters merge with the prompt, training and generation see different prompts.
            # The answer is then tokenised alone.
            if i in suspect or len(text) > LONG_TEXT or tuple(ids[i][:cut]) != shape.tail_ids:
                ids[i] = self.content_tokens(text)
            else:
                ids[i] = ids[i][cut:]
        return ids


def _roles(example: Example) -> tuple[str, ...]:
    """The roles of the turns before the answer; none for a raw text."""
    if example.prompt is None:
        return ()
    return tuple(f"{role}:{content}" if f"{role}:" in (CALL, TOOLS) else role for role, content in _turns(example))


def _turns(example: Example) -> Iterator[tuple[str, str]]:
    """(role, content) of the turns before the answer."""
    yield from (*example.history, ("user", example.prompt or ""), *example.between)


def _blocks(text: str) -> Iterator[str]:
    """The text in blocks of at most LONG_TEXT characters, cut before white space where there is any."""
    start = 0
    while len(text) - start > LONG_TEXT:
        end = start + LONG_TEXT
        cut = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
        end = cut if cut > start else end
        yield text[start:end]
        start = end
    yield text[start:]
