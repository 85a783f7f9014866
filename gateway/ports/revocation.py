"""What is kept of revocations, and what they are carried out by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.domain.revocation import Credential, Revocation
from gateway.ports.serving import Caller


class RevocationList(Protocol):
    """Who is refused, as this process knows it."""

    @property
    def marks(self) -> Sequence[Revocation]:
        """Every region that was ever revoked."""

    def admit(self, principal: str, shown: Credential) -> None:
        """Raise Denied if this is a region's identity that was revoked."""

    async def revoke(self, region: str, reason: str, caller: Caller) -> Revocation | None:
        """Refuse every identity of the region from now on; None when it was revoked before."""


class RevocationStore(Protocol):
    """Keeps them, with their place in the audit trail."""

    async def marks(self) -> Sequence[Revocation]:
        """Every region that was ever revoked."""

    async def revoke(self, region: str, reason: str, caller: Caller) -> datetime | None:
        """Durably; its invitations end too. None when it is revoked already."""


@dataclass(frozen=True, slots=True)
class BrokerConnection:
    """A connection at the broker, and from when on the certificate that made it is valid; None: it does not say."""

    name: str
    certificate_start: float | None


class BrokerConnections(Protocol):
    """The connections at the broker."""

    async def expel(self, principal: str) -> None:
        """End all that an identity has; raises Unavailable when the broker does not answer."""

    async def entries(self, principal: str) -> Sequence[BrokerConnection]:
        """Those of which more is known than that they are there; raises Unavailable."""

    async def close(self, entry: BrokerConnection) -> None:
        """End one; nothing happens if it has ended."""


class Logins(Protocol):
    """Where regions with tokens log in."""

    async def shut(self, region: str) -> None:
        """Let the region have no more tokens; nothing happens if it has no login. Raises Unavailable."""
