"""What an engine sends, whatever its shape: it is answered, and what is kept can be stored, shown and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.adapters.bundles.server import BundleServer
from gateway.ports.engines import Decided, EngineStatus
from gateway.ports.security import SecurityEvent
from gateway.ports.store import Denial
from runtime.errors import Denied, Invalid, OrbitalError, Unavailable
from tests.engine_messages import BATCH, CALL, STATUS
from tests.odd_json import odd_ones


def storable(value: Any, bits: int) -> None:
    """Fail on what PostgreSQL, a protobuf or a terminal would not take."""
    if isinstance(value, dict):
        for name, each in value.items():
            storable(each, 64 if name == "made" else bits)
    elif isinstance(value, list | tuple):
        for each in value:
            storable(each, bits)
    elif isinstance(value, str):
        assert all(character.isprintable() or character == "\n" for character in value)
        assert len(value.encode()) <= 1000
    elif isinstance(value, datetime):
        assert value.tzinfo is not None
        assert value <= datetime.now(UTC)
        value.timestamp()
    else:
        assert type(value) is int
        assert 0 <= value < 2 ** (bits - 1)


@dataclass(slots=True)
class Kept:
    """Stores, of which one may fail."""

    fails: OrbitalError | None = None
    kept: list[Decided | Denial | EngineStatus] = field(default_factory=list)

    def _keep(self, items: Sequence[Decided | Denial | EngineStatus]) -> None:
        if self.fails:
            raise self.fails
        for item in items:
            storable(asdict(item), 32)
        self.kept += items

    async def keep_decisions(self, _engine: str, _instance: str, decisions: Sequence[Decided]) -> None:
        self._keep(decisions)

    async def keep_denials(self, denials: Sequence[Denial]) -> None:
        self._keep(denials)

    async def keep_engine(self, status: EngineStatus) -> int:
        self._keep([status])
        return 0


async def posted(stores: Kept, path: str, bodies: Sequence[bytes], admit: Any = lambda _: None) -> list[int]:
    """The statuses of the answers."""

    async def alarm(_: SecurityEvent) -> None:
        raise AssertionError("nothing was lost")

    server = BundleServer(Path("/nowhere"), stores, stores, admit, alarm)  # type: ignore[arg-type]
    application = web.Application(middlewares=[server.refuse])
    application.router.add_post("/logs/{engine}", server.logs)
    application.router.add_post("/status/{engine}", server.status)
    async with TestClient(TestServer(application)) as client:
        return [(await client.post(path, data=body)).status for body in bodies]


def packed(values: Sequence[Any]) -> list[bytes]:
    return [orjson.dumps(value) for value in values]


@pytest.mark.parametrize("event", [CALL, BATCH], ids=["call", "batch"])
async def test_a_decision_log_of_any_shape_is_taken_or_refused(event: dict[str, Any]) -> None:
    logs = list(odd_ones([event]))
    answers = await posted(stores := Kept(), "/logs/opa-eu10-bulk", packed(logs))
    assert set(answers) <= {200, 400}
    # Every event is kept, whatever of it is missing.
    events = sum(isinstance(each, dict) for one in logs if isinstance(one, list) for each in one)
    assert sum(isinstance(each, Decided) for each in stores.kept) == events


async def test_a_status_of_any_shape_is_taken() -> None:
    answers = await posted(stores := Kept(), "/status/opa-eu10-bulk", packed(list(odd_ones(STATUS))))
    assert set(answers) == {200}
    assert len(stores.kept) == len(answers)


@pytest.mark.parametrize("path", ["/logs/opa-eu10-bulk", "/status/opa-eu10-bulk"])
async def test_bytes_that_are_no_json_are_refused(path: str) -> None:
    bodies = [b"{", b"\xff\xfe", b"\0", b"nul", b'"\\ud800"', b"[" * 5000]
    assert set(await posted(Kept(), path, bodies)) == {400}


@pytest.mark.parametrize(
    ("error", "status"), [(Unavailable("away"), 503), (Invalid("unfit"), 400), (OrbitalError("else"), 400)]
)
async def test_only_a_store_that_is_away_is_asked_again(error: OrbitalError, status: int) -> None:
    assert await posted(Kept(error), "/status/x", packed([STATUS])) == [status]


async def test_whoever_is_revoked_is_told() -> None:
    def admit(_: object) -> None:
        raise Denied("revoked", reason="REGION_REVOKED")

    assert await posted(Kept(), "/logs/x", packed([[CALL]]), admit) == [403]
