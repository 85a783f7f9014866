"""Where it is kept how far the regions' states are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from orbital.v1.dispatch_pb2 import Recovery, StateMark


class StateStore(Protocol):
    """Marks of regions' processes, and recoveries."""

    async def keep_marks(self, marks: Sequence[tuple[str, StateMark]]) -> None:
        """Keep these, by region, one a process; an older one than what is kept changes nothing."""

    async def marks(self, regions: Sequence[str]) -> Mapping[str, Sequence[StateMark]]:
        """What is kept of these regions."""

    async def begin_recovery(self, region: str, recovery: Recovery) -> bool:
        """Have all that is declared for the region driven again; False, and nothing, where this was begun before.

        Raises Unavailable when the region has begun too many within a minute.
        """

    async def recovered(self, regions: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The IDs of these regions' recoveries that are over; those that are fulfilled by now end first."""
