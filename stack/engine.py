"""Keeps units running: each starts when what it needs is ready, and starts again when it dies."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from runtime.errors import Stalled
from runtime.lifecycle import Backoff
from runtime.logs import get_logger
from stack import order, process
from stack.layout import Layout
from stack.spawn import spawn
from stack.state import PartState
from stack.unit import Launch, Server, Step, Unit

log = get_logger(__name__)

LAST_WORDS = 600  # bytes
ASK_EVERY = 0.1
ASK_SECONDS = 5.0
STEADY_SECONDS = 30.0
# For what a process left behind when it ended.
LEFT_BEHIND_SECONDS = 0.5


class Engine:
    """Owns the processes of a stack. `changed` is called after every change of `parts` and `steps`."""

    def __init__(
        self, layout: Layout, units: Sequence[Unit], ready_seconds: float, changed: Callable[[], None]
    ) -> None:
        self._layout = layout
        self._units = units
        self._ready_seconds = ready_seconds
        self._changed = changed
        self._is_ready = {unit.name: asyncio.Event() for unit in units}
        # A thread waits for each process that ends; they may all end at once.
        self._enders = ThreadPoolExecutor(max_workers=max(1, len(units)))
        self._running: dict[str, tuple[asyncio.subprocess.Process, Launch, int]] = {}
        self.parts = {unit.name: PartState() for unit in units if isinstance(unit, Server)}
        self.steps = {unit.name: PartState() for unit in units if isinstance(unit, Step)}

    async def run(self) -> None:
        """Keep every unit, until cancelled; the processes are then still there: `stop` ends them."""
        async with asyncio.TaskGroup() as group:
            for unit in self._units:
                group.create_task(self._keep(unit), name=unit.name)

    async def stop(self) -> None:
        """End the processes, each as soon as all that need it have ended."""
        requires = {unit.name: [need for need in unit.requires if need in self._is_ready] for unit in self._units}
        waiting, ends = order.ending(requires), set[asyncio.Task[None]]()
        while waiting.is_active():
            for name in waiting.get_ready():
                ends.add(asyncio.create_task(self._end(name), name=name))
            ended, ends = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                await task
                waiting.done(task.get_name())

    async def _keep(self, unit: Unit) -> None:
        for need in unit.requires:
            await self._is_ready[need].wait()
        backoff = Backoff(random.random)
        while True:
            began = time.monotonic()
            try:
                await (self._once(unit) if isinstance(unit, Step) else self._serve(unit))
            except Exception as error:  # noqa: BLE001 - whatever goes wrong with one part, the others go on
                reason = str(error) or type(error).__name__
                log.warning("part failed", part=unit.name, error=reason)
                self._set(unit, status="failed", error=reason)
            self._is_ready[unit.name].clear()
            if time.monotonic() - began > STEADY_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next())
            await self._while_held(unit)
            self._set(unit, restarts=self._state(unit).restarts + 1)

    async def _while_held(self, unit: Unit) -> None:
        while self._layout.held(unit.name).exists():  # noqa: ASYNC110 - a file, which another process removes
            await asyncio.sleep(ASK_EVERY)

    async def _once(self, step: Step) -> None:
        began = time.monotonic()
        self._set(step, status="starting")
        async with asyncio.timeout(self._ready_seconds):
            await step.run()
        self._set(step, status="ready", error="", seconds=round(time.monotonic() - began, 2))
        self._is_ready[step.name].set()
        await step.keep()
        await asyncio.Event().wait()

    async def _serve(self, server: Server) -> None:
        began = time.monotonic()
        self._set(server, status="starting", pid=None, started=None)
        async with asyncio.timeout(self._ready_seconds):
            launch = await server.prepare()
        child = await spawn(self._layout, server.name, launch)
        seen = process.look(child.pid)
        started = seen.started if seen else 0
        self._running[server.name] = (child, launch, started)
        self._set(server, pid=child.pid, started=started, strays=str(launch.strays or ""))
        try:
            await self._until_ready(server, child)
            self._set(server, status="ready", error="", seconds=round(time.monotonic() - began, 2))
            log.info("part ready", part=server.name, seconds=round(time.monotonic() - began, 2))
            self._is_ready[server.name].set()
            status = await child.wait()
        except asyncio.CancelledError:
            raise
        except BaseException:
            await self._end(server.name)
            raise
        await self._end(server.name)
        raise Stalled(f"{server.name} ended with status {status}")

    async def _until_ready(self, server: Server, child: asyncio.subprocess.Process) -> None:
        why = "it did not answer"
        deadline = time.monotonic() + self._ready_seconds
        while time.monotonic() < deadline:
            if child.returncode is not None:
                raise Stalled(f"{server.name} ended with status {child.returncode}: {self._last_words(server.name)}")
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    answered = await server.ready()
            except Exception as error:  # noqa: BLE001 - a part that is not up yet fails in many ways
                answered, why = False, str(error) or type(error).__name__
            if answered:
                async with asyncio.timeout(self._ready_seconds):
                    await server.arrange()
                return
            await asyncio.sleep(ASK_EVERY)
        raise Stalled(f"{server.name} was not ready within {self._ready_seconds:.0f} s: {why}")

    async def _end(self, name: str) -> None:
        """End what is left of the process, if it runs, and of its descendants, until the kernel has forgotten them."""
        if name not in self._running:
            return
        began = time.monotonic()
        child, launch, started = self._running.pop(name)
        self.parts[name].status = "stopping"
        self._changed()
        left = process.members(child.pid, started)
        leader = [seen for seen in left if seen.pid == child.pid]
        await self._waited(leader, launch.grace, launch.stop)
        left = process.members(child.pid, started)
        if launch.strays:
            left += process.working_in(launch.strays)
        await self._waited(left, LEFT_BEHIND_SECONDS)
        self.parts[name].status, self.parts[name].pid = "stopped", None
        self._changed()
        log.info("part ended", part=name, seconds=round(time.monotonic() - began, 2))

    async def _waited(
        self, seen: list[process.ProcessInfo], grace: float, first: signal.Signals = signal.SIGTERM
    ) -> None:
        await asyncio.get_running_loop().run_in_executor(self._enders, process.end, seen, grace, first)

    def _last_words(self, name: str) -> str:
        """The end of the part's log, for the message."""
        with self._layout.log(name).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LAST_WORDS))
            return " / ".join(file.read(LAST_WORDS).decode(errors="replace").splitlines()[-3:])

    def _state(self, unit: Unit) -> PartState:
        return (self.steps if isinstance(unit, Step) else self.parts)[unit.name]

    def _set(self, unit: Unit, **changes: object) -> None:
        state = self._state(unit)
        for name, value in changes.items():
            setattr(state, name, value)
        self._changed()
