"""Permits to change keys in transit: short-lived tokens of OpenBao's, each used by one attempt at a time.

OpenBao checks the token of a request when it handles it. So a request of a process that stood still, and whose permit
was revoked meanwhile, is refused by OpenBao itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress

from region.ports.vault import Permit
from runtime.errors import OrbitalError
from runtime.openbao import OpenBao

# The token role whose tokens may change keys in transit, and nothing else.
ROLE = "region-change"
SECONDS = 900.0
# An attempt takes less than this; a permit that ends sooner is not given out.
LEAST_LEFT = 120.0
# Made ahead, so that a change waits for none; more are kept once attempts have needed them.
AHEAD = 8
MOST_KEPT = 64  # credentials that are held for attempts at once
LOOK = 5.0


class BaoPermits:
    """See region.ports.vault.Permits."""

    def __init__(self, openbao: OpenBao) -> None:
        self._openbao = openbao
        self._idle: deque[Permit] = deque()
        self._ends: dict[str, float] = {}
        self._discarded: deque[str] = deque(maxlen=MOST_KEPT)

    async def take(self) -> Permit:
        """See the port."""
        while self._idle:
            permit = self._idle.pop()
            if self._lasts(permit):
                return permit
            self._ends.pop(permit.accessor, None)
        return await self._made()

    def give_back(self, permit: Permit) -> None:
        """See the port."""
        if len(self._idle) < MOST_KEPT and self._lasts(permit):
            self._idle.append(permit)
        else:
            self.discard(permit)

    def discard(self, permit: Permit) -> None:
        """See the port."""
        self._ends.pop(permit.accessor, None)
        self._discarded.append(permit.accessor)

    async def revoke(self, accessor: str) -> None:
        """See the port."""
        answer = await self._openbao.call("POST", "auth/token/revoke-accessor", {"accessor": accessor})
        # OpenBao answers 200 with a warning, or 400, where there is no such token any more.
        if answer.status >= 400 and answer.status != 400:
            raise answer.refusal("revoke a permit")

    async def run(self) -> None:
        """Keep some permits ahead, and revoke those that were discarded, for ever."""
        while True:
            with suppress(OrbitalError):
                await self._refill()
            await asyncio.sleep(LOOK)

    async def _refill(self) -> None:
        while self._discarded:
            await self.revoke(self._discarded.popleft())
        self._idle = deque(permit for permit in self._idle if self._lasts(permit, SECONDS / 3))
        # What was forgotten without having been discarded ends by itself.
        self._ends = {accessor: ends for accessor, ends in self._ends.items() if ends > time.monotonic()}
        while len(self._idle) < AHEAD:
            self._idle.appendleft(await self._made())

    def _lasts(self, permit: Permit, seconds: float = LEAST_LEFT) -> bool:
        return self._ends.get(permit.accessor, 0.0) - time.monotonic() > seconds

    async def _made(self) -> Permit:
        asked = time.monotonic()
        answer = await self._openbao.call("POST", f"auth/token/create/{ROLE}", {"ttl": f"{SECONDS:.0f}s"})
        if answer.status != 200:
            raise answer.refusal("make a permit")
        made = answer.body["auth"]
        self._ends[made["accessor"]] = asked + float(made["lease_duration"])
        return Permit(made["accessor"], made["client_token"])
