"""The way between a region and the gateway: lane streams and calls, in order while they last, until they are cut."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

from orbital.v1.dispatch_pb2 import RefusedReport, SubscribeRequest, SubscribeResponse
from orbital.v1.enrolment_pb2 import CertifyResponse, EnrolResponse
from orbital.v1.signed_pb2 import Signed
from orbital.v1.task_pb2 import TaskBatch

from gateway.flow.deliver import Deliver
from gateway.flow.security import SignedReports
from runtime.errors import OrbitalError, Unavailable
from runtime.signatures import region_identity
from tests.simulation.process import Died, Network, Process

AWAY = "The gateway does not answer"
END = object()


class Server:
    """What a gateway process offers to regions while it lives."""

    def __init__(self, process: Process, deliver: Deliver, reports: SignedReports) -> None:
        self.process = process
        self.deliver = deliver
        self.reports = reports


class Pipe:
    """One direction of a stream: what is sent arrives later, in order, or not at all once it is cut."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._items: asyncio.Queue[Any] = asyncio.Queue()
        self.cut = False

    async def send(self, item: Any) -> None:
        """Hand over; raises Unavailable once the pipe is cut."""
        if self.cut:
            raise Unavailable(AWAY, reason="STREAM_LOST")
        # As it would be read from bytes: nobody shares an object.
        copy = type(item).FromString(item.SerializeToString())
        await self._network.pass_time()
        self._items.put_nowait(copy)

    def end(self, error: OrbitalError | None = None) -> None:
        """No more comes."""
        self.cut = True
        self._items.put_nowait(error or END)

    async def items(self) -> AsyncIterator[Any]:
        """What arrives."""
        while True:
            item = await self._items.get()
            if item is END:
                return
            if isinstance(item, OrbitalError):
                raise item
            yield item


class Ledger:
    """What was acknowledged though the journal, a file, did not hold it; the same for every stream of a fleet."""

    def __init__(self) -> None:
        self.lost: set[str] = set()

    def acknowledged(self, journal: Path, tasks: Sequence[str]) -> None:
        """Look whether these are kept."""
        with closing(sqlite3.connect(journal)) as file:
            marks = ",".join("?" * len(tasks))
            kept = {row[0] for row in file.execute(f"SELECT id FROM tasks WHERE id IN ({marks})", list(tasks))}
        self.lost |= set(tasks) - kept


class Stream:
    """The region's end of a lane stream."""

    def __init__(self, up: Pipe, down: Pipe, process: Process, keeps: Callable[[Sequence[str]], None]) -> None:
        self._up = up
        self._down = down
        self._process = process
        self._keeps = keeps
        self._given: dict[int, list[str]] = {}

    async def send(self, message: SubscribeRequest) -> None:
        """Write."""
        await self._process.maybe_die()
        if message.HasField("reject"):
            self._given.pop(message.reject.delivery_id, None)
        elif message.HasField("acknowledge"):
            for number in [one for one in self._given if one <= message.acknowledge.delivery_id]:
                self._keeps(self._given.pop(number))
        await self._up.send(message)

    async def messages(self) -> AsyncIterator[SubscribeResponse]:
        """What arrives."""
        async for message in self._down.items():
            await self._process.check()
            if message.HasField("delivery"):
                batch = TaskBatch.FromString(Signed.FromString(message.delivery.batch).content)
                self._given[message.delivery.delivery_id] = [task.id for task in batch.tasks]
            yield message


class Link:
    """Implements the region's port `Gateway` for one process of it. `cut` lets nothing through any more."""

    def __init__(
        self,
        region: str,
        process: Process,
        network: Network,
        server: Callable[[int], Server | None],
        keeps: Callable[[Sequence[str]], None],
    ) -> None:
        self._region = region
        self._keeps = keeps
        self._process = process
        self._network = network
        self._server = server
        self._open: set[tuple[Pipe, Pipe]] = set()
        self.is_cut = False

    def cut(self) -> None:
        """Cut every stream, and refuse new ones."""
        self.is_cut = True
        self.break_streams()

    def break_streams(self) -> None:
        """End what is open, as a lost connection does."""
        for up, down in list(self._open):
            up.end()
            down.end(Unavailable(AWAY, reason="STREAM_LOST"))

    def heal(self) -> None:
        """Let everything through again."""
        self.is_cut = False

    def _reach(self, lane: int) -> Server:
        server = self._server(lane)
        if self.is_cut or server is None or server.process.over:
            raise Unavailable(AWAY, reason="GATEWAY_UNREACHABLE")
        return server

    @asynccontextmanager
    async def subscribe(self, lane: int) -> AsyncIterator[Stream]:
        """The lane's stream."""
        await self._process.maybe_die()
        await self._network.pass_time()
        server = self._reach(lane)
        up, down = Pipe(self._network), Pipe(self._network)
        pair = (up, down)
        self._open.add(pair)
        serving = asyncio.ensure_future(self._serve(server, up, down))
        try:
            yield Stream(up, down, self._process, self._keeps)
        finally:
            self._open.discard(pair)
            up.end()
            serving.cancel()

    async def _serve(self, server: Server, up: Pipe, down: Pipe) -> None:
        ended: OrbitalError | None = Unavailable(AWAY, reason="STREAM_LOST")
        with suppress(Died, asyncio.CancelledError):
            try:
                principal = region_identity(self._region)
                await server.deliver.serve(principal, self._region, up.items(), down.send)
                ended = None
            except OrbitalError as error:
                ended = error
        down.end(ended)

    async def enrol(self, version: str, process: str) -> EnrolResponse:
        """Nothing is needed for it here."""
        del version, process
        self._reach(0)
        return EnrolResponse()

    async def certify(self, request: bytes) -> CertifyResponse:
        """Keys are not certified here."""
        del request
        raise Unavailable(AWAY, reason="GATEWAY_UNREACHABLE")

    async def report(self, lane: int, signed: Signed) -> list[RefusedReport]:
        """Report outside the stream."""
        await self._process.maybe_die()
        await self._network.pass_time()
        server = self._reach(lane)
        refused = await server.reports.submit(region_identity(self._region), self._region, signed, lane)
        await self._process.maybe_die()
        await self._network.pass_time()
        if self.is_cut:
            raise Unavailable(AWAY, reason="GATEWAY_UNREACHABLE")
        return refused
