"""What the root signs itself: the certificates of servers that are there before the issuer is."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.files import read_bytes
from runtime.identity import swap
from stack.context import StackContext
from stack.identity.roots import PEM, Root, Roots, builder, ca_usage, linked, pem
from stack.secret_files import write_private
from stack.unit import Step

SERVERS = ("rabbitmq", "openbao-global", "openbao-customer")
SERVER_DAYS = 365
RENEW_BELOW_DAYS = 120


class Authority(Step):
    """The root certificate and a server certificate for each OpenBao, made before anything else can be."""

    name = "authority"

    async def run(self) -> None:
        """Make what is not there yet, or ends soon."""
        root = Roots(self.context).ensure()
        for name in servers(self.context):
            if _ends_soon(server_tls(self.context, name) / "current" / "cert.pem"):
                issue_server(self.context, name, root)
        _pair(self.context.place("broker-access"))


def servers(context: StackContext) -> list[str]:
    """The servers whose certificates the root signs itself."""
    return [*SERVERS, *(f"openbao-{region.name}" for region in context.regions)]


def server_tls(context: StackContext, name: str) -> Path:
    """Where a server's certificate is: `current/cert.pem` and `current/key.pem`."""
    return context.place(name) / "tls"


def issue_server(context: StackContext, name: str, root: Root) -> None:
    """A new certificate for a server, in force when that reads it again."""
    swap(server_tls(context, name), _issued(name, root, ExtendedKeyUsageOID.SERVER_AUTH))


def issue_client(root: Root, uri: str, minutes: float) -> dict[str, str]:
    """A certificate with a SPIFFE ID and its key, for a few minutes: `cert.pem` and `key.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    begun = builder(x509.Name([]), root.certificate.subject, key.public_key(), minutes / 1440)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    begun = begun.add_extension(names, critical=True)
    begun = begun.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    certificate = linked(begun, root.key).sign(root.key, hashes.SHA256())
    return {"cert.pem": certificate.public_bytes(PEM).decode(), "key.pem": pem(key).decode()}


def _pair(place: Path) -> None:
    """Two ends that trust each other and nobody else: certificates of an authority whose key is thrown away."""
    if not _ends_soon(place / "ca.pem"):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Orbital broker access")])
    begun = builder(name, name, key.public_key(), SERVER_DAYS)
    begun = begun.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    root = Root(key, begun.add_extension(ca_usage(), critical=True).sign(key, hashes.SHA256()))
    for end, purpose in (("gateway", ExtendedKeyUsageOID.SERVER_AUTH), ("rabbitmq", ExtendedKeyUsageOID.CLIENT_AUTH)):
        (place / end).mkdir(mode=0o700, exist_ok=True)
        for file, content in _issued(end, root, purpose).items():
            write_private(place / end / file, content)
    write_private(place / "ca.pem", root.certificate.public_bytes(PEM))


def _issued(name: str, root: Root, purpose: x509.ObjectIdentifier) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    begun = builder(subject, root.certificate.subject, key.public_key(), SERVER_DAYS)
    begun = begun.add_extension(x509.SubjectAlternativeName(names), critical=False)
    begun = begun.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    begun = begun.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    certificate = linked(begun, root.key).sign(root.key, hashes.SHA256())
    return {"key.pem": pem(key).decode(), "cert.pem": certificate.public_bytes(PEM).decode()}


def _ends_soon(certificate: Path) -> bool:
    if not certificate.exists():
        return True
    ends = x509.load_pem_x509_certificate(read_bytes(certificate)).not_valid_after_utc
    return ends - dt.datetime.now(dt.UTC) < dt.timedelta(days=RENEW_BELOW_DAYS)
