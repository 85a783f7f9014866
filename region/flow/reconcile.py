"""reconcile: transit is compared with the records, and brought back to them; what was found is told for a while.

Every System in turn and slowly, and at once whichever was served in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from region.domain.names import Kind, Name
from region.flow.signals import Wakeup
from region.handlers.mend import look, mend, prove, services
from region.handlers.parts import Parts
from region.ports.inspecting import Disagreement
from runtime.errors import OrbitalError
from runtime.logs import get_logger

log = get_logger(__name__)

# What was found and mended is told for so many seconds, so that whoever asks now and then sees it.
TOLD = 60.0
MOST_TOLD = 20  # keys named in one flag; the number of all is told
# A System that is asked for in vain all the time is looked at again after so many seconds.
AGAIN = 10.0
MOST_SUSPECTS = 1000  # Systems that are looked at again in one round


@dataclass(frozen=True, slots=True)
class ReconcileRate:
    """`rate`: Systems a second; `rest`: seconds between the end of a round and the next one."""

    rate: float
    rest: float


class Reconciler:
    """Runs in the process that serves."""

    def __init__(self, parts: Parts, pace: ReconcileRate, held_back: Callable[[], bool] = lambda: False) -> None:
        self._parts = parts
        self._pace = pace
        # True while the records themselves may be of the past: then nothing is brought back to them.
        self._held_back = held_back
        self._suspects: dict[Name, None] = {}
        self._looked: dict[Name, float] = {}
        self._called = Wakeup()
        self._found: dict[Name, Disagreement] = {}

    def suspect(self, system: Name) -> None:
        """A System was served in vain: it is looked at now."""
        now = self._parts.host.now()
        if now - self._looked.get(system, 0.0) < AGAIN or len(self._suspects) >= MOST_SUSPECTS:
            return
        if len(self._looked) >= MOST_SUSPECTS:
            self._looked = {name: at for name, at in self._looked.items() if now - at < AGAIN}
        self._looked[system] = now
        self._suspects[system] = None
        self._called.give()

    def found(self) -> Sequence[Disagreement]:
        """What disagrees, and what did and was mended a moment ago; the first of them when there are many."""
        now = self._parts.host.now()
        self._found = {name: one for name, one in self._found.items() if not one.mended or now - one.at < TOLD}
        return list(self._found.values())[:MOST_TOLD]

    async def run(self) -> None:
        """Look at every System, for ever."""
        while True:
            await self.round()
            await self._rest(self._pace.rest)

    async def round(self) -> None:
        """Every System once."""
        for tenant in await self._parts.store.folders("systems"):
            for each in await self._parts.store.names(f"systems/{tenant}"):
                await self.check(Name(Kind.SYSTEM, tenant, each))
                await self._rest(1.0 / self._pace.rate)

    async def _rest(self, seconds: float) -> None:
        """Time passes; whoever is suspected meanwhile is looked at."""
        until = self._parts.host.now() + seconds
        while (left := until - self._parts.host.now()) > 0:
            # A clock that is set back makes nobody rest for longer.
            if not await self._called.wait(min(left, seconds)):
                return
            while self._suspects:
                system = next(iter(self._suspects))
                del self._suspects[system]
                await self.check(system, deep=True)

    async def check(self, system: Name, *, deep: bool = False) -> None:
        """Look at one System and mend it; `deep`: its Services as well. One that cannot be mended now is told."""
        if self._held_back():
            return
        try:
            await prove(self._parts, system)
            wrong = await look(self._parts, system) or (await services(self._parts, system) if deep else None)
            if wrong is None:
                if system in self._found and not self._found[system].mended:
                    self._found[system] = replace(self._found[system], mended=True, at=self._parts.host.now())
                return
            log.error("keys_disagree", system=system.resource, reason=wrong.reason, error=wrong.message)
            told = Disagreement(system.resource, wrong.reason, wrong.message, self._parts.host.now())
            self._found[system] = told
            await mend(self._parts, system, wrong)
            if await look(self._parts, system) is None:
                log.warning("keys_mended", system=system.resource, reason=wrong.reason)
                self._found[system] = replace(told, mended=True)
        except OrbitalError as error:
            log.warning("keys_not_looked_at", system=system.resource, reason=error.reason, error=error.message)
