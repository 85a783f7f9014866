"""Declarations as YAML documents, from what is declared: what `load` reads back as the same resource."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orbital.v1.resource_pb2 import LINK_STATE_UNLINKED, Resource, Selector, Transport

from console.cli.declaration.kinds import EFFECTS, OPERATIONS
from console.cli.declaration.load import VERSION
from console.cli.moments import spell_duration
from console.cli.yaml_form import dump
from runtime.wellknown import seconds

KIND = {
    "region": "Region", "tenant": "Tenant", "system": "System", "service": "Service", "link": "Link",
    "edge_policy": "EdgePolicy",
}  # fmt: skip
TRANSPORT = {Transport.TRANSPORT_AMQP: "amqp", Transport.TRANSPORT_MQTT: "mqtt"}


def write_documents(resources: Iterable[Resource], *, fenced: bool) -> str:
    """The documents in YAML. `fenced`: with the generation, so that what changed meanwhile is refused."""
    return dump((document(one, fenced=fenced) for one in resources), explicit_start=True)


def document(resource: Resource, *, fenced: bool) -> dict[str, Any]:
    """One document. The state of a killed tenant is nothing that can be declared, and is left out."""
    which = str(resource.WhichOneof("spec"))
    parts = resource.name.split("/")
    metadata: dict[str, Any] = {"name": parts[-1]}
    if len(parts) > 2:
        metadata["tenant"] = parts[1]
    metadata |= _kept({"labels": dict(sorted(resource.labels.items()))})
    if fenced and resource.generation:
        metadata["generation"] = resource.generation
    spec = _kept(_SPECS[which](resource))
    if which == "service":
        spec = {"system": parts[3], **spec}
    return {"apiVersion": VERSION, "kind": KIND[which], "metadata": metadata, **_kept({"spec": spec})}


def _kept(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", 0, [], {})}


def _place(selector: Selector) -> dict[str, Any]:
    return _kept({"regions": list(selector.regions), "matchLabels": dict(sorted(selector.match_labels.items()))})


def _region(resource: Resource) -> dict[str, Any]:
    spec = resource.region
    transport = TRANSPORT.get(spec.transport)
    return {"area": spec.area, "cryptoEndpoint": spec.crypto_endpoint, "transport": transport}


def _tenant(resource: Resource) -> dict[str, Any]:
    spec = resource.tenant
    lease = seconds(spec.lease)
    return {
        "displayName": spec.display_name,
        "placement": _place(spec.placement),
        "lease": spell_duration(lease) if lease else None,
    }


def _system(resource: Resource) -> dict[str, Any]:
    spec = resource.system
    return {
        "keyVersion": spec.key_version,
        "compromisedBelow": spec.key_compromised_below,
        "placement": _place(spec.placement),
    }


def _service(resource: Resource) -> dict[str, Any]:
    spec = resource.service
    return {"keyVersion": spec.key_version, "compromisedBelow": spec.key_compromised_below}


def _link(resource: Resource) -> dict[str, Any]:
    spec = resource.link
    state = "unlinked" if spec.state == LINK_STATE_UNLINKED else "linked"
    return {
        "system": spec.system,
        "provider": spec.provider,
        "key": spec.key,
        "state": state,
        "sharedWith": list(spec.shared_with),
    }


def _edge_policy(resource: Resource) -> dict[str, Any]:
    effects = {number: word for word, number in EFFECTS.items()}
    operations = {number: word for word, number in OPERATIONS.items()}
    rules = [
        _kept(
            {
                "name": rule.name,
                "effect": effects.get(rule.effect),
                "callers": list(rule.callers),
                "tenants": list(rule.tenants),
                "systems": list(rule.systems),
                "services": list(rule.services),
                "operations": [operations[one] for one in rule.operations],
            }
        )
        for rule in resource.edge_policy.rules
    ]
    return {"placement": _place(resource.edge_policy.placement), "rules": rules}


_SPECS = {
    "region": _region, "tenant": _tenant, "system": _system, "service": _service, "link": _link,
    "edge_policy": _edge_policy,
}  # fmt: skip
