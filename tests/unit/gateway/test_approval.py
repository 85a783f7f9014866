"""What takes two people: every kind of request, and what a restoration brings back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from orbital.v1.approval_pb2 import Approval, ApprovalState, AskApprovalRequest, ListApprovalsRequest
from orbital.v1.resource_pb2 import LinkSpec, LinkState, Resource, Selector, TenantSpec, TenantState
from orbital.v1.task_pb2 import TaskKind

from gateway.domain.approval import KINDS, asked_for, kind_of
from gateway.domain.links import L1Key
from gateway.domain.restore import killed, restored
from gateway.domain.stored import DesiredResource, Stored
from gateway.domain.task import effect_kind
from gateway.flow.approval import POLICY, ApprovalFlow, SecondPerson, Transaction, keep
from gateway.flow.restore import RestoreTenant
from gateway.ports.approval import Waiting
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


def after(before: Mapping[str, Stored], wanted: Mapping[int, DesiredResource]) -> dict[str, Stored]:
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


class FakeBook:
    """Requests by ID, with the call that waits for each; also the store that lists them."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Approval, Waiting]] = {}

    async def open(self, found: Approval, waiting: Waiting) -> tuple[str, str] | None:
        for one, held in self.kept.values():
            same = (one.subject, kind_of(one), held.digest) == (found.subject, kind_of(found), waiting.digest)
            if same and one.state == ApprovalState.APPROVAL_STATE_OPEN:
                return one.id, one.asked_by
        return None

    async def ask(self, found: Approval, waiting: Waiting, seconds: float) -> None:
        found.state = ApprovalState.APPROVAL_STATE_OPEN
        found.ask_time.FromSeconds(1_000)
        found.expire_time.FromSeconds(1_000 + int(seconds))
        self.kept[found.id] = (_copy(found), waiting)

    async def waiting(self, identity: str) -> Waiting:
        return self.kept[identity][1]

    async def close(self, found: Approval, state: ApprovalState.ValueType, actor: str, reason: str) -> bool:
        one = self.kept[found.id][0]
        if one.state != ApprovalState.APPROVAL_STATE_OPEN:
            return False
        one.state, one.decided_by, one.decline_reason = state, actor, reason
        return True

    async def approvals(self, request: ListApprovalsRequest, size: int) -> tuple[Sequence[Approval], str]:
        return [_copy(one) for one, _ in self.kept.values() if request.id in ("", one.id)][:size], ""


def _copy(found: Approval) -> Approval:
    made = Approval()
    made.CopyFrom(found)
    return made


class FakeTenancy:
    """One killed tenant."""

    def __init__(self, book: FakeBook) -> None:
        before = stored(("core", LINKED))
        self.approvals = book
        self.stored = after(before, killed(before))
        self.driven: list[tuple[Action, Mapping[int, DesiredResource]]] = []

    @asynccontextmanager
    async def killing(self) -> AsyncIterator[Any]:
        yield self

    async def locked(self, tenant: str) -> Mapping[str, Stored]:
        return self.stored if tenant == "acme" else {}

    async def reach(self, tenant: str, system: str = "") -> tuple[int, Sequence[str]]:
        return 3, ["eu10"]

    async def holders(self, named: Collection[L1Key]) -> Mapping[str, Stored]:
        return {}

    async def drive(self, action: Action, wanted: Mapping[int, DesiredResource], answer: object) -> None:
        self.driven.append((action, wanted))


class FakeSubject:
    """Any kind of request; remembers what was carried out."""

    def __init__(self, book: FakeBook) -> None:
        self.approvals = book
        self.done: list[tuple[str, Action]] = []

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[Transaction]:
        yield self

    async def describe(self, change: Transaction, found: Approval) -> None:
        found.subject = "things/one"

    async def look(self, found: Approval) -> None:
        pass

    async def carry_out(self, change: Transaction, found: Approval, action: Action) -> None:
        self.done.append((found.id, action))


class Scene:
    """Restorations as they are, and every other kind by a subject that does nothing."""

    def __init__(self) -> None:
        self.book, self.policy, self.tasks = FakeBook(), FakePolicy(), FakeTasks()
        self.tenancy, self.subject = FakeTenancy(self.book), FakeSubject(self.book)
        subjects: dict[str, Any] = dict.fromkeys(KINDS, self.subject)
        subjects["restoration"] = RestoreTenant(self.tenancy)  # type: ignore[arg-type]
        self.flow = self.with_subjects(subjects)

    def with_subjects(self, subjects: dict[str, Any]) -> ApprovalFlow:
        second_person = SecondPerson(self.policy, self.tasks, "gateway")  # type: ignore[arg-type]
        return ApprovalFlow(self.book, subjects, second_person, lambda: "c" * 32, 900)

    async def asked(self, reason: str = "false alarm", tenant: str = "acme", caller: Caller = OPERATOR) -> str:
        return (await self.flow.ask(AskApprovalRequest(restore_tenant=tenant, reason=reason), caller)).id

    async def kept(self, kind: str) -> str:
        """A request of any kind that waits."""
        found = Approval(id="a" * 32, subject="things/one", reason="why", asked_by=OPERATOR.principal)
        getattr(found, kind).SetInParent()
        self.flow = self.with_subjects(dict.fromkeys(KINDS, self.subject))
        return await keep(self.book, found, Waiting(), 900)


async def test_asking_changes_nothing_and_approving_drives_the_new_generations() -> None:
    scene = Scene()
    only = AskApprovalRequest(restore_tenant="acme", validate_only=True)
    radius = await scene.flow.ask(only, OPERATOR)
    told = radius.restoration
    assert (radius.id, list(told.links), list(told.regions), told.services) == ("", ["core"], ["eu10"], 3)
    assert scene.book.kept == {}
    identity = await scene.asked()
    assert identity == OPERATOR.correlation_id
    assert await scene.asked() == identity
    assert scene.tenancy.driven == []
    done = await scene.flow.approve(identity, OFFICER)
    assert (done.state, done.decided_by) == (ApprovalState.APPROVAL_STATE_APPROVED, OFFICER.principal)
    ((action, wanted),) = scene.tenancy.driven
    assert (action.correlation_id, action.actor, action.action) == (identity, OFFICER.principal, "restore acme")
    assert action.detail == f"false alarm (asked by {OPERATOR.principal})"
    assert len(wanted) == 2
    await scene.flow.approve(identity, OFFICER)
    assert len(scene.tenancy.driven) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_what_policy_refuses_is_denied_and_kept_whatever_its_kind(kind: str) -> None:
    scene = Scene()
    identity = await scene.kept(kind)
    scene.policy.refuse, scene.policy.refusal = {identity}, Refusal("FOUR_EYES", "Another person has to")
    for decide in (scene.flow.approve(identity, OPERATOR), scene.flow.decline(identity, "no", OPERATOR)):
        with pytest.raises(Denied) as raised:
            await decide
        assert raised.value.reason == "FOUR_EYES"
    assert {(one.policy, one.refusal.reason, one.correlation_id) for one in scene.tasks.denials} == {
        (POLICY, "FOUR_EYES", identity)
    }
    assert scene.subject.done == []
    name, question = scene.policy.asked[-1]
    (request,) = question["requests"]
    assert (name, question["principal"], request["asked_by"]) == (POLICY, OPERATOR.principal, OPERATOR.principal)
    assert request["what"] == asked_for(scene.book.kept[identity][0])


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_carried_out_once_by_the_second_person_whatever_its_kind(kind: str) -> None:
    scene = Scene()
    identity = await scene.kept(kind)
    for _ in range(2):
        assert (await scene.flow.approve(identity, OFFICER)).state == ApprovalState.APPROVAL_STATE_APPROVED
    ((done, action),) = scene.subject.done
    assert (done, action.actor, action.correlation_id) == (identity, OFFICER.principal, identity)
    assert OPERATOR.principal in action.detail


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_declined_is_over_whatever_its_kind(kind: str) -> None:
    scene = Scene()
    identity = await scene.kept(kind)
    declined = await scene.flow.decline(identity, "not sure", OFFICER)
    assert (declined.decline_reason, scene.subject.done) == ("not sure", [])
    for again in (scene.flow.approve(identity, OFFICER), scene.flow.decline(identity, "twice", OFFICER)):
        with pytest.raises(Precondition) as raised:
            await again
        assert raised.value.reason == "REQUEST_CLOSED"
    assert scene.subject.done == []


async def test_a_tenant_that_changed_meanwhile_is_not_restored() -> None:
    scene = Scene()
    identity = await scene.asked()
    item = scene.tenancy.stored["tenants/acme"]
    scene.tenancy.stored["tenants/acme"] = Stored(item.identity, item.resource, item.generation + 1, item.generation)
    with pytest.raises(Precondition, match="has changed") as raised:
        await scene.flow.approve(identity, OFFICER)
    assert raised.value.reason == "STALE_GENERATION"


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
        await scene.asked(reason, tenant, OFFICER)
    assert raised.value.reason == said


async def test_a_request_names_what_it_is_about_and_a_list_a_kind_that_there_is() -> None:
    scene = Scene()
    with pytest.raises(Invalid) as raised:
        await scene.flow.ask(AskApprovalRequest(reason="why"), OPERATOR)
    assert raised.value.field == "action"
    with pytest.raises(Invalid) as raised:
        await scene.flow.approvals(ListApprovalsRequest(kind="anything"), 10)
    assert raised.value.field == "kind"


async def test_only_what_is_killed_can_be_restored() -> None:
    scene = Scene()
    scene.tenancy.stored = stored(("core", LINKED))
    with pytest.raises(Precondition) as raised:
        await scene.asked()
    assert raised.value.reason == "NOT_KILLED"
    with pytest.raises(NotFound):
        await scene.flow.approve("nothing", OFFICER)
