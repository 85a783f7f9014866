"""Receipts and certificates in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import asyncpg

from gateway.adapters.postgres.database import Database
from gateway.domain.proof import Certified, Share
from gateway.domain.task import REVOKING, task_id


class PostgresProofs:
    """Implements `ProofStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def shares(self, correlation_id: str) -> Sequence[Share]:
        """The tasks of a change that have, or should have, a receipt."""
        rows = await self._database.fetch("proof_tasks", correlation_id, list(REVOKING))
        found = {row["id"]: _share(row) for row in rows}
        found |= {row["id"]: _share(row) for row in await self._database.fetch("proof_more", correlation_id)}
        for row in await self._database.fetch("proof_placements", correlation_id, list(REVOKING)):
            identity = task_id(row["name"], row["region"], row["generation"])
            # Detected, but no task was made yet.
            found.setdefault(identity, _share({**row, "id": identity}))
        return list(found.values())

    async def keep_certificate(self, certified: Certified) -> None:
        """Keep a certificate; one that is kept already is not kept twice."""
        await self._database.execute(
            "keep_certificate",
            certified.key_id,
            certified.name,
            certified.certificate,
            list(certified.chain),
            certified.begins_at,
            certified.ends_at,
        )

    async def certificates(self, keys: Sequence[bytes]) -> Mapping[bytes, Sequence[Certified]]:
        """The certificates of these keys, by key ID, those that end first before the others."""
        rows = await self._database.fetch("certificates", list(keys))
        found: dict[bytes, list[Certified]] = {}
        for row in rows:
            found.setdefault(row["key_id"], []).append(Certified(**dict(row)))
        return found


def _share(row: Mapping[str, object] | asyncpg.Record) -> Share:
    return Share(
        row["id"].hex,  # type: ignore[union-attr]
        row["region"],  # type: ignore[arg-type]
        row["name"],  # type: ignore[arg-type]
        row["generation"],  # type: ignore[arg-type]
        row["kind"],  # type: ignore[arg-type]
        row["state"],  # type: ignore[arg-type]
        row["message"],  # type: ignore[arg-type]
        row["receipt"] or b"",  # type: ignore[arg-type]
    )
