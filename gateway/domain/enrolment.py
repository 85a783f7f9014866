"""Whether a token turns into an identity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orbital.v1.resource_pb2 import Resource

from runtime.errors import Denied, NotFound

UNKNOWN, USED, EXPIRED, OTHER = "TOKEN_UNKNOWN", "TOKEN_USED", "TOKEN_EXPIRED", "TOKEN_OF_ANOTHER_REGION"


@dataclass(frozen=True, slots=True)
class Invited:
    """What is known of a token."""

    region: str
    used: bool
    ended: bool


@dataclass(frozen=True, slots=True)
class Invitation:
    """A token, which is a secret, and its end."""

    token: str
    ends_at: datetime


def refusal(found: Invited | None, region: str) -> Denied | None:
    """Why the token is refused to whoever says that it is this region; None when it is not."""
    if found is None:
        return Denied("The token is none that was given out here", reason=UNKNOWN)
    if found.used:
        return Denied("The token was used before; if that was not you, have the region revoked", reason=USED)
    if found.ended:
        return Denied("The token has expired; ask for another", reason=EXPIRED)
    if found.region != region:
        return Denied("The token is of another region", reason=OTHER)
    return None


def declared(found: Resource | None, region: str) -> Resource:
    """The region as it is declared; raises NotFound, also for one that is gone for good."""
    if found is None:
        raise NotFound(f"The region {region[:64]!r} is not declared", reason="UNKNOWN_REGION", field="region")
    if found.retired:
        message = f"The region {region[:64]!r} is gone for good; declare it anew, and it begins empty"
        raise NotFound(message, reason="REGION_RETIRED", field="region")
    return found
