"""execute: policy is asked, generations are fenced, handlers run; several Systems at once, each in its own sequence.

There is no end of a batch to wait for: while Systems are worked on, the next tasks are read and decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from orbital.v1 import task_pb2 as pb

from region.domain import intent, result, retry, work
from region.domain.names import parse
from region.domain.result import Result
from region.domain.work import Entry, Settled
from region.flow.in_flight import Commits, InFlight, Scope, Scopes
from region.flow.lane_journal import LaneJournal
from region.flow.outcome import Decided, settled
from region.flow.run_handlers import HandlerRunner, Step
from region.handlers.sync_metadata import sync_metadata
from region.ports.host import Host
from region.ports.policy import Decisions, Policy
from runtime.errors import Invalid, OrbitalError
from runtime.kinds import REVOKING
from runtime.lifecycle import Backoff, task_group
from runtime.logs import get_logger
from runtime.policy import HELD
from runtime.wellknown import label

log = get_logger(__name__)

# Looked for even without a signal, should one be lost.
LOOK = 5.0
# Seconds in which outcomes gather while every worker is busy: a transaction, and a report, for several.
LINGER = 0.1


@dataclass(frozen=True, slots=True)
class ExecuteSettings:
    """`batch`: tasks a policy query; `width`: Systems at once.

    A task that failed by itself `tries` times is left alone for `pause` seconds.
    """

    batch: int
    width: int
    tries: int = 8
    pause: float = 300.0


class Executor:
    """Executes what one lane's journal holds."""

    def __init__(
        self,
        *,
        journal: LaneJournal,
        policy: Policy,
        runner: HandlerRunner,
        scopes: Scopes,
        settings: ExecuteSettings,
        host: Host,
    ) -> None:
        self._journal = journal
        self._policy = policy
        self._runner = runner
        self._scopes = scopes
        self._settings = settings
        self._host = host

    async def run(self) -> None:
        """Execute whatever is due, for ever."""
        signals, flight = self._journal.signals, InFlight()
        commits = Commits(self._journal.settle, lambda rows: self._linger(flight, rows))
        gate = asyncio.Semaphore(self._settings.width)
        async with task_group() as group:
            while True:
                now = self._host.now()
                entries = await self._due(flight, now)
                if entries:
                    signals.rest.clear()
                    decided, scopes = await self._sort(entries, commits)
                    # A tenant's own tasks come before those of its Systems.
                    for scope in sorted(scopes, key=lambda scope: bool(scope[1])):
                        flight.begin(scope, [step.entry for step in scopes[scope]])
                        group.create_task(self._run_scope(scope, scopes[scope], decided, flight, commits, gate))
                    continue
                if not flight.scopes:
                    signals.rest.set()
                await signals.work.wait(await self._pause(flight, now))

    def _full(self, flight: InFlight) -> bool:
        """Whether enough is in hand to keep every worker busy."""
        return flight.scopes >= 2 * self._settings.width

    def _linger(self, flight: InFlight, rows: int) -> float:
        """How long an outcome waits for others; not at all while workers are free, or when there are many already."""
        return LINGER if flight.scopes >= self._settings.width > rows else 0.0

    async def _due(self, flight: InFlight, now: float) -> list[Entry]:
        """What may be taken now."""
        if self._full(flight):
            return []
        limit = self._settings.batch + len(flight.rows)
        return flight.free(await self._journal.due(now, limit, flight.rows))

    async def _pause(self, flight: InFlight, now: float) -> float:
        """Seconds after which to look again without a signal."""
        next_due = None if self._full(flight) else await self._journal.next_due(now)
        return LOOK if next_due is None else min(LOOK, next_due - self._host.now())

    async def _sort(self, entries: list[Entry], commits: Commits) -> tuple[Decided, dict[Scope, list[Step]]]:
        """(the decision, what handlers have to work on by scope); all the others are settled at once."""
        decisions = await self._decide([entry.task for entry in entries])
        decided = Decided(decisions.decision_id, self._host.now())
        refused, allowed = _sift(entries, decisions)
        kept, superseded = work.coalesce(allowed)
        outcomes = refused + [(entry, _superseded(entry, newest)) for entry, newest in superseded]
        metadata: list[Entry] = []
        scopes: dict[Scope, list[Step]] = {}
        for entry in kept:
            try:
                name = parse(entry.resource)
                intent.check(entry.task, name)
                kind = intent.needed(entry.task, name, entry.held)
                scope = work.scope(entry.task, name)
            except (Invalid, DecodeError, ValueError) as error:
                outcomes.append((entry, _unworkable(error)))
                continue
            fenced = _fenced(entry)
            if fenced:
                outcomes.append((entry, fenced))
                continue
            # Behind a key operation of its scope metadata keeps its place in the sequence.
            if kind == pb.TASK_KIND_SYNC_METADATA and scope not in scopes:
                metadata.append(entry)
            else:
                scopes.setdefault(scope, []).append(Step(entry, name, kind))
        outcomes += zip(metadata, sync_metadata(metadata), strict=True)
        await self._settle([(entry, outcome, b"") for entry, outcome in outcomes], decided, commits)
        return decided, scopes

    async def _decide(self, tasks: Sequence[pb.Task]) -> Decisions:
        """The policy's answers; nothing is executed until it gives them."""
        backoff = Backoff(self._host.random)
        while True:
            try:
                decisions = await self._policy.decide(tasks)
            except OrbitalError as error:
                self._journal.signals.executed.awaits = error.reason
                log.warning("policy_away", lane=self._journal.lane, reason=error.reason, error=error.message)
            else:
                self._journal.signals.executed.awaits = ""
                return decisions
            await asyncio.sleep(backoff.next())

    async def _run_scope(
        self,
        scope: Scope,
        steps: Sequence[Step],
        decided: Decided,
        flight: InFlight,
        commits: Commits,
        gate: asyncio.Semaphore,
    ) -> None:
        await flight.after_own(scope)
        async with self._scopes.lock(scope):
            async with gate:
                outcomes = await self._runner.work(steps, decided, self._journal.signals.executed.done)
            # Another System may begin while this one's outcomes are made durable.
            await self._settle(outcomes, decided, commits)
        flight.end(scope)
        self._journal.signals.work.give()

    async def _settle(
        self, outcomes: Sequence[tuple[Entry, Result, bytes]], decided: Decided, commits: Commits
    ) -> None:
        if not outcomes:
            return
        now = self._host.now()
        rows: list[Settled] = []
        for entry, came, receipt in outcomes:
            outcome, due = self._next(entry, came, now)
            rows.append(settled(entry, outcome, decided, now, due, receipt))
            _log(entry, outcome)
        await commits.keep(rows)

    def _next(self, entry: Entry, outcome: Result, now: float) -> tuple[Result, float]:
        """What is kept of an outcome, and when the task is due again: one that keeps failing is parked."""
        settings, random = self._settings, self._host.random
        if outcome.failing and retry.parks(self._journal.lane, entry.failures + 1, settings.tries):
            seconds = retry.pause(settings.pause, random())
            return result.parked(outcome, seconds), now + seconds
        return outcome, now + retry.delay(entry.attempts, random()) if outcome.waiting else 0.0


def _sift(entries: list[Entry], decisions: Decisions) -> tuple[list[tuple[Entry, Result]], list[Entry]]:
    """(the refused and the cancelled with their outcome, the allowed). What the policy did not name is refused."""
    refused: list[tuple[Entry, Result]] = []
    allowed: list[Entry] = []
    for entry in entries:
        if entry.task.cancelled:
            refused.append((entry, result.cancelled()))
            continue
        if entry.task.id in decisions.allowed and entry.task.id not in decisions.denied:
            allowed.append(entry)
            continue
        reason, message = decisions.denied.get(
            entry.task.id, ("NO_DECISION", "The region's policy did not decide about this task.")
        )
        held = reason in HELD
        refused.append((entry, result.waiting(reason, message) if held else result.denied(reason, message)))
    return refused, allowed


def _unworkable(error: Exception) -> Result:
    """Nothing can be made of a task, or of what is held of its resource."""
    if isinstance(error, Invalid):
        return result.failed(error.reason, error.message)
    return result.failed("UNREADABLE", f"The task or what is held of its resource cannot be read: {error}"[:500])


def _superseded(entry: Entry, newest: int) -> Result:
    return result.superseded(newest, entry.held.generation if entry.held else 0)


def _fenced(entry: Entry) -> Result | None:
    """What the region's own database already says about the task's generation."""
    held = entry.held
    if held is None or (side := work.fence(entry.generation, held)) > 0:
        return None
    # A revocation is never skipped on the word of this database alone: the key's own record decides.
    if entry.task.kind in REVOKING:
        return None
    if side < 0:
        return result.stale(held.generation)
    return result.done(held.generation, held.state, key_version=held.version)


def _log(entry: Entry, outcome: Result) -> None:
    if outcome.outcome == pb.OUTCOME_DONE or (outcome.waiting and outcome.reason == entry.reason):
        return
    log.info(
        "task_not_done",
        task_id=entry.task.id,
        kind=intent.kind_name(entry.task.kind),
        resource=entry.task.resource.name,
        generation=entry.task.resource.generation,
        correlation_id=entry.task.correlation_id,
        outcome=label(pb.Outcome, outcome.outcome, "OUTCOME_"),
        reason=outcome.reason,
    )
