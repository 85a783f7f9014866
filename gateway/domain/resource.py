"""Resources: their names, what belongs to what, and what a valid one looks like."""

from __future__ import annotations

from dataclasses import dataclass

from orbital.v1.registry_pb2 import ResourceKind
from orbital.v1.resource_pb2 import LinkState, Resource, Selector, Transport

from gateway.domain.edge import check_rules
from runtime.errors import Invalid
from runtime.fields import check_length, check_name
from runtime.keystates import MOST_VERSIONS
from runtime.l1 import MAX_NAME, NAME_INVALID, RESERVED, RESERVED_PREFIX, name_problem, reserved

SPEC_KINDS = {
    "region": ResourceKind.RESOURCE_KIND_REGION,
    "tenant": ResourceKind.RESOURCE_KIND_TENANT,
    "system": ResourceKind.RESOURCE_KIND_SYSTEM,
    "service": ResourceKind.RESOURCE_KIND_SERVICE,
    "link": ResourceKind.RESOURCE_KIND_LINK,
    "edge_policy": ResourceKind.RESOURCE_KIND_EDGE_POLICY,
}
PATTERNS: dict[tuple[str, ...], str] = {
    ("regions",): "region",
    ("tenants",): "tenant",
    ("tenants", "systems"): "system",
    ("tenants", "systems", "services"): "service",
    ("tenants", "links"): "link",
    ("edge-policies",): "edge_policy",
}
SHAPES = {
    "region": "regions/REGION",
    "tenant": "tenants/TENANT",
    "system": "tenants/TENANT/systems/SYSTEM",
    "service": "tenants/TENANT/systems/SYSTEM/services/SERVICE",
    "link": "tenants/TENANT/links/LINK",
    "edge_policy": "edge-policies/POLICY",
}
# What belongs to no tenant.
TENANTLESS = {"region", "edge_policy"}
MAX_LABELS = 32  # labels are for selection, not for storage
# Tenants that one Link's L1 key may be shared with.
MAX_SHARED = 100


@dataclass(frozen=True, slots=True)
class Name:
    """A resource's name taken apart."""

    spec: str
    segments: tuple[str, ...]

    @property
    def tenant(self) -> str:
        """The tenant's segment; empty for what belongs to no tenant."""
        return "" if self.spec in TENANTLESS else self.segments[0]

    @property
    def last(self) -> str:
        """The last segment."""
        return self.segments[-1]


def parse_name(name: str, field: str = "name") -> Name:
    """The parts of a resource name; raises Invalid naming `field`."""
    parts = name.split("/")
    spec = PATTERNS.get(tuple(parts[0::2])) if len(parts) % 2 == 0 else None
    if spec is None:
        raise Invalid(
            f"{field} is {name[:200]!r}; expected one of {', '.join(SHAPES.values())}",
            reason="INVALID_NAME",
            field=field,
        )
    segments = tuple(parts[1::2])
    for segment in segments:
        check_name(segment, field)
    return Name(spec, segments)


def tenant_of(name: str) -> str:
    """The full name of the tenant that a resource belongs to."""
    return "/".join(name.split("/")[:2])


def parent_of(resource: Resource) -> str:
    """The full name of the system of a service or a link; empty for others."""
    spec = resource.WhichOneof("spec")
    if spec == "service":
        return resource.name.rpartition("/services/")[0]
    if spec == "link":
        return f"{tenant_of(resource.name)}/systems/{resource.link.system}"
    return ""


def kind_of(resource: Resource) -> ResourceKind.ValueType:
    """The resource's kind."""
    return SPEC_KINDS[str(resource.WhichOneof("spec"))]


def normalize(resource: Resource, field: str) -> Resource:
    """A copy with its defaults filled in and without its output-only fields; raises Invalid naming the field."""
    name = parse_name(resource.name, f"{field}.name")
    spec = resource.WhichOneof("spec")
    if spec is None:
        raise Invalid(f"{field}.spec is missing; expected {name.spec}", reason="MISSING_FIELD", field=f"{field}.spec")
    if spec != name.spec:
        raise Invalid(
            f"{field}.{spec} does not fit the name {resource.name!r}, which is a {name.spec}'s",
            reason="NAME_MISMATCH",
            field=f"{field}.{spec}",
        )
    _check_labels(dict(resource.labels), f"{field}.labels")
    plain = Resource()
    plain.CopyFrom(resource)
    plain.ClearField("generation")
    plain.ClearField("correlation_id")
    plain.ClearField("update_time")
    plain.ClearField("retired")
    CHECKS[spec](plain, f"{field}.{spec}")
    return plain


def _check_labels(labels: dict[str, str], field: str) -> None:
    check_length(len(labels), 0, MAX_LABELS, field, "labels")
    for key, value in labels.items():
        check_length(len(key), 1, 63, f"{field}[{key[:63]}]")
        check_length(len(value), 0, 63, f"{field}[{key}]")


def _region(resource: Resource, field: str) -> None:
    check_length(len(resource.region.area), 0, 63, f"{field}.area")
    check_length(len(resource.region.crypto_endpoint), 0, 255, f"{field}.crypto_endpoint")
    if resource.region.transport not in Transport.values():
        raise Invalid(f"{field}.transport is {resource.region.transport}", field=f"{field}.transport")
    if resource.region.transport == Transport.TRANSPORT_STREAM:
        resource.region.ClearField("transport")


def _tenant(resource: Resource, field: str) -> None:
    check_length(len(resource.tenant.display_name), 0, 200, f"{field}.display_name")
    if resource.tenant.HasField("lease") and not 1 <= resource.tenant.lease.seconds <= 366 * 86_400:
        raise Invalid(
            f"{field}.lease is {resource.tenant.lease.seconds} s; expected 1 s to 366 days",
            reason="INVALID_LEASE",
            field=f"{field}.lease",
        )
    resource.tenant.ClearField("state")
    resource.tenant.ClearField("unlinked_by_kill")
    _selector(resource.tenant.placement, f"{field}.placement")


def _system(resource: Resource, field: str) -> None:
    resource.system.key_version = _version(resource.system.key_version, f"{field}.key_version")
    _compromised(resource.system.key_compromised_below, resource.system.key_version, field)
    _selector(resource.system.placement, f"{field}.placement")


def _service(resource: Resource, field: str) -> None:
    resource.service.key_version = _version(resource.service.key_version, f"{field}.key_version")
    _compromised(resource.service.key_compromised_below, resource.service.key_version, field)


def _link(resource: Resource, field: str) -> None:
    check_name(resource.link.system, f"{field}.system")
    check_name(resource.link.provider, f"{field}.provider")
    _check_key(resource.link.provider, resource.link.key, f"{field}.key")
    _shared_with(resource, f"{field}.shared_with")
    if resource.link.state == LinkState.LINK_STATE_UNSPECIFIED:
        resource.link.state = LinkState.LINK_STATE_LINKED


def _check_key(provider: str, key: str, field: str) -> None:
    if reserved(key):
        raise Invalid(
            f"{field} is {key[:MAX_NAME]!r}; names that begin with {RESERVED_PREFIX!r} belong to the platform, and no "
            "Link may use such a key",
            reason=RESERVED,
            field=field,
        )
    problem = name_problem(provider, key)
    if problem:
        raise Invalid(f"{field}, {key[:MAX_NAME]!r}, {problem}", reason=NAME_INVALID, field=field)


def _shared_with(resource: Resource, field: str) -> None:
    check_length(len(resource.link.shared_with), 0, MAX_SHARED, field, "tenants")
    for index, tenant in enumerate(resource.link.shared_with):
        check_name(tenant, f"{field}[{index}]")
    tenants = sorted(set(resource.link.shared_with) - {parse_name(resource.name).tenant})
    del resource.link.shared_with[:]
    resource.link.shared_with.extend(tenants)


def _edge_policy(resource: Resource, field: str) -> None:
    _selector(resource.edge_policy.placement, f"{field}.placement")
    check_rules(resource.edge_policy, field)


CHECKS = {
    "region": _region,
    "tenant": _tenant,
    "system": _system,
    "service": _service,
    "link": _link,
    "edge_policy": _edge_policy,
}


def _version(version: int, field: str) -> int:
    if version > MOST_VERSIONS:
        raise Invalid(f"{field} is {version}; expected 1 to {MOST_VERSIONS}", reason="INVALID_VERSION", field=field)
    return version or 1


def _compromised(below: int, version: int, field: str) -> None:
    if below > version:
        raise Invalid(
            f"{field}.key_compromised_below is {below}, but key_version is {version}; the newest has to be good",
            reason="INVALID_VERSION",
            field=f"{field}.key_compromised_below",
        )


def _selector(selector: Selector, field: str) -> None:
    for index, region in enumerate(selector.regions):
        check_name(region, f"{field}.regions[{index}]")
    _check_labels(dict(selector.match_labels), f"{field}.match_labels")
    regions = sorted(set(selector.regions))
    del selector.regions[:]
    selector.regions.extend(regions)
