"""A gateway as far as a region sees one: it delivers what a test gives it and keeps what comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from aiohttp import web
from orbital.v1 import (
    dispatch_pb2,
    dispatch_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    task_pb2,
)

from runtime.signatures import REPORTS, TASKS, region_identity
from tests.unit.runtime.keys import Keys


async def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        await asyncio.sleep(0.01)


class Gateway(dispatch_pb2_grpc.DispatchServiceServicer, enrolment_pb2_grpc.EnrolmentServiceServicer):
    """Every lane of one region. `accept` false: reports are left unanswered. `heartbeats` false: silent."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.reports: list[task_pb2.Report] = []
        self.acknowledged: dict[int, list[int]] = {}
        self.rejected: list[dispatch_pb2.Reject] = []
        self.opened: list[int] = []
        self.enrolled: list[str] = []
        self.accept = True
        self.heartbeats = True
        self.life = 600.0
        self._down: dict[int, asyncio.Queue[dispatch_pb2.SubscribeResponse]] = {}
        self._delivery = 0

    def outcome(self, task: task_pb2.Task) -> str:
        """The last outcome reported of a task."""
        found = [report for report in self.reports if report.task_id == task.id]
        return task_pb2.Outcome.Name(found[-1].outcome).removeprefix("OUTCOME_") if found else ""

    def deliver(self, lane: int, tasks: Sequence[task_pb2.Task]) -> int:
        return self.deliver_raw(lane, self.packed("eu10", lane, tasks))

    def packed(self, region: str, lane: int, tasks: Sequence[task_pb2.Task]) -> bytes:
        """A message as the control plane signs it."""
        batch = task_pb2.TaskBatch(region=region, lane=lane, tasks=tasks)
        return self.keys.gateway.sign(TASKS, batch.SerializeToString()).SerializeToString()

    def deliver_raw(self, lane: int, batch: bytes) -> int:
        self._delivery += 1
        delivery = dispatch_pb2.Delivery(delivery_id=self._delivery, batch=batch)
        self._queue(lane).put_nowait(dispatch_pb2.SubscribeResponse(delivery=delivery))
        return self._delivery

    def _queue(self, lane: int) -> asyncio.Queue[dispatch_pb2.SubscribeResponse]:
        return self._down.setdefault(lane, asyncio.Queue())

    async def Subscribe(  # noqa: N802
        self, request_iterator: AsyncIterator[dispatch_pb2.SubscribeRequest], context: Any
    ) -> AsyncIterator[dispatch_pb2.SubscribeResponse]:
        first = await anext(request_iterator)
        lane = first.open.lane
        assert dict(context.invocation_metadata())["x-orbital-lane"] == str(lane)
        self.opened.append(lane)
        queue = self._queue(lane)
        opened = dispatch_pb2.Opened()
        opened.expire_time.FromNanoseconds(int((time.time() + self.life) * 1e9))
        opened.lifetime.FromNanoseconds(int(self.life * 1e9))
        yield dispatch_pb2.SubscribeResponse(opened=opened)
        reader = asyncio.ensure_future(self._read(lane, request_iterator, queue))
        try:
            while True:
                try:
                    async with asyncio.timeout(0.2):
                        message = await queue.get()
                except TimeoutError:
                    if self.heartbeats:
                        yield dispatch_pb2.SubscribeResponse(beat=dispatch_pb2.Beat())
                    continue
                yield message
        finally:
            reader.cancel()

    async def _read(
        self,
        lane: int,
        requests: AsyncIterator[dispatch_pb2.SubscribeRequest],
        queue: asyncio.Queue[dispatch_pb2.SubscribeResponse],
    ) -> None:
        async for request in requests:
            match request.WhichOneof("message"):
                case "acknowledge":
                    self.acknowledged.setdefault(lane, []).append(request.acknowledge.delivery_id)
                case "reject":
                    self.rejected.append(request.reject)
                case "reports" if self.accept:
                    signed = request.reports.signed
                    content = await self.keys.public_keys.verify(signed, REPORTS, region_identity("eu10"))
                    self.reports.extend(task_pb2.Reports.FromString(content).reports)
                    accepted = dispatch_pb2.ReportsAccepted(batch_id=request.reports.batch_id)
                    queue.put_nowait(dispatch_pb2.SubscribeResponse(accepted=accepted))

    async def Enrol(  # noqa: N802
        self, request: enrolment_pb2.EnrolRequest, context: Any
    ) -> enrolment_pb2.EnrolResponse:
        self.enrolled.append(request.process)
        return enrolment_pb2.EnrolResponse()

    @asynccontextmanager
    async def serving(self, socket: Path) -> AsyncIterator[None]:
        server = grpc.aio.server()
        dispatch_pb2_grpc.add_DispatchServiceServicer_to_server(self, server)
        enrolment_pb2_grpc.add_EnrolmentServiceServicer_to_server(self, server)
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
        try:
            yield
        finally:
            await server.stop(0)


class Engine:
    """Answers the execute query: everything is allowed but the IDs in `denied`; away while `up` is false."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.denied: set[str] = set()
        self.up = True
        self.queries = 0
        self.url = ""

    async def _decide(self, request: web.Request) -> web.Response:
        if not self.up:
            return web.Response(status=500)
        self.queries += 1
        asked = (await request.json())["input"]
        ids = [task["id"] for task in asked["tasks"]]
        denied = [{"id": each, "reason": "NOT_HERE", "message": "Not in this region."} for each in self.denied]
        allowed = [each for each in ids if each not in self.denied]
        return web.json_response({"decision_id": "d1", "result": {"allowed": allowed, "denied": denied}})

    async def _signers(self, request: web.Request) -> web.Response:
        return web.json_response({"result": self.keys.table}) if self.up else web.Response(status=500)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        application = web.Application(client_max_size=1 << 24)
        application.router.add_get("/v1/data/orbital/signers", self._signers)
        application.router.add_post("/v1/data/orbital/authz/execute/decisions", self._decide)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = site.name if ":0" not in site.name else f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()
