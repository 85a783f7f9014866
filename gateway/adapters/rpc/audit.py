"""AuditService: the audit trail, for whoever verifies it."""

from __future__ import annotations

from typing import Any

import grpc
from orbital.v1.audit_pb2 import ListAuditRequest, ListAuditResponse
from orbital.v1.audit_pb2_grpc import AuditServiceServicer

from gateway.ports.serving import AuditReading
from runtime.page import page_size

MAX_PAGE = 2000  # records of an answer, so that it stays below the largest message


class AuditRpc(AuditServiceServicer):
    """See audit.proto."""

    def __init__(self, audit: AuditReading) -> None:
        self._audit = audit

    async def ListAudit(
        self,
        request: ListAuditRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> ListAuditResponse:
        """See audit.proto."""
        return await self._audit.list(request.after, page_size(request.page_size, MAX_PAGE))
