"""The advisory locks of the database, which are named by numbers that all gateways agree on."""

from __future__ import annotations

from enum import IntEnum


class AdvisoryLock(IntEnum):
    """One number for each purpose: two purposes with one number would hold each other up."""

    MIGRATIONS = 7_203_000
    DECLARATIONS = 7_203_001
    AUDIT_SEAL = 7_203_002
