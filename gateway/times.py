"""The wall clock, IDs that sort by it, and waits between tries."""

from __future__ import annotations

import random
import secrets
import time
from datetime import UTC, datetime

from runtime.lifecycle import Backoff


def clock() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def new_correlation_id() -> str:
    """32 hex digits that sort by time and are a W3C trace ID (RFC 9562, version 7)."""
    stamp = time.time_ns() // 1_000_000
    value = (stamp & (2**48 - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return f"{value:032x}"


def backoff() -> Backoff:
    """Waits of at most a second: there are few gateways, and what they wait for is near."""
    return Backoff(random.random, first=0.1, most=1.0)
