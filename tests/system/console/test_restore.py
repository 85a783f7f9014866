"""Four eyes in a real browser: one asks, the other approves."""

from __future__ import annotations

import time

from orbital.v1 import registry_pb2 as registry
from playwright.sync_api import Page, expect

from tests.system.console.person import Pages
from tests.system.world import World, tenancy


def test_a_killed_tenant_is_restored_by_two_people(pages: Pages, officer: Page, operator: Page, world: World):
    tenant = f"back-{time.time_ns() % 10**9}"
    world.declare(tenancy(tenant))
    world.converged(tenant=tenant)
    with world.registry() as stub:
        stub.Kill(registry.KillRequest(tenant=tenant, reason="Told by a test"), timeout=15)
    operator.goto(f"/tenants/{tenant}")
    operator.get_by_role("link", name=f"Ask to restore {tenant}").click()
    expect(operator.locator(".radius")).to_contain_text("2 regions")
    operator.locator("input[name=reason]").fill("False alarm")
    operator.get_by_role("button", name="Ask for it").click()
    expect(operator.get_by_role("status").filter(has_text="another person")).to_be_visible()
    expect(operator.locator("#approve")).to_have_count(0)
    pages.keep(operator, "restoration-asked")

    officer.goto("/approvals")
    officer.locator("#waiting tr", has_text=tenant).get_by_role("link", name="Look at it").click()
    expect(officer.locator(".strip")).to_contain_text("operator")
    expect(officer.locator(".sentence")).to_have_text("False alarm")
    officer.locator("input[name=name]").fill("another")
    officer.get_by_role("button", name=f"Restore {tenant} in 2 regions").click()
    expect(officer.get_by_role("alert")).to_contain_text("Nothing was done")
    pages.keep(officer, "restoration-open")
    officer.locator("input[name=name]").fill(tenant)
    officer.get_by_role("button", name=f"Restore {tenant} in 2 regions").click()
    expect(officer.locator("#live")).to_have_text("converged", timeout=60_000)
    officer.goto("/approvals")
    expect(officer.locator("tr", has_text=tenant)).to_contain_text("Approved")
    officer.goto(f"/tenants/{tenant}")
    expect(officer.locator(".strip")).to_contain_text("Active")
    expect(officer.locator("tbody").first).to_contain_text("Linked")
