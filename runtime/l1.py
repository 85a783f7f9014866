"""Names of L1 keys, judged alike by gateway and region. It imports next to nothing: the HSM's process reads it too."""

from __future__ import annotations

import re

# The region's own HSM; every other provider is the transit engine of an OpenBao or a Vault.
HSM = "hsm"
ROOT_KEY = "orbital-region-root"
# What the platform itself keeps in an HSM or a KMS begins so.
RESERVED_PREFIX = "orbital-"
MAX_NAME = 128  # characters of the name of a provider or a key
# A path segment of the transit engine: what its route for a key's name accepts.
TRANSIT_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")

NAME_INVALID = "L1_KEY_NAME_INVALID"
RESERVED = "L1_KEY_RESERVED"


def reserved(key: str) -> bool:
    """Whether the name belongs to the platform, so that no Link may use it; letter case and blanks do not matter."""
    return key.strip().casefold().startswith(RESERVED_PREFIX)


def name_problem(provider: str, key: str) -> str:
    """Why the provider cannot have a key of this name, as the end of a sentence; empty when it can."""
    if not 1 <= len(key) <= MAX_NAME:
        return f"has {len(key)} characters; expected 1 to {MAX_NAME}"
    if provider == HSM:
        if not key.isprintable() or key != key.strip():
            return "is no label of an HSM; expected printable characters, without a blank at either end"
        return ""
    return transit_problem(key)


def transit_problem(key: str) -> str:
    """Why a transit engine cannot have a key of this name; empty when it can."""
    if TRANSIT_NAME.fullmatch(key):
        return ""
    return "is no name of a key in a KMS; expected a-z, A-Z, 0-9, '_', '-' and '.', with none of '-' and '.' at an end"
