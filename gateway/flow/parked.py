"""parked: tasks that keep failing are sent again, or cancelled, because somebody says so."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from orbital.v1 import parked_pb2 as pb

from gateway.domain.parked import check_cancel, check_retry
from gateway.flow.approval import MAX_REASON
from gateway.flow.contended import whole
from gateway.flow.desired import MAX_REQUEST_ID
from gateway.ports.parked import Parked, ParkedBatch, ParkedStore
from gateway.ports.serving import Caller
from gateway.ports.store import Action
from runtime.errors import Invalid, NotFound
from runtime.fields import check_length

MAX_CHANGED = 100  # tasks of one call, whose IDs all stand in one record of the trail


class ParkedTasks:
    """See gateway.ports.parked.ParkedTasks."""

    def __init__(self, store: ParkedStore, new_correlation_id: Callable[[], str]) -> None:
        self._store = store
        self._new_correlation_id = new_correlation_id

    async def page(self, request: pb.ListParkedTasksRequest, size: int) -> pb.ListParkedTasksResponse:
        """See the port."""
        return await self._store.page(request, size)

    @whole
    async def retry(self, request: pb.RetryTasksRequest, caller: Caller) -> pb.RetryTasksResponse:
        """See the port."""
        identities = _checked(request)
        async with self._store.changing() as batch:
            known = await batch.answered(caller.principal, request.request_id, "retry")
            if known is not None:
                return pb.RetryTasksResponse.FromString(known)
            tasks = await _found(batch, identities)
            for task in tasks:
                check_retry(_name(task), task.state, task.generation, task.current_generation)
            action = self._action("retry", request, caller)
            answer = pb.RetryTasksResponse(correlation_id=action.correlation_id)
            await batch.send_again(tasks, action, answer, message="", cancelled=False)
            return answer

    @whole
    async def cancel(self, request: pb.CancelTasksRequest, caller: Caller) -> pb.CancelTasksResponse:
        """See the port."""
        identities = _checked(request)
        async with self._store.changing() as batch:
            known = await batch.answered(caller.principal, request.request_id, "cancel")
            if known is not None:
                return pb.CancelTasksResponse.FromString(known)
            tasks = await _found(batch, identities)
            for task in tasks:
                check_cancel(_name(task), task.state, task.kind)
            action = self._action("cancel", request, caller)
            answer = pb.CancelTasksResponse(correlation_id=action.correlation_id)
            message = f"Cancelled by {caller.principal}: {request.reason.strip()}"
            await batch.send_again(tasks, action, answer, message=message, cancelled=True)
            return answer

    def _action(self, word: str, request: pb.RetryTasksRequest | pb.CancelTasksRequest, caller: Caller) -> Action:
        identity = caller.correlation_id or self._new_correlation_id()
        detail = f"{request.reason.strip()} (tasks {', '.join(request.ids)})"
        return Action(identity, caller.principal, word, detail, caller.decision_id, request.request_id)


def _checked(request: pb.RetryTasksRequest | pb.CancelTasksRequest) -> Sequence[uuid.UUID]:
    check_length(len(request.ids), 1, MAX_CHANGED, "ids", "items")
    check_length(len(request.request_id), 0, MAX_REQUEST_ID, "request_id")
    check_length(len(request.reason.strip()), 1, MAX_REASON, "reason")
    try:
        return [uuid.UUID(hex=identity) for identity in request.ids]
    except ValueError as error:
        raise Invalid("ids: a task ID has 32 hex digits", field="ids") from error


async def _found(batch: ParkedBatch, identities: Sequence[uuid.UUID]) -> Sequence[Parked]:
    tasks = await batch.tasks(identities)
    missing = sorted({one.hex for one in identities} - {task.identity.hex for task in tasks})
    if missing:
        raise NotFound(f"ids: there is no task {missing[0]}", reason="UNKNOWN_TASK", field="ids")
    return tasks


def _name(task: Parked) -> str:
    return f"The task of {task.resource} in {task.region}"
