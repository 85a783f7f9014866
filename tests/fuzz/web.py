"""HTTP: what policy engines, edges, the broker and browsers send, each as what it really is."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import requests
from yarl import URL

from console.web import main as console_main
from console.web.console import routes
from gateway.adapters.broker.server import FIELDS as BROKER_FIELDS
from gateway.adapters.broker.server import QUESTIONS
from stack.identity.certificates import EDGE
from tests.engine_messages import CALL, DENIED, STATUS
from tests.fuzz.door import SECONDS, Door
from tests.fuzz.mutate import HONEST, REGION, TENANT, Mutator
from tests.odd_json import ODD, replaced, ways
from tests.system.console.person import Session, log_in
from tests.system.world import ROOT, World

PEOPLE = ("operator", "officer", "auditor")
# More bytes than any entry point reads of a body.
LARGE = 16 << 20
# A refusal that says that something behind it is away, or takes no more now.
BUSY = 503
SOURCES = sorted((ROOT / "console" / "web").glob("*.py"))
RAW = ("%00", "%FF%FE", "%ED%A0%80", "%0D%0AX:%20y", "..%2f..%2fetc%2fpasswd", "%", "%zz", "x" * 9000)
HEADERS = ("x", "\x01", "é" * 100, "x" * 5000, "1e999", "wait=99999999999999999999", "-1")
DECLARATION = f"apiVersion: orbital/v1\nkind: Tenant\nmetadata: {{name: {TENANT}}}\nspec: {{placement: {{}}}}\n"


def web_doors(world: World) -> Iterator[Door]:
    """All of them."""
    yield from _engine_doors(world)
    yield from _console_doors(world)
    yield from _broker_doors(world)
    run = Path(world.state.run)
    yield Door("keys of issuers", partial(_socket, run / "gateway-keys.sock", ("/unknown-key", "/keys/*")))
    yield Door(
        "checker's pages", partial(_socket, run / f"checker-{REGION}.sock", ("/healthz", "/checks", "/metrics", "/*"))
    )
    yield Door("bundles", partial(_socket, run / "gateway-http.sock", ("/bundles/orbital.tar.gz", "/*")))


def _engine_doors(world: World) -> Iterator[Door]:
    own = Path(world.state.run) / "gateway-http.sock"
    region = _caller(world, REGION, world.state.gateway.mtls)
    edge = _caller(world, f"edge-{REGION}", world.state.regions[REGION].crypto)

    def local(where: str, mutator: Mutator) -> str:
        return _raw(own, "POST", f"/{where}/opa-gateway-bulk", _sent(mutator, [EVENT] if where == "logs" else STATUS))

    def remote(where: str, mutator: Mutator) -> str:
        name = mutator.random.choice((f"opa-{REGION}-bulk", f"opa-{REGION}-immediate", f"opa-{REGION}-x"))
        return region("POST", f"/{where}/{name}", _sent(mutator, [EVENT] if where == "logs" else STATUS))

    yield Door("decision logs of our own engine", partial(local, "logs"))
    yield Door("status of our own engine", partial(local, "status"))
    yield Door("decision logs of a region's engine", partial(remote, "logs"))
    yield Door("status of a region's engine", partial(remote, "status"))
    path = f"/edge/status/{EDGE}"
    yield Door("status of an edge's engine", lambda mutator: edge("POST", path, _sent(mutator, OF_EDGE)))
    yield Door("bundle of an edge", lambda mutator: edge("GET", "/edge/bundle.tar.gz", b"", _strange(mutator)))


def _console_doors(world: World) -> Iterator[Door]:
    """Pages and forms from the console's own table, with the fields that its sources read."""
    people = {name: log_in(world.place, name) for name in PEOPLE}
    queries, fields = _read_names(r"request\.query\.get\(\"(\w+)\""), _read_names(r"fields\.get\(\"(\w+)\"")
    known = [route for route in routes if route.method in ("GET", "POST")]
    pages = [route.path for route in known if route.method == "GET" and not route.path.startswith("/fresh")]
    forms = [route.path for route in known if route.method == "POST"]
    assert len(console_main.PAGES) < len(known)

    def page(mutator: Mutator) -> str:
        path = _filled(mutator.random.choice(pages), mutator)
        asked = "&".join(f"{name}={_part(mutator)}" for name in mutator.random.sample(queries, 2))
        return _asked(people[mutator.random.choice(PEOPLE)], f"{path}?{asked}")

    def form(mutator: Mutator) -> str:
        session = people[mutator.random.choice(PEOPLE)]
        path = _filled(mutator.random.choice(forms), mutator)
        found = re.search(r'name="form" value="([^"]*)"', session.at(path).text)
        said = {name: mutator.random.choice(HONEST_FIELDS.get(name, ("x",))) for name in fields}
        for name in mutator.random.sample(fields, 2):
            said[name] = mutator.text()
        body = "&".join(f"{name}={_quoted(value)}" for name, value in said.items() if mutator.random.random() < 0.9)
        token = f"form={_quoted(found[1])}&" if found else ""
        headers = {"Origin": session.origin, "Sec-Fetch-Site": "same-origin", "Content-Type": FORM}
        return _asked(session, path, "POST", data=(token + body).encode(), headers=headers)

    yield Door("pages of the console", page)
    yield Door("forms of the console", form)


def _read_names(pattern: str) -> list[str]:
    """The names that the console's sources read."""
    return sorted({name for source in SOURCES for name in re.findall(pattern, source.read_text())})


def _broker_doors(world: World) -> Iterator[Door]:
    """What the broker asks before a login, with the broker's own certificate."""
    place = world.place / "broker-access"
    address = f"https://127.0.0.1:{world.state.ports['broker-access']}"
    pair = (str(place / "rabbitmq/cert.pem"), str(place / "rabbitmq/key.pem"))

    def ask(mutator: Mutator) -> str:
        named = {"username": f"spiffe://orbital/region/{REGION}", "vhost": "/", "permission": "read"}
        said = {name: named.get(name, "x") for name in BROKER_FIELDS}
        for name in mutator.random.sample(BROKER_FIELDS, 2):
            said[name] = mutator.text()
        body = "&".join(f"{name}={_quoted(value)}" for name, value in said.items())
        with requests.Session() as session:
            session.trust_env = False
            session.cert, session.verify = pair, str(place / "ca.pem")
            path = f"{address}/{mutator.random.choice(QUESTIONS)}"
            answer = session.post(path, data=body.encode(), headers={"Content-Type": FORM}, timeout=SECONDS)
            return _status(path, answer.status_code)

    yield Door("questions of the broker", ask)


FORM = "application/x-www-form-urlencoded"
HONEST_FIELDS = {
    "text": (DECLARATION, DECLARATION + "---\n" * 2000, "a: &a [*a]", "!!python/object:os.system x"),
    "name": (TENANT, REGION, "x"),
    "reason": ("because",),
    "do": ("apply", "approve", "decline", "look"),
    "seen": ("1/1/1/0", "", "x"),
    "accept_departures": ("0", "1", "99999999999999999999", "٣"),
}
HONEST_PARTS = (TENANT, REGION, "s0", "0" * 32, str(HONEST["resource"]))


def _filled(path: str, mutator: Mutator) -> str:
    """The path with something in place of each of its parts that vary."""
    return re.sub(r"\{[^}]*\}", lambda _: _part(mutator), path)


def _part(mutator: Mutator) -> str:
    draw = mutator.random.random()
    if draw < 0.4:
        return _quoted(mutator.random.choice(HONEST_PARTS))
    return mutator.random.choice(RAW) if draw < 0.6 else _quoted(mutator.text()[:3000])


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def _strange(mutator: Mutator) -> dict[str, str]:
    named = mutator.random.choice(("Prefer", "If-None-Match", "Range", "Accept-Encoding"))
    return {named: mutator.random.choice(HEADERS)}


def _caller(world: World, identity: str, address: str) -> Callable[..., str]:
    """Sends by mutual TLS, as this identity."""
    folder = (world.place / "identity" / identity / "current").resolve()
    context = ssl.create_default_context(cafile=str(world.place / "identity" / "ca.pem"))
    context.check_hostname = False
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    host, _, port = address.rpartition(":")

    def send(method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> str:
        with socket.create_connection((host, int(port)), SECONDS) as link, context.wrap_socket(link) as secure:
            return _exchange(secure, method, path, body, headers)

    return send


def _socket(where: Path, paths: tuple[str, ...], mutator: Mutator) -> str:
    """Any request at a Unix socket."""
    path = mutator.random.choice(paths).replace("*", _part(mutator))
    method = mutator.random.choice(("GET", "POST", "POST", "PUT", "OPTIONS"))
    return _raw(where, method, path, _sent(mutator, STATUS), _strange(mutator))


def _raw(where: Path, method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> str:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(SECONDS)
        link.connect(str(where))
        return _exchange(link, method, path, body, headers)


def _exchange(link: socket.socket, method: str, path: str, body: bytes, headers: dict[str, str] | None) -> str:
    """One request as it is, and the status of its answer; a server error is INTERNAL."""
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    try:
        link.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = link.recv(4096).split(b" ", 2)
    except TimeoutError:
        # Whoever waits for a newer bundle is answered later.
        return "OK"
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
        # Whoever refuses a large body need not hear the end of it.
        if len(body) < LARGE:
            raise
        return "OK"
    return _status(path, int(answer[1]) if len(answer) > 1 and answer[1].isdigit() else 0)


def _asked(session: Session, path: str, method: str = "GET", **more: Any) -> str:
    """A request of a person; of what is live the beginning is read."""
    url = str(URL(f"{session.origin}{path}", encoded=True))
    try:
        with session.request(method, url, allow_redirects=False, timeout=SECONDS, stream=True, **more) as answer:
            next(answer.iter_content(4096), b"")
            return _status(path, answer.status_code)
    except requests.exceptions.InvalidURL:
        return "OK"


def _status(path: str, code: int) -> str:
    return f"INTERNAL: HTTP {code} for {path[:80]}" if code >= 500 and code != BUSY else "OK"


# A call and a batch in one, so that each part of both is spoilt.
EVENT = {**CALL, "result": {**CALL["result"], **DENIED}}
OF_EDGE = {
    "labels": {"id": "i1"},
    "bundles": {
        "edge": {
            "active_revision": "r1",
            "last_successful_activation": "2026-01-01T00:00:00Z",
            "code": "bundle_error",
            "message": "bad",
        }
    },
}


def _sent(mutator: Mutator, document: Any) -> bytes:
    """The document with one to three of its parts replaced; now and then no JSON at all, or very much of it."""
    for _ in range(mutator.random.randrange(1, 4)):
        way = mutator.random.choice(list(ways(document)))
        document = replaced(document, way, mutator.random.choice((*ODD, mutator.value())))
    body = orjson.dumps(document, default=str) if mutator.random.random() < 0.9 else b"[" * 5000
    if mutator.random.random() < 0.1 and isinstance(document, list) and document:
        body = orjson.dumps(document * 500)
    return mutator.bent(body) if mutator.random.random() < 0.1 else body
