"""How long the certificates live that the region's sidecar shows to others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from checker.adapters.envoy.admin import EnvoyAdmin
from checker.domain.sample import Finding, Status, healthy
from checker.ports.probe import About, Look
from runtime.errors import Unavailable


class CertificatesProbe(Look):
    """See checker.ports.probe.Probe. `least` is in hours."""

    def __init__(self, admin: EnvoyAdmin, now: Callable[[], float], least: float, period: float) -> None:
        self.about = About("certificates", "certificates", "health", "CERTIFICATES_UNREADABLE", period, 2.0)
        self._admin = admin
        self._now = now
        self._least = least

    async def look(self) -> Finding:
        """See the port."""
        return judge_ends(await self._admin.certificates(), self._now(), self._least)


def judge_ends(ends: Mapping[str, dt.datetime], now: float, least: float) -> Finding:
    """What the certificate that ends first says; raises Unavailable where there is none. `least` is in hours."""
    if not ends:
        raise Unavailable("The sidecar has no certificate", reason="CERTIFICATE_MISSING")
    name, end = min(ends.items(), key=lambda item: item[1])
    hours = (end.timestamp() - now) / 3600
    values = ((name, end.isoformat()), ("hours_left", f"{hours:.2f}"), ("days_left", f"{hours / 24:.2f}"))
    if hours <= 0:
        return Finding(Status.OUT_OF_SYNC, "CERTIFICATE_EXPIRED", f"The certificate {name} has expired.", values)
    if hours < least:
        text = f"The certificate {name} ends in {hours:.1f} h; {least:g} h should be left."
        return Finding(Status.DEGRADED, "CERTIFICATE_EXPIRING", text, values)
    return healthy(*values)
