"""The values of a row: text, numbers that stand for text, and what is wrong with a value."""

from __future__ import annotations

import decimal
from typing import Any

_TYPES = {bool: "true/false", list: "a list", tuple: "a list", dict: "an object", type(None): "null"}


class RowFlaw(Exception):
    """A problem in one row; the caller adds file and line."""


class Number(str):
    """A decimal number of a JSON file, as it was written: 1.50 is not 1.5."""


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


def type_of(value: Any) -> str:
    """The kind of a value, in words."""
    return "text" if isinstance(value, str) else _TYPES.get(type(value), type(value).__name__)


def written(value: Any) -> Any:
    """A number as text, as it was written; every other value unchanged."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, float) and value != value:
        return None  # tables write a missing text as not-a-number
    is_number = isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool)
    return str(value) if is_number else value


def only(value: Any) -> Any:
    """The item of a list whose items are all equal, also of SQuAD's {"text": [...]}; every other value unchanged."""
    if isinstance(value, dict) and isinstance(value.get("text"), (list, tuple)):
        value = value["text"]
    same = isinstance(value, (list, tuple)) and value and all(item == value[0] for item in value)
    return value[0] if same else value


def text_of(row: dict, name: str, where: str = "", empty: bool = False) -> str:
    """The text of a column. Raises RowFlaw.

    A number counts as text. empty: whether a text without characters is one.
    """
    value = row.get(name)
    if isinstance(value, dict):
        value = value.get("text", value.get("value", value))  # "value": TriviaQA
    value = written(value)
    if type(value) is not str:
        cure = ": write the word that the model says" if isinstance(value, bool) else ""
        several = ": give one text, the others in a column of their own" if isinstance(value, (list, tuple)) else ""
        raise RowFlaw(f"{where}{name} is {type_of(value)}, expected text{cure or several}")
    if (flaw := text_flaw(value)) and not (empty and not value.strip()):
        raise RowFlaw(f"{where}{name} {flaw}")
    return value


def optional_text(row: dict, name: str) -> str | None:
    """The text of a column, None where it is missing or empty."""
    value = written(row.get(name))
    return None if value is None or value == "" or value == [] else text_of(row, name)
