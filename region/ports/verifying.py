"""What the Verify service needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from region.domain.verify import Holding


class Verifying(Protocol):
    """Reads everything, changes nothing."""

    async def held(self) -> Sequence[Holding]:
        """Every resource that OpenBao or a journal knows; raises Unavailable when one of them cannot be read."""
