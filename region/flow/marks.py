"""Finds that the region's state went back to an older copy, serves nothing meanwhile, and has it driven again.

See docs/adr/0021-state-that-went-back-is-noticed.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import cast

from orbital.v1 import dispatch_pb2 as pb
from orbital.v1.resource_pb2 import Resource

from region.domain.mark import StateMark, StateStore, behind, newest, recovered, went_back
from region.flow.signals import Wakeup
from region.ports.host import Host
from region.ports.marks import MarkJournal, MarkReader
from region.ports.vault import Store
from runtime.errors import Conflict, Unavailable
from runtime.lifecycle import Backoff
from runtime.logs import get_logger

log = get_logger(__name__)

# Beside what it asks before each load of a key.
LOOK = 1.0
TRIES = 5
# A start is taken for an isolated one when the control plane was not heard for so long; until then nothing is served.
ISOLATED_AFTER = 10.0
# How long a call waits for the control plane's word after a start.
PATIENCE = 3.0
# Said so long after it is over, so that nobody who looks now and then misses it.
REMEMBERED = 60.0
WENT_BACK = "STATE_WENT_BACK"


class StateMarks:
    """The marks of one process, called by its lowest lane; implements `Marker` and `Proof`.

    `others` are the journals of the region's other processes, by the same name; who serves looks at their marks too.
    """

    def __init__(
        self,
        process: int,
        store: Store,
        journal: MarkJournal,
        host: Host,
        others: Mapping[int, MarkReader],
        forget: Callable[[], None],
    ) -> None:
        self._process = process
        self._store = store
        self._journal = journal
        self._host = host
        self._others = others
        self._forget = forget
        self._began = asyncio.get_running_loop().time()
        self._own: StateMark | None = None
        self._revision = 0
        self._loaded = False
        self._known: dict[int, StateMark] = {}
        self._confirmed: StateMark | None = None
        self._elsewhere = False
        self._heard = asyncio.Event()
        self._turn = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._asked = self._answered = 0
        self._changed = asyncio.Event()
        self._wake = Wakeup()
        self._word, self._said, self._over = False, cast("StateMark | None", None), set[str]()
        self.recovery: pb.Recovery | None = None
        self.places: frozenset[StateStore] = frozenset()
        self.since: float | None = None

    # What is told.

    @property
    def recovering(self) -> bool:
        """Whether nothing may be served because something of the region went back."""
        return self.recovery is not None or self._elsewhere

    def told(self) -> pb.StateMark | None:
        """The mark of this process, for the control plane."""
        own = self._own
        if own is None or self.recovery is not None:
            return None
        return pb.StateMark(journal=self._process, term=own.term, epoch=own.epoch, sequence=own.sequence)

    def seen(self) -> tuple[list[str], float | None]:
        """What went back, and since when; nothing once it is long over."""
        if self.since is None or (not self.recovering and self._host.now() > self.since + REMEMBERED):
            return [], None
        return sorted(self.places), self.since

    def heard(self, marks: Iterable[pb.StateMark], over: Iterable[str] = ()) -> None:
        """What the control plane knows of the region's processes, and which recoveries are over; `run` goes by it."""
        for each in marks:
            known = StateMark(each.term, each.epoch, each.sequence)
            if each.journal == self._process:
                self._said = known
            self._known[each.journal] = newest(self._known.get(each.journal), known) or known
        self._over = {*over}
        self._word = True
        self._wake.give()

    def control_plane_went_back(self) -> None:
        """The control plane says that its own database was restored from an older copy."""
        if StateStore.CONTROL_PLANE not in self.places or not self.seen()[0]:
            log.error("control_plane_went_back")
        self._note({StateStore.CONTROL_PLANE})

    async def held(self) -> Mapping[str, Resource]:
        """What the region's processes did last of each resource, as its task said; raises Unavailable."""
        newest: dict[str, Resource] = {}
        for ledger in (self._journal, *self._others.values()):
            for body in await ledger.resources():
                resource = Resource.FromString(body)
                before = newest.get(resource.name)
                if before is None or before.generation < resource.generation:
                    newest[resource.name] = resource
        return newest

    async def _confirm(self, known: StateMark) -> None:
        """The control plane itself may have gone back; what it has confirmed once, it has to know."""
        if self._confirmed is None:
            self._confirmed = await self._journal.confirmed()
        if self._confirmed is not None and behind(known, self._confirmed):
            if StateStore.CONTROL_PLANE not in self.places or not self.seen()[0]:
                log.error("control_plane_went_back", confirmed=asdict(self._confirmed), known=asdict(known))
            self._note({StateStore.CONTROL_PLANE})
        elif known != self._confirmed:
            self._confirmed = known
            await self._journal.keep_confirmed(known)

    def _note(self, places: Iterable[StateStore]) -> None:
        fresh = self.seen()[1] is None
        self.places = frozenset(places) if fresh else self.places | frozenset(places)
        self.since = self._host.now() if fresh else self.since

    # What is proven.

    def refuse(self) -> None:
        """See region.ports.marks.Proof."""
        if self.recovering:
            places = " and ".join(sorted(self.places)) or "another process's state"
            raise Unavailable(
                f"The region's state went back to an older copy ({places}); nothing is served until it is current",
                reason=WENT_BACK,
            )

    async def prove(self) -> None:
        """See region.ports.marks.Proof."""
        await self.look()
        self.refuse()
        waited = asyncio.get_running_loop().time() - self._began
        if not self._heard.is_set() and waited < ISOLATED_AFTER:
            try:
                async with asyncio.timeout(min(PATIENCE, ISOLATED_AFTER - waited)):
                    await self._heard.wait()
            except TimeoutError:
                if asyncio.get_running_loop().time() - self._began < ISOLATED_AFTER:
                    raise Unavailable(
                        "The region has just started, and the control plane has not said whether its state is current",
                        reason="STATE_UNPROVEN",
                    ) from None
            self.refuse()

    async def look(self) -> None:
        """Compare all that is known now; those who ask while this is under way share the next answer."""
        self._asked += 1
        ticket = self._asked
        async with self._looking:
            if ticket > self._answered:
                covered = self._asked
                await self._look()
                self._answered = covered

    async def run(self) -> None:
        """Compare every so often and at each word of the control plane, for ever."""
        while True:
            try:
                await self.step()
            except Unavailable as error:
                log.debug("state_not_compared", reason=error.reason)
            except Conflict:
                continue
            await self._wake.wait(LOOK)

    async def step(self) -> None:
        """Take in what was heard, end a recovery that is over, and compare."""
        word, said = self._word, self._said
        if said is not None:
            await self._confirm(said)
        if self.recovery is not None and self.recovery.id in self._over:
            await self._recovered()
        await self.look()
        if word:
            self._heard.set()

    async def _look(self) -> None:
        # What OpenBao has is read after what it is compared with, so that work under way is never taken for a loss.
        known = dict(self._known)
        others = {name: newest(known.get(name), await ledger.mark()) for name, ledger in self._others.items()}
        before = self._own if self._loaded else await self._journal.mark()
        vault, revision = await self._read(self._process)
        self._revision = max(self._revision, revision)
        if not self._loaded or (behind(self._own, vault) and self._own and vault != self._own.next()):
            # A predecessor of this process may have written last.
            self._own = await self._journal.mark()
        mine = known.get(self._process)
        found = (went_back(vault, before, mine) & {StateStore.OPENBAO}) | (
            went_back(vault, self._own, mine) & {StateStore.JOURNAL}
        )
        if not found and not self._loaded:
            await self._take_up(vault)
        elsewhere = [name for name, wanted in others.items() if behind((await self._read(name))[0], wanted)]
        if elsewhere and not self._elsewhere:
            self._note({StateStore.OPENBAO})
            log.error("state_went_back", places=[StateStore.OPENBAO], process=elsewhere[0])
            self._forget()
        self._loaded, self._elsewhere = True, bool(elsewhere)
        if found and self.recovery is None:
            await self._begin(found)

    async def _take_up(self, vault: StateMark | None) -> None:
        """Nothing went back: go on from here, or begin where nothing was ever marked."""
        if vault is None:
            vault = StateMark(1, self._host.entropy(16).hex(), 0)
            self._revision = await self._write(vault)
        if vault != self._own:
            await self._journal.keep_mark(vault)
            self._own = vault

    # What is done about it.

    async def _begin(self, found: frozenset[StateStore]) -> None:
        self._note(found)
        log.error("state_went_back", places=sorted(found), process=self._process)
        self.recovery = pb.Recovery(id=self._host.entropy(16).hex(), stores=sorted(found))
        self._forget()
        await self._journal.start_over()
        self._changed.set()
        self._changed = asyncio.Event()

    async def begun(self, carried: str) -> None:
        """Return once there is a recovery of another ID than `carried`."""
        while self.recovery is None or self.recovery.id == carried:
            await self._changed.wait()

    async def _recovered(self) -> None:
        async with self._turn:
            vault, self._revision = await self._read(self._process)
            mark = recovered(self._host.entropy(16).hex(), vault, self._own, self._known.get(self._process))
            self._revision = await self._write(mark)
            await self._journal.keep_mark(mark)
            self._own, self.recovery = mark, None
        self.since = self._host.now()
        log.info("state_recovered", term=mark.term, process=self._process)

    @asynccontextmanager
    async def advance(self) -> AsyncIterator[StateMark | None]:
        """See region.ports.marks.Marker."""
        async with self._turn:
            mark = await self._next()
            yield mark
            if mark is not None:
                self._own = mark

    async def _next(self) -> StateMark | None:
        """OpenBao has the next mark now; None during a recovery, at whose end a new one begins."""
        backoff = Backoff(self._host.random, first=0.05, most=1.0)
        for attempt in range(TRIES):
            try:
                if not self._loaded:
                    await self.look()
                if self.recovery is not None or self._own is None:
                    return None
                self._revision = await self._write(self._own.next())
                return self._own.next()
            except Conflict:
                await self.look()
            except Unavailable:
                if attempt == TRIES - 1:
                    raise
                await self._host.sleep(backoff.next())
        raise Conflict("The mark of the region's state kept changing", reason="CHANGED")

    async def _read(self, process: int) -> tuple[StateMark | None, int]:
        stored = await self._store.read(f"marks/{process}")
        if stored is None:
            return None, 0
        fields = stored.fields
        return StateMark(int(fields["term"]), str(fields["epoch"]), int(fields["sequence"])), stored.revision

    async def _write(self, mark: StateMark) -> int:
        return await self._store.write(f"marks/{self._process}", asdict(mark), self._revision)
