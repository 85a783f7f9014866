"""Serving: what is refused and why, and how long a key stays in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from region.domain.names import Kind, Name
from region.flow.keyring import Keyring, ServiceKeys
from region.flow.lease import Beats
from region.flow.serve import Serve
from region.handlers.parts import Parts
from runtime.errors import Invalid, NotFound, OrbitalError, Precondition
from tests.unit.region.fakes import FakeWorld, fake_parts
from tests.unit.region.make import Estate, work_all

ESTATE = Estate()
PAY = Name(Kind.SERVICE, "acme", "core", "pay")


class Heard:
    def __init__(self, at: float) -> None:
        self.last = at


class Served:
    def __init__(self) -> None:
        self.world = FakeWorld()
        self.keyring = Keyring(self.world.world(), 5.0, 2)
        self.parts: Parts = replace(fake_parts(self.world), cache=self.keyring)
        self.beats = Heard(self.world.time)
        self.serve = Serve(self.parts, self.keyring, cast("Beats", self.beats))

    async def refusal(self) -> str:
        with pytest.raises(OrbitalError) as refused:
            await self.serve.wrap(PAY, b"L4", b"")
        return refused.value.reason


@pytest.fixture
def served() -> Served:
    return Served()


async def test_each_refusal_has_its_reason(served: Served) -> None:
    for expected, wanted in (
        ("NOT_FOUND", ESTATE.define_tenant()),
        ("NOT_FOUND", ESTATE.system()),
        ("NOT_FOUND", ESTATE.service()),
        ("KEY_PRE_ACTIVE", ESTATE.link()),
    ):
        assert await served.refusal() == expected
        await work_all(served.parts, wanted)
    await served.serve.wrap(PAY, b"L4", b"")
    await work_all(served.parts, ESTATE.unlink(2))
    assert await served.refusal() == "KEY_REVOKED"
    await work_all(served.parts, ESTATE.kill(2))
    assert await served.refusal() == "TENANT_KILLED"


async def test_altered_or_foreign_ciphertext_is_refused(served: Served) -> None:
    await work_all(served.parts, *ESTATE.foundation(), ESTATE.service(name="other"), ESTATE.link())
    sealed, _ = await served.serve.wrap(PAY, b"L4", b"aad")
    for index in range(len(sealed)):
        altered = bytearray(sealed)
        altered[index] ^= 1
        with pytest.raises((Invalid, NotFound)):
            await served.serve.unwrap(PAY, bytes(altered), b"aad")
    with pytest.raises(Invalid):
        await served.serve.unwrap(PAY, sealed, b"other")
    with pytest.raises(Invalid):
        await served.serve.unwrap(PAY.system_of().service_of("other"), sealed, b"aad")


async def test_the_lease_ends_serving_even_from_the_cache(served: Served) -> None:
    await work_all(served.parts, ESTATE.define_tenant(), ESTATE.system(), ESTATE.service(), ESTATE.link())
    served.keyring = Keyring(served.world.world(), 10**9, 2)
    served.serve = Serve(served.parts, served.keyring, cast("Beats", served.beats))
    await served.serve.wrap(PAY, b"L4", b"")
    served.world.time += 24 * 3600 + 1
    assert await served.refusal() == "LEASE_EXPIRED"
    served.beats.last = served.world.time
    await served.serve.wrap(PAY, b"L4", b"")


async def test_a_dropped_key_is_overwritten(served: Served) -> None:
    material = bytearray(b"k" * 32)

    async def load() -> ServiceKeys:
        return ServiceKeys({1: material}, 0.0)

    await served.keyring.get(PAY, load)
    served.keyring.drop("acme", "other")
    assert material == b"k" * 32
    served.keyring.drop("acme", "core")
    assert material == bytes(32)


async def test_a_load_that_a_drop_overtook_is_thrown_away(served: Served) -> None:
    loaded: list[bytearray] = []
    go = asyncio.Event()

    async def load() -> ServiceKeys:
        loaded.append(bytearray(b"k" * 32))
        if len(loaded) == 1:
            await go.wait()
            return ServiceKeys({1: loaded[0]}, 0.0)
        raise Precondition("unlinked", reason="KEY_REVOKED")

    getting = asyncio.ensure_future(served.keyring.get(PAY, load))
    await asyncio.sleep(0)
    served.keyring.drop("acme")
    go.set()
    with pytest.raises(Precondition):
        await getting
    assert loaded[0] == bytes(32)


async def test_the_cache_is_bounded_loads_once_and_forgets_in_time(served: Served) -> None:
    loads: list[str] = []

    def loader(name: str) -> object:
        async def load() -> ServiceKeys:
            loads.append(name)
            await asyncio.sleep(0)
            return ServiceKeys({1: bytearray(32)}, 0.0)

        return load

    names = [Name(Kind.SERVICE, "acme", "core", leaf) for leaf in "abc"]
    await asyncio.gather(*(served.keyring.get(names[0], loader("a")) for _ in range(5)))  # type: ignore[arg-type]
    assert loads == ["a"]
    for name in names[1:]:
        await served.keyring.get(name, loader(name.leaf))  # type: ignore[arg-type]
    await served.keyring.get(names[0], loader("a"))  # type: ignore[arg-type]
    assert loads == ["a", "b", "c", "a"]
    served.world.time += 6
    await served.keyring.get(names[0], loader("a"))  # type: ignore[arg-type]
    assert loads[-1] == "a"
    assert len(loads) == 5


def test_keys_never_show() -> None:
    assert "107" not in repr(ServiceKeys({1: bytearray(b"k" * 32)}, 0.0))
    assert "kkk" not in repr(ServiceKeys({1: bytearray(b"k" * 32)}, 0.0))


async def test_what_was_cached_is_refused_once_it_is_compromised_or_purged(served: Served) -> None:
    await work_all(served.parts, *ESTATE.foundation(), ESTATE.link())
    old, _ = await served.serve.wrap(PAY, b"L4", b"")
    await work_all(served.parts, ESTATE.emergency(2, 2, "pay"))
    with pytest.raises(Precondition) as refused:
        await served.serve.unwrap(PAY, old, b"")
    assert refused.value.reason == "KEY_COMPROMISED"
    await served.serve.wrap(PAY, b"L4", b"")
    await work_all(served.parts, ESTATE.purge(9, "pay"))
    assert await served.refusal() == "KEY_DESTROYED"
