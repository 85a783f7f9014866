"""When a placement that stays silent is driven again."""

from __future__ import annotations

# Seconds: lane 0 is impatient; queues are durable, so that the others rarely need it.
FIRST = (5.0, 30.0, 30.0)
MOST = 600.0  # seconds between tries; what is longer looks like nothing


def redrive_after(lane: int, attempt: int) -> float:
    """Seconds from driving a placement for the `attempt`th time (from 0) until it is driven again."""
    return float(min(FIRST[lane] * 2 ** min(attempt, 16), MOST))
