"""OpenBao itself refuses what an attempt asks that was overtaken: each change of a key, frozen before it is sent."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from dataclasses import replace

import pytest
from orbital.v1 import task_pb2 as pb

from region.adapters.openbao.permits import BaoPermits
from region.adapters.openbao.transit import BaoTransit
from region.domain.names import parse
from region.handlers.parts import Parts, read_service, read_system
from region.handlers.settle import intact
from region.ports.host import real_host
from region.ports.vault import PermitRevoked
from runtime.errors import Unavailable
from runtime.openbao import open_openbao
from tests.contract.region.conftest import RealParts
from tests.unit.region.freezing import BEFORE, CHANGES, Ice, freezing, hurrying, pairs
from tests.unit.region.make import Estate, work


async def test_what_a_revoked_permit_asks_is_refused(real_parts: RealParts, tenant: str) -> None:
    async with open_openbao(real_parts.login) as openbao:
        transit, permits = BaoTransit(openbao, "l2", real_host()), BaoPermits(openbao)
        await transit.prepare_import()
        one, other = await permits.take(), await permits.take()
        await transit.import_version(tenant, bytearray(b"1" * 32), one, first=True)
        await permits.revoke(one.accessor)
        for late in (
            transit.import_version(tenant, bytearray(b"2" * 32), one, first=False),
            transit.import_version(f"{tenant}.new", bytearray(b"2" * 32), one, first=True),
            transit.restrict(tenant, 1, one),
            transit.destroy(tenant, one),
        ):
            with pytest.raises(PermitRevoked):
                await late
        # What is gone already is void, and nobody else's permit is.
        await permits.revoke(one.accessor)
        await permits.revoke("there-is-no-such-accessor")
        key = await transit.key(tenant)
        assert key is not None
        assert key.versions == 1
        await transit.destroy(tenant, other)
        permits.give_back(other)
        assert await permits.take() == other


async def test_a_permit_changes_keys_and_does_nothing_else(real_parts: RealParts, tenant: str) -> None:
    async with open_openbao(real_parts.login) as openbao:
        permit = await BaoPermits(openbao).take()
        for method, path in (
            ("POST", f"l2/encrypt/{tenant}"),
            ("GET", f"l2/keys/{tenant}"),
            ("GET", f"l2/export/encryption-key/{tenant}"),
            ("GET", f"l2/backup/{tenant}"),
            ("GET", f"keys/data/tenants/{tenant}"),
            ("POST", "auth/token/create/region-change"),
            ("POST", "auth/token/renew-self"),
        ):
            assert (await openbao.call(method, path, {}, token=permit.token)).status == 403, path


async def test_the_regions_own_login_changes_no_key(real_parts: RealParts, tenant: str) -> None:
    async with open_openbao(real_parts.login) as openbao:
        for method, path in (
            ("POST", f"l2/keys/{tenant}/import"),
            ("POST", f"l2/keys/{tenant}/import_version"),
            ("POST", f"l2/keys/{tenant}/config"),
            ("POST", f"l2/keys/{tenant}/rotate"),
            ("POST", f"l2/keys/{tenant}"),
            ("DELETE", f"l2/keys/{tenant}"),
        ):
            with pytest.raises(Unavailable) as refused:
                await openbao.call(method, path, {})
            assert refused.value.reason == "OPENBAO_DENIED"


@pytest.mark.parametrize("name", list(pairs(Estate())))
async def test_what_was_overtaken_changes_nothing(parts: Parts, name: str, tenant: str) -> None:
    at = 0
    while await _frozen(parts, f"{tenant}x{at}", name, at):
        at += 1
    assert at or name == "other key, killed"


async def _frozen(parts: Parts, tenant: str, name: str, at: int) -> bool:
    """One attempt that stands still at that change of a key; False when it has not so many."""
    pair = pairs(Estate(tenant))[name]
    parts = replace(parts, host=hurrying(parts.host))
    for wanted in pair.before:
        await _done(parts, wanted)
    ice = Ice(at, BEFORE, CHANGES)
    begun = asyncio.ensure_future(work(freezing(parts, ice), pair.begun))
    reached = asyncio.ensure_future(ice.reached.wait())
    await asyncio.wait({begun, reached}, return_when=asyncio.FIRST_COMPLETED)
    stood_still = ice.reached.is_set()
    for wanted in pair.then if stood_still else ():
        await _done(parts, wanted)
    if stood_still:
        await _check(parts, tenant, served=pair.served)
    ice.thaw.set()
    await begun
    reached.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reached
    if stood_still:
        await _check(parts, tenant, served=pair.served)
    return stood_still


async def _done(parts: Parts, wanted: pb.Task) -> None:
    """Until nothing holds it up; an HSM whose process starts on a busy machine may be away at first."""
    outcome = await work(parts, wanted)
    while outcome.waiting:
        await parts.host.sleep(1.0)
        outcome = await work(parts, wanted)
    assert outcome.outcome == pb.OUTCOME_DONE


async def _check(parts: Parts, tenant: str, *, served: bool) -> None:
    for path in await parts.store.names(f"systems/{tenant}"):
        system = parse(f"tenants/{tenant}/systems/{path}")
        record, _ = await read_system(parts, system)
        assert record is not None
        assert record.open == served
        if not served:
            assert await parts.transit.key(system.transit) is None
            continue
        assert await intact(parts, system, record)
        for blob in record.blobs:
            assert await parts.hsm.unwrap(blob.l1, base64.b64decode(blob.text))
        for each in await parts.store.names(system.services):
            service, _ = await read_service(parts, system.service_of(each))
            assert service is not None
            await parts.transit.decrypt(system.transit, [blob.text for blob in service.blobs])
