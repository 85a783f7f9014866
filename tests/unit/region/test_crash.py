"""The process dies at every call of every handler, before or after the call's effect; redelivery ends right.

The cases are generated: each scenario is walked once to count its calls, then once for each place to die.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Kind, Name
from region.handlers.parts import Parts, read_service, read_system
from tests.unit.region.fakes import Crash, FakeHost, FakeHsm, FakeStore, FakeTransit, crashing, fake_parts, restarted
from tests.unit.region.make import Estate, work, work_all

ESTATE = Estate()
SYSTEM = Name(Kind.SYSTEM, "acme", "core")
Tasks = list[pb.Task]
# name: (what was done before, the task that is interrupted, is the L2 active after it)
SCENARIOS: dict[str, tuple[Callable[[], Tasks], Callable[[], pb.Task], bool]] = {
    "define_tenant": (list, ESTATE.define_tenant, False),
    "define_system": (lambda: [ESTATE.define_tenant()], lambda: ESTATE.system(version=2), False),
    "define_service": (lambda: ESTATE.foundation()[:2], lambda: ESTATE.service(version=2), False),
    "define_service_linked": (lambda: [*ESTATE.foundation()[:2], ESTATE.link()], ESTATE.service, True),
    "link": (lambda: [*ESTATE.foundation(), ESTATE.service(name="two"), ESTATE.system(2, 3)], ESTATE.link, True),
    "relink": (lambda: [*ESTATE.foundation(), ESTATE.link(), ESTATE.unlink(2)], lambda: ESTATE.link(3), True),
    "rotate_l1": (lambda: [*ESTATE.foundation(), ESTATE.link()], lambda: ESTATE.link(2, key="new"), True),
    "unlink": (lambda: [*ESTATE.foundation(), ESTATE.link()], lambda: ESTATE.unlink(2), False),
    "kill": (lambda: [*ESTATE.foundation(), ESTATE.link()], lambda: ESTATE.kill(2), False),
    "rotate_system": (lambda: [*ESTATE.foundation(), ESTATE.link()], lambda: ESTATE.system(2, 3), True),
    "rotate_system_unlinked": (ESTATE.foundation, lambda: ESTATE.system(2, 2), False),
    "emergency_system": (lambda: [*ESTATE.foundation(), ESTATE.link()], lambda: ESTATE.emergency(2, 2), True),
    "emergency_unlinked": (ESTATE.foundation, lambda: ESTATE.emergency(2, 2), False),
    "emergency_service": (lambda: [*ESTATE.foundation(), ESTATE.link()], lambda: ESTATE.emergency(2, 2, "pay"), True),
    "relink_compromised": (
        lambda: [*ESTATE.foundation(), ESTATE.link(), ESTATE.emergency(2, 2), ESTATE.unlink(2)],
        lambda: ESTATE.link(3),
        True,
    ),
    "rotate_service": (lambda: [*ESTATE.foundation(), ESTATE.link()], lambda: ESTATE.service(2, 3), True),
}


def _steps() -> list[tuple[str, int, bool]]:
    """Every (scenario, call, before or after), found by walking each scenario once."""
    import asyncio

    async def count(scenario: str) -> int:
        before, interrupted, _ = SCENARIOS[scenario]
        parts = fake_parts()
        await work_all(parts, *before())
        walked, steps = crashing(parts, -1, after=False)
        await work(walked, interrupted())
        return next(steps)

    return [
        (scenario, step, after)
        for scenario in SCENARIOS
        for step in range(asyncio.run(count(scenario)))
        for after in (False, True)
    ]


async def _l3(parts: Parts) -> dict[tuple[str, int], bytes]:
    """The material of every L3 version there is, through whatever wraps it."""
    found: dict[tuple[str, int], bytes] = {}
    hsm, transit = cast("FakeHsm", parts.hsm), cast("FakeTransit", parts.transit)
    for name in await parts.store.names("services/acme/core"):
        record, _ = await read_service(parts, SYSTEM.service_of(name))
        assert record is not None
        for blob in record.blobs:
            if blob.wrapped_by == keys.L2:
                # Through the L1-wrapped L2, because the active one may be gone.
                if SYSTEM.transit not in transit.keys:
                    continue
                found[name, blob.version] = bytes((await transit.decrypt(SYSTEM.transit, [blob.text]))[0])
            else:
                import base64

                found[name, blob.version] = bytes(await hsm.unwrap("orbital-region-root", base64.b64decode(blob.text)))
    return found


async def _l2(parts: Parts) -> list[bytes]:
    import base64

    record, _ = await read_system(parts, SYSTEM)
    if record is None:
        return []
    return [
        bytes(await parts.hsm.unwrap(blob.l1 or "orbital-region-root", base64.b64decode(blob.text)))
        for blob in record.blobs
    ]


async def _check(parts: Parts, active: bool) -> None:
    store, transit = cast("FakeStore", parts.store), cast("FakeTransit", parts.transit)
    record, _ = await read_system(parts, SYSTEM)
    l2 = await _l2(parts)
    assert len(set(l2)) == len(l2)
    if active:
        assert record is not None
        assert record.settled
        assert record.state is keys.State.ACTIVE
        assert not record.importing_until
        assert not record.destroying_until
        assert transit.keys == {SYSTEM.transit: l2}
        assert transit.least.get(SYSTEM.transit, 1) == max(1, record.compromised_below)
        for name in await store.names("services/acme/core"):
            service, _ = await read_service(parts, SYSTEM.service_of(name))
            assert service is not None
            assert not service.behind(len(l2))
    else:
        assert transit.keys == {}
        assert record is None or not record.open


@pytest.mark.parametrize(("scenario", "step", "after"), _steps())
async def test_a_crash_anywhere_is_finished_by_redelivery(scenario: str, step: int, after: bool) -> None:
    before, interrupted, active = SCENARIOS[scenario]
    host = FakeHost()
    parts = fake_parts(host)
    await work_all(parts, *before())
    l2, l3 = await _l2(parts), await _l3(parts)
    dying, _ = crashing(parts, step, after=after)
    with pytest.raises((Crash, BaseExceptionGroup)):
        await work(dying, interrupted())
    parts = restarted(parts)
    outcome = await work(parts, interrupted())
    assert outcome.outcome == pb.OUTCOME_DONE
    await _check(parts, active)
    assert (await _l2(parts))[: len(l2)] == l2
    now = await _l3(parts)
    assert all(now.get(key, material) == material for key, material in l3.items())
    # What was made by the second delivery was not made by the third.
    versions = await _l2(parts)
    assert (await work(parts, interrupted())).outcome == pb.OUTCOME_DONE
    assert await _l2(parts) == versions
    assert await _l3(parts) == now


@pytest.mark.parametrize(("scenario", "step", "after"), _steps())
async def test_a_crash_anywhere_then_a_newer_revocation_leaves_nothing(scenario: str, step: int, after: bool) -> None:
    before, interrupted, _ = SCENARIOS[scenario]
    parts = fake_parts()
    await work_all(parts, *before())
    dying, _ = crashing(parts, step, after=after)
    with pytest.raises((Crash, BaseExceptionGroup)):
        await work(dying, interrupted())
    parts = restarted(parts)
    assert (await work(parts, ESTATE.unlink(9))).outcome == pb.OUTCOME_DONE
    # Delivered again, it is finished or superseded, and brings no key back.
    await work(parts, interrupted())
    await _check(parts, active=False)


@pytest.mark.parametrize("step", range(12))
async def test_a_superseded_revocation_is_finished_though_the_newer_link_cannot_be(step: int) -> None:
    parts = fake_parts()
    await work_all(parts, *ESTATE.foundation(), ESTATE.link())
    dying, _ = crashing(parts, step, after=True)
    try:
        await work(dying, ESTATE.unlink(2))
    except (Crash, BaseExceptionGroup):
        fenced, _ = await read_system(parts, SYSTEM)
        assert fenced is not None
    else:
        return
    cast("FakeHsm", parts.hsm).away = True
    assert (await work(parts, ESTATE.link(3, key="new"))).reason == "HSM_UNREACHABLE"
    late = await work(parts, ESTATE.unlink(2))
    assert late.outcome == pb.OUTCOME_STALE
    if not fenced.open:
        assert cast("FakeTransit", parts.transit).keys == {}
