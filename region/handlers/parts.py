"""What every handler is given, and how records are read and written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Name
from region.domain.result import Result
from region.ports.edge import EdgeStore
from region.ports.l1 import Provider
from region.ports.vault import Cache, Hsm, Permits, Store, Transit
from region.ports.world import World
from runtime.errors import Unavailable

UNKNOWN_PROVIDER = "L1_PROVIDER_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Parts:
    """The region's real parts, behind their ports."""

    store: Store
    transit: Transit
    hsm: Hsm
    cache: Cache
    world: World
    edges: EdgeStore
    permits: Permits
    # By the names that Links call them; the HSM is always there.
    providers: Mapping[str, Provider] = field(default_factory=dict)

    def l1(self, provider: str) -> Provider:
        """The provider of that name; raises Unavailable when this region has none."""
        found = self.hsm if provider == keys.HSM else self.providers.get(provider)
        if found is None:
            raise Unavailable(f"This region has no L1 provider called {provider!r}", reason=UNKNOWN_PROVIDER)
        return found


# Brings the region to the level that the task wants, or says why not. Safe to run again after it broke off anywhere.
Handler = Callable[[Parts, pb.Task, Name], Awaitable[Result]]


async def read_tenant(parts: Parts, name: Name) -> tuple[keys.TenantRecord | None, int]:
    """The tenant's record and its revision; (None, 0) when there is none."""
    stored = await parts.store.read(name.parent_tenant().path)
    return (keys.tenant_record(stored.fields), stored.revision) if stored else (None, 0)


async def read_link(parts: Parts, name: Name) -> tuple[keys.LinkRecord | None, int]:
    """The Link's record and its revision; (None, 0) when there is none."""
    stored = await parts.store.read(name.path)
    return (keys.link_record(stored.fields), stored.revision) if stored else (None, 0)


async def read_system(parts: Parts, name: Name) -> tuple[keys.SystemRecord | None, int]:
    """The System's record and its revision; (None, 0) when there is none."""
    stored = await parts.store.read(name.path)
    return (keys.system_record(stored.fields), stored.revision) if stored else (None, 0)


async def recall_system(parts: Parts, name: Name) -> tuple[keys.SystemRecord | None, int]:
    """The System's record as this process last wrote it, and its revision; good only for a write (see Store.recall)."""
    stored = await parts.store.recall(name.path)
    return (keys.system_record(stored.fields), stored.revision) if stored else (None, 0)


async def read_service(parts: Parts, name: Name) -> tuple[keys.ServiceRecord | None, int]:
    """The Service's record and its revision; (None, 0) when there is none."""
    stored = await parts.store.read(name.path)
    return (keys.service_record(stored.fields), stored.revision) if stored else (None, 0)


async def write(
    parts: Parts,
    name: Name,
    record: keys.TenantRecord | keys.LinkRecord | keys.SystemRecord | keys.ServiceRecord,
    revision: int,
) -> int:
    """Replace the record of that revision; raises Conflict when somebody else did so first."""
    return await parts.store.write(name.path, keys.to_fields(record), revision)


def wipe(material: bytearray) -> None:
    """Overwrite key material; what Python copied elsewhere is out of reach."""
    material[:] = bytes(len(material))
