"""The paths by which tasks reach a region, other than the lane stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from orbital.v1.resource_pb2 import Transport

# The reason of an Unavailable when the queue that is read is not there.
QUEUE_GONE = "QUEUE_GONE"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came; `tag` grows within one inlet."""

    tag: int
    body: bytes


class Subscription(Protocol):
    """One open way in for one lane."""

    @property
    def fresh(self) -> bool:
        """Whether the broker kept nothing of before, where it should have: what it had is lost."""

    def arrivals(self) -> AsyncIterator[Delivery]:
        """Messages as they come; raises Unavailable when the path is lost."""

    async def acknowledge(self, tag: int) -> None:
        """Everything up to and including `tag` is durable here and may be forgotten there."""

    async def reject(self, tag: int) -> None:
        """Leave this message to the broker as a dead letter."""

    async def leave(self) -> bool:
        """Have what is still to come go by another path; True when what has come already is still handed over here."""


class Inbound(Protocol):
    """A path."""

    @property
    def transport(self) -> Transport.ValueType:
        """Which path it is."""

    def open(self, lane: int, credit: int) -> AbstractAsyncContextManager[Subscription]:
        """A way in that holds at most `credit` unacknowledged messages; raises Unavailable when there is none."""
