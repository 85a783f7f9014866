"""The edges in the demonstration: what they enforce, and how soon a kill reaches their decision."""

from __future__ import annotations

import time

from orbital.v1.resource_pb2 import (
    EDGE_EFFECT_DENY,
    EDGE_OPERATION_UNWRAP,
    EdgePolicySpec,
    EdgeRule,
    Resource,
    Selector,
)

from console.cli.moments import elapsed
from console.demo.state import PATIENCE, Demo, NotHeld, expect, until
from runtime.errors import Denied, OrbitalError, Unavailable

FREEZE = "freeze"
# Shorter than what is measured.
SOON = 0.005


def edge(demo: Demo) -> str:
    """Freeze a tenant at one region's edge by policy, and thaw it: the edge refuses, the region itself does not."""
    region, tenant = demo.regions_of(demo.service)[0], demo.service.split("/")[0]
    demo.wrap(demo.service, region)
    demo.unwrap_at_edge(demo.service, region)
    begun = time.monotonic()
    demo.declare([_policy(region, tenant)])
    frozen = until(lambda: _reason(demo, region) == "EDGE_DENIED", lambda: f"the edge of {region} does not refuse")
    demo.unwrap(demo.service, region)
    until(lambda: _in_force(demo), lambda: "an edge has not the newest policy")
    demo.declare([_policy(region, "nobody")])
    until(lambda: _reason(demo, region) == "", lambda: f"the edge of {region} still refuses")
    took = elapsed(time.monotonic() - begun)
    edges = ", ".join(f"{row['region']} runs {row['revision'][:8]}" for row in demo.rows("edges"))
    return f"{region}'s edge refuses {tenant} {elapsed(frozen)} after the declaration; thawed, {took} in all; {edges}"


def _policy(region: str, tenant: str) -> Resource:
    rule = EdgeRule(name=FREEZE, effect=EDGE_EFFECT_DENY, tenants=[tenant], operations=[EDGE_OPERATION_UNWRAP])
    spec = EdgePolicySpec(placement=Selector(regions=[region]), rules=[rule])
    return Resource(name=f"edge-policies/{FREEZE}", edge_policy=spec)


def _reason(demo: Demo, region: str) -> str:
    """Why the region's edge refuses; empty when it does not."""
    try:
        demo.unwrap_at_edge(demo.service, region)
    except Unavailable as error:
        raise NotHeld(f"the edge of {region} does not answer: {error.message}") from error
    except OrbitalError as error:
        return error.reason
    return ""


def _in_force(demo: Demo) -> bool:
    rows = demo.rows("edges")
    expect(bool(rows), "no edge is known to the control plane")
    return all(row["status"] == "in_force" for row in rows)


def first_refusal(demo: Demo, service: str, region: str) -> float:
    """When the edge itself first refused a killed tenant: the region would say that it is a precondition."""
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE:
        try:
            demo.unwrap_at_edge(service, region)
        except Unavailable as error:
            raise NotHeld(f"the edge of {region} does not answer: {error.message}") from error
        except Denied as error:
            expect(error.reason == "TENANT_KILLED", f"the edge of {region} refuses because of {error.reason}")
            return time.monotonic()
        except OrbitalError:
            pass
        time.sleep(SOON)
    raise NotHeld(f"the edge of {region} lets a killed tenant through after {PATIENCE:.0f} s")
