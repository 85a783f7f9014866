"""Whose identity is refused: that of a region that was revoked, and what was issued before it enrolled again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runtime.errors import Denied

REVOKED = "REGION_REVOKED"


@dataclass(frozen=True, slots=True)
class Credential:
    """When what a caller shows was issued, in seconds since 1970: a certificate or a token; None: it shows none."""

    certificate_start: float | None = None
    token_issued: float | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """A region that was revoked. The two last times are None until it has enrolled again."""

    region: str
    reason: str
    actor: str
    revoked_at: datetime
    certificate_from: datetime | None = None
    token_from: datetime | None = None

    @property
    def revoked(self) -> bool:
        """Whether no identity of the region counts at all."""
        return self.certificate_from is None or self.token_from is None

    def admits(self, shown: Credential) -> bool:
        """Whether this was issued after the region had enrolled again."""
        if self.certificate_from is None or self.token_from is None:
            return False
        if shown.certificate_start is not None:
            return shown.certificate_start >= int(self.certificate_from.timestamp())
        return shown.token_issued is not None and shown.token_issued >= int(self.token_from.timestamp())


def refusal(mark: Revocation) -> Denied:
    """What a caller with a refused identity is told."""
    if mark.revoked:
        return Denied(f"The identity of region {mark.region!r} was revoked; it has to enrol again", reason=REVOKED)
    message = f"This identity of region {mark.region!r} was revoked; the one of its last enrolment counts"
    return Denied(message, reason=REVOKED)
