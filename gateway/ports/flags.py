"""What regions' checkers say, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orbital.v1.flag_pb2 import Flag, FlagChange
from orbital.v1.signed_pb2 import Signed


@dataclass(frozen=True, slots=True)
class Signal:
    """The complete current list of a region's flags. `sent_at` is in seconds since the epoch, by the region's clock.

    The next signal comes within `period` seconds.
    """

    region: str
    flags: Sequence[Flag]
    sent_at: float
    versions: Mapping[str, str]
    period: float = 2.0
    # When the certificate ends that it came by; none where it came by a token.
    certificate_end: float | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A lane of a region that is not dispatched to, with the policy's reason."""

    region: str
    lane: int
    reason: str
    message: str
    decision_id: str = ""
    since: datetime | None = None


class HoldStore(Protocol):
    """Keeps what is held."""

    async def hold(self, regions: Sequence[str], holds: Sequence[Hold]) -> None:
        """Hold these lanes, and release every other one of these regions."""

    async def holds(self) -> dict[str, list[Hold]]:
        """What is held, by region."""


class FlagStore(HoldStore, Protocol):
    """Keeps them."""

    async def store(self, signals: Sequence[Signal]) -> None:
        """Replace the lists of these regions, one signal a region, in one transaction; an overtaken list is dropped."""

    async def flags(self, region: str) -> dict[str, list[Flag]]:
        """Declared regions (all for "") with their flags; one whose checker is silent has one that says so."""

    async def changes(self, region: str, since: datetime | None, size: int, token: str) -> tuple[list[FlagChange], str]:
        """A page of what became of its flags, newest first, none before `since`; and the token of the next one."""

    async def versions(self) -> dict[str, dict[str, str]]:
        """Component to version, for each region that was ever heard."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue of a region: messages that wait in it, and who reads it."""

    lane: int
    name: str
    messages: int
    consumers: int


class QueueReader(Protocol):
    """The broker's queues."""

    @property
    def version(self) -> str:
        """The broker's version, empty while it is not known."""

    async def queues(self, region: str) -> Sequence[QueueState]:
        """The queues that this region has; raises Unavailable when the broker does not answer."""


class FlagIntake(Protocol):
    """What the Checker service hands signals to."""

    async def submit(self, principal: str, region: str, signed: Signed, certificate_end: float | None) -> None:
        """Return once the signal is durable.

        Raises Denied on one that its region has not signed, Invalid on a malformed one, Unavailable without a store.
        """
