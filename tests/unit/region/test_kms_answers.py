"""A customer's KMS may answer anything: what comes of it is an error of ours, and concerns that customer alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from region.adapters.l1 import transit
from region.adapters.l1.transit import MOST_ANSWER, Config, TransitProvider
from region.ports.l1 import Refused
from runtime.errors import OrbitalError, Stalled, Unavailable
from tests.odd_json import odd_ones

ANSWERS = {"encrypt": {"data": {"ciphertext": "vault:v1:AAAA"}}, "decrypt": {"data": {"plaintext": "AAAA"}}}
REFUSED = {"errors": ["encryption key not found"], "data": None}
STATUSES = (200, 204, 301, 400, 403, 404, 405, 412, 429, 500, 503)
NO_JSON = (b"<html>502</html>", b"\xff", b"\0", b"{", b'"\\ud800"', b"[" * 100_000)


class Content:
    """A body that arrives in parts."""

    def __init__(self, raw: bytes, endless: bool) -> None:
        self._raw = raw
        self._endless = endless
        self.sent = 0

    async def iter_any(self) -> AsyncIterator[bytes]:
        """See aiohttp.StreamReader."""
        while True:
            self.sent += len(self._raw)
            yield self._raw
            if not self._endless:
                return


class Kms:
    """A session whose every request has this answer."""

    def __init__(self, status: int, raw: bytes, *, endless: bool = False) -> None:
        self.status = status
        self.content = Content(raw, endless)

    @asynccontextmanager
    async def post(self, *_: Any, **__: Any) -> AsyncIterator[Kms]:
        """See aiohttp.ClientSession."""
        yield self


class NoTrust:
    """Nothing is connected to."""

    def __init__(self, _: Path) -> None:
        self.context = lambda: None


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(transit, "Trust", NoTrust)
    token = tmp_path / "token"
    token.write_text("s.x")
    token.chmod(0o600)
    return Config(address="https://kms.example", ca_file=token, token_file=token)


async def outcome(config: Config, kms: Kms, action: str) -> object:
    provider = TransitProvider(kms, config)  # type: ignore[arg-type]
    try:
        if action == "encrypt":
            return await provider.wrap("root", bytearray(32))
        return await provider.unwrap("root", b"vault:v1:AAAA")
    except (OrbitalError, Refused) as error:
        return error


def bodies(action: str) -> Sequence[bytes]:
    odd = [*odd_ones(ANSWERS[action]), *odd_ones(REFUSED)]
    return [*map(orjson.dumps, odd), *NO_JSON]


@pytest.mark.parametrize("action", ANSWERS)
async def test_whatever_it_answers_is_an_answer_or_an_error_of_ours(config: Config, action: str) -> None:
    for raw in bodies(action):
        for status in STATUSES:
            found = await outcome(config, Kms(status, raw), action)
            assert isinstance(found, bytes | bytearray | Refused | Stalled | Unavailable), (status, raw[:100], found)
            # Only what can be opened again is kept of a wrap.
            assert not isinstance(found, bytes) or found.startswith(b"vault:v")


@pytest.mark.parametrize("action", ANSWERS)
async def test_an_endless_answer_is_not_read_to_its_end(config: Config, action: str) -> None:
    kms = Kms(200, b"x" * 65_536, endless=True)
    assert isinstance(await outcome(config, kms, action), Unavailable)
    assert kms.content.sent <= MOST_ANSWER + 65_536
