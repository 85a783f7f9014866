"""Everything that a run wrote is searched for the material it made: journal, logs, records, parts' files."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from region.adapters.journal.sqlite import open_journal
from region.adapters.rpc.crypto import CryptoRpc
from region.flow.keyring import Keyring, ServiceKeys
from region.handlers.parts import Parts
from region.ports.host import real_host
from region.ports.serving import Item
from runtime.errors import OrbitalError
from runtime.logs import setup_logs
from tests.contract.region.test_handlers import names, serving
from tests.unit.region.make import Estate
from tests.unit.region.test_execute import Bench, Policy

SHORTEST = 16


class Recorder:
    """The host's entropy, and the HSM's and transit's answers, remembered as long as they could be a key."""

    def __init__(self, parts: Parts) -> None:
        self.seen: set[bytes] = set()
        self.broken = False
        self._entropy = parts.host.entropy
        host = replace(real_host(), entropy=self.entropy)
        self.parts = replace(parts, host=host, hsm=_Watching(parts.hsm, self), transit=_Watching(parts.transit, self))

    def entropy(self, size: int) -> bytes:
        made = self._entropy(size)
        self.keep(made)
        return made

    def keep(self, material: bytes | bytearray) -> None:
        if len(material) >= SHORTEST:
            self.seen.add(bytes(material))


class _Watching:
    """A part that gives material away: what it gives is remembered, and it can be made to break while it holds it."""

    def __init__(self, part: Any, recorder: Recorder) -> None:
        self._part = part
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if self._recorder.broken and name in {"wrap", "encrypt"}:
                raise ValueError("a fault nobody foresaw")
            answer = await method(*args, **kwargs)
            for material in answer if name == "decrypt" else [answer] if name == "unwrap" else []:
                self._recorder.keep(material)
            return answer

        return call


def _forms(material: bytes) -> Iterator[bytes]:
    """The ways in which a key is written down."""
    yield material
    yield material.hex().encode()
    yield repr(material)[2:-1].encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # Where it stands inside of something longer its beginning and end are encoded with their neighbours.
        for start in range(3):
            whole = encode(b"\0" * start + material)
            yield whole[4 if start else 0 : -4]


async def _run(bench: Bench, parts: Parts, recorder: Recorder, estate: Estate) -> None:
    """Every kind of task, every kind of call, and a fault in the middle of each."""
    tenant = estate.tenant
    _, service = names(tenant)
    recorder.broken = True
    first = estate.foundation()
    await bench.receive(*first)
    await bench.reported(lambda found: any(report.reason == "INTERNAL" for report in found))
    recorder.broken = False
    linked = [*first, estate.link()]
    await bench.receive(linked[-1])
    async with asyncio.timeout(60):
        while set(await bench.outcomes(*linked)) != {"DONE"}:  # noqa: ASYNC110  (the journal tells nobody)
            await asyncio.sleep(0.05)
    rpc = serving(parts)
    sealed, _ = await rpc.wrap(service, parts.host.entropy(32), b"")
    await rpc.rewrap(service, sealed, b"")
    await rpc.generate(service, 32, b"")
    with suppress(OrbitalError):
        await rpc.unwrap_all(service, [Item(sealed, b""), Item(sealed[:-1] + b"\0", b"")])
    for wanted in (
        estate.service(2, 2), estate.system(2, 2), estate.emergency(3, 3, "pay"), estate.emergency(3, 3),
        estate.unlink(9), estate.purge(9, "pay"), estate.purge(9), estate.retire(9),
    ):  # fmt: skip
        await bench.receive(wanted)
        async with asyncio.timeout(30):
            while await bench.outcomes(wanted) != ["DONE"]:  # noqa: ASYNC110  (the journal tells nobody)
                await asyncio.sleep(0.05)
        if wanted.resource.generation == 3 and wanted.resource.HasField("system"):
            with suppress(OrbitalError):
                await rpc.unwrap(service, sealed, b"")


def _files(place: Path) -> list[bytes]:
    return [path.read_bytes() for path in place.rglob("*") if path.is_file()]


@pytest.fixture
def real_logs(tmp_path: Path) -> Iterator[None]:
    """The logs as a region's process writes them, and afterwards the tests' own again."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    setup_logs("region-test", "DEBUG")
    structlog.configure(cache_logger_on_first_use=False)
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    with (tmp_path / "region.log").open("w") as log:
        handler.setStream(log)
        yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("real_logs")
async def test_nothing_that_a_run_wrote_holds_what_it_made(
    parts: Parts, tenant: str, tmp_path: Path, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder(parts)
    written: list[bytes] = []
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(tmp_path / "journal.db"))
        bench = Bench(journal, recorder.parts, Policy())
        running = [asyncio.ensure_future(executor.run()) for executor in bench.executors]
        await _run(bench, recorder.parts, recorder, Estate(tenant))
        for folder in ("systems", "services", "links", "tenants"):
            for below in await parts.store.names(f"{folder}/{tenant}"):
                stored = await parts.store.read(f"{folder}/{tenant}/{below}")
                written.append(orjson.dumps(stored.fields) if stored else b"")
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    said = capfd.readouterr()
    written += [said.out.encode(), said.err.encode(), *_files(tmp_path)]
    assert any(b"handler_broke" in text for text in written)
    if "real" in request.node.name:
        place = request.getfixturevalue("real_parts").conf.parent
        written += _files(place)
    assert len(recorder.seen) > 8
    haystack = b"\n".join(written)
    assert not [form for material in recorder.seen for form in _forms(material) if form in haystack]


def test_the_search_finds_a_key_however_it_is_written() -> None:
    key = bytes(range(100, 132))
    for text in (key, key.hex().encode(), base64.b64encode(b"xy" + key + b"z"), repr({"k": key}).encode()):
        assert any(form in text for form in _forms(key))


def test_nothing_that_holds_material_shows_it() -> None:
    key = bytearray(b"0123456789abcdef")
    for holder in (ServiceKeys({1: key}, 0.0), Item(bytes(key), b""), Keyring, CryptoRpc):
        assert key.decode() not in repr(holder)
