"""Asks the customers' L1 providers, all the time, whether the owners still allow what they allowed.

Refused: every System of that L1 is revoked here, as fast as by a task of lane 0, and comes back when the owner allows
it again. Not reached: the region serves on, and says since when.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orbital.v1 import resource_pb2 as rpb
from orbital.v1 import task_pb2 as pb

from region.domain import destroyed, keys
from region.domain.names import Kind, Name
from region.domain.result import Result, done
from region.domain.work import Entry
from region.flow.outcome import Decided, settled
from region.flow.receipts import Attempt, Receipts
from region.flow.signals import Wakeup
from region.handlers.link_key import link_key
from region.handlers.parts import Parts, read_link, read_system
from region.handlers.permit import ends, finish, revoke
from region.ports.journal import Journal
from region.ports.l1 import REFUSED, UNREACHABLE, Refused
from runtime.errors import Conflict, OrbitalError, Stalled, Unavailable
from runtime.lifecycle import task_group
from runtime.logs import get_logger

log = get_logger(__name__)

LANE = 0
WIDTH = 8
TRIES = 5
# Which L1 are in use is read again so many seconds later, and takes at most a hundredth of the time: whatever is served
# in between tells of itself, and a refusal reads at once.
READ_SECONDS = 60.0
READ_SHARE = 100


@dataclass(slots=True)
class OwnedKey:
    """An L1 that some System here is wrapped by: those Systems, and since when its provider was not reached, or 0.

    `unsettled` are those Systems for which an allowance means work: what was refused, and what broke off.
    """

    away_since: float
    refused: bool = False
    systems: set[Name] = field(default_factory=set)
    unsettled: set[Name] = field(default_factory=set)


def unknown(l1: keys.L1) -> float:
    """What is said of an L1 before it was first asked: an earlier process may have reported a provider as away."""
    return 0.0 if l1.provider == keys.HSM else -1.0


class Owners:
    """Runs in the process that serves. `seconds` between two questions about the same L1."""

    def __init__(
        self, region: str, journal: Journal, parts: Parts, receipts: Receipts, reports: Wakeup, seconds: float
    ) -> None:
        self._region = region
        self._journal = journal
        self._parts = parts
        self._receipts = receipts
        self._reports = reports
        self._seconds = seconds
        self._roots: dict[keys.L1, OwnedKey] = {}

    async def run(self) -> None:
        """Ask, for ever; a long list of Systems is read again less often."""
        read_at = took = 0.0
        while True:
            now = self._parts.host.now()
            if now >= read_at + max(READ_SECONDS, READ_SHARE * took):
                await self._read()
                read_at, took = now, self._parts.host.now() - now
            await self.ask_all(self._seconds)

    async def ask_all(self, seconds: float = 0.0) -> None:
        """One round of questions, one for each L1, spread over so many seconds: a burst would hold up what is served.

        When answers take longer there are several at once, and a pause after the round.
        """
        host, gate, asked = self._parts.host, asyncio.Semaphore(WIDTH), list(self._roots)
        begun, gap = host.now(), seconds / max(len(asked), 1)

        async def ask(l1: keys.L1) -> None:
            try:
                # What is known of it may have been read again since the round began.
                if root := self._roots.get(l1):
                    await self._ask(l1, root)
            finally:
                gate.release()

        async with task_group() as group:
            for index, l1 in enumerate(asked):
                # A clock that is set back holds up no question for longer than the next one's turn.
                await host.sleep(min(max(begun + gap * index - host.now(), 0.0), gap))
                await gate.acquire()
                group.create_task(ask(l1))
        # What is left of the round; after a longer one as long as it was over, at most another round.
        late = host.now() - begun - seconds
        await host.sleep(min(abs(late), seconds))

    def told(self, provider: str) -> Mapping[str, str]:
        """What the last questions to a provider found; raises Unavailable where it was not reached."""
        roots = [root for l1, root in self._roots.items() if l1.provider == provider]
        away = [root.away_since for root in roots if root.away_since > 0]
        if away:
            seconds = self._parts.host.now() - min(away)
            raise Unavailable(f"{provider} has not been reached for {seconds:.0f} s", reason=UNREACHABLE)
        refused = sum(root.refused for root in roots)
        return {"keys_in_use": str(len(roots)), "refused_by_their_owners": str(refused)}

    async def _read(self) -> None:
        """Learn which L1 are in use, or would be if their owner allowed it."""
        names: list[Name] = []
        for tenant in await self._parts.store.folders("systems"):
            names += [Name(Kind.SYSTEM, tenant, each) for each in await self._parts.store.names(f"systems/{tenant}")]
        gate = asyncio.Semaphore(WIDTH)

        async def read(name: Name) -> tuple[Name, keys.SystemRecord | None]:
            async with gate:
                try:
                    return name, (await read_system(self._parts, name))[0]
                except Stalled as error:
                    # Of one System; the others' owners are asked all the same.
                    log.error("record_unreadable", system=name.resource, reason=error.reason)
                    return name, None

        found = await asyncio.gather(*map(read, names))
        before, self._roots = self._roots, {}
        for name, record in found:
            if record is not None:
                self._note(name, record, before)

    def seen(self, name: Name, record: keys.SystemRecord) -> None:
        """A System is served: its L1 is asked about from now on, not from the next reading on."""
        self._note(name, record, self._roots)

    def _note(self, name: Name, record: keys.SystemRecord, before: Mapping[keys.L1, OwnedKey]) -> None:
        if record.key and (record.open or record.refused_at):
            known = before.get(record.l1) or OwnedKey(unknown(record.l1))
            root = self._roots.setdefault(record.l1, OwnedKey(known.away_since, known.refused))
            root.systems.add(name)
            if not (record.open and record.settled):
                root.unsettled.add(name)

    async def _ask(self, l1: keys.L1, root: OwnedKey) -> None:
        try:
            await self._parts.l1(l1.provider).ask(l1.key)
        except Refused as error:
            root.away_since, why = 0.0, error.message
            if not root.refused:
                # What was linked since the last look is revoked with the rest.
                await self._read()
                root = self._roots.get(l1, root)
                root.refused = True
            await self._each(root.systems, lambda system: self._revoke(system, l1, why))
        except Unavailable as error:
            if root.away_since <= 0:
                root.away_since = self._parts.host.now()
                log.warning("l1_unreachable", provider=l1.provider, reason=error.reason, error=error.message)
                await self._each(root.systems, lambda system: self._say_away(system, root.away_since))
        except OrbitalError as error:
            log.error("l1_not_asked", provider=l1.provider, reason=error.reason, error=error.message)
        else:
            back, told = bool(root.away_since), root.systems if root.away_since or root.refused else root.unsettled
            root.away_since, root.refused = 0.0, False
            root.unsettled = await self._each(told, lambda system: self._allow(system, l1, was_away=back))

    async def _each(self, systems: Iterable[Name], work: Callable[[Name], Awaitable[None]]) -> set[Name]:
        """Those that failed: they are tried again at the next question."""
        failed = set()
        for system in sorted(systems, key=lambda one: one.path):
            try:
                await work(system)
            except OrbitalError as error:
                log.warning("l1_not_settled", system=system.resource, reason=error.reason, error=error.message)
                failed.add(system)
        return failed

    async def _revoke(self, system: Name, l1: keys.L1, why: str) -> None:
        """Destroy the active L2 of a System whose L1 its owner refused, once; what broke off is finished."""
        for _ in range(TRIES):
            record, revision = await read_system(self._parts, system)
            if record is None or record.l1 != l1 or not (record.open or record.refused_at):
                return
            # To the millisecond, so that it is the same after a round through the store.
            now = record.refused_at if not record.open else round(self._parts.host.now(), 3)
            task = await self._task(system, record, pb.TASK_KIND_UNLINK_KEY, now)
            if not record.open and await self._journal.receipt(task.id):
                return
            async with self._receipts.attempt(task) as attempt:
                self._parts.cache.drop(system.tenant, system.system)
                try:
                    if record.open:
                        refused = record.refused(now, ends(self._parts))
                        gone_at = await revoke(self._parts, system, record, refused, revision)
                    else:
                        gone_at = await finish(self._parts, system)
                except Conflict:
                    continue
                if gone_at is None:
                    continue
                gone = destroyed.revoked(system.resource, gone_at)
                outcome = done(
                    task.resource.generation, "REFUSED", pb.KEY_STATE_DESTROYED, len(record.blobs), destroyed=gone
                )
                log.warning("l1_refused", system=system.resource, provider=l1.provider, error=why)
                await self._say(task, outcome, reason=REFUSED, message=f"{why}.", withdrawn=True, attempt=attempt)
            return
        raise Conflict("The System kept changing while it was revoked")

    async def _allow(self, system: Name, l1: keys.L1, *, was_away: bool) -> None:
        """Bring back what the owner had refused, or say that the provider is there again."""
        record, _ = await read_system(self._parts, system)
        if record is None or record.l1 != l1:
            return
        # What brought it back may have broken off; whoever else is at it has a turn.
        broken_off = record.open and not record.settled and not record.busy(self._parts.host.now())
        if not (record.refused_at or was_away or broken_off):
            return
        task = await self._task(system, record, pb.TASK_KIND_LINK_KEY, record.refused_at or self._parts.host.now())
        outcome = done(task.resource.generation, "LINKED", pb.KEY_STATE_ACTIVE, len(record.blobs))
        if record.refused_at or broken_off:
            link = Name(Kind.LINK, system.tenant, leaf=record.link)
            held, _ = await read_link(self._parts, link)
            if held is None or held.state != "LINKED":
                return
            outcome = await link_key(self._parts, task, link)
        if outcome.outcome == pb.OUTCOME_DONE:
            log.info("l1_allowed", system=system.resource, provider=l1.provider)
            await self._say(task, outcome)

    async def _say_away(self, system: Name, since: float) -> None:
        record, _ = await read_system(self._parts, system)
        if record is None or not record.open:
            return
        task = await self._task(system, record, pb.TASK_KIND_LINK_KEY, since)
        outcome = Result(pb.OUTCOME_WAITING, task.resource.generation)
        moment = datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds")
        message = f"The provider of the L1 is not reached since {moment}; what it allowed is served on."
        await self._say(task, outcome, reason=UNREACHABLE, message=message)

    async def _task(self, system: Name, record: keys.SystemRecord, kind: pb.TaskKind.ValueType, at: float) -> pb.Task:
        """What nobody sent: the task that would have done it, recognised by when it came about."""
        link = Name(Kind.LINK, system.tenant, leaf=record.link)
        held, _ = await read_link(self._parts, link)
        generation = record.links.get(record.link, 0)
        made = f"{link.resource}\n{self._region}\n{generation}\n{pb.TaskKind.Name(kind)}\n{at:.3f}".encode()
        linked = rpb.LINK_STATE_LINKED if kind == pb.TASK_KIND_LINK_KEY else rpb.LINK_STATE_UNLINKED
        spec = rpb.LinkSpec(system=system.system, provider=record.provider, key=record.key, state=linked)
        return pb.Task(
            id=hashlib.blake2b(made, digest_size=16).hexdigest(),
            kind=kind,
            region=self._region,
            tenant=system.tenant,
            resource=rpb.Resource(name=link.resource, generation=generation, link=spec),
            correlation_id=held.correlation_id if held else "",
        )

    async def _say(
        self,
        task: pb.Task,
        outcome: Result,
        *,
        reason: str = "",
        message: str = "",
        withdrawn: bool = False,
        attempt: Attempt | None = None,
    ) -> None:
        """Report it on lane 0, with a receipt where something was destroyed."""
        now = self._parts.host.now()
        entry = Entry(0, task, task.resource.name, task.resource.generation, now)
        decided = Decided("", now)
        receipt = b""
        if outcome.destroyed is not None and attempt is not None:
            receipt = await self._receipts.issue(entry, outcome, decided, attempt)
        report = pb.Report.FromString(settled(entry, outcome, decided, now, 0.0, receipt).report)
        report.reason, report.message, report.withdrawn = reason, message, withdrawn
        receipts = [(task.id, receipt)] if receipt else []
        await self._journal.tell(LANE, [report.SerializeToString()], receipts)
        self._reports.give()
