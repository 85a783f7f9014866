"""A process that stands still in the middle of an attempt, at any of its calls, while others go on.

A call is frozen before it is sent, or after it took effect and before its answer is read. On parts in memory it may
also stand still inside OpenBao: its permit was checked, its effect comes within moments of the permit's revocation.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.handlers.parts import Parts
from region.ports.host import Host
from tests.unit.region.fakes import FakePermits
from tests.unit.region.make import Estate

BEFORE, AFTER, INSIDE = "before", "after", "inside"
CHANGES = ("import_version", "destroy", "restrict")
# How long a request that OpenBao began on goes on after its permit was revoked: well within what is waited for.
GOES_ON = 0.3


@dataclass
class Ice:
    """Freezes the call of that number until `thaw` is set: of all calls, or of those that are `counted`."""

    at: int
    mode: str
    counted: tuple[str, ...] = ()
    calls: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    thaw: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self) -> None:
        self.reached.set()
        await self.thaw.wait()


class Freezing:
    """Stands before a part."""

    def __init__(self, part: Any, ice: Ice, parts: Parts) -> None:
        self._part = part
        self._ice = ice
        self._parts = parts

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._part, name)
        if name in {"give_back", "discard"}:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            ice = self._ice
            if ice.counted and name not in ice.counted:
                return await method(*args, **kwargs)
            ice.calls += 1
            frozen = ice.calls - 1 == ice.at
            if frozen and ice.mode == BEFORE:
                await ice.hold()
            if frozen and ice.mode == INSIDE:
                if name not in CHANGES:
                    ice.reached.set()
                    return await method(*args, **kwargs)
                return await self._inside(method, args, kwargs)
            answer = await method(*args, **kwargs)
            if frozen and ice.mode == AFTER:
                await ice.hold()
            return answer

        return call

    async def _inside(self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The permit is checked now, the effect comes later; and the answer only once the process goes on."""
        permit = args[-1]
        permits, host = cast("FakePermits", self._parts.permits), self._parts.host
        permits.check(permit)
        self._ice.reached.set()
        until = float("inf")
        while host.now() < until and not self._ice.thaw.is_set():
            if permit.accessor not in permits.live:
                until = min(until, host.now() + GOES_ON)
            await asyncio.sleep(0)
        was = permit.accessor in permits.live
        permits.live.add(permit.accessor)
        try:
            return await method(*args, **kwargs)
        finally:
            if not was:
                permits.live.discard(permit.accessor)
            await self._ice.thaw.wait()


def freezing(parts: Parts, ice: Ice) -> Parts:
    """The parts as the process sees them that will stand still."""
    named = ("store", "transit", "hsm", "edges", "permits")
    changed: dict[str, Any] = {name: Freezing(getattr(parts, name), ice, parts) for name in named}
    return replace(parts, **changed)


def hurrying(host: Host) -> Host:
    """The same host, in which whoever sleeps finds the time passed at once."""
    ahead = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds
        await asyncio.sleep(0)

    return Host(lambda: host.now() + ahead, host.random, host.entropy, sleep)


def beside(wanted: pb.Task) -> pb.Task:
    """The same task for a second System of the tenant, "core2", with a Link of its own."""
    twin = copy.deepcopy(wanted)
    twin.id = twin.id[::-1]
    twin.resource.name = twin.resource.name.replace("/core", "/core2").replace("/links/l", "/links/l2")
    if twin.resource.WhichOneof("spec") == "link":
        twin.resource.link.system = "core2"
    return twin


@dataclass(frozen=True)
class Pair:
    """`begun` stands still somewhere; `then` is done by others meanwhile.

    At the end the key is in use, or not, and has so many versions.
    """

    before: Sequence[pb.Task]
    begun: pb.Task
    then: Sequence[pb.Task]
    served: bool
    versions: int = 1


def pairs(e: Estate) -> dict[str, Pair]:
    """Every two that may meet at one System's key."""
    base, linked = e.foundation(), [*e.foundation(), e.link()]
    two = [*base, *map(beside, base[1:]), e.link(), beside(e.link())]
    restore = e.define_tenant(3, state=rpb.TENANT_STATE_ACTIVE)
    purge = [e.unlink(9), e.purge(9, "pay"), e.purge(9)]
    back = [e.unlink(8), e.link(9)]
    return {
        "link, killed": Pair(base, e.link(), [e.kill(2)], served=False),
        "link, unlinked": Pair(base, e.link(), [e.unlink(2)], served=False),
        "link, purged": Pair(base, e.link(), purge, served=False),
        "link, linked by another key": Pair(base, e.link(), [e.link(2, key="new")], served=True),
        "link, rotated": Pair(base, e.link(), [e.system(2, 3), e.link()], served=True, versions=3),
        "link, revoked and back": Pair(base, e.link(), back, served=True),
        "relink, killed": Pair([*linked, e.unlink(2)], e.link(3), [e.kill(2)], served=False),
        "relink of three, killed and back": Pair(
            [*linked, e.system(2, 3), e.unlink(2)],
            e.link(3),
            [e.kill(2), restore, e.link(4)],
            served=True,
            versions=3,
        ),
        "other key, killed": Pair(linked, e.link(2, key="new"), [e.kill(2)], served=False),
        "rotation, killed": Pair(linked, e.system(2, 3), [e.kill(2)], served=False, versions=3),
        "rotation, unlinked": Pair(linked, e.system(2, 3), [e.unlink(2)], served=False, versions=3),
        "rotation, rotated": Pair(linked, e.system(2, 2), [e.system(3, 4)], served=True, versions=4),
        "rotation, rotated in an emergency": Pair(linked, e.system(2, 2), [e.emergency(3, 3)], served=True, versions=3),
        "emergency, killed": Pair(linked, e.emergency(2, 2), [e.kill(2)], served=False, versions=2),
        "emergency, revoked and back": Pair(linked, e.emergency(2, 2), back, served=True, versions=2),
        "kill, restored": Pair(linked, e.kill(2), [restore, e.link(2)], served=True),
        "kill, restored without a newer Link": Pair(linked, e.kill(2), [restore, e.link()], served=True),
        "kill of two, restored": Pair(two, e.kill(2), [restore, e.link(2), beside(e.link(2))], served=True),
        "kill, unlinked": Pair(linked, e.kill(2), [e.unlink(2)], served=False),
        "unlink, linked": Pair(linked, e.unlink(2), [e.link(3)], served=True),
        "unlink, killed": Pair(linked, e.unlink(2), [e.kill(2)], served=False),
        "unlink, purged": Pair(linked, e.unlink(2), purge, served=False),
        "unlink, rotated and linked": Pair(linked, e.unlink(2), [e.system(2, 3), e.link(3)], served=True, versions=3),
        "purge, killed": Pair([*linked, e.unlink(2), e.purge(9, "pay")], e.purge(9), [e.kill(2)], served=False),
    }
