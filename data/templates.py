"""Writes examples in a tokenizer's chat template, or as plain question and answer if it has none.

User text is tokenised as plain text: `<|im_end|>` inside a question becomes eight ordinary tokens. Only the template's
own control tokens are control tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np

from data.columns import DataError, Example

LONG_TEXT = 100_000  # characters; longer texts are tokenised in blocks, because memory grows with the text
PLAIN = "Question: {prompt}\nAnswer:"


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a template between two control tokens: constant ids, or template text with slots for contents."""

    ids: tuple[int, ...] = ()  # of a segment without contents
    control: str = ""  # the control token it starts with
    parts: tuple[str | int, ...] = ()  # template texts and numbers of contents, in order


@dataclass(frozen=True, slots=True)
class Shape:
    """A template for one sequence of roles, cut into segments."""

    segments: tuple[Segment, ...]
    strips: tuple[tuple[bool, bool], ...]  # per content: whether the template strips its left and its right
    tail: str  # template text before the answer, from the last control token on
    tail_ids: tuple[int, ...]
    lead: str  # white space between the prompt and the answer
    answer_strips: tuple[bool, bool]
    end: tuple[int, ...]  # end-of-turn token


_SLOT = re.compile(r"(\t?)zqslot(\d+)qz(\t?)")


def _slot(number: int) -> str:
    # The tabs show whether the template strips contents; no known template writes a tab itself.
    return f"\tzqslot{number}qz\t"


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
        roles = (*(role for role, _ in example.history), "user") if example.prompt is not None else ()
        if roles not in self.shapes:
            if not roles:  # raw text gets no end-of-text token: unlearning must not teach that texts never end
                self.shapes[roles] = self._parsed(self.bos, (), "", (False, False), ())
            elif self.chat:
                self.shapes[roles] = self._chat_shape(roles, example.line)
            elif example.history or example.chat:
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
        text = self.bos + PLAIN.format(prompt=_slot(0))
        return self._parsed(text, ((False, False),), " ", (False, False), self.eos)

    def _chat_shape(self, roles: tuple[str, ...], line: int) -> Shape:
        """The chat template for these roles; a system turn that it refuses joins the first user turn."""
        contents = [_slot(number) for number in range(len(roles))]
        messages = [{"role": role, "content": content} for role, content in zip(roles, contents)]
        try:
            prompt = self._render(messages, True)
        except Exception as error:
            if roles[0] != "system" or len(roles) < 2:
                raise self._refused(roles, line, error) from None
            messages[:2] = [{"role": roles[1], "content": contents[0] + "\n\n" + contents[1]}]
            self.notes["the chat template has no system role: system texts are put before the first user turn"] = None
            try:
                prompt = self._render(messages, True)
            except Exception as again:
                raise self._refused(roles, line, again) from None
        slots = {int(match[2]): (not match[1], not match[3]) for match in _SLOT.finditer(prompt)}
        if len(roles) - 1 not in slots:
            raise self._refused(roles, line, "it leaves out the last user turn")
        if len(slots) < len(roles):
            self.notes["the chat template leaves out some earlier turns"] = None
        strips = tuple(slots.get(number, (False, False)) for number in range(len(roles)))
        answer = {"role": "assistant", "content": _slot(len(roles))}
        try:
            full = self._render([*messages, answer], False)
        except Exception as error:
            raise self._refused((*roles, "assistant"), line, error) from None
        return self._with_answer(prompt, full, strips, len(roles))

    def _with_answer(self, prompt: str, full: str, strips: tuple, number: int) -> Shape:
        """The shape, including the template's text between prompt and answer and its end-of-turn token."""
        match = next((match for match in _SLOT.finditer(full) if int(match[2]) == number), None)
        if match is None:
            return self._parsed(prompt, strips, "", (False, False), self.eos)
        before, after = full[: match.start()], full[match.end() :]
        lead = before[len(prompt) :] if before.startswith(prompt) else ""
        if lead.strip():
            # Text that the template adds, such as an empty thinking block, is not the answer and carries no loss.
            self.notes[f"the chat template's {lead!r} before answers counts as prompt"] = None
            prompt, lead = prompt + lead, ""
        end = self.control.search(after)
        ids = (self.control_ids[end[0]],) if end else self.eos
        return self._parsed(prompt, strips, lead, (not match[1], not match[3]), ids)

    def _parsed(self, text: str, strips: tuple, lead: str, answer_strips: tuple, end: tuple) -> Shape:
        """A rendered prompt with slots, cut at its control tokens into the segments of a shape."""
        segments: list[Segment] = []
        stretches: list[list[str | int]] = [[""]]  # each: its control token, then texts and numbers of contents
        for number, literal in enumerate(_SLOT.split(text)):  # text, tab, slot number, tab, text, ...
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
        return Shape(tuple(segments), strips, tail, tail_ids, lead, answer_strips, end)

    def _render(self, messages: list[dict[str, str]], generation_prompt: bool) -> str:
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation_prompt)

    def _refused(self, roles: Sequence[str], line: int, error: Any) -> DataError:
        return DataError(f"row {line}: the chat template refuses a conversation of {', '.join(roles)}: {error}")

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
            contents = [text for _, text in example.history] + [example.prompt or ""]
            contents = [_stripped(text, strip) for text, strip in zip(contents, shape.strips)]
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

    def _answers(self, examples: Sequence[Example], shapes: Sequence[Shape]) -> list[list[int]]:
        """Ids of each answer, tokenised together with the end of its prompt."""
        texts = [shape.lead + _stripped(e.answer, shape.answer_strips) for e, shape in zip(examples, shapes)]
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


def _stripped(text: str, strip: tuple[bool, bool]) -> str:
    text = text.lstrip() if strip[0] else text
    return text.rstrip() if strip[1] else text


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
