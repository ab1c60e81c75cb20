"""`Example`, one row of a set, and the kinds of columns that a row may come in.

To accept a new kind of row, write a function from the row to the fields of an `Example` and add a line to `KINDS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant"}
_TYPES = {bool: "true/false", int: "a number", float: "a number", list: "a list", dict: "an object", type(None): "null"}


class DataError(ValueError):
    """Data that cannot be used; the message names the place (file:line) and what to do."""

    exit_code = 3


class RowFlaw(Exception):
    """A problem in one row; the caller adds file and line."""


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a forget, retain or holdout set."""

    answer: str  # the text that carries the loss (raw text: all of it)
    prompt: str | None = None  # the question; None: raw text
    history: tuple[tuple[str, str], ...] = ()  # earlier turns (role, content), including a system turn
    paraphrased_question: str | None = None
    paraphrased_answer: str | None = None
    perturbed_answer: tuple[str, ...] = ()  # wrong answers in the same form
    subject: str | None = None  # the person or topic: groups rows for splits and intervals
    line: int = 0  # 1-based line (or row) in its file, for messages
    chat: bool = False  # came as chat messages, which need a chat template


# ---------------------------------------------------------------------------------------------------------------------
# Values


def shown(value: Any) -> str:
    """A short, printable form of a data value, for messages."""
    text = repr(value)
    return text if len(text) <= 60 else text[:56] + "...'"


def folded(text: str) -> str:
    """The text case-folded and with single spaces, for comparisons."""
    return " ".join(text.casefold().split())


def text_flaw(text: str) -> str | None:
    """The reason why `text` is unusable (empty or impossible to tokenise), or None."""
    if not text.strip():
        return "is empty"
    if "\0" in text:
        return "contains a NUL character"
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return "contains a lone surrogate, which is not a character"
    return None


def _type(value: Any) -> str:
    return "text" if isinstance(value, str) else _TYPES.get(type(value), type(value).__name__)


def _text(row: dict, name: str, where: str = "") -> str:
    value = row.get(name)
    if type(value) is not str:
        raise RowFlaw(f"{where}{name} is {_type(value)}, expected text")
    if flaw := text_flaw(value):
        raise RowFlaw(f"{where}{name} {flaw}")
    return value


def _optional(row: dict, name: str) -> str | None:
    return None if row.get(name) in (None, "") else _text(row, name)


def _wrong_answers(row: dict) -> tuple[str, ...]:
    value = row.get("perturbed_answer")
    if value in (None, "", []):
        return ()
    values = value if isinstance(value, list) else [value]
    return tuple(_text({"perturbed_answer": value}, "perturbed_answer") for value in values)


# ---------------------------------------------------------------------------------------------------------------------
# Kinds of rows


def _pair(row: dict, prompt: str, answer: str) -> dict[str, Any]:
    """Two text columns as prompt and answer; raises the problems of both together."""
    fields, flaws = {}, []
    for field, name in (("prompt", prompt), ("answer", answer)):
        try:
            fields[field] = _text(row, name)
        except RowFlaw as flaw:
            flaws.append(str(flaw))
    if flaws:
        raise RowFlaw("; ".join(flaws))
    return fields


def _turns(value: Any, name: str) -> list[tuple[str, str]]:
    """(role, content) of each message, given as {"role", "content"} or as ShareGPT's {"from", "value"}."""
    if not isinstance(value, list) or not value:
        kind = "an empty list" if value == [] else _type(value)
        raise RowFlaw(f"{name} is {kind}, expected a list of messages")
    turns = []
    for number, message in enumerate(value, start=1):
        where = f"{name} {number}: "
        if not isinstance(message, dict):
            raise RowFlaw(f"{where}is {_type(message)}; expected an object with role and content")
        keys = ("from", "value") if "from" in message and "role" not in message else ("role", "content")
        role = _text(message, keys[0], where)
        role = ROLES.get(role, role)
        if role not in ("system", "user", "assistant"):
            raise RowFlaw(f"{where}role {shown(role)} is not system, user or assistant")
        turns.append((role, _text(message, keys[1], where)))
    return turns


def _chat(turns: list[tuple[str, str]], name: str) -> dict[str, Any]:
    """Fields of a conversation: the last assistant turn is the answer and carries the loss."""
    last = max((i for i, (role, _) in enumerate(turns) if role == "assistant"), default=0)
    if last == 0 or turns[last - 1][0] != "user":
        raise RowFlaw(f"{name} needs an assistant turn, with a user turn directly before the last one")
    if any(role == "system" for role, _ in turns[1:]):
        raise RowFlaw(f"{name} has a system turn that is not the first")
    return {"answer": turns[last][1], "prompt": turns[last - 1][1], "history": tuple(turns[: last - 1]), "chat": True}


def _prompt_completion(row: dict) -> dict[str, Any]:
    """TRL's prompt/completion: both text, or both lists of messages."""
    if not isinstance(row["prompt"], list) and not isinstance(row["completion"], list):
        return _pair(row, "prompt", "completion")
    turns = _turns(row["prompt"], "prompt") + _turns(row["completion"], "completion")
    return _chat(turns, "prompt and completion")


def _instruction(row: dict) -> dict[str, Any]:
    added = _optional(row, "input")
    fields = _pair(row, "instruction", "output")
    return {**fields, "prompt": f"{fields['prompt']}\n\n{added}"} if added else fields


class Kind(NamedTuple):
    """A kind of row: its required columns, and a function that turns a row into the fields of an `Example`."""

    columns: tuple[str, ...]
    fields: Callable[[dict], dict[str, Any]]


# A row has the first kind whose columns it contains. The richest kinds come first, because rows may have extra columns:
# chat data often repeats its first prompt in a separate column.
KINDS = {
    "messages": Kind(("messages",), lambda row: _chat(_turns(row["messages"], "messages"), "messages")),
    "conversations": Kind(
        ("conversations",), lambda row: _chat(_turns(row["conversations"], "conversations"), "conversations")
    ),
    "question/answer": Kind(("question", "answer"), lambda row: _pair(row, "question", "answer")),
    "prompt/completion": Kind(("prompt", "completion"), _prompt_completion),
    "instruction/input/output": Kind(("instruction", "output"), _instruction),
    "text": Kind(("text",), lambda row: {"answer": _text(row, "text")}),
}
OPTIONAL = ("paraphrased_question", "paraphrased_answer", "perturbed_answer", "subject", "input")
RECORDED = ("found_by", "found_in")  # written by data/finding for the reader of a request's files
COLUMNS = tuple(dict.fromkeys([*(name for kind in KINDS.values() for name in kind.columns), *OPTIONAL]))
ACCEPTED = "accepted columns: " + ", ".join(KINDS) + "; optional: " + ", ".join(OPTIONAL[:-1])


class Columns:
    """Recognises the kind of one file's rows and turns each row into an `Example`."""

    def __init__(self):
        self.kind: str | None = None
        self.first_line = 0
        self.unused: set[str] = set()
        self.cut = 0  # rows with turns after the last assistant turn
        self._known: dict[tuple[str, ...], str] = {}

    def example(self, line: int, row: Any) -> Example:
        """The row as an `Example`. Raises RowFlaw."""
        if not isinstance(row, dict):
            raise RowFlaw(f"a row must be an object with named columns, found {_type(row)}")
        names = tuple(row)
        kind = self._known.get(names) or self._recognise(names, line)
        fields = KINDS[kind].fields(row)
        if kind in ("messages", "conversations") and len(row[kind]) > len(fields["history"]) + 2:
            self.cut += 1
        return Example(
            line=line,
            paraphrased_question=_optional(row, "paraphrased_question"),
            paraphrased_answer=_optional(row, "paraphrased_answer"),
            perturbed_answer=_wrong_answers(row),
            subject=_optional(row, "subject"),
            **fields,
        )

    def _recognise(self, names: tuple[str, ...], line: int) -> str:
        kind = next((kind for kind, row in KINDS.items() if set(row.columns) <= set(names)), None)
        if kind is None:
            found = ", ".join(shown(name) for name in names[:20]) or "none"
            raise RowFlaw(f"unknown columns: found {found}; {_nearest(names, COLUMNS)}{ACCEPTED}")
        if self.kind not in (None, kind):
            raise RowFlaw(
                f"columns of {kind}, but line {self.first_line} has columns of {self.kind}; keep one kind per file"
            )
        extra = [name for name in names if name not in KINDS[kind].columns and name not in OPTIONAL]
        near = _nearest([name for name in extra if name not in COLUMNS], [n for n in OPTIONAL if n not in names], 0.85)
        if near:
            raise RowFlaw(f"unknown column: {near}{ACCEPTED}")
        self.kind, self.first_line = kind, self.first_line or line
        self.unused.update(name for name in extra if name not in RECORDED)
        self._known[names] = kind
        return kind


def _nearest(names: Iterable[str], accepted: Iterable[str], cutoff: float = 0.6) -> str:
    """A 'did you mean' hint for names that resemble an accepted one; empty if none does."""
    pairs = [
        (name, difflib.get_close_matches(name.lower()[:80], list(accepted), 1, cutoff)) for name in list(names)[:20]
    ]
    pairs = [f"{match[0]} for {shown(name)}" for name, match in pairs if match and match[0] != name]
    return f"did you mean {', '.join(pairs)}? " if pairs else ""
