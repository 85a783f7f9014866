"""A revocation with one region out of reach: who is missing, what is proved without them, and how it becomes whole."""

from __future__ import annotations

import re
import time
from typing import Any

from playwright.sync_api import Page, expect

from runtime.proof import page as told
from runtime.proof import read_file, verify
from stack import api
from tests.system.console.person import Pages
from tests.system.world import World, tenancy

MISSING = "us20"


def proof(officer: Page, world: World) -> tuple[str, dict[str, Any]]:
    """The name of the file that is downloaded, and what it proves."""
    with officer.expect_download() as download:
        officer.locator("#proof").click()
    content = download.value.path().read_bytes()
    proven = told(verify(read_file(content), (world.place / "identity" / "history.pem").read_bytes()))
    return download.value.suggested_filename, proven


def test_wave_says_who_is_missing_and_becomes_whole_when_they_are_back(pages: Pages, officer: Page, world: World):
    tenant = f"wave-{time.time_ns() % 10**9}"
    resources = tenancy(tenant)
    resources[0].tenant.lease.seconds = 300
    world.declare(resources)
    world.converged(tenant=tenant)
    try:
        api.cut(world.place, MISSING)
        officer.goto(f"/kill/tenants/{tenant}")
        officer.locator("input[name=name]").fill(tenant)
        officer.locator("input[name=reason]").fill("Told by a test")
        officer.locator("button.grave").click()
        expect(officer.locator("#sum")).to_contain_text("1 of 2 regions dark", timeout=30_000)
        expect(officer.locator("#missing")).to_have_text(MISSING)
        row = officer.locator("#parts tbody tr", has_text=MISSING)
        expect(row).to_contain_text("unreachable", timeout=30_000)
        # When it was last heard of, and when its lease ends in any case.
        expect(row).to_have_text(re.compile(r"unreachable.*\d\d:\d\d:\d\d.*\d\d:\d\d:\d\d"))
        expect(officer.locator("#parts tbody tr", has_text="eu10")).to_contain_text("Dark, verified")
        expect(officer.locator("#proof")).to_have_text("Proof, partial: 1 of 2")
        pages.keep(officer, "kill-partial")
        name, proven = proof(officer, world)
        assert name == f"proof-{proven['correlation_id']}-partial-1-of-2.json"
        assert (proven["proven"], proven["regions"]) == (1, 2)
        (missing,) = proven["missing"]
        assert (missing["region"], missing["why"]) == (MISSING, "Sent; the region has not answered.")
        # The region is cut off: its lease says when it stops in any case.
        assert missing["since"] < missing["stops_by"]
    finally:
        api.heal(world.place, MISSING)
    expect(officer.locator("#sum")).to_contain_text("2 of 2 regions dark at", timeout=60_000)
    expect(officer.locator("#missing")).to_have_text("none")
    name, proven = proof(officer, world)
    assert name == f"proof-{proven['correlation_id']}.json"
    assert (proven["proven"], proven["regions"], proven["missing"]) == (2, 2, [])
