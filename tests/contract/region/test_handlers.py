"""What each task kind does to the region's keys."""

from __future__ import annotations

import itertools

import pytest
from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.domain.names import Kind, Name
from region.flow.key_access import KeyAccess
from region.flow.keyring import Keyring
from region.flow.serve import Serve
from region.handlers.parts import Parts, read_service, read_system
from runtime.errors import NotFound, Precondition
from tests.unit.region.make import Estate, work, work_all


class _Beats:
    """The control plane is heard all the time."""

    def silence(self) -> float:
        return 0.0


def serving(parts: Parts) -> Serve:
    """A server whose cache is always empty, so that each call asks the parts."""
    access = KeyAccess(parts=parts, keyring=Keyring(parts.host, 0, 10), heartbeats=_Beats())  # type: ignore[arg-type]
    return Serve(access=access, host=parts.host)


def names(tenant: str) -> tuple[Name, Name]:
    return Name(Kind.SYSTEM, tenant, "core"), Name(Kind.SERVICE, tenant, "core", "pay")


async def test_a_linked_system_serves(parts: Parts, tenant: str) -> None:
    estate = Estate(tenant)
    results = await work_all(parts, *estate.foundation(), estate.link())
    assert [each.outcome for each in results] == [pb.OUTCOME_DONE] * 4
    assert [each.key_state for each in results][1:] == [
        pb.KEY_STATE_PRE_ACTIVE,
        pb.KEY_STATE_PRE_ACTIVE,
        pb.KEY_STATE_ACTIVE,
    ]
    serve, (_, service) = serving(parts), names(tenant)
    sealed, version = await serve.wrap(service, b"L4", b"aad")
    assert version == 1
    assert await serve.unwrap(service, sealed, b"aad") == (b"L4", 1)


async def test_a_service_defined_after_the_link_serves(parts: Parts, tenant: str) -> None:
    estate = Estate(tenant)
    results = await work_all(parts, estate.define_tenant(), estate.system(), estate.link(), estate.service())
    assert results[-1].key_state == pb.KEY_STATE_ACTIVE
    serve, (_, service) = serving(parts), names(tenant)
    sealed, _ = await serve.wrap(service, b"L4", b"")
    assert (await serve.unwrap(service, sealed, b""))[0] == b"L4"


async def test_redelivery_does_not_make_material_twice(parts: Parts, tenant: str) -> None:
    estate = Estate(tenant)
    system, service = names(tenant)
    await work_all(parts, *estate.foundation())
    before = (await read_system(parts, system), await read_service(parts, service))
    await work_all(parts, *estate.foundation())
    assert (await read_system(parts, system), await read_service(parts, service)) == before
    await work_all(parts, estate.link())
    before = (await read_system(parts, system), await read_service(parts, service))
    again = await work_all(parts, *estate.foundation(), estate.link())
    assert [each.outcome for each in again] == [pb.OUTCOME_DONE] * 4
    assert (await read_system(parts, system), await read_service(parts, service)) == before


async def test_what_comes_before_its_parent_waits(parts: Parts, tenant: str) -> None:
    estate = Estate(tenant)
    results = await work_all(parts, estate.link(), estate.service(), estate.system())
    assert [each.reason for each in results] == ["SYSTEM_UNDEFINED", "SYSTEM_UNDEFINED", "TENANT_UNDEFINED"]
    assert results[0].awaits == f"tenants/{tenant}/systems/core"
    results = await work_all(parts, estate.define_tenant(), estate.system(), estate.service(), estate.link())
    assert [each.outcome for each in results] == [pb.OUTCOME_DONE] * 4


async def test_unlink_refuses_and_relink_restores(parts: Parts, tenant: str) -> None:
    estate, (system, service), serve = Estate(tenant), names(tenant), serving(parts)
    await work_all(parts, *estate.foundation(), estate.link())
    sealed, _ = await serve.wrap(service, b"L4", b"")
    (unlinked,) = await work_all(parts, estate.unlink(2))
    assert (unlinked.outcome, unlinked.key_state) == (pb.OUTCOME_DONE, pb.KEY_STATE_DESTROYED)
    assert await parts.transit.key(system.transit) is None
    with pytest.raises(NotFound):
        await parts.transit.decrypt(system.transit, ["vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
    with pytest.raises(Precondition, match="unlinked") as refused:
        await serve.unwrap(service, sealed, b"")
    assert refused.value.reason == "KEY_REVOKED"
    late = await work(parts, estate.link(1))
    assert (late.outcome, late.observed) == (pb.OUTCOME_STALE, 2)
    assert await parts.transit.key(system.transit) is None
    assert (await work(parts, estate.link(3))).outcome == pb.OUTCOME_DONE
    assert (await serve.unwrap(service, sealed, b""))[0] == b"L4"


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_links_in_every_order_end_at_the_highest_generation(
    parts: Parts, tenant: str, order: tuple[int, ...]
) -> None:
    estate, (system, _) = Estate(tenant), names(tenant)
    await work_all(parts, *estate.foundation())
    tasks = [estate.link(1), estate.unlink(2), estate.link(3), estate.unlink(4)]
    for index in order:
        await work(parts, tasks[index])
    assert await parts.transit.key(system.transit) is None
    record, _ = await read_system(parts, system)
    assert record is not None
    assert not record.open
    restored = await work_all(parts, estate.link(5))
    assert restored[0].outcome == pb.OUTCOME_DONE


async def test_an_unlink_that_precedes_its_system_still_fences(parts: Parts, tenant: str) -> None:
    estate, (system, _) = Estate(tenant), names(tenant)
    assert (await work(parts, estate.unlink(2))).outcome == pb.OUTCOME_DONE
    await work_all(parts, *estate.foundation())
    assert (await work(parts, estate.link(1))).outcome == pb.OUTCOME_STALE
    assert await parts.transit.key(system.transit) is None


async def test_rotation_of_l2_and_l3_keeps_old_ciphertext(parts: Parts, tenant: str) -> None:
    estate, (system, service), serve = Estate(tenant), names(tenant), serving(parts)
    await work_all(parts, *estate.foundation(), estate.link())
    first, _ = await serve.wrap(service, b"first", b"")
    rotated = await work(parts, estate.system(2, version=3))
    assert (rotated.outcome, rotated.key_version) == (pb.OUTCOME_DONE, 3)
    key = await parts.transit.key(system.transit)
    assert key is not None
    assert key.versions == 3
    record, _ = await read_service(parts, service)
    assert record is not None
    assert [blob.l2_version for blob in record.blobs] == [3]
    assert (await work(parts, estate.service(2, version=2))).key_version == 2
    second, version = await serve.wrap(service, b"second", b"")
    assert version == 2
    await work_all(parts, estate.unlink(2), estate.link(3))
    assert (await serve.unwrap(service, first, b"")) == (b"first", 1)
    assert (await serve.unwrap(service, second, b"")) == (b"second", 2)


async def test_rotation_while_unlinked_is_there_after_the_relink(parts: Parts, tenant: str) -> None:
    estate, (system, service), serve = Estate(tenant), names(tenant), serving(parts)
    await work_all(parts, *estate.foundation(), estate.link())
    sealed, _ = await serve.wrap(service, b"L4", b"")
    results = await work_all(
        parts, estate.unlink(2), estate.system(2, version=2), estate.service(2, version=2), estate.link(3)
    )
    assert {each.outcome for each in results} == {pb.OUTCOME_DONE}
    key = await parts.transit.key(system.transit)
    assert key is not None
    assert key.versions == 2
    assert (await serve.wrap(service, b"new", b""))[1] == 2
    assert (await serve.unwrap(service, sealed, b""))[0] == b"L4"


async def test_rotating_l1_rewraps_the_same_material(parts: Parts, tenant: str) -> None:
    estate, (system, service), serve = Estate(tenant), names(tenant), serving(parts)
    await work_all(parts, *estate.foundation(), estate.link())
    sealed, _ = await serve.wrap(service, b"L4", b"")
    assert (await work(parts, estate.link(2, key="l1-new"))).outcome == pb.OUTCOME_DONE
    record, _ = await read_system(parts, system)
    assert record is not None
    assert {blob.l1 for blob in record.blobs} == {"l1-new"}
    await work_all(parts, estate.unlink(3), estate.link(4, key="l1-new"))
    assert (await serve.unwrap(service, sealed, b""))[0] == b"L4"


async def test_the_kill_switch_revokes_every_system(parts: Parts, tenant: str) -> None:
    estate, (system, service), serve = Estate(tenant), names(tenant), serving(parts)
    await work_all(parts, *estate.foundation(), estate.link())
    sealed, _ = await serve.wrap(service, b"L4", b"")
    killed = await work(parts, estate.kill(2))
    assert (killed.outcome, killed.observed) == (pb.OUTCOME_DONE, 2)
    assert await parts.transit.key(system.transit) is None
    with pytest.raises(Precondition) as refused:
        await serve.unwrap(service, sealed, b"")
    assert refused.value.reason == "TENANT_KILLED"
    later = await work(parts, estate.link(9))
    assert (later.outcome, later.reason) == (pb.OUTCOME_FAILED, "TENANT_KILLED")
    assert (await work(parts, estate.define_tenant(1))).outcome == pb.OUTCOME_STALE
    assert (await work(parts, estate.kill(2))).outcome == pb.OUTCOME_DONE


async def test_a_kill_that_metadata_overtook_still_destroys(parts: Parts, tenant: str) -> None:
    estate, (system, _) = Estate(tenant), names(tenant)
    await work_all(parts, *estate.foundation(), estate.link())
    newer = estate.define_tenant(3, state=rpb.TENANT_STATE_KILLED)
    await work(parts, newer)
    await work(parts, estate.kill(2))
    assert await parts.transit.key(system.transit) is None


async def test_a_second_link_waits_for_the_first(parts: Parts, tenant: str) -> None:
    estate = Estate(tenant)
    await work_all(parts, *estate.foundation(), estate.link())
    waits = await work(parts, estate.link(1, name="other"))
    assert (waits.reason, waits.awaits) == ("SYSTEM_LINKED", f"tenants/{tenant}/links/l")
    await work(parts, estate.unlink(2))
    assert (await work(parts, estate.link(1, name="other"))).outcome == pb.OUTCOME_DONE
    # The first Link's late revocation is not about this one.
    await work(parts, estate.unlink(3))
    assert await parts.transit.key(f"{tenant}.core") is not None


async def test_an_older_generation_of_a_key_is_stale(parts: Parts, tenant: str) -> None:
    estate = Estate(tenant)
    await work_all(parts, estate.define_tenant(), estate.system(3, version=2), estate.service(3, version=2))
    results = await work_all(parts, estate.system(1), estate.service(1))
    assert [(each.outcome, each.observed) for each in results] == [(pb.OUTCOME_STALE, 3)] * 2
