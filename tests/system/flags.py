"""What tests ask of a region's flags, and the faults that they make."""

import http.client
import json
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orbital.v1 import flag_pb2 as pb
from orbital.v1 import registry_pb2 as registry

from stack import api
from tests.system.world import REGIONS, SECONDS, World, eventually

REGION = "eu10"
# What is aimed at is 3 s; other work on the machine must not fail the test.
SOON = 6.0
CLEAR = 30.0
OUT, UNKNOWN = pb.HEALTH_STATUS_OUT_OF_SYNC, pb.HEALTH_STATUS_UNKNOWN
DEGRADED = pb.HEALTH_STATUS_DEGRADED
WARNING, CRITICAL = pb.FLAG_SEVERITY_WARNING, pb.FLAG_SEVERITY_CRITICAL
Record = Callable[[str, float], None]


def flags(world: World, region: str = REGION) -> dict[str, pb.Flag]:
    with world.registry() as stub:
        found = stub.ListFlags(registry.ListFlagsRequest(region=region), timeout=SECONDS).flags
    return {flag.component: flag for flag in found}


def told(found: dict[str, pb.Flag]) -> list[str]:
    return [f"{flag.component} {flag.reason}: {flag.message}" for flag in found.values()]


def status(world: World, region: str = REGION) -> int:
    with world.registry() as stub:
        regions = stub.ListRegions(registry.ListRegionsRequest(), timeout=SECONDS).regions
    return next(one.status for one in regions if one.resource.name == f"regions/{region}")


def healthy(world: World, seconds: float = CLEAR) -> None:
    def look() -> bool | None:
        statuses = {status(world, region) for region in REGIONS}
        return True if flags(world, "") == {} and statuses == {pb.HEALTH_STATUS_HEALTHY} else None

    eventually(look, seconds, "every region is healthy")


def raised(world: World, component: str, reasons: set[str], seconds: float = SOON) -> pb.Flag:
    def look() -> pb.Flag | None:
        flag = flags(world).get(component)
        return flag if flag is not None and flag.reason in reasons else None

    return eventually(look, seconds, f"{component} {reasons}; flags: {told(flags(world))}")


def local(world: World, path: str, region: str = REGION) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("checker", timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(f"{world.state.run}/checker-{region}.sock")
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


@contextmanager
def held(world: World, part: str) -> Iterator[None]:
    api.hold(world.place, part)
    try:
        yield
    finally:
        api.release(world.place, part)


@contextmanager
def frozen(world: World, part: str) -> Iterator[None]:
    api.kill(world.place, part, signal.SIGSTOP)
    try:
        yield
    finally:
        api.kill(world.place, part, signal.SIGCONT)


@contextmanager
def token_away(world: World, region: str) -> Iterator[None]:
    tokens = Path(world.place) / f"softhsm-{region}" / "tokens"
    away = tokens.with_name("tokens-away")
    tokens.rename(away)
    try:
        yield
    finally:
        away.rename(tokens)
