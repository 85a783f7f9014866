"""Slow and hostile clients of the console hold nothing that others need."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from console.web.console import CONSOLE, Console, routes
from console.web.forms import Forms
from console.web.guard import guard
from console.web.main import PAGES
from console.web.render import Templates
from console.web.streams import Streams
from runtime.errors import Exhausted
from tests.unit.console.web.test_extreme import HEADERS, ORIGIN, POSTS, OddGateway, at

assert PAGES


@pytest.fixture
def app() -> web.Application:
    forms = Forms(b"k" * 32, time.time)
    templates = Templates(forms.make)
    made = web.Application(middlewares=[guard(templates, forms, ORIGIN, 0.3)], client_max_size=1_000)
    gateway: Any = OddGateway()
    made[CONSOLE] = Console(gateway, templates, Path("/nonexistent"), Streams(2, 0.3))
    made.router.add_routes(routes)
    return made


@pytest.mark.parametrize("path", POSTS)
async def test_sixty_forms_that_never_end_are_refused_while_others_are_served(app: web.Application, path: str) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 900\r\n"
    async with TestClient(TestServer(app)) as client:
        slow = [await asyncio.open_connection(client.host, client.port) for _ in range(60)]
        for _, writer in slow:
            writer.write(f"POST {at(path)} HTTP/1.1\r\nHost: x\r\n{head}{form}\r\ntext=".encode())
        begun = time.monotonic()
        async with client.get("/policy", headers=HEADERS) as answer:
            assert answer.status == 200
        for reader, writer in slow:
            said = await asyncio.wait_for(reader.read(100), 10)
            assert said.startswith(b"HTTP/1.1 503")
            writer.close()
        assert time.monotonic() - begun < 10


async def test_a_form_that_is_too_large_is_refused(app: web.Application) -> None:
    async with (
        TestClient(TestServer(app)) as client,
        client.post("/changes/new", data={"text": "x" * 5_000}, headers=HEADERS) as answer,
    ):
        assert answer.status == 413


async def test_one_person_has_so_many_streams_and_another_has_theirs() -> None:
    streams = Streams(2, 1.0)
    with streams.one("ada"), streams.one("ada"):
        with pytest.raises(Exhausted), streams.one("ada"):
            pass
        with streams.one("bob"):
            pass
    with streams.one("ada"):
        pass


async def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    class Stuck:
        async def write(self, _content: bytes) -> None:
            await asyncio.sleep(60)

    stuck: Any = Stuck()
    with pytest.raises(ConnectionError):
        await Streams(1, 0.05).write(stuck, b"x")
