"""The gateway, through the region's own Envoy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from orbital.v1 import dispatch_pb2, enrolment_pb2, task_pb2
from orbital.v1.signed_pb2 import Signed


class Stream(Protocol):
    """One open lane stream. Only one task may send."""

    async def send(self, message: dispatch_pb2.SubscribeRequest) -> None:
        """Write; waits while the other side does not read. Raises Unavailable when the stream has ended."""

    def messages(self) -> AsyncIterator[dispatch_pb2.SubscribeResponse]:
        """What arrives, until the stream ends; raises an OrbitalError when it ends badly."""


class Gateway(Protocol):
    """The services of the gateway that a region calls."""

    def subscribe(self, lane: int) -> AbstractAsyncContextManager[Stream]:
        """Open the lane's stream; it is closed with the block."""

    async def enrol(self, version: str, process: str) -> enrolment_pb2.EnrolResponse:
        """Say that this process is there."""

    async def certify(self, request: bytes) -> enrolment_pb2.CertifyResponse:
        """Have the key of a signing request certified for this region's receipts."""

    async def report(self, lane: int, signed: Signed) -> list[dispatch_pb2.RefusedReport]:
        """Report outside the stream: signed Reports, at most 500; gives those that were refused."""


def packed_reports(reports: Sequence[bytes]) -> list[task_pb2.Report]:
    """The serialized reports of the journal as messages; of several about one task the last one speaks for all."""
    latest: dict[str, task_pb2.Report] = {}
    for serialized in reports:
        report = task_pb2.Report.FromString(serialized)
        latest.pop(report.task_id, None)
        latest[report.task_id] = report
    return list(latest.values())
