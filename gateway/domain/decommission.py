"""Decommissioning: until when a region that is gone may serve, and what is said of it in a proof."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from orbital.v1.resource_pb2 import Resource

from runtime.lease import lasts
from runtime.wellknown import seconds


def lease(tenant: Resource) -> timedelta:
    """How long a region serves a tenant without hearing from the control plane."""
    return timedelta(seconds=lasts(seconds(tenant.tenant.lease)))


def serve_until(contacted_at: datetime | None, tenants: Iterable[Resource]) -> datetime | None:
    """When the last of these tenants' leases ends in a region; None where none is placed, or it was never heard of."""
    leases = [lease(tenant) for tenant in tenants]
    return contacted_at + max(leases) if contacted_at is not None and leases else None
