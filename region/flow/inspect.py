"""What this process sees of itself: its journal, its hops, and the L1 providers behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from region.flow.lane_journal import LaneJournal
from region.flow.marks import StateMarks
from region.flow.owners import Owners
from region.ports.host import Host
from region.ports.inspecting import Disagreement, LaneView, ProviderTrial, StateRollback
from runtime.errors import NotFound


class Inspect:
    """See region.ports.inspecting.Inspecting."""

    def __init__(
        self,
        *,
        version: str,
        lanes: Sequence[LaneJournal],
        providers: Mapping[str, ProviderTrial],
        marks: StateMarks,
        found: Callable[[], Sequence[Disagreement]],
        host: Host,
    ) -> None:
        self.version = version
        self._lanes = lanes
        self._providers = providers
        self._marks = marks
        self._found = found
        self._host = host

    @property
    def providers(self) -> Sequence[str]:
        """See the port."""
        return sorted(self._providers)

    async def lanes(self) -> Sequence[LaneView]:
        """See the port."""
        return [await lane.view() for lane in self._lanes]

    def went_back(self) -> StateRollback:
        """See the port."""
        places, since = self._marks.seen()
        return StateRollback(places, since, self._marks.recovering)

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
        return self._host.now()


class MonitoredProvider:
    """See region.ports.inspecting.ProviderTrial. Its keys are asked about all the time; this tells what came of it."""

    def __init__(self, name: str, owners: Owners) -> None:
        self._name = name
        self._owners = owners

    async def try_out(self) -> Mapping[str, str]:
        """See the port."""
        return self._owners.told(self._name)
