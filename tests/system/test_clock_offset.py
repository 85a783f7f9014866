"""A region whose machine has another time: one flag with the offset, none for what follows from it, and a kill arrives.

The region's own processes and its checker are started again with libfaketime before their clocks, which Debian has as a
package; ORBITAL_TEST_FAKETIME may name the library instead. Without it there is nothing to shift a clock with.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from orbital.v1 import registry_pb2 as registry

from checker.domain.cause import BY_CLOCK
from stack import api
from tests.system.flags import REGION, Record, flags, raised, told
from tests.system.world import SECONDS, World, eventually, retried, tenancy

log = logging.getLogger(__name__)

LIBRARY = next(
    (each for each in (Path(os.environ.get("ORBITAL_TEST_FAKETIME", "/none")), *Path("/usr/lib").glob(
        "*/faketime/libfaketime.so.1")) if each.exists()),
    None,
)  # fmt: skip
PARTS = (f"region-{REGION}-immediate", f"region-{REGION}-bulk", f"checker-{REGION}")
WATCHED = 40.0


@contextmanager
def shifted(world: World, part: str, seconds: float) -> Iterator[None]:
    """The process of that part, started again with a clock that is so many seconds ahead."""
    found = Path(f"/proc/{world.state.parts[part].pid}")
    while Path(found, "comm").read_text().strip() == "nice":
        time.sleep(0.1)
    argv = Path(found, "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    known = dict(one.split(b"=", 1) for one in Path(found, "environ").read_bytes().split(b"\0") if b"=" in one)
    shift = {
        b"LD_PRELOAD": str(LIBRARY).encode(),
        b"FAKETIME": f"{seconds:+.0f}".encode(),
        b"FAKETIME_DONT_FAKE_MONOTONIC": b"1",
        b"DONT_FAKE_MONOTONIC": b"1",
    }
    where = Path(found, "cwd").readlink()
    api.hold(world.place, part)
    with (world.place / "log" / f"{part}.log").open("ab") as out:
        process = subprocess.Popen(
            argv, env=known | shift, cwd=where, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        api.release(world.place, part)


@pytest.mark.timeout(600)
@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not there: apt-get install libfaketime")
# Behind by more than its certificates are old, a region is not believed by its own OpenBao, nor believes it.
@pytest.mark.parametrize("seconds", [7200.0, -20.0])
def test_a_wrong_clock_is_one_flag_and_holds_no_kill_up(world: World, measured: Record, seconds: float) -> None:
    tenant = f"clock-{uuid.uuid4().hex[:6]}"
    world.declare(tenancy(tenant))
    world.converged(tenant=tenant)
    eventually(lambda: True if not flags(world) else None, 60, "nothing is flagged")
    with ExitStack() as stack:
        for part in PARTS:
            stack.enter_context(shifted(world, part, seconds))
        began = time.monotonic()
        flag = raised(world, "clock", {"CLOCK_OFFSET"}, 60.0)
        measured("CLOCK_OFFSET", time.monotonic() - began)
        values = {one.name: float(one.value) for one in flag.evidence if one.name == "offset_seconds"}
        assert values["offset_seconds"] == pytest.approx(-seconds, abs=5)
        with world.registry() as stub:
            begun = time.monotonic()
            retried(lambda: stub.Kill(registry.KillRequest(tenant=tenant, reason="clock"), timeout=SECONDS))
        eventually(
            lambda: True if world.key_material(REGION, tenant)["transit"] == [] else None, 30, "its keys are gone"
        )
        measured("killed", time.monotonic() - begun)
        time.sleep(10)
        until, seen = time.monotonic() + WATCHED, set()
        while time.monotonic() < until:
            found = flags(world)
            seen |= {(name, one.reason) for name, one in found.items()}
            assert found.keys() & {"clock"}, told(found)
            # A busy machine may raise others; none that a clock explains stands beside it.
            assert not [one for name, one in found.items() if one.reason in BY_CLOCK.get(name, ())], told(found)
            time.sleep(1)
        log.info("seen within %.0f s: %s", WATCHED, sorted(seen))
    eventually(lambda: True if not flags(world) else None, 90, "nothing is flagged any more")
