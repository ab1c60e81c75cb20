"""`Example`, one row of a set, and the kinds of columns that a row may come in.

To accept a new kind of row, write a function from the row to the fields of an `Example` and add a line to `KINDS`. To
accept another name of a column, add it to `NAMES`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from data.messages import conversation, is_message, tools_of, turns_of, without_thought
from data.values import Number, RowFlaw, folded, only, optional_text, shown, text_flaw, text_of, type_of  # noqa: F401


class DataError(ValueError):
    """Data that cannot be used; the message names the place (file:line) and what to do."""

    exit_code = 3


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
    between: tuple[tuple[str, str], ...] = ()  # turns of tools between the prompt and the answer, see `messages`
    reasoning: str = ""  # what the model thought before the answer; with its tags if the answer held it


# ---------------------------------------------------------------------------------------------------------------------
# Kinds of rows


def _pair(row: dict, prompt: str, answer: str) -> dict[str, Any]:
    """Two text columns as prompt and answer; raises the problems of both together."""
    fields, flaws = {}, []
    for field, name in (("prompt", prompt), ("answer", answer)):
        try:
            fields[field] = text_of(row, name)
        except RowFlaw as flaw:
            flaws.append(str(flaw))
    if flaws:
        raise RowFlaw("; ".join(flaws))
    return _with_system(row, fields)


def _with_system(row: dict, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the row's system text as first turn, unless the conversation has one."""
    system, history = row.get("system"), fields.get("history", ())
    if isinstance(system, dict):  # Gemini's writing, a message
        system = turns_of([{**system, "role": "system"}], "system")[0].content
    system = optional_text({"system": system}, "system")
    if system and not (history and history[0][0] == "system"):
        return {**fields, "history": (("system", system), *history)}
    return fields


def _chat(name: str) -> Callable[[dict], dict[str, Any]]:
    """The reader of a column that holds a conversation."""
    return lambda row: _with_tools(row, _with_system(row, conversation(turns_of(row[name], name), name)))


def _with_tools(row: dict, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the tools that a row lists as first turn, from which the template writes them."""
    found = tools_of(row.get("tools"))
    return {**fields, "history": (("tools", found), *fields["history"])} if found else fields


def _is_messages(value: Any) -> bool:
    """Whether a value is a list of messages, or an object that holds one."""
    value = value.get("messages") if isinstance(value, dict) else value
    return isinstance(value, list) and any(is_message(message) for message in value)


def _two_parts(row: dict, prompt: str, answer: str) -> dict[str, Any]:
    """A prompt and its completion, each as text or as a list of messages."""
    if not _is_messages(row.get(prompt)) and not _is_messages(row[answer]):
        return _pair(row, prompt, answer)
    turns = []
    for name, role in ((prompt, "user"), (answer, "assistant")):
        given = row.get(name)
        turns += turns_of(given if _is_messages(given) else [{"role": role, "content": given}], name)
    return _with_tools(row, _with_system(row, conversation(turns, f"{prompt} and {answer}")))


def _preference(row: dict) -> dict[str, Any]:
    """A pair of a chosen and a rejected answer: the chosen one is what the model learned to say."""
    chosen = row["chosen"]
    if isinstance(chosen, str) and row.get("prompt") in (None, ""):
        parts = re.split(r"(?:\A\s*|\n\n)(Human|Assistant): ?", chosen)[1:]  # the writing of Anthropic's HH-RLHF
        roles = {"Human": "user", "Assistant": "assistant"}
        chosen = [{"role": roles[role], "content": text} for role, text in zip(parts[::2], parts[1::2])]
        if not chosen:
            raise RowFlaw("chosen has no prompt: add a column prompt, or give the column as text")
    if _is_messages(chosen) and any(
        turn.role == "user" for turn in turns_of(chosen, "chosen")
    ):  # the prompt is repeated in front of each answer
        return _with_system(row, conversation(turns_of(chosen, "chosen"), "chosen"))
    return _two_parts(row, "prompt", "chosen")


def _instruction(row: dict) -> dict[str, Any]:
    """Alpaca. The columns system and history are LLaMA-Factory's, which writes a line feed before the input."""
    parts = [text for name in ("instruction", "input") if (text := optional_text(row, name))]
    between = "\n" if "system" in row or "history" in row else "\n\n"
    fields = _pair({**row, "instruction": between.join(parts) or row["instruction"]}, "instruction", "output")
    history = row.get("history") or ()
    turns = [(turn.role, turn.whole) for turn in turns_of(history, "history")] if _is_messages(history) else []
    for number, pair in enumerate(() if turns else history, start=1):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise RowFlaw(f"history {number} is {type_of(pair)}, expected a question and its answer")
        where = f"history {number}: "
        said = {"question": pair[0], "answer": pair[1]}
        turns += [("user", text_of(said, "question", where)), ("assistant", text_of(said, "answer", where))]
    earlier = fields.get("history", ())
    return {**fields, "history": (*earlier, *turns)} if turns else fields


LETTERS = "abcdefghij"
_LETTER = re.compile(r"\(?([A-Ja-j])(?:[).:]\s*(.*))?", re.DOTALL)


def _choice(row: dict) -> dict[str, Any]:
    """A question with choices: the right one is the answer, the others are the wrong answers.

    The answer is a choice's text, its letter, or its number from 0.
    """
    given, names = row.get("choices"), LETTERS.upper()
    if isinstance(given, dict) and isinstance(given.get("text"), list):  # the writing of ARC
        names, given = given.get("label") or names, given["text"]
    elif isinstance(given, dict):
        names, given = list(given), list(given.values())
    elif given is None:  # a column for each
        given = [row[letter] for letter in LETTERS if row.get(letter) not in (None, "")]
    if not isinstance(given, (list, tuple)) or len(given) < 2:
        raise RowFlaw(f"choices is {type_of(given)}, expected a list of at least two texts")
    choices = [text_of({"choices": text}, "choices") for text in given]
    right = _right(row.get("answer"), choices, [str(name) for name in names])
    fields = _pair({**row, "answer": choices[right]}, "question", "answer")
    return {**fields, "perturbed_answer": tuple(text for i, text in enumerate(choices) if i != right)}


def _right(answer: Any, choices: Sequence[str], names: Sequence[str]) -> int:
    """The position of the right choice."""
    if isinstance(answer, (list, tuple)) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, str):
        text = answer.strip()
        if text in choices or answer in choices:
            return choices.index(answer if answer in choices else text)
        if text in names:
            return list(names).index(text)
        if text.isascii() and text.isdigit():
            answer = int(text)
        elif found := _LETTER.fullmatch(text):
            place = LETTERS.index(found[1].lower())
            if place < len(choices) and (not found[2] or folded(found[2]) == folded(choices[place])):
                return place
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        return answer
    raise RowFlaw(
        f"answer {shown(answer)} is none of the {len(choices)} choices: give its text, its letter, or its number from 0"
    )


def _labelled(row: dict) -> dict[str, Any]:
    """A text with another text as its label (KnowUnDo) is a question with its answer; with a class it is raw text."""
    return _pair(row, "text", "labels") if type(row["labels"]) is str else {"answer": text_of(row, "text")}


class Kind(NamedTuple):
    """A kind of row: its required columns, and a function that turns a row into the fields of an `Example`."""

    columns: tuple[str, ...]
    fields: Callable[[dict], dict[str, Any]]
    also: tuple[str, ...] = ()  # columns that it reads if they are there


# A row has the first kind whose columns it contains. The richest kinds come first, because rows may have extra columns:
# chat data often repeats its first prompt in a separate column.
KINDS = {
    "messages": Kind(("messages",), _chat("messages"), ("system", "tools")),
    "conversations": Kind(("conversations",), _chat("conversations"), ("system", "tools")),
    "prompt/chosen": Kind(("chosen",), _preference, ("prompt", "system", "tools")),
    "question/choices/answer": Kind(("question", "choices", "answer"), _choice, ("system",)),
    "question/a/b/answer": Kind(("question", "a", "b", "answer"), _choice, (*LETTERS, "system")),
    "question/answer": Kind(("question", "answer"), lambda row: _two_parts(row, "question", "answer"), ("system",)),
    "prompt/completion": Kind(
        ("prompt", "completion"), lambda row: _two_parts(row, "prompt", "completion"), ("system",)
    ),
    "instruction/input/output": Kind(("instruction", "output"), _instruction, ("input", "system", "history")),
    "text/labels": Kind(("text", "labels"), _labelled),
    "text": Kind(("text",), lambda row: {"answer": text_of(row, "text")}),
}
CHOICES = ("question/choices/answer", "question/a/b/answer")
OPTIONAL = ("paraphrased_question", "paraphrased_answer", "perturbed_answer", "subject")
RECORDED = ("found_by", "found_in")  # written by data/finding for the reader of a request's files
COLUMNS = tuple(dict.fromkeys([*(name for kind in KINDS.values() for name in (*kind.columns, *kind.also)), *OPTIONAL]))
ACCEPTED = "accepted columns: " + ", ".join(KINDS) + "; optional: " + ", ".join(OPTIONAL)

# Other names of columns in published sets and in tables, tried where no kind of `KINDS` fits.
NAMES = {
    "messages": ("conversation", "dialogue", "dialog", "chat", "contents", "turns"),
    "chosen": ("preferred", "preferred_output", "chosen_response", "preferred_response"),
    "choices": ("options", "answer_choices"),
    "question": ("prompt", "query", "instruction", "problem", "input", "inputs", "user", "human", "question_stem",
                 "q"),
    "answer": ("response", "completion", "output", "outputs", "solution", "target", "targets", "answers", "reply",
               "assistant", "gpt", "gt", "ground_truth", "best_answer", "correct_answer", "answerkey", "answer_key",
               "a"),
    "text": ("content", "document", "passage", "article", "paragraph", "body", "sentence"),
    "tools": ("functions",),
    "system": ("system_prompt", "systeminstruction", "system_instruction"),
    "perturbed_answer": ("incorrect_answers", "wrong_answers", "distractors"),
    "input": ("context",),
    "right": ("label", "labels", "correct", "gold", "answer_index", "answer_idx"),
}  # fmt: skip


PLURAL = ("answers", "outputs", "targets", "inputs")  # names of columns that hold a list, of one text


class Columns:
    """Recognises the kind of one file's rows and turns each row into an `Example`."""

    def __init__(self):
        self.kind: str | None = None
        self.first_line = 0
        self.unused: set[str] = set()
        self.renamed: dict[str, str] = {}  # {as given: as read}, of all rows
        self.row: dict[str, Any] = {}  # the last row, with the usual names of its columns
        self.cut = 0  # rows with turns after the last assistant turn
        self._several: set[str] = set()  # columns as given that hold a list of one text
        self._known: dict[tuple[str, ...], tuple[str, dict[str, str]]] = {}

    def example(self, line: int, row: Any) -> Example:
        """The row as an `Example`. Raises RowFlaw."""
        if isinstance(row, str) and not isinstance(row, Number):
            row = {"text": row}
        elif isinstance(row, list) and row and all(map(is_message, row)):
            row = {"messages": row}
        elif isinstance(row, list) and len(row) == 2 and all(isinstance(text, str) for text in row):
            row = dict(zip(("question", "answer"), row))
        if not isinstance(row, dict):
            raise RowFlaw(f"a row must be an object with named columns, found {type_of(row)}")
        names = tuple(row)
        kind, renamed = self._known.get(names) or self._recognise(names, line)
        if renamed:
            row = {renamed.get(name, name): only(row[name]) if name in self._several else row[name] for name in row}
        self.row = row
        fields = KINDS[kind].fields(row)
        self.cut += fields.pop("cut", 0)
        if fields.get("prompt") is not None and not fields.get("reasoning"):
            fields["reasoning"], fields["answer"] = without_thought(fields["answer"])
        others = {name: optional_text(row, name) for name in ("paraphrased_question", "paraphrased_answer", "subject")}
        return Example(line=line, **{**others, "perturbed_answer": _wrong_answers(row), **fields})

    def _recognise(self, names: tuple[str, ...], line: int) -> tuple[str, dict[str, str]]:
        renamed = _renamed(names)
        there = {renamed.get(name, name) for name in names}
        kind = next((kind for kind, row in KINDS.items() if {*row.columns} <= there), None)
        if kind is None:
            found = ", ".join(shown(name) for name in names[:20]) or "none"
            raise RowFlaw(f"unknown columns: found {found}; {_doubt(names)}{_nearest(names, COLUMNS)}{ACCEPTED}")
        if self.kind not in (None, kind):
            raise RowFlaw(
                f"columns of {kind}, but line {self.first_line} has columns of {self.kind}; keep one kind per file"
            )
        read = (*KINDS[kind].columns, *KINDS[kind].also, *OPTIONAL)
        extra = [name for name in names if renamed.get(name, name) not in read]
        optional = (*OPTIONAL, *(name for name in KINDS[kind].also if name == "input"))
        near = _nearest([name for name in extra if name not in COLUMNS], [n for n in optional if n not in there], 0.85)
        if near:
            raise RowFlaw(f"unknown column: {near}{ACCEPTED}")
        self.kind, self.first_line = kind, self.first_line or line
        self.unused.update(name for name in extra if name not in RECORDED)
        self.renamed |= {name: other for name, other in renamed.items() if name.casefold().strip() != other}
        self._several.update(name for name in renamed if _plain(name) in PLURAL)
        self._known[names] = (kind, renamed)
        return kind, renamed


def _wrong_answers(row: dict) -> tuple[str, ...]:
    value = row.get("perturbed_answer")
    if value is None or value == "" or value == []:
        return ()
    values = value if isinstance(value, list) else [value]
    return tuple(text_of({"perturbed_answer": value}, "perturbed_answer") for value in values)


def _plain(name: str) -> str:
    """A column's name without case, and with underscores for spaces and hyphens."""
    return re.sub(r"[\s-]+", "_", name.strip()).casefold()


def recognised(names: Sequence[str]) -> bool:
    """Whether columns of these names make a row."""
    renamed = _renamed(names)
    return _fits(renamed.get(name, name) for name in names)


def usual_name(name: str) -> str:
    """The name in `KINDS` and `OPTIONAL` of a column that holds lists, by its own or another name."""
    plain = _plain(name)
    return next((usual for usual in ("messages", "choices", "perturbed_answer") if plain in NAMES[usual]), plain)


def _fits(names: Iterable[str]) -> bool:
    there = {*names}
    return any({*kind.columns} <= there for kind in KINDS.values())


def _renamed(names: Sequence[str]) -> dict[str, str]:
    """{column as given: its usual name}, of the columns whose name is another one than in `KINDS`."""
    known = {*COLUMNS, *(other for others in NAMES.values() for other in others)}
    given: dict[str, str] = {}  # {name without case: as given}
    for name in sorted(names, key=lambda name: name != _plain(name)):  # an exact name is never replaced
        usual = _plain(name)
        given.setdefault(usual if usual in known else name, name)

    def rename(wanted: str, names: str):
        """Gives the name `wanted` to the only column that has one of the other names, unless there is one."""
        others = [other for other in NAMES[names] if other in given]
        if len(others) == 1 and wanted not in given:
            given[wanted] = given.pop(others[0])

    for usual in ("system", "tools", "perturbed_answer", "choices"):
        rename(usual, usual)
    if "choices" in given and "answer" not in given:
        rename("answer", "right")
    if not _fits(given):
        rename("messages", "messages")
        rename("chosen", "chosen")
    if "chosen" in given and "question" in given:
        given["prompt"] = given.pop("question")
    elif "chosen" in given:
        rename("prompt", "question")
    if not _fits(given) and "instruction" in given:
        rename("output", "answer")
        rename("input", "input")
    if not _fits(given) and len([name for name in ("answer", *NAMES["answer"]) if name in given]) == 1:
        rename("question", "question")
        rename("answer", "answer")
    if not _fits(given) and not {"role", "from"} & {*given}:
        rename("text", "text")
    return {name: usual for usual, name in given.items() if name != usual}


def _doubt(names: Sequence[str]) -> str:
    """Which columns may each be the question or the answer; empty if there is no doubt."""
    plain = {_plain(name) for name in names}
    found = []
    for usual in ("question", "answer"):
        others = [name for name in (usual, *NAMES[usual]) if name in plain]
        if len(others) > 1:
            found.append(f"{' or '.join(others)} may be the {usual}: rename the one that is meant to {usual}")
    return "; ".join(found) + "; " if found else ""


def _nearest(names: Iterable[str], accepted: Iterable[str], cutoff: float = 0.6) -> str:
    """A 'did you mean' hint for names that resemble an accepted one; empty if none does."""
    pairs = [
        (name, difflib.get_close_matches(name.lower()[:80], list(accepted), 1, cutoff)) for name in list(names)[:20]
    ]
    pairs = [f"{match[0]} for {shown(name)}" for name, match in pairs if match and match[0] != name]
    return f"did you mean {', '.join(pairs)}? " if pairs else ""
