"""What follows from a region's health, as policy says: lanes are held while it is out of sync, and released after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orbital.v1.flag_pb2 import HealthStatus

from gateway.domain.health import verdict
from gateway.ports.flags import Hold, HoldStore, Signal
from gateway.ports.policy import Policy
from runtime.errors import Unavailable
from runtime.logs import get_logger
from runtime.wellknown import label

log = get_logger(__name__)

LANES = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class Health:
    """What the policy is asked by: a status, and the reasons of the flags that are as bad as that."""

    status: str
    reasons: tuple[str, ...]


class Effects:
    """Asks once for every change of a region's health."""

    def __init__(self, policy: Policy, store: HoldStore) -> None:
        self._policy = policy
        self._store = store
        self._decided: dict[str, Health] = {}

    async def follow(self, signals: Sequence[Signal]) -> None:
        """Hold and release. What could not be decided stays as it is, and is asked again with the next signal."""
        changed = {each.region: found for each in signals if (found := health(each)) != self._decided.get(each.region)}
        if not changed:
            return
        asked = [
            {"id": f"{region}/{lane}", "region": region, "lane": lane, "status": found.status, "reasons": found.reasons}
            for region, found in changed.items()
            for lane in LANES
        ]
        try:
            decisions = await self._policy.decide("effects", {"lanes": asked}, [str(each["id"]) for each in asked])
            holds = [
                Hold(region, lane, why.reason, why.message, decisions.decision_id)
                for region in changed
                for lane in LANES
                if (why := decisions.refused.get(f"{region}/{lane}")) is not None
            ]
            await self._store.hold(sorted(changed), holds)
        except Unavailable as error:
            log.warning("effects of health wait", regions=sorted(changed), reason=error.reason)
            return
        self._decided |= changed
        log.info("effects", held=[f"{hold.region} lane {hold.lane}" for hold in holds], regions=sorted(changed))


def health(signal: Signal) -> Health:
    """What a signal says of its region."""
    status, _ = verdict(signal.flags)
    reasons = sorted(f"{flag.component} {flag.reason}" for flag in signal.flags if flag.status == status)
    return Health(label(HealthStatus, status, "HEALTH_STATUS_").lower(), tuple(reasons))
