"""Who asks: what Envoy says of a request once the token was checked and policy has let it pass."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass

import orjson
from aiohttp import web

from runtime.errors import Unauthenticated

PRINCIPAL = "x-orbital-principal"
PERSON = "spiffe://orbital/person/"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is logged in. `expires` is in seconds since the epoch; the token is never shown."""

    principal: str
    token: str
    expires: float

    @property
    def name(self) -> str:
        """What people call them."""
        return self.principal.removeprefix(PERSON)

    @property
    def seconds_left(self) -> float:
        """How long the token is still good."""
        return max(0.0, self.expires - time.time())

    def __repr__(self) -> str:
        return f"Person({self.principal})"


def person_of(request: web.Request) -> Person:
    """The person; raises Unauthenticated when Envoy does not vouch for one."""
    principal = request.headers.get(PRINCIPAL, "")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not principal.startswith(PERSON) or scheme != "Bearer":
        raise Unauthenticated("You are not logged in.")
    return Person(principal, token, _expiry(token))


def _expiry(token: str) -> float:
    """`exp` of a token that Envoy has verified; 0 when it cannot be read, so that it is taken for expired."""
    try:
        body = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0.0
