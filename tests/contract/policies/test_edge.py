"""An edge: nothing passes without a signed policy of its region, and what passes is what that policy says."""

from __future__ import annotations

import json
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import grpc
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from orbital.v1 import crypto_pb2, crypto_pb2_grpc
from orbital.v1 import resource_pb2 as rpb

from region.adapters.edge.bundle import SignedBundles, load_packer
from region.domain import edge as domain
from region.ports.edge import Bundle
from runtime.errors import Invalid
from stack.acquire import path as binary
from tests.contract.policies.calls import TIMEOUT, outcome, reason, refusal
from tests.contract.policies.conftest import Site, until
from tests.contract.policies.edge import NAME, REGO, EdgeEngine, RegionSide, content, edge, packer
from tests.unit.region.test_edge import POLICIES

DENIED, UNAVAILABLE = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE
WORKLOAD = "spiffe://orbital/workload/acme/core/billing"
SCOPE = {"tenant": "acme", "system": "core", "service": "billing"}
ALIVE = {"x-orbital-certificate-end": "33000000000"}
Running = tuple[RegionSide, EdgeEngine, SignedBundles]


@pytest.fixture(scope="module")
def running(site: Site) -> Iterator[Running]:
    with edge(site) as found:
        yield found


def workload(**where: str) -> str:
    """The workload whose keys these are."""
    return "spiffe://orbital/workload/{tenant}/{system}/{service}".format(**SCOPE | where)


def wrap(site: Site, name: str | None = None, *headers: tuple[str, str], by: str = "", **where: str) -> None:
    """Wrap through the edge: as the identity `name`, else as the one `by`, else as the workload whose keys they are."""
    with site.channel(NAME, name, "" if name else by or workload(**where)) as channel:
        stub = crypto_pb2_grpc.CryptoServiceStub(channel)
        stub.Wrap(crypto_pb2.WrapRequest(plaintext=b"KEY", **SCOPE | where), timeout=TIMEOUT, metadata=headers)


def refused(site: Site, **where: str) -> str | None:
    """Why the edge refuses; None when it does not."""
    try:
        wrap(site, **where)
    except grpc.RpcError as error:
        return reason(error)
    return None


def passes(site: Site) -> bool:
    wrap(site)
    return True


def serve(running: Running, bundle: Bundle) -> None:
    """Serve a bundle, and wait until it is in force and the region knows."""
    region, engine, _ = running
    region.put(bundle)
    until(engine.ready, "a policy in force")
    until(lambda: (heard := region.heard()) and heard.revision == bundle.revision, "the edge tells of it")


def test_without_a_policy_nothing_passes(site: Site, running: Running) -> None:
    until(lambda: refused(site) == "POLICY_ENGINE_UNAVAILABLE", "a refusal for want of a policy")
    assert not running[1].ready()


def test_what_is_allowed_passes_in_the_callers_name(site: Site, running: Running) -> None:
    serve(running, running[2].pack(content()))
    wrap(site)
    assert site.echoes["region-eu10-immediate"].seen[-1].metadata["x-orbital-principal"] == WORKLOAD
    globex = workload(tenant="globex")
    wrap(site, None, ("x-orbital-on-behalf-of", WORKLOAD), ("x-orbital-principal", WORKLOAD), tenant="globex")
    seen = site.echoes["region-eu10-immediate"].seen[-1].metadata
    assert seen["x-orbital-principal"] == globex


def test_the_region_decides_about_the_caller_once_more(site: Site, running: Running) -> None:
    serve(running, running[2].pack(content()))
    mismatch = refusal(lambda: wrap(site, by=WORKLOAD, service="other"))
    assert outcome(mismatch) == (DENIED, "WORKLOAD_MISMATCH")


@pytest.mark.parametrize("name", ["operator", "auditor", "officer"])
def test_the_region_takes_an_edges_word_for_workloads_alone(site: Site, running: Running, name: str) -> None:
    serve(running, running[2].pack(content()))
    assert outcome(refusal(lambda: wrap(site, by=f"spiffe://orbital/person/{name}"))) == (DENIED, "NOT_A_WORKLOAD")


FORGED = ["person/operator", "person/officer", "region/eu10", "region/us20", "edge/eu10/edge-2", "gateway",
          "workload/acme/core", "workload/acme/core/billing/x", "workload//core/billing"]  # fmt: skip


@pytest.mark.parametrize("who", FORGED)
def test_an_edge_that_was_taken_over_is_nobody_else(site: Site, who: str) -> None:
    """It speaks to the region itself, in whatever name it likes."""
    headers = (("x-orbital-on-behalf-of", f"spiffe://orbital/{who}"), ("x-orbital-principal", WORKLOAD))

    def forge() -> None:
        with site.channel("eu10-crypto", None, "spiffe://orbital/edge/eu10/edge-1") as channel:
            stub = crypto_pb2_grpc.CryptoServiceStub(channel)
            stub.Wrap(crypto_pb2.WrapRequest(plaintext=b"KEY", **SCOPE), timeout=TIMEOUT, metadata=headers)

    assert outcome(refusal(forge)) == (DENIED, "NOT_A_WORKLOAD")


def test_a_rule_is_enforced_and_the_next_policy_takes_its_place(site: Site, running: Running) -> None:
    region, _, own = running
    denying = rpb.EdgeRule(name="no", effect=rpb.EDGE_EFFECT_DENY, tenants=["acme"])
    allowing = rpb.EdgeRule(name="all", effect=rpb.EDGE_EFFECT_ALLOW)
    serve(running, own.pack(content(allowing)))
    wrap(site)
    region.put(own.pack(content(allowing, denying)))
    until(lambda: refused(site) == "EDGE_DENIED", "the denial")
    wrap(site, tenant="globex")


def test_a_killed_tenant_is_refused_by_the_edge(site: Site, running: Running) -> None:
    region, _, own = running
    serve(running, own.pack(content()))
    wrap(site)
    region.put(own.pack(content(killed={"acme": 2})))
    until(lambda: refused(site) == "TENANT_KILLED", "the refusal")
    wrap(site, tenant="globex")


def told(region: RegionSide) -> domain.EdgeReport:
    """What the edge last said."""
    heard = region.heard()
    assert heard
    return heard


def repacked(bundle: Bundle, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """The bundle with its files changed, or left out, under the old signature."""
    changed = BytesIO()
    with tarfile.open(fileobj=BytesIO(bundle.content)) as old, tarfile.open(fileobj=changed, mode="w:gz") as new:
        for entry in old:
            packed = old.extractfile(entry)
            assert packed
            body = change(entry.name.lstrip("/"), packed.read())
            if body is not None:
                entry.size = len(body)
                new.addfile(entry, BytesIO(body))
    return changed.getvalue()


def altered(name: str, body: bytes) -> bytes:
    return body.replace(b'"deny":{"*"', b'"deny":{"x"') if name == "data.json" else body


def unsigned(name: str, body: bytes) -> bytes | None:
    return None if name == ".signatures.json" else body


def test_what_is_not_signed_by_the_region_never_comes_into_force(site: Site, running: Running, tmp_path: Path) -> None:
    region, _, own = running
    serve(running, own.pack(content()))
    old = told(region)
    denied = rpb.EdgeRule(name="no", effect=rpb.EDGE_EFFECT_DENY)
    forged = packer(tmp_path / "stranger").pack(content(denied))
    good = own.pack(content(denied))
    tampered = replace(good, etag='"tampered"', content=repacked(good, altered))
    bare = replace(good, etag='"bare"', content=repacked(good, unsigned))
    for wrong in (forged, tampered, bare):
        region.put(wrong)
        until(lambda: told(region).refusal, "the refusal is told")
        heard, before = told(region), region.server.asked
        assert (heard.revision, heard.since) == (old.revision, old.since)
        assert passes(site)
        # It asks again and again, but not as fast as it can.
        time.sleep(2.0)
        assert region.server.asked - before <= 6
        serve(running, own.pack(content(killed={f"t{region.server.asked}": 1})))
        until(lambda: not told(region).refusal, "what is right again is told")
        old = told(region)
    serve(running, good)
    assert reason(refusal(lambda: wrap(site))) == "EDGE_DENIED"


def test_it_starts_again_with_the_policy_it_had(site: Site, running: Running) -> None:
    _, engine, own = running
    serve(running, own.pack(content(rpb.EdgeRule(name="all", effect=rpb.EDGE_EFFECT_ALLOW, tenants=["acme"]))))
    site.envoys[f"envoy-{NAME}"].kill()
    engine.kill()
    engine.start()
    until(engine.ready, "the policy that was kept is in force, without a way to the region")
    site.envoys[f"envoy-{NAME}"].start()
    until(lambda: passes(site), "calls pass again")
    assert outcome(refusal(lambda: wrap(site, tenant="globex"))) == (DENIED, "EDGE_NOT_ALLOWED")


def test_without_its_engine_nothing_passes(site: Site, running: Running) -> None:
    engine = running[1]
    serve(running, running[2].pack(content()))
    assert passes(site)
    engine.kill()
    assert outcome(refusal(lambda: wrap(site))) == (UNAVAILABLE, "POLICY_ENGINE_UNAVAILABLE")
    engine.start()
    until(lambda: passes(site), "calls pass again")


def test_a_key_that_others_can_read_signs_nothing(tmp_path: Path) -> None:
    packer(tmp_path / "keys")
    key = tmp_path / "keys" / "bundle.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o640)
    with pytest.raises(Invalid, match="read by others"):
        load_packer(REGO, key)


CALLERS = [WORKLOAD, "spiffe://orbital/workload/acme/core/pay", "spiffe://orbital/person/operator"]
METHODS = {"Wrap": "wrap", "BatchUnwrap": "unwrap", "Rewrap": "rewrap", "GenerateDataKey": "generate-data-key"}
CALLS = st.fixed_dictionaries(
    {
        "caller": st.sampled_from(CALLERS),
        "method": st.sampled_from(sorted(METHODS)),
        "tenant": st.sampled_from(["acme", "acme-two", "globex", "other"]),
        "system": st.sampled_from(["core", "ledger", "other"]),
        "service": st.sampled_from(["pay", "book", "other"]),
    }
)
KILLED = st.dictionaries(st.sampled_from(["acme", "globex"]), st.integers(1, 9))
QUERY = "[allowed | some call in input; allowed := data.orbital.authz.edge.decision.allowed with input as call]"


def concerns(rule: rpb.EdgeRule, call: dict[str, str]) -> bool:
    """What a rule means, read off the document that an operator writes."""
    callers = not rule.callers or any(
        call["caller"].startswith(each[:-1]) if each.endswith("/*") else call["caller"] == each for each in rule.callers
    )
    operations = {domain.OPERATIONS[each] for each in rule.operations}
    return (
        callers
        and call["tenant"] in (rule.tenants or [call["tenant"]])
        and call["system"] in (rule.systems or [call["system"]])
        and call["service"] in (rule.services or [call["service"]])
        and (not operations or METHODS[call["method"]] in operations)
    )


def meant(policies: list[rpb.Resource], killed: dict[str, int], call: dict[str, str]) -> bool:
    """Whether a call may pass, without any of what is compiled."""
    rules = [rule for each in policies if not each.retired for rule in each.edge_policy.rules if concerns(rule, call)]
    effects = {rule.effect for rule in rules}
    return call["tenant"] not in killed and effects == {rpb.EDGE_EFFECT_ALLOW}


def asked(call: dict[str, str]) -> dict[str, object]:
    http = {"method": "POST", "path": f"/orbital.v1.CryptoService/{call['method']}"}
    return {
        "attributes": {
            "source": {"principal": call["caller"]},
            "request": {"http": {**http, "headers": {**ALIVE, "content-type": "application/grpc"}}},
        },
        "parsed_body": {name: call[name] for name in ("tenant", "system", "service")},
        "truncated_body": False,
    }


@settings(max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(POLICIES, KILLED, st.lists(CALLS, min_size=20, max_size=40))
def test_what_is_compiled_decides_as_it_was_written(
    tmp_path: Path, policies: list[rpb.Resource], killed: dict[str, int], calls: list[dict[str, str]]
) -> None:
    table = tmp_path / "table.json"
    table.write_bytes(domain.canonical({"orbital": {"edge": domain.compiled(policies, killed)}}))
    command = [str(binary("opa")), "eval", "--format", "values", "--data", str(REGO), "--data", str(table)]
    done = subprocess.run(
        [*command, "--stdin-input", QUERY],
        input=json.dumps([asked(call) for call in calls]),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)[0] == [meant(policies, killed, call) for call in calls]
