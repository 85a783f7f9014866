"""What regions say of their edges, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from orbital.v1.edge_pb2 import Edge, ObserveRequest, Use

from gateway.adapters.postgres.database import Database
from gateway.domain.edge import SILENT_SECONDS, unheard
from gateway.ports.edges import Observation


class PostgresEdges:
    """Implements `EdgeStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, observations: Sequence[Observation]) -> None:
        """See the port."""
        ordered = sorted(observations, key=lambda each: each.region)
        await self._database.execute(
            "observe_edges",
            [each.region for each in ordered],
            [each.sent_at for each in ordered],
            [_packed(each) for each in ordered],
        )

    async def edges(self, region: str) -> list[Edge]:
        """See the port."""
        rows = await self._database.fetch("edges", region, SILENT_SECONDS)
        found = []
        for row in rows:
            for edge in ObserveRequest.FromString(row["body"]).edges:
                edge.region = row["region"]
                if row["silent"]:
                    unheard(edge, (row["asked_at"] - row["heard_at"]).total_seconds())
                found.append(edge)
        return found

    async def uses(self, tenant: str, system: str) -> list[Use]:
        """See the port."""
        rows = await self._database.fetch("edges", "", SILENT_SECONDS)
        found = []
        for row in rows:
            said = ObserveRequest.FromString(row["body"])
            if not said.HasField("counted_since"):
                continue
            mine = [one for one in said.uses if one.tenant == tenant and system in ("", one.system)]
            use = Use(region=row["region"], tenant=tenant, system=system, since=said.counted_since)
            use.wraps, use.unwraps = sum(one.wraps for one in mine), sum(one.unwraps for one in mine)
            use.heard_at.FromDatetime(row["heard_at"])
            found.append(use)
        return found


def _packed(said: Observation) -> bytes:
    kept = ObserveRequest(edges=said.edges, uses=said.uses, counted_since=said.counted_since)
    return kept.SerializeToString(deterministic=True)
