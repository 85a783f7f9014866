"""What one look at one component found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """Health of a component, in the contract's numbers; `worse` orders them."""

    HEALTHY = 1
    DEGRADED = 2
    OUT_OF_SYNC = 3
    UNKNOWN = 4


BADNESS = (Status.HEALTHY, Status.DEGRADED, Status.UNKNOWN, Status.OUT_OF_SYNC)


def worst(statuses: list[Status]) -> Status:
    """The worst of them; HEALTHY of none."""
    return max(statuses, key=BADNESS.index, default=Status.HEALTHY)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe says: a status, why, and the values that show it. `reason` is empty when it is healthy.

    `correlation_id` is that of the action that caused it, where one did.
    """

    status: Status
    reason: str = ""
    message: str = ""
    values: tuple[tuple[str, str], ...] = ()
    version: str = ""
    correlation_id: str = ""


def healthy(*values: tuple[str, str], version: str = "") -> Finding:
    """All is well."""
    return Finding(Status.HEALTHY, values=values, version=version)


@dataclass(frozen=True, slots=True)
class Sample:
    """A finding about a component at a time, in seconds since the epoch."""

    component: str
    at: float
    finding: Finding
