"""The units of a whole stack, and the ports that they listen on."""

from __future__ import annotations

from collections.abc import Sequence

from stack import order
from stack.identity.authority import Authority
from stack.identity.certificates import Certificates
from stack.identity.signing import SigningKeys
from stack.openbao.customer import CustomerBao
from stack.openbao.region import RegionBao
from stack.openbao.world import GlobalBao
from stack.parts.checker import Checker
from stack.parts.console import Console
from stack.parts.edge import EdgeEnvoy, EdgeKeys, EdgeOpa
from stack.parts.envoy import GatewayEnvoy, RegionEnvoy
from stack.parts.existing import ExistingPostgres, ExistingRabbitMQ
from stack.parts.opa import Opa, Policies
from stack.parts.postgres import Postgres
from stack.parts.rabbitmq import Epmd, RabbitMQ
from stack.parts.relay import Paths
from stack.parts.schema import Schema
from stack.parts.softhsm import SoftHSM
from stack.parts.workers import NICE, Gateway, RegionWorker
from stack.settings import Stack
from stack.site import JWT, MTLS, Region, Site
from stack.state import State
from stack.unit import Unit

EVERY = (Region("eu10", MTLS), Region("us20", JWT), Region("ap30", MTLS))
REGIONS = EVERY[:2]

# The slowest part comes first: it is being started while the others are prepared.
GLOBAL_PORTS = (
    *("epmd", "amqp", "amqps", "mqtt", "management", "prometheus", "rabbitmq-dist", "broker-access"),
    *(
        "openbao-global",
        "openbao-global-cluster",
        "openbao-customer",
        "openbao-customer-cluster",
        "gateway-mtls",
        "gateway-jwt",
        "gateway-people",
        "gateway-bundles",
        "console",
    ),
    *("opa-gateway-immediate", "opa-gateway-bulk"),
)


def regions_of(settings: Stack, before: State) -> tuple[Region, ...]:
    """The regions that are set, or those that the stack had before."""
    return EVERY[: settings.regions or len(before.regions) or len(REGIONS)]


def port_names(regions: Sequence[Region]) -> list[str]:
    """Every port of a stack."""
    names = list(GLOBAL_PORTS)
    for region in regions:
        names += [
            f"openbao-{region.name}",
            f"openbao-{region.name}-cluster",
            f"paths-{region.name}-gateway",
            f"paths-{region.name}-amqp",
            f"paths-{region.name}-mqtt",
        ]
        names += [f"region-{region.name}-crypto", f"region-{region.name}-bundles"]
        names += [f"opa-{region.name}-immediate", f"opa-{region.name}-bulk"]
        names += [f"edge-{region.name}-crypto", f"edge-{region.name}-bundles"]
        if region.auth == JWT:
            names.append(f"paths-{region.name}-ias")
    return names


def parts(site: Site) -> list[Unit]:
    """The units that do not need Orbital's own processes."""
    bao = GlobalBao(site)
    units: list[Unit] = [
        *_broker(site),
        Authority(site),
        bao,
        _database(site),
        Schema(site),
        Paths(site),
        CustomerBao(site),
    ]
    for region in site.regions:
        units += [SoftHSM(site, region), RegionBao(site, region)]
    return [*units, Certificates(site, bao), SigningKeys(site)]


def _broker(site: Site) -> list[Unit]:
    server = site.settings.rabbitmq_server
    return [ExistingRabbitMQ(site, server)] if server else [Epmd(site), RabbitMQ(site)]


def _database(site: Site) -> Unit:
    server = site.settings.postgres_server
    return ExistingPostgres(site, server) if server else Postgres(site)


def processes(site: Site) -> list[Unit]:
    """Envoys, policy engines, and Orbital's own processes."""
    roles = ("immediate", "bulk")
    found: list[Unit] = [Policies(site), GatewayEnvoy(site)]
    found += [Opa(site, f"opa-gateway-{role}", "", "gateway-bundles", NICE[role]) for role in roles]
    found += [*(Gateway(site, role) for role in roles), Console(site)]
    for region in site.regions:
        found.append(RegionEnvoy(site, region))
        bundles = f"region-{region.name}-bundles"
        found += [Opa(site, f"opa-{region.name}-{role}", region.name, bundles, NICE[role]) for role in roles]
        found += [RegionWorker(site, region, role) for role in roles]
        found.append(Checker(site, region))
        found += [EdgeKeys(site, region), EdgeEnvoy(site, region), EdgeOpa(site, region)]
    return found


def needs(units: Sequence[Unit]) -> dict[str, tuple[str, ...]]:
    """What has to run when a unit runs."""
    return {unit.name: (*unit.requires, *unit.wants) for unit in units}


def units(site: Site, only: Sequence[str] = ()) -> list[Unit]:
    """The units called `only` and those that they need; all of them when `only` is empty."""
    everything = [*parts(site), *processes(site)]
    if not only:
        return everything
    chosen = set(order.closure(only, needs(everything)))
    return [unit for unit in everything if unit.name in chosen]
