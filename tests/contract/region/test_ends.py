"""How keys end: compromised at once, or purged for good. The same on parts in memory and on the real ones."""

from __future__ import annotations

import pytest
from orbital.v1 import task_pb2 as pb

from region.adapters.openbao.permits import BaoPermits
from region.adapters.openbao.store import KvStore
from region.adapters.openbao.transit import BaoTransit
from region.domain.names import parse
from region.handlers.parts import Parts, read_service, read_system
from region.handlers.settle import raise_services
from region.ports.host import real_host
from region.ports.vault import VERSION_REFUSED
from runtime.errors import Precondition, Stalled
from runtime.openbao import open_openbao
from tests.contract.region.conftest import RealParts
from tests.contract.region.test_handlers import names, serving
from tests.unit.region.make import Estate, work, work_all


async def test_after_an_emergency_rotation_of_a_service_its_old_versions_are_refused(parts: Parts, tenant: str) -> None:
    estate, (_, service) = Estate(tenant), names(tenant)
    await work_all(parts, *estate.foundation(), estate.link())
    old, _ = await serving(parts).wrap(service, b"L4", b"")
    outcome = await work(parts, estate.emergency(2, 2, "pay"))
    assert (outcome.outcome, outcome.key_state, outcome.key_version) == (pb.OUTCOME_DONE, pb.KEY_STATE_ACTIVE, 2)
    with pytest.raises(Precondition) as refused:
        await serving(parts).unwrap(service, old, b"")
    assert refused.value.reason == "KEY_COMPROMISED"
    sealed, version = await serving(parts).wrap(service, b"new", b"")
    assert version == 2
    assert (await serving(parts).unwrap(service, sealed, b""))[0] == b"new"


async def test_after_an_emergency_rotation_of_a_system_transit_refuses_its_old_versions(
    parts: Parts, tenant: str
) -> None:
    estate, (system, service) = Estate(tenant), names(tenant)
    await work_all(parts, *estate.foundation(), estate.link())
    sealed, _ = await serving(parts).wrap(service, b"L4", b"")
    before, _ = await read_service(parts, service)
    assert before is not None
    assert (await work(parts, estate.emergency(2, 2))).outcome == pb.OUTCOME_DONE
    with pytest.raises(Stalled) as refused:
        await parts.transit.decrypt(system.transit, [before.blobs[0].text])
    assert refused.value.reason == VERSION_REFUSED
    assert (await serving(parts).unwrap(service, sealed, b""))[0] == b"L4"
    # What is compromised stays so over a revocation and a new permission.
    assert {(await work(parts, each)).outcome for each in (estate.unlink(2), estate.link(3))} == {pb.OUTCOME_DONE}
    with pytest.raises(Stalled):
        await parts.transit.decrypt(system.transit, [before.blobs[0].text])
    assert (await serving(parts).unwrap(service, sealed, b""))[0] == b"L4"


async def test_a_service_defined_beside_an_emergency_rotation_is_not_lost(parts: Parts, tenant: str) -> None:
    estate, (system, service) = Estate(tenant), names(tenant)
    await work_all(parts, estate.define_tenant(), estate.system(), estate.link(), estate.service())
    stored = await parts.store.read(service.path)
    assert stored is not None
    await work(parts, estate.emergency(2, 2))
    # Its record arrives with what the refused version encrypted, as if the rotation had not seen it.
    _, revision = await read_service(parts, service)
    await parts.store.write(service.path, stored.fields, revision)
    with pytest.raises(Stalled):
        await raise_services(parts, system, 2)
    assert (await work(parts, estate.service())).outcome == pb.OUTCOME_DONE
    sealed, _ = await serving(parts).wrap(service, b"L4", b"")
    assert (await serving(parts).unwrap(service, sealed, b""))[0] == b"L4"
    key = await parts.transit.key(system.transit)
    assert key is not None
    assert key.least == 2


async def test_a_purge_leaves_tombstones_and_nothing_else(parts: Parts, tenant: str) -> None:
    estate, (system, service) = Estate(tenant), names(tenant)
    await work_all(parts, *estate.foundation(), estate.link())
    await serving(parts).wrap(service, b"L4", b"")
    assert (await work(parts, estate.purge(9))).reason == "SYSTEM_LINKED"
    for wanted in (estate.unlink(9), estate.purge(9, "pay"), estate.purge(9), estate.retire(9)):
        assert (await work(parts, wanted)).outcome == pb.OUTCOME_DONE
    for path in (system.path, service.path):
        stored = await parts.store.read(path)
        assert stored is not None
        assert not stored.fields["blobs"]
    assert await parts.transit.key(system.transit) is None
    await work_all(parts, *estate.foundation(), estate.link(3), estate.system(2, 2), estate.emergency(3, 3))
    assert await parts.transit.key(system.transit) is None
    record, _ = await read_system(parts, system)
    assert record is not None
    assert record.purged
    with pytest.raises(Precondition) as refused:
        await serving(parts).wrap(service, b"L4", b"")
    assert refused.value.reason == "KEY_DESTROYED"


async def test_openbao_keeps_no_older_revision_and_refuses_old_versions(real_parts: RealParts, tenant: str) -> None:
    async with open_openbao(real_parts.login) as openbao:
        store, transit = KvStore(openbao, "keys"), BaoTransit(openbao, "l2", real_host())
        path = parse(f"tenants/{tenant}").path
        await store.forget_older(path)
        real_parts.client.secrets.kv.v2.update_metadata(path, max_versions=5, mount_point="keys")
        await store.write(path, {"material": "x"}, 0)
        await store.write(path, {}, 1)
        kept = real_parts.client.secrets.kv.v2
        await store.forget_older(path)
        versions = kept.read_secret_metadata(path, mount_point="keys")["data"]["versions"]
        assert versions["1"]["destroyed"]
        assert not versions["2"]["destroyed"]
        permit = await BaoPermits(openbao).take()
        await transit.prepare_import()
        await transit.import_version(tenant, bytearray(b"1" * 32), permit, first=True)
        (first,) = await transit.encrypt(tenant, [bytearray(b"L3")])
        await transit.import_version(tenant, bytearray(b"2" * 32), permit, first=False)
        await transit.restrict(tenant, 2, permit)
        for refused in (transit.decrypt(tenant, [first]), transit.rewrap(tenant, [first])):
            with pytest.raises(Stalled) as error:
                await refused
            assert error.value.reason == VERSION_REFUSED, error.value.message
        await transit.restrict(tenant, 1, permit)
        assert await transit.decrypt(tenant, [first]) == [b"L3"]
