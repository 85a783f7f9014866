"""Keeps when the control plane was last heard, in memory for serving and now and then on disk for a restart.

While the process runs a steady clock counts: one that is set neither ends a lease nor makes it longer.

With its proofs of life it hands over the heads of its audit trail: the region keeps them against it.
"""

from __future__ import annotations

import asyncio

from google.protobuf.message import DecodeError
from orbital.v1.audit_pb2 import AuditHead
from orbital.v1.dispatch_pb2 import Beat

from region.ports.host import Host
from region.ports.journal import Journal
from runtime.content import MOST_64


class Heartbeats:
    """The last proof of life from the control plane."""

    def __init__(self, journal: Journal, host: Host, every: float) -> None:
        self._journal = journal
        self._host = host
        self._every = every
        self._last = 0.0
        # By the steady clock, and how long the control plane had been silent then.
        self._counted_from, self._silent = host.steady(), float("inf")
        self._head = b""

    def silence(self) -> float:
        """Seconds for which the control plane has not been heard."""
        return self._silent + self._host.steady() - self._counted_from

    def heard(self) -> None:
        """A beat arrived on any lane."""
        self._last = self._host.now()
        self._counted_from, self._silent = self._host.steady(), 0.0

    async def beat(self, beat: Beat) -> None:
        """A beat arrived; a head that is new in it is durable afterwards."""
        self.heard()
        packed = beat.audit_head.SerializeToString(deterministic=True)
        if packed and packed != self._head:
            await self._journal.keep_audit_head(_sequence(beat.audit_head.head), packed)
            self._head = packed

    async def load(self) -> None:
        """Take up what the last run knew; between two runs nothing but the machine's clock tells how long it was."""
        self._last = await self._journal.last_beat(self._host.now())
        self._counted_from, self._silent = self._host.steady(), max(0.0, self._host.now() - self._last)

    async def run(self) -> None:
        """Store it every so often; a restart loses at most that much of a lease."""
        stored = self._last
        while True:
            await asyncio.sleep(self._every)
            if self._last != stored:
                stored = self._last
                await self._journal.beat(stored)


def _sequence(head: bytes) -> int:
    """0 of what cannot be read, or be kept as a number: kept all the same, since an auditor will want to see it."""
    try:
        found = AuditHead.FromString(head).sequence
    except DecodeError:
        return 0
    return found if found <= MOST_64 else 0
