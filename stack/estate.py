"""The units of a whole stack, and the ports that they listen on."""

from __future__ import annotations

from collections.abc import Sequence

from stack import order
from stack.context import JWT, MTLS, Region, StackContext
from stack.identity.authority import Authority
from stack.identity.certificates import Certificates
from stack.identity.signing import SigningKeys
from stack.openbao.customer import CustomerBao
from stack.openbao.platform import PlatformBao
from stack.openbao.region import RegionBao
from stack.parts.checker import Checker
from stack.parts.console import Console
from stack.parts.edge import EdgeEnvoy, EdgeKeys, EdgeOpa
from stack.parts.envoy import GatewayEnvoy, RegionEnvoy
from stack.parts.existing import ExistingPostgres, ExistingRabbitMQ
from stack.parts.opa import Opa, Policies
from stack.parts.postgres import Postgres
from stack.parts.rabbitmq import Epmd, RabbitMQ
from stack.parts.relay import RegionPaths
from stack.parts.schema import Schema
from stack.parts.softhsm import SoftHSM
from stack.parts.workers import NICE, Gateway, RegionWorker
from stack.settings import Stack
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


def parts(context: StackContext) -> list[Unit]:
    """The units that do not need Orbital's own processes."""
    bao = PlatformBao(context)
    units: list[Unit] = [
        *_broker(context),
        Authority(context),
        bao,
        _database(context),
        Schema(context),
        RegionPaths(context),
        CustomerBao(context),
    ]
    for region in context.regions:
        units += [SoftHSM(context, region), RegionBao(context, region)]
    return [*units, Certificates(context, bao), SigningKeys(context)]


def _broker(context: StackContext) -> list[Unit]:
    server = context.settings.rabbitmq_server
    return [ExistingRabbitMQ(context, server)] if server else [Epmd(context), RabbitMQ(context)]


def _database(context: StackContext) -> Unit:
    server = context.settings.postgres_server
    return ExistingPostgres(context, server) if server else Postgres(context)


def processes(context: StackContext) -> list[Unit]:
    """Envoys, policy engines, and Orbital's own processes."""
    roles = ("immediate", "bulk")
    found: list[Unit] = [Policies(context), GatewayEnvoy(context)]
    found += [Opa(context, f"opa-gateway-{role}", "", "gateway-bundles", NICE[role]) for role in roles]
    found += [*(Gateway(context, role) for role in roles), Console(context)]
    for region in context.regions:
        found.append(RegionEnvoy(context, region))
        bundles = f"region-{region.name}-bundles"
        found += [Opa(context, f"opa-{region.name}-{role}", region.name, bundles, NICE[role]) for role in roles]
        found += [RegionWorker(context, region, role) for role in roles]
        found.append(Checker(context, region))
        found += [EdgeKeys(context, region), EdgeEnvoy(context, region), EdgeOpa(context, region)]
    return found


def needs(units: Sequence[Unit]) -> dict[str, tuple[str, ...]]:
    """What has to run when a unit runs."""
    return {unit.name: (*unit.requires, *unit.wants) for unit in units}


def units(context: StackContext, only: Sequence[str] = ()) -> list[Unit]:
    """The units called `only` and those that they need; all of them when `only` is empty."""
    everything = [*parts(context), *processes(context)]
    if not only:
        return everything
    chosen = set(order.closure(only, needs(everything)))
    return [unit for unit in everything if unit.name in chosen]
