"""What a stack is made of: steps, which are done once, and servers, which are kept running."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stack.context import StackContext


@dataclass(frozen=True)
class Launch:
    """How to start a process. `strays` is a directory that servants leading sessions of their own work in."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    nice: int = 0
    stop: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    strays: Path | None = None


class Step(ABC):
    """Something to be done, safe to do again at every start.

    `requires` are the units that it waits for; `wants` those that must run too, but that it starts without.
    """

    name: str
    requires: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()

    def __init__(self, context: StackContext) -> None:
        self.context = context

    @abstractmethod
    async def run(self) -> None:
        """Do it; raises when it could not be done, and is then tried again."""

    async def keep(self) -> None:  # noqa: B027 - most have nothing to do here
        """What has to go on afterwards; the default is nothing."""


class Server(ABC):
    """A process that is started, asked until it is ready, and started again when it dies.

    `requires` are the units that it waits for; `wants` those that must run too, but that it starts without.
    """

    name: str
    requires: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()

    def __init__(self, context: StackContext) -> None:
        self.context = context

    @abstractmethod
    async def prepare(self) -> Launch:
        """Everything that must be there before the process starts."""

    @abstractmethod
    async def ready(self) -> bool:
        """Whether the part itself says that it serves; an exception counts as no."""

    async def arrange(self) -> None:  # noqa: B027 - most have nothing to do here
        """Set up what is kept inside the part, once it answers; safe to do again."""


Unit = Step | Server
