"""Parked tasks in PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from google.protobuf.message import Message
from orbital.v1 import parked_pb2 as pb

from gateway.adapters.postgres.database import Database, Session
from gateway.adapters.postgres.desired import answered, insert_job
from gateway.adapters.postgres.see import LAST_SEQUENCE, page_of, task_of
from gateway.domain.parked import CANCELLED, RETRIED
from gateway.ports.parked import Parked
from gateway.ports.store import Action
from runtime.errors import Conflict
from runtime.page import read_token, write_token

if TYPE_CHECKING:
    from gateway.ports.parked import ParkedBatch


class _Batch:
    def __init__(self, session: Session, process: str) -> None:
        self._session = session
        self._process = process

    async def answered(self, actor: str, request_id: str, action: str) -> bytes | None:
        return await answered(self._session, actor, request_id, action)

    async def tasks(self, identities: Sequence[uuid.UUID]) -> Sequence[Parked]:
        names = ("state", "kind", "lane", "region", "resource_id", "generation", "current_generation")
        return [
            Parked(identity=row["id"], resource=row["name"], **{name: row[name] for name in names})
            for row in await self._session.fetch("tasks_to_change", list(identities))
        ]

    async def send_again(
        self, tasks: Sequence[Parked], action: Action, answer: Message, *, message: str, cancelled: bool
    ) -> None:
        said = ("CANCELLED" if cancelled else "", message)
        # Placements before tasks, and each in one order, as reports lock them.
        rows = sorted((task.resource_id, task.region, task.generation) for task in tasks)
        await self._session.execute("drive_changed", *zip(*rows, strict=True), *said)
        identities = sorted({task.identity for task in tasks})
        states = list(CANCELLED if cancelled else RETRIED)
        sent = await self._session.fetch("send_again", identities, states, *said, cancelled)
        if len(sent) != len(identities):
            raise Conflict("One of the tasks has changed meanwhile; look again")
        await insert_job(self._session, self._process, action, answer.SerializeToString(), 0)
        await self._session.execute("wake", [f"{lane} released" for lane in sorted({task.lane for task in tasks})])


class PostgresParked:
    """Implements `ParkedStore`."""

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process

    async def page(self, request: pb.ListParkedTasksRequest, size: int) -> pb.ListParkedTasksResponse:
        """See the port."""
        (before,) = read_token(request.page_token, (int,)) if request.page_token else (LAST_SEQUENCE,)
        chosen = (request.tenant, request.region, before, size, request.id)
        rows = await self._database.fetch("parked_tasks", *chosen)
        found, more = page_of(rows, task_of, size)
        token = write_token(found[-1].sequence) if more else ""
        return pb.ListParkedTasksResponse(tasks=found, next_page_token=token)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[ParkedBatch]:
        """See the port."""
        async with self._database.transaction("parked") as session:
            yield _Batch(session, self._process)
