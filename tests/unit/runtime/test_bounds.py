"""Nothing is read that has no bound: no answer, no file and no program's output, wherever it is read."""

from __future__ import annotations

import ast
import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp
import pytest
import requests

from checker.adapters.envoy.admin import EnvoyAdmin
from checker.adapters.envoy.client import RegionClient
from console.cli.oidc import _answer
from gateway.adapters.issuers.fetch import IssuerKeys
from gateway.adapters.rabbitmq.management import Management
from gateway.settings import ManagementSettings
from region.adapters.identity.oauth import ClientCredentials
from region.adapters.l1.transit import Config, TransitProvider
from region.adapters.opa.policy import OpaPolicy
from region.adapters.openbao.tokens import BaoTokens
from runtime.answers import MOST_ANSWER, BoundedSession
from runtime.errors import Invalid, OrbitalError
from runtime.files import MOST_FILE, bounded_lines, read_bytes, read_text
from runtime.freshness import Freshness
from runtime.issuers import KeySource
from runtime.openbao import Login, OpenBao
from runtime.policy import policy_engine
from runtime.programs import MOST_OUTPUT, run
from runtime.settings import read_secret
from runtime.signers import open_public_keys
from runtime.trust import Trust, believing, show

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("runtime", "gateway", "region", "checker", "console", "stack", "bench")
ENDLESS = Path("/dev/zero")

# (file, what is read): why it has a bound.
ALLOWED = {
    ("runtime/trust.py", "context.load_cert_chain"): "after both files were read with a bound",
    ("gateway/adapters/bundles/server.py", "request.read"): "client_max_size of the application",
    ("gateway/adapters/issuers/server.py", "request.read"): "client_max_size of the application",
    ("region/adapters/edge/server.py", "request.read"): "client_max_size of the application",
    ("region/adapters/stream/gateway.py", "self._call.read"): "the channel's largest message",
    ("gateway/adapters/postgres/queries.py", ".read_text"): "the package's own files",
    ("gateway/adapters/postgres/schema.py", ".read_text"): "the package's own files",
    ("stack/paths.py", "reader.readline"): "asyncio's limit of a line, 64 KiB",
    ("stack/parts/postgres.py", "subprocess.run"): "initdb, which has a time",
    ("console/cli/develop.py", "subprocess.run"): "a developer's own tools on their own work tree",
}
READS = {"read", "readline", "readlines"}
OUTPUTS = {"communicate", "check_output", "getoutput"}
OPENSSL = {"load_cert_chain", "load_verify_locations", "load_pem_private_key_file"}
BOUNDED = {"bounded_lines", "read_stream"}


def unbounded(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each call that reads to the end of something, whatever its length."""
    for node in ast.walk(tree):
        if isinstance(node, ast.With | ast.AsyncWith):
            yield from _walked(node)
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        last = name.rpartition(".")[2]
        given = {each.arg for each in node.keywords}
        if (
            (last in READS and not node.args and not given)
            or (last in {"read_text", "read_bytes"} and isinstance(node.func, ast.Attribute))
            or last in OUTPUTS | OPENSSL
            or given & {"capture_output", "cafile", "ca_certs"}
            or name in {"json.load", "yaml.load_all", "tomllib.load", "requests.Session", "urllib.request.urlopen"}
        ):
            yield node.lineno, f".{last}" if "(" in name or last.startswith("read_") else name
    for node in ast.walk(tree):
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            name = ast.unparse(node.value.func)
            if name.endswith((".json", ".text")) and not node.value.args:
                yield node.lineno, name


def _walked(block: ast.With | ast.AsyncWith) -> Iterator[tuple[int, str]]:
    """A file that was opened for reading, where it is used otherwise than by methods and what has a bound."""
    for item in block.items:
        call = item.context_expr
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "open"
            and isinstance(item.optional_vars, ast.Name)
            and all(isinstance(each, ast.Constant) and set(str(each.value)) <= set("rbt") for each in call.args)
            and not call.keywords
        ):
            continue
        bounded = {
            id(argument)
            for node in ast.walk(block)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in BOUNDED
            for argument in node.args
        } | {id(node.value) for node in ast.walk(block) if isinstance(node, ast.Attribute)}
        for node in ast.walk(block):
            used = isinstance(node, ast.Name) and node.id == item.optional_vars.id and isinstance(node.ctx, ast.Load)
            if used and id(node) not in bounded:
                yield node.lineno, f"{item.optional_vars.id} as a whole"


def test_nothing_in_the_code_reads_without_a_bound() -> None:
    found = {
        (str(path.relative_to(ROOT)), name): line
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, name in unbounded(ast.parse(path.read_text()))
    }
    assert {key: line for key, line in found.items() if key not in ALLOWED} == {}
    assert set(ALLOWED) <= set(found), "nothing of the kind is there any more"


@pytest.mark.parametrize(
    "code",
    [
        "x = path.read_text()",
        "x = Path(name).read_bytes()",
        "x = stream.read()",
        "async def f():\n    return await answer.json()",
        "async def f():\n    return await answer.text()",
        "async def f():\n    return await process.communicate()",
        "x = json.load(file)",
        "x = subprocess.run(command, capture_output=True)",
        "x = ssl.create_default_context(cafile=name)",
        "context.load_cert_chain(a, b)",
        "x = requests.Session()",
        "with path.open('rb') as file:\n    for line in file:\n        print(line)",
        "with path.open() as file:\n    x = list(file)",
    ],
)
def test_what_reads_without_a_bound_is_found(code: str) -> None:
    assert list(unbounded(ast.parse(code)))


class Endless(BaseHTTPRequestHandler):
    """Answers for ever, and counts what it could send."""

    protocol_version = "HTTP/1.0"
    sent = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Date", "Sat, 28 Nov 2026 00:00:00 GMT")
        self.end_headers()
        piece = b"[" + b" " * (1024 * 1024)
        with suppress(OSError):
            while True:
                self.wfile.write(piece)
                type(self).sent += len(piece)

    do_POST = do_PUT = do_DELETE = do_LIST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def endless() -> Iterator[str]:
    Endless.sent = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


class _ToThere(aiohttp.ClientSession):
    """Every request goes to one server, whatever name the client asks for."""

    def __init__(self, there: str) -> None:
        super().__init__(trust_env=False)
        self._there = there

    def _request(self, method: str, url: Any, **options: Any) -> Any:
        return super()._request(method, self._there, **options)


Ask = Callable[[aiohttp.ClientSession, str, Path], Awaitable[object]]


def _management(session: aiohttp.ClientSession, there: str, file: Path) -> Awaitable[object]:
    return Management(session, ManagementSettings(url=there, password_file=file)).entries("region")


def _keys(session: aiohttp.ClientSession, there: str, _: Path) -> Awaitable[object]:
    return IssuerKeys(session, KeySource.model_construct(issuer="x", discovery=there, jwks=None, ca_file=None)).fetch()


def _kms(session: aiohttp.ClientSession, there: str, file: Path) -> Awaitable[object]:
    config = Config.model_construct(address=there, ca_file=None, token_file=file, mount="transit", namespace="")
    return TransitProvider(session, config).unwrap("key", b"vault:v1:AAAA")


def _openbao(session: aiohttp.ClientSession, there: str, file: Path) -> Awaitable[object]:
    client = OpenBao(session, Login(there, file, file, file))
    client._trust = Trust(None)
    return client.call("LIST", "kv/metadata", token="token", seconds=30)


async def _signers(_: aiohttp.ClientSession, there: str, __: Path) -> object:
    async with open_public_keys(there, 30) as keys:
        return await keys.known(frozenset({"x"}))


async def _age(session: aiohttp.ClientSession, there: str, _: Path) -> None:
    if await Freshness(session, there).age() is None:
        raise Invalid("nothing is known")


async def _decision(there: str) -> object:
    async with policy_engine(there, 30) as engine:
        return await engine.decide("dispatch", {}, ())


ASKS: dict[str, Ask] = {
    "openbao": _openbao,
    "openbao-login": lambda _, there, file: asyncio.to_thread(Login(there, file, file, file).token),
    "openbao-tokens": lambda _, there, file: BaoTokens(Login(there, file, file, file), "role").fetch(),
    "policy": lambda _, there, __: _decision(there),
    "region-policy": lambda session, there, _: OpaPolicy(session, there, "eu10").decide(()),
    "freshness": _age,
    "management": _management,
    "issuer": _keys,
    "kms": _kms,
    "oauth": lambda _, there, file: ClientCredentials(there, None, "id", file, {}).fetch(),
    "admin": lambda session, there, _: EnvoyAdmin(_ToThere(there)).certificates(),
    "door": lambda session, there, _: RegionClient(_ToThere(there), Path("none")).get("opa", "/health"),
    "person": lambda _, there, file: asyncio.to_thread(_answer, "GET", there, None),
}


@pytest.mark.parametrize("name", ASKS)
async def test_an_endless_answer_is_no_answer(endless: str, tmp_path: Path, name: str) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    async with aiohttp.ClientSession(trust_env=False) as session:
        with pytest.raises(OrbitalError):
            await ASKS[name](session, endless, file)
    # What the kernel holds for both ends beside it.
    assert Endless.sent < MOST_ANSWER + 32 * 1024 * 1024


def test_an_answer_within_the_bound_is_whole() -> None:
    class Once(Endless):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"a": 1}')

    server = ThreadingHTTPServer(("127.0.0.1", 0), Once)
    Thread(target=server.serve_forever, daemon=True).start()
    with BoundedSession(None) as session:
        assert session.get(f"http://127.0.0.1:{server.server_address[1]}", timeout=5).json() == {"a": 1}
    assert issubclass(BoundedSession, requests.Session)
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "read",
    [
        read_bytes,
        read_text,
        read_secret,
        believing,
        lambda path: Trust(path).context(),
        lambda path: show(believing(path), path, path),
        BoundedSession,
    ],
)
def test_an_endless_file_is_refused(read: Callable[[Path], object]) -> None:
    with pytest.raises(Invalid, match=f"/dev/zero has more than {MOST_FILE} bytes") as refused:
        read(ENDLESS)
    assert refused.value.reason == "FILE_TOO_LONG"


def test_an_endless_line_is_refused() -> None:
    with ENDLESS.open("rb") as zeros, pytest.raises(Invalid, match="has a line of more than 1000 bytes"):
        list(bounded_lines(zeros, "x", 1000))


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_program_that_never_stops_talking_is_ended(stream: str) -> None:
    endless = f"import sys\nwhile True: sys.{stream}.write('x' * 65536)"
    with pytest.raises(Invalid, match=f"says more than {MOST_OUTPUT} bytes"):
        run([sys.executable, "-c", endless], seconds=60)


def test_a_program_that_never_ends_is_ended() -> None:
    with pytest.raises(TimeoutError):
        run([sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.5)


def test_what_a_program_says() -> None:
    ended = run([sys.executable, "-c", "import sys; print('a'); sys.stderr.write('b'); sys.exit(3)"], seconds=60)
    assert (ended.status, ended.out, ended.err) == (3, "a\n", "b")
