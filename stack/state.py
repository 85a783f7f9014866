"""The state file: what runs, where it listens, who may speak for whom. Written by the supervisor alone, atomically."""

from __future__ import annotations

from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, Field

from runtime.errors import NotFound
from runtime.files import read_bytes
from stack.layout import Layout


class Model(BaseModel):
    """Fields only get added."""

    model_config = ConfigDict(extra="ignore")


class PartState(Model):
    """One process: `status` is waiting, starting, ready, failed, stopping or stopped."""

    pid: int | None = None
    started: int | None = None
    status: str = "waiting"
    restarts: int = 0
    error: str = ""
    seconds: float | None = None
    strays: str = ""


class SupervisorState(Model):
    """The process that owns the others."""

    pid: int
    started: int


class GatewayState(Model):
    """Where people and regions reach the gateway."""

    mtls: str = ""
    jwt: str = ""


class ConsoleState(Model):
    """Where people reach the console, and the file of each one's password."""

    address: str = ""
    passwords: dict[str, str] = {}


class LoginState(Model):
    """Where people log in from a command line, the file of its client ID, and where they are known by their token."""

    issuer: str = ""
    client: str = ""
    gateway: str = ""


class RegionState(Model):
    """Where a region is reached, and how it reaches the gateway."""

    auth: str
    crypto: str = ""
    # Where its edge is reached.
    edge: str = ""
    admin: str = ""


class IdentityState(Model):
    """Files of one SPIFFE identity."""

    cert: str
    key: str
    ca: str


class State(Model):
    """The whole file. `started` of a process is in clock ticks since `boot`, which names the running kernel's boot."""

    version: int = 1
    place: str = Field(alias="data", default="")
    run: str = ""
    boot: str = ""
    only: list[str] = []
    supervisor: SupervisorState | None = None
    ports: dict[str, int] = {}
    parts: dict[str, PartState] = {}
    steps: dict[str, PartState] = {}
    gateway: GatewayState = GatewayState()
    console: ConsoleState = ConsoleState()
    login: LoginState = LoginState()
    regions: dict[str, RegionState] = {}
    identity: dict[str, IdentityState] = {}
    files: dict[str, str] = {}

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


def read(layout: Layout) -> State:
    """The state of the stack; raises NotFound when there never was one."""
    try:
        return State.model_validate_json(read_bytes(layout.state))
    except FileNotFoundError as error:
        raise NotFound(f"There is no stack at {layout.root}. Start one: orbital up", reason="NO_STACK") from error


def write(layout: Layout, state: State) -> None:
    """Replace the state file in one step."""
    temporary = layout.state.with_name(".state.json.new")
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    temporary.write_bytes(orjson.dumps(state.model_dump(by_alias=True), option=options))
    temporary.rename(layout.state)


def load(place: Path | str) -> State:
    """The state of the stack kept at `place`."""
    return read(Layout.of(place))
