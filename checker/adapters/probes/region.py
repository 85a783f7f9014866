"""A process of the region: whether it serves, how old its journal is, and how long each hop has been silent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from orbital.v1 import inspect_pb2, inspect_pb2_grpc

from checker.adapters.envoy.client import RegionClient
from checker.domain.lanes import FailingTask, HopState, KeyMismatch, Lane, Limits, disagreeing, read
from checker.domain.sample import Finding, Status
from checker.ports.probe import ProbeInfo, StatelessProbe
from runtime.wellknown import label, seconds

PLACES = {"openbao": "OpenBao", "journal": "The journal", "control_plane": "The control plane's database"}
SERVING = health_pb2.HealthCheckResponse.SERVING


class RegionProbe(StatelessProbe):
    """See checker.ports.probe.Probe."""

    def __init__(self, name: str, client: RegionClient, limits: Limits, period: float, timeout: float) -> None:
        self.about = ProbeInfo(name, name, "health", "REGION_UNREACHABLE", period, timeout)
        self._client = client
        self._limits = limits
        self._first: float | None = None

    async def look(self) -> Finding:
        """See the port."""
        health = await self._client.call(self.about.name, _health)
        if health.status != SERVING:
            state = label(health_pb2.HealthCheckResponse.ServingStatus, health.status)
            text = f"{self.about.component} says that it does not serve."
            # Whoever stops begins to serve again as another process.
            self._first = None
            return Finding(Status.OUT_OF_SYNC, "NOT_SERVING", text, (("health", state),))
        said = await self._client.call(self.about.name, _inspect)
        if said.recovering or said.went_back:
            return _went_back(said)
        # By the process's own clock, like the times that it tells: the two need not agree.
        now = _seconds(said.time) or 0.0
        self._first = self._first or now
        keys = [KeyMismatch(one.resource, one.reason, one.message, one.mended) for one in said.keys]
        return disagreeing(keys, read(list(_lanes(said)), now, self._first, self._limits, said.version))


def _went_back(said: inspect_pb2.InspectResponse) -> Finding:
    names = " and ".join(PLACES.get(place, place) for place in said.went_back) or "Another process of the region"
    since = datetime.fromtimestamp(_seconds(said.went_back_time) or 0.0, UTC).isoformat(timespec="seconds")
    values = (("went_back", ",".join(said.went_back)), ("since", since), ("recovering", str(said.recovering).lower()))
    if said.recovering:
        text = f"{names} went back to an older copy: nothing is served until everything was driven again."
        return Finding(Status.OUT_OF_SYNC, "STATE_WENT_BACK", text, values, said.version)
    if "control_plane" in said.went_back:
        text = f"{names} went back to an older copy: it no longer knows what it had confirmed to this region."
    else:
        text = f"{names} went back to an older copy; everything was driven again, and is current since {since}."
    return Finding(Status.DEGRADED, "STATE_WENT_BACK", text, values, said.version)


def _lanes(said: inspect_pb2.InspectResponse) -> Iterator[Lane]:
    for lane in said.lanes:
        stuck = lane.stuck
        yield Lane(
            lane.lane,
            lane.pending,
            _seconds(lane.oldest_time),
            lane.unreported,
            _seconds(lane.heard_time),
            _seconds(lane.accepted_time),
            FailingTask(stuck.task_id, stuck.resource, stuck.reason, stuck.attempts, stuck.correlation_id)
            if stuck.task_id
            else None,
            [_hop(each) for each in lane.hops],
        )


def _hop(said: inspect_pb2.HopState) -> HopState:
    age = seconds(said.oldest_age) if said.HasField("oldest_age") else None
    return HopState(said.hop, age, seconds(said.idle), said.restarts, said.stuck, said.awaits)


def _seconds(time: Timestamp) -> float | None:
    return seconds(time) or None


async def _health(channel: grpc.aio.Channel) -> health_pb2.HealthCheckResponse:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer: health_pb2.HealthCheckResponse = await stub.Check(health_pb2.HealthCheckRequest())
    return answer


async def _inspect(channel: grpc.aio.Channel) -> inspect_pb2.InspectResponse:
    stub: Any = inspect_pb2_grpc.InspectServiceStub(channel)
    answer: inspect_pb2.InspectResponse = await stub.Inspect(inspect_pb2.InspectRequest())
    return answer
