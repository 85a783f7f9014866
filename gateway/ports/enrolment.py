"""What enrolment needs: tokens, their record, and logins."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from gateway.domain.enrolment import Invitation, Invited
from gateway.domain.proof import Certified
from gateway.ports.serving import Caller


class TakenToken(Protocol):
    """A token that nobody else can take meanwhile."""

    @property
    def found(self) -> Invited | None:
        """What is known of it; None: nothing."""

    async def use(self) -> None:
        """It is used up, whatever comes of it."""


class InvitationStore(Protocol):
    """The record of tokens, which holds nothing that turns into an identity."""

    async def invited(self, region: str, invitation: Invitation, caller: Caller) -> None:
        """Keep that it was given out."""

    def taking(self, token: str) -> AbstractAsyncContextManager[TakenToken]:
        """One transaction."""

    async def restore(self, region: str, certificate_from: datetime, token_from: datetime) -> None:
        """The region's identity counts again, if it was revoked, from these times on."""


class Wrapping(Protocol):
    """One-time tokens."""

    async def wrap(self, region: str, seconds: float) -> str:
        """A token that can be opened once, and no later than so many seconds from now; raises Unavailable."""

    async def unwrap(self, token: str) -> str | None:
        """The region that it was made for; None when it cannot be opened. Raises Unavailable."""


class LoginIssuer(Protocol):
    """Where regions with tokens log in."""

    async def renew(self, region: str) -> str:
        """The region's only secret from now on; empty when it has no login. Raises Unavailable."""


class Enrolling(Protocol):
    """How a region gets its identity."""

    async def invite(self, region: str, caller: Caller) -> Invitation:
        """A token for a declared region; raises NotFound."""

    async def redeem(self, region: str, token: str, request: bytes) -> tuple[Certified, str]:
        """Its certificate, and the secret of its login; raises Denied, and Invalid on a bad signing request."""
