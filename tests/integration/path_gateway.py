"""The gateway's side of one lane of one region, with the identities that both sides need."""

import datetime as dt
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from orbital.v1.dispatch_pb2_grpc import DispatchServiceServicer

from gateway.adapters.rabbitmq.connection import Broker
from gateway.adapters.rabbitmq.lanes import RabbitLanes
from gateway.flow.announce import Announcements
from gateway.flow.contacts import Contacts
from gateway.flow.deliver import Deliver, StreamSettings
from gateway.flow.direct import OpenStreams
from gateway.flow.holdings import Holdings
from gateway.flow.revocation import Revocations
from gateway.flow.security import Security
from gateway.flow.sources import LaneSources
from gateway.flow.state import States
from gateway.flow.stream_intake import StreamIntake
from gateway.times import backoff, clock
from runtime.signatures import region_identity
from stack.secret_files import write_private
from tests.unit.gateway.fakes import FakeFaults, FakeHoldings, FakeStanding, FakeState, FakeTasks
from tests.unit.gateway.test_receipts import Certificates
from tests.unit.runtime.keys import Keys

REGION, LANE, CREDIT = "eu10", 1, 8


def certify(place: Path, target: Path, identity: str) -> None:
    """A certificate of this identity, by the stack's root."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuing = (place / "secrets" / "root-ca.pem").read_bytes()
    root = x509.load_pem_x509_certificate(issuing)
    signing: Any = serialization.load_pem_private_key(issuing, None)
    now = dt.datetime.now(dt.UTC)
    name = x509.UniformResourceIdentifier(identity)
    builder = x509.CertificateBuilder(root.subject, x509.Name([]), key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(minutes=1)).not_valid_after(now + dt.timedelta(hours=1))
    signed = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False).sign(signing, hashes.SHA256())
    write_private(target / "cert.pem", signed.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(target / "key.pem", key.private_bytes(*form))


class Sidecar(DispatchServiceServicer):
    """What the two Envoys say of the caller."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver

    async def Subscribe(self, request_iterator: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        await self._deliver.serve(region_identity(REGION), REGION, request_iterator, context.write)


class OpenDoor:
    """Lets everybody in who has a certificate; the policy has tests of its own, and tests/system tries it."""

    async def allows(self, about: str, asked: Mapping[str, str], *, password: bool) -> bool:
        return asked["username"].startswith("spiffe://") and not password


def make_deliver(broker: Broker, tasks: FakeTasks, keys: Keys) -> Deliver:
    """The gateway's side of the lane stream; nothing is reported."""
    security, contacts, states = Security(tasks, tasks), Contacts(tasks), States(FakeState())
    holdings = Holdings(FakeHoldings(), Certificates(), keys.public_keys, security, lambda: None, str)
    reports: Any = None
    lanes, streams = RabbitLanes(broker, "classic"), OpenStreams(1.0, time.monotonic)
    return Deliver(
        sources=LaneSources(lanes=lanes, store=tasks, faults=FakeFaults(), streams=streams, backoff=backoff),
        intake=StreamIntake(reports=reports, security=security, states=states, holdings=holdings, backoff=backoff),
        announcements=Announcements(
            contacts=contacts, states=states, holdings=holdings, audit_head=lambda: None, clock=clock, lifetime=60.0
        ),
        contacts=contacts,
        ended=Revocations(FakeStanding()).ended,
        settings=StreamSettings(lanes=frozenset({LANE}), beat=0.5, lifetime=60.0, grace=0.0),
    )
