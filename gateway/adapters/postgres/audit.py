"""The audit trail in PostgreSQL. Its records are written by triggers; here they are chained and read."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp
from orbital.v1.audit_pb2 import AuditRecord, SignedAuditHead

from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.locks import AdvisoryLock
from gateway.ports.audit import ChainEnd
from runtime.trail import BEGINNING, link, micros


class PostgresAudit:
    """Implements `AuditStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def seal(self, most: int) -> int:
        """Chain up to `most` records to the end, and give how many; 0 where another gateway is at it."""
        async with self._database.transaction("seal the audit trail") as session:
            if not await session.fetchval("audit_lock", AdvisoryLock.AUDIT_SEAL):
                return 0
            rows = await session.fetch("audit_open", most)
            if rows:
                end = _end(await session.fetch("audit_end"))
                sequence, previous, hashes = end.sequence, end.hash, []
                for row in rows:
                    sequence += 1
                    previous = link(previous, sequence, micros(row["recorded_at"]), row["kind"], row["body"])
                    hashes.append(previous)
                places = range(end.sequence + 1, sequence + 1)
                await session.execute("seal", [row["id"] for row in rows], list(places), hashes)
        return len(rows)

    async def end(self) -> ChainEnd:
        """The chain's end."""
        rows = await self._database.fetch("audit_end")
        return _end(rows)

    async def keep_head(self, sequence: int, signed: SignedAuditHead) -> None:
        """Keep a signed head; the first one of a record stays."""
        parts = (signed.head, signed.key_id, signed.signature, list(signed.certificates))
        await self._database.execute("keep_audit_head", sequence, *parts)

    async def newest_head(self) -> SignedAuditHead | None:
        """The newest signed head."""
        rows = await self._database.fetch("newest_audit_head")
        return _head(rows[0]) if rows else None

    async def page(self, after: int, most: int) -> Sequence[AuditRecord]:
        """The records after that one, in order."""
        return [_record(row) for row in await self._database.fetch("audit_page", after, most)]

    async def heads(self, after: int, last: int) -> Sequence[SignedAuditHead]:
        """The signed heads of the records after one and up to another."""
        return [_head(row) for row in await self._database.fetch("audit_heads", after, last)]


def _end(rows: Sequence[asyncpg.Record]) -> ChainEnd:
    return ChainEnd(rows[0]["sequence"], rows[0]["hash"]) if rows else ChainEnd(0, BEGINNING)


def _record(row: asyncpg.Record) -> AuditRecord:
    stamp = Timestamp()
    stamp.FromMicroseconds(micros(row["recorded_at"]))
    return AuditRecord(
        sequence=row["sequence"], record_time=stamp, kind=row["kind"], body=row["body"], hash=row["hash"]
    )


def _head(row: asyncpg.Record) -> SignedAuditHead:
    return SignedAuditHead(**dict(row))
