"""Token, key and certificate in files."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from orbital.v1 import enrolment_pb2

from runtime.errors import Stalled
from runtime.files import read_text
from runtime.identity import swap
from runtime.private_files import write_private

PEM = serialization.Encoding.PEM


class FileIdentityStore:
    """See region.ports.identity.IdentityStore. `secret_file` takes the secret of a region that logs in for tokens."""

    def __init__(self, token_file: Path, identity: Path, ca_file: Path, secret_file: Path | None) -> None:
        self._token_file = token_file
        self._identity = identity
        self._ca_file = ca_file
        self._secret_file = secret_file
        self._key: ec.EllipticCurvePrivateKey | None = None

    def token(self) -> str:
        """See the port."""
        try:
            return read_text(self._token_file).strip()
        except FileNotFoundError:
            return ""

    def request(self) -> bytes:
        """See the port."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        # The gateway names whom the certificate is for.
        asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return asked.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def take(self, answer: enrolment_pb2.RedeemResponse) -> None:
        """See the port."""
        if self._key is None:
            raise Stalled("There is no key that the certificate could be for", reason="NO_KEY")
        chain = [x509.load_der_x509_certificate(one).public_bytes(PEM).decode() for one in answer.certificates]
        key = self._key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        if answer.secret_id and self._secret_file:
            write_private(self._secret_file, answer.secret_id)
        files = {"cert.pem": "".join(chain), "key.pem": key.decode(), "ca.pem": read_text(self._ca_file)}
        swap(self._identity, files)
        self._key = None

    def forget(self) -> None:
        """See the port."""
        self._token_file.unlink(missing_ok=True)
