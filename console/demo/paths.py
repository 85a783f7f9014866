"""Three regions, each reached by a path of its own; what must not wait takes all of them."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from orbital.v1.registry_pb2 import KillRequest

from console.cli.commands.trace import read
from console.cli.declaration.load import load
from console.cli.moments import elapsed
from console.demo.state import Demo, expect, until

DECLARED = Path(__file__).resolve().parents[2] / "examples" / "three-paths.yaml"
PATHS = {"stream", "amqp", "mqtt"}
SERVICE = "pacific-freight/ports/manifests"


def each_its_own(demo: Demo) -> str:
    """Declare a path for each region, see each use it, and carry a tenant to all of them."""
    resources = [one.resource for one in load([str(DECLARED)])]
    demo.declare([one for one in resources if one.HasField("region")])

    def used() -> dict[str, str]:
        return {row["name"]: row["path"] for row in demo.rows("regions")}

    seconds = until(lambda: sorted(used().values()) == sorted(PATHS), lambda: f"the paths in use are {used()}")
    response = demo.declare([one for one in resources if not one.HasField("region")])
    job = demo.converge(response.correlation_id)
    for region in demo.regions_of(SERVICE):
        demo.wrap(SERVICE, region)
        demo.unwrap(SERVICE, region)
    told = ", ".join(f"{region} by {path}" for region, path in sorted(used().items()))
    return f"{told} after {elapsed(seconds)}; {job.converged} converged, wrapped and unwrapped in each"


def all_at_once(demo: Demo) -> str:
    """Kill that tenant: the revocation reaches each region by every path, and counts once."""
    request = KillRequest(
        tenant=SERVICE.split("/", maxsplit=1)[0], reason="Shown by the demonstration", request_id=uuid4().hex
    )
    correlation_id = demo.connection.call(demo.connection.registry.Kill, request).correlation_id
    demo.converge(correlation_id)
    regions = demo.regions_of(SERVICE)
    expect(bool(regions), "the tenant is in no region")

    def arrived() -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {region: [] for region in regions}
        for hop in read(demo.connection, correlation_id)["hops"]:
            if hop["stage"] == "receive" and hop["resource"] == f"tenants/{request.tenant}":
                found[hop["region"]].append((hop["path"], hop["outcome"]))
        return found

    until(
        lambda: all({path for path, _ in hops} == PATHS for hops in arrived().values()),
        lambda: f"the revocation came only by {arrived()}",
    )
    found = arrived()
    expect(
        all(sum(outcome == "journaled" for _, outcome in hops) == 1 for hops in found.values()),
        f"it did not count once: {found}",
    )
    first = ", ".join(f"{region} by {hops[0][0]}" for region, hops in sorted(found.items()))
    return f"three arrivals in each of {len(found)} regions, the first: {first}; the others were duplicates"
