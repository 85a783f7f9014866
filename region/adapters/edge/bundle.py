"""A signed OPA bundle made in memory: after a kill there is no time to start a program."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from region.domain.edge import canonical, revision
from region.ports.edge import Bundle
from runtime.errors import Invalid
from runtime.files import read_bytes

KEY_ID = "edge"
ROOTS = ["orbital/authz/edge", "orbital/edge"]
REGO = "authz/edge.rego"
OWNER_ALONE = 0o077


class SignedBundles:
    """Makes the bundles of one region; the key is its own, and its public half is what its edges trust."""

    def __init__(self, rego: bytes, key: ec.EllipticCurvePrivateKey) -> None:
        self._rego = rego
        self._key = key
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._signer = hashlib.sha256(public).hexdigest()[:8]

    def pack(self, content: dict[str, Any]) -> Bundle:
        """The bundle of `data.orbital.edge`, named after what is in it and who signed it."""
        name = revision(content, self._rego)
        manifest = {"revision": name, "roots": ROOTS, "rego_version": 1}
        files = {
            "data.json": canonical({"orbital": {"edge": content}}),
            REGO: self._rego,
            ".manifest": canonical(manifest),
        }
        files[".signatures.json"] = json.dumps({"signatures": [self._signature(files)]}).encode()
        return Bundle(name, f'"{name}-{self._signer}"', _archive(files))

    def _signature(self, files: dict[str, bytes]) -> str:
        """The signed list of the files' digests, as a JWT. OPA's digest of JSON is that of its canonical form."""
        listed = [
            {"name": name, "hash": hashlib.sha256(content).hexdigest(), "algorithm": "SHA-256"}
            for name, content in files.items()
        ]
        header = {"alg": "ES256", "typ": "JWT", "kid": KEY_ID}
        signed = ".".join(_url(canonical(part)) for part in (header, {"files": listed, "keyid": KEY_ID}))
        first, second = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_url(first.to_bytes(32, 'big') + second.to_bytes(32, 'big'))}"


def load_packer(policy: Path, key_file: Path) -> SignedBundles:
    """The packer of the Rego in `policy` and the key in `key_file`; raises Invalid on a key that others can read."""
    try:
        if key_file.stat().st_mode & OWNER_ALONE:
            raise Invalid(f"{key_file} can be read by others than its owner", reason="BAD_KEY", field="key_file")
        key = serialization.load_pem_private_key(read_bytes(key_file), password=None)
        rego = read_bytes(policy)
    except (OSError, ValueError) as error:
        raise Invalid(f"Edge policy cannot be signed: {error}", reason="BAD_KEY", field="key_file") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise Invalid(f"{key_file} holds no key on P-256", reason="BAD_KEY", field="key_file")
    return SignedBundles(rego, key)


def _url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"/{name}")
            entry.size, entry.mode = len(content), 0o600
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
