"""The lease (Strict Sovereign TTL): how long a region serves without hearing from the control plane."""

from __future__ import annotations

from runtime.lease import lasts


def expired(last_beat: float, lease: float, now: float) -> bool:
    """True once more than the lease has passed since the last beat; a clock that went back never expires it."""
    return now - last_beat > lasts(lease)
