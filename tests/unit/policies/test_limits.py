"""Every listener, connection manager and cluster of every template is bounded, whatever the template says."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from runtime.envoy import _joined
from runtime.limits import HTTP2, LIMITS, RATE_LIMIT, bounded, is_public, managers, read_limits
from tests.unit.policies.test_envoy import CONSOLE, PROBES, ROOT, SIDECARS, parameters

MORE = {"gateway": CONSOLE, "region": PROBES}
NAMES = [template.stem for template in SIDECARS]
RPCS = yaml.safe_load((ROOT / "policies" / "data" / "rpcs.yaml").read_text())
NOBODY = {name for name, rule in RPCS.items() if "newcomer" in rule["roles"]}


def document(name: str) -> dict[str, Any]:
    templates = [ROOT / "envoy" / "sidecars" / f"{name}.yaml", *([MORE[name]] if name in MORE else [])]
    given: dict[str, Any] = {}
    for template in templates:
        given |= parameters(template)
    return bounded(_joined(templates, given), read_limits())


def listeners(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document(name)["static_resources"]["listeners"]
    return found


EVERY = [(name, each["name"]) for name in NAMES for each in listeners(name)]
PUBLIC = [(name, each["name"]) for name in NAMES for each in listeners(name) if is_public(each)]


def listener(name: str, called: str) -> dict[str, Any]:
    return next(each for each in listeners(name) if each["name"] == called)


@pytest.mark.parametrize(("name", "called"), EVERY)
def test_every_listener_has_a_number_of_connections_streams_and_headers(name: str, called: str) -> None:
    whole = document(name)
    runtime = whole["layered_runtime"]["layers"][0]["static_layer"]
    assert runtime[f"envoy.resource_limits.listener.{called}.connection_limit"] > 0
    for manager in managers(listener(name, called)):
        assert manager["max_request_headers_kb"] <= 60
        assert manager["common_http_protocol_options"]["max_headers_count"] <= 100
        assert manager["http2_protocol_options"]["max_concurrent_streams"] <= 256
        assert manager["http2_protocol_options"]["override_stream_error_on_invalid_http_message"] is True


@pytest.mark.parametrize(("name", "called"), PUBLIC)
def test_every_listener_that_others_reach_has_all_time_outs_and_a_rate(name: str, called: str) -> None:
    found = listener(name, called)
    assert found["per_connection_buffer_high_watermark_timeout"] == "20s"
    assert all(chain["transport_socket_connect_timeout"] == "5s" for chain in found["filter_chains"])
    for manager in managers(found):
        for field in ("request_headers_timeout", "request_timeout", "stream_idle_timeout", "stream_flush_timeout"):
            assert 0 < float(manager[field].removesuffix("s")) <= 120, field
        for field in ("idle_timeout", "max_connection_duration"):
            assert 0 < float(manager["common_http_protocol_options"][field].removesuffix("s")) <= 3600, field
        filters = [each["name"] for each in manager["http_filters"]]
        assert filters.index(RATE_LIMIT) == filters.index("envoy.filters.http.ext_authz") - 1
        if "envoy.filters.http.jwt_authn" in filters:
            assert filters.index("envoy.filters.http.jwt_authn") < filters.index(RATE_LIMIT)


@pytest.mark.parametrize("name", NAMES)
def test_every_cluster_with_http2_ends_a_stream_and_not_the_connection(name: str) -> None:
    clusters = document(name)["static_resources"]["clusters"]
    options = [each["typed_extension_protocol_options"][HTTP2] for each in clusters if
               "typed_extension_protocol_options" in each]  # fmt: skip
    assert options
    for said in options:
        http2 = said["explicit_http_config"]["http2_protocol_options"]
        assert http2["override_stream_error_on_invalid_http_message"] is True
        assert said["common_http_protocol_options"]["max_response_headers_kb"] <= 60


@pytest.mark.parametrize("name", NAMES)
def test_every_sidecar_has_a_bound_to_its_memory(name: str) -> None:
    overload = document(name)["overload_manager"]
    assert {each["name"].rpartition(".")[2] for each in overload["resource_monitors"]} == {
        "fixed_heap",
        "global_downstream_max_connections",
    }
    assert "stop_accepting_requests" not in str(overload), "whoever is connected is served to the last"


def cluster_of(routes: list[dict[str, Any]], method: str, headers: dict[str, str]) -> str:
    for route in routes:
        match = route["match"]
        if not (method == match.get("path") or method.startswith(match.get("prefix", "\0"))):
            continue
        if all(headers.get(each["name"]) == each["string_match"]["exact"] for each in match.get("headers", ())):
            cluster: str = route["route"]["cluster"]
            return cluster
    raise AssertionError(method)


@pytest.mark.parametrize(("name", "called"), [("gateway", "mtls"), ("gateway", "jwt"), ("region", "out")])
def test_lane_0_other_lanes_and_everything_else_share_no_connection(name: str, called: str) -> None:
    (manager,) = managers(listener(name, called))
    routes = [route for host in manager["route_config"]["virtual_hosts"] for route in host["routes"]]
    subscribe = "/orbital.v1.DispatchService/Subscribe"
    urgent = {cluster_of(routes, subscribe, {"x-orbital-lane": "0"})}
    lanes = {cluster_of(routes, subscribe, {"x-orbital-lane": lane}) for lane in ("1", "2")}
    nobody = {cluster_of(routes, method, {}) for method in NOBODY}
    others = {cluster_of(routes, method, {}) for method in RPCS.keys() - NOBODY - {subscribe}}
    sets = [urgent, lanes, others, *([nobody] if name == "gateway" else [])]
    assert sum(map(len, sets)) == len(set().union(*sets)), sets


def test_what_a_template_says_stays_and_a_listener_without_a_number_is_refused() -> None:
    limits = read_limits()
    one = {"name": "x", "filter_chains": []}
    with pytest.raises(KeyError):
        bounded({"static_resources": {"listeners": [one], "clusters": []}}, limits)
    http2 = {HTTP2: {"explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 7}}}}
    cluster = {"name": "x", "typed_extension_protocol_options": http2}
    made = bounded({"static_resources": {"listeners": [], "clusters": [cluster]}}, limits)
    options = made["static_resources"]["clusters"][0]["typed_extension_protocol_options"][HTTP2]
    assert options["explicit_http_config"]["http2_protocol_options"]["max_concurrent_streams"] == 7


@pytest.mark.parametrize("template", [*SIDECARS, CONSOLE], ids=lambda path: path.stem)
def test_access_logs_read_the_header_that_is_sent(template: Any) -> None:
    read = set(re.findall(r"correlation_id: '%REQ\((\S+?)\)%'", template.read_text()))
    assert read == {"X-ORBITAL-CORRELATION-ID"}


def test_the_limits_are_where_the_table_says() -> None:
    assert LIMITS == ROOT / "envoy" / "limits.yaml"
