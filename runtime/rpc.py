"""gRPC on both ends: a server that answers with the errors of `runtime.errors`, and the way back for clients."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from runtime.content import check_content
from runtime.errors import ERRORS, STATUS, Invalid, OrbitalError
from runtime.fields import check_known
from runtime.logs import get_logger
from runtime.printable import printable
from runtime.streams import OpenStreams

log = get_logger(__name__)

DOMAIN = "orbital"
# The name by which health is asked for whether a part of the process fails and is started again.
PARTS = "orbital.parts"
MAX_MESSAGE = 16 * 1024 * 1024  # an answer with the largest page; requests are bounded by the sidecar
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    # A reconnect storm must not be cut at random: clients are admitted by Envoy.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 200_000),
]
# Open at once by one caller, where nothing else is said.
STREAMS = 200
DETAILS = "grpc-status-details-bin"
# Bytes of a message on the wire. It travels percent-encoded in a trailer and once more in the details of the status:
# with a reason and a field these stay below 8 KiB, the least that a peer or a proxy on the way takes. A trailer that is
# larger breaks the connection, and with it the calls of everybody who shares it.
MOST_SENT = 1024


def to_status(error: OrbitalError) -> status_pb2.Status:
    """The google.rpc.Status of an error, with an ErrorInfo that carries its reason and field."""
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    if error.field:
        info.metadata["field"] = error.field
    if error.retry_after is not None:
        info.metadata["retry_after"] = str(error.retry_after)
    status = status_pb2.Status(code=_code(error).value[0], message=printable(error.message, MOST_SENT))
    status.details.add().Pack(info)
    return status


def from_rpc_error(error: grpc.RpcError) -> OrbitalError:
    """The error that a server raised, or the plain one of the status when Envoy or the transport answered."""
    code = error.code()
    pairs: Any = error.trailing_metadata() or ()
    metadata: dict[str, str | bytes] = dict(pairs)
    status = status_pb2.Status()
    raw = metadata.get(DETAILS)
    info = error_details_pb2.ErrorInfo()
    # Details that cannot be read say nothing; the status itself stands.
    with suppress(DecodeError):
        status.ParseFromString(raw if isinstance(raw, bytes) else b"")
        for detail in status.details:
            if detail.Unpack(info):
                break
    kind = ERRORS.get(code, OrbitalError)
    reason = info.reason or str(metadata.get("x-orbital-reason", ""))
    return kind(error.details() or code.name, reason=reason, field=info.metadata.get("field", ""))


class _Malformed:
    """Stands for a request whose bytes are no such message."""


def _reader(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """A parser that never raises, because grpc would answer INTERNAL."""

    def read(packed: bytes) -> Any:
        try:
            return parse(packed)
        except DecodeError:
            return _Malformed()

    return read


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: OrbitalError) -> None:
    status = to_status(error)
    await context.abort(_code(error), status.message, trailing_metadata=((DETAILS, status.SerializeToString()),))


def _code(error: OrbitalError) -> grpc.StatusCode:
    # The nearest kind that the table knows: an adapter may have a narrower one of its own.
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


Metadata = Mapping[str, str | bytes]


def admit_all(_: Metadata) -> None:
    """Refuse nobody."""


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Turns what handlers raise into statuses, checks what arrives, and knows which handlers still run.

    `admit` raises for whoever may not call at all; `streams` is how many a caller may have open at once.
    """

    def __init__(self, admit: Callable[[Metadata], None] = admit_all, streams: int = STREAMS) -> None:
        self._admit = admit
        self._streams = OpenStreams(streams)
        self._running: set[asyncio.Task[Any]] = set()

    async def drain(self, seconds: float) -> None:
        """Wait for the handlers that still run; `Server.stop` can return before they have ended."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """See grpc.aio.ServerInterceptor."""
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        reader, writer = _reader(handler.request_deserializer), handler.response_serializer
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary), reader, writer)
        if handler.unary_stream:
            answer = self._stream(handler.unary_stream, _checked_one)
            return grpc.unary_stream_rpc_method_handler(answer, reader, writer)
        return grpc.stream_stream_rpc_method_handler(self._stream(handler.stream_stream, _checked), reader, writer)

    @asynccontextmanager
    async def _answering(self, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            self._admit(_metadata(context))
            yield
        except OrbitalError as error:
            await _abort(context, error)
        except (grpc.aio.AbortError, grpc.aio.InternalError, asyncio.CancelledError):
            raise  # answered already, or nobody is there any more who could be answered
        except Exception as error:  # the one place where an unexpected error becomes a status
            log.error("unexpected", error=type(error).__name__, exc_info=error)
            await _abort(context, OrbitalError("An internal error; it is in the log of this process"))
        finally:
            self._running.discard(task)

    def _unary(self, call: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def answer(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async with self._answering(context):
                _check(request)
                return await call(request, context)

        return answer

    def _stream(self, call: Callable[[Any, Any], Any], read: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        """Of a call that yields its answers; or of a coroutine that writes them by itself, as their only writer."""

        async def yielded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            async with self._answering(context), self._streams.opened(_metadata(context)):
                async for response in call(read(request), context):
                    yield response

        async def written(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async with self._answering(context), self._streams.opened(_metadata(context)):
                return await call(read(request), context)

        return written if inspect.iscoroutinefunction(call) else yielded


def _metadata(context: grpc.aio.ServicerContext[Any, Any]) -> Metadata:
    return dict(context.invocation_metadata() or ())


def _check(request: Message | _Malformed) -> None:
    if isinstance(request, _Malformed):
        raise Invalid("The request's bytes are not the message of this method", reason="MALFORMED", field="request")
    if isinstance(request, Message):
        check_known(request)
        check_content(request)


def _checked_one(request: Message | _Malformed) -> Message | _Malformed:
    _check(request)
    return request


async def _checked(requests: AsyncIterator[Message | _Malformed]) -> AsyncIterator[Message | _Malformed]:
    async for request in requests:
        _check(request)
        yield request


class _Health(health.aio.HealthServicer):
    """The library's, with the list that it leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self._states: dict[str, Any] = {}

    async def set(self, service: str, status: Any) -> None:
        """See the library."""
        self._states[service] = status
        await super().set(service, status)

    async def List(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """See grpc.health.v1."""
        # The library's stubs do not know it yet.
        contract: Any = health_pb2
        states = {name: contract.HealthCheckResponse(status=status) for name, status in self._states.items()}
        return contract.HealthListResponse(statuses=states)


class Server:
    """A gRPC server on one Unix socket, with health and reflection."""

    def __init__(
        self,
        address: str,
        services: Sequence[str],
        admit: Callable[[Metadata], None] = admit_all,
        streams: int = STREAMS,
    ) -> None:
        self._errors = ErrorInterceptor(admit, streams)
        self.grpc = grpc.aio.server(interceptors=[self._errors], options=OPTIONS)
        self._health = _Health()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), self.grpc)
        self._services = services
        self._address = address

    async def serving(self, ready: bool) -> None:
        """Say through grpc.health.v1 whether this process serves."""
        state = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._services):
            await self._health.set(name, state)

    async def parts_well(self, well: bool) -> None:
        """Say through grpc.health.v1, as `PARTS`, whether no part of this process is failing."""
        state = health_pb2.HealthCheckResponse.SERVING if well else health_pb2.HealthCheckResponse.NOT_SERVING
        await self._health.set(PARTS, state)

    @asynccontextmanager
    async def running(self, drain: float = 3.0) -> AsyncIterator[Server]:
        """Serve inside the block; after it, refuse new calls, drain for `drain` seconds, cancel the rest."""
        self.grpc.add_insecure_port(self._address)
        await self.grpc.start()
        try:
            yield self
        finally:
            await self.serving(False)
            await self.grpc.stop(drain)
            await self._errors.drain(drain)
