"""The login of a command line: what is compared before somebody is logged in, and what is kept."""

from __future__ import annotations

import base64
import io
import json
import stat
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from console.cli import oidc
from console.cli.failure import Exit, Failure
from console.cli.loopback import loopback
from console.cli.oidc import LoginAttempt, OidcProvider
from console.cli.session import Login, forget, keep, kept

ISSUER = "https://issuer.test"
PROVIDER = OidcProvider(ISSUER, "cli", None, f"{ISSUER}/authorize", f"{ISSUER}/token")
LOGIN = Login("127.0.0.1:8443", "/ca.pem", ISSUER, "officer", "a.b.c", time.time() + 60, time.time())


def token(**claims: Any) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


def test_the_page_is_asked_with_pkce_and_never_sees_the_verifier() -> None:
    attempt = LoginAttempt("http://127.0.0.1:5/callback")
    asked = {name: one[0] for name, one in parse_qs(urlsplit(attempt.address(PROVIDER, fresh=True)).query).items()}
    assert (asked["code_challenge_method"], asked["prompt"], asked["max_age"]) == ("S256", "login", "240")
    assert (asked["state"], asked["nonce"], asked["redirect_uri"]) == (attempt.state, attempt.nonce, attempt.redirect)
    assert attempt.verifier not in attempt.address(PROVIDER, fresh=False)
    assert LoginAttempt("x").verifier != attempt.verifier


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://other.test", "aud": "cli"}, "another issuer"),
        ({"iss": ISSUER, "aud": "console"}, "somebody else"),
        ({"iss": ISSUER, "aud": ["console"]}, "somebody else"),
        ({"iss": ISSUER, "aud": "cli", "nonce": "another"}, "another login"),
        ({"iss": ISSUER, "aud": "cli", "nonce": None}, "another login"),
    ],
)
def test_a_token_of_another_login_is_refused(
    monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any], said: str
) -> None:
    attempt = LoginAttempt("x")
    monkeypatch.setattr(oidc, "_answer", lambda *_: {"id_token": token(**{"nonce": attempt.nonce} | claims)})
    with pytest.raises(Failure, match=said):
        oidc.redeem(PROVIDER, attempt, "code")


@pytest.mark.parametrize("broken", ["", "a", "a.!.c", "a.e30=.c.d", token()[:6]])
def test_what_is_no_token_is_refused(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    monkeypatch.setattr(oidc, "_answer", lambda *_: {"id_token": broken})
    with pytest.raises(Failure):
        oidc.redeem(PROVIDER, LoginAttempt("x"), "code")


@pytest.mark.parametrize(
    "known", [{"issuer": "https://other.test"}, {"issuer": ISSUER, "authorization_endpoint": "http://x"}]
)
def test_an_issuer_that_is_another_or_without_tls_is_refused(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, str]
) -> None:
    monkeypatch.setattr(oidc, "_answer", lambda *_: known)
    with pytest.raises(Failure):
        oidc.discover(ISSUER, "cli", None)
    with pytest.raises(Failure, match="is no issuer"):
        oidc.discover("http://issuer.test", "cli", None)


def test_only_the_login_that_was_begun_ends_the_wait() -> None:
    with loopback() as server:
        said: list[int] = []

        def call() -> None:
            queries = ("", "?state=guessed&code=1", "?state=right&code=2")
            said.extend(requests.get(f"{server.redirect}{query}", timeout=5).status_code for query in queries)

        caller = threading.Thread(target=call)
        caller.start()
        answer = server.wait("right", 10, typed=False)
        caller.join()
    assert answer["code"] == "2"
    assert said == [404, 404, 200]


def test_nobody_comes() -> None:
    with loopback() as server, pytest.raises(Failure) as late:
        server.wait("right", 0.05, typed=False)
    assert late.value.status is Exit.TIMEOUT


def test_the_address_may_be_pasted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = tmp_path / "typed"
    lines.write_text("http://127.0.0.1:5/callback?state=guessed\nhttp://127.0.0.1:5/callback?code=3&state=right\n")
    with loopback() as server, lines.open() as typed:
        monkeypatch.setattr("sys.stdin", typed)
        monkeypatch.setattr("sys.stderr", io.StringIO())
        # A file is always ready, unlike a terminal, which says so.
        monkeypatch.setattr("select.select", lambda *_: ([typed], [], []))
        assert server.wait("right", 5, typed=True)["code"] == "3"


def test_a_login_is_kept_for_its_owner_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert kept(LOGIN.gateway) is None
    keep(LOGIN)
    assert kept(LOGIN.gateway) == LOGIN
    assert kept("127.0.0.1:8444") is None
    (file,) = (tmp_path / "orbital").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "a.b.c" not in repr(LOGIN)
    file.chmod(0o640)
    with pytest.raises(Failure, match="read by others") as refused:
        kept(LOGIN.gateway)
    assert refused.value.status is Exit.NOT_LOGGED_IN
    file.chmod(0o600)
    file.write_text("{")
    with pytest.raises(Failure, match="cannot be read"):
        kept(LOGIN.gateway)
    assert forget(LOGIN.gateway)
    assert not forget(LOGIN.gateway)


def test_a_gateways_name_leads_to_no_other_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert not forget("../../etc/passwd")
    assert kept("../x") is None
