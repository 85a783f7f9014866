"""Where the keys of issuers come from, where they are kept, and how they are served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class KeyFetch(Protocol):
    """One issuer."""

    async def fetch(self) -> Any:
        """The key set as the issuer serves it, JSON; raises Unavailable or Invalid."""


class KeySetStore(Protocol):
    """Keeps the last good set of each issuer over a restart."""

    def load(self, name: str) -> Mapping[str, Any] | None:
        """What was kept of the issuer, None if nothing was."""

    def keep(self, name: str, keys: Mapping[str, Any]) -> None:
        """Keep this set, durably and in one step."""


class KnownKeys(Protocol):
    """The keys of one issuer, as they are known now."""

    @property
    def keys(self) -> Mapping[str, Any] | None:
        """The key set, JSON; None before it was ever fetched."""

    def unknown(self) -> None:
        """Somebody showed a key that is not among these, of this issuer or of another: look once, when that may be."""
