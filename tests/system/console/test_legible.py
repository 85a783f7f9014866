"""Every page for everybody: axe finds nothing, in light and dark, wide and narrow; nothing runs out of the window."""

from __future__ import annotations

import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from orbital.v1 import registry_pb2 as registry
from orbital.v1.registry_pb2_grpc import RegistryServiceStub
from orbital.v1.resource_pb2 import RegionSpec, Resource
from playwright.sync_api import Page

from tests.system.console.person import Pages, Session
from tests.system.world import World, eventually, refused, tenancy

WIDE, NARROW = 1360, 400
# What may be otherwise in a narrow window; colours and words are not.
OF_WIDTH = ("scrollable-region-focusable", "target-size", "meta-viewport")
# axe cannot measure what lies on a picture or a gradient; nothing here is text on one.
INCOMPLETE = "color-contrast"


@pytest.fixture(scope="module")
def paths(world: World, sessions: dict[str, Session]) -> list[str]:
    """Every kind of page, with something on it."""
    tenant, killed = (f"{name}-{time.time_ns() % 10**9}" for name in ("legible", "legibly"))
    declared = world.declare(tenancy(tenant))
    world.declare(tenancy(killed))
    world.converged(tenant=killed)
    with world.registry() as stub:
        kill = stub.Kill(registry.KillRequest(tenant=killed, reason="Told by a test"), timeout=15).correlation_id
    world.converged(tenant=killed)
    asking = f"/approvals/ask/tenants/{killed}"
    operator = sessions["operator"]
    asked = operator.submit(asking, {"form": operator.field(asking), "reason": "A test"}).headers["Location"]
    denial = denied(world)
    return [
        "/fleet", "/fleet?q=eu&status=quiet", "/regions/eu10", "/regions/us20?span=7d", "/tenants",
        f"/tenants/{tenant}", f"/tenants/{killed}", "/changes", "/changes/new", f"/jobs/{declared}", "/kill",
        f"/kill/tenants/{tenant}", f"/kill/tenants/{tenant}/links/s0", f"/kill/tenants/{killed}",
        f"/kill/waves/{kill}", f"/traces/{kill}", f"/traces/{'0' * 32}", f"/traces/{asked.rpartition('/')[2]}",
        "/approvals", asked, asking, "/policy", f"/policy/decisions/{denial}", "/audit", "/search?q=legib",
        "/search?q=nothing", "/nope",
    ]  # fmt: skip


def denied(world: World) -> str:
    """The decision by which somebody was refused something."""
    with world.channel("auditor") as channel:
        region = [Resource(name="regions/eu99", region=RegionSpec())]
        refused(lambda: RegistryServiceStub(channel).Declare(registry.DeclareRequest(resources=region), timeout=10))

    def look() -> str | None:
        with world.registry() as stub:
            found = stub.ListDenials(registry.ListDenialsRequest(page_size=100), timeout=10).denials
        return next((one.decision_id for one in found if one.action.endswith("/Declare")), None)

    return eventually(look, 20, "the denial is listed")


def wrong(page: Page, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe finds, in its words; by `rules` alone where some are named."""
    answer = Axe().run(page, options={"runOnly": list(rules)} if rules else None).response
    unsure = [one for one in answer["incomplete"] if one["id"] == INCOMPLETE]
    return [f"{one['id']}: {node['html'][:200]}" for one in [*answer["violations"], *unsure] for node in one["nodes"]]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("scheme", "width", "rules"), [("light", WIDE, ()), ("dark", WIDE, ()), ("light", NARROW, OF_WIDTH)]
)
def test_every_page_is_legible(
    pages: Pages, officer: Page, paths: list[str], scheme: str, width: int, rules: tuple[str, ...]
):
    officer.emulate_media(color_scheme=scheme)
    officer.set_viewport_size({"width": width, "height": 860})
    found = {}
    for path in paths:
        answer = officer.goto(path, wait_until="domcontentloaded")
        assert answer is not None
        assert answer.status in (200, 404), path
        found[path] = wrong(officer, rules)
        wide = officer.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            found[path].append(f"It is {wide} pixels wide")
    assert {path: said for path, said in found.items() if said} == {}
    officer.goto("/fleet")
    pages.keep(officer, f"fleet-{scheme}" if width == WIDE else f"fleet-{scheme}-narrow")


def test_what_is_pale_is_found(officer: Page):
    """The measure itself: text that is too pale is told."""
    officer.goto("/fleet")
    officer.evaluate("document.querySelector('h1').style.color = '#999'")
    assert any(said.startswith("color-contrast") for said in wrong(officer))
