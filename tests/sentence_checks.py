"""For tests of sentences: numbers read from a text, values around a gate, and the templates in a function's source."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap

NUMBER = r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?"
TINY = 1e-7
NOISE = 1e-13  # the rounding of a sum: no gate may see it
SHORTEST = 3  # words in a text that counts as a template


def value(text: str) -> float:
    return float(text.replace(",", ""))


def around(gate: float) -> tuple:
    """Just below, at and just above a gate, and farther away."""
    return (
        gate - 0.01,
        gate - 0.004,
        gate - TINY,
        gate - NOISE,
        gate,
        gate + NOISE,
        gate + TINY,
        gate + 0.004,
        gate + 0.01,
    )


def numbers_in(text: str) -> list[str]:
    """The numbers of a text as they are written."""
    return re.findall(rf"(?<![\w.])[-+]?{NUMBER.removeprefix('[-+]?')}", text)


def rounds(text: str, true: float) -> bool:
    """Whether a number as written is the true one, up to half of its last digit."""
    mantissa, _, power = text.replace(",", "").partition("e")
    last = 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
    return abs(value(text) - true) <= last * (0.5 + 1e-6) + 1e-9


def tells(text: str, *true: float | None) -> list[float]:
    """The true numbers that a text writes neither as they are nor as percent."""
    written = numbers_in(text)
    return [x for x in true if x is not None and not any(rounds(n, x) or rounds(n, 100 * x) for n in written)]


def templates(*functions) -> dict[str, str]:
    """{template: function} of the texts of several words in the source of functions, as patterns."""
    found: dict[str, str] = {}
    for function in functions:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
        notes = {id(node.body[0].value) for node in ast.walk(tree) if hasattr(node, "body") and _documented(node)}
        inner = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, (ast.JoinedStr, ast.Constant)) and node not in inner:
                parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                texts = [part.value if isinstance(part, ast.Constant) else None for part in parts]
                words = " ".join(str(text) for text in texts if isinstance(text, str)).split()
                if len(words) >= SHORTEST and id(node) not in notes:
                    pattern = "".join(".*?" if text is None else re.escape(str(text)) for text in texts)
                    found[pattern] = function.__qualname__
    return found


def _documented(node) -> bool:
    return isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None


def unsaid(said: list[str], *functions) -> dict[str, str]:
    """The templates of functions that none of these texts shows: they have no case."""
    shapes = "\n".join({re.sub(r"\d+", "0", text) for text in said})
    wanted = {re.sub(r"\d+", "0", text): name for text, name in templates(*functions).items()}
    return {text: name for text, name in wanted.items() if not re.search(text, shapes, re.IGNORECASE)}
