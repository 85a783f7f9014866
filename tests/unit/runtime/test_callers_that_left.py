"""A call whose caller has left cannot be written to nor ended with a status: that is no fault of the server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest as Request
from structlog.testing import capture_logs

from gateway.adapters.rpc.dispatch import DispatchRpc
from runtime.errors import Invalid
from runtime.groups import ungrouped
from runtime.rpc import ErrorInterceptor


class Left:
    """The context of a call that its caller has left."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("x-orbital-principal", "region/eu10"), ("x-orbital-region", "eu10"))

    async def write(self, _: Any) -> None:
        raise grpc.aio.InternalError

    async def abort(self, *_: Any, **__: Any) -> None:
        raise grpc.aio.InternalError


class Lanes:
    """Serves a stream as the gateway does: in a group of which any task may write."""

    async def serve(self, _: Any, __: Any, ___: Any, send: Any) -> None:
        with ungrouped():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(send(None))
                tasks.create_task(asyncio.sleep(10))


async def writes(_: Any, context: Any) -> Any:
    await context.write(None)


async def refuses(_: Any, __: Any) -> Any:
    raise Invalid("No", reason="NO", field="x")


async def yields(_: Any, context: Any) -> AsyncIterator[Any]:
    await context.write(None)
    yield None


UNARY = [writes, refuses]
STREAMS = [writes, refuses, yields, DispatchRpc(Lanes()).Subscribe]  # type: ignore[arg-type]


async def run(answer: Any) -> None:
    if hasattr(answer, "__anext__"):
        async for _ in answer:
            pass
    else:
        await answer


@pytest.mark.parametrize(
    ("kind", "call"), [*(("_unary", call) for call in UNARY), *(("_stream", call) for call in STREAMS)]
)
async def test_nothing_is_called_unexpected(kind: str, call: Any) -> None:
    wrapped = getattr(ErrorInterceptor(), kind)
    answer = wrapped(call) if kind == "_unary" else wrapped(call, lambda request: request)
    with capture_logs() as lines, pytest.raises(grpc.aio.InternalError):
        await run(answer(Request(), Left()))
    assert not lines


WRITES = """
import grpc, logging
from runtime.logs import setup_logs
setup_logs("gateway")
for error in (grpc.aio.InternalError(), ValueError()):
    logging.getLogger("grpc._cython.cygrpc").error("raised in core", exc_info=error)
"""


def test_what_grpc_writes_of_it_is_in_no_log() -> None:
    # In a process of its own, because logs are set up once.
    ended = subprocess.run([sys.executable, "-c", WRITES], capture_output=True, text=True, check=True)
    assert "ValueError" in ended.stderr
    assert "InternalError" not in ended.stderr
