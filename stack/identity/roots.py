"""The roots of trust: the one that issues, the one that will, those that are believed, and all there ever were.

What is true is said by the files alone, each of which is replaced in one step:

    secrets/root-ca.pem       key and certificate of the root that issues
    secrets/root-ca-next.pem  of the one that will, as long as everybody learns to believe it
    identity/ca.pem           certificates of those that are believed
    identity/history.pem      certificates of all, for signatures of the past
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from runtime.errors import Precondition
from runtime.files import read_bytes
from stack.context import StackContext
from stack.secret_files import write_private

ROOT_DAYS = 3650
PEM = serialization.Encoding.PEM


class Phase(StrEnum):
    """How far a rotation is."""

    SETTLED = "settled"
    # Old and new are believed; the old one issues.
    TRUSTING = "trusting"
    # Old and new are believed; the new one issues.
    REISSUING = "reissuing"


@dataclass(frozen=True, slots=True)
class Root:
    """A root: its key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def name(self) -> str:
        """Its common name."""
        return common_name(self.certificate.subject)

    def pem(self) -> bytes:
        """Key and certificate in one file, so that they are never of two roots."""
        return pem(self.key) + self.certificate.public_bytes(PEM)


class Roots:
    """The roots of one stack."""

    def __init__(self, context: StackContext) -> None:
        self._current = context.secret("root-ca.pem")
        self._next = context.secret("root-ca-next.pem")
        self._trusted = context.authority()
        self._history = context.history()
        # Where the key of the first one is in a stack that never rotated it.
        self._first_key = context.secret("root-ca.key")

    def ensure(self) -> Root:
        """The root that issues; the first one is made if there is none."""
        if not self._current.exists():
            first = self._first()
            self._believe([first.certificate])
            write_private(self._current, first.pem())
            self._first_key.unlink(missing_ok=True)
        return self.issuing

    @property
    def issuing(self) -> Root:
        """The root that issues now."""
        return _read(self._current)

    @property
    def newest(self) -> Root:
        """The root that will issue, while there is one; else the one that does."""
        return _read(self._next) if self._next.exists() else self.issuing

    @property
    def trusted(self) -> list[x509.Certificate]:
        """Those that are believed, the newest first."""
        return x509.load_pem_x509_certificates(read_bytes(self._trusted))

    @property
    def phase(self) -> Phase:
        """How far a rotation is."""
        if self._next.exists():
            return Phase.TRUSTING
        return Phase.REISSUING if len(self.trusted) > 1 else Phase.SETTLED

    def begin(self) -> None:
        """Make the next root, and believe it beside the one that issues; raises Precondition during a rotation."""
        self._must_be(Phase.SETTLED)
        number = len(x509.load_pem_x509_certificates(read_bytes(self._history))) + 1
        fresh = make_root(f"Orbital root {number}")
        write_private(self._next, fresh.pem())
        self.believe_next()

    def believe_next(self) -> None:
        """Believe the next root beside the one that issues."""
        self._must_be(Phase.TRUSTING)
        self._believe([self.newest.certificate, self.issuing.certificate])

    def promote(self) -> None:
        """Issue by the next root."""
        self._must_be(Phase.TRUSTING)
        self._next.replace(self._current)

    def retire(self) -> None:
        """Believe the root that issues, and no other."""
        self._must_be(Phase.REISSUING)
        self._believe([self.issuing.certificate])

    def _must_be(self, phase: Phase) -> None:
        if self.phase is not phase:
            raise Precondition(f"The rotation is at {self.phase.value}, not at {phase.value}", reason="OTHER_PHASE")

    def _first(self) -> Root:
        if self._first_key.exists():
            return _read(self._first_key, self._trusted)
        return make_root("Orbital root")

    def _believe(self, certificates: list[x509.Certificate]) -> None:
        known = x509.load_pem_x509_certificates(read_bytes(self._history)) if self._history.exists() else []
        _replace(self._history, [*(each for each in certificates if each not in known), *known])
        _replace(self._trusted, certificates)


def make_root(name: str) -> Root:
    """A new root."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    limits = x509.BasicConstraints(ca=True, path_length=1)
    begun = builder(subject, subject, key.public_key(), ROOT_DAYS).add_extension(limits, critical=True)
    return Root(key, begun.add_extension(ca_usage(), critical=True).sign(key, hashes.SHA256()))


def sign_intermediate(root: Root, request: str) -> str:
    """The certificate, in PEM, of the issuing authority whose signing request is given."""
    asked = x509.load_pem_x509_csr(request.encode())
    begun = builder(asked.subject, root.certificate.subject, asked.public_key(), ROOT_DAYS - 1)
    begun = begun.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    begun = begun.add_extension(ca_usage(), critical=True)
    return linked(begun, root.key).sign(root.key, hashes.SHA256()).public_bytes(PEM).decode()


def builder(
    subject: x509.Name, issuer: x509.Name, public: CertificatePublicKeyTypes, days: float
) -> x509.CertificateBuilder:
    """What every certificate begins with; it holds from a little while ago, for the sake of clocks."""
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


def linked(begun: x509.CertificateBuilder, signer: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    """It names the key that signs it."""
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return begun.add_extension(identifier, critical=False)


def ca_usage() -> x509.KeyUsage:
    """What an authority's key is for."""
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


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key, unencrypted."""
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def common_name(name: x509.Name) -> str:
    """The common name in a name, empty if there is none."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _read(key_file: Path, certificate_file: Path | None = None) -> Root:
    raw = read_bytes(key_file)
    key = serialization.load_pem_private_key(raw, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the root's key is not an elliptic-curve key")
    return Root(key, x509.load_pem_x509_certificate(read_bytes(certificate_file) if certificate_file else raw))


def _replace(file: Path, certificates: list[x509.Certificate]) -> None:
    """In one step; it is no secret, but nobody else's to write."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_bytes(b"".join(each.public_bytes(PEM) for each in certificates))
    beside.replace(file)
