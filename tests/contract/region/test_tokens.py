"""A region's token from any issuer of OAuth 2.0: a real HTTPS server that answers as RFC 6749, section 4.4, says."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import unused_port
from pydantic import ValidationError

from region.adapters.identity.oauth import ClientCredentials
from region.settings import IasSettings
from runtime.errors import Invalid, Unavailable
from tests.contract.policies.pki import Authority, TokenIssuer

SECRET = "a secret: 100 % of 30 letters"
Answer = Callable[[], web.Response]


class Issuer:
    """Gives whoever has the secret what `answer` makes, and remembers what was asked."""

    def __init__(self) -> None:
        self.secret = SECRET
        self.asked: list[dict[str, str]] = []
        self.answer: Answer = lambda: web.json_response({"access_token": TokenIssuer().token("us20"), "expires_in": 60})

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append({name: str(value) for name, value in (await request.post()).items()})
        if request.headers["Authorization"] != encode_basic_auth("region-us20", quote_plus(self.secret)):
            return web.json_response({"error": "invalid_client"}, status=401)
        return self.answer()


@asynccontextmanager
async def served(issuer: Issuer, place: Path) -> AsyncIterator[str]:
    authority, port = Authority(), unused_port()
    authority.write(place, "spiffe://orbital/ias")
    current = place / "current"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(current / "cert.pem", current / "key.pem")
    application = web.Application()
    application.router.add_post("/oauth2/token", issuer.token)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{port}/oauth2/token"
    finally:
        await runner.cleanup()


def client(address: str, place: Path, **more: str) -> ClientCredentials:
    (place / "secret").write_text(SECRET)
    (place / "secret").chmod(0o600)
    return ClientCredentials(address, place / "current" / "ca.pem", "region-us20", place / "secret", more)


async def test_the_grant_is_the_standards_and_says_how_long_the_token_lives(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer, tmp_path) as address:
        token, life = await client(address, tmp_path, resource="urn:orbital").fetch()
    assert token.count(".") == 2
    assert life == 60.0
    assert issuer.asked == [{"grant_type": "client_credentials", "resource": "urn:orbital"}]


async def test_a_secret_that_was_replaced_counts_from_the_next_token_on(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer, tmp_path) as address:
        tokens = client(address, tmp_path)
        issuer.secret = "the next one"
        with pytest.raises(Unavailable, match="401") as refused:
            await tokens.fetch()
        assert SECRET not in str(refused.value)
        (tmp_path / "secret").write_text("the next one")
        assert (await tokens.fetch())[1] == 60.0


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ({}, "access_token"),
        ({"access_token": "opaque", "expires_in": 60}, "access_token"),
        ({"access_token": 1, "expires_in": 60}, "access_token"),
        ({"access_token": "a.b.c"}, "expires_in"),
        ({"access_token": "a.b.c", "expires_in": 0}, "expires_in"),
        ({"access_token": "a.b.c", "expires_in": "60"}, "expires_in"),
        (["a.b.c"], "access_token"),
    ],
)
async def test_an_answer_that_is_no_token_is_refused_naming_the_field(tmp_path: Path, answer: Any, field: str) -> None:
    issuer = Issuer()
    issuer.answer = lambda: web.json_response(answer)
    async with served(issuer, tmp_path) as address:
        with pytest.raises(Invalid) as refused:
            await client(address, tmp_path).fetch()
    assert refused.value.field == field


async def test_an_issuer_that_is_away_or_another_is_waited_for(tmp_path: Path) -> None:
    issuer = Issuer()
    async with served(issuer, tmp_path) as address:
        tokens = client(address, tmp_path)
        issuer.answer = lambda: web.Response(text="<html>")
        with pytest.raises(Invalid, match="no JSON"):
            await tokens.fetch()
        (tmp_path / "current" / "ca.pem").write_bytes(Authority().certificate)
        with pytest.raises(Unavailable):
            await tokens.fetch()
    with pytest.raises(Unavailable):
        await tokens.fetch()


def test_there_is_exactly_one_issuer() -> None:
    with pytest.raises(ValidationError, match="exactly one of openbao and oauth"):
        IasSettings(token_file=Path("token.yaml"))
