"""A stack may use a PostgreSQL and a RabbitMQ that are there already."""

from pathlib import Path

import pytest

from runtime.errors import Unavailable
from stack import estate
from stack.context import StackContext
from stack.layout import Layout
from stack.parts.existing import ExistingPostgres, ExistingRabbitMQ
from stack.parts.schema import database
from stack.parts.workers import broker
from stack.settings import PostgresServer, RabbitMQServer, Stack
from stack.state import State


@pytest.fixture
def site(parts: tuple[Path, State], tmp_path: Path) -> StackContext:
    """A stack whose servers are those of another one."""
    place, state = parts
    secrets = place / "secrets"
    settings = Stack(
        postgres_server=PostgresServer(
            host=f"{state.run}-pg",
            password_file=secrets / "postgres-orbital",
            owner_password_file=secrets / "postgres-owner",
        ),
        rabbitmq_server=RabbitMQServer(
            host="127.0.0.1", port=state.ports["amqp"], password_file=secrets / "rabbitmq-gateway"
        ),
    )
    ports = dict.fromkeys(estate.port_names(estate.REGIONS), 1)
    return StackContext(Layout.of(tmp_path), settings, ports, estate.REGIONS)


async def test_they_take_the_place_of_the_private_ones(site: StackContext) -> None:
    units = {unit.name: unit for unit in estate.units(site)}
    assert isinstance(units["postgres"], ExistingPostgres)
    assert isinstance(units["rabbitmq"], ExistingRabbitMQ)
    assert "epmd" not in units
    assert (database(site), broker(site)) == (site.settings.postgres_server, site.settings.rabbitmq_server)
    for name in ("postgres", "rabbitmq"):
        await units[name].run()  # type: ignore[union-attr]


async def test_one_that_cannot_be_used_names_its_setting(site: StackContext) -> None:
    assert site.settings.postgres_server is not None
    assert site.settings.rabbitmq_server is not None
    nowhere = site.settings.postgres_server.model_copy(update={"host": "127.0.0.1", "port": 1})
    with pytest.raises(Unavailable, match="ORBITAL_STACK__POSTGRES_SERVER"):
        await ExistingPostgres(site, nowhere).run()
    stranger = site.settings.rabbitmq_server.model_copy(update={"user": "nobody"})
    with pytest.raises(Unavailable, match="ORBITAL_STACK__RABBITMQ_SERVER"):
        await ExistingRabbitMQ(site, stranger).run()
