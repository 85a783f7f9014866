"""How far this machine's clock is from the control plane's, by the time in its last answer, and by its own steps."""

from __future__ import annotations

from collections.abc import Callable

from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import ProbeInfo, StatelessProbe

OLD_SECONDS = 10.0


class ClockProbe(StatelessProbe):
    """See checker.ports.probe.Probe. `offset` gives (seconds, when measured), `most` is what is tolerated.

    Both are by a clock that is never set; `moved` says how far the machine's own was since this process began.
    """

    def __init__(
        self,
        offset: Callable[[], tuple[float, float] | None],
        now: Callable[[], float],
        most: float,
        period: float,
        *,
        moved: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.about = ProbeInfo("clock", "clock", "health", "CLOCK_UNKNOWN", period)
        self._offset = offset
        self._now = now
        self._most = most
        self._moved = moved

    async def look(self) -> Finding:
        """See the port."""
        measured, moved = self._offset(), self._moved()
        if measured is None or abs(self._now() - measured[1]) > OLD_SECONDS:
            if abs(moved) > self._most:
                # Maybe just because of that the control plane does not answer.
                return _wrong(-moved, (("moved_seconds", f"{moved:.3f}"),))
            text = "The control plane has not told its time, so nothing is known of this clock."
            return Finding(Status.UNKNOWN, "CLOCK_UNKNOWN", text)
        seconds, at = measured[0] - moved, measured[1]
        values = (("offset_seconds", f"{seconds:.3f}"), ("age_seconds", f"{self._now() - at:.1f}"))
        return _wrong(seconds, values) if abs(seconds) > self._most else healthy(*values)


def _wrong(seconds: float, values: tuple[tuple[str, str], ...]) -> Finding:
    text = f"This clock is {abs(seconds):.1f} s {'behind' if seconds > 0 else 'ahead'}; leases and tokens suffer."
    return Finding(Status.DEGRADED, "CLOCK_OFFSET", text, values)
