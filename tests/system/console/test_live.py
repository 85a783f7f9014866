"""A page that follows: what it does when nobody looks, when nothing is heard, and when the console was away."""

from __future__ import annotations

import re
import signal

from playwright.sync_api import Page, expect

from stack import api
from tests.system.console.person import Pages
from tests.system.world import World

# Silence is told after 15 seconds.
SILENCE = 40_000
# What a page does that is put into the background, or brought back.
SHOWN = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def followed(page: Page) -> list[str]:
    """Each stream that the page opens from now on."""
    opened: list[str] = []
    page.on("request", lambda asked: opened.append(asked.url) if "/live/" in asked.url else None)
    return opened


def test_silence_is_told_and_what_is_shown_is_marked_as_old(officer: Page, world: World):
    officer.goto("/fleet")
    expect(officer.locator("#live")).to_contain_text("live ·")
    expect(officer.locator("#banner")).to_be_hidden()
    pid = api.load_state(world.place).parts["console"].pid
    api.kill(world.place, "console", signal.SIGSTOP)
    try:
        expect(officer.locator("#banner")).to_contain_text("Nothing has been heard", timeout=SILENCE)
        expect(officer.locator("#grid")).to_have_class(re.compile("stale"))
        expect(officer.locator("#live")).to_have_text("not live")
    finally:
        api.kill(world.place, "console", signal.SIGCONT)
    expect(officer.locator("#live")).to_contain_text("live ·", timeout=SILENCE)
    expect(officer.locator("#grid")).not_to_have_class(re.compile("stale"))
    expect(officer.locator("#banner")).to_be_hidden()
    assert api.load_state(world.place).parts["console"].pid == pid


def test_a_page_that_nobody_sees_is_not_told_anything(officer: Page):
    opened = followed(officer)
    officer.goto("/fleet")
    expect(officer.locator("#live")).to_contain_text("live ·")
    assert len(opened) == 1
    with officer.expect_event("requestfailed", lambda asked: "/live/" in asked.url):
        officer.evaluate(SHOWN, True)
    with officer.expect_request("**/live/fleet"):
        officer.evaluate(SHOWN, False)
    expect(officer.locator("#live")).to_contain_text("live ·")


def test_a_console_that_comes_back_is_followed_again_without_a_new_page(officer: Page, world: World):
    officer.goto("/fleet")
    expect(officer.locator("#live")).to_contain_text("live ·")
    officer.evaluate("window.same = true")
    pid = api.kill(world.place, "console")
    expect(officer.locator("#live")).to_have_text("not live", timeout=SILENCE)
    api.wait_ready(world.place, "console", after=pid)
    expect(officer.locator("#live")).to_contain_text("live ·", timeout=SILENCE)
    assert officer.evaluate("window.same") is True


def test_the_single_key_can_be_switched_off(officer: Page):
    officer.goto("/fleet")
    officer.locator("#keys").click()
    expect(officer.locator("#keys")).to_have_attribute("aria-pressed", "false")
    officer.reload()
    officer.keyboard.press("/")
    expect(officer.locator("#search")).not_to_be_focused()
    officer.locator("#keys").click()
    officer.locator("h1").click()
    officer.keyboard.press("/")
    expect(officer.locator("#search")).to_be_focused()


def test_a_timeline_tells_what_was(pages: Pages, officer: Page, world: World):
    """Parts against time, whatever is wrong with them now."""
    officer.goto("/regions/us20?span=6h")
    expect(officer.locator("table.parts tbody tr").first).to_be_visible()
    expect(officer.locator("table.parts rect[class^='p-']").first).to_be_attached()
    # By its place, because the page puts a newer one there all the time.
    place = officer.evaluate("document.querySelector('[data-live=timeline]').getBoundingClientRect().toJSON()")
    clip = {side: place[side] for side in ("x", "y", "width", "height")}
    officer.screenshot(path=pages.artefacts / "region-timeline.png", full_page=True, clip=clip)
