"""Who calls: what the sidecar says in its headers. The socket is reachable by the sidecar alone."""

from __future__ import annotations

import re
from typing import Any

import grpc

from gateway.ports.serving import Caller
from runtime.errors import Denied, Invalid, Unauthenticated

REGION = "spiffe://orbital/region/"
CORRELATION_ID = re.compile("[0-9a-f]{32}")


def caller(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """The caller; raises Unauthenticated when no sidecar vouches for it."""
    metadata = {key: value for key, value in _pairs(context) if isinstance(value, str)}
    principal = metadata.get("x-orbital-principal", "")
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


def _pairs(context: grpc.aio.ServicerContext[Any, Any]) -> Any:
    return context.invocation_metadata() or ()
