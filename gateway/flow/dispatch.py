"""Stage 4, dispatch: policy is asked, then tasks are published on their lane, with the broker's confirm.

Claim, decision, publish and mark are one transaction: a crash in between only sends a task twice. What is wrong with
one region's lane is kept as its fault and tried again by itself; the other regions of the claim have theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.flow.direct import DirectPath
from gateway.flow.pack import PackedMessage
from gateway.flow.send import Sender
from gateway.flow.wake import work
from gateway.ports.lanes import BrokerFault
from gateway.ports.policy import Policy
from gateway.ports.store import ClaimBatch, Claimed, TaskStore
from runtime.errors import Unavailable
from runtime.kinds import KIND_WORDS
from runtime.lifecycle import Backoff
from runtime.logs import get_logger
from runtime.policy import HELD
from runtime.watchdog import HopCounter

log = get_logger(__name__)


class Dispatch:
    """Publishes the pending tasks of one lane, `claim` at a time."""

    def __init__(
        self,
        *,
        lane: int,
        store: TaskStore,
        policy: Policy,
        sender: Sender,
        claim: int,
        direct: DirectPath | None = None,
    ) -> None:
        self._lane = lane
        self._store = store
        self._policy = policy
        self._sender = sender
        self._claim = claim
        self._direct = direct
        self.wake = asyncio.Event()
        self.claims, self.publishes = HopCounter(), HopCounter()

    async def run(self, seconds: float, backoff: Backoff) -> None:
        """Dispatch until cancelled."""
        await work(f"dispatch {self._lane}", self.wake, seconds, self.step, backoff, self.claims)

    async def step(self) -> bool:
        """Publish one claim; True when there may be more. Raises Unavailable while the broker is away."""
        stuck: list[BrokerFault] = []
        here = self._direct.regions() if self._direct else ()
        async with self._store.claiming(self._lane, self._claim, here) as batch:
            overtaken = [task.identity for task in batch.tasks if _overtaken(task)]
            if overtaken:
                await batch.superseded(overtaken)
            current = [task for task in batch.tasks if not _overtaken(task)]
            if current:
                stuck = await self._send(batch, current)
        self.claims.done(len(batch.tasks))
        if stuck:
            await self._say(stuck)
        # What stays pending may be claimed again at once: it must not make a loop.
        return len(batch.tasks) == self._claim and not stuck

    async def _say(self, stuck: Sequence[BrokerFault]) -> None:
        """What stays pending waits for the broker, on the direct path also for whoever has the region's stream."""
        if self._direct:
            await self._direct.call()
            return
        away = next((fault for fault in stuck if fault.shared), None)
        if away is not None:
            raise Unavailable(away.message, reason=away.reason)

    async def _send(self, batch: ClaimBatch, tasks: Sequence[Claimed]) -> list[BrokerFault]:
        """What kept some from being sent."""
        # Lane 0 waits for nothing, and no policy asks how old it is there.
        age = await self._policy.policy_age() if self._lane else None
        correlations = sorted({task.correlation_id for task in tasks})
        question = {
            "policy_age": age,
            "correlations": correlations,
            "tasks": [_question(task) for task in tasks],
        }
        decisions = await self._policy.decide("dispatch", question, [task.identity.hex for task in tasks])
        allowed = [task for task in tasks if decisions.allows(task.identity.hex)]
        refused = [
            (task, decisions.refused[task.identity.hex]) for task in tasks if not decisions.allows(task.identity.hex)
        ]
        load = self._sender.pack(allowed)
        held = [(task, refusal) for task, refusal in refused if refusal.reason in HELD]
        denied = [(task, refusal) for task, refusal in refused if refusal.reason not in HELD]
        if held or load.broken:
            await batch.held([*held, *load.broken], decisions.decision_id)
        if denied:
            await batch.denied(denied, decisions.decision_id)
        with self.publishes.holding(len(load.messages)):
            sent = await self._sender.publish(load.messages)
        return await self._settle(batch, sent, decisions.decision_id)

    async def _settle(
        self, batch: ClaimBatch, sent: Sequence[tuple[PackedMessage, BrokerFault | None]], decision_id: str
    ) -> list[BrokerFault]:
        """Record what came of each message."""
        published = [task.identity for packed, fate in sent if fate is None or fate.delivered for task in packed.tasks]
        if published:
            await batch.published(published, decision_id)
        stuck = [(packed, fate) for packed, fate in sent if fate is not None and not fate.delivered]
        if stuck:
            await batch.stuck([(task, fate) for packed, fate in stuck for task in packed.tasks])
        faults = self._faults(sent)
        if faults:
            log.warning("lanes have faults", lane=self._lane, regions=_said(faults))
            await batch.keep_faults(faults, self._lane)
        sound = {packed.lane_message.region for packed, _ in sent} & batch.faulty - faults.keys()
        if sound:
            await batch.clear_faults(sorted(sound), self._lane)
        return [fate for _, fate in stuck]

    def _faults(self, sent: Sequence[tuple[PackedMessage, BrokerFault | None]]) -> dict[str, BrokerFault]:
        """The worst of each region. An absent broker is the fault of no lane, except of one that is tried by itself."""
        faults: dict[str, BrokerFault] = {}
        for packed, fate in sent:
            if fate is None or (fate.shared and (self._lane or fate.delivered)):
                continue
            region = packed.lane_message.region
            if region not in faults or not fate.delivered:
                faults[region] = fate
        return faults


def _said(faults: dict[str, BrokerFault]) -> list[str]:
    """A few of them, for the log."""
    return [f"{region} {faults[region].reason}: {faults[region].message}" for region in sorted(faults)[:10]]


def _overtaken(task: Claimed) -> bool:
    return task.generation < task.current_generation and not task.owed


def _question(task: Claimed) -> dict[str, object]:
    return {
        "id": task.identity.hex,
        "kind": KIND_WORDS.get(task.kind, str(task.kind)),
        "lane": task.lane,
        "region": task.region,
        "tenant": task.tenant,
        "resource": task.resource,
        "generation": task.generation,
    }
