"""Policy engines and their decisions in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orbital.v1.policy_pb2 import Decision, Engine

from gateway.adapters.postgres.database import Database
from gateway.ports.engines import Decided, EngineStatus
from runtime.errors import Unavailable
from runtime.logs import get_logger
from runtime.page import before_moment, page_before
from runtime.printable import printable

log = get_logger(__name__)

PRUNE_SECONDS = 600.0
# Bytes of a text in a decision: whoever called has chosen it.
LONGEST = 1000


class PostgresEngines:
    """Implements `EngineStore`."""

    def __init__(self, database: Database, keep_days: float) -> None:
        self._database = database
        self._keep_days = keep_days

    async def run(self) -> None:
        """Forget what is older than the setting says, until cancelled."""
        while True:
            try:
                await self._database.execute("prune_decisions", self._keep_days)
            except Unavailable as error:
                log.warning("decisions not pruned", reason=error.reason)
            await asyncio.sleep(PRUNE_SECONDS)

    async def keep_decisions(self, engine: str, instance: str, decisions: Sequence[Decided]) -> None:
        """Keep them in one transaction, and count those that are new."""
        rows = [
            (
                printable(item.decision_id, LONGEST),
                printable(item.policy, LONGEST),
                printable(item.principal, LONGEST),
                printable(item.action, LONGEST),
                item.allowed,
                item.denied,
                printable(item.reason, LONGEST),
                printable(item.revision, LONGEST),
                " ".join(item.correlation_ids),
                item.at,
            )
            for item in decisions
        ]
        if rows:
            await self._database.execute("keep_decisions", engine, instance, *zip(*rows, strict=True))

    async def keep_engine(self, status: EngineStatus) -> int:
        """Keep what it said last; returns how many of its decisions are newly known to be lost."""
        rows = await self._database.fetch(
            "keep_engine", status.name, status.instance, status.revision, status.error, status.made
        )
        return int(rows[0]["newly_lost"])

    async def engines(self) -> list[Engine]:
        """All of them, by name."""
        rows = await self._database.fetch("engines")
        found: list[Engine] = []
        for row in rows:
            engine = Engine(**{name: row[name] for name in ("name", "revision", "error", "made", "received", "lost")})
            engine.since.FromDatetime(row["revision_at"])
            engine.heard_time.FromDatetime(row["heard_at"])
            found.append(engine)
        return found

    async def decisions(self, correlation_id: str, size: int, token: str) -> tuple[list[Decision], str]:
        """A page of those of a change (of all, for ""), newest first, and the token of the next one."""
        rows = await self._database.fetch("decisions", correlation_id, size + 1, *before_moment(token))
        names = ("decision_id", "engine", "policy", "principal", "action", "allowed", "denied", "reason", "revision")
        found: list[Decision] = []
        for row in rows:
            decision = Decision(**{name: row[name] for name in names})
            decision.decide_time.FromDatetime(row["decided_at"])
            found.append(decision)

        def key(index: int) -> tuple[str, str]:
            return rows[index]["decided_at"].isoformat(), f"{found[index].decision_id} {found[index].engine}"

        return page_before(found, key, size)
