"""Who calls: what the sidecar says in its headers. The socket is reachable by the sidecar alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import grpc

from gateway.domain.revocation import Credential
from gateway.ports.revocation import RevocationList
from gateway.ports.serving import Caller
from runtime.content import LAST_SECOND
from runtime.errors import Denied, Invalid, Unauthenticated
from runtime.rpc import Metadata

PRINCIPAL = "x-orbital-principal"
CERTIFICATE_START = "x-orbital-certificate-start"
CERTIFICATE_END = "x-orbital-certificate-end"
TOKEN_ISSUED = "x-orbital-token-issued"  # noqa: S105 - a header's name
REGION = "spiffe://orbital/region/"
CORRELATION_ID = re.compile("[0-9a-f]{32}")


def caller(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """The caller; raises Unauthenticated when no sidecar vouches for it."""
    metadata = {key: value for key, value in _pairs(context) if isinstance(value, str)}
    principal = metadata.get(PRINCIPAL, "")
    if not principal:
        raise Unauthenticated("The call came without an identity from the sidecar")
    return Caller(principal, metadata.get("x-orbital-decision", ""), _correlation_id(metadata))


def _correlation_id(metadata: dict[str, str]) -> str:
    given = metadata.get("x-orbital-correlation-id", "")
    if given and not CORRELATION_ID.fullmatch(given):
        raise Invalid(
            f"x-orbital-correlation-id is {given[:64]!r}; expected 32 lower-case hex digits",
            field="x-orbital-correlation-id",
        )
    return given


def calling_region(context: grpc.aio.ServicerContext[Any, Any], claimed: str | None = None) -> tuple[str, str]:
    """(principal, region) of a region's call; raises Denied when it is none, or not the one it claims to be."""
    principal = caller(context).principal
    region = principal.removeprefix(REGION)
    if region == principal:
        raise Denied(f"{principal} is no region", reason="NOT_A_REGION")
    if claimed is not None and claimed != region:
        raise Denied(f"The caller is region {region!r} and cannot speak for {claimed!r}", reason="OTHER_REGION")
    return principal, region


def calling_lane(context: grpc.aio.ServicerContext[Any, Any]) -> int:
    """The lane that a region's call says it is of; 0 when it says nothing that is one."""
    said = dict(_pairs(context)).get("x-orbital-lane", "")
    return int(said) if said in ("0", "1", "2") else 0


def certificate_end(context: grpc.aio.ServicerContext[Any, Any]) -> float | None:
    """When the caller's certificate ends, in seconds since the epoch; None where it came by a token."""
    said = dict(_pairs(context)).get(CERTIFICATE_END, "")
    known = isinstance(said, str) and said.isascii() and said.isdigit() and len(said) < 12
    return min(float(said), LAST_SECOND) if known else None


def admission(revocations: RevocationList) -> Callable[[Metadata], None]:
    """What refuses a revoked region whatever it calls."""
    return lambda metadata: revocations.admit(str(metadata.get(PRINCIPAL, "")), shown(metadata))


def shown(headers: Mapping[str, Any]) -> Credential:
    """What a caller showed to the sidecar, by the sidecar's headers."""
    return Credential(_seconds(headers.get(CERTIFICATE_START)), _seconds(headers.get(TOKEN_ISSUED)))


def _seconds(text: str | bytes | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _pairs(context: grpc.aio.ServicerContext[Any, Any]) -> Any:
    return context.invocation_metadata() or ()
