"""The fuse: how much one person may take away by one call. What takes away more waits for a second person."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orbital.v1.approval_pb2 import Removal

from gateway.domain.change import Plan
from gateway.domain.departure import Places
from gateway.domain.stored import Stored
from runtime.errors import Precondition

REASON = "PLACEMENTS_LEAVE"
# A person looks over so many names; the numbers tell the rest.
MOST_NAMED = 100


@dataclass(frozen=True, slots=True)
class Fuse:
    """More than this share of what a call is about, and at least so many, is not for one person alone.

    `seconds`: how long it then waits for a second one.
    """

    share: float = 0.1
    least: int = 5
    seconds: float = 900.0

    def blows(self, removal: Removal) -> bool:
        """Whether this takes away more than one person may."""
        return removal.removed >= self.least and removal.removed > self.share * removal.total


def departures(plan: Plan, places: Places) -> Removal:
    """What a declaration takes out of regions, out of the placements that it is about."""
    placed = sum(not place.leaving for here in places.values() for place in here.values())
    lost = {name: regions for name, regions in plan.leaves.items() if regions}
    return _removal("declare", sum(map(len, lost.values())), placed, lost)


def retirements(plan: Plan, stored: Mapping[str, Stored]) -> Removal:
    """What a retirement takes away, out of the resources of the tenants that it is about."""
    living = sum(not item.resource.retired for item in stored.values())
    lost = {item.resource.name: plan.regions.get(item.resource.name, frozenset()) for item in plan.wanted}
    return _removal("retire", len(lost), living, lost)


def subject(removal: Removal) -> str:
    """What a removal is about: the one tenant, or the first and how many more."""
    tops = list(dict.fromkeys("/".join(name.split("/")[:2]) for name in removal.resources))
    return tops[0] if len(tops) == 1 else f"{tops[0]} and {len(tops) - 1} more"


def digest(plan: Plan) -> str:
    """Tells one plan from every other: what is approved is what was asked for, to the generation."""
    told = hashlib.sha256()
    for item in sorted(plan.wanted, key=lambda one: one.resource.name):
        regions = sorted(plan.leaves.get(item.resource.name, ()))
        told.update(repr((item.resource.name, item.generation, item.resource.retired, regions)).encode())
        told.update(item.resource.SerializeToString(deterministic=True))
    return told.hexdigest()


def check_accepted(removal: Removal, accepted: int) -> None:
    """Raise Precondition unless the caller has seen how many placements leave, and says that it is meant."""
    if removal.removed != accepted:
        raise Precondition(
            f"This takes {removal.removed} of {removal.total} placements out of {', '.join(removal.regions[:5])}, "
            f"where their keys are purged. Look at it (orbital diff) and ask for it (orbital apply --accept-departures "
            f"{removal.removed} --reason TEXT); another person then approves it",
            reason=REASON,
            field="accept_departures",
        )


def _removal(change: str, removed: int, total: int, lost: Mapping[str, Iterable[str]]) -> Removal:
    regions = sorted({region for here in lost.values() for region in here})
    return Removal(change=change, removed=removed, total=total, regions=regions, resources=sorted(lost)[:MOST_NAMED])
