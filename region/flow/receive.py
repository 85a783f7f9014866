"""receive: deliveries are journaled, several in one transaction, and only then acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from orbital.v1 import dispatch_pb2
from orbital.v1 import task_pb2 as pb
from orbital.v1.resource_pb2 import Transport
from orbital.v1.signed_pb2 import Signed

from region.flow.lane_journal import LaneJournal
from region.ports.signing import Verifies
from runtime.content import check_storable
from runtime.errors import Denied, Invalid
from runtime.logs import get_logger
from runtime.signatures import GATEWAY, TASKS, WRONG_LANE, WRONG_REGION

log = get_logger(__name__)

INVALID_TASK = "INVALID_TASK"
# Of what was refused, this much is told.
MOST_KEPT = 65_536

Send = Callable[[dispatch_pb2.SubscribeRequest], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ReadTasks:
    """The tasks of a message that can be kept, and those that cannot, each with its error."""

    good: list[pb.Task]
    bad: list[tuple[pb.Task, Invalid]]


def sift(tasks: Sequence[pb.Task]) -> ReadTasks:
    """Tell what can be kept from what cannot."""
    sifted = ReadTasks([], [])
    for task in tasks:
        try:
            check_storable(task, "task")
        except Invalid as error:
            sifted.bad.append((task, Invalid(error.message, reason=INVALID_TASK, field=error.field)))
        else:
            sifted.good.append(task)
    return sifted


def refusal(bad: Sequence[tuple[pb.Task, Invalid]]) -> dispatch_pb2.SubscribeRequest:
    """What is told of tasks that were refused out of a message whose other tasks were kept."""
    first = bad[0][1]
    reason = f"{first.reason}: {first.message}" + (f" (and {len(bad) - 1} more)" if len(bad) > 1 else "")
    body = pb.TaskBatch(tasks=[task for task, _ in bad]).SerializeToString()[:MOST_KEPT]
    return dispatch_pb2.SubscribeRequest(refusal=dispatch_pb2.Refusal(reason=reason, body=body))


class BatchReader:
    """Reads messages for one lane of one region, with the gateway's signature checked by `keys`."""

    def __init__(self, *, region: str, lane: int, keys: Verifies) -> None:
        self._region = region
        self._lane = lane
        self._keys = keys

    async def read(self, body: bytes) -> list[pb.Task]:
        """The tasks of a message; raises Invalid or Denied with the reason for which it must be dead-lettered."""
        try:
            content = await self._keys.verify(Signed.FromString(body), TASKS, GATEWAY)
            batch = pb.TaskBatch.FromString(content)
        except DecodeError as error:
            raise Invalid("The message is no signed TaskBatch", reason="MALFORMED") from error
        if batch.region != self._region or any(task.region != self._region for task in batch.tasks):
            raise Denied(f"The message is not for region {self._region}", reason=WRONG_REGION)
        if batch.lane != self._lane or any(task.lane != self._lane for task in batch.tasks):
            raise Denied(f"The message is not for lane {self._lane}", reason=WRONG_LANE)
        if not batch.tasks:
            raise Invalid("The message has no task", reason="MALFORMED")
        if any(not task.id or not task.resource.name for task in batch.tasks):
            raise Invalid("A task has no ID or no resource", reason="MALFORMED")
        return list(batch.tasks)


class Receiver:
    """The deliveries of one lane by one path; at most `merge` of them are kept in one transaction."""

    def __init__(
        self,
        *,
        reader: BatchReader,
        journal: LaneJournal,
        merge: int,
        path: Transport.ValueType = Transport.TRANSPORT_STREAM,
    ) -> None:
        self.lane = journal.lane
        self._reader = reader
        self._journal = journal
        self._merge = merge
        self._path = path
        self._inbox: asyncio.Queue[dispatch_pb2.Delivery] = asyncio.Queue()
        # Deliveries that arrived and are not dealt with.
        self._arrived = 0

    def afresh(self, path: Transport.ValueType) -> Receiver:
        """The same for this path, without what has arrived."""
        self._journal.signals.arrivals.drop(self._arrived)
        self._arrived = 0
        return Receiver(reader=self._reader, journal=self._journal, merge=self._merge, path=path)

    def take(self, delivery: dispatch_pb2.Delivery) -> None:
        """A delivery arrived; credit bounds how many can wait here."""
        self._inbox.put_nowait(delivery)
        self._arrived += 1
        self._journal.signals.arrivals.took()

    async def run(self, send: Send) -> None:
        """Journal and acknowledge, for as long as the stream lives."""
        while True:
            deliveries = [await self._inbox.get()]
            while len(deliveries) < self._merge and not self._inbox.empty():
                deliveries.append(self._inbox.get_nowait())
            await self._keep(deliveries, send)
            self._arrived -= len(deliveries)
            self._journal.signals.arrivals.done(len(deliveries))

    async def _keep(self, deliveries: list[dispatch_pb2.Delivery], send: Send) -> None:
        tasks: list[pb.Task] = []
        bad: list[tuple[pb.Task, Invalid]] = []
        rejects: list[dispatch_pb2.Reject] = []
        for delivery in deliveries:
            try:
                sifted = sift(await self._reader.read(delivery.batch))
                if not sifted.good:
                    raise sifted.bad[0][1]
                tasks.extend(sifted.good)
                bad.extend(sifted.bad)
            except (Invalid, Denied) as error:
                log.warning("delivery_rejected", lane=self.lane, reason=error.reason, error=error.message)
                reason = f"{error.reason}: {error.message}"
                rejects.append(dispatch_pb2.Reject(delivery_id=delivery.delivery_id, reason=reason))
        if tasks:
            bad.extend(await self._journal.receive(tasks, self._path))
        if bad:
            log.warning("tasks_rejected", lane=self.lane, count=len(bad), error=bad[0][1].message)
            await send(refusal(bad))
        # Acknowledgements are cumulative: a rejection must precede the one that would cover it.
        for reject in rejects:
            await send(dispatch_pb2.SubscribeRequest(reject=reject))
        if len(rejects) < len(deliveries):
            newest = dispatch_pb2.Acknowledge(delivery_id=deliveries[-1].delivery_id)
            await send(dispatch_pb2.SubscribeRequest(acknowledge=newest))
