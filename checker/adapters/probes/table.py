"""Every probe of a region. A new one is a file beside this, a line here, and a rule in policies/data/probes.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from checker.adapters.envoy.admin import EnvoyAdmin
from checker.adapters.envoy.client import RegionClient
from checker.adapters.probes.certificates import CertificatesProbe
from checker.adapters.probes.clock import ClockProbe
from checker.adapters.probes.disk import DiskProbe
from checker.adapters.probes.edges import EdgesProbe
from checker.adapters.probes.envoy import EdgeSidecarsProbe, EnvoyProbe
from checker.adapters.probes.gateway import GatewayProbe
from checker.adapters.probes.opa import OpaProbe
from checker.adapters.probes.openbao import OpenBaoProbe
from checker.adapters.probes.provider import ProviderProbe
from checker.adapters.probes.rabbitmq import RabbitMQProbe
from checker.adapters.probes.region import RegionProbe
from checker.adapters.rpc.control import GrpcControl
from checker.domain.lanes import Limits
from checker.domain.queues import QueueLimits
from checker.ports.control import Host
from checker.ports.probe import Probe
from checker.settings import CheckerSettings

# What changes slowly is looked at seldom.
SLOW = 5.0


@dataclass(frozen=True, slots=True)
class ProbeClients:
    """What probes look with: `parts` leads to the region's own parts, `out` to the gateway, both through its Envoy.

    `edges` are the admin interfaces of the sidecars of its edges, by the edge's name.
    """

    parts: RegionClient
    out: RegionClient
    admin: EnvoyAdmin
    control: GrpcControl
    host: Host
    edges: Mapping[str, EnvoyAdmin]


def probes(settings: CheckerSettings, means: ProbeClients) -> list[Probe]:
    """The table."""
    period, timeout, limits, now = settings.period_seconds, settings.timeout_seconds, settings.limits, means.host.now

    def wall() -> float:
        """The machine's clock, which the engines have too."""
        return now() + means.host.moved()

    def right() -> float:
        """The control plane's time, where it is known."""
        return means.control.now()

    lanes = Limits(limits.journal_seconds, limits.hop_seconds, limits.attempts)
    return [
        OpenBaoProbe(means.parts, settings.openbao_version, settings.openbao_audit, period, timeout),
        *(ProviderProbe(name, means.parts, period, timeout) for name in settings.providers),
        *(OpaProbe(means.parts, role, wall, period, timeout) for role in ("immediate", "bulk")),
        *(RegionProbe(name, means.parts, lanes, period, timeout) for name in ("region-immediate", "region-bulk")),
        GatewayProbe(means.out, 2 * period, timeout),
        RabbitMQProbe(
            region=settings.region,
            client=means.out,
            limits=QueueLimits(messages=limits.queue_messages, unread=limits.hop_seconds),
            steady=means.host.steady,
            period=2 * period,
            timeout=timeout,
        ),
        EdgesProbe(means.parts, 2 * period, timeout),
        EnvoyProbe(means.admin, limits.latency_seconds, 2 * period, timeout),
        *_of_edges(settings, means),
        CertificatesProbe(means.admin, means.edges.values(), right, limits.certificate_hours, SLOW / 2),
        ClockProbe(lambda: means.control.offset, now, limits.clock_seconds, 1.0, moved=means.host.moved),
        DiskProbe(settings.disk, limits.disk_free, limits.disk_least, SLOW / 2),
    ]


def _of_edges(settings: CheckerSettings, means: ProbeClients) -> list[Probe]:
    """A region whose edges run elsewhere sees them by their reports alone."""
    if not means.edges:
        return []
    slow, period = settings.limits.latency_seconds, 2 * settings.period_seconds
    return [EdgeSidecarsProbe(means.edges, slow, period, settings.timeout_seconds)]
