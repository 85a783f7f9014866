"""What is refused at the console, and what is shown as mere text."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import grpc
import pytest
import yaml
from orbital.v1 import registry_pb2 as registry
from orbital.v1.registry_pb2_grpc import RegistryServiceStub
from orbital.v1.resource_pb2 import TENANT_STATE_KILLED, Resource, Selector, TenantSpec

from stack.layout import Layout
from tests.system.console.person import Session, log_in
from tests.system.world import World, eventually, refused, tenancy

HERE = TenantSpec(placement=Selector(regions=["eu10"]))
SCRIPT = "<script>alert('told')</script>"
PATHS = ("/fleet", "/kill", "/audit", "/changes/new", "/audit/export", "/static/x/orbital.css")


@pytest.fixture(scope="module")
def victim(world: World) -> str:
    """A tenant to aim at, which nothing here may hit."""
    name = f"spared-{time.time_ns() % 10**9}"
    world.declare(tenancy(name))
    world.converged(tenant=name)
    return name


def lives(world: World, tenant: str) -> bool:
    with world.registry() as stub:
        found = stub.GetResource(registry.GetResourceRequest(name=f"tenants/{tenant}"), timeout=10)
    return bool(found.tenant.state != TENANT_STATE_KILLED)


def kill(session: Session, tenant: str, **changes: str) -> dict[str, str]:
    path = f"/kill/tenants/{tenant}"
    fields = {"form": session.field(path), "seen": session.field(path, "seen"), "name": tenant, "reason": "A test"}
    return fields | {"request_id": uuid4().hex} | changes


def test_without_a_session_there_is_only_the_way_to_log_in(world: World):
    nobody = Session(world.place)
    for path in PATHS:
        answer = nobody.at(path)
        assert answer.status_code == 302, path
        assert answer.headers["Location"].startswith(f"https://127.0.0.1:{world.state.ports['openbao-global']}/ui/")
    assert nobody.at("/live/fleet", headers={"Accept": "text/event-stream"}).status_code == 401
    assert nobody.at("/kill/tenants/acme", "POST", data={"name": "acme"}).status_code == 401
    bearer = {"Authorization": "Bearer a.b.c", "X-Orbital-Principal": "spiffe://orbital/person/officer"}
    assert nobody.at("/fleet", headers=bearer).status_code == 302


@pytest.mark.parametrize("cookie", ["__Host-orbital-id", "__Host-orbital-hmac", "__Host-orbital-expires"])
def test_altered_cookie_is_no_session(world: World, sessions: dict[str, Session], cookie: str):
    session = Session(world.place)
    session.cookies.update(sessions["officer"].cookies)
    value = next(one.value for one in session.cookies if one.name == cookie) or ""
    changed = (
        str(int(value) + 3600) if value.isdigit() else value[:-6] + ("A" if value[-6] != "A" else "B") + value[-5:]
    )
    session.cookies.clear()
    for one in sessions["officer"].cookies:
        session.cookies.set(one.name, changed if one.name == cookie else one.value)
    assert session.at("/fleet").status_code in (302, 401)
    assert session.submit("/kill/tenants/acme", {"name": "acme"}).status_code == 401


def test_session_ends_with_its_token(world: World):
    bao = world_bao(world)
    path = "identity/oidc/client/console"
    known = bao.read(path)["data"]
    lives_for = {name: known[name] for name in ("id_token_ttl", "access_token_ttl")}
    kept = {name: known[name] for name in ("key", "assignments", "redirect_uris")}
    try:
        bao.write_data(path, data=kept | {"id_token_ttl": "3s", "access_token_ttl": "3s"})
        session = log_in(world.place, "officer")
    finally:
        bao.write_data(path, data=kept | lives_for)
    eventually(lambda: session.at("/fleet").status_code == 302 or None, 20, "the session is over")
    assert session.submit("/kill/tenants/acme", {"name": "acme"}).status_code == 401


def world_bao(world: World):
    from stack.openbao.client import make_client

    layout = Layout.of(world.place)
    token = (layout.secrets / "openbao-global-root-token").read_text()
    return make_client(
        f"https://127.0.0.1:{world.state.ports['openbao-global']}", layout.root / "identity" / "ca.pem", token
    )


def test_other_role_is_refused_by_policy(world: World, sessions: dict[str, Session], victim: str):
    auditor, officer = sessions["auditor"], sessions["officer"]
    answer = auditor.at(f"/kill/tenants/{victim}")
    assert answer.status_code == 403
    assert "may not call /orbital.v1.RegistryService/Kill" in answer.text
    path = f"/kill/tenants/{victim}"
    fields = kill(officer, victim)
    assert auditor.submit(path, fields).status_code == 403
    declared = {
        "form": officer.field("/changes/new"),
        "text": "apiVersion: orbital/v1\nkind: Region\nmetadata: {name: eu99}\n",
    }
    assert officer.submit("/changes/new", declared).status_code == 403
    assert lives(world, victim)


@pytest.mark.parametrize(
    ("headers", "change"),
    [
        ({}, {"form": ""}),
        ({}, {"form": "AAAAAGVAAAA" + "A" * 45}),
        ({"Origin": "https://evil.test"}, {}),
        ({"Origin": "null"}, {}),
        ({"Origin": ""}, {}),
        ({"Sec-Fetch-Site": "cross-site"}, {}),
        ({"Sec-Fetch-Site": "same-site"}, {}),
        ({"Content-Type": "application/json"}, {}),
    ],
    ids=["none", "forged", "origin", "null", "no-origin", "cross-site", "same-site", "json"],
)
def test_form_of_another_site_is_refused(
    world: World, sessions: dict[str, Session], victim: str, headers: dict[str, str], change: dict[str, str]
):
    officer = sessions["officer"]
    answer = officer.submit(f"/kill/tenants/{victim}", kill(officer, victim) | change, **headers)
    assert answer.status_code == 403
    assert lives(world, victim)


def test_field_of_another_form_or_person_is_refused(world: World, sessions: dict[str, Session], victim: str):
    officer, operator = sessions["officer"], sessions["operator"]
    fields = kill(officer, victim)
    for field in (officer.field("/changes/new"), operator.field(f"/kill/tenants/{victim}")):
        assert officer.submit(f"/kill/tenants/{victim}", fields | {"form": field}).status_code == 403
    assert lives(world, victim)


@pytest.mark.parametrize("change", [{"name": "x"}, {"reason": " "}, {"reason": "x" * 501}, {"seen": "1/1/1"}])
def test_nothing_is_killed_by_halves(world: World, sessions: dict[str, Session], victim: str, change: dict[str, str]):
    officer = sessions["officer"]
    answer = officer.submit(f"/kill/tenants/{victim}", kill(officer, victim) | change)
    assert answer.status_code == 400
    assert "Nothing was done" in answer.text
    assert lives(world, victim)


def test_an_officer_kills_one_link_and_its_tenant_goes_on(world: World, sessions: dict[str, Session]):
    tenant = f"two-{time.time_ns() % 10**9}"
    world.declare(tenancy(tenant, systems=2))
    world.converged(tenant=tenant)
    officer, path = sessions["officer"], f"/kill/tenants/{tenant}/links/s0"
    fields = {"form": officer.field(path), "seen": officer.field(path, "seen"), "request_id": uuid4().hex}
    there = officer.submit(path, fields | {"name": f"{tenant}/s0", "reason": SCRIPT}).headers["Location"]
    world.converged(tenant=tenant)
    dark = '<b id="dark">2</b> of <b id="total">2</b> regions dark'
    eventually(lambda: dark in officer.at(there).text or None, 20, "both regions are dark")
    assert SCRIPT not in officer.at(there).text
    with world.registry() as stub:
        job = next(stub.WatchJob(registry.WatchJobRequest(correlation_id=there.rpartition("/")[2]), timeout=10))
    assert (job.action, job.detail) == (f"kill {tenant}/s0", SCRIPT)
    assert lives(world, tenant)
    assert "was revoked before" in officer.at(path).text
    assert "was revoked before" not in officer.at(f"/kill/tenants/{tenant}/links/s1").text


def test_whoever_asked_for_a_restoration_cannot_approve_it(world: World, sessions: dict[str, Session]):
    operator, auditor, tenant = sessions["operator"], sessions["auditor"], f"asked-{time.time_ns() % 10**9}"
    world.declare([Resource(name=f"tenants/{tenant}", tenant=HERE)])
    with world.registry() as stub:
        stub.Kill(registry.KillRequest(tenant=tenant, reason="A test"), timeout=15)
    path = f"/approvals/ask/tenants/{tenant}"
    there = operator.submit(path, {"form": operator.field(path), "reason": SCRIPT}).headers["Location"]
    assert SCRIPT not in operator.at(there).text + operator.at("/approvals").text
    own = operator.submit(there, {"form": operator.field(there), "do": "approve", "name": tenant})
    assert own.status_code == 403
    assert "another person has to approve" in own.text
    assert auditor.submit(there, {"form": auditor.field(there), "do": "decline", "reason": "x"}).status_code == 403
    assert not lives(world, tenant)


def test_headers_bind_the_browser(sessions: dict[str, Session]):
    for path in ("/fleet", "/no/such/page", "/traces/nothing"):
        headers = sessions["officer"].at(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "same-origin"
    text = sessions["officer"].at("/fleet").text
    assert "<script>" not in text
    assert " style=" not in text
    assert " onclick=" not in text


def test_claims_in_headers_are_not_believed(sessions: dict[str, Session]):
    claimed = {
        "X-Orbital-Principal": "spiffe://orbital/person/operator",
        "X-Orbital-On-Behalf-Of": "spiffe://orbital/person/operator",
    }
    assert (
        '<span class="who" title="spiffe://orbital/person/auditor">'
        in sessions["auditor"].at("/fleet", headers=claimed).text
    )
    assert sessions["officer"].at("/fleet", headers={"Host": "evil.test"}).status_code in (401, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../settings.py", "/static/x/..%2fsettings.py", "/static/%2e%2e/main.py", "//evil.test/fleet",
        "/regions/..%2F..%2Fkill", "/fleet/../../etc/passwd", "/orbital.v1.RegistryService/Kill", "/regions/%00",
        "/traces/%0d%0aSet-Cookie:x", "/static/x/orbital.css",
    ],
)  # fmt: skip
def test_path_leads_nowhere_else(sessions: dict[str, Session], path: str):
    answer = sessions["officer"].at(path)
    assert answer.status_code in (400, 403, 404), answer.status_code
    assert "Set-Cookie" not in answer.headers
    assert "root:" not in answer.text


def test_script_in_any_text_is_text(world: World):
    officer, tenant = log_in(world.place, "officer"), f"script-{time.time_ns() % 10**9}"
    named = Resource(name=f"tenants/{tenant}", tenant=TenantSpec(display_name=SCRIPT, placement=HERE.placement))
    world.declare([named])
    sent = officer.submit(f"/kill/tenants/{tenant}", kill(officer, tenant, reason=SCRIPT))
    correlation_id = sent.headers["Location"].split("/")[-1]
    shown = [
        f"/tenants/{tenant}", "/tenants", f"/kill/waves/{correlation_id}", f"/traces/{correlation_id}",
        "/changes", "/kill",
        f"/search?q={SCRIPT}", f"/fleet?q={SCRIPT}&area={SCRIPT}&status={SCRIPT}", f"/tenants?q={SCRIPT}",
        f"/kill?q={SCRIPT}",
        f"/regions/{SCRIPT}", f"/traces/{SCRIPT}", f"/policy/decisions/{SCRIPT}", f"/changes?after={SCRIPT}", "/audit",
    ]  # fmt: skip
    told = 0
    for path in shown:
        text = officer.at(path).text
        assert SCRIPT not in text, path
        told += "&lt;script&gt;" in text
    assert told >= 8
    typed = officer.submit("/changes/new", {"form": officer.field("/changes/new"), "text": f"</textarea>{SCRIPT}"})
    assert SCRIPT not in typed.text
    assert "&lt;script&gt;" in typed.text


FIELDS = {
    "display name": {"kind": "Tenant", "spec": {"displayName": SCRIPT}},
    "tenant": {"kind": "Tenant", "metadata": {"name": SCRIPT}},
    "label": {"kind": "Tenant", "metadata": {"labels": {"note": SCRIPT}}},
    "label's name": {"kind": "Tenant", "metadata": {"labels": {SCRIPT: "x"}}},
    "placement": {"kind": "Tenant", "spec": {"placement": {"regions": [SCRIPT]}}},
    "placement's label": {"kind": "Tenant", "spec": {"placement": {"matchLabels": {"area": SCRIPT}}}},
    "lease": {"kind": "Tenant", "spec": {"lease": SCRIPT}},
    "system": {"kind": "System", "metadata": {"name": SCRIPT}},
    "service": {"kind": "Service", "metadata": {"name": SCRIPT}},
    "link": {"kind": "Link", "metadata": {"name": SCRIPT}, "spec": {"provider": "hsm", "key": "k"}},
    "provider": {"kind": "Link", "spec": {"provider": SCRIPT, "key": "k"}},
    "key": {"kind": "Link", "spec": {"provider": "hsm", "key": SCRIPT}},
    "area": {"kind": "Region", "spec": {"area": SCRIPT}},
    "endpoint": {"kind": "Region", "spec": {"area": "eu", "cryptoEndpoint": SCRIPT}},
    "transport": {"kind": "Region", "spec": {"area": "eu", "transport": SCRIPT}},
    "kind": {"kind": SCRIPT},
    "field": {"kind": "Tenant", "spec": {SCRIPT: "x"}},
}


@pytest.mark.parametrize("field", FIELDS)
def test_script_in_any_field_of_a_declaration_is_refused_or_text(sessions: dict[str, Session], field: str):
    document = FIELDS[field]
    scoped = {"tenant": "spared", "system": "s0"} if document["kind"] in {"System", "Service", "Link"} else {}
    document = {
        "apiVersion": "orbital/v1",
        "kind": document["kind"],
        "metadata": {"name": "script-field", **scoped} | document.get("metadata", {}),
        "spec": document.get("spec", {}),
    }
    operator = sessions["operator"]
    told = operator.submit("/changes/new", {"form": operator.field("/changes/new"), "text": json.dumps(document)})
    assert told.status_code in (200, 400)
    assert SCRIPT not in told.text
    assert "&lt;script&gt;" in told.text


def test_script_in_reasons_and_in_what_policy_says_is_text(world: World, sessions: dict[str, Session]):
    operator, tenant = sessions["operator"], f"declined-{time.time_ns() % 10**9}"
    world.declare([Resource(name=f"tenants/{tenant}", tenant=HERE)])
    with world.registry() as stub:
        stub.Kill(registry.KillRequest(tenant=tenant, reason=SCRIPT), timeout=15)
    asking = f"/approvals/ask/tenants/{tenant}"
    there = operator.submit(asking, {"form": operator.field(asking), "reason": SCRIPT}).headers["Location"]
    declined = operator.submit(there, {"form": operator.field(there), "do": "decline", "reason": SCRIPT})
    assert declined.status_code == 303
    named = (("x-orbital-correlation-id", SCRIPT),)
    with world.registry("auditor") as stub:
        refused(lambda: stub.Declare(registry.DeclareRequest(), metadata=named, timeout=10))
    # What is no correlation ID goes no further than the policy.
    eventually(lambda: "RegistryService/Declare" in operator.at("/policy").text or None, 40, "the denial is listed")
    for path in (there, "/approvals", "/policy", "/kill", "/changes", "/audit", f"/tenants/{tenant}"):
        assert SCRIPT not in operator.at(path).text, path


@pytest.mark.parametrize("token", ["", "Bearer a.b.c", "region"])
def test_the_api_behind_it_takes_peoples_tokens_alone(world: World, token: str):
    if token == "region":
        secret = yaml.safe_load((world.place / "identity" / "us20" / "token.yaml").read_text())["resources"][0]
        token = f"Bearer {secret['generic_secret']['secret']['inline_string']}"
    metadata = (("authorization", token), ("x-orbital-principal", "spiffe://orbital/person/operator"))
    with grpc.insecure_channel(f"unix:{Layout.of(world.place).run}/gateway-people.sock") as channel:
        stub = RegistryServiceStub(channel)
        error = refused(lambda: stub.ListRegions(registry.ListRegionsRequest(), metadata=metadata, timeout=10))
    assert error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
