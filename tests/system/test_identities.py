"""Who may speak, and for whom: through the real Envoys, with real certificates and tokens."""

import time
from collections.abc import Callable

import grpc
import hvac
import pytest
from orbital.v1 import registry_pb2 as registry
from orbital.v1.crypto_pb2 import UnwrapRequest
from orbital.v1.enrolment_pb2 import EnrolRequest
from orbital.v1.enrolment_pb2_grpc import EnrolmentServiceStub
from orbital.v1.registry_pb2_grpc import RegistryServiceStub
from orbital.v1.report_pb2 import ReportRequest
from orbital.v1.report_pb2_grpc import ReportServiceStub
from orbital.v1.task_pb2 import Outcome, Report, Reports, TaskKind

from runtime.rpc import OPTIONS
from runtime.signatures import REPORTS, Signer
from stack import api
from tests.system.world import SECONDS, World, eventually, refused, retried, tenancy

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def report(world: World, region: str) -> ReportRequest:
    told = Report(
        task_id="0" * 32,
        kind=TaskKind.TASK_KIND_DEFINE_TENANT,
        tenant="acme",
        resource="tenants/acme",
        generation=1,
        observed_generation=1,
        outcome=Outcome.OUTCOME_DONE,
    )
    signer = Signer(world.place / "secrets" / "signing" / f"{region}.json", time.time)
    signed = signer.sign(REPORTS, Reports(region=region, reports=[told]).SerializeToString())
    return ReportRequest(region=region, signed=signed)


def test_a_region_cannot_report_for_another(world: World) -> None:
    with world.channel("eu10") as channel:
        reports = ReportServiceStub(channel)
        assert reports.Report(report(world, "eu10"), timeout=SECONDS).refused == []
        error = refused(lambda: reports.Report(report(world, "us20"), timeout=SECONDS))
    assert error.code() == DENIED
    assert "us20" in error.details()
    with world.registry() as stub:
        kept = eventually(lambda: _denials(stub, error.details()) or None, 10, "the denial is kept")
    assert kept[0].principal == "spiffe://orbital/region/eu10"


def _denials(stub: RegistryServiceStub, message: str) -> list[registry.Denial]:
    denials = stub.ListDenials(registry.ListDenialsRequest(), timeout=SECONDS).denials
    return [denial for denial in denials if denial.message == message]


def test_a_region_and_an_auditor_cannot_declare(world: World) -> None:
    for identity in ("eu10", "auditor"):
        with world.registry(identity) as stub:
            request = registry.DeclareRequest(resources=tenancy("intruder"))
            error = refused(lambda stub=stub, request=request: stub.Declare(request, timeout=SECONDS))
            assert error.code() == DENIED
            kill = registry.KillRequest(tenant="intruder", reason="no")
            assert refused(lambda stub=stub, kill=kill: stub.Kill(kill, timeout=SECONDS)).code() == DENIED
    with world.registry("auditor") as stub:
        assert len(stub.ListRegions(registry.ListRegionsRequest(), timeout=SECONDS).regions) >= 2


def test_no_certificate_is_refused(world: World) -> None:
    with world.registry(None) as stub:
        error = refused(lambda: stub.ListRegions(registry.ListRegionsRequest(), timeout=SECONDS))
    assert error.code() == UNAVAILABLE
    with world.crypto("eu10", None) as stub:
        unwrap = UnwrapRequest(tenant="t", system="s", service="v", ciphertext=b"x")
        assert refused(lambda: stub.Unwrap(unwrap, timeout=SECONDS)).code() == UNAVAILABLE


def test_the_sidecars_word_counts_and_not_the_callers(world: World) -> None:
    with world.registry("auditor") as stub:
        error = refused(
            lambda: stub.Declare(
                registry.DeclareRequest(resources=tenancy("intruder")),
                timeout=SECONDS,
                metadata=(("x-orbital-principal", "spiffe://orbital/person/operator"),),
            )
        )
    assert error.code() == DENIED


class Tokens:
    """The issuer's side: a client of the global OpenBao that may make roles."""

    def __init__(self, world: World) -> None:
        port = world.state.ports["openbao-global"]
        authority = str(world.place / "identity" / "ca.pem")
        root = (world.place / "secrets" / "openbao-global-root-token").read_text().strip()
        self.root = hvac.Client(url=f"https://127.0.0.1:{port}", token=root, verify=authority)
        self.root.session.trust_env = False
        self.region = hvac.Client(url=self.root.url, verify=authority)
        self.region.session.trust_env = False
        secrets = [(world.place / "secrets" / f"ias-us20-{name}-id").read_text().strip() for name in ("role", "secret")]
        self.region.auth.approle.login(*secrets)
        self.root.write_data("identity/oidc/key/orbital", data={"algorithm": "ES256", "allowed_client_ids": ["*"]})

    def token(self, **settings: str) -> str:
        """A token of us20, made while the role had these settings."""
        known = self.root.read("identity/oidc/role/region")["data"]
        try:
            self.root.write_data("identity/oidc/role/region", data={**known, **settings})
            return str(self.region.read("identity/oidc/token/region")["data"]["token"])
        finally:
            self.root.write_data("identity/oidc/role/region", data=known)


@pytest.fixture
def tokens(world: World) -> Tokens:
    return Tokens(world)


def enrol(world: World, token: str | None, region: str = "us20") -> object:
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    address = world.state.gateway.jwt
    with grpc.secure_channel(address, world.credentials(None), options=OPTIONS) as channel:
        request = EnrolRequest(region=region, version="1", process="test")
        return EnrolmentServiceStub(channel).Enrol(request, timeout=SECONDS, metadata=metadata)


def test_a_token_speaks_for_its_region_until_it_expires(world: World, tokens: Tokens) -> None:
    good, short, foreign = tokens.token(), tokens.token(ttl="1s"), tokens.token(client_id="somebody-else")
    assert enrol(world, good)
    assert refused(lambda: enrol(world, good, region="eu10")).code() == DENIED
    assert refused(lambda: enrol(world, None)).code() == UNAUTHENTICATED
    assert refused(lambda: enrol(world, good[:-4] + "AAAA")).code() == UNAUTHENTICATED
    assert refused(lambda: enrol(world, foreign)).code() == DENIED
    expired = eventually(lambda: _refusal(lambda: enrol(world, short)), 30, "the token expires")
    assert expired.code() == UNAUTHENTICATED
    assert "expired" in expired.details()


def _refusal(call: Callable[[], object]) -> grpc.RpcError | None:
    try:
        call()
    except grpc.RpcError as error:
        return error
    return None


def test_with_the_policy_engines_stopped_nothing_passes_and_everything_resumes(world: World) -> None:
    world.declare(tenancy("patient"))
    world.converged(tenant="patient")
    engines = [name for name in world.state.parts if name.startswith("opa-")]
    for name in engines:
        api.hold(world.place, name)
    try:
        with world.registry() as stub:
            error = refused(lambda: stub.ListRegions(registry.ListRegionsRequest(), timeout=SECONDS))
        assert error.code() == UNAVAILABLE
        assert "policy engine" in error.details()
        with world.crypto("eu10") as stub:
            request = UnwrapRequest(tenant="patient", system="s0", service="v0", ciphertext=b"x")
            assert refused(lambda: stub.Unwrap(request, timeout=SECONDS)).code() == UNAVAILABLE
        time.sleep(1)
    finally:
        for name in engines:
            api.release(world.place, name)
    retried(lambda: world.declare(tenancy("patient", step="after")))
    world.converged(tenant="patient")
