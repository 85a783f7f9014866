"""`orbital retire` and `spec.compromisedBelow`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.cli.commands.retire import full_name
from console.cli.declaration.load import load
from console.cli.failure import Failure
from tests.unit.console.conftest import Orbital
from tests.unit.console.gateway import ID, FakeGateway

SERVICE = """\
apiVersion: orbital/v1
kind: Service
metadata: {name: billing, tenant: acme}
spec: {system: core, keyVersion: 3, compromisedBelow: 3}
"""


def test_retire_looks_first_then_retires(gateway: FakeGateway, orbital: Orbital) -> None:
    ended = orbital("retire", "acme/core", "--reason", "moved", "-o", "json")
    assert ended.status == 0
    answer = json.loads(ended.out)
    assert answer["correlation_id"] == ID
    assert [one.validate_only for one in gateway.asked] == [True, False]
    assert list(gateway.asked[1].names) == ["tenants/acme/systems/core"]


def test_a_dry_run_retires_nothing(gateway: FakeGateway, orbital: Orbital) -> None:
    ended = orbital("retire", "acme", "--reason", "moved", "--dry-run")
    assert (ended.status, ended.out) == (0, "- tenants/acme  (2 regions)\nWould be 1 retired.\n")
    assert [one.validate_only for one in gateway.asked] == [True]


def test_retire_wants_a_reason(gateway: FakeGateway, orbital: Orbital) -> None:
    assert orbital("retire", "acme").status == 2
    assert orbital("retire", "acme", "--reason", " ").status == 2
    assert gateway.asked == []


def test_names_are_short_or_full() -> None:
    assert full_name("acme/core/pay") == "tenants/acme/systems/core/services/pay"
    assert full_name("tenants/acme/systems/core") == "tenants/acme/systems/core"
    assert full_name("acme/links/core") == full_name("tenants/acme/links/core") == "tenants/acme/links/core"
    assert full_name("regions/eu10") == "regions/eu10"
    for wrong in ("a/b/c/d", "acme//pay", ""):
        with pytest.raises(Failure):
            full_name(wrong)


def test_a_compromised_version_is_declared(tmp_path: Path) -> None:
    path = tmp_path / "service.yaml"
    path.write_text(SERVICE)
    (declaration,) = load((str(path),))
    assert declaration.resource.service.key_compromised_below == 3
