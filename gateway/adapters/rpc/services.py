"""The gRPC services of a gateway process, by name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from orbital.v1.approval_pb2_grpc import add_ApprovalServiceServicer_to_server
from orbital.v1.audit_pb2_grpc import add_AuditServiceServicer_to_server
from orbital.v1.dispatch_pb2_grpc import add_DispatchServiceServicer_to_server
from orbital.v1.edge_pb2_grpc import add_EdgeServiceServicer_to_server
from orbital.v1.enrolment_pb2_grpc import add_EnrolmentServiceServicer_to_server
from orbital.v1.flag_pb2_grpc import add_CheckerServiceServicer_to_server
from orbital.v1.parked_pb2_grpc import add_TaskServiceServicer_to_server
from orbital.v1.policy_pb2_grpc import add_PolicyServiceServicer_to_server
from orbital.v1.receipt_pb2_grpc import add_ProofServiceServicer_to_server
from orbital.v1.registry_pb2_grpc import add_RegistryServiceServicer_to_server
from orbital.v1.report_pb2_grpc import add_ReportServiceServicer_to_server
from orbital.v1.trace_pb2_grpc import add_TraceServiceServicer_to_server

from runtime.rpc import STREAMS, Metadata, Server, admit_all

ADD: Mapping[str, Callable[..., Any]] = {
    "Approval": add_ApprovalServiceServicer_to_server,
    "Audit": add_AuditServiceServicer_to_server,
    "Checker": add_CheckerServiceServicer_to_server,
    "Dispatch": add_DispatchServiceServicer_to_server,
    "Edge": add_EdgeServiceServicer_to_server,
    "Enrolment": add_EnrolmentServiceServicer_to_server,
    "Policy": add_PolicyServiceServicer_to_server,
    "Proof": add_ProofServiceServicer_to_server,
    "Registry": add_RegistryServiceServicer_to_server,
    "Report": add_ReportServiceServicer_to_server,
    "Task": add_TaskServiceServicer_to_server,
    "Trace": add_TraceServiceServicer_to_server,
}


@asynccontextmanager
async def serve(
    address: str,
    servicers: Mapping[str, object],
    admit: Callable[[Metadata], None] = admit_all,
    streams: int = STREAMS,
) -> AsyncIterator[Server]:
    """A server of these services while the block lasts, at unix:PATH; they are named without `Service`."""
    server = Server(address, [f"orbital.v1.{name}Service" for name in servicers], admit, streams)
    for name, servicer in servicers.items():
        ADD[name](servicer, server.grpc)
    async with server.running():
        yield server
