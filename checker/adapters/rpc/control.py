"""Flags to the control plane, through the region's sidecar; its answer tells its clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from orbital.v1 import flag_pb2, flag_pb2_grpc

from checker.adapters.rpc.channel import open_channel
from checker.domain.flag import Flag
from runtime.rpc import from_rpc_error
from runtime.signatures import FLAGS, Signer

TIMEOUT = 2.0


class GrpcControl:
    """See checker.ports.control.Control."""

    def __init__(
        self,
        target: str,
        region: str,
        beat: float,
        signer: Callable[[Callable[[], float]], Signer],
        clock: Callable[[], float],
    ) -> None:
        self._channel = open_channel(target)
        self._region = region
        # Keys begin and end by the control plane's time.
        self._signer = signer(self.now)
        self._period = Duration()
        self._period.FromNanoseconds(int(beat * 1e9))
        self._clock = clock
        # (seconds that the control plane's clock is ahead, when that was measured); None before the first answer.
        self.offset: tuple[float, float] | None = None

    def now(self) -> float:
        """The control plane's time where it is known, else this machine's."""
        return self._clock() + (self.offset[0] if self.offset else 0.0)

    def pack(self, flags: Sequence[Flag], versions: Mapping[str, str], now: float) -> bytes:
        """See the port. Times are told by the control plane's clock where it is known."""
        ahead = self.offset[0] if self.offset else 0.0
        request = flag_pb2.SignalRequest(
            region=self._region,
            flags=[_packed(flag, ahead) for flag in flags],
            send_time=stamp(now + ahead),
            versions=versions,
            period=self._period,
        )
        return request.SerializeToString()

    async def send(self, content: bytes) -> None:
        """See the port."""
        request = flag_pb2.SignalRequest(region=self._region, signed=self._signer.sign(FLAGS, content))
        stub: Any = flag_pb2_grpc.CheckerServiceStub(self._channel)
        began = self._clock()
        try:
            answer = await stub.Signal(request, metadata=(("x-orbital-region", self._region),), timeout=TIMEOUT)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        ended = self._clock()
        theirs = answer.time.seconds + answer.time.nanos * 1e-9
        self.offset = (theirs - (began + ended) / 2, ended)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


def stamp(seconds: float) -> Timestamp:
    """Seconds since the epoch as the contract's type."""
    found = Timestamp()
    found.FromDatetime(datetime.fromtimestamp(seconds, UTC))
    return found


def _packed(flag: Flag, ahead: float) -> flag_pb2.Flag:
    severity: Any = flag.severity.value
    status: Any = flag.status.value
    return flag_pb2.Flag(
        component=flag.component,
        status=status,
        severity=severity,
        reason=flag.reason,
        message=flag.message[:2000],
        evidence=[
            flag_pb2.Evidence(name=each.name[:200], value=each.value[:500], time=stamp(each.at + ahead))
            for each in flag.evidence[:32]
        ],
        since=stamp(flag.since + ahead),
        next_check=stamp(flag.next_check + ahead),
        correlation_id=flag.correlation_id,
        consequences=flag.consequences[:64],
    )
