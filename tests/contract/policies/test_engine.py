"""The policy engine itself: what happens without it, and what may be asked of it."""

from __future__ import annotations

import json
import time

import grpc
import pytest
from orbital.v1 import registry_pb2, registry_pb2_grpc

from tests.contract.policies.calls import TIMEOUT, outcome, refusal
from tests.contract.policies.conftest import Engine, until

TASK = {
    "kind": "SYNC_METADATA",
    "lane": 2,
    "region": "eu10",
    "tenant": "acme",
    "resource": "tenants/acme",
    "generation": 1,
}


def list_regions(site):
    with site.channel("mtls", "operator") as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        stub.ListRegions(registry_pb2.ListRegionsRequest(), timeout=TIMEOUT)
    return True


def test_without_the_engine_nothing_passes_and_with_it_everything_resumes(site):
    engine = site.engines["opa-gateway-immediate"]
    list_regions(site)
    engine.kill()
    before = len(site.echoes["gateway-bulk"].seen)
    error = refusal(lambda: list_regions(site))
    assert outcome(error) == (grpc.StatusCode.UNAVAILABLE, "POLICY_ENGINE_UNAVAILABLE")
    assert error.details() == "The policy engine does not answer; nothing passes until it does."
    assert len(site.echoes["gateway-bulk"].seen) == before
    engine.start()
    until(lambda: list_regions(site), "calls passing again")


def test_engine_without_a_bundle_is_closed_and_healthy(site):
    engine = Engine(site, "opa-gateway-fresh", "gateway", "global", bundles_port=1)
    engine.start()
    try:
        until(lambda: engine.ask("GET", "/health")[0] == 200, "health")
        assert engine.ask("GET", "/health?bundles=true&plugins=true")[0] == 500
        status, answer = engine.ask("POST", "/v1/data/orbital/authz/dispatch/decisions", b'{"input": {"tasks": []}}')
        assert (status, "result" in json.loads(answer)) == (200, False)
        assert engine.ask("PUT", "/v1/policies/mine", b"package orbital.authz.ingress")[0] == 401
    finally:
        engine.kill()


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/v1/status", 200),
        ("GET", "/v1/policies", 401),
        ("GET", "/v1/data", 401),
        ("GET", "/v1/data/orbital/roles", 401),
        ("POST", "/v1/data/orbital/authz/ingress/decision", 401),
        ("POST", "/v1/query", 401),
        ("PUT", "/v1/data/orbital/roles", 401),
        ("DELETE", "/v1/policies/x", 401),
        ("GET", "/v1/config", 401),
        ("GET", "/metrics", 401),
    ],
)
def test_engine_answers_only_what_is_needed(site, method, target, status):
    assert site.engines["opa-eu10-immediate"].ask(method, target, b"{}" if method != "GET" else None)[0] == status


def test_batch_is_answered_with_a_decision_id(site):
    tasks = [TASK | {"id": "a"}, TASK | {"id": "b", "region": "us20"}]
    question = json.dumps({"input": {"region": "eu10", "policy_age": 0, "tasks": tasks}}).encode()
    status, answer = site.engines["opa-eu10-immediate"].ask(
        "POST", "/v1/data/orbital/authz/execute/decisions", question
    )
    decoded = json.loads(answer)
    assert status == 200
    assert decoded["decision_id"]
    assert decoded["result"]["allowed"] == ["a"]
    assert [(denial["id"], denial["reason"]) for denial in decoded["result"]["denied"]] == [("b", "REGION_MISMATCH")]


@pytest.mark.parametrize(
    "question", [b'{"input": "x"}', b'{"input": [1]}', b'{"input": null}', b"{}", b'{"input": {"tasks": "x"}}']
)
def test_nonsense_allows_nothing_and_does_no_harm(site, question):
    engine = site.engines["opa-eu10-immediate"]
    for name in ("dispatch", "execute", "report"):
        answer = json.loads(engine.ask("POST", f"/v1/data/orbital/authz/{name}/decisions", question)[1])
        assert not answer.get("result", {}).get("allowed")
    assert engine.ask("GET", "/health")[0] == 200


@pytest.mark.parametrize("name", ["dispatch", "execute", "report"])
def test_two_hundred_tasks_cost_no_more_than_a_few_single_ones(site, name):
    engine = site.engines["opa-eu10-immediate"]
    field = "reports" if name == "report" else "tasks"

    def fastest(count):
        items = [
            TASK | {"id": f"{n:032x}", "resource": f"tenants/acme/systems/s{n}", "outcome": "DONE"}
            for n in range(count)
        ]
        caller = {"principal": "spiffe://orbital/region/eu10", "region": "eu10", "policy_age": 0}
        question = caller | {field: items}
        packed = json.dumps({"input": question}).encode()
        seconds = []
        for _ in range(60):
            began = time.perf_counter()
            answer = engine.ask("POST", f"/v1/data/orbital/authz/{name}/decisions", packed)[1]
            seconds.append(time.perf_counter() - began)
        assert len(json.loads(answer)["result"]["allowed"]) == count
        return min(seconds)

    single, batch = fastest(1), fastest(200)
    assert batch < 40 * single
