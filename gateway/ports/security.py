"""What was forged, altered, replayed or used after its end: refused, and told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from orbital.v1.signed_pb2 import Signed


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Something that no well-behaved part does. `subject` says what was refused: tasks, reports and so on."""

    region: str
    subject: str
    reason: str
    message: str
    principal: str = ""


class SecurityStore(Protocol):
    """Keeps security events."""

    async def keep_event(self, event: SecurityEvent) -> None:
        """Keep it; within an hour, events that differ in nothing else are counted."""


class Signs(Protocol):
    """The control plane's signature."""

    def sign(self, purpose: str, content: bytes) -> Signed:
        """The content with its signature; raises Unavailable when there is no key to sign with."""


class Verifies(Protocol):
    """The public keys of everybody."""

    async def verify(self, signed: Signed, purpose: str, owner: str) -> bytes:
        """The content, if `owner` signed it for this purpose; raises Denied, and Unavailable without keys."""
