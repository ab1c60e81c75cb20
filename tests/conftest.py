"""What several test files share."""

import pytest


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The small world of models and files, built once; nobody writes into it."""
    import small_world

    return small_world.build(tmp_path_factory.mktemp("small"))
