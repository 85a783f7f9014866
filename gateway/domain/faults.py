"""Flags that the gateway raises itself, of what is between it and the broker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from orbital.v1 import flag_pb2 as pb

BROKER = "broker"
# In place of a region, in the flags of the control plane itself.
CONTROL_PLANE = ""
LONGEST_MESSAGE = 500  # characters, for a person to read


@dataclass(frozen=True, slots=True)
class LaneFault:
    """A lane of a region that is not as it should be at the broker; `blocks`: nothing passes there."""

    region: str
    lane: int
    reason: str
    message: str
    blocks: bool
    since: datetime
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class ProcessFault:
    """What a process of the gateway says of a part that it needs."""

    process: str
    component: str
    reason: str
    message: str
    since: datetime


def region_flags(faults: Iterable[LaneFault]) -> dict[str, pb.Flag]:
    """One flag a region, of the worst of its lanes, with the others in its evidence."""
    flags: dict[str, pb.Flag] = {}
    for fault in faults:
        flag = flags.get(fault.region)
        if flag is None:
            flag = flags[fault.region] = _flag(fault.region, BROKER, fault.reason, fault.message)
            flag.status = pb.HEALTH_STATUS_OUT_OF_SYNC if fault.blocks else pb.HEALTH_STATUS_DEGRADED
            flag.severity = pb.FLAG_SEVERITY_CRITICAL if fault.blocks else pb.FLAG_SEVERITY_WARNING
            flag.since.FromDatetime(fault.since)
            flag.next_check.FromDatetime(fault.retry_at)
        flag.evidence.add(name=f"lane {fault.lane}", value=f"{fault.reason}: {fault.message}"[:LONGEST_MESSAGE])
    return flags


def own_flags(faults: Iterable[ProcessFault]) -> list[pb.Flag]:
    """One flag a component and reason, whichever processes say so."""
    flags: dict[tuple[str, str], pb.Flag] = {}
    for fault in faults:
        key = (fault.component, fault.reason)
        flag = flags.get(key)
        if flag is None:
            flag = flags[key] = _flag(CONTROL_PLANE, fault.component, fault.reason, fault.message)
            flag.status = pb.HEALTH_STATUS_OUT_OF_SYNC
            flag.severity = pb.FLAG_SEVERITY_CRITICAL
            flag.since.FromDatetime(fault.since)
        flag.evidence.add(name=fault.process, value=fault.reason)
    return list(flags.values())


def _flag(region: str, component: str, reason: str, message: str) -> pb.Flag:
    return pb.Flag(region=region, component=component, reason=reason, message=message[:LONGEST_MESSAGE])
