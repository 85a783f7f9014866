"""Signing keys of a gateway and of regions, and a public_keys that knows them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.signatures import GATEWAY, KeyFile, PublicKeys, Signer, make_key, region_identity

LONG = 1e12


@dataclass(frozen=True)
class Keys:
    """Signers by owner, and what verifies them."""

    gateway: Signer
    region: Signer
    other: Signer
    public_keys: PublicKeys
    table: Mapping[str, Mapping[str, Any]]

    @classmethod
    def make(cls, place: Path) -> Keys:
        """Fresh ones; `region` is eu10's and `other` us20's."""
        table: dict[str, Mapping[str, Any]] = {}
        signers: list[Signer] = []
        for name, owner in (("gateway", GATEWAY), *((name, region_identity(name)) for name in ("eu10", "us20"))):
            keys = KeyFile(owner, (make_key(0.0, LONG),))
            path = place / f"{name}.signing.json"
            path.write_bytes(keys.dump())
            table |= keys.public()
            signers.append(Signer(path, lambda: 1.0))

        async def fetch() -> Mapping[str, Mapping[str, Any]]:
            return table

        return cls(*signers, PublicKeys(fetch, lambda: 1.0), table)
