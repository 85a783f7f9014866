"""What stands behind the Envoys of a test session: servers that take everything and say what they were given."""

from __future__ import annotations

import gzip
import json
import socketserver
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


@dataclass(frozen=True)
class Seen:
    """One call as the server saw it."""

    method: str
    metadata: dict[str, str]
    body: bytes


class Echo(grpc.GenericRpcHandler, AbstractContextManager["Echo"]):
    """A gRPC server on a Unix socket that answers every call of Orbital with an empty message."""

    def __init__(self, name: str, socket: Path) -> None:
        self.name, self.seen = name, list[Seen]()
        # What it refuses unary calls with, in a trailer and in a header of the answer; empty: it answers.
        self.refusing = ""
        self._server = grpc.server(ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", 16 << 20)])
        self._server.add_generic_rpc_handlers((self,))
        servicer = health.HealthServicer()
        servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        self._server.add_insecure_port(f"unix:{socket}")

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        method, metadata = call.method, {key: str(value) for key, value in call.invocation_metadata}
        if not method.startswith("/orbital.v1."):
            return None
        if method.endswith("/Subscribe"):
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, _context: self._each(method, metadata, requests)
            )
        return grpc.unary_unary_rpc_method_handler(lambda body, context: self._one(method, metadata, body, context))

    def _one(self, method: str, metadata: dict[str, str], body: bytes, context: grpc.ServicerContext) -> bytes:
        self.seen.append(Seen(method, metadata, body))
        if self.refusing:
            context.set_trailing_metadata((("grpc-status-details-bin", self.refusing.encode()),))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.refusing)
        return b""

    def _each(self, method: str, metadata: dict[str, str], requests: Any) -> Any:
        for body in requests:
            self.seen.append(Seen(method, metadata, body))
            yield b""

    def stop(self) -> None:
        """Stop serving, for good."""
        self._server.stop(None).wait(5)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Http(AbstractContextManager["_Http"]):
    """An HTTP server in a thread."""

    def __init__(self, server: socketserver.BaseServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class _TlsServer(ThreadingHTTPServer):
    daemon_threads = True
    # A connection that stays open does not hold up the end of the server.
    block_on_close = False


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class BundleServer(_Http):
    """Serves the bundle, and keeps what is posted: one JSON line a post below `posted`."""

    def __init__(self, socket: Path, bundle: Path, posted: Path) -> None:
        class Handler(_Quiet):
            def do_GET(self) -> None:
                etag = str(bundle.stat().st_mtime_ns)
                if self.headers.get("If-None-Match") == etag:
                    return self.answer(304, Etag=etag)
                return self.answer(200, bundle.read_bytes(), Etag=etag)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                line = {
                    "path": self.path,
                    "principal": self.headers.get("x-orbital-principal"),
                    "body": json.loads(body),
                }
                with posted.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                self.answer(200)

        super().__init__(_UnixServer(str(socket), Handler))


class IssuerServer(_Http):
    """An issuer of tokens over TLS: its OpenID configuration and its keys, which may change; requests are counted."""

    def __init__(self, port: int, issuer: str, keys: Callable[[], bytes], private: bytes, certificate: bytes) -> None:
        self.fetched: list[float] = []
        fetched, address = self.fetched, f"https://127.0.0.1:{port}"

        class Handler(_Quiet):
            def do_GET(self) -> None:
                if self.path == "/keys":
                    fetched.append(time.monotonic())
                    self.answer(200, keys())
                elif self.path == "/.well-known/openid-configuration":
                    self.answer(200, json.dumps({"issuer": issuer, "jwks_uri": f"{address}/keys"}).encode())
                else:
                    self.answer(404)

        server = _TlsServer(("127.0.0.1", port), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.TemporaryDirectory() as directory:
            chain, key = Path(directory, "cert.pem"), Path(directory, "key.pem")
            chain.write_bytes(certificate)
            key.write_bytes(private)
            context.load_cert_chain(chain, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        super().__init__(server)
