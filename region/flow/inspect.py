"""What this process sees of itself: its journal, its hops, and the L1 providers behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from region.flow.marks import StateMarks
from region.flow.owners import Owners
from region.flow.signals import LaneSignals
from region.ports.inspecting import Disagreement, LaneView, Provider, WentBack
from region.ports.journal import Journal
from region.ports.world import World
from runtime.errors import NotFound


class Inspect:
    """See region.ports.inspecting.Inspecting."""

    def __init__(
        self,
        version: str,
        journal: Journal,
        signals: Mapping[int, LaneSignals],
        providers: Mapping[str, Provider],
        world: World,
        marks: StateMarks,
        found: Callable[[], Sequence[Disagreement]] = list,
    ) -> None:
        self._marks = marks
        self.version = version
        self._found = found
        self._journal = journal
        self._signals = signals
        self._providers = providers
        self._world = world

    @property
    def providers(self) -> Sequence[str]:
        """See the port."""
        return sorted(self._providers)

    async def lanes(self) -> Sequence[LaneView]:
        """See the port."""
        return [
            LaneView(lane, await self._journal.census(lane), signals.heard, signals.accepted)
            for lane, signals in sorted(self._signals.items())
        ]

    def went_back(self) -> WentBack:
        """See the port."""
        places, since = self._marks.seen()
        return WentBack(places, since, self._marks.recovering)

    def disagreements(self) -> Sequence[Disagreement]:
        """See the port."""
        return self._found()

    async def try_provider(self, name: str) -> Mapping[str, str]:
        """See the port."""
        if name not in self._providers:
            raise NotFound(f"This region has no L1 provider {name!r}; it has {', '.join(self.providers)}", field="name")
        return await self._providers[name].try_out()

    def now(self) -> float:
        """See the port."""
        return self._world.now()


class Asked:
    """See region.ports.inspecting.Provider. Its keys are asked about all the time; this tells what came of it."""

    def __init__(self, name: str, owners: Owners) -> None:
        self._name = name
        self._owners = owners

    async def try_out(self) -> Mapping[str, str]:
        """See the port."""
        return self._owners.told(self._name)
