"""The HSM through a process of its own, so that a vendor's library can neither corrupt nor block the region's."""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from region.adapters.hsm.frames import LENGTH, MOST_BYTES, MOST_LABEL, Action, Answer, Outcome, Request, answer
from region.handlers.parts import wipe
from region.ports.host import Host
from region.ports.l1 import Refused
from runtime.errors import OrbitalError, Stalled, Unavailable
from runtime.l1 import ROOT_KEY
from runtime.lifecycle import Backoff
from runtime.logs import get_logger

log = get_logger(__name__)

TIMEOUT = 5.0
GRACE = 1.0
# A worker that answered for this long before it ended starts again at once.
STEADY = 30.0
UNREACHABLE = "HSM_UNREACHABLE"
UNFIT = "L1_KEY_UNFIT"
ERRORS: dict[Outcome, Callable[[str], OrbitalError]] = {
    Outcome.AWAY: lambda message: Unavailable(message, reason=UNREACHABLE),
    Outcome.KEY_MISSING: lambda message: Unavailable(message, reason="L1_KEY_MISSING"),
    Outcome.KEY_UNFIT: lambda message: Stalled(message, reason=UNFIT),
    Outcome.KEY_AMBIGUOUS: lambda message: Stalled(message, reason="L1_KEY_AMBIGUOUS"),
    Outcome.OWNER_REFUSED: Refused,
    Outcome.BLOB_REFUSED: lambda message: Stalled(message, reason="BLOB_REFUSED"),
    Outcome.TOKEN_MISSING: lambda message: Unavailable(message, reason="HSM_TOKEN_MISSING"),
    Outcome.LOGIN_REFUSED: lambda message: Unavailable(message, reason="HSM_LOGIN_REFUSED"),
    Outcome.TRIAL_FAILED: lambda message: Unavailable(message, reason="HSM_SELF_TEST_FAILED"),
}


@dataclass(slots=True)
class Worker:
    """A running worker: who waits for which answer, and the task that reads them."""

    process: Process
    began: float
    waiting: dict[int, asyncio.Future[Answer]] = field(default_factory=dict)
    reading: asyncio.Task[None] | None = None
    dead: bool = False


class HsmProcess:
    """See region.ports.vault.Hsm. A worker that dies or hangs is replaced at the next call, later each time."""

    def __init__(self, command: list[str], environment: dict[str, str], host: Host, timeout: float) -> None:
        self._command = command
        self._environment = environment
        self._host = host
        self._timeout = timeout
        self._backoff = Backoff(host.random)
        self._not_before = 0.0
        self._worker: Worker | None = None
        self._starting = asyncio.Lock()
        self._number = 0

    async def wrap(self, label: str, material: bytearray) -> bytes:
        """See the port."""
        return bytes(await self._call(Action.WRAP, label, material))

    async def unwrap(self, label: str, blob: bytes) -> bytearray:
        """See the port."""
        return await self._call(Action.UNWRAP, label, bytearray(blob))

    async def try_out(self) -> Mapping[str, str]:
        """See region.ports.inspecting.ProviderTrial."""
        found: dict[str, str] = orjson.loads(await self._call(Action.TRY, ROOT_KEY, bytearray()))
        return found

    async def ask(self, label: str) -> None:
        """See the port."""
        await self._call(Action.ASK, label, bytearray())

    async def _call(self, action: Action, label: str, payload: bytearray) -> bytearray:
        if len(label.encode(errors="replace")) > MOST_LABEL:
            raise Stalled(f"The label of an L1 is at most {MOST_LABEL} bytes long", reason=UNFIT)
        worker = await self._live()
        self._number = (self._number + 1) % 2**32
        number = self._number
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        worker.waiting[number] = waiting
        # Whoever gave up no longer asks for the failure.
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            async with asyncio.timeout(self._timeout):
                await self._send(worker, Request(number, action, label, payload))
                answered = await waiting
        except TimeoutError as error:
            self._bury(worker, "it hangs")
            raise Unavailable("The HSM does not answer", reason=UNREACHABLE) from error
        finally:
            worker.waiting.pop(number, None)
        if answered.outcome is not Outcome.DONE:
            raise ERRORS[answered.outcome](answered.payload.decode(errors="replace"))
        return answered.payload

    async def _send(self, worker: Worker, asked: Request) -> None:
        assert worker.process.stdin is not None
        frame = asked.packed()
        try:
            worker.process.stdin.write(frame)
            await worker.process.stdin.drain()
        except OSError as error:
            self._bury(worker, "its pipe is closed")
            raise Unavailable("The HSM's process ended", reason=UNREACHABLE) from error
        finally:
            wipe(frame)

    async def _live(self) -> Worker:
        async with self._starting:
            if self._worker is not None and not self._worker.dead:
                return self._worker
            if self._host.now() < self._not_before:
                raise Unavailable("The HSM's process ended; it is started again soon", reason=UNREACHABLE)
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=PIPE, stdout=PIPE, env=self._environment
                )
            except OSError as error:
                self._not_before = self._host.now() + self._backoff.next()
                raise Unavailable("The HSM's process cannot be started", reason=UNREACHABLE) from error
            worker = self._worker = Worker(process, self._host.now())
            worker.reading = asyncio.get_running_loop().create_task(self._read(worker), name="hsm-answers")
            return worker

    async def _read(self, worker: Worker) -> None:
        stdout = worker.process.stdout
        assert stdout is not None
        try:
            while True:
                (size,) = LENGTH.unpack(await stdout.readexactly(LENGTH.size))
                if size > MOST_BYTES:
                    self._bury(worker, "it says what nobody understands")
                    return
                answered = answer(bytearray(await stdout.readexactly(size)))
                waiting = worker.waiting.get(answered.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answered)
                else:
                    wipe(answered.payload)
        except (asyncio.IncompleteReadError, OSError, ValueError, struct.error):
            self._bury(worker, "it ended")

    def _bury(self, worker: Worker, why: str) -> None:
        """End it for good, and tell everybody who waits for it."""
        if worker.dead:
            return
        worker.dead = True
        with suppress(ProcessLookupError):
            worker.process.kill()
        if self._host.now() - worker.began > STEADY:
            self._backoff.reset()
        self._not_before = self._host.now() + self._backoff.next()
        log.warning("hsm_process_ended", why=why, pid=worker.process.pid, in_flight=len(worker.waiting))
        for waiting in worker.waiting.values():
            if not waiting.done():
                waiting.set_exception(Unavailable("The HSM's process ended", reason=UNREACHABLE))

    async def close(self) -> None:
        """Let the worker log out, and see it gone."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        assert worker.process.stdin is not None
        if not worker.dead:
            worker.dead = True
            worker.process.stdin.close()
        try:
            async with asyncio.timeout(GRACE):
                await worker.process.wait()
        except TimeoutError:
            worker.process.kill()
            await worker.process.wait()
        if worker.reading is not None:
            worker.reading.cancel()
            with suppress(asyncio.CancelledError):
                await worker.reading


@asynccontextmanager
async def open_hsm(
    library: Path,
    token: str,
    pin_file: Path,
    conf: Path | None,
    host: Host,
    *,
    generate_missing: bool,
    timeout: float = TIMEOUT,
) -> AsyncIterator[HsmProcess]:
    """An HSM whose process starts at its first use, so that a region starts while it is away."""
    command = [sys.executable, "-P", "-m", "region.adapters.hsm.worker", str(library), token, str(pin_file)]
    command.append("generate" if generate_missing else "find")
    # SoftHSM knows its directory by this variable alone.
    environment = {**os.environ, **({"SOFTHSM2_CONF": str(conf)} if conf else {})}
    hsm = HsmProcess(command, environment, host, timeout)
    try:
        yield hsm
    finally:
        await hsm.close()
