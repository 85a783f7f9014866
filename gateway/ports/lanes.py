"""The broker, as the flow sees it: a durable queue for each region and lane."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Parcel:
    """A signed TaskBatch on its way to one region's lane.

    `headers` say in words what is in it, for whoever looks at the broker. Nothing is decided by them.
    """

    region: str
    lane: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message as the broker hands it over; `tag` grows within one consumer."""

    tag: int
    body: bytes
    redelivered: bool


class Publisher(Protocol):
    """The way into the broker."""

    async def publish(self, parcels: Sequence[Parcel]) -> None:
        """Return once the broker has confirmed all of them; raises Unavailable when it does not."""


class Consumer(Protocol):
    """One reader of one queue."""

    def messages(self) -> AsyncIterator[Delivered]:
        """Messages as they come; ends with Unavailable when the broker is lost."""

    async def acknowledge(self, tag: int) -> None:
        """Everything up to and including `tag` may be forgotten."""

    async def reject(self, tag: int) -> None:
        """Dead-letter this message."""


class Lanes(Protocol):
    """The way out of the broker."""

    def consume(self, region: str, lane: int, credit: int) -> AbstractAsyncContextManager[Consumer]:
        """A consumer that holds at most `credit` unacknowledged messages."""

    async def withdraw(self, region: str, lane: int) -> int | None:
        """Let the lane's messages no longer go to an MQTT session: the region says that it reads elsewhere.

        Gives how many messages nobody will read because of that, and None while somebody reads the session yet.
        """

    def ready(self, region: str, lane: int) -> AbstractAsyncContextManager[Consumer]:
        """The lane's queue, made if need be, for somebody else to read: this consumer never has a message."""
