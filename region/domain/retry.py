"""When a waiting task is tried again."""

from __future__ import annotations

FIRST = 0.5
MOST = 30.0  # seconds between tries; what is longer looks like nothing


def delay(attempts: int, random: float) -> float:
    """Seconds until the next try after `attempts` of them, 0.5 to 30, shortened by up to half by `random` in [0, 1)."""
    return min(MOST, FIRST * float(2 ** min(attempts, 10))) * (1 - random / 2)
