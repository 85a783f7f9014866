"""Requests to certify a key come from newcomers too: whatever the bytes are, the answer is that they are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from gateway.adapters.openbao.authority import _checked
from runtime.errors import Invalid

KEYS = {
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "k256": ec.generate_private_key(ec.SECP256K1()),
    "rsa": rsa.generate_private_key(65537, 2048),
    "dsa": dsa.generate_private_key(2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "ed448": ed448.Ed448PrivateKey.generate(),
}


def made(name: str) -> bytes:
    begun = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = begun.sign(KEYS[name], None if name.startswith("ed") else hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def bent(packed: bytes) -> Iterator[bytes]:
    """Each byte changed in several ways, and the request cut off before it."""
    for at, byte in enumerate(packed):
        yield packed[:at]
        for other in {0, 1, 0x7F, 0x80, 0xFF, byte ^ 1, byte ^ 0x20} - {byte}:
            yield packed[:at] + bytes([other]) + packed[at + 1 :]


def test_one_of_a_key_of_the_right_kind_passes() -> None:
    assert _checked(made("p256")).is_signature_valid


@pytest.mark.parametrize("name", sorted(KEYS.keys() - {"p256"}))
def test_another_kind_of_key_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        _checked(made(name))


@pytest.mark.parametrize("name", sorted(KEYS))
def test_whatever_is_bent_is_refused_or_still_signed(name: str) -> None:
    for packed in bent(made(name)):
        with suppress(Invalid):
            assert _checked(packed).is_signature_valid
