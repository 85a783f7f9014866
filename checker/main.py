"""A region's checker, put together. `python -m checker.main`; the settings are in checker/settings.py."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from checker.adapters.envoy.admin import open_admin
from checker.adapters.envoy.client import open_client
from checker.adapters.http.server import Pages, serve_pages
from checker.adapters.outbox import FileOutbox
from checker.adapters.probes.table import ProbeClients, probes
from checker.adapters.rpc.control import GrpcControl
from checker.domain.flag import Flag
from checker.domain.sample import Sample
from checker.domain.window import Rule
from checker.flow.aggregate import Aggregate
from checker.flow.probe import ProbeLoop
from checker.flow.signal import Signaller
from checker.ports.control import Host, real
from checker.settings import CheckerSettings, LimitSettings
from runtime.lifecycle import Supervisor, run
from runtime.logs import setup_logs
from runtime.policy import policy_engine
from runtime.signatures import Signer

# A round takes at most the time-out of a question to the policy.
STUCK_SECONDS = 5.0


class Local:
    """See checker.adapters.http.server.Verdict."""

    def __init__(self, aggregate: Aggregate, rounds: ProbeLoop, signaller: Signaller, host: Host) -> None:
        self._aggregate = aggregate
        self._rounds = rounds
        self._signaller = signaller
        self._host = host

    def alive(self) -> bool:
        """See the protocol."""
        return self._host.steady() - self._rounds.beat < STUCK_SECONDS

    def ready(self) -> bool:
        """See the protocol."""
        return self._aggregate.seen_all()

    def flags(self) -> list[Flag]:
        """See the protocol."""
        return self._aggregate.flags()

    def history(self) -> dict[str, list[Sample]]:
        """See the protocol."""
        return {name: list(samples) for name, samples in self._aggregate.history.items()}

    def versions(self) -> dict[str, str]:
        """See the protocol."""
        return dict(self._aggregate.versions)

    def heard(self) -> bool:
        """See the protocol."""
        return self._signaller.heard


def _rule(limits: LimitSettings) -> Rule:
    return Rule(
        raise_after=limits.raise_after,
        clear_after=limits.clear_after,
        stale=limits.stale_seconds,
        flap_changes=limits.flap_changes,
        flap_seconds=limits.flap_seconds,
    )


async def main() -> None:
    """Probe, judge and signal until cancelled."""
    settings: CheckerSettings = CheckerSettings.load()
    setup_logs(settings.name, settings.log_level)
    host = real()
    async with AsyncExitStack() as stack:
        # None of what is looked at has to be there yet.
        policy = await stack.enter_async_context(policy_engine(settings.opa.url, settings.opa.seconds))
        admin = await stack.enter_async_context(open_admin(settings.envoy.admin))
        edges = {
            name: await stack.enter_async_context(open_admin(socket)) for name, socket in settings.envoy.edges.items()
        }
        parts = await stack.enter_async_context(open_client(settings.envoy.parts))
        out = await stack.enter_async_context(open_client(settings.envoy.gateway))
        control = GrpcControl(
            target=f"unix:{settings.envoy.gateway}",
            region=settings.region,
            beat=settings.beat_seconds,
            signer=lambda now: Signer(settings.signing_file, now),
            clock=host.now,
        )
        stack.push_async_callback(control.close)
        table = probes(
            settings, ProbeClients(parts=parts, out=out, admin=admin, control=control, host=host, edges=edges)
        )
        for probe in table:
            stack.push_async_callback(probe.close)

        aggregate = Aggregate([probe.about.component for probe in table], _rule(settings.limits), host)
        rounds = ProbeLoop(region=settings.region, probes=table, policy=policy, aggregate=aggregate, host=host)
        signaller = Signaller(
            aggregate=aggregate,
            control=control,
            outbox=FileOutbox(settings.outbox),
            host=host,
            beat=settings.beat_seconds,
        )
        await stack.enter_async_context(
            serve_pages(settings.listen, Pages(settings.region, Local(aggregate, rounds, signaller, host)))
        )
        group = await stack.enter_async_context(asyncio.TaskGroup())
        supervisor = Supervisor(group, host.random, host.steady)
        supervisor.start("rounds", rounds.run)
        supervisor.start("signaller", signaller.run)


if __name__ == "__main__":
    run(main)
