"""When a waiting task is tried again, and when it is parked."""

from __future__ import annotations

from runtime.errors import Conflict, Exhausted, OrbitalError, Unavailable, Waiting

FIRST = 0.5
MOST = 30.0  # seconds between tries; what is longer looks like nothing
# Seconds: a try that lies further ahead was planned by a clock that was wrong.
FAR = 2 * MOST


def delay(attempts: int, random: float) -> float:
    """Seconds until the next try after `attempts` of them, 0.5 to 30, shortened by up to half by `random` in [0, 1)."""
    return min(MOST, FIRST * float(2 ** min(attempts, 10))) * (1 - random / 2)


# The longest pause of a parked task, in seconds: whoever mends what it failed on need not tell the region.
LONGEST_PAUSE = 3600.0
# Errors that pass without anybody touching the task.
_PASSING = (Unavailable, Waiting, Conflict, Exhausted)
# A part answers, and has not what this task names.
_OWN = frozenset({"L1_KEY_MISSING", "L1_PROVIDER_UNKNOWN"})
# What every task needs: whatever such a part says, it says of itself.
_PARTS = ("HSM_", "OPENBAO_", "POLICY_", "JOURNAL_")


def own(error: OrbitalError) -> bool:
    """Whether a task failed by itself, and not because a part that every task needs is away."""
    if isinstance(error, _PASSING):
        return error.reason in _OWN
    return not error.reason.startswith(_PARTS)


def parks(lane: int, failures: int, limit: int) -> bool:
    """Whether a task that failed by itself so often is parked; nothing of lane 0 ever is."""
    return lane > 0 and failures >= limit


def pause(most: float, random: float) -> float:
    """Seconds until a parked task is tried again: `most`, shortened by up to a quarter by `random` in [0, 1)."""
    return min(most, LONGEST_PAUSE) * (1 - random / 4)
