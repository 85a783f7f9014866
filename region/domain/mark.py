"""How far a process's state is, and which of the places that keep this went back to an older copy.

A mark is written to OpenBao, to the journal and, with the reports, to the control plane, in this order. So none of them
can be behind one that comes after it, unless it was restored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class StateStore(StrEnum):
    """What can be restored from an older copy."""

    OPENBAO = "openbao"
    JOURNAL = "journal"
    CONTROL_PLANE = "control_plane"


@dataclass(frozen=True, slots=True)
class StateMark:
    """`sequence` batches of effects in the `epoch` of this `term`."""

    term: int
    epoch: str
    sequence: int

    def next(self) -> StateMark:
        """The mark of one more batch of effects."""
        return StateMark(self.term, self.epoch, self.sequence + 1)


def behind(mark: StateMark | None, other: StateMark | None) -> bool:
    """Whether `mark` fails to prove that it holds all that `other` does; two epochs of one term prove nothing."""
    if other is None:
        return False
    if mark is None or mark.term != other.term:
        return mark is None or mark.term < other.term
    return mark.epoch != other.epoch or mark.sequence < other.sequence


def went_back(vault: StateMark | None, journal: StateMark | None, known: StateMark | None) -> frozenset[StateStore]:
    """The stores of a process that went back, by what its OpenBao, its journal and the control plane say of it.

    A journal that lacks the newest batch alone is what a crash leaves between the two writes.
    """
    found = set()
    if behind(vault, journal) or behind(vault, known):
        found.add(StateStore.OPENBAO)
    crashed = journal is not None and vault == journal.next()
    if behind(journal, known) or (behind(journal, vault) and not crashed):
        found.add(StateStore.JOURNAL)
    return frozenset(found)


def newest(*marks: StateMark | None) -> StateMark | None:
    """The mark that none of the others is behind of, by term and then by sequence."""
    return max((mark for mark in marks if mark), key=lambda mark: (mark.term, mark.sequence), default=None)


def recovered(epoch: str, *marks: StateMark | None) -> StateMark:
    """The first mark after a recovery: newer than each of these, and of an epoch of its own."""
    term = max((mark.term for mark in marks if mark), default=0)
    sequence = max((mark.sequence for mark in marks if mark), default=0)
    return StateMark(term + 1, epoch, sequence + 1)
