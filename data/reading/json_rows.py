"""Rows of .json and .jsonl files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from data.columns import shown
from data.reading.lines import Problems, Rows, Unreadable, lines

_SPACE = re.compile(r"[ \t\r\n]*")


class Json:
    """A JSON decoder that reports flaws that the standard one silently accepts: repeated keys, NaN, Infinity."""

    def __init__(self):
        self.flaws: list[str] = []
        self.decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)

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
    """(line, value) of each element of a JSON array, or of a single object. The whole text is in memory."""
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
        closed = not is_array or mark == "]"
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
    """Rows of a .json or .jsonl file. Both may hold an array or one object per line; a note names the unusual form."""
    first = next(((number, text) for number, text in lines(path, problems) if text.strip(" \t\r\n")), None)
    if first is None:
        return
    opening = first[1].lstrip(" \t\r\n")
    one_line = not opening.startswith("[") and (path.suffix.lower() == ".jsonl" or _is_json(opening))
    if one_line:
        if path.suffix.lower() == ".json":
            notes.append(f"{problems.name} holds one JSON object per line (JSONL) and was read as such")
        yield from _json_lines(lines(path, problems), problems)
        return
    if path.suffix.lower() == ".jsonl":
        notes.append(f"{problems.name} holds a JSON array and was read as such")
    yield from _json_document("".join(text for _, text in lines(path, problems)), problems)


def _is_json(text: str) -> bool:
    try:
        _, end, _ = Json().decode(text)
    except ValueError:
        return False
    return not text[end:].strip(" \t\r\n")
