"""Signatures end to end: Ed25519 over packed bytes, so that neither the broker nor a sidecar can forge or alter them.

Private keys are in a file of their process (`KeyFile`); public ones come with the policy bundle's data, as
`data.orbital.signers`: `{key ID: {"owner": SPIFFE ID, "key": base64, "until": seconds}}`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from orbital.v1.signed_pb2 import Signed

from runtime.errors import Denied, Invalid, OrbitalError, Unavailable
from runtime.files import read_bytes
from runtime.logs import get_logger

log = get_logger(__name__)

GATEWAY = "spiffe://orbital/gateway"
TASKS = "tasks"
REPORTS = "reports"
FLAGS = "flags"
HOLDINGS = "holdings"

_DOMAIN = b"orbital/signed/1\n"
# A rotated key reaches a verifier with its next bundle: so long is an unknown key waited for, and so seldom.
WAIT_SECONDS = 2.0
WAIT_EVERY = 30.0
FETCH_EVERY = 10.0
LOOK_SECONDS = 1.0
# An ended key stays known for so long, so that whoever still uses it is told that it has ended.
KNOWN_SECONDS = 7 * 86_400.0

# The reasons of a refused signature, and of content that was replayed elsewhere: each is a security event.
UNSIGNED, UNKNOWN_KEY, KEY_EXPIRED = "UNSIGNED", "UNKNOWN_KEY", "KEY_EXPIRED"
WRONG_SIGNER, FORGED = "WRONG_SIGNER", "FORGED"
WRONG_REGION, WRONG_LANE = "WRONG_REGION", "WRONG_LANE"
SECURITY = frozenset({UNSIGNED, UNKNOWN_KEY, KEY_EXPIRED, WRONG_SIGNER, FORGED, WRONG_REGION, WRONG_LANE})


def region_identity(region: str) -> str:
    """The SPIFFE ID of a region."""
    return f"spiffe://orbital/region/{region}"


def _signed_bytes(purpose: str, key_id: str, content: bytes) -> bytes:
    return b"".join((_DOMAIN, purpose.encode(), b"\n", key_id.encode(), b"\n", content))


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that signs from `start` on, and counts until `until`; seconds since the epoch."""

    key_id: str
    key: Ed25519PrivateKey
    start: float
    until: float


def make_key(start: float, until: float) -> SigningKey:
    """A new key; its ID is a digest of its public half."""
    key = Ed25519PrivateKey.generate()
    key_id = hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]
    return SigningKey(key_id, key, start, until)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The keys of one owner as they lie in a file: the one in use, one that is to come, and ones that still count."""

    owner: str
    keys: tuple[SigningKey, ...]

    def dump(self) -> bytes:
        """As JSON, private halves included."""
        keys = [
            {
                "id": each.key_id,
                "private": base64.b64encode(each.key.private_bytes_raw()).decode(),
                "start": each.start,
                "until": each.until,
            }
            for each in self.keys
        ]
        return orjson.dumps({"owner": self.owner, "keys": keys})

    @classmethod
    def load(cls, packed: bytes) -> KeyFile:
        """The inverse of `dump`; raises Invalid, which says nothing of what was in it."""
        try:
            found = orjson.loads(packed)
            keys = tuple(
                SigningKey(
                    str(each["id"]),
                    Ed25519PrivateKey.from_private_bytes(base64.b64decode(each["private"])),
                    float(each["start"]),
                    float(each["until"]),
                )
                for each in found["keys"]
            )
            return cls(str(found["owner"]), keys)
        except (ValueError, KeyError, TypeError):
            raise Invalid("The file of signing keys cannot be read", reason="BAD_KEY_FILE") from None

    def public(self) -> dict[str, dict[str, Any]]:
        """What the bundle's data says of these keys."""
        return {
            each.key_id: {
                "owner": self.owner,
                "key": base64.b64encode(each.key.public_key().public_bytes_raw()).decode(),
                "until": each.until,
            }
            for each in self.keys
        }

    def rotated(self, now: float, life: float, lead: float) -> KeyFile:
        """With a key to come once two thirds of the newest one's life are over, and without those that ended long ago.

        A new key waits `lead` seconds, in which the bundle with its public half reaches everybody.
        """
        keys = tuple(each for each in self.keys if each.until + KNOWN_SECONDS > now)
        newest = max(keys, key=lambda each: each.start, default=None)
        if newest is None or newest.until <= now:
            return KeyFile(self.owner, (*keys, make_key(now, now + life)))
        if now < newest.start + (newest.until - newest.start) * 2 / 3:
            return self if keys == self.keys else KeyFile(self.owner, keys)
        return KeyFile(self.owner, (*keys, make_key(now + lead, now + lead + life)))


class Signer:
    """Signs with the newest key whose time has come; a changed file is noticed within a second."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._keys = KeyFile("", ())
        self._stamp: tuple[int, int] | None = None
        self._looked = 0.0

    def sign(self, purpose: str, content: bytes) -> Signed:
        """The content with its signature; raises Unavailable when there is no key to sign with."""
        now = self._clock()
        if self._stamp is None or not 0 <= now - self._looked < LOOK_SECONDS:
            self._look()
            self._looked = now
        keys = self._keys.keys
        # A first key counts from when it is made: where none has begun it is this clock that is behind.
        now = max(now, min((each.start for each in keys), default=now))
        usable = [each for each in keys if each.start <= now < each.until]
        if not usable:
            raise Unavailable("There is no signing key that counts now", reason="NO_SIGNING_KEY")
        key = max(usable, key=lambda each: each.start)
        signature = key.key.sign(_signed_bytes(purpose, key.key_id, content))
        return Signed(key_id=key.key_id, signature=signature, content=content)

    def _look(self) -> None:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._keys = KeyFile.load(read_bytes(self._path))
                self._stamp = stamp
        except OSError as error:
            raise Unavailable("The file of signing keys cannot be read", reason="NO_SIGNING_KEY") from error


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Whose key it is, and until when it counts."""

    owner: str
    key: Ed25519PublicKey
    until: float


def read_public(table: Mapping[str, Mapping[str, Any]]) -> dict[str, PublicKey]:
    """The keys of the bundle's data; raises Unavailable when they are not what they should be."""
    try:
        return {
            key_id: PublicKey(
                str(each["owner"]),
                Ed25519PublicKey.from_public_bytes(base64.b64decode(each["key"])),
                float(each["until"]),
            )
            for key_id, each in table.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unavailable("The public keys of the policy bundle cannot be read", reason="NO_PUBLIC_KEYS") from None


Fetch = Callable[[], Awaitable[Mapping[str, Mapping[str, Any]]]]


class PublicKeys:
    """Verifies signatures by the public keys of the policy bundle, which `fetch` reads from the policy engine."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: Mapping[str, PublicKey] = {}
        self._waited = float("-inf")

    async def run(self) -> None:
        """Fetch the keys again now and then, so that one that was taken out no longer counts."""
        while True:
            try:
                await self.refresh()
            except OrbitalError as error:
                log.debug("public keys not fetched", reason=error.reason)
            await asyncio.sleep(FETCH_EVERY)

    async def refresh(self) -> None:
        """Fetch the keys; raises Unavailable when that is not possible, and the known ones go on."""
        self._keys = read_public(await self._fetch())

    async def verify(self, signed: Signed, purpose: str, owner: str) -> bytes:
        """The content, if `owner` signed it for this purpose.

        Raises Denied with one of the reasons in SECURITY, and Unavailable when there are no keys to verify with.
        """
        if not signed.key_id or not signed.signature:
            raise Denied("It carries no signature", reason=UNSIGNED)
        key = self._keys.get(signed.key_id) or await self._find(signed.key_id)
        if key is None:
            raise Denied(f"Its key {signed.key_id[:32]!r} is not in the policy bundle", reason=UNKNOWN_KEY)
        if key.owner != owner:
            raise Denied(f"It is signed by {key.owner}, and only {owner} may", reason=WRONG_SIGNER)
        if self._clock() >= key.until:
            raise Denied(f"Its key {signed.key_id} has ended", reason=KEY_EXPIRED)
        try:
            key.key.verify(signed.signature, _signed_bytes(purpose, signed.key_id, signed.content))
        except InvalidSignature:
            raise Denied("Its signature is not of this content", reason=FORGED) from None
        return signed.content

    async def _find(self, key_id: str) -> PublicKey | None:
        """An unknown key: fetched at once, then waited for, but seldom, or forgeries could hold everything up."""
        now = self._clock()
        await self.refresh()
        if now - self._waited >= WAIT_EVERY:
            self._waited = now
            left = WAIT_SECONDS
            while left > 0 and key_id not in self._keys:
                await asyncio.sleep(0.2)
                left -= 0.2
                await self.refresh()
        return self._keys.get(key_id)
