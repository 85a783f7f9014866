"""What is declared, written down: reading it gives the same again."""

from __future__ import annotations

from pathlib import Path

import pytest
from orbital.v1.resource_pb2 import TENANT_STATE_KILLED, Resource

from console.cli.declaration.load import load
from console.cli.declaration.write import document, write_documents

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
RARE = """\
apiVersion: orbital/v1
kind: Region
metadata: {name: ap30, labels: {area: ap}}
spec: {area: ap, cryptoEndpoint: "127.0.0.1:9000", transport: mqtt}
---
apiVersion: orbital/v1
kind: System
metadata: {name: core, tenant: acme}
spec: {keyVersion: 7, compromisedBelow: 5, placement: {matchLabels: {area: ap}}}
---
apiVersion: orbital/v1
kind: Link
metadata: {name: core, tenant: acme}
spec: {system: core, provider: kms, key: "a: b # c", state: unlinked}
"""


def again(resources: list[Resource], place: Path, *, fenced: bool) -> list[Resource]:
    file = place / "written.yaml"
    file.write_text(write_documents(resources, fenced=fenced))
    return [one.resource for one in load([str(file)])]


@pytest.mark.parametrize("name", ["estate.yaml", "three-paths.yaml", "rare"])
def test_it_reads_back_as_the_same(tmp_path: Path, name: str) -> None:
    file = EXAMPLES / name
    if name == "rare":
        file = tmp_path / "rare.yaml"
        file.write_text(RARE)
    found = [one.resource for one in load([str(file)])]
    assert again(found, tmp_path, fenced=False) == found
    for number, one in enumerate(found, 1):
        one.generation = number
    assert again(found, tmp_path, fenced=True) == found


def test_a_kill_cannot_be_declared_and_is_left_out() -> None:
    killed = Resource(name="tenants/acme")
    killed.tenant.state = TENANT_STATE_KILLED
    killed.tenant.placement.regions.append("eu10")
    assert document(killed, fenced=False)["spec"] == {"placement": {"regions": ["eu10"]}}
