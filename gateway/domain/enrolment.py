"""Whether a token turns into an identity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runtime.errors import Denied

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
