"""The way to the gateway, and to a region's Crypto service."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import grpc
from orbital.v1.approval_pb2_grpc import ApprovalServiceStub
from orbital.v1.audit_pb2_grpc import AuditServiceStub
from orbital.v1.crypto_pb2_grpc import CryptoServiceStub
from orbital.v1.enrolment_pb2_grpc import EnrolmentServiceStub
from orbital.v1.parked_pb2_grpc import TaskServiceStub
from orbital.v1.policy_pb2_grpc import PolicyServiceStub
from orbital.v1.receipt_pb2_grpc import ProofServiceStub
from orbital.v1.registry_pb2_grpc import RegistryServiceStub
from orbital.v1.trace_pb2_grpc import TraceServiceStub
from orbital.v1.verify_pb2_grpc import VerifyServiceStub

from console.cli.caller import caller, read_pem
from console.cli.failure import Exit, Failure
from console.cli.options import Target
from console.cli.session import Login
from runtime.channels import open_channel
from runtime.errors import ERRORS, Denied, OrbitalError, Unavailable

Answer = TypeVar("Answer")

MAX_MESSAGE = 64 * 1024 * 1024
# Names one call in the decision log of whichever policy engine answers it.
CORRELATION = "x-orbital-correlation-id"
TOO_LATE = grpc.StatusCode.DEADLINE_EXCEEDED
TRIES = 3
PAUSE = 2.0
CALL_SECONDS = 30.0
# What gRPC and the proxies between can express; whoever waits for longer asks again.
LONGEST_CALL = 86_400.0
REASON = "x-orbital-reason"
# The reason of policies/authz/ingress.
LOGIN_TOO_OLD = "LOGIN_TOO_OLD"


class Unreachable(Unavailable):
    """Nothing answered, as opposed to a server, a region or an Envoy that says what is not available."""


@dataclass(slots=True)
class Connection:
    """Calls to the public API; every one may raise OrbitalError."""

    target: Target
    state: dict[str, Any]
    credentials: grpc.ChannelCredentials
    address: str
    authority: bytes
    # Of whoever asks by one; without it the way is that of a certificate.
    login: Login | None = None
    channels: dict[str, grpc.Channel] = field(default_factory=dict)

    @property
    def roots(self) -> bytes:
        """The authorities (PEM) that signatures may lead to: those that are believed, and those that once were."""
        kept = self.state.get("files", {}).get("history")
        return read_pem(Path(kept)) if kept else self.authority

    @property
    def registry(self) -> RegistryServiceStub:
        """The gateway's RegistryService."""
        return RegistryServiceStub(self._channel(self.address))

    @property
    def approval(self) -> ApprovalServiceStub:
        """The gateway's ApprovalService."""
        return ApprovalServiceStub(self._channel(self.address))

    @property
    def trace(self) -> TraceServiceStub:
        """The gateway's TraceService."""
        return TraceServiceStub(self._channel(self.address))

    @property
    def tasks(self) -> TaskServiceStub:
        """The gateway's TaskService."""
        return TaskServiceStub(self._channel(self.address))

    @property
    def proof(self) -> ProofServiceStub:
        """The gateway's ProofService."""
        return ProofServiceStub(self._channel(self.address))

    @property
    def policy(self) -> PolicyServiceStub:
        """The gateway's PolicyService."""
        return PolicyServiceStub(self._channel(self.address))

    @property
    def audit(self) -> AuditServiceStub:
        """The gateway's AuditService."""
        return AuditServiceStub(self._channel(self.address))

    @property
    def enrolment(self) -> EnrolmentServiceStub:
        """The gateway's EnrolmentService."""
        return EnrolmentServiceStub(self._channel(self.address))

    def crypto(self, address: str) -> CryptoServiceStub:
        """The CryptoService of a region."""
        return CryptoServiceStub(self._regional(address))

    def crypto_as(self, address: str, key: bytes, chain: bytes) -> CryptoServiceStub:
        """The CryptoService at an edge, for whoever has this key and these certificates (PEM)."""
        own = f"{address} {hashlib.sha256(chain).hexdigest()}"
        if own not in self.channels:
            credentials = grpc.ssl_channel_credentials(self.authority, key, chain)
            # Whoever else calls at this address has connections of their own.
            options = {"grpc.use_local_subchannel_pool": 1}
            self.channels[own] = open_channel(address, credentials, options)
        return CryptoServiceStub(self.channels[own])

    def verify(self, address: str) -> VerifyServiceStub:
        """The VerifyService of a region."""
        return VerifyServiceStub(self._regional(address))

    def call(
        self,
        method: Callable[..., Answer],
        request: Any,
        *,
        where: str = "",
        tries: int = TRIES,
        seconds: float = CALL_SECONDS,
    ) -> Answer:
        """Call a unary method; a server that cannot be reached is tried again, which every request here allows."""
        begun = time.monotonic()
        asked = uuid4().hex
        for left in reversed(range(tries)):
            try:
                return method(request, timeout=seconds, metadata=((CORRELATION, asked),))
            except grpc.RpcError as error:
                failed = translate(error)
                if isinstance(failed, Denied) and failed.reason == LOGIN_TOO_OLD:
                    message = f"{failed.message.rstrip('.')}, and do this then. Run: orbital login --fresh"
                    raise Failure(message, Exit.NOT_LOGGED_IN) from error
                if isinstance(failed, Denied):
                    failed.message = f"{failed.message.rstrip('.')}. See: orbital get denials --correlation {asked}"
                if left and isinstance(failed, Unavailable) and error.code() is not TOO_LATE:
                    time.sleep(PAUSE * (tries - left))
                    continue
                raise self._told(failed, where, tries, time.monotonic() - begun) from error
        raise AssertionError("a call is tried at least once")

    def pages(self, method: Callable[..., Any], request: Any, **how: Any) -> Iterator[Any]:
        """Every page of a listing; `how` is that of each call."""
        while True:
            answer = self.call(method, request, **how)
            yield answer
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def stream(self, method: Callable[..., Any], request: Any, seconds: float | None = None) -> Iterator[Any]:
        """The answers of a server stream; ends when it does, raises when it breaks or `seconds` are over."""
        answers = method(request, timeout=None if seconds is None else min(seconds, LONGEST_CALL))
        try:
            yield from answers
        except grpc.RpcError as error:
            raise translate(error) from error
        finally:
            answers.cancel()

    def close(self) -> None:
        """Close every channel."""
        for channel in self.channels.values():
            channel.close()

    def _regional(self, address: str) -> grpc.Channel:
        """A region's own Envoy knows certificates; nobody's token is shown to it."""
        if self.login is not None:
            raise Failure(
                "A region takes certificates, no logins. Name one: --as, or --cert and --key", Exit.NOT_LOGGED_IN
            )
        return self._channel(address)

    def _channel(self, address: str) -> grpc.Channel:
        if address not in self.channels:
            self.channels[address] = open_channel(
                address,
                self.credentials,
                {
                    "grpc.max_receive_message_length": MAX_MESSAGE,
                    "grpc.initial_reconnect_backoff_ms": 200,
                    "grpc.max_reconnect_backoff_ms": 1_000,
                },
            )
        return self.channels[address]

    def _told(self, error: OrbitalError, where: str, tries: int, seconds: float) -> Exception:
        if not isinstance(error, Unreachable):
            return error
        place = where or f"Gateway unreachable at {self.address}"
        return Failure(f"{place} ({tries} tries, {seconds:.0f} s). Run: orbital status", Exit.UNAVAILABLE)


def translate(error: grpc.RpcError) -> OrbitalError:
    """The error that the server raised, or the plain one of the status."""
    from runtime.rpc import DETAILS, from_rpc_error

    if error.code() is TOO_LATE:
        return Unavailable("No answer in time")
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        pairs: Any = error.trailing_metadata() or ()
        if not {DETAILS, REASON} & {name for name, _ in pairs}:
            return Unreachable(error.details() or "Nothing answers")
    if error.code() not in ERRORS and not error.details():
        return OrbitalError(f"The server answered {error.code().name}")
    return from_rpc_error(error)


@contextmanager
def connect(target: Target) -> Iterator[Connection]:
    """A connection to the gateway, closed after the block."""
    who = caller(target)
    connection = Connection(target, who.state, who.credentials, who.address, who.authority, who.login)
    try:
        yield connection
    finally:
        connection.close()
