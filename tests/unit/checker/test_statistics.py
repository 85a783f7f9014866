"""What a sidecar's counters say."""

from checker.domain.sample import Status
from checker.domain.statistics import Latency, Snapshot, growth, read, target

FAIL = "cluster.gateway-bulk.upstream_cx_connect_fail"
ERROR = "http.crypto.ext_authz.error"


def snapshot(down=(), **statistics):
    return Snapshot(tuple(down), statistics, "1.40.0")


def test_a_counter_that_does_not_grow_is_no_trouble():
    assert read([snapshot(**{FAIL: 7}), snapshot(**{FAIL: 7})]).status is Status.HEALTHY
    assert read([snapshot(**{FAIL: 7})]).status is Status.HEALTHY


def test_growth_is_told_with_whom_it_is_about():
    found = read([snapshot(**{FAIL: 7}), snapshot(**{FAIL: 9})])
    assert (found.status, found.reason) == (Status.DEGRADED, "GATEWAY_CONNECT_FAILED")
    assert (FAIL, "+2") in found.values
    assert found.version == "1.40.0"


def test_several_upstreams_have_no_single_cause():
    found = read([snapshot(**{FAIL: 7, ERROR: 0}), snapshot(**{FAIL: 9, ERROR: 1})])
    assert found.reason == "SEVERAL_UPSTREAMS"


def test_a_stranger_at_the_door_is_no_trouble():
    knock = "listener.127.0.0.1_1.ssl.connection_error"
    assert read([snapshot(**{knock: 0}), snapshot(**{knock: 3})]).status is Status.HEALTHY


def test_a_host_that_is_down_is_told():
    assert read([snapshot(["region"])]).reason == "REGION_UPSTREAM_DOWN"


def test_a_sidecar_that_began_anew_counts_from_zero():
    assert growth({"a": 9, "b": 1}, {"a": 2, "b": 4, "c": 1}) == {"a": 2, "b": 3, "c": 1}


def test_whom_it_is_about():
    assert target(FAIL) == "GATEWAY"
    assert target(ERROR) == "OPA"
    assert target("listener.127.0.0.1_1.ssl.connection_error") == "ENVOY"


ANSWERED = "cluster.gateway-bulk.upstream_rq_2xx"


def test_trouble_is_over_once_it_answers_and_no_longer_counts_up():
    window = [snapshot(**{FAIL: 7, ANSWERED: 1}), snapshot(**{FAIL: 9, ANSWERED: 1})]
    assert read(window).reason == "GATEWAY_CONNECT_FAILED"
    assert read([*window, snapshot(**{FAIL: 9, ANSWERED: 1})]).reason == "GATEWAY_CONNECT_FAILED"
    assert read([*window, snapshot(**{FAIL: 10, ANSWERED: 2})]).reason == "GATEWAY_CONNECT_FAILED"
    assert read([*window, snapshot(**{FAIL: 9, ANSWERED: 2})]).status is Status.HEALTHY


def test_a_time_out_of_the_authorizer_is_told_as_such():
    late = "cluster.opa.upstream_rq_timeout"
    assert read([snapshot(**{late: 0}), snapshot(**{late: 1})]).reason == "OPA_AUTHORIZATION_TIMEOUT"
    late = "cluster.opa-bulk.upstream_rq_timeout"
    assert read([snapshot(**{late: 0}), snapshot(**{late: 1})]).reason == "OPA_TIMEOUT"


def test_a_slow_part_is_told_and_a_long_stream_is_not():
    slow = Snapshot((), {}, "1.40.0", {"openbao": Latency(600.0, 900.0), "gateway-bulk": Latency(600_000.0, 6e5)})
    found = read([slow], 500.0)
    assert (found.status, found.reason) == (Status.DEGRADED, "OPENBAO_SLOW")
    assert ("cluster.openbao.upstream_rq_time", "p50=600 ms") in found.values
    assert ("cluster.openbao.upstream_rq_time", "p50=600 p99=900 ms") in read([slow]).values


def test_edges_that_wait_are_no_latency_and_their_way_is_the_regions():
    waiting = Snapshot((), {}, "1", {"edge": Latency(10_000.0, 10_000.0)})
    assert read([waiting, waiting], 500.0).reason == ""
    assert (
        target("cluster.edge.upstream_cx_connect_fail") == target("cluster.edges.upstream_cx_connect_fail") == "REGION"
    )
