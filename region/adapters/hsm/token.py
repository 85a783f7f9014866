"""The token by PKCS#11: keys that never leave it wrap material by AES-KWP (RFC 5649).

Only the worker imports this module: the library shares its cryptography with Python's ssl, and in one process with it
was seen to corrupt TLS. So nothing here may import ssl, gRPC or asyncio.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import (
    MultipleObjectsReturned,
    NoSuchKey,
    NoSuchToken,
    PinIncorrect,
    PinLocked,
    PKCS11Error,
    TokenNotPresent,
)

from region.adapters.hsm.frames import Outcome
from runtime.l1 import ROOT_KEY

T = TypeVar("T")
# What wraps must never leave the HSM, nor encrypt anything by itself.
L1_TEMPLATE = {
    Attribute.TOKEN: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.WRAP: True,
    Attribute.UNWRAP: True,
    Attribute.ENCRYPT: False,
    Attribute.DECRYPT: False,
}
# Material is an object of the session only while it is wrapped or unwrapped.
MATERIAL = {Attribute.TOKEN: False, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}


SAMPLE_BYTES = 32
MOST_PIN = 4096  # characters; a longer one is refused by every token
WHY: dict[type[Exception], Outcome] = {
    NoSuchToken: Outcome.TOKEN_MISSING,
    TokenNotPresent: Outcome.TOKEN_MISSING,
    PinIncorrect: Outcome.LOGIN_REFUSED,
    PinLocked: Outcome.LOGIN_REFUSED,
}
# How the library fails: by PKCS#11's own errors, and, for a key of a kind that it did not expect, by Python's.
FAILURES = (PKCS11Error, OSError, RuntimeError, AttributeError, TypeError, ValueError, LookupError)


class TokenError(Exception):
    """Why the token did not do it."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.message = message


class Token:
    """One session, in one thread; it is opened anew after any failure of the library."""

    def __init__(self, library: Path, label: str, pin_file: Path, *, generate_missing: bool) -> None:
        self._library = library
        self._label = label
        self._pin_file = pin_file
        self._generate_missing = generate_missing
        self._loaded: Any = None
        self._session: Any = None
        self._keys: dict[str, Any] = {}

    def wrap(self, label: str, material: bytearray) -> bytes:
        """Wrap by the key of that label; raises TokenError."""
        return self._guarded(label, lambda: self._wrap(label, material))

    def unwrap(self, label: str, blob: bytes) -> bytearray:
        """Unwrap; raises TokenError."""
        return self._guarded(label, lambda: self._unwrap(label, blob))

    def try_out(self, label: str) -> dict[str, str]:
        """Token, login, and what the key of that label wraps unwrapped again; raises TokenError, naming the step."""
        return self._guarded(label, lambda: self._try_out(label), WHY)

    def ask(self, label: str) -> None:
        """Whether the key may be used; raises TokenError: its owner took it away, or let it unwrap no more."""
        self._guarded(label, lambda: self._ask(label))

    def _guarded(self, label: str, work: Callable[[], T], why: Mapping[type[Exception], Outcome] | None = None) -> T:
        """What the work gives; its failure told as what it is: of the key, or of the HSM.

        PKCS#11 has the same errors for both. So while the region's own key wraps, the fault is not the HSM's.
        """
        try:
            return work()
        except FAILURES:
            # The handle may be that of a key that was replaced.
            self._keys.pop(label, None)
        if not self._wraps_for_others(label):
            # A library that failed once goes on failing until it is initialised again, though the HSM be back.
            self._renew()
        try:
            return work()
        except FAILURES as error:
            if self._wraps_for_others(label):
                message = f"The HSM does not let the key {label!r} be used: {type(error).__name__}"
                raise TokenError(Outcome.KEY_UNFIT, message) from error
            outcome = (why or {}).get(type(error), Outcome.AWAY)
            raise TokenError(outcome, f"The HSM does not answer: {type(error).__name__}") from error

    def _wraps_for_others(self, label: str) -> bool:
        """Whether the HSM does its work by the region's own key, when it is another one that is asked about."""
        if label == ROOT_KEY:
            return False
        try:
            self._wrap(ROOT_KEY, bytearray(SAMPLE_BYTES))
        except (TokenError, *FAILURES):
            return False
        return True

    def close(self) -> None:
        """Log out."""
        self._keys.clear()
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _renew(self) -> None:
        try:
            self.close()
            if self._loaded is not None:
                self._loaded.reinitialize()
        except FAILURES:
            # It is down; the next call tries once more.
            return

    def _open(self) -> Any:
        if self._session is None:
            if self._loaded is None:
                self._loaded = pkcs11.lib(str(self._library))
            token = self._loaded.get_token(token_label=self._label)
            self._session = token.open(rw=True, user_pin=_pin(self._pin_file))
        return self._session

    def _key(self, label: str) -> Any:
        session = self._open()
        if label not in self._keys:
            try:
                self._keys[label] = session.get_key(object_class=ObjectClass.SECRET_KEY, label=label)
            except MultipleObjectsReturned as error:
                raise TokenError(Outcome.KEY_AMBIGUOUS, f"The HSM has several keys called {label!r}") from error
            except NoSuchKey as error:
                if not self._generate_missing or label == ROOT_KEY:
                    raise TokenError(Outcome.KEY_MISSING, f"The HSM has no key called {label!r}") from error
                self._keys[label] = session.generate_key(
                    KeyType.AES, 256, label=label, store=True, template=L1_TEMPLATE
                )
        return self._keys[label]

    def _try_out(self, label: str) -> dict[str, str]:
        self._open()
        # Asked of the library each time: a session that is open does not notice that its token is gone.
        token = self._loaded.get_token(token_label=self._label)
        sample = os.urandom(SAMPLE_BYTES)
        blob = self._wrap(label, bytearray(sample))
        if blob == sample or self._unwrap(label, blob) != sample:
            raise TokenError(Outcome.TRIAL_FAILED, "The HSM does not give back what it was given")
        major, minor = self._loaded.library_version
        return {
            "self_test": "passed",
            "token": self._label,
            "model": str(token.model).strip(),
            "version": f"{major}.{minor}",
        }

    def _ask(self, label: str) -> None:
        session = self._open()
        # Were this another token, the region's own key would be missing as well.
        if not any(True for _ in session.get_objects({Attribute.LABEL: ROOT_KEY})):
            raise TokenError(Outcome.AWAY, "The token does not hold the region's own key")
        found = list(session.get_objects({Attribute.LABEL: label, Attribute.CLASS: ObjectClass.SECRET_KEY}))
        if not any(key[Attribute.UNWRAP] for key in found):
            self._keys.pop(label, None)
            raise TokenError(Outcome.OWNER_REFUSED, f"The owner of {label!r} took it away, or lets it unwrap no more")

    def _wrap(self, label: str, material: bytearray) -> bytes:
        key = self._key(label)
        # The library gives a key only those methods that its attributes allow.
        if not hasattr(key, "wrap_key"):
            self._keys.pop(label, None)
            raise TokenError(Outcome.KEY_UNFIT, f"The HSM lets the key {label!r} wrap nothing")
        secret = self._session.create_object(
            {
                Attribute.CLASS: ObjectClass.SECRET_KEY,
                Attribute.KEY_TYPE: KeyType.AES,
                Attribute.VALUE: bytes(material),
                **MATERIAL,
            }
        )
        try:
            blob: bytes = key.wrap_key(secret, mechanism=Mechanism.AES_KEY_WRAP_PAD)
        finally:
            secret.destroy()
        return blob

    def _unwrap(self, label: str, blob: bytes) -> bytearray:
        key = self._key(label)
        if not hasattr(key, "unwrap_key"):
            self._keys.pop(label, None)
            raise TokenError(Outcome.OWNER_REFUSED, f"The HSM lets the key {label!r} unwrap nothing")
        try:
            secret = key.unwrap_key(
                ObjectClass.SECRET_KEY, KeyType.AES, blob, mechanism=Mechanism.AES_KEY_WRAP_PAD, template=MATERIAL
            )
        except PKCS11Error as error:
            # SoftHSM has one error for a blob of another key and for being away: away, it cannot wrap either.
            self._wrap(label, bytearray(32))
            raise TokenError(Outcome.BLOB_REFUSED, f"The key {label!r} does not unwrap this blob") from error
        try:
            return bytearray(secret[Attribute.VALUE])
        finally:
            secret.destroy()


def _pin(file: Path) -> str:
    with file.open() as text:
        return text.read(MOST_PIN).strip()
