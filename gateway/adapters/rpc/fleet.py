"""All regions, as people see them: looked at once for everybody who watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

from orbital.v1 import registry_pb2 as registry
from orbital.v1.flag_pb2 import HEALTH_STATUS_OUT_OF_SYNC, HEALTH_STATUS_UNKNOWN

from gateway.domain.health import verdict
from gateway.domain.revocation import REVOKED, Revocation
from gateway.ports.flags import FlagStore
from gateway.ports.serving import ReadStore
from runtime.page import split

LOOK_SECONDS = 1.0
# However long a look takes, its process does something else in between.
LEAST_PAUSE = 0.25
BEAT_SECONDS = 5.0


class Fleet:
    """Regions with what their checkers say."""

    def __init__(
        self,
        reads: ReadStore,
        flags: FlagStore,
        marks: Callable[[], Sequence[Revocation]],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reads = reads
        self._marks = marks
        self._flags = flags
        self._steady = steady
        self._looking = asyncio.Lock()
        self._seen: dict[str, tuple[bytes, registry.Region]] = {}
        self._seen_at = -LOOK_SECONDS

    async def regions(self) -> registry.ListRegionsResponse:
        """Every region as it is now."""
        answer = await self._reads.regions()
        flags, versions, held = await self._flags.flags(""), await self._flags.versions(), await self._flags.holds()
        revoked = {mark.region: mark for mark in self._marks() if mark.revoked}
        for region in answer.regions:
            name = region.resource.name.rpartition("/")[2]
            # A region that was declared a moment ago may not be among the flags yet: it has not been heard either.
            if name in flags:
                region.status, region.status_reason = verdict(flags[name])
            else:
                region.status, region.status_reason = HEALTH_STATUS_UNKNOWN, "CHECKER_NEVER_HEARD"
            if name in revoked:
                _mark_revoked(region, revoked[name])
            region.versions.update(versions.get(name, {}))
            for hold in held.get(name, ()):
                told = region.holds.add(lane=hold.lane, reason=hold.reason, message=hold.message)
                if hold.since is not None:
                    told.since.FromDatetime(hold.since)
        return answer

    async def watch(self, only: str = "") -> AsyncIterator[registry.WatchRegionsResponse]:
        """All regions (or that one), then those that change, and nothing at all every few seconds."""
        known: dict[str, bytes] = {}
        told_at = self._steady()
        while True:
            seen = await self._recent()
            if only:
                seen = {name: seen[name] for name in seen if name == f"regions/{only}"}
            changed = [region for name, (mark, region) in seen.items() if known.get(name) != mark]
            now = self._steady()
            if changed or not known or now - told_at >= BEAT_SECONDS:
                known = {name: mark for name, (mark, _region) in seen.items()}
                told_at = now
                for piece in split(changed):
                    yield registry.WatchRegionsResponse(regions=piece)
            # From the last look's beginning: what it misses waits for one period, and not for the look as well.
            await asyncio.sleep(max(LEAST_PAUSE, self._seen_at + LOOK_SECONDS - self._steady()))

    async def _recent(self) -> dict[str, tuple[bytes, registry.Region]]:
        """What was seen a moment ago, by whomever; each region with what tells that it has changed."""
        async with self._looking:
            if self._steady() - self._seen_at >= LOOK_SECONDS:
                began = self._steady()
                answer = await self.regions()
                self._seen = {region.resource.name: (_mark(region), region) for region in answer.regions}
                self._seen_at = began
            return self._seen


def _mark_revoked(region: registry.Region, mark: Revocation) -> None:
    """It is out of sync whatever its checker said last: nothing reaches it."""
    region.status, region.status_reason = HEALTH_STATUS_OUT_OF_SYNC, REVOKED
    region.revocation.reason, region.revocation.actor = mark.reason, mark.actor
    region.revocation.revoke_time.FromDatetime(mark.revoked_at)


def _mark(region: registry.Region) -> bytes:
    bare = registry.Region()
    bare.CopyFrom(region)
    bare.ClearField("last_contact_at")
    return bare.SerializeToString(deterministic=True)
