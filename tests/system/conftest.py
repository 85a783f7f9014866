"""One whole stack for all tests of this folder: every part is real."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from orbital.v1.resource_pb2 import RegionSpec, Resource

from stack import api
from tests.system.world import REGIONS, World


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", help="Use the stack that runs in this directory, and leave it running")


def region(name: str) -> Resource:
    """As in examples/estate.yaml, which one of the tests applies."""
    area = name.rstrip("0123456789")
    labels = {"area": area, "tier": "production", "cloud": "private"}
    return Resource(name=f"regions/{name}", labels=labels, region=RegionSpec(area=area))


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    running = request.config.getoption("--stack", default=None)
    place = Path(running) if running else tmp_path_factory.mktemp("stack")
    try:
        api.up(place)
        world = World(place)
        world.declare([region(name) for name in REGIONS])
        yield world
    finally:
        if not running:
            api.remove(place)
