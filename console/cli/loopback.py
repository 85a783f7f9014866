"""Waits on this machine for the browser that comes back from the login page."""

from __future__ import annotations

import html
import secrets
import select
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from console.cli.failure import Exit, Failure

PATH = "/callback"
MOST_ADDRESS = 64 * 1024  # characters of an address that is pasted
# A caller that says nothing does not hold up the browser for longer.
PATIENCE = 2.0
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


class Loopback(HTTPServer):
    """One redirect, on whatever port of 127.0.0.1 is free."""

    def __init__(self) -> None:
        self.state = ""
        self.answer: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def redirect(self) -> str:
        """Where the browser is to be sent."""
        return f"http://127.0.0.1:{self.server_port}{PATH}"

    def take(self, address: str) -> bool:
        """Whether this address is the end of the login that was begun here; what it says is then in `answer`."""
        parts = urlsplit(address)
        fields = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path != PATH or not secrets.compare_digest(fields.get("state", "").encode(), self.state.encode()):
            return False
        self.answer = fields
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """See socketserver.BaseServer; somebody who hangs up is no news."""

    def wait(self, state: str, seconds: float, *, typed: bool) -> Mapping[str, str]:
        """What the browser brings back; `typed`: or somebody pastes it. Raises Failure 7 when it is late."""
        self.state = state
        deadline = time.monotonic() + seconds
        sources: list[Any] = [self, *([sys.stdin] if typed else [])]
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select(sources, [], [], left)
            if self in ready:
                self.handle_request()
            if sys.stdin in ready:
                line = sys.stdin.readline(MOST_ADDRESS)
                if not line:
                    sources.remove(sys.stdin)
                elif line.strip() and not self.take(line.strip()):
                    sys.stderr.write("That is not where this login ends. Paste the whole address.\n")
            if self.answer:
                return self.answer
        raise Failure("Nobody logged in within the time. Run it again: orbital login", Exit.TIMEOUT)


@contextmanager
def loopback() -> Iterator[Loopback]:
    """A loopback that listens inside the block."""
    server = Loopback()
    try:
        yield server
    finally:
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    server: Loopback

    def do_GET(self) -> None:
        """The browser, or somebody else who found the port."""
        ours = self.server.take(self.path)
        if not ours:
            words = "This is not where a login ends."
        elif "error" in self.server.answer:
            words = f"Nobody was logged in: {self.server.answer['error']}. The terminal says more."
        else:
            words = "Done here. Go back to the terminal, and close this page."
        page = f"<!doctype html><html lang=en><title>Orbital</title><p>{html.escape(words)}</p>".encode()
        self.send_response(200 if ours else 404)
        for name, value in {**HEADERS, "Content-Length": str(len(page))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        """See BaseHTTPRequestHandler; the address holds a code, which is nothing for a log."""
