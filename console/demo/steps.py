"""The steps, in order. Each does one thing, checks that it holds, and says in a line what it shows."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPSConnection
from urllib.parse import urlsplit
from uuid import uuid4

from orbital.v1.registry_pb2 import CHANGE_ACTION_NONE, KillRequest

from console.cli.moments import elapsed
from console.cli.rows import Row
from console.demo.edge import edge, first_refusal
from console.demo.keys import disabled, prove, two_providers
from console.demo.paths import all_at_once, each_its_own
from console.demo.replay import in_sequence
from console.demo.world import PATIENCE, POLL, NotHeld, World, expect, until
from runtime.errors import OrbitalError, Unavailable

CHANGES = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the demonstration; `show` returns what to print, or raises NotHeld or OrbitalError."""

    title: str
    show: Callable[[World], str]


def apply_estate(world: World) -> str:
    """Declare the estate and wait until both regions hold all of it."""
    response = world.declare(world.estate)
    job = world.converge(response.correlation_id) if response.correlation_id else None
    placements = world.rows("placements")
    behind = [row for row in placements if row["state"] != "converged"]
    expect(bool(placements), "no placement exists")
    expect(not behind, f"{len(behind)} of {len(placements)} placements are behind")
    expect(all(row["observed_generation"] == row["desired_generation"] for row in placements), "generations differ")
    regions = ", ".join(sorted({row["region"] for row in placements}))
    converged = f"; {job.converged} converged in this change" if job else ""
    return f"{len(world.estate)} resources, {len(placements)} placements in {regions}{converged}"


def apply_again(world: World) -> str:
    """Declare the same estate once more: nothing may change, and no task may be made."""
    before = len(world.rows("tasks"))
    response = world.declare(world.estate)
    expect(not response.correlation_id, "the same estate made a new change")
    expect(len(response.changes) == len(world.estate), "not every resource of the estate was looked at")
    expect(all(one.action == CHANGE_ACTION_NONE for one in response.changes), "the same estate changes something")
    after = len(world.rows("tasks"))
    expect(before == after, f"{after - before} tasks were made")
    return f"nothing changed, still {after} tasks"


def wrap_and_unwrap(world: World) -> str:
    """Wrap a data key under a Service in each of its regions, and unwrap it again."""
    regions = world.regions_of(world.service)
    expect(len(regions) > 1, f"{world.service} is placed in {len(regions)} region(s)")
    versions = [f"{region} v{world.wrap(world.service, region)}" for region in regions]
    for region in regions:
        world.unwrap(world.service, region)
    return f"{world.service}: {', '.join(versions)}, unwrapped to the same bytes"


def rotate(world: World) -> str:
    """Rotate the Service's key and its System's: the old ciphertext still unwraps, new ones have a new version."""
    tenant, system, name = world.service.split("/")
    scope = world.resource(f"tenants/{tenant}/systems/{system}")
    service = world.resource(f"{scope.name}/services/{name}")
    scope.system.key_version += 1
    service.service.key_version += 1
    before = {region: world.unwrap(world.service, region) for region in world.regions_of(world.service)}
    response = world.declare([scope, service])
    expect(bool(response.correlation_id), "raising the key versions changed nothing")
    world.converge(response.correlation_id)
    told = []
    for region, version in before.items():
        old = world.unwrap(world.service, region)
        seconds = _wraps_anew(world, region, version)
        told.append(f"{region} wraps with v{version + 1} after {elapsed(seconds)} (old ciphertext unwraps: v{old})")
    return ", ".join(told)


def _wraps_anew(world: World, region: str, version: int) -> float:
    """Wait until the region wraps with a newer version: what serves keeps an L3 for a few seconds."""
    return until(lambda: world.wrap(world.service, region) > version, lambda: f"{region} still wraps with v{version}")


def cut(world: World) -> str:
    """Cut a region's path to the gateway; it goes on unwrapping."""
    world.stack.cut(world.away)
    seconds = until(lambda: not _connected(world), lambda: f"{world.away} is still shown connected")
    version = world.unwrap(world.service, world.away)
    return f"{world.away} shown as away after {elapsed(seconds)}, still unwraps (v{version})"


def change_meanwhile(world: World) -> str:
    """Change things that live in both regions: one converges, the other falls behind and says so."""
    tenant = world.service.split("/")[0]
    shared = [one for one in world.estate if one.name.startswith(f"tenants/{tenant}/systems/")]
    for turn in range(1, CHANGES + 1):
        changed = [world.resource(one.name) for one in shared]
        for one in changed:
            one.labels["turn"] = str(turn)
            if turn == CHANGES and one.HasField("service"):
                one.service.key_version += 1
        world.missed.append(world.declare(changed).correlation_id)
    expect(len(world.missed) >= CHANGES and all(world.missed), "a change was not taken")

    def behind(region: str) -> int:
        rows = world.rows("placements", tenant=tenant, region=region)
        return sum(row["state"] != "converged" for row in rows)

    near = [row["name"] for row in world.rows("regions") if row["name"] != world.away]
    for region in near:
        until(lambda here=region: not behind(here), lambda here=region: f"{here} is behind")  # type: ignore[misc]
    late = behind(world.away)
    expect(late > 0, f"{world.away} is not behind although it is cut off")
    version = world.unwrap(world.service, world.away)
    return f"{CHANGES} changes; {', '.join(near)} converged, {world.away} behind by {late}, still unwraps (v{version})"


def heal(world: World) -> str:
    """Open the path again: what the region missed arrives by itself, in sequence."""
    begun = time.monotonic()
    world.stack.heal(world.away)
    # Of changes of the same resources the last one is brought about; what it took over of the others says so.
    for correlation_id in world.missed[:-1]:
        world.ended(correlation_id)
    world.converge(world.missed[-1])
    seconds = time.monotonic() - begun
    behind = [row for row in world.rows("placements", region=world.away) if row["state"] != "converged"]
    expect(not behind, f"{len(behind)} placements are still behind")
    counted = in_sequence(world, world.missed, world.away)
    old = world.unwrap(world.service, world.away)
    taken = _wraps_anew(world, world.away, old)
    world.traced = world.missed[-1]
    return f"caught up in {elapsed(seconds)}: {counted}; wraps with v{old + 1} {elapsed(taken)} later"


def kill(world: World) -> str:
    """Kill a tenant: every region refuses its unwraps, and the time that took is measured there."""
    regions = world.regions_of(world.victim)
    expect(bool(regions), f"{world.victim} is placed nowhere")
    for region in regions:
        world.wrap(world.victim, region)
        world.unwrap(world.victim, region)
    begun = time.monotonic()
    with ThreadPoolExecutor(2 * len(regions)) as pool:
        edges = [pool.submit(first_refusal, world, world.victim, region) for region in regions]
        refusals = [pool.submit(_refused, world, region, begun) for region in regions]
        request = KillRequest(
            tenant=world.victim.split("/")[0], reason="Shown by the demonstration", request_id=uuid4().hex
        )
        response = world.connection.call(world.connection.registry.Kill, request)
        confirmed = time.monotonic()
        took = [refusal.result() for refusal in refusals]
        at_edges = [max(0.0, refusal.result() - confirmed) for refusal in edges]
    world.converge(response.correlation_id)
    world.traced = response.correlation_id
    told = ", ".join(f"{region} {elapsed(seconds)}" for region, seconds in zip(regions, took, strict=True))
    beyond = ", ".join(f"{region} {elapsed(seconds)}" for region, seconds in zip(regions, at_edges, strict=True))
    return f"{request.tenant} refused in every region after: {told}; at the edges, from the confirmation: {beyond}"


def _refused(world: World, region: str, begun: float) -> float:
    while time.monotonic() - begun < PATIENCE:
        try:
            world.unwrap(world.victim, region)
        except Unavailable as error:
            raise NotHeld(f"{region} does not answer, which is no revocation: {error.message}") from error
        except OrbitalError:
            return time.monotonic() - begun
        time.sleep(POLL)
    raise NotHeld(f"{region} still unwraps after {PATIENCE:.0f} s")


def seal(world: World) -> str:
    """Seal a region's OpenBao: its checker flags it, policy holds what can wait; open it, and both are gone."""
    region = world.away
    begun = time.monotonic()
    correlation_id = world.stack.seal(region)
    raised = until(lambda: bool(_flags(world, region)), lambda: f"no flag of {region}")
    flag = _flags(world, region)[0]
    expect(flag["reason"] == "OPENBAO_SEALED", f"the flag of {region} says {flag['reason']}")
    expect(flag["correlation_id"] == correlation_id, "the flag does not name the action that sealed it")
    until(lambda: bool(_region(world, region)["held_lanes"]), lambda: f"no lane of {region} is held")
    status = _region(world, region)["status"]
    expect(status == "out_of_sync", f"{region} is shown as {status}")
    shown = time.monotonic() - begun
    world.stack.unseal(region)
    opened = time.monotonic()
    until(lambda: not world.rows("flags", region=region), lambda: f"{region} keeps a flag")
    cleared = time.monotonic() - opened
    until(lambda: not _region(world, region)["held_lanes"], lambda: f"a lane of {region} is still held")
    world.unwrap(world.service, region)
    told = f"flagged {flag['reason']} after {elapsed(raised)}, lane 2 held ({elapsed(shown)})"
    return f"{region}: {told}; open again, cleared after {elapsed(cleared)}"


def _flags(world: World, region: str) -> list[Row]:
    return [row for row in world.rows("flags", region=region) if row["component"] == "openbao"]


def _region(world: World, name: str) -> Row:
    return next(row for row in world.rows("regions") if row["name"] == name)


def others_live(world: World) -> str:
    """Everybody else is untouched by the kill."""
    regions = world.regions_of(world.service)
    versions = [f"{region} v{world.unwrap(world.service, region)}" for region in regions]
    denials, letters = len(world.rows("denials")), len(world.rows("deadletters"))
    expect(letters == 0, f"{letters} messages were dead-lettered")
    return f"{world.service} still unwraps ({', '.join(versions)}); {denials} denials, no dead letter"


def _connected(world: World) -> bool:
    return bool(next(row["connected"] for row in world.rows("regions") if row["name"] == world.away))


def browse(world: World) -> str:
    """The console answers, and lets nobody in who has not logged in."""
    told = world.connection.state["console"]
    trust = ssl.create_default_context(cadata=world.connection.authority.decode())
    where = urlsplit(told["address"])
    connection = HTTPSConnection(where.netloc, context=trust, timeout=10)
    try:
        connection.request("GET", "/fleet")
        answer = connection.getresponse()
    finally:
        connection.close()
    expect(answer.status == HTTPStatus.FOUND, f"{told['address']} answers {answer.status} to whoever did not log in")
    pages = "/fleet for what was sealed, /kill for the proof, /changes for the traces"
    return f"{told['address']} as officer (password in {told['passwords']['officer']}): {pages}"


# With a third region.
THREE = (Step("A path for each region", each_its_own), Step("Every path at once", all_at_once))

STEPS = (
    Step("Apply the estate", apply_estate),
    Step("Apply it again", apply_again),
    Step("Wrap and unwrap", wrap_and_unwrap),
    Step("Two L1 providers", two_providers),
    Step("A customer disables its L1", disabled),
    Step("Rotate a key", rotate),
    Step("Cut a region off", cut),
    Step("Change things meanwhile", change_meanwhile),
    Step("Heal it", heal),
    Step("Freeze a tenant at an edge", edge),
    Step("Kill a tenant", kill),
    Step("Prove it", prove),
    Step("Everybody else", others_live),
    Step("Seal a region's OpenBao", seal),
    Step("Look at it in a browser", browse),
)
