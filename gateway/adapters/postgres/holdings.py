"""What regions hold beyond a database that was restored from a backup."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from orbital.v1.audit_pb2 import AuditHead
from orbital.v1.registry_pb2 import KillResponse
from orbital.v1.resource_pb2 import Resource

from gateway.adapters.postgres.database import Database, Session
from gateway.adapters.postgres.desired import LockedTenancy, from_row
from gateway.adapters.postgres.locks import AdvisoryLock
from gateway.domain.holdings import Floor, adopt
from gateway.domain.resource import parse_name
from gateway.domain.state import Placed, again
from gateway.domain.stored import DesiredResource
from gateway.ports.store import Action
from runtime.signatures import GATEWAY

NAMED = 5  # resources that the detail of a change names


class PostgresHoldings:
    """Implements `HoldingStore`."""

    def __init__(self, database: Database, process: str, new_correlation_id: Callable[[], str]) -> None:
        self._database = database
        self._process = process
        self._new_correlation_id = new_correlation_id

    async def lost(self, head: AuditHead) -> bool:
        """See the port."""
        rows = await self._database.fetch("head_lost", head.sequence, head.hash)
        return bool(rows[0]["lost"])

    async def ask(self, region: str, head: AuditHead, signed_at: datetime) -> bool:
        """See the port."""
        async with self._database.transaction("ask for holdings") as session:
            await session.execute("went_back", region, head.sequence, head.hash, signed_at)
            return await session.fetchval("going_back", region) is not None

    async def adopt(self, region: str, held: Sequence[Resource], *, last: bool) -> None:
        """See the port."""
        async with self._database.transaction("adopt holdings") as session:
            await session.execute("lock_declarations", AdvisoryLock.DECLARATIONS)
            if await session.fetchval("going_back", region) is None:
                return
            names = [resource.name for resource in held]
            tenants = sorted({parse_name(name).tenant for name in names})
            await session.execute("claim_tenants", tenants)
            rows = await session.fetch("held_resources", names, tenants, region)
            changes = sorted({resource.correlation_id for resource in held})
            known = {row["correlation_id"] for row in await session.fetch("known_changes", changes)}
            placed = {row["name"] for row in rows if row["placed"]}
            found = adopt(held, {row["name"]: from_row(row) for row in rows}, placed, known)
            await self._revoke(session, region, found.revoked)
            await _raise(session, found.raised)
            await _keep_floors(session, found.floors)
            counts = (len(found.revoked), len(found.raised), len(found.floors))
            await session.execute("tell_went_back", region, *counts, last)

    async def _revoke(self, session: Session, region: str, revoked: Mapping[int, DesiredResource]) -> None:
        """One change for all of them, which says where it comes from."""
        if not revoked:
            return
        names = sorted(item.resource.name for item in revoked.values())
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        detail = f"revoked in {region} by changes that this database has lost: {', '.join(names[:NAMED])}{more}"
        answer = KillResponse(correlation_id=self._new_correlation_id(), links=len(revoked))
        action = Action(answer.correlation_id, GATEWAY, "adopt", detail, "", "")
        lifted = [(identity, item.generation - 1) for identity, item in revoked.items()]
        await session.execute("lift_generations", *zip(*lifted, strict=True))
        await LockedTenancy(session, self._process).drive(action, revoked, answer)


async def _raise(session: Session, raised: Mapping[int, DesiredResource]) -> None:
    if not raised:
        return
    tasks = again(Placed(identity, item.resource, item.generation) for identity, item in raised.items())
    rows = [
        (identity, item.resource.SerializeToString(deterministic=True), item.generation, kind, lane)
        for (identity, item), (_, kind, lane) in zip(raised.items(), tasks, strict=True)
    ]
    await session.execute("raise_generations", *zip(*rows, strict=True))
    await session.execute("wake_lanes", sorted({lane for _, _, lane in tasks}))


async def _keep_floors(session: Session, floors: Mapping[str, Floor]) -> None:
    if floors:
        rows = [(name, floor.generation, floor.killed, floor.retired) for name, floor in sorted(floors.items())]
        await session.execute("keep_floors", *zip(*rows, strict=True))
