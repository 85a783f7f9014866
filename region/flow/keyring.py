"""The L3 keys in memory: few, for seconds, overwritten when they go."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from region.domain.names import Name
from region.handlers.parts import wipe
from region.ports.host import Host
from runtime.errors import Precondition


@dataclass(slots=True, repr=False)
class ServiceKeys:
    """The L3 versions of a Service that may be used, with the tenant's lease in seconds."""

    versions: Mapping[int, bytearray]
    lease: float
    compromised_below: int = 0
    expires: float = 0.0

    @property
    def newest(self) -> int:
        """The version that wraps."""
        return max(self.versions)

    def wipe(self) -> None:
        """Overwrite the keys."""
        for material in self.versions.values():
            wipe(material)


class Keyring:
    """See region.ports.vault.Cache. Between `get` and the use of what it gave, nothing may be awaited."""

    def __init__(self, host: Host, seconds: float, size: int) -> None:
        self._host = host
        self._seconds = seconds
        self._size = size
        self._entries: OrderedDict[Name, ServiceKeys] = OrderedDict()
        self._loading: dict[Name, asyncio.Lock] = {}
        self._open: dict[Name, asyncio.Task[ServiceKeys]] = {}
        self._drops = 0

    async def get(self, service: Name, load: Callable[[], Awaitable[ServiceKeys]]) -> ServiceKeys:
        """The Service's keys, loaded once however many ask; a load that a drop overtook is thrown away."""
        held = self._held(service)
        if held:
            return held
        lock = self._loading.setdefault(service, asyncio.Lock())
        try:
            async with lock:
                return self._held(service) or await self._load(service, load)
        finally:
            if not lock.locked():
                self._loading.pop(service, None)

    def _held(self, service: Name) -> ServiceKeys | None:
        held = self._entries.get(service)
        return held if held and held.expires > self._host.steady() else None

    async def _load(self, service: Name, load: Callable[[], Awaitable[ServiceKeys]]) -> ServiceKeys:
        for _ in range(3):
            drops = self._drops
            loaded = await self._cuttable(service, load)
            if loaded is None:
                continue
            if drops == self._drops:
                loaded.expires = self._host.steady() + self._seconds
                self._forget(service)
                self._entries[service] = loaded
                while len(self._entries) > self._size:
                    self._forget(next(iter(self._entries)))
                return loaded
            loaded.wipe()
        raise Precondition("The key was revoked while it was loaded", reason="KEY_REVOKED")

    async def _cuttable(self, service: Name, load: Callable[[], Awaitable[ServiceKeys]]) -> ServiceKeys | None:
        """What was loaded; None when a drop cut the load off, however long it still would have taken."""
        loading = self._open[service] = asyncio.ensure_future(_run(load))
        try:
            return await loading
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return None
        finally:
            loading.cancel()
            self._open.pop(service, None)

    def drop(self, tenant: str, system: str = "") -> None:
        """See the port."""
        self._drops += 1

        def meant(name: Name) -> bool:
            return name.tenant == tenant and (not system or name.system == system)

        for name in filter(meant, list(self._entries)):
            self._forget(name)
        # Calls that wait for a key of it are cut off, and ask anew whether they may have one.
        for name in filter(meant, list(self._open)):
            self._open[name].cancel()

    def _forget(self, service: Name) -> None:
        held = self._entries.pop(service, None)
        if held:
            held.wipe()

    def clear(self) -> None:
        """Overwrite and forget everything."""
        for service in list(self._entries):
            self._forget(service)

    async def run(self) -> None:
        """Overwrite what has expired, for ever; and everything at the end."""
        try:
            while True:
                await asyncio.sleep(self._seconds)
                now = self._host.steady()
                for service in [name for name, held in self._entries.items() if held.expires <= now]:
                    self._forget(service)
        finally:
            self.clear()


async def _run(load: Callable[[], Awaitable[ServiceKeys]]) -> ServiceKeys:
    return await load()
