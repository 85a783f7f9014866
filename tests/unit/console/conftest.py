"""The command line, run in this process against a small gateway."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from console.cli.__main__ import main
from tests.unit.console.gateway import FakeGateway, connection, serving


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


Orbital = Callable[..., Ended]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    """A gateway that every command of this test talks to."""
    fake = FakeGateway()
    with tempfile.TemporaryDirectory() as directory, serving(fake, Path(directory)) as address:
        connect: Callable[..., AbstractContextManager[object]] = partial(connection, address)
        monkeypatch.setattr("console.cli.connection.connect", connect)
        monkeypatch.setattr("console.cli.connection.PAUSE", 0.01)
        yield fake


@pytest.fixture
def orbital(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Orbital:
    """Run one command line; `stdin` is what it reads."""

    def run(*args: str, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        status = main(args)
        captured = capfdbinary.readouterr()
        return Ended(status, captured.out.decode(), captured.err.decode())

    return run
