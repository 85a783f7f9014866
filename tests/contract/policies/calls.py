"""How the tests of the policies make calls that are refused."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest

TIMEOUT = 10


def refusal(call: Callable[[], object]) -> grpc.RpcError:
    """The error of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def reason(error: grpc.RpcError) -> str | None:
    """The machine-readable reason that Envoy sent along."""
    return dict(error.trailing_metadata() or ()).get("x-orbital-reason")


def outcome(error: grpc.RpcError) -> tuple[grpc.StatusCode, str | None]:
    """Status and reason."""
    return error.code(), reason(error)


def raw(channel: grpc.Channel, method: str, body: bytes) -> bytes:
    """A unary call of bytes."""
    answer: bytes = channel.unary_unary(method)(body, timeout=TIMEOUT)
    return answer
