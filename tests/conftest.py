"""What every test run begins with, and the one stack that the suites of a whole system share."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Its plugin imports it when a run ends, where CPython 3.11 may fail to parse a module while it collects garbage.
import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.system.flags import Record
    from tests.system.world import World

log = logging.getLogger(__name__)

# How long one example takes says how busy the machine is.
hypothesis.settings.register_profile("orbital", deadline=None)
hypothesis.settings.load_profile("orbital")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", help="Use the stack that runs in this directory, and leave it running")
    parser.addoption("--minutes", type=float, default=2.0, help="How long hostile things are sent")
    parser.addoption("--seed", type=int, default=1, help="What they are drawn from")


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator["World"]:
    """A stack of two regions of which every part is real, for all suites of a run."""
    # Unit tests need none of it.
    from stack import api
    from tests.system.world import REGIONS, World, declared_region

    running = request.config.getoption("--stack", default=None)
    place = Path(running) if running else tmp_path_factory.mktemp("stack")
    try:
        api.up(place)
        world = World(place)
        world.declare([declared_region(name) for name in REGIONS])
        yield world
    finally:
        if not running:
            api.remove(place)


@pytest.fixture
def measured(record_property: Callable[[str, object], None], request: pytest.FixtureRequest) -> "Record":
    """Keeps a time with the test's result, and shows it under `pytest --log-cli-level=INFO`."""

    def record(what: str, seconds: float) -> None:
        record_property(what, round(seconds, 2))
        log.info("%s: %s after %.2f s", request.node.name, what, seconds)

    return record
