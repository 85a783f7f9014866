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
# Policy decides (policies/data/limits.yaml, 300 s); what somebody begins to fill in should not fail for its age.
LOGIN_IS_OLD = 240.0
PERSON = "spiffe://orbital/person/"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is logged in. Times are in seconds since the epoch; the token is never shown."""

    principal: str
    token: str
    expires: float
    # When they typed their password; 0 when the token does not say.
    logged_in: float = 0.0

    @property
    def name(self) -> str:
        """What people call them."""
        return self.principal.removeprefix(PERSON)

    @property
    def seconds_left(self) -> float:
        """How long the token is still good."""
        return max(0.0, self.expires - time.time())

    @property
    def login_is_old(self) -> bool:
        """Whether a page that leads to something grave says beforehand that policy will want another login."""
        return time.time() - self.logged_in > LOGIN_IS_OLD

    def __repr__(self) -> str:
        return f"Person({self.principal})"


def person_of(request: web.Request) -> Person:
    """The person; raises Unauthenticated when Envoy does not vouch for one."""
    principal = request.headers.get(PRINCIPAL, "")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not principal.startswith(PERSON) or scheme != "Bearer":
        raise Unauthenticated("You are not logged in.")
    return Person(principal, token, _time(token, "exp"), _time(token, "auth_time"))


def _time(token: str, claim: str) -> float:
    """A time in a token that Envoy has verified; 0 when it cannot be read, so that it is taken for long ago."""
    try:
        body = token.split(".")[1]
        claims = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(claims[claim])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0.0
