"""The lines of a file, and its problems, which are raised together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.columns import DataError

PROBLEMS_SHOWN = 20
Rows = Iterator[tuple[int, Any]]  # (line, row as read) of one file


class Problems:
    """Collects the problems of one file and raises them together."""

    def __init__(self, name: str):
        self.name, self.found = name, []

    def add(self, line: int | None, text: str) -> None:
        """Records one problem. Raises at the 20th, because a wrong file has one in every row."""
        self.found.append(f"{self.name}:{line}: {text}" if line else f"{self.name}: {text}")
        if len(self.found) >= PROBLEMS_SHOWN:
            self.found.append("only the first problems are shown")
            self.check()

    def check(self) -> None:
        """Raises DataError if there is any problem."""
        if len(self.found) == 1:
            raise DataError(self.found[0])
        if self.found:
            count = min(len(self.found), PROBLEMS_SHOWN)
            raise DataError(f"{count} problems in {self.name}\n  " + "\n  ".join(self.found))


class Unreadable(Exception):
    """The rest of a file cannot be read; its Problems say why."""


def lines(path: Path, problems: Problems) -> Iterator[tuple[int, str]]:
    """(number, line) of a UTF-8 file. Splits only at line feeds, because a text may contain other separators."""
    offset = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                hint = " (looks like UTF-16)" if number == 1 and raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
                place = f"not UTF-8, byte offset {offset + error.start}"
                problems.add(number, f"{place}{hint}; save the file as UTF-8")
                raise Unreadable from None
            if "\0" in text:
                problems.add(number, f"NUL byte at byte offset {offset + raw.index(0)}; is it a text file?")
                raise Unreadable
            yield number, text[1:] if number == 1 and text.startswith("\ufeff") else text
            offset += len(raw)


def short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
