"""No client of ours takes a proxy out of the environment: it would make the parts of one machine unreachable."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from runtime import openbao, policy
from runtime.channels import open_aio_channel, open_channel

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("gateway", "region", "checker", "console", "runtime", "stack", "bench")
CHANNELS = {"insecure_channel", "secure_channel"}
# They ask by themselves, as the environment says.
LOOSE = {"get", "post", "put", "delete", "head", "patch", "request"}


NAMES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy")


@pytest.fixture(params=[*NAMES, *map(str.upper, NAMES)])
def proxied(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment at which nothing answers."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(request.param, "http://127.0.0.1:9")


@pytest.fixture
def serving() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    checks = health.HealthServicer()
    checks.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"initialized": true, "result": {}, "keys": []}')

    do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def http() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("proxied")
def test_channels_are_direct(serving: str) -> None:
    asked = health_pb2.HealthCheckRequest()
    with open_channel(serving) as channel:
        ask: Any = health_pb2_grpc.HealthStub(channel)
        assert ask.Check(asked, timeout=5).status == health_pb2.HealthCheckResponse.SERVING

    async def later() -> Any:
        async with open_aio_channel(serving) as channel:
            ask: Any = health_pb2_grpc.HealthStub(channel)
            return await ask.Check(asked, timeout=5)

    assert asyncio.run(later()).status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.usefixtures("proxied")
async def test_policy_engines_are_asked_directly(http: str) -> None:
    async with policy.policy_engine(http) as engine:
        assert await engine.decide("dispatch", {}, ()) == policy.Decisions("", {})


@pytest.mark.usefixtures("proxied")
def test_openbao_is_asked_directly(http: str, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    assert openbao.Login(http, authority, authority, authority).client("token").sys.is_initialized()


def _calls(path: Path) -> Iterator[tuple[int, str, str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.lineno, ast.unparse(node.func.value), node.func.attr, node


@pytest.mark.parametrize("package", PACKAGES)
def test_no_client_is_made_that_asks_the_environment(package: str) -> None:
    assert [each for path in sorted((ROOT / package).rglob("*.py")) for each in _loose(path)] == []


def _loose(path: Path) -> list[str]:
    found: list[str] = []
    for line, owner, name, call in _calls(path):
        given = {each.arg: ast.unparse(each.value) for each in call.keywords}
        if name in CHANNELS and path.name != "channels.py":
            found.append(f"{line}: {name}; open it by runtime.channels")
        if owner == "requests" and name in LOOSE:
            found.append(f"{line}: requests.{name} asks the environment")
        if owner == "requests" and name == "Session":
            found.append(f"{line}: a session that asks the environment; use runtime.answers.BoundedSession")
        if given.get("trust_env", "False") != "False" or name == "urlopen":
            found.append(f"{line}: {name} asks the environment")
    return [f"{path.relative_to(ROOT)}:{each}" for each in found]
