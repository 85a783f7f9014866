"""Everything that is known of the region now: windows, versions, a short history; and the flags that follow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping

from checker.domain.flag import POLICY, Flag, judge
from checker.domain.sample import Finding, Sample, Status
from checker.domain.window import Rule, Window, observe
from checker.ports.control import Host

HISTORY = 60


class Aggregate:
    """What the probes found. `changed` is set whenever a verdict may be another one."""

    def __init__(self, components: Iterable[str], rule: Rule, host: Host) -> None:
        self._rule = rule
        self._host = host
        self.windows: dict[str, Window] = {name: Window(name) for name in components}
        self.policy = Window(POLICY)
        self.history: dict[str, deque[Sample]] = {name: deque(maxlen=HISTORY) for name in self.windows}
        self.next_checks: dict[str, float] = {}
        self.versions: dict[str, str] = {}
        self.changed = asyncio.Event()

    def add(self, component: str, finding: Finding) -> bool:
        """Take in a finding; returns whether it differs from what is believed, so that a second look is wanted soon."""
        before, sample = self.windows[component], Sample(component, self._host.now(), finding)
        after = observe(before, sample, self._rule)
        self.windows[component] = after
        self.history[component].append(sample)
        if finding.version:
            self.versions[component] = finding.version
        self._compare(before, after)
        return after.differing > 0 or after.finding is None

    def asked(self, finding: Finding) -> None:
        """Take in how asking the policy went."""
        before = self.policy
        self.policy = observe(before, Sample(POLICY, self._host.now(), finding), self._rule)
        self._compare(before, self.policy)

    def flags(self) -> list[Flag]:
        """The flags at this moment."""
        return judge(self.windows, self.policy, self.next_checks, self._host.now(), self._rule)

    def seen_all(self) -> bool:
        """Whether every component has been looked at, or policy is known not to let us."""
        if self.policy.finding is not None and self.policy.finding.status is not Status.HEALTHY:
            return True
        return all(window.finding is not None for window in self.windows.values())

    def latest(self) -> Mapping[str, Sample]:
        """The last sample of each component."""
        return {name: window.last for name, window in self.windows.items() if window.last is not None}

    def _compare(self, before: Window, after: Window) -> None:
        one, other = before.finding, after.finding
        same = one is not None and other is not None and (one.status, one.reason) == (other.status, other.reason)
        if (not same and one is not other) or before.flapping is not after.flapping:
            self.changed.set()
