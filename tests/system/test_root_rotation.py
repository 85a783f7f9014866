"""The root of trust is rotated under load: nobody notices, and what the old root vouched for is refused at the end."""

import asyncio
import json
import shutil
import signal
import ssl
import uuid
from pathlib import Path

import aiormq
import grpc
import pytest
from orbital.v1 import registry_pb2 as registry

from runtime.errors import Precondition
from runtime.rpc import OPTIONS
from stack import api
from stack.context import StackContext
from stack.estate import regions_of
from stack.identity.roots import Phase
from stack.layout import Layout
from stack.rotation import Rotation
from stack.settings import load_settings
from tests.system.load import Load, loaded, paths_lost, shown
from tests.system.test_broker_policy import broker_context, enters, url
from tests.system.test_identities import UNAVAILABLE
from tests.system.test_proofs import verify
from tests.system.world import REGIONS, SECONDS, World, eventually, refused, tenancy

FROZEN = "envoy-edge-eu10"


def rotation(world: World) -> Rotation:
    """What `orbital authority` drives."""
    settings = load_settings()
    return Rotation(
        StackContext(Layout.of(world.place), settings, world.state.ports, regions_of(settings, world.state))
    )


def advance(rotating: Rotation, to: Phase) -> None:
    assert rotating.advance() is to
    eventually(lambda: rotating.status().behind == {} or None, 60, "nobody is behind")
    assert rotating.status().phase is to


def proof_of_a_kill(world: World, file: Path) -> str:
    """A proof in which every region has its part."""
    tenant = f"trust-{uuid.uuid4().hex[:8]}"
    world.declare(tenancy(tenant, services=0))
    world.converged(tenant=tenant)
    with world.registry() as stub:
        request = registry.KillRequest(tenant=tenant, reason="to be proved", request_id=uuid.uuid4().hex)
        killed: str = stub.Kill(request, timeout=SECONDS).correlation_id
    world.converged(tenant=tenant)
    eventually(lambda: world.orbital("proof", killed, "-f", str(file)).returncode == 0 or None, 120, "a whole proof")
    return killed


def goes_on(load: Load) -> None:
    made = load.calls.total()
    eventually(lambda: load.calls.total() > made + 40 or None, 180, "calls go on")
    assert load.failures == []


def refuses_early(world: World, rotating: Rotation) -> None:
    """A server that does not answer may believe the old root alone: the next phase has to wait for it."""
    before = rotating.status().phase
    api.kill(world.place, FROZEN, signal.SIGSTOP)
    try:
        with pytest.raises(Precondition, match="edge-eu10-crypto does not answer") as early:
            rotating.advance()
        said = rotating.status()
    finally:
        api.kill(world.place, FROZEN, signal.SIGCONT)
    assert early.value.reason == "NOT_YET"
    assert (said.phase, list(said.behind)) == (before, ["edge-eu10-crypto"])


def through_all_phases(world: World, load: Load) -> None:
    rotating = rotation(world)
    advance(rotating, Phase.TRUSTING)
    assert len(rotating.status().trusted) == 2
    goes_on(load)
    refuses_early(world, rotating)
    before = shown(world)
    advance(rotating, Phase.REISSUING)
    assert shown(world) != before
    goes_on(load)
    refuses_early(world, rotating)
    advance(rotating, Phase.SETTLED)
    assert len(rotating.status().trusted) == 1
    goes_on(load)


def every_door_is_shut(world: World, old: Path) -> None:
    """To whoever shows a certificate of the old root, which has not expired."""
    key, certificate = ((old / name).read_bytes() for name in ("key.pem", "cert.pem"))
    authority = (world.place / "identity" / "ca.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    for address in (world.state.gateway.mtls, *(world.state.regions[region].crypto for region in REGIONS)):
        with grpc.secure_channel(address, credentials, options=OPTIONS) as channel:
            # What is refused is the connection: no method of any service is reached.
            error = refused(lambda channel=channel: channel.unary_unary("/x/x")(b"", timeout=SECONDS))  # type: ignore[misc]
        assert error.code() is UNAVAILABLE
    context = broker_context(world, None)
    context.load_cert_chain(old / "cert.pem", old / "key.pem")
    # The broker looks at its files every two seconds.
    eventually(lambda: None if asyncio.run(lets_in(world, context)) else True, 30, "the broker is shut")
    assert asyncio.run(enters(world, "eu10"))


async def lets_in(world: World, context: ssl.SSLContext) -> bool:
    try:
        connection = await aiormq.connect(url(world), context=context)
    except (aiormq.exceptions.AMQPError, OSError):
        return False
    await connection.close()
    return True


@pytest.mark.timeout(1200)
def test_the_root_changes_under_load_and_no_call_fails(world: World, tmp_path: Path) -> None:
    file, old_ca, old = tmp_path / "proof.json", tmp_path / "old.pem", tmp_path / "old"
    killed = proof_of_a_kill(world, file)
    shutil.copyfile(world.place / "identity" / "ca.pem", old_ca)
    shutil.copytree((world.place / "identity" / "eu10" / "current").resolve(), old)
    with loaded(world, "trusting") as load:
        lost = paths_lost(world)
        through_all_phases(world, load)
    assert load.failures == []
    assert paths_lost(world) == lost
    every_door_is_shut(world, old)
    told = json.loads(world.orbital("authority", "status", "-o", "json").stdout)
    assert (told["phase"], told["behind"], len(told["trusted"])) == ("settled", {}, 1)

    # What was signed under the old root is proved by it, and by the history; not by what is believed now.
    assert verify(file, str(old_ca)).returncode == 0
    assert verify(file, str(world.place / "identity" / "history.pem")).returncode == 0
    assert verify(file, str(world.place / "identity" / "ca.pem")).returncode == 10
    # The gateway still signs, by a client of OpenBao that was opened before; and its trail is whole.
    assert world.orbital("proof", killed, "-f", str(tmp_path / "again")).returncode == 0
    trail = world.orbital("audit", "verify")
    assert trail.returncode == 0, trail.stderr
    assert world.orbital("region", "enrol", "eu10", "--to", str(tmp_path / "token")).returncode == 0
