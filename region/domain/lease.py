"""The lease (Strict Sovereign TTL): how long a region serves without hearing from the control plane."""

from __future__ import annotations

from runtime.lease import lasts


def expired(silence: float, lease: float) -> bool:
    """True once the control plane has not been heard for more seconds than the lease has."""
    return silence > lasts(lease)
