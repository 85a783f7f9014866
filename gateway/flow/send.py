"""Tasks are packed into signed messages, and the messages are published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.flow.pack import Load, Packed, pack
from gateway.ports.lanes import Publisher, Trouble
from gateway.ports.security import Signs
from gateway.ports.store import Claimed


class Sender:
    """Sends tasks in messages of at most `most`."""

    def __init__(self, *, publisher: Publisher, signer: Signs, most: int) -> None:
        self._publisher = publisher
        self._signer = signer
        self._most = most

    def pack(self, tasks: Iterable[Claimed]) -> Load:
        """The messages that these tasks make, and the tasks that cannot be packed."""
        return pack(tasks, self._most, self._signer)

    async def publish(self, messages: Sequence[Packed]) -> list[tuple[Packed, Trouble | None]]:
        """Each message with what kept it from being sent; None when nothing did."""
        fates = await self._publisher.publish([each.parcel for each in messages]) if messages else ()
        return list(zip(messages, fates, strict=True))
