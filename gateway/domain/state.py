"""How far regions' states are known to have been, and what to do about one that went back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orbital.v1.dispatch_pb2 import Recovery, StateMark
from orbital.v1.resource_pb2 import Resource

from gateway.domain.task import drive_kind
from runtime.errors import Invalid
from runtime.fields import check_length
from runtime.kinds import LANES

# PostgreSQL's bigint.
MOST = 2**63 - 1
STORES = frozenset({"openbao", "journal"})


@dataclass(frozen=True, slots=True)
class Placed:
    """A resource in the region, as it is desired."""

    resource_id: int
    resource: Resource
    effect_generation: int


def again(placed: Iterable[Placed]) -> list[tuple[int, int, int]]:
    """(resource, kind, lane) of the task that brings each about in a region of which nothing is known."""
    kinds = ((each.resource_id, drive_kind(each.resource, each.effect_generation, 0)) for each in placed)
    return [(resource_id, kind, LANES[kind]) for resource_id, kind in kinds]


def pace(done: int, total: int, seconds: float) -> tuple[float, float | None]:
    """How many a second were done, and how many seconds the rest takes so; None while nothing is done."""
    if done >= total:
        return (done / seconds if seconds > 0 else 0.0), 0.0
    if not done or seconds <= 0:
        return 0.0, None
    return done / seconds, (total - done) * seconds / done


def check_mark(mark: StateMark, where: str) -> None:
    """Raise Invalid naming the field of a mark that cannot be kept."""
    if mark.journal not in LANES.values():
        raise Invalid(f"{where}.journal is {mark.journal}, which is no lane", field=f"{where}.journal")
    check_length(len(mark.epoch), 1, 64, f"{where}.epoch")
    if not mark.epoch.isascii() or not mark.epoch.isalnum():
        raise Invalid(f"{where}.epoch has other characters than letters and digits", field=f"{where}.epoch")
    for name, number in (("term", mark.term), ("sequence", mark.sequence)):
        if number > MOST:
            raise Invalid(f"{where}.{name} is {number}; at most {MOST} is kept", field=f"{where}.{name}")


def check_recovery(recovery: Recovery, where: str) -> None:
    """Raise Invalid naming the field of a recovery that cannot be kept."""
    check_length(len(recovery.id), 1, 64, f"{where}.id")
    if not recovery.id.isascii() or not recovery.id.isalnum():
        raise Invalid(f"{where}.id has other characters than letters and digits", field=f"{where}.id")
    if not recovery.stores or not STORES.issuperset(recovery.stores) or len(recovery.stores) > len(STORES):
        expected = ", ".join(sorted(STORES))
        raise Invalid(f"{where}.stores names something else than {expected}", field=f"{where}.stores")
