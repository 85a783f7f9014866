"""What the database notifies of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from gateway.adapters.postgres.database import Database
from gateway.adapters.postgres.errors import DRIVER, translating
from runtime.errors import Unavailable
from runtime.logs import get_logger

log = get_logger(__name__)

RETRY_SECONDS = 0.2


async def listen(database: Database, channel: str, heard: Callable[[str], None]) -> None:
    """Call `heard` with each notification, and with "" after every (re)connection, since some may have been lost."""
    reason = ""
    while True:
        try:
            await _listen(database, channel, heard)
            reason = "CONNECTION_LOST"
        except Unavailable as error:
            if error.reason != reason:
                log.warning("notifications_lost", channel=channel, reason=error.reason, error=error.message)
            reason = error.reason
        await asyncio.sleep(RETRY_SECONDS)


async def _listen(database: Database, channel: str, heard: Callable[[str], None]) -> None:
    """Return once the connection is lost; raises Unavailable when there is none."""
    lost = asyncio.Event()

    def hear(*arguments: object) -> None:
        heard(str(arguments[3]))

    async with database.connection(f"listen to {channel}") as connection:
        with translating(f"listen to {channel}"):
            connection.add_termination_listener(lambda *_: lost.set())
            await connection.add_listener(channel, hear)
        try:
            heard("")
            await lost.wait()
        finally:
            # The pool may have taken back already what was lost.
            with suppress(*DRIVER):
                await connection.remove_listener(channel, hear)
