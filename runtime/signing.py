"""A signing key in OpenBao's transit: it is made there, never leaves, and is certified by a request that it signs."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64decode, b64encode
from typing import NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from runtime.openbao import OpenBao

KEY_TYPE = "ecdsa-p256"
Buffer = bytes | bytearray | memoryview


def key_id(public: ec.EllipticCurvePublicKey) -> bytes:
    """What a key is called in a signature: SHA-256 of its SubjectPublicKeyInfo."""
    packed = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(packed).digest()


class BaoSigner:
    """Signs by version 1 of one key; every method raises Unavailable or Stalled when OpenBao cannot."""

    def __init__(self, openbao: OpenBao, mount: str, name: str) -> None:
        self._openbao = openbao
        self._mount = mount
        self._name = name
        self._public: ec.EllipticCurvePublicKey | None = None
        self._asking = asyncio.Lock()

    async def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half; the key is made when there is none."""
        async with self._asking:
            if self._public is None:
                self._public = await self._read() or await self._make()
            return self._public

    async def _read(self) -> ec.EllipticCurvePublicKey | None:
        answer = await self._openbao.call("GET", f"{self._mount}/keys/{self._name}")
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise answer.refusal(f"read the signing key {self._name}")
        loaded = serialization.load_pem_public_key(answer.body["data"]["keys"]["1"]["public_key"].encode())
        if not isinstance(loaded, ec.EllipticCurvePublicKey):
            raise answer.refusal(f"sign by {self._name}, which is no {KEY_TYPE} key")
        return loaded

    async def _make(self) -> ec.EllipticCurvePublicKey:
        # A key that another process has just made is left as it is.
        body = {"type": KEY_TYPE, "exportable": False, "allow_plaintext_backup": False}
        answer = await self._openbao.call("POST", f"{self._mount}/keys/{self._name}", body)
        made = await self._read() if answer.status < 400 else None
        if made is None:
            raise answer.refusal(f"make the signing key {self._name}")
        return made

    async def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256, DER."""
        body = {"prehashed": True, "marshaling_algorithm": "asn1", "key_version": 1}
        body |= {"input": b64encode(hashlib.sha256(message).digest()).decode()}
        answer = await self._openbao.call("POST", f"{self._mount}/sign/{self._name}/sha2-256", body)
        if answer.status != 200:
            raise answer.refusal(f"sign by {self._name}")
        return b64decode(answer.body["data"]["signature"].rpartition(":")[2])

    async def request(self, subject: str) -> bytes:
        """A certificate signing request (PKCS#10, DER), signed by the key."""
        public = await self.public_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        builder = x509.CertificateSigningRequestBuilder().subject_name(name)
        # Building is not asynchronous: once to learn what is to be signed, once more to put the signature in.
        asked = _Elsewhere(public, b"")
        builder.sign(asked, hashes.SHA256())
        answered = _Elsewhere(public, await self.sign(asked.message))
        return builder.sign(answered, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class _Elsewhere(ec.EllipticCurvePrivateKey):
    """Stands for a private key that is elsewhere: `sign` gives the signature that was fetched before."""

    def __init__(self, public: ec.EllipticCurvePublicKey, signature: bytes) -> None:
        self._public = public
        self._signature = signature
        self.message = b""

    def sign(self, message: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # noqa: ARG002
        self.message = bytes(message)
        return self._signature

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        raise NotImplementedError

    def private_numbers(self) -> NoReturn:
        raise NotImplementedError

    def private_bytes(self, *_arguments: object, **_options: object) -> NoReturn:
        raise NotImplementedError

    def __copy__(self) -> _Elsewhere:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> _Elsewhere:
        return self
