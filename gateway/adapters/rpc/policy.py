"""PolicyService: the policy engines and their decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from orbital.v1 import policy_pb2 as policy
from orbital.v1.policy_pb2_grpc import PolicyServiceServicer

from gateway.ports.engines import EngineStore
from runtime.page import page_after, page_size

MAX_ENGINES = 1000  # of a page
Context = grpc.aio.ServicerContext[Any, Any]


class PolicyRpc(PolicyServiceServicer):
    """Reads what the engines say."""

    def __init__(self, engines: EngineStore, served: Callable[[], str]) -> None:
        self._engines = engines
        self._served = served

    async def ListEngines(
        self,
        request: policy.ListEnginesRequest,
        context: Context,
    ) -> policy.ListEnginesResponse:
        """See policy.proto."""
        size = page_size(request.page_size, MAX_ENGINES)
        engines = sorted(await self._engines.engines(), key=lambda one: one.name)
        found, more = page_after(engines, lambda one: (one.name,), (str,), request.page_token, size)
        return policy.ListEnginesResponse(engines=found, served_revision=self._served(), next_page_token=more)

    async def ListDecisions(
        self,
        request: policy.ListDecisionsRequest,
        context: Context,
    ) -> policy.ListDecisionsResponse:
        """See policy.proto."""
        size = page_size(request.page_size or 100, 1000)
        found, more = await self._engines.decisions(request.correlation_id, size, request.page_token)
        return policy.ListDecisionsResponse(decisions=found, next_page_token=more)
