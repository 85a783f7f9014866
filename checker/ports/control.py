"""The control plane, and the host's time and chance."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from checker.domain.flag import Flag


class Control(Protocol):
    """Where flags go."""

    def pack(self, flags: Sequence[Flag], versions: Mapping[str, str], now: float) -> bytes:
        """The complete list, as it is to be sent."""

    async def send(self, content: bytes) -> None:
        """Sign it, and return once the control plane has stored it; raises Unavailable when it has not."""


class Outbox(Protocol):
    """What is still to be sent; it outlives the process."""

    async def waiting(self) -> Sequence[bytes]:
        """The oldest first."""

    async def keep(self, content: bytes) -> None:
        """Keep one more."""

    async def sent(self, count: int) -> None:
        """Forget the first so many."""


@dataclass(frozen=True, slots=True)
class Host:
    """Seconds since the epoch, a steady clock (seconds), chance in [0, 1), and how far the machine's clock was moved.

    `now` goes on steadily from where the machine's clock stood at the start: a clock that is set makes nothing older.
    """

    now: Callable[[], float]
    steady: Callable[[], float]
    random: Callable[[], float]
    moved: Callable[[], float] = lambda: 0.0


def real() -> Host:
    """The machine's own."""
    began = time.time() - time.monotonic()

    def now() -> float:
        return began + time.monotonic()

    return Host(now, time.monotonic, random.random, lambda: time.time() - now())
