"""Restorations: what comes back, and that it takes two people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from orbital.v1.resource_pb2 import LinkSpec, LinkState, Resource, Selector, TenantSpec, TenantState
from orbital.v1.restore_pb2 import Restoration, RestorationState
from orbital.v1.task_pb2 import TaskKind

from gateway.domain.links import Key
from gateway.domain.restore import killed, restored
from gateway.domain.stored import Stored, Wanted
from gateway.domain.task import effect_kind
from gateway.flow.restore import Restore
from gateway.ports.serving import Caller
from gateway.ports.store import Action
from runtime.errors import Conflict, Denied, Invalid, NotFound, OrbitalError, Precondition
from runtime.policy import Refusal
from tests.unit.gateway.fakes import FakePolicy, FakeTasks

LINKED, UNLINKED = LinkState.LINK_STATE_LINKED, LinkState.LINK_STATE_UNLINKED
OPERATOR = Caller("spiffe://orbital/person/operator", "d-1", "a" * 32)
OFFICER = Caller("spiffe://orbital/person/officer", "d-2", "b" * 32)


def stored(*links: tuple[str, LinkState.ValueType], retired: bool = False) -> dict[str, Stored]:
    tenant = Resource(name="tenants/acme", tenant=TenantSpec(placement=Selector(regions=["eu10"])))
    found = [Stored(1, tenant, 4, 1)]
    for number, (name, state) in enumerate(links, 2):
        resource = Resource(name=f"tenants/acme/links/{name}", link=LinkSpec(system=name, state=state), retired=retired)
        found.append(Stored(number, resource, 7, 7))
    return {item.resource.name: item for item in found}


def after(before: Mapping[str, Stored], wanted: Mapping[int, Wanted]) -> dict[str, Stored]:
    names = {item.identity: name for name, item in before.items()}
    new = {names[key]: Stored(key, one.resource, one.generation, one.effect_generation) for key, one in wanted.items()}
    return {**before, **new}


def test_a_restoration_links_what_the_kill_unlinked_and_nothing_else() -> None:
    before = stored(("core", LINKED), ("old", UNLINKED))
    dead = after(before, killed(before))
    assert list(dead["tenants/acme"].resource.tenant.unlinked_by_kill) == ["core"]
    wanted = restored(dead, ["core"])
    alive = after(dead, wanted)
    assert alive["tenants/acme"].resource.tenant.state == TenantState.TENANT_STATE_ACTIVE
    assert not alive["tenants/acme"].resource.tenant.unlinked_by_kill
    states = {name: item.resource.link.state for name, item in alive.items() if item.resource.HasField("link")}
    assert states == {"tenants/acme/links/core": LINKED, "tenants/acme/links/old": UNLINKED}
    assert {one.generation for one in wanted.values()} == {6, 9}
    assert {effect_kind(one.resource, new=False) for one in wanted.values()} == {
        TaskKind.TASK_KIND_DEFINE_TENANT,
        TaskKind.TASK_KIND_LINK_KEY,
    }


def test_a_link_that_was_retired_meanwhile_stays_so() -> None:
    before = stored(("core", UNLINKED), retired=True)
    assert list(restored(before, ["core"])) == [1]


class FakeStore:
    """One tenant, and its restorations by ID."""

    def __init__(self) -> None:
        before = stored(("core", LINKED))
        self.stored = after(before, killed(before))
        self.kept: dict[str, Restoration] = {}
        self.driven: list[tuple[Action, Mapping[int, Wanted]]] = []

    @asynccontextmanager
    async def restoring(self) -> AsyncIterator[Any]:
        yield self

    async def locked(self, tenant: str) -> Mapping[str, Stored]:
        return self.stored if tenant == "acme" else {}

    async def reach(self, tenant: str, system: str = "") -> tuple[int, Sequence[str]]:
        return 3, ["eu10"]

    async def holders(self, named: Collection[Key]) -> Mapping[str, Stored]:
        return {}

    async def open(self, tenant: str) -> str:
        return next((one.id for one in self.kept.values() if one.state == RestorationState.RESTORATION_STATE_OPEN), "")

    async def ask(self, restoration: Restoration, seconds: float) -> None:
        restoration.state = RestorationState.RESTORATION_STATE_OPEN
        self.kept[restoration.id] = restoration

    async def close(self, identity: str, state: RestorationState.ValueType, actor: str, reason: str) -> bool:
        one = self.kept[identity]
        if one.state != RestorationState.RESTORATION_STATE_OPEN:
            return False
        one.state, one.decided_by, one.decline_reason = state, actor, reason
        return True

    async def drive(self, action: Action, wanted: Mapping[int, Wanted], answer: object) -> None:
        self.driven.append((action, wanted))

    async def restorations(self, identity: str, size: int) -> Sequence[Restoration]:
        return [one for one in self.kept.values() if identity in ("", one.id)][:size]


class Scene:
    def __init__(self) -> None:
        self.store, self.policy, self.tasks = FakeStore(), FakePolicy(), FakeTasks()
        self.restore = Restore(self.store, self.policy, self.tasks, lambda: "c" * 32, "gateway", 900)  # type: ignore[arg-type]

    async def asked(self) -> str:
        return (await self.restore.ask("acme", "false alarm", OPERATOR, validate_only=False)).id


async def test_asking_changes_nothing_and_approving_drives_the_new_generations() -> None:
    scene = Scene()
    radius = await scene.restore.ask("acme", "", OPERATOR, validate_only=True)
    assert (radius.id, list(radius.links), list(radius.regions), radius.services) == ("", ["core"], ["eu10"], 3)
    assert scene.store.kept == {}
    identity = await scene.asked()
    assert identity == OPERATOR.correlation_id
    assert await scene.asked() == identity
    assert scene.store.driven == []
    done = await scene.restore.approve(identity, OFFICER)
    assert (done.state, done.decided_by) == (RestorationState.RESTORATION_STATE_APPROVED, OFFICER.principal)
    ((action, wanted),) = scene.store.driven
    assert (action.correlation_id, action.actor, action.action) == (identity, OFFICER.principal, "restore acme")
    assert action.detail == f"false alarm (asked by {OPERATOR.principal})"
    assert len(wanted) == 2
    await scene.restore.approve(identity, OFFICER)
    assert len(scene.store.driven) == 1


async def test_what_policy_refuses_is_denied_and_kept() -> None:
    scene = Scene()
    identity = await scene.asked()
    scene.policy.refuse, scene.policy.refusal = {identity}, Refusal("FOUR_EYES", "Another person has to")
    with pytest.raises(Denied) as raised:
        await scene.restore.approve(identity, OPERATOR)
    assert raised.value.reason == "FOUR_EYES"
    assert [(one.policy, one.refusal.reason, one.correlation_id) for one in scene.tasks.denials] == [
        ("restore", "FOUR_EYES", identity)
    ]
    assert scene.store.driven == []
    name, question = scene.policy.asked[-1]
    assert (name, question["principal"], question["requests"][0]["asked_by"]) == (
        *("restore", OPERATOR.principal),
        OPERATOR.principal,
    )


async def test_a_tenant_that_changed_meanwhile_is_not_restored() -> None:
    scene = Scene()
    identity = await scene.asked()
    item = scene.store.stored["tenants/acme"]
    scene.store.stored["tenants/acme"] = Stored(item.identity, item.resource, item.generation + 1, item.generation)
    with pytest.raises(Precondition, match="has changed") as raised:
        await scene.restore.approve(identity, OFFICER)
    assert raised.value.reason == "STALE_GENERATION"


async def test_what_is_declined_is_over() -> None:
    scene = Scene()
    identity = await scene.asked()
    declined = await scene.restore.decline(identity, "not sure", OFFICER)
    assert (declined.decline_reason, scene.store.driven) == ("not sure", [])
    for again in (scene.restore.approve(identity, OFFICER), scene.restore.decline(identity, "twice", OFFICER)):
        with pytest.raises(Precondition) as raised:
            await again
        assert raised.value.reason == "RESTORATION_CLOSED"


@pytest.mark.parametrize(
    ("tenant", "reason", "error", "said"),
    [
        ("Acme!", "why", Invalid, "INVALID_NAME"),
        ("acme", " ", Invalid, "INVALID_LENGTH"),
        ("nobody", "why", NotFound, "UNKNOWN_TENANT"),
        ("acme", "why", Conflict, "ALREADY_ASKED"),
    ],
)
async def test_mistakes_are_named(tenant: str, reason: str, error: type[OrbitalError], said: str) -> None:
    scene = Scene()
    await scene.asked()
    with pytest.raises(error) as raised:
        await scene.restore.ask(tenant, reason, OFFICER, validate_only=False)
    assert raised.value.reason == said


async def test_only_what_is_killed_can_be_restored() -> None:
    scene = Scene()
    scene.store.stored = stored(("core", LINKED))
    with pytest.raises(Precondition) as raised:
        await scene.asked()
    assert raised.value.reason == "NOT_KILLED"
    with pytest.raises(NotFound):
        await scene.restore.approve("nothing", OFFICER)
