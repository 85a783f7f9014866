"""The broker, as the flow sees it: a durable queue for each region and lane."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

# The reason of an Unavailable when the queue that was read is not there any more.
QUEUE_GONE = "QUEUE_GONE"


@dataclass(frozen=True, slots=True)
class LaneMessage:
    """A signed TaskBatch on its way to one region's lane.

    `headers` say in words what is in it, for whoever looks at the broker. Nothing is decided by them.
    """

    region: str
    lane: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as the broker hands it over; `tag` grows within one consumer."""

    tag: int
    body: bytes
    redelivered: bool


@dataclass(frozen=True, slots=True)
class BrokerFault:
    """What is wrong with a region's lane at the broker, or, when `shared`, with the broker itself.

    `delivered`: the broker has the message all the same.
    """

    reason: str
    message: str
    delivered: bool = False
    shared: bool = False


class Publisher(Protocol):
    """The way into the broker."""

    async def publish(self, lane_messages: Sequence[LaneMessage]) -> Sequence[BrokerFault | None]:
        """The fate of each: None once the broker has confirmed it. What befalls one lane leaves the others alone."""

    async def check(self, regions: Sequence[str], lane: int) -> Sequence[BrokerFault | None]:
        """Whether the lane of each of these regions is as it should be, without a message."""


class Consumer(Protocol):
    """One reader of one queue."""

    @property
    def fault(self) -> BrokerFault | None:
        """What is wrong with the queue, which is read all the same."""

    def messages(self) -> AsyncIterator[Delivery]:
        """Messages as they come; ends with Unavailable when the broker is lost, or, QUEUE_GONE, only the queue."""

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

    async def restore(self, region: str, lane: int) -> None:
        """Make the lane's queues again where they are gone."""
