"""The control plane, and the world's time and chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from checker.domain.flag import Flag


class Control(Protocol):
    """Where flags go."""

    async def signal(self, flags: Sequence[Flag], versions: Mapping[str, str], now: float) -> None:
        """Return once the control plane has stored the complete list; raises Unavailable when it has not."""


@dataclass(frozen=True, slots=True)
class World:
    """Wall clock (seconds since the epoch), steady clock (seconds), and chance in [0, 1)."""

    now: Callable[[], float]
    steady: Callable[[], float]
    random: Callable[[], float]
