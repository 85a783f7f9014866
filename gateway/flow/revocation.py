"""revocation: revoked regions are refused by every process, and what they have open is ended.

The store keeps who is revoked; each process holds all of it in memory, woken by the database and with a periodic look
as the safety net, and has it before it serves anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from gateway.domain.revocation import Credential, Revocation, refusal
from gateway.flow.wake import work
from gateway.ports.revocation import BrokerConnection, BrokerConnections, Logins, RevocationStore
from gateway.ports.serving import Caller
from runtime.fields import check_length, check_name
from runtime.lifecycle import Backoff, task_group
from runtime.logs import get_logger
from runtime.signatures import region_identity

log = get_logger(__name__)

REGION = region_identity("")
LOOK_SECONDS = 1.0
EXPEL_SECONDS, SIFT_SECONDS = 0.5, 5.0
MAX_REASON = 500  # characters, for a person to read


class Revocations:
    """Who is refused, as this process knows it."""

    def __init__(self, store: RevocationStore) -> None:
        self._store = store
        self._marks: Mapping[str, Revocation] = {}
        self._changed = asyncio.Event()
        self.wake = asyncio.Event()

    @property
    def marks(self) -> Sequence[Revocation]:
        """Every region that was ever revoked."""
        return list(self._marks.values())

    def revoked(self, region: str) -> bool:
        """Whether no identity of the region counts."""
        mark = self._marks.get(region)
        return mark is not None and mark.revoked

    def admit(self, principal: str, shown: Credential) -> None:
        """Raise Denied if this is a region's identity that was revoked."""
        mark = self._marks.get(principal.removeprefix(REGION)) if principal.startswith(REGION) else None
        if mark is not None and not mark.admits(shown):
            raise refusal(mark)

    async def ended(self, region: str) -> None:
        """Return never; raises Denied once the region is revoked."""
        while True:
            changed = self._changed
            mark = self._marks.get(region)
            if mark is not None and mark.revoked:
                raise refusal(mark)
            await changed.wait()

    async def load(self) -> None:
        """Read all of it; raises Unavailable."""
        marks = {mark.region: mark for mark in await self._store.marks()}
        if marks != self._marks:
            self._marks = marks
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()
            log.info("revocations_loaded", revoked=[mark.region for mark in marks.values() if mark.revoked])

    async def run(self, backoff: Backoff) -> None:
        """Keep it current until cancelled."""
        await work("revocations", self.wake, LOOK_SECONDS, self._look, backoff)

    async def _look(self) -> bool:
        await self.load()
        return False

    async def revoke(self, region: str, reason: str, caller: Caller) -> Revocation | None:
        """Refuse every identity of the region from now on; None when it was revoked before."""
        check_name(region, "region")
        check_length(len(reason.strip()), 1, MAX_REASON, "reason")
        at = await self._store.revoke(region, reason.strip(), caller)
        await self.load()
        if at is None:
            return None
        log.warning("region revoked", region=region, actor=caller.principal)
        return Revocation(region, reason.strip(), caller.principal, at)


class ConnectionReaper:
    """Ends connections at the broker whose identity is refused.

    Again and again, since the broker remembers for a moment whom it let in.
    """

    def __init__(self, revocations: Revocations, connections: BrokerConnections) -> None:
        self._revocations = revocations
        self._connections = connections

    async def run(self, backoff: Callable[[], Backoff]) -> None:
        """Until cancelled."""
        async with task_group() as group:
            group.create_task(work("expel", asyncio.Event(), EXPEL_SECONDS, self._expel, backoff()))
            group.create_task(work("sift", asyncio.Event(), SIFT_SECONDS, self._sift, backoff()))

    async def _expel(self) -> bool:
        """End all connections of those that are revoked."""
        for mark in self._revocations.marks:
            if mark.revoked:
                await self._connections.expel(region_identity(mark.region))
        return False

    async def _sift(self) -> bool:
        """End the connections of those that enrolled again which were made by what they had before."""
        for mark in self._revocations.marks:
            if not mark.revoked:
                for entry in await self._connections.entries(region_identity(mark.region)):
                    if not mark.admits(Credential(entry.certificate_start)):
                        await self._end(mark, entry)
        return False

    async def _end(self, mark: Revocation, entry: BrokerConnection) -> None:
        await self._connections.close(entry)
        log.warning("broker connection ended", region=mark.region, connection=entry.name)


class LoginRevoker:
    """Takes the logins of revoked regions away; again after every start, and for as long as it could not be done."""

    def __init__(self, revocations: Revocations, logins: Logins) -> None:
        self._revocations = revocations
        self._logins = logins
        self._done: set[Revocation] = set()

    async def run(self, backoff: Backoff) -> None:
        """Until cancelled."""
        await work("logins", asyncio.Event(), LOOK_SECONDS, self._look, backoff)

    async def _look(self) -> bool:
        for mark in self._revocations.marks:
            if mark.revoked and mark not in self._done:
                await self._logins.shut(mark.region)
                self._done.add(mark)
        return False
