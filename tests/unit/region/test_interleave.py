"""Tasks of one System worked on at once, as by two processes of a region, in an order drawn from a seed.

Whatever the order, what is left is what the highest generations say, and material is made once.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable
from typing import Any, cast

import pytest
from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Kind, Name
from region.handlers.parts import Parts, read_service, read_system
from region.ports.host import Host
from region.ports.vault import Permit
from runtime.errors import Unavailable
from tests.unit.region.fakes import FakeHost, FakeStore, FakeTransit, fake_parts
from tests.unit.region.make import Estate, work, work_all

ESTATE = Estate()
SYSTEM = Name(Kind.SYSTEM, "acme", "core")
# A call that is answered later than this was given up by its caller.
CALL_TIMEOUT = 3.0


class Turns:
    """Lets one of the waiting calls go on at a time; an actor keeps its turn for a while: others stand still."""

    def __init__(self, host: FakeHost, chance: random.Random) -> None:
        self.host = host
        self._chance = chance
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._actor = 0
        self.actors = 0

    async def turn(self, actor: int) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((actor, future))
        await future

    def _pick(self) -> asyncio.Future[None]:
        if self._chance.random() < 0.1:
            self._actor = self._chance.randrange(self.actors)
        own = [index for index, (actor, _) in enumerate(self._waiting) if actor == self._actor]
        return self._waiting.pop(self._chance.choice(own) if own else self._chance.randrange(len(self._waiting)))[1]

    async def run(self, *actors: Any) -> list[Any]:
        tasks = [asyncio.ensure_future(actor) for actor in actors]
        while not all(task.done() for task in tasks):
            # Whoever goes on needs some rounds of the loop until it waits again.
            for _ in range(6):
                await asyncio.sleep(0)
            if self._waiting:
                self.host.time += self._chance.choice((0.001, 0.001, 0.3))
                self._pick().set_result(None)
        return [task.result() for task in tasks]


class Gated:
    """A part whose every call waits for its turn, before its effect and before its answer."""

    def __init__(self, part: Any, turns: Turns, actor: int) -> None:
        self._part = part
        self._turns = turns
        self._actor = actor

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._part, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            began = self._turns.host.time
            await self._turns.turn(self._actor)
            if self._turns.host.time - began > CALL_TIMEOUT:
                raise Unavailable("too late", reason="TIMEOUT")
            answer = await method(*args, **kwargs)
            await self._turns.turn(self._actor)
            return answer

        return call


class GatedPermits(Gated):
    """What is given back needs nobody's answer."""

    def give_back(self, permit: Permit) -> None:
        self._part.give_back(permit)

    def discard(self, permit: Permit) -> None:
        self._part.discard(permit)


def gated(parts: Parts, turns: Turns) -> Parts:
    actor = turns.actors
    turns.actors += 1

    async def sleep(seconds: float) -> None:
        until = turns.host.time + seconds
        while turns.host.time < until:
            await turns.turn(actor)

    host = Host(parts.host.now, parts.host.random, parts.host.entropy, sleep)
    # Every second one belongs to the process that did what was done before, and remembers what that wrote.
    known = cast("FakeStore", parts.store)
    seen = known.of_another_process() if actor % 2 else known
    store, transit, hsm = (Gated(part, turns, actor) for part in (seen, parts.transit, parts.hsm))
    permits = GatedPermits(parts.permits, turns, actor)
    return Parts(store, transit, hsm, parts.cache, host, parts.edges, permits)  # type: ignore[arg-type]


async def _until_settled(parts: Parts, tasks: list[pb.Task]) -> None:
    for _ in range(5):
        results = await work_all(parts, *tasks)
        if not any(each.waiting for each in results):
            return
    raise AssertionError(results)


async def _check(parts: Parts, *, linked: bool, versions: int) -> None:
    record, _ = await read_system(parts, SYSTEM)
    assert record is not None
    assert len(record.blobs) == versions
    material = [
        bytes(await parts.hsm.unwrap(blob.l1 or "orbital-region-root", base64.b64decode(blob.text)))
        for blob in record.blobs
    ]
    expected = {SYSTEM.transit: material} if linked else {}
    assert cast("FakeTransit", parts.transit).keys == expected
    assert record.state is (keys.State.ACTIVE if linked else record.state)
    assert linked or not record.open
    service, _ = await read_service(parts, SYSTEM.service_of("pay"))
    assert service is not None
    assert not linked or not service.behind(versions)


GROUPS: dict[str, tuple[list[pb.Task], list[pb.Task], bool, int]] = {
    "link and unlink": (ESTATE.foundation(), [ESTATE.link(1), ESTATE.unlink(2)], False, 1),
    "unlink and relink": ([*ESTATE.foundation(), ESTATE.link()], [ESTATE.unlink(2), ESTATE.link(3)], True, 1),
    "link and kill": (ESTATE.foundation(), [ESTATE.link(1), ESTATE.kill(2)], False, 1),
    "rotate and unlink": ([*ESTATE.foundation(), ESTATE.link()], [ESTATE.system(2, 3), ESTATE.unlink(2)], False, 3),
    "link and define": (ESTATE.foundation()[:2], [ESTATE.link(), ESTATE.service()], True, 1),
    "link and rotate": (ESTATE.foundation(), [ESTATE.link(), ESTATE.system(2, 2), ESTATE.service(2, 2)], True, 2),
    "everything": (
        ESTATE.foundation()[:1],
        [*ESTATE.foundation()[1:], ESTATE.link(), ESTATE.unlink(2), ESTATE.link(3), ESTATE.system(2, 2)],
        True,
        2,
    ),
}


@pytest.mark.parametrize("group", list(GROUPS))
@pytest.mark.parametrize("seed", range(60))
async def test_any_interleaving_ends_at_the_highest_generations(group: str, seed: int) -> None:
    before, together, linked, versions = GROUPS[group]
    host = FakeHost()
    parts = fake_parts(host)
    await work_all(parts, *before)
    turns = Turns(host, random.Random(seed))
    await turns.run(*(work(gated(parts, turns), each) for each in together))
    await _until_settled(parts, together)
    await _check(parts, linked=linked, versions=versions)


@pytest.mark.parametrize("seed", range(300))
async def test_nothing_comes_back_after_a_revocation_was_reported(seed: int) -> None:
    """The moment that UNLINK_KEY is done, and from then on, transit holds no key; the late LINK_KEY still runs."""
    host = FakeHost()
    parts = fake_parts(host)
    await work_all(parts, *ESTATE.foundation())
    transit = cast("FakeTransit", parts.transit)
    turns = Turns(host, random.Random(seed))
    imported_late: list[str] = []

    async def revoke() -> None:
        own = gated(parts, turns)
        while (await work(own, ESTATE.unlink(2))).waiting:
            pass
        assert transit.keys == {}
        original = transit.import_version

        async def late(name: str, material: bytearray, permit: Permit, *, first: bool) -> None:
            await original(name, material, permit, first=first)
            imported_late.append(name)

        transit.import_version = late  # type: ignore[method-assign]

    await turns.run(work(gated(parts, turns), ESTATE.link(1)), revoke())
    assert imported_late == []
    assert transit.keys == {}
