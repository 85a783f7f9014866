"""A region's stores are restored from copies of before a kill, each alone and together: the kill holds."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from orbital.v1 import registry_pb2 as registry
from orbital.v1.crypto_pb2 import WrapRequest

from stack import api
from tests.system.flags import Record, flags
from tests.system.world import SECONDS, World, eventually, retried, tenancy

REGION = "eu10"
PROCESSES = (f"region-{REGION}-immediate", f"region-{REGION}-bulk")
OPENBAO = f"openbao-{REGION}"
PLACES = {"openbao": ("openbao",), "journal": ("journal",), "both": ("openbao", "journal")}


@contextmanager
def stopped(world: World) -> Iterator[None]:
    """The region's processes and its OpenBao are down inside the block, and ready after it."""
    parts = (*PROCESSES, OPENBAO)
    before = {part: world.state.parts[part].pid for part in parts}
    for part in parts:
        api.hold(world.place, part)
    try:
        yield
    finally:
        for part in reversed(parts):
            api.release(world.place, part)
        for part in reversed(parts):
            api.wait_ready(world.place, part, after=before[part], seconds=90)


def journals(world: World) -> list[Path]:
    return sorted(
        file for role in ("immediate", "bulk") for file in (world.place / f"region-{REGION}").glob(f"{role}.db*")
    )


def copied(world: World, to: Path) -> None:
    shutil.copytree(world.place / OPENBAO / "raft", to / "raft")
    (to / "journals").mkdir()
    for file in journals(world):
        shutil.copy2(file, to / "journals")


def restored(world: World, kept: Path, places: tuple[str, ...]) -> None:
    if "openbao" in places:
        shutil.rmtree(world.place / OPENBAO / "raft")
        shutil.copytree(kept / "raft", world.place / OPENBAO / "raft")
    if "journal" in places:
        for file in journals(world):
            file.unlink()
        for file in (kept / "journals").iterdir():
            shutil.copy2(file, world.place / f"region-{REGION}")


def wrap(world: World, tenant: str) -> str:
    """Empty when it was wrapped, the refusal otherwise."""
    with world.crypto(REGION) as stub:
        try:
            stub.Wrap(WrapRequest(tenant=tenant, system="s0", service="v0", plaintext=b"L4"), timeout=SECONDS)
        except grpc.RpcError as error:
            return error.details() or str(error.code())
    return ""


def back(world: World) -> set[str]:
    """What flags say that went back."""
    found = [flag for flag in flags(world).values() if flag.reason == "STATE_WENT_BACK"]
    return {item.value for flag in found for item in flag.evidence if item.name == "went_back"}


@pytest.mark.timeout(600)
def test_copies_of_both_stores_of_before_a_kill_serve_nobody_that_was_killed(
    world: World, tmp_path: Path, measured: Record
) -> None:
    """Each store alone takes as long again, and is tried by the soak suite."""
    restores(world, tmp_path, measured, "both")


def restores(world: World, tmp_path: Path, measured: Record, what: str) -> None:
    killed, bystander = f"back-{what}", f"by-{what}"
    world.declare([*tenancy(killed), *tenancy(bystander)])
    world.converged(tenant=killed)
    world.converged(tenant=bystander)
    assert wrap(world, killed) == ""
    with stopped(world):
        copied(world, tmp_path)
    eventually(lambda: True if wrap(world, killed) == "" else None, 60, "the region serves again")

    def kill() -> None:
        with world.registry() as stub:
            stub.Kill(registry.KillRequest(tenant=killed, reason="breach"), timeout=SECONDS)

    retried(kill)
    world.converged(tenant=killed)
    assert wrap(world, killed) != ""
    assert world.key_material(REGION, killed)["transit"] == []

    with stopped(world):
        restored(world, tmp_path, PLACES[what])
    began, flagged, served = time.monotonic(), set[str](), False
    while time.monotonic() - began < 90 and not (served and flagged):
        assert wrap(world, killed) != "", f"served after {time.monotonic() - began:.1f} s"
        served = served or wrap(world, bystander) == ""
        flagged |= back(world)
        time.sleep(0.05)
    measured("served again", time.monotonic() - began)
    assert served
    assert flagged, "a flag names what went back"
    assert set(PLACES[what]) <= {place for names in flagged for place in names.split(",")}
    world.converged(tenant=killed)
    assert world.key_material(REGION, killed)["transit"] == []
    assert wrap(world, killed) != ""
    eventually(lambda: None if back(world) else True, 120, "the flag is lowered")
