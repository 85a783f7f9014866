"""Limits of a sidecar: what envoy/limits.yaml says goes wherever a template says nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from runtime.files import read_text
from runtime.issuers import PAYLOADS

LIMITS = Path(__file__).parents[1] / "envoy" / "limits.yaml"
HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
MANAGER = "envoy.filters.network.http_connection_manager"
AUTHORIZATION = "envoy.filters.http.ext_authz"
AUTHORIZATION_ROUTE_TYPE = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
RATE_LIMIT = "envoy.filters.http.local_ratelimit"
RATE_LIMIT_TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
# Callers that are counted apart at once; those that called the longest ago go first.
MOST_CALLERS = 10_000
CALLER = "caller"
TOKENS = "envoy.filters.http.jwt_authn"


def _by_token(payload: str) -> dict[str, Any]:
    """Counts by the subject of a token, where there is one."""
    place = {"key": TOKENS, "path": [{"key": payload}, {"key": "sub"}]}
    return {"actions": [{"metadata": {"descriptor_key": CALLER, "metadata_key": place, "skip_if_absent": True}}]}


BY_CERTIFICATE = {
    "name": "envoy.rate_limit_descriptors.expr",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor",
        "descriptor_key": CALLER,
        "skip_if_error": True,
        "text": "connection.uri_san_peer_certificate",
    },
}
CALLERS = [{"actions": [{"extension": BY_CERTIFICATE}]}, *map(_by_token, PAYLOADS.values())]


def read_limits(path: Path = LIMITS) -> dict[str, Any]:
    """The limits as they are written."""
    found: dict[str, Any] = yaml.load(read_text(path), Loader=yaml.CSafeLoader)
    return found


def bounded(document: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    """`document` (a bootstrap) with every listener, connection manager and cluster of it bounded.

    What the document says itself stays. Raises KeyError on a listener for which no number of connections is said.
    """
    resources = document["static_resources"]
    listeners = [_listener(each, limits) for each in resources["listeners"]]
    clusters = [_cluster(each, limits["upstream"]) for each in resources["clusters"]]
    connections = {
        f"envoy.resource_limits.listener.{name}.connection_limit": limits["connections"][name]
        for name in sorted(each["name"] for each in listeners)
    }
    whole = {
        "layered_runtime": {"layers": [{"name": "limits", "static_layer": connections}]},
        **limits["process"],
    }
    return _filled({**document, "static_resources": {**resources, "listeners": listeners, "clusters": clusters}}, whole)


def managers(listener: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The configuration of each connection manager of a listener."""
    for chain in listener["filter_chains"]:
        yield from (each["typed_config"] for each in chain["filters"] if each["name"] == MANAGER)


def is_public(listener: Mapping[str, Any]) -> bool:
    """Whether others than the processes beside it reach a listener: only these want TLS."""
    return any("transport_socket" in chain for chain in listener["filter_chains"])


def _rate_limit(name: str, rate: int, *, named: bool = True) -> dict[str, Any]:
    """At most `rate` calls a second: of each caller that is named, or of all together."""
    bucket = {"max_tokens": 2 * rate, "tokens_per_fill": rate, "fill_interval": "1s"}
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    said: dict[str, Any] = {
        "@type": RATE_LIMIT_TYPE,
        "stat_prefix": name,
        "token_bucket": bucket,
        "filter_enabled": always,
        "filter_enforced": always,
        "rate_limited_as_resource_exhausted": True,
    }
    if not named:
        return said
    each = {"entries": [{"key": CALLER}], "token_bucket": bucket}
    return said | {
        "descriptors": [each],
        "rate_limits": CALLERS,
        "max_dynamic_descriptors": MOST_CALLERS,
        "always_consume_default_token_bucket": False,
    }


def _route(route: Mapping[str, Any], rules: Mapping[str, Mapping[str, int]]) -> Mapping[str, Any]:
    rule = rules.get(route.get("name", ""))
    if rule is None:
        return route
    more: dict[str, Any] = {RATE_LIMIT: _rate_limit(route["name"], rule["rate"], named="body" not in rule)}
    if "body" in rule:
        body = {"max_request_bytes": rule["body"], "allow_partial_message": True, "pack_as_bytes": True}
        more[AUTHORIZATION] = {"@type": AUTHORIZATION_ROUTE_TYPE, "check_settings": {"with_request_body": body}}
    return {**route, "typed_per_filter_config": _filled(route.get("typed_per_filter_config", {}), more)}


def _listener(listener: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    public = limits["public"] if is_public(listener) else {}
    http = _filled(limits["http"], public.get("http", {}))
    chains = [
        _filled(
            {**chain, "filters": [_filter(each, http, limits, listener["name"]) for each in chain["filters"]]},
            public.get("filter_chain", {}),
        )
        for chain in listener["filter_chains"]
    ]
    return _filled({**listener, "filter_chains": chains}, public.get("listener", {}))


def _filter(given: Mapping[str, Any], http: Mapping[str, Any], limits: Mapping[str, Any], listener: str) -> Any:
    if given["name"] != MANAGER:
        return given
    manager = dict(given["typed_config"])
    rate = limits["rates"].get(listener)
    if rate is not None:
        manager["http_filters"] = list(_with_rate(manager["http_filters"], listener, rate, limits["authorization"]))
        hosts = [
            {**host, "routes": [_route(route, limits["routes"]) for route in host["routes"]]}
            for host in manager["route_config"]["virtual_hosts"]
        ]
        manager["route_config"] = {**manager["route_config"], "virtual_hosts": hosts}
    return {**given, "typed_config": _filled(manager, http)}


def _with_rate(
    filters: Sequence[Mapping[str, Any]], listener: str, rate: int, authorization: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """The filters, with the rate limit where the caller is known and the policy is not asked yet."""
    for each in filters:
        if each["name"] != AUTHORIZATION:
            yield each
            continue
        yield {"name": RATE_LIMIT, "typed_config": _rate_limit(listener, rate)}
        yield {**each, "typed_config": _filled(each["typed_config"], authorization)}


def _cluster(cluster: Mapping[str, Any], upstream: Mapping[str, Any]) -> Mapping[str, Any]:
    options = cluster.get("typed_extension_protocol_options", {})
    if HTTP2 not in options:
        return cluster
    said = options[HTTP2]
    http2 = said["explicit_http_config"]["http2_protocol_options"]
    more = {
        "common_http_protocol_options": _filled(
            said.get("common_http_protocol_options", {}), upstream["common_http_protocol_options"]
        ),
        "explicit_http_config": {"http2_protocol_options": _filled(http2, upstream["http2_protocol_options"])},
    }
    return {**cluster, "typed_extension_protocol_options": {**options, HTTP2: {**said, **more}}}


def _filled(said: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`said`, and of `more` what it does not say."""
    filled = dict(said)
    for name, value in more.items():
        known = filled.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            filled[name] = _filled(known, value)
        else:
            filled.setdefault(name, value)
    return filled
