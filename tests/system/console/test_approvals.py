"""The page of approvals in a real browser: what takes away more than one person may, asked for and decided by two."""

from __future__ import annotations

import time

import pytest
from orbital.v1 import registry_pb2 as registry
from orbital.v1.resource_pb2 import Resource, Selector, TenantSpec
from playwright.sync_api import Page, expect

from tests.system.console.person import Pages
from tests.system.world import REGIONS, World, eventually, tenancy


# Two requests, three people's pages, and two regions that converge twice.
@pytest.mark.timeout(600)
def test_what_takes_away_more_than_one_person_may_waits_on_the_approvals_page(
    pages: Pages, officer: Page, operator: Page, world: World
):
    tenant = f"leaves-{time.time_ns() % 10**9}"
    estate = tenancy(tenant, systems=2)
    world.declare(estate)
    world.converged(tenant=tenant)
    asked = [Resource(name=estate[0].name, tenant=TenantSpec(placement=Selector(regions=[REGIONS[0]])))]
    for reason in ("By mistake", "They moved house"):
        with world.registry() as stub:
            request = registry.DeclareRequest(resources=asked, accept_departures=len(estate), reason=reason)
            answer = stub.Declare(request, timeout=15)
        assert answer.needs_approval
        operator.goto("/approvals")
        waiting = operator.locator("#waiting tr", has_text=tenant)
        expect(waiting).to_contain_text("Removal")
        expect(waiting).to_contain_text(reason)
        waiting.get_by_role("link", name="Look at it").click()
        # The stack's operator asked, by a certificate and not by this login's token: it is the same person.
        expect(operator.get_by_role("status").filter(has_text="another person")).to_be_visible()
        expect(operator.locator("#approve")).to_have_count(0)
        officer.goto("/approvals")
        officer.locator("#waiting tr", has_text=tenant).get_by_role("link", name="Look at it").click()
        expect(officer.locator(".sentence").first).to_have_text(reason)
        pages.keep(officer, "removal-open")
        if reason == "By mistake":
            officer.locator("#decline input[name=reason]").fill("Ask them again")
            officer.get_by_role("button", name="Decline").click()
            expect(officer.get_by_text("Declined because: Ask them again")).to_be_visible()
    officer.locator("#approve input[name=name]").fill("another")
    officer.locator("#approve button").click()
    expect(officer.get_by_role("alert")).to_contain_text("Nothing was done")
    officer.locator("#approve input[name=name]").fill(tenant)
    officer.locator("#approve button").click()
    expect(officer.locator("#live")).to_have_text("converged", timeout=60_000)
    officer.goto("/approvals")
    decided = officer.locator("section[aria-labelledby=over] tr", has_text=tenant)
    expect(decided.filter(has_text="Approved")).to_have_count(1)
    expect(decided.filter(has_text="Declined")).to_have_count(1)
    expect(officer.locator("#waiting tr", has_text=tenant)).to_have_count(0)

    def left() -> bool | None:
        with world.registry() as stub:
            wanted = registry.ListPlacementsRequest(filter=registry.PlacementFilter(tenant=tenant))
            return {one.region for one in stub.ListPlacements(wanted, timeout=15).placements} == {REGIONS[0]} or None

    # What a region has proven to be gone is no longer listed a moment later.
    eventually(left, 30, "its placements in the other region are gone")
