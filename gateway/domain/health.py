"""A region's health as the control plane tells it: what its checker last said, or that its checker is silent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from orbital.v1 import flag_pb2 as pb

# A checker is silent when it has broken its promise to speak so many times in a row, and a little more.
MISSED, GRACE_SECONDS = 2.0, 0.8
# A store that takes longer holds signals up: whoever is not heard meanwhile is not silent.
SLOW_SECONDS = 1.0
HEALTHY = pb.HEALTH_STATUS_HEALTHY
UNKNOWN = pb.HEALTH_STATUS_UNKNOWN
BADNESS = (HEALTHY, pb.HEALTH_STATUS_DEGRADED, UNKNOWN, pb.HEALTH_STATUS_OUT_OF_SYNC)


def _badness(status: pb.HealthStatus.ValueType) -> int:
    return BADNESS.index(status) if status in BADNESS else len(BADNESS)


def severity(flag: pb.Flag) -> tuple[int, int, str, str]:
    """The order of flags: the worst first, the oldest first among equals."""
    return (-_badness(flag.status), flag.since.seconds, flag.region, flag.component)


def verdict(flags: Iterable[pb.Flag]) -> tuple[pb.HealthStatus.ValueType, str]:
    """(status, reason) of a region with these flags, by the worst of them."""
    ordered = sorted(flags, key=severity)
    return (ordered[0].status, ordered[0].reason) if ordered else (HEALTHY, "")


def silence(period: float) -> float:
    """Seconds after which a checker that promised to speak within `period` is silent."""
    return MISSED * period + GRACE_SECONDS


class ListeningTime:
    """For how long signals have been heard without hindrance, by a steady clock in seconds."""

    def __init__(self, now: float) -> None:
        self._since: float | None = now

    def stored(self, began: float, ended: float) -> None:
        """Signals were stored; where that took long, listening begins anew."""
        if self._since is None or ended - began > SLOW_SECONDS:
            self._since = ended

    def failed(self) -> None:
        """They could not be."""
        self._since = None

    def seconds(self, now: float) -> float:
        """How long it is now."""
        return 0.0 if self._since is None else now - self._since


@dataclass(frozen=True, slots=True)
class CheckerContact:
    """When a checker was heard last, the seconds within which it promised to speak, and when its certificate ends."""

    at: datetime
    period: float
    certificate_end: datetime | None = None


def silent_flag(region: str, last: CheckerContact | None, before: Iterable[pb.Flag], now: datetime) -> pb.Flag:
    """The one flag of a region whose checker is silent; what it last said is told as what was, not as what is."""
    flag = pb.Flag(region=region, component="checker", status=UNKNOWN, severity=pb.FLAG_SEVERITY_WARNING)
    if last is None:
        flag.reason = "CHECKER_NEVER_HEARD"
        flag.message = "This region's checker has never been heard, so nothing is known of its health."
        flag.since.FromDatetime(now)
        return flag
    flags = sorted(before, key=severity)
    was = ", ".join(f"{each.component} {each.reason}" for each in flags) or "healthy"
    flag.reason = "CHECKER_SILENT"
    flag.message = f"This region's checker has been silent for {(now - last.at).total_seconds():.0f} s; it was {was}."
    flag.since.FromDatetime(last.at + timedelta(seconds=silence(last.period)))
    evidence = {"last_heard": last.at}
    if last.certificate_end is not None and last.certificate_end <= now:
        flag.reason = "CERTIFICATE_EXPIRED"
        flag.message += (
            " The certificate that it showed last has expired since: unless it was renewed there, the region does not"
            f" come back before it has another. Run: orbital region enrol {region}"
        )
        evidence["certificate_end"] = last.certificate_end
    for name, at in evidence.items():
        flag.evidence.add(name=name, value=at.isoformat()).time.FromDatetime(at)
    flag.consequences.extend(f"{each.component}: was {each.reason}" for each in flags)
    return flag
