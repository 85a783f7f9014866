"""On a real OpenBao and HSM: an attempt ends at any of its requests, and record and transit agree again.

The cases are generated: each scenario is walked once to count its requests, then once for each place to end, before the
first and after each. Reconciling alone has to do, without the task; the task is delivered again after that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from orbital.v1 import task_pb2 as pb

from region.adapters.openbao.permits import BaoPermits
from region.adapters.openbao.store import KvStore
from region.adapters.openbao.transit import BaoTransit
from region.domain.names import Name, parse
from region.flow.reconcile import Reconciler, ReconcileRate
from region.handlers.mend import look
from region.handlers.parts import Parts, read_service, read_system
from region.handlers.settle import intact
from runtime.errors import Unavailable
from runtime.openbao import OpenBao, open_openbao
from tests.contract.region.conftest import RealParts
from tests.unit.region.fakes import Crash, crashing
from tests.unit.region.freezing import hurrying
from tests.unit.region.make import Estate, work, work_all

Tasks = list[pb.Task]
AT_ONCE = 6
# What was wrapped before; an old version opens it unless it was compromised or its key destroyed.
WRAPPED = b"wrapped before"


@dataclass(frozen=True)
class Scenario:
    """What was done before, the task that breaks off, and whether the key is in use after it."""

    before: Callable[[Estate], Tasks]
    interrupted: Callable[[Estate], pb.Task]
    active: bool = True
    compromised: bool = False


def linked(e: Estate) -> Tasks:
    return [*e.foundation(), e.link()]


SCENARIOS = {
    "rotation": Scenario(linked, lambda e: e.system(2, 3)),
    "emergency": Scenario(linked, lambda e: e.emergency(2, 2), compromised=True),
    "relabel": Scenario(linked, lambda e: e.system(2, 1)),
    "link of three": Scenario(lambda e: [*e.foundation(), e.system(2, 3)], lambda e: e.link()),
    "link again": Scenario(lambda e: [*linked(e), e.system(2, 2), e.unlink(2)], lambda e: e.link(3)),
    "another key": Scenario(linked, lambda e: e.link(2, key="new")),
    "unlink": Scenario(linked, lambda e: e.unlink(2), active=False),
    "kill": Scenario(linked, lambda e: e.kill(2), active=False),
}


def started(parts: Parts, openbao: OpenBao) -> Parts:
    """The same region as a process sees it that has just started."""
    host = hurrying(parts.host)
    transit = BaoTransit(openbao, "l2", host)
    return replace(parts, store=KvStore(openbao, "keys"), transit=transit, permits=BaoPermits(openbao), host=host)


async def check(parts: Parts, system: Name, *, redelivered: bool, scenario: Scenario, wrapped: list[str]) -> None:
    """Record and transit agree, and what was wrapped before is opened unless it may not be."""
    record, _ = await read_system(parts, system)
    assert record is not None
    assert record.settled
    assert await look(parts, system) is None
    if redelivered:
        assert record.open == scenario.active
    if not record.open:
        assert await parts.transit.key(system.transit) is None
        return
    assert await intact(parts, system, record)
    for each in await parts.store.names(system.services):
        service, _ = await read_service(parts, system.service_of(each))
        assert service is not None
        await parts.transit.decrypt(system.transit, [blob.text for blob in service.blobs])
    if wrapped and not scenario.compromised:
        assert bytes((await parts.transit.decrypt(system.transit, wrapped))[0]) == WRAPPED


async def prepared(parts: Parts, scenario: Scenario, estate: Estate) -> tuple[Name, list[str]]:
    """What was there before, with something wrapped by it."""
    outcomes = await work_all(parts, *scenario.before(estate))
    assert all(one.outcome == pb.OUTCOME_DONE for one in outcomes), outcomes
    system = parse(f"tenants/{estate.tenant}/systems/core")
    if await parts.transit.key(system.transit) is None:
        return system, []
    return system, await parts.transit.encrypt(system.transit, [bytearray(WRAPPED)])


async def recovered(parts: Parts, scenario: Scenario, estate: Estate, system: Name, wrapped: list[str]) -> None:
    """By reconciling alone, and by the task once more."""
    await parts.host.sleep(60.0)
    await Reconciler(parts, ReconcileRate(1000.0, 1.0)).check(system)
    await check(parts, system, redelivered=False, scenario=scenario, wrapped=wrapped)
    assert (await work(parts, scenario.interrupted(estate))).outcome == pb.OUTCOME_DONE
    await check(parts, system, redelivered=True, scenario=scenario, wrapped=wrapped)


@pytest.mark.parametrize("parts", ["real"], indirect=True)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_an_attempt_that_ends_anywhere_leaves_what_reconciling_puts_right(
    parts: Parts, real_parts: RealParts, tenant: str, name: str
) -> None:
    scenario, gate = SCENARIOS[name], asyncio.Semaphore(AT_ONCE)
    async with open_openbao(real_parts.login) as openbao:
        first = Estate(f"{tenant}w")
        walked = started(parts, openbao)
        await prepared(walked, scenario, first)
        counting, steps = crashing(walked, -1, after=False)
        assert (await work(counting, scenario.interrupted(first))).outcome == pb.OUTCOME_DONE

        async def one(step: int, *, after: bool) -> None:
            async with gate:
                estate = Estate(f"{tenant}{'a' if after else 'b'}{step}")
                ready = started(parts, openbao)
                system, wrapped = await prepared(ready, scenario, estate)
                dying, _ = crashing(ready, step, after=after)
                with pytest.raises((Crash, BaseExceptionGroup)):
                    await work(dying, scenario.interrupted(estate))
                await recovered(started(parts, openbao), scenario, estate, system, wrapped)

        count = next(steps)
        assert count
        await asyncio.gather(one(0, after=False), *(one(step, after=True) for step in range(count)))


class Sealing:
    """Stands before a part; at the call of that number OpenBao is sealed first, which ends that attempt."""

    def __init__(self, part: Any, calls: list[int], seal: Callable[[], None]) -> None:
        self._part, self._calls, self._seal = part, calls, seal

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        if name in {"give_back", "discard"}:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._calls[0] -= 1
            if self._calls[0] == -1:
                self._seal()
            return await method(*args, **kwargs)

        return call


def unseal_key(real: RealParts) -> str:
    log = (real.login.ca_file.parent / "openbao.log").read_text()
    return log.partition("Unseal Key: ")[2].split()[0]


@pytest.mark.parametrize("parts", ["real"], indirect=True)
@pytest.mark.parametrize("name", ["rotation", "emergency", "link of three"])
async def test_an_openbao_that_is_sealed_anywhere_in_an_attempt_loses_no_version(
    parts: Parts, real_parts: RealParts, tenant: str, name: str
) -> None:
    scenario, at, sealed = SCENARIOS[name], 0, True
    while sealed:
        async with open_openbao(real_parts.login) as openbao:
            estate, ready = Estate(f"{tenant}s{at}"), started(parts, openbao)
            system, wrapped = await prepared(ready, scenario, estate)
            calls = [at]
            seal = real_parts.client.sys.seal
            changed: dict[str, Any] = {
                each: Sealing(getattr(ready, each), calls, seal) for each in ("store", "transit", "permits")
            }
            try:
                outcome = await work(replace(ready, **changed), scenario.interrupted(estate))
            finally:
                sealed = calls[0] < 0
                if sealed:
                    real_parts.client.sys.submit_unseal_key(unseal_key(real_parts))
            assert outcome.waiting == sealed, outcome
            if sealed:
                await _open_again(openbao)
                await recovered(started(parts, openbao), scenario, estate, system, wrapped)
        at += 1
    assert at > 5


async def _open_again(openbao: OpenBao) -> None:
    for _ in range(100):
        try:
            await openbao.call("LIST", "keys/metadata/tenants")
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return
