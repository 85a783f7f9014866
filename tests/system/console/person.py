"""People at the console: with a browser, and without one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect

from stack import api

SECONDS = 45_000
# A login is used for as long as the grave calls of its person are let through.
FRESH_SECONDS = 180


def origin(place: Path) -> str:
    return f"https://localhost:{api.load_state(place).ports['console']}"


def password(place: Path, name: str) -> str:
    return (place / "secrets" / f"person-{name}-password").read_text()


class Pages:
    """Pages of people who are logged in, one browser profile each."""

    def __init__(self, browser: Browser, place: Path, artefacts: Path) -> None:
        self.place = place
        self.origin = origin(place)
        self.artefacts = artefacts
        self._browser = browser
        self._known: dict[str, BrowserContext] = {}
        self._since: dict[str, float] = {}
        artefacts.mkdir(parents=True, exist_ok=True)

    def context(self) -> BrowserContext:
        """A new profile. What the stack's own authority certifies is not believed by browsers."""
        context = self._browser.new_context(
            base_url=self.origin,
            ignore_https_errors=True,
            viewport={"width": 1360, "height": 860},
            accept_downloads=True,
        )
        context.set_default_timeout(SECONDS)
        return context

    def opened(self, name: str) -> Iterator[Page]:
        """A page of `name`, closed after the test, which fails by any script that does or is stopped."""
        if time.monotonic() - self._since.get(name, -FRESH_SECONDS) >= FRESH_SECONDS:
            if name in self._known:
                self._known[name].close()
            self._known[name], self._since[name] = self.context(), time.monotonic()
            page = self._known[name].new_page()
            self.log_in(page, name)
            page.close()
        page = self._known[name].new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        yield page
        page.close()
        assert wrong == []

    def log_in(self, page: Page, name: str) -> None:
        """As a person does: the console sends them to OpenBao's page, and that sends them back."""
        page.goto("/fleet")
        page.locator("input[name=username]").fill(name)
        page.locator("input[name=password]").fill(password(self.place, name))
        page.locator("button[type=submit]").click()
        page.wait_for_url(f"{self.origin}/**")
        expect(page.locator(".who")).to_have_text(name)

    def keep(self, page: Page, name: str) -> None:
        """A picture for people, kept with the results."""
        page.screenshot(path=self.artefacts / f"{name}.png")

    def close(self) -> None:
        for context in self._known.values():
            context.close()


class Session(requests.Session):
    """Somebody's cookies."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = str(place / "identity" / "ca.pem")
        self.origin = origin(place)

    def at(self, path: str, method: str = "GET", **more: object) -> requests.Response:
        """One request, redirects not followed."""
        return self.request(method, f"{self.origin}{path}", allow_redirects=False, timeout=15, **more)

    def field(self, path: str, name: str = "form") -> str:
        """A hidden field of the form on the page at `path`."""
        found = re.search(f'name="{name}" value="([^"]*)"', self.at(path).text)
        assert found, f"{path} has no field {name}"
        return found[1]

    def submit(self, path: str, fields: dict[str, str], **headers: str) -> requests.Response:
        """Send a form as a browser does."""
        told = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"} | headers
        return self.at(path, "POST", data=fields, headers=told)


def log_in(place: Path, name: str) -> Session:
    """The way of a browser, without OpenBao's page in between."""
    session = Session(place)
    asked = urlsplit(session.at("/fleet").headers["Location"])
    bao = f"https://{asked.netloc}/v1"
    answer = session.post(f"{bao}/auth/userpass/login/{name}", json={"password": password(place, name)}, timeout=15)
    query = {key: values[0] for key, values in parse_qs(asked.query).items()}
    given = session.get(
        f"{bao}/identity/oidc/provider/people/authorize",
        params=query,
        headers={"X-Vault-Token": answer.json()["auth"]["client_token"]},
        timeout=15,
    ).json()
    back = session.at("/oauth/callback", params={"code": given["code"], "state": given["state"]})
    assert back.status_code == 302, back.text
    assert session.at("/fleet").status_code == 200
    return session
