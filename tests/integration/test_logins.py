"""Passwords are guessed: whoever guesses is slowed down, and nobody is locked out by it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import hvac
import pytest
import requests

from stack import api
from stack.openbao.client import make_client
from stack.openbao.people import LOGIN_SECONDS, LOGINS, PEOPLE

# OpenBao locks a name out after five, unless told otherwise.
WRONG = 8
TOO_MANY = 429


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("logins")
    place.parent.chmod(0o755)
    try:
        api.up(place, only=["openbao-global"])
        yield place
    finally:
        api.remove(place)


def _client(place: Path) -> hvac.Client:
    address = f"https://127.0.0.1:{api.load_state(place).ports['openbao-global']}"
    return make_client(address, place / "identity" / "ca.pem")


def _try(place: Path, name: str, password: str) -> int:
    client = _client(place)
    answer = requests.post(
        f"{client.url}/v1/auth/userpass/login/{name}",
        json={"password": password},
        verify=str(place / "identity" / "ca.pem"),
        proxies={"https": ""},
        timeout=15,
    )
    return answer.status_code


def _own(place: Path, name: str) -> str:
    return (place / "secrets" / f"person-{name}-password").read_text()


@pytest.mark.parametrize("name", PEOPLE)
def test_wrong_passwords_by_anybody_lock_nobody_out(place: Path, name: str) -> None:
    time.sleep(LOGIN_SECONDS)
    assert {_try(place, name, f"wrong-{number}") for number in range(WRONG)} == {400}
    assert _try(place, name, _own(place, name)) == 200


def test_whoever_guesses_is_slowed_down(place: Path) -> None:
    time.sleep(LOGIN_SECONDS)
    said = [_try(place, "officer", f"wrong-{number}") for number in range(2 * LOGINS)]
    assert TOO_MANY in said
    assert said.count(400) <= LOGINS * 2 - 1
    time.sleep(LOGIN_SECONDS)
    assert _try(place, "officer", _own(place, "officer")) == 200
