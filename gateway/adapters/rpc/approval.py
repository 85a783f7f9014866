"""ApprovalService: what one person asks for happens only when another one approves."""

from __future__ import annotations

from typing import Any

import grpc
from orbital.v1 import approval_pb2 as pb
from orbital.v1.approval_pb2_grpc import ApprovalServiceServicer

from gateway.adapters.rpc.caller import caller
from gateway.ports.approval import Approvals
from runtime.page import page_size

Context = grpc.aio.ServicerContext[Any, Any]


class ApprovalRpc(ApprovalServiceServicer):
    """See approval.proto."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    async def AskApproval(self, request: pb.AskApprovalRequest, context: Context) -> pb.AskApprovalResponse:
        """See approval.proto."""
        return pb.AskApprovalResponse(approval=await self._approvals.ask(request, caller(context)))

    async def Approve(self, request: pb.ApproveRequest, context: Context) -> pb.ApproveResponse:
        """See approval.proto."""
        return pb.ApproveResponse(approval=await self._approvals.approve(request.id, caller(context)))

    async def Decline(self, request: pb.DeclineRequest, context: Context) -> pb.DeclineResponse:
        """See approval.proto."""
        return pb.DeclineResponse(approval=await self._approvals.decline(request.id, request.reason, caller(context)))

    async def ListApprovals(
        self,
        request: pb.ListApprovalsRequest,
        context: Context,
    ) -> pb.ListApprovalsResponse:
        """See approval.proto."""
        found, more = await self._approvals.approvals(request, page_size(request.page_size or 100, 1000))
        return pb.ListApprovalsResponse(approvals=found, next_page_token=more)
