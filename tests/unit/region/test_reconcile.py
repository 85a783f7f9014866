"""Whatever transit was brought to, it is found, told and brought back to the record; nothing that opened is lost.

The disagreements are generated: every small set of versions in transit but the right one, for a record of three.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest
from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Kind, Name
from region.flow.reconcile import Reconciler, ReconcileRate
from region.flow.verify import Verify
from region.handlers.mend import look
from region.handlers.parts import Parts, read_service, read_system, write
from tests.unit.region.fakes import Crash, FakeHost, FakeTransit, crashing, fake_parts, restarted
from tests.unit.region.make import Estate, work, work_all
from tests.unit.region.test_crash import SCENARIOS, _steps

ESTATE = Estate()
SYSTEM = Name(Kind.SYSTEM, "acme", "core")
SERVICE = SYSTEM.service_of("pay")
FOREIGN = b"f" * 32
THREE = [1, 2, 3]
# Each version is the material of that number; 9 is one that nobody knows. None: there is no key.
WRONG = [None] + [
    list(versions)
    for count in (1, 2, 3, 4)
    for versions in itertools.product((1, 2, 3, 9), repeat=count)
    if list(versions) != THREE
]


async def _rotated() -> Parts:
    parts = fake_parts(FakeHost())
    await work_all(parts, *ESTATE.foundation(), ESTATE.link(), ESTATE.system(2, 2), ESTATE.system(3, 3))
    return parts


async def _materials(parts: Parts) -> list[bytes]:
    record, _ = await read_system(parts, SYSTEM)
    assert record is not None
    return [bytes(await parts.hsm.unwrap(blob.l1, base64.b64decode(blob.text))) for blob in record.blobs]


def _transit(parts: Parts) -> FakeTransit:
    return cast("FakeTransit", parts.transit)


def _reconciler(parts: Parts) -> Reconciler:
    return Reconciler(parts, ReconcileRate(1000.0, 1.0))


async def _l3(parts: Parts) -> list[bytes]:
    service, _ = await read_service(parts, SERVICE)
    assert service is not None
    return [bytes(one) for one in await parts.transit.decrypt(SYSTEM.transit, [blob.text for blob in service.blobs])]


@pytest.mark.parametrize("versions", WRONG, ids=str)
async def test_wrong_versions_are_found_told_and_mended(versions: Sequence[int] | None) -> None:
    parts = await _rotated()
    materials, l3 = await _materials(parts), await _l3(parts)
    if versions is None:
        del _transit(parts).keys[SYSTEM.transit]
    else:
        _transit(parts).keys[SYSTEM.transit] = [
            FOREIGN if version == 9 else materials[version - 1] for version in versions
        ]
        # What was wrapped meanwhile by what stood there is not lost either.
        if 9 not in versions:
            service, at = await read_service(parts, SERVICE)
            assert service is not None
            texts = await parts.transit.encrypt(SYSTEM.transit, [bytearray(one) for one in l3])
            blobs = tuple(
                keys.Blob(blob.version, keys.L2, text) for blob, text in zip(service.blobs, texts, strict=True)
            )
            await write(parts, SERVICE, replace(service, blobs=blobs), at)
    held = await Verify(parts, []).held()
    assert {reason for one in held if one.name == SYSTEM.resource for reason, _ in one.disagreements} & {
        "KEY_MISSING",
        "KEY_VERSIONS_WRONG",
    }
    reconciler = _reconciler(parts)
    await reconciler.check(SYSTEM)
    (told,) = reconciler.found()
    assert told.reason in {"KEY_MISSING", "KEY_VERSIONS_WRONG"}
    assert told.mended
    assert _transit(parts).keys[SYSTEM.transit] == materials
    assert await _l3(parts) == l3
    assert await look(parts, SYSTEM) is None


async def test_a_restriction_that_is_gone_comes_back() -> None:
    parts = await _rotated()
    await work(parts, ESTATE.emergency(4, 4))
    _transit(parts).least[SYSTEM.transit] = 1
    await _reconciler(parts).check(SYSTEM)
    assert _transit(parts).least[SYSTEM.transit] == 4


@pytest.mark.parametrize("least", [2, 3])
async def test_a_restriction_that_nobody_asked_for_goes(least: int) -> None:
    parts = await _rotated()
    l3 = await _l3(parts)
    _transit(parts).least[SYSTEM.transit] = least
    await _reconciler(parts).check(SYSTEM)
    assert _transit(parts).least.get(SYSTEM.transit, 1) == 1
    assert await look(parts, SYSTEM) is None
    assert await _l3(parts) == l3


async def test_a_key_that_nobody_allows_is_destroyed() -> None:
    parts = await _rotated()
    held = list(_transit(parts).keys[SYSTEM.transit])
    await work(parts, ESTATE.kill(2))
    _transit(parts).keys[SYSTEM.transit] = held
    await _reconciler(parts).check(SYSTEM)
    assert _transit(parts).keys == {}


async def test_a_link_that_holds_gets_its_key_back_and_verify_says_so() -> None:
    parts = await _rotated()
    record, revision = await read_system(parts, SYSTEM)
    assert record is not None
    # As a kill that was overtaken did it: the System is revoked, the Link and the tenant say otherwise.
    await write(parts, SYSTEM, record.revoked(1, parts.host.now()).ended(), revision)
    _transit(parts).keys.clear()
    link = Name(Kind.LINK, "acme", leaf="l").resource
    held = {one.name: one for one in await Verify(parts, []).held()}
    assert "KEY_NOT_ACTIVE" in {reason for reason, _ in held[link].disagreements}
    reconciler = _reconciler(parts)
    await reconciler.round()
    assert [(one.reason, one.mended) for one in reconciler.found()] == [("KEY_NOT_ACTIVE", True)]
    assert _transit(parts).keys == {SYSTEM.transit: await _materials(parts)}
    assert {reason for one in await Verify(parts, []).held() for reason, _ in one.disagreements} == {"NOT_IN_JOURNAL"}


@pytest.mark.parametrize("wanted", [ESTATE.unlink(2), ESTATE.kill(2)], ids=["unlinked", "killed"])
async def test_what_was_revoked_is_not_brought_back(wanted: pb.Task) -> None:
    parts = await _rotated()
    await work(parts, wanted)
    reconciler = _reconciler(parts)
    await reconciler.round()
    assert reconciler.found() == []
    assert _transit(parts).keys == {}


async def test_records_of_the_past_are_not_followed() -> None:
    parts = await _rotated()
    _transit(parts).keys.clear()
    await Reconciler(parts, ReconcileRate(1000.0, 1.0), lambda: True).round()
    assert _transit(parts).keys == {}


async def test_versions_of_before_get_their_known_answers() -> None:
    parts = await _rotated()
    record, revision = await read_system(parts, SYSTEM)
    assert record is not None
    await write(parts, SYSTEM, replace(record, blobs=tuple(replace(one, check="") for one in record.blobs)), revision)
    reconciler, materials = _reconciler(parts), await _materials(parts)
    await reconciler.check(SYSTEM)
    # The number is right, the order is not: only a known answer tells.
    _transit(parts).keys[SYSTEM.transit] = [materials[0], materials[2], materials[1]]
    await reconciler.check(SYSTEM)
    assert _transit(parts).keys[SYSTEM.transit] == materials


async def test_whoever_is_served_in_vain_is_looked_at_at_once() -> None:
    parts = await _rotated()
    materials = await _materials(parts)
    reconciler = Reconciler(parts, ReconcileRate(0.001, 3600.0))
    running = asyncio.ensure_future(reconciler.run())
    await asyncio.sleep(0.05)
    _transit(parts).keys.clear()
    for _ in range(100):
        reconciler.suspect(SYSTEM)
    await asyncio.sleep(0.2)
    running.cancel()
    assert _transit(parts).keys == {SYSTEM.transit: materials}


@pytest.mark.parametrize(("scenario", "step", "after"), _steps())
async def test_after_a_crash_anywhere_reconciling_alone_leaves_nothing_that_disagrees(
    scenario: str, step: int, after: bool
) -> None:
    before, interrupted, _ = SCENARIOS[scenario]
    host = FakeHost()
    parts = fake_parts(host)
    await work_all(parts, *before())
    dying, _ = crashing(parts, step, after=after)
    with pytest.raises((Crash, BaseExceptionGroup)):
        await work(dying, interrupted())
    parts = restarted(parts)
    host.time += 60.0
    await _reconciler(parts).round()
    record, _ = await read_system(parts, SYSTEM)
    if record is None:
        return
    # Whether its task is still in a journal or not.
    assert record.settled
    assert await look(parts, SYSTEM) is None
    assert (SYSTEM.transit in _transit(parts).keys) == record.open
    if record.open:
        assert _transit(parts).keys[SYSTEM.transit] == await _materials(parts)


@pytest.mark.parametrize("hours", [2.0, 48.0])
async def test_a_change_that_a_wrong_clock_noted_holds_nobody_up_once_it_is_set_right(hours: float) -> None:
    parts, host = await _rotated(), FakeHost()
    host.time = parts.host.now() + hours * 3600
    ahead = replace(parts, host=fake_parts(host).host)
    dying, _ = crashing(ahead, 12, after=True)
    with pytest.raises((Crash, BaseExceptionGroup)):
        await work(dying, ESTATE.system(4, 4))
    record, _ = await read_system(parts, SYSTEM)
    assert record is not None
    assert record.importing_until > parts.host.now() + 3600
    before = parts.host.now()
    assert (await work(restarted(parts), ESTATE.system(4, 4))).outcome == pb.OUTCOME_DONE
    assert parts.host.now() - before < 10.0
    assert await look(parts, SYSTEM) is None
