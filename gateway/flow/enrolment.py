"""enrolment: a token that works once, and soon, turns into the identity of a region."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.domain.enrolment import UNKNOWN, Invitation, Invited, declared, refusal
from gateway.domain.proof import Certified
from gateway.flow.security import Security
from gateway.ports.enrolment import InvitationStore, LoginIssuer, Wrapping
from gateway.ports.proof import Authority
from gateway.ports.security import SecurityEvent
from gateway.ports.serving import Caller, ReadStore
from runtime.errors import Denied
from runtime.fields import check_length, check_name
from runtime.logs import get_logger
from runtime.signatures import region_identity

log = get_logger(__name__)

ROLE = "region"
MAX_TOKEN = 512  # characters; a token has 30


class Invitations:
    """One-time tokens, from their making to their use; each works for `seconds`."""

    def __init__(
        self, *, store: InvitationStore, wrapping: Wrapping, clock: Callable[[], datetime], seconds: float
    ) -> None:
        self._store = store
        self._wrapping = wrapping
        self._clock = clock
        self._seconds = seconds

    async def make(self, region: str, caller: Caller) -> Invitation:
        """A new token for the region, which the store has a record of."""
        ends_at = self._clock() + timedelta(seconds=self._seconds)
        invitation = Invitation(await self._wrapping.wrap(region, self._seconds), ends_at)
        await self._store.invited(region, invitation, caller)
        return invitation

    async def use(self, region: str, token: str) -> tuple[Denied | None, Invited | None]:
        """(why the token is refused, what is known of it); a token that is not refused is used up."""
        async with self._store.taking(token) as taken:
            found = taken.found
            refused = refusal(found, region)
            if refused is None:
                # Before anything else is done with it: whatever fails from here on, it does not work twice.
                await taken.use()
        if refused is None and await self._wrapping.unwrap(token) != region:
            refused = Denied("The token is none that can be opened", reason=UNKNOWN)
        return refused, found

    async def restore(self, region: str, certificate_from: datetime) -> None:
        """The region's identity counts again: certificates from that time on, tokens from now on."""
        await self._store.restore(region, certificate_from, self._clock())


class Enrolment:
    """See gateway.ports.enrolment.Enrolling."""

    def __init__(
        self,
        *,
        invitations: Invitations,
        reads: ReadStore,
        logins: LoginIssuer,
        authority: Authority,
        security: Security,
    ) -> None:
        self._invitations = invitations
        self._reads = reads
        self._logins = logins
        self._authority = authority
        self._security = security

    async def invite(self, region: str, caller: Caller) -> Invitation:
        """See the port."""
        check_name(region, "region")
        declared(await self._reads.resource(f"regions/{region}"), region)
        invitation = await self._invitations.make(region, caller)
        log.info("region invited", region=region, actor=caller.principal, ends_at=invitation.ends_at.isoformat())
        return invitation

    async def redeem(self, region: str, token: str, request: bytes) -> tuple[Certified, str]:
        """See the port."""
        check_name(region, "region")
        check_length(len(token), 1, MAX_TOKEN, "token")
        await self._open(region, token)
        certified = await self._authority.certify(ROLE, region_identity(region), request)
        secret = await self._logins.renew(region)
        await self._invitations.restore(region, certified.begins_at)
        log.warning("region enrolled", region=region, ends_at=certified.ends_at.isoformat())
        return certified, secret

    async def _open(self, region: str, token: str) -> None:
        refused, invited = await self._invitations.use(region, token)
        if refused is not None:
            # Nobody vouches for who calls: the region is the one that the token was made for.
            whose = invited.region if invited else ""
            await self._security.alarm(SecurityEvent(whose, "enrolment", refused.reason, refused.message))
            raise refused
