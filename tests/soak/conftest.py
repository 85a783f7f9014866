"""A stack of its own for the long tests: what lives for an hour elsewhere lives for a minute here."""

from collections.abc import Iterator

import pytest

from stack import api
from tests.system.conftest import measured, region
from tests.system.world import REGIONS, World

__all__ = ["measured"]

MINUTE = {"ORBITAL_STACK__CERTIFICATE_HOURS": str(1 / 60), "ORBITAL_STACK__SIGNING_DAYS": str(1 / 1440)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seconds", type=float, default=600.0, help="How long the load goes on")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in MINUTE.items():
            patched.setenv(name, value)
        try:
            api.up(place)
            made = World(place)
            made.declare([region(name) for name in REGIONS])
            yield made
        finally:
            api.remove(place)
