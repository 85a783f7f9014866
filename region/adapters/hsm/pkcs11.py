"""The HSM by PKCS#11: keys that never leave it wrap material by AES-KWP (RFC 5649)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import NoSuchKey, PKCS11Error
from pydantic import SecretStr

from region.ports.vault import ROOT_KEY
from runtime.errors import Stalled, Unavailable

T = TypeVar("T")
TIMEOUT = 5.0
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


class Pkcs11Hsm:
    """See region.ports.vault.Hsm. One session, in one thread; it is opened anew after any failure of the library."""

    def __init__(
        self, library: Path, token: str, pin: SecretStr, thread: ThreadPoolExecutor, *, generate_missing: bool
    ) -> None:
        self._library = library
        self._token = token
        self._pin = pin
        self._thread = thread
        self._generate_missing = generate_missing
        self._loaded: Any = None
        self._session: Any = None
        self._keys: dict[str, Any] = {}

    async def wrap(self, label: str, material: bytearray) -> bytes:
        """See the port."""
        return await self._call(lambda: self._wrap(label, material))

    async def unwrap(self, label: str, blob: bytes) -> bytearray:
        """See the port."""
        return await self._call(lambda: self._unwrap(label, blob))

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)
        except TimeoutError as error:
            raise Unavailable("The HSM does not answer", reason="HSM_UNREACHABLE") from error

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return self._twice(work)
        except (PKCS11Error, OSError, RuntimeError) as error:
            raise Unavailable(f"The HSM does not answer: {type(error).__name__}", reason="HSM_UNREACHABLE") from error

    def _twice(self, work: Callable[[], T]) -> T:
        """A library that failed once goes on failing until it is initialised again, though the HSM be back."""
        try:
            return work()
        except (PKCS11Error, OSError, RuntimeError):
            self._renew()
            return work()

    def close(self) -> None:
        """Log out; blocking, in the HSM's thread."""
        self._keys.clear()
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _renew(self) -> None:
        try:
            self.close()
            if self._loaded is not None:
                self._loaded.reinitialize()
        except (PKCS11Error, RuntimeError):
            # It is down; the next call tries once more.
            return

    def _open(self) -> Any:
        if self._session is None:
            if self._loaded is None:
                self._loaded = pkcs11.lib(str(self._library))
            token = self._loaded.get_token(token_label=self._token)
            self._session = token.open(rw=True, user_pin=self._pin.get_secret_value())
        return self._session

    def _key(self, label: str) -> Any:
        session = self._open()
        if label not in self._keys:
            try:
                self._keys[label] = session.get_key(object_class=ObjectClass.SECRET_KEY, label=label)
            except NoSuchKey as error:
                if not self._generate_missing or label == ROOT_KEY:
                    raise Unavailable(f"The HSM has no key called {label!r}", reason="L1_KEY_MISSING") from error
                self._keys[label] = session.generate_key(
                    KeyType.AES, 256, label=label, store=True, template=L1_TEMPLATE
                )
        return self._keys[label]

    def _wrap(self, label: str, material: bytearray) -> bytes:
        key = self._key(label)
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
        try:
            secret = key.unwrap_key(
                ObjectClass.SECRET_KEY, KeyType.AES, blob, mechanism=Mechanism.AES_KEY_WRAP_PAD, template=MATERIAL
            )
        except PKCS11Error as error:
            # SoftHSM has one error for a blob of another key and for being away: away, it cannot wrap either.
            self._wrap(label, bytearray(32))
            raise Stalled(f"The key {label!r} does not unwrap this blob", reason="BLOB_REFUSED") from error
        try:
            return bytearray(secret[Attribute.VALUE])
        finally:
            secret.destroy()


@asynccontextmanager
async def open_hsm(
    library: Path, token: str, pin: SecretStr, conf: Path | None, *, generate_missing: bool
) -> AsyncIterator[Pkcs11Hsm]:
    """An HSM that is opened at its first use, so that a region starts while it is away."""
    if conf is not None:
        # SoftHSM knows its directory by this variable alone.
        os.environ["SOFTHSM2_CONF"] = str(conf)
    with ThreadPoolExecutor(1, thread_name_prefix="hsm") as thread:
        hsm = Pkcs11Hsm(library, token, pin, thread, generate_missing=generate_missing)
        try:
            yield hsm
        finally:
            with suppress(PKCS11Error):
                await asyncio.get_running_loop().run_in_executor(thread, hsm.close)
