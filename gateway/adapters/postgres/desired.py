"""Desired state in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from google.protobuf.message import Message
from orbital.v1.registry_pb2 import DeclareResponse, RetireResponse
from orbital.v1.resource_pb2 import Resource

from gateway.adapters.postgres.approval import Approvals
from gateway.adapters.postgres.database import Database, Session
from gateway.adapters.postgres.locks import AdvisoryLock
from gateway.adapters.postgres.targets import Move, converge, record, take_over
from gateway.domain.change import Plan
from gateway.domain.departure import PlacementState, Places, Step, steps
from gateway.domain.holdings import Floor
from gateway.domain.links import L1Key, key_of
from gateway.domain.resource import kind_of, parent_of, parse_name
from gateway.domain.stored import DesiredResource, Stored
from gateway.domain.task import effect_kind
from gateway.ports.store import Action
from runtime.errors import Conflict
from runtime.kinds import LANES, REVOKING

if TYPE_CHECKING:
    from gateway.ports.store import Estate, Tenancy


OVERTAKEN = "Another change came first; read again and declare again"


def from_row(row: asyncpg.Record) -> Stored:
    """A resource as a row has it."""
    return Stored(row["id"], Resource.FromString(row["body"]), row["generation"], row["effect_generation"])


def _l1(resource: Resource) -> str:
    return key_of(resource).text if resource.HasField("link") else ""


async def _holders(session: Session, named: Collection[L1Key]) -> Mapping[str, Stored]:
    keys = sorted(key.text for key in named)
    tenants = [row["tenant"] for row in await session.fetch("holding_tenants", keys)] if keys else []
    if not tenants:
        return {}
    # Before the Links are read: a kill that came first is seen, a later one waits.
    await session.execute("hold_tenants", tenants)
    return {row["name"]: from_row(row) for row in await session.fetch("holders", keys)}


async def shut_region(session: Session, region: str, action: Action) -> None:
    """Refuse the identity of a region that is gone, until it enrols anew, and forget how it is."""
    await session.execute("revoke_region", region, action.detail[:500], action.actor, action.decision_id)
    await session.execute("end_invitations", region)
    await session.execute("forget_region", region)


def _move(step: Step, identities: Mapping[str, int]) -> Move:
    lane = LANES[step.kind]
    identity = identities[step.name]
    return Move(identity, step.region, step.kind, lane, step.generation, leaving=step.leaving, returns=step.returns)


async def _wake(session: Session, lanes: set[int]) -> None:
    await session.execute("wake", [str(lane) for lane in sorted(lanes)])


async def answered(session: Session, actor: str, request_id: str, action: str) -> bytes | None:
    """The stored answer to this request, if it was made before; raises Conflict if it was another action."""
    row = await session.fetchrow("request_answer", actor, request_id) if request_id else None
    if row is None:
        return None
    if row["action"] != action:
        raise Conflict(f"request_id was used for {row['action']!r}", reason="ID_IN_USE", field="request_id")
    answer: bytes = row["response"]
    return answer


async def insert_job(session: Session, process: str, action: Action, answer: bytes, total: int) -> None:
    """Keep the head of a change."""
    try:
        await session.execute(
            "insert_job",
            action.correlation_id,
            action.actor,
            action.action,
            action.detail,
            action.decision_id,
            process,
            action.request_id,
            answer,
            total,
        )
    except Conflict as error:
        raise Conflict("The correlation ID or the request ID belongs to another change", reason="ID_IN_USE") from error


async def upsert(session: Session, wanted: Sequence[DesiredResource], correlation_id: str) -> dict[str, int]:
    """Store these generations; raises Conflict when somebody else stored one first."""
    names = [parse_name(item.resource.name) for item in wanted]
    try:
        rows = await session.fetch(
            "upsert_resources",
            [item.resource.name for item in wanted],
            [kind_of(item.resource) for item in wanted],
            [name.tenant for name in names],
            [parent_of(item.resource) for item in wanted],
            [item.resource.SerializeToString(deterministic=True) for item in wanted],
            [item.generation for item in wanted],
            [item.effect_generation for item in wanted],
            [item.resource.retired for item in wanted],
            [_l1(item.resource) for item in wanted],
            correlation_id,
        )
    except Conflict as error:
        raise Conflict(OVERTAKEN) from error
    if len(rows) != len(wanted):
        raise Conflict(OVERTAKEN)
    return {row["name"]: row["id"] for row in rows}


class _Estate:
    def __init__(self, session: Session, process: str) -> None:
        self.approvals = Approvals(session)
        self._session = session
        self._process = process

    async def answered(self, actor: str, request_id: str, action: str) -> bytes | None:
        return await answered(self._session, actor, request_id, action)

    async def regions(self) -> Mapping[str, Stored]:
        rows = await self._session.fetch("regions")
        return {row["name"]: Stored(row["id"], Resource.FromString(row["body"]), row["generation"], 1) for row in rows}

    async def resources(self, tenants: Sequence[str] | None) -> Mapping[str, Stored]:
        await self._session.execute("hold_tenants", None if tenants is None else list(tenants))
        if tenants is None:
            rows = await self._session.fetch("estate_all")
        else:
            rows = await self._session.fetch("estate_of", list(tenants))
        return {row["name"]: from_row(row) for row in rows}

    async def holders(self, named: Collection[L1Key]) -> Mapping[str, Stored]:
        return await _holders(self._session, named)

    async def floors(self, names: Collection[str]) -> Mapping[str, Floor]:
        rows = await self._session.fetch("floors", sorted(names)) if names else ()
        return {row["name"]: Floor(row["generation"], row["killed"], row["retired"]) for row in rows}

    async def occupied(self, regions: Sequence[str]) -> Mapping[str, int]:
        rows = await self._session.fetch("occupied_regions", list(regions)) if regions else ()
        return {row["region"]: row["placements"] for row in rows}

    async def placed(self, stored: Mapping[str, Stored]) -> Mapping[str, frozenset[str]]:
        names = {item.identity: name for name, item in stored.items()}
        found: dict[str, set[str]] = {}
        for row in await self._session.fetch("placed", list(names)):
            found.setdefault(names[row["resource_id"]], set()).add(row["region"])
        return {name: frozenset(regions) for name, regions in found.items()}

    async def places(self, names: Collection[str], stored: Mapping[str, Stored]) -> Places:
        known = {stored[name].identity: name for name in names if name in stored}
        found: dict[str, dict[str, PlacementState]] = {}
        for row in await self._session.fetch("placements_of", list(known)) if known else ():
            place = PlacementState(row["observed_generation"], row["desired_generation"], row["leaving"], row["gone"])
            found.setdefault(known[row["resource_id"]], {})[row["region"]] = place
        return found

    async def save(
        self,
        action: Action,
        plan: Plan,
        stored: Mapping[str, Stored],
        answer: DeclareResponse | RetireResponse,
        places: Places,
    ) -> None:
        identities = {name: item.identity for name, item in stored.items()}
        identities |= await upsert(self._session, plan.wanted, action.correlation_id)
        for item in plan.wanted:
            if item.resource.HasField("region") and item.resource.retired:
                await shut_region(self._session, item.resource.name.rpartition("/")[2], action)
        made = [(step, _move(step, identities)) for step in steps(plan, stored, places)]
        moves = [each for _, each in made]
        displaced = await take_over(self._session, [each for step, each in made if step.owes], action.correlation_id)
        if moves:
            rows = [(one.resource_id, one.region, one.kind, one.lane, one.generation, one.leaving) for one in moves]
            await self._session.execute("upsert_placements", *zip(*rows, strict=True), action.correlation_id)
        leaving = [(one.resource_id, one.region, one.generation) for one in moves if one.leaving]
        if leaving:
            await self._session.execute("keep_departures", *zip(*leaving, strict=True))
        await record(self._session, moves, action.correlation_id)
        await converge(self._session, displaced)
        packed = answer.SerializeToString()
        await insert_job(self._session, self._process, action, packed, len(moves))
        await _wake(self._session, {one.lane for one in moves})


class LockedTenancy:
    """Implements `Tenancy` in a transaction."""

    def __init__(self, session: Session, process: str) -> None:
        self.approvals = Approvals(session)
        self._session = session
        self._process = process

    async def answered(self, actor: str, request_id: str, action: str) -> bytes | None:
        """The stored answer to this request; see `Tenancy`."""
        return await answered(self._session, actor, request_id, action)

    async def locked(self, tenant: str) -> Mapping[str, Stored]:
        """The tenant and its links, locked."""
        await self._session.execute("claim_tenant", tenant)
        rows = await self._session.fetch("lock_tenant", tenant)
        return {row["name"]: from_row(row) for row in rows}

    async def links_of(self, tenants: Sequence[str]) -> Mapping[str, Stored]:
        """The links of these other tenants, locked."""
        await self._session.execute("claim_tenants", list(tenants))
        rows = await self._session.fetch("lock_links", list(tenants))
        return {row["name"]: from_row(row) for row in rows}

    async def holders(self, named: Collection[L1Key]) -> Mapping[str, Stored]:
        """Every Link that names one of these keys; see `Estate`."""
        return await _holders(self._session, named)

    async def reach(self, tenant: str, system: str = "") -> tuple[int, Sequence[str]]:
        """Its services and regions, or those of the Link of one System."""
        row = await self._session.fetchrow("tenant_reach", tenant, system)
        assert row is not None
        return row["services"], row["regions"]

    async def lost(self, tenant: str) -> Sequence[str]:
        """The regions that are gone for good and had something of the tenant."""
        return [row["region"] for row in await self._session.fetch("tenant_lost", tenant)]

    async def drive(self, action: Action, wanted: Mapping[int, DesiredResource], answer: Message) -> None:
        """New generations, driven everywhere."""
        await upsert(self._session, list(wanted.values()), action.correlation_id)
        kinds = {identity: effect_kind(item.resource, new=False) for identity, item in wanted.items()}
        moves = [
            Move(identity, row["region"], kinds[identity], LANES[kinds[identity]], wanted[identity].generation)
            for row in await self._session.fetch("placed", list(wanted))
            for identity in [row["resource_id"]]
            # What leaves a region is revoked there too, and never linked again.
            if kinds[identity] in REVOKING or not row["leaving"]
        ]
        displaced = await take_over(self._session, moves, action.correlation_id)
        lanes = [LANES[kind] for kind in kinds.values()]
        await self._session.execute(
            "drive_everywhere",
            list(wanted),
            [item.generation for item in wanted.values()],
            list(kinds.values()),
            lanes,
            action.correlation_id,
            list(REVOKING),
        )
        await record(self._session, moves, action.correlation_id)
        await converge(self._session, displaced)
        await insert_job(self._session, self._process, action, answer.SerializeToString(), len(moves))
        await _wake(self._session, set(lanes))


class PostgresDesired:
    """Implements `DesiredStore`."""

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process

    @asynccontextmanager
    async def declaring(self) -> AsyncIterator[Estate]:
        """A transaction for a declaration."""
        async with self._database.transaction("declare") as session:
            await session.execute("lock_declarations", AdvisoryLock.DECLARATIONS)
            yield _Estate(session, self._process)

    @asynccontextmanager
    async def killing(self) -> AsyncIterator[Tenancy]:
        """A transaction for a kill."""
        async with self._database.transaction("kill") as session:
            yield LockedTenancy(session, self._process)
