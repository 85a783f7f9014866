"""Every page of the console with answers that nobody means: a page comes, and what others wrote stays text."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from google.protobuf.message_factory import GetMessageClass
from orbital.v1 import approval_pb2, audit_pb2, parked_pb2, policy_pb2, receipt_pb2, registry_pb2, trace_pb2

from console.web.api import Gateway
from console.web.console import CONSOLE, Console, routes
from console.web.forms import Forms
from console.web.guard import FORM_FIELD, guard
from console.web.main import PAGES
from console.web.person import PERSON, PRINCIPAL
from console.web.render import Templates
from console.web.streams import Streams
from tests.extreme import extreme

ORIGIN = "https://localhost:1"
SERVICES = {
    "registry": (registry_pb2, "RegistryService"), "approval": (approval_pb2, "ApprovalService"),
    "trace": (trace_pb2, "TraceService"), "proof": (receipt_pb2, "ProofService"),
    "policy": (policy_pb2, "PolicyService"), "audit": (audit_pb2, "AuditService"),
    "tasks": (parked_pb2, "TaskService"),
}  # fmt: skip
HEADERS = {
    PRINCIPAL: f"{PERSON}ada", "Authorization": "Bearer a.e30.c", "Origin": ORIGIN, "Accept-Encoding": "identity",
}  # fmt: skip
NAMES = ("eu10", "regions/eu10", "acme", "tenants/acme")


class OddGateway(Gateway):
    """Answers every call with a message of the right kind and of values that nobody means."""

    def __init__(self) -> None:  # without a channel
        self.chosen = random.Random(0)
        for name, (module, service) in SERVICES.items():
            methods = module.DESCRIPTOR.services_by_name[service].methods
            setattr(self, name, SimpleNamespace(**{one.name: one for one in methods}))

    async def call(self, _person: Any, method: Any, _request: Any) -> Any:
        answer = extreme(GetMessageClass(method.output_type), self.chosen, NAMES)
        if hasattr(answer, "next_page_token"):
            answer.next_page_token = ""
        return answer

    async def stream(self, person: Any, method: Any, request: Any) -> AsyncIterator[Any]:
        yield await self.call(person, method, request)

    async def pages(self, person: Any, method: Any, request: Any) -> AsyncIterator[Any]:
        yield await self.call(person, method, request)


class Unexpected:
    """In place of the log: what went wrong in a page."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def error(self, _event: str, *, exc_info: BaseException, **_: Any) -> None:
        self.errors.append(exc_info)


@pytest.fixture(autouse=True)
def unexpected(monkeypatch: pytest.MonkeyPatch) -> Unexpected:
    found = Unexpected()
    monkeypatch.setattr("console.web.guard.log", found)
    return found


class Site:
    """The console's own application before such a gateway."""

    def __init__(self) -> None:
        self.forms = Forms(b"k" * 32, time.time)
        self.templates = Templates(self.forms.make)
        self.app = web.Application(middlewares=[guard(self.templates, self.forms, ORIGIN)])
        self.gateway = OddGateway()
        gateway: Any = self.gateway
        self.app[CONSOLE] = Console(gateway, self.templates, Path("/nonexistent"), Streams(40, 5.0))
        self.app.router.add_routes(routes)
        self.headers = dict(HEADERS)

    def field(self, path: str) -> str:
        return self.forms.make(f"{PERSON}ada", path)


assert PAGES
GETS = sorted({route.path for route in routes if route.method == "GET" and not route.path.startswith("/live/")})
POSTS = sorted({route.path for route in routes if route.method == "POST"})
ODD = ("\0", "\x1b[2J", "\ud7ff", "\x85", "\u202e", "<script>", "a" * 3_000, "", "\U0010ffff", "\r\n", "'--", "{{7*7}}")


def at(path: str) -> str:
    for name in ("name", "tenant", "id", "link", "digest"):
        path = path.replace(f"{{{name}}}", "eu10" if path.startswith("/regions") else "acme")
    return path


@pytest.mark.parametrize("path", GETS)
async def test_every_page_comes(path: str, unexpected: Unexpected) -> None:
    context = Site()
    async with TestClient(TestServer(context.app)) as client:
        for seed in range(40):
            context.gateway.chosen = random.Random(seed)
            async with client.get(at(path), headers=context.headers, allow_redirects=False) as answer:
                text = await answer.text(errors="replace")
            if unexpected.errors:
                raise unexpected.errors[0]
            assert answer.status != 500, (seed, text)
            assert "<script>alert" not in text or answer.content_type != "text/html"


def _filled(odd: str) -> list[dict[str, str]]:
    tenant = "apiVersion: orbital/v1\nkind: Tenant\nmetadata: {name: %s}\nspec: {displayName: %s}"
    return [
        dict.fromkeys(("text", "name", "reason", "seen", "request_id"), odd),
        {"text": tenant % (odd, "x"), "do": odd},
        {"text": tenant % ("a", f'"{odd}"')},
        {"do": "approve", "name": odd},
        {odd or "x": odd},
    ]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
@pytest.mark.parametrize("path", POSTS)
async def test_every_form_takes_odd_text(path: str, odd: str, unexpected: Unexpected) -> None:
    context, place = Site(), at(path)
    async with TestClient(TestServer(context.app)) as client:
        for seed, fields in enumerate(_filled(odd)):
            context.gateway.chosen = random.Random(seed)
            body = urlencode([*fields.items(), (FORM_FIELD, context.field(place))])
            headers = {**context.headers, "Content-Type": "application/x-www-form-urlencoded"}
            async with client.post(place, data=body, headers=headers, allow_redirects=False) as answer:
                text = await answer.text(errors="replace")
            if unexpected.errors:
                raise unexpected.errors[0]
            assert answer.status != 500, (fields, text)
            assert "\0" not in odd or answer.status in (400, 404, 409)


@pytest.mark.parametrize("path", sorted({route.path for route in routes if route.path.startswith("/live/")}))
async def test_every_stream_tells(path: str, unexpected: Unexpected) -> None:
    context = Site()
    token = base64.urlsafe_b64encode(orjson.dumps({"exp": time.time() + 600})).decode().rstrip("=")
    context.headers["Authorization"] = f"Bearer a.{token}.c"
    async with TestClient(TestServer(context.app)) as client:
        for seed in range(20):
            context.gateway.chosen = random.Random(seed)
            async with client.get(at(path), headers=context.headers) as answer:
                first = await answer.content.readline()
            if unexpected.errors:
                raise unexpected.errors[0]
            assert first.startswith(b"event: ") or answer.status in (400, 404)
