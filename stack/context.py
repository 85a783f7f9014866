"""What every part of a stack is told: places, ports, settings, regions, binaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.acquire import path as acquired
from stack.layout import Layout
from stack.settings import Stack

ROOT = Path(__file__).resolve().parent.parent
MTLS = "mtls"
JWT = "jwt"
TRUST_DOMAIN = "orbital"
# Each region has one edge, called so.
EDGE = "edge-1"


@dataclass(frozen=True)
class Region:
    """A region of the estate, and how it proves itself to the gateway: mtls or jwt."""

    name: str
    auth: str


@dataclass(frozen=True)
class StackContext:
    """One stack."""

    layout: Layout
    settings: Stack
    ports: Mapping[str, int]
    regions: tuple[Region, ...]

    def binary(self, name: str) -> Path:
        """Where the part's binaries are (see stack.acquire.path)."""
        return acquired(name, self.settings)

    def place(self, name: str) -> Path:
        """The private directory of the part `name`, made if need be."""
        place = self.layout.part(name)
        place.mkdir(mode=0o700, exist_ok=True, parents=True)
        return place

    def secret(self, name: str) -> Path:
        """The file of the secret `name`."""
        return self.layout.secrets / name

    def address(self, port: str) -> str:
        """127.0.0.1:PORT of the port called `port`."""
        return f"127.0.0.1:{self.ports[port]}"

    def authority(self) -> Path:
        """The certificates of the roots that everybody believes: one, or two while they are rotated."""
        return self.layout.root / "identity" / "ca.pem"

    def history(self) -> Path:
        """The certificates of all roots that there ever were: signatures of the past lead to them."""
        return self.layout.root / "identity" / "history.pem"
