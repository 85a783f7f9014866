"""Where the keys of issuers come from, and where they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class KeyFetch(Protocol):
    """One issuer."""

    async def fetch(self) -> Any:
        """The key set as the issuer serves it, JSON; raises Unavailable or Invalid."""


class Keys(Protocol):
    """The keys of one issuer, as they are known."""

    keys: Mapping[str, Any] | None

    def unknown(self) -> None:
        """Somebody showed a key that is not among these, of this issuer or of another."""


class KeyShelf(Protocol):
    """Keeps the last good set of each issuer over a restart."""

    def load(self, name: str) -> Mapping[str, Any] | None:
        """What was kept of the issuer, None if nothing was."""

    def keep(self, name: str, keys: Mapping[str, Any]) -> None:
        """Keep this set, durably and in one step."""
