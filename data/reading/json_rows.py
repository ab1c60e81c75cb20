"""Rows of .json and .jsonl files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any

from data.columns import recognised
from data.messages import is_message
from data.reading.lines import Problems, Rows, Unreadable, lines
from data.values import Number, shown

_SPACE = re.compile(r"[ \t\r\n]*")


class Json:
    """A JSON decoder that reports flaws that the standard one silently accepts: repeated keys, NaN, Infinity."""

    def __init__(self):
        self.flaws: list[str] = []
        self.decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=self._constant, parse_float=Number
        )

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) != len(pairs):
            repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
            self.flaws += [f"duplicate key {shown(name)}" for name in repeated]
        return row

    def _constant(self, name: str) -> None:
        self.flaws.append(f"{name} is not JSON")

    def decode(self, text: str, start: int = 0) -> tuple[Any, int, list[str]]:
        """(value, end, flaws) of the JSON value at `start`. Raises ValueError if there is none."""
        self.flaws = []
        try:
            value, end = self.decoder.raw_decode(text, start)
        except RecursionError:
            raise ValueError("JSON is nested too deeply") from None
        return value, end, self.flaws


def _syntax(error: ValueError, text: str) -> tuple[int, str]:
    """(lines before the error, message with column) of a JSON error in `text`."""
    if not isinstance(error, json.JSONDecodeError):
        return 0, str(error)
    before = text[: error.pos].rstrip()
    comma = before.endswith(",") and text[error.pos : error.pos + 1] in ("}", "]", '"', "")
    hint = " (trailing comma?)" if comma or "trailing comma" in error.msg else ""
    return error.lineno - 1, f"malformed JSON, col {error.colno}: {error.msg}{hint}"


def _json_lines(numbered: Iterable[tuple[int, str]], problems: Problems) -> Rows:
    """(line, value) of each non-blank line."""
    reader = Json()
    for number, text in numbered:
        start = _SPACE.match(text).end()
        if start == len(text):
            continue
        try:
            value, end, flaws = reader.decode(text, start)
            rest = _SPACE.match(text, end).end()
            if rest != len(text):
                flaws = [f"malformed JSON, col {rest + 1}: extra text after the row; one row per line"]
        except ValueError as error:
            flaws = [_syntax(error, text)[1]]
        for flaw in flaws:
            problems.add(number, flaw)
        if not flaws:
            yield number, value


def _json_document(text: str, problems: Problems) -> Rows:
    """(line, value) of each element of a JSON array, or of objects one after another. The whole text is in memory."""
    reader, line, counted = Json(), 1, 0
    position = _SPACE.match(text).end()
    is_array = text[position : position + 1] == "["
    position = _SPACE.match(text, position + is_array).end()
    closed = is_array and text[position : position + 1] == "]"
    position += closed
    while not closed:
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, position, flaws = reader.decode(text, position)
        except ValueError as error:
            before, message = _syntax(error, text)
            problems.add(before + 1 if before else line, message)
            raise Unreadable from None
        for flaw in flaws:
            problems.add(line, flaw)
        if not flaws:
            yield line, value
        position = _SPACE.match(text, position).end()
        mark = text[position : position + 1]
        closed = mark == "]" if is_array else mark != "{"  # objects may follow one another
        if is_array and mark not in ("]", ","):
            problems.add(line + text.count("\n", counted, position), "malformed JSON: ',' or ']' expected after a row")
            raise Unreadable
        position = _SPACE.match(text, position + is_array).end() if position < len(text) else position
        if is_array and mark == "," and text[position : position + 1] == "]":
            problems.add(line + text.count("\n", counted, position), "malformed JSON: trailing comma")
            raise Unreadable
    if _SPACE.match(text, position).end() != len(text):
        problems.add(1 + text.count("\n", 0, position), "malformed JSON: extra text after the end of the data")


def read_json(path: Path, problems: Problems, notes: list[str]) -> Rows:
    """Rows of a .json or .jsonl file. Both may hold an array or one object per line; a note names the unusual form.

    A single object may hold the rows: in a list, in an object by number or name, or in lists by column. An array of the
    messages of one conversation is one row.
    """
    head = [text for _, text in islice((row for row in lines(path, problems) if row[1].strip(" \t\r\n")), 2)]
    if not head:
        return
    opening = head[0].lstrip(" \t\r\n")
    by_line = path.suffix.lower() != ".json"
    if opening.startswith("["):  # a list in each of several lines
        one_line = len(head) > 1 and all(text.lstrip(" \t\r\n").startswith("[") and _is_json(text) for text in head)
    else:
        one_line = by_line or (_is_json(opening) and len(head) > 1)
    if one_line:
        if path.suffix.lower() == ".json":
            notes.append(f"{problems.name} holds one JSON object per line (JSONL) and was read as such")
        yield from _json_lines(lines(path, problems), problems)
        return
    if by_line and opening.startswith("["):
        notes.append(f"{problems.name} holds a JSON array and was read as such")
    rows = _json_document("".join(text for _, text in lines(path, problems)), problems)
    head = list(islice(rows, 2))
    if not opening.startswith("[") and len(head) == 1 and isinstance(head[0][1], dict):
        head = list(_rows_within(*head[0], problems, notes))
    elif head and opening.startswith("[") and is_message(head[0][1]):
        head = [(head[0][0], [value for _, value in (*head, *rows)])]
    yield from chain(head, rows)


def _rows_within(line: int, value: dict, problems: Problems, notes: list[str]) -> Rows:
    """The rows that a single object holds; the object itself if it is a row."""
    columns = [item for item in value.values() if isinstance(item, (list, dict))]
    if recognised(tuple(value)):
        if len(columns) == len(value) and len({len(item) for item in columns}) == 1 and not _is_row(value):
            parts = [item.values() if isinstance(item, dict) else item for item in columns]
            yield from ((line, dict(zip(value, cells))) for cells in zip(*parts))  # a list for each column
        else:
            yield line, value
        return
    sets = {name: item for name, item in value.items() if isinstance(item, list) and item and _all(dict, item)}
    if len(sets) > 1 and "train" not in sets:
        problems.add(line, f"holds several sets ({', '.join(map(shown, sets))}): give each in a file of its own")
    elif sets:
        name = "train" if "train" in sets else next(iter(sets))
        notes.append(f"{problems.name}: the rows in {shown(name)} were read")
        rows = sets[name]
        yield from ((line, row["row"] if isinstance(row.get("row"), dict) else row) for row in rows)
    elif value and _all(dict, value.values()) and all(recognised(tuple(row)) for row in value.values()):
        yield from ((line, row) for row in value.values())  # an object for each row, by its name
    else:
        yield line, value


def _is_row(value: dict) -> bool:
    """Whether the lists of an object are conversations and choices of one row, not columns of many."""
    return any(isinstance(item, list) and item and _all(dict, item) for item in value.values())


def _all(kind: type, items: Iterable) -> bool:
    return all(isinstance(item, kind) for item in items)


def _is_json(text: str) -> bool:
    try:
        _, end, _ = Json().decode(text, _SPACE.match(text).end())
    except ValueError:
        return False
    return not text[end:].strip(" \t\r\n")
