"""Handlers are run, one entry of a scope after the other; whatever a handler does becomes an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from orbital.v1 import task_pb2 as pb

from region.domain import intent, result, retry
from region.domain.names import Name
from region.domain.result import Result
from region.domain.work import Entry
from region.flow.outcome import Decided
from region.flow.receipts import Receipts
from region.handlers.parts import Handler, Parts
from region.handlers.sync_metadata import sync_metadata
from region.ports.l1 import Refused
from runtime.errors import Conflict, Invalid, OrbitalError, Precondition
from runtime.logs import get_logger

log = get_logger(__name__)

# A handler that lost a check-and-set reads again and goes on, this often, before its task waits.
TRIES = 5


@dataclass(frozen=True, slots=True)
class Step:
    """An entry that a handler works on, and the kind of work that it needs."""

    entry: Entry
    name: Name
    kind: pb.TaskKind.ValueType


class HandlerRunner:
    """Runs the handlers of the kinds of tasks; each may take `patience` seconds."""

    def __init__(
        self,
        *,
        handlers: Mapping[pb.TaskKind.ValueType, Handler],
        parts: Parts,
        receipts: Receipts,
        patience: float,
    ) -> None:
        self._handlers = handlers
        self._parts = parts
        self._receipts = receipts
        self._patience = patience

    async def work(
        self, steps: Sequence[Step], decided: Decided, passed: Callable[[], None] = lambda: None
    ) -> list[tuple[Entry, Result, bytes]]:
        """What came of each, in turn; `passed` is called after each."""
        outcomes: list[tuple[Entry, Result, bytes]] = []
        away: Result | None = None
        for step in steps:
            # A part that is away for one task of a scope is away for the next: its order holds, time is saved.
            outcome, receipt = away, b""
            if outcome is None and step.kind == pb.TASK_KIND_SYNC_METADATA:
                outcome = sync_metadata([step.entry])[0]
            if outcome is None:
                outcome, receipt = await self._handle(step.entry, step.name, step.kind, decided)
            away = outcome if outcome.waiting and not (outcome.awaits or outcome.failing) else None
            outcomes.append((step.entry, outcome, receipt))
            passed()
        return outcomes

    async def _handle(
        self, entry: Entry, name: Name, kind: pb.TaskKind.ValueType, decided: Decided
    ) -> tuple[Result, bytes]:
        """What came of it, with its receipt where there has to be one."""
        handler = self._handlers.get(kind)
        if handler is None:
            return result.failed("UNKNOWN_KIND", f"This region does not know {intent.kind_name(kind)}."), b""
        try:
            async with asyncio.timeout(self._patience), self._receipts.attempt(entry.task) as attempt:
                outcome = await _until_it_holds(lambda: handler(self._parts, entry.task, name))
                receipt = b""
                if outcome.destroyed is not None:
                    receipt = await self._receipts.issue(entry, outcome, decided, attempt)
                return outcome, receipt
        except (Invalid, Precondition, Refused) as error:
            return result.failed(error.reason, error.message), b""
        except OrbitalError as error:
            waits = result.failing if retry.own(error) else result.waiting
            return waits(error.reason, error.message), b""
        except TimeoutError:
            return result.failing("TIMEOUT", f"{intent.kind_name(kind)} took too long."), b""
        except Exception as error:  # supervises handlers: one task that breaks its handler must not stop its lane
            log.error("handler_broke", task_id=entry.task.id, error=type(error).__name__, exc_info=error)
            return result.failing("INTERNAL", "The handler broke; the region's log says where."), b""


async def _until_it_holds(run: Callable[[], Awaitable[Result]]) -> Result:
    """Run a handler again each time that it lost a check-and-set, up to a limit."""
    for _ in range(TRIES - 1):
        with suppress(Conflict):
            return await run()
    return await run()
