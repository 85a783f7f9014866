"""The HSM's process against a real SoftHSM: what it does, and what it says when the token, or the process, is away."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress

import pytest

from region.adapters.hsm.process import HsmProcess, open_hsm
from region.ports.host import real_host
from region.ports.l1 import Refused
from runtime.errors import Stalled, Unavailable
from runtime.l1 import ROOT_KEY
from tests.contract.region.conftest import RealParts

Opens = Callable[..., AbstractAsyncContextManager[HsmProcess]]
ATTRIBUTES = """
import sys, pkcs11
library, pin_file, label = sys.argv[1:]
with pkcs11.lib(library).get_token(token_label="test").open(user_pin=open(pin_file).read()) as session:
    key = session.get_key(object_class=pkcs11.ObjectClass.SECRET_KEY, label=label)
    print(key[pkcs11.Attribute.EXTRACTABLE], key[pkcs11.Attribute.SENSITIVE])
"""


@pytest.fixture
def opens(real_parts: RealParts) -> Opens:
    def opened(*, generate_missing: bool = False, timeout: float = 5.0) -> AbstractAsyncContextManager[HsmProcess]:
        return open_hsm(
            real_parts.library,
            "test",
            real_parts.pin_file,
            real_parts.conf,
            real_host(),
            generate_missing=generate_missing,
            timeout=timeout,
        )

    return opened


@pytest.fixture
async def hsm(opens: Opens) -> AsyncIterator[HsmProcess]:
    async with opens() as opened:
        yield opened


def _pid(hsm: HsmProcess) -> int:
    assert hsm._worker is not None
    return hsm._worker.process.pid


async def _works(hsm: HsmProcess, blob: bytes = b"") -> None:
    """Wait until the HSM does its work; how fast it starts depends on the machine."""
    async with asyncio.timeout(20):
        while True:
            with suppress(Unavailable):
                if not blob or await hsm.unwrap(ROOT_KEY, blob) == b"m" * 32:
                    await hsm.wrap(ROOT_KEY, bytearray(32))
                    return
            await asyncio.sleep(0.02)


async def test_it_wraps_and_comes_back_after_its_token_was_gone(hsm: HsmProcess, real_parts: RealParts) -> None:
    tokens = real_parts.conf.parent / "tokens"
    blob = await hsm.wrap(ROOT_KEY, bytearray(b"m" * 32))
    assert await hsm.unwrap(ROOT_KEY, blob) == b"m" * 32
    with pytest.raises(Unavailable) as refused:
        await hsm.wrap("nobody's", bytearray(32))
    assert refused.value.reason == "L1_KEY_MISSING"
    shutil.move(tokens, tokens.with_name("gone"))
    try:
        with pytest.raises(Unavailable) as refused:
            await hsm.unwrap(ROOT_KEY, blob)
        assert refused.value.reason == "HSM_UNREACHABLE"
    finally:
        shutil.move(tokens.with_name("gone"), tokens)
    assert await hsm.unwrap(ROOT_KEY, blob) == b"m" * 32


async def test_an_l1_never_leaves_it(opens: Opens, real_parts: RealParts, tenant: str) -> None:
    async with opens(generate_missing=True) as hsm:
        blob = await hsm.wrap(f"l1-{tenant}", bytearray(32))
        with pytest.raises(Stalled):
            await hsm.unwrap(ROOT_KEY, blob)
    command = [sys.executable, "-c", ATTRIBUTES, str(real_parts.library), str(real_parts.pin_file), f"l1-{tenant}"]
    environment = {**os.environ, "SOFTHSM2_CONF": str(real_parts.conf)}
    said = await asyncio.to_thread(subprocess.check_output, command, env=environment, timeout=60, text=True)
    assert said.split() == ["False", "True"]


async def test_a_key_that_its_owner_took_away_is_refused_and_not_made(opens: Opens, tenant: str) -> None:
    async with opens(generate_missing=True) as hsm:
        await hsm.wrap(f"l1-{tenant}", bytearray(32))
        await hsm.ask(f"l1-{tenant}")
        for _ in range(2):
            with pytest.raises(Refused) as error:
                await hsm.ask(f"nobody-{tenant}")
            assert error.value.reason == "L1_REFUSED"


async def test_many_calls_at_once_get_each_their_own_answer(hsm: HsmProcess) -> None:
    materials = [bytearray(bytes([number]) * 32) for number in range(200)]
    blobs = await asyncio.gather(*(hsm.wrap(ROOT_KEY, material) for material in materials))
    assert await asyncio.gather(*(hsm.unwrap(ROOT_KEY, blob) for blob in blobs)) == materials


async def test_a_process_that_dies_is_replaced(hsm: HsmProcess) -> None:
    blob = await hsm.wrap(ROOT_KEY, bytearray(b"m" * 32))
    first = _pid(hsm)
    os.kill(first, signal.SIGKILL)
    with pytest.raises(Unavailable) as refused:
        await hsm.unwrap(ROOT_KEY, blob)
    assert refused.value.reason == "HSM_UNREACHABLE"
    await _works(hsm, blob)
    assert _pid(hsm) != first


async def test_a_process_that_hangs_is_replaced_and_blocks_nobody(opens: Opens) -> None:
    async with opens(timeout=0.5) as hsm:
        await _works(hsm)
        blob = await hsm.wrap(ROOT_KEY, bytearray(b"m" * 32))
        first = _pid(hsm)
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(Unavailable) as refused:
            await hsm.unwrap(ROOT_KEY, blob)
        assert refused.value.reason == "HSM_UNREACHABLE"
        await _works(hsm, blob)
        assert _pid(hsm) != first


async def test_a_library_that_cannot_be_loaded_is_an_hsm_that_is_away(real_parts: RealParts) -> None:
    nowhere = real_parts.conf.with_name("none.so")
    async with open_hsm(nowhere, "test", real_parts.pin_file, None, real_host(), generate_missing=False) as hsm:
        with pytest.raises(Unavailable) as refused:
            await hsm.wrap(ROOT_KEY, bytearray(32))
        assert refused.value.reason == "HSM_UNREACHABLE"


@pytest.mark.parametrize(
    ("module", "never"),
    [("region.main", {"pkcs11"}), ("region.adapters.hsm.worker", {"ssl", "_ssl", "grpc", "asyncio", "cryptography"})],
)
def test_the_library_and_tls_are_never_in_one_process(module: str, never: set[str]) -> None:
    command = [sys.executable, "-c", f"import {module}, sys; print(*sys.modules)"]
    loaded = set(subprocess.check_output(command, timeout=60, text=True).split())
    assert not loaded & never


MADE = """
import json, sys, pkcs11
from pkcs11 import Attribute, KeyType
library, pin_file, told = sys.argv[1:]
token = pkcs11.lib(library).get_token(token_label="test")
with token.open(rw=True, user_pin=open(pin_file).read()) as session:
    for label, kind, size, wraps, unwraps in json.loads(told):
        template = {Attribute.TOKEN: True, Attribute.WRAP: wraps, Attribute.UNWRAP: unwraps}
        session.generate_key(getattr(KeyType, kind), size, label=label, store=True, template=template)
"""
# (kinds and sizes of the keys of one label, whether they wrap and unwrap, what wrapping says, what unwrapping says)
ODD = {
    "wraps nothing": ([("AES", 256, False, True)], "L1_KEY_UNFIT", "L1_KEY_UNFIT"),
    "unwraps nothing": ([("AES", 256, True, False)], "", "L1_REFUSED"),
    "does neither": ([("AES", 256, False, False)], "L1_KEY_UNFIT", "L1_REFUSED"),
    "two of one label": ([("AES", 256, True, True)] * 2, "L1_KEY_AMBIGUOUS", "L1_KEY_AMBIGUOUS"),
    "one that may and one that may not": (
        [("AES", 256, True, True), ("AES", 256, False, True)],
        "L1_KEY_AMBIGUOUS",
        "L1_KEY_AMBIGUOUS",
    ),
    "another algorithm": ([("DES3", None, True, True)], "L1_KEY_UNFIT", "L1_KEY_UNFIT"),
    "a secret of no algorithm": ([("GENERIC_SECRET", 256, True, True)], "L1_KEY_UNFIT", "L1_KEY_UNFIT"),
}


def _make(real_parts: RealParts, keys: list[tuple[str, str, int | None, bool, bool]]) -> None:
    """As the HSM's administrator."""
    environment = {**os.environ, "SOFTHSM2_CONF": str(real_parts.conf)}
    command = [sys.executable, "-c", MADE, str(real_parts.library), str(real_parts.pin_file), json.dumps(keys)]
    subprocess.run(command, env=environment, check=True, timeout=60)


@pytest.mark.parametrize("odd", list(ODD))
async def test_an_odd_key_is_told_as_that_and_hurts_nobody_else(
    opens: Opens, real_parts: RealParts, tenant: str, odd: str
) -> None:
    made, wraps, unwraps = ODD[odd]
    _make(real_parts, [(tenant, *each) for each in made])
    async with opens(timeout=30.0) as hsm:
        await _works(hsm)
        before = _pid(hsm)
        for call, reason in ((hsm.wrap(tenant, bytearray(32)), wraps), (hsm.unwrap(tenant, bytes(40)), unwraps)):
            if not reason:
                await call
                continue
            with pytest.raises(Stalled) as refused:
                await call
            assert refused.value.reason == reason
            await _works(hsm)
        with pytest.raises(Stalled):
            await hsm.wrap("x" * 70_000, bytearray(32))
        assert _pid(hsm) == before
