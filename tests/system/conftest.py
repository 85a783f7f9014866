"""One whole stack for all tests of this folder: every part is real."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from orbital.v1.resource_pb2 import RegionSpec, Resource

from stack import api
from tests.system.flags import Record
from tests.system.world import REGIONS, World

log = logging.getLogger(__name__)

# They share one stack: first what shows that it works, last what leaves it altered. A file that is not named runs
# between the two.
FIRST = (
    "flow", "identities", "lost_key_versions", "certificate_rotation", "region_revocation", "root_rotation", "input",
    "overload", "database_faults", "killed_parts", "flags", "injected_flags", "parked_tasks", "decommission", "proofs",
    "tenant_restore",
)  # fmt: skip
LAST = (
    "edge", "customer_kms", "signatures", "audit_trail", "policy_lifecycle", "region_verify", "broker_policy",
    "clock_offset", "paused_processes", "no_key_material_written", "restored_database",
    "transports", "restored_region", "hostile_input",
)  # fmt: skip
RANK = {name: rank - len(FIRST) for rank, name in enumerate(FIRST)} | {name: 1 + at for at, name in enumerate(LAST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = [place for place, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    ours = sorted(
        (items[place] for place in places), key=lambda item: RANK.get(item.path.stem.removeprefix("test_"), 0)
    )
    for place, item in zip(places, ours, strict=True):
        items[place] = item


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


@pytest.fixture
def measured(record_property: Callable[[str, object], None], request: pytest.FixtureRequest) -> Record:
    """Keeps a time with the test's result, and shows it under `pytest --log-cli-level=INFO`."""

    def record(what: str, seconds: float) -> None:
        record_property(what, round(seconds, 2))
        log.info("%s: %s after %.2f s", request.node.name, what, seconds)

    return record
