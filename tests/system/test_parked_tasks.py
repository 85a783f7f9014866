"""A task that fails for good on a running stack: parked with its reason while its lane goes on, retried, cancelled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from orbital.v1 import registry_pb2 as registry
from orbital.v1.resource_pb2 import LinkSpec, Resource

from stack.acquire import path as binary
from stack.parts.softhsm import token_label
from tests.system.console.person import log_in
from tests.system.world import ROOT, SECONDS, World, eventually, tenancy

REGION = "eu10"
# As the HSM's administrator: a key that wraps nothing is made, or every key of that label is destroyed.
KEYS = """
import sys, pkcs11
from pkcs11 import Attribute, KeyType, MechanismFlag
library, token, pin_file, label, action = sys.argv[1:]
with pkcs11.lib(library).get_token(token_label=token).open(rw=True, user_pin=open(pin_file).read().strip()) as session:
    if action == "make":
        template = {Attribute.TOKEN: True, Attribute.WRAP: False, Attribute.UNWRAP: True}
        session.generate_key(KeyType.AES, 256, label=label, store=True, template=template)
    else:
        for key in list(session.get_objects({Attribute.LABEL: label})):
            key.destroy()
"""


def keys(world: World, tenant: str, action: str) -> None:
    library = next(binary("softhsm").glob("usr/lib/**/libsofthsm2.so"))
    conf = world.place / f"softhsm-{REGION}" / "softhsm2.conf"
    told = [
        str(library),
        token_label(REGION),
        str(world.place / "secrets" / f"hsm-{REGION}-pin"),
        label(tenant),
        action,
    ]
    environment = {**os.environ, "SOFTHSM2_CONF": str(conf)}
    subprocess.run([sys.executable, "-c", KEYS, *told], env=environment, cwd=ROOT, check=True, timeout=60)


def label(tenant: str) -> str:
    return f"{tenant}-unfit"


@contextmanager
def unfit(world: World, tenant: str) -> Iterator[None]:
    """The L1 key of this tenant is there, and of no use."""
    keys(world, tenant, "make")
    try:
        yield
    finally:
        keys(world, tenant, "destroy")


def poisoned(tenant: str) -> list[Resource]:
    """A tenancy whose one Link names that key."""
    found = tenancy(tenant)
    found[-1] = Resource(name=found[-1].name, link=LinkSpec(system="s0", provider="hsm", key=label(tenant)))
    return found


def parked(world: World, tenant: str) -> list[dict[str, str]]:
    ended = world.orbital("get", "tasks", "--parked", "--tenant", tenant, "-o", "json")
    return json.loads(ended.stdout) if ended.returncode == 0 else []


def job(world: World, change: str) -> registry.Job:
    with world.registry() as stub:
        return next(iter(stub.WatchJob(registry.WatchJobRequest(correlation_id=change), timeout=SECONDS)))


def until_parked(world: World, tenant: str) -> dict[str, str]:
    (found,) = eventually(lambda: parked(world, tenant) or None, 120, f"a task of {tenant} is parked")
    return found


def test_a_task_that_fails_for_good_is_parked_cancelled_and_retried_once_it_was_mended(world: World) -> None:
    """In one: until it is parked, a task has been tried for a minute."""
    with unfit(world, "parked"):
        change, task = _parked(world)
        _retried_in_vain(world, task)
        _cancelled(world, change, task)
        _mended(world, change, task)


def _parked(world: World) -> tuple[str, dict[str, str]]:
    change = world.declare(poisoned("parked"))
    task = until_parked(world, "parked")
    assert (task["state"], task["reason"], task["region"]) == ("parked", "L1_KEY_UNFIT", REGION)
    assert label("parked") in task["message"]
    assert task["retry_at"] > task["updated_at"]
    seen_in_the_console(world, task)
    (part,) = job(world, change).regions
    assert (part.region, part.behind, part.parked, part.reason) == (REGION, 1, 1, "L1_KEY_UNFIT")
    late = world.orbital("wait", change, "--timeout", "2s")
    assert late.returncode == 7
    assert f"{REGION}: parked: L1_KEY_UNFIT".encode() in late.stderr
    # Its lane goes on.
    world.declare(tenancy("lively"))
    world.converged(tenant="lively")
    return change, task


def _retried_in_vain(world: World, task: dict[str, str]) -> None:
    """One more try, and it is parked again."""
    assert world.orbital("retry", task["id"][:8], "--reason", "who knows").returncode == 0
    again = eventually(
        lambda: next((one for one in parked(world, "parked") if one["updated_at"] > task["updated_at"]), None),
        60,
        "it is parked again",
    )
    assert again["id"] == task["id"]


def _cancelled(world: World, change: str, task: dict[str, str]) -> None:
    assert world.orbital("cancel", task["id"], "--reason", "the customer left", "--yes").returncode == 0

    def cancelled() -> registry.Placement | None:
        chosen = registry.PlacementFilter(tenant="parked", drifting_only=True)
        with world.registry() as stub:
            found = stub.ListPlacements(registry.ListPlacementsRequest(filter=chosen), timeout=SECONDS).placements
            tasks = stub.ListTasks(registry.ListTasksRequest(correlation_id=change), timeout=SECONDS).tasks
        states = {one.id: one.state for one in tasks}
        return found[0] if states[task["id"]] == registry.TASK_STATE_CANCELLED else None

    placement = eventually(cancelled, 60, "the region says that it has forgotten the task")
    assert placement.reason == "CANCELLED"
    assert "the customer left" in placement.message
    assert not parked(world, "parked")


def _mended(world: World, change: str, task: dict[str, str]) -> None:
    """It is wanted after all."""
    keys(world, "parked", "destroy")
    assert world.orbital("retry", task["id"], "--reason", "the key was mended").returncode == 0
    world.converged(tenant="parked")
    assert job(world, change).state == registry.JOB_STATE_CONVERGED
    assert not parked(world, "parked")


def seen_in_the_console(world: World, task: dict[str, str]) -> None:
    """The page of a parked task says why, refuses a form that is not filled in, and is where a login anew leads."""
    person, path = log_in(world.place, "operator"), f"/parked/{task['id']}"
    shown = person.at(path)
    assert shown.status_code == 200
    assert task["reason"] in shown.text
    fields = {"form": person.field(path), "do": "cancel", "reason": "x", "name": "not this"}
    refused = person.submit(path, fields)
    assert refused.status_code == 400
    assert "Nothing was done" in refused.text
    assert person.at("/parked/" + "0" * 32).status_code == 404
    assert person.at(f"/step-up?next={path}").headers["Location"] == f"/fresh?next={path}"


def test_only_an_operator_retries_or_cancels(world: World) -> None:
    for verb, extra in (("retry", ()), ("cancel", ("--yes",))):
        ended = world.orbital(verb, "0" * 32, "--reason", "x", "--as", "auditor", *extra)
        assert ended.returncode != 0
        assert b"auditor" in ended.stderr or b"operator" in ended.stderr
