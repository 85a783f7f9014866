"""Certificates and tokens of a test session."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """Issues certificates with a SPIFFE URI."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Orbital test authority")])
        builder = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, None), critical=True)
        self._self = builder.sign(self._key, hashes.SHA256())
        self.certificate = self._self.public_bytes(serialization.Encoding.PEM)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder(issuer_name=self._name, subject_name=subject, public_key=key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
        )

    def issue(self, uri: str) -> tuple[bytes, bytes]:
        """The private key and the certificate of a new identity, both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.UniformResourceIdentifier(uri),
            x509.DNSName("localhost"),
            x509.IPAddress(ip_address("127.0.0.1")),
        ]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            self._builder(x509.Name([]), key)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private, certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, directory: Path, uri: str) -> None:
        """Put a new identity in force in `directory`, by the rename of a link."""
        version = directory / f"v{time.monotonic_ns()}"
        version.mkdir(parents=True)
        private, certificate = self.issue(uri)
        for name, content in (("key", private), ("cert", certificate), ("ca", self.certificate)):
            (version / f"{name}.pem").write_bytes(content)
        link = directory / "current.new"
        link.symlink_to(version.name)
        link.replace(directory / "current")


class TokenIssuer:
    """Signs tokens as an issuer does; `claims` are those that name a region."""

    def __init__(
        self,
        name: str = "https://ias.test/v1/identity/oidc",
        audience: str = "orbital-gateway",
        claims: Callable[[Any], dict[str, Any]] = lambda region: {"region": region},
    ) -> None:
        self.name, self._audience, self._claims = name, audience, claims
        self._keys = [ec.generate_private_key(ec.SECP256R1())]

    def rotate(self) -> None:
        """Sign by a new key from now on; the older ones stay in the set."""
        self._keys.append(ec.generate_private_key(ec.SECP256R1()))

    def keys(self) -> bytes:
        """The JWKS."""
        keys = []
        for number, each in enumerate(self._keys):
            numbers = each.public_key().public_numbers()
            x, y = (_encode(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
            known = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig"}
            keys.append({**known, "kid": str(number), "x": x, "y": y})
        return json.dumps({"keys": keys}).encode()

    def token(
        self, region: Any, *, audience: str = "", issuer: str = "", seconds: float = 600, key_id: str = ""
    ) -> str:
        """A token for `region` that ends in `seconds`; `key_id` is claimed in place of the true one."""
        claims = {"iss": issuer or self.name, "aud": audience or self._audience, "sub": "entity"}
        claims |= {**self._claims(region), "exp": int(time.time() + seconds)}
        header = {"alg": "ES256", "kid": key_id or str(len(self._keys) - 1), "typ": "JWT"}
        signed = ".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
        r, s = utils.decode_dss_signature(self._keys[-1].sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
