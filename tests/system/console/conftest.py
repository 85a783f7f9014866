"""Browsers and sessions on a running stack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from stack import api
from stack.acquire import path as acquired
from tests.system.console.person import Pages, log_in
from tests.system.world import World

ARTEFACTS = Path(__file__).resolve().parents[3] / "build" / "screenshots"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The distribution's Chromium; inside the tests' own sandbox it needs none of its own.

    It ends with its module: Playwright keeps an event loop in this thread, beside which no other test could run one.
    """
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=acquired("chromium"), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def pages(world: World, browser: Browser) -> Iterator[Pages]:
    """Pages of people on the stack of all system tests."""
    made = Pages(browser, world.place, ARTEFACTS)
    yield made
    made.close()


@pytest.fixture
def officer(pages: Pages) -> Iterator[Page]:
    yield from pages.opened("officer")


@pytest.fixture
def operator(pages: Pages) -> Iterator[Page]:
    yield from pages.opened("operator")


@pytest.fixture(scope="module")
def fleet(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """A stack of its own, without regions that run: regions are declared for good."""
    place = tmp_path_factory.mktemp("fleet")
    try:
        api.up(place, only=["console"])
        made = Pages(browser, place, ARTEFACTS)
        yield made
        made.close()
    finally:
        api.remove(place)


@pytest.fixture(scope="session")
def sessions(world: World) -> dict[str, object]:
    """Somebody logged in without a browser, by name."""
    return {name: log_in(world.place, name) for name in ("officer", "operator", "auditor")}
