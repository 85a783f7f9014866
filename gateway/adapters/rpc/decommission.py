"""DecommissionService: regions that are gone for good are taken out by two people."""

from __future__ import annotations

from typing import Any

import grpc
from orbital.v1 import decommission_pb2 as pb
from orbital.v1.decommission_pb2_grpc import DecommissionServiceServicer

from gateway.adapters.rpc.caller import caller
from gateway.domain.page import page_size
from gateway.ports.decommission import Decommissions

Context = grpc.aio.ServicerContext[Any, Any]


class DecommissionRpc(DecommissionServiceServicer):
    """See decommission.proto."""

    def __init__(self, decommissions: Decommissions) -> None:
        self._decommissions = decommissions

    async def AskDecommission(  # noqa: N802
        self, request: pb.AskDecommissionRequest, context: Context
    ) -> pb.AskDecommissionResponse:
        """See decommission.proto."""
        found = await self._decommissions.ask(
            request.region, request.reason, caller(context), validate_only=request.validate_only
        )
        return pb.AskDecommissionResponse(decommission=found)

    async def ApproveDecommission(  # noqa: N802
        self, request: pb.ApproveDecommissionRequest, context: Context
    ) -> pb.ApproveDecommissionResponse:
        """See decommission.proto."""
        found = await self._decommissions.approve(request.id, caller(context))
        return pb.ApproveDecommissionResponse(decommission=found)

    async def DeclineDecommission(  # noqa: N802
        self, request: pb.DeclineDecommissionRequest, context: Context
    ) -> pb.DeclineDecommissionResponse:
        """See decommission.proto."""
        found = await self._decommissions.decline(request.id, request.reason, caller(context))
        return pb.DeclineDecommissionResponse(decommission=found)

    async def ListDecommissions(  # noqa: N802
        self,
        request: pb.ListDecommissionsRequest,
        context: Context,  # noqa: ARG002
    ) -> pb.ListDecommissionsResponse:
        """See decommission.proto."""
        found = await self._decommissions.decommissions(request.id, page_size(request.page_size or 100, 1000))
        return pb.ListDecommissionsResponse(decommissions=found)
