"""How far this machine's clock is from the control plane's, by the time in its last answer."""

from __future__ import annotations

from collections.abc import Callable

from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import About, Look

OLD_SECONDS = 10.0


class ClockProbe(Look):
    """See checker.ports.probe.Probe. `offset` gives (seconds, when measured), `most` is what is tolerated."""

    def __init__(
        self, offset: Callable[[], tuple[float, float] | None], now: Callable[[], float], most: float, period: float
    ) -> None:
        self.about = About("clock", "clock", "health", "CLOCK_UNKNOWN", period)
        self._offset = offset
        self._now = now
        self._most = most

    async def look(self) -> Finding:
        """See the port."""
        measured = self._offset()
        if measured is None or abs(self._now() - measured[1]) > OLD_SECONDS:
            text = "The control plane has not told its time, so nothing is known of this clock."
            return Finding(Status.UNKNOWN, "CLOCK_UNKNOWN", text)
        seconds, at = measured
        values = (("offset_seconds", f"{seconds:.3f}"), ("age_seconds", f"{self._now() - at:.1f}"))
        if abs(seconds) > self._most:
            text = (
                f"This clock is {abs(seconds):.1f} s {'behind' if seconds > 0 else 'ahead'}; leases and tokens suffer."
            )
            return Finding(Status.DEGRADED, "CLOCK_OFFSET", text, values)
        return healthy(*values)
