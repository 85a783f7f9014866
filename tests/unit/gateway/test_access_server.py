"""What is made of the broker's form."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.adapters.broker.server import AccessServer
from runtime.errors import Unavailable


class Door:
    """Lets everybody in who gave no password, while it is there."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, str], bool]] = []
        self.away = False

    async def allows(self, about: str, asked: Mapping[str, str], *, password: bool) -> bool:
        if self.away:
            raise Unavailable("away")
        self.asked.append((about, asked, password))
        return not password


async def answer(door: Door, *, authenticated: bool, **form: str) -> tuple[int, str | None]:
    async def post() -> dict[str, str]:
        return form

    request: Any = SimpleNamespace(match_info={"about": "user"}, post=post)
    response = await AccessServer(door, authenticated=authenticated).answer(request)
    return response.status, response.text


@pytest.mark.parametrize("password", ["", "none", "x"])
async def test_a_password_counts_unless_the_broker_has_authenticated(password: str) -> None:
    door = Door()
    assert await answer(door, authenticated=False, username="a", password=password) == (200, "deny")
    assert await answer(door, authenticated=True, username="a", password=password) == (200, "allow")
    # What it was goes no further.
    assert all("password" not in asked for _, asked, _ in door.asked)


async def test_without_a_password_it_is_none_either_way() -> None:
    door = Door()
    for authenticated in (True, False):
        assert await answer(door, authenticated=authenticated, username="a") == (200, "allow")
    assert [password for _, _, password in door.asked] == [False, False]


async def test_what_is_not_known_is_no_answer() -> None:
    door = Door()
    door.away = True
    status, _ = await answer(door, authenticated=True, username="a")
    assert status == 503
