"""What is grave wants somebody who has just logged in; whoever logs out is out."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.system.console.person import Pages, log_in, password
from tests.system.test_policy_lifecycle import change, push
from tests.system.world import ROOT, World, tenancy


@pytest.fixture
def impatient(world: World, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Policies find every login too old, until what is given is called, or the test is over."""
    copy, over = tmp_path / "policies", ExitStack()
    shutil.copytree(ROOT / "policies", copy)
    change(copy, "limits", fresh_login_seconds=-1)
    with over:
        over.callback(push, world, ROOT / "policies")
        push(world, copy)
        yield over.close


@contextmanager
def own(pages: Pages, name: str) -> Iterator[Page]:
    """A page of a profile of its own."""
    context = pages.context()
    try:
        page = context.new_page()
        pages.log_in(page, name)
        yield page
    finally:
        context.close()


def type_password(pages: Pages, page: Page, name: str) -> None:
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(password(pages.place, name))
    page.locator("button[type=submit]").click()


def test_a_kill_wants_a_fresh_login_which_the_login_page_really_asks_for(
    pages: Pages, world: World, impatient: Callable[[], None]
):
    tenant = f"fresh-{time.time_ns() % 10**9}"
    world.declare(tenancy(tenant)[:1])
    with own(pages, "officer") as page:
        page.goto(f"/kill/tenants/{tenant}")
        expect(page.locator("#step-up")).to_have_count(0)
        page.locator("input[name=name]").fill(tenant)
        page.locator("input[name=reason]").fill("Told by a test")
        page.locator("button.grave").click()
        expect(page.get_by_role("alert")).to_contain_text("have to have logged in")
        pages.keep(page, "kill-step-up")
        impatient()
        page.get_by_role("link", name="Log in again").click()
        expect(page.locator("input[name=password]")).to_be_visible()
        type_password(pages, page, "officer")
        page.wait_for_url(f"**/kill/tenants/{tenant}")
        page.locator("input[name=name]").fill(tenant)
        page.locator("input[name=reason]").fill("Told by a test")
        page.locator("button.grave").click()
        expect(page.locator("#sum")).to_contain_text("2 of 2 regions dark at", timeout=30_000)


def test_whoever_logs_out_is_out_at_the_login_page_too(pages: Pages):
    with own(pages, "auditor") as page:
        page.get_by_role("link", name="Log out").click()
        page.wait_for_url(re.compile("/ui/vault/auth"))
        expect(page.locator("input[name=password]")).to_be_visible()
        assert page.context.cookies(pages.origin) == []
        page.goto("/fleet")
        expect(page.locator("input[name=password]")).to_be_visible()


def test_step_up_leads_nowhere_else(world: World):
    officer = log_in(world.place, "officer")
    for there in ("", "https://evil.test/", "//evil.test", "/kill/../fleet", "/\\evil.test", "/fleet", "/kill/\\x"):
        for path in ("/step-up", "/fresh"):
            assert officer.at(path, params={"next": there}).status_code == 400, (path, there)
    assert officer.at("/step-up?next=/kill/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    ended = officer.at("/step-up?next=/kill/tenants/acme")
    assert (ended.status_code, ended.headers["Location"]) == (303, "/fresh?next=/kill/tenants/acme")
    asked = officer.at(ended.headers["Location"])
    assert asked.status_code == 302
    assert "prompt=login" in asked.headers["Location"]
    assert "max_age=240" in asked.headers["Location"]
