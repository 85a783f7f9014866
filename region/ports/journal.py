"""The region's journal: what was received, what is held, what is still to be reported. Every write is durable."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from orbital.v1 import task_pb2 as pb
from orbital.v1.resource_pb2 import Transport

from region.domain.work import Entry, Settled
from region.ports.inspecting import LaneCounts
from runtime.page import LARGEST


class JournalReader(Protocol):
    """What a journal holds, for whoever only reads."""

    async def held(self) -> Mapping[str, int]:
        """The generation that was done last of each resource."""


class Journal(Protocol):
    """One database of one process; several lanes share it."""

    async def receive(
        self,
        lane: int,
        tasks: Sequence[pb.Task],
        now: float,
        path: Transport.ValueType = Transport.TRANSPORT_UNSPECIFIED,
    ) -> int:
        """Keep the tasks in one transaction and give the number of new ones.

        A task that was reported done is reported again; one that was reported otherwise is tried again. Of lane
        0 the first arrival by each path is kept: a copy by another path is only reported, not tried.
        """

    async def arrivals(self, tasks: Sequence[str]) -> Mapping[str, Sequence[pb.Arrival]]:
        """When these tasks came by each path, where that was kept."""

    async def due(self, lane: int, now: float, limit: int, taken: Collection[int] = ()) -> list[Entry]:
        """The first `limit` pending tasks of a lane that are due, in sequence, without those of the rows `taken`."""

    async def abandon(self, rows: Sequence[int], reason: str, now: float) -> None:
        """Set tasks aside that cannot be worked on, whole and with their reason: what is behind them goes on."""

    async def set_aside(self, reports: Sequence[int], reason: str, now: float) -> None:
        """Set reports aside that cannot be sent, by their numbers, whole and with their reason."""

    async def next_due(self, lane: int, now: float) -> float | None:
        """When the next pending task of the lane will be due after `now`; None when none will."""

    async def settle(self, lane: int, settled: Sequence[Settled], now: float) -> None:
        """Keep outcomes, held state and reports in one transaction.

        A waiting task is reported when its reason changed; what waited for a resource that is now done becomes due. A
        parked one is left alone until it is due, unless a task of its resource comes.
        """

    async def receipt(self, task_id: str) -> bytes:
        """The receipt that was made of this task, however long ago; empty when there is none."""

    async def tell(self, lane: int, reports: Sequence[bytes], receipts: Sequence[tuple[str, bytes]] = ()) -> None:
        """Keep reports of what no task brought about, and receipts by the IDs that the reports give."""

    async def unsent(self, lane: int, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Reports of the lane that were not accepted yet, above the number `after`, in order."""

    async def accepted(self, lane: int, first: int, last: int) -> None:
        """Forget the reports of the lane from `first` to `last`."""

    async def last_beat(self, now: float) -> float:
        """When the control plane was last heard; the first question ever asked starts the lease at `now`."""

    async def beat(self, at: float) -> None:
        """Keep when the control plane was last heard."""

    async def keep_audit_head(self, sequence: int, head: bytes) -> None:
        """Keep a signed head of the gateway's audit trail; a second of the same sequence stays beside the first."""

    async def audit_heads(self, limit: int, up_to: int = LARGEST, skipped: int = 0) -> list[tuple[int, bytes]]:
        """(sequence, signed head), the newest first, up to that sequence; the first `skipped` of these are left out."""

    async def counts(self, lane: int) -> LaneCounts:
        """What the lane holds, without reading it all."""

    async def prune(self, before: float) -> int:
        """Forget what was settled and accepted before that time."""

    async def fact(self, name: str, default: float) -> float:
        """A number that was kept by that name."""

    async def keep_fact(self, name: str, value: float) -> None:
        """Keep a number by that name."""
