"""Whoever stood still and was overtaken changes nothing any more, wherever it stood still. The cases are generated."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import cast

import pytest
from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Name, parse
from region.domain.result import Result
from region.handlers.parts import Parts, read_service, read_system
from tests.unit.region.fakes import FakeHost, FakeTransit, fake_parts, restarted
from tests.unit.region.freezing import AFTER, BEFORE, INSIDE, Ice, Pair, freezing, pairs
from tests.unit.region.make import Estate, work, work_all

PAIRS = pairs(Estate())


async def _walk(pair: Pair) -> int:
    parts = fake_parts()
    await work_all(parts, *pair.before)
    ice = Ice(-1, BEFORE)
    await work(freezing(parts, ice), pair.begun)
    return ice.calls


CASES = [
    (name, at, mode)
    for name, pair in PAIRS.items()
    for at in range(asyncio.run(_walk(pair)))
    for mode in (BEFORE, AFTER, INSIDE)
]


async def _until_done(parts: Parts, wanted: pb.Task) -> Result:
    outcome = await work(parts, wanted)
    for _ in range(20):
        if not outcome.waiting:
            return outcome
        await parts.host.sleep(1.0)
        outcome = await work(parts, wanted)
    raise AssertionError(outcome)


async def check(parts: Parts, *, served: bool) -> None:
    """Transit and the records say the same, for each System."""
    transit = cast("FakeTransit", parts.transit)
    expected: dict[str, list[bytes]] = {}
    for path in await parts.store.names("systems/acme"):
        system = parse(f"tenants/acme/systems/{path}")
        record, _ = await read_system(parts, system)
        assert record is not None
        assert record.open == served
        if not served:
            continue
        assert record.state is keys.State.ACTIVE
        assert record.settled
        expected[system.transit] = [
            bytes(await parts.hsm.unwrap(blob.l1, base64.b64decode(blob.text))) for blob in record.blobs
        ]
        assert transit.least.get(system.transit, 1) == max(1, record.compromised_below)
        await _opens(parts, system, len(record.blobs))
    assert transit.keys == expected


async def _opens(parts: Parts, system: Name, versions: int) -> None:
    for name in await parts.store.names(system.services):
        service, _ = await read_service(parts, system.service_of(name))
        assert service is not None
        assert not service.behind(versions)
        await parts.transit.decrypt(system.transit, [blob.text for blob in service.blobs])


@pytest.mark.parametrize(("name", "at", "mode"), CASES)
async def test_what_was_overtaken_changes_nothing(name: str, at: int, mode: str) -> None:
    pair, host = PAIRS[name], FakeHost()
    parts = fake_parts(host)
    await work_all(parts, *pair.before)
    ice = Ice(at, mode)
    begun = asyncio.ensure_future(work(freezing(parts, ice), pair.begun))
    reached = asyncio.ensure_future(ice.reached.wait())
    await asyncio.wait({begun, reached}, return_when=asyncio.FIRST_COMPLETED)
    # What others do meanwhile, and what is said of that, does not depend on the one that stands still.
    others, last = restarted(parts), Result(pb.OUTCOME_UNSPECIFIED)
    for wanted in pair.then:
        last = await _until_done(others, wanted)
        assert last.outcome in {pb.OUTCOME_DONE, pb.OUTCOME_STALE}
    said_at = host.time
    await check(others, served=pair.served)
    ice.thaw.set()
    late = await begun
    reached.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reached
    await check(others, served=pair.served)
    # A late receipt is about the time before it was overtaken.
    assert all(0 <= one.at <= said_at for one in late.destroyed or ())
    # Delivered again it changes nothing either.
    await work(others, pair.begun)
    await check(others, served=pair.served)
    record, _ = await read_system(others, parse("tenants/acme/systems/core"))
    assert record is not None
    assert record.purged or len(record.blobs) == pair.versions
