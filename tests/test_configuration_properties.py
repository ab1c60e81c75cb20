"""Properties of the configuration: any input becomes a complete configuration or is refused in words.

CONFIGURATION_CASES=10000 pytest tests/test_configuration_properties.py     # the default is 200
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import unlearning_script
from unlearning_script import OPTIONS, UsageError

CASES = settings(
    max_examples=int(os.environ.get("CONFIGURATION_CASES", "200")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
FOLDER = tempfile.TemporaryDirectory(prefix="configuration-")

texts = st.text(st.characters(codec=None), max_size=20)  # surrogates and NUL included
numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 1, 10**400, "1e400", "9" * 5000, "1e-5", "nan", "-0"])
words = st.sampled_from(
    ["", "none", "all", "true", "maybe", "latest", "npo", "idk", "auto", "gradient", "10m", "a,b", "~x", "..", "/"]
)
plain = st.none() | st.booleans() | numbers | words | texts | st.dates() | st.binary(max_size=5)
values = plain | st.lists(plain, max_size=3) | st.dictionaries(texts, plain, max_size=2)
names = st.sampled_from([*OPTIONS])
mappings = st.dictionaries(names, values, max_size=8) | st.dictionaries(names | texts | numbers, values, max_size=4)


def good(name: str):
    """Values that an option may accept, so that later checks run too."""
    option = OPTIONS[name]
    if option.choices:
        return st.sampled_from(option.choices)
    return {bool: st.booleans(), int: st.integers(1, 9), float: st.floats(0.01, 0.9), str: words}[option.kind]


almost = st.fixed_dictionaries({}, optional={name: good(name) for name in OPTIONS})


@pytest.mark.hardening(40, 43, 44)
@CASES
@given(mappings | almost)
@example({"eval_steps": 10**400})
def test_any_settings_resolve_or_are_refused_in_words(settings):
    try:
        config = unlearning_script.resolve(settings)
    except UsageError as error:
        assert str(error).strip() and error.exit_code == 2
        assert all(len(line) < 2000 for line in str(error).splitlines())
    else:
        assert set(OPTIONS) - {n for n, o in OPTIONS.items() if o.group in ("training", "method", "search")} <= set(
            config
        )
        json.dumps(config, ensure_ascii=False, allow_nan=False).encode("utf-8")


def tree(value) -> str:
    """The value as YAML, which JSON is."""
    return json.dumps(value, default=str)


documents = (mappings.map(tree) | texts | st.text("{}[]:,-&*!|>'\"%@`#? \n\tab01", max_size=40)).map(
    lambda text: text.encode("utf-8", "surrogatepass")
) | st.binary(max_size=60)


@pytest.mark.hardening(40, 44)
@CASES
@given(documents)
def test_any_config_file_is_read_or_refused_in_words(content):
    path = Path(FOLDER.name) / "config.yaml"
    path.write_bytes(content)
    try:
        settings = unlearning_script.read_config_file(str(path))
    except UsageError as error:
        assert "config.yaml" in str(error)
    else:
        assert set(settings) <= set(OPTIONS)
        with contextlib.suppress(UsageError):
            unlearning_script.resolve(settings)


@pytest.mark.hardening(44, 56)
@CASES
@given(st.lists(texts | st.tuples(names, texts | words).map(lambda pair: f"--{pair[0]}={pair[1]}"), max_size=4))
def test_any_arguments_parse_or_are_refused_in_words(argv):
    with contextlib.redirect_stderr(None), contextlib.redirect_stdout(None):
        try:
            flags = vars(unlearning_script.parse(argv))
        except (UsageError, SystemExit) as refused:  # argparse exits by itself for --help and a missing value
            assert getattr(refused, "exit_code", None) == 2 or refused.code in (0, 2)
            return
    for word in argv:
        if word.startswith("--") and "=" in word:
            assert flags[word[2:].split("=", 1)[0]] is not None
