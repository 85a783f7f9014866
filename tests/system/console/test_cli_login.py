"""A person at a command line: the same accounts as the console's, the same policies, a login of their own."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest
import requests
import yaml
from orbital.v1 import registry_pb2 as registry
from orbital.v1.registry_pb2_grpc import RegistryServiceStub
from playwright.sync_api import expect

from tests.system.console.person import Pages, password
from tests.system.console.test_login import impatient  # noqa: F401 - a fixture
from tests.system.world import ROOT, World, refused, tenancy


@dataclass(slots=True)
class Terminal:
    """Somebody's command line, with a home of its own."""

    place: Path
    home: Path

    @property
    def file(self) -> Path:
        (found,) = (self.home / "orbital").glob("login-*.json")
        return found

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "console.cli", *arguments, "--data", str(self.place)]
        return subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"XDG_STATE_HOME": str(self.home)}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def orbital(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, stdout, stderr."""
        begun = self.begin(*arguments)
        out, err = begun.communicate(timeout=120)
        return begun.returncode, out, err

    def log_in(self, name: str, *options: str) -> None:
        """With a password, and without a browser."""
        begun = self.begin("login", "--no-browser", *options)
        asked = address(begun)
        session = requests.Session()
        session.trust_env, session.verify = False, str(self.place / "identity" / "ca.pem")
        bao = f"https://{asked.netloc}/v1"
        secret = {"password": password(self.place, name)}
        known = session.post(f"{bao}/auth/userpass/login/{name}", json=secret, timeout=15).json()
        query = {key: values[0] for key, values in parse_qs(asked.query).items()}
        given = session.get(
            f"{bao}/identity/oidc/provider/people/authorize",
            params=query, headers={"X-Vault-Token": known["auth"]["client_token"]}, timeout=15,
        ).json()  # fmt: skip
        # Somebody else who found the port ends nothing.
        wrong = session.get(query["redirect_uri"], params={"code": given["code"], "state": "guessed"}, timeout=15)
        assert wrong.status_code == 404
        back = session.get(query["redirect_uri"], params={"code": given["code"], "state": given["state"]}, timeout=15)
        assert back.status_code == 200
        assert begun.communicate(timeout=60)[0].startswith(f"Logged in as {name} until ")
        assert begun.returncode == 0

    def change(self, **fields: Any) -> None:
        self.file.write_text(json.dumps(json.loads(self.file.read_text()) | fields))


def address(begun: subprocess.Popen[str]) -> Any:
    """Where the login is, as it is printed."""
    assert begun.stderr is not None
    for line in begun.stderr:
        if found := re.search(r"https://\S+", line):
            return urlsplit(found[0])
    raise AssertionError("No address was printed")


@pytest.fixture
def terminal(world: World, tmp_path: Path) -> Terminal:
    return Terminal(world.place, tmp_path / "home")


def test_a_person_logs_in_by_the_browser_and_out_again(pages: Pages, terminal: Terminal):
    context = pages.context()
    begun = terminal.begin("login", "--no-browser")
    page = context.new_page()
    page.goto(address(begun).geturl())
    page.locator("input[name=username]").fill("auditor")
    page.locator("input[name=password]").fill(password(pages.place, "auditor"))
    page.locator("button[type=submit]").click()
    expect(page.locator("body")).to_contain_text("Go back to the terminal")
    assert begun.communicate(timeout=60)[0].startswith("Logged in as auditor until ")
    context.close()
    assert stat.S_IMODE(terminal.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(terminal.file.parent.stat().st_mode) == 0o700
    code, out, _ = terminal.orbital("whoami", "-o", "json")
    told = json.loads(out)
    assert (code, told["principal"], told["by"]) == (0, "spiffe://orbital/person/auditor", "login")
    assert terminal.orbital("get", "regions", "-o", "name")[1].split() == ["eu10", "us20"]
    # Their own rights, not those of the stack's operator.
    code, _, err = terminal.orbital("retire", "nobody", "--reason", "A test")
    assert code == 5
    assert "spiffe://orbital/person/auditor may not call" in err
    assert terminal.orbital("logout")[1] == "Logged out.\n"
    assert terminal.orbital("whoami")[1].startswith("operator, by certificate, until ")


def test_a_login_that_is_over_or_altered_is_none(terminal: Terminal):
    terminal.log_in("auditor")
    kept = json.loads(terminal.file.read_text())
    terminal.change(expires=time.time() - 1)
    code, out, err = terminal.orbital("get", "regions")
    assert (code, out) == (4, "")
    assert re.fullmatch(r"Not logged in \(expired [-0-9: ]+\)\. Run: orbital login\n", err)
    head, body, signature = kept["token"].split(".")
    terminal.change(**kept | {"token": f"{head}.{body}.{signature[::-1]}"})
    code, _, err = terminal.orbital("get", "regions")
    assert code == 4
    assert "Run: orbital login" in err
    terminal.change(**kept)
    terminal.file.chmod(0o644)
    code, _, err = terminal.orbital("get", "regions")
    assert code == 4
    assert "can be read by others" in err
    # Whoever names a certificate is asked for no login.
    assert terminal.orbital("get", "regions", "--as", "auditor")[0] == 0


def test_a_kill_wants_a_fresh_login_and_says_how(
    world: World,
    terminal: Terminal,
    impatient: Callable[[], None],  # noqa: F811
):
    tenant = f"typed-{time.time_ns() % 10**9}"
    world.declare(tenancy(tenant)[:1])
    terminal.log_in("officer")
    code, _, err = terminal.orbital("kill", tenant, "--reason", "A test")
    assert code == 4
    assert "Blast radius" in err
    assert "Run: orbital login --fresh" in err
    impatient()
    terminal.log_in("officer", "--fresh")
    code, out, _ = terminal.orbital("kill", tenant, "--reason", "A test")
    assert code == 0
    identity = out.split("Correlation ID: ")[1].strip()
    with world.registry() as stub:
        job = next(stub.WatchJob(registry.WatchJobRequest(correlation_id=identity), timeout=10))
    assert job.actor == "spiffe://orbital/person/officer"


@pytest.mark.parametrize("token", ["none", "region"])
def test_where_a_command_line_comes_in_only_people_are_known(world: World, token: str):
    if token == "region":
        secret = yaml.safe_load((world.place / "identity" / "us20" / "token.yaml").read_text())["resources"][0]
        token = secret["generic_secret"]["secret"]["inline_string"]
    claimed = (("x-orbital-principal", "spiffe://orbital/person/operator"),)
    credentials = grpc.composite_channel_credentials(world.credentials(None), grpc.access_token_call_credentials(token))
    with grpc.secure_channel(world.state.login.gateway, credentials) as channel:
        stub = RegistryServiceStub(channel)
        error = refused(lambda: stub.ListRegions(registry.ListRegionsRequest(), metadata=claimed, timeout=10))
    assert error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


def test_a_region_is_shown_nobodys_token(terminal: Terminal):
    terminal.log_in("officer")
    code, _, err = terminal.orbital("region", "verify", "eu10")
    assert code == 4
    assert "A region takes certificates, no logins" in err
