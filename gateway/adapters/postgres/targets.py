"""What changes still have to bring about once later ones have taken their placements over, and when a change ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from orbital.v1.task_pb2 import TaskKind

from gateway.adapters.postgres.database import Session
from gateway.domain.task import takes_back
from runtime.kinds import RETIRING, REVOKING


@dataclass(frozen=True, slots=True)
class Move:
    """The generation that a placement is to reach next, with the kind and lane of the task that brings it there."""

    resource_id: int
    region: str
    kind: int
    lane: int
    generation: int
    # It leaves its region by this, or comes back to it.
    leaving: bool = False
    returns: bool = False

    @property
    def takes_back(self) -> tuple[TaskKind.ValueType, ...]:
        """The kinds of revocation that it takes back; a return also the departure that came before it."""
        return takes_back(self.kind) + (RETIRING if self.returns else ())


async def take_over(session: Session, moves: Sequence[Move], correlation_id: str) -> set[str]:
    """Record what these placements owe to earlier changes, before the placements are given to this one.

    Returns those changes: once the placements are given, there may be nothing left of them.
    """
    if not moves:
        return set()
    places = [move.resource_id for move in moves], [move.region for move in moves]
    displaced = await session.fetch("displace", *places, correlation_id, list(REVOKING))
    ended = {row["correlation_id"] for row in displaced}
    back = [(move, move.takes_back) for move in moves]
    for kinds in {kinds for _, kinds in back if kinds}:
        here = [move for move, of in back if of == kinds]
        rows = await session.fetch(
            "supersede_targets",
            [move.resource_id for move in here],
            [move.region for move in here],
            correlation_id,
            list(kinds),
        )
        ended |= {row["correlation_id"] for row in rows}
    return ended


async def record(session: Session, moves: Iterable[Move], correlation_id: str) -> None:
    """Record the revocations of a change: they have to be carried out whatever comes later."""
    rows = [(one.resource_id, one.region, one.generation, one.kind, one.lane) for one in moves if one.kind in REVOKING]
    if rows:
        await session.execute("insert_targets", *zip(*rows, strict=True), correlation_id)


async def converge(session: Session, correlations: Collection[str]) -> None:
    """End those of these changes of which nothing is left to do."""
    if correlations:
        await session.execute("converge", sorted(correlations))
