"""Serving: what is refused and why, and how long a key stays in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from orbital.v1 import crypto_pb2
from orbital.v1 import task_pb2 as pb

from region.adapters.rpc.crypto import CryptoRpc
from region.domain.names import Kind, Name
from region.flow.key_access import KeyAccess
from region.flow.keyring import Keyring, ServiceKeys
from region.flow.lease import Heartbeats
from region.flow.serve import Serve
from region.handlers.parts import Parts
from region.handlers.permit import PROBE
from region.ports.serving import Item
from runtime.errors import Invalid, NotFound, OrbitalError, Precondition
from tests.unit.region.fakes import FakeHost, fake_parts
from tests.unit.region.make import Estate, work_all

ESTATE = Estate()
PAY = Name(Kind.SERVICE, "acme", "core", "pay")


class Heard:
    def __init__(self, host: FakeHost) -> None:
        self.host, self.last = host, host.time

    def silence(self) -> float:
        return self.host.time - self.last


class Served:
    def __init__(self) -> None:
        self.host = FakeHost()
        self.keyring = Keyring(self.host.host(), 5.0, 2)
        self.parts: Parts = replace(fake_parts(self.host), cache=self.keyring)
        self.heartbeats = Heard(self.host)
        self.serve = self.serving()

    def serving(self) -> Serve:
        access = KeyAccess(parts=self.parts, keyring=self.keyring, heartbeats=cast("Heartbeats", self.heartbeats))
        return Serve(access=access, host=self.parts.host)

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
    served.keyring = Keyring(served.host.host(), 10**9, 2)
    served.serve = served.serving()
    await served.serve.wrap(PAY, b"L4", b"")
    served.host.time += 24 * 3600 + 1
    assert await served.refusal() == "LEASE_EXPIRED"
    served.heartbeats.last = served.host.time
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
    loads: list[str] = []

    async def load() -> ServiceKeys:
        loads.append("begun")
        if len(loads) > 1:
            raise Precondition("unlinked", reason="KEY_REVOKED")
        try:
            await asyncio.Event().wait()
        finally:
            loads.append("cut")
        raise AssertionError

    getting = asyncio.ensure_future(served.keyring.get(PAY, load))
    while not loads:  # noqa: ASYNC110  (the load tells nobody)
        await asyncio.sleep(0)
    served.keyring.drop("acme", "other")
    await asyncio.sleep(0)
    assert loads == ["begun"]
    served.keyring.drop("acme")
    with pytest.raises(Precondition):
        await getting
    assert loads == ["begun", "cut", "begun"]


async def test_open_calls_are_cut_by_a_revocation_though_openbao_never_answers(served: Served) -> None:
    await work_all(served.parts, *ESTATE.foundation(), ESTATE.link())
    sealed, _ = await served.serve.wrap(PAY, b"L4", b"")
    served.keyring.drop("acme")
    asked, never = asyncio.Event(), asyncio.Event()
    transit = served.parts.transit
    decrypt = transit.decrypt

    async def stuck(name: str, texts: list[str]) -> list[bytearray]:
        if texts == [PROBE]:
            return await decrypt(name, texts)
        asked.set()
        await never.wait()
        return await decrypt(name, texts)

    transit.decrypt = stuck  # type: ignore[method-assign,assignment]
    calls = [asyncio.ensure_future(served.serve.unwrap(PAY, sealed, b"")) for _ in range(20)]
    calls += [asyncio.ensure_future(served.serve.wrap(PAY, b"L4", b"")) for _ in range(20)]
    await asked.wait()
    assert (await work_all(served.parts, ESTATE.unlink(2)))[0].outcome == pb.OUTCOME_DONE
    async with asyncio.timeout(5):
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert {one.reason if isinstance(one, Precondition) else one for one in ended} == {"KEY_REVOKED"}
    assert not never.is_set()


async def test_a_call_that_is_cancelled_stays_so(served: Served) -> None:
    async def load() -> ServiceKeys:
        await asyncio.Event().wait()
        raise AssertionError

    getting = asyncio.ensure_future(served.keyring.get(PAY, load))
    await asyncio.sleep(0)
    getting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await getting


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
    served.host.time += 6
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


async def test_a_rewrap_moves_an_l4_to_the_newest_version_and_keeps_what_is_bound(served: Served) -> None:
    await work_all(served.parts, *ESTATE.foundation(), ESTATE.link())
    old, _ = await served.serve.wrap(PAY, b"L4", b"aad")
    await work_all(served.parts, ESTATE.service(2, 2))
    served.keyring.clear()
    new, version = await served.serve.rewrap(PAY, old, b"aad")
    assert version == 2
    assert await served.serve.unwrap(PAY, new, b"aad") == (b"L4", 2)
    with pytest.raises(Invalid):
        await served.serve.rewrap(PAY, old, b"other")


async def test_a_data_key_comes_plain_and_wrapped(served: Served) -> None:
    await work_all(served.parts, *ESTATE.foundation(), ESTATE.link())
    plain, sealed, version = await served.serve.generate(PAY, 32, b"aad")
    assert (len(plain), version) == (32, 1)
    assert await served.serve.unwrap(PAY, sealed, b"aad") == (plain, 1)


async def test_a_batch_is_done_whole_or_names_the_item(served: Served) -> None:
    await work_all(served.parts, *ESTATE.foundation(), ESTATE.link())
    plain = [Item(bytes([number]), str(number).encode()) for number in range(100)]
    ciphertexts, version = await served.serve.wrap_all(PAY, plain)
    assert version == 1
    assert len(set(ciphertexts)) == 100
    sealed = [Item(each, item.associated_data) for each, item in zip(ciphertexts, plain, strict=True)]
    assert await served.serve.unwrap_all(PAY, sealed) == [item.content for item in plain]
    again, _ = await served.serve.rewrap_all(PAY, sealed)
    assert not set(again) & set(ciphertexts)
    sealed[7] = Item(sealed[7].content, b"other")
    with pytest.raises(Invalid) as refused:
        await served.serve.unwrap_all(PAY, sealed)
    assert refused.value.field == "items[7].ciphertext"


async def test_the_service_checks_every_field_of_every_item(served: Served) -> None:
    await work_all(served.parts, *ESTATE.foundation(), ESTATE.link())
    rpc = CryptoRpc(served.serve)
    context = cast("Any", None)
    where = {"tenant": "acme", "system": "core", "service": "pay"}
    plain = [crypto_pb2.PlainItem(plaintext=b"L4")] * 3
    wrapped = await rpc.BatchWrap(crypto_pb2.BatchWrapRequest(**where, items=plain), context)
    items = [crypto_pb2.WrappedItem(ciphertext=each) for each in wrapped.ciphertexts]
    opened = await rpc.BatchUnwrap(crypto_pb2.BatchUnwrapRequest(**where, items=items), context)
    assert list(opened.plaintexts) == [b"L4"] * 3
    moved = await rpc.BatchRewrap(crypto_pb2.BatchRewrapRequest(**where, items=items), context)
    one = await rpc.Rewrap(crypto_pb2.RewrapRequest(**where, ciphertext=moved.ciphertexts[0]), context)
    assert one.key_version == 1
    made = await rpc.GenerateDataKey(crypto_pb2.GenerateDataKeyRequest(**where), context)
    assert len(made.plaintext) == 32
    for request in (
        rpc.BatchWrap(crypto_pb2.BatchWrapRequest(**where), context),
        rpc.BatchWrap(crypto_pb2.BatchWrapRequest(**where, items=plain * 400), context),
        rpc.GenerateDataKey(crypto_pb2.GenerateDataKeyRequest(**where, size_bytes=15), context),
    ):
        with pytest.raises(Invalid):
            await request
    with pytest.raises(Invalid) as refused:
        await rpc.BatchWrap(crypto_pb2.BatchWrapRequest(**where, items=[*plain, crypto_pb2.PlainItem()]), context)
    assert refused.value.field == "items[3].plaintext"


async def test_a_batch_may_come_packed_and_is_checked_all_the_same(served: Served) -> None:
    await work_all(served.parts, *ESTATE.foundation(), ESTATE.link())
    rpc: Any = CryptoRpc(served.serve)
    where = {"tenant": "acme", "system": "core", "service": "pay"}
    plain = [crypto_pb2.PlainItem(plaintext=bytes([number + 1]) * 16, associated_data=b"a") for number in range(3)]
    packed = crypto_pb2.PlainItems(items=plain).SerializeToString()
    sealed = await rpc.BatchWrap(crypto_pb2.BatchWrapRequest(**where, packed=packed), None)
    wrapped = [crypto_pb2.WrappedItem(ciphertext=one, associated_data=b"a") for one in sealed.ciphertexts]
    again = crypto_pb2.WrappedItems(items=wrapped).SerializeToString()
    opened = await rpc.BatchUnwrap(crypto_pb2.BatchUnwrapRequest(**where, packed=again), None)
    assert list(opened.plaintexts) == [one.plaintext for one in plain]
    moved = await rpc.BatchRewrap(crypto_pb2.BatchRewrapRequest(**where, packed=again), None)
    assert len(set(moved.ciphertexts) | set(sealed.ciphertexts)) == 6
    unknown = crypto_pb2.PlainItem(plaintext=b"x")
    unknown.MergeFromString(b"\x98\x06\x01")
    empty = crypto_pb2.PlainItems(items=[*plain, crypto_pb2.PlainItem()])
    for request, field in (
        (crypto_pb2.BatchWrapRequest(**where, packed=packed, items=plain), "packed"),
        (crypto_pb2.BatchWrapRequest(**where, packed=b"\xff"), "packed"),
        (crypto_pb2.BatchWrapRequest(**where, packed=empty.SerializeToString()), "items[3].plaintext"),
        (crypto_pb2.BatchWrapRequest(**where), "items"),
        (
            crypto_pb2.BatchWrapRequest(**where, packed=crypto_pb2.PlainItems(items=[unknown]).SerializeToString()),
            "packed.items[0][99]",
        ),
    ):
        with pytest.raises(Invalid) as wrong:
            await rpc.BatchWrap(request, None)
        assert wrong.value.field == field


async def test_data_keys_are_made_in_batches(served: Served) -> None:
    await work_all(served.parts, *ESTATE.foundation(), ESTATE.link())
    rpc: Any = CryptoRpc(served.serve)
    where = {"tenant": "acme", "system": "core", "service": "pay", "associated_data": b"a"}
    made = await rpc.BatchGenerateDataKey(
        crypto_pb2.BatchGenerateDataKeyRequest(**where, count=50, size_bytes=24), None
    )
    assert len(set(made.plaintexts)) == len(set(made.ciphertexts)) == 50
    assert {len(one) for one in made.plaintexts} == {24}
    opened = await served.serve.unwrap_all(PAY, [Item(one, b"a") for one in made.ciphertexts])
    assert opened == list(made.plaintexts)
    for wrong in ({"count": 0}, {"count": 1001}, {"count": 1, "size_bytes": 65}):
        with pytest.raises(Invalid):
            await rpc.BatchGenerateDataKey(crypto_pb2.BatchGenerateDataKeyRequest(**where, **wrong), None)


async def test_reaching_a_service_touches_no_key(served: Served) -> None:
    rpc: Any = CryptoRpc(served.serve)
    where = {"tenant": "acme", "system": "core", "service": "pay"}
    assert await rpc.Reach(crypto_pb2.ReachRequest(**where, padding=b"x"), None) == crypto_pb2.ReachResponse()
    with pytest.raises(Invalid):
        await rpc.Reach(crypto_pb2.ReachRequest(tenant="acme", system="core", service="No"), None)
