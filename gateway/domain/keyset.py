"""The key set of an issuer (RFC 7517), as far as it may verify a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.errors import Invalid

# Asymmetric ones alone: a shared secret in a public set would let anybody sign.
KINDS = frozenset({"RSA", "EC", "OKP"})
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
MOST_KEYS = 100  # an issuer has a handful


def verifying(document: Any) -> dict[str, Any]:
    """The keys of a set that verify signatures, their public halves alone; raises Invalid when there is none.

    Without one, what was known before is better than what was said now.
    """
    listed = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(listed, list):
        raise Invalid("The issuer's key set has no list `keys`", reason="BAD_KEY_SET", field="keys")
    keys = [
        {name: value for name, value in key.items() if name not in PRIVATE}
        for key in listed[:MOST_KEYS]
        if isinstance(key, Mapping) and key.get("kty") in KINDS and key.get("use", "sig") == "sig"
    ]
    if not keys:
        raise Invalid("The issuer's key set holds no key that verifies a signature", reason="BAD_KEY_SET", field="keys")
    return {"keys": keys}


def key_ids(keys: Mapping[str, Any]) -> list[str]:
    """The IDs in a set, for the log."""
    return [str(key.get("kid", "")) for key in keys["keys"]]
