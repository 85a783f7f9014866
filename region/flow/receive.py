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

from region.domain.storable import check_storable
from region.flow.signals import Signal
from region.ports.journal import Journal
from region.ports.signing import Verifies
from region.ports.world import World
from runtime.errors import Denied, Invalid
from runtime.logs import get_logger
from runtime.signatures import GATEWAY, TASKS, WRONG_LANE, WRONG_REGION

log = get_logger(__name__)

# Of what was refused, this much is told.
MOST_KEPT = 65_536

Send = Callable[[dispatch_pb2.SubscribeRequest], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Sifted:
    """The tasks of a message that can be kept, and those that cannot, each with its error."""

    good: list[pb.Task]
    bad: list[tuple[pb.Task, Invalid]]


def sift(tasks: Sequence[pb.Task]) -> Sifted:
    """Tell what can be kept from what cannot."""
    sifted = Sifted([], [])
    for task in tasks:
        try:
            check_storable(task)
        except Invalid as error:
            sifted.bad.append((task, error))
        else:
            sifted.good.append(task)
    return sifted


def refusal(bad: Sequence[tuple[pb.Task, Invalid]]) -> dispatch_pb2.SubscribeRequest:
    """What is told of tasks that were refused out of a message whose other tasks were kept."""
    first = bad[0][1]
    reason = f"{first.reason}: {first.message}" + (f" (and {len(bad) - 1} more)" if len(bad) > 1 else "")
    body = pb.TaskBatch(tasks=[task for task, _ in bad]).SerializeToString()[:MOST_KEPT]
    return dispatch_pb2.SubscribeRequest(refusal=dispatch_pb2.Refusal(reason=reason, body=body))


async def read_batch(body: bytes, region: str, lane: int, keys: Verifies) -> list[pb.Task]:
    """The tasks of a message; raises Invalid or Denied with the reason for which it must be dead-lettered."""
    try:
        content = await keys.verify(Signed.FromString(body), TASKS, GATEWAY)
        batch = pb.TaskBatch.FromString(content)
    except DecodeError as error:
        raise Invalid("The message is no signed TaskBatch", reason="MALFORMED") from error
    if batch.region != region or any(task.region != region for task in batch.tasks):
        raise Denied(f"The message is not for region {region}", reason=WRONG_REGION)
    if batch.lane != lane or any(task.lane != lane for task in batch.tasks):
        raise Denied(f"The message is not for lane {lane}", reason=WRONG_LANE)
    if not batch.tasks:
        raise Invalid("The message has no task", reason="MALFORMED")
    if any(not task.id or not task.resource.name for task in batch.tasks):
        raise Invalid("A task has no ID or no resource", reason="MALFORMED")
    return list(batch.tasks)


class Receiver:
    """The deliveries of one lane during one stream."""

    def __init__(
        self,
        region: str,
        lane: int,
        journal: Journal,
        keys: Verifies,
        world: World,
        work: Signal,
        reports: Signal,
        merge: int,
        path: Transport.ValueType = Transport.TRANSPORT_STREAM,
    ) -> None:
        self._region = region
        self._lane = lane
        self._journal = journal
        self._keys = keys
        self._world = world
        self._work = work
        self._reports = reports
        self._merge = merge
        self._path = path
        self._inbox: asyncio.Queue[dispatch_pb2.Delivery] = asyncio.Queue()

    def afresh(self, path: Transport.ValueType) -> Receiver:
        """The same for another path, without what has arrived."""
        return Receiver(
            *(self._region, self._lane, self._journal, self._keys, self._world),
            *(self._work, self._reports, self._merge, path),
        )

    def take(self, delivery: dispatch_pb2.Delivery) -> None:
        """A delivery arrived; credit bounds how many can wait here."""
        self._inbox.put_nowait(delivery)

    async def run(self, send: Send) -> None:
        """Journal and acknowledge, for as long as the stream lives."""
        while True:
            deliveries = [await self._inbox.get()]
            while len(deliveries) < self._merge and not self._inbox.empty():
                deliveries.append(self._inbox.get_nowait())
            await self._keep(deliveries, send)

    async def _keep(self, deliveries: list[dispatch_pb2.Delivery], send: Send) -> None:
        tasks: list[pb.Task] = []
        bad: list[tuple[pb.Task, Invalid]] = []
        rejects: list[dispatch_pb2.Reject] = []
        for delivery in deliveries:
            try:
                sifted = sift(await read_batch(delivery.batch, self._region, self._lane, self._keys))
                if not sifted.good:
                    raise sifted.bad[0][1]
                tasks.extend(sifted.good)
                bad.extend(sifted.bad)
            except (Invalid, Denied) as error:
                log.warning("delivery_rejected", lane=self._lane, reason=error.reason, error=error.message)
                reason = f"{error.reason}: {error.message}"
                rejects.append(dispatch_pb2.Reject(delivery_id=delivery.delivery_id, reason=reason))
        if tasks:
            bad.extend(await self._receive(tasks))
            self._work.give()
            self._reports.give()
        if bad:
            log.warning("tasks_rejected", lane=self._lane, count=len(bad), error=bad[0][1].message)
            await send(refusal(bad))
        # Acknowledgements are cumulative: a rejection must precede the one that would cover it.
        for reject in rejects:
            await send(dispatch_pb2.SubscribeRequest(reject=reject))
        if len(rejects) < len(deliveries):
            newest = dispatch_pb2.Acknowledge(delivery_id=deliveries[-1].delivery_id)
            await send(dispatch_pb2.SubscribeRequest(acknowledge=newest))

    async def _receive(self, tasks: Sequence[pb.Task]) -> list[tuple[pb.Task, Invalid]]:
        """Journal them; those that the journal cannot keep are given back, and all the others are kept."""
        try:
            await self._journal.receive(self._lane, tasks, self._world.now(), self._path)
        except Invalid as error:
            if len(tasks) == 1:
                return [(tasks[0], error)]
            middle = len(tasks) // 2
            return await self._receive(tasks[:middle]) + await self._receive(tasks[middle:])
        return []
