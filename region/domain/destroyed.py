"""What came to an end, where, and how the region made sure of it: the lines of a receipt."""

from __future__ import annotations

from dataclasses import dataclass

L2 = "L2"
L3 = "L3"
TRANSIT = "transit"
RECORDS = "records"
MEMORY = "memory"

OVERWRITTEN = "overwritten, and no call that was open completes"
ABSENT = "read back as absent, and a decryption refused"
REPLACED = "overwritten by its tombstone, older revisions destroyed and read back"
REFUSED = "least version raised, and read back"
OUTSIDE = "the key is not there, and comes back with these versions refused"
BURIED = "its tombstone is in the place of its record"
UNREAD = "its record names them compromised, and none of them is opened"
FORGOTTEN = "not kept by the process that purged it, and expired in every other one"


@dataclass(frozen=True, slots=True)
class Destroyed:
    """One key, or its versions under `below_version` (0: all of them), that cannot be used any more in one place.

    `at` is when it was so; 0 where it has been so ever since.
    """

    resource: str
    key: str
    place: str
    verified: str
    below_version: int = 0
    at: float = 0.0


def revoked(system: str, at: float) -> tuple[Destroyed, ...]:
    """The active L2 of a System, and the L3 of its Services in memory; a newer Link may bring them back after that."""
    return Destroyed(system, L2, TRANSIT, ABSENT, at=at), Destroyed(system, L3, MEMORY, OVERWRITTEN, at=at)


def purged_system(system: str) -> tuple[Destroyed, ...]:
    """Everything of a System's L2."""
    return Destroyed(system, L2, TRANSIT, ABSENT), Destroyed(system, L2, RECORDS, REPLACED)


def buried(system: str) -> Destroyed:
    """A System's L2 that was purged before its tenant was retired."""
    return Destroyed(system, L2, RECORDS, BURIED)


def purged_service(service: str) -> tuple[Destroyed, ...]:
    """Everything of a Service's L3."""
    return Destroyed(service, L3, RECORDS, REPLACED), Destroyed(service, L3, MEMORY, FORGOTTEN)


def compromised(system: str, below: int, *, active: bool) -> tuple[Destroyed, ...]:
    """Old versions of a System's L2: transit refuses them, from now on or from the next Link on."""
    verified = REFUSED if active else OUTSIDE
    return Destroyed(system, L2, TRANSIT, verified, below), Destroyed(system, L3, MEMORY, OVERWRITTEN)


def compromised_service(service: str, below: int) -> tuple[Destroyed, ...]:
    """Old versions of a Service's L3."""
    return Destroyed(service, L3, RECORDS, UNREAD, below), Destroyed(service, L3, MEMORY, OVERWRITTEN, below)
