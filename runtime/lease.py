"""The lease (Strict Sovereign TTL): how long a region serves a tenant without hearing from the control plane."""

from __future__ import annotations

DEFAULT_SECONDS = 24 * 3600.0


def lasts(lease: float) -> float:
    """The tenant's lease in seconds, or the default when it has none."""
    return lease if lease > 0 else DEFAULT_SECONDS
