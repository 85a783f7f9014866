"""One private PostgreSQL for all workers, and how many seeds are tried."""

from collections.abc import Iterator

import pytest

from stack import api
from tests.simulation.pool import Place


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=200, help="How many schedules are simulated")
    parser.addoption("--first-seed", type=int, default=0, help="The seed of the first one")
    parser.addoption("--bug-seeds", type=int, default=60, help="Within how many schedules a planted bug is found")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    data = tmp_path_factory.mktemp("simulation")
    try:
        yield Place.start(data)
    finally:
        api.remove(data)
