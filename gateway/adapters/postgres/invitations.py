"""Invitations in PostgreSQL: of a token only its SHA-256."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from gateway.adapters.postgres.database import Database, Session
from gateway.domain.enrolment import Invitation, Invited
from gateway.ports.serving import Caller


@dataclass(frozen=True, slots=True)
class _Taken:
    """Implements `Taken`."""

    session: Session
    token: bytes
    found: Invited | None

    async def use(self) -> None:
        await self.session.execute("use_invitation", self.token)


class PostgresInvitations:
    """Implements `InvitationStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def invited(self, region: str, invitation: Invitation, caller: Caller) -> None:
        """See the port."""
        row = (_digest(invitation.token), region, caller.principal, caller.decision_id, invitation.ends_at)
        await self._database.execute("invite", *row)

    @asynccontextmanager
    async def taking(self, token: str) -> AsyncIterator[_Taken]:
        """See the port."""
        digest = _digest(token)
        async with self._database.transaction("take an invitation") as session:
            row = await session.fetchrow("take_invitation", digest)
            yield _Taken(session, digest, Invited(**row) if row else None)

    async def restore(self, region: str, certificate_from: datetime, token_from: datetime) -> None:
        """See the port."""
        await self._database.execute("restore_region", region, certificate_from, token_from)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
