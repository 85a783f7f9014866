"""PostgreSQL is restored from a copy of before a kill: the kill holds, what is declared later takes effect."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from orbital.v1 import registry_pb2 as registry
from orbital.v1.resource_pb2 import LinkState, Resource, TenantState

from stack import api
from stack.layout import Layout
from tests.system.flags import Record
from tests.system.test_restored_region import back, wrap
from tests.system.world import SECONDS, World, eventually, retried, tenancy

# Heads are signed every four seconds and handed over with each beat.
HEADS_KNOWN = 9.0
NAMED = uuid.uuid4().hex[:6]
KILLED, BYSTANDER, LATE = f"lost-{NAMED}", f"by-{NAMED}", f"late-{NAMED}"


@contextmanager
def postgres_stopped(world: World) -> Iterator[Path]:
    """PostgreSQL is down inside the block, whose value is its directory, and ready after it."""
    before = world.state.parts["postgres"].pid
    layout = Layout.of(world.place)
    pointer = layout.postgres_pointer
    cluster = Path(pointer.read_text().strip()) if pointer.exists() else layout.part("postgres")
    api.hold(world.place, "postgres")
    try:
        yield cluster
    finally:
        api.release(world.place, "postgres")
        api.wait_ready(world.place, "postgres", after=before, seconds=120)


def kill(world: World, tenant: str) -> registry.KillResponse:
    def call() -> registry.KillResponse:
        with world.registry() as stub:
            return stub.Kill(registry.KillRequest(tenant=tenant, reason="breach"), timeout=SECONDS)

    return retried(call)


def stored(world: World, name: str) -> Resource:
    def call() -> Resource:
        with world.registry() as stub:
            return stub.GetResource(registry.GetResourceRequest(name=name), timeout=SECONDS)

    return retried(call)


def lose(world: World, copy: Path) -> dict[str, int]:
    """Have changes and kills after a copy of the database; gives the generations that were lost with them."""
    with postgres_stopped(world) as cluster:
        shutil.copytree(cluster, copy, symlinks=True)
    for number in range(4):
        world.declare(tenancy(BYSTANDER, step=f"lost{number}"))
    world.declare(tenancy(LATE))
    world.converged(tenant=BYSTANDER)
    world.converged(tenant=LATE)
    kill(world, KILLED)
    kill(world, LATE)
    lost = {name: max(p.observed_generation for p in world.converged(tenant=name)) for name in (KILLED, BYSTANDER)}
    time.sleep(HEADS_KNOWN)
    return lost


def restore(world: World, copy: Path) -> None:
    """Put the copy in the place of the database."""
    with postgres_stopped(world) as cluster:
        owner = cluster.stat()
        shutil.rmtree(cluster)
        shutil.copytree(copy, cluster, symlinks=True)
        shutil.chown(cluster, owner.st_uid, owner.st_gid)
        for file in cluster.rglob("*"):
            shutil.chown(file, owner.st_uid, owner.st_gid)


def is_made_whole(world: World, lost: dict[str, int], measured: Record) -> None:
    """The regions have what was lost desired again; nothing that was revoked is served meanwhile."""
    began = time.monotonic()
    # At once, before anybody has told the control plane anything.
    world.declare(tenancy(BYSTANDER, step="after"))

    def adopted() -> bool | None:
        assert wrap(world, KILLED) != ""
        return (stored(world, f"tenants/{KILLED}").tenant.state == TenantState.TENANT_STATE_KILLED) or None

    eventually(adopted, 60, "the lost kill is desired again")
    measured("the lost kill is adopted", time.monotonic() - began)

    def flagged() -> bool | None:
        return "control_plane" in {place for names in back(world) for place in names.split(",")} or None

    eventually(flagged, 60, "a flag says that the control plane went back")
    for tenant in (KILLED, BYSTANDER):
        for placement in world.converged(tenant=tenant):
            assert placement.desired_generation == placement.observed_generation
    measured("all converged", time.monotonic() - began)
    for tenant, generation in lost.items():
        assert stored(world, f"tenants/{tenant}").generation > generation
    assert wrap(world, BYSTANDER) == ""
    assert stored(world, f"tenants/{KILLED}/links/s0").link.state == LinkState.LINK_STATE_UNLINKED


def takes_changes(world: World, proof_file: Path) -> None:
    """A declaration and a kill afterwards have their effect everywhere."""
    # The declaration brings a task to every region that carries its own label.
    correlation = world.declare(tenancy(BYSTANDER, step="last"))
    world.converged(tenant=BYSTANDER)
    trace = world.orbital("trace", correlation)
    assert trace.returncode == 0, trace.stderr
    # Killed under a name that the copy did not know: declared anew it is killed, and a kill afterwards has its effect.
    world.declare([one for one in tenancy(LATE) if not one.HasField("link")])
    assert stored(world, f"tenants/{LATE}").tenant.state == TenantState.TENANT_STATE_KILLED
    again = kill(world, BYSTANDER)
    world.converged(tenant=BYSTANDER)
    assert wrap(world, BYSTANDER) != ""
    proof = world.orbital("proof", again.correlation_id, "--file", str(proof_file))
    assert proof.returncode == 0, proof.stderr


def is_in_the_trail(world: World) -> None:
    """The audit trail says what happened, and whoever verifies it is told."""
    told = world.orbital("audit", "verify")
    assert told.returncode == 10, told.stdout
    assert b"The database was restored from a backup" in told.stderr + told.stdout
    listed = world.orbital("audit", "list", "--limit", "2000", "-o", "json").stdout
    assert b'"went_back"' in listed
    assert b"revoked in " in listed


@pytest.mark.timeout(900)
def test_a_restored_database_undoes_no_revocation_and_takes_every_declaration(
    world: World, tmp_path: Path, measured: Record
) -> None:
    for tenant in (KILLED, BYSTANDER):
        world.declare(tenancy(tenant))
        world.converged(tenant=tenant)
    lost = lose(world, tmp_path / "copy")
    restore(world, tmp_path / "copy")
    is_made_whole(world, lost, measured)
    takes_changes(world, tmp_path / "proof.json")
    is_in_the_trail(world)
