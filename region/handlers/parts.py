"""What every handler is given, and how records are read and written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from orbital.v1 import task_pb2 as pb

from region.domain import keys
from region.domain.names import Name
from region.domain.result import Result
from region.ports.edge import EdgeStore
from region.ports.host import Host
from region.ports.l1 import Provider
from region.ports.vault import Cache, Hsm, Permits, Store, StoredRecord, Transit
from runtime.errors import Stalled, Unavailable

UNKNOWN_PROVIDER = "L1_PROVIDER_UNKNOWN"
UNREADABLE = "RECORD_UNREADABLE"
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Parts:
    """The region's real parts, behind their ports."""

    store: Store
    transit: Transit
    hsm: Hsm
    cache: Cache
    host: Host
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


def _parsed(parse: Callable[[Mapping[str, Any]], R], name: Name, stored: StoredRecord | None) -> tuple[R | None, int]:
    """The record and its revision; raises Stalled for one that is not as a region writes it: it stops nobody else."""
    if stored is None:
        return None, 0
    try:
        return parse(stored.fields), stored.revision
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"The record of {name.resource} in OpenBao cannot be read; somebody else has written it"
        raise Stalled(message, reason=UNREADABLE) from error


async def read_tenant(parts: Parts, name: Name) -> tuple[keys.TenantRecord | None, int]:
    """The tenant's record and its revision; (None, 0) when there is none."""
    stored = await parts.store.read(name.parent_tenant().path)
    return _parsed(keys.tenant_record, name.parent_tenant(), stored)


async def read_link(parts: Parts, name: Name) -> tuple[keys.LinkRecord | None, int]:
    """The Link's record and its revision; (None, 0) when there is none."""
    stored = await parts.store.read(name.path)
    return _parsed(keys.link_record, name, stored)


async def read_system(parts: Parts, name: Name) -> tuple[keys.SystemRecord | None, int]:
    """The System's record and its revision; (None, 0) when there is none."""
    stored = await parts.store.read(name.path)
    return _parsed(keys.system_record, name, stored)


async def recall_system(parts: Parts, name: Name) -> tuple[keys.SystemRecord | None, int]:
    """The System's record as this process last wrote it, and its revision; good only for a write (see Store.recall)."""
    stored = await parts.store.recall(name.path)
    return _parsed(keys.system_record, name, stored)


async def read_service(parts: Parts, name: Name) -> tuple[keys.ServiceRecord | None, int]:
    """The Service's record and its revision; (None, 0) when there is none."""
    stored = await parts.store.read(name.path)
    return _parsed(keys.service_record, name, stored)


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
