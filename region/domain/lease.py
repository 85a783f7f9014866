"""The lease (Strict Sovereign TTL): how long a region serves without hearing from the control plane."""

from __future__ import annotations

DEFAULT_SECONDS = 24 * 3600.0


def lasts(lease: float) -> float:
    """The tenant's lease in seconds, or the default when it has none."""
    return lease if lease > 0 else DEFAULT_SECONDS


def expired(last_beat: float, lease: float, now: float) -> bool:
    """True once more than the lease has passed since the last beat; a clock that went back never expires it."""
    return now - last_beat > lasts(lease)
