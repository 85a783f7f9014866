"""key sets: the keys of every issuer are fetched now and then, when one is asked for that is not known, and kept.

What was fetched counts until something newer was fetched: an issuer that is away changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from gateway.domain.keyset import key_ids, verifying
from gateway.ports.keysets import KeyFetch, KeySetStore
from runtime.errors import Invalid, Unavailable
from runtime.logs import get_logger

log = get_logger(__name__)


class KeySet:
    """The keys of one issuer.

    `refresh_seconds` is the period of the look that nobody asked for; whatever is asked, `limit_seconds` pass
    from one answer of the issuer to the next question. `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        source: KeyFetch,
        store: KeySetStore,
        refresh_seconds: float,
        limit_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._source = source
        self._store = store
        self._refresh = max(refresh_seconds, limit_seconds)
        self._limit = limit_seconds
        self._clock = clock
        self._asked = asyncio.Event()
        self.keys: Mapping[str, Any] | None = store.load(name)

    def unknown(self) -> None:
        """See gateway.ports.keysets.KnownKeys."""
        self._asked.set()

    async def run(self) -> None:
        """Keep the keys current until cancelled."""
        while True:
            # Before the fetch: a key that is asked for during it leads to another.
            self._asked.clear()
            good = await self._look()
            looked = self._clock()
            wait = self._refresh if good else self._limit
            try:
                async with asyncio.timeout(wait):
                    await self._asked.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(max(0.0, looked + self._limit - self._clock()))

    async def _look(self) -> bool:
        try:
            fetched = verifying(await self._source.fetch())
        except (Unavailable, Invalid) as error:
            kept = len(self.keys["keys"]) if self.keys else 0
            log.warning("key set not fetched", issuer=self._name, error=error.message, reason=error.reason, kept=kept)
            return False
        if fetched != self.keys:
            await asyncio.to_thread(self._store.keep, self._name, fetched)
            self.keys = fetched
            log.info("key set changed", issuer=self._name, keys=key_ids(fetched))
        return True
