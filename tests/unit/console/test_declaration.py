"""Every kind of mistake is told with its file, line, field and what was expected, and refuses the whole file."""

from __future__ import annotations

from pathlib import Path

import pytest
from orbital.v1.resource_pb2 import Resource

from console.cli.declaration.load import load, locate, read_documents
from console.cli.declaration.problem import Problems, Refused, explain
from console.cli.declaration.request import in_file, to_request
from console.cli.declaration.tree import MAX_ALIASES, MAX_BYTES
from runtime.errors import Invalid, NotFound, Unavailable

TENANT = """\
apiVersion: orbital/v1
kind: Tenant
metadata:
  name: acme
  labels: {tier: gold}
spec:
  displayName: Acme
  placement:
    regions: [eu10, us20]
  lease: 24h
"""
SERVICE = """\
apiVersion: orbital/v1
kind: Service
metadata: {name: billing, tenant: acme}
spec: {system: core, keyVersion: 3}
"""
LINK = """\
apiVersion: orbital/v1
kind: Link
metadata: {name: core, tenant: acme}
spec: {system: core, key: acme-root, state: unlinked}
"""
EDGE_POLICY = """\
apiVersion: orbital/v1
kind: EdgePolicy
metadata: {name: banks}
spec:
  placement: {matchLabels: {area: eu}}
  rules:
  - name: own
    effect: allow
    callers: ["spiffe://orbital/workload/acme/*"]
    operations: [wrap, generate-data-key]
  - {name: none, effect: deny, tenants: [globex]}
"""


def mistakes(text: str | bytes) -> list[str]:
    problems = Problems("f.yaml")
    read_documents(text.encode() if isinstance(text, str) else text, problems)
    return [str(problem) for problem in problems.found]


def resources(text: str) -> list[Resource]:
    problems = Problems("f.yaml")
    found = read_documents(text.encode(), problems)
    assert problems.found == []
    return [one.resource for one in found]


def test_documents_become_resources() -> None:
    tenant, service, link = resources(f"# first\n---\n{TENANT}---\n{SERVICE}---\n# nothing here\n---\n{LINK}")
    assert tenant.name == "tenants/acme"
    assert dict(tenant.labels) == {"tier": "gold"}
    assert list(tenant.tenant.placement.regions) == ["eu10", "us20"]
    assert tenant.tenant.lease.seconds == 86_400
    assert (service.name, service.service.key_version) == ("tenants/acme/systems/core/services/billing", 3)
    assert (link.name, link.link.provider, link.link.state) == ("tenants/acme/links/core", "hsm", 2)


def test_system_without_spec_has_version_one() -> None:
    (system,) = resources("apiVersion: orbital/v1\nkind: System\nmetadata: {name: core, tenant: acme}\n")
    assert system.system.key_version == 1
    assert not system.system.HasField("placement")


def test_anchors_are_followed() -> None:
    text = TENANT.replace("labels: {tier: gold}", "labels: &l {tier: gold}").replace(
        "    regions: [eu10, us20]", "    matchLabels: *l"
    )
    (tenant,) = resources(text)
    assert dict(tenant.tenant.placement.match_labels) == {"tier": "gold"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("orbital/v1", "orbital/v2", 'f.yaml:1 apiVersion: is "orbital/v2"; expected "orbital/v1"'),
        ("kind: Tenant", "kind: Tennant", 'f.yaml:2 kind: unknown kind "Tennant"; expected one of Region, Tenant,'),
        ("kind: Tenant\n", "", "f.yaml:1 kind: is missing; expected one of Region"),
        ("displayName", "displayname", "f.yaml:7 spec.displayname: unknown field. Did you mean displayName?"),
        ("spec:", "specs:", "f.yaml:6 specs: unknown field. Did you mean spec?"),
        ("name: acme", "name: Acme_1", 'f.yaml:4 metadata.name: "Acme_1" is no name; expected 1 to 63 of a-z'),
        ("name: acme", "name: 12", "f.yaml:4 metadata.name: is 12 (a number); expected a name: 1 to 63 of a-z"),
        ("name: acme", "name: no", "f.yaml:4 metadata.name: is no (true or false); expected a name"),
        ("name: acme", "nome: acme", "f.yaml:4 metadata.nome: unknown field. Did you mean name?"),
        ("lease: 24h", "lease: tomorrow", 'f.yaml:10 spec.lease: is "tomorrow"; expected a duration such as "24h"'),
        ("lease: 24h", "lease: 0s", 'f.yaml:10 spec.lease: is "0s"; expected a duration'),
        ("[eu10, us20]", "eu10", 'f.yaml:9 spec.placement.regions: is "eu10"; expected a list of regions'),
        ("[eu10, us20]", "[eu10, EU]", 'f.yaml:9 spec.placement.regions[1]: "EU" is no name; expected 1 to 63'),
        ("[eu10, us20]", "[eu10, eu10]", 'f.yaml:9 spec.placement.regions[1]: "eu10" is there twice; the first is on'),
        ("[eu10, us20]", "[eu10, {a: b}]", "f.yaml:9 spec.placement.regions[1]: is a mapping; expected the name of a"),
        ("    regions: [eu10, us20]\n", "    {}\n", "spec.placement: says no place; expected regions, matchLabels or"),
        ("{tier: gold}", "{tier: 1}", 'f.yaml:5 metadata.labels.tier: is 1 (a number); expected text, in quotes: "1"'),
        ("{tier: gold}", "[tier]", "f.yaml:5 metadata.labels: is a list; expected a mapping of text to text"),
        ("{tier: gold}", "{tier: a, tier: b}", "f.yaml:5 metadata.labels.tier: is there twice"),
        ("lease: 24h", "lease: 24h\n  lease: 12h", "f.yaml:11 spec.lease: is there twice; the first is on line 10"),
        ("displayName: Acme", "displayName: [a]", "f.yaml:7 spec.displayName: is a list; expected text"),
        ("spec:\n", "spec:\n\t", "f.yaml:7: a tab; expected spaces, which alone indent YAML"),
        ("Acme\n", "'Acme\n", "not YAML: "),
        ("Acme\n", "!!python/object:os.system Acme\n", "f.yaml:7: tag tag:yaml.org,2002:python/object:os.system;"),
        ("Acme\n", "*nobody\n", "f.yaml:7: alias *nobody; expected an anchor &nobody before it"),
        ("Acme\n", '"a\x07b"\n', "f.yaml:7: control character U+0007; expected printable text"),
    ],
)
def test_mistake_has_its_line(old: str, new: str, told: str) -> None:
    assert old in TENANT
    found = mistakes(TENANT.replace(old, new, 1))
    assert any(told in one for one in found), found


def test_an_edge_policy_becomes_a_resource() -> None:
    (policy,) = resources(EDGE_POLICY)
    assert policy.name == "edge-policies/banks"
    own, none = policy.edge_policy.rules
    assert (own.name, own.effect, list(own.callers)) == ("own", 1, ["spiffe://orbital/workload/acme/*"])
    assert list(own.operations) == [1, 4]
    assert (none.effect, list(none.tenants)) == (2, ["globex"])
    assert dict(policy.edge_policy.placement.match_labels) == {"area": "eu"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SERVICE.replace("keyVersion: 3", "keyVersion: 0"), "spec.keyVersion: is 0; expected a whole number from 1 to"),
        (SERVICE.replace("keyVersion: 3", "keyVersion: '3'"), 'spec.keyVersion: is "3"; expected a whole number'),
        (SERVICE.replace("keyVersion: 3", "keyVersion: 3.5"), "is 3.5 (a number); expected a whole number"),
        (SERVICE.replace("keyVersion: 3", f"keyVersion: {'9' * 5_000}"), "expected a whole number from 1 to"),
        (SERVICE.replace("system: core, ", ""), "f.yaml:4 spec.system: is missing; expected a system's name"),
        (SERVICE.replace(", tenant: acme", ""), "f.yaml:3 metadata.tenant: is missing; expected a tenant's name"),
        (LINK.replace("unlinked", "unlink"), 'is "unlink"; expected one of linked, unlinked. Did you mean unlinked?'),
        (LINK.replace("key: acme-root, ", ""), "spec.key: is missing; expected the label of the L1 key"),
        (TENANT.partition("spec:")[0], "f.yaml:1 spec: is missing; expected a mapping with displayName, placement,"),
        (
            EDGE_POLICY.replace("effect: allow", "effect: alow"),
            'rules[0].effect: is "alow"; expected one of allow, deny.',
        ),
        (
            EDGE_POLICY.replace("    effect: allow\n", ""),
            "spec.rules[0].effect: is missing; expected one of allow, deny",
        ),
        (
            EDGE_POLICY.replace("[wrap, ", "[wrapp, "),
            'f.yaml:10 spec.rules[0].operations[0]: is "wrapp"; expected one of',
        ),
        (EDGE_POLICY.replace("[wrap, ", "[wrap, wrap, "), 'operations[1]: "wrap" is there twice'),
        (EDGE_POLICY.replace("acme/*", "acme*"), 'spec.rules[0].callers[0]: is "spiffe://orbital/workload/acme*"'),
        (EDGE_POLICY.replace("callers:", "caller:"), "spec.rules[0].caller: unknown field"),
        (EDGE_POLICY.replace("name: own", "name: Own"), 'spec.rules[0].name: "Own" is no name'),
        (EDGE_POLICY.partition("  rules:")[0], "spec.rules: is missing; expected a list of mappings with name, effect"),
        (EDGE_POLICY.replace("  placement: {matchLabels: {area: eu}}\n", ""), "spec.placement: is missing"),
        ("[a, b]", "f.yaml:1: the document is a list; expected a mapping with apiVersion"),
        ("# nothing\n", "f.yaml: holds no document"),
        (b"a: \xff\n", "f.yaml:1: not UTF-8"),
        (b"x" * (MAX_BYTES + 1), "expected at most 8,388,608"),
        ("[" * 40 + "]" * 40, "f.yaml:1: nested deeper than 32 levels"),
        ("- &a b\n" + "- *a\n" * (MAX_ALIASES + 1), "more than 1,000 aliases"),
        ("a: &a [*a]\n", "unknown field"),
    ],
)
def test_mistake_is_told(text: str | bytes, told: str) -> None:
    found = mistakes(text)
    assert any(told in one for one in found), found


def test_every_mistake_is_collected_and_the_file_refused_whole(tmp_path: Path) -> None:
    file = tmp_path / "estate.yaml"
    file.write_text(
        f"{TENANT}---\n{SERVICE.replace('keyVersion: 3', 'keyVersion: 0')}---\n{LINK.replace('key:', 'k:')}"
    )
    with pytest.raises(Refused) as refused:
        load([str(file)])
    text = str(refused.value)
    assert f"{file}:15 spec.keyVersion" in text
    assert f"{file}:20 spec.k: unknown field" in text
    assert text.endswith("3 mistakes. Nothing was stored.")


def test_one_mistake_is_one_line() -> None:
    problems = Problems("estate.yaml")
    problems.add(41, "spec.regions[2]", 'unknown region "eu11"; expected one of eu10, us20')
    assert explain(problems.found) == (
        'estate.yaml:41 spec.regions[2]: unknown region "eu11"; expected one of eu10, us20. Nothing was stored.'
    )


def test_duplicates_are_found_across_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(TENANT)
    two.write_text(f"{SERVICE}---\n{TENANT}")
    with pytest.raises(Refused, match=f"two.yaml:9 metadata.name: tenants/acme is declared twice; .*{one}:1"):
        load([str(one), str(two)])


def test_missing_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"nowhere.yaml: cannot be read: No such file"):
        load([str(tmp_path / "nowhere.yaml")])


@pytest.mark.parametrize(
    ("field", "line", "path"),
    [
        ("tenant.placement.regions[1]", 9, "spec.placement.regions[1]"),
        ("spec.placement.regions[1]", 9, "spec.placement.regions[1]"),
        ("spec.display_name", 7, "spec.displayName"),
        ("labels", 5, "metadata.labels"),
        ("name", 4, "metadata.name"),
        ("spec.placement.match_labels", 8, "spec.placement.matchLabels"),
        ("", 1, ""),
    ],
)
def test_contract_field_is_located(field: str, line: int, path: str) -> None:
    (one,) = read_documents(TENANT.encode(), Problems("f.yaml"))
    assert locate(one.root, field) == (line, path)


def test_servers_refusal_is_told_in_the_words_of_the_file() -> None:
    declared = read_documents(f"{SERVICE}---\n{TENANT}".encode(), Problems("estate.yaml"))
    field = "resources[1].tenant.placement.regions[1]"
    error = Invalid(f'{field}: unknown region "us20"; expected one of eu10', field=field)
    told = in_file(error, declared)
    assert str(told) == (
        'estate.yaml:14 spec.placement.regions[1]: unknown region "us20"; expected one of eu10. Nothing was stored.'
    )


@pytest.mark.parametrize(
    "error", [NotFound("gone"), Invalid("no", field="request_id"), Invalid("no", field="resources[9]"), Unavailable("")]
)
def test_other_refusals_stay_as_they_are(error: Exception) -> None:
    assert in_file(error, read_documents(SERVICE.encode(), Problems("f"))) is error  # type: ignore[arg-type]


def test_too_much_for_one_change_is_refused() -> None:
    (one,) = read_documents(SERVICE.encode(), Problems("f.yaml"))
    assert to_request([one] * 5_000, "id", validate_only=True).validate_only
    with pytest.raises(Refused, match="5,001 documents; expected at most 5,000"):
        to_request([one] * 5_001, "id", validate_only=False)


def test_example_estate() -> None:
    declared = load([str(Path(__file__).parents[3] / "examples" / "estate.yaml")])
    kinds = [one.resource.WhichOneof("spec") for one in declared]
    count = {kind: kinds.count(kind) for kind in ("region", "tenant", "system", "service", "link")}
    assert count == {"region": 2, "tenant": 20, "system": 60, "service": 120, "link": 40}
