"""What several test files share."""

import datetime
import os

import pytest

# The models of the tests are too small to share among cores. Each of the two workers computes on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Read before the workers start, so that both name the same part of the models, at midnight too.
os.environ.setdefault("EVERY_MODEL_SEED", str(datetime.date.today().toordinal()))

# the fixtures project, queue and desk; known, splits, evaluation and spoken
pytest_plugins = ["page_room", "attack_room"]


def pytest_make_parametrize_id(config, val, argname):
    """Bytes name no test: a packed file holds the second it was packed in, and two workers must name it alike."""
    return argname if isinstance(val, bytes) else None


def pytest_addoption(parser):
    parser.addoption("--every_model", action="store_true", help="check every causal LM of transformers, not a part")


def every_model_seed() -> int:
    """The seed of a run's part of tests/test_every_model.py: EVERY_MODEL_SEED, by default the date."""
    return int(os.environ["EVERY_MODEL_SEED"])


def pytest_terminal_summary(terminalreporter, config):
    reports = [report for found in terminalreporter.stats.values() for report in found]
    if any("test_every_model" in getattr(report, "nodeid", "") for report in reports):
        part = "all" if config.getoption("--every_model") else f"a part, EVERY_MODEL_SEED={every_model_seed()}"
        terminalreporter.write_line(f"causal language models of transformers: {part}")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The small world of models and files, built once; nobody writes into it."""
    import small_world

    return small_world.build(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def browser():
    """A real browser; without one its tests are skipped and say so."""
    import browsing

    try:
        with browsing.started() as browser:
            yield browser
    except LookupError as reason:
        pytest.skip(str(reason))
