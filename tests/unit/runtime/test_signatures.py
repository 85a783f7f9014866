"""Signatures: who, what for, of what, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from orbital.v1.signed_pb2 import Signed

from runtime.errors import Denied, Invalid, Unavailable
from runtime.signatures import (
    GATEWAY,
    KNOWN_SECONDS,
    REPORTS,
    TASKS,
    WAIT_SECONDS,
    KeyFile,
    PublicKeys,
    Signer,
    make_key,
    region_identity,
)
from tests.unit.runtime.keys import Keys

EU10 = region_identity("eu10")


async def test_what_was_signed_is_given_back(tmp_path: Path) -> None:
    keys = Keys.make(tmp_path)
    assert await keys.public_keys.verify(keys.gateway.sign(TASKS, b"content"), TASKS, GATEWAY) == b"content"
    assert await keys.public_keys.verify(keys.region.sign(REPORTS, b""), REPORTS, EU10) == b""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (Signed(content=b"other"), "FORGED"),
        (Signed(signature=b"x" * 64), "FORGED"),
        (Signed(signature=b"short"), "FORGED"),
        (Signed(key_id="ffffffffffffffff"), "UNKNOWN_KEY"),
    ],
)
async def test_any_change_is_noticed(tmp_path: Path, change: Signed, reason: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("runtime.signatures.WAIT_SECONDS", 0)
    keys = Keys.make(tmp_path)
    signed = keys.gateway.sign(TASKS, b"content")
    signed.MergeFrom(change)
    with pytest.raises(Denied) as refused:
        await keys.public_keys.verify(signed, TASKS, GATEWAY)
    assert refused.value.reason == reason


async def test_it_counts_for_its_owner_and_purpose_alone(tmp_path: Path) -> None:
    keys = Keys.make(tmp_path)
    signed = keys.region.sign(REPORTS, b"content")
    for purpose, owner, reason in ((TASKS, EU10, "FORGED"), (REPORTS, GATEWAY, "WRONG_SIGNER")):
        with pytest.raises(Denied) as refused:
            await keys.public_keys.verify(signed, purpose, owner)
        assert refused.value.reason == reason
    with pytest.raises(Denied) as refused:
        await keys.public_keys.verify(Signed(content=b"content"), REPORTS, EU10)
    assert refused.value.reason == "UNSIGNED"


async def test_a_key_ends(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "keys.json"
    keys = KeyFile(GATEWAY, (make_key(0.0, 10.0),))
    path.write_bytes(keys.dump())
    signer, public_keys = Signer(path, lambda: now[0]), PublicKeys(fetcher(keys.public()), lambda: now[0])
    signed = signer.sign(TASKS, b"content")
    assert await public_keys.verify(signed, TASKS, GATEWAY)
    now[0] = 10.0
    with pytest.raises(Denied) as refused:
        await public_keys.verify(signed, TASKS, GATEWAY)
    assert refused.value.reason == "KEY_EXPIRED"
    with pytest.raises(Unavailable):
        signer.sign(TASKS, b"content")


def fetcher(table: Mapping[str, Mapping[str, Any]]) -> Any:
    async def fetch() -> Mapping[str, Mapping[str, Any]]:
        return table

    return fetch


def test_rotation_overlaps_and_the_new_key_waits_until_it_is_known() -> None:
    first = KeyFile(GATEWAY, ()).rotated(0.0, life=900.0, lead=30.0)
    assert first.rotated(599.0, 900.0, 30.0) is first
    both = first.rotated(600.0, 900.0, 30.0)
    old, new = both.keys
    assert (old.until, new.start, new.until) == (900.0, 630.0, 1530.0)
    assert both.rotated(700.0, 900.0, 30.0) is both
    assert len(both.public()) == 2
    # An ended key stays known for a while, so that its use is told from that of an unknown one.
    assert old.key_id in both.rotated(1000.0, 900.0, 30.0).public()
    late = both.rotated(old.until + KNOWN_SECONDS, 900.0, 30.0)
    assert old.key_id not in late.public()
    assert late.keys[-1].start == old.until + KNOWN_SECONDS


def test_the_signer_takes_the_newest_key_whose_time_has_come(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "keys.json"
    keys = KeyFile(GATEWAY, (make_key(0.0, 100.0), make_key(50.0, 150.0)))
    path.write_bytes(keys.dump())
    signer = Signer(path, lambda: now[0])
    assert signer.sign(TASKS, b"").key_id == keys.keys[0].key_id
    now[0] = 50.0
    assert signer.sign(TASKS, b"").key_id == keys.keys[1].key_id
    now[0] = 60.0
    path.unlink()
    path.write_bytes(KeyFile(GATEWAY, keys.keys[:1]).dump())
    assert signer.sign(TASKS, b"").key_id == keys.keys[0].key_id


async def test_an_unknown_key_is_fetched_and_waited_for_once(tmp_path: Path, monkeypatch: Any) -> None:
    keys = Keys.make(tmp_path)
    answers: list[Mapping[str, Any]] = [{}, {}, keys.table]
    waited: list[float] = []

    async def fetch() -> Mapping[str, Mapping[str, Any]]:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("runtime.signatures.asyncio.sleep", sleep)
    public_keys = PublicKeys(fetch, lambda: 100.0)
    assert await public_keys.verify(keys.gateway.sign(TASKS, b"content"), TASKS, GATEWAY)
    waited.clear()
    for _ in range(3):
        with pytest.raises(Denied):
            await public_keys.verify(Signed(key_id="x", signature=b"y"), TASKS, GATEWAY)
    assert sum(waited) <= WAIT_SECONDS


async def test_without_keys_nothing_is_refused_and_nothing_passes(tmp_path: Path) -> None:
    async def fetch() -> Mapping[str, Mapping[str, Any]]:
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        await PublicKeys(fetch, lambda: 1.0).verify(Keys.make(tmp_path).gateway.sign(TASKS, b""), TASKS, GATEWAY)


def test_a_broken_key_file_says_nothing_of_what_was_in_it() -> None:
    secret = KeyFile(GATEWAY, (make_key(0.0, 1.0),)).dump()
    with pytest.raises(Invalid) as refused:
        KeyFile.load(secret.replace(b"private", b"privat"))
    assert refused.value.__cause__ is None
    assert len(refused.value.message) < 60


@pytest.mark.parametrize("hours", [-48.0, -2.0, -0.001])
def test_a_clock_that_is_behind_signs_with_the_first_key(tmp_path: Path, hours: float) -> None:
    path, begun = tmp_path / "keys", 1_800_000_000.0
    keys = KeyFile("me", (make_key(begun, begun + 100), make_key(begun + 60, begun + 160)))
    path.write_bytes(keys.dump())
    assert Signer(path, lambda: begun + hours * 3600).sign(TASKS, b"x").key_id == keys.keys[0].key_id
    with pytest.raises(Unavailable):
        Signer(path, lambda: begun + 1000).sign(TASKS, b"x")
