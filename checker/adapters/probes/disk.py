"""The space left on the disk that the region's journal is on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import ProbeInfo, StatelessProbe


def measure(place: Path) -> tuple[int, int]:
    """(total, free) bytes of the disk of `place`."""
    usage = shutil.disk_usage(place)
    return usage.total, usage.free


class DiskProbe(StatelessProbe):
    """See checker.ports.probe.Probe. `low` and `least` are parts of the whole."""

    def __init__(
        self,
        place: Path,
        low: float,
        least: float,
        period: float,
        measured: Callable[[Path], tuple[int, int]] = measure,
    ) -> None:
        self.about = ProbeInfo("disk", "disk", "health", "DISK_UNREADABLE", period)
        self._place = place
        self._low = low
        self._least = least
        self._measured = measured

    async def look(self) -> Finding:
        """See the port."""
        total, free = await asyncio.to_thread(self._measured, self._place)
        part = free / total if total else 0.0
        values = (("free_bytes", str(free)), ("free_part", f"{part:.3f}"))
        text = f"{free / 2**30:.1f} GiB ({part:.1%}) of the disk are left."
        if part < self._least:
            return Finding(Status.OUT_OF_SYNC, "DISK_FULL", f"{text} The journal cannot take tasks for long.", values)
        if part < self._low:
            return Finding(Status.DEGRADED, "DISK_LOW", text, values)
        return healthy(*values)
