"""Objects from the user's own Python files, named on the command line as file.py:NAME.

The file is run like any script of the user's. So only a flag names it, and no file that a run wrote does.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple

from models.store.folders import ModelError


class Own(NamedTuple):
    """An object of a user's file: the object, its name, the file's absolute path and its SHA-256."""

    value: Any
    name: str
    path: Path
    code: str

    @property
    def source(self) -> str:
        """FILE:NAME with the absolute path."""
        return f"{self.path}:{self.name}"


def sources(value) -> list[str]:
    """The sources of a flag that may be given several times: a list, or text with one a line."""
    given = value.splitlines() if isinstance(value, str) else value if isinstance(value, list) else []
    return [source.strip() for source in given if isinstance(source, str) and source.strip()]


def given(argv: list[str], flag: str) -> list[str]:
    """The values of a flag in a command line, before the parser exists that knows all flags."""
    pairs = [word.partition("=") for word in argv]
    alone = [value for word, value in itertools.pairwise(argv) if word == f"--{flag}"]
    return [*alone, *(value for name, equals, value in pairs if name == f"--{flag}" and equals)]


def read(source: str, flag: str) -> Own:
    """The object `source`, such as "mine.py:MINE". Raises ModelError (2) that names the flag and the cure."""
    file, colon, name = source.rpartition(":")
    source = source if len(source) <= 300 else f"{source[:300]}..."
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise ModelError(f"--{flag} {source}: give a Python file and a name in it, such as mine.py:NAME", 2)
    path = Path(os.path.expanduser(file)).absolute()
    try:
        code = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:  # missing, a folder, a NUL in the name
        raise ModelError(f"--{flag} {source}: {getattr(error, 'strerror', None) or error}", 2) from None
    module = _module(path, code, f"--{flag} {source}")
    if not hasattr(module, name):
        known = ", ".join(found for found in vars(module) if not found.startswith("_")) or "nothing"
        raise ModelError(f"--{flag} {source}: {file} has no {name}; it has {known}", 2)
    return Own(getattr(module, name), name, path, code)


def _module(path: Path, code: str, what: str):
    """The file as a module; the same content is run once."""
    title = f"own_code_{hashlib.sha256(f'{path}{code}'.encode()).hexdigest()[:16]}"
    if title in sys.modules:
        return sys.modules[title]
    spec = importlib.util.spec_from_file_location(title, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module  # dataclasses look their module up while it is being run
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last: a file beside it may be imported, and hides nothing
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[title]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = getattr(error, "lineno", None) or (lines or ["?"])[-1]
        raise ModelError(f"{what}: {path.name}:{line}: {type(error).__name__}: {error}", 2) from None
    return module
