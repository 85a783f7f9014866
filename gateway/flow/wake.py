"""How a stage waits: for a wake-up, or for the period of its safety net."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from runtime.errors import Unavailable
from runtime.lifecycle import Backoff
from runtime.logs import get_logger
from runtime.watchdog import HopCounter

log = get_logger(__name__)


async def until_done(stage: str, step: Callable[[], Awaitable[object]], backoff: Backoff) -> None:
    """Call `step` until it succeeds; what does not answer is waited for."""
    told = ""
    while True:
        try:
            await step()
        except Unavailable as error:
            told = _tell(stage, error, told)
            await asyncio.sleep(backoff.next())
        else:
            return


def _tell(stage: str, error: Unavailable, told: str) -> str:
    """One line for each reason, however often it is tried again; gives the reason."""
    if error.reason != told:
        log.warning("waiting", stage=stage, reason=error.reason, error=error.message)
    return error.reason


async def work(
    stage: str,
    wake: asyncio.Event,
    seconds: float,
    step: Callable[[], Awaitable[bool]],
    backoff: Backoff,
    counter: HopCounter | None = None,
) -> None:
    """Call `step` again at once while it answers that there is more, else when woken or after `seconds`.

    A part that does not answer delays the stage by a growing wait, and never ends it. `counter` tells its reason.
    """
    told, counter = "", counter or HopCounter()
    while True:
        # Before the step: a wake-up during it must lead to another.
        wake.clear()
        try:
            more = await step()
        except Unavailable as error:
            told = counter.awaits = _tell(stage, error, told)
            await asyncio.sleep(backoff.next())
            continue
        if told:
            log.info("going_on", stage=stage)
            told = counter.awaits = ""
        backoff.reset()
        if more:
            continue
        try:
            async with asyncio.timeout(seconds):
                await wake.wait()
        except TimeoutError:
            continue
