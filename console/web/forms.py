"""Proof that a form was made here for this person, without a session store: an HMAC over who, where and until when."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Callable

from runtime.errors import Denied

LIFE_SECONDS = 3600
SHORTEST_KEY = 32
_EXPIRY = struct.Struct(">Q")


class Forms:
    """Makes and checks the hidden field of every form."""

    def __init__(self, key: bytes, now: Callable[[], float]) -> None:
        if len(key) < SHORTEST_KEY:
            raise ValueError("The key of forms is too short")
        self._key = key
        self._now = now

    def make(self, principal: str, path: str) -> str:
        """The field for the form that this person sends to `path`."""
        expiry = _EXPIRY.pack(int(self._now()) + LIFE_SECONDS)
        return base64.urlsafe_b64encode(expiry + self._sign(principal, path, expiry)).decode()

    def check(self, field: str, principal: str, path: str) -> None:
        """Raise Denied on a field that was not made for this person and path, or that is too old."""
        try:
            raw = base64.urlsafe_b64decode(field.encode())
        except (binascii.Error, ValueError):
            raw = b""
        expiry, said = raw[: _EXPIRY.size], raw[_EXPIRY.size :]
        if len(expiry) < _EXPIRY.size or not hmac.compare_digest(said, self._sign(principal, path, expiry)):
            raise Denied("This form was not made here for you. Open the page again.", reason="FORM_FORGED")
        if _EXPIRY.unpack(expiry)[0] < self._now():
            raise Denied("This form is more than an hour old. Open the page again.", reason="FORM_TOO_OLD")

    def _sign(self, principal: str, path: str, expiry: bytes) -> bytes:
        return hmac.digest(self._key, b"\n".join((principal.encode(), path.encode(), expiry)), hashlib.sha256)
