"""Reads all that a region holds: records and keys in OpenBao, and the journals of its processes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from region.domain import keys as keys_of
from region.domain.names import Kind, Name
from region.domain.verify import Holding, InTransit, Inventory, Record, holdings
from region.handlers.parts import Parts, read_link, read_service, read_system, read_tenant
from region.handlers.settle import proves
from region.ports.journal import JournalReader

T = TypeVar("T")
WIDTH = 16


class Verify:
    """See region.ports.verifying.Verifying."""

    def __init__(self, parts: Parts, journals: Sequence[JournalReader]) -> None:
        self._parts = parts
        self._journals = journals
        # One reading at a time: it asks for every record.
        self._turn = asyncio.Lock()

    async def held(self) -> Sequence[Holding]:
        """See the port."""
        async with self._turn:
            journal: dict[str, int] = {}
            for one in self._journals:
                for resource, generation in (await one.held()).items():
                    journal[resource] = max(generation, journal.get(resource, 0))
            records = await self._records()
            names = await self._parts.transit.names()
            systems = {
                name.transit: record for name, record in records.items() if isinstance(record, keys_of.SystemRecord)
            }
            keys = dict(zip(names, await self._each([self._key(each, systems) for each in names]), strict=True))
            present = {name: key for name, key in keys.items() if key is not None}
            return list(holdings(Inventory(records, present, journal), self._parts.host.now()))

    async def _each(self, asked: list[Coroutine[Any, Any, T]]) -> list[T]:
        gate = asyncio.Semaphore(WIDTH)

        async def bounded(one: Coroutine[Any, Any, T]) -> T:
            async with gate:
                return await one

        return await asyncio.gather(*map(bounded, asked))

    async def _key(self, name: str, systems: Mapping[str, keys_of.SystemRecord]) -> InTransit | None:
        key = await self._parts.transit.key(name)
        if key is None:
            return None
        record = systems.get(name)
        whole = record is not None and record.open and key.versions == len(record.blobs)
        proved = record is None or not whole or await proves(self._parts, name, record, key.least)
        return InTransit(key.versions, key.imported, key.least, proved)

    async def _records(self) -> dict[Name, Record]:
        names = [Name(Kind.TENANT, tenant) for tenant in await self._parts.store.names("tenants")]
        for tenant in await self._parts.store.folders("systems"):
            names += [Name(Kind.SYSTEM, tenant, each) for each in await self._parts.store.names(f"systems/{tenant}")]
        for tenant in await self._parts.store.folders("links"):
            names += [Name(Kind.LINK, tenant, leaf=each) for each in await self._parts.store.names(f"links/{tenant}")]
        for tenant in await self._parts.store.folders("services"):
            for system in await self._parts.store.folders(f"services/{tenant}"):
                above = Name(Kind.SYSTEM, tenant, system)
                names += [above.service_of(each) for each in await self._parts.store.names(above.services)]
        found = await self._each([self._read(name) for name in names])
        return {name: record for name, record in zip(names, found, strict=True) if record is not None}

    async def _read(self, name: Name) -> Record | None:
        match name.kind:
            case Kind.TENANT:
                return (await read_tenant(self._parts, name))[0]
            case Kind.SYSTEM:
                return (await read_system(self._parts, name))[0]
            case Kind.SERVICE:
                return (await read_service(self._parts, name))[0]
            case Kind.LINK:
                return (await read_link(self._parts, name))[0]
            case _:
                return None
