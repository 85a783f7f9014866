"""Who calls: what the sidecar says in its headers. The socket is reachable by the sidecar alone."""

from __future__ import annotations

from typing import Any

import grpc

from gateway.ports.serving import Caller
from runtime.errors import Denied, Unauthenticated

REGION = "spiffe://orbital/region/"


def caller(context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
    """The caller; raises Unauthenticated when no sidecar vouches for it."""
    metadata = {key: value for key, value in _pairs(context) if isinstance(value, str)}
    principal = metadata.get("x-orbital-principal", "")
    if not principal:
        raise Unauthenticated("The call came without an identity from the sidecar")
    return Caller(principal, metadata.get("x-orbital-decision", ""))


def calling_region(context: grpc.aio.ServicerContext[Any, Any], claimed: str | None = None) -> tuple[str, str]:
    """(principal, region) of a region's call; raises Denied when it is none, or not the one it claims to be."""
    principal = caller(context).principal
    region = principal.removeprefix(REGION)
    if region == principal:
        raise Denied(f"{principal} is no region", reason="NOT_A_REGION")
    if claimed is not None and claimed != region:
        raise Denied(f"The caller is region {region!r} and cannot speak for {claimed!r}", reason="OTHER_REGION")
    return principal, region


def _pairs(context: grpc.aio.ServicerContext[Any, Any]) -> Any:
    return context.invocation_metadata() or ()
