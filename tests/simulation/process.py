"""Processes that may die at any call: what a dead one still tries has no effect, and none of its cleaning-up counts."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any


class Died(BaseException):
    """The process is dead: nothing that it does from now on reaches anybody."""


@dataclass
class Network:
    """How long a call takes, each way, and how often what is called is away; all of it drawn from the seed."""

    random: random.Random
    least: float = 0.0002
    most: float = 0.004
    # The chance that a call never arrives, and that its answer never comes back.
    lost_request: float = 0.0
    lost_answer: float = 0.0

    async def pass_time(self) -> None:
        """One way of a call."""
        await asyncio.sleep(self.random.uniform(self.least, self.most))


@dataclass
class Process:
    """One process of a node. `crash` ends it wherever it is; `freeze` holds it at its next call until `thaw`."""

    name: str
    random: random.Random
    alive: bool = True
    # Of all calls, so many lead to death, before or after their effect.
    mortality: float = 0.0
    clock: float = 0.0
    _running: asyncio.Event = field(default_factory=asyncio.Event)
    _main: asyncio.Task[None] | None = None

    def start(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run it until it ends or dies."""
        self._running.set()
        self._main = asyncio.ensure_future(self._run(main))

    async def _run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await main()
        except* (asyncio.CancelledError, Died):
            pass

    @property
    def over(self) -> bool:
        """Whether it does nothing any more."""
        return not self.alive or self._main is None or self._main.done()

    def crash(self) -> None:
        """Die here and now."""
        self.alive = False
        self._running.set()
        if self._main is not None:
            self._main.cancel()

    def freeze(self) -> None:
        """Stand still, as a machine that is paused does."""
        self._running.clear()

    def thaw(self) -> None:
        """Go on."""
        self._running.set()

    async def check(self) -> None:
        """Wait while frozen; raise Died when dead."""
        await self._running.wait()
        if not self.alive:
            raise Died

    async def maybe_die(self) -> None:
        """Die at this call, as the seed says."""
        await self.check()
        if self.mortality and self.random.random() < self.mortality:
            self.crash()
            raise Died

    def now(self) -> float:
        """Seconds since the epoch, by this machine's clock."""
        return EPOCH + asyncio.get_running_loop().time() + self.clock

    def steady(self) -> float:
        """Seconds by a clock that is never set."""
        return asyncio.get_running_loop().time()


EPOCH = 1_800_000_000.0


class Through:
    """A part as a process reaches it: every call takes time, may fail, and may be the process's last."""

    def __init__(self, part: Any, process: Process, network: Network, away: Callable[[], Exception | None]) -> None:
        self._part = part
        self._process = process
        self._network = network
        self._away = away

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._part, name)
        if not inspect.iscoroutinefunction(target):
            return target

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await through(self._process, self._network, self._away, lambda: target(*args, **kwargs))

        return call


async def through(
    process: Process, network: Network, away: Callable[[], Exception | None], call: Callable[[], Awaitable[Any]]
) -> Any:
    """One call of a process: there, its effect, and back."""
    await process.maybe_die()
    await network.pass_time()
    await process.check()
    if (error := away()) is not None:
        raise error
    if network.random.random() < network.lost_request:
        raise lost(away)
    answer = await call()
    await process.maybe_die()
    await network.pass_time()
    await process.check()
    if network.random.random() < network.lost_answer:
        raise lost(away)
    return answer


def lost(away: Callable[[], Exception | None]) -> Exception:
    """What a caller sees of a call whose request or answer was lost."""
    make: Any = getattr(away, "lost", None)
    error: Exception = make() if make else TimeoutError("lost")
    return error
