"""The keeper of key sets as a gateway's process runs it, in a thread of the test."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from gateway.adapters.issuers.fetch import open_issuers
from gateway.adapters.issuers.key_files import KeyFiles
from gateway.adapters.issuers.server import serve_keys
from gateway.flow.keysets import KeySet
from runtime.issuers import KeySource

# Never, as far as a test is concerned: what happens, happens because a key was asked for.
REFRESH = 3600.0
LIMIT = 1.0


class Keeper:
    """Fetches, keeps and serves until it is stopped."""

    def __init__(self, socket: Path, place: Path, sources: Mapping[str, KeySource]) -> None:
        self._socket, self._place, self._sources = socket, place, sources
        self._stop: asyncio.Event | None = None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stop
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        store = KeyFiles(self._place)
        async with open_issuers(self._sources) as fetches:
            sets = {name: KeySet(name, fetch, store, REFRESH, LIMIT, time.monotonic) for name, fetch in fetches.items()}
            async with serve_keys(self._socket, sets):
                tasks = [asyncio.create_task(each.run()) for each in sets.values()]
                self._ready.set()
                await self._stop.wait()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
