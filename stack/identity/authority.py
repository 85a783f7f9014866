"""The root that everybody trusts: it signs the OpenBaos' own certificates, and the issuer inside the global one."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stack.secret_files import write_private
from stack.site import Site
from stack.unit import Step

ROOT_DAYS = 3650
SERVERS = ("rabbitmq", "openbao-global", "openbao-customer")
SERVER_DAYS = 365
RENEW_BELOW_DAYS = 120


class Authority(Step):
    """The root certificate and a server certificate for each OpenBao, made before anything else can be."""

    name = "authority"

    async def run(self) -> None:
        """Make what is not there yet, or ends soon."""
        key, certificate = ensure_root(self.site)
        for name in (*SERVERS, *(f"openbao-{region.name}" for region in self.site.regions)):
            place = self.site.place(name)
            if _ends_soon(place / "cert.pem"):
                _issue_server(place, name, key, certificate)
        _pair(self.site.place("broker-access"))


def ensure_root(site: Site) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """The root's key and certificate."""
    key_file, certificate_file = site.secret("root-ca.key"), site.authority()
    if not (key_file.exists() and certificate_file.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Orbital root")])
        limits = x509.BasicConstraints(ca=True, path_length=1)
        builder = _builder(name, name, key.public_key(), ROOT_DAYS).add_extension(limits, critical=True)
        certificate = builder.add_extension(_ca_usage(), critical=True).sign(key, hashes.SHA256())
        write_private(key_file, _pem(key))
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise TypeError("the root's key is not an elliptic-curve key")
    return loaded, x509.load_pem_x509_certificate(certificate_file.read_bytes())


def _pair(place: Path) -> None:
    """Two ends that trust each other and nobody else: certificates of an authority whose key is thrown away."""
    if not _ends_soon(place / "ca.pem"):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Orbital broker access")])
    builder = _builder(name, name, key.public_key(), SERVER_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    authority = builder.add_extension(_ca_usage(), critical=True).sign(key, hashes.SHA256())
    for end, purpose in (("gateway", ExtendedKeyUsageOID.SERVER_AUTH), ("rabbitmq", ExtendedKeyUsageOID.CLIENT_AUTH)):
        (place / end).mkdir(mode=0o700, exist_ok=True)
        _issue(place / end, end, key, authority, purpose)
    write_private(place / "ca.pem", authority.public_bytes(serialization.Encoding.PEM))


def sign_intermediate(site: Site, request: str) -> str:
    """The certificate, in PEM, of the issuing authority whose signing request is given."""
    key, root = ensure_root(site)
    asked = x509.load_pem_x509_csr(request.encode())
    builder = _builder(asked.subject, root.subject, asked.public_key(), ROOT_DAYS - 1)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_ca_usage(), critical=True)
    signed = _linked(builder, key).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def _issue_server(place: Path, name: str, root_key: ec.EllipticCurvePrivateKey, root: x509.Certificate) -> None:
    _issue(place, name, root_key, root, ExtendedKeyUsageOID.SERVER_AUTH)


def _issue(
    place: Path,
    name: str,
    root_key: ec.EllipticCurvePrivateKey,
    root: x509.Certificate,
    purpose: x509.ObjectIdentifier,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = _builder(subject, root.subject, key.public_key(), SERVER_DAYS)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    certificate = _linked(builder, root_key).sign(root_key, hashes.SHA256())
    write_private(place / "key.pem", _pem(key))
    write_private(place / "cert.pem", certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, public: CertificatePublicKeyTypes, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _linked(builder: x509.CertificateBuilder, signer: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return builder.add_extension(identifier, critical=False)


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _ends_soon(certificate: Path) -> bool:
    if not certificate.exists():
        return True
    ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    return ends - dt.datetime.now(dt.UTC) < dt.timedelta(days=RENEW_BELOW_DAYS)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
