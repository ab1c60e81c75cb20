"""What several test files share."""

import os

import pytest

# The models of the tests are too small to share among cores. Each of the two workers computes on one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["page_room"]  # the fixtures project, queue and desk


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
