"""What a person may choose about the stack: ORBITAL_STACK__* variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError, field_validator

from runtime.errors import Invalid
from runtime.issuers import Issuer, check
from runtime.settings import Section, Settings


class PostgresServer(Section):
    """An existing PostgreSQL."""

    host: str = Field(description="Its host name, or the directory of its Unix socket")
    port: int = Field(5432, description="Its port")
    database: str = Field("orbital", description="A database of Orbital's own")
    user: str = Field("orbital", description="The gateways' role, which owns nothing there")
    password_file: Path = Field(description="File with the role's password")
    owner: str = Field("orbital_owner", description="The role that owns the database; no gateway logs in as it")
    owner_password_file: Path = Field(description="File with the owner's password")


class RabbitMQServer(Section):
    """An existing RabbitMQ."""

    host: str = Field(description="Its host name")
    port: int = Field(5672, description="Its AMQP port")
    user: str = Field("gateway", description="May do all to orbital.*, and make and write mqtt-subscription-orbital.*")
    password_file: Path = Field(description="File with the user's password")
    virtual_host: str = Field("/", description="Virtual host")


class Stack(Section):
    """Parts of one's own, and how the stack behaves."""

    envoy: Path | None = Field(None, description="An Envoy binary, in place of the one that is downloaded")
    opa: Path | None = Field(None, description="An OPA binary with the Envoy plugin, in place of the compiled one")
    openbao: Path | None = Field(None, description="A `bao` binary, in place of the one that is downloaded")
    postgres: Path | None = Field(None, description="A directory with PostgreSQL's `initdb`, `postgres` and `psql`")
    rabbitmq: Path | None = Field(None, description="Root of usr/lib/rabbitmq and usr/lib/erlang (`/` if installed)")
    rabbitmq_version: str = Field(
        "3", pattern="^[34]$", description="Major version of the RabbitMQ that is downloaded; 4 has MQTT 5"
    )
    softhsm: Path | None = Field(None, description="A root holding libsofthsm2.so and softhsm2-util (`/` if installed)")
    chromium: Path | None = Field(None, description="A Chromium for the tests, in place of the one that is downloaded")
    postgres_server: PostgresServer | None = Field(None, description="An existing server, in place of a private one")
    rabbitmq_server: RabbitMQServer | None = Field(None, description="An existing server, in place of a private one")
    regions: int | None = Field(
        None, ge=2, le=3, description="How many regions; without, as many as there were, or two"
    )
    issuers: dict[str, Issuer] | None = Field(
        None, description="none: the stack's own OpenBao, for regions and for people"
    )
    publish: str = Field("amqp", pattern="amqp|mqtt", description="How the gateway hands tasks to the broker")
    postgres_user: str = Field("nobody", description="Who PostgreSQL runs as when the stack is started by root")
    certificate_hours: float = Field(1.0, gt=0, description="Life of a certificate; renewed after two thirds of it")
    signing_days: float = Field(90.0, gt=0, description="Life of a signing key; the next begins after two thirds of it")
    ready_seconds: float = Field(120.0, gt=0, description="How long a part may take until it is ready")

    @field_validator("issuers")
    @classmethod
    def _are_told_apart(cls, value: dict[str, Issuer] | None) -> dict[str, Issuer] | None:
        if value is not None:
            try:
                check(value)
            except Invalid as error:
                raise ValueError(error.message) from error
        return value


class StackSettings(Settings):
    """The root: everything is below ORBITAL_STACK__."""

    stack: Stack = Stack()


def load_settings() -> Stack:
    """The stack's settings from the environment; raises Invalid on a wrong value or an unknown ORBITAL_STACK__ name."""
    try:
        return StackSettings().stack
    except ValidationError as error:
        first = error.errors()[0]
        field = "__".join(str(part) for part in first["loc"]).upper()
        raise Invalid(f"ORBITAL_{field}: {first['msg']}", reason="BAD_SETTING", field=field) from error
