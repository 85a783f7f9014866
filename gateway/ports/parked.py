"""Tasks that their regions have parked: how they are kept, and what people may do about them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.message import Message
from orbital.v1 import parked_pb2 as pb

from gateway.ports.serving import Caller
from gateway.ports.store import Action


@dataclass(frozen=True, slots=True)
class Parked:
    """A task that somebody would retry or cancel."""

    identity: uuid.UUID
    state: int
    kind: int
    lane: int
    region: str
    resource_id: int
    resource: str
    generation: int
    current_generation: int


class ParkedBatch(Protocol):
    """Tasks inside one transaction."""

    async def answered(self, actor: str, request_id: str, action: str) -> bytes | None:
        """The stored answer to this request, if it was made before; raises Conflict if it was another action."""

    async def tasks(self, identities: Sequence[uuid.UUID]) -> Sequence[Parked]:
        """Those of these tasks that there are."""

    async def send_again(
        self, tasks: Sequence[Parked], action: Action, answer: Message, *, message: str, cancelled: bool
    ) -> None:
        """Have them sent to their regions, as cancelled or not; raises Conflict when one has changed meanwhile."""


class ParkedStore(Protocol):
    """What `parked` needs."""

    async def page(self, request: pb.ListParkedTasksRequest, size: int) -> pb.ListParkedTasksResponse:
        """A page of parked tasks, newest first."""

    def changing(self) -> AbstractAsyncContextManager[ParkedBatch]:
        """A transaction."""


class ParkedTasks(Protocol):
    """What people may do about tasks that keep failing."""

    async def page(self, request: pb.ListParkedTasksRequest, size: int) -> pb.ListParkedTasksResponse:
        """A page of parked tasks, newest first."""

    async def retry(self, request: pb.RetryTasksRequest, caller: Caller) -> pb.RetryTasksResponse:
        """Send parked or cancelled tasks again; raises NotFound or Precondition naming the one that cannot be."""

    async def cancel(self, request: pb.CancelTasksRequest, caller: Caller) -> pb.CancelTasksResponse:
        """Have regions forget parked tasks; raises NotFound or Precondition naming the one that cannot be."""
