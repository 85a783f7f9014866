"""Tasks are packed into signed messages, and the messages are published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.flow.pack import PackedMessage, PackResult, pack
from gateway.ports.lanes import BrokerFault, Publisher
from gateway.ports.security import Signs
from gateway.ports.store import Claimed


class Sender:
    """Sends tasks in messages of at most `most`."""

    def __init__(self, *, publisher: Publisher, signer: Signs, most: int) -> None:
        self._publisher = publisher
        self._signer = signer
        self._most = most

    def pack(self, tasks: Iterable[Claimed]) -> PackResult:
        """The messages that these tasks make, and the tasks that cannot be packed."""
        return pack(tasks, self._most, self._signer)

    async def publish(self, lane_messages: Sequence[PackedMessage]) -> list[tuple[PackedMessage, BrokerFault | None]]:
        """Each message with what kept it from being sent; None when nothing did."""
        fates = await self._publisher.publish([each.lane_message for each in lane_messages]) if lane_messages else ()
        return list(zip(lane_messages, fates, strict=True))
