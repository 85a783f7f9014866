"""The region's sidecar: whether it is live, and what its statistics say of everything behind it."""

from __future__ import annotations

from collections import deque

from checker.adapters.envoy.admin import EnvoyAdmin
from checker.domain.sample import Finding
from checker.domain.statistics import Snapshot, read
from checker.ports.probe import About, Look

# At one look a second, three seconds of statistics.
WINDOW = 4


class EnvoyProbe(Look):
    """See checker.ports.probe.Probe. `slow` is the median latency of a cluster, in seconds, that is too much."""

    def __init__(self, admin: EnvoyAdmin, slow: float, period: float, timeout: float) -> None:
        self.about = About("envoy", "envoy", "health", "ENVOY_UNREACHABLE", period, timeout)
        self._admin = admin
        self._slow = slow * 1000
        self._snapshots: deque[Snapshot] = deque(maxlen=WINDOW)

    async def look(self) -> Finding:
        """See the port."""
        self._snapshots.append(await self._admin.snapshot())
        return read(self._snapshots, self._slow)
