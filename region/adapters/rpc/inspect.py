"""InspectService: what the region's checker asks of a process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from orbital.v1 import inspect_pb2 as pb
from orbital.v1 import inspect_pb2_grpc

from region.ports.inspecting import Disagreement, FailingTask, Inspecting, LaneView
from runtime.fields import check_name
from runtime.progress import Hop, Progress

Context = grpc.aio.ServicerContext[Any, Any]


class InspectRpc(inspect_pb2_grpc.InspectServiceServicer):
    """See proto/orbital/v1/inspect.proto."""

    def __init__(self, inspecting: Inspecting) -> None:
        self._inspecting = inspecting

    async def Inspect(self, request: pb.InspectRequest, context: Context) -> pb.InspectResponse:
        """See the proto."""
        seen = self._inspecting
        back = seen.went_back()
        return pb.InspectResponse(
            version=seen.version,
            lanes=[_lane(view) for view in await seen.lanes()],
            providers=seen.providers,
            time=_stamp(seen.now()),
            went_back=back.places,
            went_back_time=_stamp(back.since),
            recovering=back.recovering,
            keys=[_key(one) for one in seen.disagreements()],
        )

    async def TryProvider(self, request: pb.TryProviderRequest, context: Context) -> pb.TryProviderResponse:
        """See the proto."""
        said = dict(await self._inspecting.try_provider(check_name(request.provider, "provider")))
        return pb.TryProviderResponse(version=said.pop("version", ""), values=said)


def _key(one: Disagreement) -> pb.KeyDisagreement:
    return pb.KeyDisagreement(
        resource=one.resource, reason=one.reason, message=one.message, time=_stamp(one.at), mended=one.mended
    )


def _lane(view: LaneView) -> pb.LaneState:
    stuck = view.counts.stuck
    return pb.LaneState(
        lane=view.lane,
        pending=view.counts.pending,
        oldest_time=_stamp(view.counts.oldest),
        unreported=view.counts.unreported,
        heard_time=_stamp(view.heard),
        accepted_time=_stamp(view.accepted),
        stuck=None if stuck is None else _stuck(stuck),
        hops=[_hop(hop, known) for hop, known in view.hops.items()],
    )


def _hop(hop: Hop, known: Progress) -> pb.HopState:
    found = pb.HopState(hop=hop, restarts=known.restarts, stuck=known.stuck, awaits=known.seen.awaits)
    found.idle.FromNanoseconds(int(known.idle() * 1e9))
    if known.seen.age is not None:
        found.oldest_age.FromNanoseconds(int(known.seen.age * 1e9))
    return found


def _stuck(stuck: FailingTask) -> pb.StuckTask:
    return pb.StuckTask(
        task_id=stuck.task_id,
        resource=stuck.resource,
        reason=stuck.reason,
        attempts=stuck.attempts,
        correlation_id=stuck.correlation_id,
    )


def _stamp(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    found = Timestamp()
    found.FromDatetime(datetime.fromtimestamp(seconds, UTC))
    return found
