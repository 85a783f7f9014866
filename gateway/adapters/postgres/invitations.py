"""Invitations in PostgreSQL: of a token only its SHA-256."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from gateway.adapters.postgres.pool import Connection, Pool, translated
from gateway.adapters.postgres.queries import SQL
from gateway.domain.enrolment import Invitation, Invited
from gateway.ports.serving import Caller


@dataclass(frozen=True, slots=True)
class _Taken:
    """Implements `Taken`."""

    connection: Connection
    token: bytes
    found: Invited | None

    async def use(self) -> None:
        await self.connection.execute(SQL["use_invitation"], self.token)


class PostgresInvitations:
    """Implements `InvitationStore`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def invited(self, region: str, invitation: Invitation, caller: Caller) -> None:
        """See the port."""
        row = (_digest(invitation.token), region, caller.principal, caller.decision_id, invitation.ends_at)
        async with translated():
            await self._pool.execute(SQL["invite"], *row)

    @asynccontextmanager
    async def taking(self, token: str) -> AsyncIterator[_Taken]:
        """See the port."""
        digest = _digest(token)
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(SQL["take_invitation"], digest)
            yield _Taken(connection, digest, Invited(**row) if row else None)

    async def restore(self, region: str, certificate_from: datetime, token_from: datetime) -> None:
        """See the port."""
        async with translated():
            await self._pool.execute(SQL["restore_region"], region, certificate_from, token_from)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
