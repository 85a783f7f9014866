"""Every probe of a region. A new one is a file beside this, a line here, and a rule in policies/data/probes.yaml."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import aiohttp

from checker.adapters.envoy.admin import EnvoyAdmin
from checker.adapters.probes.certificates import CertificatesProbe
from checker.adapters.probes.clock import ClockProbe
from checker.adapters.probes.disk import DiskProbe
from checker.adapters.probes.envoy import EnvoyProbe
from checker.adapters.probes.health import HealthProbe
from checker.adapters.probes.hsm import HsmProbe
from checker.adapters.probes.opa import OpaProbe
from checker.adapters.probes.openbao import OpenBaoProbe
from checker.adapters.rpc.control import GrpcControl
from checker.ports.control import World
from checker.ports.probe import About, Probe
from checker.settings import CheckerSettings

# What changes slowly is looked at seldom.
SLOW = 5.0


@dataclass(frozen=True, slots=True)
class Means:
    """What probes look with."""

    session: aiohttp.ClientSession
    tls: ssl.SSLContext
    admin: EnvoyAdmin
    control: GrpcControl
    world: World


def probes(settings: CheckerSettings, means: Means) -> list[Probe]:
    """The table."""
    period, timeout, limits = settings.period_seconds, settings.timeout_seconds, settings.limits
    bao, hsm, opa, now = settings.openbao, settings.hsm, settings.opa, means.world.now
    return [
        OpenBaoProbe(means.session, means.tls, bao.address, bao.version, period, timeout),
        HsmProbe(hsm.library, hsm.token, hsm.pin_file, hsm.key, hsm.conf, period, timeout),
        OpaProbe(means.session, "immediate", opa.immediate_url, now, period, timeout),
        OpaProbe(means.session, "bulk", opa.bulk_url, now, period, timeout),
        HealthProbe(
            About("region-immediate", "region-immediate", "health", "REGION_UNREACHABLE", period, timeout),
            settings.processes.immediate,
        ),
        HealthProbe(
            About("region-bulk", "region-bulk", "health", "REGION_UNREACHABLE", period, timeout),
            settings.processes.bulk,
        ),
        HealthProbe(
            About("gateway", "gateway", "health", "GATEWAY_UNREACHABLE", period, timeout), settings.envoy.gateway
        ),
        EnvoyProbe(means.admin, 2 * period, timeout),
        CertificatesProbe(means.admin, now, limits.certificate_hours, SLOW / 2),
        ClockProbe(lambda: means.control.offset, now, limits.clock_seconds, 1.0),
        DiskProbe(settings.disk, limits.disk_free, limits.disk_least, SLOW / 2),
    ]
