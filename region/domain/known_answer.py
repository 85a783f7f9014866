"""A known answer for each version of an L2: transit gives it only where that version is in its place."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12
KNOWN = b"orbital: this version is in its place"


def question(version: int, material: bytes | bytearray, nonce: bytes) -> str:
    """A ciphertext, as transit writes it, of the known answer by that material as that version."""
    return f"vault:v{version}:{b64encode(nonce + AESGCM(material).encrypt(nonce, KNOWN, None)).decode()}"


def opened(text: str, material: bytes | bytearray) -> bytearray | None:
    """What a ciphertext of transit holds, whatever version it names; None when this material does not open it."""
    try:
        sealed = b64decode(text.rpartition(":")[2], validate=True)
        return bytearray(AESGCM(material).decrypt(sealed[:NONCE], sealed[NONCE:], None))
    except (InvalidTag, NotBase64, ValueError):
        return None
