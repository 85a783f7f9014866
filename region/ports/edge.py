"""The region's edges: the policy that is kept for them, and what is heard of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orbital.v1 import edge_pb2


@dataclass(frozen=True, slots=True)
class EdgeRecords:
    """All that an edge's decision depends on: serialized Resources, tombstones included, and the killed tenants."""

    policies: Sequence[bytes]
    killed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A signed bundle as it is served: its revision, its etag, and its bytes."""

    revision: str
    etag: str
    content: bytes


class BundlePacker(Protocol):
    """Makes signed bundles."""

    def pack(self, content: dict[str, Any]) -> Bundle:
        """The bundle of `data.orbital.edge`, named after what is in it and who signed it."""


class EdgeStore(Protocol):
    """The region's own database of edge policy, shared by its processes. Every write is durable."""

    async def keep(self, policy: str, generation: int, body: bytes) -> int:
        """Compare the generation and keep the policy in one transaction; gives the generation held afterwards."""

    async def kill(self, tenant: str, generation: int) -> None:
        """The tenant is killed by this generation, unless a newer one says otherwise."""

    async def revive(self, tenant: str, generation: int) -> None:
        """The tenant lives again by this generation, unless a newer one says otherwise."""

    async def complete(self) -> bool:
        """Whether the kills from before this database was made are in it."""

    async def completed(self) -> None:
        """They are, from now on."""

    async def kept(self) -> EdgeRecords:
        """Everything that is kept, read in one transaction."""

    async def changed(self, seconds: float) -> bool:
        """Wait so long at most for a change by any process since this was last asked; False without one."""


class EdgeObserver(Protocol):
    """The gateway, as far as it hears of edges."""

    async def observe(self, said: edge_pb2.ObserveRequest) -> None:
        """The complete current list, and what is served; returns once it is durable there."""
