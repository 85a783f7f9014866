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
from console.demo.state import PATIENCE, POLL, Demo, NotHeld, expect, until
from runtime.errors import OrbitalError, Unavailable

CHANGES = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the demonstration; `show` returns what to print, or raises NotHeld or OrbitalError."""

    title: str
    show: Callable[[Demo], str]


def apply_estate(demo: Demo) -> str:
    """Declare the estate and wait until both regions hold all of it."""
    response = demo.declare(demo.estate)
    job = demo.converge(response.correlation_id) if response.correlation_id else None
    placements = demo.rows("placements")
    behind = [row for row in placements if row["state"] != "converged"]
    expect(bool(placements), "no placement exists")
    expect(not behind, f"{len(behind)} of {len(placements)} placements are behind")
    expect(all(row["observed_generation"] == row["desired_generation"] for row in placements), "generations differ")
    regions = ", ".join(sorted({row["region"] for row in placements}))
    converged = f"; {job.converged} converged in this change" if job else ""
    return f"{len(demo.estate)} resources, {len(placements)} placements in {regions}{converged}"


def apply_again(demo: Demo) -> str:
    """Declare the same estate once more: nothing may change, and no task may be made."""
    before = len(demo.rows("tasks"))
    response = demo.declare(demo.estate)
    expect(not response.correlation_id, "the same estate made a new change")
    expect(len(response.changes) == len(demo.estate), "not every resource of the estate was looked at")
    expect(all(one.action == CHANGE_ACTION_NONE for one in response.changes), "the same estate changes something")
    after = len(demo.rows("tasks"))
    expect(before == after, f"{after - before} tasks were made")
    return f"nothing changed, still {after} tasks"


def wrap_and_unwrap(demo: Demo) -> str:
    """Wrap a data key under a Service in each of its regions, and unwrap it again."""
    regions = demo.regions_of(demo.service)
    expect(len(regions) > 1, f"{demo.service} is placed in {len(regions)} region(s)")
    versions = [f"{region} v{demo.wrap(demo.service, region)}" for region in regions]
    for region in regions:
        demo.unwrap(demo.service, region)
    return f"{demo.service}: {', '.join(versions)}, unwrapped to the same bytes"


def rotate(demo: Demo) -> str:
    """Rotate the Service's key and its System's: the old ciphertext still unwraps, new ones have a new version."""
    tenant, system, name = demo.service.split("/")
    scope = demo.resource(f"tenants/{tenant}/systems/{system}")
    service = demo.resource(f"{scope.name}/services/{name}")
    scope.system.key_version += 1
    service.service.key_version += 1
    before = {region: demo.unwrap(demo.service, region) for region in demo.regions_of(demo.service)}
    response = demo.declare([scope, service])
    expect(bool(response.correlation_id), "raising the key versions changed nothing")
    demo.converge(response.correlation_id)
    told = []
    for region, version in before.items():
        old = demo.unwrap(demo.service, region)
        seconds = _wraps_anew(demo, region, version)
        told.append(f"{region} wraps with v{version + 1} after {elapsed(seconds)} (old ciphertext unwraps: v{old})")
    return ", ".join(told)


def _wraps_anew(demo: Demo, region: str, version: int) -> float:
    """Wait until the region wraps with a newer version: what serves keeps an L3 for a few seconds."""
    return until(lambda: demo.wrap(demo.service, region) > version, lambda: f"{region} still wraps with v{version}")


def cut(demo: Demo) -> str:
    """Cut a region's path to the gateway; it goes on unwrapping."""
    demo.stack.cut(demo.away)
    seconds = until(lambda: not _connected(demo), lambda: f"{demo.away} is still shown connected")
    version = demo.unwrap(demo.service, demo.away)
    return f"{demo.away} shown as away after {elapsed(seconds)}, still unwraps (v{version})"


def change_meanwhile(demo: Demo) -> str:
    """Change things that live in both regions: one converges, the other falls behind and says so."""
    tenant = demo.service.split("/")[0]
    shared = [one for one in demo.estate if one.name.startswith(f"tenants/{tenant}/systems/")]
    for turn in range(1, CHANGES + 1):
        changed = [demo.resource(one.name) for one in shared]
        for one in changed:
            one.labels["turn"] = str(turn)
            if turn == CHANGES and one.HasField("service"):
                one.service.key_version += 1
        demo.missed.append(demo.declare(changed).correlation_id)
    expect(len(demo.missed) >= CHANGES and all(demo.missed), "a change was not taken")

    def behind(region: str) -> int:
        rows = demo.rows("placements", tenant=tenant, region=region)
        return sum(row["state"] != "converged" for row in rows)

    near = [row["name"] for row in demo.rows("regions") if row["name"] != demo.away]
    for region in near:
        until(lambda here=region: not behind(here), lambda here=region: f"{here} is behind")  # type: ignore[misc]
    late = behind(demo.away)
    expect(late > 0, f"{demo.away} is not behind although it is cut off")
    version = demo.unwrap(demo.service, demo.away)
    return f"{CHANGES} changes; {', '.join(near)} converged, {demo.away} behind by {late}, still unwraps (v{version})"


def heal(demo: Demo) -> str:
    """Open the path again: what the region missed arrives by itself, in sequence."""
    begun = time.monotonic()
    demo.stack.heal(demo.away)
    # Of changes of the same resources the last one is brought about; what it took over of the others says so.
    for correlation_id in demo.missed[:-1]:
        demo.ended(correlation_id)
    demo.converge(demo.missed[-1])
    seconds = time.monotonic() - begun
    behind = [row for row in demo.rows("placements", region=demo.away) if row["state"] != "converged"]
    expect(not behind, f"{len(behind)} placements are still behind")
    counted = in_sequence(demo, demo.missed, demo.away)
    old = demo.unwrap(demo.service, demo.away)
    taken = _wraps_anew(demo, demo.away, old)
    demo.traced = demo.missed[-1]
    return f"caught up in {elapsed(seconds)}: {counted}; wraps with v{old + 1} {elapsed(taken)} later"


def kill(demo: Demo) -> str:
    """Kill a tenant: every region refuses its unwraps, and the time that took is measured there."""
    regions = demo.regions_of(demo.victim)
    expect(bool(regions), f"{demo.victim} is placed nowhere")
    for region in regions:
        demo.wrap(demo.victim, region)
        demo.unwrap(demo.victim, region)
    begun = time.monotonic()
    with ThreadPoolExecutor(2 * len(regions)) as pool:
        edges = [pool.submit(first_refusal, demo, demo.victim, region) for region in regions]
        refusals = [pool.submit(_refused, demo, region, begun) for region in regions]
        request = KillRequest(
            tenant=demo.victim.split("/")[0], reason="Shown by the demonstration", request_id=uuid4().hex
        )
        response = demo.connection.call(demo.connection.registry.Kill, request)
        confirmed = time.monotonic()
        took = [refusal.result() for refusal in refusals]
        at_edges = [max(0.0, refusal.result() - confirmed) for refusal in edges]
    demo.converge(response.correlation_id)
    demo.traced = response.correlation_id
    told = ", ".join(f"{region} {elapsed(seconds)}" for region, seconds in zip(regions, took, strict=True))
    beyond = ", ".join(f"{region} {elapsed(seconds)}" for region, seconds in zip(regions, at_edges, strict=True))
    return f"{request.tenant} refused in every region after: {told}; at the edges, from the confirmation: {beyond}"


def _refused(demo: Demo, region: str, begun: float) -> float:
    while time.monotonic() - begun < PATIENCE:
        try:
            demo.unwrap(demo.victim, region)
        except Unavailable as error:
            raise NotHeld(f"{region} does not answer, which is no revocation: {error.message}") from error
        except OrbitalError:
            return time.monotonic() - begun
        time.sleep(POLL)
    raise NotHeld(f"{region} still unwraps after {PATIENCE:.0f} s")


def seal(demo: Demo) -> str:
    """Seal a region's OpenBao: its checker flags it, policy holds what can wait; open it, and both are gone."""
    region = demo.away
    begun = time.monotonic()
    correlation_id = demo.stack.seal(region)
    raised = until(lambda: bool(_flags(demo, region)), lambda: f"no flag of {region}")
    flag = _flags(demo, region)[0]
    expect(flag["reason"] == "OPENBAO_SEALED", f"the flag of {region} says {flag['reason']}")
    expect(flag["correlation_id"] == correlation_id, "the flag does not name the action that sealed it")
    until(lambda: bool(_region(demo, region)["held_lanes"]), lambda: f"no lane of {region} is held")
    status = _region(demo, region)["status"]
    expect(status == "out_of_sync", f"{region} is shown as {status}")
    shown = time.monotonic() - begun
    demo.stack.unseal(region)
    opened = time.monotonic()
    until(lambda: not demo.rows("flags", region=region), lambda: f"{region} keeps a flag")
    cleared = time.monotonic() - opened
    until(lambda: not _region(demo, region)["held_lanes"], lambda: f"a lane of {region} is still held")
    demo.unwrap(demo.service, region)
    told = f"flagged {flag['reason']} after {elapsed(raised)}, lane 2 held ({elapsed(shown)})"
    return f"{region}: {told}; open again, cleared after {elapsed(cleared)}"


def _flags(demo: Demo, region: str) -> list[Row]:
    return [row for row in demo.rows("flags", region=region) if row["component"] == "openbao"]


def _region(demo: Demo, name: str) -> Row:
    return next(row for row in demo.rows("regions") if row["name"] == name)


def others_live(demo: Demo) -> str:
    """Everybody else is untouched by the kill."""
    regions = demo.regions_of(demo.service)
    versions = [f"{region} v{demo.unwrap(demo.service, region)}" for region in regions]
    denials, letters = len(demo.rows("denials")), len(demo.rows("deadletters"))
    expect(letters == 0, f"{letters} messages were dead-lettered")
    return f"{demo.service} still unwraps ({', '.join(versions)}); {denials} denials, no dead letter"


def _connected(demo: Demo) -> bool:
    return bool(next(row["connected"] for row in demo.rows("regions") if row["name"] == demo.away))


def browse(demo: Demo) -> str:
    """The console answers, and lets nobody in who has not logged in."""
    told = demo.connection.state["console"]
    trust = ssl.create_default_context(cadata=demo.connection.authority.decode())
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
