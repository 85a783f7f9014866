"""Certificates and signing keys that live a minute, another root half-way, ten minutes under load: no failed call."""

import asyncio
import time

import pytest

from tests.system.flags import Record
from tests.system.load import certificates_issued, loaded, paths_lost, shown
from tests.system.test_broker_policy import enters
from tests.system.world import REGIONS, World

LIFE = 60
LOOK_SECONDS = 5


def roots(world: World) -> bytes:
    """Those that are believed."""
    return (world.place / "identity" / "ca.pem").read_bytes()


@pytest.mark.timeout(1200)
def test_identities_of_a_minute_last_for_ten_without_a_failed_call(
    world: World, measured: Record, pytestconfig: pytest.Config
) -> None:
    seconds = pytestconfig.getoption("--seconds")
    with loaded(world, "soaked") as load:
        lost = paths_lost(world)
        begun, seen, believed = time.monotonic(), set(), roots(world)
        while time.monotonic() - begun < seconds and not load.failures:
            seen.add(shown(world))
            if time.monotonic() - begun > seconds / 2 and roots(world) == believed:
                done = world.orbital("authority", "rotate", "--wait")
                assert done.returncode == 0, done.stderr
            assert all(asyncio.run(enters(world, region)) for region in REGIONS)
            time.sleep(LOOK_SECONDS)
    measured("calls", load.calls.total())
    measured("certificates", certificates_issued(world).total())
    assert load.failures == []
    assert roots(world) != believed
    assert len(seen) >= seconds // LIFE
    assert paths_lost(world) == lost
    assert min(certificates_issued(world).values()) > seconds // LIFE
    assert world.orbital("get", "securityevents", "-o", "json").stdout.strip() == b"[]"
    changed = (world.place / "log" / "supervisor.log").read_text().count("signing keys changed")
    assert changed > len(REGIONS) * (seconds // LIFE)
