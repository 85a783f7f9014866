"""What the steps of the demonstration share: the stack, the connection and what has happened so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from orbital.v1.crypto_pb2 import UnwrapRequest, WrapRequest
from orbital.v1.crypto_pb2_grpc import CryptoServiceStub
from orbital.v1.registry_pb2 import DeclareRequest, DeclareResponse, Job, JobState
from orbital.v1.resource_pb2 import Resource

from console.cli.commands.crypto import endpoint
from console.cli.connection import Connection
from console.cli.failure import Exit, Failure
from console.cli.job import follow, superseded
from console.cli.nouns import RowFilter, find
from console.cli.rows import Row

CONVERGE = 120.0
PATIENCE = 30.0
POLL = 0.05
KEY = bytes(range(32))


class NotHeld(Exception):
    """A step did not show what it must show; the message says what was seen instead."""


class Stack(Protocol):
    """The local stack, as far as the demonstration uses it. Each call returns once it is done."""

    def clear(self) -> None:
        """End what is left of an earlier one, and remove its files."""

    def up(self) -> None:
        """Start every part."""

    def down(self) -> None:
        """End every part."""

    def cut(self, region: str) -> None:
        """Cut a region's path to the gateway; its processes run on."""

    def heal(self, region: str) -> None:
        """Open the path again."""

    def seal(self, region: str) -> str:
        """Seal a region's OpenBao; returns the action's correlation ID."""

    def unseal(self, region: str) -> None:
        """Open it again."""

    def allow_l1(self, allowed: bool) -> None:
        """As the customer: let the regions use the L1 in its own KMS, or no longer."""

    def workload(self, service: str) -> tuple[bytes, bytes]:
        """The key and the certificates (PEM) of a workload, TENANT/SYSTEM/SERVICE, as its platform gives them."""


@dataclass(slots=True)
class Demo:
    """The state of one demonstration."""

    stack: Stack
    connection: Connection
    estate: list[Resource]
    service: str
    victim: str
    # Of a customer with a KMS of its own.
    guest: str
    away: str
    ciphertexts: dict[tuple[str, str], bytes] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    traced: str = ""
    directory: Path = Path()
    edges: dict[tuple[str, str], CryptoServiceStub] = field(default_factory=dict)

    def rows(self, noun: str, tenant: str = "", region: str = "", correlation_id: str = "") -> list[Row]:
        """Rows of a noun, as `orbital get` has them."""
        return list(find(noun).rows(self.connection, RowFilter(tenant, region, correlation_id)))

    def declare(self, resources: Iterable[Resource]) -> DeclareResponse:
        """Declare resources; from here on they count as the estate's."""
        changed = {one.name: one for one in resources}
        request = DeclareRequest(resources=changed.values(), request_id=uuid4().hex)
        response = self.connection.call(self.connection.registry.Declare, request)
        self.estate = [changed.get(one.name, one) for one in self.estate]
        return response

    def ended(self, correlation_id: str) -> Job:
        """The job once nothing of it is left to do, converged or superseded."""
        return follow(self.connection, correlation_id, CONVERGE)

    def converge(self, correlation_id: str) -> Job:
        """The job once it has converged everywhere; raises Failure when later changes took it over."""
        job = self.ended(correlation_id)
        if job.state != JobState.JOB_STATE_CONVERGED:
            raise Failure(superseded(job), Exit.SUPERSEDED)
        return job

    def resource(self, name: str) -> Resource:
        """A copy of a declared resource, to be changed."""
        copied = Resource()
        copied.CopyFrom(next(one for one in self.estate if one.name == name))
        return copied

    def regions_of(self, service: str) -> list[str]:
        """Where a service (TENANT/SYSTEM/SERVICE) is placed."""
        tenant, system, name = service.split("/")
        resource = f"tenants/{tenant}/systems/{system}/services/{name}"
        return sorted(row["region"] for row in self.rows("placements", tenant=tenant) if row["resource"] == resource)

    def wrap(self, service: str, region: str) -> int:
        """Wrap KEY and keep the ciphertext; returns the key's version."""
        request = WrapRequest(**_names(service), plaintext=KEY)
        answer = self._crypto("Wrap", region, request)
        self.ciphertexts[service, region] = answer.ciphertext
        version: int = answer.key_version
        return version

    def unwrap(self, service: str, region: str) -> int:
        """Unwrap the ciphertext that was kept; returns the version of the key that had wrapped it."""
        request = UnwrapRequest(**_names(service), ciphertext=self.ciphertexts[service, region])
        answer = self._crypto("Unwrap", region, request)
        expect(answer.plaintext == KEY, f"{region} unwrapped to something else")
        version: int = answer.key_version
        return version

    def unwrap_at_edge(self, service: str, region: str) -> None:
        """Unwrap the ciphertext that was kept through the region's edge, as the workload of that service."""
        request = UnwrapRequest(**_names(service), ciphertext=self.ciphertexts[service, region])
        if (service, region) not in self.edges:
            address = str(self.connection.state["regions"][region]["edge"])
            self.edges[service, region] = self.connection.crypto_as(address, *self.stack.workload(service))
        stub = self.edges[service, region]
        answer = self.connection.call(stub.Unwrap, request, where=f"The edge of {region} unreachable")
        expect(answer.plaintext == KEY, f"{region}'s edge gave something else")

    def _crypto(self, method: str, region: str, request: Any) -> Any:
        stub = self.connection.crypto(endpoint(self.connection, region))
        return self.connection.call(getattr(stub, method), request, where=f"Region {region} unreachable")


def _names(service: str) -> dict[str, Any]:
    return dict(zip(("tenant", "system", "service"), service.split("/"), strict=True))


def expect(held: bool, seen: str) -> None:
    """Raise NotHeld with what was seen, unless it held."""
    if not held:
        raise NotHeld(seen)


def until(held: Callable[[], bool], seen: Callable[[], str], seconds: float = PATIENCE) -> float:
    """Wait for a condition; returns how long it took, raises NotHeld when it never came."""
    begun = time.monotonic()
    while not held():
        if time.monotonic() - begun > seconds:
            raise NotHeld(f"{seen()} after {seconds:.0f} s")
        time.sleep(POLL)
    return time.monotonic() - begun
