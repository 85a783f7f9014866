"""What one lane has in hand: the scopes that are being worked on, and outcomes on their way into the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from region.domain import work
from region.domain.names import parse
from region.domain.work import Entry, Settled
from runtime.errors import Invalid, Unavailable

Scope = tuple[str, str]


class Scopes:
    """One lock a (tenant, System), shared by the lanes of a process."""

    def __init__(self) -> None:
        self._locks: dict[Scope, asyncio.Lock] = {}

    def lock(self, scope: Scope) -> asyncio.Lock:
        """The lock of that scope."""
        return self._locks.setdefault(scope, asyncio.Lock())


class InFlight:
    """The entries that were taken and are not settled yet, by the scope whose turn they are."""

    def __init__(self) -> None:
        self._entries: dict[Scope, Sequence[Entry]] = {}
        self._over: dict[Scope, asyncio.Event] = {}
        self._resources: set[str] = set()
        self.rows: set[int] = set()

    @property
    def scopes(self) -> int:
        """How many scopes are being worked on."""
        return len(self._entries)

    def begin(self, scope: Scope, entries: Sequence[Entry]) -> None:
        """These are worked on from now on, in turn; nothing of the scope may be in flight."""
        assert scope not in self._entries
        self._entries[scope], self._over[scope] = entries, asyncio.Event()
        self._resources.update(entry.resource for entry in entries)
        self.rows.update(entry.row for entry in entries)

    def end(self, scope: Scope) -> None:
        """They are settled."""
        entries = self._entries.pop(scope)
        self._resources.difference_update(entry.resource for entry in entries)
        self.rows.difference_update(entry.row for entry in entries)
        self._over.pop(scope).set()

    def free(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those that need not wait: what is held of the others is known only once what is in flight is settled."""
        return [entry for entry in entries if not (self._entries and self._blocks(entry))]

    def _blocks(self, entry: Entry) -> bool:
        if entry.resource in self._resources:
            return True
        try:
            return work.scope(entry.task, parse(entry.resource)) in self._entries
        except Invalid:
            # It is refused without being worked on.
            return False

    async def after_own(self, scope: Scope) -> None:
        """Return when a tenant's own tasks that were taken before are settled: those of its Systems come after them."""
        tenant, system = scope
        if system and (over := self._over.get((tenant, ""))):
            await over.wait()


@dataclass(slots=True)
class _Batch:
    rows: list[Settled] = field(default_factory=list)
    kept: bool = False


class Commits:
    """Makes outcomes durable: what comes while a transaction is under way shares the next one.

    `linger`: the seconds for which one that holds so many rows waits for more, before it begins.
    """

    def __init__(
        self, commit: Callable[[list[Settled]], Awaitable[None]], linger: Callable[[int], float] = lambda _: 0.0
    ) -> None:
        self._commit = commit
        self._linger = linger
        self._next = _Batch()
        self._turn = asyncio.Lock()

    async def keep(self, rows: Sequence[Settled]) -> None:
        """Return when these rows are in the journal; raises what the journal raised."""
        batch = self._next
        batch.rows += rows
        async with self._turn:
            if batch is self._next:
                if seconds := self._linger(len(batch.rows)):
                    await asyncio.sleep(seconds)
                self._next = _Batch()
                await self._commit(batch.rows)
                batch.kept = True
        if not batch.kept:
            raise Unavailable("The journal did not take what came of the tasks", reason="JOURNAL_UNAVAILABLE")
