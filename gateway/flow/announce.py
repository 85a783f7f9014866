"""What a lane stream tells its region: at its opening, and with each proof of life."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from orbital.v1.audit_pb2 import SignedAuditHead
from orbital.v1.dispatch_pb2 import Beat, Open, Opened

from gateway.flow.contacts import Contacts
from gateway.flow.holdings import Holdings
from gateway.flow.state import States


class Announcements:
    """Words to regions; a stream ends `lifetime` seconds after its opening."""

    def __init__(
        self,
        *,
        contacts: Contacts,
        states: States,
        holdings: Holdings,
        audit_head: Callable[[], SignedAuditHead | None],
        clock: Callable[[], datetime],
        lifetime: float,
    ) -> None:
        self._contacts = contacts
        self._states = states
        self._holdings = holdings
        self._audit_head = audit_head
        self._clock = clock
        self._lifetime = lifetime

    async def opened(self, opening: Open) -> Opened:
        """The answer to an opening, whose marks are kept; raises Invalid naming the field that cannot be kept."""
        opened = Opened()
        opened.expire_time.FromDatetime(self._clock() + timedelta(seconds=self._lifetime))
        opened.lifetime.FromTimedelta(timedelta(seconds=self._lifetime))
        await self._states.opening(opening, opened)
        await self._holdings.opening(opening, opened)
        return opened

    @contextmanager
    def current(self, opening: Open) -> Iterator[None]:
        """What beats tell the region is kept up to date inside the block."""
        with self._states.held(opening.region), self._holdings.open(opening):
            yield

    def beat(self, opening: Open) -> Beat:
        """A proof of life."""
        beat = Beat(audit_head=self._audit_head(), transport=self._contacts.transport(opening.region))
        beat.sent_at.FromDatetime(self._clock())
        self._states.tell(opening.region, beat)
        self._holdings.tell(opening, beat)
        return beat
