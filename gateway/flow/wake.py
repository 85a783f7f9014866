"""How a stage waits: for a wake-up, or for the period of its safety net."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from runtime.errors import Unavailable
from runtime.lifecycle import Backoff
from runtime.logs import get_logger

log = get_logger(__name__)


async def work(
    stage: str, wake: asyncio.Event, seconds: float, step: Callable[[], Awaitable[bool]], backoff: Backoff
) -> None:
    """Call `step` again at once while it answers that there is more, else when woken or after `seconds`.

    A part that does not answer delays the stage by a growing wait, and never ends it.
    """
    while True:
        # Before the step: a wake-up during it must lead to another.
        wake.clear()
        try:
            more = await step()
            backoff.reset()
        except Unavailable as error:
            wait = backoff.next()
            log.warning("waiting", stage=stage, reason=error.reason, error=error.message, seconds=round(wait, 2))
            await asyncio.sleep(wait)
            continue
        if more:
            continue
        try:
            async with asyncio.timeout(seconds):
                await wake.wait()
        except TimeoutError:
            continue
