"""RestoreService: killed tenants come back by two people."""

from __future__ import annotations

from typing import Any

import grpc
from orbital.v1 import restore_pb2 as restore
from orbital.v1.restore_pb2_grpc import RestoreServiceServicer

from gateway.adapters.rpc.caller import caller
from gateway.domain.page import page_size
from gateway.ports.restore import Restores

Context = grpc.aio.ServicerContext[Any, Any]


class RestoreRpc(RestoreServiceServicer):
    """See restore.proto."""

    def __init__(self, restores: Restores) -> None:
        self._restores = restores

    async def AskRestoration(  # noqa: N802
        self, request: restore.AskRestorationRequest, context: Context
    ) -> restore.AskRestorationResponse:
        """See restore.proto."""
        found = await self._restores.ask(
            request.tenant, request.reason, caller(context), validate_only=request.validate_only
        )
        return restore.AskRestorationResponse(restoration=found)

    async def ApproveRestoration(  # noqa: N802
        self, request: restore.ApproveRestorationRequest, context: Context
    ) -> restore.ApproveRestorationResponse:
        """See restore.proto."""
        found = await self._restores.approve(request.id, caller(context))
        return restore.ApproveRestorationResponse(restoration=found)

    async def DeclineRestoration(  # noqa: N802
        self, request: restore.DeclineRestorationRequest, context: Context
    ) -> restore.DeclineRestorationResponse:
        """See restore.proto."""
        found = await self._restores.decline(request.id, request.reason, caller(context))
        return restore.DeclineRestorationResponse(restoration=found)

    async def ListRestorations(  # noqa: N802
        self,
        request: restore.ListRestorationsRequest,
        context: Context,  # noqa: ARG002
    ) -> restore.ListRestorationsResponse:
        """See restore.proto."""
        found = await self._restores.restorations(request.id, page_size(request.page_size or 100, 1000))
        return restore.ListRestorationsResponse(restorations=found)
