"""Any sequence of deliveries of any set of tasks, with duplicates, ends in the state of the highest generations.

Two processes of a region, each with its own memory of what it wrote, share the deliveries.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Kind, Name
from region.handlers.parts import Parts, read_service, read_system
from tests.unit.region.fakes import FakeHost, FakeStore, FakeTransit, fake_parts
from tests.unit.region.make import Estate, work

ESTATE = Estate()
SYSTEM = Name(Kind.SYSTEM, "acme", "core")


def history(kinds: list[str]) -> list[pb.Task]:
    """The tasks that a gateway would make of these changes, each resource's generation growing with each change."""
    tasks = ESTATE.foundation()
    system, service, link, tenant = 1, 1, 0, 1
    for kind in kinds:
        if kind == "rotate_system":
            system += 1
            tasks.append(ESTATE.system(system, system))
        elif kind == "rotate_service":
            service += 1
            tasks.append(ESTATE.service(service, service))
        elif kind == "kill":
            tenant += 1
            tasks.append(ESTATE.kill(tenant))
        elif kind == "revive":
            tenant += 1
            tasks.append(ESTATE.define_tenant(tenant, state=rpb.TENANT_STATE_ACTIVE))
        else:
            link += 1
            tasks.append(ESTATE.link(link) if kind == "link" else ESTATE.unlink(link))
    return tasks


async def _deliver(tasks: list[pb.Task], order: list[tuple[int, bool]]) -> tuple[Parts, FakeHost]:
    host = FakeHost()
    parts = fake_parts(host)
    other = replace(parts, store=cast("FakeStore", parts.store).of_another_process())
    for index, elsewhere in order:
        await work(other if elsewhere else parts, tasks[index % len(tasks)])
    # What waited or failed for another's sake is driven again, newest desired state of each resource, in sequence.
    newest = {each.resource.name: each for each in tasks}
    for _ in range(3):
        for each in tasks:
            if newest[each.resource.name] is each:
                await work(parts, each)
    return parts, host


async def _check(parts: Parts, tasks: list[pb.Task]) -> None:
    newest = {each.resource.name: each.resource for each in tasks}
    link = newest.get("tenants/acme/links/l")
    killed = newest["tenants/acme"].tenant.state == rpb.TENANT_STATE_KILLED
    linked = link is not None and link.link.state == rpb.LINK_STATE_LINKED and not killed
    record, _ = await read_system(parts, SYSTEM)
    service, _ = await read_service(parts, SYSTEM.service_of("pay"))
    assert record is not None
    assert service is not None
    assert len(record.blobs) == newest[SYSTEM.resource].system.key_version
    assert len(service.blobs) == newest[f"{SYSTEM.resource}/services/pay"].service.key_version
    material = [
        bytes(await parts.hsm.unwrap(blob.l1 or "orbital-region-root", base64.b64decode(blob.text)))
        for blob in record.blobs
    ]
    assert len(set(material)) == len(material)
    if linked:
        assert record.state is keys.State.ACTIVE
        assert cast("FakeTransit", parts.transit).keys == {SYSTEM.transit: material}
        assert not service.behind(len(material))
        await parts.transit.decrypt(SYSTEM.transit, [blob.text for blob in service.blobs])
    else:
        assert not record.open
        assert cast("FakeTransit", parts.transit).keys == {}


CHANGES = st.sampled_from(["link", "unlink", "rotate_system", "rotate_service", "kill", "revive", "link", "unlink"])


@settings(max_examples=200, deadline=None)
@given(st.lists(CHANGES, max_size=7), st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=25))
def test_any_replay_ends_at_the_highest_generations(kinds: list[str], order: list[tuple[int, bool]]) -> None:
    tasks = history(kinds)

    async def replay() -> FakeHost:
        parts, host = await _deliver(tasks, order)
        await _check(parts, tasks)
        return host

    asyncio.run(replay())
