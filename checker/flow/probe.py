"""Asks the policy which probes may be made, makes those, and takes in what they find."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from checker.domain.cause import causes
from checker.domain.sample import Finding, Status, healthy
from checker.flow.aggregate import Aggregate
from checker.ports.control import Host
from checker.ports.probe import SIDECAR_UNREACHABLE, Policy, Probe
from runtime.errors import OrbitalError, Unavailable
from runtime.lifecycle import task_group
from runtime.logs import get_logger

log = get_logger(__name__)

TICK = 0.2
# A second look comes soon: what is wrong shows within seconds, and one slow answer is not believed.
SOON = 0.15
JITTER = 0.1
NEVER = 1e9


class ProbeLoop:
    """Keeps every probe on its period. Without a permission, no probe is made."""

    def __init__(self, region: str, probes: Sequence[Probe], policy: Policy, aggregate: Aggregate, host: Host) -> None:
        self._region = region
        self._probes = {probe.about.name: probe for probe in probes}
        self._policy = policy
        self._aggregate = aggregate
        self._host = host
        self._due = dict.fromkeys(self._probes, 0.0)
        self._last = dict.fromkeys(self._probes, -NEVER)
        self._under_way: set[str] = set()
        self.beat = 0.0

    async def run(self) -> None:
        """Probe until cancelled."""
        # What an earlier run left in the middle ended with it.
        self._under_way.clear()
        async with task_group() as group:
            while True:
                self.beat = now = self._host.steady()
                due = [name for name, at in self._due.items() if at <= now and name not in self._under_way]
                for name in await self._permitted(due) if due else ():
                    self._under_way.add(name)
                    group.create_task(self._make(self._probes[name]))
                await asyncio.sleep(TICK)

    async def _permitted(self, due: Sequence[str]) -> list[str]:
        now = self._host.steady()
        asked = [
            {
                "id": name,
                "component": self._probes[name].about.component,
                "depth": self._probes[name].about.depth,
                "seconds": now - self._last[name],
            }
            for name in due
        ]
        try:
            decisions = await self._policy.decide("probe", {"region": self._region, "probes": asked}, due)
        except Unavailable as error:
            text = f"{error.message}. No probe is made, so nothing is known of this region."
            self._aggregate.asked(Finding(Status.UNKNOWN, error.reason, text, (("region", self._region),)))
            return []
        self._aggregate.asked(healthy(("decision", decisions.decision_id)))
        for name, refusal in decisions.refused.items():
            about = self._probes[name].about
            self._aggregate.add(about.component, Finding(Status.UNKNOWN, refusal.reason, refusal.message))
            self._plan(name, about.period)
        return [name for name in due if decisions.allows(name)]

    async def _make(self, probe: Probe) -> None:
        about, began = probe.about, self._host.steady()
        self._last[about.name] = began
        finding = await self._look(probe)
        taken = ("milliseconds", f"{(self._host.steady() - began) * 1000:.1f}")
        again = self._aggregate.add(about.component, replace(finding, values=(*finding.values, taken)))
        self._under_way.discard(about.name)
        self._plan(about.name, SOON if again else about.period)
        if again:
            self._hurry(causes(about.component, finding.reason))

    async def _look(self, probe: Probe) -> Finding:
        about = probe.about
        try:
            async with asyncio.timeout(about.timeout):
                return await probe.look()
        except TimeoutError:
            text = f"{about.component} did not answer within {about.timeout:g} s."
            return Finding(Status.OUT_OF_SYNC, about.away, text, ((about.name, "time-out"),))
        except OrbitalError as error:
            if error.reason == SIDECAR_UNREACHABLE:
                return Finding(Status.UNKNOWN, error.reason, error.message, ((about.name, "not looked at"),))
            reason = about.away if error.reason == Unavailable.default_reason else error.reason
            return Finding(Status.OUT_OF_SYNC, reason, error.message, ((about.name, "no answer"),))
        except Exception as error:
            log.error("probe failed", probe=about.name, error=type(error).__name__, exc_info=error)
            return Finding(Status.UNKNOWN, "PROBE_FAILED", f"The probe {about.name} failed: {type(error).__name__}.")

    def _hurry(self, components: AbstractSet[str]) -> None:
        """Look at once at what would explain the trouble just seen, so that people are told the cause, not effects."""
        for name, probe in self._probes.items():
            if probe.about.component in components:
                self._due[name] = min(self._due[name], self._host.steady())

    def _plan(self, name: str, seconds: float) -> None:
        wait = seconds * (1 + JITTER * (2 * self._host.random() - 1))
        self._due[name] = self._host.steady() + wait
        self._aggregate.next_checks[self._probes[name].about.component] = self._host.now() + wait
