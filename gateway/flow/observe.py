"""What regions say of their edges, stored together for all calls of this process."""

from __future__ import annotations

from gateway.domain.edge import check_observed, check_uses
from gateway.flow.latest import Latest
from gateway.ports.edges import EdgeStore, Observation
from runtime.errors import Invalid

MOST_OBSERVATIONS = 500


class ObserveFlow:
    """Collects observations while the store is busy with those before."""

    def __init__(self, store: EdgeStore) -> None:
        self._latest = Latest[Observation](store.store, MOST_OBSERVATIONS)

    async def submit(self, observation: Observation) -> None:
        """Return once it is durable; raises Invalid naming the field, or Unavailable when the store is away."""
        if observation.sent_at <= 0:
            raise Invalid("send_time is missing", field="send_time")
        check_observed(observation.edges)
        check_uses(observation.uses)
        await self._latest.submit(observation.region, observation)

    async def run(self) -> None:
        """Store what was submitted, until cancelled."""
        await self._latest.run()
