"""How long ago the policy engine beside a process could last confirm that its bundle is the newest.

Of wall clocks only the engine's own counts, against itself: a clock that is wrong or steps makes no policy old or new.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime

import aiohttp
import orjson

from runtime.answers import read_answer
from runtime.errors import Invalid
from runtime.logs import get_logger

log = get_logger(__name__)

BUNDLE = "orbital"
# The status carries all of the engine's metrics: it is read seldom.
LOOK_SECONDS = 5.0
ANSWER_SECONDS = 2.0


class Freshness:
    """Reads the time of the last confirmation; a time that is not known counts as too long ago (see policies)."""

    def __init__(self, session: aiohttp.ClientSession, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._url = url.rstrip("/") + "/v1/status"
        self._clock = clock
        self._looked = float("-inf")
        self._looking = asyncio.Lock()
        # What the engine said last, and when that was by the steady clock.
        self._said = ""
        self._confirmed: float | None = None

    async def age(self) -> float | None:
        """Seconds since the last confirmation; None when the engine does not say."""
        # Whoever asks while somebody looks waits for the answer: an old one, or none yet, would hold its tasks back.
        async with self._looking:
            if self._confirmed is None or self._clock() - self._looked >= LOOK_SECONDS:
                self._confirmed = await self._read()
                self._looked = self._clock()
        return None if self._confirmed is None else max(0.0, self._clock() - self._confirmed)

    async def _read(self) -> float | None:
        """When it was confirmed last, by the steady clock."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._session.get(self._url) as answer:
                body = orjson.loads(await read_answer(answer))
                its_time = parsedate_to_datetime(answer.headers["Date"]).timestamp()
            said = str(body["result"]["bundles"][BUNDLE]["last_successful_request"])
            confirmed = datetime.fromisoformat(said).timestamp()
        except (
            aiohttp.ClientError,
            OSError,
            TimeoutError,
            Invalid,
            orjson.JSONDecodeError,
            KeyError,
            TypeError,
            ValueError,
        ):
            log.warning("the policy engine does not say when its bundle was confirmed")
            return None
        if confirmed <= 0:
            # The zero time of an engine that has never had an answer.
            return None
        before, self._said = self._said, said
        if before == said and self._confirmed is not None:
            return self._confirmed
        # A confirmation that came since the last look is no older than that look, whatever the clock did meanwhile.
        now = self._clock()
        return max(now - max(0.0, its_time - confirmed), self._looked if before else float("-inf"))
