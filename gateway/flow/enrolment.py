"""enrolment: a token that works once, and soon, turns into the identity of a region."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.domain.enrolment import UNKNOWN, Invitation, declared, refusal
from gateway.domain.proof import Certified
from gateway.flow.security import Security
from gateway.ports.enrolment import InvitationStore, Opening, Wrapping
from gateway.ports.proof import Authority
from gateway.ports.security import SecurityEvent
from gateway.ports.serving import Caller, Sight
from runtime.errors import Denied
from runtime.fields import check_length, check_name
from runtime.logs import get_logger
from runtime.signatures import region_identity

log = get_logger(__name__)

ROLE = "region"
MAX_TOKEN = 512  # characters; a token has 30


class Enrolment:
    """See gateway.ports.enrolment.Enrolling."""

    def __init__(
        self,
        store: InvitationStore,
        sight: Sight,
        wrapping: Wrapping,
        opening: Opening,
        authority: Authority,
        security: Security,
        clock: Callable[[], datetime],
        seconds: float,
    ) -> None:
        self._store = store
        self._sight = sight
        self._wrapping = wrapping
        self._opening = opening
        self._authority = authority
        self._security = security
        self._clock = clock
        self._seconds = seconds

    async def invite(self, region: str, caller: Caller) -> Invitation:
        """See the port."""
        check_name(region, "region")
        declared(await self._sight.resource(f"regions/{region}"), region)
        ends_at = self._clock() + timedelta(seconds=self._seconds)
        invitation = Invitation(await self._wrapping.wrap(region, self._seconds), ends_at)
        await self._store.invited(region, invitation, caller)
        log.info("region invited", region=region, actor=caller.principal, ends_at=ends_at.isoformat())
        return invitation

    async def redeem(self, region: str, token: str, request: bytes) -> tuple[Certified, str]:
        """See the port."""
        check_name(region, "region")
        check_length(len(token), 1, MAX_TOKEN, "token")
        await self._open(region, token)
        certified = await self._authority.certify(ROLE, region_identity(region), request)
        secret = await self._opening.renew(region)
        await self._store.restore(region, certified.begins_at, self._clock())
        log.warning("region enrolled", region=region, ends_at=certified.ends_at.isoformat())
        return certified, secret

    async def _open(self, region: str, token: str) -> None:
        async with self._store.taking(token) as taken:
            refused = refusal(taken.found, region)
            if refused is None:
                # Before anything else is done with it: whatever fails from here on, it does not work twice.
                await taken.use()
        if refused is None and await self._wrapping.unwrap(token) != region:
            refused = Denied("The token is none that can be opened", reason=UNKNOWN)
        if refused is not None:
            # Nobody vouches for who calls: the region is the one that the token was made for.
            whose = taken.found.region if taken.found else ""
            await self._security.alarm(SecurityEvent(whose, "enrolment", refused.reason, refused.message))
            raise refused
