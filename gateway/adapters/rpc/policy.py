"""PolicyService: the policy engines and their decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from orbital.v1 import policy_pb2 as policy
from orbital.v1.policy_pb2_grpc import PolicyServiceServicer

from gateway.domain.page import page_size
from gateway.ports.engines import EngineStore

Context = grpc.aio.ServicerContext[Any, Any]


class PolicyRpc(PolicyServiceServicer):
    """Reads what the engines say."""

    def __init__(self, engines: EngineStore, served: Callable[[], str]) -> None:
        self._engines = engines
        self._served = served

    async def ListEngines(  # noqa: N802
        self,
        request: policy.ListEnginesRequest,  # noqa: ARG002
        context: Context,  # noqa: ARG002
    ) -> policy.ListEnginesResponse:
        """See policy.proto."""
        return policy.ListEnginesResponse(engines=await self._engines.engines(), served_revision=self._served())

    async def ListDecisions(  # noqa: N802
        self,
        request: policy.ListDecisionsRequest,
        context: Context,  # noqa: ARG002
    ) -> policy.ListDecisionsResponse:
        """See policy.proto."""
        size = page_size(request.page_size or 100, 1000)
        return policy.ListDecisionsResponse(decisions=await self._engines.decisions(request.correlation_id, size))
