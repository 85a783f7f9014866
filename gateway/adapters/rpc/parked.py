"""TaskService: what keeps failing, and what people do about it."""

from __future__ import annotations

from typing import Any

import grpc
from orbital.v1 import parked_pb2 as pb
from orbital.v1.parked_pb2_grpc import TaskServiceServicer

from gateway.adapters.rpc.caller import caller
from gateway.adapters.rpc.registry import MAX_PAGE
from gateway.ports.parked import ParkedTasks
from runtime.page import page_size

Context = grpc.aio.ServicerContext[Any, Any]


class TaskRpc(TaskServiceServicer):
    """See parked.proto."""

    def __init__(self, parked: ParkedTasks) -> None:
        self._parked = parked

    async def ListParkedTasks(
        self,
        request: pb.ListParkedTasksRequest,
        context: Context,
    ) -> pb.ListParkedTasksResponse:
        """See parked.proto."""
        return await self._parked.page(request, page_size(request.page_size, MAX_PAGE))

    async def RetryTasks(self, request: pb.RetryTasksRequest, context: Context) -> pb.RetryTasksResponse:
        """See parked.proto."""
        return await self._parked.retry(request, caller(context))

    async def CancelTasks(self, request: pb.CancelTasksRequest, context: Context) -> pb.CancelTasksResponse:
        """See parked.proto."""
        return await self._parked.cancel(request, caller(context))
