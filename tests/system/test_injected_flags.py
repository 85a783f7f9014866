"""What is injected rather than broken: limits, versions, a clock; and a part that comes and goes."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from orbital.v1 import flag_pb2 as pb

from stack import api
from tests.system.flags import REGION, WARNING, Record, flags, healthy, held, raised, token_away, told
from tests.system.world import ROOT, World, eventually


@pytest.fixture(autouse=True)
def begins_and_ends_healthy(world: World) -> Iterator[None]:
    healthy(world, 60)
    yield
    healthy(world, 60)


# A clock that is a minute ahead, for one process alone.
AHEAD = "import runpy, time; now = time.time; time.time = lambda: now() + 60; "
AHEAD += "runpy.run_module('checker.main', run_name='__main__')"


@contextmanager
def checker_with(world: World, *code: str, **settings: str) -> Iterator[None]:
    """In place of the region's checker one with other settings, or another clock."""
    pid = world.state.parts[f"checker-{REGION}"].pid
    told = dict(item.split("=", 1) for item in Path(f"/proc/{pid}/environ").read_text().split("\0") if item)
    with held(world, f"checker-{REGION}"):
        process = subprocess.Popen(
            [sys.executable, *(code or ("-m", "checker.main"))],
            env={**told, **{f"ORBITAL_{name}": value for name, value in settings.items()}},
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)
    api.wait_ready(world.place, f"checker-{REGION}")


@pytest.mark.parametrize(
    ("settings", "code", "flag"),
    [
        ({"LIMITS__CERTIFICATE_HOURS": "1000"}, (), ("certificates", "CERTIFICATE_EXPIRING", "hours_left")),
        ({"LIMITS__DISK_FREE": "1"}, (), ("disk", "DISK_LOW", "free_bytes")),
        ({"OPENBAO_VERSION": "0.0.1"}, (), ("openbao", "OPENBAO_VERSION", "version")),
        ({}, ("-c", AHEAD), ("clock", "CLOCK_OFFSET", "offset_seconds")),
    ],
    ids=["certificate", "disk", "version", "clock"],
)
def test_what_is_injected_gives_its_flag_and_clears(
    world: World, measured: Record, settings: dict[str, str], code: tuple[str, ...], flag: tuple[str, str, str]
) -> None:
    component, reason, evidence = flag
    began = time.monotonic()
    with checker_with(world, *code, **settings):
        found = raised(world, component, {reason}, 30)
        measured("flag, from the start of a checker", time.monotonic() - began)
        assert (found.status, found.severity) == (pb.HEALTH_STATUS_DEGRADED, WARNING)
        assert evidence in {item.name for item in found.evidence}
        eventually(lambda: set(flags(world)) == {component} or None, 15, f"that one alone: {told(flags(world))}")


def test_a_part_that_alternates_is_one_flapping_flag(world: World, measured: Record) -> None:
    began = time.monotonic()
    seen: set[str] = set()
    for _ in range(3):
        with token_away(world, REGION):
            raised(world, "hsm", {"HSM_UNREACHABLE", "HSM_TOKEN_MISSING", "FLAPPING"})
            time.sleep(1)
        eventually(
            lambda: (now := flags(world).get("hsm")) is None or now.reason == "FLAPPING" or None, 10, "it is back"
        )
        seen |= set(flags(world))
        time.sleep(1)
    flapping = raised(world, "hsm", {"FLAPPING"}, 10)
    measured("flapping", time.monotonic() - began)
    assert flapping.status == pb.HEALTH_STATUS_DEGRADED
    assert set(flags(world)) == {"hsm"}
    assert seen <= {"hsm"}
