"""Keeps a component running whatever happens to it, so that one lane's fault stays that lane's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from region.ports.world import World
from runtime.errors import OrbitalError
from runtime.lifecycle import Backoff
from runtime.logs import get_logger

log = get_logger(__name__)
# A component that ran this long before it failed starts again from the first wait.
STEADY = 30.0


async def keep(name: str, run: Callable[[], Awaitable[None]], world: World) -> None:
    """Run it for ever; after a failure, again with a growing wait. Ends only by cancellation or a clean return."""
    backoff = Backoff(world.random)
    while True:
        began = world.now()
        try:
            await run()
        except OrbitalError as error:
            log.warning("component_failed", component=name, reason=error.reason, error=error.message)
        except Exception as error:  # the supervisor: what is unexpected is logged whole, and tried again
            log.error("component_failed", component=name, error=type(error).__name__, exc_info=error)
        else:
            return
        if world.now() - began > STEADY:
            backoff.reset()
        await asyncio.sleep(backoff.next())
