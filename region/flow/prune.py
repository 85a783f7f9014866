"""Forgets what was settled long ago."""

from __future__ import annotations

import asyncio

from region.ports.host import Host
from region.ports.journal import Journal
from runtime.logs import get_logger

log = get_logger(__name__)

EVERY = 300.0


async def prune(journal: Journal, host: Host, hours: float) -> None:
    """Forget, every five minutes, the tasks that were settled more than `hours` ago."""
    while True:
        gone = await journal.prune(host.now() - hours * 3600)
        if gone:
            log.info("pruned", tasks=gone)
        await asyncio.sleep(EVERY)
