"""The journal as one lane uses it: what is kept there wakes the stages that go on with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from orbital.v1 import task_pb2 as pb
from orbital.v1.resource_pb2 import Transport

from region.domain.work import Entry, Settled
from region.flow.signals import LaneWakeups
from region.ports.host import Host
from region.ports.inspecting import LaneView
from region.ports.journal import Journal
from runtime.errors import Invalid


class LaneJournal:
    """One lane of a process's journal. What it cannot keep is set apart, and everything beside it is kept."""

    def __init__(self, *, lane: int, journal: Journal, signals: Mapping[int, LaneWakeups], host: Host) -> None:
        self.lane = lane
        self.signals = signals[lane]
        self._journal = journal
        self._lanes = signals
        self._host = host

    async def receive(self, tasks: Sequence[pb.Task], path: Transport.ValueType) -> list[tuple[pb.Task, Invalid]]:
        """Keep tasks that came by this path; gives back those that the journal cannot keep."""
        refused = await self._receive(tasks, path)
        self.signals.work.give()
        self.signals.reports.give()
        return refused

    async def _receive(self, tasks: Sequence[pb.Task], path: Transport.ValueType) -> list[tuple[pb.Task, Invalid]]:
        try:
            await self._journal.receive(self.lane, tasks, self._host.now(), path)
        except Invalid as error:
            if len(tasks) == 1:
                return [(tasks[0], error)]
            middle = len(tasks) // 2
            return await self._receive(tasks[:middle], path) + await self._receive(tasks[middle:], path)
        return []

    async def due(self, now: float, limit: int, taken: Collection[int]) -> list[Entry]:
        """The first `limit` pending tasks that are due, in sequence, without those of the rows `taken`."""
        return await self._journal.due(self.lane, now, limit, taken)

    async def next_due(self, now: float) -> float | None:
        """When the next pending task will be due after `now`; None when none will."""
        return await self._journal.next_due(self.lane, now)

    async def first_unsent(self) -> int | None:
        """The number of the oldest report that the gateway has not accepted; None when there is none."""
        found = await self._journal.unsent(self.lane, 0, 1)
        return found[0][0] if found else None

    async def settle(self, rows: Sequence[Settled]) -> None:
        """Make outcomes durable; an outcome that the journal cannot keep has its task set aside."""
        await self._settle(rows)
        self.signals.executed.done(len(rows))
        self.signals.reports.give()
        # What waited for one of these may be on any lane.
        for signals in self._lanes.values():
            signals.work.give()

    async def _settle(self, rows: Sequence[Settled]) -> None:
        try:
            await self._journal.settle(self.lane, rows, self._host.now())
        except Invalid as error:
            if len(rows) == 1:
                await self._journal.abandon([rows[0].entry.row], error.reason, self._host.now())
                return
            middle = len(rows) // 2
            await self._settle(rows[:middle])
            await self._settle(rows[middle:])

    def heard(self) -> None:
        """The gateway was heard on the lane's stream."""
        self.signals.heard = self._host.now()

    def accepted(self) -> None:
        """The gateway took a report."""
        self.signals.accepted = self._host.now()
        self.signals.reported.done()

    async def view(self) -> LaneView:
        """What the lane holds, and when the gateway was last heard on it."""
        counts = await self._journal.counts(self.lane)
        return LaneView(self.lane, counts, self.signals.heard, self.signals.accepted, self.signals.hops)
