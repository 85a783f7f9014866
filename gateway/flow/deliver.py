"""The lane stream: messages go from a queue to a region unparsed; acknowledgements and reports come back.

A message leaves the broker only after the region said that it is in its journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from orbital.v1.dispatch_pb2 import Open, SubscribeRequest, SubscribeResponse

from gateway.flow.announce import Announcements
from gateway.flow.contacts import Contacts
from gateway.flow.sources import LaneSources
from gateway.flow.stream import LaneStream
from gateway.flow.stream_intake import StreamIntake
from runtime.errors import Denied, Invalid
from runtime.fields import check_length

MAX_CREDIT = 256  # messages that a region may have without an answer


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """The lanes that are served, and seconds: between beats, of a stream's life, of grace for silent placements."""

    lanes: frozenset[int]
    beat: float
    lifetime: float
    grace: float


class Deliver:
    """Serves lane streams. `ended` raises Denied once the region is revoked."""

    def __init__(
        self,
        *,
        sources: LaneSources,
        intake: StreamIntake,
        announcements: Announcements,
        contacts: Contacts,
        ended: Callable[[str], Awaitable[None]],
        settings: StreamSettings,
    ) -> None:
        self.sources = sources
        self.intake = intake
        self.announcements = announcements
        self.ended = ended
        self.settings = settings
        self._contacts = contacts

    async def serve(
        self,
        principal: str,
        region: str,
        requests: AsyncIterator[SubscribeRequest],
        send: Callable[[SubscribeResponse], Awaitable[None]],
    ) -> None:
        """Serve one stream until it is too old or an end of it is lost; `region` is what the sidecar authorised."""
        opening = await _open(requests, region, self.settings.lanes)
        await self._contacts.give_grace(region, opening.lane, self.settings.grace)
        try:
            async with (
                self._contacts.opened(region, opening.lane, opening.transport),
                asyncio.timeout(self.settings.lifetime) as age,
            ):
                await LaneStream(self, principal, opening, requests, send).run()
        except TimeoutError:
            if not age.expired():
                raise


async def _open(requests: AsyncIterator[SubscribeRequest], region: str, lanes: frozenset[int]) -> Open:
    async with asyncio.timeout(10):
        first = await anext(requests, None)
    if first is None or first.WhichOneof("message") != "open":
        raise Invalid("The first message of a lane stream is Open", field="open")
    opening = first.open
    if opening.region != region:
        raise Denied(
            f"The caller is region {region!r} and cannot open a lane of {opening.region!r}", reason="OTHER_REGION"
        )
    if opening.lane not in lanes:
        raise Invalid(f"open.lane is {opening.lane}; this process serves {sorted(lanes)}", field="open.lane")
    check_length(opening.credit, 1, MAX_CREDIT, "open.credit", "messages")
    return opening
