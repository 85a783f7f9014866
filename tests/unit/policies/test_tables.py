"""The tables of the policies against the contract: nothing is forgotten, nothing is left over."""

import re
from pathlib import Path

import pytest
import yaml
from grpc_health.v1 import health_pb2
from orbital.v1 import (
    approval_pb2,
    audit_pb2,
    crypto_pb2,
    dispatch_pb2,
    edge_pb2,
    enrolment_pb2,
    flag_pb2,
    inspect_pb2,
    parked_pb2,
    policy_pb2,
    receipt_pb2,
    registry_pb2,
    report_pb2,
    task_pb2,
    trace_pb2,
    verify_pb2,
)

from runtime.bundle import outcomes

DATA = Path(__file__).resolve().parents[3] / "policies" / "data"
CONTRACT = (
    approval_pb2, audit_pb2, crypto_pb2, dispatch_pb2, edge_pb2, enrolment_pb2, flag_pb2, inspect_pb2, parked_pb2,
    policy_pb2, receipt_pb2, registry_pb2, report_pb2, trace_pb2, verify_pb2, health_pb2,
)  # fmt: skip
RPCS = yaml.safe_load((DATA / "rpcs.yaml").read_text())
ROLES = yaml.safe_load((DATA / "roles.yaml").read_text())


def methods():
    for module in CONTRACT:
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield f"/{service.full_name}/{method.name}", method


def test_every_rpc_has_a_rule_and_every_rule_an_rpc():
    known = {path for path, _method in methods()}
    assert known | {path for path in RPCS if path.startswith("/grpc.reflection.")} == RPCS.keys()


@pytest.mark.parametrize(("path", "rule"), RPCS.items())
def test_rule_is_complete_and_has_nothing_else(path, rule):
    assert rule.keys() - {"fresh"} in ({"at", "roles"}, {"at", "roles", "speaks_for"})
    assert rule.get("fresh", True) is True
    assert rule["at"] in {"gateway", "region", "any"}
    known = {role for roles in ROLES.values() for role in roles} | {"region", "workload", "anyone", "newcomer"}
    assert rule["roles"]
    assert set(rule["roles"]) <= known


@pytest.mark.parametrize(("path", "rule"), RPCS.items())
def test_region_speaks_for_itself_where_its_request_names_a_region(path, rule):
    assert ("region" in rule["roles"]) == ("speaks_for" in rule)
    if rule.get("speaks_for") == "body":
        method = dict(methods())[path]
        assert not method.client_streaming
        assert "region" in method.input_type.fields_by_name


def test_auditor_changes_nothing():
    reading = re.compile(r"/(Get|List|Watch)[A-Za-z]*$")
    assert all(reading.search(path) for path, rule in RPCS.items() if "auditor" in rule["roles"])


def test_outcomes_are_those_of_the_contract():
    assert {f"OUTCOME_{name}" for name in outcomes()} | {"OUTCOME_UNSPECIFIED"} == set(task_pb2.Outcome.keys())
