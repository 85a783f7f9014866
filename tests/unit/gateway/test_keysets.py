"""Key sets: what counts as one, how often an issuer is asked, and that what was fetched stays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.adapters.issuers.key_files import KeyFiles
from gateway.domain.keyset import verifying
from gateway.flow.keysets import KeySet
from runtime.errors import Invalid, Unavailable

ONE = {"kty": "EC", "crv": "P-256", "kid": "1", "x": "a", "y": "b"}
TWO = {**ONE, "kid": "2"}


class Issuer:
    """Answers with `keys`, or not at all; `asked` counts."""

    def __init__(self, keys: Any) -> None:
        self.keys = keys
        self.asked = 0
        self.was_asked = asyncio.Event()

    async def fetch(self) -> Any:
        self.asked += 1
        self.was_asked.set()
        if self.keys is None:
            raise Unavailable("away", reason="ISSUER_AWAY")
        return self.keys


class Shelf:
    def __init__(self, kept: Any = None) -> None:
        self.kept = kept

    def load(self, _name: str) -> Any:
        return self.kept

    def keep(self, _name: str, keys: Any) -> None:
        self.kept = keys


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": []}, {"keys": [{"kty": "oct", "k": "s"}]}])
def test_a_set_without_a_public_key_is_refused(document: Any) -> None:
    with pytest.raises(Invalid) as caught:
        verifying(document)
    assert caught.value.reason == "BAD_KEY_SET"


def test_only_public_halves_of_signing_keys_are_taken() -> None:
    listed = [{**ONE, "d": "secret"}, {**TWO, "use": "enc"}, {"kty": "oct", "k": "s", "kid": "3"}, "no key"]
    assert verifying({"keys": listed}) == {"keys": [ONE]}


async def once(key_set: KeySet, issuer: Issuer, times: int) -> None:
    """Run until the issuer was asked so often."""
    task = asyncio.create_task(key_set.run())
    async with asyncio.timeout(10):
        while issuer.asked < times:
            issuer.was_asked.clear()
            await issuer.was_asked.wait()
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_what_is_unknown_is_asked_for_once_whoever_shows_it_and_how_often() -> None:
    async def go() -> None:
        loop = asyncio.get_running_loop()
        issuer = Issuer({"keys": [ONE]})
        key_set = KeySet("ias", issuer, Shelf(), 3600, 0.2, loop.time)
        task = asyncio.create_task(key_set.run())
        async with asyncio.timeout(10):
            await issuer.was_asked.wait()
            began = loop.time()
            issuer.keys = {"keys": [ONE, TWO]}
            while key_set.keys is None or len(key_set.keys["keys"]) < 2:
                key_set.unknown()
                await asyncio.sleep(0)
            assert loop.time() - began >= 0.2
            assert issuer.asked == 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())


@pytest.mark.parametrize("bad", [None, {"keys": []}])
def test_what_was_kept_stays_while_the_issuer_is_away_or_says_nonsense(bad: Any) -> None:
    async def go() -> None:
        issuer = Issuer(bad)
        key_set = KeySet("ias", issuer, Shelf({"keys": [ONE]}), 3600, 0.01, asyncio.get_running_loop().time)
        await once(key_set, issuer, 3)
        assert key_set.keys == {"keys": [ONE]}

    asyncio.run(go())


def test_the_files_survive_and_a_broken_one_counts_as_none(tmp_path: Any) -> None:
    files = KeyFiles(tmp_path / "keys")
    assert files.load("ias") is None
    files.keep("ias", {"keys": [ONE]})
    assert KeyFiles(tmp_path / "keys").load("ias") == {"keys": [ONE]}
    (tmp_path / "keys" / "ias.json").write_text("{")
    assert files.load("ias") is None
