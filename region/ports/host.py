"""Time and chance, so that tests and simulations can hold both."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import SystemRandom


@dataclass(frozen=True, slots=True)
class Host:
    """`now` in seconds since the epoch, `random` in [0, 1), `entropy` in bytes, `sleep` in seconds.

    `monotonic` is a clock that nobody sets; a host whose time is held has but one.
    """

    now: Callable[[], float]
    random: Callable[[], float]
    entropy: Callable[[int], bytes]
    sleep: Callable[[float], Awaitable[None]]
    monotonic: Callable[[], float] | None = None

    def steady(self) -> float:
        """Seconds by a clock that is never set: how long something lasts is counted by this one."""
        return (self.monotonic or self.now)()


def real_host() -> Host:
    """The machine's own."""
    return Host(time.time, SystemRandom().random, secrets.token_bytes, asyncio.sleep, time.monotonic)
