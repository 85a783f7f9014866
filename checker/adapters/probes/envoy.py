"""Sidecars: whether each is live, and what its statistics say of everything behind it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from checker.adapters.envoy.admin import EnvoyAdmin
from checker.domain.sample import Finding, Status, healthy
from checker.domain.statistics import Snapshot, read
from checker.ports.probe import ProbeInfo, StatelessProbe
from runtime.errors import Unavailable

# At one look a second, two seconds of statistics: what is over is forgotten within three.
WINDOW = 3


class EnvoyProbe(StatelessProbe):
    """The region's own. See checker.ports.probe.Probe.

    `slow` is the median latency of a cluster, in seconds, that is too much.
    """

    def __init__(self, admin: EnvoyAdmin, slow: float, period: float, timeout: float) -> None:
        self.about = ProbeInfo("envoy", "envoy", "health", "ENVOY_UNREACHABLE", period, timeout)
        self._admin = admin
        self._slow = slow * 1000
        self._snapshots: deque[Snapshot] = deque(maxlen=WINDOW)

    async def look(self) -> Finding:
        """See the port."""
        self._snapshots.append(await self._admin.snapshot())
        return read(self._snapshots, self._slow)


class EdgeSidecarsProbe(StatelessProbe):
    """Those of the region's edges, by the edge's name. What is wrong with one leaves the region degraded, not more."""

    def __init__(self, admins: Mapping[str, EnvoyAdmin], slow: float, period: float, timeout: float) -> None:
        self.about = ProbeInfo("envoy-edges", "envoy-edges", "health", "EDGE_SIDECAR_UNREACHABLE", period, timeout)
        # One that hangs must not hide the others.
        self._each = {name: EnvoyProbe(admin, slow, period, timeout / 2) for name, admin in admins.items()}

    async def look(self) -> Finding:
        """See the port."""
        found = dict(zip(self._each, await asyncio.gather(*map(self._one, self._each)), strict=True))
        values = tuple((f"{edge} {name}", value) for edge, one in found.items() for name, value in one.values)
        wrong = [edge for edge, one in found.items() if one.status is not Status.HEALTHY]
        version = ", ".join(sorted({one.version for one in found.values() if one.version}))
        if not wrong:
            return healthy(("sidecars", str(len(found))), *values, version=version)
        # One that does not answer names the flag, whatever the others count.
        worst = min(wrong, key=lambda edge: found[edge].reason != self.about.away)
        more = f" Another {len(wrong) - 1} of {len(found)} are not as they should be." if len(wrong) > 1 else ""
        return Finding(Status.DEGRADED, found[worst].reason, f"{worst}: {found[worst].message}{more}", values, version)

    async def _one(self, edge: str) -> Finding:
        probe = self._each[edge]
        try:
            async with asyncio.timeout(probe.about.timeout):
                return await probe.look()
        except (Unavailable, TimeoutError) as error:
            text = str(error) or "The sidecar's admin interface does not answer in time"
            return Finding(Status.OUT_OF_SYNC, self.about.away, text, (("admin", "no answer"),))
