"""The six kinds that can be declared, each with its fields and how they become the contract's messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from orbital.v1.resource_pb2 import (
    EDGE_EFFECT_ALLOW,
    EDGE_EFFECT_DENY,
    EDGE_EFFECT_UNSPECIFIED,
    LINK_STATE_LINKED,
    LINK_STATE_UNLINKED,
    EdgeOperation,
    EdgePolicySpec,
    EdgeRule,
    LinkSpec,
    RegionSpec,
    Resource,
    Selector,
    ServiceSpec,
    SystemSpec,
    TenantSpec,
    Transport,
)

from console.cli.declaration.section import Section
from runtime.keystates import MOST_VERSIONS

MAX_KEY = 128
LEAST_LEASE, MOST_LEASE = 1.0, 366 * 86_400.0
ENDPOINT = re.compile(r"[A-Za-z0-9_.-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
LINK_STATES = {"linked": LINK_STATE_LINKED, "unlinked": LINK_STATE_UNLINKED}
TRANSPORTS = {
    "stream": Transport.TRANSPORT_UNSPECIFIED,
    "amqp": Transport.TRANSPORT_AMQP,
    "mqtt": Transport.TRANSPORT_MQTT,
}
EFFECTS = {"allow": EDGE_EFFECT_ALLOW, "deny": EDGE_EFFECT_DENY}
OPERATIONS = {
    name.removeprefix("EDGE_OPERATION_").lower().replace("_", "-"): number
    for name, number in EdgeOperation.items()
    if number
}
CALLER = re.compile(r"spiffe://orbital(/[A-Za-z0-9._-]+)*(/[A-Za-z0-9._-]+|/\*)")
RULE = ("name", "effect", "callers", "tenants", "systems", "services", "operations")
METADATA = ("name", "labels", "generation")
SELECTOR = ("regions", "matchLabels")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document: `fields` of its spec, whether it belongs to a tenant, and its two readers."""

    fields: tuple[str, ...]
    required: bool
    of_tenant: bool
    name: Callable[[Section, Section], str]
    fill: Callable[[Resource, Section], None]


def _selector(section: Section, into: Selector) -> None:
    into.regions.extend(section.names("regions", what="region"))
    into.match_labels.update(section.labels("matchLabels"))
    if section.usable and section.node("regions") is None and section.node("matchLabels") is None:
        section.complain(None, "", "says no place; expected regions, matchLabels or both")


def _region(resource: Resource, spec: Section) -> None:
    endpoint = spec.text("cryptoEndpoint", expected="host:port")
    if endpoint and not ENDPOINT.fullmatch(endpoint):
        spec.complain(spec.node("cryptoEndpoint"), "cryptoEndpoint", f'is "{endpoint}"; expected host:port')
    resource.region.CopyFrom(
        RegionSpec(
            area=spec.name("area", what="a word for grouping"),
            crypto_endpoint=endpoint,
            transport=TRANSPORTS[spec.choice("transport", tuple(TRANSPORTS), "stream")],
        )
    )


def _tenant(resource: Resource, spec: Section) -> None:
    tenant = TenantSpec(display_name=spec.text("displayName"))
    _selector(spec.section("placement", SELECTOR, required=True), tenant.placement)
    lease = spec.duration("lease", LEAST_LEASE, MOST_LEASE)
    if lease is not None:
        tenant.lease.FromMilliseconds(round(lease * 1000))
    resource.tenant.CopyFrom(tenant)


def _system(resource: Resource, spec: Section) -> None:
    system = SystemSpec(
        key_version=spec.integer("keyVersion", 1, MOST_VERSIONS, 1),
        key_compromised_below=spec.integer("compromisedBelow", 1, MOST_VERSIONS, 0),
    )
    if spec.node("placement") is not None:
        _selector(spec.section("placement", SELECTOR), system.placement)
    resource.system.CopyFrom(system)


def _service(resource: Resource, spec: Section) -> None:
    resource.service.CopyFrom(
        ServiceSpec(
            key_version=spec.integer("keyVersion", 1, MOST_VERSIONS, 1),
            key_compromised_below=spec.integer("compromisedBelow", 1, MOST_VERSIONS, 0),
        )
    )


def _link(resource: Resource, spec: Section) -> None:
    resource.link.CopyFrom(
        LinkSpec(
            system=spec.name("system", required=True, what="a system's name"),
            provider=spec.name("provider", what="an L1 provider's name") or "hsm",
            key=spec.text("key", required=True, expected="the label of the L1 key at its provider", most=MAX_KEY),
            state=LINK_STATES[spec.choice("state", tuple(LINK_STATES), "linked")],
            shared_with=spec.names("sharedWith", what="tenant"),
        )
    )


def _edge_policy(resource: Resource, spec: Section) -> None:
    policy = EdgePolicySpec()
    _selector(spec.section("placement", SELECTOR, required=True), policy.placement)
    for one in spec.sections("rules", RULE):
        effect = one.choice("effect", tuple(EFFECTS), "")
        if one.usable and one.node("effect") is None:
            one.complain(None, "effect", f"is missing; expected one of {', '.join(EFFECTS)}")
        policy.rules.append(
            EdgeRule(
                name=one.name("name", required=True, what="a name for the rule"),
                effect=EFFECTS.get(effect, EDGE_EFFECT_UNSPECIFIED),
                callers=one.words(
                    "callers",
                    what="SPIFFE ID",
                    accepts=lambda text: bool(CALLER.fullmatch(text)),
                    expected='a SPIFFE ID such as "spiffe://orbital/workload/acme/*"',
                ),
                tenants=one.names("tenants", what="tenant"),
                systems=one.names("systems", what="system"),
                services=one.names("services", what="service"),
                operations=[OPERATIONS[word] for word in _operations(one)],
            )
        )
    resource.edge_policy.CopyFrom(policy)


def _operations(rule: Section) -> list[str]:
    listed = ", ".join(OPERATIONS)
    return rule.words("operations", what="operation", accepts=OPERATIONS.__contains__, expected=f"one of {listed}")


def _named(metadata: Section) -> str:
    return metadata.name("name", required=True)


def _tenanted(metadata: Section) -> str:
    tenant = metadata.name("tenant", required=True, what="a tenant's name")
    return f"tenants/{tenant}"


def _service_name(metadata: Section, spec: Section) -> str:
    system = spec.name("system", required=True, what="a system's name")
    return f"{_tenanted(metadata)}/systems/{system}/services/{_named(metadata)}"


KINDS = {
    "Region": Kind(("area", "cryptoEndpoint", "transport"), False, False, lambda m, _: f"regions/{_named(m)}", _region),
    "Tenant": Kind(("displayName", "placement", "lease"), True, False, lambda m, _: f"tenants/{_named(m)}", _tenant),
    "System": Kind(
        ("keyVersion", "compromisedBelow", "placement"),
        False,
        True,
        lambda m, _: f"{_tenanted(m)}/systems/{_named(m)}",
        _system,
    ),
    "Service": Kind(("system", "keyVersion", "compromisedBelow"), True, True, _service_name, _service),
    "Link": Kind(
        ("system", "provider", "key", "state", "sharedWith"),
        True,
        True,
        lambda m, _: f"{_tenanted(m)}/links/{_named(m)}",
        _link,
    ),
    "EdgePolicy": Kind(("placement", "rules"), True, False, lambda m, _: f"edge-policies/{_named(m)}", _edge_policy),
}
