"""Real PostgreSQL and RabbitMQ, started privately once for all tests of this folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.adapters.postgres.database import Pool
from gateway.adapters.postgres.pool import open_database
from gateway.settings import PostgresSettings, RabbitMQSettings
from stack import api
from stack.state import State

# Everything but the trail, which only a test of the trail empties.
EMPTY = """
DO $$ DECLARE found text; BEGIN
    SELECT string_agg(quote_ident(tablename), ', ') INTO found FROM pg_tables
    WHERE schemaname = 'public' AND tablename NOT IN ('migration', 'audit', 'audit_head', 'audit_signer');
    EXECUTE 'TRUNCATE ' || found || ' CASCADE';
END $$"""


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, State]]:
    place = tmp_path_factory.mktemp("parts")
    try:
        yield place, api.up(place, only=["schema", "rabbitmq"])
    finally:
        api.remove(place)


@pytest.fixture
def postgres_settings(parts: tuple[Path, State]) -> PostgresSettings:
    place, state = parts
    return PostgresSettings(host=f"{state.run}-pg", password_file=place / "secrets" / "postgres-orbital")


@pytest.fixture
def rabbitmq_settings(parts: tuple[Path, State]) -> RabbitMQSettings:
    place, state = parts
    return RabbitMQSettings(port=state.ports["amqp"], password_file=place / "secrets" / "rabbitmq-gateway")


@pytest.fixture
async def owner(parts: tuple[Path, State]) -> AsyncIterator[Pool]:
    """The database as its owner reaches it, which no gateway does."""
    place, state = parts
    password = (place / "secrets" / "postgres-owner").read_text().strip()
    login = {"host": f"{state.run}-pg", "database": "orbital", "user": "orbital_owner", "password": password}
    async with asyncpg.create_pool(**login, min_size=1, max_size=4) as opened:
        yield opened


@pytest.fixture
async def pool(postgres_settings: PostgresSettings, owner: Pool) -> AsyncIterator[Pool]:
    """A pool of the gateways' role, on empty tables."""
    await owner.execute(EMPTY)
    async with open_database(postgres_settings) as opened:
        yield opened.pool
