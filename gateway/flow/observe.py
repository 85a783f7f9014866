"""What regions say of their edges, stored together for all calls of this process."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.edge import check_observed, check_uses
from gateway.ports.edges import EdgeStore, Observation
from runtime.errors import Invalid
from runtime.group_commit import GroupCommit

MOST_OBSERVATIONS = 500  # kept in one statement
# A region sends one at a time: this is more than there are regions.
WAITING_OBSERVATIONS = 20_000


class ObserveFlow:
    """Collects observations while the store is busy with those before."""

    def __init__(self, store: EdgeStore) -> None:
        self._store = store
        self._commit = GroupCommit[Observation](self._keep, most=MOST_OBSERVATIONS, bound=WAITING_OBSERVATIONS)

    async def submit(self, observation: Observation) -> None:
        """Return once it is durable; raises Invalid naming the field, or Unavailable when the store is away."""
        if observation.sent_at <= 0:
            raise Invalid("send_time is missing", field="send_time")
        check_observed(observation.edges)
        check_uses(observation.uses)
        for error in (await self._commit.submit([observation])).values():
            raise error

    async def run(self) -> None:
        """Store what was submitted, until cancelled."""
        await self._commit.run()

    async def _keep(self, observations: Sequence[Observation]) -> None:
        # Of one region the last word counts.
        await self._store.store(list({each.region: each for each in observations}.values()))
