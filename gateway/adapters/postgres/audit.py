"""The audit trail in PostgreSQL. Its records are written by triggers; here they are chained and read."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp
from orbital.v1.audit_pb2 import AuditRecord, SignedAuditHead

from gateway.adapters.postgres.pool import Connection, Pool, translated
from gateway.adapters.postgres.queries import SQL
from gateway.ports.audit import End
from runtime.trail import BEGINNING, link, micros

SEAL_LOCK = 7_203_001


class PostgresAudit:
    """Implements `AuditStore`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def seal(self, most: int) -> int:
        """Chain up to `most` records to the end, and give how many; 0 where another gateway is at it."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(SQL["audit_lock"], SEAL_LOCK):
                return 0
            rows = await connection.fetch(SQL["audit_open"], most)
            if rows:
                end = await _end(connection)
                sequence, previous, hashes = end.sequence, end.hash, []
                for row in rows:
                    sequence += 1
                    previous = link(previous, sequence, micros(row["recorded_at"]), row["kind"], row["body"])
                    hashes.append(previous)
                places = range(end.sequence + 1, sequence + 1)
                await connection.execute(SQL["seal"], [row["id"] for row in rows], list(places), hashes)
        return len(rows)

    async def end(self) -> End:
        """The chain's end."""
        async with translated(), self._pool.acquire() as connection:
            return await _end(connection)

    async def keep_head(self, sequence: int, signed: SignedAuditHead) -> None:
        """Keep a signed head; the first one of a record stays."""
        parts = (signed.head, signed.key_id, signed.signature, list(signed.certificates))
        async with translated():
            await self._pool.execute(SQL["keep_audit_head"], sequence, *parts)

    async def newest_head(self) -> SignedAuditHead | None:
        """The newest signed head."""
        async with translated():
            rows = await self._pool.fetch(SQL["newest_audit_head"])
        return _head(rows[0]) if rows else None

    async def page(self, after: int, most: int) -> Sequence[AuditRecord]:
        """The records after that one, in order."""
        async with translated():
            return [_record(row) for row in await self._pool.fetch(SQL["audit_page"], after, most)]

    async def heads(self, after: int, last: int) -> Sequence[SignedAuditHead]:
        """The signed heads of the records after one and up to another."""
        async with translated():
            return [_head(row) for row in await self._pool.fetch(SQL["audit_heads"], after, last)]


async def _end(connection: Connection) -> End:
    row = await connection.fetchrow(SQL["audit_end"])
    return End(row["sequence"], row["hash"]) if row else End(0, BEGINNING)


def _record(row: asyncpg.Record) -> AuditRecord:
    stamp = Timestamp()
    stamp.FromMicroseconds(micros(row["recorded_at"]))
    return AuditRecord(
        sequence=row["sequence"], record_time=stamp, kind=row["kind"], body=row["body"], hash=row["hash"]
    )


def _head(row: asyncpg.Record) -> SignedAuditHead:
    return SignedAuditHead(**dict(row))
