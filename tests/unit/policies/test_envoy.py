"""The templates of Envoy and OPA: rendered as they were, strict about every field, and accepted by the binary."""

import os
import re
from pathlib import Path

import pytest
import yaml

from runtime.envoy import check_clusters, check_types, prepare, proof
from runtime.errors import Invalid
from runtime.issuers import PERSON, REGION, providers, read_issuers
from runtime.templates import parameters_of, render, write
from stack.acquire import path as binary
from tests.contract.policies.pki import Authority

ROOT = Path(__file__).resolve().parents[3]
ENVOY = ROOT / "envoy"
GOLDEN = Path(__file__).parent / "golden"
SIDECARS = sorted((ENVOY / "sidecars").glob("*.yaml"))
PROOFS = {kind: ENVOY / "identity" / f"proof-{kind}.yaml" for kind in ("mtls", "jwt")}
PROBES = ENVOY / "listeners" / "probes.yaml"
CONSOLE = ENVOY / "listeners" / "console.yaml"
PROVIDER = ENVOY / "issuers" / "provider.yaml"
ENGINES = [ROOT / "policies" / f"{name}.yaml" for name in ("opa", "edge")]
TEMPLATES = [*SIDECARS, PROBES, CONSOLE, PROVIDER, *sorted((ENVOY / "identity").glob("*.yaml")), *ENGINES]


ISSUERS = read_issuers(
    {
        "ias": {
            "issuer": "https://ias.test",
            "discovery": "https://ias.test/.well-known/openid-configuration",
            "names": "region",
            "audiences": ["orbital-gateway"],
            "claim": ["region"],
        },
        "foreign": {
            "issuer": "https://foreign.test",
            "jwks": "https://foreign.test/keys",
            "names": "region",
            "audiences": ["one", "two"],
            "claim": ["a", "b"],
            "prefix": "region:",
        },
        "people": {
            "issuer": "https://ias.test/people",
            "jwks": "https://ias.test/people/keys",
            "names": "person",
            "audiences": ["console"],
            "claim": ["person"],
        },
    }
)


def parameters(template, place="/place", first_port=20000, kind="mtls"):
    values = {name: f"{place}/{name.lower()}" for name in parameters_of(template)}
    ports = {name: first_port + n for n, name in enumerate(sorted(name for name in values if name.endswith("_PORT")))}
    words = {"REGION": "eu10", "NAME": "n", "AUDIENCES": ["orbital-gateway", "another"], "FORWARD": False}
    words |= {"ISSUER": "https://ias.test", "PAYLOAD": "jwt_payload"}
    words |= providers(PROVIDER, ISSUERS, REGION) | providers(PROVIDER, ISSUERS, PERSON)
    words |= {"PEOPLE_ISSUER": "https://ias.test/people", "LOGIN_PAGE": "https://ias.test/login"}
    words |= {"LOGOUT_PAGE": "https://ias.test/logout"} | proof(PROOFS[kind], f"{place}/identity")
    return values | ports | {name: word for name, word in words.items() if name in values}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_rendered_template_is_the_golden_one(template, tmp_path):
    golden = GOLDEN / f"{template.parent.name}-{template.name}" if template.stem == "edge" else GOLDEN / template.name
    write(render(template, parameters(template)), tmp_path / "rendered.yaml")
    rendered = (tmp_path / "rendered.yaml").read_text()
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(rendered)
    assert rendered == golden.read_text(), f"make it anew with UPDATE_GOLDEN=1 if {template.name} was meant to change"


@pytest.mark.parametrize("kind", PROOFS)
@pytest.mark.parametrize("template", SIDECARS, ids=lambda path: path.stem)
def test_envoy_accepts_it(template, kind, tmp_path_factory):
    # The path of a socket has at most 108 bytes.
    tmp_path = tmp_path_factory.mktemp("e")
    given = parameters(template, str(tmp_path), kind=kind)
    Authority().write(tmp_path / "identity", "spiffe://orbital/gateway")
    for secret in ("certificate", "authorities"):
        document = render(ENVOY / "identity" / f"{secret}.yaml", {"IDENTITY": f"{tmp_path}/identity"})
        write(document, tmp_path / "identity" / f"{secret}.yaml")
    write(render(ENVOY / "identity" / "token.yaml", {"TOKEN": "t"}), tmp_path / "identity" / "token.yaml")
    (tmp_path / "logs").mkdir()
    for name in ("console-client-secret", "console-cookie-key"):
        document = render(ENVOY / "identity" / "secret.yaml", {"NAME": name, "SECRET": "s"})
        write(document, tmp_path / "console_secrets" / f"{name}.yaml")
    more = {"region": PROBES, "gateway": CONSOLE}.get(template.stem.partition("-")[0])
    given |= parameters(more, str(tmp_path), 21000) if more else {}
    prepare(template, given, tmp_path / "envoy.yaml", envoy=binary("envoy"), stamps=tmp_path / "stamps", more=more)
    assert (tmp_path / "envoy.yaml").stat().st_mode & 0o777 == 0o600
    assert len(list((tmp_path / "stamps").iterdir())) == 1


def test_the_two_kinds_of_region_differ_only_in_their_proof():
    assert proof(PROOFS["mtls"], "/i")["PROOF_FILTERS"] == []
    (credential,) = proof(PROOFS["jwt"], "/i")["PROOF_FILTERS"]
    assert credential["name"] == "envoy.filters.http.credential_injector"
    assert proof(PROOFS["jwt"], "/i")["PROOF_CERTIFICATES"] == []
    assert proof(PROOFS["mtls"], "/i")["PROOF_CERTIFICATES"] != []


def test_every_parameter_is_explained():
    readme = (ENVOY / "README.md").read_text()
    wanted = {name for template in TEMPLATES for name in parameters_of(template)}
    assert [name for name in sorted(wanted) if f"`{name}`" not in readme] == []


def test_missing_and_unknown_parameters_are_named():
    template = ENVOY / "identity" / "certificate.yaml"
    with pytest.raises(Invalid, match="IDENTITY"):
        render(template, {})
    with pytest.raises(Invalid, match="SURPRISE"):
        render(template, {"IDENTITY": "/x", "SURPRISE": 1})


def test_value_cannot_change_the_structure(tmp_path):
    template = tmp_path / "template.yaml"
    template.write_text("a: '${VALUE}'\nb: 'x ${VALUE} y'\nport: '${PORT}'\n")
    assert render(template, {"VALUE": "1\nc: 2", "PORT": 80}) == {"a": "1\nc: 2", "b": "x 1\nc: 2 y", "port": 80}


def bootstrap(change=lambda document: None):
    template = ENVOY / "sidecars" / "gateway.yaml"
    document = render(template, parameters(template))
    change(document)
    return document


def tls_of(document):
    return document["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"]["typed_config"]


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["node"].update(surprise=1),
        lambda document: document["static_resources"]["clusters"][0].update(connect_timeuot="1s"),
        lambda document: tls_of(document).update(snni="x"),
        lambda document: tls_of(document).update({"@type": "type.googleapis.com/envoy.no.such.Type"}),
    ],
    ids=["top", "cluster", "inside-any", "type"],
)
def test_unknown_field_or_type_is_refused(change):
    with pytest.raises(Invalid):
        check_types(bootstrap(change))


def test_cluster_that_is_missing_is_named():
    document = bootstrap()
    check_clusters(document)
    document["static_resources"]["clusters"] = [
        cluster for cluster in document["static_resources"]["clusters"] if cluster["name"] != "opa"
    ]
    with pytest.raises(Invalid, match="opa"):
        check_clusters(document)


@pytest.mark.parametrize("template", [*SIDECARS, CONSOLE], ids=lambda path: path.stem)
def test_nothing_listens_beyond_this_machine_and_no_tls_below_1_3(template):
    text = yaml.dump(render(template, parameters(template)))
    assert set(re.findall(r"address: ([0-9.]+)", text)) == {"127.0.0.1"}
    assert set(re.findall(r"tls_m\w+_protocol_version: (\w+)", text)) == {"TLSv1_3"}
    assert "failure_mode_allow: true" not in text
