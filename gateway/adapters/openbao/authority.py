"""The platform's PKI in OpenBao."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.domain.proof import Certified
from runtime.errors import Invalid
from runtime.openbao import OpenBao
from runtime.signing import key_id

# What is raised of a request, or of a key in it, that is none of those that are known.
UNREADABLE = (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm)


class BaoAuthority:
    """See gateway.ports.proof.Authority."""

    def __init__(self, openbao: OpenBao, mount: str, hosts: Sequence[str] = ()) -> None:
        self._openbao = openbao
        self._mount = mount
        self._hosts = _names(hosts)

    async def certify(self, role: str, name: str, request: bytes) -> Certified:
        """See the port."""
        asked = _checked(request)
        body = {
            "csr": asked.public_bytes(serialization.Encoding.PEM).decode(),
            "uri_sans": name,
            "format": "pem",
            **self._hosts,
        }
        answer = await self._openbao.call("POST", f"{self._mount}/sign/{role}", body)
        if answer.status != 200:
            raise answer.refusal(f"certify the key of {name}")
        certificate = x509.load_pem_x509_certificate(answer.body["data"]["certificate"].encode())
        chain = [x509.load_pem_x509_certificate(pem.encode()) for pem in answer.body["data"].get("ca_chain") or ()]
        public = asked.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        return Certified(
            key_id(public),
            name,
            _der(certificate),
            # The authority at the end is what whoever verifies has to have.
            [_der(one) for one in chain if one.issuer != one.subject],
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
        )


def _names(hosts: Sequence[str]) -> dict[str, str]:
    """Hosts as the PKI engine is told them, which keeps addresses apart from names."""
    found: dict[str, list[str]] = {"alt_names": [], "ip_sans": []}
    for host in hosts:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            found["alt_names"].append(host)
        else:
            found["ip_sans"].append(host)
    return {field: ",".join(names) for field, names in found.items() if names}


def _checked(request: bytes) -> x509.CertificateSigningRequest:
    try:
        asked = x509.load_der_x509_csr(request)
        # Only now is it looked at what the key, the signature and what they are of are.
        public, holds = asked.public_key(), asked.is_signature_valid
    except UNREADABLE as error:
        raise Invalid("signing_request is no PKCS#10 request", field="signing_request") from error
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise Invalid("signing_request is of another key than ECDSA P-256", field="signing_request")
    if not holds:
        raise Invalid("signing_request is not signed by its own key", field="signing_request")
    return asked


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
