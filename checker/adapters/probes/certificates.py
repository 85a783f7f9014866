"""How long the certificates live that the region's sidecar, and those of its edges, show to others."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Collection, Mapping

from checker.adapters.envoy.admin import EnvoyAdmin
from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import ProbeInfo, StatelessProbe
from runtime.errors import Unavailable


class CertificatesProbe(StatelessProbe):
    """See checker.ports.probe.Probe. `least` is in hours."""

    def __init__(
        self,
        admin: EnvoyAdmin,
        edges: Collection[EnvoyAdmin],
        now: Callable[[], float],
        least: float,
        period: float,
    ) -> None:
        self.about = ProbeInfo("certificates", "certificates", "health", "CERTIFICATES_UNREADABLE", period, 2.0)
        self._admin = admin
        self._edges = edges
        self._now = now
        self._least = least

    async def look(self) -> Finding:
        """See the port."""
        own = await self._admin.certificates()
        if not own:
            raise Unavailable("The sidecar has no certificate", reason="CERTIFICATE_MISSING")
        shown = [own, *await asyncio.gather(*map(_shown, self._edges))]
        end, name = min((end, name) for each in shown for name, end in each.items())
        hours = (end.timestamp() - self._now()) / 3600
        values = ((name, end.isoformat()), ("hours_left", f"{hours:.2f}"), ("days_left", f"{hours / 24:.2f}"))
        if hours <= 0:
            return Finding(Status.OUT_OF_SYNC, "CERTIFICATE_EXPIRED", f"The certificate {name} has expired.", values)
        if hours < self._least:
            text = f"The certificate {name} ends in {hours:.1f} h; {self._least:g} h should be left."
            return Finding(Status.DEGRADED, "CERTIFICATE_EXPIRING", text, values)
        return healthy(*values)


async def _shown(admin: EnvoyAdmin) -> Mapping[str, dt.datetime]:
    """An edge's sidecar that does not answer is told by the probe that looks at it."""
    try:
        async with asyncio.timeout(1):
            return await admin.certificates()
    except (Unavailable, TimeoutError):
        return {}
