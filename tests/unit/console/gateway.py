"""A small gateway in the test's own process, on a Unix socket: it remembers what it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from orbital.v1 import (
    crypto_pb2,
    crypto_pb2_grpc,
    edge_pb2,
    flag_pb2,
    parked_pb2,
    parked_pb2_grpc,
    registry_pb2_grpc,
    resource_pb2,
    task_pb2,
    trace_pb2,
    trace_pb2_grpc,
)
from orbital.v1 import registry_pb2 as api

from console.cli.connection import Connection
from console.cli.options import Target
from runtime.errors import OrbitalError
from runtime.rpc import DETAILS, to_status

NOW = Timestamp(seconds=1_795_000_000, nanos=123_456_789)
ID = "0192f0aa"


class FakeGateway(
    registry_pb2_grpc.RegistryServiceServicer,
    trace_pb2_grpc.TraceServiceServicer,
    parked_pb2_grpc.TaskServiceServicer,
    crypto_pb2_grpc.CryptoServiceServicer,
):
    """Answers from its attributes; `error` is raised by the next calls instead, `errors_left` times."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.error: OrbitalError | None = None
        self.errors_left = 1_000
        self.changes: list[api.Change] = []
        self.jobs: list[api.Job] = []
        self.placements: list[api.Placement] = []
        self.killed = False
        self.parked: list[api.TaskStatus] = []
        self.reached = ["eu10", "us20"]

    def _ask(self, request: Any, context: Any) -> None:
        self.asked.append(request)
        if self.error is not None and self.errors_left > 0:
            self.errors_left -= 1
            status = to_status(self.error)
            context.set_trailing_metadata(((DETAILS, status.SerializeToString()),))
            context.abort(next(code for code in grpc.StatusCode if code.value[0] == status.code), self.error.message)

    def Declare(self, request: Any, context: Any) -> Any:  # noqa: N802 - the contract's name
        self._ask(request, context)
        changed = any(one.action != api.CHANGE_ACTION_NONE for one in self.changes)
        return api.DeclareResponse(
            correlation_id=ID if changed and not request.validate_only else "", changes=self.changes
        )

    def ListRegions(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        return api.ListRegionsResponse(
            regions=[
                api.Region(
                    resource=resource_pb2.Resource(name=f"regions/{name}", region=resource_pb2.RegionSpec(area="us")),
                    connected=name != "us21",
                    last_contact_at=NOW,
                    placements=3,
                )
                for name in ("eu10", "us20", "us21")
            ]
        )

    def ListResources(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        first = request.page_token == ""
        name = "acme" if first else "birch"
        one = resource_pb2.Resource(name=f"tenants/{name}", generation=7, correlation_id=ID, update_time=NOW)
        one.tenant.lease.seconds = 5_400
        one.tenant.state = resource_pb2.TENANT_STATE_ACTIVE
        return api.ListResourcesResponse(resources=[one], next_page_token="next" if first else "")

    def ListPlacements(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        return api.ListPlacementsResponse(placements=self.placements)

    def ListTasks(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        task = api.TaskStatus(id="ab" * 16, kind=task_pb2.TASK_KIND_UNLINK_KEY, state=api.TASK_STATE_DONE)
        return api.ListTasksResponse(tasks=[task])

    def ListParkedTasks(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        found = [one for one in self.parked if request.region in ("", one.region)]
        return parked_pb2.ListParkedTasksResponse(tasks=found)

    def RetryTasks(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        return parked_pb2.RetryTasksResponse(correlation_id=ID)

    def CancelTasks(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        return parked_pb2.CancelTasksResponse(correlation_id=ID)

    def GetResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        return resource_pb2.Resource(name=request.name)

    def WatchPlacements(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self._ask(request, context)
        yield from self.placements

    def ListDeadLetters(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        return api.ListDeadLettersResponse()

    def ListDenials(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        return api.ListDenialsResponse()

    def ListFlags(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        flag = flag_pb2.Flag(
            region="eu10",
            component="openbao",
            status=flag_pb2.HEALTH_STATUS_OUT_OF_SYNC,
            severity=flag_pb2.FLAG_SEVERITY_CRITICAL,
            reason="OPENBAO_SEALED",
            evidence=[flag_pb2.Evidence(name="sealed", value="true", time=NOW)],
            since=NOW,
            next_check=NOW,
            consequences=["disk: DISK_LOW"],
        )
        return api.ListFlagsResponse(flags=[flag])

    def WatchJob(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self._ask(request, context)
        yield from self.jobs

    def Kill(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        return api.KillResponse(
            correlation_id="" if request.validate_only else ID, links=2, services=6, regions=self.reached
        )

    def ListEdges(self, request: Any, context: Any) -> Any:  # noqa: N802
        return api.ListEdgesResponse(edges=[edge_pb2.Edge(region=name, name="e") for name in ("eu10", "us21")])

    def ListJobs(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        return api.ListJobsResponse(jobs=self.jobs)

    def ListFlagChanges(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        raised = flag_pb2.FlagChange(
            region=request.region,
            component="hsm",
            kind=flag_pb2.FLAG_CHANGE_KIND_RAISED,
            status=flag_pb2.HEALTH_STATUS_DEGRADED,
            reason="HSM_SLOW",
            change_time=NOW,
        )
        return api.ListFlagChangesResponse(changes=[raised])

    def ListUses(self, request: Any, context: Any) -> Any:  # noqa: N802
        uses = [edge_pb2.Use(region=name, wraps=1_200, unwraps=1, since=NOW) for name in ("eu10", "us21")]
        return api.ListUsesResponse(uses=uses)

    def Retire(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        changes = [api.Change(name=name, action=api.CHANGE_ACTION_UPDATE, regions=2) for name in request.names]
        return api.RetireResponse(correlation_id="" if request.validate_only else ID, changes=changes)

    def GetTrace(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        hops = [
            trace_pb2.Hop(stage="desired", time=NOW, process="gateway-bulk", outcome="accepted"),
            trace_pb2.Hop(
                stage="execute",
                time=Timestamp(seconds=NOW.seconds, nanos=NOW.nanos + 40_000_000),
                process="region-eu10-bulk",
                region="eu10",
                task_id="cd" * 16,
                kind="TASK_KIND_LINK_KEY",
                lane=1,
                generation=7,
                decision_id="7f3a",
                outcome="OUTCOME_DONE",
            ),
        ]
        return trace_pb2.Trace(correlation_id=ID, actor="operator", action="Declare", hops=hops, converged=True)

    def Wrap(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        return crypto_pb2.WrapResponse(ciphertext=request.plaintext[::-1], key_version=2)

    def Unwrap(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._ask(request, context)
        return crypto_pb2.UnwrapResponse(plaintext=request.ciphertext[::-1], key_version=2)


@contextmanager
def serving(gateway: FakeGateway, directory: Path) -> Iterator[str]:
    """The address of a server that answers with `gateway`, until the block ends."""
    server = grpc.server(ThreadPoolExecutor(2))
    for add in (
        registry_pb2_grpc.add_RegistryServiceServicer_to_server,
        trace_pb2_grpc.add_TraceServiceServicer_to_server,
        parked_pb2_grpc.add_TaskServiceServicer_to_server,
        crypto_pb2_grpc.add_CryptoServiceServicer_to_server,
    ):
        add(gateway, server)
    address = f"unix:{directory}/gateway.sock"
    server.add_insecure_port(address)
    server.start()
    try:
        yield address
    finally:
        server.stop(None).wait()


@contextmanager
def connection(address: str, target: Target) -> Iterator[Connection]:
    """What `connect` gives, with a plain channel instead of a certificate's."""
    made = Connection(target, {"regions": {"eu10": {"crypto": address}}}, grpc.ssl_channel_credentials(), address, b"")
    made.channels[address] = grpc.insecure_channel(address)
    try:
        yield made
    finally:
        made.close()
