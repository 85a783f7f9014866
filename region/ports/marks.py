"""Where marks of a process's state are kept beside OpenBao."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from region.domain.mark import StateMark


class Marker(Protocol):
    """Moves the mark of a process's state on, in the order that makes an older copy known."""

    def advance(self) -> AbstractAsyncContextManager[StateMark | None]:
        """The mark that the journal has to keep with the effects of the block; None while there is none to keep."""


class MarkReader(Protocol):
    """A journal's mark, for whoever only reads."""

    async def mark(self) -> StateMark | None:
        """The newest mark; None in a journal that has none yet."""

    async def resources(self) -> Sequence[bytes]:
        """Serialized resources as their tasks said, done or still to be done; one that only left is not retired."""


class MarkJournal(MarkReader, Protocol):
    """The journal as the keeper of marks."""

    async def keep_mark(self, mark: StateMark) -> None:
        """Replace the mark by this one."""

    async def confirmed(self) -> StateMark | None:
        """The newest mark of this process that the control plane said it had."""

    async def keep_confirmed(self, mark: StateMark) -> None:
        """Replace what the control plane has confirmed."""

    async def start_over(self) -> None:
        """Forget what was done and said, so that whatever is driven again is done again; what is pending stays."""


class Proof(Protocol):
    """Whether what the region holds is current, as whoever serves has to know it."""

    def refuse(self) -> None:
        """Raise Unavailable while the region's state is known to have gone back; costs nothing."""

    async def prove(self) -> None:
        """Return when OpenBao's state was just compared and is current; raises Unavailable where it is not."""


class Proven:
    """Implements `Proof` where nobody can be behind: everything is current."""

    def refuse(self) -> None:
        """Never raises."""

    async def prove(self) -> None:
        """Return at once."""
