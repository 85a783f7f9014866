"""One whole stack for the suite of transports; the long tests of each path, one path after the other."""

from collections.abc import Iterator

import pytest

from bench.paths import PATHS
from tests.system.conftest import measured, pytest_addoption, world
from tests.system.transport import switch
from tests.system.world import World

__all__ = ["measured", "pytest_addoption", "world"]


@pytest.fixture(scope="module", params=PATHS)
def transport(request: pytest.FixtureRequest, world: World) -> Iterator[str]:
    """The path by which tasks of lanes 1 and 2 come to both regions."""
    switch(world, request.param)
    yield request.param
    switch(world, "stream")
