"""OpenID Connect as a command line needs it: a public client with PKCE, and a redirect to this machine (RFC 8252)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests

from console.cli.failure import Exit, Failure
from runtime.answers import BoundedSession
from runtime.content import LAST_SECOND

SCOPES = "openid orbital"
# With a limit, the provider says in the token when somebody logged in. It asks anew after a day's work, or at once.
DAY_SECONDS = 28_800
FRESH = {"max_age": "240", "prompt": "login"}
SECONDS = 10


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """Where people log in; `authority` is the file of whoever vouches for its TLS, None for the system's."""

    issuer: str
    client: str
    authority: Path | None
    authorization: str
    token: str


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """What one login sends, and compares with what comes back."""

    redirect: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def address(self, provider: OidcProvider, *, fresh: bool) -> str:
        """The page where somebody logs in; `fresh` asks for the password in any case."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": provider.client,
            "redirect_uri": self.redirect,
            "scope": SCOPES,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{provider.authorization}?{urlencode(asked | (FRESH if fresh else {'max_age': str(DAY_SECONDS)}))}"


def discover(issuer: str, client: str, authority: Path | None) -> OidcProvider:
    """The provider as it describes itself (OpenID Connect Discovery 1.0); raises Failure."""
    if not issuer.startswith("https://"):
        raise Failure(f'"{issuer}" is no issuer; expected https://…', Exit.USAGE)
    known = _answer("GET", f"{issuer}/.well-known/openid-configuration", authority)
    if known.get("issuer") != issuer:
        raise Failure(f"{issuer} calls itself {known.get('issuer')}; that is another issuer.")
    places = [str(known.get(f"{name}_endpoint", "")) for name in ("authorization", "token")]
    if not all(place.startswith("https://") for place in places):
        raise Failure(f"{issuer} does not say where to log in by https.")
    return OidcProvider(issuer, client, authority, *places)


def redeem(provider: OidcProvider, attempt: LoginAttempt, code: str) -> tuple[str, dict[str, Any]]:
    """The ID token for a code, and its claims.

    It comes from the issuer itself, by TLS; its signature is checked by the gateway at every call.
    """
    asked = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": attempt.redirect,
        "client_id": provider.client,
        "code_verifier": attempt.verifier,
    }
    answer = _answer("POST", provider.token, provider.authority, asked)
    token = str(answer.get("id_token", ""))
    claims = claims_of(token)
    audience = claims.get("aud")
    if claims.get("iss") != provider.issuer or provider.client not in (
        audience if isinstance(audience, list) else [audience]
    ):
        raise Failure("The token is of another issuer, or for somebody else. Nobody is logged in.")
    if not secrets.compare_digest(str(claims.get("nonce", "")), attempt.nonce):
        raise Failure("The token answers another login. Nobody is logged in.")
    return token, claims


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, unchecked; raises Failure when it is none."""
    try:
        body = token.split(".")[1]
        import json

        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError, RecursionError, binascii.Error) as error:
        raise Failure("The issuer gave no token that can be read. Nobody is logged in.") from error
    if not isinstance(claims, dict):
        raise Failure("The issuer gave no token that can be read. Nobody is logged in.")
    return claims


def seconds_of(claims: Mapping[str, Any], name: str) -> float:
    """A time in a token; 0, which is long ago, where there is none."""
    said = claims.get(name)
    return float(said) if isinstance(said, int | float) and abs(said) < LAST_SECOND else 0.0


def _answer(method: str, address: str, authority: Path | None, form: Mapping[str, str] | None = None) -> dict[str, Any]:
    try:
        with BoundedSession(authority) as session:
            response = session.request(method, address, data=form, timeout=SECONDS, allow_redirects=False)
            answer = response.json()
    except (requests.RequestException, OSError, ValueError, RecursionError) as error:
        raise Failure(
            f"{address} does not answer as an issuer does ({type(error).__name__}).", Exit.UNAVAILABLE
        ) from error
    if not isinstance(answer, dict) or not response.ok:
        said = answer.get("error_description") or answer.get("error") if isinstance(answer, dict) else ""
        raise Failure(f"The login was refused: {said or response.status_code}", Exit.NOT_LOGGED_IN)
    return answer
